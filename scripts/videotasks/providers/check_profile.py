"""The full check of a profile that did not ship with the skill: what is wrong, in which line, and what to write.

The schema (shared/schemas/provider-profile.schema.json) is the only list of members. Two words of its own are checked
here: `format: jmespath` compiles an expression, functions and all, and `placeholders` names what `{...}` may stand in
an address. A mistake that is met only when the paid answer is read costs the task, so nothing is left for then.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from videotasks.core.errors import configuration_error
from videotasks.core.installation import skill_folder
from videotasks.core.json_values import leaves
from videotasks.formats import jmespath_eval
from videotasks.providers.profile import foreign_key_variable, merge

Place = tuple[str | int, ...]
Problem = tuple[Place, str]
_MAX_TOLD = 5


def check_foreign(
    document: Mapping[str, Any],
    path: Path,
    *,
    own_auth: object,
    shipped: Iterable[str],
    reserved: Callable[[], Mapping[str, str]],
    lines: Mapping[Place, int],
) -> None:
    """Raise TaskError(CONFIGURATION) with file, line, member and expectation for everything that is wrong.

    `document` is the profile with what it extends; `own_auth` is the file's own auth, which may name no key variable
    of a shipped profile (`reserved`: variable -> profile); `lines` tells where a member stands in the file.
    """
    problems = list(problems_of(document))
    name = str(document.get("name") or "").casefold().replace("_", "-")
    if name in shipped:
        problems.insert(0, (("name",), f"{name!r} is the name of a shipped profile; choose another"))
    variables = own_auth.get("env") if isinstance(own_auth, Mapping) else None
    own = foreign_key_variable(name or "NAME")
    for variable in [variables] if isinstance(variables, str) else variables or ():
        if str(variable) != own and (owner := reserved().get(str(variable).upper())):
            said = f"{variable} is the key of {owner}; a profile of your own reads {own}"
            problems.append((("auth", "env"), said))
    if problems:
        told = [_told(place, said, lines) for place, said in problems]
        raise configuration_error(
            f"{path}: {'; '.join(told[:_MAX_TOLD])}" + (f"; and {len(told) - 5} more" if len(told) > _MAX_TOLD else ""),
            expected="a provider profile by shared/schemas/provider-profile.schema.json",
            hint="references/adding-a-provider.md says what each member means",
            details={"problems": told[:50]},
        )


def _told(place: Place, said: str, lines: Mapping[Place, int]) -> str:
    dotted = ".".join(str(part) for part in place) or "the profile"
    line = next((lines[place[:length]] for length in range(len(place), 0, -1) if place[:length] in lines), None)
    return (f"line {line}, " if line else "") + f"{dotted}: {said}"


def problems_of(document: Mapping[str, Any]) -> Iterator[Problem]:
    """(member, what is wrong and what is expected) for everything in a profile and in each of its kinds."""
    plain: dict[str, Any] = json.loads(json.dumps(document, default=str))  # keys become texts, as the schema has them
    known = list(_problems_of_kind(plain))
    yield from known
    kinds = plain.get("kinds")
    for name, kind in (kinds if isinstance(kinds, Mapping) else {}).items():
        changes = {k: v for k, v in kind.items() if k != "when"} if isinstance(kind, Mapping) else {}
        for place, said in _problems_of_kind(merge(plain, changes)):
            if (place, said) not in known:
                yield ("kinds", name, *place), said


def _problems_of_kind(document: Mapping[str, Any]) -> Iterator[Problem]:
    breaches = sorted(_validator(document).iter_errors(document), key=lambda e: [str(p) for p in e.absolute_path])
    for error in breaches:
        yield from _explained(error)
    if not breaches:
        yield from _contradictions(document)


def _validator(document: Mapping[str, Any]) -> Any:
    from jsonschema import Draft202012Validator, FormatChecker, validators
    from jsonschema.exceptions import ValidationError

    formats = FormatChecker(formats=())

    @formats.checks("jmespath", raises=jmespath_eval.PathError)
    def compiles(value: object) -> bool:
        if isinstance(value, str):
            jmespath_eval.check(value)
        return True

    kept = {  # from the task's answers, and what a second request after success takes from one
        "kept": _names(document, "create.follow", "create.keep"),
        "values": _names(document, "result.fetch.values", "result.content.values"),
    }

    def placeholders(_: Any, allowed: list[str], instance: Any, __: Any) -> Iterator[Any]:
        names = [name for one in allowed for name in kept.get(one, [one])]
        for place, name in _bare(instance, names):
            yield ValidationError(_put_in_quotes(name), path=place)
        for text in _texts(instance):
            for name in re.findall(r"\{([^{}]*)\}", text):
                if name not in names and (isinstance(instance, str) or re.match(r"[A-Za-z_]\w*\Z", name)):
                    there = "; here there are: " + ", ".join("{" + one + "}" for one in names) if names else ""
                    yield ValidationError(f"nothing fills {{{name}}} here{_nearest(name, names)}{there}")

    path = skill_folder().resolve() / "shared" / "schemas" / "provider-profile.schema.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    extended = validators.extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, {"placeholders": placeholders}
    )
    return extended(schema, format_checker=formats)


def _names(document: Mapping[str, Any], *places: str) -> list[str]:
    """The names of the members at these places."""
    parts = [jmespath_eval.evaluate(place, document) for place in places]
    return [name for part in parts if isinstance(part, Mapping) for name in part]


def _bare(value: Any, names: list[str], at: Place = ()) -> Iterator[tuple[Place, str]]:
    """Where a placeholder stands without quotes, which YAML reads as a mapping of its name to nothing."""
    if isinstance(value, Mapping) and len(value) == 1 and (name := next(iter(value))) in names and value[name] is None:
        yield at, name
    elif isinstance(value, (Mapping, list)):
        for key, member in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _bare(member, names, (*at, key))


def _texts(value: Any) -> Iterator[str]:
    return (leaf for leaf in leaves(value) if isinstance(leaf, str))


def _explained(error: Any) -> Iterator[Problem]:
    """A breach of the schema in words that lead to the fix."""
    place: Place = tuple(error.absolute_path)
    if error.validator in ("anyOf", "oneOf"):
        yield from _of_the_branch_meant(error)
        return
    instance, rule, schema = error.instance, error.validator_value, error.schema
    about = schema.get("description") if isinstance(schema, Mapping) else None
    hint = f" ({about})" if about else ""
    if "propertyNames" in error.absolute_schema_path:
        allowed = [str(one) for one in rule] if error.validator == "enum" else []
        listed = f"; allowed: {', '.join(allowed)}" if allowed else ""
        yield place, f"{instance!r} is no name for a member here{_nearest(instance, allowed)}{listed}{hint}"
    elif error.validator == "additionalProperties":
        known = list(schema.get("properties") or {})
        for name in sorted(set(instance) - set(known), key=str):
            yield (*place, name), f"there is no such member{_nearest(name, known)}; allowed: {', '.join(known)}"
    elif error.validator == "required":
        missing = next((name for name in rule if name not in instance), "?")
        what = ((schema.get("properties") or {}).get(missing) or {}).get("description")
        yield place, f"{missing!r} is missing" + (f" ({what})" if what else "")
    elif error.validator == "enum":
        words = [str(one) for one in rule]
        yield place, f"{_short(instance)} is not known{_nearest(instance, words)}; allowed: {', '.join(words)}{hint}"
    elif error.validator == "type":
        yield place, _wrong_type(instance, rule) + hint
    elif error.validator == "format":
        yield place, str(error.cause or error.message)
    elif error.validator == "placeholders":
        yield place, error.message
    else:
        yield place, error.message[:200] + hint


def _of_the_branch_meant(error: Any) -> Iterator[Problem]:
    """Of several shapes that a member may have, the one whose type the author wrote; else what they all are."""
    branches: dict[Any, list[Any]] = {}
    for inner in error.context:
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    meant = [
        inner
        for inner in branches.values()
        if not any(one.validator == "type" and not one.relative_path for one in inner)
    ]
    if len(meant) == 1:
        for inner in meant[0]:
            yield from _explained(inner)
        return
    if meant:
        yield from _explained(min((inner for group in meant for inner in group), key=lambda e: -len(e.absolute_path)))
        return
    types = [one.validator_value for one in error.context if one.validator == "type"]
    wanted = [kind for one in types for kind in (one if isinstance(one, list) else [one]) if kind != "null"]
    about = [one.schema.get("description") for one in (*error.context, error) if isinstance(one.schema, Mapping)]
    hint = next((f" ({text})" for text in about if text), "")
    yield tuple(error.absolute_path), _wrong_type(error.instance, list(dict.fromkeys(wanted))) + hint


_TYPE_NAMES = {"object": "a mapping", "array": "a list", "string": "a text", "integer": "a whole number"}


def _wrong_type(instance: Any, wanted: Any) -> str:
    kinds = [_TYPE_NAMES.get(one, f"a {one}") for one in (wanted if isinstance(wanted, list) else [wanted])]
    if isinstance(instance, Mapping) and len(instance) == 1 and next(iter(instance.values())) is None:
        return _put_in_quotes(next(iter(instance)))
    return f"{_short(instance)} is not {' or '.join(kinds)}"


def _put_in_quotes(name: str) -> str:
    return f'YAML reads {{{name}}} as a mapping: put the text that holds it in quotes, "{{{name}}}" or "/x/{{{name}}}"'


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _nearest(word: object, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


# -- what a schema cannot say: members that contradict each other, or that nothing would read --


def _contradictions(document: Mapping[str, Any]) -> Iterator[Problem]:
    follow = _names(document, "create.follow")
    for place in ("status.url_from", "result.fetch.url_from", "cancel.url_from"):
        name = jmespath_eval.evaluate(place, document)
        if name is not None and name not in follow:
            listed = ", ".join(follow) or "nothing"
            said = f"{name!r} is not kept by create.follow{_nearest(name, follow)} (it keeps: {listed})"
            yield tuple(place.split(".")), said
    status = document["status"]
    if not status.get("path") and not status.get("url_from"):
        yield ("status",), "'path' is missing (the address of one task, with {task_id})"
    elif status.get("path") and not any(
        "{" in text for text in _texts([status["path"], status.get("query"), status.get("body")])
    ):
        yield ("status", "path"), "it names no task: put {task_id} into the path, the query or the body"
    if status.get("body") is not None and status.get("method") != "POST":
        yield ("status", "body"), "a look by GET sends no body: say method: POST"
    yield from _of_bulk(status.get("bulk") or {})
    yield from _of_basis(document)
    upload = document.get("upload")
    if upload:
        keyed = upload.get("how") in ("multipart", "raw")
        for knob, needed in (("path", keyed), ("init", not keyed), ("put_url", not keyed)):
            if needed and not upload.get(knob):
                yield ("upload",), f"{knob!r} is missing for how: {upload.get('how', 'put')}"
        if not keyed and upload.get("path"):
            yield ("upload", "path"), "it is for how: multipart or raw"
    result = document["result"]
    if result.get("ttl_s") and not result.get("finished_at"):
        yield ("result", "ttl_s"), "it counts from finished_at, which is missing"
    poll = document.get("poll") or {}
    floor, ceiling = poll.get("floor_s", 2.0), poll.get("ceiling_s", 10.0)
    if floor > ceiling:
        yield ("poll", "floor_s"), f"{floor} is above ceiling_s ({ceiling})"
    words: dict[str, str] = {}
    for canonical, spellings in status["map"].items():
        for word in spellings:
            if words.setdefault(str(word).casefold(), canonical) != canonical:
                said = f"{word!r} stands under {words[str(word).casefold()]}, too"
                yield ("status", "map", canonical), said
    if not any(document["result"].get(kind) for kind in ("video", "image", "audio", "content")):
        yield ("result",), "it names no result: 'video' (paths of links) or 'content' (an address that needs the key)"
    yield from _of_inputs(document.get("inputs") or {}, ("inputs",))
    for index, model in enumerate(document.get("models") or ()):
        merged = {**(document.get("inputs") or {}), **(model.get("inputs") or {})}
        for where, said in _of_inputs(merged, ("models", index, "inputs")):
            if where[3] in (model.get("inputs") or {}):
                yield where, said


def _of_bulk(bulk: Mapping[str, Any]) -> Iterator[Problem]:
    named = any("{task_ids}" in text for text in _texts([bulk.get("query"), bulk.get("body")]))
    if named and (bulk.get("next") or bulk.get("pages")):
        yield (
            ("status", "bulk"),
            "a request that names {task_ids} is answered at once: `next` and `pages` are for lists",
        )
    if bulk.get("pages", 1) > 1 and not bulk.get("next"):
        yield ("status", "bulk", "pages"), "'next' is missing: how the next page is asked for"
    if bulk.get("body") is not None and bulk.get("method") != "POST":
        yield ("status", "bulk", "body"), "a look by GET sends no body: say method: POST"


_VALUES = "for the API's words of a plain input there is `values: {720p: 720P}`"


def _of_basis(document: Mapping[str, Any]) -> Iterator[Problem]:
    """A guess never decides about money."""
    basis: Mapping[str, Any] = document.get("basis") or {}
    guesses = {name for name, told in basis.items() if told["is"] == "guess"}
    if document.get("idempotency") and guesses & {"idempotency", "all"} - (
        {"all"} if "idempotency" in basis else set()
    ):
        yield ("idempotency",), "it rests on a guess (basis), and a guess never lets a create be sent again"
    if document["create"].get("resend_on") and guesses & {"create", "create.resend_on"}:
        yield ("create", "resend_on"), "it rests on a guess (basis), and a guess never lets a create be sent again"
    spec = document.get("idempotency") or {}
    if spec and bool(spec.get("header")) == bool(spec.get("body")):
        yield ("idempotency",), "say where the value goes: `header` or `body`, one of them"


def _of_inputs(inputs: Mapping[str, Any], where: Place) -> Iterator[Problem]:
    shared = {spec["combine"] for spec in inputs.values() if isinstance(spec, Mapping) and spec.get("combine")}
    for name, spec in inputs.items():
        if not isinstance(spec, Mapping):
            continue
        if spec.get("combine") and not isinstance(inputs.get(spec["combine"]), Mapping):
            yield (*where, name, "combine"), f"there is no input {spec['combine']!r} to share a field with"
        for knob in ("table", "format", "default_resolution"):
            if spec.get(knob) and name not in shared:
                said = f"no input shares this field by `combine`, so that it would be ignored; {_VALUES}"
                yield (*where, name, knob), said
        if isinstance(spec.get("to"), Mapping) and name not in shared:
            yield (*where, name, "to"), "a size in two members is for inputs that share it by `combine`"
        if spec.get("values") and name in ("image", "video", "audio"):
            yield (*where, name, "values"), "a file or a link has no word to be put in its place"
        roles = list(spec.get("roles") or {})
        for knob in ("default_role", "one_without_role"):
            if spec.get(knob) and spec[knob] not in roles:
                yield (*where, name, knob), f"{spec[knob]!r} is none of its roles ({', '.join(roles) or 'it has none'})"
