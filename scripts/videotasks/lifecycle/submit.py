"""Sending the one paid request of a run: written ahead, sent at most once, its id on disk before anything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Any

from videotasks.core import durable_files
from videotasks.core.errors import (
    ApiError,
    Category,
    TaskError,
    api_error_fields,
    category_message,
    configuration_error,
    said_by_the_api,
)
from videotasks.core.record import field, record, replace
from videotasks.core.safe_text import inert
from videotasks.core.task import Snapshot, Status
from videotasks.core.workers import Interrupted, Message
from videotasks.formats.sse import SseEvent, SseLimitError, SseParser, is_event_stream
from videotasks.lifecycle import create_answer, free_calls
from videotasks.lifecycle.create_answer import STREAM_REFUSED, CreateAnswer, Decision, of_answer
from videotasks.lifecycle.session import Context
from videotasks.lifecycle.stream import Stream, report_event, report_refused_stream, without_key
from videotasks.network import origins
from videotasks.network.client import MAX_JSON_BYTES, Answer, without_secrets
from videotasks.network.errors import NoAnswer
from videotasks.network.flight import Flight, WriteAheadFailed
from videotasks.providers import normalize
from videotasks.providers.provider import Look, Provider, TaskRef, no_answer_error
from videotasks.runs.claims import ClaimLost
from videotasks.runs.store import Run

ANSWER_FILE = "create-answer.txt"  # an answer without an id that could be read, as it came
MAX_KEPT = 100_000  # bytes of it
SUSPENDED_S = 5.0  # a wait that overshoots its end by so much was a process that stood still


@record(frozen=True)
class CreateRequest:
    """What is sent. `body_of` builds the keyword arguments of the request (json_body, or data and files).

    `known` is kept with the run before the first byte: what later addresses may name (model, path), and the `uuid`
    that this request alone has, the same however often it is sent.
    """

    method: str
    path: str
    stream_path: str | None
    body_of: Callable[[], Mapping[str, Any]]
    headers: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)


@record(frozen=True)
class Submitted:
    """A task id, on disk. `stream` is set when its event stream goes on."""

    task_id: str
    snapshot: Snapshot | None
    follow: Mapping[str, str]
    stream: Stream | None
    interrupted: int | None = None


def submit(
    ctx: Context, run: Run, provider: Provider, request: CreateRequest, still_ours: Callable[[], None] = lambda: None
) -> Submitted:
    """Send `request` for `run` until it is accepted, refused or unknown. Journals every step.

    Raises TaskError: a refusal (its category's exit code), submission_unknown (3), or unreachable (24), and
    Interrupted when nothing was sent. The caller holds the claims; `still_ours`, asked before the first byte of each
    attempt, raises ClaimLost when they are somebody else's by now.
    """
    stream_path = request.stream_path
    unsent = resends = attempt = repeats = 0
    began = ctx.monotonic()
    doubt: CreateAnswer | None = None
    end = None if ctx.limits.wait_s is None else ctx.monotonic() + ctx.limits.wait_s
    while True:
        attempt += 1
        exchange = _Exchange(ctx, run, provider, request, stream_path, attempt, still_ours, in_doubt=doubt is not None)
        found = exchange.run()
        if found.decision is Decision.ACCEPTED:
            return _accepted(ctx, run, provider, found, exchange)
        exchange.close()
        stopped = exchange.interrupted
        if found.decision is Decision.LOOK:
            found = _looked_at(ctx, provider, found)
            if found.decision is Decision.ACCEPTED:
                return _accepted(ctx, run, provider, found, exchange)
        if found.decision is Decision.UNKNOWN or doubt is not None:
            doubt = doubt or found  # from now on only a task id ends the doubt: a refused repeat proves nothing
            repeats += 1
            if stopped is not None or not _repeatable(provider, request, repeats, ctx.monotonic() - began):
                raise _unknown(ctx, run, provider, doubt, stopped)
            looked_up = _look_up(ctx, provider, request)
            if looked_up is not None:
                exchange.ended = True  # whatever stream it had is closed
                return _accepted(ctx, run, provider, looked_up, exchange)
            if provider.profile.idempotency and provider.profile.idempotency.on_reuse == "lookup":
                raise _unknown(ctx, run, provider, doubt, stopped)
            ctx.record(run, "repeat", http_status=found.http_status, reason=found.reason)  # the run stays in doubt
            ctx.reporter.event("warning", message="the answer was lost; this API answers a repeat with the same task")
            ctx.pause(ctx.limits.unsent_pause_s * 2**repeats)
            continue
        if stream_path is not None and found.http_status in STREAM_REFUSED and found.decision is Decision.REFUSED:
            # Nothing was created there; the same request goes to the plain endpoint.
            report_refused_stream(ctx, found)
            ctx.record(run, "not_sent", reason=f"the stream endpoint answered HTTP {found.http_status}")
            if stopped is not None:
                raise Interrupted(stopped)
            stream_path = None
            continue
        if found.decision is Decision.REFUSED:
            raise _refused(ctx, run, found)
        if found.decision is Decision.RESEND:
            assert found.error is not None
            ctx.record(run, "resend", http_status=found.http_status, error=api_error_fields(found.error))
            if stopped is not None:
                raise Interrupted(stopped)
            if ctx.limits.queues:
                raise _no_place(found)
            resends += 1
            pause = max(ctx.limits.resend_pause_s * 2 ** (resends - 1), found.retry_after_s or 0.0)
            if resends > ctx.limits.max_resends or (end is not None and ctx.monotonic() + pause > end):
                raise _refused(ctx, run, found)
            ctx.reporter.event("warning", message=f"the API asks to slow down; the request goes again in {pause:.0f} s")
        else:
            ctx.record(run, "not_sent", reason=found.reason)
            if stopped is not None:
                raise Interrupted(stopped)
            if stream_path is not None:
                ctx.reporter.event("sse_connect_error", message=found.reason)
            unsent += 1
            if unsent > ctx.limits.unsent_retries:
                assert exchange.silence is not None
                raise no_answer_error(exchange.silence)
            pause = ctx.limits.unsent_pause_s * 2 ** (unsent - 1)
        ctx.pause(pause)


MAX_REPEATS = 3


def _repeatable(provider: Provider, request: CreateRequest, repeats: int, elapsed_s: float) -> bool:
    """Whether the profile declares that this very request may follow a lost answer, or that its value can be asked for.

    The value must stand in the request: --payload may have put another one in its place.
    """
    spec = provider.profile.idempotency
    if spec is None or spec.on_reuse not in ("replay", "lookup") or "uuid" not in request.known:
        return False
    return repeats <= MAX_REPEATS and (spec.ttl_s is None or elapsed_s < spec.ttl_s)


def _look_up(ctx: Context, provider: Provider, request: CreateRequest) -> CreateAnswer | None:
    """The task of a lost answer, where the value that we made is its id; None when the API does not show it."""
    spec = provider.profile.idempotency
    if spec is None or spec.on_reuse != "lookup":
        return None
    task_id = request.known["uuid"]
    with closing(provider.client()) as client:
        for pauses in (2, 6, 12):
            ctx.pause(ctx.limits.unsent_pause_s * pauses)
            with suppress(NoAnswer):
                seen = provider.look(TaskRef(task_id, request.known), client=client).snapshot
                if seen is not None and seen.status is not Status.UNKNOWN:
                    return CreateAnswer(Decision.ACCEPTED, task_id=task_id, snapshot=seen, follow=seen.follow)
    return None


class _Exchange:
    """One attempt: a worker thread sends and reads, this thread judges what comes."""

    def __init__(
        self,
        ctx: Context,
        run: Run,
        provider: Provider,
        request: CreateRequest,
        stream_path: str | None,
        attempt: int,
        still_ours: Callable[[], None],
        in_doubt: bool = False,
    ) -> None:
        self.ctx, self.run_, self.provider, self.request = ctx, run, provider, request
        self.stream_path = stream_path
        self.token = object()
        self.client = provider.client()
        self.flight = Flight(self._write_ahead)
        self.attempt, self.in_doubt = attempt, in_doubt
        self.still_ours = still_ours
        self.interrupted: int | None = None
        self.silence: NoAnswer | None = None
        self.streaming = False
        self.ended = False
        self.arrived = b""  # the beginning of a stream that has told no id yet

    def _write_ahead(self) -> None:
        self.still_ours()
        self.run_.record(
            "submitting",
            self.ctx.clock(),
            attempt=self.attempt,
            via="stream" if self.stream_path else "plain",
            path=self.stream_path or self.request.path,
            follow=dict(self.request.known) or None,
        )

    def close(self) -> None:
        self.flight.abort()
        self.client.close()

    def run(self) -> CreateAnswer:
        ctx, limits = self.ctx, self.ctx.limits
        ctx.mailbox.start(self.token, self._work)
        silence = limits.stream_answer_s if self.stream_path else limits.create_answer_s
        deadline, woken = ctx.monotonic() + max(silence, 0.001), False
        while True:
            now = ctx.monotonic()
            if now - deadline > SUSPENDED_S and not woken:
                # This process stood still: an answer that came meanwhile still lies in the socket.
                woken, deadline = True, now + limits.abort_slack_s
            if now >= deadline:
                return self._give_up("no answer in time")
            message = ctx.mailbox.get(deadline - now)
            if message is None:
                continue
            if message.kind == "interrupt":
                if self.interrupted is not None:
                    return self._give_up("interrupted before the answer came")
                self.interrupted = int(message.value)
                deadline = min(deadline, ctx.monotonic() + limits.interrupt_grace_s)
                continue
            if message.source is not self.token:
                continue
            found = self._judge(message.kind, message.value)
            if found is not None:
                return found

    def _judge(self, kind: str, value: Any) -> CreateAnswer | None:
        if kind == "error":
            if isinstance(value, NoAnswer):
                self.silence = value
                if value.sent and not value.body and self.arrived:  # of a stream that broke off or fell mute
                    value = NoAnswer(value.kind, value.message, sent=True, status=200, body=self.arrived)
                return create_answer.of_silence(self.provider.profile, value)
            if isinstance(value, WriteAheadFailed) and isinstance(value.error, ClaimLost):
                raise configuration_error(
                    "this request was settled by somebody else while this process stood still, so nothing was sent",
                    expected="a look at the run before it is asked for again",
                    code="claim_lost",
                )
            if isinstance(value, WriteAheadFailed):
                with suppress(OSError):  # whether or not the disk kept the line before it
                    if not self.in_doubt:
                        self.run_.record("not_sent", self.ctx.clock(), reason="the journal could not be written")
                raise durable_files.disk_error(value.error, "the journal could not be written, so nothing was sent")
            if isinstance(value, TaskError) or not self.flight.sent:
                raise value
            return CreateAnswer(Decision.UNKNOWN, reason="the answer could not be read")
        if kind == "result":
            self.ended = True
            if isinstance(value, Answer):
                try:
                    return of_answer(self.provider.profile, value, now=self.ctx.clock())
                except Exception:  # whatever a server makes up: what was sent may be paid for
                    return CreateAnswer(
                        Decision.UNKNOWN, reason="the answer could not be read", http_status=value.status
                    )
            # Nothing but the end came as an event: what arrived may be no stream, or lack its last blank line.
            return create_answer.of_silence(
                self.provider.profile,
                NoAnswer("cut", "the event stream ended without a task id", sent=True, status=200, body=self.arrived),
            )
        if isinstance(value, int):
            self.streaming = True
            self.ctx.reporter.event("sse_open", http_status=value, url=self.provider.url(self.stream_path or ""))
            return None
        if isinstance(value, SseEvent):
            return self._of_event(value)
        return None

    def _of_event(self, event: SseEvent) -> CreateAnswer | None:
        task_id, snapshot = normalize.stream_event(self.provider.profile, event.data, event.event)
        report_event(self.ctx, event, task_id, snapshot)
        if task_id is not None:
            follow = dict(snapshot.follow) if snapshot else {}
            return CreateAnswer(Decision.ACCEPTED, task_id=task_id, snapshot=snapshot, http_status=200, follow=follow)
        if snapshot is not None and snapshot.error is not None and not snapshot.error.in_task:
            # A refusal inside the stream, before any id: the provider's own words, but no proof that nothing runs.
            return CreateAnswer(
                Decision.UNKNOWN, error=snapshot.error, reason="the event stream reported an error without a task id"
            )
        return None

    def _give_up(self, reason: str) -> CreateAnswer:
        if self.flight.abort():
            return CreateAnswer(Decision.UNKNOWN, reason=reason, body=self.arrived)
        self.silence = self.silence or NoAnswer("timeout", reason, sent=False, host="")
        return CreateAnswer(Decision.NOT_SENT, reason=reason)

    def _work(self) -> Any:
        """In the worker thread: send, then post what comes. Returns an Answer, or None at a stream's end."""
        url = self.provider.url(self.stream_path or self.request.path)
        accept = {"Accept": "text/event-stream, application/json"} if self.stream_path else {}
        headers = {**accept, **self.request.headers}
        limits = self.ctx.limits
        timeout = limits.stream_silence_s if self.stream_path else limits.create_answer_s
        arguments = self.request.body_of()
        with self.client.open(
            self.request.method, url, flight=self.flight, headers=headers, timeout=timeout, **arguments
        ) as opened:
            if not (200 <= opened.status < 300 and is_event_stream(opened.headers.get("content-type"))):
                body = opened.read_as_sent(MAX_JSON_BYTES)
                return Answer(opened.status, opened.headers, body, url, opened.truncated)
            post = self.ctx.mailbox.put
            post(Message("event", self.token, opened.status))
            parser = SseParser()
            try:
                for chunk in opened.chunks():
                    if len(self.arrived) < MAX_KEPT:
                        self.arrived += without_secrets(chunk[:MAX_KEPT])
                    for event in parser.feed(chunk):
                        post(Message("event", self.token, without_key(event)))
            except SseLimitError as error:
                for event in error.events:  # the task id may have come before the limit
                    post(Message("event", self.token, without_key(event)))
                raise NoAnswer("cut", str(error), sent=True, status=opened.status) from None
            return None


def _accepted(ctx: Context, run: Run, provider: Provider, found: CreateAnswer, exchange: _Exchange) -> Submitted:
    assert found.task_id is not None
    follow = {**exchange.request.known, **origins.own_paths(provider.profile.base_url, found.follow or {})}
    kept = ctx.record(
        run,
        "submitted",
        task_id=found.task_id,
        kind=provider.profile.kind,
        http_status=found.http_status,
        server_date=found.server_date,
        follow=follow or None,
        status=found.snapshot.status.value if found.snapshot else None,
        provider_status=found.snapshot.provider_status if found.snapshot else None,
    )
    if not kept:
        # The id must not be lost with the disk: it is printed at once, and the wait goes on from memory.
        ctx.reporter.event("warning", message="the task id is not on disk: keep it", task_id=found.task_id)
    stream = None
    if exchange.streaming and not exchange.ended:
        stream = Stream(exchange.token, exchange.flight, exchange.client)
    else:
        exchange.client.close()
    return Submitted(found.task_id, found.snapshot, follow, stream, exchange.interrupted)


def _refused(ctx: Context, run: Run, found: CreateAnswer) -> TaskError:
    error = found.error or ApiError(Category.UNKNOWN, "", http_status=found.http_status)
    ctx.record(run, "refused", http_status=found.http_status, error=api_error_fields(error))
    said, hint = category_message(error.category), None
    if found.redirected_to is not None:
        said = f"the API redirects to {found.redirected_to}, and the request was not sent on"
        hint = "if that is where the API lives, and may have the key, name it with --base-url"
    return said_by_the_api(error, said + "; nothing was created", hint=hint)


def _no_place(found: CreateAnswer) -> TaskError:
    """A 429 for whoever queues: nothing was created, and the same run is sent again later."""
    return TaskError(
        Category.RATE_LIMITED,
        category_message(Category.RATE_LIMITED) + "; nothing was created",
        code="no_free_place",
        http_status=found.http_status,
        details={"retry_after_s": found.retry_after_s},
    )


def _looked_at(ctx: Context, provider: Provider, found: CreateAnswer) -> CreateAnswer:
    """A refusal with an id in it: a task that the API shows was made, one that it does not know was not."""
    assert found.task_id is not None
    ref, timeout = TaskRef(found.task_id, found.follow or {}), ctx.limits.poll_request_s
    try:
        look = free_calls.ask(
            ctx,
            provider,
            lambda client: provider.look(ref, client=client, timeout=timeout),
            timeout + ctx.limits.abort_slack_s,
        )
    except (TaskError, Interrupted):
        look = Look()
    if look.snapshot is not None and look.snapshot.provider_status is not None:
        return replace(found, decision=Decision.ACCEPTED, snapshot=look.snapshot)
    unknown_there = {Category.NOT_FOUND, Category.VALIDATION}
    if found.error is not None and found.error.category in (Category.AUTH, Category.PERMISSION):
        unknown_there |= {Category.AUTH, Category.PERMISSION}  # a key that may not look may not create
    if look.final_refusal and look.error is not None and look.error.category in unknown_there:
        return replace(found, decision=Decision.REFUSED, task_id=None)
    reason = "the API refused the request with an id in its answer, and did not say whether there is such a task"
    return replace(found, decision=Decision.UNKNOWN, reason=reason)


def _unknown(ctx: Context, run: Run, provider: Provider, found: CreateAnswer, interrupted: int | None) -> TaskError:
    error = submission_unknown(found.reason, found.error, found.http_status)
    ids = create_answer.candidate_ids(provider.profile, found.body)
    if found.task_id is not None:
        ids = [found.task_id]
    ctx.record(
        run,
        "submission_unknown",
        reason=found.reason,
        http_status=found.http_status,
        server_date=found.server_date,
        interrupted=interrupted,
        error=api_error_fields(found.error),
        ids_in_answer=ids or None,
    )
    if found.body:
        with suppress(OSError, TaskError):  # for whoever looks into it; what counts is in the journal
            run.prepare()
            durable_files.write_atomic(run.outputs / ANSWER_FILE, found.body[:MAX_KEPT])
            error.details["answer_file"] = f"outputs/{ANSWER_FILE}"
    if ids:
        error.details["ids_in_answer"] = [inert(value, 300) for value in ids]
    return error


def submission_unknown(reason: str, error: ApiError | None = None, http_status: int | None = None) -> TaskError:
    """The outcome that only a person may resolve by paying again: the request left, and no id came back."""
    return TaskError(
        Category.SUBMISSION_UNKNOWN,
        f"the request was sent, but no task id came back ({reason}): a task may exist and cost money",
        expected="look first; do not create again unless the user decides to pay again",
        code=error.code if error else None,
        server_message=error.message if error else None,
        http_status=http_status,
    )
