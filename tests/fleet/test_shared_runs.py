"""One run seen from two machines: what is in the store counts, and nothing is paid before it is there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.homes import HOMES, at_once, objects_of
from videotasks.core.errors import TaskError
from videotasks.core.task import Outcome, Phase
from videotasks.fleet.objects import Objects, StoreRefused
from videotasks.fleet.shared_runs import SharedRun, SharedRunStore
from videotasks.runs import results
from videotasks.runs.identity import Identity
from videotasks.runs.store import Run, RunStore

INTENT, BODY = "a" * 64, "b" * 64
IDENTITY = Identity(INTENT, BODY)
REQUEST: dict[str, Any] = {
    "provider": "ark", "mode": "real", "origin": "https://ark.example", "intent": INTENT, "identity": BODY,
    "prompt": "a secret boat", "payload": {"content": "a secret boat"}, "given": {"prompt": "a secret boat"},
}  # fmt: skip
NOW = 1_795_000_000.0
VIDEO = b"\0\0\0\x18ftypisom" + bytes(1_000)


@pytest.fixture(params=HOMES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Objects]]:
    with objects_of(request.param, tmp_path) as opener:
        yield opener


class Machines:
    """Stores of two machines on one ledger."""

    def __init__(self, opened: Callable[[], Objects], folder: Path, *, private: bool = False) -> None:
        self.opened = opened
        self.one = SharedRunStore(folder / "one", opened(), private=private)
        self.two = SharedRunStore(folder / "two", opened(), private=private)
        for store in (self.one, self.two):
            store.prepare()

    def stored(self) -> bytes:
        objects = self.opened()
        return b"\n".join(objects.read(name) or b"" for name in objects.names(""))


@pytest.fixture
def machines(opened: Callable[[], Objects], tmp_path: Path) -> Machines:
    return Machines(opened, tmp_path)


def only(store: RunStore) -> Run:
    (run,) = store.by_identity(IDENTITY)
    return run


def downloaded(run: Run) -> dict[str, Any]:
    """As a download leaves it."""
    run.prepare()
    (run.outputs / "video.mp4").write_bytes(VIDEO)
    digest = hashlib.sha256(VIDEO).hexdigest()
    entry = {
        "kind": "video", "name": "video", "path": "outputs/video.mp4", "bytes": len(VIDEO), "sha256": digest,
    }  # fmt: skip
    run.record("submitting", NOW)
    run.record("submitted", NOW, task_id="cgt-1")
    run.record("ended", NOW, status="succeeded", outcome="succeeded")
    run.record("downloaded", NOW, files=[entry])
    return entry


def test_another_machine_sees_each_step_and_may_take_the_next(machines: Machines) -> None:
    run = machines.one.create(REQUEST, now=NOW)
    run.record("submitting", NOW)
    seen = only(machines.two)
    assert seen.run_id == run.run_id and seen.state().phase is Phase.SUBMITTING
    assert seen.made_here, "who may write the store is believed"
    run.record("submitted", NOW, task_id="cgt-1")
    assert only(machines.two).state().task_id == "cgt-1"
    only(machines.two).record("ended", NOW, status="failed", outcome="failed")
    run.record("cancel_requested", NOW)
    assert only(machines.one).state().outcome is Outcome.FAILED


def test_a_status_alone_costs_no_object(machines: Machines) -> None:
    run = machines.one.create(REQUEST, now=NOW)
    run.record("submitted", NOW, task_id="cgt-1")
    before = len(machines.opened().names("runs"))
    for _ in range(5):
        run.record("status", NOW, status="running")
    assert len(machines.opened().names("runs")) == before
    assert run.state().status.value == "running"


def test_of_two_that_make_a_run_in_one_second_each_has_a_name_of_its_own(machines: Machines) -> None:
    names: list[str] = []
    at_once(2, lambda n: names.append((machines.one, machines.two)[n].create(REQUEST, now=NOW).run_id))
    assert len(set(names)) == 2 and len(machines.one.by_identity(IDENTITY)) == 2


def test_nothing_is_sent_while_the_store_refuses(machines: Machines) -> None:
    run = machines.one.create(REQUEST, now=NOW)

    def refuse(*_: object) -> bool:
        raise StoreRefused(5, "away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objects, "create", refuse)
        with pytest.raises(OSError, match="away"):
            run.record("submitting", NOW)
        with pytest.raises(TaskError):
            machines.two.create(REQUEST, now=NOW)
    assert only(machines.two).state().phase is Phase.NEW
    assert len(machines.two.names()) == 1, "a folder whose request the store has not is none"


def test_an_id_that_came_while_the_store_was_away_goes_out_with_the_next_line(machines: Machines) -> None:
    run = machines.one.create(REQUEST, now=NOW)
    run.record("submitting", NOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objects, "create", lambda *_: (_ for _ in ()).throw(StoreRefused(5, "away")))
        with pytest.raises(OSError):
            run.record("submitted", NOW, task_id="cgt-1")
        assert run.state().task_id == "cgt-1"
    assert only(machines.two).state().task_id is None
    run.record("ended", NOW, status="failed", outcome="failed")
    assert only(machines.two).state().task_id == "cgt-1"


def test_what_only_a_copy_has_goes_out_when_it_is_looked_at(machines: Machines) -> None:
    """A person settled it there; or the process that had it was killed before the store took it."""
    run = machines.one.create(REQUEST, now=NOW)
    run.record("submitting", NOW)
    Run(run.folder, run.request).record("submitted", NOW, task_id="cgt-1")
    assert only(SharedRunStore(machines.one.root, machines.opened())).state().task_id == "cgt-1"
    assert only(machines.two).state().task_id == "cgt-1"


def test_a_result_is_stored_with_its_checksum_and_leaves_the_machine(machines: Machines) -> None:
    run = machines.one.create(REQUEST, now=NOW)
    entry = downloaded(run)
    assert isinstance(run, SharedRun)
    run.drop_local_files()
    assert not (run.outputs / "video.mp4").exists()
    seen = only(machines.two)
    address = results.video_file(seen, seen.state())
    assert address is not None and address.endswith(f"runs/{run.run_id}/outputs/video.mp4")
    stored = machines.opened().read(f"runs/{run.run_id}/outputs/video.mp4")
    assert stored is not None and hashlib.sha256(stored).hexdigest() == entry["sha256"]
    here = seen.local_file(seen.state().files[0])
    assert here is not None and Path(here).read_bytes() == VIDEO


def test_a_result_that_is_stored_is_never_overwritten(machines: Machines) -> None:
    run = machines.one.create(REQUEST, now=NOW)
    machines.opened().create(f"runs/{run.run_id}/outputs/video.mp4", b"another's")
    downloaded(run)
    assert machines.opened().read(f"runs/{run.run_id}/outputs/video.mp4") == b"another's"
    seen = only(machines.two)
    here = seen.local_file(seen.state().files[0])
    assert here is not None and Path(here).read_bytes() == VIDEO


def test_a_stored_file_that_was_changed_is_not_taken(machines: Machines) -> None:
    run = machines.one.create(REQUEST, now=NOW)
    downloaded(run)
    machines.opened().replace(f"runs/{run.run_id}/outputs/video.mp4", VIDEO + b"x")
    seen = only(machines.two)
    assert seen.local_file(seen.state().files[0]) is None


def test_a_journal_names_no_file_of_another_store(machines: Machines) -> None:
    run = machines.one.create(REQUEST, now=NOW)
    run.record("submitted", NOW, task_id="cgt-1")
    entry = {"kind": "video", "path": "outputs/video.mp4", "bytes": 3, "sha256": "0" * 64, "stored": "s3://evil/x.mp4"}
    run.record("ended", NOW, status="succeeded", outcome="succeeded")
    run.record("downloaded", NOW, files=[entry])
    assert results.video_file(run, run.state()) is None


def test_a_private_store_has_no_word_of_prompts_or_answers(opened: Callable[[], Objects], tmp_path: Path) -> None:
    machines = Machines(opened, tmp_path, private=True)
    run = machines.one.create(REQUEST, now=NOW)
    run.record("submitting", NOW)
    run.record(
        "refused", NOW, error={"category": "moderation", "message": "no", "server_message": "a secret boat is bad"}
    )
    assert b"secret boat" not in machines.stored() and run.prompt == "a secret boat"
    seen = only(machines.two)
    assert seen.prompt == "" and seen.state().phase is Phase.REFUSED
    assert (seen.state().error or {})["category"] == "moderation"
    only(machines.one)  # its fuller lines are those of the store
    assert len(machines.opened().names(f"runs/{run.run_id}/journal")) == 2


def test_a_plan_may_stand_still_and_a_create_looks_afresh(machines: Machines) -> None:
    machines.two.stand_still([])
    run = machines.one.create(REQUEST, now=NOW)
    assert machines.two.by_identity(IDENTITY) == []
    machines.two.go_on()
    assert only(machines.two).run_id == run.run_id
    machines.two.stand_still([run.run_id, "../..", "none"])
    run.record("submitted", NOW, task_id="cgt-1")
    assert only(machines.two).state().task_id is None
    machines.two.go_on()
    assert only(machines.two).state().task_id == "cgt-1"


def test_a_run_of_a_folder_is_taken_in_as_often_as_asked(machines: Machines, tmp_path: Path) -> None:
    local = RunStore(tmp_path / "local")
    local.prepare()
    run = local.create(REQUEST, now=NOW)
    downloaded(run)
    for _ in range(2):
        machines.one.take_in(run)
    seen = only(machines.two)
    assert seen.run_id == run.run_id and seen.state().posts == 1 and seen.state().outcome is Outcome.SUCCEEDED
    here = seen.local_file(seen.state().files[0])
    assert here is not None and Path(here).read_bytes() == VIDEO


def test_a_request_of_another_name_in_the_store_is_no_run(machines: Machines) -> None:
    run = machines.one.create(REQUEST, now=NOW)
    machines.opened().replace(f"runs/{run.run_id}/request.json", json.dumps({**REQUEST, "run_id": "other"}).encode())
    assert machines.two.by_identity(IDENTITY) == []
