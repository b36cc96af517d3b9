"""--cancel: status first, and never a request that would destroy the record of a finished task."""

from __future__ import annotations

from contextlib import suppress

from videotasks.core.errors import Category, ExitCode, TaskError, error_fields
from videotasks.core.record import replace
from videotasks.core.task import Snapshot, Status
from videotasks.lifecycle import check_status, final_line
from videotasks.lifecycle.session import Session
from videotasks.network.client import Answer
from videotasks.network.errors import NoAnswer
from videotasks.providers import normalize
from videotasks.providers.provider import Look, TaskRef, no_answer_error, refusal
from videotasks.runs.store import Run


def cancel(session: Session, run: Run) -> int:
    """Look first, then cancel only where that cannot destroy a finished record."""
    ctx, spec = session.ctx, session.profile.cancel
    state = run.state()
    if spec is None:
        raise TaskError(
            Category.CONFIGURATION,
            f"{session.profile.title} has no way to cancel a task by API",
            hint="the task goes on and may be charged",
            code="cannot_cancel",
        )
    assert state.task_id is not None
    if not state.ended:
        look = check_status.ask(session, TaskRef(state.task_id, state.follow))
        if look.snapshot is None:
            raise refusal(look.error) if look.error else no_answer_error(NoAnswer("cut", look.reason, sent=True))
        check_status.take_in(session, run, look)
        state = run.state()
    if state.ended or (spec.only_when and state.status.value not in spec.only_when):
        allowed = " or ".join(spec.only_when) or "live"
        ctx.reporter.people(f"the task is {state.status.value}; only a {allowed} one can be cancelled")
        return ctx.reporter.final(
            "cancelled",
            ExitCode.CONFIGURATION,
            cancelled=False,
            error={
                "category": "configuration",
                "message": f"the task is {state.status.value}; only {allowed} ones can be cancelled: nothing was sent",
            },
            **final_line.task_fields(run, state),
        )
    ref = TaskRef(str(state.task_id), state.follow)
    ctx.record(run, "cancel_requested")
    answer = session.ask(lambda client: session.provider.cancel(ref, client=client), 30.0, what="answer to the cancel")
    refused = _refusal_of(session, answer)
    with suppress(TaskError):  # the cancel was answered; what has become of the task is asked once more by `next`
        look = check_status.ask(session, TaskRef(ref.task_id, run.state().follow))
        if refused is None and _gone(look):
            look = replace(look, snapshot=Snapshot(Status.CANCELLED, task_id=ref.task_id))
        if look.snapshot is not None:
            check_status.take_in(session, run, look)
    state = run.state()
    done = state.status is Status.CANCELLED
    if refused is None:
        ctx.reporter.people("cancelled" if done else "the cancel was sent; the task is still " + state.status.value)
    else:
        ctx.reporter.people(f"the cancel was not accepted: {refused.message}")
    next_argv = None if state.ended else final_line.look_at(ctx, run)
    code = refused.exit_code if refused is not None else int(ExitCode.OK)
    ctx.reporter.final(
        "cancelled",
        code,
        next_argv=next_argv,
        cancelled=done,
        refund=spec.refund_note,
        error=error_fields(refused) if refused is not None else None,
        **final_line.task_fields(run, state),
    )
    if state.outcome is not None:
        final_line.mark_reported(ctx, run, state.outcome, code)
    return code


def _gone(look: Look) -> bool:
    """Many APIs cancel by removing the task: after an accepted cancel, "no such task" is how they say so."""
    return look.final_refusal and look.error is not None and look.error.category is Category.NOT_FOUND


def _refusal_of(session: Session, answer: Answer) -> TaskError | None:
    """What the API said against the cancel, by the same taxonomy as everything else."""
    body = answer.json()
    if 200 <= answer.status < 300:
        in_band = normalize.in_band_error(session.profile, body, answer.status)
        return refusal(in_band) if in_band is not None else None
    error = session.provider.api_error("cancel", answer, body)
    return refusal(check_status.error_of(Look(error=error, http_status=answer.status)))
