"""The life of a task as a function of the clock: nothing runs, so nothing has to be kept alive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from videotasks_sandbox.scenarios import Scenario

QUEUED_S = 0.3
TOTAL_S = 2.5
# The part of the run in which the scenario unknown-status shows its word.
ODD_FROM, ODD_TO = 0.4, 0.8

Task = dict[str, Any]


@dataclass(frozen=True)
class Look:
    """A task at one moment. `phase`: queued running succeeded failed cancelled expired; `odd`: show an unknown word.

    `progress` 0-100. `ended` is None until the end.
    """

    phase: str
    progress: int
    started: float | None = None
    ended: float | None = None
    odd: bool = False

    @property
    def over(self) -> bool:
        return self.phase not in ("queued", "running")


def lifetime(scenario: Scenario, now: float, speed: float) -> Task:
    """What a new task needs of time: the members that `look` reads, and the counters of its troubles."""
    total = (scenario.seconds if scenario.seconds is not None else TOTAL_S) / speed
    return {
        "scenario": scenario.name,
        "outcome": scenario.outcome,
        "created": now,
        "starts": now + min(QUEUED_S / speed, total / 2),
        "ends": None if scenario.outcome == "never" else now + total,
        "cancelled": None,
        "polls": 0,
        "fetches": {},
        "link_epoch": 0,
    }


def look(task: Task, now: float) -> Look:
    """What a task has come to at `now`."""
    if task["cancelled"] is not None:
        started = task["starts"] if task["cancelled"] >= task["starts"] else None
        return Look("cancelled", 0, started, task["cancelled"])
    if now < task["starts"]:
        return Look("queued", 0)
    if task["ends"] is None:
        # Creeps up and stays: a bar that moves at first is what makes a stall hard to see.
        return Look("running", min(42, int((now - task["starts"]) * 10)), task["starts"])
    if now >= task["ends"]:
        progress = 100 if task["outcome"] == "succeeded" else 0
        return Look(task["outcome"], progress, task["starts"], task["ends"])
    share = (now - task["starts"]) / (task["ends"] - task["starts"])
    odd_from, odd_to = _odd_span(task)
    odd = odd_from <= now < odd_to
    return Look("running", min(99, int(share * 100)), task["starts"], odd=odd)


def next_change(task: Task, now: float) -> float | None:
    """The moment of the next change of status after `now`; None: there is none to wait for."""
    moments = [task["starts"]]
    if task["ends"] is not None:
        moments += [task["ends"], *_odd_span(task)]
    later = [moment for moment in moments if moment > now]
    return None if task["cancelled"] is not None or not later else min(later)


def _odd_span(task: Task) -> tuple[float, float]:
    """From when to when unknown-status shows its word; an empty span in other scenarios."""
    if task["scenario"] != "unknown-status":
        return task["starts"], task["starts"]
    length = task["ends"] - task["starts"]
    return task["starts"] + ODD_FROM * length, task["starts"] + ODD_TO * length
