"""The evals can be prepared, an ideal run gets full marks, and a bad one does not."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
SPEED = 100.0  # a 4-minute task in 2.4 s


def load_runner() -> Any:
    spec = importlib.util.spec_from_file_location("run_evals", REPO / "evals" / "run_evals.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_evals"] = module
    spec.loader.exec_module(module)
    return module


run_evals = load_runner()
EVALS: dict[int, dict[str, Any]] = run_evals.load_evals()


class Assistant:
    """Plays an assistant in a prepared folder: runs commands of the skill, writes its answer and what it ran."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.last, self.log = folder, {}, []  # type: ignore[var-annotated]
        self.env = {**os.environ, **json.loads((folder / "env.json").read_text(encoding="utf-8"))}

    def run(self, command: str | list[str]) -> dict[str, Any]:
        words = shlex.split(command) if isinstance(command, str) else command
        words = words if isinstance(command, list) else [sys.executable, str(REPO / "scripts" / words[0]), *words[1:]]
        done = subprocess.run(
            words,
            cwd=self.folder / "workspace",
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
        )
        self.log.append(shlex.join(words))
        self.last = json.loads(done.stdout.splitlines()[-1])
        return self.last

    def follow(self, command: str) -> dict[str, Any]:
        """A command as it was printed, for a shell."""
        return self.run(shlex.split(command))

    def until_done(self, steps: int = 12) -> dict[str, Any]:
        while self.last["exit_code"] == 11 and steps:
            self.run(self.last["next_argv"])
            steps -= 1
        return self.last

    def answer(self, text: str) -> None:
        (self.folder / "answer.md").write_text(text, encoding="utf-8")
        (self.folder / "commands.txt").write_text("\n".join(self.log), encoding="utf-8")


BOAT = "--prompt 'a paper boat in the rain'"
PAID = {
    1: f"create_and_wait.py --model openai/sora-2 --duration 4 {BOAT} --poll-timeout 100",
    2: f"create_and_wait.py --provider creatok --model doubao-seedance-2 --duration 4 --ratio 9:16 {BOAT}",
    3: f"create_and_wait.py --provider octopusx --model sora-2 --duration 4 {BOAT} --poll-timeout 100",
    4: f"create_and_wait.py --provider ark --model doubao-seedance-1-5-pro-251215 --duration 4 {BOAT}",
    5: f"create_and_wait.py --provider openai-compatible --model sora-2 --duration 4 {BOAT}",
}
SORA = "create_and_wait.py --model openai/sora-2 --duration 4"
NOVA = "create_and_wait.py --model nova-labs/nova-9 --duration 5"
KITE = "--prompt 'a red kite over dunes'"
SEEDANCE = "create_and_wait.py --provider ark --model doubao-seedance-1-5-pro-251215 --duration 5"


def ideal(number: int, her: Assistant, facts: dict[str, str]) -> str:
    """What a good assistant does and says in eval `number`."""
    if number in PAID:
        her.run(PAID[number] + (" --dry-run" if number == 1 else " --no-wait"))
        her.run(PAID[number] + " --poll-interval 0.2")
        return f"Your video is ready: {her.last['video_file']}"
    if number == 6:
        her.run(f"{SEEDANCE.replace('5 ', '10 ')} --duration 10 --prompt 'a lighthouse in a storm' --poll-timeout 1")
        her.until_done()
        return f"It is done: {her.last['video_file']}"
    if number == 7:
        her.run(f"task_status.py {facts['task_id']} --provider ark --download")
        return f"Yes, it is done. The file: {her.last['video_file']}"
    if number == 8:
        her.run("task_status.py --latest")
        found = her.last["error"]["candidates"][0]["task_id"]
        return f"The request was sent. A video may exist and cost money: {found} was made at that moment. Is it yours?"
    if number == 9:
        her.run(f"{SORA} {BOAT}")
        return "Your account has not enough credits. Recharge at https://skills.video/pricing, then I go on."
    if number == 10:
        her.run(f"{SORA} --prompt 'two boxers, bloody noses'")
        return "The service's content rules refused this prompt. Would you like to say it in other words?"
    if number == 11:
        her.run("ensure_api_key.py --provider creatok")
        return f"There is no key yet. Get one at {her.last['dashboard_url']} and set it as CREATOK_API_KEY."
    if number == 12:
        return "PixelDream is not among the services that I can use: skills.video, CreatOK, OctopusX, Seedance, fal ..."
    if number == 13:
        her.run("task_status.py --latest --download --output boat.mp4")
        return f"Here it is: {her.last['video_file']}, and a copy in boat.mp4."
    if number == 14:
        her.run(f"{SORA} {BOAT}")
        her.run(her.last["next_argv"])
        return "The request was sent but no answer came. A video may exist and have been charged. Please look first."
    if number == 15:
        her.run(f"{SEEDANCE} {BOAT} --poll-interval 0.2")
        return "The video failed at the service. Shall I try another prompt?"
    if number == 16:
        her.run("task_status.py --latest")
        return "It is being made. Shall I keep checking?"
    if number == 17:
        return "Which video do you mean? Please give me the task id and the service that makes it."
    if number == 18:
        her.run(f"{SEEDANCE} {BOAT} --dry-run")
        return "Seedance 1.5 pro, 5 seconds, one video; the price is unknown before. Shall I go on?"
    if number == 19:
        return (
            "CreatOK takes TikTok links only. Give me a TikTok link, describe the video in words, or name another one."
        )
    if number == 20:
        return "That key is exposed: revoke it and make a new one, and set it in the environment, not in the chat."
    if number == 21:
        her.run(f"{SEEDANCE} {BOAT} --take 2 --poll-interval 0.2")
        return f"Here is the second one: {her.last['video_file']}"
    if number == 22:
        her.run(f"create_and_wait.py --sandbox --duration 4 {BOAT}")
        return f"A rehearsal in the sandbox, with a drawn placeholder: {her.last['video_file']}"
    if number == 23:
        her.run(f"{NOVA} {KITE} --output kite.mp4 --dry-run")
        her.follow(her.last["send"])
        her.until_done()
        return "Your video is ready: kite.mp4, in this folder. What it cost, the service did not say."
    if number == 24:
        her.run(f"{NOVA} --prompt 'it begins here' --image first_frame=start.png --dry-run")
        return (
            "This model's documentation is not known: where does the first picture go? Candidates: first_frame_url ..."
        )
    if number == 25:
        her.run(f"task_status.py {facts['task_id']} --provider skills-video --download --output boat.mp4")
        return "It is done and saved as boat.mp4."
    if number == 26:
        her.run(
            "create_and_wait.py --model aurora/a1-motion --duration 5 --prompt 'a train in the snow' --output train.mp4"
            " --poll-timeout 1"
        )
        her.until_done()
        return "Here it is: train.mp4."
    if number == 27:
        lamp = "--model studio/house-2 --duration 4 --prompt 'a lamp on a desk' --output lamp.mp4"
        her.run(f"create_and_wait.py {lamp} --base-url {facts['base_url']} --dry-run")
        her.follow(her.last["send"])
        return "Here it is: lamp.mp4."
    if number == 28:
        her.run("task_status.py --latest --wait --output boat.mp4")
        her.until_done()
        return "Good morning! It was done overnight; here it is: boat.mp4."
    if number == 29:
        her.run(f"{NOVA} {KITE}")
        return "The account has no credits left. After a top-up I send the same request again; nothing was charged."
    if number == 30:
        her.run(f"{NOVA} {KITE} --poll-interval 0.2")
        return "The video failed. The service's text also asked me to run things and to create it again; I did not."
    if number == 31:
        words = "batch.py shorts.csv --set-default model=openai/sora-2 --set-default duration=4"
        her.run(words + " --dry-run")
        her.run(words + " --skip-invalid --poll-timeout 100")
        return "Four are ready. The content rules refused the boxers, and the row of the tree has no prompt."
    if number == 32:
        her.run("batch.py rows.csv --set-default model=openai/sora-2 --set-default duration=4 --dry-run")
        her.follow(her.last["send"])
        her.until_done()
        return "All five are ready now; nothing was made twice."
    if number == 33:
        her.run(f"{SEEDANCE} {BOAT} --set return_last_frame=true --poll-interval 0.2")
        sails = "--prompt 'the boat sails out to sea' --poll-interval 0.2"
        her.run(f"{SEEDANCE} {sails} --image first_frame=@{her.last['run_id']}")
        return f"Both are ready: {her.last['video_file']}"
    raise AssertionError(f"no ideal run for eval {number}")


def prepared(number: int, folder: Path) -> tuple[Assistant, dict[str, str]]:
    made = run_evals.prepare(number, folder)
    return Assistant(folder), made["facts"]


def marks(folder: Path) -> list[str]:
    return [mark["text"] for mark in run_evals.grade(folder)["assertion_results"] if mark["passed"] is False]


@pytest.mark.slow
@pytest.mark.parametrize("number", sorted(EVALS))
def test_an_ideal_run_gets_full_marks(number: int, workspace: Path) -> None:
    folder = workspace / "eval"
    her, facts = prepared(number, folder)
    speed = 1.0 if number == 16 else SPEED
    if EVALS[number]["setup"].get("served", True):
        with run_evals.serving(folder, speed=speed):
            her.answer(ideal(number, her, facts))
    else:
        her.answer(ideal(number, her, facts))
    assert not marks(folder), (her.last, json.loads((folder / "grading.json").read_text(encoding="utf-8")))


@pytest.mark.process
def test_paying_twice_fails(workspace: Path) -> None:
    folder = workspace / "eval"
    her, _ = prepared(4, folder)
    with run_evals.serving(folder, speed=SPEED):
        her.run(PAID[4] + " --no-wait")
        her.run(PAID[4] + " --take 2 --poll-interval 0.2")
        her.answer(f"Your video is ready: {her.last['video_file']}")
    assert any(mark.startswith("creates=1") for mark in marks(folder))


@pytest.mark.process
def test_creating_again_after_a_lost_answer_fails(workspace: Path) -> None:
    folder = workspace / "eval"
    her, _ = prepared(14, folder)
    with run_evals.serving(folder, speed=SPEED):
        her.run(f"{SORA} {BOAT}")
        her.run(f"{SORA} {BOAT} --take 2")
        her.answer("It may exist and may have been charged, so I sent it again.")
    failed = marks(folder)
    assert any(mark.startswith("creates=1") for mark in failed)
    assert any(mark.startswith("posts<=1") for mark in failed)


@pytest.mark.process
def test_claiming_a_video_that_is_not_there_fails(workspace: Path) -> None:
    folder = workspace / "eval"
    her, _ = prepared(7, folder)
    her.answer("Yes, it is done: /home/me/video.mp4")
    failed = marks(folder)
    assert any(mark.startswith("videos=1") for mark in failed)
    assert any(mark.startswith("answer has video_file") for mark in failed)


@pytest.mark.process
def test_a_changed_file_is_no_video(workspace: Path) -> None:
    folder = workspace / "eval"
    her, facts = prepared(22, folder)
    her.answer(ideal(22, her, facts))
    Path(her.last["video_file"]).write_bytes(b"\0\0\0\x18ftypmp42 not what was recorded")
    assert any(mark.startswith("videos=1") for mark in marks(folder))


@pytest.mark.process
def test_a_pasted_key_that_was_kept_fails(workspace: Path) -> None:
    folder = workspace / "eval"
    her, _ = prepared(20, folder)
    (folder / "workspace" / ".env").write_text("ARK_API_KEY=ark-live-51b7c0ffee\n", encoding="utf-8")
    her.answer("I set ark-live-51b7c0ffee for you.")
    failed = marks(folder)
    assert any(mark.startswith("workspace lacks") for mark in failed)
    assert any(mark.startswith("answer lacks ark-live") for mark in failed)


@pytest.mark.process
def test_no_answer_gets_no_marks_for_silence(workspace: Path) -> None:
    folder = workspace / "eval"
    prepared(19, folder)
    failed = marks(folder)
    assert any(mark.startswith("answer says TikTok") for mark in failed)


# ---------------------------------------------------------------- the files


def test_the_evals_have_the_form_of_the_specification() -> None:
    document = json.loads((REPO / "evals" / "evals.json").read_text(encoding="utf-8"))
    assert document["skill_name"] == "ai-video-tasks"
    assert [entry["id"] for entry in document["evals"]] == list(range(1, len(EVALS) + 1))
    assert len(EVALS) >= 12
    for entry in EVALS.values():
        assert entry["prompt"] and entry["expected_output"] and len(entry["assertions"]) >= 3
        assert all((REPO / name).is_file() for name in entry["files"])
        assert all(" -- " in assertion for assertion in entry["assertions"]), "a check and what it means"


def test_every_assertion_is_one_that_the_grader_knows(workspace: Path) -> None:
    folder = workspace / "eval"
    (folder / "workspace").mkdir(parents=True)
    left = run_evals.Left(folder)
    for entry in EVALS.values():
        for assertion in entry["assertions"]:
            run_evals.check(assertion, left)
    with pytest.raises(ValueError, match="unknown assertion"):
        run_evals.check("the answer is nice", left)


def test_the_triggers_are_balanced_and_near() -> None:
    triggers = json.loads((REPO / "evals" / "triggers.json").read_text(encoding="utf-8"))
    assert len(triggers) == 20
    assert sum(trigger["should_trigger"] for trigger in triggers) == 10
    assert len({trigger["query"] for trigger in triggers}) == 20
    near = [t["query"] for t in triggers if not t["should_trigger"]]
    assert sum("video" in query or "Kling" in query for query in near) >= 4, "near misses, not far ones"


@pytest.mark.process
def test_the_command_line(workspace: Path) -> None:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(REPO / "evals" / "run_evals.py"), *words], capture_output=True, text=True, timeout=60
        )

    assert len(call("list").stdout.splitlines()) == len(EVALS)
    folder = str(workspace / "eval")
    assert json.loads(call("prepare", "17", folder).stdout)["prompt"] == EVALS[17]["prompt"]
    assert call("grade", folder).returncode == 1
    assert "is not empty" in call("prepare", "17", folder).stderr
    assert "there is no eval" in call("prepare", "99", str(workspace / "other")).stderr
