"""Waiting: every fault is survived until the deadline, and nothing but the provider's own word ends a wait."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.virtual import Slow as slow
from support.virtual import VirtualMailbox, Wait, body, json_body, silence, wait
from videotasks.core.errors import ApiError, Category
from videotasks.core.task import Outcome, Output, Snapshot, Status
from videotasks.core.workers import Interrupted, Message
from videotasks.formats.sse import SseEvent
from videotasks.lifecycle.session import Timing
from videotasks.lifecycle.stream import Stream
from videotasks.lifecycle.watched import Watched
from videotasks.network.client import Client
from videotasks.network.flight import Flight
from videotasks.providers.provider import Look

RUNNING = {"id": "t-1", "status": "running"}
DONE = {"id": "t-1", "status": "succeeded", "content": {"video_url": "https://cdn.example/v.mp4"}}
FAILED = {"id": "t-1", "status": "failed", "error": {"code": "InternalServiceError", "message": "no frames"}}


def task_of(seconds: float, end: Any = DONE) -> Callable[[float], Any]:
    """An honest API whose task ends after so many seconds."""
    return lambda now: json_body(end if now >= seconds else RUNNING)


def broken_until(seconds: float, fault: Any, then: Any = DONE) -> Callable[[float], Any]:
    return lambda now: fault if now < seconds else json_body(then)


# -- ends ----------------------------------------------------------------------------------------------------------


def test_a_task_is_waited_for_to_its_end(tmp_path: Path) -> None:
    waited = wait(tmp_path, task_of(40))
    assert waited.ending.outcome == "succeeded" and waited.ending.source == "poll"
    assert 40 <= waited.ended_at <= 44
    assert waited.asked[0] == 0.0


@pytest.mark.parametrize(
    ("word", "outcome"), [("failed", "failed"), ("cancelled", "cancelled"), ("expired", "expired")]
)
def test_other_ends(tmp_path: Path, word: str, outcome: str) -> None:
    waited = wait(tmp_path, task_of(10, {"id": "t-1", "status": word}))
    assert waited.ending.outcome == outcome
    assert waited.ended_at < 15


def test_an_unknown_status_waits_to_the_deadline_and_warns_once(tmp_path: Path) -> None:
    waited = wait(tmp_path, lambda now: json_body({"id": "t-1", "status": "nsfw_review"}), deadline=100)
    assert waited.ending.outcome == "timeout"
    assert [line["server_message"] for line in waited.lines if line["event"] == "warning"] == [
        "unknown status 'nsfw_review': neither success nor failure"
    ]


def test_words_beside_the_status_prove_nothing(tmp_path: Path) -> None:
    lie = {"id": "t-1", "status": "running", "message": "succeeded", "event": "succeeded", "error": None}
    waited = wait(tmp_path, lambda now: json_body(lie), deadline=60)
    assert waited.ending.outcome == "timeout"


def test_a_success_without_result_is_looked_at_five_more_times_over_30_s(tmp_path: Path) -> None:
    waited = wait(tmp_path, lambda now: json_body({"id": "t-1", "status": "succeeded"}))
    assert waited.ending.outcome == "no_result"
    assert waited.pauses == [1.0, 3.0, 6.0, 8.0, 12.0]


def test_a_result_that_meets_a_passing_fault_has_more_looks(tmp_path: Path) -> None:
    """HTTP 500 for the result of a task that is done: the task stays done, and is not given up within half a minute."""
    fault = ApiError(Category.TRANSIENT, "internal error", http_status=500)
    missing = Look(snapshot=Snapshot(Status.SUCCEEDED, "COMPLETED", needs_result_fetch=True, error=fault))
    late = Look(snapshot=Snapshot(Status.SUCCEEDED, outputs=(Output("video", "https://x.example/v.mp4"),)))
    waited = wait(tmp_path / "late", lambda now: late if now > 100 else missing)
    assert waited.ending.outcome is Outcome.SUCCEEDED
    waited = wait(tmp_path / "never", lambda now: missing)
    assert waited.ending.outcome is Outcome.NO_RESULT and waited.ended_at > 100
    assert waited.ending.error == fault


@pytest.mark.parametrize(("bytes_per_s", "arrives"), [(400_000, True), (1_000, False)])
def test_an_answer_that_is_large_and_not_late_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_per_s: int, arrives: bool
) -> None:
    """A video of 12 MB inside an answer takes longer than any task's body; a trickle is given up."""
    clock: list[VirtualMailbox] = []

    class Arriving(Flight):
        @property
        def received(self) -> int:
            return int(clock[0].now * bytes_per_s)

        @received.setter
        def received(self, value: int) -> None: ...

    monkeypatch.setattr("videotasks.lifecycle.wait.Flight", Arriving)
    script = lambda now: slow(45.0, json_body(DONE))  # noqa: E731
    waited = wait(tmp_path, script, prepare=lambda mailbox, task: clock.append(mailbox), deadline=70.0)
    assert (waited.ending.outcome is Outcome.SUCCEEDED and waited.ended_at == 45.0) == arrives


def test_a_result_that_comes_late_counts(tmp_path: Path) -> None:
    early = {"id": "t-1", "status": "succeeded"}
    waited = wait(tmp_path, lambda now: json_body(DONE if now >= 9 else early))
    assert waited.ending.outcome == "succeeded"
    assert waited.ended_at == 10.0


def test_a_short_interval_does_not_shorten_the_looks_for_a_result(tmp_path: Path) -> None:
    limits = Timing(poll_interval_s=0.5)
    waited = wait(tmp_path, lambda now: json_body({"id": "t-1", "status": "succeeded"}), limits=limits)
    assert waited.ended_at == 30.0


# -- faults --------------------------------------------------------------------------------------------------------

SURVIVED = {
    "500": json_body({"error": {"code": "InternalServiceError", "message": "x"}}, 500),
    "502 page": body("<html>Unauthorized</html>", 502),
    "503": body("", 503),
    "520": body("", 520),
    "408": body("", 408),
    "409": body("", 409),
    "425": body("", 425),
    "429": json_body({"error": {"code": "RateLimitExceeded.X", "message": "x"}}, 429),
    "429 that sounds like no money": json_body({"error": {"code": "QuotaExceeded", "message": "x"}}, 429),
    "a gateway's own key trouble": json_body({"error": {"code": "AuthenticationError", "message": "x"}}, 502),
    "html 200": body("<html></html>"),
    "empty 200": body(""),
    "cut JSON": body('{"id": "t-1", "status": "succ'),
    "a list": json_body([DONE]),
    "another task's success": json_body({**DONE, "id": "t-2"}),
    "a string": json_body("succeeded"),
    "NaN": body('{"id": "t-1", "status": NaN}'),
    "login page 401": body("<html>Please log in</html>", 401),
    "blocked page 403": body("<html>Attention required</html>", 403),
    "page 404": body("<html>nginx</html>", 404),
    "redirect": body("", 302, {"location": "https://elsewhere.example/"}),
    "reset": silence("reset"),
    "timeout": silence("timeout"),
    "dns": silence("dns"),
    "refused": silence("refused"),
    "tls": silence("tls"),
    "a fault of our own": RuntimeError("in reading the answer"),
}


@pytest.mark.parametrize("fault", SURVIVED.values(), ids=SURVIVED)
def test_five_minutes_of_any_fault_are_survived(tmp_path: Path, fault: Any) -> None:
    waited = wait(tmp_path, broken_until(300, fault))
    assert waited.ending.outcome == "succeeded"
    assert waited.ended_at <= 311
    assert len(waited.asked) <= 55  # no more often than a healthy one


@pytest.mark.parametrize("fault", SURVIVED.values(), ids=SURVIVED)
def test_a_fault_without_end_ends_at_the_deadline(tmp_path: Path, fault: Any) -> None:
    waited = wait(tmp_path, lambda now: fault, deadline=60)
    assert waited.ending.outcome == "timeout"
    assert waited.ended_at == 60
    assert waited.asked[-1] == 60  # the last look


@pytest.mark.parametrize(
    ("answer", "category"),
    [
        (json_body({"error": {"code": "AuthenticationError", "message": "no"}}, 401), Category.AUTH),
        (body("", 401), Category.AUTH),
        (json_body({"error": {"code": "AccountOverdueError", "message": "no"}}, 402), Category.INSUFFICIENT_CREDITS),
        (json_body({"error": {"code": "AccessDenied", "message": "no"}}, 403), Category.PERMISSION),
        (body("", 403), Category.PERMISSION),
    ],
)
def test_a_refusal_in_the_provider_s_own_shape_ends_a_wait_at_once(
    tmp_path: Path, answer: Any, category: Category
) -> None:
    waited = wait(tmp_path, lambda now: answer)
    assert waited.ending.outcome == "refused" and waited.ended_at == 0
    assert waited.ending.error is not None and waited.ending.error.category is category


NOT_FOUND = json_body({"error": {"code": "ResourceNotFound", "message": "no such task"}}, 404)


@pytest.mark.parametrize("age_s", [0.0, None])
def test_404_has_three_looks_and_15_s_after_a_create_or_for_an_unknown_age(tmp_path: Path, age_s: float | None) -> None:
    waited = wait(tmp_path, broken_until(14, NOT_FOUND), age_s=age_s)
    assert waited.ending.outcome == "succeeded"
    waited = wait(tmp_path, lambda now: NOT_FOUND, age_s=age_s)
    assert waited.ending.outcome == "refused"
    assert 15 <= waited.ended_at < 30 and len(waited.asked) >= 3


def test_404_of_an_old_task_has_three_looks(tmp_path: Path) -> None:
    waited = wait(tmp_path, lambda now: NOT_FOUND, age_s=3600)
    assert waited.ending.outcome == "refused" and len(waited.asked) == 3


def test_404_between_good_looks_starts_anew(tmp_path: Path) -> None:
    calls = iter(range(1000))
    waited = wait(
        tmp_path,
        lambda now: json_body(DONE) if now > 200 else NOT_FOUND if next(calls) % 3 else json_body(RUNNING),
        age_s=3600,
    )
    assert waited.ending.outcome == "succeeded"


def test_a_request_that_hangs_is_given_up_and_asked_again(tmp_path: Path) -> None:
    waited = wait(tmp_path, lambda now: slow(float("inf"), json_body(DONE)) if now < 1 else json_body(DONE))
    assert waited.ending.outcome == "succeeded"
    assert 22 <= waited.ended_at <= 24  # its own 20 s, 2 s of slack, then at once


def test_an_answer_after_45_s_is_not_waited_for(tmp_path: Path) -> None:
    waited = wait(tmp_path, lambda now: slow(45, json_body(RUNNING)) if now < 1 else json_body(DONE))
    assert waited.ending.outcome == "succeeded" and waited.ended_at < 25


def test_a_hung_request_does_not_hold_the_deadline(tmp_path: Path) -> None:
    waited = wait(tmp_path, lambda now: slow(float("inf"), None), deadline=30)
    assert waited.ending.outcome == "timeout" and waited.ended_at <= 32


def test_the_last_look_at_the_deadline_counts(tmp_path: Path) -> None:
    waited = wait(tmp_path, task_of(59.99), deadline=60, limits=Timing(poll_interval_s=45))
    assert waited.ending.outcome == "succeeded" and waited.ended_at == 60


# -- what the server asks for --------------------------------------------------------------------------------------


def retry_after(value: str) -> Any:
    return json_body({"error": {"code": "RateLimitExceeded", "message": "slow down"}}, 429, {"retry-after": value})


@pytest.mark.parametrize("value", ["37", "Mon, 21 Sep 2026 14:13:57 GMT"])
def test_retry_after_in_seconds_and_as_a_date(tmp_path: Path, value: str) -> None:
    # EPOCH is Mon, 21 Sep 2026 14:13:20 GMT
    waited = wait(tmp_path, broken_until(1, retry_after(value)))
    assert waited.pauses == [37.0]


def test_retry_after_in_the_body(tmp_path: Path) -> None:
    answer = json_body({"detail": "slow down", "retry_after": 12}, 429)
    waited = wait(tmp_path, broken_until(1, answer, {"id": "t-1", "status": "failed"}), provider="replicate", age_s=0)
    assert waited.pauses[:1] == [12.0]


def test_an_absurd_retry_after_is_bounded_by_the_deadline(tmp_path: Path) -> None:
    waited = wait(tmp_path, lambda now: retry_after("86400"), deadline=90)
    assert waited.ending.outcome == "timeout" and waited.ended_at == 90


def test_an_explicit_interval_is_kept_as_given(tmp_path: Path) -> None:
    waited = wait(tmp_path, task_of(20), limits=Timing(poll_interval_s=0.7), random=lambda: 0.99)
    assert set(waited.pauses) == {0.7}


# -- streams -------------------------------------------------------------------------------------------------------


def stream(
    *events: tuple[float, Any], end: float | None = None, error: Any = None
) -> Callable[[VirtualMailbox, Watched], None]:
    """A stream whose events (data or names) come at their times, and which ends, or breaks, or stays open."""

    def prepare(mailbox: VirtualMailbox, task: Watched) -> None:
        task.stream = Stream(object(), Flight(), Client())
        for moment, data in events:
            text = data if isinstance(data, str) else json.dumps(data)
            mailbox.at(moment, Message("event", task.stream.token, SseEvent("message", text)))
        if end is not None:
            kind = "result" if error is None else "error"
            mailbox.at(end, Message(kind, task.stream.token, error))

    return prepare


def streamed(tmp_path: Path, script: Callable[[float], Any], *events: Any, **more: Any) -> Wait:
    end, error = more.pop("end", None), more.pop("error", None)
    return wait(tmp_path, script, prepare=stream(*events, end=end, error=error), **more)


def test_a_stream_ends_the_wait_at_once_and_nobody_asks(tmp_path: Path) -> None:
    events = [(moment, RUNNING) for moment in range(0, 60, 5)]
    waited = streamed(tmp_path, task_of(0), *events, (61.0, DONE))
    assert waited.ending.outcome == "succeeded" and waited.ending.source == "sse"
    assert waited.ended_at == 61.0 and not waited.asked


def test_a_mute_stream_is_doubted_after_15_s_and_polled_beside(tmp_path: Path) -> None:
    waited = streamed(tmp_path, task_of(40), (0.0, RUNNING))
    assert waited.asked[0] == 15.0
    assert waited.ending.outcome == "succeeded" and waited.ending.source == "poll"
    assert 40 <= waited.ended_at <= 44


def test_news_on_the_stream_quiets_the_doubt(tmp_path: Path) -> None:
    waited = streamed(tmp_path, task_of(200), (0.0, RUNNING), (14.0, RUNNING), (28.0, FAILED))
    assert not waited.asked and waited.ending.outcome == "failed"


@pytest.mark.parametrize("data", ["[DONE]", "{}", '{"event": "succeeded"}', "", "not json"])
def test_an_event_that_proves_nothing_makes_us_ask(tmp_path: Path, data: str) -> None:
    waited = streamed(tmp_path, task_of(30), (0.0, RUNNING), (5.0, data))
    assert waited.asked[0] == 5.0
    assert waited.ended_at >= 30


@pytest.mark.parametrize("data", ['{"type": "ping"}', '{"type": "Keep-Alive", "at": 7}', '{"event": "heartbeat"}'])
def test_heartbeats_cause_no_look(tmp_path: Path, data: str) -> None:
    beats = [(1.0 + n / 50, data) for n in range(500)]
    assert streamed(tmp_path, task_of(30), (0.0, RUNNING), *beats).asked[0] == 15.0


@pytest.mark.parametrize(
    "data", ["{}", "not json", '{"progress": 7}', '{"status": "succeeded"}', '{"error": {"code": "X", "message": "x"}}']
)
def test_a_flood_of_events_without_news_is_asked_for_at_the_pace_of_polls(tmp_path: Path, data: str) -> None:
    flood = [(1.0 + n / 50, data) for n in range(500)]
    waited = streamed(tmp_path, task_of(30), (0.0, RUNNING), *flood)
    assert waited.asked[0] == 1.0
    assert min(waited.pauses[:4]) >= 2.0


def test_the_end_of_somebody_else_s_task_is_not_ours(tmp_path: Path) -> None:
    waited = streamed(tmp_path, task_of(30), (1.0, {**DONE, "id": "t-2"}))
    assert waited.ended_at >= 30


def test_a_success_on_the_stream_without_its_result_is_asked_for(tmp_path: Path) -> None:
    waited = streamed(tmp_path, task_of(3), (3.0, {"id": "t-1", "status": "succeeded"}))
    assert waited.ending.outcome == "succeeded" and waited.asked == [3.0]


BARE = {"id": "t-1", "status": "failed"}  # as skills.video tells a failure on its stream


def test_a_failure_on_the_stream_without_a_reason_is_asked_for_once(tmp_path: Path) -> None:
    waited = streamed(tmp_path, task_of(3, FAILED), (3.0, BARE))
    assert waited.ending.outcome == "failed" and waited.asked == [3.0]
    assert waited.ending.error is not None and waited.ending.error.message == "no frames"


@pytest.mark.parametrize("answer", [json_body(RUNNING), json_body(BARE), silence("reset"), json_body({"x": 1})])
def test_a_failure_that_nobody_explains_is_a_failure_all_the_same(tmp_path: Path, answer: Any) -> None:
    waited = streamed(tmp_path, lambda now: answer, (3.0, BARE))
    assert waited.ending.outcome == "failed" and waited.asked == [3.0]


@pytest.mark.parametrize("error", [None, silence("reset"), silence("cut"), RuntimeError("?")])
def test_any_break_of_the_stream_is_followed_by_a_look_at_once(tmp_path: Path, error: Any) -> None:
    waited = streamed(tmp_path, task_of(30), (0.0, RUNNING), end=7.0, error=error)
    assert waited.asked[0] == 7.0
    assert waited.ending.outcome == "succeeded"
    assert any(line["event"] == "fallback_polling_start" for line in waited.lines)


def test_a_refusal_on_the_stream_is_checked_by_a_look(tmp_path: Path) -> None:
    event = {"error": {"code": "InternalServiceError", "message": "x"}}
    waited = streamed(tmp_path, task_of(20), (0.0, RUNNING), (4.0, event))
    assert waited.asked[0] == 4.0 and waited.ending.outcome == "succeeded"


# -- interrupts, records -------------------------------------------------------------------------------------------


def test_an_interrupt_ends_the_wait_at_once(tmp_path: Path) -> None:
    def interrupt(mailbox: VirtualMailbox, task: Watched) -> None:
        mailbox.at(33.0, Message("interrupt", None, 2))

    with pytest.raises(Interrupted) as stopped:
        wait(tmp_path, lambda now: slow(float("inf"), None), prepare=interrupt)
    assert stopped.value.signum == 2


def test_each_change_of_status_is_journaled_once(tmp_path: Path) -> None:
    words = {0: "queued", 10: "running"}
    waited = wait(
        tmp_path,
        lambda now: json_body(DONE if now >= 30 else {"id": "t-1", "status": words[10 if now >= 10 else 0]}),
    )
    lines = (waited.run.folder / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line).get("status") for line in lines if '"status"' in line] == ["queued", "running"]


def test_a_full_disk_does_not_end_a_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from videotasks.core import durable_files

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    def fill(mailbox: VirtualMailbox, task: Watched) -> None:
        monkeypatch.setattr(durable_files, "append_line", refuse)

    waited = wait(tmp_path, task_of(20), prepare=fill)
    assert waited.ending.outcome == "succeeded"
    assert any(line["event"] == "warning" and "No space left" in line["message"] for line in waited.lines)
    assert waited.run.state().status.value == "running"  # known to this process, though not to the disk
