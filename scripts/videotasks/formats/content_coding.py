"""A body's content coding by its first bytes: servers and what stands before them name the wrong one, or none."""

from __future__ import annotations

import zlib


def decoded(data: bytes, max_bytes: int) -> bytes:
    """`data` unpacked when it is gzip or zlib, at most `max_bytes` of it; else as it is. Never raises."""
    if data[:2] == b"\x1f\x8b":
        wbits = 31
    elif len(data) > 2 and data[0] == 0x78 and int.from_bytes(data[:2], "big") % 31 == 0:  # RFC 1950, 2.2
        wbits = 15
    else:
        return data
    unpacked = zlib.decompressobj(wbits)
    try:
        return unpacked.decompress(data, max_bytes) or data
    except zlib.error:
        return data
