"""What makes two commands the same paid request: the command is its own idempotency key (design section 4).

There are two keys, and either finds a run. The *intent* is what the user typed: nothing that we learn (a profile, a
specification, a catalogue, a route) enters it, so that the same command never pays again because we know more today.
The *body* is what would be sent: the same request asked for in other words.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from videotasks.core.record import record
from videotasks.core.safe_text import why_no_windows_name

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
# How much of each key a run id shows: enough to find a run by its name among ten thousand.
INTENT_SHOWN, BODY_SHOWN = 5, 4
GENERATED_RUN_ID = re.compile(
    rf"\d{{8}}-\d{{6}}-(?P<intent>[0-9a-f]{{{INTENT_SHOWN}}})-(?P<body>[0-9a-f]{{{BODY_SHOWN}}})(-\d+)?\Z"
)
_EARLIER_RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{10}(-\d+)?\Z")  # of version 0.1


@record(frozen=True)
class Identity:
    """The two keys of one create, each a SHA-256 as hex."""

    intent: str
    body: str

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(sorted({self.intent, self.body}))

    def may_be(self, run_id: str) -> bool:
        """Whether a run of that name can be of this identity: a generated name shows the start of both keys."""
        made = GENERATED_RUN_ID.match(run_id)
        return made is None or self.intent.startswith(made["intent"]) or self.body.startswith(made["body"])

    def fits(self, request: Mapping[str, Any]) -> bool:
        """Whether a run's request.json is of this identity, by either key."""
        return request.get("intent") == self.intent or request.get("identity") == self.body


def intent_key(*, mode: str, provider: str, origin: str, asked: Mapping[str, Any], take: int) -> str:
    """The key of what the user typed. `asked` holds the options as typed and normalised; files by hash and role.

    `origin` is the origin with its base path, or `sandbox:<provider>` in the sandbox, whose port differs each time.
    """
    return _digest(["intent", mode, provider, origin, take], json.dumps(asked, sort_keys=True).encode("ascii"))


def body_key(*, mode: str, origin: str, method: str, path: str, body: bytes, take: int) -> str:
    """The key of what would be sent: mode, origin with base path, method and path, canonical body and take."""
    return _digest([mode, origin, method.upper(), path, take], body)


def _digest(head: list[Any], body: bytes) -> str:
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii") + b"\n" + body).hexdigest()


def new_run_id(created_at: str, intent: str, body: str) -> str:
    """`20261121-093000-01234-5678`: sorts by time, is found by either key, and short: it stands in every output."""
    return f"{created_at}-{intent[:INTENT_SHOWN]}-{body[:BODY_SHOWN]}"


def is_generated(run_id: str) -> bool:
    """Whether a run id has the form of those that are made here: it says when, and since version 0.2 of what."""
    return bool(GENERATED_RUN_ID.match(run_id) or _EARLIER_RUN_ID.match(run_id))


def may_be_of_day(run_id: str, day: str) -> bool:
    """Whether a run of that name can be of the UTC day `2026-11-21`; a name that a user chose may be of any."""
    return run_id.startswith(day.replace("-", "") + "-") or not is_generated(run_id)


def valid_run_id(text: str) -> bool:
    """Whether a run id is a plain folder name on every system (no path, no device name, no trailing dot)."""
    if not RUN_ID.match(text) or text.endswith("."):
        return False
    return text[0].isdigit() or why_no_windows_name(text) is None
