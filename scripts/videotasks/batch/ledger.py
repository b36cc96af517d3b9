"""A batch's own folder: batch.json and results.csv for whoever reads on, takes of retried rows, and its money.

Whether a row was paid for is decided by run folders and claims, never here. Here is what they cannot know: which take a
retried row is at (on disk before that create), and what the batch may spend: a price is reserved under a lock before
each create, so that two processes on one file never pass its limit together.
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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from videotasks.core import durable_files
from videotasks.core.errors import TaskError, configuration_error
from videotasks.core.safe_text import inert
from videotasks.formats import scalars
from videotasks.runs.claims import Owner
from videotasks.runs.identity import Identity
from videotasks.runs.journal import RunState
from videotasks.runs.locks import FileLock
from videotasks.runs.store import RunStore, write_json

FOLDER = "batches"  # under the artifacts root
BATCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}\Z")
LOCK_S = 30.0
LINE_BYTES = 100_000  # of one entry; ours have some hundred
COLUMNS = (
    "row", "id", "status", "file", "link", "cost", "expected", "unit", "seconds", "error", "run_id", "provider",
    "model",
)  # fmt: skip


def batch_id(file: str, content: str, mode: str) -> str:
    """The id of the batch in a file: its name, four letters of its place, and whether it is a rehearsal.

    Standard input (`-`) has no place: its content is its id.
    """
    if file == "-":
        stem, place = "stdin", content
    else:
        path = os.path.realpath(file)
        stem, place = os.path.splitext(os.path.basename(path))[0], path
    plain = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:40] or "batch"
    mark = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[: 12 if file == "-" else 4]
    return f"{plain}-{mark}" + ("-sandbox" if mode == "sandbox" else "")


def over_max_cost(message: str, most: float, unit: str) -> TaskError:
    return configuration_error(
        message,
        expected=f"at most {most:g} {unit} for the whole batch",
        hint="a higher --max-cost, with the user's word for it",
        code="over_max_cost",
    )


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
        known = [amount for amount in self.holds.values() if amount is not None]
        return max(known) if known else None

    @property
    def stands(self) -> bool:
        return self.settled is not None or bool(self.holds)


class Ledger:
    """One batch's folder under an artifacts root, shared by every process that carries the batch out."""

    def __init__(self, store: RunStore, name: str) -> None:
        if not BATCH_ID.match(name):
            raise configuration_error(
                f"{name[:60]!r} is no batch id", expected="letters, digits, dots, dashes, underscores; up to 80"
            )
        self.store, self.id = store, name
        self.folder = store.root / FOLDER / name
        self._token = secrets.token_hex(8)
        self._reserved: dict[str, _Reserved] = {}
        self._owners: dict[str, Owner] = {}
        self._read_to = 0
        self._turn = threading.Lock()  # of this process's threads: they need not poll for the file's

    # -- batch.json ---------------------------------------------------------------------------------------------

    @property
    def file(self) -> Path:
        return self.folder / "batch.json"

    def former(self) -> dict[str, Any]:
        """What an earlier command left; {} when there is nothing that can be read."""
        found = durable_files.read_json(self.file)
        return found if isinstance(found, dict) and found.get("version") == 1 else {}

    def takes(self) -> dict[str, int]:
        """Intent of a row as it is written -> the take that it is at since it was retried."""
        found = self.former().get("takes")
        numbers = found.items() if isinstance(found, dict) else ()
        return {str(key): take for key, take in numbers if isinstance(take, int) and take > 0}

    def prepare(self) -> None:
        """The folder, ours and real. Raises TaskError."""
        self.store.prepare()
        try:
            durable_files.refuse_link(self.folder.parent)
            durable_files.make_private_dir(self.folder)
        except OSError as error:
            raise durable_files.disk_error(error, f"cannot write to {self.folder}") from None

    def keep_input(self, text: str, form: str | None) -> Path:
        """What came by standard input, so that the same batch can be gone on with."""
        self.prepare()
        place = self.folder / f"rows.{form or 'txt'}"
        durable_files.write_atomic(place, text.encode("utf-8"))
        return place

    def retake(self, wanted: Mapping[str, tuple[int, int]]) -> dict[str, int]:
        """Move rows on to another take, durably: intent -> (the take it is known to be at, the next one).

        A row that another process has moved on meanwhile keeps that process's take. Returns the takes that hold now.
        """
        with self._locked():
            document, takes = self.former(), self.takes()
            for intent, (seen, following) in wanted.items():
                if takes.get(intent, seen) == seen:
                    takes[intent] = following
            self._write({"version": 1, "id": self.id, **document, "takes": takes})
        return takes

    def write(self, document: Mapping[str, Any]) -> None:
        """batch.json anew, but for the takes, which only ever grow. Raises OSError."""
        with self._locked():
            self._write({"version": 1, "id": self.id, **document, "takes": self.takes()})

    def _write(self, document: Mapping[str, Any]) -> None:
        write_json(self.file, document)

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

    # -- money --------------------------------------------------------------------------------------------------

    def open_spending(self) -> None:
        """Read what is reserved, and let go of what dead processes held for creates that never came to be."""
        self.prepare()
        with self._locked():
            self._read()
            me = Owner.me()
            self._append({"event": "opened", "owner": asdict(me)})
            for intent, entry in self._reserved.items():
                gone = [token for token in entry.holds if (o := self._owners.get(token)) is None or o.is_gone(me)]
                if entry.settled is None and gone and not self._was_created(intent):
                    for token in gone:
                        self._append({"event": "released", "intent": intent, "held_by": token})
            self._read()

    def _was_created(self, intent: str) -> bool:
        """Whether a run of this intent has, or may have, a task."""
        runs = self.store.by_identity(Identity(intent, "-"))
        return any(state.task_id is not None or state.phase.in_doubt for state in (run.state() for run in runs))

    def reserve(self, intent: str, amount: float | None, unit: str | None, limits: Mapping[str, float]) -> None:
        """Hold the price of a create within the batch's limits (unit -> most). Raises TaskError when it does not fit.

        An unknown price is counted and holds nothing; whether it may be paid was decided before.
        """
        with self._locked():
            self._read()
            most = limits.get((unit or "").casefold())
            if amount is not None and most is not None:
                held = sum(other for key, other in self._amounts(unit) if key != intent)
                if held + amount > most + 1e-9:
                    raise over_max_cost(
                        f"the row costs {amount:g} {unit}, and {held:g} of {most:g} are spent or under way; not sent",
                        most,
                        str(unit),
                    )
            self._append({"event": "reserved", "intent": intent, "amount": amount, "unit": unit})
            self._read()

    def release(self, intent: str) -> None:
        """It is certain that this process created nothing for it."""
        self._append_locked({"event": "released", "intent": intent, "held_by": self._token})

    def settle(self, intent: str, state: RunState) -> None:
        """What the provider says that it charged takes the place of what was reserved, where the batch reserved it."""
        entry = self._reserved.get(intent)
        if entry is None or not entry.stands or state.cost is None or not state.cost_unit:
            return
        if entry.unit is not None and entry.unit.casefold() != state.cost_unit.casefold():
            return
        if entry.settled != state.cost:
            self._append_locked(
                {"event": "settled", "intent": intent, "amount": state.cost, "unit": entry.unit or state.cost_unit}
            )

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

    def _amounts(self, unit: str | None) -> Iterator[tuple[str, float]]:
        wanted = (unit or "").casefold()
        for intent, entry in self._reserved.items():
            if entry.amount is not None and (entry.unit or "").casefold() == wanted:
                yield intent, entry.amount

    @property
    def _log(self) -> Path:
        return self.folder / "spending.jsonl"

    def _append_locked(self, entry: Mapping[str, Any]) -> None:
        with self._locked():
            self._append(entry)
            self._read()

    def _append(self, entry: Mapping[str, Any]) -> None:
        durable_files.append_line(self._log, {"by": self._token, **entry})

    def _read(self) -> None:
        """Take in what was appended since; of a half line that a kill left, nothing was sent."""
        try:
            handle = durable_files.open_regular(self._log)
        except FileNotFoundError:
            return
        with os.fdopen(handle, "rb") as reader:
            reader.seek(self._read_to)
            # To the end, however long: what is not read counts as not spent.
            while line := reader.readline(LINE_BYTES):
                if not line.endswith(b"\n") and len(line) < LINE_BYTES:
                    break
                self._read_to += len(line)
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
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
        kept = self._reserved.setdefault(intent, _Reserved())
        amount = scalars.number(entry.get("amount"))
        if amount is not None:
            amount = max(amount, 0.0)  # whoever plants an entry, or answers with a price below nothing, lifts no limit
        if event == "reserved":
            kept.holds[by] = amount
            kept.unit = str(entry["unit"]) if entry.get("unit") else kept.unit
        elif event == "released":
            kept.holds.pop(str(entry.get("held_by")), None)
        elif event == "settled" and amount is not None:
            kept.settled = amount
            kept.unit = str(entry["unit"]) if entry.get("unit") else kept.unit

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """The batch's lock; a thread and a process wait for it alike. Raises TaskError when it is held for too long."""
        if not self.folder.is_dir():
            self.prepare()
        with self._turn:
            lock, end = FileLock(self.folder / "lock"), time.monotonic() + LOCK_S
            if not lock.acquire(give_up=lambda: time.monotonic() > end):
                raise configuration_error("another command holds this batch", expected="to run it again")
            try:
                yield
            finally:
                lock.release()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = inert(str(value), 16_000)
    return "'" + text if isinstance(value, str) and text[:1] in ("=", "+", "-", "@") else text
