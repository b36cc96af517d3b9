"""One look at a run or a bare task id."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from videotasks.core.errors import ApiError, Category, ExitCode, TaskError, configuration_error
from videotasks.core.record import replace
from videotasks.core.task import Outcome, Status, require_task_id
from videotasks.core.times import iso
from videotasks.lifecycle import final_line, free_calls
from videotasks.lifecycle.fetch_outputs import record_ending
from videotasks.lifecycle.free_calls import PASSING
from videotasks.lifecycle.outcome import Ending, snapshot_fields, write_results
from videotasks.lifecycle.poll_schedule import PollSchedule
from videotasks.lifecycle.session import Session
from videotasks.providers.provider import FINAL_STATUSES, Look, TaskRef, refusal
from videotasks.runs import results
from videotasks.runs.identity import body_key
from videotasks.runs.store import Run


def run_for_task(session: Session, task_id: str) -> Run:
    """The run of a task; a bare id from elsewhere gets a run folder of its own, so that it is not lost either."""
    ctx = session.ctx
    require_task_id(task_id)
    ctx.store.prepare()
    run = ctx.store.by_task(task_id, mode=ctx.mode, origin=session.origin)
    if run is not None:
        return run
    identity = body_key(
        mode=ctx.mode, origin=session.origin, method="TASK", path="", body=task_id.encode("utf-8"), take=1
    )
    with ctx.store.task_lock(identity).held(wait=ctx.mailbox.sleep):
        run = ctx.store.by_task(task_id, mode=ctx.mode, origin=session.origin)
        if run is None:
            run = ctx.store.create(
                {
                    "provider": session.profile.name,
                    "kind": session.profile.kind,
                    "mode": ctx.mode,
                    "origin": session.origin,
                    "adopted": True,
                    "task_id": task_id,
                    "identity": identity,
                },
                now=ctx.clock(),
            )
            run.record("adopted", ctx.clock(), task_id=task_id, kind=session.profile.kind)
        return run


def take_in_if_any(session: Session, run: Run, look: Look | None = None) -> None:
    """One look (that one, where it was taken already) whose absence is no error."""
    state = run.state()
    assert state.task_id is not None
    look = look or ask(session, TaskRef(state.task_id, state.follow))
    if look.snapshot is not None:
        take_in(session, run, look)
    elif look.final_refusal and look.error is not None:
        raise refusal(look.error)


def renew_rehearsed_link(session: Session, run: Run) -> None:
    """A link of the sandbox names a port that ended with the command that printed it: ask for the present one."""
    state = run.state()
    if session.ctx.sandbox and state.task_id is not None and results.video_file(run, state) is None:
        with suppress(TaskError):
            take_in_if_any(session, run)


def look_at_stranger(session: Session, task_id: str) -> tuple[Run, Look | None, TaskError | None]:
    """A bare id that no run knows: its run (unseen while nobody answers), and the look or what was in its way.

    Raises TaskError when the provider says that there is no such task, or does not let us ask: then there is no run.
    """
    look: Look | None = None
    try:
        look = ask(session, TaskRef(require_task_id(task_id)))
        error = refusal(error_of(look)) if look.snapshot is None else None
    except TaskError as silence:
        error = silence
    if error is not None and error.category not in PASSING:
        raise error
    return run_for_task(session, task_id), look, error


def look_once(session: Session, run: Run, look: Look | None = None, **more: Any) -> int:
    """One look: journal it, write the result files, print the final `status` line. Raises TaskError, Interrupted."""
    state = run.state()
    if state.task_id is None:
        raise configuration_error(f"the run {run.run_id} has no task id to look at")
    over = state.ended and state.outcome not in (Outcome.SUCCEEDED, Outcome.NO_RESULT)
    here = session.provider.keyless or results.video_file(run, state) is not None
    if not over and not (state.outcome is Outcome.SUCCEEDED and here):
        look = look or ask(session, TaskRef(state.task_id, state.follow))
        if look.snapshot is not None:
            take_in(session, run, look)
            return report_status(session, run, hint_s=look.hint_s, **more)
        if not state.ended:  # what is known to be over stays known
            raise refusal(error_of(look))
    write_results(session.ctx, run)  # a kill may have come between the journal and the files
    return report_status(session, run, **more)


def error_of(look: Look) -> ApiError:
    """Why a look showed nothing. What a wait would survive passes: a redirect to a login, 304, 412, 501."""
    error = look.error or ApiError(Category.TRANSIENT, look.reason, http_status=look.http_status)
    if error.category is Category.UNKNOWN and look.http_status not in FINAL_STATUSES:
        return replace(error, category=Category.TRANSIENT)
    return error


def ask(session: Session, ref: TaskRef) -> Look:
    """One status request, see `free_calls.look`."""
    return free_calls.look(session.ctx, session.provider, ref)


def take_in(session: Session, run: Run, look: Look) -> None:
    """Journal what a look showed. A success without a result is not final yet: it is looked at again."""
    snapshot = look.snapshot
    assert snapshot is not None
    if snapshot.status.terminal and (snapshot.status is not Status.SUCCEEDED or snapshot.has_result):
        record_ending(
            session.ctx, run, session.provider, Ending(Outcome(snapshot.status.value), "poll", snapshot, snapshot.error)
        )
        return
    session.ctx.record(run, "status", **snapshot_fields(session.ctx, session.provider, snapshot))
    write_results(session.ctx, run, snapshot)


def report_status(session: Session, run: Run, *, hint_s: float | None = None, **more: Any) -> int:
    """The final line of one look: canonical status, link, reason, a summary, and when to look again."""
    ctx, state = session.ctx, run.state()
    exit_code = int(state.outcome.exit_code if state.outcome is not None else ExitCode.OK)
    fields = final_line.terminal_fields(ctx, run, state)
    without_video = state.outcome is not None and state.outcome.without_video
    fields["error"] = final_line.error_of_the_task(state) if without_video else state.error
    fields["summary"] = results.summary(run, state, brief=True)
    next_argv = None
    if not state.ended:
        poll, age = session.profile.poll, state.age_s(ctx.clock()) or 0.0
        fields["look_again_in_s"] = round(
            PollSchedule(poll.floor_s, poll.ceiling_s).delay(age, random=0.0, hint_s=hint_s)
        )
        next_argv = final_line.go_on(ctx, run)
    elif state.outcome is Outcome.SUCCEEDED and fields["video_file"] is None:
        next_argv = final_line.look_at(ctx, run, fetch=True)
        until = state.expires_at
        fields["reminder"] = f"the link works until {iso(until)}" if until else "the link may expire soon"
    ctx.reporter.people(results.summary(run, state))
    final_line.keep_unread_line(ctx, run)
    ctx.reporter.final("status", exit_code, next_argv=next_argv, **fields, **more)
    if state.outcome is not None:
        final_line.mark_reported(ctx, run, state.outcome, exit_code)
    return exit_code
