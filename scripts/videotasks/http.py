"""The only opener of connections. It knows whether a request's first byte was written; nothing else does.

Exception classes are no evidence of what was sent: a TLS record error after the request looks like a failed
handshake (facts, reliability section 3). So the connection class itself records it, in a `Flight`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from videotasks import credentials
from videotasks.json_body import parse_json
from videotasks.origins import is_loopback
from videotasks.text import redact

if TYPE_CHECKING:
    import socket

    import requests

MAX_JSON_BYTES = 10_000_000  # a task body is a few kB; past this it is no task body
CONNECT_TIMEOUT_S = 10.0
USER_AGENT = "ai-video-tasks/0.1"


class AbortedBeforeSending(Exception):
    """The flight was aborted before its first byte was written: nothing was sent, nothing will be."""


class WriteAheadFailed(Exception):
    """What must be on disk before the first byte could not be written, so no byte was sent. `error` is the disk's."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class Flight:
    """One request on its way. `sent` turns true just before the first byte is written, and never turns back.

    `write_ahead` runs at that very moment, in the sending thread: whatever it raises, nothing is sent.
    """

    def __init__(self, write_ahead: Callable[[], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._write_ahead = write_ahead
        self._sent = False
        self._aborted = False
        self._sock: Any = None

    @property
    def sent(self) -> bool:
        return self._sent

    @property
    def aborted(self) -> bool:
        return self._aborted

    def before_first_byte(self) -> None:
        with self._lock:
            if self._aborted:
                raise AbortedBeforeSending
            if self._write_ahead is not None and not self._sent:
                try:
                    self._write_ahead()
                except OSError as error:
                    raise WriteAheadFailed(error) from None
            self._sent = True

    def connected(self, sock: socket.socket | None) -> None:
        with self._lock:
            self._sock = sock
            if self._aborted:
                raise AbortedBeforeSending

    def abort(self) -> bool:
        """Stop the request from any thread; returns whether a byte of it may have been written."""
        with self._lock:
            self._aborted = True
            sock, sent = self._sock, self._sent
        if sock is not None:
            try:
                import socket

                # shutdown wakes a thread that is blocked in recv(); close() alone does not on Linux.
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        return sent


class NoAnswer(Exception):
    """No complete answer. `sent` tells whether a byte of the request may have been written.

    `kind`: dns, refused, connect, tls, timeout, reset, cut, aborted, blocked, proxy. `status` and `body` hold what
    did arrive. Server text is only in `body`.
    """

    def __init__(
        self, kind: str, message: str, *, sent: bool, status: int | None = None, body: bytes = b"", host: str = ""
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.sent = sent
        self.status = status
        self.body = body
        self.host = host


class Blocked(Exception):
    """A connection was refused by our own address guard; `rule` says which, `address` where."""

    def __init__(self, address: str, rule: str) -> None:
        super().__init__(f"{address} is {rule}")
        self.address = address
        self.rule = rule


@dataclass(frozen=True)
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

    `authorise` returns the secret headers for an API origin; it is None for result links, which never see a key.
    `guard` judges the connected peer `(address, host)` before a byte is sent and raises `Blocked`.
    """

    def __init__(
        self,
        *,
        authorise: Callable[[], Mapping[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        guard: Callable[[str, str], None] | None = None,
    ) -> None:
        self._authorise = authorise
        self._headers = {"User-Agent": USER_AGENT, **(headers or {})}
        self._guard = guard
        self._session: requests.Session | None = None
        self.flight = Flight()

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def require_libraries(self) -> None:
        """Raises ImportError or TaskError (exit 1) when no request could be made, or its answer not be read."""
        self._open_session()

    # -- requests ---------------------------------------------------------------------------------------------

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
        all_headers = {**self._headers, **(headers or {})}
        payload = data
        if json_body is not None:
            # Sent as UTF-8, as a person would type it; lone surrogates stay escapes, for they have no UTF-8.
            payload = encode_json(json_body)
            all_headers.setdefault("Content-Type", "application/json")
        try:
            response = session.request(
                method,
                url,
                data=payload,
                files=files,
                headers=all_headers,
                # A callable is immune to ~/.netrc, which overrides a plain header (facts, reliability fact 9).
                auth=self._sign,
                # Plain http is allowed to this machine only; by way of a proxy it would leave it, key and all.
                proxies={"no_proxy": "*"} if is_loopback(url) else None,
                timeout=(min(CONNECT_TIMEOUT_S, timeout), timeout),
                allow_redirects=False,
                stream=True,
            )
        except Exception as error:
            raise _no_answer(error, flight, url) from None
        if flight.aborted:
            # A shut-down socket ends a head early, and half a head can pass for a whole answer.
            response.close()
            raise NoAnswer("aborted", "the request was given up", sent=flight.sent)
        return OpenAnswer(response, flight, url)

    def _sign(self, request: Any) -> Any:
        if self._authorise is not None:
            request.headers.update(self._authorise())
        return request

    def _open_session(self) -> requests.Session:
        if self._session is None:
            from videotasks.wire import PlainSession, require_versions, tracking_adapter

            require_versions()
            session = PlainSession()
            session.headers.clear()
            session.headers["Accept-Encoding"] = "gzip, deflate"
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


class OpenAnswer:
    """An answer whose head has come. Iterate `chunks()` for bytes as they arrive; close it when done."""

    def __init__(self, response: requests.Response, flight: Flight, url: str) -> None:
        self._response = response
        self._flight = flight
        self.url = url
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = {k.lower(): v for k, v in response.headers.items()}
        self.truncated = False

    def __enter__(self) -> OpenAnswer:
        return self

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
            raise _no_answer(error, self._flight, self.url, status=self.status) from None

    def read(self, max_bytes: int) -> bytes:
        """The whole body, cut at `max_bytes` (then `truncated` is true and the connection is given up)."""
        parts: list[bytes] = []
        total = 0
        try:
            for chunk in self.chunks():
                parts.append(chunk)
                total += len(chunk)
                if total > max_bytes:
                    self.truncated = True
                    break
        except NoAnswer as error:
            error.body = without_secrets(b"".join(parts)[:max_bytes])
            raise
        return without_secrets(b"".join(parts)[:max_bytes])


def without_secrets(body: bytes) -> bytes:
    """A body without any key that the server put into it. Done at the door: a text that is cut later keeps no half."""
    text = body.decode("utf-8", "surrogateescape")
    clean = redact(text, credentials.known_secrets())
    return body if clean == text else clean.encode("utf-8", "surrogateescape")


def encode_json(value: Any) -> bytes:
    """Compact UTF-8 JSON; a lone surrogate, which has no UTF-8, is kept as an escape."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _no_answer(error: Exception, flight: Flight, url: str, *, status: int | None = None) -> Exception:
    """NoAnswer for whatever the HTTP library raised. The class tells people what happened; `sent` is the flight's."""
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname or ""
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, (Blocked, WriteAheadFailed)):
            return cause
    names = {type(cause).__name__ for cause in chain}
    text = " ".join(str(cause) for cause in chain).lower()

    def answer(kind: str, message: str) -> NoAnswer:
        return NoAnswer(kind, message, sent=flight.sent, status=status, host=host)

    if flight.aborted or "AbortedBeforeSending" in names:
        return answer("aborted", f"the request to {host} was given up")
    if names & {"NameResolutionError", "gaierror"}:
        return answer("dns", f"the name {host} could not be resolved")
    if "ConnectionRefusedError" in names or "connection refused" in text:
        return answer("refused", f"{host} refused the connection")
    if "ProxyError" in names:
        return answer("proxy", f"the proxy on the way to {host} failed")
    if names & {"ConnectTimeout", "ConnectTimeoutError"}:
        return answer("connect", f"{host} did not take the connection in time")
    # After the first byte the same names speak of a broken answer (two lengths, an odd header), not of our request.
    unusable = {"InvalidURL", "InvalidSchema", "MissingSchema", "LocationParseError", "InvalidHeader"}
    if not flight.sent and names & unusable:
        return answer("invalid", "the request could not be built")
    if names & {"ReadTimeout", "ReadTimeoutError", "TimeoutError", "timeout"}:
        return answer("timeout", f"{host} did not answer in time")
    if names & {"SSLError", "SSLCertVerificationError", "SSLEOFError"}:
        return answer("tls", f"the secure connection to {host} failed")
    if names & {"IncompleteRead", "ChunkedEncodingError", "InvalidChunkLength", "DecodeError", "ContentDecodingError"}:
        return answer("cut", f"the answer of {host} was cut off")
    if names & {"NewConnectionError"}:
        return answer("connect", f"{host} could not be reached")
    return answer("reset", f"the connection to {host} broke")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, its reasons, arguments, causes and contexts, each once."""
    queue: list[BaseException] = [error]
    seen: set[int] = set()
    while queue:
        current = queue.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        for linked in (
            getattr(current, "reason", None),
            current.__cause__,
            current.__context__,
            *getattr(current, "args", ()),
        ):
            if isinstance(linked, BaseException):
                queue.append(linked)
