"""Going on with a run that has a task: wait for its end, fetch what is missing, or say why not now."""

from __future__ import annotations

from typing import Any

from videotasks import finishing, results
from videotasks.commandline import Session
from videotasks.models import ExitCode
from videotasks.provider import TaskRef
from videotasks.runs import Run, epoch_of
from videotasks.waiting import Waiter, Watched


def go_on_with_run(session: Session, run: Run, *, deadline: float, attached: bool, wait: bool = True) -> int:
    """Continue with a run that has a task: report it, fetch what is missing, or wait for its end."""
    ctx, state = session.ctx, run.state()
    if state.ended and state.outcome is not None:
        if state.outcome == "succeeded" and ctx.download:
            from videotasks import fetching, looking

            looking.renew_rehearsed_link(session, run)
            failure = fetching.fetch_all(ctx, run, session.provider, deadline=deadline)
            finishing.write_results(ctx, run)
            return finishing.report(ctx, run, "succeeded", source="record", failure=failure, attached=attached)
        if state.outcome != "no_result":
            return finishing.report(ctx, run, state.outcome, source="record", attached=attached)
    if not wait:
        return report_created(session, run, attached=attached)
    assert state.task_id is not None
    submitted_at = epoch_of(state.submitted_at)
    age = max(ctx.clock() - submitted_at, 0.0) if submitted_at is not None else None
    watched = Watched(run, session.provider, TaskRef(state.task_id, state.follow), age_s=age)
    return wait_and_finish(session, watched, deadline=deadline, attached=attached)


def wait_and_finish(session: Session, watched: Watched, *, deadline: float | None, attached: bool = False) -> int:
    """Wait for one task and say how it ended. Raises Interrupted."""
    ctx = session.ctx
    ctx.reporter.live_begin()
    try:
        Waiter(ctx, [watched]).run(deadline)
        assert watched.ending is not None
        return finishing.finish(
            ctx, watched.run, session.provider, watched.ending, deadline=deadline, attached=attached
        )
    finally:
        ctx.reporter.live_end()


def report_created(session: Session, run: Run, attached: bool = False) -> int:
    """The final line of --no-wait."""
    ctx, state = session.ctx, run.state()
    finishing.keep_unread_line(ctx, run)
    return ctx.reporter.final(
        "created",
        ExitCode.OK,
        next_argv=finishing.follow_up(ctx, run, "wait_generation.py", "--timeout", "100"),
        generation_id=state.task_id,
        task_id=state.task_id,
        provider=run.provider,
        status=results.status_of(state),
        run_id=run.run_id,
        artifacts_dir=str(run.folder),
        attached=attached or None,
    )


def report_interrupted(ctx: Any, run: Run | None, signum: int) -> int:
    """The final line after a signal: nothing is lost, `next` goes on."""
    import signal

    code = ExitCode.SIGTERM if signum == getattr(signal, "SIGTERM", 15) else ExitCode.SIGINT
    if run is None:
        return ctx.reporter.final(
            "interrupted",
            code,
            error={"category": "interrupted", "message": "interrupted; nothing was sent"},
        )
    ctx.record(run, "interrupted", signum=int(signum))
    finishing.write_results(ctx, run)
    state = run.state()
    if state.outcome == "succeeded":
        what = "stopped before the result was on disk; fetch it with next"
    else:
        what = "stopped waiting; the task goes on; go on with next"
    ctx.reporter.people("interrupted; nothing is lost")
    finishing.keep_unread_line(ctx, run)
    return ctx.reporter.final(
        "interrupted",
        code,
        next_argv=finishing.follow_up(ctx, run, "wait_generation.py", "--timeout", "100"),
        generation_id=state.task_id,
        task_id=state.task_id,
        provider=run.provider,
        status=results.status_of(state),
        video_url=state.url_of("video"),
        run_id=run.run_id,
        artifacts_dir=str(run.folder),
        error={"category": "interrupted", "message": what},
    )
