"""One request on its way: whether a byte of it was written, and how it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from videotasks.core.record import record

if TYPE_CHECKING:
    import socket


class AbortedBeforeSending(Exception):
    """The flight was aborted before its first byte was written: nothing was sent, nothing will be."""


@record(eq=False)
class WriteAheadFailed(Exception):
    """What must be on disk before the first byte could not be written, so no byte was sent. `error` is the disk's."""

    error: OSError


class Flight:
    """One request on its way. `sent` turns true just before the first byte is written, and never turns back.

    `write_ahead` runs at that very moment, in the sending thread: whatever it raises, nothing is sent.
    """

    def __init__(self, write_ahead: Callable[[], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._write_ahead = write_ahead
        self.sent = False
        self.aborted = False
        self._sock: Any = None
        self.received = 0  # bytes of the answer's body so far

    def before_first_byte(self) -> None:
        with self._lock:
            if self.aborted:
                raise AbortedBeforeSending
            if self._write_ahead is not None and not self.sent:
                try:
                    self._write_ahead()
                except OSError as error:
                    raise WriteAheadFailed(error) from None
            self.sent = True

    def connected(self, sock: socket.socket | None) -> None:
        with self._lock:
            self._sock = sock
            if self.aborted:
                raise AbortedBeforeSending

    def abort(self) -> bool:
        """Stop the request from any thread; returns whether a byte of it may have been written."""
        with self._lock:
            self.aborted = True
            sock, sent = self._sock, self.sent
        if sock is not None:
            import socket

            with suppress(OSError):
                # shutdown wakes a thread that is blocked in recv(); close() alone does not on Linux.
                sock.shutdown(socket.SHUT_RDWR)
        return sent
