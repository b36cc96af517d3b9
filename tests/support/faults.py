"""Actions of the fault server: honest answers, and every way in which a server or the network between breaks one.

An action is made of steps: bytes are sent, numbers are seconds of pause, functions of the exchange are called
(`HOLD` until released, `RESET`, `CLOSE`).
"""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

from support.faultserver import STAGES, Action, Exchange, Request

Step = bytes | float | Callable[[Exchange], None]
Headers = Mapping[str, str] | Iterable[tuple[str, str]]

HOLD = Exchange.hold
RESET = Exchange.reset
CLOSE = Exchange.close

MIB = 1 << 20
CREATED = b'{"id": "t_1"}'  # the body that the broken answers break


# -- building blocks ---------------------------------------------------------------------------------------------


def raw(*steps: Step, stage: str = "body", name: str = "raw") -> Action:
    """Exactly these steps; the connection is closed after them."""
    return Action(name, lambda exchange: _play(exchange, (*steps, CLOSE)), stage)


def at(stage: str, action: Action) -> Action:
    """The same action at another stage: `at("head", answer(413))` answers before the body is read."""
    assert stage in STAGES, stage
    return dataclasses.replace(action, stage=stage)


def late(seconds: float, action: Action) -> Action:
    """The action after a pause."""
    return _after(lambda exchange: exchange.pause(seconds), action, "late")


def interim(action: Action, *statuses: int) -> Action:
    """The action after answers that are none yet: 102 and 103, each with a header of its own."""
    lines = b"".join(b"HTTP/1.1 %d Interim\r\nLink: </a.css>; rel=preload\r\n\r\n" % status for status in statuses)
    return _after(lambda exchange: exchange.send(lines), action, "interim answers")


def when_released(action: Action) -> Action:
    """The action as soon as the test calls `server.release()`."""
    return _after(HOLD, action, "when released")


def routes(
    table: Mapping[str, Action | Sequence[Action]], default: Action | None = None
) -> Callable[[Request], Action]:
    """A script by method and path: {"POST /v1/videos": [...], "GET /v1/videos/*": [...]}.

    The query is no part of the pattern. The first pattern that fits counts, each has its own sequence, whose last
    action repeats; whatever fits none gets `default` (404).
    """
    used = dict.fromkeys(table, 0)

    def choose(request: Request) -> Action:
        line = f"{request.method} {request.target.partition('?')[0]}"
        for pattern, actions in table.items():
            if fnmatch.fnmatchcase(line, pattern):
                if isinstance(actions, Action):
                    return actions
                used[pattern] += 1
                return actions[min(used[pattern], len(actions)) - 1]
        return default or json_answer({"error": "no such route"}, 404)

    return choose


# -- answers that are whole --------------------------------------------------------------------------------------


def answer(
    status: int = 200,
    body: bytes | str = b"",
    headers: Headers = (),
    *,
    framing: str = "length",
    close: bool = False,
) -> Action:
    """A whole answer. `framing` says how its end is told: length, chunked, or close (of the connection)."""
    content = body.encode() if isinstance(body, str) else body

    def run(exchange: Exchange) -> None:
        bare = status in (204, 304) or (exchange.request is not None and exchange.request.method == "HEAD")
        exchange.send(head(status, headers, len(content) if framing == "length" else framing))
        if not bare:
            exchange.send(chunk(content) + chunk(b"") if framing == "chunked" else content)
        if close or framing == "close":
            exchange.close()

    return Action(f"answer {status}", run)


def json_answer(value: Any, status: int = 200, headers: Headers = (), **options: Any) -> Action:
    return answer(status, json.dumps(value), [("Content-Type", "application/json"), *_pairs(headers)], **options)


def html(status: int = 200, text: str = "<!DOCTYPE html><title>Attention</title><h1>One moment</h1>") -> Action:
    """A page where JSON was expected, as gateways and captive portals send it."""
    return answer(status, text, {"Content-Type": "text/html; charset=utf-8"})


def empty(status: int = 200) -> Action:
    return answer(status)


def redirect(location: str, status: int = 302) -> Action:
    return answer(status, headers={"Location": location})


def retry_after(
    value: float | datetime | str, status: int = 429, body: Any = None, header: str = "Retry-After"
) -> Action:
    """A refusal with a hint: seconds, a moment (sent as an HTTP date), or any text as it is."""
    if isinstance(value, datetime):
        value = format_datetime(value.astimezone(timezone.utc), usegmt=True)
    return json_answer({"error": "slow down"} if body is None else body, status, {header: str(value)})


def chunked(*parts: bytes, pause: float = 0.0, headers: Headers = (), status: int = 200) -> Action:
    """A whole chunked answer, each part its own chunk."""
    steps: list[Step] = [head(status, headers, "chunked")]
    for part in parts:
        steps += [chunk(part), pause]
    return Action("chunked", lambda exchange: _play(exchange, (*steps, chunk(b""))))


def split_utf8(text: str, headers: Headers = (("Content-Type", "application/json"),)) -> Action:
    """Every byte in a chunk of its own, so that no character is whole."""
    content = text.encode()
    return chunked(*(content[i : i + 1] for i in range(len(content))), headers=headers)


def trickle(body: bytes, pause: float = 0.05, size: int = 1, headers: Headers = (), status: int = 200) -> Action:
    """A whole answer in drops."""
    drops = _drops(body, pause, size)
    return Action("trickle", lambda exchange: _play(exchange, (head(status, headers, len(body)), *drops)))


def trickle_head(pause: float = 0.05) -> Action:
    """Status line and headers in drops, too."""
    return raw(*_drops(head(200, (), len(CREATED)) + CREATED, pause, 1), name="trickle head")


def sse(
    *steps: Step | str, framing: str = "close", headers: Headers = (), status: int = 200, end: bool = True
) -> Action:
    """An event stream: bytes or text as given, pauses, HOLD, RESET. With `end`, the stream ends properly."""
    pairs = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache"), *_pairs(headers)]
    coded: list[Step] = [head(status, pairs, framing)]
    for step in steps:
        content = step.encode() if isinstance(step, str) else step
        coded.append(chunk(content) if isinstance(content, bytes) and framing == "chunked" else content)
    if end and framing == "chunked":
        coded.append(chunk(b""))
    return raw(*coded, name="sse")


# -- no answer ---------------------------------------------------------------------------------------------------


def reset_on_connect() -> Action:
    """RST right after accept(), perhaps before the client has written a byte."""
    return raw(RESET, stage="accept", name="reset on connect")


def reset_unread() -> Action:
    """RST when the client's first byte has come, of which nothing is read."""
    return raw(Exchange.wait_for_bytes, RESET, stage="open", name="reset unread")


def reset_after_headers() -> Action:
    """RST when the request's head, but not its body, was read."""
    return raw(RESET, stage="head", name="reset after headers")


def reset_after_request() -> Action:
    return raw(RESET, name="reset after request")


def reset_mid_headers(sent: bytes = b"HTTP/1.1 200 OK\r\nContent-Ty") -> Action:
    return raw(sent, RESET, name="reset in the headers of the answer")


def reset_mid_body(body: bytes = CREATED, sent: int = 5) -> Action:
    return raw(head(200, (), len(body)), body[:sent], RESET, name="reset in the body of the answer")


def close_unread() -> Action:
    """FIN although the request was not read."""
    return raw(Exchange.wait_for_bytes, stage="open", name="close unread")


def close_without_answer() -> Action:
    return raw(name="close without an answer")


def half_status_line() -> Action:
    return raw(b"HTTP/1.", name="half a status line")


def garbage(data: bytes = b"\x00\x01\xfe\xffSSH-2.0-OpenSSH_9.9\r\n\r\n") -> Action:
    return raw(data, name="garbage")


def continue_then_close() -> Action:
    return raw(b"HTTP/1.1 100 Continue\r\n\r\n", name="100, then close")


def silence() -> Action:
    """The request is read and nothing comes, until released or the client gives up."""
    return raw(HOLD, name="silence")


def silence_after_headers() -> Action:
    """The head of an answer, and then nothing."""
    return raw(head(200, {"Content-Type": "application/json"}, 100), HOLD, name="silence after headers")


# -- answers that end too early, too late, never, or lie -----------------------------------------------------------


def cut_length(body: bytes = CREATED, sent: int = 5, headers: Headers = ()) -> Action:
    """Fewer bytes than Content-Length says."""
    return raw(head(200, headers, len(body)), body[:sent], name="cut within its length")


def cut_chunk(body: bytes = CREATED, sent: int = 5, headers: Headers = ()) -> Action:
    """The connection ends in the middle of a chunk."""
    part = chunk(body)[: len(chunk(body)) - len(body) - 2 + sent]
    return raw(head(200, headers, "chunked"), part, name="cut in a chunk")


def cut_between_chunks(body: bytes = CREATED, sent: int = 5, headers: Headers = ()) -> Action:
    """Whole chunks, but not the last, empty one."""
    return raw(head(200, headers, "chunked"), chunk(body[:sent]), name="cut between chunks")


def cut_close_delimited(body: bytes = CREATED, sent: int = 5, headers: Headers = ()) -> Action:
    """Half a body whose end only the connection's end tells: no library can notice."""
    return raw(head(200, headers, "close"), body[:sent], name="cut without a length")


def lie_about_length(body: bytes = CREATED, claimed: int = 5, headers: Headers = ()) -> Action:
    """All of the body under a Content-Length of another size."""
    return raw(head(200, headers, claimed), body, name="wrong length")


def two_lengths(body: bytes = CREATED, other: int = 5) -> Action:
    return raw(head(200, {"Content-Length": str(other)}, len(body)), body, name="two lengths")


def bad_chunk_size(body: bytes = CREATED) -> Action:
    return raw(head(200, (), "chunked"), b"zz\r\n" + body + b"\r\n0\r\n\r\n", name="bad chunk size")


def endless_body(
    piece: bytes = b"x" * 65536, limit: int = 256 * MIB, headers: Headers = (), pause: float = 0.0
) -> Action:
    """Chunks without end (`limit` bytes at most, in case nobody stops it)."""

    def run(exchange: Exchange) -> None:
        exchange.send(head(200, headers, "chunked"))
        for _ in range(limit // len(piece)):
            exchange.send(chunk(piece))
            if pause:
                exchange.pause(pause)
        exchange.close()

    return Action("endless body", run)


def endless_headers(limit: int = 64 * MIB) -> Action:
    def run(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\n")
        line = b"X-Filler: " + b"x" * 1000 + b"\r\n"
        for _ in range(limit // len(line)):
            exchange.send(line)
        exchange.close()

    return Action("endless headers", run)


def huge_length(claimed: int = 10**13, body: bytes = b"x" * 1000) -> Action:
    """Ten terabytes announced, a kilobyte sent, then silence."""
    return raw(head(200, (), claimed), body, HOLD, name="huge length")


def gzip_bomb(size: int = 64 * MIB, headers: Headers = ()) -> Action:
    """`size` zeros, a thousandth of that on the wire; compressed as it is sent."""

    def run(exchange: Exchange) -> None:
        exchange.send(head(200, [("Content-Encoding", "gzip"), *_pairs(headers)], "chunked"))
        for part in _gzip_zeros(size):
            exchange.send(chunk(part))
        exchange.send(chunk(b""))

    return Action("gzip bomb", run)


# -- helpers -----------------------------------------------------------------------------------------------------


def head(status: int, headers: Headers = (), framing: int | str = "close") -> bytes:
    """Status line and headers; `framing` is a length, "chunked" or "close". A Date is added unless given."""
    phrase = {known.value: known.phrase for known in HTTPStatus}.get(status, "Unknown")
    pairs = _pairs(headers)
    if not any(name.lower() == "date" for name, _ in pairs):
        pairs.append(("Date", format_datetime(datetime.now(timezone.utc), usegmt=True)))
    if framing == "chunked":
        pairs.append(("Transfer-Encoding", "chunked"))
    elif framing == "close":
        pairs.append(("Connection", "close"))
    else:
        pairs.append(("Content-Length", str(framing)))
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in pairs)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; empty data is its end."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    return list(headers.items()) if isinstance(headers, Mapping) else list(headers)


def _play(exchange: Exchange, steps: Iterable[Step]) -> None:
    for step in steps:
        if exchange.closed:
            return
        if isinstance(step, bytes):
            exchange.send(step)
        elif isinstance(step, (int, float)):
            exchange.pause(step)
        else:
            step(exchange)


def _after(first: Callable[[Exchange], None], action: Action, name: str) -> Action:
    def run(exchange: Exchange) -> None:
        first(exchange)
        action.run(exchange)

    return dataclasses.replace(action, name=f"{name}: {action.name}", run=run)


def _drops(data: bytes, pause: float, size: int) -> list[Step]:
    return [step for i in range(0, len(data), size) for step in (data[i : i + size], pause)]


def _gzip_zeros(size: int) -> Iterator[bytes]:
    packer = zlib.compressobj(9, wbits=31)
    piece = bytes(MIB)
    for _ in range(size // MIB):
        if part := packer.compress(piece):
            yield part
    yield packer.compress(bytes(size % MIB)) + packer.flush()
