"""Kill this process at its n-th change of the disk or of the wire: $KILL_AT (1 is the first), $KILL_MODE.

On PYTHONPATH of a child only. Counted are os.write, fsync, ftruncate, link, replace, rename, mkdir, unlink and creating
os.open, in every thread, and each sendall of a socket. Mode `before` kills instead of the call, `torn` after half of a
write (or of a send), `after` when the call is done. Without $KILL_AT the calls are counted, into the file $KILL_COUNT.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

_at = int(os.environ.get("KILL_AT") or 0)
_mode = os.environ.get("KILL_MODE", "before")
_count_file = os.environ.get("KILL_COUNT", "")
_lock = threading.Lock()
_names: list[str] = []
_plain_open, _plain_write = os.open, os.write


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()  # another thread's kill can take a moment to arrive


def _step(name: str, half: Callable[[], object] | None, whole: Callable[[], Any]) -> Any:
    with _lock:
        _names.append(name)
        mine = len(_names) == _at
    if not mine:
        return whole()
    if _mode == "torn" and half is not None:
        half()
    elif _mode == "after":
        whole()
    _die()


class _Watched:
    """An object, not a function: pathlib of Python 3.10 keeps these as members of a class, where a function binds."""

    def __init__(self, name: str) -> None:
        self.name, self.plain = name, getattr(os, name)

    def __call__(self, *args: Any, **more: Any) -> Any:
        return _step(self.name, None, lambda: self.plain(*args, **more))


def _write(handle: int, data: Any) -> int:
    if handle <= 2:
        return _plain_write(handle, data)
    return int(
        _step("write", lambda: _plain_write(handle, bytes(data)[: len(data) // 2]), lambda: _plain_write(handle, data))
    )


def _open(path: Any, flags: int, *args: Any, **more: Any) -> int:
    if not flags & os.O_CREAT:
        return _plain_open(path, flags, *args, **more)
    return int(_step("open", None, lambda: _plain_open(path, flags, *args, **more)))


class _Socket(socket.socket):
    def sendall(self, data: Any, *flags: Any) -> None:
        plain = super().sendall
        _step("sendall", lambda: plain(bytes(data)[: len(data) // 2]), lambda: plain(data, *flags))


if _at or _count_file:
    for _name in ("fsync", "ftruncate", "link", "replace", "rename", "mkdir", "unlink"):
        setattr(os, _name, _Watched(_name))
    os.write, os.open, socket.socket = _write, _open, _Socket  # type: ignore[assignment,misc]

if _count_file:

    @atexit.register
    def _tell() -> None:
        handle = _plain_open(_count_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        _plain_write(handle, "\n".join(_names).encode())
