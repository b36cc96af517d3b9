"""Which run folders this user's machine made, whatever the folder says of itself."""

from __future__ import annotations

import json
import os
import shutil
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from videotasks.core.user_folders import state_folder
from videotasks.runs import machine_mark
from videotasks.runs.store import Run, RunStore

NOW = 1_790_000_000.0


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def new_run(root: Path, **more: Any) -> Run:
    store = RunStore(root)
    store.prepare()
    return store.create({"provider": "ark", "mode": "real", "origin": "https://a.example", **more}, now=NOW)


def test_a_run_made_here_is_ours_and_stays_ours_elsewhere_in_the_disk(tmp_path: Path) -> None:
    run = new_run(tmp_path / "a")
    assert run.made_here
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert RunStore(tmp_path / "b").open(run.run_id).made_here


@pytest.mark.parametrize("name", ["run_id", "origin", "mode", "identity", "intent", "provider", "task_id"])
def test_a_mark_holds_for_one_request_only(tmp_path: Path, name: str) -> None:
    run = new_run(tmp_path, identity="0" * 64)
    assert not machine_mark.is_ours({**run.request, name: "other"})


@pytest.mark.parametrize("mark", [None, "", "x", "0" * 64, "\u00e9", 7, [], {}])
def test_what_a_stranger_writes_as_a_mark_is_none(tmp_path: Path, mark: Any) -> None:
    assert not machine_mark.is_ours({**new_run(tmp_path).request, "mark": mark})


def test_another_home_does_not_know_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(tmp_path / "root")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "tomorrow"))
    assert not RunStore(tmp_path / "root").open(run.run_id).made_here
    assert not (tmp_path / "tomorrow" / "ai-video-tasks" / machine_mark.KEY_FILE).exists()  # looking makes no key


@pytest.mark.skipif(os.name == "nt", reason="POSIX paths")
def test_a_home_that_takes_nothing_gives_runs_without_a_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    run = new_run(tmp_path)
    assert "mark" not in run.request or run.request["mark"] is None
    assert not run.made_here


def test_the_key_is_for_this_user_only_and_half_of_it_is_made_anew(tmp_path: Path, state_home: Path) -> None:
    new_run(tmp_path / "a")
    folder = state_folder()
    assert folder is not None and Path(folder).parent == state_home
    path = Path(folder, machine_mark.KEY_FILE)
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"half")  # a kill between its making and its writing
    assert new_run(tmp_path / "b").made_here and len(path.read_bytes()) == machine_mark.KEY_BYTES


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_in_place_of_the_key_holds_nobody(tmp_path: Path) -> None:
    folder = state_folder()
    assert folder is not None
    os.mkfifo(Path(folder, machine_mark.KEY_FILE))
    assert not new_run(tmp_path).made_here


def test_one_key_however_many_begin_at_once(tmp_path: Path) -> None:
    marks: list[Any] = []
    threads = [threading.Thread(target=lambda: marks.append(machine_mark.mark_of({"run_id": "a"}))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(marks)) == 1 and None not in marks


def test_taking_over_keeps_the_id_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(tmp_path / "root")
    run.record("submitted", NOW, task_id="t-1", follow={"status_url": "/evil"}, kind="video")
    run.record("ended", NOW, outcome="succeeded", status="succeeded", outputs=[{"kind": "video", "url": "https://e/v"}])
    run.record("downloaded", NOW, files=[{"kind": "video", "path": "outputs/video.mp4"}])
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "tomorrow"))
    run = RunStore(tmp_path / "root").open(run.run_id)
    run.take_over(NOW)
    again = RunStore(tmp_path / "root").open(run.run_id)
    state = again.state()
    assert again.made_here and state.task_id == "t-1" and state.unfinished
    assert (state.outputs, state.files, state.follow, state.outcome) == ([], [], {}, None)
    json.dumps(dict(again.request))
