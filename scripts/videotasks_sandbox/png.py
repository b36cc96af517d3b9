"""A PNG writer for 8-bit RGB pictures (ISO/IEC 15948), on zlib alone."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(width: int, height: int, rows: Sequence[bytes]) -> bytes:
    """A PNG file of `height` rows of `width` RGB pixels, three bytes each. Raises ValueError if the rows do not fit."""
    if len(rows) != height or any(len(row) != 3 * width for row in rows):
        raise ValueError(f"expected {height} rows of {3 * width} bytes")
    same = b"\2" + bytes(3 * width)  # filter "up", no difference: what a repeated row costs least
    before: bytes | None = None
    lines = []
    for row in rows:
        lines.append(same if row == before else b"\0" + row)
        before = row
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            _chunk(b"sRGB", b"\0"),
            _chunk(b"IDAT", zlib.compress(b"".join(lines), 1)),
            _chunk(b"IEND", b""),
        )
    )
