"""Who may send: exactly one of any number of processes, whatever has become of the others."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from videotasks.core.record import replace
from videotasks.runs import claims as module
from videotasks.runs.claims import SILENT_S, ClaimLost, Claims, FolderClaims, Held, Owner, Sender

ME = Owner.me()
STRANGER = replace(ME, host="elsewhere")


class Clock:
    now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def claims(tmp_path: Path, clock: Clock) -> Claims:
    return Claims(FolderClaims(tmp_path / ".claims", clock))


def taken(claims: Claims, attempts: dict[str, int], run_id: str = "r1") -> Held:
    held = claims.take(attempts, run_id)
    assert held is not None
    for name in held.names:
        claims.store.touch(name)
    return held


def only(claims: Claims, key: str = "a") -> module.Claim:
    (found,) = claims.of_key(key)
    return found


@pytest.mark.parametrize("links", [True, False])
def test_of_sixteen_that_want_it_one_gets_it(tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:

        def no_links(*_: object) -> None:
            raise PermissionError("no hard links here")

        monkeypatch.setattr(os, "link", no_links)
    start, winners = threading.Barrier(16), []

    def work(number: int) -> None:
        mine = Claims(FolderClaims(tmp_path / ".claims"), ME)
        start.wait()
        if mine.take({"a": 0, "b": 0}, f"r{number}") is not None:
            winners.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    found = Claims(FolderClaims(tmp_path / ".claims"), ME)
    assert only(found, "a").run_id == only(found, "b").run_id == f"r{winners[0]}"
    assert not [path for path in (tmp_path / ".claims").iterdir() if path.name.startswith(".tmp-")]


def test_who_shares_one_key_gets_none(claims: Claims) -> None:
    taken(claims, {"b": 0})
    assert claims.take({"a": 0, "b": 0}, "r2") is None
    assert not list(claims.of_key("a")), "what was claimed on the way is given back"
    assert only(claims, "b").run_id == "r1"


def test_a_withdrawn_claim_is_free_again_and_a_kept_one_counts(claims: Claims) -> None:
    held = taken(claims, {"a": 0})
    assert claims.take({"a": 0}, "r2") is None
    held.withdraw()
    assert claims.take({"a": 0}, "r2") is not None
    assert claims.take({"a": 1}, "r3") is not None
    assert [claim.run_id for claim in claims.of_key("a")] == ["r2", "r3"]


def test_a_claim_that_a_person_settled_stops_its_owner(claims: Claims) -> None:
    held = taken(claims, {"a": 0, "b": 0})
    held.check()
    claims.settle(["a"], "r1")
    with pytest.raises(ClaimLost):
        held.check()
    held.withdraw()
    assert claims.take({"a": 0, "b": 0}, "r2") is not None
    with pytest.raises(ClaimLost):
        Held(claims, "another token", ["a-0.json"]).check()


def test_a_process_that_goes_on_after_its_create_is_not_sending_any_more(claims: Claims) -> None:
    with taken(claims, {"a": 0}):
        assert claims.sender(only(claims)) is Sender.BUSY
    assert claims.sender(only(claims)) is Sender.GONE


def test_the_owner_is_busy_until_it_is_silent_for_a_minute(claims: Claims, clock: Clock) -> None:
    taken(claims, {"a": 0})
    assert claims.sender(only(claims)) is Sender.BUSY
    clock.now += SILENT_S - 1
    assert claims.sender(only(claims)) is Sender.BUSY
    clock.now += 1
    assert claims.sender(only(claims)) is Sender.SILENT, "alive by its pid, and yet nobody knows when it will send"
    claims.store.touch("a-0.json")
    assert claims.sender(only(claims)) is Sender.BUSY


@pytest.mark.parametrize(
    ("owner", "gone"),
    [
        (ME, False),
        (replace(ME, pid=2**22 + 1), True),
        (replace(ME, started="1"), bool(ME.started)),
        (replace(ME, boot="another"), bool(ME.boot)),
        (replace(ME, host="elsewhere", pid=2**22 + 1), False),
        (replace(ME, namespace="pid:[1]", pid=2**22 + 1), False),
        (replace(ME, pid=0), False),
        (replace(ME, pid=10**30), False),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="no process can be asked about there")
def test_who_is_certainly_gone(owner: Owner, gone: bool) -> None:
    assert owner.is_gone(ME) is gone


def test_a_claim_of_another_machine_counts_as_busy_and_then_as_silent(tmp_path: Path, clock: Clock) -> None:
    store = FolderClaims(tmp_path, clock)
    taken(Claims(store, STRANGER), {"a": 0})
    here = Claims(store, ME)
    assert here.sender(only(here)) is Sender.BUSY
    clock.now += SILENT_S
    assert here.sender(only(here)) is Sender.SILENT


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"run_id": 1}', b"\xff", b"[" * 5000])
def test_a_record_that_cannot_be_read_is_a_claim_all_the_same(claims: Claims, content: bytes) -> None:
    claims.store.create("a-0.json", content[:4096])
    found = only(claims)
    assert found.run_id == "" and found.owner is None
    assert claims.take({"a": 0}, "r2") is None


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_planted_link_is_a_claim_and_its_target_stays(claims: Claims, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("the user's own")
    (tmp_path / ".claims").mkdir()
    (tmp_path / ".claims" / "a-0.json").symlink_to(tmp_path / "kept")
    assert only(claims).run_id == "" and claims.take({"a": 0}, "r1") is None
    assert (tmp_path / "kept").read_text() == "the user's own"


CHILD = """
import sys, time
from pathlib import Path
from typing import Any
from videotasks.runs.claims import Claims, FolderClaims
assert Claims(FolderClaims(Path(sys.argv[1]))).take({"a": 0}, "r1") is not None
print("claimed", flush=True)
time.sleep(60)
"""


@pytest.mark.process
@pytest.mark.skipif(os.name == "nt", reason="no process can be asked about there")
def test_a_process_that_was_killed_is_gone_also_before_it_is_reaped(tmp_path: Path) -> None:
    scripts = str(Path(module.__file__).parents[2])
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": scripts}) as child:
        assert child.stdout is not None and child.stdout.readline() == b"claimed\n"
        here = Claims(FolderClaims(tmp_path))
        assert here.sender(only(here)) is Sender.BUSY
        child.kill()
        until = time.monotonic() + 10
        while here.sender(only(here)) is not Sender.GONE and time.monotonic() < until:
            time.sleep(0.01)
        assert here.sender(only(here)) is Sender.GONE
        child.wait()
    assert here.sender(only(here)) is Sender.GONE


def test_the_run_of_a_dead_owner_may_be_somebody_elses_by_now(claims: Claims) -> None:
    taken(Claims(claims.store, replace(ME, pid=2**22 + 1)), {"a": 0})
    taken(claims, {"a": 1})
    assert claims.sender_of_run(["a"], "r1") is Sender.BUSY
    assert claims.sender_of_run(["a"], "r2") is Sender.GONE


def test_a_draft_that_a_scanner_holds_costs_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(path: Any) -> None:
        raise PermissionError(13, "held by a scanner", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", held)
        assert Claims(FolderClaims(tmp_path / ".claims"), ME).take({"a": 0}, "r1") is not None
    assert only(Claims(FolderClaims(tmp_path / ".claims"), ME)).run_id == "r1"
