"""Is this FLV file whole? A walk over its tags (Adobe Flash Video File Format Specification 10.1, annex E)."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from videotasks.formats.structure import MAX_PARTS, MediaError, Structure, read_at

_VIDEO, _SCRIPT = 9, 18
_SHORT_S = 1.0  # by how much the last frame may end before the length that the metadata tell


def check_flv(file: BinaryIO, length_known: bool) -> Structure:
    """Raises MediaError when the file is cut, broken, or holds no frame of video."""
    size = file.seek(0, os.SEEK_END)
    at = int.from_bytes(read_at(file, 5, 4), "big")
    if not 9 <= at <= 1024:
        raise MediaError("its header is broken")
    at += 4  # the length of no tag before the first
    frames = last_ms = parts = 0
    told: dict[bytes, float] = {}
    while at < size:
        parts += 1
        if parts > MAX_PARTS:
            raise MediaError(f"it has more than {MAX_PARTS} tags")
        head = read_at(file, at, 11)
        length = int.from_bytes(head[1:4], "big")
        end = at + 11 + length + 4
        if len(head) < 11 or end > size:
            raise MediaError(f"it ends inside the tag at byte {at}", "truncated")
        kind = head[0] & 0x1F
        if int.from_bytes(read_at(file, end - 4, 4), "big") not in (11 + length, 0):
            raise MediaError(f"the tag at byte {at} contradicts its length")
        if kind == _VIDEO and length > 5:  # shorter ones are headers and ends of sequences
            frames += 1
            last_ms = max(last_ms, int.from_bytes(head[7:8] + head[4:7], "big"))
        elif kind == _SCRIPT and not told:
            told = _metadata(read_at(file, at + 11, min(length, 65_536)))
        at = end
    if not frames:
        raise MediaError("it holds headers but no frame of video", "truncated")
    seconds, announced = last_ms / 1000, told.get(b"duration")
    if announced and seconds < announced - _SHORT_S and not length_known:
        raise MediaError(f"it ends after {seconds:.1f} s of the {announced:.1f} s that it announces", "truncated")
    width, height = (int(told[name]) if 0 < told.get(name, 0) < 65_536 else None for name in (b"width", b"height"))
    return Structure(announced or seconds or None, width, height, end_certain=False)


def _metadata(data: bytes) -> dict[bytes, float]:
    """The numbers of onMetaData: a name with its length before it, then AMF0's mark of a number."""
    found = {}
    for name in (b"duration", b"width", b"height"):
        at = data.find(struct.pack(">H", len(name)) + name + b"\0")
        value = data[at + 3 + len(name) : at + 11 + len(name)]
        if at >= 0 and len(value) == 8:
            (number,) = struct.unpack(">d", value)
            if 0 < number < 1e7:  # no NaN either
                found[name] = number
    return found
