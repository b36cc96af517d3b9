"""Waiting without waiting: a clock that jumps, a mailbox on it, and a provider whose looks take as long as told."""

from __future__ import annotations

import heapq
import io
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from videotasks.core.record import replace
from videotasks.core.workers import Mailbox, Message
from videotasks.lifecycle.outcome import Ending
from videotasks.lifecycle.session import Context, Timing
from videotasks.lifecycle.wait import Waiter
from videotasks.lifecycle.watched import Watched
from videotasks.network.client import Answer, Client
from videotasks.network.errors import NoAnswer
from videotasks.output.reporter import Reporter
from videotasks.providers.load_profile import load_profile
from videotasks.providers.profile import Profile
from videotasks.providers.provider import ListPage, Look, Provider, TaskRef
from videotasks.runs.store import Run, RunStore

EPOCH = 1_790_000_000.0


class VirtualMailbox(Mailbox):
    """Messages come at their moments; a wait jumps to the next one or to its own end."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(lambda: self.now)
        self._due: list[tuple[float, int, Message]] = []
        self._order = itertools.count()

    def at(self, moment: float, message: Message) -> None:
        heapq.heappush(self._due, (moment, next(self._order), message))

    def put(self, message: Message) -> None:
        self.at(self.now, message)

    def start(self, source: Any, work: Callable[[], Any]) -> None:
        try:
            client, slow = work()
            took_s, message = slow.took_s, Message("result", source, (client, slow.look))
        except Delayed as late:
            took_s, message = late.took_s, Message("error", source, late.error)
        except BaseException as error:
            took_s, message = 0.0, Message("error", source, error)
        if took_s != float("inf"):
            self.at(self.now + took_s, message)

    def gather(self, seconds: float) -> None:
        self.now += seconds

    def _from_queue(self, timeout: float | None) -> Message | None:
        end = float("inf") if timeout is None else self.now + max(timeout, 0.0)
        if self._due and self._due[0][0] <= end:
            moment, _, message = heapq.heappop(self._due)
            self.now = max(self.now, moment)
            return message
        assert end != float("inf"), "nothing would ever come"
        self.now = end
        return None


@dataclass
class Slow:
    """A look that comes after so many seconds (inf: never)."""

    took_s: float
    look: Any


class Delayed(Exception):
    def __init__(self, took_s: float, error: Exception) -> None:
        self.took_s, self.error = took_s, error


Item = Any  # an Answer, an Exception, or Slow of one of them


class ScriptedProvider(Provider):
    """Answers looks from `script(time)`; interpretation is the real provider's."""

    def __init__(self, name: str, script: Callable[[float], Item], mailbox: VirtualMailbox) -> None:
        super().__init__(load_profile(name), None, clock=lambda: EPOCH + mailbox.now)
        self.script, self.mailbox = script, mailbox
        self.asked: list[float] = []

    def item(self, ref: TaskRef) -> Item:
        return self.script(self.mailbox.now)

    def look(self, ref: TaskRef, **_: Any) -> Any:
        self.asked.append(self.mailbox.now)
        item, took_s = self.item(ref), 0.0
        if isinstance(item, Slow):
            took_s, item = item.took_s, item.look
        if isinstance(item, Exception):
            raise Delayed(took_s, item)
        look: Look = item if isinstance(item, Look) else self.read_look(item, ref)
        return Slow(took_s, look)


@dataclass
class Wait:
    """What a wait came to, and when it asked."""

    ending: Ending
    ended_at: float
    asked: Sequence[float]
    run: Run
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def pauses(self) -> list[float]:
        return [round(b - a, 3) for a, b in itertools.pairwise(self.asked)]


def json_body(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, headers or {}, json.dumps(value).encode())


def body(text: str, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, headers or {}, text.encode())


def silence(kind: str = "reset") -> NoAnswer:
    return NoAnswer(kind, f"the connection: {kind}", sent=True)


def wait(
    root: Path,
    script: Callable[[float], Item],
    *,
    deadline: float | None = 900.0,
    provider: str = "ark",
    age_s: float | None = 0.0,
    limits: Timing | None = None,
    prepare: Callable[[VirtualMailbox, Watched], None] = lambda mailbox, task: None,
    random: Callable[[], float] = lambda: 0.0,
) -> Wait:
    """Wait for one task in virtual time. `script(time)` gives the answer to a look made then."""
    mailbox = VirtualMailbox()
    output = io.BytesIO()
    ctx = Context(
        store=RunStore(root),
        reporter=Reporter(verbose=True, stdout=output, stderr=io.StringIO()),
        mailbox=mailbox,
        limits=limits or Timing(),
        clock=lambda: EPOCH + mailbox.now,
        monotonic=lambda: mailbox.now,
        random=random,
    )
    ctx.store.prepare()
    run = ctx.store.create({"provider": provider, "mode": "real", "origin": "x", "identity": "0" * 64}, now=EPOCH)
    run.record("submitted", EPOCH, task_id="t-1")
    source = ScriptedProvider(provider, script, mailbox)
    task = Watched(run, source, TaskRef("t-1"), age_s=age_s)
    prepare(mailbox, task)
    Waiter(ctx, [task]).run(deadline)
    assert task.ending is not None
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    return Wait(task.ending, mailbox.now, source.asked, run, lines)


class ManyTasks(ScriptedProvider):
    """Answers for any number of tasks: `answer(task id, time)` gives what a look begun then shows."""

    def __init__(self, name: str, answer: Callable[[str, float], Item], mailbox: VirtualMailbox) -> None:
        super().__init__(name, lambda time: None, mailbox)
        self.answer = answer
        self.asked_of: dict[str, list[float]] = {}
        self.listing: Callable[[list[str], ListPage, float], Item] | None = None
        self.lists: list[tuple[float, int, int]] = []  # when, how many ids, which page

    def item(self, ref: TaskRef) -> Item:
        self.asked_of.setdefault(ref.task_id, []).append(self.mailbox.now)
        return self.answer(ref.task_id, self.mailbox.now)

    def look_at_many(self, refs: Mapping[str, TaskRef], page: ListPage, **_: Any) -> Any:
        """A list as `listing(ids, page, time)` answers it, read as the real provider reads it."""
        self.lists.append((self.mailbox.now, len(refs), page.number))
        assert self.listing is not None
        item, took_s = self.listing(list(refs), page, self.mailbox.now), 0.0
        if isinstance(item, Slow):
            took_s, item = item.took_s, item.look
        if isinstance(item, Exception):
            raise Delayed(took_s, item)
        client = SimpleNamespace(request=lambda *_, **__: item)
        return Slow(took_s, super().look_at_many(refs, page, client=cast(Client, client)))


@dataclass
class ManyWaits:
    """When each task was asked for, when its end was handed on, and its ending then."""

    asked: dict[str, list[float]]
    ended_at: dict[str, float]
    tasks: list[Watched]
    lists: list[tuple[float, int, int]] = field(default_factory=list)

    @property
    def sent(self) -> list[float]:
        """When each request was sent, lists and single looks."""
        return sorted([*(at for at, _, _ in self.lists), *itertools.chain(*self.asked.values())])

    def longest_gap(self) -> float:
        """The longest time from the beginning or one look at a task to its next."""
        return max(b - a for times in self.asked.values() for a, b in itertools.pairwise([0.0, *times]))


def wait_for_many(
    root: Path,
    count: int,
    answer: Callable[[str, float], Item],
    *,
    deadline: float,
    limits: Timing | None = None,
    listing: Callable[[list[str], ListPage, float], Item] | None = None,
    profile: Profile | None = None,
    random: Callable[[], float] = lambda: 0.0,
    later: Sequence[tuple[float, int]] = (),
) -> ManyWaits:
    """Wait in virtual time for tasks t-0, t-1, ..., whose answers `answer` gives, and `listing` those of lists.

    Without `listing` the API has no list. Of `later`, (moment, number) of the tasks come while the wait goes on.
    """
    mailbox = VirtualMailbox()
    ctx = Context(
        store=RunStore(root),
        reporter=Reporter(stdout=io.BytesIO(), stderr=io.StringIO()),
        mailbox=mailbox,
        limits=limits or Timing(),
        clock=lambda: EPOCH + mailbox.now,
        monotonic=lambda: mailbox.now,
        random=random,
    )
    ctx.store.prepare()
    provider = ManyTasks("ark", answer, mailbox)
    provider.listing = listing
    provider.profile = profile or provider.profile
    if listing is None:
        provider.profile = replace(provider.profile, status=replace(provider.profile.status, bulk=None))
    request = {"provider": "ark", "mode": "real", "origin": "x"}
    tasks = []
    for number in range(count):
        run = ctx.store.create({**request, "identity": f"{number:064x}"}, now=EPOCH)
        tasks.append(Watched(run, provider, TaskRef(f"t-{number}"), age_s=0.0))
    ended_at: dict[str, float] = {}

    def on_end(task: Watched) -> None:
        assert task.ref.task_id not in ended_at and task.ending is not None
        ended_at[task.ref.task_id] = mailbox.now

    first = count - sum(number for _, number in later)
    waiter = Waiter(ctx, tasks[:first], on_end, intake=bool(later))
    start = first
    for moment, number in later:
        for task in tasks[start : start + number]:
            mailbox.at(moment, Message("task", waiter, task))
        start += number
    if later:
        mailbox.at(later[-1][0], Message("no_more", waiter))
    waiter.run(deadline)
    return ManyWaits(provider.asked_of, ended_at, tasks, provider.lists)
