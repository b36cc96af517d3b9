"""The wait_generation command: one task or many, to their ends, in one quiet call."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import Any

from videotasks import finishing, listing, looking
from videotasks.commandline import Session, open_session, with_limits
from videotasks.commands_status import find_latest, provider_of_task
from videotasks.going_on import go_on_with_run, report_interrupted
from videotasks.lookup import settle_unknown
from videotasks.mailbox import Interrupted
from videotasks.models import ExitCode, TaskError, configuration_error
from videotasks.provider import TaskRef
from videotasks.runs import Run, RunStore, epoch_of
from videotasks.waiting import Waiter, Watched
from videotasks.workspace import artifacts_root


def wait_generation(args: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    task_id = args.generation_id
    run_ids = list(dict.fromkeys(args.run_id))
    if sum([bool(task_id), bool(run_ids), args.latest, args.all_unfinished]) != 1:
        if task_id or run_ids or args.latest or args.all_unfinished:
            raise configuration_error(
                "several of --generation-id, --run-id, --latest and --all-unfinished are given", expected="one of them"
            )
        raise looking.need_one("task_status.py")
    store = RunStore(artifacts_root(args.artifacts_dir))
    if args.latest:
        run_ids = [find_latest(store, args)[0]]
    if len(run_ids) > 1 or args.all_unfinished:
        return _wait_for_many(args, store, run_ids)
    provider = args.provider
    if provider is None:
        if run_ids:
            store.open(run_ids[0])
            provider = looking.provider_of_run(store, run_ids[0])
        else:
            provider = provider_of_task(store, str(task_id), args)
    args.provider = provider
    with open_session(args) as session:
        _limits(session, args)
        ctx = session.ctx
        deadline = ctx.monotonic() + args.timeout
        run: Run | None = None
        try:
            run = looking.open_run(session, run_ids[0]) if run_ids else looking.run_for_task(session, str(task_id))
            state = run.state()
            if state.task_id is None:
                if state.phase in ("submission_unknown", "submitting"):
                    return settle_unknown(session, run)
                raise configuration_error(
                    f"the run {run.run_id} has no task to wait for", hint="look at it with task_status.py"
                )
            return go_on_with_run(session, run, deadline=deadline, attached=False)
        except Interrupted as stop:
            return report_interrupted(ctx, run, stop.signum)
        except TaskError as error:
            return finishing.finish_error(ctx, run, error)
        except OSError as error:
            return finishing.disk_refused(ctx, run, error)


def _limits(session: Session, args: argparse.Namespace) -> None:
    with_limits(session.ctx, wait_s=args.timeout, poll_interval_s=args.interval, poll_request_s=args.request_timeout)


def _wait_for_many(args: argparse.Namespace, store: RunStore, run_ids: list[str]) -> int:
    """All of them in one loop; each session keeps its own origin and key, all share one mailbox."""
    mode = "sandbox" if args.sandbox else "real"
    if args.all_unfinished:
        runs = [r for r in store.runs() if r.mode == mode and r.state().unfinished and r.state().task_id]
        runs = [r for r in runs if not args.provider or r.provider == args.provider]
    else:
        runs = [store.open(run_id) for run_id in run_ids]
    if not runs:
        from videotasks.reporting import Reporter

        Reporter().people("no unfinished run")
        return Reporter(sandbox=args.sandbox).final("list", ExitCode.OK, total=0, unfinished=0, runs=[])
    chosen = args.provider
    with ExitStack() as stack:
        sessions: dict[str, Session] = {}
        trouble: list[dict[str, Any]] = []
        watched: list[Watched] = []
        for run in runs:
            name = chosen or looking.provider_of_run(store, run.run_id)
            try:
                session = sessions.get(str(name)) or _open(stack, args, str(name) if name else None, sessions)
                looking.require_same_place(session, run)
            except TaskError as error:
                trouble.append({"run_id": run.run_id, "message": error.message})
                continue
            state = run.state()
            if state.task_id is None:
                trouble.append({"run_id": run.run_id, "message": "no task id: look with task_status.py"})
                continue
            if state.ended and state.outcome != "no_result":
                continue
            submitted = epoch_of(state.submitted_at)
            age = max(session.ctx.clock() - submitted, 0.0) if submitted is not None else None
            watched.append(Watched(run, session.provider, TaskRef(state.task_id, state.follow), age_s=age))
        if not sessions:
            raise configuration_error(trouble[0]["message"] if trouble else "no run can be waited for")
        ctx = next(iter(sessions.values())).ctx
        return _finish_many(ctx, sessions, runs, watched, trouble, args)


def _open(stack: ExitStack, args: argparse.Namespace, name: str | None, sessions: dict[str, Session]) -> Session:
    args.provider = name
    # One mailbox for all: signals and answers arrive in one place.
    mailbox = next(iter(sessions.values())).ctx.mailbox if sessions else None
    session = stack.enter_context(open_session(args, mailbox=mailbox))
    _limits(session, args)
    sessions[str(name)] = session
    return session


def _finish_many(
    ctx: Any,
    sessions: dict[str, Session],
    runs: list[Run],
    watched: list[Watched],
    trouble: list[dict[str, Any]],
    args: argparse.Namespace,
) -> int:
    deadline = ctx.monotonic() + args.timeout
    interrupted: int | None = None
    try:
        try:
            Waiter(ctx, watched).run(deadline)
        finally:
            for task in watched:  # an interrupt must not undo what others have come to
                if task.ending is not None:
                    finishing.record_ending(ctx, task.run, task.provider, task.ending)
        for task in watched:
            assert task.ending is not None
            if task.ending.outcome == "refused" and task.ending.error is not None:
                trouble.append({"run_id": task.run.run_id, "category": task.ending.error.category.value})
            if task.ending.outcome == "succeeded" and ctx.download:
                failure = _fetch(ctx, task, deadline)
                if failure is not None:
                    trouble.append({"run_id": task.run.run_id, "message": failure.message})
    except Interrupted as stop:
        interrupted = stop.signum
    rows = [listing.row(run, run.state()) for run in runs]
    code = _exit_code(runs, trouble, interrupted)
    left = [run for run in runs if run.state().unfinished and run.state().task_id]
    next_argv = None
    if left:
        from videotasks import nextstep

        options = (
            ("--all-unfinished",) if args.all_unfinished else tuple(w for r in left for w in ("--run-id", r.run_id))
        )
        next_argv = nextstep.command(
            "wait_generation.py",
            *options,
            "--timeout",
            f"{args.timeout:g}",
            "--artifacts-dir",
            str(ctx.store.root),
            *(("--sandbox",) if args.sandbox else ()),
        )
    ctx.reporter.final(
        "interrupted" if interrupted is not None else ("timeout" if code == ExitCode.NOT_FINISHED else "list"),
        code,
        next_argv=next_argv,
        total=len(runs),
        unfinished=len(left),
        trouble=listing.within(trouble, 1000),
        runs=listing.within(rows, 5000),
    )
    for run in runs:
        state = run.state()
        if state.ended and not state.reported:
            finishing.mark_reported(ctx, run, state.outcome or "", code)
    return code


def _fetch(ctx: Any, task: Watched, deadline: float) -> TaskError | None:
    """The files of one of many; what is in the way of one must not stop the others."""
    from videotasks import fetching

    try:
        failure = fetching.fetch_all(ctx, task.run, task.provider, deadline=deadline)
    except TaskError as error:
        failure = error
    finishing.write_results(ctx, task.run)
    return failure


def _exit_code(runs: list[Run], trouble: list[dict[str, Any]], interrupted: int | None) -> int:
    """The worst of all: interrupted, unfinished, failed, without a file; 0 only when every one has its result."""
    import signal

    if interrupted is not None:
        return int(ExitCode.SIGTERM if interrupted == getattr(signal, "SIGTERM", 15) else ExitCode.SIGINT)
    states = [run.state() for run in runs]
    if any(state.unfinished and state.task_id for state in states):
        refused = any("category" in entry for entry in trouble)
        return int(ExitCode.POLL_REFUSED if refused else ExitCode.NOT_FINISHED)
    if any(state.unfinished for state in states):
        return int(ExitCode.SUBMISSION_UNKNOWN)
    if any(state.outcome in ("failed", "cancelled", "expired") or state.phase == "refused" for state in states):
        return int(ExitCode.TASK_ENDED)
    if trouble or any(state.outcome == "no_result" for state in states):
        return int(ExitCode.NO_RESULT)
    return int(ExitCode.OK)
