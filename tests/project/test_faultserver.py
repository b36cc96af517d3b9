"""The fault server does what its actions say: seen with raw sockets and http.client, which hide nothing."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import pytest

from support import faults, tls_faults
from support.faults import CLOSE, HOLD, RESET, answer, at, json_answer, late, raw, routes, sse, when_released
from support.faultserver import Action, Exchange, FaultServer, Request, Script, refused_port

BODY = b'{"prompt": "a cat"}'


def request_bytes(body: bytes = BODY, *, keep_alive: bool = True) -> bytes:
    close = b"" if keep_alive else b"Connection: close\r\n"
    return b"POST /v1/videos HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s" % (close, len(body), body)


@contextlib.contextmanager
def connected(server: FaultServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
        if server.ca_file:
            context = ssl.create_default_context(cafile=server.ca_file)
            # ragged ends are to be seen: by default the ssl module turns even RST into an ordinary end
            with context.wrap_socket(sock, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as secured:
                yield secured
        else:
            yield sock


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while part := sock.recv(65536):
        data += part
    return data


def exchange(script: Script) -> tuple[bytes, BaseException | None, FaultServer]:
    """What comes back on the wire until the connection ends, and how it ends."""
    data = b""
    with FaultServer(script) as server, connected(server) as sock:
        try:
            sock.sendall(request_bytes(keep_alive=False))
            while part := sock.recv(65536):
                data += part
        except OSError as error:
            return data, error, server
    return data, None, server


def body_of(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[2]


def unchunk(data: bytes) -> bytes:
    whole = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        if not int(size, 16):
            return whole
        whole, data = whole + data[: int(size, 16)], data[int(size, 16) + 2 :]


# -- the record --------------------------------------------------------------------------------------------------


def test_requests_are_recorded_and_connections_reused() -> None:
    with FaultServer([json_answer({"id": "t_1"}, 201), json_answer({"status": "running"})]) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        before = time.monotonic()
        client.request("POST", "/v1/videos?x=1", BODY, {"X-Test": "yes"})
        response = client.getresponse()
        assert (response.status, json.load(response)) == (201, {"id": "t_1"})
        assert abs((parsedate_to_datetime(response.headers["Date"]) - datetime.now(timezone.utc)).total_seconds()) < 60
        for _ in range(3):  # the last action repeats
            client.request("GET", "/v1/videos/t_1")
            assert json.load(client.getresponse()) == {"status": "running"}
        first, *rest = server.requests
        assert (first.method, first.target, first.body, first.complete) == ("POST", "/v1/videos?x=1", BODY, True)
        assert (first.header("x-test"), first.header("nothing"), first.json()) == ("yes", "", {"prompt": "a cat"})
        assert before <= first.time <= time.monotonic()
        assert [request.connection for request in server.requests] == [1, 1, 1, 1]
        assert (server.accepted, server.posts_taken, len(rest)) == (1, 1, 3)
        client.close()


def test_a_chunked_request_is_put_together() -> None:
    with FaultServer(answer()) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        client.request(
            "POST", "/", iter([b"one", b"two"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
        )
        assert client.getresponse().status == 200
        assert server.requests[0].body == b"onetwo"
        client.close()


def test_expect_100_is_answered() -> None:
    with FaultServer(answer(body="ok", close=True)) as server, connected(server) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        assert body_of(read_all(sock)) == b"ok"


def test_a_post_that_did_not_arrive_whole_is_not_taken() -> None:
    with FaultServer(answer()) as server:
        with connected(server) as sock:
            sock.sendall(request_bytes()[:-3])
        assert server.wait_for(lambda: len(server.posts) == 1)
        time.sleep(0.05)
        assert (server.posts_taken, server.posts[0].complete, server.posts[0].body) == (0, False, BODY[:-3])


def test_wait_for_is_bounded() -> None:
    with FaultServer(answer()) as server:
        assert not server.wait_for(lambda: server.posts_taken == 1, timeout=0.05)


def test_routes_keep_a_sequence_each() -> None:
    table = {"POST /v1/*": json_answer({"id": 1}), "GET /v1/*": [json_answer(1), json_answer(2)]}
    with FaultServer(routes(table)) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        got = []
        for line in ("GET /v1/a?q=1", "POST /v1/a", "GET /v1/b", "GET /v1/b", "GET /"):
            client.request(*line.split())
            response = client.getresponse()
            got.append((response.status, json.load(response)))
        assert got == [(200, 1), (200, {"id": 1}), (200, 2), (200, 2), (404, {"error": "no such route"})]
        client.close()


def test_a_function_may_look_at_the_body() -> None:
    def script(request: Request) -> Action:
        return json_answer({"you said": request.json()["prompt"]}, close=True)

    data, _, _ = exchange(script)
    assert json.loads(body_of(data)) == {"you said": "a cat"}


def test_what_a_script_raises_reaches_the_test() -> None:
    def script(request: Request) -> Action:
        raise KeyError("wrong script")

    with pytest.raises(KeyError), FaultServer(script) as server, connected(server) as sock:
        sock.sendall(request_bytes())
        read_all(sock)


def test_many_clients_at_once() -> None:
    with FaultServer(answer(body="x", close=True)) as server:

        def one() -> None:
            with connected(server) as sock:
                sock.sendall(request_bytes())
                read_all(sock)

        threads = [threading.Thread(target=one) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert (server.posts_taken, server.accepted) == (20, 20)


# -- whole answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_three_framings(framing: str) -> None:
    data, error, _ = exchange(answer(200, "hello", framing=framing, close=True))
    head, _, body = data.partition(b"\r\n\r\n")
    assert error is None
    assert (b"Content-Length: 5" in head) is (framing == "length")
    assert (b"Transfer-Encoding: chunked" in head) is (framing == "chunked")
    assert body == (b"5\r\nhello\r\n0\r\n\r\n" if framing == "chunked" else b"hello")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects(status: int) -> None:
    data, _, _ = exchange(faults.redirect("https://evil.example/x", status))
    assert data.startswith(b"HTTP/1.1 %d " % status)
    assert b"Location: https://evil.example/x\r\n" in data


@pytest.mark.parametrize(
    ("value", "header"),
    [
        (3, b"Retry-After: 3\r\n"),
        (0.5, b"Retry-After: 0.5\r\n"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), b"Retry-After: Fri, 02 Jan 2026 03:04:05 GMT\r\n"),
        ("soon", b"Retry-After: soon\r\n"),
    ],
)
def test_retry_after(value: float | datetime | str, header: bytes) -> None:
    data, _, _ = exchange(faults.retry_after(value, body={"retry_after": 7}))
    assert data.startswith(b"HTTP/1.1 429 ") and header in data and body_of(data).startswith(b'{"retry_after": 7}')
    data, _, _ = exchange(faults.retry_after(9, header="retry-after-ms"))
    assert b"retry-after-ms: 9\r\n" in data


def test_pages_and_nothing() -> None:
    data, _, _ = exchange(faults.html())
    assert data.startswith(b"HTTP/1.1 200 ") and b"text/html" in data and b"<h1>" in data
    data, _, _ = exchange(faults.empty())
    assert data.startswith(b"HTTP/1.1 200 ") and b"Content-Length: 0\r\n" in data


def test_every_byte_in_its_own_chunk() -> None:
    data, _, _ = exchange(faults.split_utf8('"\u00fc\U0001f3ac"'))
    assert body_of(data).count(b"1\r\n") == 8
    assert unchunk(body_of(data)).decode() == '"\u00fc\U0001f3ac"'


def test_a_head_only_answer_has_no_body() -> None:
    with FaultServer(answer(body="hello")) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        for _ in range(2):
            client.request("HEAD", "/")
            assert client.getresponse().read() == b""
        client.close()


def test_an_answer_before_the_body_was_read() -> None:
    with FaultServer(at("head", answer(413, "too large"))) as server, connected(server) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        assert read_all(sock).startswith(b"HTTP/1.1 413 ")
        assert server.posts_taken == 0


# -- time --------------------------------------------------------------------------------------------------------


def arrivals(script: Action) -> list[tuple[float, bytes]]:
    """(seconds since the request, bytes) of everything received."""
    got = []
    with FaultServer(script) as server, connected(server) as sock:
        started = time.monotonic()
        sock.sendall(request_bytes())
        while part := sock.recv(65536):
            got.append((time.monotonic() - started, part))
    return got


def test_late_answer() -> None:
    ((after, data),) = arrivals(late(0.15, answer(close=True)))
    assert after >= 0.15 and data.startswith(b"HTTP/1.1 200")


def test_trickle_comes_in_drops() -> None:
    for script, drops in ((faults.trickle_head(0.003), 60), (_closing(faults.trickle(b"x" * 30, 0.005)), 15)):
        got = arrivals(script)
        assert len(got) > drops
        assert got[-1][0] >= 0.09


def _closing(action: Action) -> Action:
    def run(exchange: Exchange) -> None:
        action.run(exchange)
        exchange.close()

    return Action(action.name, run)


def test_silence_lasts_until_released() -> None:
    for script, first in ((faults.silence(), b""), (faults.silence_after_headers(), b"HTTP/1.1 200")):
        with FaultServer(script) as server, connected(server) as sock:
            sock.sendall(request_bytes())
            sock.settimeout(0.1)
            data = b""
            with pytest.raises(TimeoutError):
                for _ in range(1000):
                    data += sock.recv(1000) or b"END"
            assert data.startswith(first) and b"END" not in data and server.posts_taken == 1
            server.release()
            sock.settimeout(5)
            assert read_all(sock) == b""


def test_answer_when_released() -> None:
    with FaultServer(when_released(answer(close=True))) as server, connected(server) as sock:
        sock.sendall(request_bytes())
        assert server.wait_for(lambda: server.posts_taken == 1)
        server.release()
        assert read_all(sock).startswith(b"HTTP/1.1 200")


def test_closing_the_server_ends_whatever_hangs() -> None:
    scripts = [faults.silence(), raw(HOLD, stage="accept"), raw(25.0), faults.endless_body(pause=0.01), answer()]
    for script in scripts:
        server = FaultServer(script).__enter__()
        with connected(server) as sock:
            sock.sendall(request_bytes()[:-1] if script.name == "answer 200" else request_bytes())
            time.sleep(0.05)
            started = time.monotonic()
            server.close()
            assert time.monotonic() - started < 5, script.name  # each would last 25 s and more
        assert not server.threads_alive


# -- event streams -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["close", "chunked"])
def test_event_stream(framing: str) -> None:
    data, error, _ = exchange(sse(": hi\n\n", 0.01, b"data: \xc3", b"\xbc\n\n", framing=framing))
    body = unchunk(body_of(data)) if framing == "chunked" else body_of(data)
    assert (body.decode(), error) == (": hi\n\ndata: \u00fc\n\n", None)
    assert b"Content-Type: text/event-stream\r\n" in data


def test_event_stream_that_breaks() -> None:
    data, error, _ = exchange(sse("data: 1\n\n", RESET))
    assert data.endswith(b"data: 1\n\n") and isinstance(error, ConnectionResetError)
    data, error, _ = exchange(sse("data: 1\n\n", framing="chunked", end=False))
    assert data.endswith(b"data: 1\n\n\r\n") and error is None


# -- no answer ---------------------------------------------------------------------------------------------------

RESETS: dict[str, tuple[Callable[[], Action], bytes, int]] = {
    "unread": (faults.reset_unread, b"", 0),
    "after headers": (faults.reset_after_headers, b"", 0),
    "after request": (faults.reset_after_request, b"", 1),
    "mid headers": (faults.reset_mid_headers, b"HTTP/1.1 200 OK\r\nContent-Ty", 1),
}


@pytest.mark.parametrize("name", RESETS)
def test_resets(name: str) -> None:
    action, expected, taken = RESETS[name]
    data, error, server = exchange(action())
    assert isinstance(error, ConnectionError), "RST, not FIN"
    assert (data, server.posts_taken, len(server.posts)) == (expected, taken, 0 if name == "unread" else 1)


def test_reset_mid_body() -> None:
    data, error, _ = exchange(faults.reset_mid_body())
    assert body_of(data) == b'{"id"' and b"Content-Length: 13" in data and isinstance(error, ConnectionError)


def test_reset_on_connect() -> None:
    with FaultServer([faults.reset_on_connect(), answer(close=True)]) as server:
        with pytest.raises(ConnectionError), connected(server) as sock:
            time.sleep(0.05)
            sock.sendall(request_bytes())
            sock.recv(100)
            sock.recv(100)
        with connected(server) as sock:
            sock.sendall(request_bytes())
            assert read_all(sock).startswith(b"HTTP/1.1 200")
        assert (server.accepted, server.posts_taken) == (2, 1)


CLOSES = {
    "unread": (faults.close_unread, b"", 0),
    "without an answer": (faults.close_without_answer, b"", 1),
    "half a status line": (faults.half_status_line, b"HTTP/1.", 1),
    "garbage": (lambda: faults.garbage(b"\x00\xff"), b"\x00\xff", 1),
    "100, then close": (faults.continue_then_close, b"HTTP/1.1 100 Continue\r\n\r\n", 1),
}


@pytest.mark.parametrize("name", CLOSES)
def test_closes(name: str) -> None:
    action, expected, taken = CLOSES[name]
    data, error, server = exchange(action())
    assert (data, error, server.posts_taken) == (expected, None, taken)


def test_a_refused_port_refuses() -> None:
    with refused_port() as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


# -- answers that lie --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "head", "body"),
    [
        (faults.cut_length(), b"Content-Length: 13\r\n", b'{"id"'),
        (faults.cut_chunk(), b"Transfer-Encoding: chunked\r\n", b'd\r\n{"id"'),
        (faults.cut_between_chunks(), b"Transfer-Encoding: chunked\r\n", b'5\r\n{"id"\r\n'),
        (faults.cut_close_delimited(), b"Connection: close\r\n", b'{"id"'),
        (faults.lie_about_length(), b"Content-Length: 5\r\n", b'{"id": "t_1"}'),
        (faults.lie_about_length(claimed=50), b"Content-Length: 50\r\n", b'{"id": "t_1"}'),
        (faults.two_lengths(), b"Content-Length: 5\r\n", b'{"id": "t_1"}'),
        (faults.bad_chunk_size(), b"Transfer-Encoding: chunked\r\n", b'zz\r\n{"id": "t_1"}\r\n0\r\n\r\n'),
    ],
)
def test_broken_bodies(action: Action, head: bytes, body: bytes) -> None:
    data, error, _ = exchange(action)
    assert head in data and (body_of(data), error) == (body, None)


def test_libraries_see_the_cuts_they_can_see() -> None:
    for action, seen in [
        (faults.cut_length(), True),
        (faults.cut_chunk(), True),
        (faults.cut_between_chunks(), True),
        (faults.cut_close_delimited(), False),
    ]:
        with FaultServer(action) as server:
            client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
            client.request("GET", "/")
            response = client.getresponse()
            if seen:
                with pytest.raises(http.client.IncompleteRead):
                    response.read()
            else:
                assert response.read() == b'{"id"'
            client.close()


def receive(script: Action, amount: int) -> bytes:
    with FaultServer(script) as server, connected(server) as sock:
        sock.sendall(request_bytes())
        data = b""
        while len(data) < amount:
            part = sock.recv(65536)
            assert part, "it ended"
            data += part
    return data


def test_what_does_not_end() -> None:
    assert body_of(receive(faults.endless_body(), 2_000_000)).startswith(b"10000\r\nxxx")
    assert b"\r\n\r\n" not in receive(faults.endless_headers(), 2_000_000)
    huge = receive(faults.huge_length(), 1050)
    assert b"Content-Length: 10000000000000\r\n" in huge
    data, error, _ = exchange(faults.endless_body(limit=200_000))
    assert error is None and 190_000 < len(data) < 210_000, "bounded all the same"


def test_gzip_bomb() -> None:
    data, _, _ = exchange(faults.gzip_bomb(8 << 20))
    assert b"Content-Encoding: gzip\r\n" in data
    assert len(data) < 20_000
    assert zlib.decompress(unchunk(body_of(data)), wbits=31) == bytes(8 << 20)


def test_raw_steps_and_the_sentinels() -> None:
    assert exchange(raw(b"a", 0.01, b"b", CLOSE, b"never"))[:2] == (b"ab", None)
    data, error, _ = exchange(raw(b"a", RESET, b"never"))
    assert data == b"a" and isinstance(error, ConnectionResetError)


# -- TLS ---------------------------------------------------------------------------------------------------------


def test_tls_answers_and_records() -> None:
    with FaultServer(answer(body="safe", close=True), tls=True) as server, connected(server) as sock:
        assert server.base_url.startswith("https://127.0.0.1:")
        data = b""
        sock.sendall(request_bytes())
        with pytest.raises(ssl.SSLEOFError):  # the end of the connection without TLS's own goodbye
            for _ in range(1000):
                data += sock.recv(1000)
        assert body_of(data) == b"safe"
        assert server.posts_taken == 1


@pytest.mark.parametrize("action", [tls_faults.tls_plain_answer, tls_faults.tls_alert, tls_faults.tls_bad_record])
def test_tls_faults_after_the_request(action: Callable[[], Action]) -> None:
    with FaultServer(action(), tls=True) as server:
        with pytest.raises(ssl.SSLError), connected(server) as sock:
            sock.sendall(request_bytes())
            read_all(sock)
        assert server.posts_taken == 1, "the request was taken although the library speaks of a failed handshake"


@pytest.mark.parametrize("action", [tls_faults.handshake_alert, tls_faults.handshake_plain, tls_faults.handshake_reset])
def test_tls_faults_before_the_request(action: Callable[[], Action]) -> None:
    with FaultServer([action(), answer(close=True)], tls=True) as server:
        with pytest.raises(OSError), connected(server):
            pass
        assert (server.accepted, server.requests) == (1, [])
        with connected(server) as sock:
            sock.sendall(request_bytes())
            assert sock.recv(1000).startswith(b"HTTP/1.1 200")


def test_tls_handshake_that_hangs() -> None:
    with FaultServer(tls_faults.handshake_silence(), tls=True) as server:
        context = ssl.create_default_context(cafile=server.ca_file)
        with socket.create_connection(("127.0.0.1", server.port), timeout=0.1) as sock, pytest.raises(TimeoutError):
            context.wrap_socket(sock, server_hostname="127.0.0.1")


@pytest.mark.parametrize("action", [faults.reset_unread, faults.reset_after_request])
def test_resets_within_tls(action: Callable[[], Action]) -> None:
    with FaultServer(action(), tls=True) as server, pytest.raises(OSError), connected(server) as sock:
        sock.sendall(request_bytes())
        read_all(sock)


def test_a_client_that_does_not_trust_the_certificate_sends_nothing() -> None:
    with FaultServer(answer(), tls=True) as server:
        context = ssl.create_default_context()
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        with sock, pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(sock, server_hostname="127.0.0.1")
        assert server.requests == []


def test_closing_the_server_ends_a_handshake_that_the_client_never_begins() -> None:
    server = FaultServer(answer(), tls=True).__enter__()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5):
        assert server.wait_for(lambda: server.accepted == 1)
        time.sleep(0.05)
        started = time.monotonic()
        server.close()
        assert time.monotonic() - started < 5  # a socket lasts 30 s


def test_linger_is_what_resets() -> None:
    """The counter-check to every RESET above: without it, the same connection ends with FIN."""
    _, error, _ = exchange(raw(b"HTTP/1.1 200 OK\r\nContent-Ty"))
    assert error is None


def test_settling_waits_for_what_a_client_sent_and_left() -> None:
    """Without it, a request of a client that was killed may be counted after the test has looked."""

    def slowly(request: faults.Request) -> Action:
        time.sleep(0.2)
        request.read()
        return answer()

    with FaultServer(slowly) as server:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
                sock.sendall(request_bytes())
        server.settle()
        assert server.posts_taken == 3
