"""An object store as the home of a batch's ledger: claims, logs, documents and files as objects, by obstore.

Everything rests on one operation: an object is made only if absent (S3, GCS and Azure by a condition of the request,
a folder by a hard link; 16 threads had one winner on each, facts of the ecosystem, 2026-11-26). Credentials come from
the store's own variables (AWS_*, GOOGLE_*, AZURE_*) and are never told.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from videotasks.core import durable_files
from videotasks.core.errors import TaskError, configuration_error
from videotasks.core.json_values import parse_json
from videotasks.core.safe_text import one_line
from videotasks.runs.claims import SILENT_S, TOUCH_S, Owner
from videotasks.runs.store import write_json

SCHEMES = ("s3", "gs", "az", "file", "memory")
READERS = 16  # requests at once where many objects are read
CHUNK = 500  # entries of a log in one object, once there are so many: a log of 20,000 is read by 40 requests


class StoreRefused(OSError):
    """The store did not do it: unreachable, no permission, full. Told as a disk that refuses would be."""


@contextmanager
def _told(doing: str) -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise StoreRefused(errno.EIO, f"{doing}: {one_line(str(error), 200)}") from None


class Objects:
    """The objects under one address (`s3://bucket/prefix`). Names are relative to it. Raises StoreRefused."""

    def __init__(self, address: str) -> None:
        """A folder may be told by its path. Raises TaskError for what no store has. Nothing is asked of it yet."""
        scheme, divided, rest = address.partition("://")
        if not divided and address:
            address = Path(os.path.abspath(os.path.expanduser(address))).as_uri()
        elif scheme not in SCHEMES or "@" in address or "?" in address or not rest.strip("/"):
            raise configuration_error(
                f"--store {one_line(scheme, 20)}... is no address of a store",
                expected="s3://BUCKET/PREFIX, gs://..., az://..., or a folder; its key in the environment",
            )
        self.address = address.rstrip("/")
        self._one_winner = False  # this process has seen that the second does not overwrite the first
        self.sign_s: float | None = None  # links in the batch's page are signed for so long
        self._folder = url2pathname(urlsplit(address).path) if address.startswith("file:") else None
        self._store = self._open(address)

    @staticmethod
    def _open(address: str) -> Any:
        from obstore import store
        from obstore.exceptions import BaseError

        try:
            if address.startswith("memory:"):
                return store.MemoryStore()
            if address.startswith("file:"):
                return store.from_url(address, mkdir=True)
            # Times of a whole request, with a video in it. Options given here hide the variable beside them.
            plain = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes")
            times: Any = {"connect_timeout": "5s", "timeout": "600s", "allow_http": plain}
            retries: Any = {"max_retries": 5, "retry_timeout": timedelta(seconds=30)}
            return store.from_url(address, client_options=times, retry_config=retries)
        except (BaseError, ValueError, OSError) as error:
            raise configuration_error(
                f"the store cannot be opened: {one_line(str(error), 200)}", expected="its bucket, and its own variables"
            ) from None

    def create(self, name: str, data: bytes) -> bool:
        """Make an object, only if there is none of that name. One of any number of callers gets True.

        A request whose answer was lost is sent again by the library and then meets its own object: what is stored
        decides, so that data which must have one winner carries a mark of its own.
        """
        with _told(f"cannot write {name}"):
            return self._made(name, data) or (bool(data) and self.read(name) == data)

    def _made(self, name: str, source: Any) -> bool:
        """Whether it was made: False when there is one of that name."""
        from obstore.exceptions import AlreadyExistsError

        try:
            self._store.put(name, source, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        self._sync(name)
        return True

    def require_one_winner(self) -> None:
        """Raises TaskError for a store that overwrites what is there: a claim in it would decide nothing."""
        if not self._one_winner:
            name = "probe/made-only-if-absent"
            for _ in range(2):
                made = self.create(name, secrets.token_bytes(16))
            if made:
                raise configuration_error(
                    f"the store at {one_line(self.address, 200)} overwrites objects that are to be made only if absent",
                    expected="a store with conditional writes (If-None-Match), such as S3, GCS, Azure or a folder",
                    hint="without them two machines could pay for one row",
                    code="store_overwrites",
                )
            self._one_winner = True

    def replace(self, name: str, data: bytes) -> None:
        with _told(f"cannot write {name}"):
            self._store.put(name, data, use_multipart=False)

    def create_file(self, name: str, path: str, sha256: str) -> bool:
        """The same with the bytes of a file; True as well when the very same bytes are there already."""
        with _told(f"cannot write {name}"), open(path, "rb") as file:
            return self._made(name, file) or self._sha256(name) == sha256

    def fetch_file(self, name: str, path: str, sha256: str) -> bool:
        """Write an object to a new file; False, and no file, when its bytes are not those that were stored."""
        with _told(f"cannot read {name}"), open(path, "wb") as file:
            arrived = self._sha256(name, file.write)
        if arrived != sha256:
            os.unlink(path)
        return arrived == sha256

    def _sha256(self, name: str, also: Callable[[bytes], Any] = lambda part: None) -> str:
        digest = hashlib.sha256()
        for part in self._store.get(name).stream(min_chunk_size=1_000_000):
            digest.update(part)
            also(part)
        return digest.hexdigest()

    def read(self, name: str) -> bytes | None:
        with _told(f"cannot read {name}"):
            try:
                return bytes(self._store.get(name).bytes())
            except FileNotFoundError:
                return None

    def read_json(self, name: str) -> Any:
        """None for what is not there, or is no JSON."""
        data = self.read(name)
        return parse_json(data) if data is not None else None

    def read_many(self, names: Sequence[str]) -> list[bytes | None]:
        """The objects of these names, in their order."""
        if len(names) <= 2:
            return [self.read(name) for name in names]
        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(self.read, names))

    def names(self, prefix: str, after: str | None = None) -> list[str]:
        """What is under a prefix (a folder's name), sorted; `after` leaves out what sorts up to it."""
        found: list[str] = []
        with _told(f"cannot list {prefix}"):
            for page in self._store.list(prefix, offset=after):
                found += [entry["path"] for entry in page]
        return sorted(found)

    def changed_at(self, name: str) -> float | None:
        """When an object was written, by the store's own clock (epoch seconds); None when there is none."""
        with _told(f"cannot look at {name}"):
            try:
                return float(self._store.head(name)["last_modified"].timestamp())
            except FileNotFoundError:
                return None

    def remove(self, name: str) -> None:
        with _told(f"cannot remove {name}"), suppress(FileNotFoundError):
            self._store.delete(name)

    def address_of(self, name: str) -> str:
        return f"{self.address}/{name}"

    def signed(self, name: str, seconds: float) -> str | None:
        """An address that anybody may read for so long; None where the store has no such thing."""
        import obstore

        try:
            return str(obstore.sign(self._store, "GET", name, timedelta(seconds=seconds)))
        except (TypeError, ValueError, NotImplementedError, OSError):
            return None

    def _sync(self, name: str) -> None:
        """A folder's files are written without fsync by the library: after a power cut a claim must still be there."""
        if self._folder is None:
            return
        path = os.path.join(self._folder, name)
        for place in (path,) if os.name == "nt" else (path, os.path.dirname(path)):
            handle = os.open(place, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


class ObjectClaims:
    """Claims as objects, see `runs.claims.ClaimStore`. Who is alive says so in one object of its process.

    A claim itself is never written again: that could bring back one that a person has settled.
    """

    def __init__(
        self, objects: Objects, owner: Owner | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.objects, self._clock = objects, clock
        self._owner = dict(vars(owner or Owner.me()))
        self._beat_at: float | None = None  # by our clock
        self._store_time = 0.0  # what the store's showed then
        self._guard = threading.Lock()

    def create(self, name: str, data: bytes) -> bool:
        self._beat()
        return self.objects.create(f"claims/{name}", data)

    def read(self, name: str) -> bytes | None:
        return self.objects.read(f"claims/{name}")

    def touch(self, name: str) -> None:
        with suppress(OSError):  # the next one may come through; after a minute without any, others take it for silent
            self._beat()

    def silent_s(self, name: str) -> float:
        """Seconds since the claim's process was heard of, by the store's clock alone: machines' clocks differ."""
        try:
            owner = json.loads(self.read(name) or b"")["owner"]
            heard = self.objects.changed_at(_heartbeat(owner))
        except (ValueError, KeyError, TypeError):
            return SILENT_S
        if heard is None:
            return SILENT_S
        with self._guard:
            stale = self._beat_at is None or self._clock() - self._beat_at > TOUCH_S
        if stale:
            self._beat(now=True)
        return self._store_time + (self._clock() - (self._beat_at or 0.0)) - heard

    def remove(self, name: str) -> None:
        with suppress(OSError):
            self.objects.remove(f"claims/{name}")

    def _beat(self, *, now: bool = False) -> None:
        with self._guard:
            if not now and self._beat_at is not None and self._clock() - self._beat_at < TOUCH_S / 2:
                return
            name = _heartbeat(self._owner)
            self.objects.replace(name, b"{}")
            self._store_time = self.objects.changed_at(name) or 0.0
            self._beat_at = self._clock()


def _heartbeat(owner: Mapping[str, Any]) -> str:
    told = json.dumps(owner, sort_keys=True, default=str)
    return f"alive/{hashlib.sha256(told.encode('utf-8', 'replace')).hexdigest()[:32]}"


class ObjectHome:
    """A batch's log and document in a store, see `batch.ledger.BatchHome`: entry n is made only if absent.

    `folder` has this machine's copy of what is published; `private` keeps prompts out of the store.
    """

    def __init__(self, objects: Objects, batch_id: str, folder: Path, *, private: bool = False) -> None:
        self.objects, self.folder = objects, folder
        self._place, self._private = f"batches/{batch_id}", private

    def prepare(self) -> None:
        """Raises TaskError when the store cannot be reached, is no store to pay by, or the copy not be made."""
        try:
            self.objects.require_one_winner()
            durable_files.make_private_dir(self.folder)
        except StoreRefused as error:
            raise configuration_error(str(error.strerror), expected="a store that can be read and written") from None
        except OSError as error:
            raise durable_files.disk_error(error, f"cannot write to {self.folder}") from None

    def turn(self) -> AbstractContextManager[None]:
        return nullcontext()

    def read(self, position: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        while (chunk := self._chunk(position)) is not None:
            found += chunk
            position += CHUNK
        names = self.objects.names(f"{self._place}/log", after=self._name(position))
        for name, data in zip(names, self.objects.read_many(names), strict=True):
            if name != self._name(position + 1):  # made by who saw an entry that we do not see: never so far
                break
            found += entries_of(data)
            position += 1
        return found, position

    def append(self, position: int, entries: Sequence[Mapping[str, Any]]) -> bool:
        data = json.dumps(list(entries), ensure_ascii=True, default=str).encode("ascii")
        if not self.objects.create(self._name(position + 1), data):
            return False
        if (position + 1) % CHUNK == 0:
            self._gather(position + 1 - CHUNK)
        return True

    def _chunk(self, position: int) -> list[Any] | None:
        """The entries behind a multiple of CHUNK, where somebody has gathered them."""
        if position % CHUNK:
            return None
        data = self.objects.read(f"{self._place}/chunks/{position:09}.json")
        return entries_of(data) if data is not None else None

    def _gather(self, position: int) -> None:
        names = [self._name(position + n) for n in range(1, CHUNK + 1)]
        entries = [entry for data in self.objects.read_many(names) for entry in entries_of(data)]
        self.objects.create(f"{self._place}/chunks/{position:09}.json", json.dumps(entries).encode("ascii"))

    def _name(self, position: int) -> str:
        return f"{self._place}/log/{position:09}.json"

    def read_document(self) -> Any:
        return self.objects.read_json(f"{self._place}/batch.json")

    def write_document(self, document: Mapping[str, Any]) -> None:
        write_json(self.folder / "batch.json", document)
        if self._private:
            rows = document.get("rows", ())
            rows = [{name: value for name, value in row.items() if name != "prompt"} for row in rows]
            document = {**document, "rows": rows}
        text = json.dumps(document, ensure_ascii=False, default=str)
        self.objects.replace(f"{self._place}/batch.json", text.encode("utf-8", "backslashreplace"))

    def publish(self, file: Path) -> str:
        if self._private and file.suffix == ".html":
            return str(file)
        name = f"{self._place}/{file.name}"
        self.objects.replace(name, file.read_bytes())
        return self.objects.address_of(name)


def entries_of(data: bytes | None) -> list[Any]:
    """The entries of an object that is one list; none for what is not there, or is no list."""
    entries = parse_json(data) if data is not None else None
    return entries if isinstance(entries, list) else []


def open_objects(address: str) -> Objects:
    """The store at an address. Raises TaskError, one line that says how to get the library when it is missing."""
    try:
        return Objects(address)
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        raise missing_library("obstore") from None


def missing_library(name: str) -> TaskError:
    return configuration_error(
        f"the Python package {name} is missing, which only a fleet needs",
        expected="Python 3.11 or later with the packages of this script's header",
        hint="uv run scripts/batch_fleet.py ..., or pip install obstore distributed",
        code="missing_package",
    )
