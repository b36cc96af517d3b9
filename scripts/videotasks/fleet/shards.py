"""A part of a batch's rows on a worker: the very loop of one machine, with runs and money in the store.

A shard may be run twice, at once or one after the other, by whichever workers: claims and journals in the store say
what is left to do. What goes over the wire is JSON; keys are in the worker's own environment.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from shutil import rmtree
from typing import Any

from videotasks.batch.carry import Carrier, Pace
from videotasks.batch.ledger import Ledger
from videotasks.batch.plan import Planner, RowSessions, Wishes, unmade
from videotasks.batch.report import Report
from videotasks.batch.rows import Row
from videotasks.core.errors import TaskError, configuration_error, error_fields
from videotasks.core.installation import skill_version
from videotasks.core.record import field, record, replace
from videotasks.core.workers import Message
from videotasks.fleet.objects import ObjectHome, Objects, StoreRefused, missing_library, open_objects
from videotasks.fleet.shared_runs import SharedRun, SharedRunStore
from videotasks.lifecycle.collect import Quiet
from videotasks.lifecycle.open_session import SessionOptions, with_limits
from videotasks.lifecycle.preflight import Terms
from videotasks.lifecycle.session import Session
from videotasks.lifecycle.watched import Watched
from videotasks.output.reporter import Reporter
from videotasks.providers import credentials
from videotasks.providers.profile import Profile

LOOK_AT_STORE_S = 3.0  # how often a worker tells how far it is, and looks whether it should stop
IN_STORE = "store:"  # a local input that was put into the store, by the name of its object
SIGINT = 2
QUIET = {"DASK_LOGGING__DISTRIBUTED": "critical"}  # of processes that Dask starts
UNSEEN: Any = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}  # Dask serves its state to everybody otherwise
AGAIN_S = 2.0  # between tries to reach a scheduler
LONGEST_S = 7 * 86_400.0  # a shard ends by its rows, or by the mark that stops it


@record(frozen=True)
class Shard:
    """What a worker is told. `stop` is the mark that ends it when it appears."""

    batch_id: str
    store: str
    number: str
    rows: list[dict[str, Any]]
    options: dict[str, Any]
    wishes: dict[str, Any]
    pace: dict[str, Any]
    limits: dict[str, Any]
    stop: str
    private: bool = False
    sign_s: float | None = None
    wait_s: float | None = None
    stand_ins: dict[str, list[str]] = field(default_factory=dict)
    version: str = ""

    def text(self) -> str:
        return json.dumps(vars(self), sort_keys=True, default=str)

    @staticmethod
    def of(text: str) -> Shard:
        """Raises ValueError for one of another version: a fleet runs one."""
        told = json.loads(text)
        if told.get("version") != skill_version():
            raise ValueError(f"the coordinator has version {told.get('version')}, this worker {skill_version()}")
        return Shard(**told)


class ShardSessions(RowSessions):
    """Sessions that take their part of what the API allows a key in a minute."""

    def __init__(self, *given: Any, share: int, **named: Any) -> None:
        super().__init__(*given, **named)
        self._share = share

    def profile(self, provider: str | None, kind: str | None) -> Profile:
        profile = super().profile(provider, kind)
        limits, share = profile.limits, self._share
        part = replace(
            limits,
            creates_per_minute=limits.creates_per_minute and limits.creates_per_minute / share,
            requests_per_minute=limits.requests_per_minute and limits.requests_per_minute / share,
        )
        return replace(profile, limits=part)


class ShardCarrier(Carrier):
    """Leaves nothing on this machine that the store has."""

    def _settled(self, task: Watched) -> None:
        super()._settled(task)
        run = task.run
        if isinstance(run, SharedRun):
            with suppress(OSError):
                if not run.shared.private:
                    run.shared.objects.replace(f"runs/{run.run_id}/result.json", run.result_file.read_bytes())
            run.drop_local_files()


def carry_shard(text: str) -> str:
    """Carry out a shard; returns the documents of its rows as JSON, or `error` for what is wrong with this worker."""
    try:
        shard = Shard.of(text)
        with _scratch() as root:
            return json.dumps(_carried(shard, root), default=str)
    except TaskError as error:
        return json.dumps({"error": {**error_fields(error), "exit_code": int(error.exit_code)}})
    except ValueError as error:
        return json.dumps({"error": {"category": "configuration", "message": str(error), "exit_code": 1}})
    except StoreRefused as error:
        return json.dumps({"error": {"category": "configuration", "message": str(error.strerror), "exit_code": 1}})


def _carried(shard: Shard, root: Path) -> dict[str, Any]:
    objects = open_objects(shard.store)
    objects.sign_s = shard.sign_s
    store = SharedRunStore(root, objects, private=shard.private)
    folder = root / "batches" / shard.batch_id
    ledger = Ledger(store, shard.batch_id, ObjectHome(objects, shard.batch_id, folder, private=shard.private))
    wishes = Wishes(**{**shard.wishes, "terms": Terms(**shard.wishes["terms"])})
    rows = [Row(told["line"], told["values"], told["matrix"]) for told in shard.rows]
    reporter = Quiet(Reporter(sandbox=bool(shard.options.get("sandbox"))))
    with ShardSessions(
        SessionOptions(**shard.options),
        needs_key=True,
        reporter=reporter,
        on_open=lambda session: with_limits(session.ctx, **shard.limits),
        store=store,
        stand_ins={name: (at[0], at[1]) for name, at in shard.stand_ins.items()},
        share=_workers(),
    ) as sessions:
        for row in rows:
            _fetch_inputs(row, objects, root / "inputs")
        planner = Planner(rows, sessions, store, ledger, wishes, str(root))
        items = planner.all()
        report = Report(reporter, ledger, items, wishes)
        if not sessions.all:
            return _account(shard, report, None)
        refuse_day_limits(sessions.all)
        ledger.open_spending(unmade(items))
        planner.advance(items)
        ctx = sessions.all[0].ctx
        carrier = ShardCarrier(items, planner, ledger, ctx, wishes, Pace(**shard.pace), _places)
        ended = threading.Event()

        def account() -> dict[str, Any]:
            told = _account(shard, report, carrier)
            text = json.dumps(told, default=str)
            objects.replace(progress_name(shard.batch_id, shard.number), text.encode("ascii"))
            return told

        def tell() -> None:
            while not ended.wait(LOOK_AT_STORE_S):
                with suppress(OSError, TaskError):
                    account()
                with suppress(OSError):
                    if objects.read(shard.stop) is not None:
                        ctx.mailbox.put(Message("interrupt", None, SIGINT))
                        return

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            carrier.run(ctx.monotonic() + (shard.wait_s if shard.wait_s is not None else LONGEST_S))
        finally:
            ended.set()
            teller.join()
        told = account()
        try:
            store.bring_all()
        except OSError as error:
            raise configuration_error(
                f"the store did not take all that a worker knows: {error.strerror or error}",
                expected="a store that can be written",
                hint=f"on that worker: batch_fleet.py FILE --import --batch-id {shard.batch_id} --artifacts-dir {root}",
            ) from None
        return told


def progress_name(batch_id: str, number: str) -> str:
    return f"batches/{batch_id}/shards/{number}.json"


def _account(shard: Shard, report: Report, carrier: Carrier | None) -> dict[str, Any]:
    """What the rows have come to so far. Prompts stay here in a private batch: the coordinator has them."""
    rows = report.documents(carrier)
    if shard.private:
        for row in rows:
            row["prompt"] = None
    return {
        "rows": rows,
        "created": carrier.created if carrier is not None else 0,
        "unknown": carrier.unknown if carrier is not None else 0,
        "stopped": int(carrier.stopped_by) if carrier is not None and carrier.stopped_by is not None else None,
    }


def refuse_day_limits(sessions: Iterable[Session]) -> None:
    """Raises TaskError for a limit of a day: it counts the runs of one machine, and a fleet would pass it unseen."""
    for session in sessions:
        name, limit = credentials.setting(session.profile, "MAX_COST_PER_DAY")
        if limit:
            raise configuration_error(
                f"{name} limits what one machine may spend in a day, which a fleet cannot keep",
                expected="--max-cost, which all machines keep together, and that variable not set",
                code="day_limit_of_one_machine",
            )


def _fetch_inputs(row: Row, objects: Objects, folder: Path) -> None:
    """Pictures of the coordinator's machine, out of the store. What cannot be fetched is a problem of its row."""
    placed = []
    for kind, role, value in row.media:
        if value.startswith(IN_STORE):
            name = value[len(IN_STORE) :]
            digest = name.split("/")[1]
            path = folder / digest / os.path.basename(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file() and not objects.fetch_file(name, str(path), digest):
                row.wrong(f"{os.path.basename(name)} is not in the store as it was put there")
            value = str(path)
        placed.append((kind, role, value))
    if placed:
        row.values["media"] = placed


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for copies of runs. It stays after a fault: it may have what the store has not got. (Not in the
    worker's own folder, which Dask takes away.)
    """
    root = Path(tempfile.mkdtemp(prefix="video-tasks-shard-"))
    yield root
    rmtree(root, ignore_errors=True)


def _workers() -> int:
    """How many workers there are now, each with its part of what a key may ask for in a minute."""
    try:
        from distributed import get_client

        return max(len(get_client().nthreads()), 1)
    except (ImportError, ValueError, OSError):  # not on a worker, or its scheduler is away
        return 1


class LeasedPlaces:
    """Places of one key among all workers: leases of Dask's, which end by themselves when their worker dies."""

    def __init__(self, name: str, most: int) -> None:
        from distributed import Semaphore

        self._leases = Semaphore(max_leases=most, name=name)

    def take(self) -> bool:
        """No place while the scheduler is away: it may be there again, or another worker has these rows by now."""
        try:
            return bool(self._leases.acquire(timeout=0.5))
        except Exception:  # whatever Dask raises when a connection or its worker ends
            return False

    def leave(self) -> None:
        with suppress(Exception):
            self._leases.release()


def _places(session: Session, parallel: int) -> LeasedPlaces | None:
    """Leases on a worker; None in a process without one, which is alone with its key."""
    try:
        from distributed import get_worker

        get_worker()
    except (ImportError, ValueError):
        return None
    return LeasedPlaces(f"{session.profile.name}-{session.provider.key_mark}", parallel)


# -- being one of a fleet --


def dask() -> Any:
    """The package distributed; what it says of workers that come and go is not for who waits for videos.

    Raises TaskError, one line that says how to get it.
    """
    try:
        import distributed
    except ModuleNotFoundError as error:
        if error.name not in ("distributed", "dask"):
            raise
        raise missing_library("distributed") from None
    from dask import config

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    config.set({"distributed.nanny.pre-spawn-environ": QUIET})
    return distributed


def serve_scheduler(place: str) -> int:
    """Serve until a signal comes. `place` is [HOST]:PORT. TLS and limits come from Dask's own configuration."""
    host, _, port = place.rpartition(":")
    if not port.isdigit():
        raise configuration_error(f"--scheduler {place[:60]}", expected="[HOST]:PORT, such as :8786")

    async def serve() -> None:
        from distributed import Scheduler

        async with Scheduler(host=host or None, port=int(port), **UNSEEN) as scheduler:
            Reporter().people(f"scheduler at {scheduler.address}")
            await scheduler.finished()

    return _until_stopped(serve)


def serve_worker(address: str) -> int:
    """Serve until a signal comes. A scheduler that ends or does not answer is tried again: it may be restarted."""

    async def serve() -> None:
        from distributed import Nanny

        for _ in count():  # until a signal; scanners of listings know other spellings of it for an error
            try:
                async with Nanny(address, nthreads=1, **UNSEEN, death_timeout=60) as nanny:
                    Reporter().people(f"worker of {address}")
                    await nanny.finished()
            except (OSError, TimeoutError, asyncio.TimeoutError, RuntimeError) as error:
                logging.getLogger(__name__).debug("worker ended: %s", error)
            Reporter().people(f"the scheduler at {address} is away; trying again")
            await asyncio.sleep(AGAIN_S)

    return _until_stopped(serve)


def _until_stopped(serve: Callable[[], Coroutine[Any, Any, None]]) -> int:
    dask()
    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        return 130
    return 0
