"""Common inputs x Profile -> RequestDraft: the request that a create will send, before anything is sent.

`--payload` wins over what the inputs' templates make, member by member; `--set` wins over both, because it is the
narrowest thing that a person can say. Pure, apart from local files, which local_files reads.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

from videotasks.core.errors import TaskError, configuration_error
from videotasks.core.json_values import leaves, no_constant
from videotasks.core.record import field, record
from videotasks.providers.known_model import CATALOGUE, CONVENTION, NOTHING, Known
from videotasks.providers.profile import Model, Profile
from videotasks.request import fields, limits, route
from videotasks.request.draft import Fresh, RequestDraft, with_fresh
from videotasks.request.local_files import FileRef
from videotasks.request.members import set_path

Number = int | float | str
SCALARS = ("duration", "ratio", "resolution", "seed")
PLAIN = ("prompt", "model", *SCALARS, "payload", "endpoint", "kind")  # the options that are told as they are typed
MEDIA = ("image", "video", "audio")


@record
class CommonInputs:
    """What the flags say. Media are (role or None, path or URL); `payload` is a parsed JSON object or None."""

    prompt: str | None = None
    model: str | None = None
    duration: Number | None = None
    ratio: str | None = None
    resolution: str | None = None
    image: list[tuple[str | None, str]] = field(default_factory=list)
    video: list[tuple[str | None, str]] = field(default_factory=list)
    audio: list[tuple[str | None, str]] = field(default_factory=list)
    seed: Number | None = None
    set_values: list[tuple[str, Any]] = field(default_factory=list)
    payload: Any = None
    endpoint: str | None = None
    kind: str | None = None
    links: Mapping[str, str] = field(default_factory=dict)  # a medium taken of another run -> what stands for it

    def media(self, kind: str) -> list[tuple[str | None, str]]:
        given: list[tuple[str | None, str]] = getattr(self, kind)
        return given


def in_kind(profile: Profile, inputs: CommonInputs) -> Profile:
    """The profile in the kind that these inputs choose: the first whose `when` they fill. --kind has the last word."""
    if inputs.kind:
        return profile
    given = {name for kind in MEDIA for role, _ in inputs.media(kind) for name in (kind, f"{kind}.{role}")}
    for kind, wanted in profile.kinds_when():
        if set(wanted) <= given:
            return profile.for_kind(kind)
    return profile


def build_request(
    profile: Profile, inputs: CommonInputs, *, known: Known | None = None, sandbox: bool = False
) -> RequestDraft:
    """The request that these inputs make. Raises TaskError(CONFIGURATION) that names what the provider has.

    An endpoint overrides the profile's create path (relative, or a URL on the profile's own origin). `known` is what is
    known of the very model (`chosen_model` says which); without it the profile's own list is used.
    """
    payload = _payload(inputs.payload)
    target = _target(profile, inputs)
    model = chosen_model(profile, inputs, sandbox=sandbox)
    if model is None and target is None and not _set_there(profile, inputs):
        needed = "{model}" in profile.create.path or (profile.inputs.get("model") or {}).get("required")
        if needed or not payload:
            raise _no_model(profile, known.ids if known else ())
    if known is None:
        own = profile.model_info(model)
        known = Known(model=own, source=CATALOGUE) if own else Known()
    info = known.model
    specs = fields.specs(profile, info)
    body: dict[str, Any] = with_fresh(profile.create.body)
    if profile.idempotency is not None and profile.idempotency.body:
        set_path(body, profile.idempotency.body, Fresh(), flag="idempotency.body")
    if model and (to_model := _model_member(profile)):
        set_path(body, to_model, model, flag="--model")
    found = fields.Found(profile, model, info, specs, known.source, body)
    _place_prompt(found, inputs, bool(payload))
    for name in SCALARS:
        if (value := getattr(inputs, name)) is not None:
            fields.place_scalar(found, name, value)
    fields.place_combined(found)
    for kind in MEDIA:
        fields.place_media(found, kind, inputs.media(kind))
    checked = None if known.validated_later else info
    limits.check(profile, checked, found.asked, found.roles)
    chosen = fields.place_variant(found, given={*payload, *(dotted for dotted, _ in inputs.set_values)})
    warnings = chosen + _overlay(body, payload)
    for dotted, value in inputs.set_values:
        set_path(body, dotted, copy.deepcopy(value), flag=f"--set {dotted}")
    if payload or inputs.set_values:
        # The API decides over what a person wrote in its own terms; what is documented against it is only said.
        warnings += tuple(limits.body_problems(profile, info, specs, body))
    warnings += limits.require_members(checked, body, strict=not payload and not inputs.set_values)
    files = tuple(leaf for leaf in leaves(body) if isinstance(leaf, FileRef))
    limits.check_total(profile, files)
    if target is None:
        target = route.of_model(profile, model)
    return RequestDraft(
        method=profile.create.method,
        path=target.path,
        stream_path=target.stream_path,
        encoding=_encoding(profile, info, files),
        body=body,
        files=files,
        model=model,
        warnings=warnings,
        asked=asked(inputs, files),
        known=known,
        assumed=tuple(found.assumed),
        checked_against=known.source if known.model else CONVENTION if found.assumed else NOTHING,
        wrap=profile.create.wrap,
        links=inputs.links,
        given=given_record(inputs),
    )


def chosen_model(profile: Profile, inputs: CommonInputs, *, sandbox: bool = False) -> str | None:
    """The model that these inputs mean, as build_request takes it; None where none is named."""
    target, member, payload = _target(profile, inputs), _model_member(profile), inputs.payload
    in_body = payload.get(member) if member and isinstance(payload, dict) else None
    in_path = target.model if target else None
    if in_path and inputs.model and in_path != inputs.model:
        raise configuration_error(
            f"--model {inputs.model} and the endpoint's model {in_path} differ", expected="one of them"
        )
    model = in_path or (isinstance(in_body, str) and in_body) or inputs.model or profile.default_model
    if model is None and sandbox and target is None and not _set_there(profile, inputs):
        return profile.rehearsal_model
    return model


def create_path(profile: Profile, model: str | None) -> str | None:
    """Where the create of this model goes; None while no model is named that the path needs."""
    return route.of_model(profile, model).path if model or "{model}" not in profile.create.path else None


def asked(inputs: CommonInputs, files: tuple[FileRef, ...]) -> dict[str, Any]:
    """The options as typed and normalised, a local file by content hash and role: the same whatever we learn."""
    hashes = {ref.given: ref.sha256 for ref in files} | dict(inputs.links)
    told = _told(inputs, lambda value: hashes.get(value, value))
    told |= {name: _plain_number(told[name]) for name in SCALARS if name in told}
    if endpoint := told.pop("endpoint", None):
        told["endpoint"] = route.as_typed(endpoint)
    return told


def _told(inputs: CommonInputs, medium: Callable[[str], str]) -> dict[str, Any]:
    """The options that are given, a medium by what it is called here."""
    told: dict[str, Any] = {name: getattr(inputs, name) for name in PLAIN}
    told |= {kind: [[role, medium(value)] for role, value in inputs.media(kind)] for kind in MEDIA}
    told["set"] = [[name, value] for name, value in inputs.set_values]
    return {name: value for name, value in told.items() if value not in (None, [])}


KEPT_PAYLOAD = 100_000  # characters: a larger body is not kept a second time


def given_record(inputs: CommonInputs) -> dict[str, Any]:
    """The options as typed, for `inputs_of_record`; {} where the payload is too large to be kept twice."""
    if inputs.payload is not None and len(json.dumps(inputs.payload, default=str)) > KEPT_PAYLOAD:
        return {}

    def typed(value: str) -> str:
        of, _, what = inputs.links.get(value, "").removeprefix("run ").rpartition(" ")
        return f"@{of}.{what}" if of else value

    return _told(inputs, typed)


def inputs_of_record(record: Mapping[str, Any], changes: CommonInputs) -> CommonInputs:
    """The options of an earlier create with those that are typed now in their places; --set member by member."""
    members = {str(pair[0]): pair[1] for pair in record.get("set") or ()} | dict(changes.set_values)
    now: dict[str, Any] = {}
    for name in PLAIN:
        new = getattr(changes, name)
        now[name] = new if new is not None else record.get(name)
    for kind in MEDIA:
        now[kind] = changes.media(kind) or [(pair[0], str(pair[1])) for pair in record.get(kind) or ()]
    return CommonInputs(**now, set_values=list(members.items()))


def _plain_number(value: Any) -> Any:
    """`5`, `5.0` and `"5"` are one length; `5s` and `16:9` stay as they are."""
    try:
        return f"{float(value):g}"
    except (TypeError, ValueError, OverflowError):
        return value


def _payload(payload: Any) -> dict[str, Any]:
    if payload is None:
        return {}
    if not isinstance(payload, dict):
        kinds = {bool: "boolean", list: "array", str: "string", int: "number", float: "number"}
        raise configuration_error(
            f"the payload is a JSON {kinds.get(type(payload), 'value')}",
            expected='a JSON object, such as {"prompt": "..."}',
        )
    try:
        return copy.deepcopy(payload)
    except RecursionError:
        raise configuration_error(
            "the payload is nested too deeply", expected="a JSON object of fewer levels"
        ) from None


def _target(profile: Profile, inputs: CommonInputs) -> route.Target | None:
    return route.resolve(profile, inputs.endpoint) if inputs.endpoint else None


def _model_member(profile: Profile) -> str:
    """Where the model's id goes in a body; "" where a body has no place for it."""
    return str((profile.inputs.get("model") or {}).get("to") or "")


def _set_there(profile: Profile, inputs: CommonInputs) -> bool:
    """Whether --set names the model."""
    return _model_member(profile) in [dotted for dotted, _ in inputs.set_values]


_EXAMPLES = 12  # a list of all would be the longest line of an answer


def _no_model(profile: Profile, ids: tuple[str, ...]) -> TaskError:
    documented = [m.id + (f" ({m.note})" if m.note else "") for m in profile.models] or list(ids[:_EXAMPLES])
    where = profile.links.docs or profile.links.dashboard
    return configuration_error(
        f"{profile.name} has no default model: say which one",
        expected="--model ID" + (f", for example: {', '.join(documented)}" if documented else ""),
        hint=f"other models: {where}" if where else None,
        details={"models": [m.id for m in profile.models] or list(ids[:_EXAMPLES])},
    )


def _place_prompt(found: fields.Found, inputs: CommonInputs, has_payload: bool) -> None:
    spec = found.specs.get("prompt") or {}
    if inputs.prompt is not None and inputs.prompt.strip():
        fields.place_scalar(found, "prompt", inputs.prompt)
        return
    required = spec.get("required")
    instead = required if isinstance(required, list) else []
    if required and not has_payload and not inputs.set_values and not any(inputs.media(kind) for kind in instead):
        raise configuration_error("no prompt", expected="--prompt TEXT, --prompt-file FILE or --payload JSON")


def _overlay(body: dict[str, Any], payload: Mapping[str, Any]) -> tuple[str, ...]:
    """The payload's members over the templates', and a word on each that the payload replaced."""
    replaced = [key for key, value in payload.items() if key in body and body[key] != value]
    body.update(payload)
    return tuple(f"the payload's {key!r} is used; what the flags would have put there is not" for key in replaced)


def _encoding(profile: Profile, info: Model | None, files: tuple[FileRef, ...]) -> str:
    encoding = (info.encoding if info else None) or profile.create.encoding
    if encoding == "multipart_if_files":
        return "multipart" if any(f.how == "multipart" for f in files) else "json"
    return encoding


def parse_payload(text: str) -> dict[str, Any]:
    """A JSON object, or a TaskError that says where it stops being one. NaN and Infinity are not JSON."""
    try:
        value = json.loads(text, parse_constant=no_constant)
    except RecursionError:
        raise configuration_error("the payload is nested too deeply", expected="a JSON object") from None
    except ValueError as error:
        where = (
            f"line {error.lineno}, column {error.colno}: {error.msg}"
            if isinstance(error, json.JSONDecodeError)
            else str(error)
        )
        raise configuration_error(
            f"the payload is not JSON ({where})",
            expected='a JSON object, such as {"prompt": "..."}',
            code="invalid_arguments",
        ) from None
    if not isinstance(value, dict):
        raise configuration_error(
            "the payload is not a JSON object", expected='{"prompt": "..."}', code="invalid_arguments"
        )
    return value


def parse_set(text: str) -> tuple[str, Any]:
    """`metadata.seed=7` -> ("metadata.seed", 7). The value is JSON where it parses as JSON, else the text itself."""
    key, sign, raw = text.partition("=")
    if not sign or not key.strip():
        raise configuration_error(
            f"--set {text[:60]!r} is no assignment", expected="--set name=value or --set a.b=value"
        )
    try:
        return key.strip(), json.loads(raw, parse_constant=no_constant)
    except (ValueError, RecursionError):
        return key.strip(), raw
