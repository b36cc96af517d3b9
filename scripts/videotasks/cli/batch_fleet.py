"""The fleet command: the batch of batch.py with its ledger in a store, carried out here or by Dask workers."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from pathlib import Path

from videotasks.batch.ledger import FOLDER, FolderHome, batch_id, plain_name
from videotasks.batch.plan import Item, Step
from videotasks.cli.batch import Prepared, batch, carry_out, limits_of, read_file
from videotasks.core.errors import ExitCode, TaskError, configuration_error
from videotasks.core.installation import skill_version
from videotasks.core.task import Outcome
from videotasks.fleet import coordinator
from videotasks.fleet.coordinator import Conductor, FleetReport
from videotasks.fleet.objects import ObjectHome, StoreRefused, open_objects
from videotasks.fleet.shards import Shard, refuse_day_limits, serve_scheduler, serve_worker
from videotasks.fleet.shared_runs import SharedRunStore
from videotasks.gallery.page import MOST_CARDS
from videotasks.runs.store import RunStore
from videotasks.runs.workspace import artifacts_root

OVER = frozenset({Step.ENDED, Step.HELD, Step.INVALID, Step.LEFT_OUT})  # nothing is left to do for a row


def batch_fleet(args: argparse.Namespace) -> int:
    """Run the command; returns its exit code. Raises TaskError."""
    if args.scheduler or args.worker:
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
    # A file of this name is this batch, on whichever machine it lies.
    args.batch_id = args.batch_id or plain_name(args.file) + ("-sandbox" if args.sandbox else "")
    root = artifacts_root(args.artifacts_dir)
    folder = root / FOLDER / args.batch_id
    # Copies of runs, in which a person settles unknown ones.
    store = SharedRunStore(folder / "copies", objects, private=args.private)
    home = ObjectHome(objects, args.batch_id, folder, private=args.private)
    try:
        if args.import_:
            code = _import(args, root, store, home)
            if code or args.dry_run:
                return code
        store.stand_still(coordinator.runs_of(home.read_document()))

        def conduct(on: Prepared) -> int:
            store.go_on()
            if args.dask:
                return _by_dask(args, on, store)
            # Without Dask this process carries all rows out, and any other that runs the same command helps.
            refuse_day_limits(on.sessions.all)
            return carry_out(on)

        return batch(args, store, home, conduct)
    except StoreRefused as error:
        raise configuration_error(str(error.strerror), expected="a store that can be read and written") from None


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


def _by_dask(args: argparse.Namespace, on: Prepared, store: SharedRunStore) -> int:
    report = FleetReport(on.report)
    conductor = Conductor(on.items, on.ledger, on.ctx, store.objects, report)
    report.begin(os.path.abspath(on.file), on.ctx)
    try:
        if any(item.step not in OVER for item in on.items):
            _hand_out(args, on, conductor)
    except TaskError as error:
        return report.main.error(error, batch_id=on.ledger.id)
    finally:
        report.stop()
    with suppress(StoreRefused):
        store.stand_still([str(told.get("run_id")) for told in report.told.values()][:MOST_CARDS])
    return report.finish(conductor, on.again)


def _hand_out(args: argparse.Namespace, on: Prepared, conductor: Conductor) -> None:
    """First one row of each model whose names are assumed, then the others. Raises TaskError."""
    first: dict[tuple[str, str | None], Item] = {}
    for item in on.items:
        if item.assumed and item.step is Step.CREATE:
            first.setdefault((item.provider, item.model), item)
    # The object that ends the shards of this command. One that was stopped is another one afterwards.
    marks = f"batches/{on.ledger.id}/stop"
    stop = f"{marks}/{len(conductor.objects.names(marks)):04}"
    with coordinator.cluster_at(args.dask, args.workers) as address:
        for rows in (list(first.values()), None) if first else (None,):
            if conductor.interrupted is not None or conductor.stopped_by is not None:
                break
            conductor.run(
                address,
                _shards(args, on, conductor, stop, rows),
                on.deadline,
                stop_after_unknown=on.pace.stop_after_unknown,
                own=args.dask == "local",
            )
            if rows is not None:
                _hold_where_names_are_wrong(rows, on.items, conductor)


def _shards(
    args: argparse.Namespace, on: Prepared, conductor: Conductor, stop: str, only: list[Item] | None
) -> dict[str, Shard]:
    """Shard number -> shard, of rows that are not over. The same command makes the same ones, whatever has ended."""
    objects, found = conductor.objects, dict[str, Shard]()
    wanted = [item for item in only or on.items if item.step not in (Step.INVALID, Step.LEFT_OUT)]
    parts = coordinator.shards_of(wanted, args.shard_rows or coordinator.SHARD_ROWS)
    for at, part in enumerate(parts):
        if all(item.step in OVER for item in part):
            continue
        number = f"{'first-' if only else ''}{at:05}"
        rows = [coordinator.told_row(item, objects, private=args.private, beside=on.planner.beside) for item in part]
        conductor.report.of_shard_number[number] = part
        found[number] = Shard(
            batch_id=on.ledger.id,
            store=objects.address,
            number=number,
            rows=rows,
            options={**vars(on.sessions.options), "artifacts_dir": None, "output": None},
            wishes=coordinator.wishes_told(on.wishes),
            pace=dict(vars(on.pace)),
            limits={name: value for name, value in limits_of(args).items() if name != "wait_s"},
            stop=stop,
            private=args.private,
            sign_s=args.sign,
            # In a rehearsal all workers talk to the stand-ins of this process.
            stand_ins={one.profile.name: list(one.stand_in) for one in on.sessions.all if one.stand_in},
            version=skill_version(),
        )
    return found


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
                why = "not sent: the first row of this model, whose field names are assumed, made no video"
                item.error = {"category": "held", "message": why}
