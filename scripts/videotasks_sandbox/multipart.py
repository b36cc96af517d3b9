"""multipart/form-data, as much of RFC 7578 as API clients send."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One part. `filename` is None for a plain field."""

    name: str
    filename: str | None
    content_type: str
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


def parse(body: bytes, content_type: str) -> list[Part]:
    """The parts of a body, in order.

    Raises:
        ValueError: for a body that the boundary of its content type does not divide into parts.
    """
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    if not found:
        raise ValueError("multipart/form-data without a boundary")
    fence = b"--" + found.group(1).encode("latin-1")
    pieces = (b"\r\n" + body).split(b"\r\n" + fence)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise ValueError("multipart body does not end with its boundary")
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> Part:
    head, gap, data = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    if not gap:
        raise ValueError("multipart part without headers")
    headers: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    disposition = headers.get("content-disposition", "")
    name_found = re.search(r'[; ]name="((?:[^"\\]|\\.)*)"', disposition)
    file_found = re.search(r'filename="((?:[^"\\]|\\.)*)"', disposition)
    if not name_found:
        raise ValueError("multipart part without a name")
    return Part(
        name=name_found.group(1),
        filename=file_found.group(1) if file_found else None,
        content_type=headers.get("content-type", ""),
        data=data,
    )
