"""Run folders whose truth is in an object store: each machine has a copy, and nothing is paid before the store has it.

    runs/RUN/request.json        what is sent, made only if absent
    runs/RUN/journal/000001.json journal lines, one after the other, each made only if absent
    runs/RUN/outputs/NAME        the result, with its checksum in the journal
    keys/KEY/RUN                 which runs are of an identity
    claims/..., alive/...        who may send (fleet/objects.py)

A line goes to the copy first and then to the store. Where either refuses, `record` raises OSError: before the paid
request that stops it, afterwards the line is kept and goes out with the next one.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

from videotasks.core import durable_files
from videotasks.core.durable_files import intact
from videotasks.fleet.objects import READERS, ObjectClaims, Objects, StoreRefused, entries_of
from videotasks.runs import machine_mark
from videotasks.runs.claims import Claims
from videotasks.runs.identity import Identity, valid_run_id
from videotasks.runs.store import Run, RunStore, write_json

KEY_CHARS = 40
# Of no use to other machines, and many: they stay in the copy until something else goes out.
LOCAL_EVENTS = frozenset({"status", "warning", "timeout", "interrupted", "reported"})
# All that a private journal shows: no text of anybody's, neither the user's nor a server's.
PRIVATE_MEMBERS = frozenset(
    {
        "at", "event", "task_id", "follow", "status", "outcome", "kind", "cost", "cost_unit", "files", "posts", "how",
        "exit_code", "http_status", "server_date", "ids_in_answer", "progress", "expires_at", "reason",
    }
)  # fmt: skip
PRIVATE_REQUEST = ("prompt", "payload", "given")


class SharedJournal:
    """One run's lines in the store, as far as this process knows them. Lines that were read are never read again."""

    def __init__(self, objects: Objects, run_id: str, private: bool) -> None:
        self.objects, self._folder, self.private = objects, f"runs/{run_id}/journal", private
        self.lines: list[str] = []  # canonical JSON of each
        self._position = 0
        self.guard = threading.RLock()

    def pull(self) -> None:
        names = self.objects.names(self._folder, after=self._name(self._position))
        for data in self.objects.read_many(names):
            self.lines += [_canonical(entry) for entry in entries_of(data) if isinstance(entry, dict)]
            self._position += 1

    def push(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Add what the store has not got. Whoever was faster comes first. Raises StoreRefused."""
        while True:
            known = set(self.lines)
            shown = [line for line in (_canonical(self._shown(entry)) for entry in entries) if line not in known]
            if not shown:
                return
            if self.objects.create(self._name(self._position + 1), f"[{','.join(shown)}]".encode("ascii")):
                self.lines += shown
                self._position += 1
                return
            self.pull()

    def missing(self, local: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Lines of the store that a copy has not got."""
        here = {_canonical(self._shown(entry)) for entry in local}
        return [json.loads(line) for line in self.lines if line not in here]

    def _shown(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        if not self.private:
            return entry
        shown = {name: value for name, value in entry.items() if name in PRIVATE_MEMBERS}
        error = entry.get("error")
        if isinstance(error, Mapping):
            shown["error"] = {name: error[name] for name in ("category", "code", "http_status") if name in error}
        return shown

    def _name(self, position: int) -> str:
        return f"{self._folder}/{position:06}.json"


class SharedRun(Run):
    """A run that this machine has a copy of."""

    def __init__(self, folder: Path, request: Mapping[str, Any], shared: SharedJournal) -> None:
        super().__init__(folder, request)
        self.shared = shared

    def record(self, event: str, at: float, **fields: Any) -> None:
        with self.shared.guard:
            if event == "downloaded":
                fields["files"] = [self._stored(entry) for entry in fields.get("files") or ()]
            super().record(event, at, **fields)
            if event not in LOCAL_EVENTS:
                self.push()

    def push(self) -> None:
        """Bring the store what only the copy has. Raises StoreRefused."""
        lines = durable_files.read_lines(self.journal_file)
        self.shared.push(entry for entry in lines if entry.get("event") not in LOCAL_EVENTS)

    def _stored(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """The entry of a file that is in the store now; another's of the same name is never overwritten."""
        objects, path = self.shared.objects, self.local_file({**entry, "stored": None})
        if entry.get("stored") or path is None:
            return dict(entry)
        plain, digest = os.path.basename(path), str(entry["sha256"])
        for name in (plain, f"{digest[:16]}-{plain}"):
            place = f"runs/{self.run_id}/outputs/{name}"
            if objects.create_file(place, path, digest):
                return {**entry, "stored": objects.address_of(place)}
        raise StoreRefused(errno.EEXIST, f"{place} holds another file")

    def holds(self, entry: Mapping[str, Any]) -> bool:
        return self._object_of(entry) is not None or intact(self.folder, entry)

    def place_of(self, entry: Mapping[str, Any]) -> str:
        return str(entry["stored"]) if self._object_of(entry) is not None else super().place_of(entry)

    def _object_of(self, entry: Mapping[str, Any]) -> str | None:
        """The name of a stored file: one of this store, whatever a journal says."""
        stored, before = entry.get("stored"), self.shared.objects.address + "/"
        return stored[len(before) :] if isinstance(stored, str) and stored.startswith(before) else None

    def link_of(self, entry: Mapping[str, Any]) -> str | None:
        """Signed where that was asked for, else relative to the page in the batch's own folder of the store."""
        name = self._object_of(entry)
        return self.signed_link(entry) or f"../../{name}" if name is not None else None

    def signed_link(self, entry: Mapping[str, Any]) -> str | None:
        name, for_s = self._object_of(entry), self.shared.objects.sign_s
        return self.shared.objects.signed(name, for_s) if name is not None and for_s else None

    def local_file(self, entry: Mapping[str, Any]) -> str | None:
        """Fetched from the store when the copy has not got it."""
        here, name = super().local_file(entry), self._object_of(entry)
        if here is not None or name is None:
            return here
        self.prepare()
        path = self.folder / str(entry["path"])
        with suppress(OSError):
            if self.shared.objects.fetch_file(name, str(path), str(entry.get("sha256"))):
                return str(path)
        return None

    def drop_local_files(self) -> None:
        """What the store has need not fill this machine's disk."""
        for entry in self.state().files:
            if self._object_of(entry) is not None and intact(self.folder, entry):
                with suppress(OSError):
                    os.unlink(self.folder / str(entry["path"]))


class SharedRunStore(RunStore):
    """Runs of one store, with their copies under `root`. `private`: the store gets no text of prompts or answers."""

    look_again_s = 1.0  # each look is two requests

    def __init__(self, root: Path, objects: Objects, *, private: bool = False) -> None:
        super().__init__(root)
        self.objects, self._private = objects, private
        self._journals: dict[str, SharedJournal] = {}
        self._guard = threading.Lock()
        self._listed: dict[str, list[str]] | None = None
        self._still: set[str] = set()

    @cached_property
    def claims(self) -> Claims:
        return Claims(ObjectClaims(self.objects))

    def stand_still(self, run_ids: Iterable[str]) -> None:
        """From now on, one listing of all identities serves all rows, and these runs are as they are now.

        For plans and pages, which decide nothing: a row costs two requests otherwise, and its run some more.
        """
        listed: dict[str, list[str]] = {}
        for name in self.objects.names("keys"):
            _, key, run_id = name.split("/", 2)
            listed.setdefault(key, []).append(run_id)
        known = set(run_ids) & {run_id for names in listed.values() for run_id in names}
        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(lambda run_id: self._load(self.root / run_id), filter(valid_run_id, known)))
        self._listed, self._still = listed, known

    def go_on(self) -> None:
        """Every look is one at the store again."""
        self._listed, self._still = None, set()

    def run_of(self, folder: Path, request: Mapping[str, Any]) -> Run:
        folder = Path(folder)
        return SharedRun(folder, request, self._journal(folder.name))

    def _journal(self, run_id: str) -> SharedJournal:
        with self._guard:
            return self._journals.setdefault(run_id, SharedJournal(self.objects, run_id, self._private))

    def _create(self, run_id: str, request: Mapping[str, Any], now: float) -> Run:
        # A mark of its own: of two that make a run of this name in one second, one must find it taken.
        run = super()._create(run_id, {**request, "maker": secrets.token_hex(8)}, now)
        try:
            made = self._announce(run)
        except StoreRefused as error:
            rmtree(run.folder, ignore_errors=True)
            raise durable_files.disk_error(error, "the store cannot be written to") from None
        if not made:
            rmtree(run.folder, ignore_errors=True)
            raise FileExistsError(run.folder)
        return run

    def _announce(self, run: Run) -> bool:
        """Its request and its keys, made only if absent; False when there is another run of that name."""
        hidden = ("mark", *PRIVATE_REQUEST) if self._private else ("mark",)
        shown = {name: value for name, value in run.request.items() if name not in hidden}
        made = self.objects.create(f"runs/{run.run_id}/request.json", _canonical(shown).encode("ascii"))
        for key in self._keys_of(run.request) if made else ():
            self.objects.create(f"keys/{key}/{run.run_id}", b"")
        return made

    @staticmethod
    def _keys_of(request: Mapping[str, Any]) -> list[str]:
        return sorted({str(request[name])[:KEY_CHARS] for name in ("intent", "identity") if request.get(name)})

    # -- finding --

    def related(self, identity: Identity) -> list[Run]:
        """Runs of an identity by either key, newest first, as the store has them now. Raises TaskError."""
        names: set[str] = set()
        try:
            for key in identity.keys:
                key = key[:KEY_CHARS]
                if self._listed is not None:
                    names.update(self._listed.get(key, ()))
                else:
                    names.update(name.rpartition("/")[2] for name in self.objects.names(f"keys/{key}"))
            found = [run for name in names if valid_run_id(name) and (run := self._load(self.root / name)) is not None]
        except StoreRefused as error:
            raise durable_files.disk_error(error, "the store cannot be read") from None
        fitting = (run for run in found if identity.fits(run.request))
        return sorted(fitting, key=lambda run: run.created_at, reverse=True)

    def _load(self, folder: Path) -> Run | None:
        """A run as the store has it now: its copy is brought up to date, and brings the store what only it has."""
        if folder.is_symlink():
            return None
        if folder.name in self._still:
            return self.read(folder)
        journal = self._journal(folder.name)
        with journal.guard:
            journal.pull()
            if not (folder / "inputs" / "request.json").is_file() and not self._copy(folder):
                return None
            run = self.read(folder)
            if isinstance(run, SharedRun):
                local = durable_files.read_lines(run.journal_file) if run.journal_file.is_file() else []
                for entry in journal.missing(local):
                    durable_files.append_line(run.journal_file, entry, durable=False)
                with suppress(StoreRefused):
                    journal.push(entry for entry in local if entry.get("event") not in LOCAL_EVENTS)
            return run

    def _copy(self, folder: Path) -> bool:
        """Make the copy's folder by the request in the store. Whoever may write the store is trusted: it is ours."""
        request = self.objects.read_json(f"runs/{folder.name}/request.json")
        if not isinstance(request, dict) or request.get("run_id") != folder.name:
            return False
        for part in ("inputs", "outputs"):
            durable_files.make_private_dir(folder / part)
        write_json(folder / "inputs" / "request.json", {**request, "mark": machine_mark.mark_of(request)})
        return True

    def take_in(self, run: Run) -> None:
        """Bring the store a run that was made in a folder, with its files. Raises StoreRefused, TaskError, OSError."""
        folder = self.root / run.run_id
        durable_files.make_private_dir(self.root)
        if not folder.exists():
            copytree(run.folder, folder, symlinks=True)
        if not self._announce(run):
            raise StoreRefused(errno.EEXIST, f"the store has another run {run.run_id}")
        mine = self._load(folder)
        files = mine.state().files if mine is not None else []
        if mine is not None and any(mine.local_file(entry) and not entry.get("stored") for entry in files):
            mine.record("downloaded", mine.created_at, files=files)

    def bring_all(self) -> None:
        """Bring the store every line that only a copy has. Raises StoreRefused."""
        for run_id in list(self._journals):
            run = self.read(self.root / run_id)
            if isinstance(run, SharedRun) and run.journal_file.is_file():
                run.push()

    def discard(self, run: Run) -> None:
        """The request stays in the store: an empty run of this identity serves the next one that sends it."""
        if run.state().posts == 0:
            rmtree(run.folder, ignore_errors=True)


def _canonical(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
