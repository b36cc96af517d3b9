"""One session per provider and kind for a command about many runs: own origin and key each, one mailbox for all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from videotasks.core.errors import TaskError
from videotasks.core.task import Outcome
from videotasks.lifecycle import select_run
from videotasks.lifecycle.open_session import SessionOptions, open_session
from videotasks.lifecycle.session import Session
from videotasks.lifecycle.watched import Watched
from videotasks.runs.store import Run, RunStore


class Sessions:
    """Opened as runs need them, closed together. `on_open` sets what the command's options name."""

    def __init__(self, options: SessionOptions, on_open: Callable[[Session], None] | None = None) -> None:
        self._options = options
        self._on_open = on_open
        self._stack = ExitStack()
        self._open: dict[tuple[str | None, str | None], Session] = {}
        self._failed: dict[tuple[str | None, str | None], TaskError] = {}

    def __enter__(self) -> Sessions:
        return self

    def __exit__(self, *exc: Any) -> None:
        self._stack.close()

    @property
    def first(self) -> Session:
        """The session whose context (mailbox, reporter, limits) serves the whole command."""
        return next(iter(self._open.values()))

    def __bool__(self) -> bool:
        return bool(self._open)

    def of(self, run: Run) -> Session:
        """The session of a run's provider and kind, at the run's own origin. Raises TaskError."""
        options = select_run.with_provider_of(self._options, RunStore(run.folder.parent), run)
        kind = run.request.get("kind")
        key = (options.provider_named, kind if isinstance(kind, str) else None)
        if key in self._failed:
            raise self._failed[key]
        if key not in self._open:
            try:
                profile = select_run.session_profile(options, run)
                # One mailbox: signals and answers arrive in one place.
                mailbox = self.first.ctx.mailbox if self._open else None
                session = self._stack.enter_context(open_session(options, profile=profile, mailbox=mailbox))
            except TaskError as error:
                self._failed[key] = error
                raise
            if self._on_open is not None:
                self._on_open(session)
            self._open[key] = session
        select_run.require_same_place(self._open[key], run)
        return self._open[key]

    def watch(self, runs: list[Run], trouble: list[dict[str, Any]]) -> list[Watched]:
        """Runs as the waiting loop takes them; what is in the way of one goes to `trouble`."""
        watched = []
        for run in runs:
            try:
                session = self.of(run)
            except TaskError as error:
                trouble.append({"run_id": run.run_id, "message": error.message})
                continue
            state = run.state()
            if state.task_id is None:
                trouble.append({"run_id": run.run_id, "message": "no task id: look with task_status.py"})
                continue
            if state.ended and state.outcome is not Outcome.NO_RESULT:
                continue
            watched.append(Watched.of_run(session, run, state))
        return watched
