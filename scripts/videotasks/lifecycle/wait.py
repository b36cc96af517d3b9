"""Waiting for tasks: streams read as they come, polls beside them, every fault survived until the deadline.

One loop serves one task or hundreds: it owns the schedule; requests run in worker threads and report to the mailbox.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from videotasks.core.errors import ApiError, Category, TaskError
from videotasks.core.json_values import parse_json
from videotasks.core.safe_text import inert
from videotasks.core.task import Outcome, Snapshot, Status
from videotasks.core.workers import Interrupted, Message
from videotasks.formats.sse import SseEvent
from videotasks.lifecycle.final_line import go_on
from videotasks.lifecycle.free_calls import NOT_FOUND_LOOKS, PASSING, reason_of
from videotasks.lifecycle.look_queue import (
    BULK_FAULTS,
    REFUSED_WEIGHT,
    Lane,
    Request,
    Round,
    earliest,
    in_lists,
    next_moment,
)
from videotasks.lifecycle.outcome import Ending
from videotasks.lifecycle.poll_schedule import FAULT_FIRST_S, Pace, PollSchedule
from videotasks.lifecycle.session import Context
from videotasks.lifecycle.stream import report_event, verbose_fields
from videotasks.lifecycle.watched import Watched
from videotasks.network import origins
from videotasks.network.client import Client
from videotasks.network.errors import NoAnswer
from videotasks.network.flight import Flight
from videotasks.output.next_command import quoted
from videotasks.providers import normalize
from videotasks.providers.provider import FINAL_STATUSES, Look

MAX_WORKERS = 32  # requests at once, however many tasks are waited for: 100 a second of an API that takes 0.3 s
MANY, GATHER_S = 200, 0.1  # open tasks from which answers are taken in together, so often
SLOW_ANSWER_BYTES = 100_000  # an answer that brings so much in `SLOW_ANSWER_S` is on its way: a video may stand in it
SLOW_ANSWER_S = 5.0
ROWS_EVERY_S = 0.5  # of many on a terminal
MORE_RESULT_LOOKS = 3  # times as many while the API has a passing fault instead of the result


class Waiter:
    """Waits for all of `tasks` until they end, the deadline passes, or a signal comes (Interrupted).

    `on_end` is called once for each task, as soon as its `ending` is known; it must return at once. With `intake` more
    tasks may come while `run` goes on, by `add` from any thread (or from `on_end`); `run` then returns when all have
    ended and `close_intake` was called, or at the deadline. Requests are paced by one budget for each key (profile
    `limits`, requests_per_minute), and one list asks for many tasks where the API has one (profile `status.bulk`).
    """

    def __init__(
        self,
        ctx: Context,
        tasks: list[Watched],
        on_end: Callable[[Watched], None] = lambda task: None,
        *,
        intake: bool = False,
    ) -> None:
        self.ctx = ctx
        self.tasks = list(tasks)
        self._on_end = on_end
        self._intake = self._many = intake
        self._open: dict[int, Watched] = {}
        self._deadline = math.inf
        self._past = False  # the deadline: each task is looked at once more
        self._lanes: dict[int, Lane] = {}
        self._paces: dict[tuple[str, str], Pace] = {}
        self._idle: dict[int, list[Client]] = {}
        self._sent: dict[object, Request] = {}
        self._streams: dict[object, Watched] = {}
        self._rows_at = float("-inf")

    def add(self, task: Watched) -> None:
        """One more task to wait for."""
        self.ctx.mailbox.put(Message("task", self, task))

    def close_intake(self) -> None:
        """No more tasks will come."""
        self.ctx.mailbox.put(Message("no_more", self))

    def run(self, deadline: float) -> None:
        """Fill in the `ending` of every task by `deadline` (monotonic; infinite: never). Raises Interrupted."""
        self._deadline = deadline
        self._many = self._many or len(self.tasks) > 1
        try:
            for task in self.tasks:
                self._enter(task)
            self._loop(deadline, deadline + self.ctx.limits.last_look_s)
        finally:
            self._close()
        for task in self.tasks:
            if task.fell_back and task.ending is not None:
                code = int(task.ending.outcome.exit_code)
                self.ctx.reporter.event("fallback_polling_end", generation_id=task.ref.task_id, exit_code=code)

    def _enter(self, task: Watched) -> None:
        ctx, now = self.ctx, self.ctx.monotonic()
        self._open[id(task)] = task
        self.lane(task).open += 1
        task.started = now
        if task.stream is not None:
            self._streams[task.stream.token] = task
            self._due(task, now + ctx.limits.stream_doubt_s)
        elif task.looks == 0 and task.snapshot is not None:
            self._due(task, now + self._delay(task))
        else:
            self._due(task, now)
        if task.snapshot is not None:
            self._observe(task, task.snapshot, "sse" if task.stream else "create")
        self._end_if_known(task)

    def _loop(self, deadline: float, hard_end: float) -> None:
        ctx = self.ctx
        while self._open or self._intake:
            now = ctx.monotonic()
            if not self._past and now >= deadline:
                self._past = True
                for task in self._open.values():
                    if task.looking is None:
                        self._due(task, task.due)
            for token, request in list(self._sent.items()):
                if now >= request.limit and not self._still_arriving(request):
                    # Its own time-outs did not end it: headers that trickle, a resolver that hangs.
                    request.flight.abort()
                    silence = NoAnswer("timeout", "no complete answer in time", sent=True)
                    self._handle(Message("error", token, silence))
            while len(self._sent) < MAX_WORKERS:
                lane = earliest(self._lanes.values(), now, last=self._past)
                if lane is None:
                    break
                self._send(lane, now)
            if now >= deadline:
                looking = self._sent or next_moment(self._lanes.values(), last=True) is not None
                if not looking or now >= hard_end:
                    return self._time_out()
            left = MAX_WORKERS if len(self._open) >= MANY else 1  # a stream may flood: others have their turn
            if left > 1:
                ctx.mailbox.gather(GATHER_S)
            message = ctx.mailbox.get(self._pause(now, deadline if now < deadline else hard_end))
            while message is not None:
                if message.kind == "interrupt":
                    raise Interrupted(int(message.value))
                self._handle(message)
                left -= 1
                message = ctx.mailbox.get(0.0) if left else None

    def _handle(self, message: Message) -> None:
        source = message.source
        if source is self:
            if message.kind == "task":
                self.tasks.append(message.value)
                self._enter(message.value)
            else:
                self._intake = False
            return
        owner = self._streams.get(source)
        if owner is not None:
            self._of_stream(owner, message.kind, message.value)
            return self._end_if_known(owner)
        request = self._sent.pop(source, None)
        if request is None:
            return
        if request.round is not None:
            self._of_list(request, request.round, message.kind, message.value)
        else:
            request.tasks[0].looking = None
            self._of_answer(request, message.kind, message.value)
        for task in request.tasks:
            self._end_if_known(task)

    def _end_if_known(self, task: Watched) -> None:
        if task.ending is None or self._open.pop(id(task), None) is None:
            return
        self._drop_stream(task)
        self.lane(task).open -= 1
        self._on_end(task)

    def _pause(self, now: float, end: float) -> float:
        moments = [end, *(request.limit for request in self._sent.values())]
        sending = next_moment(self._lanes.values(), last=self._past) if len(self._sent) < MAX_WORKERS else None
        if sending is not None:
            moments.append(sending)
        return max(min(moments) - now, 0.0)

    # -- looking --

    def lane(self, task: Watched) -> Lane:
        lane = self._lanes.get(id(task.provider))
        if lane is None:
            profile = task.provider.profile
            pace = Pace(profile.limits.requests_per_minute, self.ctx.limits.sandbox_speed)
            pace = self._paces.setdefault((profile.name, profile.base_url), pace)
            lane = self._lanes[id(task.provider)] = Lane(task.provider, pace)
        return lane

    def _due(self, task: Watched, due: float) -> None:
        """Look at `task` from then on; whatever the schedule says, there is a look at the deadline."""
        task.due = due
        if not task.last_look:
            self.lane(task).put(task, min(due, self._deadline))

    def _send(self, lane: Lane, now: float) -> None:
        """The next request of a lane: a further page, a list that shows many, or one look."""
        lane.pace.take(now)
        if lane.rounds:
            return self._ask_for_many(lane.rounds.pop(0))
        task = lane.take()
        if not lane.bulk or not in_lists(task):
            task.last_look, task.alone = self._past, False
            task.looking = self._start(lane, (task,), partial(task.provider.look, task.ref))
            task.looks += 1
            return
        asked = Round(lane, lane.take_many(task, lane.most))
        for one in asked.wanted.values():
            one.looking = asked
            one.last_look = self._past
        self._ask_for_many(asked)

    def _ask_for_many(self, asked: Round) -> None:
        refs = {task_id: task.ref for task_id, task in asked.wanted.items()}
        ask = partial(asked.lane.provider.look_at_many, refs, asked.page)
        self._start(asked.lane, tuple(asked.wanted.values()), ask, asked)

    def _start(
        self, lane: Lane, tasks: tuple[Watched, ...], ask: Callable[..., Any], asked: Round | None = None
    ) -> object:
        idle = self._idle.setdefault(id(lane.provider), [])
        client, flight, now = idle.pop() if idle else lane.provider.client(), Flight(), self.ctx.monotonic()
        for task in tasks:
            task.asked_at = now
        sign, timeout = object(), self.ctx.limits.poll_request_s
        self._sent[sign] = Request(lane, tasks, flight, now + timeout + self.ctx.limits.abort_slack_s, asked)

        def work() -> tuple[Client, Any]:
            try:
                return client, ask(client=client, flight=flight, timeout=timeout)
            except BaseException:
                client.close()  # nobody knows what its connection still holds
                raise

        self.ctx.mailbox.start(sign, work)
        return sign

    def _still_arriving(self, request: Request) -> bool:
        """Whether an answer is large rather than late; then it has a little longer, and again."""
        received = request.flight.received
        if received - request.received < SLOW_ANSWER_BYTES:
            return False
        request.received = received
        request.limit = self.ctx.monotonic() + SLOW_ANSWER_S
        return True

    def _ask(self, task: Watched, gap_s: float | None = None) -> None:
        """Look now; however often a stream gives a reason, not before `gap_s` (a poll's least) after the last look."""
        if gap_s is None:
            poll, limits = task.provider.profile.poll, self.ctx.limits
            interval = self._interval(task)
            gap_s = (poll.floor_s if interval is None else interval) / limits.sandbox_speed
        self._due(task, min(task.due, max(self.ctx.monotonic(), task.asked_at + gap_s)))

    def _of_answer(self, request: Request, kind: str, value: Any) -> None:
        """What came of one look."""
        task = request.tasks[0]
        if kind != "error":
            client, look = value
            self._idle[id(task.provider)].append(client)
            if look.http_status == 429:
                request.lane.pace.refused(self.ctx.monotonic(), look.hint_s)
            else:
                request.lane.pace.answered()
            return self._of_look(task, look)
        if isinstance(value, NoAnswer):
            self._fault(task, value.message, value.status)
        elif isinstance(value, TaskError):
            task.ending = Ending(Outcome.REFUSED, "poll", task.snapshot, ApiError(value.category, value.message))
        else:
            # A fault of ours in reading one answer must not end the wait for a paid task.
            self._fault(task, f"the answer could not be read ({type(value).__name__})", None)

    # -- many by one request --

    def _of_list(self, request: Request, asked: Round, kind: str, value: Any) -> None:
        """A page of a list: each task that it shows was looked at; one that no page has is asked for by itself."""
        if kind == "error":
            told = isinstance(value, (NoAnswer, TaskError))
            said = value.message if told else f"it could not be read ({type(value).__name__})"
            return self._list_failed(asked, said, final=not isinstance(value, NoAnswer))
        client, page = value
        lane, now = request.lane, self.ctx.monotonic()
        self._idle[id(lane.provider)].append(client)
        if page.looks is None:
            if page.http_status == 429:
                lane.pace.refused(now, page.hint_s)
                return self._list_failed(asked, page.reason, page.hint_s, weight=REFUSED_WEIGHT)
            if lane.shortened(asked, page.http_status):
                return self._put_back(asked, now)
            return self._list_failed(asked, page.reason, page.hint_s, final=page.final)
        lane.pace.answered()
        lane.bulk_faults = 0
        for task_id, look in page.looks.items():
            task = asked.wanted.pop(task_id, None)
            if task is not None and task.ending is None:
                task.looking = None
                task.looks += 1
                self._of_item(task, look)
        if asked.wanted and page.next is not None and page.next.number < lane.pages:
            asked.page = page.next
            lane.rounds.append(asked)
            return
        for task in asked.wanted.values():
            task.unlisted += 1
            self._alone(task)

    def _of_item(self, task: Watched, look: Look) -> None:
        """A task as a list shows it. An end counts with what proves it; without, the task's own answer tells.

        So it does of a word that is unknown: lists have their own.
        """
        snapshot = look.snapshot
        if (
            snapshot is None
            or snapshot.status is Status.UNKNOWN
            or (snapshot.status.terminal and not _conclusive(snapshot))
        ):
            task.unlisted += 1
            return self._alone(task)
        task.unlisted = 0
        self._of_look(task, look)

    def _alone(self, task: Watched) -> None:
        """Ask for this one by itself, now; at the deadline, too."""
        task.looking, task.alone, task.last_look = None, True, False
        self._due(task, self.ctx.monotonic())

    def _list_failed(
        self, asked: Round, reason: str, hint_s: float | None = None, *, final: bool = False, weight: float = 1.0
    ) -> None:
        """A list that is no answer says nothing of any task. Twice in a row, or refused for good: no more lists."""
        lane, ctx = asked.lane, self.ctx
        lane.bulk_faults = BULK_FAULTS if final else lane.bulk_faults + weight
        ctx.reporter.event("poll_error", transient=True, message=f"the list of tasks: {reason}")
        again = max(FAULT_FIRST_S, hint_s or 0.0) / ctx.limits.sandbox_speed if lane.bulk else hint_s or 0.0
        self._put_back(asked, ctx.monotonic() + again)

    def _put_back(self, asked: Round, due: float) -> None:
        for task in asked.wanted.values():
            task.looking, task.last_look = None, False
            self._due(task, due)

    def _of_look(self, task: Watched, look: Look) -> None:
        if look.snapshot is not None and (task.unexplained is None or look.snapshot.status.terminal):
            task.faults = task.not_found = 0
            if self.ctx.reporter.verbose:
                about = {"generation_id": task.ref.task_id, "attempt": task.looks, "http_status": look.http_status}
                self.ctx.reporter.event("poll", **about, **verbose_fields(look.snapshot))
            self._observe(task, look.snapshot, "poll")
            if task.ending is None:
                self._due(task, self.ctx.monotonic() + self._delay(task, look.hint_s))
            return
        if task.unexplained is not None:
            return self._observe(task, task.unexplained, "sse")  # asked for, and no reason to be had
        error = look.error
        final = look.final_refusal and look.http_status in FINAL_STATUSES
        if error is not None and final and not self._excused(task, error):
            task.ending = Ending(Outcome.REFUSED, "poll", task.snapshot, error)
            return
        self._fault(task, reason_of(look), look.http_status, look.hint_s, error)

    def _excused(self, task: Watched, error: ApiError) -> bool:
        """404 for a task that may be too fresh: three looks and 15 seconds of grace (design section 4)."""
        grace_s = self.ctx.limits.not_found_grace_s
        if error.category is not Category.NOT_FOUND:
            return False
        task.not_found += 1
        waited = self.ctx.monotonic() - task.started
        if task.age_s is not None and task.age_s + waited > grace_s and task.not_found >= NOT_FOUND_LOOKS:
            return False
        return task.not_found < NOT_FOUND_LOOKS or waited < grace_s

    def _fault(
        self,
        task: Watched,
        reason: str,
        http_status: int | None,
        hint_s: float | None = None,
        error: ApiError | None = None,
    ) -> None:
        if task.unexplained is not None:
            return self._observe(task, task.unexplained, "sse")
        task.faults += 1
        self.ctx.reporter.event(
            "poll_error",
            generation_id=task.ref.task_id,
            attempt=task.looks,
            http_status=http_status,
            transient=True,
            message=reason,
            server_message=inert(error.message, 300) if error else None,
        )
        if task.faults in (3, 20):
            self.ctx.reporter.people(f"no usable answer {task.faults} times in a row ({reason}); still waiting")
        self._due(task, self.ctx.monotonic() + self._delay(task, hint_s))

    def _interval(self, task: Watched) -> float | None:
        return task.interval_s if task.interval_s is not None else self.ctx.limits.poll_interval_s

    def _delay(self, task: Watched, hint_s: float | None = None) -> float:
        poll = task.provider.profile.poll
        interval = self._interval(task)
        schedule = PollSchedule(poll.floor_s, poll.ceiling_s, interval)
        if task.result_looks and task.faults == 0:
            looks_s = self.ctx.limits.result_looks_s
            return max(looks_s[min(task.result_looks, len(looks_s)) - 1], interval or 0.0, hint_s or 0.0)
        elapsed = (task.age_s or 0.0) + self.ctx.monotonic() - task.started
        delay = schedule.delay(elapsed, random=self.ctx.random(), hint_s=hint_s, faults=task.faults)
        return delay / self.ctx.limits.sandbox_speed

    # -- streams --

    def _of_stream(self, task: Watched, kind: str, value: Any) -> None:
        ctx, now = self.ctx, self.ctx.monotonic()
        if kind == "event" and isinstance(value, SseEvent):
            task_id, snapshot = normalize.stream_event(task.provider.profile, value.data, value.event)
            report_event(ctx, value, task_id or task.ref.task_id, snapshot)
            if snapshot is None:
                # An event that proves nothing (done, failed by name, [DONE]): ask, of many at the pace of a plain poll.
                # No news, so doubt stays.
                if not normalize.is_heartbeat(value.event, parse_json(value.data)):
                    self._ask(task, self._delay(task))
                return
            if task_id is not None and task_id != task.ref.task_id:
                return
            self._due(task, now + ctx.limits.stream_doubt_s)
            if snapshot.status.terminal and not _conclusive(snapshot):
                task.unexplained = snapshot if snapshot.status is Status.FAILED else None
                return self._ask(task)
            if snapshot.error is None or snapshot.error.in_task:
                self._observe(task, snapshot, "sse")
            else:
                self._ask(task)
        elif kind in ("result", "error"):
            message = value.message if isinstance(value, NoAnswer) else "the stream ended"
            name = "sse_timeout" if isinstance(value, NoAnswer) and value.kind == "timeout" else "sse_stream_ended"
            ctx.reporter.event(name, generation_id=task.ref.task_id, message=message)
            task.fell_back = True
            command = quoted(go_on(ctx, task.run))
            ctx.reporter.event("fallback_polling_start", generation_id=task.ref.task_id, command=command)
            self._drop_stream(task)
            self._due(task, now)

    def _drop_stream(self, task: Watched) -> None:
        if task.stream is not None:
            stream, task.stream = task.stream, None
            self._streams.pop(stream.token, None)
            stream.flight.abort()
            stream.client.close()

    # -- deciding --

    def _observe(self, task: Watched, snapshot: Snapshot, source: str) -> None:
        """Take a snapshot in: journal what changed, print it, and decide whether the wait is over."""
        task.snapshot = snapshot
        status = snapshot.status
        if status is Status.SUCCEEDED and not snapshot.has_result:
            passing = snapshot.error is not None and snapshot.error.category in PASSING
            most = len(self.ctx.limits.result_looks_s) * (MORE_RESULT_LOOKS if passing else 1)
            if task.result_looks >= most:
                task.ending = Ending(Outcome.NO_RESULT, source, snapshot, snapshot.error)
            else:
                task.result_looks += 1
                self._due(task, self.ctx.monotonic() + (0.0 if source == "sse" else self._delay(task)))
            if task.told is None or task.told[0] is not status:
                self._tell(task, snapshot)
            return
        if status.terminal:
            task.ending = Ending(Outcome(status.value), source, snapshot, snapshot.error)
            if status is Status.SUCCEEDED:
                return  # printed with its link by whoever fetches it
        self._tell(task, snapshot)
        for warning in snapshot.warnings:
            if warning not in task.told_unknown and status is Status.UNKNOWN:
                task.told_unknown.add(warning)
                self.ctx.reporter.event("warning", task_id=task.ref.task_id, server_message=inert(warning, 200))

    def _tell(self, task: Watched, snapshot: Snapshot) -> None:
        ctx = self.ctx
        word = snapshot.provider_status
        if self._many:
            if ctx.reporter.live and ctx.monotonic() - self._rows_at >= ROWS_EVERY_S:
                self._rows_at = ctx.monotonic()
                ctx.reporter.live_rows([_row(one) for one in self.tasks])
        else:
            ctx.reporter.live_status(_in_words(snapshot), snapshot.progress)
        told, odd = (snapshot.status, word), snapshot.status is Status.UNKNOWN
        if told == task.told:
            return
        news = task.told is not None or task.age_s != 0.0 or snapshot.status is not Status.QUEUED
        task.told = told
        if not snapshot.status.terminal or snapshot.status is Status.SUCCEEDED:
            ctx.record(
                task.run,
                "status",
                status=snapshot.status.value,
                provider_status=word,
                progress=snapshot.progress,
                follow=origins.own_paths(task.provider.profile.base_url, snapshot.follow) or None,
            )
        if self._many and not snapshot.status.terminal:
            return  # many tasks are waited for in one quiet call
        if news or ctx.reporter.verbose:  # a task that was created this moment is queued: that is no news
            ctx.reporter.event(
                "status",
                status=snapshot.status.value,
                provider_status=inert(word, 60) if word and (ctx.reporter.verbose or odd) else None,
                progress=snapshot.progress,
                task_id=task.ref.task_id if self._many else None,
            )
        if not ctx.reporter.live:
            ctx.reporter.people(snapshot.status.value)

    def _time_out(self) -> None:
        for task in list(self._open.values()):
            if task.unexplained is not None:
                self._observe(task, task.unexplained, "sse")
            else:
                task.ending = Ending(Outcome.TIMEOUT, "poll", task.snapshot)
            self._end_if_known(task)

    def _close(self) -> None:
        for task in list(self._streams.values()):
            self._drop_stream(task)
        for request in self._sent.values():
            request.flight.abort()
        for idle in self._idle.values():
            for client in idle:
                client.close()


def _row(task: Watched) -> tuple[str, str]:
    """A task among many, as a person sees it while they are waited for."""
    return task.run.run_id, _in_words(task.snapshot) if task.snapshot is not None else "no answer yet"


def _in_words(snapshot: Snapshot) -> str:
    return snapshot.status.value + (f" {snapshot.progress:.0f} %" if snapshot.progress is not None else "")


def _conclusive(snapshot: Snapshot) -> bool:
    """A terminal status in a stream's own data ends the wait: a success with its result, a failure with its reason."""
    if snapshot.status is Status.SUCCEEDED:
        return snapshot.has_result
    error = snapshot.error
    return snapshot.status is not Status.FAILED or bool(error and (error.code or error.message))
