"""Many tasks at once: each is looked at within its interval plus the server's pace, and handed on as it ends."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from support.virtual import Slow, json_body, silence, wait_for_many
from videotasks.core.task import Outcome
from videotasks.lifecycle.session import Timing
from videotasks.lifecycle.wait import MAX_WORKERS

ANSWER_S = 0.5


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


def running(task_id: str) -> Any:
    return Slow(ANSWER_S, json_body({"id": task_id, "status": "running"}))


def done(task_id: str) -> Any:
    body = {"id": task_id, "status": "succeeded", "content": {"video_url": "https://a.example/v.mp4"}}
    return Slow(ANSWER_S, json_body(body))


@pytest.mark.parametrize(
    ("count", "interval_s"),
    [
        (60, 3.0),
        (60, 60.0),
        pytest.param(500, 3.0, marks=pytest.mark.slow),
        pytest.param(500, 60.0, marks=pytest.mark.slow),
    ],
)
def test_each_of_many_is_looked_at_within_its_interval_plus_the_servers_pace(
    tmp_path: Path, count: int, interval_s: float
) -> None:
    limits = Timing(poll_interval_s=interval_s)
    waits = wait_for_many(tmp_path, count, lambda task_id, now: running(task_id), deadline=100.0, limits=limits)
    a_round = count * ANSWER_S / MAX_WORKERS
    assert len(waits.asked) == count
    assert waits.longest_gap() <= interval_s + a_round + 2 * ANSWER_S
    assert all(task.ending is not None and task.ending.outcome is Outcome.TIMEOUT for task in waits.tasks)
    assert len(waits.ended_at) == count


def test_an_end_is_handed_on_within_a_round_of_when_it_shows(tmp_path: Path) -> None:
    ends = {f"t-{n}": n * 0.3 for n in range(200)}

    def answer(task_id: str, now: float) -> Any:
        return done(task_id) if now >= ends[task_id] else running(task_id)

    waits = wait_for_many(tmp_path, 200, answer, deadline=300.0, limits=Timing(poll_interval_s=3.0))
    a_round = 200 * ANSWER_S / MAX_WORKERS
    late = {task_id: waits.ended_at[task_id] - at for task_id, at in ends.items()}
    assert max(late.values()) <= 3.0 + a_round + 2 * ANSWER_S
    assert all(task.ending is not None and task.ending.outcome is Outcome.SUCCEEDED for task in waits.tasks)


def test_tasks_that_give_no_answer_hold_up_nobody_for_long(tmp_path: Path) -> None:
    """Twenty hang until their time-out, twenty break: the other sixty are seen to their ends all the same."""

    def answer(task_id: str, now: float) -> Any:
        number = int(task_id[2:])
        if number < 20:
            return Slow(float("inf"), None)
        if number < 40:
            return silence()
        return done(task_id) if now > 30.0 else running(task_id)

    limits = Timing(poll_interval_s=3.0, poll_request_s=5.0)
    waits = wait_for_many(tmp_path, 100, answer, deadline=120.0, limits=limits)
    assert sum(task.ending.outcome is Outcome.SUCCEEDED for task in waits.tasks if task.ending) == 60
