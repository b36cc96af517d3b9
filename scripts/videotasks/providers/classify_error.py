"""The error taxonomy: what an answer that refuses means, in terms that decide what to do next. Pure.

Order of evidence: the provider's codes (profile `error.categories`), a short documented list of phrases, the HTTP
status. Prose is otherwise never searched: "recharge the coolant" is no balance problem, and a 502 page that says
"Unauthorized" is no key problem (both were measured on another client).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from typing import Any

from videotasks.core.errors import ApiError, Category
from videotasks.formats import jmespath_eval
from videotasks.providers.profile import Profile

MAX_MESSAGE = 2000  # characters of server text that are kept; reporting cuts further
MAX_RETRY_AFTER_S = 3600.0  # a server that asks for more is not waited for; the deadline ends it first

# Phrases that providers use where no code tells the same, each seen in a contract or a recorded answer. They count only
# in a body of the provider's own and never on 5xx.
_PHRASES: tuple[tuple[Category, re.Pattern[str]], ...] = (
    (
        Category.INSUFFICIENT_CREDITS,
        re.compile(
            r"\b(?:insufficient|exhausted|not enough|out of|no remaining)\s+(?:\w+\s+){0,2}?(?:or\s+\w+\s+)?"
            r"(?:credits?|balance|quota|funds)\b"
            r"|\b(?:credits?|balance|quota|funds)\s+(?:is|are|has been)\s+"
            r"(?:insufficient|exhausted|not enough|too low)\b"
            r"|\bexceeded your current quota\b|\baccount\s+(?:is\s+)?overdue\b"
            r"|预扣费额度失败|(?:余额|额度|积分|配额)不足|欠费",
            re.IGNORECASE,
        ),
    ),
    (
        Category.MODERATION,
        re.compile(
            r"\bcontent[ _](?:policy|moderation|filter)\b|\bflagged by (?:a|an|our|the) content (?:checker|filter)\b"
            r"|\bnsfw\b|\bflagged as (?:sensitive|unsafe|inappropriate)\b"
            r"|\b(?:safety|moderation) (?:system|filter|policy|check)\b|\bsensitive (?:content|words?)\b"
            r"|敏感(?:词|内容)|内容(?:违规|审核)",
            re.IGNORECASE,
        ),
    ),
)

_HTTP: Mapping[int, Category] = {
    **dict.fromkeys((400, 406, 411, 413, 414, 415, 422), Category.VALIDATION),
    **dict.fromkeys((408, 409, 423, 425), Category.TRANSIENT),
    **dict.fromkeys((404, 405, 410), Category.NOT_FOUND),
    **dict.fromkeys((403, 451), Category.PERMISSION),
    401: Category.AUTH,
    402: Category.INSUFFICIENT_CREDITS,
    429: Category.RATE_LIMITED,
    501: Category.UNKNOWN,
}

# What refusals look like in common frameworks, read only to show a message; they are not the provider's own shape.
_ANY_MESSAGE = ("message", "msg", "error.message", "error", "detail", "detail[].msg", "errors[].message", "title")

# A task's own failure: these categories say something of the request; the rest are the provider's inner trouble.
_TELLING_IN_TASK = frozenset({Category.MODERATION, Category.VALIDATION, Category.INSUFFICIENT_CREDITS})


def api_error(
    profile: Profile,
    *,
    operation: str,
    http_status: int,
    body: object | None,
    text: str = "",
    headers: Mapping[str, str] | None = None,
    now: float = 0.0,
) -> ApiError:
    """Classify an answer that is no success.

    `body` is the parsed JSON (None when there is none), `text` what came instead, `now` epoch seconds.
    `shaped` is true when the body has the provider's own error shape or is empty: a proxy's HTML page has not, and
    a wait must not end because of one.
    """
    messages, codes = error_texts(profile, body)
    empty = body in (None, {}, [], "") and not text.strip()
    shaped = empty or bool(messages or codes)
    category = category_of(profile, codes, messages, http_status, operation)
    message = "; ".join(messages) or _fallback_message(body, text)
    if not message:
        who = f"HTTP {http_status}" if http_status else f"{operation}: refused"
        message = f"{who} without a message"
    return ApiError(
        category=category,
        message=message[:MAX_MESSAGE],
        code=codes[0] if codes else None,
        http_status=http_status or None,
        retry_after_s=_retry_after(profile, headers or {}, body, now),
        shaped=shaped,
    )


def should_retry(operation: str, category: Category) -> bool:
    """Whether the same request may be sent again. Never a create: it may have been accepted and paid for."""
    return operation in ("poll", "download") and category in (Category.TRANSIENT, Category.RATE_LIMITED)


def error_texts(profile: Profile, body: object, *, in_task: bool = False) -> tuple[list[str], list[str]]:
    """(messages, codes) at the profile's error paths: the first path with a message, and every code in order."""
    spec = profile.error
    messages: list[str] = []
    for path in (in_task and spec.task_message) or spec.message:
        messages = [m for found in jmespath_eval.values(path, body) if (m := _message(found))]
        if messages:
            break
    codes: list[str] = []
    for path in (in_task and spec.task_code) or spec.code:
        codes += [c for found in jmespath_eval.values(path, body) if (c := _code(found)) and c not in codes]
    accepted = {str(ok).casefold() for rule in spec.in_band for ok in rule.get("ok", ())}
    codes = [c for c in codes if c.casefold() not in accepted]
    return list(dict.fromkeys(messages)), codes


def category_of(
    profile: Profile, codes: list[str], messages: list[str], http_status: int, operation: str = ""
) -> Category:
    """Codes first, then phrases, then the HTTP status; of each, what the profile says of this operation first."""
    own: Mapping[str, Any] = profile.error.on.get(operation) or {}
    for code in codes:
        for categories in (own.get("categories") or {}, profile.error.categories):
            category = _category_of_code(categories, code)
            if category not in (None, Category.UNKNOWN):  # `unknown` in a profile: this code says nothing, look on
                return category
    if http_status < 500:
        for phrases in (own.get("phrases") or {}, profile.error.phrases):
            for part, named in phrases.items():
                if any(part.casefold() in message.casefold() for message in messages):
                    return Category(named)
        for category, phrase in _PHRASES:
            if any(phrase.search(message) for message in messages):
                return category
    own_http = {str(status): named for status, named in (own.get("http") or {}).items()}
    if named := own_http.get(str(http_status)) or profile.error.http.get(http_status):
        return Category(named)
    if http_status in _HTTP:
        return _HTTP[http_status]
    return Category.TRANSIENT if 500 <= http_status <= 599 else Category.UNKNOWN


def task_category(profile: Profile, codes: list[str], messages: list[str]) -> Category:
    """Why a task failed, from its own body. Inner trouble of the provider (overload, its keys) is generation_failed."""
    category = category_of(profile, codes, messages, 0, "task")
    return category if category in _TELLING_IN_TASK else Category.GENERATION_FAILED


def _category_of_code(categories: Mapping[str, str], code: str) -> Category | None:
    folded = code.casefold()
    fitting = (named for pattern, named in categories.items() if fnmatchcase(folded, pattern.casefold()))
    named = categories.get(code) or next(fitting, None)
    return Category(named) if named else None


def _message(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    text = value.strip()
    # A gateway's legacy rows keep a result link in the field of the failure text (contracts C.4).
    return "" if text.startswith(("http://", "https://")) and " " not in text else text


def _code(value: Any) -> str:
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return str(value)
    return value.strip() if isinstance(value, str) and len(value) <= 200 else ""


def _fallback_message(body: object, text: str) -> str:
    found = jmespath_eval.first_string(_ANY_MESSAGE, body)
    # Else its first words without markup, enough to recognise a proxy's page.
    return found or " ".join(_TAGS.sub(" ", text[:20_000]).split()[:40])


_TAGS = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|\Z)|<[^>]*>?", re.IGNORECASE | re.DOTALL)


def _retry_after(profile: Profile, headers: Mapping[str, str], body: object, now: float) -> float | None:
    asked = _asked_by(("retry-after-ms", "retry-after"), headers, now)
    if asked is not None:
        return asked
    for path in profile.error.body_retry_after:
        value = jmespath_eval.evaluate(path, body)
        if isinstance(value, (int, float, str)) and (seconds := _seconds(str(value))) is not None:
            return min(seconds, MAX_RETRY_AFTER_S)
    return None


def _asked_by(names: Iterable[str], headers: Mapping[str, str], now: float) -> float | None:
    """The pause that the first usable of these headers asks for; those that end in -ms count milliseconds."""
    folded = {str(k).casefold(): str(v) for k, v in headers.items()}
    # The answer's own Date: a time that a server names is meant by its own clock, which may be minutes off ours.
    told = _http_date(folded.get("date", ""))
    for name in map(str.casefold, names):
        if (value := folded.get(name)) is None:
            continue
        if name.endswith("-ms"):
            ms = _seconds(value)
            asked = None if ms is None else min(ms / 1000.0, MAX_RETRY_AFTER_S)
        else:
            asked = parse_retry_after(value, now if told is None else told)
        if asked is not None:
            return asked
    return None


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds from a Retry-After value (seconds or an HTTP date), 0 to one hour; None when it is neither."""
    seconds = _seconds(value)
    if seconds is None and (when := _http_date(value)) is not None:
        seconds = max(0.0, when - now)
    return None if seconds is None else min(seconds, MAX_RETRY_AFTER_S)


def _http_date(value: str) -> float | None:
    try:
        when = parsedate_to_datetime(value.strip())
        return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def poll_hint(profile: Profile, headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a good answer asks us to wait, by the profile's `poll.hint_headers` (…-ms headers: milliseconds)."""
    return _asked_by(profile.poll.hint_headers, headers, now)


_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?\Z")


def _seconds(value: str) -> float | None:
    text = value.strip()
    return float(text) if _NUMBER.match(text) else None
