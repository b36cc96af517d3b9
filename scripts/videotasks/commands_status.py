"""The task_status command: one look, adopt, resolve, cancel, download, list. It never creates anything."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from videotasks import files, finishing, looking, origins
from videotasks.commandline import Session, open_session, with_limits
from videotasks.mailbox import Interrupted
from videotasks.models import Category, ExitCode, Status, TaskError, configuration_error
from videotasks.provider import TaskRef
from videotasks.runs import Run, RunStore, age_text
from videotasks.workspace import artifacts_root

FROM_LIMIT = 5_000_000


def task_status(args: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    if args.id and args.task_id:
        raise configuration_error("two task ids are given", expected="one")
    task_id = args.task_id or args.id
    if args.list or args.refresh:
        from videotasks import listing

        return listing.list_runs(args) if args.list else listing.refresh(args)
    store = RunStore(artifacts_root(args.artifacts_dir))
    provider = args.provider
    if args.from_file:
        task_id, told = read_foreign_result(args.from_file)
        provider = provider or told
    run_id: str | None = args.run_id
    note: dict[str, Any] = {}
    if args.latest:
        run_id, note = find_latest(store, args)
    if run_id is None and task_id is None:
        raise looking.need_one("task_status.py")
    if provider is None and run_id is not None:
        store.open(run_id)
        provider = looking.provider_of_run(store, run_id)
    if provider is None and task_id is not None:
        provider = provider_of_task(store, task_id, args)
    args.provider = provider
    with open_session(args, needs_key=needs_key(args, store, run_id)) as session:
        with_limits(session.ctx, wait_s=args.timeout)
        session.ctx.download = args.download or (args.wait and not args.no_download) or bool(args.output)
        run: Run | None = None
        try:
            run = looking.open_run(session, run_id) if run_id else looking.run_for_task(session, str(task_id))
            if run_id and task_id:
                adopt(session, run, task_id)
            if note:
                session.ctx.reporter.people(f"latest run: {run.run_id} ({note['age']} old): {run.prompt[:60]}")
            return act(session, run, args, note)
        except Interrupted as stop:
            from videotasks.going_on import report_interrupted

            return report_interrupted(session.ctx, run, stop.signum)
        except TaskError as error:
            next_argv = None
            if run is not None and error.category is Category.TRANSIENT:
                next_argv = finishing.follow_up(session.ctx, run, "task_status.py")
            return finishing.finish_error(session.ctx, run, error, next_argv=next_argv)
        except OSError as error:
            return finishing.disk_refused(session.ctx, run, error)


def act(session: Session, run: Run, args: argparse.Namespace, note: dict[str, Any]) -> int:
    """What was asked of one run."""
    ctx, state = session.ctx, run.state()
    if args.resolve:
        return resolve(session, run)
    if state.task_id is None:
        if state.phase in ("submission_unknown", "submitting"):
            from videotasks.lookup import settle_unknown

            return settle_unknown(session, run)
        return report_taskless(session, run)
    if args.cancel:
        return cancel(session, run)
    if args.wait or ctx.download:
        deadline = ctx.monotonic() + args.timeout
        if not args.wait and not state.ended:
            looking.take_in_if_any(session, run)
            if not run.state().ended:
                return looking.report_status(session, run, **note_fields(note))
        from videotasks.going_on import go_on_with_run

        return go_on_with_run(session, run, deadline=deadline, attached=False)
    return looking.look_once(session, run, **note_fields(note))


def note_fields(note: dict[str, Any]) -> dict[str, Any]:
    return {"latest": note} if note else {}


def report_taskless(session: Session, run: Run) -> int:
    """A run without a task: refused, closed by the user, or never sent."""
    state = run.state()
    finishing.write_results(session.ctx, run)
    from videotasks import results

    summary = results.summary(run, state)
    if state.phase == "new":
        summary = "This request was never sent; nothing was created."
    return session.ctx.reporter.final(
        "status",
        ExitCode.OK,
        run_id=run.run_id,
        provider=run.provider,
        task_id=None,
        status="unknown" if state.phase == "new" else "failed",
        outcome=state.phase,
        summary=summary,
        error=state.error,
        artifacts_dir=str(run.folder),
    )


def adopt(session: Session, run: Run, task_id: str) -> None:
    """Give a run whose answer was lost the task id that a person found."""
    task_id = origins.require_task_id(task_id)
    state = run.state()
    if state.task_id == task_id:
        return
    if state.task_id is not None:
        raise configuration_error(
            f"the run {run.run_id} already has the task {state.task_id}", expected="a run without a task"
        )
    if state.phase not in ("submission_unknown", "submitting"):
        raise configuration_error(f"the run {run.run_id} is not in doubt", expected="a run whose answer was lost")
    other = session.ctx.store.by_task(task_id, mode=session.ctx.mode, origin=session.origin)
    if other is not None and other.run_id != run.run_id:
        raise configuration_error(f"that task belongs to the run {other.run_id}", expected="a task without a run")
    look = looking.ask(session, TaskRef(task_id))
    if look.snapshot is None and look.final_refusal:
        from videotasks.provider import refusal

        assert look.error is not None
        raise refusal(look.error)
    with in_doubt(session, run):
        found = run.state().task_id
        if found is not None and found != task_id:
            raise configuration_error(f"the run {run.run_id} has the task {found} by now", expected="no adoption")
        run.record("adopted", session.ctx.clock(), task_id=task_id, kind=session.profile.kind)


def resolve(session: Session, run: Run) -> int:
    """--resolve not-created: the user looked, and says that nothing was created."""
    with in_doubt(session, run):
        state = run.state()
        if state.task_id is not None:
            raise configuration_error(
                f"the run {run.run_id} has the task {state.task_id}", expected="a run whose answer was lost"
            )
        if state.phase not in ("submission_unknown", "submitting"):
            raise configuration_error(f"the run {run.run_id} is not in doubt", expected="a run whose answer was lost")
        run.record("resolved", session.ctx.clock(), how="not_created")
    return report_taskless(session, run)


@contextmanager
def in_doubt(session: Session, run: Run) -> Iterator[None]:
    """The lock of a run whose answer was lost; a process that still waits for that answer holds it."""
    lock = session.ctx.store.identity_lock(str(run.request.get("identity")))
    if not lock.try_acquire():
        raise configuration_error(
            f"the run {run.run_id} is being sent right now by another process", expected="the end of that command"
        )
    try:
        yield
    finally:
        lock.release()


def cancel(session: Session, run: Run) -> int:
    """Look first, then cancel only where that cannot destroy a finished record."""
    from videotasks.http import NoAnswer
    from videotasks.mailbox import CallTimedOut
    from videotasks.provider import no_answer_error, refusal

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
    ref = TaskRef(state.task_id, state.follow)
    if not state.ended:
        look = looking.ask(session, ref)
        if look.snapshot is None:
            raise refusal(look.error) if look.error else no_answer_error(NoAnswer("cut", look.reason, sent=True))
        looking.take_in(session, run, look)
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
            **_brief(run),
        )
    ctx.record(run, "cancel_requested")
    client = session.provider.client()
    try:
        answer = ctx.mailbox.call(lambda: session.provider.cancel(ref, client=client), timeout=30.0)
    except NoAnswer as silence:
        raise no_answer_error(silence) from None
    except CallTimedOut:
        raise no_answer_error(NoAnswer("timeout", "no complete answer to the cancel in time", sent=True)) from None
    finally:
        client.close()
    accepted = 200 <= answer.status < 300
    with suppress(TaskError):  # the cancel was answered; what has become of the task is asked once more by `next`
        look = looking.ask(session, TaskRef(ref.task_id, run.state().follow))
        if look.snapshot is not None:
            looking.take_in(session, run, look)
    state = run.state()
    done = state.status is Status.CANCELLED
    note = spec.refund_note
    ctx.reporter.people("cancelled" if done else "the cancel was sent; the task is still " + state.status.value)
    next_argv = None if state.ended else finishing.follow_up(ctx, run, "task_status.py")
    error = (
        None if accepted else {"category": "unknown", "message": f"the cancel was answered with HTTP {answer.status}"}
    )
    return ctx.reporter.final(
        "cancelled",
        ExitCode.OK if accepted else ExitCode.UNKNOWN,
        next_argv=next_argv,
        cancelled=done,
        refund=note,
        error=error,
        **_brief(run),
    )


def _brief(run: Run) -> dict[str, Any]:
    state = run.state()
    return {
        "task_id": state.task_id,
        "provider": run.provider,
        "status": state.status.value,
        "run_id": run.run_id,
        "artifacts_dir": str(run.folder),
    }


# -- which run -----------------------------------------------------------------------------------------------------


def find_latest(store: RunStore, args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """--latest: the newest run's id, and what to say about it."""
    import time

    mode = "sandbox" if args.sandbox else "real"
    found = looking.latest(store, mode=mode, provider=args.provider, origin=None)
    if found is None:
        raise configuration_error(
            f"there is no {'sandbox' if args.sandbox else 'earlier'} run under {store.root}",
            expected="a task id, or a run that was made here",
            hint="ask the user for the task id" if args.sandbox else "rehearsals are found only with --sandbox",
            code="missing_task_id",
        )
    run, others = found
    return run.run_id, {
        "run_id": run.run_id,
        "age": age_text(time.time() - run.created_at),
        "prompt_start": run.prompt[:60],
        "other_unfinished": others,
    }


def provider_of_task(store: RunStore, task_id: str, args: argparse.Namespace) -> str | None:
    """The provider of a bare id by the workspace; None when no run knows it."""
    origins.require_task_id(task_id)
    runs = store.by_task_anywhere(task_id, mode="sandbox" if args.sandbox else "real")
    names = {run.provider for run in runs}
    if len(names) > 1:
        raise configuration_error(
            "that task id is known for several providers: " + ", ".join(sorted(names)), expected="--provider NAME"
        )
    return looking.provider_of_run(store, runs[0].run_id) if runs else None


def needs_key(args: argparse.Namespace, store: RunStore, run_id: str | None) -> bool:
    """A run that has ended and is on disk can be shown without any key."""
    if args.resolve:
        return False
    if run_id is None or args.download or args.cancel or args.wait:
        return True
    state = store.open(run_id).state()
    return not (state.ended and state.outcome != "no_result") and state.phase not in ("refused", "new")


def read_foreign_result(path: str) -> tuple[str, str | None]:
    """Task id and provider name out of another tool's result.json: untrusted, so nothing else of it is used."""
    from videotasks.profiles import shipped_names

    document = files.read_json(files.user_path(path), FROM_LIMIT)
    if not isinstance(document, dict):
        raise configuration_error(f"{path} is no readable JSON object", expected="another run's result.json")
    for name in ("task_id", "generation_id", "id"):
        value = document.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip():
            provider = document.get("provider")
            known = provider if isinstance(provider, str) and provider in shipped_names() else None
            return origins.require_task_id(value), known
    raise configuration_error(f"{path} holds no task id", expected="task_id, generation_id or id in it")
