"""Waiting for tasks: streams read as they come, polls beside them, every fault survived until the deadline.

One loop serves one task or hundreds: it owns the schedule; requests run in worker threads and report to the mailbox.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from videotasks.core.errors import ApiError, Category, TaskError
from videotasks.core.json_values import parse_json
from videotasks.core.safe_text import inert
from videotasks.core.task import Outcome, Snapshot, Status
from videotasks.core.workers import Interrupted
from videotasks.formats.sse import SseEvent
from videotasks.lifecycle.outcome import Ending
from videotasks.lifecycle.poll_schedule import PollSchedule
from videotasks.lifecycle.session import Context
from videotasks.lifecycle.stream import report_event
from videotasks.lifecycle.watched import Watched
from videotasks.network import origins
from videotasks.network.client import Client
from videotasks.network.errors import NoAnswer
from videotasks.network.flight import Flight
from videotasks.providers import normalize
from videotasks.providers.provider import Look

MAX_WORKERS = 8  # requests at once, however many tasks are waited for
NOT_FOUND_LOOKS = 3  # a fresh id may not be on every replica yet (facts, peers 5.1: "404 on the first poll")
# A refusal ends a wait only with such a status (2xx: in the body). Codes alone do not: gateways put them into 5xx.
FINAL_STATUSES = frozenset({200, 201, 202, 400, 401, 402, 403, 404, 410, 422})


_HEARTBEATS = re.compile(r"\s*(?:ping|pong|heart_?beat|keep_?-?alive)\s*", re.IGNORECASE)
SLOW_ANSWER_BYTES = 100_000  # an answer that brings so much in `SLOW_ANSWER_S` is on its way: a video may stand in it
SLOW_ANSWER_S = 5.0
MORE_RESULT_LOOKS = 3  # times as many while the API has a passing fault instead of the result


class Waiter:
    """Waits for all of `tasks` until they end, the deadline passes, or a signal comes (Interrupted).

    `on_end` is called once for each task, as soon as its `ending` is known; it must return at once.
    """

    def __init__(
        self, ctx: Context, tasks: list[Watched], on_end: Callable[[Watched], None] = lambda task: None
    ) -> None:
        self.ctx = ctx
        self.tasks = tasks
        self._on_end = on_end
        self._open = list(tasks)
        self._idle: dict[int, list[Client]] = {}
        self._by_token: dict[object, Watched] = {}
        self._busy = 0

    def run(self, deadline: float | None) -> None:
        """Fill in the `ending` of every task. Raises Interrupted at the first signal."""
        ctx, now = self.ctx, self.ctx.monotonic()
        for task in self.tasks:
            task.started = now
            if task.stream is not None:
                self._by_token[task.stream.token] = task
                task.due = now + ctx.limits.stream_doubt_s
            elif task.looks == 0 and task.snapshot is not None:
                task.due = now + self._delay(task)
            else:
                task.due = now
            if task.snapshot is not None:
                self._observe(task, task.snapshot, "sse" if task.stream else "create")
        try:
            self._loop(deadline)
        finally:
            self._close()
        for task in self.tasks:
            if task.fell_back and task.ending is not None:
                code = int(task.ending.outcome.exit_code)
                ctx.reporter.event("fallback_polling_end", generation_id=task.ref.task_id, exit_code=code)

    def _loop(self, deadline: float | None) -> None:
        ctx = self.ctx
        while True:
            waiting = self._still_open()
            if not waiting:
                return
            now = ctx.monotonic()
            hard_end = None if deadline is None else deadline + ctx.limits.last_look_s
            # The longest overdue first: in the order of a list, the first ones are due again before the last ones were
            # ever looked at (25 of 150 in 100 s).
            for task in sorted(waiting, key=lambda task: task.due):
                if task.looking is not None and now >= task.look_limit and not self._still_arriving(task):
                    self._give_up_look(task)
                if (
                    task.looking is None
                    and not task.last_look
                    and now >= _due(task, deadline)
                    and self._busy < MAX_WORKERS
                ):
                    task.last_look = deadline is not None and now >= deadline
                    self._start_look(task)
            if deadline is not None and now >= deadline:
                looking = any(task.looking is not None or not task.last_look for task in waiting)
                if not looking or now >= (hard_end or deadline):
                    self._time_out(waiting)
                    self._still_open()
                    return
            message = ctx.mailbox.get(self._pause(waiting, now, deadline, hard_end))
            if message is None:
                continue
            if message.kind == "interrupt":
                raise Interrupted(int(message.value))
            owner = self._by_token.get(message.source)
            if owner is not None:
                self._handle(owner, message.source, message.kind, message.value)

    def _still_open(self) -> list[Watched]:
        ended = [task for task in self._open if task.ending is not None]
        if ended:
            self._open = [task for task in self._open if task.ending is None]
            for task in ended:
                self._on_end(task)
        return self._open

    def _pause(
        self, waiting: list[Watched], now: float, deadline: float | None, hard_end: float | None
    ) -> float | None:
        moments = []
        free = self._busy < MAX_WORKERS
        for task in waiting:
            if task.looking is not None:
                moments.append(task.look_limit)
            elif free and not task.last_look:
                moments.append(_due(task, deadline))
        if deadline is not None:
            moments.append(deadline if now < deadline else (hard_end or deadline))
        return max(min(moments) - now, 0.0) if moments else None

    # -- looking ----------------------------------------------------------------------------------------------

    def _start_look(self, task: Watched) -> None:
        ctx, token, flight = self.ctx, object(), Flight()
        timeout = ctx.limits.poll_request_s
        idle = self._idle.setdefault(id(task.provider), [])
        client = idle.pop() if idle else task.provider.client()
        task.looking, task.look_flight = token, flight
        task.look_limit = ctx.monotonic() + timeout + ctx.limits.abort_slack_s
        task.looks += 1
        task.asked_at, task.look_bytes = ctx.monotonic(), 0
        self._by_token[token] = task
        self._busy += 1

        def work() -> tuple[Client, Look]:
            try:
                return client, task.provider.look(task.ref, client=client, flight=flight, timeout=timeout)
            except BaseException:
                client.close()  # nobody knows what its connection still holds
                raise

        ctx.mailbox.start(token, work)

    def _still_arriving(self, task: Watched) -> bool:
        """Whether an answer is large rather than late; then it has a little longer, and again."""
        received = task.look_flight.received if task.look_flight is not None else 0
        if received - task.look_bytes < SLOW_ANSWER_BYTES:
            return False
        task.look_bytes = received
        task.look_limit = self.ctx.monotonic() + SLOW_ANSWER_S
        return True

    def _ask(self, task: Watched, gap_s: float | None = None) -> None:
        """Look now; however often a stream gives a reason, not before `gap_s` (a poll's least) after the last look."""
        if gap_s is None:
            poll, limits = task.provider.profile.poll, self.ctx.limits
            interval = task.interval_s if task.interval_s is not None else limits.poll_interval_s
            gap_s = (poll.floor_s if interval is None else interval) / limits.sandbox_speed
        task.due = min(task.due, max(self.ctx.monotonic(), task.asked_at + gap_s))

    def _give_up_look(self, task: Watched) -> None:
        """A request that its own time-outs did not end: headers that trickle, a resolver that hangs."""
        if task.look_flight is not None:
            task.look_flight.abort()
        self._by_token.pop(task.looking, None)
        self._busy -= 1
        task.looking = None
        self._fault(task, "no complete answer in time", None)

    def _handle(self, task: Watched, source: object, kind: str, value: Any) -> None:
        if task.stream is not None and source is task.stream.token:
            self._of_stream(task, kind, value)
        elif source is task.looking:
            self._by_token.pop(source, None)
            task.looking = None
            self._busy -= 1
            if kind == "error":
                if isinstance(value, NoAnswer):
                    self._fault(task, value.message, value.status)
                elif isinstance(value, TaskError):
                    task.ending = Ending(
                        Outcome.REFUSED, "poll", task.snapshot, ApiError(value.category, value.message)
                    )
                else:
                    # A fault of ours in reading one answer must not end the wait for a paid task.
                    self._fault(task, f"the answer could not be read ({type(value).__name__})", None)
            else:
                client, look = value
                self._idle[id(task.provider)].append(client)
                self._of_look(task, look)
        if task.ending is not None:
            self._drop_stream(task)

    def _of_look(self, task: Watched, look: Look) -> None:
        if look.snapshot is not None and (task.unexplained is None or look.snapshot.status.terminal):
            task.faults = task.not_found = 0
            self._report_poll(task, look)
            self._observe(task, look.snapshot, "poll")
            if task.ending is None:
                task.due = self.ctx.monotonic() + self._delay(task, look.hint_s)
            return
        if task.unexplained is not None:
            return self._observe(task, task.unexplained, "sse")  # asked for, and no reason to be had
        error = look.error
        final = look.final_refusal and look.http_status in FINAL_STATUSES
        if error is not None and final and not self._excused(task, error):
            task.ending = Ending(Outcome.REFUSED, "poll", task.snapshot, error)
            return
        reason = look.reason or (f"HTTP {look.http_status}" if look.http_status else "no usable answer")
        self._fault(task, reason, look.http_status, look.hint_s, error)

    def _excused(self, task: Watched, error: ApiError) -> bool:
        """404 for a task that may be too fresh: three looks and 15 seconds of grace (design section 4)."""
        grace_s = self.ctx.limits.not_found_grace_s
        if error.category is not Category.NOT_FOUND:
            return False
        task.not_found += 1
        age = None if task.age_s is None else task.age_s + self.ctx.monotonic() - task.started
        if age is not None and age > grace_s and task.not_found >= NOT_FOUND_LOOKS:
            return False
        waited = self.ctx.monotonic() - task.started
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
        task.due = self.ctx.monotonic() + self._delay(task, hint_s)

    def _delay(self, task: Watched, hint_s: float | None = None) -> float:
        poll = task.provider.profile.poll
        interval = task.interval_s if task.interval_s is not None else self.ctx.limits.poll_interval_s
        schedule = PollSchedule(poll.floor_s, poll.ceiling_s, interval)
        if task.result_looks and task.faults == 0:
            looks_s = self.ctx.limits.result_looks_s
            return max(looks_s[min(task.result_looks, len(looks_s)) - 1], interval or 0.0, hint_s or 0.0)
        elapsed = (task.age_s or 0.0) + self.ctx.monotonic() - task.started
        delay = schedule.delay(elapsed, random=self.ctx.random(), hint_s=hint_s, faults=task.faults)
        return delay / self.ctx.limits.sandbox_speed

    # -- streams ----------------------------------------------------------------------------------------------

    def _of_stream(self, task: Watched, kind: str, value: Any) -> None:
        ctx, now = self.ctx, self.ctx.monotonic()
        if kind == "event" and isinstance(value, SseEvent):
            task_id, snapshot = normalize.stream_event(task.provider.profile, value.data)
            report_event(ctx, value, task_id or task.ref.task_id, snapshot)
            if snapshot is None:
                # An event that proves nothing (done, failed by name, [DONE]): ask, of many at the pace of a plain poll.
                # No news, so doubt stays.
                if not _is_heartbeat(value):
                    self._ask(task, self._delay(task))
                return
            if task_id is not None and task_id != task.ref.task_id:
                return
            task.due = now + ctx.limits.stream_doubt_s
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
            ctx.reporter.event("fallback_polling_start", generation_id=task.ref.task_id, command=_command(ctx, task))
            self._drop_stream(task)
            task.due = now

    def _drop_stream(self, task: Watched) -> None:
        if task.stream is not None:
            stream, task.stream = task.stream, None
            self._by_token.pop(stream.token, None)
            stream.flight.abort()
            stream.client.close()

    # -- deciding ---------------------------------------------------------------------------------------------

    def _observe(self, task: Watched, snapshot: Snapshot, source: str) -> None:
        """Take a snapshot in: journal what changed, print it, and decide whether the wait is over."""
        task.snapshot = snapshot
        status = snapshot.status
        if status is Status.SUCCEEDED and not snapshot.has_result:
            passing = snapshot.error is not None and snapshot.error.category in (
                Category.TRANSIENT,
                Category.RATE_LIMITED,
            )
            most = len(self.ctx.limits.result_looks_s) * (MORE_RESULT_LOOKS if passing else 1)
            if task.result_looks >= most:
                task.ending = Ending(Outcome.NO_RESULT, source, snapshot, snapshot.error)
            else:
                task.result_looks += 1
                task.due = self.ctx.monotonic() + (0.0 if source == "sse" else self._delay(task))
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
        if len(self.tasks) > 1:
            ctx.reporter.live_rows([_row(one) for one in self.tasks])
        else:
            percent = snapshot.progress
            live = snapshot.status.value + (f" {percent:.0f} %" if percent is not None else "")
            ctx.reporter.live_status(live, percent)
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
        if len(self.tasks) > 1 and not snapshot.status.terminal:
            return  # many tasks are waited for in one quiet call
        if news or ctx.reporter.verbose:  # a task that was created this moment is queued: that is no news
            ctx.reporter.event(
                "status",
                status=snapshot.status.value,
                provider_status=inert(word, 60) if word and (ctx.reporter.verbose or odd) else None,
                progress=snapshot.progress,
                task_id=task.ref.task_id if len(self.tasks) > 1 else None,
            )
        if ctx.reporter._live is None:
            ctx.reporter.people(f"{snapshot.status.value}")

    def _report_poll(self, task: Watched, look: Look) -> None:
        snapshot = look.snapshot
        assert snapshot is not None
        word = snapshot.provider_status
        self.ctx.reporter.event(
            "poll",
            generation_id=task.ref.task_id,
            attempt=task.looks,
            http_status=look.http_status,
            status=snapshot.status.value,
            provider_status=inert(word, 60) if word else None,
            status_key=inert(word, 60).lower() if word else None,
            terminal=snapshot.status.terminal,
        )

    def _time_out(self, waiting: list[Watched]) -> None:
        for task in waiting:
            if task.unexplained is not None:
                self._observe(task, task.unexplained, "sse")
            else:
                task.ending = Ending(Outcome.TIMEOUT, "poll", task.snapshot)

    def _close(self) -> None:
        for task in self.tasks:
            self._drop_stream(task)
            if task.look_flight is not None and task.looking is not None:
                task.look_flight.abort()
        for idle in self._idle.values():
            for client in idle:
                client.close()


def _command(ctx: Context, task: Watched) -> str | None:
    """The command that would poll this task, for the verbose line."""
    if not ctx.reporter.verbose:
        return None
    from videotasks.lifecycle.final_line import go_on
    from videotasks.output.next_command import quoted

    return quoted(go_on(ctx, task.run))


def _row(task: Watched) -> tuple[str, str]:
    """A task among many, as a person sees it while they are waited for."""
    if task.snapshot is None:
        return task.run.run_id, "no answer yet"
    percent = task.snapshot.progress
    return task.run.run_id, task.snapshot.status.value + (f" {percent:.0f} %" if percent is not None else "")


def _due(task: Watched, deadline: float | None) -> float:
    """When the next look is due; whatever the schedule says, there is one at the deadline."""
    return task.due if deadline is None else min(task.due, deadline)


def _is_heartbeat(event: SseEvent) -> bool:
    """An event that only keeps the connection open, by its name or by the type in its data."""
    body = parse_json(event.data)
    kind = (body.get("type") or body.get("event")) if isinstance(body, dict) else None
    return any(isinstance(word, str) and _HEARTBEATS.fullmatch(word) for word in (event.event, kind))


def _conclusive(snapshot: Snapshot) -> bool:
    """A terminal status in a stream's own data ends the wait: a success with its result, a failure with its reason."""
    if snapshot.status is Status.SUCCEEDED:
        return snapshot.has_result
    error = snapshot.error
    return snapshot.status is not Status.FAILED or bool(error and (error.code or error.message))
