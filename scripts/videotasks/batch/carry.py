"""A planned batch carried out: creates within what each provider takes, one wait for all, files as they come.

Creates run in a few threads, each with a mailbox of its own; the main thread waits for the tasks and hears signals; the
collector's threads fetch files. What they share is guarded by one condition, and every change of it wakes the creators.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from videotasks.batch.ledger import Ledger
from videotasks.batch.plan import Item, Planner, Step, Wishes, ended_without_video, step_of
from videotasks.core import durable_files
from videotasks.core.errors import Category, ExitCode, TaskError, error_fields
from videotasks.core.record import replace
from videotasks.core.task import Outcome
from videotasks.core.workers import Interrupted, Mailbox, Message
from videotasks.formats import jmespath_eval, scalars
from videotasks.lifecycle import check_status, preflight, reconcile
from videotasks.lifecycle.collect import Collector
from videotasks.lifecycle.create_answer import echo_differences
from videotasks.lifecycle.create_or_attach import DEAD_SENDER, SILENT_SENDER, CreatedRun, create_or_attach
from videotasks.lifecycle.free_calls import FreeCalls
from videotasks.lifecycle.outcome import Ending, write_results
from videotasks.lifecycle.session import Context, Session
from videotasks.lifecycle.verify_run import why_unverified
from videotasks.lifecycle.wait import Waiter
from videotasks.lifecycle.watched import Watched
from videotasks.providers.provider import TaskRef
from videotasks.runs import results
from videotasks.runs.journal import RunState

UNDER_WAY = 10  # tasks of one provider at once, where neither its profile nor the user says how many
CREATORS = 3  # creates at once: each that is under way at a kill is a doubt that only a person may settle
LOOK_FOR_PLACE_S = 1.0  # between looks whether another process has left one
BUSY_FIRST_S, BUSY_MOST_S = 5.0, 60.0  # after a 429, until a task of ours ends and leaves its place
INTERRUPT_GRACE_S = 20.0  # for the answers of creates that are under way
LATE = (ExitCode.NOT_FINISHED, "its turn did not come within the time given")
STOPS_ITS_PROVIDER = frozenset(
    {Category.INSUFFICIENT_CREDITS, Category.AUTH, Category.PERMISSION, Category.TRANSIENT}
)  # the next row would meet the same


@dataclass(frozen=True)
class Pace:
    """How much at once, and what stops the rest. `concurrency` None: as the profile says."""

    concurrency: int | None = None
    stop_after_unknown: int = 1
    stop_after_failed: int | None = None


class Places(Protocol):
    """How many tasks may be under way at once with one key, where more than this process uses it."""

    def take(self) -> bool:
        """Whether there is a place, which then is ours. Returns at once."""
        ...

    def leave(self) -> None: ...


@dataclass
class _Desk:
    """One provider's key: how many of its tasks may be under way, and when the next create may go."""

    parallel: int
    gap_s: float
    places: Places | None  # None: this process alone uses the key, and what it counts by itself is enough
    queue: deque[Item] = field(default_factory=deque)
    aside: dict[str | None, list[Item]] = field(default_factory=dict)  # model -> rows that wait for its first one
    tried: dict[str | None, bool | None] = field(
        default_factory=dict
    )  # model -> whether assumed names hold; None: trying
    under_way: int = 0
    next_at: float = 0.0
    full_until: float = 0.0
    refusals: int = 0
    stopped: TaskError | None = None
    held: int = 0  # places of ours

    def enter(self) -> bool:
        """One more is under way, when there is a place for it."""
        if self.under_way >= self.parallel or (self.places is not None and not self.places.take()):
            return False
        self.held += 1
        self.under_way += 1
        return True

    def withdrawn(self) -> list[Item]:
        """The rows that wait here, which wait no more."""
        rows = [*self.queue, *(one for rows in self.aside.values() for one in rows)]
        self.queue.clear()
        self.aside.clear()
        return rows

    def leave(self) -> None:
        """One less is under way: a place is free."""
        self.under_way -= 1
        if self.held > self.under_way:
            self.held -= 1
            if self.places is not None:
                self.places.leave()


class Carrier:
    """Carries out `items`; what each has come to stands in it and in its run."""

    def __init__(
        self,
        items: list[Item],
        planner: Planner,
        ledger: Ledger,
        ctx: Context,
        wishes: Wishes,
        pace: Pace,
        places: Callable[[Session, int], Places | None] = lambda session, parallel: None,
    ) -> None:
        self.items, self.planner, self.ledger, self.ctx = items, planner, ledger, ctx
        self.wishes, self.pace, self._places = wishes, pace, places
        self.created = 0  # by this command
        self.interrupted: int | None = None
        self.late: set[str] = set()
        self.trouble: dict[str, dict[str, Any]] = {}  # run id -> what was in the way of its result
        self._speed = ctx.limits.sandbox_speed
        self._changed = threading.Condition()
        self._planning = threading.Lock()
        self._desks: dict[str, _Desk] = {}
        self._followers: list[Item] = []
        self._poor: list[Item] = []  # rows that found no room within --max-cost, while others are under way
        self._creators = self._creating = 0
        self.unknown = 0  # rows whose answers were lost
        self._failed = 0
        self._stop: tuple[ExitCode, str] | None = None
        self._deadline = float("inf")
        self._by_run: dict[str, Item] = {}
        self._mailboxes: list[Mailbox] = []
        self._collector: Collector
        self._waiter: Waiter

    # -- the main thread --

    def run(self, deadline: float) -> None:
        """Create, wait and fetch until all rows have ended, the deadline (monotonic) passes, or a signal comes."""
        ctx, self._deadline = self.ctx, deadline
        self._collector = Collector(ctx, deadline, self._settled)
        self._waiter = Waiter(ctx, [], self._collector.take, intake=True)
        for item in self.items:
            self._enter(item)
        self._stop_if_enough()
        self._creators = min(CREATORS, sum(desk.parallel for desk in self._desks.values()))
        self._mailboxes = [Mailbox() for _ in range(self._creators)]
        work = self._create_while_there_are_rows
        creators = [threading.Thread(target=work, args=(mailbox,), daemon=True) for mailbox in self._mailboxes]
        for thread in creators:
            thread.start()
        if not creators:
            self._waiter.close_intake()
        try:
            self._waiter.run(deadline)
            self._halt(*LATE)
            self._join(creators)
            self._collector.finish()
        except Interrupted as stop:
            self.interrupted = stop.signum
            self._halt(ExitCode.of_signal(stop.signum), "interrupted before it was sent")
            self._tell_creators(stop.signum)
            self._join(creators)
            self._collector.stop(stop.signum)
        self.late |= self._collector.late
        for entry in self._collector.trouble:
            self.trouble.setdefault(str(entry["run_id"]), entry)
        for item in self.items:
            trouble = self.trouble.get(item.run.run_id) if item.run is not None else None
            if trouble is not None and item.error is None:
                item.error = {"message": trouble.get("message") or "the API refused the look"}
                item.error |= {k: v for k, v in trouble.items() if k == "category"}

    def _halt(self, code: ExitCode, why: str) -> None:
        """No create begins from now on."""
        with self._changed:
            self._stop = self._stop or (code, why)
            self._changed.notify_all()

    def _join(self, creators: Iterable[threading.Thread]) -> None:
        """Creates that are under way get their answers; each further signal hurries them."""
        for thread in creators:
            while thread.is_alive():
                thread.join(0.05)
                message = self.ctx.mailbox.get(0.0)
                if message is not None and message.kind == "interrupt":
                    self.interrupted = self.interrupted or int(message.value)
                    self._tell_creators(int(message.value))
        with self._changed:
            self._hold_the_rest()

    @property
    def stopped_by(self) -> ExitCode | None:
        """Why rows were held that could have been sent: the deadline among others; None when none were."""
        held = any(item.step is Step.HELD for item in self.items)
        return self._stop[0] if self._stop is not None and held else None

    def _tell_creators(self, signum: int) -> None:
        for mailbox in self._mailboxes:
            mailbox.put(Message("interrupt", None, signum))

    # -- rows --

    def _enter(self, item: Item) -> None:
        if item.output is not None and item.step in (Step.CREATE, Step.FOLLOW, Step.GO_ON):
            with suppress(FileExistsError):
                Path(item.output).parent.mkdir(exist_ok=True)  # whose own parent is there
        if item.step in (Step.CREATE, Step.FOLLOW):
            desk = self._desk(item)
            self._followers.append(item) if item.step is Step.FOLLOW else desk.queue.append(item)
            return
        if item.step is Step.UNKNOWN and item.run is not None and item.session is not None:
            # What it alone had sent may be an id to ask for; otherwise a person settles it.
            with suppress(TaskError):
                item.step = Step.GO_ON if reconcile.found_by_itself(item.session, item.run) else Step.UNKNOWN
            # A kill says nothing of the provider; an answer that was lost stops the batch until somebody has looked.
            self.unknown += item.step is Step.UNKNOWN and not _by_a_kill(item)
        if item.step is Step.ENDED and item.run is not None and ended_without_video(item.run.state()):
            self._failed += 1
        if item.step is Step.GO_ON and item.run is not None and item.session is not None:
            if not item.run.made_here:
                self._desk(item).queue.append(item)  # a creator asks its provider for it
                return
            self._desk(item).under_way += 1  # it is, whether there is a place for it or not
            self._go_on(item, item.session, item.run.state())

    def _desk(self, item: Item) -> _Desk:
        assert item.session is not None
        profile = item.session.profile
        if profile.name not in self._desks:
            parallel = self.pace.concurrency or profile.limits.parallel or UNDER_WAY
            per_minute = profile.limits.creates_per_minute
            gap_s = 60.0 / per_minute / self._speed if per_minute else 0.0
            self._desks[profile.name] = _Desk(parallel, gap_s, self._places(item.session, parallel))
        return self._desks[profile.name]

    def _go_on(self, item: Item, session: Session, state: RunState) -> None:
        """Wait for a task that is there, or fetch its file."""
        run = item.run
        assert run is not None and state.task_id is not None
        self._by_run[run.run_id] = item
        if state.outcome is Outcome.SUCCEEDED:
            check_status.renew_rehearsed_link(session, run)
            task = Watched(run, session.provider, TaskRef(state.task_id, state.follow), output=item.output)
            task.ending = Ending(Outcome.SUCCEEDED, "record")
            self._collector.take(task)
            return
        task = Watched.of_run(session, run, state)
        task.output = item.output
        self._waiter.add(task)

    # -- creators --

    def _create_while_there_are_rows(self, mailbox: Mailbox) -> None:
        while True:
            with self._changed:
                item = self._next()
                if item is None:
                    self._creators -= 1
                    if not self._creators:
                        self._waiter.close_intake()
                    return
            try:
                self._create(item, mailbox)
            except Exception as error:  # a fault of ours in one row must not lose the others
                self._refused(item, TaskError(Category.UNKNOWN, f"the row could not be sent ({type(error).__name__})"))
            with self._changed:
                self._creating -= 1
                self._changed.notify_all()

    def _next(self) -> Item | None:
        """The next row to be sent, when its time has come; None when there is none any more. Holds the condition."""
        while self._stop is None:
            self._free_followers()
            now = self.ctx.monotonic()
            if now >= self._deadline:  # tasks that are given up then leave no place: theirs is taken
                self._stop = LATE
                break
            moments = []
            for desk in self._desks.values():
                if desk.stopped is not None:
                    code, why = ExitCode(desk.stopped.exit_code), f"not sent, as of another row: {desk.stopped}"
                    for item in desk.withdrawn():
                        self._hold(item, code, why)
                if not desk.queue or desk.under_way >= desk.parallel:
                    continue
                ready_at = max(desk.next_at, desk.full_until)
                if ready_at > now:
                    moments.append(ready_at)
                    continue
                if not desk.enter():
                    moments.append(now + LOOK_FOR_PLACE_S)
                    continue
                taken = self._take(desk)
                if taken is not None:
                    desk.next_at = now + desk.gap_s
                    self._creating += 1
                    return taken
                desk.leave()
            if not self._anything_left():
                break
            self._changed.wait(min(max(min(moments) - now, 0.001), 1.0) if moments else 1.0)
        self._hold_the_rest() if self._stop is None else None
        return None

    def _anything_left(self) -> bool:
        """Whether a row may still be sent: some wait their turn, or for what is under way."""
        if any(desk.queue for desk in self._desks.values()):
            return True
        waiting = self._followers or self._poor or any(desk.aside for desk in self._desks.values())
        return bool(waiting) and (self._creating > 0 or any(desk.under_way for desk in self._desks.values()))

    def _take(self, desk: _Desk) -> Item | None:
        """The first row of a desk whose model is known to take it; the first of a model whose names are assumed goes
        alone."""
        while desk.queue:
            item = desk.queue.popleft()
            if item.assumed and item.model not in desk.tried:
                desk.tried[item.model] = None
                return item
            if not item.assumed or desk.tried[item.model]:
                return item
            if desk.tried[item.model] is None:
                desk.aside.setdefault(item.model, []).append(item)
            else:
                why = "not sent: the first row of this model shows that a name is wrong"
                self._hold(item, ExitCode.VALIDATION, why)
        return None

    def _tried(self, item: Item, agrees: bool) -> None:
        """What the first row of a model says of the names that were assumed. Holds the condition."""
        desk = self._desk(item)
        if item.assumed and desk.tried.get(item.model, True) is None:
            desk.tried[item.model] = agrees
            desk.queue.extendleft(reversed(desk.aside.pop(item.model, [])))

    def _free_followers(self) -> None:
        """Rows that take of others and whose others are there now, or never will be."""
        for item in list(self._followers):
            waits, held = self.planner.waits(item)
            if held is not None:
                self._followers.remove(item)
                first = next((one for one in self.planner.others(item) if one.code), None)
                self._hold(item, first.code if first and first.code else ExitCode.TASK_ENDED, held)
            elif not waits:
                self._followers.remove(item)
                self._desk(item).queue.append(item)

    def _hold(self, item: Item, code: ExitCode, why: str) -> None:
        item.step, item.code = Step.HELD, code
        item.error = item.error or {"category": "held", "message": why}

    def _hold_the_rest(self) -> None:
        code, why = self._stop or (ExitCode.TASK_ENDED, "what it waits for did not come")
        for item in self._poor:
            self._hold(item, ExitCode.CONFIGURATION, "")
        left = [item for desk in self._desks.values() for item in desk.withdrawn()]
        for item in (*left, *self._followers):
            self._hold(item, code, why)
        self._poor, self._followers = [], []

    # -- one create --

    def _create(self, item: Item, mailbox: Mailbox) -> None:
        assert item.session is not None
        ctx = item.session.ctx
        timing = replace(ctx.limits, queues=True, interrupt_grace_s=INTERRUPT_GRACE_S)
        ctx = replace(ctx, mailbox=mailbox, limits=timing, free=FreeCalls(ctx.free.left_s))
        session = replace(item.session, ctx=ctx)
        reserved: str | None = None
        try:
            if item.step is Step.GO_ON and item.run is not None:
                unverified = why_unverified(session, item.run)
                return self._made(item, session, CreatedRun(item.run, unverified=unverified))
            if item.plan is None:
                with self._planning:
                    self.planner.resolve(item, session)
                    self.planner.advance([item])
                if item.step is not Step.CREATE:
                    return self._not_new(item, session)
            assert item.plan is not None and item.found is not None
            plan = replace(item.plan, session=session)
            price = preflight.binding(plan, item.found)
            plan = replace(plan, expected_cost=item.found.estimate.shown() if item.found.estimate else None)
            self.ledger.reserve(
                plan.identity.intent, price.amount if price else None, price.unit if price else None, self.wishes.most
            )
            reserved = plan.identity.intent
            with preflight.budget(plan, self.wishes.terms, item.found):
                made = create_or_attach(plan)
            if made.submitted is None:
                self.ledger.release(reserved)
            self._made(item, session, made)
        except Interrupted as stop:
            self._release(reserved)
            self._give_back(item)
            self._halt(ExitCode.of_signal(stop.signum), "interrupted before it was sent")
        except OSError as error:
            self._refused(item, durable_files.disk_error(error, "the workspace could not be written"), stops=True)
        except TaskError as error:
            if error.category is not Category.SUBMISSION_UNKNOWN:
                self._release(reserved)
            if error.category is Category.RATE_LIMITED:
                return self._queue_again(item, error)
            if error.code in ("over_max_cost", "unknown_cost"):  # of the batch, or of the day
                return self._too_poor(item, error)
            item.run = next(iter(self.ctx.store.by_identity(item.plan.identity)), None) if item.plan else None
            if item.run is not None:
                write_results(session.ctx, item.run)
            self._refused(item, error)

    def _release(self, reserved: str | None) -> None:
        if reserved is not None:
            with suppress(TaskError, OSError):
                self.ledger.release(reserved)

    def _made(self, item: Item, session: Session, made: CreatedRun) -> None:
        """A row has a task, made just now or found."""
        item.run = made.run
        sent = made.submitted
        if made.unverified is not None and not made.unverified.waits:
            item.run = None  # nothing that its folder tells counts
            why = f"{made.unverified.reason} (run {made.run.run_id})"
            return self._refused(item, TaskError(Category.NO_RESULT, why))
        if sent is None:
            return self._not_new(item, session)
        if sent.stream is not None:  # polls tell of all rows alike, by few requests
            sent.stream.flight.abort()
            sent.stream.client.close()
        write_results(session.ctx, made.run, sent.snapshot)
        with self._changed:
            item.step = Step.GO_ON
            self.created += 1
            self._by_run[made.run.run_id] = item
            desk = self._desk(item)
            desk.refusals = 0
            self._compare_echo(item, sent.snapshot.raw if sent.snapshot else None)
        assert item.session is not None
        task = Watched(
            made.run, item.session.provider, TaskRef(sent.task_id, sent.follow), age_s=0.0, output=item.output
        )
        task.snapshot = sent.snapshot
        if sent.snapshot is not None:
            task.told = sent.snapshot.status, sent.snapshot.provider_status
        self._waiter.add(task)

    def _not_new(self, item: Item, session: Session) -> None:
        """Another command made it meanwhile: its task is waited for, or it has ended."""
        assert item.run is not None and item.session is not None
        state = item.run.state()
        item.step = step_of(state, item.run, fetches=self.ctx.download)
        if item.step is Step.GO_ON and state.task_id is not None:
            return self._go_on(item, replace(item.session, ctx=session.ctx), state)
        with self._changed:
            self._ended(item, state)

    def _compare_echo(self, item: Item, answer: Any) -> None:
        """What the API took of the inputs, where its answer repeats them. Holds the condition."""
        if item.plan is None or item.session is None:
            return
        paths = item.session.profile.create.echo
        found = echo_differences(item.plan.draft.body, answer, paths)
        if found:
            item.note = "; ".join(found)
        if found or any(isinstance(jmespath_eval.evaluate(path, answer), dict) for path in paths):
            self._tried(item, not found)

    def _give_back(self, item: Item) -> None:
        """A row that was not sent after all."""
        with self._changed:
            desk = self._desk(item)
            desk.leave()
            if desk.tried.get(item.model, False) is None:
                del desk.tried[item.model]
            desk.queue.appendleft(item)
            item.error = None
            self._changed.notify_all()

    def _queue_again(self, item: Item, error: TaskError) -> None:
        """A 429: the row waits for a place that a task of ours leaves, or for a while."""
        self._give_back(item)
        with self._changed:
            desk = self._desk(item)
            pause = min(BUSY_FIRST_S * 2**desk.refusals, BUSY_MOST_S)
            asked = error.details.get("retry_after_s")
            desk.refusals += 1
            desk.full_until = self.ctx.monotonic() + max(pause, float(asked or 0.0)) / self._speed

    def _too_poor(self, item: Item, error: TaskError) -> None:
        """No room within a limit now; an end that costs less than was reserved may make some."""
        with self._changed:
            self._desk(item).leave()
            item.error = error_fields(error)
            self._poor.append(item)
            self._changed.notify_all()

    def _refused(self, item: Item, error: TaskError, *, stops: bool = False) -> None:
        with self._changed:
            desk = self._desk(item)
            desk.leave()
            item.error = error_fields(error)
            item.code = ExitCode(error.exit_code)
            if error.category is Category.SUBMISSION_UNKNOWN:
                item.step = Step.UNKNOWN
                self.unknown += not _by_a_kill(item)
            else:
                item.step = Step.ENDED
                self._failed += 1
            self._stop_if_enough()
            if error.category in STOPS_ITS_PROVIDER:
                desk.stopped = error
            if stops:
                self._stop = self._stop or (ExitCode.CONFIGURATION, error.message)
            self._tried(item, error.category not in (Category.VALIDATION, Category.UNKNOWN, Category.NOT_FOUND))
            self._changed.notify_all()

    def _stop_if_enough(self) -> None:
        """--stop-after-unknown and --stop-after-failed, over all that this batch has met so far."""
        most = self.pace.stop_after_failed
        if self.unknown >= self.pace.stop_after_unknown:
            why = "not sent: the answer to another row was lost, which a person should look at first"
            self._stop = self._stop or (ExitCode.SUBMISSION_UNKNOWN, why)
        elif most is not None and self._failed >= most:
            self._stop = self._stop or (ExitCode.TASK_ENDED, f"not sent: {self._failed} rows failed before it")

    # -- ends --

    def _settled(self, task: Watched) -> None:
        """In a worker of the collector: a task's record and files are as good as they will be."""
        with self._changed:
            item = self._by_run.pop(task.run.run_id, None)
            if item is None:
                return
            self._ended(item, task.run.state())

    def _ended(self, item: Item, state: RunState) -> None:
        """Holds the condition."""
        desk = self._desk(item)
        desk.leave()
        desk.full_until = 0.0  # a place is free
        if state.outcome is not None:
            item.step = Step.ENDED
            if item.run is not None and item.plan is not None:
                with suppress(TaskError, OSError):
                    self.ledger.settle(item.plan.identity.intent, state)
        if ended_without_video(state):
            item.code = ExitCode.TASK_ENDED
            self._failed += 1
            self._stop_if_enough()
        if state.outcome is not None:
            self._tried(item, state.outcome is Outcome.SUCCEEDED and not self._differs(item, state))
        for poor in self._poor:
            poor.error = None
            self._desk(poor).queue.append(poor)
        self._poor = []
        self._changed.notify_all()

    def _differs(self, item: Item, state: RunState) -> bool:
        """Whether the file shows that a length which was asked for was not taken."""
        if item.plan is None:
            return False
        wanted = scalars.seconds(item.plan.draft.asked.get("duration"))
        made = results.measures(state).get("duration_s")
        if wanted is None or made is None or abs(made - wanted) <= max(1.0, 0.15 * wanted):
            return False
        item.note = f"{wanted:g} s were asked for, and the file has {made:g} s"
        return True


def _by_a_kill(item: Item) -> bool:
    """Whether a row is in doubt because the process that sent it is no more, which says nothing of the provider."""
    return item.run is not None and item.run.state().doubt in (DEAD_SENDER, SILENT_SENDER)
