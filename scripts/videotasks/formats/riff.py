"""Is this AVI or WebP file whole? A walk over its RIFF chunks (Microsoft's AVI RIFF reference, OpenDML 1.02, WebP)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from videotasks.formats.structure import MAX_PARTS, MediaError, Structure, read_at

_Chunk = tuple[bytes, int, int]  # kind (of a LIST or RIFF: its form), start and end of the content


def check_avi(file: BinaryIO) -> Structure:
    """Raises MediaError when the file is cut, broken, or holds no frame of video."""
    walk = _Walk(file)
    frames, described, header = 0, False, b""
    videos: set[int] = set()
    for form, start, end in walk.chunks(0, walk.size):
        if form not in (b"AVI ", b"AVIX"):
            continue
        for kind, at, stop in walk.chunks(start, end):
            if kind == b"hdrl":
                described = True
                header, videos = _avi_streams(walk, at, stop)
            elif kind == b"movi":
                frames += _avi_frames(walk, at, stop, videos)
    if not described:
        raise MediaError("it ends before its headers", "truncated")
    if not videos:
        raise MediaError("it holds no video stream", "no_video")
    if not frames:
        raise MediaError("it holds headers but no frame of video", "truncated")
    micros, total, width, height = struct.unpack_from("<I12xI12xII", header)
    return Structure(micros * (total or frames) / 1e6 or None, width or None, height or None, end_certain=walk.sized)


def _avi_streams(walk: _Walk, start: int, end: int) -> tuple[bytes, set[int]]:
    """The main header, and the numbers of the video streams."""
    header, videos, number = b"", set(), 0
    for kind, at, stop in walk.chunks(start, end):
        if kind == b"avih":
            header = read_at(walk.file, at, min(stop - at, 56))
        elif kind == b"strl":
            for inner, place, _ in walk.chunks(at, stop):
                if inner == b"strh" and read_at(walk.file, place, 4) == b"vids":
                    videos.add(number)
            number += 1
    if len(header) < 40:
        raise MediaError("its main header is too short")
    return header, videos


def _avi_frames(walk: _Walk, start: int, end: int, videos: set[int]) -> int:
    frames = 0
    for kind, at, stop in walk.chunks(start, end):
        if kind == b"rec ":
            frames += _avi_frames(walk, at, stop, videos)
        elif kind[2:] in (b"dc", b"db") and kind[:2].isdigit() and int(kind[:2]) in videos and stop > at:
            frames += 1
    return frames


def check_webp(file: BinaryIO) -> Structure:
    """Raises MediaError when the file is cut or holds fewer than two frames: a still picture is no video."""
    walk = _Walk(file)
    form, start, end = next(walk.chunks(0, walk.size), (b"", 0, 0))
    frames = milliseconds = 0
    size: tuple[int, int] | tuple[None, None] = (None, None)
    for kind, at, stop in walk.chunks(start, end) if form == b"WEBP" else ():
        data = read_at(file, at, min(stop - at, 16))
        if kind == b"VP8X" and len(data) >= 10:
            size = (1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little"))
        elif kind == b"ANMF" and len(data) == 16 and stop - at > 16:
            frames += 1
            milliseconds += int.from_bytes(data[12:15], "little")
    if frames < 2:
        raise MediaError("it is a still picture", "no_video")
    return Structure(milliseconds / 1000 or None, *size)


class _Walk:
    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, os.SEEK_END)
        self.sized = True  # every RIFF tells its length; one that was written as a stream may not
        self._parts = 0

    def chunks(self, at: int, end: int) -> Iterator[_Chunk]:
        while at < end:
            self._parts += 1
            if self._parts > MAX_PARTS:
                raise MediaError(f"it has more than {MAX_PARTS} chunks")
            head = read_at(self.file, at, min(12, end - at))
            if len(head) < 8:
                if end == self.size and any(head):
                    raise MediaError(f"it ends inside a chunk at byte {at}", "truncated")
                return
            kind, size = head[:4], int.from_bytes(head[4:8], "little")
            if not all(0x20 <= byte <= 0x7E for byte in kind):
                return  # padding behind the last chunk
            if kind == b"RIFF" and size in (0, 0xFFFFFFFF):
                self.sized, size = False, end - at - 8
            stop = at + 8 + size
            if stop > end:
                chunk = f"the chunk {kind.decode('latin-1')!r} at byte {at}"
                raise MediaError(f"{chunk} needs {stop - end} bytes more than there are", "truncated")
            if kind not in (b"RIFF", b"LIST"):
                yield kind, at + 8, stop
            elif size < 4:
                raise MediaError(f"the list at byte {at} has no name")
            else:
                yield head[8:12], at + 12, stop
            at = stop + (size & 1)
