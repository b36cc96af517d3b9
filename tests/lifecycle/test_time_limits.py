"""The deadline throws away nothing that is known, and never cuts a create."""

from __future__ import annotations

import math
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support import faults
from support.commands import call
from support.taskserver import KEY, VIDEO, WIRES, TaskServer, taken
from videotasks.lifecycle.resume import file_deadline
from videotasks.lifecycle.session import Timing

ENV = {"SKILLS_VIDEO_API_KEY": KEY}
SV = WIRES["skills-video"]


@pytest.mark.parametrize(
    ("now", "until"),
    [(0.0, 100.0), (75.0, 105.0), (100.0, 130.0), (102.0, 130.0), (500.0, 130.0)],
)
def test_a_finished_task_has_half_a_minute_for_its_file(now: float, until: float) -> None:
    ctx: Any = SimpleNamespace(monotonic=lambda: now, limits=Timing())
    assert file_deadline(ctx, 100.0) == until and file_deadline(ctx, math.inf) == math.inf


def create(server: TaskServer, *options: str) -> Any:
    words = ("--model", "nova-labs/nova-9", "--prompt", "x", "--allow-private-results", "--base-url", server.base)
    return call("create_and_wait.py", *words, *options, env=ENV)


def test_a_short_wait_cuts_no_create(tmp_path: Path) -> None:
    slow = taken(faults.late(0.8, faults.json_answer(SV.created("task-7f31"))))
    slow = type(slow)(**{**vars(slow), "told": True})
    with TaskServer(SV, creates=[slow]) as server:
        done = create(server, "--poll-timeout", "0.2", "--output", "boat.mp4")
    assert server.paid == 1
    assert done.exit_code == 0 and (tmp_path / "boat.mp4").read_bytes() == VIDEO, "the last look found it finished"


def test_a_create_has_its_own_limit() -> None:
    with TaskServer(SV, creates=[taken(faults.silence())]) as server:
        began = time.monotonic()
        done = create(server, "--create-timeout", "0.5")
        assert done.exit_code == 3 and time.monotonic() - began < 30
        server.release()


def test_a_wait_takes_download_as_its_sister_does() -> None:
    with TaskServer(SV) as server:
        place = ("--base-url", server.base, "--allow-private-results")
        done = call("wait_generation.py", "--task-id", "task-7f31", *place, "--download", env=ENV)
    assert done.exit_code == 0 and Path(done.final["video_file"]).read_bytes() == VIDEO
