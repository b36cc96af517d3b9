"""What a specification says of rate limits and time-outs: mostly nothing, and then that is said."""

from __future__ import annotations

import re

from videotasks.core.safe_text import one_line
from videotasks.openapi.operations import Operation

UNKNOWN = "unknown: conservative defaults used"
_RATE = re.compile(
    r"\b\d[\d,.]*\s*(?:concurrent\s+)?(?:requests?|calls?|reqs?|rpm|rps|generations?|tasks?|jobs?)\s*"
    r"(?:per|/|an?|each|every|at a time|in parallel)\s*\d*\s*"
    r"(?:seconds?|minutes?|hours?|days?|secs?|mins?|s|m|h|user|key)?\b",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"\b(?:time-?\s?outs?|times out|expires? (?:in|after)|up to|takes?|valid for)\b[^.\n]{0,50}?"
    r"\b\d+\s*(?:-\s*\d+\s*)?(?:seconds?|minutes?|hours?|mins?|secs?)\b",
    re.IGNORECASE,
)
_RATE_KEYS = re.compile(r"^x-.*(?:rate-?limit|throttl|quota)", re.IGNORECASE)
_TIME_KEYS = re.compile(r"^x-.*time-?out", re.IGNORECASE)
_RATE_HEADERS = re.compile(r"rate-?limit|retry-after", re.IGNORECASE)


def rate_limits(operation: Operation) -> list[str] | str:
    """Short texts, or UNKNOWN."""
    return _found(operation, _RATE_KEYS, _RATE, _RATE_HEADERS) or UNKNOWN


def timeouts(operation: Operation) -> list[str] | str:
    """Short texts, or UNKNOWN."""
    return _found(operation, _TIME_KEYS, _TIME, None) or UNKNOWN


def _found(
    operation: Operation, keys: re.Pattern[str], words: re.Pattern[str], headers: re.Pattern[str] | None
) -> list[str]:
    """What the document says of limits, as short texts: extensions, documented headers, phrases."""
    document = operation.document
    info = document.root.get("info")
    found: list[str] = []
    for holder in (operation.raw, operation.item, document.root, info if isinstance(info, dict) else {}):
        for key, value in holder.items():
            if isinstance(key, str) and keys.match(key):
                found.append(f"{key}: {one_line(str(value), 160)}")
    texts = [operation.text("description")]
    for code, response in operation.responses().items():
        if code in ("429", "503", "504", "408"):
            texts.append(str(response.get("description") or ""))
        listed = response.get("headers")
        for name in listed if headers is not None and isinstance(listed, dict) else ():
            if headers is not None and headers.search(str(name)):
                found.append(f"answer {code} carries the header {one_line(str(name), 60)}")
    if isinstance(info, dict):
        texts.append(str(info.get("description") or ""))
    for text in texts:
        for match in words.finditer(text[:20_000]):
            found.append(one_line(match.group(), 120))
            if len(found) > 8:
                break
    return list(dict.fromkeys(found))[:8]
