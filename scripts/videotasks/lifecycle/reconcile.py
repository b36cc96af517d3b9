"""After a lost answer: what the provider's list shows around that moment, and how a person settles it."""

from __future__ import annotations

from typing import Any

from videotasks.core.errors import Category, ExitCode, TaskError, configuration_error
from videotasks.core.safe_text import inert
from videotasks.core.task import MAX_ID, Phase, Status, require_task_id
from videotasks.core.times import epoch_of, iso
from videotasks.formats import jmespath_eval, scalars
from videotasks.lifecycle import check_status, final_line
from videotasks.lifecycle.create_answer import server_date
from videotasks.lifecycle.create_or_attach import DEAD_SENDER
from videotasks.lifecycle.outcome import write_results
from videotasks.lifecycle.session import Session
from videotasks.lifecycle.submit import submission_unknown
from videotasks.output.next_command import quoted
from videotasks.providers.profile import ListSpec, Profile
from videotasks.providers.provider import TaskRef, refusal
from videotasks.runs import results
from videotasks.runs.claims import Sender
from videotasks.runs.journal import RunState
from videotasks.runs.store import Run

BEFORE_S = 5.0  # clocks of one server differ a little from machine to machine
AFTER_S = 300.0  # a request that hung is created late
MAX_CANDIDATES = 8


def settle_unknown(session: Session, run: Run) -> int:
    """Report a run whose submission is unknown: candidates where the provider lists tasks, else where to look."""
    ctx, profile = session.ctx, session.profile
    place: dict[str, Any] = {"run_id": run.run_id, "artifacts_dir": str(run.folder)}
    if _being_sent(session, run):
        summary = "The request is being sent right now by another process."
        return ctx.reporter.final("status", ExitCode.OK, status="unknown", **place, summary=summary, look_again_in_s=5)
    if found_by_itself(session, run):
        return check_status.look_once(session, run)
    state, error = run.state(), submission_unknown("its answer was lost")
    if profile.list is None:
        error.details["lookup"] = "this provider lists no tasks by API key"
        if profile.links.dashboard:
            error.details["look_at"] = profile.links.dashboard
    else:
        try:
            found = error.details["candidates"] = candidates(session, run, state)
            error.details["lookup"] = f"{len(found)} candidate(s) by model and time; none is adopted by itself"
        except TaskError as problem:
            ctx.reporter.people(f"the list of tasks could not be asked for: {problem.message}")
            error.details["lookup"] = "failed"
    if state.ids_in_answer:
        error.details["ids_in_answer"] = [inert(value, 300) for value in state.ids_in_answer]
    error.details["to_adopt"] = quoted(ctx.asked.settle("--task-id", "ID", "--run-id", run.run_id))
    error.details["to_close"] = quoted(ctx.asked.settle("--resolve", "not-created", "--run-id", run.run_id))
    ctx.reporter.people(results.summary(run, state))
    final_line.keep_unread_line(ctx, run)
    return ctx.reporter.error(error, status="unknown", provider=run.provider, **place)


def found_by_itself(session: Session, run: Run) -> bool:
    """Whether a run in doubt has a task by now without anybody's word: by the value that it alone had sent.

    The API is to show a task under it (profile `idempotency`: lookup). A run whose sender is gone is noted as in doubt.
    Raises TaskError.
    """
    if _being_sent(session, run):
        return False
    if run.state().phase is Phase.SUBMITTING:
        session.ctx.record(run, "submission_unknown", reason=DEAD_SENDER)
    write_results(session.ctx, run)
    state = run.state()
    spec, made = session.profile.idempotency, state.follow.get("uuid")
    if spec is None or spec.on_reuse != "lookup" or made is None:
        return False
    try:
        look = check_status.ask(session, TaskRef(made, state.follow))
        if look.snapshot is None or look.snapshot.status is Status.UNKNOWN:
            return False
        adopt(session, run, made)
    except TaskError:
        return False
    return True


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
        created = _created_at(session.profile, spec, item)
        if created is None or not (sent + skew - BEFORE_S <= created <= sent + skew + AFTER_S):
            continue
        told = jmespath_eval.first_string((spec.model,), item)
        if model and told and told != model:
            continue
        found.append(_shown(spec, item, created))
    others = ctx.store.by_tasks([shown["task_id"] for shown in found], mode=ctx.mode, origin=session.origin)
    return [shown for shown in found if shown["task_id"] not in others][:MAX_CANDIDATES]


def listed(session: Session, limit: int = 200) -> tuple[list[Any], float | None]:
    """The provider's newest tasks (raw items) and the server's own time. Raises TaskError."""
    spec = session.profile.list
    if spec is None:
        raise TaskError(
            Category.CONFIGURATION,
            f"{session.profile.title} lists no tasks by API key",
            expected="--list without --remote, for the runs of this workspace",
        )
    answer = session.ask(
        lambda client: session.provider.get_answer(
            spec.path, client=client, query=spec.query, method=spec.method, json_body=spec.body
        ),
        40.0,
        what="list",
        patient=True,
    )
    items = jmespath_eval.values(spec.items, answer.json())
    return list(items)[:limit], server_date(answer.headers.get("date"))


def _created_at(profile: Profile, spec: ListSpec, item: Any) -> float | None:
    return scalars.first_time((spec.created_at,), item, profile.times.zone)


def _shown(spec: ListSpec, item: Any, created: float | None) -> dict[str, Any]:
    task_id = jmespath_eval.evaluate(spec.id, item)
    status, model = (jmespath_eval.first_string((path,), item) for path in (spec.status, spec.model))
    return {
        "task_id": inert(str(task_id), MAX_ID),
        "provider_status": inert(status, 60) if status else None,
        "model": inert(model, 100) if model else None,
        "created_at": iso(created) if created is not None else None,
    }


def shown_items(session: Session, items: list[Any]) -> list[dict[str, Any]]:
    """Raw list items as --remote prints them."""
    spec = session.profile.list
    assert spec is not None
    return [_shown(spec, item, _created_at(session.profile, spec, item)) for item in items]


def report_taskless(session: Session, run: Run) -> int:
    """A run without a task: refused, closed by the user, or never sent."""
    state = run.state()
    write_results(session.ctx, run)
    summary = results.summary(run, state)
    if state.phase is Phase.NEW:
        summary = "This request was never sent; nothing was created."
    refused = state.phase is Phase.REFUSED and not state.closed_by_user
    return session.ctx.reporter.final(
        "status",
        ExitCode.TASK_ENDED if refused else ExitCode.OK,
        run_id=run.run_id,
        provider=run.provider,
        task_id=None,
        status="unknown" if state.phase is Phase.NEW else "failed",
        outcome=state.phase,
        summary=summary,
        error=state.error,
        artifacts_dir=str(run.folder),
    )


def adopt(session: Session, run: Run, task_id: str) -> None:
    """Give a run whose answer was lost the task id that a person found."""
    task_id = require_task_id(task_id)
    state = run.state()
    if state.task_id == task_id:
        return
    if state.task_id is not None:
        told = f"the run {run.run_id} already has the task {state.task_id}"
        raise configuration_error(told, expected="a run without a task")
    if not state.phase.in_doubt:
        raise configuration_error(f"the run {run.run_id} is not in doubt", expected="a run whose answer was lost")
    other = session.ctx.store.by_task(task_id, mode=session.ctx.mode, origin=session.origin)
    if other is not None and other.run_id != run.run_id:
        raise configuration_error(f"that task belongs to the run {other.run_id}", expected="a task without a run")
    look = check_status.ask(session, TaskRef(task_id, state.follow))
    if look.snapshot is None and look.final_refusal:
        assert look.error is not None
        raise refusal(look.error)
    _stop_sender(session, run)
    found = run.state().task_id
    if found is not None and found != task_id:
        raise configuration_error(f"the run {run.run_id} has the task {found} by now", expected="no adoption")
    run.record("adopted", session.ctx.clock(), task_id=task_id, kind=session.profile.kind)


def resolve(session: Session, run: Run) -> int:
    """--resolve not-created: the user looked, and says that nothing was created."""
    _stop_sender(session, run)
    state, expected = run.state(), "a run whose answer was lost"
    if state.task_id is not None:
        raise configuration_error(f"the run {run.run_id} has the task {state.task_id}", expected=expected)
    if not state.phase.in_doubt:
        raise configuration_error(f"the run {run.run_id} is not in doubt", expected=expected)
    run.record("resolved", session.ctx.clock(), how="not_created")
    return report_taskless(session, run)


def _stop_sender(session: Session, run: Run) -> None:
    """Before a run in doubt is settled: its sender, should it only be suspended, must not send afterwards."""
    if _being_sent(session, run):
        raise configuration_error(
            f"the run {run.run_id} is being sent right now by another process", expected="the end of that command"
        )
    session.ctx.store.claims.settle(_keys(run), run.run_id)


def _being_sent(session: Session, run: Run) -> bool:
    sender = session.ctx.store.claims.sender_of_run(_keys(run), run.run_id)
    return run.state().phase is Phase.SUBMITTING and sender is Sender.BUSY


def _keys(run: Run) -> tuple[str, ...]:
    return tuple(str(run.request[name]) for name in ("intent", "identity") if isinstance(run.request.get(name), str))
