"""A small HTTP/1.1 server on plain sockets: keep-alive, chunked streaming, and broken answers on purpose.

`http.server` would do, but importing it costs several times what the rest of the package costs, and it has no say over
the bytes that a rehearsal of trouble needs (an answer cut in half, a reset, a silence).
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

# contracts D.2: an ARK create with inline images is limited to 64 MB; a little more so that the wire itself says so.
MAX_BODY = 80 * 1024 * 1024
MAX_HEAD = 64 * 1024
IDLE_S = 75.0
_SCHEME = "http"  # loopback only: nothing leaves the machine

REASONS = {
    100: "Continue", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
    400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 409: "Conflict", 411: "Length Required", 413: "Content Too Large",
    416: "Range Not Satisfiable", 422: "Unprocessable Entity", 429: "Too Many Requests",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable",
}  # fmt: skip


class BadRequest(Exception):
    """The bytes are not a request that this server reads; `status` is what it answers before it hangs up."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """One request. `path` is still percent-encoded and has no query; header names are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    origin: str
    http10: bool = False

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "")


@dataclass
class Reply:
    """One answer. `events` makes it a stream; `fault` breaks it: "silent", "reset" or "half"."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    events: Iterator[bytes] | None = None
    fault: str = ""


def json_reply(body: Any, status: int = 200, **headers: str) -> Reply:
    """`headers` by keyword: underscores stand for hyphens."""
    return Reply(
        status=status,
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"),
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


class DropConnection(Exception):
    """Raised by an event iterator: the connection ends here, in the middle of the stream."""


class HttpServer:
    """Accepts on `host:port` (0: any free port) and answers each request with `answer(request)`, in daemon threads."""

    def __init__(self, host: str, port: int, answer: Callable[[Request], Reply]) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._answer = answer
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind((host, port))
        except OSError:
            self._listener.close()
            raise
        self._listener.listen(128)
        self.host = host
        self.port = int(self._listener.getsockname()[1])
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, name="sandbox-accept", daemon=True)
        self._thread.start()

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{_SCHEME}://{host}:{self.port}"

    def close(self) -> None:
        if self.closing.is_set():
            return
        self.closing.set()
        # A blocked accept() is woken by a connection on every system; closing the socket wakes it only on some.
        try:
            with socket.socket(self._listener.family) as waker:
                waker.settimeout(1)
                waker.connect(self._listener.getsockname()[:2])
        except OSError:
            pass
        self._thread.join(timeout=2)
        self._listener.close()
        with self._lock:
            open_now = list(self._open)
        for connection in open_now:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self.closing.is_set():
                connection.close()
                return
            threading.Thread(target=self._serve, args=(connection,), name="sandbox-conn", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            connection.settimeout(IDLE_S)
            # Events are small and must leave at once.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection.makefile("rb") as reader:
                while not self.closing.is_set() and self._exchange(connection, reader):
                    pass
        except (OSError, ValueError, DropConnection):
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _exchange(self, connection: socket.socket, reader: Any) -> bool:
        """One request and its answer. False: the connection is to be closed."""
        try:
            request = read_request(connection, reader, self.origin)
        except BadRequest as problem:
            reply = json_reply({"message": str(problem)}, problem.status)
            connection.sendall(_head(reply, len(reply.body), keep=False) + reply.body)
            return False
        if request is None:
            return False
        try:
            reply = self._answer(request)
        except Exception as problem:
            # A fault of the sandbox itself: said in the answer, for no traceback of it may reach the client's user.
            reply = json_reply({"message": f"the sandbox failed: {type(problem).__name__}: {problem}"}, 500)
        keep = not request.http10 and "close" not in request.header("connection").lower()
        if reply.fault == "silent":
            return False
        if reply.fault == "reset":
            # Linger 0 turns close() into a TCP reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if reply.events is not None:
            return self._stream(connection, request, reply, keep)
        connection.sendall(_head(reply, len(reply.body), keep))
        if request.method == "HEAD" or reply.status == 204:
            return keep
        if reply.fault == "half":
            connection.sendall(reply.body[: len(reply.body) // 2])
            return False
        connection.sendall(reply.body)
        return keep

    def _stream(self, connection: socket.socket, request: Request, reply: Reply, keep: bool) -> bool:
        chunked = not request.http10
        connection.sendall(_head(reply, None if chunked else -1, keep and chunked))
        assert reply.events is not None
        for piece in reply.events:
            if self.closing.is_set():
                raise DropConnection
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if self.closing.is_set():
            # Not a proper end: the task has not come to one.
            raise DropConnection
        if chunked:
            connection.sendall(b"0\r\n\r\n")
        return keep and chunked


def _head(reply: Reply, length: int | None, keep: bool) -> bytes:
    """The status line and headers. `length` None: chunked; -1: the end of the connection is the end of the body."""
    lines = [f"HTTP/1.1 {reply.status} {REASONS.get(reply.status, 'Unknown')}"]
    if reply.body or reply.events is not None:
        lines.append(f"Content-Type: {reply.content_type}")
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    if length is None:
        lines.append("Transfer-Encoding: chunked")
    elif length >= 0 and reply.status != 204:
        lines.append(f"Content-Length: {length}")
    lines.append("Connection: keep-alive" if keep else "Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def read_request(connection: socket.socket, reader: Any, own_origin: str) -> Request | None:
    """The next request of a connection; None at its end.

    Raises:
        BadRequest: for bytes that are not HTTP/1.x, or for more of them than anyone needs.
    """
    line = reader.readline(MAX_HEAD + 1)
    if not line.strip():
        return None
    parts = line.decode("latin-1").split()
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest(400, "not an HTTP/1.x request line")
    method, target, version = parts
    headers: dict[str, str] = {}
    size = len(line)
    while True:
        line = reader.readline(MAX_HEAD + 1)
        size += len(line)
        if size > MAX_HEAD:
            raise BadRequest(400, "request head too large")
        if line in (b"\r\n", b"\n", b""):
            break
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise BadRequest(400, "header without a colon")
        headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _read_chunks(reader)
    else:
        body = _read_sized(reader, headers.get("content-length", "0"))
    path, _, query = target.partition("?")
    if path.startswith(("http://", "https://")):
        path = "/" + path.split("/", 3)[3] if path.count("/") > 2 else "/"
    return Request(
        method=method.upper(),
        path=path,
        query=query,
        headers=headers,
        body=body,
        origin=_origin(headers.get("host", ""), own_origin),
        http10=version == "HTTP/1.0",
    )


def _origin(host: str, own: str) -> str:
    """The origin that links are to name: the caller's own spelling of loopback, so that they count as same-origin."""
    port = own.rpartition(":")[2]
    return f"http://{host}" if host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}") else own


def _read_sized(reader: Any, length: str) -> bytes:
    if not length.isdigit():
        raise BadRequest(400, "Content-Length is not a number")
    if int(length) > MAX_BODY:
        raise BadRequest(413, "request body too large")
    body = reader.read(int(length))
    if len(body) < int(length):
        raise BadRequest(400, "request body ended early")
    return bytes(body)


def _read_chunks(reader: Any) -> bytes:
    body = bytearray()
    while True:
        line = reader.readline(256).split(b";")[0].strip()
        try:
            size = int(line, 16)
        except ValueError:
            raise BadRequest(400, "broken chunk size") from None
        if size < 0 or len(body) + size > MAX_BODY:
            raise BadRequest(413, "request body too large")
        if size == 0:
            while reader.readline(MAX_HEAD).strip():
                pass
            return bytes(body)
        body += reader.read(size)
        reader.readline(16)
