"""When to ask again: bounded, never in step, as the user or the server says, and cheap for what it sees."""

from __future__ import annotations

import importlib.util
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videotasks.lifecycle.poll_schedule import CEILING_S, JITTER, MAX_SERVER_WAIT_S, PollSchedule
from videotasks.providers.load_profile import load_profile, shipped_names

ELAPSED = st.floats(0, 1e7)
RANDOM = st.floats(0, 1, exclude_max=True)
FAULTS = st.integers(0, 10_000)
HINTS = st.one_of(st.none(), st.floats(-1e9, 1e12, allow_nan=False))


@given(ELAPSED, RANDOM, FAULTS, st.floats(0.5, 30), st.floats(0.5, 1000))
def test_without_a_hint_it_stays_within_floor_and_ten_seconds(
    elapsed: float, rand: float, faults: int, floor: float, ceiling: float
) -> None:
    delay = PollSchedule(floor, ceiling).delay(elapsed, random=rand, faults=faults)
    assert 0 < delay <= CEILING_S
    if not faults:
        assert delay >= min(floor, ceiling, CEILING_S) * (1 - JITTER)


@given(ELAPSED, RANDOM, FAULTS, HINTS)
def test_a_hint_lengthens_and_never_shortens_and_is_bounded(
    elapsed: float, rand: float, faults: int, hint: float | None
) -> None:
    schedule = PollSchedule(2, 10)
    plain = schedule.delay(elapsed, random=rand, faults=faults)
    delay = schedule.delay(elapsed, random=rand, faults=faults, hint_s=hint)
    assert plain <= delay <= max(plain, MAX_SERVER_WAIT_S)
    if hint is not None and 0 < hint <= MAX_SERVER_WAIT_S:
        assert delay >= hint


@given(ELAPSED, RANDOM, FAULTS, st.floats(0.01, 1000))
def test_an_explicit_interval_is_kept_as_given(elapsed: float, rand: float, faults: int, interval: float) -> None:
    assert PollSchedule(2, 10, interval).delay(elapsed, random=rand, faults=faults) == interval


def test_a_server_that_asks_for_more_wins_over_an_explicit_interval() -> None:
    assert PollSchedule(2, 10, 1.0).delay(5, random=0, hint_s=7) == 7


@given(st.floats(0, 3600), st.floats(0, 3600))
def test_older_tasks_are_asked_no_more_often(one: float, two: float) -> None:
    schedule = PollSchedule(2, 10)
    first, second = (schedule.delay(age, random=0) for age in sorted((one, two)))
    assert first <= second


def test_faults_wait_longer_each_time() -> None:
    delays = [PollSchedule(2, 10).delay(0, random=0, faults=faults) for faults in range(1, 30)]
    assert delays == sorted(delays) and delays[0] <= 2 and delays[-1] == 10


def test_the_jitter_is_spread_evenly() -> None:
    rng = random.Random(1)
    schedule = PollSchedule(2, 10)
    delays = [schedule.delay(1000, random=rng.random()) for _ in range(10_000)]
    assert min(delays) >= 10 * (1 - JITTER) and max(delays) <= 10
    width = 10 * JITTER / 10
    histogram = Counter(min(int((delay - 10 * (1 - JITTER)) / width), 9) for delay in delays)
    assert len(histogram) == 10
    assert all(800 <= count <= 1200 for count in histogram.values()), histogram


def test_a_fixed_random_gives_a_fixed_list() -> None:
    schedule, now, delays = PollSchedule(2, 10), 0.0, []
    for _ in range(40):
        delays.append(round(schedule.delay(now, random=0.0), 2))
        now += delays[-1]
    assert delays[:10] == [2.0] * 10 and delays[-1] == 10.0
    assert delays == sorted(delays)


# -- what it costs -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lag(repo: Path) -> Any:
    path = repo / "benchmarks" / "detection_lag.py"
    spec = importlib.util.spec_from_file_location("detection_lag", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["detection_lag"] = module
    spec.loader.exec_module(module)
    return module


ASKED_TO_BE_SLOW = {"runway"}  # its rule: not more often than every 5 s


def test_every_shipped_profile_sees_ends_soon_and_cheaply(lag: Any) -> None:
    polls = {name: load_profile(name).poll for name in shipped_names()}
    assert {name for name, poll in polls.items() if poll.floor_s == 5} == ASKED_TO_BE_SLOW
    for floor, ceiling in {(poll.floor_s, poll.ceiling_s) for poll in polls.values() if poll.floor_s != 5}:
        measured = lag.measure(PollSchedule(floor, ceiling), 1500, seed=3)
        assert not measured.missed, measured


def test_the_measure_sees_a_bad_schedule(lag: Any) -> None:
    assert "share" in lag.measure(PollSchedule(1, 10, 1.0), 300, seed=1).missed
    assert {"short_s", "mean_s", "worst_s"} <= set(lag.measure(PollSchedule(1, 10, 25.0), 300, seed=1).missed)
