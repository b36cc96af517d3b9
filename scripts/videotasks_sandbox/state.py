"""What the sandbox remembers: one JSON file, changed under a lock that other processes respect."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

VERSION = 1
# The file is rewritten for each request: these caps keep it under about a megabyte.
MAX_TASKS = 1000
MAX_UPLOADS = 500
MAX_REQUESTS = 600

State = dict[str, Any]


def empty() -> State:
    """`creates` counts accepted creates, and unlike `requests` and `tasks` never forgets one."""
    return {"version": VERSION, "creates": 0, "tasks": {}, "uploads": {}, "requests": [], "attempts": {}}


class Store:
    """The state file at `path`; its folder is made when needed."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._thread_lock = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[State]:
        """The state, to be changed in place; written back at the end, also when the block raises."""
        with self._thread_lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _file_lock(self.path.with_name(self.path.name + ".lock")):
                state = self._load()
                try:
                    yield state
                finally:
                    _prune(state)
                    self._save(state)

    def read(self) -> State:
        """A copy of the state; nothing is written, and no folder is made."""
        if not self.path.exists():
            return empty()
        with self._thread_lock, _file_lock(self.path.with_name(self.path.name + ".lock")):
            return self._load()

    def _load(self) -> State:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return empty()
        try:
            state = json.loads(text)
            if state["version"] == VERSION and isinstance(state["tasks"], dict):
                return {**empty(), **state}
        except (ValueError, KeyError, TypeError):
            pass
        # Kept for whoever edited it; the rehearsal goes on with a clean sheet.
        os.replace(self.path, self.path.with_name(self.path.name + ".broken"))
        return empty()

    def _save(self, state: State) -> None:
        part = self.path.with_name(self.path.name + ".part")
        data = json.dumps(state, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(part, self.path)


def _prune(state: State) -> None:
    for name, limit in (("tasks", MAX_TASKS), ("uploads", MAX_UPLOADS), ("attempts", MAX_TASKS)):
        entries = state[name]
        for key in list(entries)[: max(0, len(entries) - limit)]:
            del entries[key]
    del state["requests"][: max(0, len(state["requests"]) - MAX_REQUESTS)]


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        else:
            _lock_windows(descriptor)
        yield
    finally:
        # Closing gives both kinds of lock back.
        os.close(descriptor)


def _lock_windows(descriptor: int) -> None:
    import msvcrt

    while True:
        try:
            # LK_LOCK gives up after ten seconds; a rehearsal rather waits.
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
            return
        except OSError:
            time.sleep(0.01)
