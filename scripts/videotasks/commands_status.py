"""The task_status command: one look, adopt, resolve, cancel, download, list. It never creates anything."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from videotasks import files, finishing, looking, origins
from videotasks.commandline import Session, open_session, with_limits
from videotasks.mailbox import Interrupted
from videotasks.models import Category, ExitCode, TaskError, configuration_error
from videotasks.provider import Look, TaskRef
from videotasks.runs import Run, RunStore, age_text
from videotasks.workspace import artifacts_root

FROM_LIMIT = 5_000_000


def task_status(args: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    check_options(args)
    if args.list or args.refresh:
        from videotasks import listing

        return listing.list_runs(args) if args.list else listing.refresh(args)
    task_id = args.task_id or args.id
    store = RunStore(artifacts_root(args.artifacts_dir))
    if args.from_file:
        task_id, told = read_foreign_result(args.from_file)
        args.provider = args.provider or told
    run: Run | None = None
    note: dict[str, Any] = {}
    if args.latest:
        run, note = find_latest(store, args)
    elif args.run_id:
        run = store.open(args.run_id)
    elif task_id is not None:
        run = run_of_task(store, task_id, args)
    else:
        raise looking.need_one("task_status.py")
    if args.provider is None and run is not None:
        args.provider = looking.provider_of_run(store, run.run_id)
    profile = looking.session_profile(args, run)
    named = bool(args.latest or args.run_id)
    with open_session(args, needs_key=needs_key(args, run if named else None), profile=profile) as session:
        with_limits(session.ctx, wait_s=args.timeout)
        session.ctx.download = args.download or (args.wait and not args.no_download) or bool(args.output)
        look: Look | None = None
        try:
            if run is not None and named:
                looking.require_same_place(session, run)
                if task_id:
                    adopt(session, run, task_id)
            else:
                run = session.ctx.store.by_task(str(task_id), mode=session.ctx.mode, origin=session.origin)
                if run is None and not args.wait:
                    run, look = looking.look_at_stranger(session, str(task_id))
                elif run is None:
                    run = looking.run_for_task(session, str(task_id))
            if note:
                session.ctx.reporter.people(f"latest run: {run.run_id} ({note['age']} old): {run.prompt[:60]}")
            return act(session, run, args, note, look)
        except Interrupted as stop:
            from videotasks.going_on import report_interrupted

            return report_interrupted(session.ctx, run, stop.signum)
        except TaskError as error:
            next_argv = None
            if error.category is Category.TRANSIENT:
                next_argv = _look_again(session, run, task_id)
            return finishing.finish_error(session.ctx, run, error, next_argv=next_argv)
        except OSError as error:
            return finishing.disk_refused(session.ctx, run, error)


def check_options(args: argparse.Namespace) -> None:
    """What does not go together. Raises TaskError before anything is read or sent."""
    if args.id and args.task_id and args.id != args.task_id:
        raise configuration_error("two task ids are given", expected="one")
    a_task = bool(args.id or args.task_id)
    if sum([a_task and not args.run_id, bool(args.run_id), args.latest, bool(args.from_file)]) > 1:
        raise configuration_error(
            "several of TASK_ID, --run-id, --latest and --from are given",
            expected="one of them (--run-id with --task-id adopts the id into that run)",
        )
    actions = [name for name in ("wait", "download", "cancel", "resolve", "list", "refresh") if getattr(args, name)]
    if len(actions) > 1 and set(actions) not in ({"wait", "download"}, {"list", "refresh"}):
        raise configuration_error(
            "these do not go together: " + ", ".join("--" + name for name in actions), expected="one of them"
        )
    filters = [name for name in ("remote", "status", "since", "limit") if getattr(args, name) not in (None, False)]
    if filters and not args.list:
        raise configuration_error(f"--{filters[0]} goes with --list", expected="--list as well")
    if (args.list or args.refresh) and (a_task or args.run_id or args.latest or args.from_file):
        raise configuration_error("--list and --refresh are about all runs", expected="no task or run named")


def _look_again(session: Session, run: Run | None, task_id: str | None) -> list[str] | None:
    if run is not None:
        return finishing.follow_up(session.ctx, run, "task_status.py")
    from videotasks import nextstep

    options = session.ctx.next_options
    provider = () if "--provider" in options else ("--provider", session.profile.name)
    root = ("--artifacts-dir", str(session.ctx.store.root))
    return nextstep.command("task_status.py", "--task-id", str(task_id), *provider, *root, *options)


def act(session: Session, run: Run, args: argparse.Namespace, note: dict[str, Any], look: Look | None) -> int:
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
        from videotasks.cancelling import cancel

        return cancel(session, run)
    if args.wait or ctx.download:
        deadline = ctx.monotonic() + args.timeout
        if not args.wait and not state.ended:
            looking.take_in_if_any(session, run)
            if not run.state().ended:
                return looking.report_status(session, run, **note_fields(note))
        from videotasks.going_on import go_on_with_run

        return go_on_with_run(session, run, deadline=deadline, attached=False)
    return looking.look_once(session, run, look, **note_fields(note))


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
    refused = state.phase == "refused" and not state.closed_by_user
    return session.ctx.reporter.final(
        "status",
        ExitCode.TASK_ENDED if refused else ExitCode.OK,
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


# -- which run -----------------------------------------------------------------------------------------------------


def find_latest(store: RunStore, args: argparse.Namespace) -> tuple[Run, dict[str, Any]]:
    """--latest: the newest run, and what to say about it."""
    import time

    found = looking.latest(store, args)
    if found is None:
        raise configuration_error(
            f"there is no {'sandbox' if args.sandbox else 'earlier'} run under {store.root}",
            expected="a task id, or a run that was made here",
            hint="ask the user for the task id" if args.sandbox else "rehearsals are found only with --sandbox",
            code="missing_task_id",
        )
    run, others = found
    age = age_text(time.time() - run.created_at)
    return run, {"age": age, "prompt_start": run.prompt[:60], "other_unfinished": others}


def run_of_task(store: RunStore, task_id: str, args: argparse.Namespace) -> Run | None:
    """The run of a bare id by the workspace; None when no run knows it."""
    origins.require_task_id(task_id)
    runs = store.by_task_anywhere(task_id, mode="sandbox" if args.sandbox else "real")
    runs = [run for run in runs if args.provider in (None, run.provider)]
    names = {run.provider for run in runs}
    if len(names) > 1:
        raise configuration_error(
            "that task id is known for several providers: " + ", ".join(sorted(names)), expected="--provider NAME"
        )
    return runs[0] if runs else None


def needs_key(args: argparse.Namespace, run: Run | None) -> bool:
    """A run that has ended and is on disk can be shown without any key."""
    if args.resolve:
        return False
    if run is None or args.download or args.cancel or args.wait or args.task_id:
        return True
    state = run.state()
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
