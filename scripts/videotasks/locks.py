"""One lock per name across processes: flock, else msvcrt, else an exclusive file with the owner's pid."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_POLL_S = 0.05


class FileLock:
    """Held by at most one process (and one holder in it); a dead holder's lock is free again.

    flock and msvcrt locks vanish with their process. Where neither exists the file itself is the lock and holds a
    pid; it is taken over when that process is gone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None
        self._exclusive_file = False

    @property
    def held(self) -> bool:
        return self._handle is not None

    def try_acquire(self) -> bool:
        if self._handle is not None:
            return True
        system = _system_lock()
        if system is None:
            return self._try_exclusive_file()
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        handle = os.open(self.path, flags, 0o600)
        try:
            system[0](handle)
        except OSError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    def acquire(
        self,
        *,
        wait: Callable[[float], None] = time.sleep,
        give_up: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Wait for the lock; `give_up()` is asked between looks. Returns whether it is held."""
        while not self.try_acquire():
            if give_up():
                return False
            wait(_POLL_S)
        return True

    def release(self) -> None:
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        system = _system_lock()
        if self._exclusive_file:
            os.close(handle)
            try:
                os.unlink(self.path)
            except OSError:
                pass
            self._exclusive_file = False
            return
        try:
            if system is not None:
                system[1](handle)
        except OSError:
            pass
        finally:
            os.close(handle)

    def _try_exclusive_file(self) -> bool:
        for _ in range(2):
            try:
                handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                if not self._owner_is_gone():
                    return False
                try:
                    os.unlink(self.path)
                except OSError:
                    return False
                continue
            os.write(handle, str(os.getpid()).encode("ascii"))
            self._handle, self._exclusive_file = handle, True
            return True
        return False

    def _owner_is_gone(self) -> bool:
        try:
            pid = int(self.path.read_text("ascii") or "0")
        except (OSError, ValueError):
            return False
        if pid <= 0:
            return False
        return not _alive(pid)

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _alive(pid: int) -> bool:
    if os.name == "nt":
        # os.kill(pid, 0) would end the process there; without a way to ask, the owner counts as alive.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _system_lock() -> tuple[Callable[[int], Any], Callable[[int], Any]] | None:
    try:
        import fcntl

        return (
            lambda handle: fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB),
            lambda handle: fcntl.flock(handle, fcntl.LOCK_UN),
        )
    except ImportError:
        pass
    try:
        import msvcrt

        return (
            lambda handle: msvcrt.locking(handle, msvcrt.LK_NBLCK, 1),  # type: ignore[attr-defined]
            lambda handle: msvcrt.locking(handle, msvcrt.LK_UNLCK, 1),  # type: ignore[attr-defined]
        )
    except ImportError:
        return None
