"""Which task is looked at next: by due time, within the budget of a key, and many by one request where the API can.

No clock and no threads here: the waiting loop asks what may be sent now, and says what came of it.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable
from operator import itemgetter

from videotasks.core.record import field, record
from videotasks.lifecycle.poll_schedule import Pace
from videotasks.lifecycle.watched import Watched
from videotasks.network.flight import Flight
from videotasks.providers.provider import ListPage, Provider

BULK_FROM = 3  # open tasks of one provider: for two, a list of a hundred costs more than it saves
TOO_LONG = frozenset({400, 413, 414, 431})  # with hundreds of ids: 500 of ARK's make an address of 20,000 characters
SHORT_ENOUGH = 20  # ids, of which none is too long
BULK_FAULTS = 2  # lists in a row that were no answer: from then on each task is asked for by itself
REFUSED_WEIGHT = 0.2  # of a 429 as such a fault: hundreds of looks instead would hardly be welcome
UNLISTED = 2  # a task that a list did not have so often is asked for by itself from then on


@record(eq=False)
class Round:
    """The tasks that are asked for by one list, page after page."""

    lane: Lane
    wanted: dict[str, Watched]
    page: ListPage = field(default_factory=ListPage)


@record(eq=False)
class Request:
    """A request on its way, and whose it is. `limit` is when it is given up."""

    lane: Lane
    tasks: tuple[Watched, ...]
    flight: Flight
    limit: float
    round: Round | None = None
    received: int = 0  # bytes of its answer, when the limit was last put off


class Lane:
    """The tasks of one provider, by when they are due. `pace` is shared by all that use one key."""

    def __init__(self, provider: Provider, pace: Pace) -> None:
        self.provider = provider
        self.pace = pace
        self.open = 0  # tasks that have not ended, waiting here or on their way
        self.rounds: list[Round] = []  # whose next page has not been asked for
        self.bulk_faults = 0.0
        self.most = self.pages = 0  # tasks of one list, and its pages
        if (spec := provider.profile.status.bulk) is not None:
            self.most, self.pages = spec.most if spec.by_id else spec.most * spec.pages, spec.pages
        self._heap: list[tuple[float, int, Watched]] = []
        self._tickets = itertools.count(1)

    @property
    def bulk(self) -> bool:
        """Whether one request is to ask for many."""
        spec = self.provider.profile.status.bulk
        return spec is not None and self.open >= BULK_FROM and self.bulk_faults < BULK_FAULTS

    def shortened(self, asked: Round, http_status: int | None) -> bool:
        """Whether a list was refused for its length; then the next one names half as many."""
        if http_status not in TOO_LONG or len(asked.wanted) <= SHORT_ENOUGH:
            return False
        self.most = min(self.most, len(asked.wanted) // 2)
        return True

    def put(self, task: Watched, due: float) -> None:
        """`task` is looked at from `due` on; an earlier place of it is void."""
        task.ticket = next(self._tickets)
        heapq.heappush(self._heap, (due, task.ticket, task))
        if len(self._heap) > 64 + 4 * self.open:  # a stream puts its task off with each event
            self._heap = [entry for entry in self._heap if _stands(entry)]
            heapq.heapify(self._heap)

    def due(self) -> float | None:
        """When the first task is due, or a further page (at once); None when none waits."""
        if self.rounds:
            return float("-inf")
        while self._heap and not _stands(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self) -> Watched:
        """The first task; `due` has just said that there is one."""
        return heapq.heappop(self._heap)[2]

    def take_many(self, first: Watched, most: int) -> dict[str, Watched]:
        """`first` and those that are due next, by id: a list shows them all the same, due or not."""
        taken = {first.ref.task_id: first}
        back: list[tuple[float, int, Watched]] = []
        while len(taken) < most and len(back) < most and self.due() is not None:
            entry = heapq.heappop(self._heap)
            task = entry[2]
            if in_lists(task) and task.ref.task_id not in taken:
                taken[task.ref.task_id] = task
            else:
                back.append(entry)
        for entry in back:
            heapq.heappush(self._heap, entry)
        return taken


def in_lists(task: Watched) -> bool:
    """Whether a list is to show this task: no stream tells of it, and no question of its own is open."""
    return task.stream is None and not task.alone and task.result_looks == 0 and task.unlisted < UNLISTED


def earliest(lanes: Iterable[Lane], now: float, *, last: bool) -> Lane | None:
    """The lane whose next request is the longest overdue, of those that may send now. Pages of a round go first."""
    dues = ((lane.due(), lane) for lane in lanes if lane.pace.ready_at(last=last) <= now)
    overdue = [(due, lane) for due, lane in dues if due is not None and due <= now]
    return min(overdue, key=itemgetter(0))[1] if overdue else None


def next_moment(lanes: Iterable[Lane], *, last: bool) -> float | None:
    """When the next request may be sent, if nothing comes before."""
    dues = ((lane.due(), lane.pace.ready_at(last=last)) for lane in lanes)
    return min((max(due, ready) for due, ready in dues if due is not None), default=None)


def _stands(entry: tuple[float, int, Watched]) -> bool:
    task = entry[2]
    return task.ticket == entry[1] and task.looking is None and task.ending is None and not task.last_look
