"""`http.server` with what a rehearsal of trouble needs: chunked streams, and answers that break on purpose."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

# contracts D.2: an ARK create with inline images is limited to 64 MB; a little more so that the wire itself says so.
MAX_BODY = 80 * 1024 * 1024
MAX_LINE = 64 * 1024
IDLE_S = 75.0
_SCHEME = "http"  # loopback only: nothing leaves the machine


@dataclass(eq=False)
class BadRequest(Exception):
    """The bytes are not a request that this server reads; `status` is what it answers before it hangs up."""

    status: int
    message: str


@dataclass(frozen=True)
class Request:
    """One request. `path` is still percent-encoded and has no query; header names are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    origin: str

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


def json_reply(body: Any, status: int = 200) -> Reply:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Reply(status=status, body=text.encode("utf-8", "replace"))


class DropConnection(Exception):
    """Raised by an event iterator: the connection ends here, in the middle of the stream."""


class HttpServer(ThreadingTCPServer):
    """Accepts on `host:port` (0: any free port) and answers each request with `answer(request)`, in daemon threads.

    Not `http.server.HTTPServer`: that asks the resolver for the host's name, which takes seconds on some machines.
    """

    allow_reuse_address = os.name != "nt"  # there it would let another process take the port
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, answer: Callable[[Request], Reply]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.answer = answer
        self.host = host
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._open: set[Any] = set()
        super().__init__((host, port), _Handler)
        self.port = int(self.server_address[1])
        self._thread = threading.Thread(target=self._accept, name="sandbox-accept", daemon=True)
        self._thread.start()

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{_SCHEME}://{host}:{self.port}"

    def _accept(self) -> None:
        while not self.closing.is_set():
            self.handle_request()

    def close(self) -> None:
        if self.closing.is_set():
            return
        self.closing.set()
        # A blocked accept() is woken by a connection on every system; closing the socket wakes it only on some.
        with suppress(OSError), socket.socket(self.address_family) as waker:
            waker.settimeout(1)
            waker.connect(self.socket.getsockname()[:2])
        self._thread.join(timeout=2)
        self.server_close()
        with self._lock:
            open_now = list(self._open)
        for connection in open_now:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up in the middle of an answer is nobody's fault."""


class _Handler(BaseHTTPRequestHandler):
    server: HttpServer
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    disable_nagle_algorithm = True  # events are small and must leave at once

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, DropConnection):
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.request_version = self.protocol_version  # what a line that is no request never had
        self._send(json_reply({"message": message or HTTPStatus(code).phrase}, code), keep=False)

    def respond(self) -> None:
        try:
            request = self._read()
        except BadRequest as problem:
            self.send_error(problem.status, problem.message)
            return
        if self.server.closing.is_set():
            raise DropConnection
        try:
            reply = self.server.answer(request)
        except Exception as problem:
            # A fault of the sandbox itself: said in the answer, for no traceback of it may reach the client's user.
            reply = json_reply({"message": f"the sandbox failed: {type(problem).__name__}: {problem}"}, 500)
        if reply.fault == "reset":
            # Linger 0 turns close() into a TCP reset; the reader holds the socket open until it is closed, too.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()
        if reply.fault in ("reset", "silent"):
            raise DropConnection
        self._send(reply, keep=not self.close_connection)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = respond

    def _send(self, reply: Reply, *, keep: bool) -> None:
        chunked = reply.events is not None and self.request_version != "HTTP/1.0"
        self.close_connection = not keep or reply.fault == "half" or (reply.events is not None and not chunked)
        self.send_response_only(reply.status)
        if reply.body or reply.events is not None:
            self.send_header("Content-Type", reply.content_type)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif reply.events is None and reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()
        if reply.events is not None:
            self._stream(reply.events, chunked)
        elif self.command != "HEAD" and reply.status != 204:
            self.wfile.write(reply.body[: len(reply.body) // 2] if reply.fault == "half" else reply.body)

    def _stream(self, events: Iterator[bytes], chunked: bool) -> None:
        for piece in events:
            if self.server.closing.is_set():
                raise DropConnection
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if self.server.closing.is_set():
            # Not a proper end: the task has not come to one.
            raise DropConnection
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _read(self) -> Request:
        if any(type(defect).__name__ == "MissingHeaderBodySeparatorDefect" for defect in self.headers.defects):
            raise BadRequest(400, "header without a colon")
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            body = self._read_chunks()
        else:
            body = self._read_sized(self.headers.get("Content-Length", "0"))
        path, _, query = self.path.partition("?")
        if path.startswith(("http://", "https://")):
            path = "/" + path.split("/", 3)[3] if path.count("/") > 2 else "/"
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, path, query, headers, body, self._origin())

    def _origin(self) -> str:
        """The origin that links are to name: the caller's own spelling of loopback, so that they are same-origin."""
        host, port = self.headers.get("Host", ""), self.server.port
        own = host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}")
        return f"{_SCHEME}://{host}" if own else self.server.origin

    def _read_sized(self, length: str) -> bytes:
        if not length.isdigit():
            raise BadRequest(400, "Content-Length is not a number")
        if int(length) > MAX_BODY:
            raise BadRequest(413, "request body too large")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise BadRequest(400, "request body ended early")
        return body

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while True:
            try:
                size = int(self.rfile.readline(256).split(b";")[0].strip(), 16)
            except ValueError:
                raise BadRequest(400, "broken chunk size") from None
            if size < 0 or len(body) + size > MAX_BODY:
                raise BadRequest(413, "request body too large")
            if size == 0:
                while self.rfile.readline(MAX_LINE).strip():
                    pass
                return bytes(body)
            body += self.rfile.read(size)
            self.rfile.readline(16)
