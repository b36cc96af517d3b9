"""The batch command: a file of rows, their plan, and (unless it is a dry run) everything up to the last file."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from videotasks.batch import plan as planning
from videotasks.batch.carry import Carrier, Pace
from videotasks.batch.ledger import BatchHome, Ledger, batch_id
from videotasks.batch.plan import Item, Planner, RowSessions, Wishes
from videotasks.batch.report import Report
from videotasks.batch.rows import read_rows
from videotasks.cli.request_options import session_options
from videotasks.core.errors import TaskError, configuration_error
from videotasks.core.record import record, replace
from videotasks.lifecycle import preflight
from videotasks.lifecycle.collect import Quiet
from videotasks.lifecycle.open_session import with_limits
from videotasks.lifecycle.preflight import Terms
from videotasks.lifecycle.session import Context
from videotasks.output import next_command
from videotasks.output.reporter import Reporter, within
from videotasks.runs.store import RunStore
from videotasks.runs.workspace import artifacts_root

WAIT_S, REQUEST_S = 900.0, 20.0  # unless the user says otherwise
MOST_BYTES = 20_000_000


def batch(
    args: argparse.Namespace,
    store: RunStore | None = None,
    home: BatchHome | None = None,
    conduct: Callable[[Prepared], int] | None = None,
) -> int:
    """Run the command; returns its exit code. Raises TaskError for what is wrong with the file as a whole.

    `store` and `home` say where runs and money are kept when that is no folder; `conduct` carries a plan out in the
    place of this process.
    """
    text = read_file(args.file)
    form = os.path.splitext(args.file)[1].lstrip(".").lower() or None if args.file != "-" else None
    rows = read_rows(text, form, args.set_default)
    options = replace(session_options(args), wait_s=args.poll_timeout)
    root = artifacts_root(args.artifacts_dir)
    store = store or RunStore(root)
    ledger = Ledger(store, args.batch_id or batch_id(args.file, text, options.mode), home)
    wishes = _wishes(args, {row.id for row in rows})
    main = Reporter(verbose=args.verbose, sandbox=args.sandbox, text=args.text)
    with RowSessions(
        options,
        needs_key=not args.dry_run and conduct is None,  # else they are with those that send
        reporter=main if args.verbose else Quiet(main),
        on_open=lambda session: with_limits(session.ctx, **limits_of(args)),
        store=store,
    ) as sessions:
        folder = os.path.dirname(os.path.abspath(args.file)) if args.file != "-" else os.getcwd()
        planner = Planner(rows, sessions, store, ledger, wishes, folder)
        items = planner.all()
        report = Report(main, ledger, items, wishes)
        try:
            if args.dry_run:
                send = _again(args, sessions, root, drop=("--dry-run",))
                return report.plan(planner.balances, send, args.file)
            planning.require_valid(items, args.skip_invalid)
        except TaskError as error:
            error.details["problems"] = within(error.details.get("problems") or [], 5_000)
            return main.error(error, batch_id=ledger.id, rows_total=len(items))
        if args.file == "-":
            args.file, args.batch_id = str(ledger.keep_input(text, form)), ledger.id
        if not sessions.all:
            raise configuration_error("no row can be looked at", expected="a row that is valid")
        ctx = sessions.all[0].ctx
        pace = Pace(args.concurrency, args.stop_after_unknown, args.stop_after_failed)
        deadline = ctx.monotonic() + (args.poll_timeout or WAIT_S)
        again = _again(args, sessions, root, drop=("--retry-failed",))
        prepared = Prepared(args.file, sessions, planner, items, ledger, wishes, pace, report, ctx, deadline, again)
        try:
            ledger.open_spending(planning.unmade(items))
            planner.advance(items)
        except TaskError as error:
            return main.error(error, batch_id=ledger.id)
        return (conduct or carry_out)(prepared)


@record
class Prepared:
    """A plan that has passed, and what carrying it out needs. `deadline` is monotonic, `again` the command to go on."""

    file: str
    sessions: RowSessions
    planner: Planner
    items: list[Item]
    ledger: Ledger
    wishes: Wishes
    pace: Pace
    report: Report
    ctx: Context
    deadline: float
    again: list[str]


def carry_out(on: Prepared) -> int:
    carrier = Carrier(on.items, on.planner, on.ledger, on.ctx, on.wishes, on.pace)
    on.report.begin(os.path.abspath(on.file), on.ctx)
    try:
        carrier.run(on.deadline)
    finally:
        on.report.stop()
    return on.report.finish(carrier, on.again)


def _wishes(args: argparse.Namespace, ids: set[str | None]) -> Wishes:
    most: dict[str, float] = {}
    for text in args.max_cost:
        amount, unit = preflight.amount_of("--max-cost", text)
        most[unit.casefold()] = amount
    for word in args.only:
        if word not in ("failed", "unfinished") and word not in ids:
            raise configuration_error(
                f"--only {word[:60]}: no row has this id", expected="failed, unfinished, or an id"
            )
    return Wishes(
        terms=Terms(
            dry_run=args.dry_run,
            max_cost=args.max_cost[0] if args.max_cost else None,
            max_cost_per_day=args.max_cost_per_day,
            allow_unknown_cost=args.allow_unknown_cost,
        ),
        only=tuple(args.only),
        retry_failed=args.retry_failed,
        skip_invalid=args.skip_invalid,
        most=most,
        force=args.force,
    )


def limits_of(args: argparse.Namespace) -> dict[str, Any]:
    """Times that the options name, as a context has them."""
    return {
        "create_answer_s": args.create_timeout,
        "stream_answer_s": args.create_timeout,
        "wait_s": args.poll_timeout or WAIT_S,
        "poll_interval_s": args.poll_interval,
        "poll_request_s": args.poll_request_timeout or REQUEST_S,
    }


def read_file(file: str) -> str:
    """The file's text, whatever a spreadsheet made of it: UTF-8 with or without its mark, or UTF-16 with one."""
    from videotasks.cli.request_options import read_text_input

    if file != "-":
        try:
            with open(os.path.expanduser(file), "rb") as reader:
                if reader.read(2) in (b"\xff\xfe", b"\xfe\xff"):
                    reader.seek(0)
                    return reader.read(MOST_BYTES).decode("utf-16")
        except OSError:
            pass  # told by the reading below
        except UnicodeDecodeError:
            raise configuration_error(
                f"{file} is neither UTF-8 nor UTF-16 text", expected="CSV saved as UTF-8"
            ) from None
    return read_text_input(file, flag="FILE", limit=MOST_BYTES)


def _again(args: argparse.Namespace, sessions: RowSessions, root: Path, *, drop: tuple[str, ...]) -> list[str]:
    """The same command, whole: from another shell, too, it goes on with this batch, at this origin."""
    words: list[str] = []
    typed = iter(sys.argv[1:])
    for word in typed:
        if word in drop or word.startswith(("--artifacts-dir=", "--batch-id=")):
            continue
        if word in ("--artifacts-dir", "--batch-id"):
            next(typed, None)
        else:
            words.append(word)
    if "-" in words and args.file != "-":
        words[words.index("-")] = args.file
    elif args.file in words and args.file != "-":
        words[words.index(args.file)] = os.path.abspath(os.path.expanduser(args.file))
    if args.batch_id:
        words += ["--batch-id", args.batch_id]
    needed: list[tuple[str, ...]] = [("--artifacts-dir", str(root))]
    if len(sessions.all) == 1:
        needed += [option for option in sessions.all[0].ctx.asked.place_options() if option[0] == "--base-url"]
    return next_command.again(os.path.basename(sys.argv[0]) or "batch.py", words, needed)
