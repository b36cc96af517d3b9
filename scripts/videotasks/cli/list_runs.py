"""Local runs as a list for machines and a table for people, sums per provider, and a refresh of all unfinished ones."""

from __future__ import annotations

import argparse
import gc
import re
import time
from datetime import datetime, timezone
from typing import Any

from videotasks.cli.request_options import session_options
from videotasks.core.errors import ExitCode, TaskError, configuration_error
from videotasks.core.task import Outcome
from videotasks.lifecycle.open_session import SessionOptions, open_session
from videotasks.lifecycle.select_run import of_mode, placed
from videotasks.output.reporter import Reporter, within
from videotasks.runs import results
from videotasks.runs.outlines import Outline
from videotasks.runs.store import Run, RunStore
from videotasks.runs.workspace import artifacts_root

_SINCE = re.compile(r"^(\d+)([smhdw])$")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DEFAULT_LIMIT = 20
OUTPUT_CHARS = 5_500  # of rows; sums, trouble and the folder's path share the rest of the 8,000


def list_runs(args: argparse.Namespace) -> int:
    """--list, --list --refresh, or --list --remote."""
    _check(args)
    options = session_options(args)
    if args.remote:
        return _list_remote(args, options)
    trouble = look_at_unfinished(options)[1] if args.refresh else None
    store = RunStore(artifacts_root(args.artifacts_dir))
    since = parse_since(args.since, time.time()) if args.since else None
    limit = DEFAULT_LIMIT if args.limit is None else args.limit
    found: list[tuple[Outline, str | None]] = []
    sums: dict[str, dict[str, Any]] = {}
    gc.disable()  # nothing here is circular, and a thousand journals are many objects
    for outline, here in placed(store, options):
        if (options.base_url and not here) or (since is not None and outline.created_at < since):
            continue
        if args.status and args.status not in outline.words:
            continue
        elsewhere = None if here else outline.origin
        found.append((outline, elsewhere))
        add_up(sums, outline, elsewhere)
    gc.enable()
    found.sort(key=lambda one: one[0].created_at, reverse=True)
    rows = [
        results.row(run, run.state(), elsewhere)
        for outline, elsewhere in (found if limit == 0 else found[:limit])
        if (run := store.find(outline.run_id)) is not None
    ]
    reporter = Reporter(sandbox=args.sandbox, text=args.text)
    if reporter.shows_tables:
        for line in table(rows):
            reporter.row(line)
    summed = list(sums.values())
    shown = rows if limit == 0 else within(rows, OUTPUT_CHARS)
    return reporter.final(
        "list",
        ExitCode.OK,
        whole=limit == 0,
        total=len(found),
        unfinished=sum(outline.unfinished for outline, _ in found),
        shown=len(shown),
        sums=summed if limit == 0 else within(summed, 1_000),
        trouble=within(trouble, 500) if trouble else None,
        artifacts_root=str(store.root),
        runs=shown,
    )


def _check(args: argparse.Namespace) -> None:
    if args.status and args.status not in results.STATUS_WORDS:
        raise configuration_error("--status is none of the words", expected=", ".join(results.STATUS_WORDS))
    if args.limit is not None and args.limit < 0:
        raise configuration_error("--limit is below 0", expected="a number of rows, or 0 for all")
    if args.remote and (args.status or args.since or args.refresh):
        raise configuration_error("--remote shows the provider's list as it is", expected="--limit or no filter")


def _list_remote(args: argparse.Namespace, options: SessionOptions) -> int:
    from videotasks.lifecycle import reconcile

    with open_session(options) as session:
        items, _ = reconcile.listed(session)
        shown = reconcile.shown_items(session, items)
        limit = DEFAULT_LIMIT if args.limit is None else args.limit
        rows = shown if limit == 0 else within(shown[:limit], OUTPUT_CHARS)
        ids = [str(entry["task_id"]) for entry in rows]
        own = session.ctx.store.by_tasks(ids, mode=session.ctx.mode, origin=session.origin)
        for entry in rows:
            if entry["task_id"] in own:
                entry["run_id"] = own[entry["task_id"]].run_id
        return session.ctx.reporter.final(
            "list",
            ExitCode.OK,
            provider=session.profile.name,
            remote=True,
            whole=limit == 0,
            total=len(shown),
            shown=len(rows),
            tasks=rows,
        )


def refresh(args: argparse.Namespace) -> int:
    """--refresh: one look at every unfinished run."""
    runs, trouble = look_at_unfinished(session_options(args))
    rows = [results.row(run, run.state()) for run in runs]
    return Reporter(sandbox=args.sandbox, verbose=args.verbose, text=args.text).final(
        "list",
        ExitCode.OK,
        refreshed=len(rows),
        unfinished=sum(1 for entry in rows if entry["unfinished"]),
        trouble=within(trouble, 1500),
        runs=within(rows, OUTPUT_CHARS - 2000),
    )


def look_at_unfinished(options: SessionOptions) -> tuple[list[Run], list[dict[str, Any]]]:
    """Ask once about every unfinished run, several at a time. (the runs, what was in the way of some)"""
    from videotasks.lifecycle.fetch_outputs import record_ending
    from videotasks.lifecycle.outcome import write_results
    from videotasks.lifecycle.session_pool import RunSessions
    from videotasks.lifecycle.wait import Waiter

    store = RunStore(artifacts_root(options.artifacts_dir))
    waiting = [outline.run_id for outline in of_mode(store, options) if outline.may_be_waited_for]
    runs = [run for run in map(store.find, waiting) if run is not None]
    trouble: list[dict[str, Any]] = []
    with RunSessions(options) as sessions:
        watched = sessions.watch(runs, trouble)
        if watched:
            ctx = sessions.first.ctx
            # A wait whose deadline is now is one look at each.
            ctx.limits.last_look_s = ctx.limits.poll_request_s * (1 + len(watched) // 8)
            Waiter(ctx, watched).run(ctx.monotonic())
        for task in watched:
            assert task.ending is not None
            if task.ending.outcome is Outcome.REFUSED and task.ending.error is not None:
                trouble.append({"run_id": task.run.run_id, "category": task.ending.error.category.value})
            elif task.ending.outcome is Outcome.TIMEOUT and task.faults:
                trouble.append({"run_id": task.run.run_id, "message": "no usable answer"})
            try:
                if task.ending.outcome is Outcome.TIMEOUT:
                    write_results(ctx, task.run, task.snapshot)
                elif task.ending.outcome is not Outcome.REFUSED:
                    record_ending(ctx, task.run, task.provider, task.ending)
            except TaskError as error:  # a folder that somebody made a link
                trouble.append({"run_id": task.run.run_id, "message": error.message})
    return runs, trouble


def add_up(sums: dict[str, dict[str, Any]], outline: Outline, elsewhere: str | None = None) -> None:
    """Usage and cost per provider, origin and unit; runs of unknown cost are counted, never taken as free."""
    if outline.task_id is None:
        return
    unit = outline.cost_unit if outline.cost is not None else None
    new = {"provider": outline.provider, "unit": unit, "runs": 0, "cost": 0.0 if unit else None}
    if elsewhere:
        new["origin"] = elsewhere
    entry = sums.setdefault(f"{outline.provider} {unit} {elsewhere}", new)
    entry["runs"] += 1
    if unit and outline.cost is not None:
        entry["cost"] = round(entry["cost"] + outline.cost, 6)
    counted = outline.total_tokens
    if counted is not None and 0 <= counted < 1e15:
        entry["total_tokens"] = entry.get("total_tokens", 0) + counted


def table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [f"{'run id':34} {'provider':18} {'status':10} {'age':>8}  {'paid (expected)':24} prompt"]
    for entry in rows:
        provider, age, prompt = (entry.get(name, "") for name in ("provider", "age", "prompt"))
        paid = entry.get("cost", "") + (f" ({entry['expected']})" if "expected" in entry else "")
        lines.append(f"{entry['run_id']:34} {provider:18} {entry['status']:10} {age:>8}  {paid:24} {prompt}".rstrip())
    return lines


def parse_since(text: str, now: float) -> float:
    """Epoch seconds of `2h`, `3d` or an ISO date. Raises TaskError."""
    match = _SINCE.match(text.strip())
    if match:
        return now - min(int(match.group(1)), 10**9) * _UNIT_S[match.group(2)]
    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise configuration_error("--since is no time", expected="such as 2h, 3d or 2026-11-21") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
