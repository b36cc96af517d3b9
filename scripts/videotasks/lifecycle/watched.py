"""One task while it is waited for."""

from __future__ import annotations

from typing import Any

from videotasks.core.record import field, record
from videotasks.core.task import Snapshot
from videotasks.lifecycle.outcome import Ending
from videotasks.lifecycle.session import Session
from videotasks.lifecycle.stream import Stream
from videotasks.providers.provider import Provider, TaskRef
from videotasks.runs.journal import RunState
from videotasks.runs.store import Run


@record
class Watched:
    """One task being waited for, and what is known of it."""

    run: Run
    provider: Provider
    ref: TaskRef
    age_s: float | None = None  # of the task when the wait began; None when nobody knows
    stream: Stream | None = None
    interval_s: float | None = None
    snapshot: Snapshot | None = None
    ending: Ending | None = None
    output: str | None = None  # where a copy of its result goes, when the command's own --output does not say it
    # the loop's own bookkeeping
    due: float = 0.0
    started: float = 0.0
    looks: int = 0
    faults: int = 0
    not_found: int = 0
    result_looks: int = 0
    looking: object | None = None  # the request that asks for it now
    ticket: int = 0  # of its place in the queue of looks; an older one is void
    unlisted: int = 0  # how often a list of tasks did not have it
    alone: bool = False  # the next look is one of its own
    asked_at: float = float("-inf")  # when the last look began
    unexplained: Snapshot | None = None  # a failure that the stream told without a reason: asked for once
    last_look: bool = False  # the look at the deadline has begun
    told: tuple[Any, ...] | None = None
    told_unknown: set[str] = field(default_factory=set)
    fell_back: bool = False  # from a stream to polling

    @staticmethod
    def of_run(session: Session, run: Run, state: RunState) -> Watched:
        """A task that an earlier command made, as old as its journal says."""
        assert state.task_id is not None
        age_s = state.age_s(session.ctx.clock())
        return Watched(run, session.provider, TaskRef(state.task_id, state.follow), age_s=age_s)
