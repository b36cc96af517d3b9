"""The unfinished file of a download: `<stem>.part` and its sidecar `<stem>.part.json`, hashed while written.

The sidecar says what the bytes are a part of, and the hash of their beginning, so that a later process can go on where
this one was killed, and does not go on from bytes that something else changed. It is removed before the first byte of
another object is written, so the two never describe different files.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from dataclasses import replace as replace_facts
from pathlib import Path
from urllib.parse import urlsplit

from videotasks.core.durable_files import open_regular, read_json, replace, sync_dir, write_atomic
from videotasks.downloads.response_headers import Facts, http_date, strong_etag

_BLOCK = 1 << 20
_NOTE_EVERY = 1 << 20  # bytes between two notes of the hash: what a kill may cost
_SIDECAR_BYTES = 1024  # a note replaces the one before it in place, which a full disk allows, too


class PartFile:
    """The bytes so far. `size` is on disk and in `sha256`. Every method may raise OSError."""

    def __init__(self, folder: Path, stem: str, url: str) -> None:
        """Opens what an earlier process left for a link of this path, or starts empty."""
        self.folder = folder
        self.path = folder / f"{stem}.part"
        self._sidecar = folder / f"{stem}.part.json"
        # A fresh signed link differs in its query (and host), so the path alone says whether it is the same file.
        self._link = _digest(urlsplit(url).path)
        self._url = _digest(url)
        self.facts = Facts()
        self.complete = False  # every byte is here, as far as the server told
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._noted = 0
        self._handle: int | None = None
        self._resume()

    # -- opening --

    def _resume(self) -> None:
        known = read_json(self._sidecar, 10_000)
        if isinstance(known, dict) and known.get("link") == self._link:
            self._handle = _open_own(self.path)
        if self._handle is None:
            self._start_empty()
            return
        length, noted = (max(known.get(name), 0) if type(known.get(name)) is int else 0 for name in ("length", "size"))
        self.facts = Facts(strong_etag(known.get("etag")), http_date(known.get("last_modified")), length or None)
        while self.size < noted and (block := os.read(self._handle, min(_BLOCK, noted - self.size))):
            self._sha256.update(block)
            self.size += len(block)
        beyond = self.facts.length is not None and self.size > self.facts.length
        if beyond or self.size != noted or self._sha256.hexdigest() != known.get("sha256"):
            self.reset()
        os.ftruncate(self._handle, self.size)  # what came after the last note is nobody's word
        self._noted = self.size
        # The same link, and as many bytes as it announced: only the rename was missing. A fresh link is asked again.
        self.complete = self.size > 0 and self.size == self.facts.length and known.get("url") == self._url

    def _start_empty(self) -> None:
        self._sidecar.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        # O_EXCL never opens what somebody put there in the meantime, least of all a link to elsewhere.
        self._handle = open_regular(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    # -- writing --

    def reset(self) -> None:
        """Forget the bytes: they are no part of what the server has now."""
        self._sidecar.unlink(missing_ok=True)
        os.ftruncate(self._open_handle, 0)
        os.lseek(self._open_handle, 0, os.SEEK_SET)
        self.facts, self.size, self.complete, self._sha256 = Facts(), 0, False, hashlib.sha256()
        self._noted = 0

    def restart(self, facts: Facts) -> None:
        """Empty, and about to hold the object that `facts` describe."""
        self.reset()
        self.describe(facts)

    def describe(self, facts: Facts) -> None:
        self.facts = facts
        write_atomic(self._sidecar, self._record())

    def _record(self) -> bytes:
        record = {"link": self._link, "url": self._url, **asdict(self.facts), "size": self.size, "sha256": self.sha256}
        return json.dumps(record).encode("ascii").ljust(_SIDECAR_BYTES)

    def _note(self) -> None:
        """The hash of what is there, for whoever goes on from it. A note that is torn by a kill fits nothing."""
        handle = _open_own(self._sidecar)
        if handle is not None:
            with open(handle, "r+b") as sidecar:
                sidecar.write(self._record())
                sidecar.truncate()
            self._noted = self.size

    def learn_length(self, length: int) -> None:
        """The length of the whole, where the first answer did not tell it."""
        if self.facts.length != length:
            self.describe(replace_facts(self.facts, length=length))

    def append(self, data: bytes) -> None:
        """Write and hash; after an OSError `size` and `sha256` still tell what is in the file."""
        view = memoryview(data)
        while view:
            written = os.write(self._open_handle, view)
            self._sha256.update(view[:written])
            self.size += written
            view = view[written:]
        if self.size >= self._noted + _NOTE_EVERY:
            self._note()

    def head(self, size: int) -> bytes:
        """The first bytes; the place for writing stays at the end."""
        try:
            os.lseek(self._open_handle, 0, os.SEEK_SET)
            return os.read(self._open_handle, size)
        finally:
            os.lseek(self._open_handle, 0, os.SEEK_END)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def _open_handle(self) -> int:
        assert self._handle is not None, "the part file is closed"
        return self._handle

    # -- the end --

    def promote(self, name: str, *, pause: Callable[[float], object] = time.sleep) -> Path:
        """The file under its final name, on disk. A link that stands there is replaced, what it points to is not."""
        os.fsync(self._open_handle)
        self._note()
        self._close()  # Windows renames no open file
        target = self.folder / name
        replace(self.path, target, pause=lambda seconds: (pause(seconds), None)[1])
        self._sidecar.unlink(missing_ok=True)
        sync_dir(self.folder)
        return target

    def keep(self) -> None:
        """Close, leaving the bytes for another try. Never raises: it runs while something worse is reported."""
        if self._handle is None:
            return
        with suppress(OSError):
            os.fsync(self._handle)
            self._note()
        self._close()
        if self.size == 0:
            self._remove_both()

    def disown(self) -> None:
        """Close; the bytes stay for a person to look at, but nothing goes on from them. Never raises."""
        self._close()
        with suppress(OSError):
            self._sidecar.unlink()

    def discard(self) -> None:
        """Close and remove: the bytes are no use to anybody. Never raises."""
        self._close()
        self._remove_both()

    def _remove_both(self) -> None:
        for path in (self._sidecar, self.path):
            with suppress(OSError):
                path.unlink()

    def _close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(OSError):
                os.close(handle)


def _open_own(path: Path) -> int | None:
    """An open handle on a plain file of ours, or None when something else (or nothing) has that name."""
    try:
        handle = open_regular(path, os.O_RDWR)
    except OSError:
        return None
    if os.fstat(handle).st_nlink == 1:
        return handle
    os.close(handle)
    return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
