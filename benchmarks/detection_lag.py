#!/usr/bin/env python3
"""How late polling sees the end of a task, and what it costs: the schedule alone, no network, no clock.

    python3 benchmarks/detection_lag.py [--tasks 10000] [--seed 1]

Task lengths are log-uniform from 5 s to 30 min. For each shipped profile: the mean lag of tasks below a minute and of
all, the worst, and the requests as a share of those of a fixed interval of 3 s. Goals: 1.5 s, 5 s, 12 s, 0.5; exits 1
when one is missed. Streams do not count here: they end a wait at once.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from videotasks.lifecycle.poll_schedule import PollSchedule
from videotasks.providers.load_profile import load_profile, shipped_names

SHORTEST_S, LONGEST_S, FIXED_S = 5.0, 1800.0, 3.0
GOALS = {"short_s": 1.5, "mean_s": 5.0, "worst_s": 12.0, "share": 0.5}


@dataclass(frozen=True)
class Lag:
    """Seconds; `share` is of the requests of a fixed interval."""

    short_s: float
    mean_s: float
    worst_s: float
    share: float

    @property
    def missed(self) -> list[str]:
        return [name for name, goal in GOALS.items() if getattr(self, name) > goal]


def looks(schedule: PollSchedule, length_s: float, rng: random.Random) -> tuple[float, int]:
    """(lag, requests) of one task: a look at once after the create, then by the schedule."""
    now, count = 0.0, 1
    while now < length_s:
        now += schedule.delay(now, random=rng.random())
        count += 1
    return now - length_s, count


def measure(schedule: PollSchedule, tasks: int, seed: int) -> Lag:
    rng = random.Random(seed)
    lags: list[tuple[float, float]] = []
    asked = fixed = 0
    for _ in range(tasks):
        length_s = math.exp(rng.uniform(math.log(SHORTEST_S), math.log(LONGEST_S)))
        lag, count = looks(schedule, length_s, rng)
        lags.append((length_s, lag))
        asked += count
        fixed += math.ceil(length_s / FIXED_S) + 1
    short = [lag for length_s, lag in lags if length_s < 60]
    everything = [lag for _, lag in lags]
    return Lag(sum(short) / len(short), sum(everything) / tasks, max(everything), asked / fixed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    missed = False
    print(f"{'profile':20} {'floor':>6} {'ceiling':>8} {'<1 min, s':>10} {'all, s':>8} {'worst, s':>9} {'requests':>9}")
    for name in shipped_names():
        poll = load_profile(name).poll
        lag = measure(PollSchedule(poll.floor_s, poll.ceiling_s), options.tasks, options.seed)
        print(
            f"{name:20} {poll.floor_s:6} {poll.ceiling_s:8} {lag.short_s:10.2f} {lag.mean_s:8.2f} {lag.worst_s:9.2f} "
            f"{lag.share:9.2f}  {' '.join(lag.missed)}"
        )
        missed = missed or bool(lag.missed)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
