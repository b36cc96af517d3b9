"""A raw-socket server of one file on loopback, able to cut, hang and lie; and small files to serve."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Handler = Callable[[socket.socket, str], None]


def box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def mp4(size: int = 20_000, *, seed: int = 1) -> bytes:
    """A well-formed MP4 of `size` bytes: 4 s at 640x360, its samples noise that differs by `seed`."""
    mvhd = struct.pack(">IIIII", 0, 0, 0, 1000, 4000) + struct.pack(">IH", 0x10000, 0x100) + b"\0" * 74
    tkhd = struct.pack(">IIIIII", 7, 0, 0, 1, 0, 4000) + b"\0" * 52 + struct.pack(">II", 640 << 16, 360 << 16)
    mdhd = struct.pack(">IIIIIHH", 0, 0, 0, 1000, 4000, 0, 0)
    hdlr = struct.pack(">II4s", 0, 0, b"vide") + b"\0" * 13
    ftyp = box(b"ftyp", b"isom" + struct.pack(">I", 512) + b"isomiso2avc1mp41")

    def movie(offset: int, samples: int) -> bytes:
        """moov with one sample that fills mdat."""
        tables = box(b"stsz", struct.pack(">IIII", 0, 0, 1, samples))
        tables += box(b"stsc", struct.pack(">IIIII", 0, 1, 1, 1, 1)) + box(b"stco", struct.pack(">III", 0, 1, offset))
        minf = box(b"minf", box(b"stbl", tables))
        mdia = box(b"mdia", box(b"mdhd", mdhd) + box(b"hdlr", hdlr) + minf)
        return box(b"moov", box(b"mvhd", mvhd) + box(b"trak", box(b"tkhd", tkhd) + mdia))

    start = len(ftyp) + len(movie(0, 0)) + 8
    noise = bytes((index * 31 * seed + index // 251 * seed) % 256 for index in range(4096))
    samples = (noise * ((size - start) // 4096 + 1))[: size - start]
    return ftyp + movie(start, len(samples)) + box(b"mdat", samples)


def png() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + box(b"IHDR", b"\0" * 13)[:25] + b"\0" * 200 + b"\0\0\0\0IEND\xaeB`\x82"


def head(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""]).encode("latin-1")


def answer(status: str, body: bytes | str, *headers: str) -> Handler:
    """A complete answer with its length."""
    data = body.encode() if isinstance(body, str) else body

    def handle(connection: socket.socket, request: str) -> None:
        connection.sendall(head(status, f"Content-Length: {len(data)}", *headers) + data)

    return handle


def raw(data: bytes) -> Handler:
    def handle(connection: socket.socket, request: str) -> None:
        connection.sendall(data)

    return handle


def stored(
    data: bytes, *, etag: str | None = '"v1"', modified: str | None = None, cut: int | None = None, honest: bool = True
) -> Handler:
    """What an object store answers, Range and If-Range included; `cut` ends the body after that many bytes.

    A dishonest one ignores If-Range and stitches whatever it has.
    """

    def handle(connection: socket.socket, request: str) -> None:
        told = [f"ETag: {etag}"] if etag else []
        told += [f"Last-Modified: {modified}"] if modified else []
        wanted = re.search(r"^range: bytes=(\d+)-", request, re.I | re.M)
        proof = re.search(r"^if-range: (.*?)\r?$", request, re.I | re.M)
        start = int(wanted[1]) if wanted else 0
        if wanted and proof and honest and proof[1] not in (etag, modified):
            wanted, start = None, 0
        if wanted and start >= len(data):
            connection.sendall(head("416 Range Not Satisfiable", f"Content-Range: bytes */{len(data)}"))
            return
        body = data[start:]
        told.append(f"Content-Length: {len(body)}")
        if wanted:
            told.append(f"Content-Range: bytes {start}-{len(data) - 1}/{len(data)}")
        status = "206 Partial Content" if wanted else "200 OK"
        connection.sendall(head(status, *told) + (body if cut is None else body[:cut]))

    return handle


class FileServer:
    """Answers the n-th connection with the n-th handler, the last one ever after. `requests` are heads as text."""

    def __init__(self) -> None:
        self.handlers: list[Handler] = []
        self.requests: list[str] = []
        self.connections = 0
        self.received = 0
        self.release = threading.Event()  # set at the end: lets handlers go that hang on purpose
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def serve(self, *handlers: Handler) -> None:
        self.handlers = list(handlers)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            number = self.connections
            self.connections += 1
            threading.Thread(target=self._answer, args=(connection, number), daemon=True).start()

    def _answer(self, connection: socket.socket, number: int) -> None:
        data = b""
        with connection:
            connection.settimeout(20)
            try:
                while b"\r\n\r\n" not in data and data[:1] != b"\x16":  # a TLS handshake is no request
                    piece = connection.recv(65536)
                    self.received += len(piece)
                    if not piece:
                        return
                    data += piece
                self.requests.append(data.decode("latin-1"))
                if self.handlers:
                    self.handlers[min(number, len(self.handlers) - 1)](connection, self.requests[-1])
            except OSError:
                pass

    def header(self, number: int, name: str) -> str | None:
        """A header of the n-th request, or None."""
        found = re.search(rf"^{name}: (.*?)\r?$", self.requests[number], re.I | re.M)
        return found[1] if found else None

    def close(self) -> None:
        self.release.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept(), which would take one more
        except OSError:
            pass
        self._listener.close()


@contextmanager
def file_server(*handlers: Handler) -> Iterator[FileServer]:
    server = FileServer()
    server.serve(*handlers)
    try:
        yield server
    finally:
        server.close()
