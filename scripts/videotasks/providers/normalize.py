"""Profile x raw body -> Snapshot, Created: one language out of every provider's answers. Pure; never raises.

Rules that hold everywhere (contracts G.5): an unknown status is neither success nor failure; a URL counts only on a
success, as an http(s) string, from a path that the profile names; an `error` member is read only on a failure, because
healthy tasks carry ones full of empty strings; what is searched for in the whole body is only a guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from videotasks.core.errors import ApiError, Category
from videotasks.core.json_values import parse_json
from videotasks.core.record import field, record, replace
from videotasks.core.task import Snapshot, Status, valid_task_id
from videotasks.formats import jmespath_eval, scalars
from videotasks.network import origins
from videotasks.providers import classify_error, outputs
from videotasks.providers.profile import Profile

# What a 200 without an id and without a status may still be taken to refuse by its own words; anything vaguer leaves
# open whether a task was made, and is not paid for twice.
_DEFINITE = frozenset(
    {
        Category.VALIDATION,
        Category.AUTH,
        Category.PERMISSION,
        Category.INSUFFICIENT_CREDITS,
        Category.MODERATION,
        Category.NOT_FOUND,
        Category.RATE_LIMITED,
    }
)
_OF_THE_REQUEST = frozenset({200, 400, 422, 451})
_HEARTBEATS = re.compile(
    r"\s*(?:ping|pong|heart_?beat|keep_?-?alive|open(?:ed)?|connect(?:ed|ion)?|hello|welcome)\s*", re.IGNORECASE
)
_NO_SUCH_TASK = "not_found"  # the one word of a status map that is no status of a task
MAX_WORD = 200  # characters of a provider's status word
MAX_KEPT = 2000  # characters of a value that is kept for an address
MAX_USAGE = 4_000  # characters of JSON; a usage record has a few numbers
_ENDS = {
    Category.MODERATION: Status.FAILED,
    Category.GENERATION_FAILED: Status.FAILED,
    Category.CANCELLED: Status.CANCELLED,
    Category.EXPIRED: Status.EXPIRED,
}


@record(frozen=True)
class Created:
    """What the answer to a create says.

    `task_id` None means that no usable id came: submission_unknown, never a reason to send again. `error` is an in-band
    refusal; when an id came as well the task exists and the id counts.
    """

    task_id: str | None = None
    snapshot: Snapshot | None = None
    error: ApiError | None = None
    follow: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def created(profile: Profile, body: object, http_status: int = 200) -> Created:
    """Read the 2xx answer of a create."""
    if not isinstance(body, Mapping):
        return Created(warnings=("the answer is not a JSON object",))
    task_id = _first_id(profile.create.id, body)
    follow, warnings = _follow(profile, body)
    seen = snapshot(profile, body, task_id=task_id)
    refusal = None
    if not profile.guessed("error.in_band"):
        refusal = in_band_error(profile, body, http_status, explicit=True, operation="create")
    sure = not profile.guessed("error.categories")
    if refusal is None and sure and seen.provider_status is None and seen.error and seen.error.category in _DEFINITE:
        refusal = seen.error
    told = seen if seen.provider_status is not None else None
    return Created(task_id=task_id, snapshot=told, error=refusal, follow=follow, warnings=warnings)


def snapshot(
    profile: Profile,
    body: object,
    *,
    task_id: str | None = None,
    http_status: int = 200,
    known: Mapping[str, str] | None = None,
) -> Snapshot:
    """One status answer in our terms. A body of a wrong shape is `unknown` with a warning.

    `known` is what the run keeps for addresses: the model, the create's path, values of earlier answers.
    """
    if not isinstance(body, Mapping):
        return Snapshot(Status.UNKNOWN, task_id=task_id, raw=body, warnings=("the answer is not a JSON object",))
    found_id = _first_id(profile.status.id or profile.create.id, body)
    own_id = task_id or found_id
    follow, warnings = _follow(profile, body)
    refusal = in_band_error(profile, body, http_status)
    word, status, odd = _status(profile, body)
    if refusal is not None and (status is Status.SUCCEEDED or not status.terminal):
        return Snapshot(Status.UNKNOWN, task_id=own_id, error=refusal, raw=outputs.kept(body), warnings=warnings)
    if word is not None and profile.status.words.get(word.strip().casefold()) == _NO_SUCH_TASK:
        gone = ApiError(Category.NOT_FOUND, "", code=word, http_status=http_status)
        return Snapshot(Status.UNKNOWN, provider_status=word, task_id=own_id, error=gone, raw=outputs.kept(body))
    warnings += odd
    made = Snapshot(
        status=status,
        provider_status=word,
        task_id=own_id,
        progress=scalars.progress(jmespath_eval.first_value(profile.progress.path, body), profile.progress.scale),
        created_at=scalars.first_time(profile.status.created_at, body, profile.times.zone),
        follow=follow,
        warnings=warnings,
        raw=outputs.kept(body),
        **_accounts(profile, body),
    )
    if status is Status.SUCCEEDED:
        return _with_outputs(profile, made, body, known or {})
    if status.terminal:
        return replace(made, error=_task_error(profile, body, status, refusal))
    if word is None and http_status != 202 and (error := _said_error(profile, body, http_status)):
        return replace(made, error=error)
    return made


def with_result(profile: Profile, snap: Snapshot, result_body: object, http_status: int = 200) -> Snapshot:
    """A succeeded snapshot after its second request (profile `result.fetch`).

    A shaped 4xx that speaks of the input, or a code that names the generation's end, means that it failed (contracts
    F.1); any other refusal leaves `needs_result_fetch` set with the error, because the task itself did succeed.
    """
    if http_status >= 400:
        error = classify_error.api_error(profile, operation="poll", http_status=http_status, body=result_body)
        spoken = http_status in _OF_THE_REQUEST and error.shaped and error.category is Category.VALIDATION
        if spoken or _ends_the_task(profile, error, result_body):
            return replace(
                snap,
                status=_ENDS.get(error.category, Status.FAILED),
                error=replace(error, in_task=True),
                needs_result_fetch=False,
                outputs=(),
                raw=outputs.kept(result_body),
            )
        return replace(snap, error=error)
    if not isinstance(result_body, Mapping):
        return replace(snap, warnings=(*snap.warnings, "the result is not a JSON object"))
    accounts = {key: value for key, value in _accounts(profile, result_body).items() if value is not None}
    read = _with_outputs(profile, replace(snap, error=None, **accounts), result_body, {})
    return replace(read, needs_result_fetch=False, raw={"status": snap.raw, "result": outputs.kept(result_body)})


def ended_by(profile: Profile, error: ApiError, body: object, task_id: str) -> Snapshot | None:
    """The task's end where an API tells it as a refusal of the look (HTTP 400, 422, 502, or in-band), else None."""
    if not _ends_the_task(profile, error, body):
        return None
    told = replace(error, in_task=True)
    return Snapshot(_ENDS[error.category], task_id=task_id, error=told, raw=outputs.kept(body))


def _ends_the_task(profile: Profile, error: ApiError, body: object) -> bool:
    """By the provider's own code, with whatever status; by its words only in a refusal of the request itself."""
    if error.category not in _ENDS or not error.shaped:
        return False
    _, codes = classify_error.error_texts(profile, body)
    by_code = classify_error.category_of(profile, codes, [], 0) is error.category
    return by_code or error.http_status in _OF_THE_REQUEST


def is_heartbeat(name: str, body: object) -> bool:
    """An event that only keeps a stream open or greets, by its name or by the type in its data."""
    kind = (body.get("type") or body.get("event")) if isinstance(body, Mapping) else None
    return any(isinstance(word, str) and _HEARTBEATS.fullmatch(word) for word in (name, kind))


def stream_event(profile: Profile, data: str, name: str = "") -> tuple[str | None, Snapshot | None]:
    """(task id, snapshot) of one event's data. The name of an event and `[DONE]` prove nothing: (None, None).

    A heartbeat without a status word says nothing either: its id is its own (`{"type": "ping", "id": "evt_1"}`).
    """
    body = parse_json(data)
    if not isinstance(body, dict):
        return None, None
    task_id = _first_id(profile.create.id, body) or _first_id(profile.status.id, body)
    seen = snapshot(profile, body, task_id=task_id)
    if seen.provider_status is None and is_heartbeat(name, body):
        return None, None
    return task_id, seen if seen.provider_status is not None or seen.error is not None else None


def in_band_error(
    profile: Profile, body: object, http_status: int = 200, *, explicit: bool = False, operation: str = "poll"
) -> ApiError | None:
    """The refusal inside a 200, by the profile's `error.in_band`, compared type-strictly: 0 is not false.

    `explicit`: only a value that is there and says no; a `required` one that is missing proves nothing about a create.
    """
    for rule in profile.error.in_band:
        value = jmespath_eval.evaluate(str(rule["path"]), body)
        if value is None:
            if rule.get("required") and not explicit:
                break
            continue
        if rule.get("type") and not scalars.is_type(value, str(rule["type"])):
            continue
        if not any(scalars.same(value, ok) for ok in rule.get("ok", ())):
            break
    else:
        return None
    error = classify_error.api_error(profile, operation=operation, http_status=http_status, body=body)
    return replace(error, shaped=True)


def about_another_task(profile: Profile, body: object, task_id: str) -> bool:
    """Whether a status answer names a task that is not the one asked for: then it is no answer to the question.

    Spellings of one id count as the same: percent-encoded, in another case, or with the path of its collection before
    it (`operations/7` and `models/x/operations/7`).
    """
    told = _first_id(profile.status.id or profile.create.id, body)
    if told is None:
        return False
    one, other = unquote(told).casefold(), unquote(task_id).casefold()
    return not (one == other or one.endswith("/" + other) or other.endswith("/" + one))


def _first_id(candidates: tuple[str, ...], body: object) -> str | None:
    found = (valid_task_id(jmespath_eval.evaluate(path, body)) for path in candidates)
    return next((one for one in found if one is not None), None)


def _status(profile: Profile, body: object) -> tuple[str | None, Status, tuple[str, ...]]:
    spec = profile.status
    word = _first_word(spec.value, body)
    for rule in spec.rules:
        if jmespath_eval.evaluate(rule["when"], body) not in (None, False, "", [], {}):  # JMESPath's own truth
            return word or rule["is"], Status(rule["is"]), ()
    if word is None:
        return None, Status.UNKNOWN, ()
    canonical = spec.words.get(word.strip().casefold())
    if canonical == _NO_SUCH_TASK:
        return word, Status.UNKNOWN, ()
    if canonical is None:
        return word, Status.UNKNOWN, (f"unknown status {word[:60]!r}: neither success nor failure",)
    status = Status(canonical)
    if spec.upstream and not status.terminal:
        inner = jmespath_eval.first_string(spec.upstream["path"], body)
        dead = spec.words.get(inner.strip().casefold()) if inner else None
        if dead in spec.upstream["only"]:
            return word, Status(dead), (f"the gateway says {word!r}, its upstream task is {inner!r}",)
    return word, status, ()


def canonical(profile: Profile, word: object) -> str | None:
    """A status word of a list of tasks in our terms; None for no word."""
    if isinstance(word, bool) or not isinstance(word, (str, int)):
        return None
    found = profile.status.words.get(str(word).strip().casefold())
    return found if found and found != _NO_SUCH_TASK else Status.UNKNOWN.value


def _first_word(candidates: tuple[str, ...], body: object) -> str | None:
    """The first status word: a text, or a whole number as text, for some APIs count their states."""
    for path in candidates:
        for found in jmespath_eval.values(path, body):
            if (isinstance(found, str) and found.strip()) or (isinstance(found, int) and not isinstance(found, bool)):
                return str(found)[:MAX_WORD]
    return None


def _accounts(profile: Profile, body: object) -> dict[str, Any]:
    usage = jmespath_eval.first_value(profile.result.usage, body)
    accounts: dict[str, Any] = {"usage": _small(usage) if isinstance(usage, Mapping) else None}
    if profile.result.cost:
        paths = profile.result.cost["path"]
        found = jmespath_eval.first_value([paths] if isinstance(paths, str) else paths, body)
        cost = scalars.amount(found)
        if cost is not None:
            scale = float(profile.result.cost.get("scale", 1))
            accounts.update(cost=cost * scale if scale != 1 else cost, cost_unit=profile.result.cost["unit"])
    return accounts


def _small(usage: Mapping[str, Any]) -> dict[str, Any]:
    """A usage record within `MAX_USAGE`: of a larger one, its numbers."""
    if len(json.dumps(usage, default=str)) <= MAX_USAGE:
        return dict(usage)
    numbers = {name: value for name, value in usage.items() if scalars.number(value) is not None and len(name) < 60}
    return dict(list(numbers.items())[:40])


def _with_outputs(profile: Profile, made: Snapshot, body: object, known: Mapping[str, str]) -> Snapshot:
    found = outputs.outputs_of(profile, body, made.task_id, {**known, **made.follow})
    generated = any(output.kind in outputs.MADE for output in found)
    fetched = profile.result.fetch is not None
    return replace(
        made,
        outputs=found,
        guesses=() if generated else outputs.guesses_of(outputs.unpacked(profile, body)),
        expires_at=_expires(profile, body, made.raw),
        needs_result_fetch=not generated and fetched,
    )


def _expires(profile: Profile, *bodies: object) -> float | None:
    result = profile.result
    for paths, later in ((result.expires_at, 0.0), (result.finished_at if result.ttl_s else (), result.ttl_s or 0.0)):
        for body in bodies:
            if (told := scalars.first_time(paths, body, profile.times.zone)) is not None:
                return told + later
    return None


def _task_error(profile: Profile, body: object, status: Status, refusal: ApiError | None = None) -> ApiError:
    """Why a task ended without a result. `message` is the provider's own words, and empty when it gave none.

    `refusal` is the envelope's word beside the task's own.
    """
    messages, codes = classify_error.error_texts(profile, body, in_task=True)
    ends = {Status.CANCELLED: Category.CANCELLED, Status.EXPIRED: Category.EXPIRED}
    category = ends.get(status) or classify_error.task_category(profile, codes, messages)
    code, message = codes[0] if codes else None, "; ".join(messages)[: classify_error.MAX_MESSAGE]
    if refusal is not None:
        if category is Category.GENERATION_FAILED and refusal.category is Category.MODERATION:
            category = refusal.category
        code, message = code or refusal.code, message or refusal.message
    return ApiError(category=category, message=message, code=code, in_task=True)


def _said_error(profile: Profile, body: object, http_status: int) -> ApiError | None:
    """An answer without any status word that has the provider's error shape instead."""
    messages, codes = classify_error.error_texts(profile, body)
    if not (messages or codes) or _says_fine(profile, body):
        return None
    return classify_error.api_error(profile, operation="poll", http_status=http_status, body=body)


def _says_fine(profile: Profile, body: object) -> bool:
    """The envelope itself says that nothing is wrong (its message is then no error text)."""
    return any(
        scalars.same(jmespath_eval.evaluate(str(rule["path"]), body), ok)
        for rule in profile.error.in_band
        for ok in rule.get("ok", ())
    )


def _follow(profile: Profile, body: object) -> tuple[dict[str, str], tuple[str, ...]]:
    """Values and URLs that the API gave for this task. URLs only of its own origin: the key goes to them."""
    kept: dict[str, str] = {}
    warnings: list[str] = []
    for name, path in profile.create.keep.items():
        value = jmespath_eval.evaluate(path, body)
        text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
        if 0 < len(text) <= MAX_KEPT and text.isprintable():
            kept[name] = text
    for name, path in profile.create.follow.items():
        given = jmespath_eval.evaluate(path, body)
        if not isinstance(given, str) or not given:
            continue
        url = origins.followed_url(profile.base_url, given)
        if url and scalars.http_url(url):
            kept[name] = url
        else:
            warnings.append(f"{name} is not on the API's own origin and is not followed")
    return kept, tuple(warnings)
