"""One session per provider and kind for a command about many runs: own origin and key each, one mailbox for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from videotasks.core.errors import TaskError
from videotasks.core.task import Outcome
from videotasks.core.workers import Mailbox
from videotasks.lifecycle import select_run
from videotasks.lifecycle.open_session import SessionOptions, open_session
from videotasks.lifecycle.session import Session
from videotasks.lifecycle.watched import Watched
from videotasks.output.reporter import Reporter
from videotasks.runs.store import Run, RunStore

if TYPE_CHECKING:
    from videotasks.providers.profile import Profile

P = TypeVar("P", bound="SessionPool")


class SessionPool:
    """Opened as they are needed, closed together. `on_open` sets what the command's options name."""

    def __init__(
        self,
        options: SessionOptions,
        *,
        needs_key: bool = True,
        reporter: Reporter | None = None,
        on_open: Callable[[Session], None] = lambda session: None,
        store: RunStore | None = None,
        stand_ins: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self.options, self._stand_ins = options, stand_ins or {}
        self._needs_key, self._reporter, self._on_open, self._store = needs_key, reporter, on_open, store
        self._mailbox = Mailbox()  # one: signals and answers arrive in one place
        self._stack = ExitStack()
        self._open: dict[tuple[str | None, str | None], Session] = {}

    def __enter__(self: P) -> P:
        return self

    def __exit__(self, *exc: Any) -> None:
        self._stack.close()

    @property
    def all(self) -> list[Session]:
        return list(self._open.values())

    @property
    def first(self) -> Session:
        """The session whose context (mailbox, reporter, limits) serves the whole command."""
        return self.all[0]

    def __bool__(self) -> bool:
        return bool(self._open)

    def opened(self, key: tuple[str | None, str | None], options: SessionOptions, profile: Profile) -> Session:
        """The session of a key, opened when it is asked for first. Raises TaskError."""
        if key not in self._open:
            session = self._stack.enter_context(
                open_session(
                    options,
                    needs_key=self._needs_key,
                    profile=profile,
                    mailbox=self._mailbox,
                    reporter=self._reporter,
                    store=self._store,
                    stand_in=self._stand_ins.get(profile.name),
                )
            )
            self._on_open(session)
            self._open[key] = session
        return self._open[key]


class RunSessions(SessionPool):
    """For runs that are there: a session for each provider and kind. What could not be opened is not tried again."""

    def __init__(self, options: SessionOptions, on_open: Callable[[Session], None] = lambda session: None) -> None:
        super().__init__(options, on_open=on_open)
        self._found: dict[tuple[str, str | None], Session | TaskError] = {}

    def of(self, run: Run) -> Session:
        """The session of a run's provider and kind, at the run's own origin. Raises TaskError.

        What a run's words lead to is found once: for each of a thousand runs it was a quarter of all that is done.
        """
        kind = run.request.get("kind") if isinstance(run.request.get("kind"), str) else None
        found = self._found.get((run.provider, kind))
        if found is None:
            try:
                options = select_run.with_provider_of(self.options, run)
                profile = select_run.session_profile(options, run)
                found = self.opened((options.provider_named, kind), options, profile)
            except TaskError as error:
                found = error
            self._found[run.provider, kind] = found
        if isinstance(found, TaskError):
            raise found
        select_run.require_same_place(found, run)
        return found

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
