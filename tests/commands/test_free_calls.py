"""What costs nothing does not give up: asked again within one budget, said on stderr, and never for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import faults
from support.commands import Done, call, follow
from support.faults import json_answer
from support.faultserver import refused_port
from support.taskserver import KEY, VIDEO, WIRES, TaskServer
from videotasks.lifecycle import free_calls
from videotasks.lifecycle.free_calls import FreeCalls

ENV = {"SKILLS_VIDEO_API_KEY": KEY, "ARK_API_KEY": KEY}
BROKEN = (faults.html(502), faults.reset_after_request(), faults.html(502))


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_calls, "FIRST_PAUSE_S", 0.01)


ID = "gen_recover_1"


def look(server: TaskServer, *options: str, provider: str = "skills-video") -> Done:
    return call("task_status.py", "gen_recover_1", "--provider", provider, "--base-url", server.base, *options, env=ENV)


@pytest.mark.parametrize("provider", ["skills-video", "ark"])
def test_three_broken_answers_then_the_video(provider: str, tmp_path: Path) -> None:
    with TaskServer(WIRES[provider], polls=BROKEN, task_id=ID) as server:
        boat = tmp_path / "boat.mp4"
        done = look(server, "--download", "--output", str(boat), "--allow-private-results", provider=provider)
        assert done.exit_code == 0 and boat.read_bytes() == VIDEO
        assert done.final["copied_to"] == str(boat)
        assert done.stderr.count("asking again in") == 3
        assert server.paid == 0


def test_a_script_may_forbid_it() -> None:
    with TaskServer(WIRES["skills-video"], polls=BROKEN, task_id=ID) as server:
        done = look(server, "--no-retry")
        assert done.exit_code == 24 and len(server.requests) == 1
        assert "--no-retry" in done.final["next_argv"], "it is what was asked for"


def test_what_nobody_answers_says_when_to_look_and_what_for(tmp_path: Path) -> None:
    with TaskServer(WIRES["skills-video"], polls=[faults.html(503)] * 90) as server:
        done = look(server, "--download", "--output", "boat.mp4", "--no-retry")
        assert done.exit_code == 24 and done.error["look_again_in_s"] == 30
        argv = done.final["next_argv"]
        assert "--download" in argv and argv[argv.index("--output") + 1] == str(Path("boat.mp4").absolute())
        assert argv[argv.index("--base-url") + 1] == server.base


def test_an_unanswered_id_is_kept_found_and_never_the_latest_of_several() -> None:
    with TaskServer(WIRES["skills-video"], polls=BROKEN[:1], task_id=ID) as server:
        place = ("--provider", "skills-video", "--base-url", server.base)
        done = look(server, "--no-retry")
        assert done.exit_code == 24 and done.final["run_id"]
        (row,) = call("task_status.py", "--list", *place, env=ENV).final["runs"]
        assert row["unseen"] is True and row["task_id"] == ID
        assert call("task_status.py", "--latest", *place, env=ENV).final["task_id"] == ID, "there is no other run"
        server.polls[:] = BROKEN[:1]
        server.task_id = "gen_other"
        other = call("task_status.py", "gen_other", *place, "--no-retry", env=ENV)
        assert other.exit_code == 24
        server.task_id = ID
        assert call("task_status.py", "--latest", *place, env=ENV).final["task_id"] == ID, "the other is newer, unseen"
        server.task_id = "gen_other"
        found = follow(other, env=ENV)
        assert found.exit_code == 0 and found.final["run_id"] == other.final["run_id"]


def test_an_id_that_is_denied_three_times_leaves_no_run() -> None:
    unknown = json_answer({"message": "no such task"}, 404)
    with TaskServer(WIRES["skills-video"], polls=[unknown] * 9) as server:
        done = look(server)
        assert done.exit_code == 23 and len(server.requests) == 3 and done.final.get("run_id") is None
        assert look(server, "--no-retry").exit_code == 23 and len(server.requests) == 4


def test_a_port_that_refuses_gets_two_tries() -> None:
    with refused_port() as port:
        base = f"http://127.0.0.1:{port}/api/v1"
        done = call("task_status.py", "gen_1", "--provider", "skills-video", "--base-url", base, env=ENV)
    assert done.exit_code == 24 and done.error["code"] == "refused"
    assert done.stderr.count("asking again") == 1


def test_the_key_check_asks_again() -> None:
    broken = [faults.html(502), json_answer({"remaining_credits": 7})]
    with faults_server(broken) as base:
        done = call("ensure_api_key.py", "--verify", "--base-url", base, env=ENV)
    assert done.exit_code == 0 and "asking again" in done.stderr


def faults_server(answers):  # type: ignore[no-untyped-def]
    import contextlib

    from support.faultserver import FaultServer

    @contextlib.contextmanager
    def serve():  # type: ignore[no-untyped-def]
        left = list(answers)
        with FaultServer(lambda request: left.pop(0) if len(left) > 1 else left[0]) as server:
            yield server.base_url + "/api/v1"

    return serve()


# -- the budget --------------------------------------------------------------------------------------------------


def test_one_budget_for_all_free_calls_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_calls, "FIRST_PAUSE_S", 1.0)
    free, spent, faults_seen = FreeCalls(), 0.0, 0
    while (pause := free.pause_after(faults_seen + 1)) is not None:
        faults_seen += 1
        free.spend(pause)
        spent += pause
    assert 6 <= faults_seen <= 9 and 15 < spent <= 30
    assert FreeCalls(0.0).pause_after(1) is None


@pytest.mark.parametrize("kind", ["dns", "refused", "proxy"])
def test_what_cannot_be_reached_is_tried_twice(kind: str) -> None:
    assert FreeCalls().pause_after(1, kind=kind) is not None and FreeCalls().pause_after(2, kind=kind) is None


@pytest.mark.parametrize("kind", sorted(free_calls.HOPELESS))
def test_what_asking_again_cannot_help(kind: str) -> None:
    assert FreeCalls().pause_after(1, kind=kind) is None


def test_the_servers_wish_is_kept_or_the_end() -> None:
    assert FreeCalls().pause_after(1, hint_s=12.0) == 12.0
    assert FreeCalls().pause_after(1, hint_s=60.0) is None


# -- --latest after a refusal ------------------------------------------------------------------------------------


def test_latest_after_a_refused_create_says_so() -> None:
    from support.taskserver import refused

    refusal = refused(json_answer({"message": "prompt is too long"}, 422))
    with TaskServer(WIRES["skills-video"], creates=[refusal]) as server:
        place = ("--provider", "skills-video", "--base-url", server.base)
        create = ("--model", "openai/sora-2", "--prompt", "x", "--duration", "4")
        assert call("create_and_wait.py", *create, *place, env=ENV).exit_code == 22
        done = call("task_status.py", "--latest", *place, env=ENV)
        assert done.exit_code == 1 and "newest create was refused" in done.error["message"]
        assert done.error["server_message"] == "prompt is too long"
        made = call("create_and_wait.py", *create, *place, "--no-wait", "--take", "2", env=ENV)
        latest = call("task_status.py", "--latest", *place, env=ENV)
        assert latest.final["task_id"] == made.final["task_id"]
        assert "newer_create_refused" not in latest.final["latest"]
