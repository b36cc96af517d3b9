"""The gallery command: which runs, where the page goes, and what was written."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

from videotasks.cli.list_runs import parse_since
from videotasks.core.durable_files import refuse_link, user_path
from videotasks.core.errors import ExitCode, TaskError, configuration_error
from videotasks.core.task import Phase
from videotasks.gallery import page
from videotasks.lifecycle.open_session import SessionOptions, provider_name
from videotasks.output.reporter import Reporter
from videotasks.runs.store import Run, RunStore
from videotasks.runs.workspace import artifacts_root

NEWEST = 20  # runs, where nothing says how many


def gallery(args: argparse.Namespace) -> int:
    """Run the command; prints one line. Raises TaskError, and ImportError without Jinja2."""
    picks = [name for name in ("run_id", "batch") if getattr(args, name)]
    picks += ["latest"] if args.latest or args.since else []
    if len(picks) > 1 or (args.provider and picks not in ([], ["latest"])):
        raise configuration_error(
            "these name different runs", expected="--latest with --since and --provider, or --run-id, or --batch"
        )
    if args.batch:
        folder = _batch_folder(args)
        runs_root = folder.parent.parent if folder.parent.name == page.BATCHES else artifacts_root(args.artifacts_dir)
        made = page.write_batch_gallery(
            folder, page.read_batch(folder), RunStore(runs_root), file=_place(args, folder), now=time.time()
        )
    else:
        store = RunStore(artifacts_root(args.artifacts_dir))
        if args.run_id:
            runs = [store.open(run_id) for run_id in dict.fromkeys(args.run_id)]
            title = "Chosen runs"
        else:
            runs = list(_newest(store, args))
            title = f"Since {args.since}" if args.since else f"The newest {len(runs)} runs"
        if not runs:
            raise _nothing(store, args)
        place = _place(args, store.root)
        cards = [page.card_of_run(run) for run in runs[: page.MOST_CARDS]]
        made = page.write_gallery(place, cards, title=title, now=time.time(), total=len(runs))
    reporter = Reporter(verbose=args.verbose, sandbox=args.sandbox, text=args.text)
    of = f"of {made.shown} runs" if made.shown != 1 else "of one run"
    more = f" {made.total - made.shown} more were left out." if made.total > made.shown else ""
    summary = f"The page {of} is in {made.file}; open it in a browser.{more}"
    reporter.people(summary)
    return reporter.final("gallery", ExitCode.OK, **made._asdict(), summary=summary)


def _newest(store: RunStore, args: argparse.Namespace) -> Iterator[Run]:
    """What --latest and --since mean, newest first; what was never sent, or never seen, made nothing to show."""
    mode, provider = "sandbox" if args.sandbox else "real", provider_name(SessionOptions(provider=args.provider))
    since = parse_since(args.since, time.time()) if args.since else None
    most = args.latest or (NEWEST if since is None else None)
    found = 0
    for run in store.newest_first():
        if since is not None and run.created_at < since:
            return
        if run.mode != mode or (provider and run.provider != provider):
            continue
        state = run.state()
        if state.phase is Phase.NEW or state.is_unseen(run.request):
            continue
        yield run
        found += 1
        if found == most:
            return


def _nothing(store: RunStore, args: argparse.Namespace) -> TaskError:
    what = ("sandbox " if args.sandbox else "") + "run" + (f" of {args.provider}" if args.provider else "")
    when = f" since {args.since}" if args.since else ""
    return configuration_error(
        f"there is no {what}{when} under {store.root}",
        expected="runs that task_status.py --list shows",
        hint=None if args.sandbox else "rehearsals are found only with --sandbox",
    )


def _batch_folder(args: argparse.Namespace) -> Path:
    """A folder as it was typed, or the batch of that id under the artifacts root. Raises TaskError."""
    typed = user_path(args.batch)
    if typed.is_dir():
        return Path(os.path.abspath(typed))
    folder = artifacts_root(args.artifacts_dir) / page.BATCHES / args.batch
    if os.path.basename(args.batch) != args.batch or not folder.is_dir():
        raise configuration_error(
            f"there is no batch {args.batch}", expected=f"an id under {folder.parent}, or the folder of a batch"
        )
    return folder


def _place(args: argparse.Namespace, folder: Path) -> Path:
    """Where the page goes; it replaces an earlier page, and nothing else without --force. Raises TaskError."""
    if not args.output:
        for part in (folder.parent, folder) if args.batch else (folder,):
            refuse_link(part)
        return folder / page.FILE_NAME
    from videotasks.downloads.output_copy import output_path

    place = output_path(args.output, page.FILE_NAME, force=True)
    refuse_link(place)
    return output_path(args.output, page.FILE_NAME, force=args.force or page.is_gallery(place))
