"""After a lost answer: what the provider's list shows around that moment. Candidates only; a person adopts one."""

from __future__ import annotations

from typing import Any

from videotasks import finishing, nextstep, paths, results, values
from videotasks.commandline import Session
from videotasks.journal import RunState
from videotasks.mailbox import CallTimedOut
from videotasks.models import Category, ExitCode, TaskError
from videotasks.runs import Run, epoch_of, iso
from videotasks.submit import submission_unknown
from videotasks.text import inert
from videotasks.verdict import server_date

BEFORE_S = 5.0  # clocks of one server differ a little from machine to machine
AFTER_S = 300.0  # a request that hung is created late
MAX_CANDIDATES = 8


def settle_unknown(session: Session, run: Run) -> int:
    """Report a run whose submission is unknown: candidates where the provider lists tasks, else where to look."""
    ctx = session.ctx
    lock = ctx.store.identity_lock(str(run.request.get("identity")))
    if not lock.try_acquire():
        return ctx.reporter.final(
            "status",
            ExitCode.OK,
            status="unknown",
            run_id=run.run_id,
            artifacts_dir=str(run.folder),
            summary="The request is being sent right now by another process.",
            look_again_in_s=5,
        )
    try:
        if run.state().phase == "submitting":
            ctx.record(run, "submission_unknown", reason="the process that sent it ended before the answer")
    finally:
        lock.release()
    finishing.write_results(ctx, run)
    state = run.state()
    error = submission_unknown("its answer was lost")
    profile = session.profile
    found: list[dict[str, Any]] | None = None
    if profile.list is not None:
        try:
            found = candidates(session, run, state)
        except TaskError as problem:
            ctx.reporter.people(f"the list of tasks could not be asked for: {problem.message}")
            error.details["lookup"] = "failed"
    else:
        error.details["lookup"] = "this provider lists no tasks by API key"
        if profile.links.dashboard:
            error.details["look_at"] = profile.links.dashboard
    if found is not None:
        error.details["candidates"] = found
        error.details["lookup"] = f"{len(found)} candidate(s) by model and time; none is adopted by itself"
    base = ("--run-id", run.run_id, "--artifacts-dir", str(run.folder.parent), *ctx.next_options)
    error.details["to_adopt"] = nextstep.quoted(nextstep.command("task_status.py", "--task-id", "ID", *base))
    error.details["to_close"] = nextstep.quoted(nextstep.command("task_status.py", "--resolve", "not-created", *base))
    ctx.reporter.people(results.summary(run, state))
    finishing.keep_unread_line(ctx, run)
    return ctx.reporter.error(
        error,
        next_argv=None,
        status="unknown",
        provider=run.provider,
        run_id=run.run_id,
        artifacts_dir=str(run.folder),
    )


def candidates(session: Session, run: Run, state: RunState) -> list[dict[str, Any]]:
    """Tasks of the same model, created about when the request was sent, by the server's own clock.

    How far that clock is from ours is best known from the lost answer's own Date, else from the list's.
    """
    items, now_there = listed(session)
    ctx = session.ctx
    answered = epoch_of(state.answered_at)
    if state.server_date is not None and answered is not None:
        skew = state.server_date - answered
    else:
        skew = now_there - ctx.clock() if now_there is not None else 0.0
    sent = epoch_of(state.submitting_at) or run.created_at
    spec = session.profile.list
    assert spec is not None
    model = run.request.get("model")
    found = []
    for item in items:
        created = values.first_time((spec.created_at,), item)
        if created is None or not (sent + skew - BEFORE_S <= created <= sent + skew + AFTER_S):
            continue
        told = paths.first_string((spec.model,), item)
        if model and told and told != model:
            continue
        shown = _shown(session, item, created, told)
        if ctx.store.by_task(shown["task_id"], mode=ctx.mode, origin=session.origin) is None:  # else another run's
            found.append(shown)
    return found[:MAX_CANDIDATES]


def listed(session: Session, limit: int = 200) -> tuple[list[Any], float | None]:
    """The provider's newest tasks (raw items) and the server's own time. Raises TaskError."""
    spec = session.profile.list
    if spec is None:
        raise TaskError(
            Category.CONFIGURATION,
            f"{session.profile.title} lists no tasks by API key",
            expected="--list without --remote, for the runs of this workspace",
        )
    provider, client = session.provider, session.provider.client()
    try:
        answer = session.ctx.mailbox.call(
            lambda: provider.get_answer(spec.path, client=client, query=spec.query), timeout=40.0
        )
    except CallTimedOut:
        raise TaskError(Category.TRANSIENT, "the list of tasks did not come in time") from None
    finally:
        client.close()
    items = paths.values(spec.items, answer.json())
    return list(items)[:limit], server_date(answer.headers.get("date"))


def _shown(session: Session, item: Any, created: float | None, model: str | None) -> dict[str, Any]:
    spec = session.profile.list
    assert spec is not None
    task_id = paths.evaluate(spec.id, item)
    status = paths.first_string((spec.status,), item)
    return {
        "task_id": inert(str(task_id), 256),
        "provider_status": inert(status, 60) if status else None,
        "model": inert(model, 100) if model else None,
        "created_at": iso(created) if created is not None else None,
    }


def shown_items(session: Session, items: list[Any]) -> list[dict[str, Any]]:
    """Raw list items as --remote prints them."""
    spec = session.profile.list
    assert spec is not None
    return [
        _shown(session, item, values.first_time((spec.created_at,), item), paths.first_string((spec.model,), item))
        for item in items
    ]
