"""What makes two commands the same paid request: the command is its own idempotency key (design section 4)."""

from __future__ import annotations

import hashlib
import json
import re

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(1, 10)), *(f"lpt{i}" for i in range(1, 10))}
PREFIX_LENGTH = 10  # of the identity, in a run id: enough to find the run by its name


def identity(*, mode: str, origin: str, method: str, path: str, body: bytes, take: int) -> str:
    """SHA-256 over mode, origin, method and path, canonical body and take, as hex.

    `origin` is `sandbox:<provider>` in the sandbox, whose port differs with each command.
    """
    head = json.dumps([mode, origin, method.upper(), path, take], separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(head.encode("ascii") + b"\n" + body).hexdigest()


def new_run_id(created_at: str, identity_hex: str) -> str:
    """`20261121-093000-0123456789`: sorts by time and is found by identity; short, for it stands in every output."""
    return f"{created_at}-{identity_hex[:PREFIX_LENGTH]}"


def valid_run_id(text: str) -> bool:
    """Whether a run id is a plain folder name on every system (no path, no device name, no trailing dot)."""
    return bool(RUN_ID.match(text)) and not text.endswith(".") and text.split(".")[0].lower() not in _WINDOWS_DEVICES
