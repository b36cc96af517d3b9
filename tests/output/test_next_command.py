"""The command that goes on: the same runner, the script as it was invoked, safely quoted."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import SCRIPTS, call, environment, fast_sandbox, start
from videotasks.output import next_command


def test_the_interpreter_that_runs_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPTS / "create_and_wait.py")])
    assert next_command.command("task_status.py", "--latest") == [
        sys.executable,
        str(SCRIPTS / "task_status.py"),
        "--latest",
    ]


def test_uv_when_uv_runs_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    assert next_command.command("task_status.py")[:2] == ["uv", "run"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_script_that_was_invoked_through_a_link_is_named_through_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "skill").symlink_to(SCRIPTS.parent)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["skill/scripts/create_and_wait.py"])
    assert next_command.script_path("task_status.py") == str(tmp_path / "skill" / "scripts" / "task_status.py")


@pytest.mark.parametrize("argv0", ["", "-c", "/usr/bin/pytest", "gone/x.py"])
def test_without_a_script_of_ours_the_librarys_own_place(monkeypatch: pytest.MonkeyPatch, argv0: str) -> None:
    monkeypatch.setattr(sys, "argv", [argv0])
    assert next_command.script_path("task_status.py") == str(SCRIPTS / "task_status.py")


@pytest.mark.process
@pytest.mark.skipif(os.name == "nt", reason="POSIX quoting")
@pytest.mark.parametrize("folder", ["plain", "with blank", 'it\'s $(touch owned) `x`; "q" & *', "雨"])
def test_next_runs_in_a_shell_as_it_stands_from_anywhere(tmp_path: Path, folder: str) -> None:
    root = tmp_path / folder
    root.mkdir()
    with fast_sandbox():
        made = call(
            "create_and_wait.py", "--sandbox", "--prompt", "x", "--duration", "4", "--no-wait",
            "--artifacts-dir", str(root),
        )  # fmt: skip
    assert shlex.split(made.final["next"]) == made.final["next_argv"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        ["sh", "-c", made.final["next"]], cwd=elsewhere, env=environment(), capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stdout.decode()
    assert list(root.glob("*/outputs/video.mp4"))
    assert list(elsewhere.iterdir()) == [] and not (tmp_path / "owned").exists()


@pytest.mark.process
def test_a_foreign_profile_is_named_again_by_its_absolute_path(tmp_path: Path) -> None:
    from support.faults import json_answer
    from support.faultserver import FaultServer

    with FaultServer(json_answer({"id": "t_1", "status": "queued"})) as server:
        (tmp_path / "mine.yaml").write_text(
            f"""name: mine
title: Mine
base_url: {server.base_url}
auth: {{env: [VIDEO_TASKS_KEY_MINE]}}
create: {{path: /videos, id: [id]}}
status: {{path: "/videos/{{task_id}}", value: [status], map: {{queued: [queued], succeeded: [done]}}}}
result: {{video: [url]}}
inputs: {{prompt: {{to: prompt}}, model: {{to: model}}}}
""",
            encoding="utf-8",
        )
        done = start(
            "create_and_wait.py", "--provider", "mine.yaml", "--prompt", "x", "--model", "m", "--no-wait",
            cwd=tmp_path, env={"VIDEO_TASKS_KEY_MINE": "sk-1"},
        )  # fmt: skip
        assert done.exit_code == 0, done
        argv = done.final["next_argv"]
        assert argv[argv.index("--provider") + 1] == str(tmp_path / "mine.yaml")


BACKSLASHES = r"C:\Users\Ann Lee\my videos" + "\\"


@pytest.mark.parametrize(
    "words",
    [
        ["--artifacts-dir", BACKSLASHES, "--run-id", "20261121-093000-01234-5678"],
        ["--output", "out\\", "--base-url", "https://gateway.example/v1?a=b&c=d", "--provider", r".\acme.yaml"],
        ["--output", 'a "quoted" name', "--set", 'x={"a": 1}', "--model", "a,b", "--image", "@RUN"],
    ],
)
def test_a_line_for_windows_reads_the_same_in_its_shells(words: list[str]) -> None:
    line = next_command.for_windows([r"C:\Program Files\Python\python.exe", "task_status.py", *words])
    assert shlex.split(line) == ["C:/Program Files/Python/python.exe", "task_status.py", *words]  # Git's bash
    bare = re.sub(r'"(?:\\\\|\\"|[^"])*"', "", line)
    assert not re.search(r"[^\w./:=+~ -]", bare), "PowerShell gives its own meaning to other signs outside of quotes"


def test_a_program_without_blanks_is_a_command_to_every_shell() -> None:
    line = next_command.for_windows([r"C:\v\Scripts\python.exe", "x.py"])
    assert line == "C:/v/Scripts/python.exe x.py"
