"""Objects, claims and logs in a store: the same promises as in a folder, whichever store it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.homes import HOMES, at_once, objects_of
from videotasks.core.errors import TaskError
from videotasks.core.record import replace
from videotasks.fleet import objects as module
from videotasks.fleet.objects import ObjectClaims, ObjectHome, Objects, StoreRefused, open_objects
from videotasks.runs.claims import SILENT_S, ClaimLost, Claims, Held, Owner, Sender

ME = Owner.me()
STRANGER = replace(ME, host="elsewhere")


@pytest.fixture(params=HOMES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Objects]]:
    with objects_of(request.param, tmp_path) as opener:
        yield opener


def test_of_sixteen_that_make_an_object_one_does(opened: Callable[[], Objects]) -> None:
    winners: list[int] = []

    def work(number: int) -> None:
        if opened().create("claims/a", f"made by {number}".encode()):
            winners.append(number)

    at_once(16, work)
    assert opened().read("claims/a") == f"made by {winners[0]}".encode() and len(winners) == 1


def test_whose_answer_was_lost_finds_its_own_object(opened: Callable[[], Objects]) -> None:
    assert opened().create("a", b"mine") and opened().create("a", b"mine")
    assert not opened().create("a", b"another's")
    assert opened().create("empty", b"") and not opened().create("empty", b"")


def test_a_file_is_stored_once_and_comes_back_whole_or_not_at_all(
    opened: Callable[[], Objects], tmp_path: Path
) -> None:
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    first.write_bytes(b"\0first" * 500_000)
    second.write_bytes(b"second")
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    objects = opened()
    assert objects.create_file("v.mp4", str(first), digest) and objects.create_file("v.mp4", str(first), digest)
    assert not objects.create_file("v.mp4", str(second), hashlib.sha256(b"second").hexdigest())
    back = tmp_path / "back.mp4"
    assert objects.fetch_file("v.mp4", str(back), digest) and back.read_bytes() == first.read_bytes()
    assert not objects.fetch_file("v.mp4", str(back), "0" * 64) and not back.exists()


def test_a_store_that_overwrites_is_none_to_pay_by(
    opened: Callable[[], Objects], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        opened().require_one_winner()
    monkeypatch.setattr(Objects, "create", lambda self, name, data: self.replace(name, data) or True)
    with pytest.raises(TaskError) as told:
        Objects("memory://another").require_one_winner()
    assert told.value.code == "store_overwrites"


def test_names_are_listed_in_order_and_behind_one(opened: Callable[[], Objects]) -> None:
    objects = opened()
    for name in ("log/000002", "log/000001", "log/000003", "logs/000004"):
        objects.replace(name, b"x")
    assert objects.names("log") == ["log/000001", "log/000002", "log/000003"]
    assert objects.names("log", after="log/000001") == ["log/000002", "log/000003"]
    assert objects.read_many(["log/000001", "none", "log/000003"]) == [b"x", None, b"x"]
    objects.remove("log/000002")
    objects.remove("log/000002")
    assert objects.names("log") == ["log/000001", "log/000003"]


@pytest.mark.parametrize(
    "address", ["", "http://films", "s3://key:secret@films", "s3://films?x=1", "ftp://a/b", "s3://"]
)
def test_an_address_of_no_store_is_told(address: str) -> None:
    pytest.importorskip("obstore")
    with pytest.raises(TaskError) as told:
        open_objects(address)
    assert told.value.exit_code == 1 and "secret" not in str(told.value)


def test_a_folder_is_told_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore")
    monkeypatch.chdir(tmp_path)
    objects = open_objects("a ledger/of #1")
    assert objects.create("a", b"1") and (tmp_path / "a ledger" / "of #1" / "a").read_bytes() == b"1"
    assert Objects(objects.address).read("a") == b"1" and objects.address.startswith("file:///")


def test_a_store_that_is_away_refuses_as_a_full_disk_does(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore")
    for name, value in (("ENDPOINT_URL", "http://127.0.0.1:9"), ("ALLOW_HTTP", "true"), ("REGION", "x")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id-of-somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-for-anybody-else")
    objects = Objects("s3://films/a")
    for act in (lambda: objects.read("x"), lambda: objects.create("x", b"1"), lambda: objects.names("x")):
        with pytest.raises(StoreRefused) as told:
            act()
        assert "not-for-anybody-else" not in str(told.value)


def test_without_the_library_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    with pytest.raises(TaskError) as told:
        open_objects("s3://films/a")
    assert told.value.code == "missing_package" and "obstore" in str(told.value.hint)


# -- claims -------------------------------------------------------------------------------------------------------


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


class Aged(Objects):
    """A store whose clock the test moves: what was written carries its time."""

    def __init__(self, inner: Objects, clock: Clock) -> None:
        self.inner, self.clock, self.written = inner, clock, dict[str, float]()

    def __getattribute__(self, name: str) -> object:
        if name in ("inner", "clock", "written", "replace", "changed_at"):
            return object.__getattribute__(self, name)
        return getattr(object.__getattribute__(self, "inner"), name)

    def replace(self, name: str, data: bytes) -> None:
        self.written[name] = self.clock.now + 50_000.0  # another clock than the machine's
        self.inner.replace(name, data)

    def changed_at(self, name: str) -> float | None:
        return self.written.get(name)


def taken(claims: Claims, attempts: dict[str, int], run_id: str = "r1") -> Held:
    held = claims.take(attempts, run_id)
    assert held is not None
    return held


def test_of_sixteen_machines_that_want_a_create_one_gets_it(opened: Callable[[], Objects]) -> None:
    winners: list[int] = []

    def work(number: int) -> None:
        owner = replace(ME, host=f"machine{number}")
        if Claims(ObjectClaims(opened(), owner), owner).take({"a": 0, "b": 0}, f"r{number}") is not None:
            winners.append(number)

    at_once(16, work)
    assert len(winners) == 1
    (found,) = Claims(ObjectClaims(opened()), ME).of_key("a")
    assert found.run_id == f"r{winners[0]}"


def test_a_machine_that_is_heard_of_is_busy_and_after_a_minute_silent(opened: Callable[[], Objects]) -> None:
    clock = Clock()
    objects = Aged(opened(), clock)
    there = Claims(ObjectClaims(objects, STRANGER, clock), STRANGER)
    here = Claims(ObjectClaims(objects, ME, clock), ME)
    held = taken(there, {"a": 0})
    (claim,) = here.of_key("a")
    assert here.sender(claim) is Sender.BUSY
    clock.now += SILENT_S - 1
    assert here.sender(claim) is Sender.BUSY
    there.store.touch(held.names[0])
    clock.now += SILENT_S - 1
    assert here.sender(claim) is Sender.BUSY, "it said that it is alive"
    clock.now += 2
    assert here.sender(claim) is Sender.SILENT, "dead, suspended or cut off: it may wake up and send"


def test_a_dead_process_of_this_machine_is_gone_at_once(opened: Callable[[], Objects]) -> None:
    dead = replace(ME, pid=2**22 + 1)
    taken(Claims(ObjectClaims(opened(), dead), dead), {"a": 0})
    here = Claims(ObjectClaims(opened()), ME)
    (claim,) = here.of_key("a")
    assert here.sender(claim) is Sender.GONE


def test_a_claim_that_was_settled_stays_settled_while_its_owner_says_that_it_is_alive(
    opened: Callable[[], Objects],
) -> None:
    clock = Clock()
    there = Claims(ObjectClaims(opened(), STRANGER, clock), STRANGER)
    held = taken(there, {"a": 0})
    held.check()
    Claims(ObjectClaims(opened()), ME).settle(["a"], "r1")
    clock.now += 20
    there.store.touch(held.names[0])
    assert list(there.of_key("a")) == []
    with pytest.raises(ClaimLost):
        held.check()


# -- the log of a batch -------------------------------------------------------------------------------------------


def test_the_log_takes_an_entry_only_from_who_has_read_it(opened: Callable[[], Objects], tmp_path: Path) -> None:
    first, second = (ObjectHome(opened(), "shorts", tmp_path / name) for name in "ab")
    assert first.append(0, [{"n": 1}]) and not second.append(0, [{"n": 2}])
    assert second.read(0) == ([{"n": 1}], 1) and second.append(1, [{"n": 2}, {"n": 3}])
    assert first.read(1) == ([{"n": 2}, {"n": 3}], 2) == (first.read(0)[0][1:], 2)


def test_many_writers_lose_no_entry(opened: Callable[[], Objects], tmp_path: Path) -> None:
    def work(number: int) -> None:
        home, position = ObjectHome(opened(), "shorts", tmp_path / str(number)), 0
        for count in range(4):
            while not home.append(position, [[number, count]]):
                _, position = home.read(position)
            position += 1

    at_once(6, work)
    entries, position = ObjectHome(opened(), "shorts", tmp_path / "x").read(0)
    assert position == 24 and sorted(entries) == [[n, c] for n in range(6) for c in range(4)]
    assert [c for n, c in entries if n == 3] == [0, 1, 2, 3]


def test_a_long_log_is_read_by_few_requests(
    opened: Callable[[], Objects], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 10)
    home = ObjectHome(opened(), "shorts", tmp_path / "a")
    for number in range(34):
        assert home.append(number, [number, -number])
    reads: list[str] = []
    real = Objects.read

    def counted(self: Objects, name: str) -> bytes | None:
        reads.append(name)
        return real(self, name)

    monkeypatch.setattr(Objects, "read", counted)
    entries, position = ObjectHome(opened(), "shorts", tmp_path / "b").read(0)
    assert position == 34 and entries == [value for number in range(34) for value in (number, -number)]
    assert len(reads) == 3 + 1 + 4, "three chunks, the one that is not there, and what came since"


def test_a_document_keeps_its_prompts_to_itself_where_that_is_asked(
    opened: Callable[[], Objects], tmp_path: Path
) -> None:
    home = ObjectHome(opened(), "shorts", tmp_path / "a", private=True)
    home.prepare()
    home.write_document({"rows": [{"id": "a", "prompt": "a secret boat"}]})
    page = tmp_path / "a" / "gallery.html"
    page.write_text("a secret boat", encoding="utf-8")
    assert home.publish(page) == str(page)
    stored = [opened().read(name) or b"" for name in opened().names("batches")]
    assert stored and not [data for data in stored if b"secret boat" in data]
    assert "a secret boat" in (tmp_path / "a" / "batch.json").read_text(encoding="utf-8")
    assert json.loads(stored[0])["rows"] == [{"id": "a"}]
