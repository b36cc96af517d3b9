"""The one paid request: written ahead, sent again only when provably unsent or refused, its id on disk first."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import faults, tls_faults
from support.campaign import AMBIGUOUS, STREAMS, TOLD, UNREAD, UNSENT
from support.faults import json_answer
from support.faultserver import FaultServer, refused_port
from support.lifecycle import SHORT, Client, key_found
from support.taskserver import KEY, WIRES, CreateFault, TaskServer, event, refused, taken, told
from videotasks.core import durable_files
from videotasks.core.errors import Category
from videotasks.core.record import replace
from videotasks.core.workers import Mailbox, Message
from videotasks.lifecycle import create_answer, submit
from videotasks.lifecycle.create_answer import Decision
from videotasks.lifecycle.session import Context, Timing
from videotasks.network.client import Answer
from videotasks.network.client import Client as HttpClient
from videotasks.network.errors import NoAnswer
from videotasks.providers.load_profile import load_profile

ARK = load_profile("ark")
SOON = replace(SHORT, create_answer_s=0.4, stream_silence_s=0.4)


def journal(client: Client) -> list[dict[str, Any]]:
    return [json.loads(line) for line in client.run.journal_file.read_text().splitlines()]


def events_of(client: Client) -> list[str]:
    return [entry["event"] for entry in journal(client)]


# -- what an answer means ------------------------------------------------------------------------------------------


def judged(status: int, body: Any = "", headers: dict[str, str] | None = None) -> create_answer.CreateAnswer:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return create_answer.of_answer(ARK, Answer(status, headers or {}, data), now=0.0)


@pytest.mark.parametrize(
    "status",
    [
        300,
        302,
        303,
        304,
        305,
        306,
        309,
        407,
        408,
        409,
        412,
        425,
        428,
        444,
        499,
        *range(500, 512),
        520,
        524,
        599,
        600,
        999,
    ],
)
def test_statuses_that_leave_open_whether_a_task_was_made(status: int) -> None:
    assert judged(status).decision is Decision.UNKNOWN
    assert judged(status, {"error": {"code": "X", "message": "no"}}).decision is Decision.UNKNOWN


@pytest.mark.parametrize(
    "status", [301, 307, 308, 400, 401, 402, 403, 404, 405, 406, 410, 411, 413, 414, 415, 422, 431, 451]
)
def test_other_refusals_are_refusals(status: int) -> None:
    assert judged(status, {"error": {"code": "X", "message": "no"}}).decision is Decision.REFUSED


@pytest.mark.parametrize(
    "body",
    ["", "{", "<html></html>", "null", [], {}, {"id": None}, {"id": ""}, {"id": True}, {"id": {}}, {"id": "."}, "\x00"],
)
def test_a_2xx_without_an_id_is_unknown(body: Any) -> None:
    for status in (200, 201, 202, 204):
        assert judged(status, body).decision is Decision.UNKNOWN


def test_429_is_sent_again_only_where_it_says_slow_down() -> None:
    slow = judged(429, {"error": {"code": "RateLimitExceeded.X", "message": "slow down"}}, {"retry-after": "3"})
    assert slow.decision is Decision.RESEND and slow.retry_after_s == 3
    assert judged(429, {"error": {"code": "QuotaExceeded", "message": "no"}}).decision is Decision.REFUSED


def test_a_gateway_error_with_a_task_in_it_is_a_task() -> None:
    found = judged(502, {"id": "t-1", "status": "queued"})
    assert found.decision is Decision.ACCEPTED and found.task_id == "t-1"
    assert judged(502, {"id": "req-17", "message": "oops"}).decision is Decision.UNKNOWN


def test_silence_is_judged_by_the_flight_alone() -> None:
    for kind in ("tls", "refused", "dns", "timeout", "reset", "cut"):
        assert create_answer.of_silence(ARK, NoAnswer(kind, "x", sent=True)).decision is Decision.UNKNOWN
        assert create_answer.of_silence(ARK, NoAnswer(kind, "x", sent=False)).decision is Decision.NOT_SENT


LIES = {
    "UTF-16": json.dumps({"id": "t-1"}).encode("utf-16"),
    "Latin-1": '{"id": "t-1", "note": "é"}'.encode("latin-1"),
    "a byte order mark": b'\xef\xbb\xbf{"id": "t-1"}',
    "an event stream": b'event: created\ndata: {"id": "t-1"}\n\n',
    "a stream without its last blank line": b'data: {"id": "t-1"}',
}


@pytest.mark.parametrize("name", LIES)
def test_an_id_is_read_whatever_the_answer_is_called(name: str) -> None:
    found = create_answer.of_answer(ARK, Answer(200, {"content-type": "text/html"}, LIES[name]), now=0.0)
    assert found.decision is Decision.ACCEPTED and found.task_id == "t-1"
    cut = NoAnswer("cut", "x", sent=True, status=200, body=LIES[name])
    assert create_answer.of_silence(ARK, cut).task_id == "t-1"


@pytest.mark.parametrize("body", [b'{"id": "t-', b'data: {"id": "t-1", "sta', b'{"other": {"id": "t-1"}}', b"t-1"])
def test_half_an_id_is_none(body: bytes) -> None:
    found = create_answer.of_silence(ARK, NoAnswer("cut", "x", sent=True, status=200, body=body))
    assert found.decision is Decision.UNKNOWN and found.task_id is None


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (b'{"id": "t-1", "status": "queu', ["t-1"]),
        (b'<html>{"id":"t-1"} and {"id":"t-2"}</html>', ["t-1", "t-2"]),
        (b'{"id": null, "id": true}', []),
        (b'{"id": "a b"}', ["a"]),
        (b"{" + b'"id": "x",' * 9, ["x"]),
        (b"\x00\xff", []),
    ],
)
def test_ids_in_an_answer_that_could_not_be_read_are_candidates(body: bytes, ids: list[str]) -> None:
    assert create_answer.candidate_ids(ARK, body) == ids


def test_a_profile_may_name_more_refusals() -> None:
    profile = replace(ARK, create=replace(ARK.create, refused_on=(409,)))
    answer = Answer(409, {}, b'{"error": {"code": "X", "message": "one at a time"}}')
    assert create_answer.of_answer(profile, answer, now=0.0).decision is Decision.REFUSED


# -- a refusal with an id in it: a free look decides ---------------------------------------------------------------

LOOKED = {
    "a task is there": (json_answer({"id": "t-9", "status": "running"}), 11, 1),
    "none is there": (json_answer({"error": {"code": "ResourceNotFound", "message": "no task"}}, 404), 22, 2),
    "nobody says": (faults.html(502), 3, 1),
}


@pytest.mark.parametrize("name", LOOKED)
def test_a_refusal_with_an_id_is_looked_at(tmp_path: Path, name: str) -> None:
    look, code, posts = LOOKED[name]
    refusal = refused(json_answer({"id": "t-9", "error": {"code": "InvalidParameter", "message": "no"}}, 400))
    with TaskServer(WIRES["ark"], creates=[refusal] * 2, polls=[look] * 20) as server:
        client = Client(server, tmp_path)
        assert client.create(wait_s=0.3).code == code
        assert client.create(wait_s=0.3).code == code and len(server.posts) == posts


def test_an_answer_without_an_id_is_kept_with_its_candidates(tmp_path: Path) -> None:
    cut = taken(faults.raw(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"id": "t-1", "echo": "' + KEY.encode()))
    with TaskServer(WIRES["ark"], creates=[cut]) as server:
        client = Client(server, tmp_path)
        outcome = client.create()
        assert outcome.code == 3 and outcome.final["error"]["ids_in_answer"] == ["t-1"]
        kept = (client.run.folder / outcome.final["error"]["answer_file"]).read_text()
        assert kept.startswith('{"id": "t-1"') and not key_found(tmp_path, outcome.stdout)
        assert client.run.state().ids_in_answer == ["t-1"]


# -- on the wire ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "streaming"),
    [(fault, False) for fault in AMBIGUOUS] + [(fault, True) for fault in AMBIGUOUS[::4]],
    ids=lambda value: value.name if isinstance(value, CreateFault) else "stream" if value else "plain",
)
def test_an_ambiguous_create_is_never_sent_again(tmp_path: Path, fault: CreateFault, streaming: bool) -> None:
    with TaskServer(WIRES["ark"], creates=[fault]) as server:
        client = Client(server, tmp_path / "a", streaming=streaming, limits=SOON)
        first = client.create()
        assert first.code == 3
        assert first.final["error"]["category"] == "submission_unknown"
        assert "task_status.py" in first.final["next"] and "create_and_wait" not in first.final["next"]
        assert events_of(client)[:2] == ["submitting", "submission_unknown"]
        server.heal()
        second = client.create()
        assert second.code == 3
        assert len(server.posts) == 1
        assert len(client.runs()) == 1


@pytest.mark.parametrize("name", [name for name, (_, tells) in STREAMS.items() if not tells])
def test_a_stream_without_an_id_is_unknown(tmp_path: Path, name: str) -> None:
    with TaskServer(WIRES["skills-video"], stream=STREAMS[name][0], stream_tells=False) as server:
        client = Client(server, tmp_path / "a", streaming=True, limits=SOON)
        assert client.create().code == 3
        server.heal()
        assert client.create().code == 3
        assert len(server.posts) == 1


@pytest.mark.parametrize("fault", TOLD, ids=lambda fault: fault.name)
def test_an_odd_but_whole_answer_is_an_answer(tmp_path: Path, fault: CreateFault) -> None:
    with TaskServer(WIRES["ark"], creates=[fault]) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 0
        assert client.run.state().task_id == server.task_id and server.paid == 1


@pytest.mark.parametrize("fault", [*UNSENT, *UNREAD], ids=lambda fault: fault.name)
def test_a_connection_that_breaks_early_pays_at_most_once(tmp_path: Path, fault: CreateFault) -> None:
    with TaskServer(WIRES["ark"], creates=[fault]) as server:
        client = Client(server, tmp_path / "a")
        outcome = client.create()
        assert (outcome.code, server.paid) in ((0, 1), (3, 0))


def test_a_refused_connection_is_tried_again_and_then_ends_unsent(tmp_path: Path) -> None:
    with refused_port() as port, TaskServer(WIRES["ark"]) as server:
        server.base = f"http://127.0.0.1:{port}/api/v3"
        client = Client(server, tmp_path / "a")
        outcome = client.create()
        assert outcome.code == 24
        assert outcome.final["error"]["code"] == "refused"
        assert events_of(client) == ["not_sent"] * 3 + ["reported"]
        assert not client.run.state().unfinished
        server.base = server.base_url + "/api/v3"
        assert client.create().code == 0 and server.paid == 1


def test_a_server_that_comes_up_between_the_tries_is_paid_once(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        real, tries = socket.socket.connect, []

        def connect(self: socket.socket, address: Any) -> None:
            tries.append(address)
            if len(tries) == 1:
                raise ConnectionRefusedError(111, "Connection refused")
            real(self, address)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket.socket, "connect", connect)
            assert client.create().code == 0
        assert server.paid == 1 and events_of(client)[:3] == ["not_sent", "submitting", "submitted"]


def test_a_name_that_does_not_resolve_is_unsent(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"]) as server:
        server.base = "http://no-such-host.invalid/api/v3"
        outcome = Client(server, tmp_path / "a").create()
        assert outcome.code == 24 and outcome.final["error"]["code"] == "dns"
        assert "permission for network access" in outcome.final["error"]["hint"]


TLS_AFTER = {
    "plain text": tls_faults.tls_plain_answer,
    "alert": tls_faults.tls_alert,
    "bad record": tls_faults.tls_bad_record,
}
TLS_BEFORE = {
    "alert": tls_faults.handshake_alert,
    "plain text": tls_faults.handshake_plain,
    "reset": tls_faults.handshake_reset,
}


def _tls_create(tmp_path: Path, action: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[FaultServer, Any, Client]:
    with FaultServer(action, tls=True) as server, TaskServer(WIRES["ark"]) as inner:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.ca_file)
        inner.base = server.base_url + "/api/v3"
        client = Client(inner, tmp_path / "a")
        return server, client.create(), client


@pytest.mark.parametrize("make", TLS_AFTER.values(), ids=TLS_AFTER)
def test_a_tls_fault_after_the_request_pays_once(
    tmp_path: Path, make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, outcome, client = _tls_create(tmp_path, make(), monkeypatch)
    assert outcome.code == 3, outcome.final
    assert len(server.posts) == 1 and client.run.state().phase == "submission_unknown"


@pytest.mark.parametrize("make", TLS_BEFORE.values(), ids=TLS_BEFORE)
def test_a_tls_fault_before_the_request_sends_nothing(
    tmp_path: Path, make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, outcome, client = _tls_create(tmp_path, make(), monkeypatch)
    assert outcome.code == 24, outcome.final
    assert server.accepted == 3 and not server.posts
    assert "submitting" not in events_of(client)


def test_an_untrusted_certificate_sends_nothing(tmp_path: Path) -> None:
    with FaultServer(faults.json_answer({"id": "x"}), tls=True) as server, TaskServer(WIRES["ark"]) as inner:
        inner.base = server.base_url + "/api/v3"
        assert Client(inner, tmp_path / "a").create().code == 24
        assert not server.posts


# -- refusals ------------------------------------------------------------------------------------------------------


def slow_down(after: str = "0.02") -> CreateFault:
    action = faults.retry_after(after, 429, {"error": {"code": "RateLimitExceeded.X", "message": "slow down"}})
    return CreateFault("429", lambda wire, task_id: action, creates=False)


def test_429_is_sent_again_when_the_server_asked_to(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"], creates=[slow_down(), slow_down()]) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 0
        assert server.refused_creates == 2 and server.paid == 1
        assert events_of(client)[:4] == ["submitting", "resend", "submitting", "resend"]
        assert client.run.state().posts == 3


def test_the_retry_budget_is_bounded(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"], creates=[slow_down()] * 50) as server:
        outcome = Client(server, tmp_path / "a").create()
        assert outcome.code == 24 and outcome.final["error"]["category"] == "rate_limited"
        assert server.refused_creates == SHORT.max_resends + 1 and server.paid == 0


def test_a_retry_after_beyond_the_wait_is_not_waited_for(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"], creates=[slow_down("3000")]) as server:
        assert Client(server, tmp_path / "a").create().code == 24
        assert server.refused_creates == 1


@pytest.mark.parametrize("asked", ["0", "Tue, 14 Nov 2023 22:13:50 GMT"])
def test_a_server_may_ask_for_a_longer_pause_never_for_a_shorter_one(
    tmp_path: Path, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[float] = []
    monkeypatch.setattr(Context, "pause", lambda self, seconds: paused.append(seconds))
    with TaskServer(WIRES["ark"], creates=[slow_down(asked)] * 2) as server:
        assert Client(server, tmp_path / "a", limits=replace(SHORT, resend_pause_s=0.1)).create().code == 0
    assert paused == [0.1, 0.2]


def test_the_pauses_between_creates_end_within_the_time_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []
    monkeypatch.setattr(Context, "pause", lambda self, seconds: paused.append(seconds))
    with TaskServer(WIRES["ark"], creates=[slow_down("40")] * 9) as server:
        client = Client(server, tmp_path / "a", limits=replace(SHORT, wait_s=60))
        client.monotonic = lambda: time.monotonic() + sum(paused)
        assert client.create().code == 24
    assert paused == [40.0] and server.refused_creates == 2  # a third would come after 80 s


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, {"error": {"code": "AuthenticationError", "message": "x"}}, 21),
        (403, {"error": {"code": "AccountOverdueError", "message": "x"}}, 20),
        (403, {"error": {"code": "AccessDenied", "message": "x"}}, 27),
        (400, {"error": {"code": "InvalidParameter", "message": "x"}}, 22),
        (400, {"error": {"code": "InputTextSensitiveContentDetected", "message": "x"}}, 26),
        (404, {"error": {"code": "InvalidEndpointOrModel.NotFound", "message": "x"}}, 23),
    ],
)
def test_a_refusal_exits_with_its_category_s_code(tmp_path: Path, status: int, body: Any, code: int) -> None:
    fault = CreateFault("refused", lambda wire, task_id: faults.json_answer(body, status), creates=False)
    with TaskServer(WIRES["ark"], creates=[fault]) as server:
        client = Client(server, tmp_path / "a")
        outcome = client.create()
        assert outcome.code == code
        assert client.run.state().phase == "refused" and client.run.state().reported
        document = json.loads(client.run.result_file.read_text())
        assert document["status"] == "failed" and "Nothing was created" in document["summary"]


@pytest.mark.parametrize("status", [404, 405])
def test_a_stream_endpoint_that_is_not_there_is_replaced_by_the_plain_one(tmp_path: Path, status: int) -> None:
    fault = CreateFault("no stream", lambda wire, task_id: faults.answer(status), creates=False)
    with TaskServer(WIRES["skills-video"], creates=[fault]) as server:
        client = Client(server, tmp_path / "a", streaming=True)
        assert client.create().code == 0
        assert [post.target for post in server.posts] == [
            "/api/v1/generation/sse/openai/sora-2",
            "/api/v1/generation/openai/sora-2",
        ]
        assert server.paid == 1


def test_501_of_the_stream_endpoint_is_unknown_as_every_5xx(tmp_path: Path) -> None:
    with TaskServer(WIRES["skills-video"], creates=[taken(faults.answer(501))]) as server:
        assert Client(server, tmp_path / "a", streaming=True).create().code == 3
        assert len(server.posts) == 1


# -- written ahead -------------------------------------------------------------------------------------------------


def test_the_journal_is_on_disk_before_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        append = durable_files.append_line

        def noted(path: Path, record: dict[str, Any], **_: Any) -> None:
            append(path, record)
            order.append(f"{record['event']}, {len(server.posts)} posts")

        monkeypatch.setattr(durable_files, "append_line", noted)
        assert client.create().code == 0
    assert order[:2] == ["submitting, 0 posts", "submitted, 1 posts"]


def test_the_id_is_on_disk_before_it_is_printed(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        session = client.session()
        seen: list[tuple[str, str | None]] = []
        session.ctx.reporter.event = (  # type: ignore[method-assign]
            lambda name, **fields: seen.append((str(fields.get("task_id")), client.run.state().task_id))
        )
        from videotasks.lifecycle.carry_out import carry_out

        assert carry_out(client.plan(session), wait_s=5) == 0
        printed = [(told, on_disk) for told, on_disk in seen if told == server.task_id]
        assert printed and all(told == on_disk for told, on_disk in printed)


def test_a_journal_that_cannot_be_written_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, record: dict[str, Any], **_: Any) -> None:
        raise OSError(28, "No space left on device")

    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        with monkeypatch.context() as patch:
            patch.setattr(durable_files, "append_line", full)
            outcome = client.create()
        assert outcome.code == 1
        assert "nothing was sent" in outcome.final["error"]["message"]
        assert "the disk is full" in outcome.final["error"]["message"]
        assert not server.posts
        assert client.create().code == 0 and server.paid == 1


def test_a_disk_that_fills_up_after_the_create_loses_no_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = durable_files.append_line

    def full(path: Path, record: dict[str, Any], **_: Any) -> None:
        if record["event"] != "submitting":
            raise OSError(28, "No space left on device")
        append(path, record)

    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        with monkeypatch.context() as patch:
            patch.setattr(durable_files, "append_line", full)
            outcome = client.create()
        assert outcome.code == 0 and outcome.final["task_id"] == server.task_id
        warned = [line for line in outcome.lines if line["event"] == "warning" and "task_id" in line]
        assert warned[0]["task_id"] == server.task_id
        # The disk never learnt it: the next command must look, not pay.
        assert client.create().code == 3 and server.paid == 1


def test_a_read_only_workspace_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with TaskServer(WIRES["ark"]) as server:
        outcome = Client(server, tmp_path / "file" / "a").create()
        assert outcome.code == 1 and not server.posts


def test_the_key_is_nowhere_but_in_its_header(tmp_path: Path) -> None:
    echo = faults.json_answer({"error": {"code": "X", "message": f"Bearer {KEY} is unknown"}}, 422)
    fault = CreateFault("echo", lambda wire, task_id: echo, creates=False)
    with TaskServer(WIRES["ark"], creates=[fault]) as server:
        outcome = Client(server, tmp_path / "a").create()
        assert outcome.code == 22
        assert [one.where for one in server.sightings] == ["authorization"]
        assert not key_found(tmp_path, outcome.stdout, outcome.stderr)


# -- interrupts while it is in flight ------------------------------------------------------------------------------


class Interrupting(Mailbox):
    """A mailbox into which signals fall at given moments after the request was sent."""

    def __init__(self, server: TaskServer, *after_s: float) -> None:
        super().__init__()
        import threading

        def fall() -> None:
            server.wait_for(lambda: bool(server.posts))
            began = self.monotonic()
            for moment in after_s:
                while self.monotonic() - began < moment:
                    threading.Event().wait(0.005)
                self.put(Message("interrupt", None, 2))

        threading.Thread(target=fall, daemon=True).start()


def late_answer(seconds: float) -> CreateFault:
    return told("late", lambda wire, task_id: faults.late(seconds, faults.json_answer(wire.created(task_id))))


def test_an_interrupt_waits_for_the_answer_and_stores_the_id(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"], creates=[late_answer(0.25)]) as server:
        client = Client(server, tmp_path / "a", mailbox=lambda: Interrupting(server, 0.05))
        outcome = client.create()
        assert outcome.code == 130 and outcome.final["event"] == "interrupted"
        assert outcome.final["task_id"] == client.run.state().task_id == server.task_id
        assert "wait_generation.py" in outcome.final["next"]


def test_a_second_interrupt_ends_unknown(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"], creates=[late_answer(1.0)]) as server:
        client = Client(server, tmp_path / "a", mailbox=lambda: Interrupting(server, 0.05, 0.1))
        outcome = client.create()
        assert outcome.code == 3 and client.run.state().phase == "submission_unknown"


def test_the_grace_of_an_interrupt_ends(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"], creates=[taken(faults.silence())]) as server:
        patient = replace(SHORT, create_answer_s=60.0)
        client = Client(server, tmp_path / "a", mailbox=lambda: Interrupting(server, 0.05), limits=patient)
        began = time.monotonic()
        assert client.create().code == 3
        assert SHORT.interrupt_grace_s < time.monotonic() - began < patient.create_answer_s / 2
    assert Timing().interrupt_grace_s == 5.0


def test_an_interrupt_during_a_429_is_not_followed_by_another_create(tmp_path: Path) -> None:
    refusal = faults.retry_after("0.02", 429, {"error": {"code": "RateLimitExceeded", "message": "x"}})
    fault = CreateFault("late 429", lambda wire, task_id: faults.late(0.2, refusal), creates=False)
    with TaskServer(WIRES["ark"], creates=[fault]) as server:
        client = Client(server, tmp_path / "a", mailbox=lambda: Interrupting(server, 0.05))
        outcome = client.create()
        assert outcome.code == 130 and len(server.posts) == 1
        client.mailbox = Mailbox
        assert client.create().code == 0  # nothing was created, so the same command may create
        assert server.paid == 1


def test_an_interrupt_before_a_405_is_not_followed_by_the_plain_create(tmp_path: Path) -> None:
    fault = CreateFault("late 405", lambda wire, task_id: faults.late(0.2, faults.answer(405)), creates=False)
    with TaskServer(WIRES["skills-video"], creates=[fault]) as server:
        client = Client(server, tmp_path / "a", streaming=True, mailbox=lambda: Interrupting(server, 0.05))
        assert client.create().code == 130 and len(server.posts) == 1


def test_an_error_event_before_an_id_is_the_provider_s_word_but_no_proof(tmp_path: Path) -> None:
    wire = WIRES["skills-video"]
    stream = {"error": "SORA2_GENERATION_FAILED", "message": "upstream"}
    with TaskServer(wire, stream=lambda s, t: faults.sse(event(stream)), stream_tells=False) as server:
        outcome = Client(server, tmp_path / "a", streaming=True).create()
        assert outcome.code == 3
        assert outcome.final["error"]["server_message"] == "upstream"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"type": "ping", "id": "evt_1"}, ""),
        ({"id": "evt_1"}, "heartbeat"),
        ({"type": "keep-alive", "id": 7}, "message"),
        ({"type": "connected", "id": "conn-1"}, ""),
    ],
)
def test_the_id_of_a_heartbeat_is_not_the_id_of_the_task(tmp_path: Path, data: Any, name: str) -> None:
    """It was taken for the paid task's: each look at it a 404, and the id that came next was nobody's."""
    stream = [event(data, name), event({"id": "task-7f31", "status": "IN_QUEUE"})]
    with TaskServer(WIRES["skills-video"], stream=lambda s, t: faults.sse(*stream)) as server:
        outcome = Client(server, tmp_path / "a", streaming=True).create()
    assert outcome.code == 0 and outcome.final["task_id"] == "task-7f31"
    alone = TaskServer(WIRES["skills-video"], stream=lambda s, t: faults.sse(stream[0]), stream_tells=False)
    with alone as server:
        assert Client(server, tmp_path / "b", streaming=True).create().code == 3


def test_what_a_mute_stream_has_sent_is_kept(tmp_path: Path) -> None:
    """An id in an event that the stream never ended is offered to whoever looks."""
    begun = 'event: created\ndata: {"id": "g-1"'
    with TaskServer(WIRES["skills-video"], stream=lambda s, t: faults.sse(begun, faults.HOLD)) as server:
        client = Client(server, tmp_path / "a", streaming=True, limits=SOON)
        assert client.create().final["error"]["ids_in_answer"] == ["g-1"]


def test_submission_unknown_never_says_retry() -> None:
    error = submit.submission_unknown("x")
    assert error.category is Category.SUBMISSION_UNKNOWN
    assert "retry" not in f"{error.message} {error.expected} {error.hint}".lower()


def test_a_flight_that_was_aborted_before_its_first_byte_stays_unsent() -> None:
    written: list[str] = []
    with FaultServer(faults.json_answer({"id": "x"})) as server:
        from videotasks.network.flight import Flight

        flight = Flight(lambda: written.append("journal"))
        assert flight.abort() is False
        with pytest.raises(NoAnswer) as stopped:
            HttpClient().request("POST", server.base_url, json_body={}, flight=flight)
        assert not stopped.value.sent and stopped.value.kind == "aborted"
        assert not written and not server.posts
