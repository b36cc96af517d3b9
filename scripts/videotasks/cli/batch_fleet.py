"""The fleet command: the batch of batch.py with its ledger in a store, carried out here or by Dask workers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from videotasks.batch.ledger import FOLDER, FolderHome, batch_id, plain_name
from videotasks.batch.plan import Item, Step
from videotasks.cli.batch import Prepared, batch, carry_out, limits_of, read_file
from videotasks.core.errors import ExitCode, TaskError, configuration_error
from videotasks.core.installation import skill_version
from videotasks.core.task import Outcome
from videotasks.fleet import coordinator
from videotasks.fleet.coordinator import Conductor, FleetReport
from videotasks.fleet.objects import ObjectHome, Objects, StoreRefused, open_objects
from videotasks.fleet.shards import Shard, refuse_day_limits
from videotasks.fleet.shared_runs import SharedRunStore
from videotasks.gallery.page import MOST_CARDS
from videotasks.runs.store import RunStore
from videotasks.runs.workspace import artifacts_root

OVER = frozenset({Step.ENDED, Step.HELD, Step.INVALID, Step.LEFT_OUT})  # nothing is left to do for a row


def batch_fleet(args: argparse.Namespace) -> int:
    """Run the command; returns its exit code. Raises TaskError."""
    if args.scheduler or args.worker:
        from videotasks.fleet.shards import serve_scheduler, serve_worker

        return serve_worker(args.worker) if args.worker else serve_scheduler(args.scheduler)
    if not args.file or not args.store:
        raise configuration_error(
            "a fleet needs a FILE of rows and a --store",
            expected="batch_fleet.py FILE --store s3://BUCKET/PREFIX",
            hint="batch.py carries a file out on this machine alone",
        )
    if args.max_cost_per_day:
        raise configuration_error(
            "--max-cost-per-day counts the runs of one machine", expected="--max-cost, which a whole fleet keeps"
        )
    if args.file == "-" and not args.batch_id:
        raise configuration_error("rows by standard input have no name", expected="--batch-id NAME as well")
    objects = open_objects(args.store)
    objects.sign_s = args.sign
    args.batch_id = args.batch_id or _id_of(args.file, args.sandbox)
    root = artifacts_root(args.artifacts_dir)
    store = SharedRunStore(coordinator.copies_root(root, args.batch_id), objects, private=args.private)
    home = ObjectHome(objects, args.batch_id, root / FOLDER / args.batch_id, private=args.private)
    try:
        if args.import_:
            code = _import(args, root, store, home)
            if code or args.dry_run:
                return code
        store.stand_still(coordinator.runs_of(home.read_document()))
        return batch(args, store, home, _by_dask(args, objects) if args.dask else _here)
    except StoreRefused as error:
        raise configuration_error(str(error.strerror), expected="a store that can be read and written") from None


def _id_of(file: str, sandbox: bool) -> str:
    """A file of this name is this batch, on whichever machine it lies."""
    return plain_name(file) + ("-sandbox" if sandbox else "")


def _import(args: argparse.Namespace, root: Path, store: SharedRunStore, to: ObjectHome) -> int:
    """Take over what batch.py has made of this file; then the batch goes on here."""
    local = RunStore(root)
    names = (args.batch_id, batch_id(args.file, read_file(args.file), "sandbox" if args.sandbox else "real"))
    homes = [FolderHome(local, root / FOLDER / name, moving_to=to.objects.address) for name in names]
    # By its log: a folder of that name may be a fleet's copy of what it published. What a worker left has runs alone.
    begun = next((one for one in homes if one.log.is_file()), None)
    home = begun or FolderHome(local, root / FOLDER / f"{args.batch_id}-left", moving_to=to.objects.address)
    own = argparse.Namespace(**{**vars(args), "batch_id": home.folder.name})
    if not args.dry_run:  # whose plan is that of the folder: nothing is moved
        own.retry_failed, own.only = False, []

    def take_over(on: Prepared) -> int:
        if not coordinator.import_batch(on.items, on.ledger, home, store, to) and begun is None:
            raise configuration_error(
                f"there is nothing of {args.file} under {root}", expected="the folder in which batch.py began it"
            )
        return 0

    return batch(own, local, home, take_over)


def _here(on: Prepared) -> int:
    """Without Dask: this process carries all rows out, and any other that runs the same command helps."""
    _store_of(on).go_on()
    refuse_day_limits(on.sessions.all)
    return carry_out(on)


def _store_of(on: Prepared) -> SharedRunStore:
    assert isinstance(on.ctx.store, SharedRunStore)
    return on.ctx.store


def _by_dask(args: argparse.Namespace, objects: Objects) -> Callable[[Prepared], int]:
    def conduct(on: Prepared) -> int:
        store = _store_of(on)
        store.go_on()
        report = FleetReport(on.report)
        conductor = Conductor(on.items, on.ledger, on.ctx, objects, report)
        report.begin(os.path.abspath(on.file), on.ctx)
        try:
            if any(item.step not in OVER for item in on.items):
                _hand_out(args, on, objects, conductor)
        except TaskError as error:
            return report.main.error(error, batch_id=on.ledger.id)
        finally:
            report.stop()
        with suppress(StoreRefused):
            store.stand_still([str(told.get("run_id")) for told in report.told.values()][:MOST_CARDS])
        return report.finish(conductor, on.again)

    return conduct


def _hand_out(args: argparse.Namespace, on: Prepared, objects: Objects, conductor: Conductor) -> None:
    """First one row of each model whose names are assumed, then the others. Raises TaskError."""
    stop, first = coordinator.stop_mark(objects, on.ledger.id), _first_of_assumed(on.items)
    with coordinator.cluster_at(args.dask, args.workers) as address:
        for rows in (first, None) if first else (None,):
            if conductor.interrupted is not None or conductor.stopped_by is not None:
                break
            conductor.run(
                address,
                _shards(args, on, objects, conductor.report, stop, rows),
                on.deadline,
                stop_after_unknown=on.pace.stop_after_unknown,
                own=args.dask == "local",
            )
            if rows is not None:
                _hold_where_names_are_wrong(rows, on.items, conductor)


def _shards(
    args: argparse.Namespace,
    on: Prepared,
    objects: Objects,
    report: FleetReport,
    stop: str,
    only: list[Item] | None,
) -> dict[str, Shard]:
    """Shard number -> shard, of rows that are not over. The same command makes the same ones, whatever has ended."""
    wanted = [item for item in only or on.items if item.step not in (Step.INVALID, Step.LEFT_OUT)]
    parts = coordinator.shards_of(wanted, args.shard_rows or coordinator.SHARD_ROWS)
    found: dict[str, Shard] = {}
    for at, part in enumerate(parts):
        if all(item.step in OVER for item in part):
            continue
        number = f"{'first-' if only else ''}{at:05}"
        rows = [coordinator.told_row(item, objects, private=args.private, beside=on.planner.beside) for item in part]
        report.of_shard_number[number] = part
        found[number] = Shard(
            batch_id=on.ledger.id,
            store=objects.address,
            number=number,
            rows=rows,
            options={**vars(on.sessions.options), "artifacts_dir": None, "output": None},
            wishes=coordinator.wishes_told(on.wishes),
            pace=dict(vars(on.pace)),
            limits=_limits(args),
            stop=stop,
            private=args.private,
            sign_s=args.sign,
            stand_ins=_stand_ins(on),
            version=skill_version(),
        )
    return found


def _stand_ins(on: Prepared) -> dict[str, list[str]]:
    """In a rehearsal all workers talk to the stand-ins of this process."""
    return {session.profile.name: list(session.stand_in) for session in on.sessions.all if session.stand_in}


def _limits(args: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name, value in limits_of(args).items() if name != "wait_s"}


def _first_of_assumed(items: list[Item]) -> list[Item]:
    """One row of each model whose field names are assumed: it goes before the others of its model."""
    first: dict[tuple[str, str | None], Item] = {}
    for item in items:
        if item.assumed and item.step is Step.CREATE:
            first.setdefault((item.provider, item.model), item)
    return list(first.values())


def _hold_where_names_are_wrong(first: list[Item], items: list[Item], conductor: Conductor) -> None:
    for one in first:
        run_id = conductor.report.told.get(id(one), {}).get("run_id")
        run = conductor.ctx.store.find(str(run_id)) if run_id else None
        if run is not None and run.state().outcome is Outcome.SUCCEEDED:
            continue
        for item in items:
            same = (item.provider, item.model) == (one.provider, one.model)
            if same and item is not one and item.assumed and item.step is Step.CREATE:
                item.step, item.code = Step.HELD, ExitCode.VALIDATION
                item.error = {
                    "category": "held",
                    "message": "not sent: the first row of this model, whose field names are assumed, made no video",
                }
