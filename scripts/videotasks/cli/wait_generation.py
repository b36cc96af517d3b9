"""The wait_generation command: one task or many, to their ends, in one quiet call."""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from typing import Any

from videotasks.cli import list_runs
from videotasks.cli.request_options import session_options
from videotasks.core.errors import ExitCode, TaskError, configuration_error
from videotasks.core.task import Outcome
from videotasks.core.workers import Interrupted
from videotasks.lifecycle import check_status, final_line, select_run
from videotasks.lifecycle.collect import Collector
from videotasks.lifecycle.open_session import SessionOptions, asked_of, last_line, open_session, with_limits
from videotasks.lifecycle.outcome import WORST_FIRST, Ending, exit_code_of
from videotasks.lifecycle.reconcile import settle_unknown
from videotasks.lifecycle.resume import go_on_with_run
from videotasks.lifecycle.session import Session
from videotasks.lifecycle.session_pool import RunSessions
from videotasks.lifecycle.verify_run import end_unverified, why_unverified
from videotasks.lifecycle.wait import Waiter
from videotasks.lifecycle.watched import Watched
from videotasks.output.reporter import within
from videotasks.providers.profile import Profile
from videotasks.providers.provider import TaskRef
from videotasks.runs import results
from videotasks.runs.journal import RunState
from videotasks.runs.outlines import Outline
from videotasks.runs.store import Run, RunStore
from videotasks.runs.workspace import artifacts_root

WAIT_S, REQUEST_S = 600.0, 20.0  # unless the user says otherwise (facts, peers 4.7)
FILES_ASKED_FOR_S = 7 * 86_400.0  # links of most APIs are dead by then
NEXT_RUNS = 12  # more run ids than this would not fit into a bounded `next`, which then waits for all unfinished ones


def wait_generation(args: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    options = session_options(args)
    task_id = args.generation_id
    run_ids = list(dict.fromkeys(args.run_id))
    named = sum([bool(task_id), bool(run_ids), args.latest, args.all_unfinished])
    if named > 1:
        raise configuration_error(
            "several of --generation-id, --run-id, --latest and --all-unfinished are given", expected="one of them"
        )
    if not named:
        raise select_run.need_one("a task id (--task-id), --run-id, --latest or --all-unfinished", options)
    store = RunStore(artifacts_root(args.artifacts_dir))
    known: Run | None = None
    if args.latest:
        known = select_run.find_latest(store, options)[0]
        run_ids = [known.run_id]
    if len(run_ids) > 1 or args.all_unfinished:
        return _wait_for_many(args, options, store, run_ids)
    if known is None:
        known = store.open(run_ids[0]) if run_ids else select_run.run_of_task(store, str(task_id), options)
    options = select_run.with_provider_of(options, known)
    profile = select_run.session_profile(options, known)
    with open_session(options, profile=profile) as session:
        _limits(session, args)
        ctx = session.ctx
        deadline = ctx.monotonic() + (args.timeout or WAIT_S)
        with last_line(ctx) as end:
            end.run = run = (
                select_run.open_run(session, run_ids[0])
                if run_ids
                else check_status.run_for_task(session, str(task_id))
            )
            state = run.state()
            if (code := end_unverified(session, run)) is not None:
                end.code = code
            elif state.task_id is not None:
                end.code = go_on_with_run(session, run, deadline=deadline, attached=False)
            elif state.phase.in_doubt:
                end.code = settle_unknown(session, run)
            else:
                raise configuration_error(
                    f"the run {run.run_id} has no task to wait for", hint="look at it with task_status.py"
                )
        return end.code


def _limits(session: Session, args: argparse.Namespace) -> None:
    with_limits(
        session.ctx,
        wait_s=args.timeout or WAIT_S,
        poll_interval_s=args.interval,
        poll_request_s=args.request_timeout or REQUEST_S,
    )


def _wait_for_many(args: argparse.Namespace, options: SessionOptions, store: RunStore, run_ids: list[str]) -> int:
    """All of them in one loop; each session keeps its own origin and key, all share one mailbox."""
    if args.output:
        raise configuration_error("--output is for one task", expected="the files in the runs' folders, or one run")
    runs: list[Run] = []
    trouble: list[dict[str, Any]] = []
    if args.all_unfinished:
        now = time.time()
        for outline in select_run.of_mode(store, options):
            asked = outline.may_be_waited_for or (not args.no_download and _awaits_its_file(store, outline, now))
            run = store.find(outline.run_id) if asked else None
            if run is not None:
                runs.append(run)
    for run_id in run_ids:
        try:
            runs.append(store.open(run_id))
        except TaskError as error:  # one folder that is gone must not end the wait for the others
            trouble.append({"run_id": run_id, "message": error.message})
    if trouble and not runs:
        raise configuration_error(trouble[0]["message"], expected="run ids that --list shows")
    if not runs:
        from videotasks.output.reporter import Reporter

        reporter = Reporter(sandbox=args.sandbox, text=args.text)
        reporter.people("no unfinished run")
        return reporter.final("list", ExitCode.OK, total=0, unfinished=0, runs=[])
    with RunSessions(options, on_open=lambda session: _limits(session, args)) as sessions:
        watched = sessions.watch(runs, trouble)
        if not sessions:
            raise configuration_error(trouble[0]["message"] if trouble else "no run can be waited for")
        return _finish_many(sessions, runs, watched, trouble, args, options)


def _finish_many(
    sessions: RunSessions,
    runs: list[Run],
    watched: list[Watched],
    trouble: list[dict[str, Any]],
    args: argparse.Namespace,
    options: SessionOptions,
) -> int:
    ctx = sessions.first.ctx
    deadline = ctx.monotonic() + (args.timeout or WAIT_S)
    interrupted: int | None = None
    collector = Collector(ctx, deadline)
    try:
        for task in _done_without_files(sessions, runs) if ctx.download else []:
            collector.take(task)
        ctx.reporter.live_begin()
        Waiter(ctx, watched, collector.take).run(deadline)
        collector.finish()
    except Interrupted as stop:
        interrupted = stop.signum
        collector.stop(stop.signum)
    trouble += collector.trouble
    rows, codes, left = [], {}, []
    told: list[tuple[Run, Outcome]] = []
    for run in runs:
        state = run.state()
        rows.append(results.row(run, state))
        codes[run.run_id] = own = _code_of(run, state, ctx.download, collector)
        if state.task_id and (state.unfinished or (state.outcome is Outcome.SUCCEEDED and own != ExitCode.OK)):
            left.append(run)
        if state.outcome is not None and not (state.reported and state.delivered):
            told.append((run, state.outcome))
    ctx.reporter.live_end()
    if ctx.reporter.shows_tables:
        for line in list_runs.table(rows):
            ctx.reporter.row(line)
    code = _exit_code(set(codes.values()), trouble, interrupted)
    next_argv = None
    if left:
        named = tuple(word for run in left for word in ("--run-id", run.run_id))
        target = ("--all-unfinished",) if args.all_unfinished or len(left) > NEXT_RUNS else named
        next_argv = asked_of(options, _one_profile(sessions, left), str(ctx.store.root)).wait(*target)
    ctx.reporter.final(
        "interrupted" if interrupted is not None else ("timeout" if code == ExitCode.NOT_FINISHED else "list"),
        code,
        next_argv=next_argv,
        total=len(runs),
        unfinished=len(left),
        trouble=within(trouble, 1000),
        runs=within(rows, 5000),
    )
    for run, outcome in told:
        final_line.mark_reported(ctx, run, outcome, codes[run.run_id])
    return code


def _awaits_its_file(store: RunStore, outline: Outline, now: float) -> bool:
    """A success of late whose file was asked for and did not come: waiting for it goes on, too."""
    if outline.outcome != Outcome.SUCCEEDED or outline.delivered or now - outline.created_at >= FILES_ASKED_FOR_S:
        return False
    if outline.expires_at is not None and now >= outline.expires_at:
        return False
    run = store.find(outline.run_id)
    return run is not None and results.video_file(run, run.state()) is None


def _done_without_files(sessions: RunSessions, runs: list[Run]) -> list[Watched]:
    """Runs that had ended well before, and whose files are not here: waiting for one is fetching it."""
    done = []
    for run in runs:
        state = run.state()
        if state.task_id and state.outcome is Outcome.SUCCEEDED and results.video_file(run, state) is None:
            with suppress(TaskError):
                session = sessions.of(run)
                if why_unverified(session, run) is not None:
                    continue  # nothing is fetched on the word of a folder from elsewhere
                check_status.renew_rehearsed_link(session, run)
                watched = Watched(run, session.provider, TaskRef(state.task_id, state.follow))
                watched.ending = Ending(Outcome.SUCCEEDED, "record")
                done.append(watched)
    return done


def _one_profile(sessions: RunSessions, runs: list[Run]) -> Profile | None:
    """The profile that all these runs share; several APIs cannot be named by one --base-url."""
    found: dict[int, Profile] = {}
    for run in runs:
        with suppress(TaskError):
            profile = sessions.of(run).profile
            found[id(profile)] = profile
    return next(iter(found.values())) if len(found) == 1 else None


def _code_of(run: Run, state: RunState, download: bool, collector: Collector) -> ExitCode:
    """How one of many stands: a success counts with its file, when files were asked for."""
    code = exit_code_of(state)
    if not download or state.outcome is not Outcome.SUCCEEDED or results.video_file(run, state) is not None:
        return code
    return ExitCode.NOT_FINISHED if run.run_id in collector.late else ExitCode.NO_RESULT


def _exit_code(codes: set[ExitCode], trouble: list[dict[str, Any]], interrupted: int | None) -> int:
    """The worst of all: interrupted, unfinished, failed, without a file; 0 only when every one has its result."""
    if interrupted is not None:
        return int(ExitCode.of_signal(interrupted))
    if ExitCode.NOT_FINISHED in codes and any("category" in entry for entry in trouble):
        return int(ExitCode.POLL_REFUSED)
    if trouble:
        codes = codes | {ExitCode.NO_RESULT}
    return int(next(code for code in WORST_FIRST if code in codes))
