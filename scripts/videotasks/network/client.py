"""The only opener of connections. It knows whether a request's first byte was written; nothing else does.

Exception classes are no evidence of what was sent: a TLS record error after the request looks like a failed
handshake (facts, reliability section 3). So the connection class itself records it, in a `Flight`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from videotasks.core.json_values import parse_json
from videotasks.core.record import record
from videotasks.core.redaction import known_secrets, redact
from videotasks.network.errors import NoAnswer, no_answer_of
from videotasks.network.flight import AbortedBeforeSending, Flight
from videotasks.network.origins import is_loopback

if TYPE_CHECKING:
    import requests

    from videotasks.network.connection import Head, PlainSession


MAX_JSON_BYTES = 10_000_000  # a task body is a few kB; past this it is no task body
CONNECT_TIMEOUT_S = 10.0
PLAIN_HEADERS = {"Accept-Encoding": "gzip, deflate", "User-Agent": "ai-video-tasks/0.1"}


@record(frozen=True)
class Answer:
    """A complete HTTP answer. Header names are in lower case. `body` is at most `MAX_JSON_BYTES`."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""
    truncated: bool = False

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The parsed body, or None when it is not JSON."""
        return parse_json(self.body)


class Client:
    """Requests to one place, one at a time, with at most one header that carries a secret.

    `headers` makes those of each request: a value may be new in each.
    `authorise` returns the secret headers for an API origin; it is None for result links, which never see a key.
    `guard` judges the connected peer `(address, host)` before a byte is sent and raises `Blocked`.
    """

    def __init__(
        self,
        *,
        authorise: Callable[[], Mapping[str, str]] | None = None,
        headers: Callable[[], Mapping[str, str]] = dict,
        guard: Callable[[str, str], None] | None = None,
    ) -> None:
        self._authorise = authorise
        self._headers = headers
        self._guard = guard
        self._session: PlainSession | None = None
        self.flight = Flight()

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def require_libraries(self) -> None:
        """Raises ImportError or TaskError (exit 1) when no request could be made, or its answer not be read."""
        self._open_session()

    # -- requests --

    def request(
        self,
        method: str,
        url: str,
        *,
        flight: Flight | None = None,
        json_body: Any = None,
        data: Any = None,
        files: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 20.0,
        max_bytes: int = MAX_JSON_BYTES,
    ) -> Answer:
        """One request, one complete answer; redirects are not followed. Raises NoAnswer (or Blocked)."""
        with self.open(
            method, url, flight=flight, json_body=json_body, data=data, files=files, headers=headers, timeout=timeout
        ) as opened:
            body = opened.read(max_bytes)
            return Answer(opened.status, opened.headers, body, url, opened.truncated)

    def open(
        self,
        method: str,
        url: str,
        *,
        flight: Flight | None = None,
        json_body: Any = None,
        data: Any = None,
        files: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 20.0,
    ) -> OpenAnswer:
        """The head of an answer, its body to be read as bytes arrive. Raises NoAnswer (or Blocked)."""
        flight = flight or Flight()
        self.flight = flight
        session = self._open_session()
        all_headers = {**PLAIN_HEADERS, **self._headers(), **(headers or {})}
        if json_body is not None:
            # Sent as UTF-8, as a person would type it; lone surrogates stay escapes, for they have no UTF-8.
            data = encode_json(json_body)
            all_headers.setdefault("Content-Type", "application/json")
        try:
            response = session.fetch(
                method,
                url,
                data=data,
                files=files,
                headers=all_headers,
                # A callable is immune to ~/.netrc, which overrides a plain header (facts, reliability fact 9).
                auth=self._sign,
                # Plain http is allowed to this machine only; by way of a proxy it would leave it, key and all.
                proxies={"no_proxy": "*"} if is_loopback(url) else None,
                timeout=(min(CONNECT_TIMEOUT_S, timeout), timeout),
            )
        except Exception as error:
            raise no_answer_of(error, flight, url) from None
        if flight.aborted:
            # A shut-down socket ends a head early, and half a head can pass for a whole answer.
            response.close()
            raise NoAnswer("aborted", "the request was given up", sent=flight.sent)
        return OpenAnswer(response, flight, url)

    def _sign(self, request: Any) -> Any:
        if self._authorise is not None:
            request.headers.update(self._authorise())
        return request

    def _open_session(self) -> PlainSession:
        if self._session is None:
            from videotasks.network.connection import PlainSession, require_versions, tracking_adapter

            require_versions()
            session = PlainSession()
            adapter = tracking_adapter(self)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            self._session = session
        return self._session

    def judge_peer(self, sock: Any, host: str) -> None:
        """Called by the connection class when it is connected and before it sends anything."""
        self.flight.connected(sock)
        if self._guard is not None:
            self._guard(sock.getpeername()[0], host)


class OpenAnswer(AbstractContextManager["OpenAnswer"]):
    """An answer whose head has come. Iterate `chunks()` for bytes as they arrive; close it when done."""

    def __init__(self, response: Head | requests.Response, flight: Flight, url: str) -> None:
        self._response = response
        self._flight = flight
        self.url = url
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = {name.lower(): response.headers[name] for name in response.headers}
        self.truncated = False

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._response.close()

    def chunks(self, size: int = 65536) -> Iterator[bytes]:
        """Decoded bytes as soon as they arrive. Raises NoAnswer(kind cut, timeout, reset) when they stop early."""
        raw: Any = self._response.raw
        # read1 hands over what is there; iter_content(None) holds a close-delimited stream back to its end (fact 6).
        try:
            while True:
                chunk = raw.read1(size, decode_content=True)
                if self._flight.aborted:
                    raise AbortedBeforeSending  # what came after the abort is no answer, however whole it looks
                if not chunk:
                    if raw.closed or getattr(raw, "_fp", None) is None or raw._fp.closed:
                        return
                    # A compressed chunk can decode to nothing yet; only a real end closes the source.
                    chunk = raw.read1(size, decode_content=True)
                    if not chunk:
                        return
                yield chunk
        except Exception as error:
            raise no_answer_of(error, self._flight, self.url, status=self.status) from None

    def read_as_sent(self, max_bytes: int) -> bytes:
        """The whole body, decoded by what it is and not by what its header says: a paid id must not be lost to a lie.

        Raises NoAnswer whose `body` is what did arrive. Cut at `max_bytes` as in `read`.
        """
        raw: Any = self._response.raw
        sent = bytearray()
        try:
            while len(sent) <= max_bytes and (chunk := raw.read1(65536, decode_content=False)):
                sent += chunk
                self._flight.received = len(sent)
            if self._flight.aborted:
                raise AbortedBeforeSending
        except Exception as error:
            fault = no_answer_of(error, self._flight, self.url, status=self.status)
            if isinstance(fault, NoAnswer):
                fault.body = without_secrets(_decoded(bytes(sent), max_bytes))
            raise fault from None
        body = _decoded(bytes(sent), max_bytes + 1)
        self.truncated = len(sent) > max_bytes or len(body) > max_bytes
        return without_secrets(body[:max_bytes])

    def read(self, max_bytes: int) -> bytes:
        """The whole body, cut at `max_bytes` (then `truncated` is true and the connection is given up)."""
        body = bytearray()
        try:
            for chunk in self.chunks():
                body += chunk
                if len(body) > max_bytes:
                    self.truncated = True
                    break
        except NoAnswer as error:
            error.body = without_secrets(bytes(body[:max_bytes]))
            raise
        return without_secrets(bytes(body[:max_bytes]))


def without_secrets(body: bytes) -> bytes:
    """A body without any key that the server put into it. Done at the door: a text that is cut later keeps no half."""
    text = body.decode("utf-8", "surrogateescape")
    clean = redact(text, known_secrets())
    return body if clean == text else clean.encode("utf-8", "surrogateescape")


def encode_json(value: Any) -> bytes:
    """Compact UTF-8 JSON; a lone surrogate, which has no UTF-8, is kept as an escape (Python's is JSON's, too)."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


def _decoded(data: bytes, max_bytes: int) -> bytes:
    """`data` unpacked when its first bytes are those of gzip or zlib, at most `max_bytes` of it; else as it is."""
    if data[:2] == b"\x1f\x8b":
        wbits = 31
    elif len(data) > 2 and data[0] == 0x78 and int.from_bytes(data[:2], "big") % 31 == 0:  # RFC 1950, 2.2
        wbits = 15
    else:
        return data
    try:
        return zlib.decompressobj(wbits).decompress(data, max_bytes) or data
    except zlib.error:
        return data
