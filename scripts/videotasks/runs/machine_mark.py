"""Which run folders this user's machine made: a mark in the request that only a key outside the workspace can make.

A run folder is no witness of its own: a cloned repository may hold one that answers a create with somebody else's
video. The key lies in the user's state folder. Where that is new every day, or cannot be written to, a folder of our
own has no mark that holds, and the provider is asked once (lifecycle/verify_run).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from videotasks.core import durable_files
from videotasks.core.user_folders import state_folder

KEY_FILE = "machine.key"
KEY_BYTES = 32
_MARKED = ("run_id", "created_at", "provider", "mode", "origin", "intent", "identity", "task_id")
_MADE_MEANWHILE_S = 0.5  # another process has created the file, but not yet written it


def mark_of(request: Mapping[str, Any]) -> str | None:
    """This machine's mark for a request.json, or None where it can keep no key."""
    key = _key(make=True)
    return _mark(key, request) if key is not None else None


def is_ours(request: Mapping[str, Any]) -> bool:
    """Whether a request.json carries the mark that this machine gives it."""
    mark = request.get("mark")
    key = _key(make=False) if isinstance(mark, str) and mark.isascii() else None
    return key is not None and hmac.compare_digest(str(mark), _mark(key, request))


def _mark(key: bytes, request: Mapping[str, Any]) -> str:
    values = [request.get(name) for name in _MARKED]
    if request.get("given"):  # a later command may send what it names
        values.append(request["given"])
    text = json.dumps(values, ensure_ascii=True, default=str)
    return hmac.new(key, text.encode("ascii"), hashlib.sha256).hexdigest()


def _key(*, make: bool) -> bytes | None:
    folder = state_folder()
    if folder is None:
        return None
    path = Path(folder, KEY_FILE)
    end = time.monotonic() + _MADE_MEANWHILE_S
    while True:
        try:
            key = durable_files.read_file(path, 1_000)
            if len(key) == KEY_BYTES:
                return key
            if time.monotonic() >= end:
                os.unlink(path)  # half a file, left by a kill: marks made with it were never given
        except FileNotFoundError:
            if not make:
                return None
            with suppress(FileExistsError):
                durable_files.write_new(path, secrets.token_bytes(KEY_BYTES))
        except OSError:
            return None
        if time.monotonic() >= end + 1.0:
            return None
        time.sleep(0.01)
