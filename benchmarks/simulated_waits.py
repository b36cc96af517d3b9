#!/usr/bin/env python3
"""Ten thousand tasks waited for by one process, in virtual time: requests against the budget of a key, and lag.

    python3 benchmarks/simulated_waits.py [--tasks 10000] [--per-minute 6000] [--seed 1]

The real waiting loop, the real reading of answers, no network: an answer takes 0.3 s, task lengths are log-uniform from
20 s to 10 min, and all tasks are there from the beginning. Once each task is asked for by itself, once by the lists of
ARK (500 ids) and once page by page as on Luma (50 on a page). Goals: in no minute more requests than the budget; with
ids in a list at least 20 times fewer requests. Exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import heapq
import io
import itertools
import json
import math
import random
import resource
import sys
import time
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from videotasks.core.record import replace
from videotasks.core.task import Outcome
from videotasks.core.workers import Mailbox, Message
from videotasks.lifecycle.session import Context
from videotasks.lifecycle.wait import Waiter
from videotasks.lifecycle.watched import Watched
from videotasks.network.client import Answer
from videotasks.output.reporter import Reporter
from videotasks.providers.load_profile import load_profile
from videotasks.providers.provider import ListPage, Provider, TaskRef
from videotasks.runs.store import Run, RunStore

ANSWER_S, SHORTEST_S, LONGEST_S = 0.3, 20.0, 600.0
GOAL_FEWER = 20


class Virtual(Mailbox):
    """Every request takes `ANSWER_S`, and a wait jumps to what comes next."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(lambda: self.now)
        self._due: list[tuple[float, int, Message]] = []
        self._order = itertools.count()

    def start(self, source: Any, work: Callable[[], Any]) -> None:
        message = Message("result", source, work())
        heapq.heappush(self._due, (self.now + ANSWER_S, next(self._order), message))

    def gather(self, seconds: float) -> None:
        self.now += seconds

    def _from_queue(self, timeout: float | None) -> Message | None:
        end = self.now + (timeout or 0.0)
        if self._due and (timeout is None or self._due[0][0] <= end):
            self.now, _, message = heapq.heappop(self._due)
            return message
        self.now = end
        return None


class Simulated(Provider):
    """A profile whose API is the table `ends`: task id -> when it is done."""

    def __init__(self, name: str, mailbox: Virtual, ends: dict[str, float]) -> None:
        super().__init__(load_profile(name), None)
        self.mailbox, self.ends = mailbox, ends
        self.newest_first = list(ends)[::-1]
        self.sent: list[float] = []

    def body(self, task_id: str) -> dict[str, Any]:
        over = self.mailbox.now >= self.ends[task_id]
        word = "status" if self.profile.name != "luma" else "state"
        if not over:
            return {"id": task_id, word: "running" if word == "status" else "dreaming"}
        link = "https://a.example/v.mp4"
        if word == "state":
            return {"id": task_id, word: "completed", "assets": {"video": link}}
        return {"id": task_id, word: "succeeded", "content": {"video_url": link}}

    def look(self, ref: TaskRef, **_: Any) -> Any:
        self.sent.append(self.mailbox.now)
        return self.read_look(Answer(200, {}, json.dumps(self.body(ref.task_id)).encode()), ref)

    def look_at_many(self, refs: Any, page: ListPage, **_: Any) -> Any:
        self.sent.append(self.mailbox.now)
        spec = self.profile.status.bulk
        assert spec is not None
        shown = list(refs) if spec.by_id else self.newest_first[page.seen : page.seen + spec.most]
        answer = json.dumps({spec.items: [self.body(task_id) for task_id in shown]}).encode()
        return self.read_many(Answer(200, {}, answer), refs, page)


class NoRun:
    """A run folder that is not there: ten thousand of them would be measured otherwise."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id

    def record(self, *_: Any, **__: Any) -> None: ...


def simulate(name: str, bulk: bool, ends: dict[str, float], per_minute: float, seed: int) -> dict[str, float]:
    mailbox, rng = Virtual(), random.Random(seed)
    provider = Simulated(name, mailbox, ends)
    limits = replace(provider.profile.limits, requests_per_minute=per_minute)
    spec = provider.profile.status.bulk if bulk else None
    if spec is not None and not spec.by_id:
        spec = replace(spec, pages=100)
    status = replace(provider.profile.status, bulk=spec)
    provider.profile = replace(provider.profile, limits=limits, status=status)
    reporter = Reporter(stdout=io.BytesIO(), stderr=io.StringIO())
    ctx = Context(
        RunStore(Path("nowhere")), reporter, mailbox, monotonic=lambda: mailbox.now, random=rng.random,
        clock=lambda: 1.79e9 + mailbox.now,
    )  # fmt: skip
    tasks = [Watched(cast(Run, NoRun(one)), provider, TaskRef(one), age_s=0.0) for one in ends]
    lags: list[float] = []

    def on_end(task: Watched) -> None:
        assert task.ending is not None and task.ending.outcome is Outcome.SUCCEEDED
        lags.append(mailbox.now - ends[task.ref.task_id])

    began = time.process_time()
    Waiter(ctx, tasks, on_end).run(math.inf)
    assert len(lags) == len(ends)
    most = max(bisect_left(provider.sent, at + 60.0) - index for index, at in enumerate(provider.sent))
    return {
        "requests": len(provider.sent),
        "most in a minute": most,
        "mean lag, s": sum(lags) / len(lags),
        "worst lag, s": max(lags),
        "CPU s": time.process_time() - began,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--per-minute", type=float, default=6_000.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    low, high = math.log(SHORTEST_S), math.log(LONGEST_S)
    ends = {f"task-{number:06}": math.exp(rng.uniform(low, high)) for number in range(options.tasks)}
    rows = {
        "each by itself": simulate("ark", False, ends, options.per_minute, options.seed),
        "lists by ids (ark)": simulate("ark", True, ends, options.per_minute, options.seed),
        "lists by pages (luma)": simulate("luma", True, ends, options.per_minute, options.seed),
    }
    names = list(rows["each by itself"])
    print(f"{options.tasks} tasks, {options.per_minute:g} requests a minute")
    print(f"{'':24}" + "".join(f"{name:>18}" for name in names))
    for what, row in rows.items():
        print(f"{what:24}" + "".join(f"{row[name]:18.1f}" for name in names))
    fewer = rows["each by itself"]["requests"] / rows["lists by ids (ark)"]["requests"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    print(f"{fewer:.0f} times fewer requests by ids (goal {GOAL_FEWER}); peak {peak:.0f} MB")
    kept = all(row["most in a minute"] <= options.per_minute for row in rows.values())
    return 0 if kept and fewer >= GOAL_FEWER else 1


if __name__ == "__main__":
    sys.exit(main())
