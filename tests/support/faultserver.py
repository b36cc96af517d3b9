"""An HTTP server on 127.0.0.1 that misbehaves as told, for tests of clients. Raw sockets: it can break every byte.

    from support.faults import answer, json_answer, reset_after_request
    from support.faultserver import FaultServer

    with FaultServer([reset_after_request(), json_answer({"id": "t_1"})]) as server:
        ...                                   # the client under test talks to server.base_url
    assert server.posts_taken == 1

The script is one action, a sequence (one for each request, the last one repeats), or a function from a `Request` to an
action (see `routes` in support.faults). Everything is bounded: threads are daemons, waits end with the server.
"""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from support.certificates import tls_files

SOCKET_LIMIT_S = 30.0  # no read, write or hold of the server lasts longer
MAX_HEAD = 1 << 20
MAX_BODY = 64 << 20

# What has happened before an action runs: nothing but accept(); the TLS handshake; the head or the whole was read.
STAGES = ("accept", "open", "head", "body")


@dataclass
class Request:
    """A request as it came. `body` grows while it is read; `complete` turns true with its last byte."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    time: float
    connection: int
    body: bytes = b""
    complete: bool = False
    _read: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    def header(self, name: str, default: str = "") -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), default)

    def read(self) -> bytes:
        """The whole body; for functions that choose an action by it."""
        if self._read is not None and not self.complete:
            self._read()
        return self.body

    def json(self) -> Any:
        return json.loads(self.read())


@dataclass(frozen=True)
class Action:
    """What the server does with one request, and how much of it has been read by then."""

    name: str
    run: Callable[[Exchange], None]
    stage: str = "body"


class ServerStopped(Exception):
    """The server closes while an action still sends or waits."""


class Exchange:
    """The server's end of one connection, as actions see it."""

    def __init__(self, server: FaultServer, sock: socket.socket, number: int) -> None:
        self.server = server
        self.sock = sock
        self.number = number
        self.request: Request | None = None
        self.keep_alive = True
        self.closed = False
        self.sent = 0
        self._buffer = b""

    # -- sending -----------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        self.server.check_running()
        self.sock.sendall(data)
        self.sent += len(data)

    def send_beneath_tls(self, data: bytes) -> None:
        """Bytes that no TLS record wraps."""
        socket.socket.sendall(self.sock, data)
        self.sent += len(data)

    def pause(self, seconds: float) -> None:
        if self.server.stopping.wait(min(seconds, SOCKET_LIMIT_S)):
            raise ServerStopped

    def hold(self) -> None:
        """Wait until the test calls `server.release()`."""
        until = time.monotonic() + SOCKET_LIMIT_S
        while not self.server.released.wait(0.02) and time.monotonic() < until:
            self.server.check_running()

    def reset(self) -> None:
        """RST instead of FIN."""
        if self.sent:
            self.pause(0.02)  # what was sent shall arrive first
        # winsock's struct linger holds shorts
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.drop()

    def close(self) -> None:
        """FIN. Unread bytes are taken first, for the kernel would answer them with RST."""
        if self.closed:
            return
        if self.request is None or not self.request.complete:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)
                self.sock.settimeout(0.3)
                until = time.monotonic() + 0.5
                while time.monotonic() < until and socket.socket.recv(self.sock, 65536):
                    self.server.check_running()
        self.drop()

    def drop(self) -> None:
        self.closed, self.keep_alive = True, False
        with contextlib.suppress(OSError):
            self.sock.close()

    # -- reading -----------------------------------------------------------------------------------------------

    def wait_for_bytes(self) -> None:
        """Until the client has written something; nothing is taken."""
        if self.request is None and not self._buffer:
            socket.socket.recv(self.sock, 1, socket.MSG_PEEK)

    def read_head(self) -> Request | None:
        """The next request's line and headers, or None when the client is done."""
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > MAX_HEAD or not self._more():
                return None
            self._buffer = self._buffer.lstrip(b"\r\n")  # empty lines between two requests
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = (first + "  ").split(" ", 2)
        headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        self.request = Request(method, target, headers, time.monotonic(), self.number, _read=self.read_body)
        return self.request

    def read_body(self) -> None:
        request = self.request
        if request is None or request.complete:
            return
        if request.header("expect").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in request.header("transfer-encoding").lower():
            while size := int(self._line().split(b";")[0], 16):
                self._take(request, size)
                self._line()
            while self._line():
                pass
        else:
            self._take(request, int(request.header("content-length") or 0))
        self.server.note(lambda: setattr(request, "complete", True))

    def _take(self, request: Request, size: int) -> None:
        while size > 0:
            if len(request.body) > MAX_BODY or (not self._buffer and not self._more()):
                raise ConnectionError("the client's body ended early")
            part, self._buffer = self._buffer[:size], self._buffer[size:]
            request.body += part
            size -= len(part)

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if len(self._buffer) > MAX_HEAD or not self._more():
                raise ConnectionError("the client's body ended early")
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _more(self) -> bool:
        part = self.sock.recv(65536)
        self._buffer += part
        return bool(part)


Script = Action | Sequence[Action] | Callable[[Request], Action]


class FaultServer:
    """A context manager; see the module's text.

    base_url      http://127.0.0.1:PORT (https with `tls=True`, whose certificate is in `ca_file`)
    requests      a copy of what came, in order; a request counts as soon as its head is read
    posts_taken   how many POSTs were read to their last byte: what an API would have charged for
    accepted      how many connections were taken
    errors        what a script's own function raised; leaving the `with` block raises the first
    """

    def __init__(self, script: Script, *, tls: bool = False) -> None:
        self._script = script
        self._position = 0
        self._lock = threading.Condition()
        self._requests: list[Request] = []
        self._exchanges: dict[int, Exchange] = {}
        self._number_of: dict[tuple[str, int], int] = {}
        self._threads: list[threading.Thread] = []
        self.stopping = threading.Event()
        self.released = threading.Event()
        self.accepted = 0
        self.errors: list[BaseException] = []
        self.ca_file = ""
        self._context: ssl.SSLContext | None = None
        if tls:
            certificate, key = tls_files()
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate, key)
            self.ca_file = str(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.settimeout(0.05)  # close() of a listener does not wake accept() everywhere
        self.port: int = self._listener.getsockname()[1]
        self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> FaultServer:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self.errors and error is None:
            raise self.errors[0]

    @property
    def threads_alive(self) -> list[threading.Thread]:
        """Connections that have not ended yet."""
        return [thread for thread in self._threads if thread.is_alive()]

    def close(self) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.close()
        for exchange in list(self._exchanges.values()):
            with contextlib.suppress(OSError):
                exchange.sock.shutdown(socket.SHUT_RDWR)
        until = time.monotonic() + 2
        for thread in list(self._threads):
            thread.join(max(0.0, until - time.monotonic()))

    # -- what the test asks ------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests)

    @property
    def posts(self) -> list[Request]:
        return [request for request in self.requests if request.method == "POST"]

    @property
    def posts_taken(self) -> int:
        return sum(request.complete for request in self.posts)

    def release(self) -> None:
        """Let every action that holds go on, now and later."""
        self.released.set()

    def wait_for(self, condition: Callable[[], bool], timeout: float = 5.0) -> bool:
        """Until `condition` holds (looked at whenever a request or a part of one came); False when time is up."""
        until = time.monotonic() + timeout
        while not condition():
            left = until - time.monotonic()
            if left <= 0:
                return False
            with self._lock:
                self._lock.wait(min(left, 0.02))
        return True

    def settle(self, timeout: float = 10.0) -> None:
        """Until all that clients sent and left, or were killed over, has been read: only then do counts tell all.

        Connections are taken in their order, so that those before one of our own are known once it was taken.
        """
        with socket.create_connection(("127.0.0.1", self.port)) as ours:
            peer = ours.getsockname()
            assert self.wait_for(lambda: peer in self._number_of, timeout), "the server takes no connection"
        mine = self._number_of[peer]
        assert self.wait_for(lambda: not any(n <= mine for n in list(self._exchanges)), timeout), (
            "a client is still here"
        )

    # -- inside ------------------------------------------------------------------------------------------------

    def check_running(self) -> None:
        if self.stopping.is_set():
            raise ServerStopped

    def note(self, change: Callable[[], object]) -> None:
        with self._lock:
            change()
            self._lock.notify_all()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, peer = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            sock.settimeout(SOCKET_LIMIT_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each piece is to arrive as it is sent
            self.note(functools.partial(self._admit, sock, peer))
            self._start(self._serve, self._exchanges[self.accepted])

    def _admit(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        self.accepted += 1
        self._exchanges[self.accepted] = Exchange(self, sock, self.accepted)
        self._number_of[peer] = self.accepted

    def _serve(self, exchange: Exchange) -> None:
        sock = exchange.sock
        try:
            if self._at_once(exchange, "accept"):
                return
            if self._context is not None:
                secured = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                exchange.sock = secured  # from here on close() can interrupt a handshake that hangs
                secured.do_handshake()
            if self._at_once(exchange, "open"):
                return
            while exchange.keep_alive and (request := exchange.read_head()) is not None:
                self.note(functools.partial(self._requests.append, request))
                action = self._next(request)
                if action.stage == "body":
                    exchange.read_body()
                action.run(exchange)
                wanted = request.header("connection").lower() != "close"
                exchange.keep_alive = exchange.keep_alive and request.complete and wanted
        except (OSError, ServerStopped):
            pass  # the client went away, as clients of faulty servers do
        except BaseException as error:
            self.errors.append(error)
        finally:
            with contextlib.suppress(OSError, ServerStopped):
                exchange.close()
            exchange.drop()
            self.note(lambda: self._exchanges.pop(exchange.number))

    def _at_once(self, exchange: Exchange, stage: str) -> bool:
        """Run the script's next action if it wants no request; such a connection ends with it."""
        with self._lock:
            if not isinstance(self._script, (Action, Sequence)):
                return False
            action = self._upcoming()
            if action.stage != stage:
                return False
            self._position += 1
        action.run(exchange)
        return True

    def _next(self, request: Request) -> Action:
        if isinstance(self._script, (Action, Sequence)):
            with self._lock:
                action = self._upcoming()
                self._position += 1
                return action
        return self._script(request)

    def _upcoming(self) -> Action:
        if isinstance(self._script, Action):
            return self._script
        assert isinstance(self._script, Sequence)
        return self._script[min(self._position, len(self._script) - 1)]


@contextlib.contextmanager
def refused_port() -> Iterator[int]:
    """A port that refuses connections for as long as the block runs: bound, so that nobody else gets it, but deaf."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
