"""Blocking calls in worker threads, their outcomes and the user's interrupts in one queue.

The main thread only ever waits on the mailbox: so a hung request, a mute stream or a trickling header can never hold
it past a deadline, and a signal is noticed at once. SimpleQueue.put is re-entrant, so a signal handler may use it.
"""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from videotasks.core.record import record


@record(frozen=True)
class Message:
    """`kind` is result, error, event or interrupt; `source` is whatever the sender was started with."""

    kind: str
    source: Any = None
    value: Any = None


SLICE_S = 0.2
IDLE_S = 5.0  # a thread without work ends


@record(eq=False)
class Interrupted(Exception):
    """The user or the system asked the command to stop; `signum` says how."""

    signum: int


class CallTimedOut(Exception):
    """A call did not come back in time; its thread is left to end by itself."""


class Mailbox:
    """What the main thread waits on. `monotonic` and the queue are injected in tests."""

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, messages: queue.SimpleQueue[Message] | None = None
    ) -> None:
        self.monotonic = monotonic
        self._queue: queue.SimpleQueue[Message] = queue.SimpleQueue() if messages is None else messages
        self._jobs: queue.SimpleQueue[tuple[Any, Callable[[], Any]]] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self.idle = 0  # workers that wait for a job
        self._kept: list[Message] = []

    def put(self, message: Message) -> None:
        self._queue.put(message)

    def get(self, timeout: float | None) -> Message | None:
        """The next message, or None after `timeout` seconds. Interrupts come as messages of their own kind."""
        return self._kept.pop(0) if self._kept else self._from_queue(timeout)

    def gather(self, seconds: float) -> None:
        """Let messages come together: to wake up for each of a hundred a second is most of what they cost."""
        time.sleep(seconds)

    def sleep(self, seconds: float) -> None:
        """Wait; raises Interrupted at once when a signal comes. Other messages are kept for later."""
        end = self.monotonic() + seconds
        while (left := end - self.monotonic()) > 0 and (message := self._from_queue(left)) is not None:
            if message.kind == "interrupt":
                raise Interrupted(message.value)
            self._kept.append(message)

    def _from_queue(self, timeout: float | None) -> Message | None:
        """One message, or None after `timeout`. Waits in slices.

        A signal that comes just before a wait begins, or that another thread takes, does not end it (on Windows none
        does), and its handler runs only when it ends.
        """
        end = None if timeout is None else self.monotonic() + max(timeout, 0.0)
        while True:
            left = None if end is None else max(end - self.monotonic(), 0.0)
            slice_s = SLICE_S if left is None else min(left, SLICE_S)
            try:
                return self._queue.get(timeout=slice_s)
            except queue.Empty:
                if end is not None and self.monotonic() >= end:
                    return None

    def start(self, source: Any, work: Callable[[], Any]) -> None:
        """Run `work` in a daemon thread; its result or exception arrives as a message from `source`.

        A thread that has done its work takes the next: a new one for each of thousands of looks was a tenth of them.
        """
        with self._guard:
            if self.idle > 0:
                self.idle -= 1
                self._jobs.put((source, work))
                return
        threading.Thread(target=self._serve, args=(source, work), daemon=True).start()

    def _serve(self, source: Any, work: Callable[[], Any]) -> None:
        while True:
            try:
                value = work()
            except BaseException as error:
                self.put(Message("error", source, error))
            else:
                self.put(Message("result", source, value))
                del value
            del work  # what it holds (a client, an answer) must not outlive it in a thread that waits
            job = self._next_job()
            if job is None:
                return
            source, work = job
            del job

    def _next_job(self) -> tuple[Any, Callable[[], Any]] | None:
        """What this thread does next, None when it is to end."""
        with self._guard:
            self.idle += 1
        while True:
            try:
                return self._jobs.get(timeout=IDLE_S)
            except queue.Empty:
                with self._guard:
                    if self.idle > 0:  # else a job is on its way to this thread
                        self.idle -= 1
                        return None

    def call(
        self,
        work: Callable[[], Any],
        *,
        timeout: float | None = None,
        on_event: Callable[[Any], None] | None = None,
        token: object | None = None,
    ) -> Any:
        """Run `work` and wait for it. Raises what it raised, CallTimedOut, or Interrupted.

        `on_event` takes messages of kind `event` that the work posts with `token` as their source.
        """
        token = token if token is not None else object()
        deadline = None if timeout is None else self.monotonic() + timeout
        self.start(token, work)
        while True:
            left = None if deadline is None else deadline - self.monotonic()
            message = None if left is not None and left <= 0 else self._from_queue(left)
            if message is None:
                raise CallTimedOut
            if message.kind == "interrupt":
                raise Interrupted(message.value)
            if message.source is not token:
                self._kept.append(message)
            elif message.kind == "event":
                if on_event:
                    on_event(message.value)
            elif message.kind == "error":
                raise message.value
            else:
                return message.value


SIGNAL_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


@contextmanager
def signals_to(mailbox: Mailbox) -> Iterator[None]:
    """Signals become messages while the block runs. Systems that lack one (Windows: SIGHUP) simply lack it."""

    def handler(signum: int, _frame: object) -> None:
        mailbox.put(Message("interrupt", None, signum))

    installed: list[tuple[int, Any]] = []
    for name in SIGNAL_NAMES:
        with suppress(AttributeError, ValueError, OSError):
            number = getattr(signal, name)
            # nohup and job runners ignore SIGHUP on purpose: stay ignored.
            if signal.getsignal(number) != signal.SIG_IGN or name != "SIGHUP":
                installed.append((number, signal.signal(number, handler)))
    try:
        yield
    finally:
        for number, previous in installed:
            with suppress(ValueError, OSError, TypeError):
                signal.signal(number, previous)
