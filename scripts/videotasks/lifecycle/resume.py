"""Going on with a run that has a task: wait for its end, fetch what is missing, or say why not now."""

from __future__ import annotations

from videotasks.core.errors import TaskError
from videotasks.core.task import Outcome
from videotasks.lifecycle.fetch_outputs import record_ending
from videotasks.lifecycle.final_line import report, report_created
from videotasks.lifecycle.outcome import Ending, write_results
from videotasks.lifecycle.session import Context, Session
from videotasks.lifecycle.wait import Waiter
from videotasks.lifecycle.watched import Watched
from videotasks.providers.provider import Provider
from videotasks.runs.store import Run


def go_on_with_run(session: Session, run: Run, *, deadline: float, attached: bool, wait: bool = True) -> int:
    """Continue with a run that has a task: report it, fetch what is missing, or wait for its end."""
    ctx, state = session.ctx, run.state()
    if state.ended and state.outcome is not None:
        if state.outcome is Outcome.SUCCEEDED and ctx.download:
            from videotasks.lifecycle import check_status, fetch_outputs

            check_status.renew_rehearsed_link(session, run)
            failure = fetch_outputs.fetch_all(ctx, run, session.provider, deadline=file_deadline(ctx, deadline))
            write_results(ctx, run)
            return report(ctx, run, Outcome.SUCCEEDED, source="record", failure=failure, attached=attached)
        if state.outcome is not Outcome.NO_RESULT:
            return report(ctx, run, state.outcome, source="record", attached=attached)
    if not wait:
        return report_created(session, run, attached=attached)
    watched = Watched.of_run(session, run, state)
    if state.status_at is not None:
        watched.told = state.status, state.provider_status  # an earlier command has said it
    return wait_and_finish(session, watched, deadline=deadline, attached=attached)


def file_deadline(ctx: Context, deadline: float) -> float:
    """Until when a file may be fetched: a task that was found finished near the deadline still gets its file."""
    more_s = ctx.limits.last_file_s
    return min(max(deadline, ctx.monotonic() + more_s), deadline + more_s)


def wait_and_finish(session: Session, watched: Watched, *, deadline: float, attached: bool = False) -> int:
    """Wait for one task and say how it ended. Raises Interrupted."""
    ctx = session.ctx
    ctx.reporter.live_begin()
    try:
        Waiter(ctx, [watched]).run(deadline)
        assert watched.ending is not None
        run = watched.run
        ending, failure = settle(ctx, run, session.provider, watched.ending, deadline=deadline)
        return report(
            ctx, run, ending.outcome, source=ending.source, error=ending.error, failure=failure, attached=attached
        )
    finally:
        ctx.reporter.live_end()


def settle(
    ctx: Context, run: Run, provider: Provider, ending: Ending, *, deadline: float
) -> tuple[Ending, TaskError | None]:
    """Record how a task ended and fetch its result: the ending, and what a person must hear of the download, or None.

    Raises Interrupted.
    """
    from videotasks.lifecycle import fetch_outputs

    if ending.source != "record":
        ending = fetch_outputs.try_guesses(ctx, run, provider, ending, deadline=deadline)
        record_ending(ctx, run, provider, ending)
    failure: TaskError | None = None
    if ending.outcome is Outcome.SUCCEEDED and (ctx.download or ctx.output):
        failure = fetch_outputs.fetch_all(ctx, run, provider, deadline=file_deadline(ctx, deadline))
        write_results(ctx, run)
    return ending, failure
