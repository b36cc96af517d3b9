"""What a list needs to know of each run, kept together, so that ten thousand journals are not read for twenty rows.

An entry counts only while the run's own files are those that it was made of: their inode, size and times of change.
Whatever differs is read again, and nothing that may cost money is decided by it (a spent budget, an identity).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from videotasks.core import durable_files
from videotasks.core.times import epoch_of
from videotasks.runs.journal import RunState

FILE = ".outlines.json"
_FORMAT = 1
_STABLE = "st_mtime_ns" if os.name == "nt" else "st_ctime_ns"  # which no unpacking or copying sets as it likes
Signature = list[int]


def signature(folder: str) -> Signature | None:
    """What tells a run's files from any others: of request.json and, where there is one, of the journal."""
    signed: Signature = []
    with suppress(OSError):
        for name in ("/inputs/request.json", "/journal.jsonl"):
            info = os.lstat(folder + name)
            signed += info.st_ino, info.st_size, getattr(info, _STABLE)
    return signed or None


def load(root: Path) -> dict[str, Any]:
    """Entries by run id, as they were saved; none of them is to be trusted before its signature fits."""
    try:
        document = json.loads(durable_files.read_file(root / FILE))
    except (OSError, ValueError, RecursionError):
        return {}
    told = document.get("runs") if isinstance(document, dict) and document.get("format") == _FORMAT else None
    return told if isinstance(told, dict) else {}


def save(root: Path, entries: Mapping[str, Any]) -> None:
    """Keep them for the next list. A disk that refuses costs that one its haste."""
    data = json.dumps({"format": _FORMAT, "runs": entries}, separators=(",", ":")).encode("ascii")
    if len(data) >= durable_files.READ_LIMIT:
        return
    with suppress(OSError):
        durable_files.write_atomic(root / FILE, data)


class Outline(NamedTuple):
    """A run as a list needs it; what stands in a row of it is read from the run's folder."""

    run_id: str
    mode: str
    provider: str
    origin: str
    of_version_1: bool
    created_at: float
    phase: str
    status: str  # the canonical word, as it is shown
    outcome: str | None
    unfinished: bool
    unseen: bool
    closed_by_user: bool
    delivered: bool
    task_id: str | None
    cost: float | None
    cost_unit: str | None
    total_tokens: float | None
    expires_at: float | None

    def is_at(self, origin: str | None) -> bool:
        return made_at(self.origin, origin, self.of_version_1)

    @property
    def words(self) -> tuple[str, ...]:
        """The words of --status that the run answers to."""
        return (self.status, self.phase, *(("unfinished",) if self.unfinished else ()))

    @property
    def may_be_waited_for(self) -> bool:
        """A task is under way, and its provider has shown it."""
        return self.unfinished and self.task_id is not None and not self.unseen


def made_at(own: str, origin: str | None, of_version_1: bool) -> bool:
    """Whether a run of the origin `own` was made at `origin`; version 0.1 kept none of its base path."""
    return own == origin or (of_version_1 and origin is not None and origin.startswith(own + "/"))


def outline_of(run_id: str, request: Mapping[str, Any], state: RunState) -> Outline:
    tokens = state.usage.get("total_tokens") if state.usage else None
    return Outline(
        run_id=run_id,
        mode=str(request.get("mode")),
        provider=str(request.get("provider")),
        origin=str(request.get("origin")),
        of_version_1=request.get("schema_version") == 1,
        created_at=epoch_of(request.get("created_at")) or 0.0,
        phase=state.phase.value,
        status=state.shown_status.value,
        outcome=state.outcome.value if state.outcome else None,
        unfinished=state.unfinished,
        unseen=state.is_unseen(request),
        closed_by_user=state.closed_by_user,
        delivered=state.delivered,
        task_id=state.task_id,
        cost=state.cost,
        cost_unit=state.cost_unit,
        total_tokens=tokens if isinstance(tokens, (int, float)) and not isinstance(tokens, bool) else None,
        expires_at=state.expires_at,
    )


def entry_of(signed: Signature, outline: Outline) -> list[Any]:
    """An outline to be kept; `signed` was taken before its files were read."""
    return [*signed, *outline[1:]]


def recall(run_id: str, entry: Any, signed: Signature) -> Outline | None:
    """The outline that is kept; None when the run's files are not those any more."""
    start = len(signed)
    fits = isinstance(entry, list) and entry[:start] == signed and len(entry) == start + len(Outline._fields) - 1
    return Outline(run_id, *entry[start:]) if fits else None
