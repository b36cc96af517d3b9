"""A batch's own folder: batch.json and results.csv for whoever reads on, takes of retried rows, and its money.

Whether a row was paid for is decided by run folders and claims, never here. Here is what they cannot know: which take a
retried row is at (on disk before that create), and what the batch may spend: a price is reserved before each create, so
that two processes on one file never pass its limit together.

Takes and money stand in one log. Only who has read it to its end adds to it (`BatchHome.append`), so that it may live
in a folder, under a lock, or in an object store, where its next object is made only if absent.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from videotasks.core import durable_files
from videotasks.core.errors import configuration_error
from videotasks.core.safe_text import inert
from videotasks.formats import scalars
from videotasks.runs.claims import Owner
from videotasks.runs.identity import Identity
from videotasks.runs.journal import RunState
from videotasks.runs.locks import FileLock
from videotasks.runs.store import RunStore, write_json

FOLDER = "batches"  # under the artifacts root
BATCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}\Z")
MOVED = "moved.json"  # in the folder of a batch that goes on elsewhere
LOCK_S = 30.0
FRESH_S = 600.0  # a create begins within seconds after its price was reserved; machines' clocks differ
LINE_BYTES = 100_000  # of one entry; ours have some hundred
COLUMNS = (
    "row", "id", "status", "file", "link", "cost", "expected", "unit", "seconds", "error", "run_id", "provider",
    "model",
)  # fmt: skip


def plain_name(file: str) -> str:
    """A file's name as a part of an id."""
    stem = os.path.splitext(os.path.basename(file))[0]
    return re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:40] or "batch"


def batch_id(file: str, content: str, mode: str) -> str:
    """The id of the batch in a file: its name, four letters of its place, and whether it is a rehearsal.

    Standard input (`-`) has no place: its content is its id.
    """
    place = content if file == "-" else os.path.realpath(file)
    plain = "stdin" if file == "-" else plain_name(place)
    mark = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[: 12 if file == "-" else 4]
    return f"{plain}-{mark}" + ("-sandbox" if mode == "sandbox" else "")


@dataclass
class _Reserved:
    """What is held for one create: by whom, until a run's own price settles it."""

    unit: str | None = None
    holds: dict[str, float | None] = field(default_factory=dict)  # token of a process -> amount, None: unknown
    settled: float | None = None

    @property
    def amount(self) -> float | None:
        if self.settled is not None:
            return self.settled
        return max((amount for amount in self.holds.values() if amount is not None), default=None)

    @property
    def stands(self) -> bool:
        return self.settled is not None or bool(self.holds)


class BatchHome(Protocol):
    """Where a batch keeps its log and its document. All raise OSError; `turn` and `prepare` TaskError, too.

    `folder` is its folder on this machine, whatever else it has.
    """

    folder: Path

    def prepare(self) -> None: ...

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """While it is held, nobody else of this home's kind of lock appends; a home without one lets everybody in."""
        ...

    def read(self, position: int) -> tuple[list[Any], int]:
        """The entries behind a position (0: all of them), and the position of the log's end."""
        ...

    def append(self, position: int, entries: Sequence[Mapping[str, Any]]) -> bool:
        """Add entries, durably; False when the log does not end at `position` any more."""
        ...

    def read_document(self) -> Any: ...

    def write_document(self, document: Mapping[str, Any]) -> None: ...

    def publish(self, file: Path) -> str:
        """Where a file out of the batch's own folder can be read by whoever reads the batch."""
        ...


class FolderHome:
    """A batch's own folder: spending.jsonl under a lock of the system's, and batch.json."""

    def __init__(self, store: RunStore, folder: Path, moving_to: str | None = None) -> None:
        self.store, self.folder, self._moving_to = store, folder, moving_to

    def prepare(self) -> None:
        self.store.prepare()
        try:
            durable_files.refuse_link(self.folder.parent)
            durable_files.make_private_dir(self.folder)
        except OSError as error:
            raise durable_files.disk_error(error, f"cannot write to {self.folder}") from None

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """The batch's lock among processes. Raises TaskError when it is held for too long."""
        if not self.folder.is_dir():
            self.prepare()
        lock, end = FileLock(self.folder / "lock"), time.monotonic() + LOCK_S
        if not lock.acquire(give_up=lambda: time.monotonic() > end):
            raise configuration_error("another command holds this batch", expected="to run it again")
        try:
            moved = durable_files.read_json(self.folder / MOVED)
            if isinstance(moved, dict) and moved.get("to") != self._moving_to:
                raise configuration_error(
                    f"this batch was moved to {inert(str(moved.get('to')), 200)}",
                    expected="batch_fleet.py with that --store",
                    hint="what is made here would be paid for a second time",
                    code="batch_moved",
                )
            yield
        finally:
            lock.release()

    def close(self) -> None:
        """From now on only who moves it takes a turn. Raises OSError, TaskError."""
        with self.turn():
            write_json(self.folder / MOVED, {"to": self._moving_to})

    def read(self, position: int) -> tuple[list[Any], int]:
        """Of a half line that a kill left, nothing was sent."""
        found: list[Any] = []
        try:
            handle = durable_files.open_regular(self.log)
        except FileNotFoundError:
            return found, position
        with os.fdopen(handle, "rb") as reader:
            reader.seek(position)
            # To the end, however long: what is not read counts as not spent.
            while line := reader.readline(LINE_BYTES):
                if not line.endswith(b"\n") and len(line) < LINE_BYTES:
                    break
                position += len(line)
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return found, position

    def append(self, position: int, entries: Sequence[Mapping[str, Any]]) -> bool:
        for entry in entries:
            durable_files.append_line(self.log, dict(entry))
        return True

    def read_document(self) -> Any:
        return durable_files.read_json(self.folder / "batch.json")

    def write_document(self, document: Mapping[str, Any]) -> None:
        write_json(self.folder / "batch.json", document)

    def publish(self, file: Path) -> str:
        return str(file)

    @property
    def log(self) -> Path:
        return self.folder / "spending.jsonl"


class Ledger:
    """One batch, shared by every process that carries it out: its folder under an artifacts root, and its home."""

    def __init__(self, store: RunStore, name: str, home: BatchHome | None = None) -> None:
        if not BATCH_ID.match(name):
            raise configuration_error(
                f"{name[:60]!r} is no batch id", expected="letters, digits, dots, dashes, underscores; up to 80"
            )
        self.store, self.id = store, name
        self.home = home or FolderHome(store, store.root / FOLDER / name)
        self.folder = self.home.folder
        self._token = secrets.token_hex(8)
        self._reserved: dict[str, _Reserved] = {}
        self._takes: dict[str, int] = {}
        self._owners: dict[str, Owner] = {}
        self._reserved_at: dict[str, float] = {}  # by whom: the last time, by the clock of its machine
        self._position = 0
        self._reading = threading.RLock()  # this process's threads need not poll for the lock among processes

    # -- batch.json --

    def former(self) -> dict[str, Any]:
        """What an earlier command left; {} when there is nothing that can be read."""
        found = self.home.read_document()
        return found if isinstance(found, dict) and found.get("version") == 1 else {}

    def takes(self) -> dict[str, int]:
        """Intent of a row as it is written -> the take that it is at since it was retried."""
        self._read()
        return dict(self._takes)

    def keep_input(self, text: str, form: str | None) -> Path:
        """What came by standard input, so that the same batch can be gone on with."""
        self.home.prepare()
        place = self.folder / f"rows.{form or 'txt'}"
        durable_files.write_atomic(place, text.encode("utf-8"))
        return place

    def retake(self, wanted: Mapping[str, tuple[int, int]]) -> dict[str, int]:
        """Move rows on to another take, durably: intent -> (the take it is known to be at, the next one).

        A row that another process has moved on meanwhile keeps that process's take. Returns the takes that hold now.
        """

        def moved_on() -> Iterator[dict[str, Any]]:
            for intent, (seen, following) in wanted.items():
                if self._takes.get(intent, seen) == seen:
                    yield {"event": "take", "intent": intent, "take": following}

        self._append(moved_on)
        return dict(self._takes)

    def write(self, document: Mapping[str, Any]) -> None:
        """batch.json anew, with the takes that hold now. Raises OSError."""
        self.home.write_document({"version": 1, "id": self.id, **document, "takes": self.takes()})

    def write_table(self, rows: Iterable[Mapping[str, Any]]) -> Path:
        """results.csv: a line for each row. A cell that a spreadsheet would compute is made a text."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow([_cell(row.get(name)) for name in COLUMNS])
        place = self.folder / "results.csv"
        durable_files.write_atomic(place, b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "backslashreplace"))
        return place

    # -- money --

    def open_spending(self, unmade: Iterable[str]) -> None:
        """Read what is reserved, and let go of what dead processes held for creates that never came to be.

        `unmade` are the intents of rows that have no run: only these are looked at.
        """
        self.home.prepare()
        me, wanted = Owner.me(), set(unmade)

        def freed() -> Iterator[dict[str, Any]]:
            yield {"event": "opened", "owner": vars(me)}
            for intent in wanted & self._reserved.keys():
                entry = self._reserved[intent]
                gone = [token for token in entry.holds if (o := self._owners.get(token)) is None or o.is_gone(me)]
                if entry.settled is None and gone and not self._was_created(intent):
                    for token in gone:
                        yield {"event": "released", "intent": intent, "held_by": token}

        self._append(freed)

    def _was_created(self, intent: str) -> bool:
        """Whether a run of this intent has, or may have, a task."""
        runs = self.store.by_identity(Identity(intent, "-"))
        return any(state.task_id is not None or state.phase.in_doubt for state in (run.state() for run in runs))

    def reserve(self, intent: str, amount: float | None, unit: str | None, limits: Mapping[str, float]) -> None:
        """Hold the price of a create within the batch's limits (unit -> most). Raises TaskError when it does not fit.

        An unknown price is counted and holds nothing; whether it may be paid was decided before.
        """

        def held() -> Iterator[dict[str, Any]]:
            told = (unit or "").casefold()
            most = limits.get(told)
            if amount is not None and most is not None:
                kept = [entry for key, entry in self._reserved.items() if key != intent]
                others = sum(entry.amount or 0.0 for entry in kept if (entry.unit or "").casefold() == told)
                if others + amount > most + 1e-9:
                    raise configuration_error(
                        f"the row costs {amount:g} {unit}, and {others:g} of {most:g} are spent or under way; not sent",
                        expected=f"at most {most:g} {unit} for the whole batch",
                        hint="a higher --max-cost, with the user's word for it",
                        code="over_max_cost",
                    )
            yield {"event": "reserved", "intent": intent, "amount": amount, "unit": unit, "at": round(time.time())}

        self._append(held)

    def busy(self) -> list[Owner]:
        """Processes that may be about to create: those of this machine that live, and those of others, of which nobody
        can say that, while a price that they reserved is fresh. (Later they find a closed batch when they reserve.)
        """
        self._read()
        me, since = Owner.me(), time.time() - FRESH_S
        living = {token: owner for token, owner in self._owners.items() if owner != me and not owner.is_gone(me)}
        return [o for token, o in living.items() if o.host == me.host or self._reserved_at.get(token, 0.0) > since]

    def release(self, intent: str) -> None:
        """It is certain that this process created nothing for it."""
        self._append(lambda: [{"event": "released", "intent": intent, "held_by": self._token}])

    def settle(self, intent: str, state: RunState) -> None:
        """What the provider says that it charged takes the place of what was reserved, where the batch reserved it."""
        entry = self._reserved.get(intent)
        if entry is None or not entry.stands or state.cost is None or not state.cost_unit:
            return
        if entry.unit is not None and entry.unit.casefold() != state.cost_unit.casefold():
            return
        if entry.settled != state.cost:
            told = {"event": "settled", "intent": intent, "amount": state.cost, "unit": entry.unit or state.cost_unit}
            self._append(lambda: [told])

    def spent(self) -> tuple[dict[str, float], int]:
        """(unit -> what was spent or is under way, creates of unknown price)."""
        sums: dict[str, float] = {}
        unknown = 0
        for entry in self._reserved.values():
            if entry.amount is not None and entry.unit:
                sums[entry.unit] = round(sums.get(entry.unit, 0.0) + entry.amount, 6)
            elif entry.stands:
                unknown += 1
        return sums, unknown

    def _append(self, decide: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        """Add what `decide` says of the log as it stands; it is asked again when somebody was faster."""
        with self._reading, self.home.turn():
            while True:
                self._read()
                entries = [{"by": self._token, **entry} for entry in decide()]
                if not entries or self.home.append(self._position, entries):
                    break
            self._read()

    def _read(self) -> None:
        """Take in what was appended since."""
        with self._reading:
            if not self._position:  # they stood in batch.json alone at first
                former = self.former().get("takes")
                for intent, take in former.items() if isinstance(former, dict) else ():
                    self._fold({"event": "take", "intent": str(intent), "take": take})
            entries, self._position = self.home.read(self._position)
            for entry in entries:
                if isinstance(entry, dict):
                    self._fold(entry)

    def _fold(self, entry: Mapping[str, Any]) -> None:
        event, by, intent = entry.get("event"), str(entry.get("by")), entry.get("intent")
        if event == "opened" and isinstance(entry.get("owner"), dict):
            with contextlib.suppress(TypeError):
                self._owners[by] = Owner(**entry["owner"])
            return
        if not isinstance(intent, str):
            return
        if event == "take":
            take = entry.get("take")
            if isinstance(take, int) and take > self._takes.get(intent, 0):
                self._takes[intent] = take
            return
        kept = self._reserved.setdefault(intent, _Reserved())
        amount = scalars.number(entry.get("amount"))
        if amount is not None:
            amount = max(amount, 0.0)  # whoever plants an entry, or answers with a price below nothing, lifts no limit
        if event == "reserved":
            kept.holds[by] = amount
            self._reserved_at[by] = scalars.number(entry.get("at")) or 0.0
            kept.unit = str(entry["unit"]) if entry.get("unit") else kept.unit
        elif event == "released":
            kept.holds.pop(str(entry.get("held_by")), None)
        elif event == "settled" and amount is not None:
            kept.settled = amount
            kept.unit = str(entry["unit"]) if entry.get("unit") else kept.unit


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = inert(str(value), 16_000)
    return "'" + text if isinstance(value, str) and text[:1] in ("=", "+", "-", "@") else text
