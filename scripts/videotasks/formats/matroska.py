"""Is this WebM or Matroska file whole? A walk over its elements (RFC 8794, RFC 9559), without dependencies."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from videotasks.formats.structure import MAX_PARTS, MediaError, Structure, read_at

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_INFO, _TRACKS, _CLUSTER, _CUES = 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1C53BB6B
_LEVEL_ONE = frozenset({_INFO, _TRACKS, _CLUSTER, _CUES, 0x114D9B74, 0x1941A469, 0x1043A770, 0x1254C367, 0xEC, 0xBF})
_SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK = 0xA3, 0xA0, 0xA1
_TRACK_ENTRY, _TRACK_NUMBER, _TRACK_TYPE, _VIDEO, _WIDTH, _HEIGHT = 0xAE, 0xD7, 0x83, 0xE0, 0xB0, 0xBA
_TIMESTAMP_SCALE, _DURATION = 0x2AD7B1, 0x4489
_VIDEO_TYPE = 1


def check_matroska(file: BinaryIO) -> Structure:
    """Raises MediaError when the file is cut, broken, or holds no frame of video."""
    return _Walk(file).check()


class _Walk:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._parts = 0
        self._scale = 1_000_000  # nanoseconds of a tick (RFC 9559 5.1.2.9)
        self._duration: float | None = None
        self._width: int | None = None
        self._height: int | None = None
        self._video_tracks: set[int] = set()
        self._frames = 0

    def check(self) -> Structure:
        kind, at, end = self._element(0, self._size)
        if kind != _EBML or end is None:
            raise MediaError("it does not begin with an EBML header")
        kind, at, end = self._element(end, self._size)
        if kind != _SEGMENT:
            raise MediaError("it has no segment")
        self._segment(at, self._size if end is None else end)
        if not self._video_tracks:
            raise MediaError("it holds no video track", "no_video")
        if not self._frames:
            raise MediaError("it holds headers but no frame of video", "truncated")
        seconds = self._duration * self._scale / 1e9 if self._duration else None
        return Structure(seconds, self._width, self._height, end_certain=end is not None)

    def _segment(self, at: int, end: int) -> None:
        while at < end:
            kind, body, stop = self._element(at, end)
            if kind == _CLUSTER:
                at = self._cluster(body, stop, end)
                continue
            at = _sized(at, stop)
            if kind == _INFO:
                self._info(body, at)
            elif kind == _TRACKS:
                self._tracks(body, at)

    def _cluster(self, at: int, stop: int | None, end: int) -> int:
        """Count the frames of a cluster; one without a length ends where the next element of its level begins."""
        limit = end if stop is None else stop
        while at < limit:
            kind, body, inner = self._element(at, limit)
            if stop is None and kind in _LEVEL_ONE:
                return at
            at = _sized(at, inner)
            if kind == _SIMPLE_BLOCK:
                self._block(body, at)
            elif kind == _BLOCK_GROUP:
                for part, start, last in self._children(body, at):
                    if part == _BLOCK:
                        self._block(start, last)
        return at

    def _block(self, at: int, end: int) -> None:
        track, length = _vint(read_at(self._file, at, 8), keep_marker=False)
        if track in self._video_tracks and end - at > length + 3:  # two bytes of time, one of flags
            self._frames += 1

    def _info(self, at: int, end: int) -> None:
        for kind, start, last in self._children(at, end):
            if kind == _TIMESTAMP_SCALE:
                self._scale = self._uint(start, last) or self._scale
            elif kind == _DURATION and last - start in (4, 8):
                form = ">f" if last - start == 4 else ">d"
                (self._duration,) = struct.unpack(form, read_at(self._file, start, last - start))

    def _tracks(self, at: int, end: int) -> None:
        for kind, start, last in self._children(at, end):
            if kind != _TRACK_ENTRY:
                continue
            members = {part: (first, stop) for part, first, stop in self._children(start, last)}
            if _TRACK_TYPE not in members or self._uint(*members[_TRACK_TYPE]) != _VIDEO_TYPE:
                continue
            self._video_tracks.add(self._uint(*members[_TRACK_NUMBER]) if _TRACK_NUMBER in members else 1)
            for part, first, stop in self._children(*members[_VIDEO]) if _VIDEO in members else ():
                if part == _WIDTH:
                    self._width = self._uint(first, stop) or None
                elif part == _HEIGHT:
                    self._height = self._uint(first, stop) or None

    def _children(self, at: int, end: int) -> list[tuple[int, int, int]]:
        found = []
        while at < end:
            kind, body, stop = self._element(at, end)
            at = _sized(at, stop)
            found.append((kind, body, at))
        return found

    def _element(self, at: int, end: int) -> tuple[int, int, int | None]:
        """(id, start of the content, its end or None when it is unknown). Raises MediaError when it passes `end`."""
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MediaError(f"it has more than {MAX_PARTS} elements")
        head = read_at(self._file, at, min(12, max(0, end - at)))
        kind, first = _vint(head, keep_marker=True)
        size, second = _vint(head[first:], keep_marker=False)
        body = at + first + second
        if size == (1 << 7 * second) - 1:
            return kind, body, None
        if body + size > end:
            missing = f"the element at byte {at} needs {body + size - end} bytes more than there are"
            raise MediaError(missing, "truncated")
        return kind, body, body + size

    def _uint(self, at: int, end: int) -> int:
        return int.from_bytes(read_at(self._file, at, min(end - at, 8)), "big")


def _sized(at: int, end: int | None) -> int:
    """Where the element at that place ends."""
    if end is None:
        raise MediaError(f"the element at byte {at} does not tell its length")
    return end


def _vint(data: bytes, *, keep_marker: bool) -> tuple[int, int]:
    """(value, length) of a variable-size integer."""
    if not data:
        raise MediaError("it ends inside an element", "truncated")
    length = 9 - data[0].bit_length()
    if length > 8:
        raise MediaError("an element has an impossible header")
    if len(data) < length:
        raise MediaError("it ends inside an element", "truncated")
    value = int.from_bytes(data[:length], "big")
    return (value if keep_marker else value & ((1 << 7 * length) - 1)), length
