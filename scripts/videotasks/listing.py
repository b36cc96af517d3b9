"""Local runs as a list for machines and a table for people, sums per provider, and a refresh of all unfinished ones."""

from __future__ import annotations

import argparse
import re
import sys
import time
from datetime import datetime, timezone
from typing import Any

from videotasks import looking, results
from videotasks.commandline import open_session
from videotasks.journal import RunState
from videotasks.models import ExitCode, TaskError, configuration_error
from videotasks.reporting import Reporter
from videotasks.runs import Run, RunStore, age_text
from videotasks.text import one_line
from videotasks.workspace import artifacts_root

_SINCE = re.compile(r"^(\d+)([smhdw])$")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DEFAULT_LIMIT = 20
OUTPUT_CHARS = 7_000


def list_runs(args: argparse.Namespace) -> int:
    """--list, or --list --remote."""
    if args.remote:
        return _list_remote(args)
    store = RunStore(artifacts_root(args.artifacts_dir))
    mode = "sandbox" if args.sandbox else "real"
    since = parse_since(args.since, time.time()) if args.since else None
    limit = DEFAULT_LIMIT if args.limit is None else args.limit
    rows: list[dict[str, Any]] = []
    sums: dict[str, dict[str, Any]] = {}
    total = unfinished = 0
    for run in store.runs():
        if run.mode != mode or (args.provider and run.provider != args.provider):
            continue
        if since is not None and run.created_at < since:
            continue
        state = run.state()
        word = "unfinished" if state.unfinished else results.status_of(state)
        if args.status and args.status not in (word, results.status_of(state), state.phase):
            continue
        total += 1
        unfinished += state.unfinished
        add_up(sums, run, state)
        if limit == 0 or len(rows) < limit:
            rows.append(row(run, state))
    reporter = Reporter(sandbox=args.sandbox)
    if sys.stderr.isatty():
        for line in table(rows):
            reporter.people(line)
    shown = rows if limit == 0 else within(rows, OUTPUT_CHARS)
    return reporter.final(
        "list",
        ExitCode.OK,
        total=total,
        unfinished=unfinished,
        shown=len(shown),
        sums=list(sums.values()),
        artifacts_root=str(store.root),
        runs=shown,
    )


def _list_remote(args: argparse.Namespace) -> int:
    from videotasks import lookup

    with open_session(args) as session:
        items, _ = lookup.listed(session)
        shown = lookup.shown_items(session, items)
        limit = DEFAULT_LIMIT if args.limit is None else args.limit
        rows = shown if limit == 0 else within(shown[:limit], OUTPUT_CHARS)
        known = {run.state().task_id: run.run_id for run in session.ctx.store.runs() if run.mode == session.ctx.mode}
        for entry in rows:
            if known.get(entry["task_id"]):
                entry["run_id"] = known[entry["task_id"]]
        return session.ctx.reporter.final(
            "list",
            ExitCode.OK,
            provider=session.profile.name,
            remote=True,
            total=len(shown),
            shown=len(rows),
            tasks=rows,
        )


def refresh(args: argparse.Namespace) -> int:
    """--refresh: one look at every unfinished run, provider by provider."""
    store = RunStore(artifacts_root(args.artifacts_dir))
    mode = "sandbox" if args.sandbox else "real"
    waiting = [
        run
        for run in store.runs()
        if run.mode == mode and run.state().unfinished and (not args.provider or run.provider == args.provider)
    ]
    reporter = Reporter(sandbox=args.sandbox, verbose=args.verbose)
    rows: list[dict[str, Any]] = []
    trouble: list[dict[str, Any]] = []
    chosen = args.provider
    for name in sorted({run.provider for run in waiting}):
        args.provider = chosen or looking.provider_of_run(store, next(r.run_id for r in waiting if r.provider == name))
        try:
            with open_session(args) as session:
                for run in (r for r in waiting if r.provider == name):
                    try:
                        looking.require_same_place(session, run)
                        if run.state().task_id is not None:
                            looking.take_in_if_any(session, run)
                    except TaskError as error:
                        trouble.append({"run_id": run.run_id, "message": error.message})
                    rows.append(row(run, run.state()))
        except TaskError as error:
            trouble.append({"provider": name, "message": error.message})
    args.provider = chosen
    return reporter.final(
        "list",
        ExitCode.OK,
        refreshed=len(rows),
        unfinished=sum(1 for entry in rows if entry["unfinished"]),
        trouble=within(trouble, 1500),
        runs=within(rows, OUTPUT_CHARS - 2000),
    )


def row(run: Run, state: RunState) -> dict[str, Any]:
    """One run as a list shows it."""
    entry: dict[str, Any] = {
        "run_id": run.run_id,
        "provider": run.provider,
        "status": results.status_of(state),
        "unfinished": state.unfinished,
        "task_id": state.task_id,
        "age": age_text(time.time() - run.created_at),
        "prompt": one_line(run.prompt, 50) or None,
        "files": len(state.files),
    }
    if state.phase in ("submission_unknown", "refused", "new"):
        entry["phase"] = state.phase
    if state.cost is not None:
        entry["cost"] = f"{state.cost:g} {state.cost_unit or ''}".strip()
    return {
        key: value for key, value in entry.items() if value not in (None, 0, "") or key in ("task_id", "unfinished")
    }


def add_up(sums: dict[str, dict[str, Any]], run: Run, state: RunState) -> None:
    """Usage and cost per provider and unit; runs of unknown cost are counted, never taken as free."""
    if state.task_id is None:
        return
    unit = state.cost_unit if state.cost is not None else None
    key = f"{run.provider} {unit}"
    entry = sums.setdefault(key, {"provider": run.provider, "unit": unit, "runs": 0, "cost": 0.0 if unit else None})
    entry["runs"] += 1
    if unit and state.cost is not None:
        entry["cost"] = round(entry["cost"] + state.cost, 6)
    tokens = state.usage.get("total_tokens") if state.usage else None
    if isinstance(tokens, (int, float)) and not isinstance(tokens, bool):
        entry["total_tokens"] = entry.get("total_tokens", 0) + tokens


def within(rows: list[dict[str, Any]], chars: int) -> list[dict[str, Any]]:
    """As many rows as fit into so many characters of JSON."""
    import json

    kept, used = [], 0
    for entry in rows:
        used += len(json.dumps(entry, ensure_ascii=False)) + 1
        if used > chars:
            break
        kept.append(entry)
    return kept


def table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [f"{'run id':34} {'provider':18} {'status':10} {'age':>8}  prompt"]
    for entry in rows:
        age, prompt = entry.get("age", ""), entry.get("prompt", "")
        lines.append(f"{entry['run_id']:34} {entry['provider']:18} {entry['status']:10} {age:>8}  {prompt}")
    return lines


def parse_since(text: str, now: float) -> float:
    """Epoch seconds of `2h`, `3d` or an ISO date. Raises TaskError."""
    match = _SINCE.match(text.strip())
    if match:
        return now - int(match.group(1)) * _UNIT_S[match.group(2)]
    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise configuration_error("--since is no time", expected="such as 2h, 3d or 2026-11-21") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
