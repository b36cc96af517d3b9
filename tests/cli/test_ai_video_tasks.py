"""The one command for people: the same parsers and files as the scripts, words instead of JSON, its own `next`."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import SCRIPTS, environment, start
from videotasks.core import invocation

pytestmark = pytest.mark.process
COMMAND = SCRIPTS / "ai_video_tasks.py"


def told(*words: str, cwd: Path, code: int = 0) -> str:
    """stdout and stderr of `ai-video-tasks WORDS`."""
    argv = [sys.executable, str(COMMAND), *words]
    env = environment(VIDEO_TASKS_SANDBOX_SPEED="20")
    done = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    text = (done.stdout + done.stderr).decode()
    assert done.returncode == code, text
    assert "Traceback" not in text
    return text


def test_every_script_is_a_subcommand() -> None:
    scripts = {path.name for path in SCRIPTS.glob("*.py")} - {COMMAND.name}
    assert scripts <= set(invocation.SUBCOMMANDS.values())


def test_a_video_in_words(tmp_path: Path) -> None:
    text = told("create", "--sandbox", "--prompt", "a paper boat", "--duration", "4", cwd=tmp_path)
    (video,) = tmp_path.glob("task-status/.artifacts/*/outputs/video.mp4")
    assert f"{video}" in text and '"event"' not in text
    text = told("status", "--latest", "--sandbox", cwd=tmp_path)
    assert f"{video}" in text


def test_what_comes_next_is_said_as_it_was_called(tmp_path: Path) -> None:
    words = ("create", "--sandbox", "--sandbox-scenario", "slow:600", "--prompt", "x", "--poll-timeout", "0.5")
    text = told(*words, cwd=tmp_path, code=11)
    (line,) = [line for line in text.splitlines() if f"{COMMAND} wait " in line]
    argv = shlex.split(line[line.index(sys.executable) :])
    assert argv[1:3] == [str(COMMAND), "wait"] and "--text" not in argv
    done = start(COMMAND.name, "--json", "status", "--latest", "--sandbox", cwd=tmp_path)
    assert done.final["next_argv"][1:4] == [str(COMMAND), "--json", "wait"]
    assert done.final["status"] in ("queued", "running")


def test_the_dry_run_says_how_to_send_it(tmp_path: Path) -> None:
    text = told("create", "--sandbox", "--prompt", "x", "--dry-run", cwd=tmp_path)
    assert f"{COMMAND} create --sandbox --prompt x" in text
    assert not list(tmp_path.glob("task-status/.artifacts/2*"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["creat"], "invalid choice: 'creat'"),
        ([], "COMMAND"),
        (["create", "--promt", "x"], "did you mean --prompt?"),
        (["create", "--api-key", "sk-1"], "ai-video-tasks key --all"),
    ],
)
def test_a_slip_is_told_in_words_of_the_command(words: list[str], expected: str, tmp_path: Path) -> None:
    text = told(*words, cwd=tmp_path, code=2)
    assert expected in text and '"event"' not in text and ".py" not in text and "sk-1" not in text


def test_help_and_version() -> None:
    text = told("--help", cwd=SCRIPTS)
    for name, script in invocation.SUBCOMMANDS.items():
        assert (f"\n  {name} " in text) is (SCRIPTS / script).exists()
    assert "usage: ai-video-tasks create " in told("create", "--help", cwd=SCRIPTS)
    assert "ai-video-tasks 0." in told("--version", cwd=SCRIPTS)


def test_a_document_stays_a_document(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"openapi": "3.1.0", "paths": {}}', encoding="utf-8")
    text = told("inspect", "--openapi", "spec.json", "--list-endpoints", cwd=tmp_path)
    assert json.loads(text)["ok"] is True
