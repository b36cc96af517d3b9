"""The faults that sixteen other clients were measured against: no one survived all of them without paying twice.

13 kinds of passing poll faults, four outages of 20 s, one request that hangs for 45 s, seven ambiguous creates.
The time scale is compressed; the outages and the hang also run uncompressed, in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import faults
from support.faults import answer, html, json_answer, retry_after
from support.faultserver import Action
from support.lifecycle import SHORT, Client
from support.parameters import most_are_slow
from support.taskserver import VIDEO, WIRES, FileHost, TaskServer, taken, whole_stream
from support.virtual import Slow, body, json_body, silence, wait
from videotasks.core.record import replace
from videotasks.lifecycle.session import Timing

ERROR = {"error": {"message": "upstream fault", "code": "InternalServiceError"}}
BLIPS: dict[str, list[Action]] = {
    "500 x2": [json_answer(ERROR, 500)] * 2,
    "502 html x2": [html(502)] * 2,
    "503 x2": [json_answer(ERROR, 503)] * 2,
    "429 with Retry-After x2": [retry_after("0.1", 429, ERROR)] * 2,
    "429 x2": [json_answer(ERROR, 429)] * 2,
    "520 x2": [html(520)] * 2,
    "408": [answer(408)],
    "reset x2": [faults.reset_after_request()] * 2,
    "EOF x2": [faults.close_without_answer()] * 2,
    "truncated body": [faults.cut_length(b'{"status": "running"}', 9)],
    "html 200": [html(200)],
    "empty 200": [faults.empty(200)],
    "404 on the first poll": [json_answer({"error": {"message": "not found", "code": "ResourceNotFound"}}, 404)],
}


@pytest.mark.parametrize("provider", most_are_slow(["ark", "skills-video"], "ark"))
@pytest.mark.parametrize("blip", BLIPS, ids=str)
def test_every_blip_is_survived(tmp_path: Path, blip: str, provider: str) -> None:
    with TaskServer(WIRES[provider], polls=BLIPS[blip], polls_needed=len(BLIPS[blip]) + 1) as server:
        outcome = Client(server, tmp_path / "a").create()
        assert outcome.code == 0
        assert Path(outcome.final["video_file"]).read_bytes() == VIDEO
        assert server.paid == 1 and server.looks > len(BLIPS[blip])


@pytest.mark.parametrize("blip", ["404 on the first poll", "502 html x2"])
def test_a_dead_link_is_renewed_through_a_blip(tmp_path: Path, blip: str) -> None:
    with (
        FileHost([answer(403, "<Error><Code>AccessDenied</Code></Error>")]) as files,
        TaskServer(WIRES["ark"], stream=whole_stream, polls=BLIPS[blip], link_origin=files.base_url) as server,
    ):
        outcome = Client(server, tmp_path / "a", streaming=True).create()
        assert outcome.code == 0 and server.paid == 1
        assert Path(outcome.final["video_file"]).read_bytes() == VIDEO


def test_there_are_thirteen() -> None:
    assert len(BLIPS) == 13


class Outage:
    """A server that is away for a while after its first good answer."""

    def __init__(self, fault: Action, seconds: float) -> None:
        self.fault, self.seconds, self.until = fault, seconds, 0.0

    def server(self) -> TaskServer:
        import time

        outage = self

        class Away(TaskServer):
            def _choose(self, request: Any) -> Action:
                if request.method == "GET" and self.looks and not request.target.startswith("/files/"):
                    outage.until = outage.until or time.monotonic() + outage.seconds
                    if time.monotonic() < outage.until:
                        self._watch(request)
                        return outage.fault
                return super()._choose(request)

        return Away(WIRES["ark"], polls_needed=2)


OUTAGES = {
    "503": json_answer(ERROR, 503),
    "reset": faults.reset_after_request(),
    "500": json_answer(ERROR, 500),
    "429 with Retry-After": retry_after("0.2", 429, ERROR),
}


@pytest.mark.parametrize("fault", OUTAGES.values(), ids=OUTAGES)
def test_every_outage_is_survived(tmp_path: Path, fault: Action) -> None:
    """Over real connections, compressed forty times; whole lengths follow in virtual time."""
    with Outage(fault, 0.5).server() as server:
        client = Client(server, tmp_path / "a", limits=replace(SHORT, poll_interval_s=0.08))
        assert client.create().code == 0
        assert server.paid == 1


AWAY = {
    "503": json_body(ERROR, 503),
    "reset": silence("reset"),
    "500": json_body(ERROR, 500),
    "429 with Retry-After": json_body(ERROR, 429, {"retry-after": "2"}),
    "DNS": silence("dns"),
}


@pytest.mark.parametrize("seconds", [20, 400])
@pytest.mark.parametrize("fault", AWAY.values(), ids=AWAY)
def test_outages_of_their_whole_length(tmp_path: Path, fault: Any, seconds: float) -> None:
    def script(now: float) -> Any:
        if 3 <= now < 3 + seconds:
            return fault
        done = {"id": "t-1", "status": "succeeded", "content": {"video_url": "https://cdn.example/v.mp4"}}
        return json_body(done if now >= 4 else {"id": "t-1", "status": "running"})

    waited = wait(tmp_path, script)
    assert waited.ending.outcome == "succeeded"
    assert waited.ended_at <= 3 + seconds + 11


def test_one_poll_that_hangs_for_45_s(tmp_path: Path) -> None:
    """Compressed by --poll-request-timeout; then at its whole length."""
    with TaskServer(WIRES["ark"], polls=[faults.silence()], polls_needed=2) as server:
        assert Client(server, tmp_path / "a", limits=replace(SHORT, poll_request_s=0.3)).create().code == 0
        assert server.paid == 1

    def script(now: float) -> Any:
        done = {"id": "t-1", "status": "succeeded", "content": {"video_url": "https://cdn.example/v.mp4"}}
        return Slow(45, body("{}")) if now < 3 else json_body(done)

    waited = wait(tmp_path / "b", script)
    assert waited.ending.outcome == "succeeded" and waited.ended_at < 30


AMBIGUOUS: dict[str, Callable[[], Action]] = {
    "reset after the request": faults.reset_after_request,
    "EOF after the request": faults.close_without_answer,
    "no answer in time": faults.silence,
    "500": lambda: json_answer(ERROR, 500),
    "502 page": lambda: html(502),
    "504 page": lambda: html(504),
    "truncated 200": lambda: faults.cut_length(b'{"id": "task-7f31", "status": "queued"}', 9),
}


@pytest.mark.parametrize("provider", WIRES)
@pytest.mark.parametrize("make", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_no_ambiguous_create_is_paid_twice(tmp_path: Path, make: Callable[[], Action], provider: str) -> None:
    with TaskServer(WIRES[provider], creates=[taken(make())]) as server:
        client = Client(server, tmp_path / "a", limits=replace(SHORT, create_answer_s=0.4))
        assert client.create().code == 3
        server.heal()
        assert client.create().code == 3
        assert server.paid == len(server.posts) == 1


def test_a_create_that_was_refused_before_acceptance(tmp_path: Path) -> None:
    """429 with Retry-After is safe to send again; a 503 is not known to be."""
    from support.taskserver import CreateFault

    slow = CreateFault("429", lambda w, t: retry_after("0.05", 429, ERROR), creates=False)
    with TaskServer(WIRES["ark"], creates=[slow]) as server:
        assert Client(server, tmp_path / "a").create().code == 0 and server.paid == 1
    with TaskServer(WIRES["ark"], creates=[taken(retry_after("0.05", 503, ERROR))]) as server:
        assert Client(server, tmp_path / "b").create().code == 3 and len(server.posts) == 1


def test_the_stream_s_end_ends_the_wait_without_a_poll(tmp_path: Path) -> None:
    """How soon is measured by benchmarks/detection_lag.py."""
    from support.taskserver import event

    def told(server: TaskServer, task_id: str) -> Action:
        last = event(server.final())
        return faults.sse(event(server.body("queued")), 0.05, last, faults.HOLD)  # it does not even close the stream

    with TaskServer(WIRES["skills-video"], stream=told) as server:
        outcome = Client(server, tmp_path / "a", streaming=True, download=False, limits=Timing()).create()
        assert outcome.code == 0 and outcome.final["source"] == "sse"
        assert not [request for request in server.requests if request.method == "GET"]
