"""The main thread only ever waits on the mailbox: nothing that hangs holds it, and a signal is noticed at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from videotasks.core import workers as module
from videotasks.core.workers import CallTimedOut, Interrupted, Mailbox, Message, signals_to


def later(seconds: float, work: Any, *args: Any) -> None:
    threading.Timer(seconds, work, args).start()


def test_messages_come_in_order_and_a_wait_ends() -> None:
    box = Mailbox()
    box.put(Message("event", "a", 1))
    box.put(Message("event", "b", 2))
    assert [box.get(0).value, box.get(0).value] == [1, 2]  # type: ignore[union-attr]
    began = time.monotonic()
    assert box.get(0.05) is None
    assert time.monotonic() - began >= 0.04


def test_a_wait_is_woken_by_its_message() -> None:
    box = Mailbox()
    later(0.03, box.put, Message("event", None, "x"))
    message = box.get(None)
    assert message is not None and message.value == "x"


def test_what_a_thread_returns_or_raises_comes_as_a_message() -> None:
    box = Mailbox()
    box.start("good", lambda: 7)
    assert box.get(5) == Message("result", "good", 7)

    def bad() -> None:
        raise KeyError("x")

    box.start("bad", bad)
    message = box.get(5)
    assert message is not None and message.kind == "error" and isinstance(message.value, KeyError)


def test_a_thread_that_is_done_takes_the_next_work_and_one_that_hangs_holds_nobody_up() -> None:
    mailbox, hang, used = Mailbox(), threading.Event(), set[int]()

    def work() -> int:
        used.add(threading.get_ident())
        return 7

    mailbox.start("hangs", lambda: hang.wait(20))
    for number in range(20):
        mailbox.start(number, work)
        message = mailbox.get(10)
        assert message is not None and (message.kind, message.source, message.value) == ("result", number, 7)
        while mailbox.idle == 0:  # its thread has told the result, and is about to say that it is free
            time.sleep(0)
    assert len(used) == 1
    hang.set()


def test_many_works_at_once_each_have_a_thread_and_all_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads end and begin while work comes: nothing is lost between them."""
    monkeypatch.setattr(module, "IDLE_S", 0.001)
    mailbox, expected = Mailbox(), 0
    for burst in (1, 3, 30, 2, 60, 1):
        for number in range(burst):
            mailbox.start(number, lambda number=number: number)
        expected += burst
        got = [mailbox.get(10) for _ in range(burst)]
        assert sorted(message.value for message in got if message) == list(range(burst))
        time.sleep(0.002)
    assert 0 <= mailbox.idle <= 60 and expected == 97


def test_a_call_returns_raises_or_times_out() -> None:
    box = Mailbox()
    assert box.call(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        box.call(lambda: 1 // 0)
    began = time.monotonic()
    with pytest.raises(CallTimedOut):
        box.call(lambda: time.sleep(20), timeout=0.05)
    assert time.monotonic() - began < 10


def test_a_call_keeps_the_messages_of_others() -> None:
    box = Mailbox()
    box.put(Message("event", "other", 1))
    assert box.call(lambda: 7) == 7
    assert box.get(0) == Message("event", "other", 1)


def test_a_call_passes_its_own_events_on() -> None:
    box, seen, token = Mailbox(), [], object()

    def work() -> int:
        for number in range(3):
            box.put(Message("event", token, number))
        return 7

    assert box.call(work, on_event=seen.append, token=token) == 7
    assert seen == [0, 1, 2]


def test_an_interrupt_ends_a_call_and_a_sleep_at_once() -> None:
    box = Mailbox()
    began = time.monotonic()
    for wait in (lambda: box.call(lambda: time.sleep(60)), lambda: box.sleep(60)):
        later(0.03, box.put, Message("interrupt", None, 15))
        with pytest.raises(Interrupted) as stopped:
            wait()
        assert stopped.value.signum == 15
    assert time.monotonic() - began < 30


def test_a_sleep_keeps_other_messages() -> None:
    box = Mailbox()
    box.put(Message("event", "x", 1))
    box.sleep(0.02)
    assert box.get(0) == Message("event", "x", 1)


def test_every_wait_is_sliced_for_it_holds_signals_back() -> None:
    slices: list[float] = []

    class Queue:
        def get(self, timeout: float | None) -> Any:
            import queue

            assert timeout is not None
            slices.append(timeout)
            now[0] += timeout
            raise queue.Empty

    now = [0.0]
    box = Mailbox(lambda: now[0], Queue())  # type: ignore[arg-type]
    assert box.get(1.0) is None
    assert max(slices) <= module.SLICE_S and len(slices) >= 5


# -- signals -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def heard(number: signal.Signals) -> Iterator[None]:
    """Tests that were started by `nohup` ignore a hangup, which is then nobody's message."""
    before = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.skipif(os.name == "nt", reason="os.kill ends a process there")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_becomes_a_message_also_during_a_wait(name: str) -> None:
    number, box = getattr(signal, name), Mailbox()
    with heard(number), signals_to(box):
        later(0.05, os.kill, os.getpid(), number)
        assert box.get(5) == Message("interrupt", None, number)


def test_handlers_are_given_back() -> None:
    before = {name: signal.getsignal(getattr(signal, name)) for name in ("SIGINT", "SIGTERM")}
    with signals_to(Mailbox()):
        assert signal.getsignal(signal.SIGINT) is not before["SIGINT"]
    assert {name: signal.getsignal(getattr(signal, name)) for name in before} == before


def test_a_system_without_some_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
        monkeypatch.delattr(signal, name, raising=False)
    with signals_to(Mailbox()):
        assert callable(signal.getsignal(signal.SIGINT))


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP here")
def test_an_ignored_hangup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_to(Mailbox()):
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_thread_may_use_it_although_it_may_not_set_handlers() -> None:
    problems: list[BaseException] = []

    def work() -> None:
        try:
            with signals_to(Mailbox()):
                pass
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not problems


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads here")
def test_a_signal_that_another_thread_takes_is_noticed_all_the_same() -> None:
    """It does not end the main thread's wait: so no wait may be long. Seen as a Ctrl-C that took 15 s to be noticed."""
    box = Mailbox()

    def shoot() -> None:
        time.sleep(0.05)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        time.sleep(0.5)

    with signals_to(box):
        began = time.monotonic()
        threading.Thread(target=shoot, daemon=True).start()
        message = box.get(10.0)
        assert message is not None and message.kind == "interrupt" and message.value == signal.SIGINT
        assert time.monotonic() - began < 3
