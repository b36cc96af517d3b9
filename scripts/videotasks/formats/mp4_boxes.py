"""The boxes of an MP4 or MOV file, walked within a budget: hostile sizes, counts and nesting end in MediaError."""

from __future__ import annotations

import os
import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from videotasks.formats.structure import MediaError, read_at

MAX_BOXES = 1_000_000  # 40 minutes at one fragment a frame; a file of 8-byte boxes must still end
MAX_TABLE_BYTES = 16 * 1024 * 1024  # four million samples: 19 hours at 60 a second
MAX_INDEX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Box:
    kind: bytes
    start: int
    body: int
    end: int

    @property
    def name(self) -> str:
        return self.kind.decode("latin-1")


class Boxes:
    """The boxes of one file, within a budget."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, os.SEEK_END)
        self._seen = 0
        self._read = 0

    def walk(self, start: int, end: int, top: bool = False) -> Iterator[Box]:
        """The boxes between two places. At the top, whatever passes the end of the file raises as truncated.

        Bytes that are no box (padding, a phone's trailer) end the walk: a cut never makes them.
        """
        overrun = "truncated" if top else "broken"
        position = start
        while position < end:
            self._seen += 1
            if self._seen > MAX_BOXES:
                raise MediaError(f"it has more than {MAX_BOXES} boxes")
            head = read_at(self.file, position, min(16, end - position))
            if len(head) < 8:
                if top:
                    raise MediaError(f"it ends inside a box header at byte {position}", "truncated")
                return  # QuickTime ends some containers with four zero bytes
            size, kind = struct.unpack(">I4s", head[:8])
            if not all(0x20 <= byte <= 0x7E or byte == 0xA9 for byte in kind):
                return
            body = position + 8
            if size == 1:
                if len(head) < 16:
                    raise MediaError(f"it ends inside a box header at byte {position}", overrun)
                size = struct.unpack(">Q", head[8:])[0]
                body = position + 16
            elif size == 0:
                if not top:
                    return
                size = end - position  # "to the end of the file"
            if position + size < body:
                raise MediaError(f"the box at byte {position} has an impossible size")
            box = Box(kind, position, body, position + size)
            if box.end > end:
                missing = f"box {box.name!r} at byte {position} needs {box.end - end} bytes more than there are"
                raise MediaError(missing, overrun)
            yield box
            position = box.end

    def children(self, box: Box) -> dict[bytes, list[Box]]:
        found: dict[bytes, list[Box]] = {}
        for child in self.walk(box.body, box.end):
            found.setdefault(child.kind, []).append(child)
        return found

    def descend(self, box: Box, *path: bytes) -> Box | None:
        """The first box at that path of first boxes."""
        for kind in path:
            inner = next((child for child in self.walk(box.body, box.end) if child.kind == kind), None)
            if inner is None:
                return None
            box = inner
        return box

    def body(self, box: Box, minimum: int, maximum: int = MAX_TABLE_BYTES) -> bytes:
        """The content of a box; of a longer one only `maximum` bytes when that is less than a table's cap."""
        length = box.end - box.body
        if length > MAX_TABLE_BYTES and maximum == MAX_TABLE_BYTES:
            raise MediaError(f"box {box.name!r} is unreasonably large ({length} bytes)")
        length = min(length, maximum)
        self._read += length
        if self._read > MAX_INDEX_BYTES:
            raise MediaError("its index is unreasonably large")
        data = read_at(self.file, box.body, length)
        if len(data) < minimum:
            raise MediaError(f"box {box.name!r} is too short")
        return data


def uint(raw: bytes, at: int, width: int) -> int:
    if len(raw) < at + width:
        raise MediaError("a box of its index is too short")
    return int.from_bytes(raw[at : at + width], "big")


def numbers(raw: bytes, at: int, count: int, code: str, name: str) -> array[int]:
    """`count` big-endian numbers; an array, since a list of four million would take ten times the memory."""
    numbers = array(code)
    width = numbers.itemsize
    if at + count * width > len(raw):
        raise MediaError(f"box {name!r} names {count} entries and holds fewer")
    numbers.frombytes(raw[at : at + count * width])
    if sys.byteorder == "little" and width > 1:
        numbers.byteswap()
    return numbers
