"""Run folders from elsewhere: the provider's word or none, never a payment, never a block."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.commands import call
from support.faults import json_answer
from support.lifecycle import Client
from support.taskserver import KEY, VIDEO, WIRES, TaskServer
from videotasks.runs.store import Run

EVIL = "https://evil.example/v.mp4"


def to_another_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a container that is new every day, or on the computer of whoever cloned the repository."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other home"))


def planted(client: Client, **ended: Any) -> Run:
    """The run of the client's command, its journal rewritten by a stranger."""
    run = client.run
    lines = [
        {"event": "submitting"},
        {"event": "submitted", "task_id": "evil-1", "follow": {"status_url": "/v1/evil"}},
        {"event": "ended", "outcome": "succeeded", "status": "succeeded", "outputs": [{"kind": "video", "url": EVIL}]},
        {"event": "downloaded", "files": [{"name": "video", "kind": "video", "path": "outputs/video.mp4"}]},
        {"event": "reported"},
    ]
    run.journal_file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return run


def test_a_home_that_is_new_every_day_costs_one_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 0
        to_another_home(monkeypatch, tmp_path)
        looks = server.looks
        again = client.create()
        assert (again.code, server.paid) == (0, 1) and "unverified" not in again.final
        assert Path(again.final["video_file"]).read_bytes() == VIDEO
        assert server.looks == looks + 1 and client.run.made_here
        assert client.create().code == 0 and server.looks == looks + 1  # ours from now on


def test_a_task_in_flight_of_another_home_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TaskServer(WIRES["ark"], polls_needed=4) as server:
        client = Client(server, tmp_path / "a")
        assert client.create(no_wait=True).code == 0
        to_another_home(monkeypatch, tmp_path)
        again = client.create()
        assert (again.code, server.paid) == (0, 1) and Path(again.final["video_file"]).read_bytes() == VIDEO


@pytest.mark.parametrize("file", [None, b"no video at all"])
def test_a_planted_success_that_the_provider_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: bytes | None
) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 0
        to_another_home(monkeypatch, tmp_path)
        run = planted(client)
        (run.outputs / "video.mp4").unlink()
        if file is not None:
            (run.outputs / "video.mp4").write_bytes(file)
        server.polls = [json_answer({"error": {"code": "NotFound", "message": "no such task"}}, 404)] * 4
        again = client.create()
        assert server.paid == 1 and again.code == 13
        assert again.final["unverified"] is True and "does not know" in again.final["reason"]
        assert EVIL not in again.stdout.decode() + again.stderr and again.final["video_file"] is None
        assert "--take 2" in again.final["error"]["hint"]
        assert client.create(take=2).code == 0 and server.paid == 2  # never a block


def test_a_whole_file_counts_and_is_said_to_be_unverified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 0
        to_another_home(monkeypatch, tmp_path)
        planted(client)
        again = client.create()
        assert (again.code, server.paid) == (0, 1) and again.final["unverified"] is True
        assert Path(again.final["video_file"]).read_bytes() == VIDEO and EVIL not in again.stdout.decode()


def test_a_server_that_cannot_be_asked_is_no_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 0
        to_another_home(monkeypatch, tmp_path)
        run = planted(client)
        (run.outputs / "video.mp4").unlink()
    again = client.create()  # nothing listens there any more
    assert again.code == 13 and again.final["unverified"] is True and "could not be asked" in again.final["reason"]


def test_a_planted_doubt_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 0
        to_another_home(monkeypatch, tmp_path)
        client.run.journal_file.write_text('{"event": "submission_unknown"}\n', encoding="utf-8")
        again = client.create()
        assert (again.code, server.paid) == (3, 1) and "--take 2" in again.final["error"]["hint"]


def test_uploads_of_a_folder_from_elsewhere_are_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from videotasks.lifecycle.create_or_attach import known_uploads

    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 0
        client.run.journal_file.write_text('{"event": "uploaded", "sha256": "aa", "key": "evil"}\n', encoding="utf-8")
        assert known_uploads(client.plan(client.session()), client.runs()) == {"aa": "evil"}
        to_another_home(monkeypatch, tmp_path)
        assert known_uploads(client.plan(client.session()), client.runs()) == {}


@pytest.mark.parametrize("command", ["look", "wait"])
def test_a_look_or_a_wait_believes_no_end_that_a_folder_from_elsewhere_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 0
        to_another_home(monkeypatch, tmp_path)
        run = planted(client)
        (run.outputs / "video.mp4").write_bytes(VIDEO[:200])
        script, which = {"look": ("task_status.py", "--run-id"), "wait": ("wait_generation.py", "--run-id")}[command]
        place = ["--provider", "ark", "--base-url", server.base, "--artifacts-dir", str(client.root)]
        done = call(script, which, run.run_id, *place, "--no-retry", env={"VOLCENGINE_ARK_API_KEY": KEY})
        assert done.exit_code == 13 and done.final["unverified"] is True and done.final["video_file"] is None
        assert EVIL not in json.dumps(done.final) and "--take" not in json.dumps(done.final)


def test_without_a_key_nobody_vouches_for_a_folder_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 0
        place = ["--provider", "ark", "--base-url", server.base, "--artifacts-dir", str(client.root)]
        assert "unverified" not in call("task_status.py", "--latest", *place).final
        to_another_home(monkeypatch, tmp_path)
        looks = server.looks
        done = call("task_status.py", "--latest", *place)
        assert done.exit_code == 0 and "no key is set" in done.final["reason"]  # its file is whole
        assert Path(done.final["video_file"]).read_bytes() == VIDEO and server.looks == looks
