"""How much of what a server said a run folder keeps: whatever is written can be read back. Pure.

Without them, 9 MB of usage made a journal line that no reader took: a success without link, file or proof.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from videotasks.core.durable_files import READ_LIMIT

# Characters of compact JSON for one member of a journal line; a link of 16,000 characters is honest (signed ones).
MEMBER_LIMIT = 20_000
LIMITS = {"outputs": 200_000, "files": 60_000, "usage": 10_000, "error": 10_000, "last_line": 10_000}
STATUS_WORD_LIMIT = 300
NEVER_CUT = frozenset({"at", "event", "task_id"})  # an id of 4,096 characters outside ASCII is 49 KB of JSON
SMALLEST_LIMIT = 2_000
QUIET_ABOVE = 2_000_000  # bytes of a journal from which a mere change of status is no longer noted
RAW_LIMIT = 200_000  # characters of the last answer in result.json
RESPONSE_LIMIT = 2_000_000  # and in response.json


def entry_within(entry: Mapping[str, Any], journal_bytes: int) -> dict[str, Any]:
    """A journal line cut to its budget, which shrinks as the journal grows: no number of commands fills it.

    Lists lose their last items, mappings what does not fit, texts their ends; a link is whole or left out.
    """
    most = max((READ_LIMIT - journal_bytes) // 50, SMALLEST_LIMIT)
    kept: dict[str, Any] = {}
    for name, value in entry.items():
        if name == "provider_status" and isinstance(value, str):
            value = value[:STATUS_WORD_LIMIT]
        kept[name] = value if name in NEVER_CUT else within(value, min(LIMITS.get(name, MEMBER_LIMIT), most))
    return kept


def within(value: Any, limit: int) -> Any:
    """`value` with about `limit` characters of JSON at most."""
    if size(value) <= limit:
        return value
    if isinstance(value, str):
        return None if _is_link(value) else value[: limit // 6]  # a character is up to six of JSON
    if isinstance(value, Mapping):
        members: dict[str, Any] = {}
        for key, item in value.items():
            item = within(item, max(limit // 2, 100))
            limit -= size(item) + len(str(key)) + 4
            if limit < 0:
                break
            members[str(key)] = item
        return members
    if isinstance(value, (list, tuple)):
        items: list[Any] = []
        for item in value:
            item = within(item, max(limit // 2, 100))
            limit -= size(item) + 1
            if limit < 0:
                break
            items.append(item)
        return items
    return None  # a number of thousands of digits


def size(value: Any) -> int:
    """Characters of its JSON as the journal writes it."""
    if value is None or isinstance(value, bool):
        return 5
    if isinstance(value, str):
        return len(value) + 2 if value.isascii() and value.isprintable() else len(json.dumps(value))
    try:
        return len(json.dumps(value, default=str))
    except (ValueError, RecursionError):
        return READ_LIMIT


def _is_link(text: str) -> bool:
    return "://" in text[:20] or text[:5].lower() == "data:"
