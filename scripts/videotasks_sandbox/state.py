"""What the sandbox remembers: one JSON file, changed under a lock that other processes respect."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

VERSION = 2
# The file is rewritten for each request: these caps keep it under about a megabyte.
MAX_TASKS = 1000
MAX_UPLOADS = 500
MAX_REQUESTS = 600

MAX_STATE_BYTES = 64_000_000  # far above what the caps let grow; a larger file is nobody's state

State = dict[str, Any]


class PlantedFile(OSError):
    """Something else stands where a file of the sandbox should be, such as a link out of a cloned repository."""


def empty() -> State:
    """`creates` counts accepted creates, and unlike `requests` and `tasks` never forgets one."""
    return {"version": VERSION, "creates": 0, "tasks": {}, "uploads": {}, "requests": [], "attempts": {}}


class Store:
    """The state file at `path`; its folder is made when needed."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.lock_path = self.path.with_name(self.path.name + ".lock")
        self._thread_lock = threading.Lock()

    def check(self) -> None:
        """Raises PlantedFile when something else than a file of the sandbox's own stands in its place."""
        for path in (self.path, self.lock_path):
            if os.path.lexists(path):
                os.close(_open_regular(path, os.O_RDONLY))

    @contextmanager
    def transaction(self) -> Iterator[State]:
        """The state, to be changed in place; written back at the end, also when the block raises."""
        with self._thread_lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _file_lock(self.lock_path):
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
        with self._thread_lock, _file_lock(self.lock_path):
            return self._load()

    def _load(self) -> State:
        try:
            descriptor = _open_regular(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return empty()
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(MAX_STATE_BYTES)
        with suppress(ValueError, KeyError, TypeError):
            state = json.loads(data)
            if state["version"] == VERSION and isinstance(state["tasks"], dict):
                return {**empty(), **state}
        # Kept for whoever edited it; the rehearsal goes on with a clean sheet.
        os.replace(self.path, self.path.with_name(self.path.name + ".broken"))
        return empty()

    def _save(self, state: State) -> None:
        data = json.dumps(state, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        # A name that nobody can foresee and that did not exist: a planted link would carry the writing elsewhere.
        part = self.path.with_name(f"{self.path.name}.{os.urandom(8).hex()}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            _replace(part, self.path)
        except BaseException:
            os.unlink(part)
            raise


def _replace(part: Path, path: Path) -> None:
    """os.replace, tried again: on Windows a scanner or indexer holds a new file for moments."""
    for pause_s in (0.02, 0.1, 0.5):
        try:
            os.replace(part, path)
            return
        except PermissionError:
            time.sleep(pause_s)
    os.replace(part, path)


def _prune(state: State) -> None:
    for name, limit in (("tasks", MAX_TASKS), ("uploads", MAX_UPLOADS), ("attempts", MAX_TASKS)):
        entries = state[name]
        for key in list(entries)[: max(0, len(entries) - limit)]:
            del entries[key]
    del state["requests"][: max(0, len(state["requests"]) - MAX_REQUESTS)]


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    descriptor = _open_regular(path, os.O_RDWR | os.O_CREAT)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        else:
            _lock_windows(descriptor)
        yield
    finally:
        # Closing gives both kinds of lock back.
        os.close(descriptor)


def _open_regular(path: Path, flags: int) -> int:
    """A regular file that is no link, and never a wait for the other end of a pipe. Raises PlantedFile."""
    refusal = PlantedFile(errno.ELOOP, "not a regular file of the sandbox's own", str(path))
    if path.is_symlink():  # Windows has no O_NOFOLLOW
        raise refusal
    extra = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags | extra, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise refusal from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise refusal
    return descriptor


def _lock_windows(descriptor: int) -> None:
    import msvcrt

    while True:
        try:
            # LK_LOCK gives up after ten seconds; a rehearsal rather waits.
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
            return
        except OSError:
            time.sleep(0.01)
