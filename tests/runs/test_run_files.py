"""Files of a run folder as others may have left them: pipes, links, floods; and what is written is read back."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.mutations import mutated, torn
from videotasks.cli import list_runs
from videotasks.core import durable_files
from videotasks.core.task import MAX_ID, Phase
from videotasks.runs import budgets, outlines, results
from videotasks.runs.store import Run, RunStore, write_json

NOW = 1_790_000_000.0
POSIX = pytest.mark.skipif(os.name == "nt", reason="no such files there")


def new_run(root: Path, **more: Any) -> Run:
    store = RunStore(root)
    store.prepare()
    request = {"provider": "ark", "mode": "real", "origin": "https://a.example", "prompt": "a boat", **more}
    return store.create(request, now=NOW)


def finished(root: Path) -> Run:
    run = new_run(root)
    run.record("submitting", NOW)
    run.record("submitted", NOW, task_id="t-1", follow={"status_url": "/t/1"}, kind="video")
    run.record("status", NOW, status="running", provider_status="running", progress=40.0)
    run.record(
        "ended",
        NOW,
        outcome="succeeded",
        status="succeeded",
        outputs=[{"kind": "video", "url": "https://a.example/v.mp4", "content_path": None}],
        usage={"total_tokens": 5},
        cost=0.5,
        cost_unit="USD",
        expires_at=NOW + 60,
        error={"category": "transient", "server_message": "x"},
    )
    files = [{"name": "video", "path": "outputs/video.mp4", "kind": "video", "bytes": 3, "duration_s": 1.0, "width": 2}]
    run.record("downloaded", NOW, files=files)
    run.record("reported", NOW, outcome="succeeded", exit_code=0)
    return run


# -- one way to read ---------------------------------------------------------------------------------------------------


def plant(kind: str, path: Path) -> None:
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "link":
        other = path.parent / "elsewhere"
        other.write_text('{"provider": "ark", "mode": "real"}', encoding="utf-8")
        path.symlink_to(other)
    elif kind == "folder":
        path.mkdir()
    else:
        with open(path, "wb") as file:
            file.truncate(durable_files.READ_LIMIT + 1)


@POSIX
@pytest.mark.parametrize("kind", ["pipe", "device", "link", "folder", "flood"])
def test_a_planted_request_is_no_run_and_holds_nobody(tmp_path: Path, kind: str) -> None:
    run, good = new_run(tmp_path), new_run(tmp_path, prompt="another")
    plant(kind, run.folder / "inputs" / "request.json")
    assert [found.run_id for found in RunStore(tmp_path).runs()] == [good.run_id]


@POSIX
@pytest.mark.parametrize("kind", ["pipe", "device", "link", "folder", "flood"])
def test_an_unreadable_journal_may_tell_of_a_payment(tmp_path: Path, kind: str) -> None:
    run = new_run(tmp_path)
    plant(kind, run.journal_file)
    store = RunStore(tmp_path)
    state = store.open(run.run_id).state()
    assert state.phase is Phase.SUBMISSION_UNKNOWN and not state.may_pay_again
    assert store.by_task("t-1", mode="real", origin="https://a.example") is None
    if kind != "flood":
        with pytest.raises(OSError):
            run.record("submitting", NOW)


@pytest.mark.parametrize("damage", ["nul", "garbage", "emptied", "gone"])
def test_a_damaged_journal_never_lets_a_command_pay_again(tmp_path: Path, damage: str) -> None:
    """A journal of zeros (a power cut), or emptied beside a result with a task, passed for that of an unsent run."""
    run = new_run(tmp_path)
    run.record("submitting", NOW)
    run.record("submitted", NOW, task_id="t-1")
    results.write(run, now=NOW)
    if damage in ("nul", "garbage"):
        run.journal_file.write_bytes(b"\0" * 4096 if damage == "nul" else b"{broken\n{lines\n")
    elif damage == "emptied":
        run.journal_file.write_bytes(b"")
    else:
        run.journal_file.unlink()
    state = RunStore(tmp_path).open(run.run_id).state()
    assert state.phase is Phase.SUBMISSION_UNKNOWN and not state.may_pay_again and state.ids_in_answer == ["t-1"]
    (outline,) = RunStore(tmp_path).outlines()
    assert outline.unfinished
    run.result_file.unlink()
    damaged = damage in ("nul", "garbage")
    assert RunStore(tmp_path).open(run.run_id).state().may_pay_again is not damaged


def test_a_first_line_that_a_kill_cut_short_was_never_sent(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.record("submitting", NOW)
    run.journal_file.write_bytes(run.journal_file.read_bytes()[:-9])
    assert RunStore(tmp_path).open(run.run_id).state().phase is Phase.NEW


@POSIX
def test_no_file_is_written_through_a_link(tmp_path: Path) -> None:
    run, mine = new_run(tmp_path / "root"), tmp_path / "mine"
    mine.write_text("mine", encoding="utf-8")
    run.journal_file.symlink_to(mine)
    with pytest.raises(OSError):
        run.record("submitting", NOW)
    run.result_file.symlink_to(mine)
    results.write(run, now=NOW)
    assert mine.read_text(encoding="utf-8") == "mine" and not run.result_file.is_symlink()


# -- what is written can be read back ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"usage": {"n": "é" * 4_500_000}},
        {"usage": {f"k{n}": n for n in range(300_000)}},
        {"usage": {"total_tokens": 10**3000}},
        {"error": {"category": "transient", "server_message": "\u200b" * 3_000_000}},
        {"provider_status": "x" * 5_000_000},
        {"follow": {"status_url": "https://a.example/" + "x" * 9_000_000}},
        {"cost_unit": "€" * 1_000_000},
    ],
    ids=["long text", "many", "digits", "escapes", "word", "link", "unit"],
)
def test_a_flood_in_an_answer_leaves_its_outcome_and_result_readable(tmp_path: Path, fields: dict[str, Any]) -> None:
    run = new_run(tmp_path)
    run.record("submitted", NOW, task_id="t-1")
    outputs = [{"kind": "video", "url": "https://a.example/v.mp4?" + "s" * 16_000, "content_path": None}]
    outputs += [{"kind": "image", "url": f"https://a.example/{n}" + "s" * 900} for n in range(2_000)]
    run.record("ended", NOW, outcome="succeeded", status="succeeded", outputs=outputs, **fields)
    state = RunStore(tmp_path).open(run.run_id).state()
    assert state.outcome == "succeeded" and state.task_id == "t-1"
    assert state.url_of("video") == outputs[0]["url"] and len(state.outputs) > 50
    results.write(run, now=NOW, raw={"x": "y" * 5_000_000})
    assert run.journal_file.stat().st_size < 400_000 and run.result_file.stat().st_size < 1_000_000
    assert durable_files.read_json(run.result_file)["status"] == "succeeded"


def test_a_link_is_whole_or_left_out(tmp_path: Path) -> None:
    link = "data:video/mp4;base64," + "A" * 400_000
    run = new_run(tmp_path)
    outputs = [{"kind": "video", "url": link}, {"kind": "image", "url": "https://a.example/i"}]
    run.record("ended", NOW, outcome="succeeded", outputs=outputs)
    assert [output["url"] for output in run.state().outputs] == [None, "https://a.example/i"]


def test_the_longest_id_is_kept_whole_beside_anything(tmp_path: Path) -> None:
    task_id = "\U0001f6a2" * MAX_ID
    run = new_run(tmp_path)
    run.record("submitted", NOW, task_id=task_id, follow={"x": "y" * 1_000_000})
    assert RunStore(tmp_path).open(run.run_id).state().task_id == task_id
    assert RunStore(tmp_path).by_task(task_id, mode="real", origin="https://a.example") is not None


@pytest.mark.slow
def test_no_number_of_commands_fills_a_journal(tmp_path: Path) -> None:
    sizes, total = [], 0
    outputs = [{"kind": "video", "url": f"https://a.example/{n}" + "x" * 5_000} for n in range(100)]
    for _ in range(300):
        entry = budgets.entry_within({"event": "ended", "outputs": outputs, "usage": {"a": "b" * 50_000}}, total)
        sizes.append(budgets.size(entry))
        total += sizes[-1]
    assert total < durable_files.READ_LIMIT and sizes[0] > 100_000 > sizes[-1]


def test_a_status_that_flaps_is_noted_only_so_often_and_never_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path)
    run.record("submitted", NOW, task_id="t-1")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(budgets, "QUIET_ABOVE", 5_000)
    for number in range(200):
        run.record("status", NOW, status="running", provider_status=f"word {number}")
    assert run.journal_file.stat().st_size < 5_200 and not synced
    run.record("ended", NOW, outcome="failed")
    assert synced and run.state().outcome == "failed"


def test_a_journal_of_many_lines_is_read_once_while_it_stays_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path)
    run.record("submitted", NOW, task_id="t-1")
    line = json.dumps({"at": "2026-11-21T00:00:00.000Z", "event": "status", "status": "running", "progress": 5.0})
    with run.journal_file.open("a", encoding="ascii") as journal:
        journal.write(f"{line}\n" * 10_000)
    read, real = [], durable_files.read_lines
    monkeypatch.setattr(durable_files, "read_lines", lambda path: read.append(path) or real(path))
    again = RunStore(tmp_path).open(run.run_id)
    for one in (run, again, run, again):
        assert one.state().progress == 5.0
    assert len(read) == 1
    run.record("ended", NOW, outcome="failed", status="failed")
    assert run.state().ended and again.state().ended and len(read) == 2
    with run.journal_file.open("a", encoding="ascii") as journal:
        journal.write(json.dumps({"event": "reported", "exit_code": 4}) + "\n")
    assert again.state().reported and run.state().reported and len(read) == 3


def test_indentation_never_multiplies(tmp_path: Path) -> None:
    deep: Any = [0] * 5_000
    for _ in range(90):
        deep = [deep]
    for value in (deep, {"a": deep}, [[[n] for n in range(20_000)]]):
        write_json(tmp_path / "x.json", value)
        compact = len(json.dumps(value, separators=(",", ":")))
        assert (tmp_path / "x.json").stat().st_size <= 2 * compact + 1_100
        assert json.loads((tmp_path / "x.json").read_bytes()) == value
    write_json(tmp_path / "x.json", {"a": 1, "b": [1]})
    assert b'\n "b"' in (tmp_path / "x.json").read_bytes()  # what people read has a line each


# -- the folder goes while its task is waited for ----------------------------------------------------------------------


def test_a_deleted_folder_comes_back_with_what_this_process_knows(tmp_path: Path) -> None:
    root = tmp_path / "task-status" / ".artifacts"
    run = new_run(root)
    run.record("submitted", NOW, task_id="t-1")
    shutil.rmtree(tmp_path / "task-status")
    assert run.state().task_id == "t-1"
    run.record("ended", NOW, outcome="succeeded", status="succeeded")
    results.write(run, now=NOW)
    again = RunStore(root).open(run.run_id)
    assert again.state().task_id == "t-1" and again.state().outcome == "succeeded"
    assert again.request["prompt"] == "a boat" and (root / ".gitignore").is_file()


def test_a_folder_deleted_between_record_and_result_comes_back_too(tmp_path: Path) -> None:
    run = finished(tmp_path / "root")
    shutil.rmtree(tmp_path / "root")
    results.write(run, now=NOW)
    assert RunStore(tmp_path / "root").open(run.run_id).state().outcome == "succeeded"


# -- folders that anybody may have edited ------------------------------------------------------------------------------


def survives(root: Path) -> None:
    """Whatever a command does with a run that it has only read."""
    store = RunStore(root)
    for run in store.runs():
        state = run.state()
        assert (state.task_id is None) or len(state.task_id) <= MAX_ID
        row = results.row(run, state)
        list_runs.table([row])
        results.summary(run, state)
        json.dumps([row, state.error, state.usage])
        results.write(run, now=NOW)
        durable_files.read_json(run.result_file)
    for outline in store.outlines():
        list_runs.add_up({}, outline)
        assert outline.words and outline.is_at("x") in (True, False)
        signed = outlines.signature(str(root / outline.run_id))
        assert signed is not None
        kept = json.loads(json.dumps(outlines.entry_of(signed, outline)))
        assert outlines.recall(outline.run_id, kept, signed) == outline


@pytest.mark.slow
def test_mutated_folders_are_read_without_an_internal_error(tmp_path: Path) -> None:
    run = finished(tmp_path)
    journal = [json.loads(line) for line in run.journal_file.read_bytes().splitlines()]
    request = json.loads((run.folder / "inputs" / "request.json").read_bytes())
    rng = random.Random(7)
    for number in range(int(os.environ.get("MUTATED_JOURNALS", "400"))):
        lines, asked = journal, request
        for _ in range(rng.randrange(1, 4)):
            lines, asked = (mutated(lines, rng), asked) if rng.random() < 0.7 else (lines, mutated(asked, rng))
        if not isinstance(lines, list):
            lines = [lines]
        data = b"\n".join(json.dumps(line).encode() for line in lines)
        if rng.random() < 0.3:
            data = torn(data, rng)
        run.journal_file.write_bytes(data + b"\n" * rng.randrange(2))
        (run.folder / "inputs" / "request.json").write_text(json.dumps(asked), encoding="utf-8")
        try:
            survives(tmp_path)
        except Exception as error:
            raise AssertionError(f"number {number}: {lines} {asked}") from error
