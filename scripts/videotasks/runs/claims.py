"""Who may send a create: a claim that exactly one process can make. A claim decides about money, a lock never does.

A claim is a record per identity key and attempt, created only if absent and durable before the first byte of a request.
It is withdrawn when it is certain that nothing was created; otherwise it stays. Who finds one waits for its owner and
attaches; a claim whose owner is gone, or was not heard of for a minute, is looked up and never sent again.

The protocol stands on five operations (`ClaimStore`), so that the records may live in a folder or in an object store.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from videotasks.core import durable_files
from videotasks.core.record import field, record

TOUCH_S = 10.0  # how often an owner that is alive says so
SILENT_S = 60.0  # an owner that did not for so long is suspended, unreachable or dead
MAX_BYTES = 4096
_sending: set[str] = set()  # tokens of this process's claims that are in use: a process may outlive many of its creates


class ClaimLost(OSError):
    """The claim is no longer this process's: somebody settled the request while it was suspended."""


class ClaimStore(Protocol):
    """Where claims live. `create` must be atomic and durable: one winner among any number of callers."""

    def create(self, name: str, data: bytes) -> bool: ...

    def read(self, name: str) -> bytes | None: ...

    def touch(self, name: str) -> None: ...

    def silent_s(self, name: str) -> float: ...

    def remove(self, name: str) -> None: ...


class FolderClaims:
    """Claims as files. Hard links give the name to a whole file; where there are none, exclusive creation does."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._clock = clock

    def create(self, name: str, data: bytes) -> bool:
        """Raises OSError where neither a link nor exclusive creation is possible: then nothing may be sent."""
        durable_files.make_private_dir(self.folder)
        place = self.folder / name
        draft = self.folder / f"{durable_files.TEMPORARY}{secrets.token_hex(8)}"
        durable_files.write_new(draft, data)
        try:
            os.link(draft, place)
        except FileExistsError:
            return False
        except OSError:  # FAT, some network drives
            try:
                durable_files.write_new(place, data)
            except FileExistsError:
                return False
        finally:
            with suppress(OSError):  # Windows, where a scanner holds it; what matters is who has the name
                os.unlink(draft)
        durable_files.sync_dir(self.folder)
        return True

    def read(self, name: str) -> bytes | None:
        """The record, b"" for one that is not readable; None when there is none."""
        try:
            return durable_files.read_file(self.folder / name, MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError:
            return b""

    def touch(self, name: str) -> None:
        # Our own clock on both sides: a file server's may differ.
        now = self._clock()
        with suppress(OSError):
            os.utime(self.folder / name, (now, now))

    def silent_s(self, name: str) -> float:
        try:
            return self._clock() - os.stat(self.folder / name, follow_symlinks=False).st_mtime
        except OSError:
            return SILENT_S

    def remove(self, name: str) -> None:
        with suppress(OSError):
            os.unlink(self.folder / name)


@record(frozen=True)
class Owner:
    """A process, told apart from others of any machine, boot and pid namespace."""

    host: str
    boot: str
    namespace: str
    pid: int
    started: str

    @staticmethod
    def me() -> Owner:
        import platform

        return Owner(
            platform.node(), _text("/proc/sys/kernel/random/boot_id"), _namespace(), os.getpid(), _started(os.getpid())
        )

    def is_gone(self, here: Owner) -> bool:
        """Whether it is certain, seen from the process `here`, that this one is dead. False when nobody can say."""
        if self.host != here.host or not self.pid:
            return False
        if self.boot and here.boot and self.boot != here.boot:
            return True
        if self.namespace != here.namespace or os.name == "nt":  # os.kill(pid, 0) would end the process on Windows
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            return False
        started = _started(self.pid)
        return started == "ended" or bool(started and self.started and started != self.started)


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as reader:
            return reader.read(200).strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process began, in its system's own ticks; "ended" for one that only waits to be reaped; "" unknown."""
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) < 20:
        return ""
    return "ended" if fields[0] in ("Z", "X") else fields[19]


class Sender(str, Enum):
    """What is known of the process behind a claim."""

    BUSY = "busy"  # heard of within a minute
    GONE = "gone"  # certainly dead
    SILENT = "silent"  # suspended, unreachable or dead: nobody can say


@record(frozen=True)
class Claim:
    """One claim as found. `run_id` is "" for a record that cannot be read."""

    name: str
    run_id: str
    token: str
    owner: Owner | None


class Claims:
    """The claims of one artifacts root, seen by this process."""

    def __init__(self, store: ClaimStore, owner: Owner | None = None) -> None:
        self.store = store
        self.owner = owner or Owner.me()

    def of_key(self, key: str) -> Iterable[Claim]:
        """The claims on a key, attempt by attempt."""
        attempt = 0
        while (found := self.read(_name(key, attempt))) is not None:
            yield found
            attempt += 1

    def read(self, name: str) -> Claim | None:
        data = self.store.read(name)
        if data is None:
            return None
        try:
            record = json.loads(data)
            owner = Owner(**{name: record["owner"][name] for name in Owner.__annotations__})
            return Claim(name, str(record["run_id"]), str(record["token"]), owner)
        except (ValueError, KeyError, TypeError, RecursionError):
            return Claim(name, "", "", None)

    def sender(self, claim: Claim) -> Sender:
        if claim.owner == self.owner and claim.token not in _sending:
            return Sender.GONE
        if claim.owner is not None and claim.owner.is_gone(self.owner):
            return Sender.GONE
        return Sender.SILENT if self.store.silent_s(claim.name) >= SILENT_S else Sender.BUSY

    def sender_of_run(self, keys: Iterable[str], run_id: str) -> Sender:
        """The process that sends, or sent, a run; GONE when no claim names it."""
        claims = [claim for key in keys for claim in self.of_key(key) if claim.run_id == run_id]
        known = {self.sender(claim) for claim in claims}  # a dead one's run may be sent by another process by now
        return next((sender for sender in (Sender.BUSY, Sender.SILENT) if sender in known), Sender.GONE)

    def settle(self, keys: Iterable[str], run_id: str) -> None:
        """A person settled a run in doubt: its sender, should it wake up, must not send any more."""
        for key in keys:
            for claim in list(self.of_key(key)):
                if claim.run_id == run_id:
                    self.store.remove(claim.name)

    def take(self, attempts: Mapping[str, int], run_id: str) -> Held | None:
        """Claim every key at its attempt, or none of them; None when somebody else was first. Raises OSError."""
        mark = secrets.token_hex(16)
        _sending.add(mark)  # before anybody can see the claim
        record: dict[str, Any] = {"run_id": run_id, "token": mark, "owner": vars(self.owner)}
        data = json.dumps(record).encode("ascii")
        held = Held(self, mark)
        # In one order for everybody: of two commands that share a key, one gets all of its keys.
        for key in sorted(attempts):
            name = _name(key, attempts[key])
            if not self.store.create(name, data):
                held.withdraw()
                _sending.discard(mark)
                return None
            held.names.append(name)
        return held


@record
class Held:
    """Claims that this process holds. As a context it says that its owner is alive, until the block ends."""

    claims: Claims
    token: str
    names: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raises ClaimLost when a claim is not this process's any more. Asked before the first byte."""
        for name in self.names:
            found = self.claims.read(name)
            if found is None or found.token != self.token:
                raise ClaimLost(f"the claim {name} was settled by somebody else")

    def withdraw(self) -> None:
        """It is certain that nothing was created: the next command may claim the same attempts."""
        for name in self.names:
            found = self.claims.read(name)
            if found is not None and found.token == self.token:
                self.claims.store.remove(name)
        self.names.clear()

    def __enter__(self) -> Held:
        threading.Thread(target=self._keep_touching, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        _sending.discard(self.token)

    def _keep_touching(self) -> None:
        while not self._stop.wait(TOUCH_S):
            for name in list(self.names):
                self.claims.store.touch(name)


def _name(key: str, attempt: int) -> str:
    return f"{key[:40]}-{attempt}.json"
