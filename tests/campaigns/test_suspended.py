"""A process that is suspended: what came for it meanwhile is read, and nobody pays in its place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support import faults
from support.kills import environment
from support.taskserver import WIRES, TaskServer, told
from videotasks.runs.claims import SILENT_S

REPO = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be suspended there"),
]


def command(server: TaskServer, root: Path, *more: str) -> list[str]:
    script = str(REPO / "scripts" / "create_and_wait.py")
    options = ["--base-url", server.base, "--model", server.wire.model, "--prompt", "a boat", "--allow-private-results"]
    return [sys.executable, script, *options, "--artifacts-dir", str(root), "--poll-interval", "0.2", *more]


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def held_answer() -> TaskServer:
    held = told("held", lambda wire, task_id: faults.when_released(faults.json_answer(wire.created(task_id))))
    return TaskServer(WIRES["skills-video"], creates=[held])


def test_an_answer_that_came_while_the_process_stood_still_is_read(tmp_path: Path) -> None:
    with held_answer() as server:
        env = environment(server, tmp_path / "caches")
        argv = command(server, tmp_path / "a", "--sse-request-timeout", "2")
        with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            wait_for(lambda: bool(server.created))
            child.send_signal(signal.SIGSTOP)
            server.release()
            time.sleep(9.0)  # far beyond the two seconds that the command waits for an answer
            child.send_signal(signal.SIGCONT)
            out, _ = child.communicate(timeout=60)
        final = json.loads(out.splitlines()[-1])
        assert child.returncode == 0 and final["task_id"] == server.task_id and server.paid == 1


def test_while_its_sender_is_suspended_the_same_command_pays_nothing(tmp_path: Path) -> None:
    with held_answer() as server:
        env = environment(server, tmp_path / "caches")
        argv = command(server, tmp_path / "a")
        with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            wait_for(lambda: bool(server.created))
            child.send_signal(signal.SIGSTOP)
            for claim in (tmp_path / "a" / ".claims").iterdir():
                long_ago = time.time() - SILENT_S - 1
                os.utime(claim, (long_ago, long_ago))
            again = subprocess.run(argv, env=env, capture_output=True, timeout=60)
            assert again.returncode == 3, again.stdout
            server.release()
            child.send_signal(signal.SIGCONT)
            out, _ = child.communicate(timeout=60)
        assert child.returncode == 0 and server.paid == 1
        assert json.loads(out.splitlines()[-1])["task_id"] == server.task_id
        after = subprocess.run(argv, env=env, capture_output=True, timeout=60)
        assert after.returncode == 0 and server.paid == 1
