"""What costs nothing is asked again: one budget of patience for all the free calls of a command."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from videotasks.core.errors import Category, TaskError
from videotasks.core.record import record
from videotasks.core.workers import CallTimedOut
from videotasks.network.errors import NoAnswer
from videotasks.providers.provider import Look, no_answer_error

if TYPE_CHECKING:
    from videotasks.lifecycle.session import Context
    from videotasks.network.client import Client
    from videotasks.providers.provider import Provider, TaskRef

T = TypeVar("T")

FIRST_PAUSE_S = 1.0
GROWTH = 1.5
LONGEST_PAUSE_S = 5.0  # so that eight faults in a row fit into 30 s
UNREACHABLE_TRIES = 2  # a name that does not resolve or a port that refuses is rarely back within seconds
UNREACHABLE = frozenset({"dns", "refused", "proxy"})
HOPELESS = frozenset({"invalid", "blocked", "aborted", "no_socks"})  # asking again cannot help
NOT_FOUND_LOOKS = 3  # a fresh id may not be on every replica yet (facts, peers 5.1: "404 on the first poll")
PASSING = (Category.TRANSIENT, Category.RATE_LIMITED)


@record
class FreeCalls:
    """Seconds that a command may still spend on asking again, pauses and answers together. 0 with --no-retry."""

    left_s: float = 30.0

    def pause_after(self, faults: int, *, kind: str | None = None, hint_s: float | None = None) -> float | None:
        """Seconds to wait before asking again after so many faults in a row, or None: it is enough.

        `kind` is how no answer came (`NoAnswer.kind`), `hint_s` what the server asked for.
        """
        if kind in HOPELESS or (kind in UNREACHABLE and faults >= UNREACHABLE_TRIES):
            return None
        pause = max(min(FIRST_PAUSE_S * GROWTH ** min(faults - 1, 10), LONGEST_PAUSE_S), hint_s or 0.0)
        return pause if pause < self.left_s else None

    def spend(self, seconds: float) -> None:
        self.left_s = max(self.left_s - seconds, 0.0)


@record(frozen=True)
class Fault:
    """An answer that is none, or not yet: why, and when the server wants to be asked again."""

    reason: str
    hint_s: float | None = None
    kind: str | None = None


def reason_of(look: Look) -> str:
    """Why a look showed nothing, in words of ours."""
    return look.reason or (f"HTTP {look.http_status}" if look.http_status else "no usable answer")


def look(ctx: Context, provider: Provider, ref: TaskRef, *, deadline: float = math.inf) -> Look:
    """One status request; a passing fault is asked again. Raises TaskError when there is no answer, and Interrupted.

    "No such task" counts as one twice: whoever answers may not know it yet.
    """
    limits, denials = ctx.limits, 0

    def fault_of(look: Look) -> Fault | None:
        nonlocal denials
        if look.error is not None and look.error.category is Category.NOT_FOUND and denials < NOT_FOUND_LOOKS - 1:
            denials += 1
            return Fault("the API does not know this task (yet)", look.hint_s)
        if look.snapshot is not None or look.final_refusal:
            return None
        return Fault(reason_of(look), look.hint_s)  # it showed nothing, and a refusal of this kind proves nothing

    return ask(
        ctx,
        provider,
        lambda client: provider.look(ref, client=client, timeout=limits.poll_request_s),
        limits.poll_request_s + limits.abort_slack_s,
        patient=True,
        fault_of=fault_of,
        deadline=deadline,
    )


def ask(
    ctx: Context,
    provider: Provider,
    verb: Callable[[Client], T],
    timeout: float,
    *,
    what: str = "answer",
    patient: bool = False,
    fault_of: Callable[[T], Fault | None] = lambda _: None,
    deadline: float = math.inf,
) -> T:
    """A call that costs nothing, in a worker, with a client of its own. `timeout` in seconds bounds each try.

    With `patient`, no answer and what `fault_of` finds at fault are asked for again, while the command's budget lasts
    and the `deadline` (monotonic) is not near. Raises TaskError when no answer came, and Interrupted.
    """
    free, faults = ctx.free, 0
    while True:
        began = ctx.monotonic()
        error: TaskError | None = None
        try:
            answer = _once(ctx, provider, verb, timeout if faults == 0 else max(min(timeout, free.left_s), 1.0), what)
            fault = fault_of(answer)
            if fault is None:
                return answer
        except TaskError as problem:
            if problem.category not in PASSING:
                raise
            error, fault = problem, Fault(problem.message, problem.details.get("retry_after_s"), problem.code)
        faults += 1
        if faults > 1:
            free.spend(ctx.monotonic() - began)
        pause = free.pause_after(faults, kind=fault.kind, hint_s=fault.hint_s) if patient else None
        if pause is None or ctx.monotonic() + pause >= deadline:
            if error is not None:
                raise error
            return answer
        ctx.reporter.people(f"{fault.reason}; asking again in {pause:.0f} s")
        ctx.pause(pause)
        free.spend(pause)


def _once(ctx: Context, provider: Provider, verb: Callable[[Client], T], timeout: float, what: str) -> T:
    with closing(provider.client()) as client:
        try:
            answer: T = ctx.mailbox.call(lambda: verb(client), timeout=timeout)
            return answer
        except NoAnswer as silence:
            raise no_answer_error(silence) from None
        except CallTimedOut:
            client.flight.abort()
            raise no_answer_error(NoAnswer("timeout", f"no complete {what} in time", sent=True)) from None
