"""One lock per name across processes: flock, else msvcrt, else an exclusive file with the owner's pid."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

POLL_S = 0.05
_BUSY = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK})
_UNNAMED_S = 10.0  # an owner's file without a pid for so long was left by a kill between its making and its writing


class FileLock:
    """Held by at most one process (and one holder in it); a dead holder's lock is free again.

    flock and msvcrt locks vanish with their process. Where neither exists, or the file system has no locks, a second
    file holds the owner's pid; it is taken over when that process is gone. Raises OSError when nothing can be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner_file = path.with_name(path.name + ".pid")
        self._handle: int | None = None
        self._exclusive_file = False

    def try_acquire(self) -> bool:
        if self._handle is not None:
            return True
        system = system_lock()
        if system is None:
            return self._try_exclusive_file()
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        handle = os.open(self.path, flags, 0o600)
        try:
            system[0](handle)
        except OSError as error:
            os.close(handle)
            # ENOLCK, ENOTSUP ...: this file system has no locks, so waiting for one would never end.
            return False if error.errno in _BUSY else self._try_exclusive_file()
        self._handle = handle
        return True

    @contextmanager
    def held(
        self, *, wait: Callable[[float], None] = time.sleep, give_up: Callable[[], bool] = lambda: False
    ) -> Iterator[bool]:
        """Wait for the lock, see `acquire`, and hold it for a block that is told whether it does."""
        try:
            yield self.acquire(wait=wait, give_up=give_up)
        finally:
            self.release()

    def acquire(
        self, *, wait: Callable[[float], None] = time.sleep, give_up: Callable[[], bool] = lambda: False
    ) -> bool:
        """Wait for the lock; `give_up()` is asked between looks. Returns whether it is held."""
        while not self.try_acquire():
            if give_up():
                return False
            wait(POLL_S)
        return True

    def release(self) -> None:
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        if self._exclusive_file:
            self._exclusive_file = False
            os.close(handle)
            _remove(self.owner_file)
            return
        system = system_lock()
        try:
            if system is not None:
                system[1](handle)
        except OSError:
            pass
        finally:
            os.close(handle)

    def _try_exclusive_file(self) -> bool:
        handle = _create(self.owner_file)
        if handle is None and _owner_is_gone(self.owner_file):
            # One process at a time takes a dead one's file away: a second would take away the first one's new file.
            guard_file = self.owner_file.with_name(self.owner_file.name + ".takeover")
            guard = _create(guard_file)
            if guard is None:
                if _owner_is_gone(guard_file):
                    _remove(guard_file)
                return False
            try:
                if _owner_is_gone(self.owner_file):
                    _remove(self.owner_file)
                handle = _create(self.owner_file)
            finally:
                os.close(guard)
                _remove(guard_file)
        if handle is None:
            return False
        self._handle, self._exclusive_file = handle, True
        return True


def _create(path: Path) -> int | None:
    """A new file that names this process as its owner, or None when there is one."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return None
    os.write(handle, str(os.getpid()).encode("ascii"))
    return handle


def _remove(path: Path) -> None:
    with suppress(OSError):
        os.unlink(path)


def _owner_is_gone(path: Path) -> bool:
    try:
        text = path.read_text("ascii").strip()
        if not text:
            return time.time() - path.stat().st_mtime > _UNNAMED_S
        pid = int(text)
    except (OSError, ValueError):
        return False
    return pid > 0 and not _alive(pid)


def _alive(pid: int) -> bool:
    if os.name == "nt":
        # os.kill(pid, 0) would end the process there; without a way to ask, the owner counts as alive.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True


def system_lock() -> tuple[Callable[[int], Any], Callable[[int], Any]] | None:
    with suppress(ImportError):
        import fcntl

        return (
            lambda handle: fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB),
            lambda handle: fcntl.flock(handle, fcntl.LOCK_UN),
        )
    with suppress(ImportError):
        import msvcrt

        return (
            lambda handle: msvcrt.locking(handle, msvcrt.LK_NBLCK, 1),  # type: ignore[attr-defined]
            lambda handle: msvcrt.locking(handle, msvcrt.LK_UNLCK, 1),  # type: ignore[attr-defined]
        )
    return None
