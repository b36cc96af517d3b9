"""The rows of a batch handed to Dask workers as shards, watched until they end; whoever comes later attaches to them.

Dask decides where a shard runs and runs it again when its worker dies; claims in the store decide about money. There is
no queue, lease or heartbeat of our own here: a shard whose future is lost is handed out once more, which pays for
nothing twice.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from videotasks.batch.ledger import FolderHome, Ledger
from videotasks.batch.plan import Item, Step, Wishes
from videotasks.batch.report import Report
from videotasks.core import durable_files
from videotasks.core.errors import Category, ExitCode, TaskError, configuration_error
from videotasks.core.record import replace
from videotasks.core.safe_text import one_line
from videotasks.core.workers import Interrupted
from videotasks.fleet.objects import ObjectHome, Objects
from videotasks.fleet.shards import IN_STORE, Shard, carry_shard, dask, progress_name
from videotasks.fleet.shared_runs import SharedRunStore
from videotasks.lifecycle.session import Context
from videotasks.request.local_files import parse_media
from videotasks.runs.identity import Identity
from videotasks.runs.store import RunStore

SHARD_ROWS = 50  # a worker that dies costs its doubts, not its rows: small enough to spread, large enough to pay off
LOOK_EVERY_S = 1.0
PROGRESS_EVERY_S = 5.0  # between looks at what the workers tell
CONNECT_S = 10.0  # for one try; a scheduler that restarts is tried until the command's time is over
HAND_OUT_MOST = 20  # times that one shard is handed out again, when its workers keep dying
FAULTS_MOST = 5  # of the library itself, which the next try meets as well
ENTRIES = 1_000  # of the folder's log in one object
IMPORTED = "imported"
INTERRUPT_GRACE_S = 30.0  # for the answers of creates that are under way on workers


# -- shards --


def shards_of(items: Sequence[Item], rows_each: int) -> list[list[Item]]:
    """Rows in parts, by their order in the file; rows that take of each other stay in one part."""
    by_id = {item.row.id: item for item in items if item.row.id}
    group: dict[int, list[Item]] = {id(item): [item] for item in items}
    for item in items:
        for other in (by_id[name] for name in item.row.taken if name in by_id):
            mine, theirs = group[id(item)], group[id(other)]
            if theirs is not mine:
                theirs += mine
                group |= dict.fromkeys(map(id, mine), theirs)
    parts: list[list[Item]] = []
    seen: set[int] = set()
    for item in items:
        rows = group[id(item)]
        if id(rows) in seen:
            continue
        seen.add(id(rows))
        if parts and len(parts[-1]) + len(rows) <= rows_each:
            parts[-1] += rows
        else:
            parts.append(list(rows))
    order = {id(item): at for at, item in enumerate(items)}
    return [sorted(part, key=lambda one: order[id(one)]) for part in parts]


def told_row(item: Item, objects: Objects, *, private: bool, beside: Callable[[str], str]) -> dict[str, Any]:
    """A row as a worker gets it: pictures of this machine go into the store. Raises TaskError, StoreRefused."""
    values = {name: value for name, value in item.row.values.items() if name != "output"}
    media = []
    for kind, role, value in item.row.media:
        named, path = (role, value) if role is not None or value.startswith("@") else parse_media(value)
        local = beside(path)
        if not value.startswith("@") and "://" not in path and os.path.isfile(local):
            if private:
                raise configuration_error(
                    f"line {item.row.line}: {os.path.basename(local)} is a file of this machine, and --private keeps "
                    "inputs out of the store",
                    expected="a public link",
                )
            digest = durable_files.sha256_of(local, follow=True)
            name = f"inputs/{digest}/{os.path.basename(local)}"
            objects.create_file(name, local, digest)
            value, role = IN_STORE + name, named
        media.append([kind, role, value])
    if media:
        values["media"] = media
    return {"line": item.row.line, "values": values, "matrix": item.row.matrix}


# -- Dask --


@contextmanager
def cluster_at(address: str, workers: int) -> Iterator[str]:
    """The address of the scheduler; `local` starts workers of this machine for as long as the block lasts."""
    distributed = dask()
    if address != "local":
        yield address
        return
    with distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster.scheduler_address


class Conductor:
    """Hands shards out and takes in what they came to. Has what `Report.finish` asks of whoever carried a batch out."""

    def __init__(
        self, items: Sequence[Item], ledger: Ledger, ctx: Context, objects: Objects, report: FleetReport
    ) -> None:
        self.items, self.ledger, self.ctx, self.objects, self.report = items, ledger, ctx, objects, report
        self.created = 0
        self.interrupted: int | None = None
        self.stopped_by: ExitCode | None = None
        self.late: set[str] = set()
        self.trouble: dict[str, dict[str, Any]] = {}
        self._counts: dict[str, dict[str, int]] = {}  # of a shard: what it created, and its lost answers
        self._client: Any = None
        self._told_away = False
        self._last_fault, self._faults = "", 0

    def run(
        self, address: str, shards: Mapping[str, Shard], deadline: float, *, stop_after_unknown: int, own: bool
    ) -> None:
        """Until all shards have ended, the deadline (monotonic) passes, or a signal comes.

        `own`: the workers end with this command, so that their shards get its deadline.
        """
        ctx, waiting, handed = self.ctx, dict(shards), dict[str, int]()
        futures: dict[str, Any] = {}
        progress_at = ctx.monotonic() + PROGRESS_EVERY_S
        end = deadline + (ctx.limits.last_file_s if own else 0.0)
        stopping = False
        try:
            while waiting and ctx.monotonic() < end:
                if not self._connected(address):
                    futures.clear()
                for number, shard in waiting.items() if self._client is not None else ():
                    if number not in futures and handed.get(number, 0) < HAND_OUT_MOST and not stopping:
                        left = max(deadline - ctx.monotonic(), 1.0) if own else None
                        futures[number] = self._hand_out(number, replace(shard, wait_s=left), handed.get(number, 0))
                        handed[number] = handed.get(number, 0) + 1
                self._collect(futures, waiting)
                worn_out = all(handed.get(number, 0) >= HAND_OUT_MOST for number in waiting) and not futures
                if waiting and (worn_out or self._faults >= FAULTS_MOST):
                    raise TaskError(
                        Category.TRANSIENT,
                        f"the rows that are left could not be carried out: {self._last_fault or 'their workers died'}",
                    )
                if ctx.monotonic() >= progress_at:
                    self._look(waiting)
                    progress_at = ctx.monotonic() + PROGRESS_EVERY_S
                    if self._sum("unknown") >= stop_after_unknown and not stopping:
                        self.stop(shards)  # each worker counts its own: here is the sum
                        self.stopped_by, stopping = ExitCode.SUBMISSION_UNKNOWN, True
                        end = min(end, ctx.monotonic() + INTERRUPT_GRACE_S)
                ctx.mailbox.sleep(LOOK_EVERY_S if futures else 0.2)
        except Interrupted as signal:
            self.interrupted = signal.signum
            # Creates that are under way get their answers, as on one machine; a second signal ends at once.
            self.stop(shards)
            end = ctx.monotonic() + INTERRUPT_GRACE_S
            with suppress(Interrupted):
                while ctx.monotonic() < end and futures:
                    self._collect(futures, waiting)
                    ctx.mailbox.sleep(0.2)
        finally:
            self._look(waiting)
            if self._client is not None:
                with suppress(Exception):
                    self._client.close(timeout=2)

    def stop(self, shards: Mapping[str, Shard]) -> None:
        """No create begins any more, wherever these shards run."""
        for mark in {shard.stop for shard in shards.values()}:
            with suppress(OSError):
                self.objects.replace(mark, b"{}")

    def _collect(self, futures: dict[str, Any], waiting: dict[str, Shard]) -> None:
        """Take in what has ended; a shard of which nobody knows what it came to goes on waiting."""
        for number, future in list(futures.items()):
            if future is not None and future.status in ("pending", "processing"):
                continue
            del futures[number]
            told = self._result_of(future) if future is not None else None
            if told is not None:
                self._take_in(number, told)
                del waiting[number]

    def _connected(self, address: str) -> bool:
        """Whether the scheduler is there; a new one knows of no future of the old one."""
        from distributed import Client

        if self._client is not None:
            if self._client.status == "running":
                return True
            with suppress(Exception):
                self._client.close(timeout=1)
            self._client = None
        try:
            self._client = Client(address, timeout=CONNECT_S, set_as_default=False)
            self._told_away = False
        except ValueError:
            raise configuration_error(
                f"--dask {address[:80]} is no address", expected="tcp://HOST:8786, tls://HOST:8786, or local"
            ) from None
        except (OSError, TimeoutError):
            if not self._told_away:
                self.ctx.reporter.people(f"the scheduler at {address} does not answer; trying again")
                self._told_away = True
        return False

    def _hand_out(self, number: str, shard: Shard, times: int) -> Any:
        """The future of a shard: whoever runs the same command later gets the very same one, while it runs."""
        from distributed import fire_and_forget

        told = replace(shard, wait_s=None, stand_ins={}).text()
        key = f"{shard.batch_id}-{number}-{hashlib.sha256(told.encode()).hexdigest()[:16]}-{times}"
        try:
            future = self._client.submit(carry_shard, shard.text(), key=key, pure=False)
            if shard.wait_s is None:
                fire_and_forget(future)  # it goes on when this command is killed
            return future
        except Exception:  # the connection broke: the next round connects anew
            return None

    def _result_of(self, future: Any) -> dict[str, Any] | None:
        """What a shard came to; None when nobody knows: its workers died, or the scheduler was restarted."""
        try:
            if future.status == "error":
                fault = future.exception(timeout=CONNECT_S)
                self._last_fault = one_line(f"{type(fault).__name__}: {fault}", 200)
                self._faults += type(fault).__name__ != "KilledWorker"
            told = json.loads(future.result(timeout=CONNECT_S)) if future.status == "finished" else None
        except Exception:
            return None
        return told if isinstance(told, dict) else None

    def _take_in(self, number: str, told: Mapping[str, Any]) -> None:
        error = told.get("error")
        if isinstance(error, dict):
            return self.report.refuse(number, error)
        self.report.take_in(number, told.get("rows") or ())
        self._counts[number] = {name: int(told.get(name) or 0) for name in ("created", "unknown")}
        self.created = self._sum("created")
        stopped = told.get("stopped")
        if isinstance(stopped, int) and stopped not in (ExitCode.SIGINT, ExitCode.NOT_FINISHED):
            self.stopped_by = self.stopped_by or ExitCode(stopped)

    def _sum(self, name: str) -> int:
        return sum(counts[name] for counts in self._counts.values())

    def _look(self, waiting: Iterable[str]) -> None:
        """What the workers of these shards have told the store so far."""
        names = [progress_name(self.ledger.id, number) for number in waiting]
        with suppress(OSError, TaskError):
            for number, data in zip(list(waiting), self.objects.read_many(names), strict=True):
                with suppress(ValueError):
                    told = json.loads(data) if data is not None else None
                    if isinstance(told, dict):
                        self._take_in(number, told)
            self.ledger.takes()  # reads the log, and with it what was spent


def runs_of(document: Any) -> list[str]:
    """The runs that a batch's document names."""
    rows = document.get("rows") if isinstance(document, dict) else None
    told = (row.get("run_id") for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()
    return [run_id for run_id in told if isinstance(run_id, str)]


class FleetReport(Report):
    """The report of a batch whose rows are carried out elsewhere: by the documents of its rows."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.main, report.ledger, report.items, report.wishes)
        self.told: dict[int, dict[str, Any]] = {}  # by the id() of an item
        self.of_shard_number: dict[str, list[Item]] = {}

    def take_in(self, number: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Documents of a shard's rows, in its order: rows of a matrix share their line."""
        for item, row in zip(self.of_shard_number.get(number, ()), rows, strict=False):
            with suppress(ValueError):
                item.step = Step(row.get("step"))
                item.code = None if row.get("code") is None else ExitCode(int(row["code"]))
                item.error, item.note = row.get("error"), row.get("note") or item.note
                self.told[id(item)] = dict(row)

    def refuse(self, number: str, error: Mapping[str, Any]) -> None:
        """A shard that its worker could not begin: for a key that is not set there, another version."""
        for item in self.of_shard_number.get(number, ()):
            if item.step.pays or item.step is Step.GO_ON:
                item.step, item.error = Step.HELD, {k: v for k, v in error.items() if k != "exit_code"}
                with suppress(ValueError):
                    item.code = ExitCode(int(error.get("exit_code") or 1))

    def finish(self, carrier: Any, again: list[str]) -> int:
        """With copies of what only a person may settle, so that the next command can name one."""
        for item in self.items:
            run_id = self.told.get(id(item), {}).get("run_id")
            if item.step is Step.UNKNOWN and run_id:
                item.run = carrier.ctx.store.find(str(run_id))
        return super().finish(carrier, again)

    def _state(self, item: Item) -> tuple[str, Any]:
        told = self.told.get(id(item))
        return (str(told["status"]), None) if told is not None else super()._state(item)

    def _document(self, item: Item) -> dict[str, Any]:
        told = self.told.get(id(item))
        if told is None:
            return super()._document(item)
        prompt = item.row.values.get("prompt")
        return {**told, "prompt": told.get("prompt") or (one_line(str(prompt), 2_000) if prompt else None)}

    def _code(self, item: Item, carrier: Any) -> ExitCode:
        told = self.told.get(id(item))
        if told is None or item.step in (Step.LEFT_OUT, Step.INVALID, Step.HELD):
            return super()._code(item, carrier)
        return item.code if item.code is not None else ExitCode.NOT_FINISHED


def wishes_told(wishes: Wishes) -> dict[str, Any]:
    """The wishes as JSON. What the coordinator has decided is not decided again: takes moved on, rows left out."""
    return {"terms": dict(vars(wishes.terms)), "skip_invalid": True, "most": dict(wishes.most)}


# -- from a folder --


def import_batch(items: Sequence[Item], ledger: Ledger, home: FolderHome, store: SharedRunStore, to: ObjectHome) -> int:
    """Take over into a store what was begun in a folder, so that it is paid for nowhere else; returns how many runs.

    The folder is closed first, then its log goes over, then claims, then requests, journals and files: whoever looks
    meanwhile finds a claim without its run, and sends nothing. All is made only if absent: it may be done again.
    Raises TaskError while another process carries the batch out, or where the store has another claim.
    """
    to.prepare()
    for act in (home.close, lambda: None):  # who opened it meanwhile finds it closed, or is found
        busy = ledger.busy()
        if busy:
            where = ", ".join(f"process {owner.pid} on {owner.host}" for owner in busy[:3])
            raise configuration_error(
                f"this batch is being carried out ({where}), so it cannot be moved",
                expected="that command ended",
                hint="end it with Ctrl-C, which keeps what was created, and run this again",
            )
        act()
    _import_log(home, to)
    local, taken = ledger.store, 0
    known = {*_identities(items, ledger.takes()), *_identities_of(home.read_document(), local)}
    for identity in known:
        for key in identity.keys:
            for claim in local.claims.of_key(key):
                data = local.claims.store.read(claim.name) or b""
                if not store.objects.create(f"claims/{claim.name}", data):
                    raise configuration_error(
                        f"the store has another claim on run {claim.run_id}",
                        expected="a store in which this row was not begun",
                    )
        for run in local.by_identity(identity):
            store.take_in(run)
            taken += 1
    return taken


def _identities_of(document: Any, local: RunStore) -> Iterator[Identity]:
    """Of the runs that the batch's own document names: a row that is not valid today has one all the same."""
    for run_id in runs_of(document):
        run = local.find(run_id)
        if run is not None and not run.of_version_1:
            yield Identity(str(run.request.get("intent")), str(run.request.get("identity")))


def _import_log(home: FolderHome, to: ObjectHome) -> None:
    entries, _ = home.read(0)
    there, position = to.read(0)
    if any(isinstance(entry, dict) and entry.get("event") == IMPORTED for entry in there):
        return
    parts = [entries[at : at + ENTRIES] for at in range(0, len(entries), ENTRIES)]
    for part in [*parts, [{"event": IMPORTED}]]:
        while not to.append(position, part):
            _, position = to.read(position)
        position += 1


def _identities(items: Iterable[Item], takes: dict[str, int]) -> Iterator[Identity]:
    """Of every take that a row has been at."""
    for item in items:
        if item.plan is None or item.base is None:
            continue
        for take in range(item.row.take, max(takes.get(item.base, 0), item.row.take) + 1):
            yield replace(item.plan, take=take).identity
