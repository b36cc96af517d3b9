"""A task: what was asked for, in the many spellings of APIs, and its life as a function of the clock.

Nothing runs, so nothing has to be kept alive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from videotasks_sandbox.scenarios import Scenario

QUEUED_S = 0.3
TOTAL_S = 2.5
# The part of the run in which the scenario unknown-status shows its word.
ODD_FROM, ODD_TO = 0.4, 0.8
_SHORT_SIDES = {"480p": 480, "540p": 540, "580p": 580, "720p": 720, "768p": 768, "1080p": 1080, "std": 720, "pro": 1080}
_LONGEST_S = 60

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


def frame_size(ratio: Any, resolution: Any) -> tuple[int, int]:
    """Width and height, both even, for `16:9` and `720p`; 16:9 and 720p when not told or not known.

    4k is rendered as 1080p: the picture is a stand-in, and its size in bytes would help nobody.
    """
    short = _SHORT_SIDES.get(str(resolution or "").lower(), 1080 if "k" in str(resolution or "").lower() else 720)
    found = re.fullmatch(r"(\d{1,3}):(\d{1,3})", str(ratio or ""))
    across, down = (int(found.group(1)), int(found.group(2))) if found else (16, 9)
    if not across or not down or max(across, down) > 4 * min(across, down):
        across, down = 16, 9
    long = short * max(across, down) / min(across, down)
    width, height = (long, short) if across >= down else (short, long)
    return round(width / 2) * 2, round(height / 2) * 2


def pixel_size(size: Any) -> tuple[int, int] | None:
    """`1280x720`, `1280*720` or `1280:720` -> (1280, 720); None for anything else."""
    found = re.fullmatch(r"(\d{2,4})[xX*:](\d{2,4})", str(size or ""))
    if not found:
        return None
    width, height = int(found.group(1)), int(found.group(2))
    return (width // 2 * 2, height // 2 * 2) if min(width, height) >= 64 and max(width, height) <= 1920 else None


def seconds(value: Any, default: float = 5.0) -> float:
    """5, 5.0, "5" or "5s" -> 5.0; `default` for what is no length of at most a minute."""
    text = str(value).removesuffix("s")
    try:
        number = default if isinstance(value, bool) else float(text)
    except ValueError:
        return default
    return number if 0 < number <= _LONGEST_S else default
