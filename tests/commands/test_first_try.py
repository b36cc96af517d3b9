"""Stories of a first try, played as an assistant plays them: it has the skill and a user's words, and no source.

The models and the address are not in any table. Each story ends with the video, or with the one question that a careful
person would ask; never with a second payment, nor with more than an assistant can read.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support import faults
from support.commands import SCRIPTS, Done, call
from support.faults import json_answer
from support.taskserver import KEY, VIDEO, WIRES, TaskServer, refused, taken
from videotasks.lifecycle import free_calls

SV = WIRES["skills-video"]
MOST_READ = 15_000  # characters of a whole story, stdout and stderr


@dataclass
class Assistant:
    """Runs commands in the user's folder, keeps what it read, and follows `next` as it stands."""

    env: dict[str, str]
    done: list[Done] = field(default_factory=list)

    def run(self, *words: str) -> Done:
        self.done.append(call(*words, env=self.env))
        return self.done[-1]

    def follow(self, command: str) -> Done:
        words = shlex.split(command)
        at = next(i for i, word in enumerate(words) if word.startswith(str(SCRIPTS)))
        return self.run(Path(words[at]).name, *words[at + 1 :])

    def until_it_ends(self, most: int = 30) -> Done:
        while self.done[-1].exit_code == 11 and len(self.done) < most:
            self.follow(self.done[-1].final["next"])
        return self.done[-1]

    @property
    def read(self) -> int:
        return sum(len(done.stdout) + len(done.stderr) for done in self.done)


@pytest.fixture
def her(monkeypatch: pytest.MonkeyPatch) -> Iterator[Assistant]:
    monkeypatch.setattr(free_calls, "FIRST_PAUSE_S", 0.01)
    assistant = Assistant({"SKILLS_VIDEO_API_KEY": KEY})
    yield assistant
    assert assistant.read <= MOST_READ


def wanted(model: str, *more: str) -> tuple[str, ...]:
    words = ("--provider", "skills-video", "--model", model, "--prompt", "a paper boat", "--allow-private-results")
    return ("create_and_wait.py", *words, "--poll-interval", "0.05", *more)


def bodies(server: TaskServer) -> list[Any]:
    return [json.loads(request.body) for request in server.posts]


@pytest.mark.parametrize("model", ["nova-labs/nova-9", "aurora/a1-motion-pro", "kling-ai/kling-v9.9"])
def test_a_model_that_nobody_documented(her: Assistant, model: str, tmp_path: Path) -> None:
    with TaskServer(SV) as server:
        her.env["SKILLS_VIDEO_BASE_URL"] = server.base
        plan = her.run(*wanted(model, "--duration", "5", "--output", "boat.mp4", "--dry-run"))
        assert plan.exit_code == 0 and server.posts == []
        assert plan.final["assumed"][0]["member"] == "duration" and plan.final["checked_against"] == "convention"
        assert plan.final["if_wrong"], "what the yes covers"
        done = her.follow(plan.final["send"])
        done = her.until_it_ends()
        assert done.exit_code == 0 and (tmp_path / "boat.mp4").read_bytes() == VIDEO
        assert [body["duration"] for body in bodies(server)] == [5], "one POST"
        assert done.final["copied_to"] == str(tmp_path / "boat.mp4") and done.final["cost"] == "unknown"
        assert done.final["video"]["bytes"] == len(VIDEO)
        assert len(her.done) <= 4


def test_a_first_frame_for_such_a_model_is_a_question(her: Assistant, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)
    with TaskServer(SV) as server:
        her.env["SKILLS_VIDEO_BASE_URL"] = server.base
        for more in (("--dry-run",), ()):
            done = her.run(*wanted("nova-labs/nova-9", "--duration", "5", "--image", "first_frame=x.png", *more))
            told = json.dumps(done.final["error"])
            assert done.exit_code in (1, 22) and "first_frame_url" in told and "--set" in told
        assert server.requests == []


def test_a_lost_answer_is_never_paid_twice(her: Assistant) -> None:
    with TaskServer(SV, creates=[taken(faults.close_without_answer())]) as server:
        her.env["SKILLS_VIDEO_BASE_URL"] = server.base
        words = wanted("nova-labs/nova-9")
        assert her.run(*words).exit_code == 3
        looked = her.follow(her.done[-1].final["next"])
        assert looked.exit_code == 3 and looked.final["next"] is None
        for name in ("to_adopt", "to_close"):
            assert "--base-url" in looked.error[name], "complete without the environment"
        assert looked.error["look_at"]
        assert her.run(*words).exit_code == 3 and server.paid == 1 and len(server.posts) == 1
        adopted = her.follow(looked.error["to_adopt"].replace(" ID ", f" {server.task_id} "))
        assert adopted.exit_code == 0 and adopted.final["status"] == "succeeded"
        assert her.run(*words).exit_code == 0 and server.paid == 1


def test_a_long_task_under_a_shell_that_kills(her: Assistant, tmp_path: Path) -> None:
    with TaskServer(SV, outcome="never") as server:
        her.env["SKILLS_VIDEO_BASE_URL"] = server.base
        her.run(*wanted("nova-labs/nova-9", "--output", "boat.mp4", "--poll-timeout", "0.3"))
        rounds = [her.done[-1]] + [her.follow(her.done[-1].final["next"]) for _ in range(3)]
        for step in rounds[1:]:
            assert step.exit_code == 11 and len(step.lines) == 1, "nothing new is nothing to read"
            assert len(step.stdout) + len(step.stderr) - 2 * len(step.final["next"]) < 450
        server.outcome = "succeeded"
        done = her.until_it_ends()
        assert done.exit_code == 0 and (tmp_path / "boat.mp4").read_bytes() == VIDEO
        assert server.paid == 1


def test_after_a_top_up_the_same_command_sends_again(her: Assistant) -> None:
    broke = refused(json_answer({"message": "Insufficient credits"}, 402))
    with TaskServer(SV, creates=[broke]) as server:
        her.env["SKILLS_VIDEO_BASE_URL"] = server.base
        words = wanted("nova-labs/nova-9")
        done = her.run(*words)
        assert done.exit_code == 20 and done.error["recharge"] and server.paid == 0
        assert her.run(*words).exit_code == 0 and server.paid == 1


def test_yesterdays_id_on_a_bad_network(her: Assistant, tmp_path: Path) -> None:
    polls = [faults.html(502), faults.reset_after_request(), faults.html(502)]
    with TaskServer(SV, polls=polls, task_id="gen_recover_1") as server:
        her.env["SKILLS_VIDEO_BASE_URL"] = server.base
        fetch = ("--download", "--output", "boat.mp4", "--allow-private-results")
        done = her.run("task_status.py", "gen_recover_1", "--provider", "skills-video", *fetch)
        assert done.exit_code == 0 and (tmp_path / "boat.mp4").read_bytes() == VIDEO
        assert len(her.done) == 1 and server.posts == []


def test_a_network_that_is_down_for_long_is_gone_on_with_by_next(her: Assistant, tmp_path: Path) -> None:
    with TaskServer(SV, polls=[faults.html(503)] * 400, task_id="gen_recover_1") as server:
        her.env["SKILLS_VIDEO_BASE_URL"] = server.base
        fetch = ("--download", "--output", "boat.mp4", "--allow-private-results", "--no-retry")
        done = her.run("task_status.py", "gen_recover_1", "--provider", "skills-video", *fetch)
        assert done.exit_code == 24 and done.error["look_again_in_s"]
        server.heal()
        del her.env["SKILLS_VIDEO_BASE_URL"]
        assert her.follow(done.final["next"]).exit_code == 0 and (tmp_path / "boat.mp4").read_bytes() == VIDEO


def test_several_at_once(her: Assistant) -> None:
    with TaskServer(SV) as server:
        her.env["SKILLS_VIDEO_BASE_URL"] = server.base
        for take in ("1", "2"):
            server.task_id = f"gen_{take}"
            assert her.run(*wanted("nova-labs/nova-9", "--take", take, "--no-wait")).exit_code == 0
        done = her.run("wait_generation.py", "--all-unfinished", "--timeout", "20", "--allow-private-results")
        assert done.exit_code == 0 and len(done.final["runs"]) == 2 and server.paid == 2
