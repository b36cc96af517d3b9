"""The one client: which bytes are the answer to which request, and whether the libraries can read one."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
import urllib3

from support import faults
from support.faults import answer, json_answer
from support.faultserver import FaultServer
from videotasks.core.errors import TaskError
from videotasks.network.client import Client
from videotasks.network.errors import NoAnswer, no_answer_of
from videotasks.network.flight import Flight
from videotasks.providers.load_profile import load_profile
from videotasks.providers.normalize import about_another_task
from videotasks.providers.provider import no_answer_error


@pytest.mark.parametrize("statuses", [(100,), (102,), (103,), (101,), (102, 103, 103, 100, 199)])
def test_answers_that_are_none_yet_are_read_past(statuses: tuple[int, ...]) -> None:
    with FaultServer(faults.interim(json_answer({"id": "t_1"}), *statuses)) as server:
        got = Client().request("POST", server.base_url, json_body={})
    assert got.status == 200 and got.json() == {"id": "t_1"}


def test_the_answer_behind_an_interim_one_is_never_the_next_requests() -> None:
    late = faults.late(0.15, json_answer({"id": "t_1"}))
    with FaultServer([faults.interim(late, 102), json_answer({"id": "t_2"})]) as server:
        client = Client()
        assert client.request("GET", server.base_url).json() == {"id": "t_1"}
        assert client.request("GET", server.base_url).json() == {"id": "t_2"}


def test_an_interim_answer_as_the_last_word_is_no_answer() -> None:
    with FaultServer(faults.raw(b"HTTP/1.1 103 Early Hints\r\n\r\n")) as server, pytest.raises(NoAnswer) as caught:
        Client().request("POST", server.base_url, json_body={})
    assert caught.value.sent and caught.value.status is None


def test_interim_answers_without_end_are_no_answer() -> None:
    with FaultServer(faults.interim(json_answer({"id": "t_1"}), *[102] * 500)) as server:
        client = Client()
        with pytest.raises(NoAnswer) as caught:
            client.request("GET", server.base_url)
    assert caught.value.sent


def test_a_connection_with_more_on_it_than_the_answer_is_not_used_again() -> None:
    """A second answer that nobody asked for must not be the next request's."""
    extra = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"id":"old"}'
    two = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"id":"t_1"}'
    with FaultServer([faults.raw(two + extra, 0.2, name="two answers"), json_answer({"id": "t_2"})]) as server:
        client = Client()
        assert client.request("GET", server.base_url).json() == {"id": "t_1"}
        try:
            second = client.request("GET", server.base_url).json()
        except NoAnswer:
            second = None  # the connection's end met the request: no answer, and asked again by whoever waits
        assert second in (None, {"id": "t_2"})


@pytest.mark.parametrize(
    ("provider", "body", "another"),
    [
        ("skills-video", {"id": "g1", "status": "IN_PROGRESS"}, False),
        ("skills-video", {"id": "g2", "status": "COMPLETED"}, True),
        ("skills-video", {"status": "COMPLETED"}, False),
        ("skills-video", {"id": "G1", "status": "COMPLETED"}, False),
        ("creatok", {"code": 0, "data": {"task_id": "g2", "status": "succeeded"}}, True),
        ("creatok", {"code": 0, "data": {"task_id": "g1", "status": "succeeded"}}, False),
        ("ark", {"id": "videos/g1", "status": "running"}, False),
        ("ark", {"id": "videos/xg1", "status": "running"}, True),
    ],
)
def test_an_answer_about_another_task_is_told(provider: str, body: dict[str, object], another: bool) -> None:
    assert about_another_task(load_profile(provider), body, "g1") is another


def test_a_library_that_is_too_old_is_told_before_a_connection_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(answer(200)) as server:
        for version in ("1.26.20", "2.0.7", "2.5"):
            monkeypatch.setattr(urllib3, "__version__", version)
            with pytest.raises(TaskError) as caught:
                Client().request("POST", server.base_url, json_body={})
            assert caught.value.exit_code == 1 and caught.value.code == "library_too_old"
            assert "urllib3" in caught.value.message and "2.6 or newer" in caught.value.message
        monkeypatch.setattr(urllib3, "__version__", "2.10.0")
        assert Client().request("POST", server.base_url, json_body={}).status == 200
        assert server.posts_taken == 1


# -- proxies ---------------------------------------------------------------------------------------------------------


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _silence(monkeypatch: pytest.MonkeyPatch, proxy: str) -> NoAnswer:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(NoAnswer) as caught:
        Client().request("GET", "https://gateway.example/v1", timeout=5)
    return caught.value


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_a_dead_proxy_is_named_and_not_the_host_behind_it(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    place = f"127.0.0.1:{closed_port()}"
    silence = _silence(monkeypatch, f"{scheme}://user:secret@{place}")
    assert silence.kind == "proxy" and not silence.sent
    assert place in silence.message and "secret" not in silence.message
    told = no_answer_error(silence)
    assert "PROXY" in str(told.hint) and "later" not in str(told.hint)


def test_socks_without_support_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)  # as where PySocks is not installed
    monkeypatch.delitem(sys.modules, "urllib3.contrib.socks", raising=False)
    error = requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")
    silence = no_answer_of(error, Flight(), "https://gateway.example/v1")
    assert isinstance(silence, NoAnswer) and silence.kind == "no_socks" and "SOCKS" in silence.message
    assert "PySocks" in str(no_answer_error(silence).hint)


def test_a_request_through_socks_counts_as_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections of urllib3's SOCKS manager report no first byte: a lost answer would be paid for again."""
    with socks_proxy() as (place, taken):
        monkeypatch.setenv("ALL_PROXY", f"socks5h://{place}")
        with pytest.raises(NoAnswer) as caught:
            Client().request("POST", "http://gateway.example/v1", json_body={}, timeout=5)
    assert taken == [b"gateway.example"]
    assert caught.value.sent


@contextmanager
def socks_proxy() -> Iterator[tuple[str, list[bytes]]]:
    """A SOCKS5 proxy that takes one request and hangs up without an answer."""
    taken: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(100)
            peer.sendall(b"\x05\x00")
            taken.append(peer.recv(300)[5:-2])
            peer.sendall(b"\x05\x00\x00\x01" + bytes(6))
            peer.recv(10_000)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", taken
        thread.join(5)
    finally:
        listener.close()


def test_a_certificate_out_of_its_time_points_at_the_clock() -> None:
    from videotasks.network.errors import no_answer_of
    from videotasks.network.flight import Flight

    error = OSError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate is not yet valid")
    cause = type("SSLCertVerificationError", (OSError,), {})(str(error))
    answer = no_answer_of(cause, Flight(), "https://api.example/")
    assert getattr(answer, "kind", None) == "tls" and "this machine's time" in str(answer)
