"""Is this GIF a whole animation? A walk over its blocks (GIF89a)."""

from __future__ import annotations

import os
from typing import BinaryIO

from videotasks.formats.structure import MAX_PARTS, MediaError, Structure, read_at


def check_gif(file: BinaryIO) -> Structure:
    """Raises MediaError when the file is cut or holds fewer than two pictures: a still one is no video."""
    size = file.seek(0, os.SEEK_END)
    head = read_at(file, 0, 13)
    if len(head) < 13:
        raise MediaError("it ends inside its header", "truncated")
    at, frames, hundredths = 13 + _colours(head[10]), 0, 0
    while True:
        part = read_at(file, at, 10)
        if part[:1] == b";":
            break
        if part[:2] == b"!\xf9" and len(part) >= 6:
            hundredths += int.from_bytes(part[4:6], "little")
        if part[:1] == b"!":
            at = _past_blocks(file, at + 2, size)
        elif part[:1] == b"," and len(part) == 10:
            frames += 1
            at = _past_blocks(file, at + 11 + _colours(part[9]), size)
        elif not part or part[:1] in (b",", b"!"):
            raise MediaError("it ends before its end mark", "truncated")
        else:
            raise MediaError(f"byte {at} begins no block")
        if frames > MAX_PARTS:
            raise MediaError(f"it has more than {MAX_PARTS} pictures")
    if frames < 2:
        raise MediaError("it is a still picture", "no_video")
    width, height = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    return Structure(hundredths / 100 or None, width or None, height or None)


def _colours(flags: int) -> int:
    """Bytes of a colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _past_blocks(file: BinaryIO, at: int, size: int) -> int:
    """Behind a chain of sub-blocks, each with its length before it, the last of length 0."""
    while at < size:
        chunk = read_at(file, at, 65_536)
        place = 0
        while place < len(chunk):
            if chunk[place] == 0:
                return at + place + 1
            place += chunk[place] + 1
        at += place
    raise MediaError("it ends inside a picture", "truncated")
