"""One plan carried out: the create (or the run that it attaches to), the wait, the file, the last line."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from videotasks.core.errors import Category, ExitCode, TaskError
from videotasks.core.workers import Interrupted
from videotasks.lifecycle import final_line
from videotasks.lifecycle.create_answer import echo_differences
from videotasks.lifecycle.create_or_attach import CreatedRun, Plan, create_or_attach
from videotasks.lifecycle.final_line import report_created
from videotasks.lifecycle.open_session import last_line
from videotasks.lifecycle.outcome import write_results
from videotasks.lifecycle.resume import go_on_with_run, wait_and_finish
from videotasks.lifecycle.verify_run import report_unverified
from videotasks.lifecycle.watched import Watched
from videotasks.providers.provider import TaskRef
from videotasks.runs.store import Run


def carry_out(
    plan: Plan, *, wait_s: float, no_wait: bool = False, budget: AbstractContextManager[None] | None = None
) -> int:
    """Create or attach, wait, finish; every expected end is a final line and an exit code.

    `wait_s` counts from here and bounds resends and the wait; it never cuts a create that is under way. `budget` is
    held until the create has its answer.
    """
    ctx = plan.session.ctx
    deadline = ctx.monotonic() + wait_s
    with last_line(ctx) as end:
        end.refused = lambda error: _report_refusal(plan, end.run, error)
        with budget or nullcontext():
            created = create_or_attach(plan)
        end.run = created.run
        end.code = _go_on(plan, created, deadline, no_wait)
    return end.code


def _report_refusal(plan: Plan, run: Run | None, error: TaskError) -> int:
    """The end of a create by an error: with a run that goes on, or one that was refused, is unknown or never left."""
    ctx = plan.session.ctx
    if run is not None:
        next_argv = final_line.go_on(ctx, run)
        return final_line.finish_error(ctx, run, error, next_argv=next_argv)
    named = error.details.get("run_id")  # an earlier run that stands in the way
    run = ctx.store.open(named) if named else next(iter(ctx.store.by_identity(plan.identity)), None)
    look_up = final_line.look_at(ctx, run) if run is not None else None
    if run is None or error.exit_code == ExitCode.CONFIGURATION:
        return ctx.reporter.error(error, provider=plan.session.profile.name, next_argv=look_up if named else None)
    write_results(ctx, run)
    if error.category is Category.INSUFFICIENT_CREDITS:
        links = plan.session.profile.links
        error.details["recharge"] = {
            "dashboard_url": links.dashboard or plan.session.profile.auth.key_url,
            "pricing_url": links.pricing or links.dashboard,
        }
    unknown = error.exit_code == ExitCode.SUBMISSION_UNKNOWN
    return final_line.finish_error(ctx, run, error, next_argv=look_up if unknown else None)


def _go_on(plan: Plan, created: CreatedRun, deadline: float, no_wait: bool) -> int:
    session, ctx, run, submitted = plan.session, plan.session.ctx, created.run, created.submitted
    if created.unverified is not None and not created.unverified.waits:
        return report_unverified(session, run, created.unverified, take=plan.take)
    if submitted is None:
        return go_on_with_run(session, run, deadline=deadline, attached=True, wait=not no_wait)
    snapshot = submitted.snapshot
    write_results(ctx, run, snapshot)
    ctx.reporter.event("created", task_id=submitted.task_id, status=snapshot.status.value if snapshot else None)
    ctx.reporter.people(f"created task {submitted.task_id} (run {run.run_id})")
    if snapshot is not None:
        for line in echo_differences(plan.draft.body, snapshot.raw, session.profile.create.echo):
            ctx.reporter.event("warning", message=line)
            ctx.reporter.people("warning: " + line)
    if submitted.stream is not None and (no_wait or submitted.interrupted is not None):
        submitted.stream.flight.abort()
    if submitted.interrupted is not None:
        raise Interrupted(submitted.interrupted)
    if no_wait:
        return report_created(session, run)
    ref = TaskRef(submitted.task_id, submitted.follow)
    told = (snapshot.status, snapshot.provider_status) if snapshot is not None else None
    watched = Watched(run, session.provider, ref, age_s=0.0, stream=submitted.stream, snapshot=snapshot, told=told)
    return wait_and_finish(session, watched, deadline=deadline)
