"""The task_status command: one look, adopt, resolve, cancel, download, list. It never creates anything."""

from __future__ import annotations

import argparse
from typing import Any

from videotasks.cli.request_options import session_options
from videotasks.core.errors import TaskError, configuration_error
from videotasks.core.record import replace
from videotasks.core.task import Outcome, Phase
from videotasks.lifecycle import check_status, final_line
from videotasks.lifecycle.free_calls import PASSING
from videotasks.lifecycle.open_session import last_line, open_session, with_limits
from videotasks.lifecycle.select_run import (
    find_latest,
    need_one,
    read_foreign_result,
    require_same_place,
    run_of_task,
    session_profile,
    with_provider_of,
)
from videotasks.lifecycle.session import Session
from videotasks.lifecycle.verify_run import end_unverified
from videotasks.providers.provider import Look
from videotasks.runs.store import Run, RunStore
from videotasks.runs.workspace import artifacts_root

LOOK_AGAIN_S = 30  # after a fault that half a minute of asking did not get past
WAIT_S = 100.0  # with --wait or --download, unless the user says otherwise


def task_status(args: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    check_options(args)
    if args.report:
        from videotasks.cli.report_run import report_run

        return report_run(args)
    if args.list or args.refresh:
        from videotasks.cli import list_runs

        return list_runs.list_runs(args) if args.list else list_runs.refresh(args)
    options = session_options(args)
    task_id = args.task_id or args.id
    store = RunStore(artifacts_root(args.artifacts_dir))
    if args.from_file:
        task_id, told = read_foreign_result(args.from_file)
        options = replace(options, provider=options.provider or told)
    run: Run | None = None
    note: dict[str, Any] = {}
    if args.latest:
        run, note = find_latest(store, options)
    elif args.run_id:
        run = store.open(args.run_id)
    elif task_id is not None:
        run = run_of_task(store, task_id, options)
    else:
        raise need_one("a task id, --run-id, --latest, --from FILE or --list", options)
    options = with_provider_of(options, run)
    profile = session_profile(options, run)
    named = bool(args.latest or args.run_id)
    with open_session(options, needs_key=needs_key(args, run if named else None), profile=profile) as session:
        with_limits(session.ctx, wait_s=args.timeout or WAIT_S)
        session.ctx.download = args.download or (args.wait and not args.no_download) or bool(args.output)
        look: Look | None = None
        with last_line(session.ctx) as end:
            end.run = run
            end.next_after = lambda error: _look_again(session, end.run, task_id, error)
            if run is not None and named:
                require_same_place(session, run)
                if task_id:
                    from videotasks.lifecycle.reconcile import adopt

                    adopt(session, run, task_id)
            else:
                run = session.ctx.store.by_task(str(task_id), mode=session.ctx.mode, origin=session.origin)
                if run is None and not args.wait:
                    run, look, unanswered = check_status.look_at_stranger(session, str(task_id))
                    end.run = run
                    if unanswered is not None:
                        raise unanswered
                elif run is None:
                    run = check_status.run_for_task(session, str(task_id))
            end.run = run
            if note:
                session.ctx.reporter.people(f"latest run: {run.run_id} ({note['age']} old): {run.prompt[:60]}")
            end.code = act(session, run, args, note, look)
        return end.code


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
    actions = [
        name for name in ("wait", "download", "cancel", "resolve", "list", "refresh", "report") if getattr(args, name)
    ]
    if len(actions) > 1 and set(actions) not in ({"wait", "download"}, {"list", "refresh"}):
        raise configuration_error(
            "these do not go together: " + ", ".join("--" + name for name in actions), expected="one of them"
        )
    filters = [name for name in ("remote", "status", "since", "limit") if getattr(args, name) not in (None, False)]
    if filters and not args.list:
        raise configuration_error(f"--{filters[0]} goes with --list", expected="--list as well")
    if args.with_inputs and not args.report:
        raise configuration_error("--with-inputs goes with --report", expected="--report RUN as well")
    if args.report and (a_task or args.run_id or args.latest or args.from_file):
        raise configuration_error("--report names its run itself", expected="--report RUN alone")
    if (args.list or args.refresh) and (a_task or args.run_id or args.latest or args.from_file):
        raise configuration_error("--list and --refresh are about all runs", expected="no task or run named")


def _look_again(session: Session, run: Run | None, task_id: str | None, error: TaskError) -> list[str] | None:
    """After a passing fault: the same look, and when."""
    if error.category not in PASSING:
        return None
    error.details.setdefault("look_again_in_s", round(error.details.get("retry_after_s") or LOOK_AGAIN_S))
    if run is not None:
        return final_line.look_at(session.ctx, run)
    return session.ctx.asked.look("--task-id", str(task_id))


def act(session: Session, run: Run, args: argparse.Namespace, note: dict[str, Any], look: Look | None) -> int:
    """What was asked of one run."""
    ctx, state = session.ctx, run.state()
    if args.resolve or state.task_id is None:
        from videotasks.lifecycle.reconcile import report_taskless, resolve, settle_unknown

        if args.resolve:
            return resolve(session, run)
        return settle_unknown(session, run) if state.phase.in_doubt else report_taskless(session, run)
    if (code := end_unverified(session, run)) is not None:
        return code
    state = run.state()
    if args.cancel:
        from videotasks.lifecycle.cancel import cancel

        return cancel(session, run)
    if args.wait or ctx.download:
        deadline = ctx.monotonic() + (args.timeout or WAIT_S)
        if not args.wait and not state.ended:
            check_status.take_in_if_any(session, run, look)
            if not run.state().ended:
                return check_status.report_status(session, run, **note_fields(note))
        from videotasks.lifecycle.resume import go_on_with_run

        return go_on_with_run(session, run, deadline=deadline, attached=False)
    return check_status.look_once(session, run, look, **note_fields(note))


def note_fields(note: dict[str, Any]) -> dict[str, Any]:
    return {"latest": note} if note else {}


def needs_key(args: argparse.Namespace, run: Run | None) -> bool:
    """A run that has ended and is on disk can be shown without any key."""
    if args.resolve:
        return False
    if run is None or args.download or args.cancel or args.wait or args.task_id:
        return True
    state = run.state()
    return not (state.ended and state.outcome is not Outcome.NO_RESULT) and state.phase not in (
        Phase.REFUSED,
        Phase.NEW,
    )
