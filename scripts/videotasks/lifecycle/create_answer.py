"""What an answer (or its absence) to a create means for the money: a pure decision (design section 1, promise 1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import urljoin

from videotasks.core.errors import ApiError, Category
from videotasks.core.task import Snapshot, Status
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
    UNKNOWN = "unknown"  # it may have been created


# The stream endpoint is not there, so nothing was created: the plain one is asked. (501, as every 5xx, proves nothing.)
STREAM_REFUSED = frozenset({404, 405})
# Statuses that do not tell whether the request was taken: 408 and 425 come from intermediaries, 409 may mean "exists".
AMBIGUOUS_4XX = frozenset({408, 409, 425})


@dataclass(frozen=True)
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


def of_silence(error: NoAnswer) -> CreateAnswer:
    """No complete answer: unsent is safe, anything else is unknown."""
    if not error.sent:
        return CreateAnswer(Decision.NOT_SENT, reason=error.message)
    return CreateAnswer(Decision.UNKNOWN, reason=error.message, http_status=error.status)


def of_answer(profile: Profile, answer: Answer, *, now: float) -> CreateAnswer:
    """A complete HTTP answer to a create."""
    body = answer.json()
    date = server_date(answer.headers.get("date"))

    def verdict(decision: Decision, **more: Any) -> CreateAnswer:
        return CreateAnswer(decision, http_status=answer.status, server_date=date, **more)

    def accepted(created: normalize.Created) -> CreateAnswer:
        return verdict(
            Decision.ACCEPTED,
            task_id=created.task_id,
            snapshot=created.snapshot,
            follow=created.follow,
        )

    if 200 <= answer.status < 300:
        if answer.truncated:
            return verdict(Decision.UNKNOWN, reason="the answer was too large to be one")
        created = normalize.created(profile, body, answer.status)
        if created.task_id is not None:
            return accepted(created)
        if created.error is not None:
            return verdict(Decision.REFUSED, error=created.error)
        return verdict(Decision.UNKNOWN, reason="the API answered without a task id")
    error = classify_error.api_error(
        profile,
        operation="create",
        http_status=answer.status,
        body=body,
        text=answer.text,
        headers=answer.headers,
        now=now,
    )
    if answer.status < 200 or answer.status >= 500 or answer.status in AMBIGUOUS_4XX:
        created = normalize.created(profile, body, answer.status)
        # An id that comes with a status word of the provider is a task's, whatever the HTTP status.
        if (
            created.task_id is not None
            and created.snapshot is not None
            and created.snapshot.status is not Status.UNKNOWN
        ):
            return accepted(created)
        return verdict(Decision.UNKNOWN, error=error, reason=f"the API answered HTTP {answer.status} without a task id")
    if answer.status in profile.create.resend_on and error.category in (Category.RATE_LIMITED, Category.TRANSIENT):
        return verdict(Decision.RESEND, error=error, retry_after_s=error.retry_after_s)
    target = _origin_of_redirect(answer) if 300 <= answer.status < 400 else None
    return verdict(Decision.REFUSED, error=error, redirected_to=target)


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
