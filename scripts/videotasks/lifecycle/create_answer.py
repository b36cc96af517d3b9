"""What an answer (or its absence) to a create means for the money: a pure decision (design section 1, promise 1)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any
from urllib.parse import urljoin

from videotasks.core.errors import ApiError, Category
from videotasks.core.json_values import parse_json
from videotasks.core.record import record
from videotasks.core.task import MAX_ID, Snapshot, Status, valid_task_id
from videotasks.formats import jmespath_eval, scalars
from videotasks.formats.sse import SseLimitError, SseParser
from videotasks.network.client import Answer
from videotasks.network.errors import NoAnswer
from videotasks.network.origins import origin_of
from videotasks.providers import classify_error, normalize
from videotasks.providers.profile import Profile

_PLAIN_ORIGIN = re.compile(r"https?://[a-z0-9.:\[\]-]{1,100}")


class Decision(str, Enum):
    ACCEPTED = "accepted"  # there is a task id
    REFUSED = "refused"  # a complete answer says no; nothing was created
    RESEND = "resend"  # a complete answer that the profile lists as "not taken, send again"
    NOT_SENT = "not_sent"  # not one byte of the request was written
    LOOK = "look"  # a refusal with an id in it: a free look tells whether there is such a task
    UNKNOWN = "unknown"  # it may have been created


# The stream endpoint is not there, so nothing was created: the plain one is asked. (501, as every 5xx, proves nothing.)
STREAM_REFUSED = frozenset({404, 405})
# Complete answers that are known to create nothing. Everything else (408 and 425 come from intermediaries, 409 may mean
# "exists", 302 and 303 answer a POST that was taken) leaves it open.
REFUSED = frozenset({400, 401, 402, 403, 404, 405, 406, 410, 411, 413, 414, 415, 422, 429, 431, 451})
REDIRECTED = frozenset({301, 307, 308})
MAX_CANDIDATES = 3


@record(frozen=True)
class CreateAnswer:
    decision: Decision
    task_id: str | None = None
    snapshot: Snapshot | None = None
    error: ApiError | None = None
    reason: str = ""  # our words
    http_status: int | None = None
    server_date: float | None = None
    follow: Mapping[str, str] | None = None
    retry_after_s: float | None = None
    redirected_to: str | None = None  # an origin, or "another place"
    body: bytes = b""  # of an answer that tells no id, to be kept for whoever looks into it


def of_silence(profile: Profile, error: NoAnswer) -> CreateAnswer:
    """No complete answer: unsent is safe; an id in what did arrive is an id; anything else is unknown."""
    if not error.sent:
        return CreateAnswer(Decision.NOT_SENT, reason=error.message)
    if error.status is not None and 200 <= error.status < 300 and error.body:
        created = read(profile, error.body)
        if created.task_id is not None:
            return _accepted(created, error.status, None)
    return CreateAnswer(Decision.UNKNOWN, reason=error.message, http_status=error.status, body=error.body)


def read(profile: Profile, data: bytes, http_status: int = 200) -> normalize.Created:
    """What a body says of a create, as JSON or as an event stream, whatever its header calls it."""
    body = parse_json(data)
    if body is not None:
        return normalize.created(profile, body, http_status)
    parser = SseParser()
    try:
        events = parser.feed(data + b"\n\n")  # the blank line after the last event may be missing
    except SseLimitError as limit:
        events = limit.events
    for event in events:
        task_id, snapshot = normalize.stream_event(profile, event.data, event.event)
        if task_id is not None:
            return normalize.Created(task_id, snapshot, follow=snapshot.follow if snapshot else {})
    return normalize.Created()


def candidate_ids(profile: Profile, data: bytes) -> list[str]:
    """What stands in a body that could not be read where the profile expects an id: for a person, never adopted."""
    names = {re.split(r"[^A-Za-z0-9_-]", path)[-1] for path in profile.create.id}
    names.discard("")
    text = data.decode("utf-8", "replace")
    words = "|".join(map(re.escape, sorted(names)))
    pattern = rf'"(?:{words})"\s*:\s*"?([^"\\\s,{{}}\[\]]{{1,{MAX_ID}}})'
    found = re.findall(pattern, text) if names else []
    ids = [value for value in dict.fromkeys(found) if valid_task_id(value) is not None]
    return [value for value in ids if value not in ("null", "true", "false")][:MAX_CANDIDATES]


def _accepted(created: normalize.Created, http_status: int, date: float | None) -> CreateAnswer:
    return CreateAnswer(
        Decision.ACCEPTED,
        task_id=created.task_id,
        snapshot=created.snapshot,
        http_status=http_status,
        server_date=date,
        follow=created.follow,
    )


def of_answer(profile: Profile, answer: Answer, *, now: float) -> CreateAnswer:
    """A complete HTTP answer to a create."""
    date = server_date(answer.headers.get("date"))
    created = read(profile, answer.body, answer.status)

    def decided(decision: Decision, **more: Any) -> CreateAnswer:
        return CreateAnswer(decision, http_status=answer.status, server_date=date, **more)

    if 200 <= answer.status < 300:
        if created.task_id is not None:
            return _accepted(created, answer.status, date)
        if created.error is not None:
            return decided(Decision.REFUSED, error=created.error)
        reason = "the answer was too large to be one" if answer.truncated else "the API answered without a task id"
        return decided(Decision.UNKNOWN, reason=reason, body=answer.body)
    # An id that comes with a status word of the provider is a task's, whatever the HTTP status.
    if created.task_id is not None and created.snapshot is not None and created.snapshot.status is not Status.UNKNOWN:
        return _accepted(created, answer.status, date)
    error = classify_error.api_error(
        profile,
        operation="create",
        http_status=answer.status,
        body=answer.json(),
        text=answer.text,
        headers=answer.headers,
        now=now,
    )
    if answer.status not in REFUSED | REDIRECTED | set(profile.create.refused_on):
        reason = f"the API answered HTTP {answer.status} without a task id"
        return decided(Decision.UNKNOWN, error=error, reason=reason, body=answer.body)
    if created.task_id is not None:
        return decided(Decision.LOOK, task_id=created.task_id, follow=created.follow, error=error, body=answer.body)
    if answer.status in profile.create.resend_on and error.category in (Category.RATE_LIMITED, Category.TRANSIENT):
        return decided(Decision.RESEND, error=error, retry_after_s=error.retry_after_s)
    target = _origin_of_redirect(answer) if answer.status in REDIRECTED else None
    return decided(Decision.REFUSED, error=error, redirected_to=target)


def _origin_of_redirect(answer: Answer) -> str:
    """Where a redirect leads, fit for a sentence of ours: an origin of plain characters and nothing else of it."""
    try:
        origin = origin_of(urljoin(answer.url, answer.headers.get("location") or ""))
    except ValueError:
        return "another place"
    return origin if _PLAIN_ORIGIN.fullmatch(origin) else "another place"


def server_date(value: str | None) -> float | None:
    """Epoch seconds of a Date header: a lost task is looked up by the server's own clock, not by ours."""
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(value).timestamp() if value else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


# -- what the API took of a create, where its answer repeats the inputs: what it dropped is told at once --

MOST_TOLD = 5


def echo_differences(sent: Mapping[str, Any], answer: object, paths: Sequence[str]) -> list[str]:
    """Members that were sent and are not in the echo, or with another value; [] where there is no echo of them.

    `paths` (JMESPath) say where the answer repeats the inputs. Links and files are not compared: an API renames them.
    Of the answer only numbers are repeated here: its texts are a server's.
    """
    for path in paths:
        echo = jmespath_eval.evaluate(path, answer)
        if not isinstance(echo, Mapping):
            continue
        mine = sent if set(sent) & set(echo) else next(
            (one for one in sent.values() if isinstance(one, Mapping) and set(one) & set(echo)), None
        )  # fmt: skip
        if mine is None:
            continue
        found = [f"{name!r} was sent and is not in the answer's inputs" for name in mine if name not in echo]
        for name, value in mine.items():
            if name in echo and not _same(value, echo[name]):
                taken = scalars.number(echo[name])
                found.append(
                    f"{name!r} was sent as {value!r:.40} and taken as " + (f"{taken:g}" if taken else "another")
                )
        return found[:MOST_TOLD]
    return []


def _same(sent: Any, taken: Any) -> bool:
    if isinstance(sent, bool) or isinstance(taken, bool):
        return str(sent).casefold() == str(taken).casefold()
    if scalars.number(sent) is None and not isinstance(sent, str):
        return True
    if isinstance(sent, str) and (len(sent) > 40 or scalars.http_url(sent)):
        return True  # a prompt may be trimmed or rewritten
    if taken is None or isinstance(taken, (Mapping, list)):
        return taken is not None
    if (first := scalars.seconds(sent)) is not None and first == scalars.seconds(taken):
        return True
    return str(sent).strip().casefold() == str(taken).strip().casefold()
