"""Run folders: one per paid request or adopted task, found again by run id, identity, task id or age."""

from __future__ import annotations

import errno
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property, lru_cache
from heapq import merge
from pathlib import Path
from typing import Any, TypeVar

from videotasks.core import durable_files
from videotasks.core.durable_files import intact
from videotasks.core.errors import TaskError, configuration_error
from videotasks.core.redaction import known_secrets, redact
from videotasks.core.safe_text import json_inert
from videotasks.core.task import Phase, valid_task_id
from videotasks.core.times import epoch_of, iso
from videotasks.runs import budgets, machine_mark, outlines
from videotasks.runs.claims import Claims, FolderClaims
from videotasks.runs.identity import (
    GENERATED_RUN_ID,
    Identity,
    is_generated,
    may_be_of_day,
    new_run_id,
    valid_run_id,
)
from videotasks.runs.journal import RunState, fold
from videotasks.runs.locks import FileLock
from videotasks.runs.outlines import Outline

T = TypeVar("T")
_PRETTY_UP_TO = 100_000  # characters; the deepest answer is 100 levels, so that a try is 10 MB at most
_UNREADABLE = {"category": "submission_unknown", "message": "the journal of this run cannot be read"}
_MAY_BE_PAID: dict[str, Any] = {"event": "submission_unknown", "error": _UNREADABLE}
POINTER_BYTES = 4_096
_LARGE, _MANY_LINES = 500_000, 2_000  # bytes and lines of a journal that is kept in memory
OUTLINES_FROM = 50  # runs that have changed since the outlines were saved: fewer are read again faster
SCHEMA_VERSION = 2  # 1 (version 0.1): no intent, and an origin without its base path


class Run:
    """One run folder. The journal is read afresh where it matters: other processes may write to it.

    What this process has read and written of it counts on when the folder is gone (`git clean` while a task is waited
    for): the id was paid for. The next event brings the folder back.
    """

    def __init__(self, folder: Path, request: Mapping[str, Any]) -> None:
        self.folder = folder
        self.request = request
        self._known: list[dict[str, Any]] = []
        self._unsaved: list[dict[str, Any]] = []
        self.in_flight = False  # this process has begun to send, and nothing says that nothing was created

    @property
    def run_id(self) -> str:
        return self.folder.name

    @cached_property
    def journal_file(self) -> Path:
        return self.folder / "journal.jsonl"

    @cached_property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    @cached_property
    def result_file(self) -> Path:
        return self.outputs / "result.json"

    def state(self) -> RunState:
        lines = self._lines()
        return _fold(lines) if not self._unsaved else fold([*lines, *self._unsaved])

    def _lines(self) -> list[dict[str, Any]]:
        lines, sound = _journal(os.fspath(self.folder))
        if not sound:
            return self._known or lines
        if len(lines) >= len(self._known):  # a journal only grows: a shorter one is another
            self._known = lines
        return self._known

    def record(self, event: str, at: float, **fields: Any) -> None:
        """Append one event, fsynced. Raises OSError when the disk refuses: the caller decides what that means.

        A refused event still counts in this process, and is written before the next one: a full disk must not make
        the command forget the id that it has just been given. A change of status alone is not fsynced, and not noted in
        a journal that has grown large: a server that flaps must neither hold the waiting thread nor fill the disk. Nor
        is what was reported: when a power cut takes it, it is told once more, and nothing is paid before that.
        """
        size = 0
        with suppress(OSError):
            size = os.lstat(self.journal_file).st_size
        if event == "status" and size > budgets.QUIET_ABOVE:
            return
        if event in ("submitting", "not_sent", "resend", "refused"):
            self.in_flight = event == "submitting"
        entry = {"at": iso(at), "event": event}
        entry.update({key: value for key, value in fields.items() if value is not None})
        self._unsaved.append(without_secrets(budgets.entry_within(entry, size)))
        task_id = fields.get("task_id") if event in ("submitted", "adopted") else None
        if size == 0 and self._known:
            self.restore()
        while self._unsaved:
            more = {"durable": False} if self._unsaved[0]["event"] in ("status", "reported") else {}
            durable_files.append_line(self.journal_file, self._unsaved[0], **more)
            self._known.append(self._unsaved[0])
            del self._unsaved[0]
        if isinstance(task_id, str):
            point(self.folder.parent, self.mode, task_id, self.run_id)

    def restore(self) -> None:
        """Write the folder again as far as this process knows it. Raises OSError."""
        try:
            prepare_root(self.folder.parent)
            for folder in (self.folder, self.folder / "inputs", self.outputs):
                durable_files.make_private_dir(folder)
        except TaskError as error:
            raise OSError(errno.ELOOP, error.message, str(self.folder)) from None
        if not (self.folder / "inputs" / "request.json").exists():
            write_json(self.folder / "inputs" / "request.json", dict(self.request))
        if not self.journal_file.exists():
            for line in self._known:
                durable_files.append_line(self.journal_file, line)

    @property
    def mode(self) -> str:
        return str(self.request.get("mode"))

    @property
    def origin(self) -> str:
        return str(self.request.get("origin"))

    @property
    def made_here(self) -> bool:
        """Whether this user's machine made the folder. One from elsewhere is no witness for a create."""
        return machine_mark.is_ours(self.request)

    def take_over(self, at: float) -> None:
        """The provider knows the task of a folder from elsewhere: from now on it is ours, and only its id counts.

        Raises OSError.
        """
        self.record("taken_over", at)
        request = {key: value for key, value in self.request.items() if key != "mark"}
        mark = machine_mark.mark_of(request)
        if mark is not None:
            self.request = {**request, "mark": mark}
            write_json(self.folder / "inputs" / "request.json", self.request)

    @property
    def of_version_1(self) -> bool:
        return self.request.get("schema_version") == 1

    def is_at(self, origin: str | None) -> bool:
        """Whether the run was made at this origin and base path (`sandbox:<provider>` in the sandbox)."""
        return outlines.made_at(self.origin, origin, self.of_version_1)

    @property
    def provider(self) -> str:
        return str(self.request.get("provider"))

    @property
    def prompt(self) -> str:
        return str(self.request.get("prompt") or "")

    @property
    def created_at(self) -> float:
        return epoch_of(self.request.get("created_at")) or 0.0

    @property
    def created_at_iso(self) -> str | None:
        """The same as ISO UTC, whatever a folder from elsewhere calls a time."""
        return iso(self.created_at) if self.created_at else None

    def holds(self, entry: Mapping[str, Any]) -> bool:
        """Whether a recorded file is where it was put, as it was fetched."""
        return intact(self.folder, entry)

    def place_of(self, entry: Mapping[str, Any]) -> str:
        """Where a recorded file is, as people are told: its absolute path."""
        return str(self.folder / str(entry["path"]))

    def signed_link(self, entry: Mapping[str, Any]) -> str | None:
        """An address that anybody may open for a while, where whoever keeps the file gives one."""
        return None

    def link_of(self, entry: Mapping[str, Any]) -> str | None:
        """Where a page may find a recorded file that is not in this folder."""
        return None

    def local_file(self, entry: Mapping[str, Any]) -> str | None:
        """The absolute path of a recorded file on this machine; None when it is not here as it was fetched."""
        return str(self.folder / str(entry["path"])) if intact(self.folder, entry) else None

    def download_lock(self) -> FileLock:
        return FileLock(self.folder / "download.lock")

    def prepare(self) -> None:
        """The outputs folder, ours and real. Raises TaskError when someone put a link there, and OSError."""
        durable_files.refuse_link(self.folder)
        if self._known and not self.journal_file.exists():
            self.restore()
        durable_files.make_private_dir(self.outputs)


class RunStore:
    """All run folders under one artifacts root, seen from one mode and origin at a time."""

    look_again_s = 0.1  # between looks at a claim that another process holds

    def __init__(self, root: Path) -> None:
        self.root = root
        self._accounts: dict[tuple[str, Callable[[Run], Any]], tuple[outlines.Signature, Any]] = {}

    def prepare(self) -> None:
        """Make the root (0700) with a .gitignore, or say why not: asked before anything is sent."""
        try:
            prepare_root(self.root)
            durable_files.make_private_dir(self.root / ".locks")
            durable_files.sweep_temporary(self.root, time.time())
            durable_files.sweep_temporary(self.root / ".claims", time.time())
        except OSError as error:
            raise durable_files.disk_error(error, f"cannot write to {self.root}") from None

    @cached_property
    def claims(self) -> Claims:
        """Who may send which create under this root."""
        return Claims(FolderClaims(self.root / ".claims"))

    def task_lock(self, key: str) -> FileLock:
        """So that two processes that ask about one unknown task wait for each other; nothing is paid under it."""
        return FileLock(self.root / ".locks" / f"{key[:32]}.lock")

    # -- making --

    def create(self, request: Mapping[str, Any], *, now: float, run_id: str | None = None) -> Run:
        """A new run folder with its request on disk, fsynced. Raises TaskError for a bad or taken run id.

        It gets its name when it is whole: a kill leaves no folder that holds a name but no request.
        """
        if run_id is not None:
            self._check_new(run_id)
            try:
                return self._create(run_id, request, now)
            except FileExistsError:
                raise configuration_error(f"the run id {run_id} is taken", expected="a new run id") from None
        body = str(request.get("identity") or "0" * 64)
        stamp = iso(now)[:19].replace("-", "").replace(":", "").replace("T", "-")
        base = new_run_id(stamp, str(request.get("intent") or body), body)
        count = 1
        while True:
            name = base if count == 1 else f"{base}-{count}"
            try:
                if not os.path.lexists(self.root / name):
                    return self._create(name, request, now)
            except FileExistsError:  # another process was faster with that very name
                pass
            count += 1

    def _create(self, run_id: str, request: Mapping[str, Any], now: float) -> Run:
        """Raises FileExistsError when the name was taken meanwhile, TaskError when the disk refuses."""
        folder = self.root / run_id
        record = {"schema_version": SCHEMA_VERSION, "run_id": run_id, "created_at": iso(now), **request}
        record["mark"] = machine_mark.mark_of(record)
        draft: Path | None = None
        try:
            draft = Path(tempfile.mkdtemp(prefix=durable_files.TEMPORARY, dir=self.root))  # 0700
            os.mkdir(draft / "inputs", 0o700)
            os.mkdir(draft / "outputs", 0o700)
            write_json(draft / "inputs" / "request.json", record)
            durable_files.sync_dir(draft)
            durable_files.replace(draft, folder)
            durable_files.sync_dir(self.root)
        except OSError as error:
            if draft is not None:
                from shutil import rmtree

                rmtree(draft, ignore_errors=True)
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR) or os.path.lexists(folder):
                raise FileExistsError(folder) from None
            raise durable_files.disk_error(error, f"cannot write the run folder {folder}") from None
        return self.run_of(folder, record)

    def run_of(self, folder: Path, request: Mapping[str, Any]) -> Run:
        """The run in a folder whose request was read, or written just now."""
        return Run(folder, request)

    def _check_new(self, run_id: str) -> None:
        require_run_id(run_id)
        if is_generated(run_id):  # such a name tells when and of what, and is believed: nobody else may choose it
            raise configuration_error(
                f"there is no run {run_id} to go on with, and a new one cannot have its name",
                expected="a run id of another form than the ids that are made here",
                hint="leave --run-id out, or choose a name of your own",
            )
        if os.path.lexists(self.root / run_id):
            raise configuration_error(
                f"the run id {run_id} is taken by another request",
                expected="a new run id, or the very same command as before",
                hint="leave --run-id out, or choose another",
            )

    def discard(self, run: Run) -> None:
        """Take away a folder that was prepared just now, and whose request another process is sending."""
        if run.state().phase is Phase.NEW and not run.journal_file.exists():
            from shutil import rmtree

            rmtree(run.folder, ignore_errors=True)

    # -- finding --

    def open(self, run_id: str) -> Run:
        """The run of that id. Raises TaskError (exit 1) when there is none."""
        require_run_id(run_id)
        run = self.find(run_id)
        if run is None:
            raise configuration_error(
                f"there is no run {run_id} under {self.root}",
                expected="a run id that --list shows",
                hint="look at `task_status.py --list`, or name the folder with --artifacts-dir",
            )
        return run

    def find(self, run_id: str) -> Run | None:
        """The run of that id, or None."""
        return self._load(self.root / run_id) if valid_run_id(run_id) else None

    def _load(self, folder: Path) -> Run | None:
        """A named run; links are refused. Names out of `names()` are known to be real folders."""
        return None if folder.is_symlink() or not folder.is_dir() else self.read(folder)

    def read(self, folder: Path) -> Run | None:
        # Joined as text: pathlib's own joins were a third of the time of a list of a thousand runs.
        request = durable_files.read_json(os.path.join(folder, "inputs", "request.json"))
        return self.run_of(folder, request) if isinstance(request, dict) else None

    def names(self) -> list[str]:
        try:
            return sorted(
                (e.name for e in os.scandir(self.root) if valid_run_id(e.name) and e.is_dir(follow_symlinks=False)),
                reverse=True,
            )
        except OSError:
            return []

    def runs(self) -> Iterator[Run]:
        """Every readable run, generated ids newest first."""
        return self._read(self.names())

    def _read(self, names: Iterable[str]) -> Iterator[Run]:
        for name in names:
            run = self.read(self.root / name)
            if run is not None:
                yield run

    def newest_first(self) -> Iterator[Run]:
        """Every readable run by its create time. A generated id begins with it, so that only names of the user's own
        are read before the first run is given: the newest of 10,000 cost a look at the names."""
        names = self.names()
        made = self._read(name for name in names if GENERATED_RUN_ID.match(name))
        named = self._read(name for name in names if not GENERATED_RUN_ID.match(name))
        own = sorted(named, key=lambda run: run.created_at, reverse=True)
        return merge(made, own, key=lambda run: run.created_at, reverse=True)

    def by_identity(self, identity: Identity) -> list[Run]:
        """Runs of one identity by either key, newest first. A generated run id shows both, so few files are read."""
        return [run for run in self.related(identity) if identity.fits(run.request)]

    def related(self, identity: Identity) -> list[Run]:
        """Runs of an identity, and those of version 0.1, whose requests do not show what the user typed."""
        try:
            names = [name for name in os.listdir(self.root) if identity.may_be(name) and valid_run_id(name)]
        except OSError:
            names = []
        named = (self._load(self.root / name) for name in sorted(names, reverse=True))
        return sorted(
            (run for run in named if run is not None and (run.of_version_1 or identity.fits(run.request))),
            key=lambda run: run.created_at,
            reverse=True,
        )

    def of_day(self, day: str, account: Callable[[Run], T]) -> Iterator[T]:
        """What `account` says of each run that can be of a UTC day (`2026-11-21`) by its name.

        It is asked again only when the run's own files are not those that it was asked about in this process: a batch
        of thousands reads each journal once for all of its creates.
        """
        for name in self.names():
            signed = outlines.signature(f"{self.root}/{name}") if may_be_of_day(name, day) else None
            if signed is None:
                continue
            known = self._accounts.get((name, account))
            if known is None or known[0] != signed:
                run = self.read(self.root / name)
                if run is None:
                    continue
                known = self._accounts[name, account] = signed, account(run)
            yield known[1]

    def outlines(self) -> Iterator[Outline]:
        """Every readable run as lists need it, generated ids newest first; what has not changed is not read again."""
        kept, found, fresh = outlines.load(self.root), dict[str, Any](), 0
        root = os.fspath(self.root)
        for name in self.names():
            signed = outlines.signature(f"{root}/{name}")
            if signed is None:
                continue
            outline = outlines.recall(name, kept.get(name), signed)
            if outline is not None:
                found[name] = kept[name]
            else:
                # Joined as text, and no Run: objects and pathlib were half of the time of a first list.
                request = durable_files.read_json(f"{root}/{name}/inputs/request.json")
                if not isinstance(request, dict):
                    continue
                state = fold(_journal(f"{root}/{name}")[0])
                outline, fresh = outlines.outline_of(name, request, state), fresh + 1
                found[name] = outlines.entry_of(signed, outline)
            yield outline
        if fresh > OUTLINES_FROM:
            outlines.save(self.root, found)

    def by_task(self, task_id: str, *, mode: str, origin: str) -> Run | None:
        """The run that owns a task."""
        return self.by_tasks([task_id], mode=mode, origin=origin).get(task_id)

    def by_tasks(self, task_ids: Iterable[str], *, mode: str, origin: str) -> dict[str, Run]:
        """The runs that own these tasks. A pointer leads to each; else all runs are looked through, once."""
        found: dict[str, Run] = {}
        lost: set[str] = set()
        for task_id in task_ids:
            run = next((run for run in self._pointed_at(task_id, mode) if run.is_at(origin)), None)
            if run is not None:
                found[task_id] = run
            else:
                lost.add(task_id)
        for run in self._owning(lost, mode) if lost else ():
            if run.is_at(origin):
                found.setdefault(str(run.state().task_id), run)
        return found

    def by_task_anywhere(self, task_id: str, *, mode: str) -> list[Run]:
        """Runs of any origin that own a task of that id, for a look-up that names no provider."""
        return self._pointed_at(task_id, mode) or list(self._owning({task_id}, mode))

    def _pointed_at(self, task_id: str, mode: str) -> list[Run]:
        """Runs that a pointer names and whose own journal says that they own the task, newest first."""
        try:
            told = durable_files.read_file(pointer(self.root, mode, task_id), POINTER_BYTES).decode("ascii", "replace")
        except OSError:
            return []
        runs = (self.find(name) for name in sorted(set(told.split()), reverse=True))
        return [run for run in runs if run is not None and run.mode == mode and run.state().task_id == task_id]

    def _owning(self, task_ids: set[str], mode: str) -> Iterator[Run]:
        for outline in self.outlines():
            run = self.find(outline.run_id) if outline.task_id in task_ids and outline.mode == mode else None
            task_id = run.state().task_id if run is not None else None
            if run is not None and task_id in task_ids:
                point(self.root, mode, str(task_id), run.run_id)
                yield run


def pointer(root: Path, mode: str, task_id: str) -> Path:
    """Where the names of the runs stand that own the task: a hint, which their own journals confirm."""
    import hashlib

    digest = hashlib.sha256(f"{mode}\n{task_id}".encode("utf-8", "surrogatepass")).hexdigest()
    return root / ".tasks" / digest[:40]


def point(root: Path, mode: str, task_id: str, run_id: str) -> None:
    """Leave a pointer from a task to its run. Without one, the task is found by looking through all runs."""
    place = pointer(root, mode, task_id)
    with suppress(OSError, TaskError):
        os.makedirs(place.parent, 0o700, exist_ok=True)
        durable_files.refuse_link(place.parent)
        handle = durable_files.open_regular(place, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            if run_id.encode() not in os.read(handle, POINTER_BYTES).split():
                os.write(handle, run_id.encode() + b"\n")
        finally:
            os.close(handle)


def _lines_of(path: str) -> list[dict[str, Any]]:
    """The lines of a journal; those of a large one are not read again while it is the same file, of one size and time.

    A planted one of 100,000 lines takes 0.8 s of each question after its state, and a create asks several times.
    """
    try:
        info = os.lstat(path)
    except OSError:  # the reading says why
        info = None
    if info is None or info.st_size <= _LARGE:
        return durable_files.read_lines(path)
    return _lines_of_large(path, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


@lru_cache(maxsize=1)
def _lines_of_large(path: str, *signature: int) -> list[dict[str, Any]]:
    return durable_files.read_lines(path)


_folded: tuple[list[dict[str, Any]], int, RunState] | None = None


def _fold(lines: list[dict[str, Any]]) -> RunState:
    """The state after these lines; of many, it is kept for the next question."""
    global _folded
    if len(lines) <= _MANY_LINES:
        return fold(lines)
    known = _folded
    if known is None or known[0] is not lines or known[1] != len(lines):
        known = _folded = lines, len(lines), fold(lines)
    return known[2]


def _journal(folder: str) -> tuple[list[dict[str, Any]], bool]:
    """The lines of a run's journal, and True; none where there is none, or only a first line that a kill cut short.

    One that is damaged, or emptied or gone beside a result that tells a task, says with False that it may be paid for.
    """
    path = os.path.join(folder, "journal.jsonl")
    try:
        lines = _lines_of(path)
        if lines:
            return lines, True
        rest = durable_files.read_file(path).strip()
        torn = not rest or (rest.startswith(b"{") and b"\n" not in rest)
    except (FileNotFoundError, NotADirectoryError):
        torn = True
    except OSError:  # a pipe, 20 MB, no permission
        torn = False
    told = durable_files.read_json(os.path.join(folder, "outputs", "result.json"))
    task_id = valid_task_id(told.get("task_id")) if isinstance(told, dict) else None
    if task_id is not None:
        return [{**_MAY_BE_PAID, "ids_in_answer": [task_id]}], False
    return ([], True) if torn else ([_MAY_BE_PAID], False)


def prepare_root(root: Path) -> None:
    """The artifacts root (0700) with its .gitignore. Raises OSError, and TaskError when someone put a link there."""
    durable_files.make_private_dir(root)
    ignore = root / ".gitignore"
    if not ignore.exists() and not ignore.is_symlink():
        durable_files.write_atomic(ignore, b"*\n")


def require_run_id(run_id: str) -> None:
    if not valid_run_id(run_id):
        raise configuration_error(
            "that is no run id",
            expected="1 to 64 letters, digits, dots, dashes or underscores, starting with a letter or digit",
        )


def without_secrets(document: dict[str, Any]) -> dict[str, Any]:
    """An API that echoes the Authorization header must not bring the key to disk."""
    known = known_secrets()
    if not known:
        return document
    text = json.dumps(document, ensure_ascii=False, default=str)
    clean = redact(text, known)
    return document if clean == text else json.loads(clean)


def write_json(path: Path, value: Any, *, last: bool = True) -> None:
    """`value` as JSON, a line each where that is of use: 10 KB of nested numbers became 460 MB of indentation.

    `last` as `durable_files.write_atomic` has it.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    if len(text) <= _PRETTY_UP_TO:
        pretty = json.dumps(value, ensure_ascii=False, indent=1, default=str)
        text = pretty if len(pretty) <= 2 * len(text) + 1_000 else text
    durable_files.write_atomic(path, json_inert(text).encode("utf-8", "backslashreplace") + b"\n", last=last)
