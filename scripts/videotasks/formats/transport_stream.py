"""Is this MPEG transport stream whole? Its packets, its tables and its video (ISO/IEC 13818-1)."""

from __future__ import annotations

import os
from typing import BinaryIO

from videotasks.formats.structure import MediaError, Structure, read_at

PACKET = 188
_BLOCK = PACKET * 8192
_VIDEO_TYPES = frozenset({0x01, 0x02, 0x10, 0x1B, 0x21, 0x24, 0x33, 0x42, 0xD1, 0xD2, 0xEA, 0x06})  # 06: AV1, private


def check_transport_stream(file: BinaryIO) -> Structure:
    """Raises MediaError when a packet is cut or out of step, or no packet of video is there.

    Nothing in a transport stream tells its end.
    """
    size = file.seek(0, os.SEEK_END)
    if size % PACKET:
        raise MediaError(f"it ends inside the packet at byte {size - size % PACKET}", "truncated")
    tables: set[int] = set()
    video: set[int] = set()
    shown = False
    for start in range(0, size, _BLOCK):
        block = read_at(file, start, min(_BLOCK, size - start))
        if block[::PACKET].count(0x47) * PACKET != len(block):
            raise MediaError(f"a packet after byte {start} is out of step")
        for at in range(0, len(block), PACKET):
            if shown or not block[at + 1] & 0x40:  # the start of a table or of a frame
                continue
            pid = (block[at + 1] & 0x1F) << 8 | block[at + 2]
            payload = _payload(block[at : at + PACKET])
            if pid == 0:
                tables |= _programs(payload)
            elif pid in tables:
                video |= _video_streams(payload)
            elif pid in video:
                shown = payload[:3] == b"\0\0\1" and len(payload) > 9
    if not tables or not video:
        raise MediaError("it names no video stream", "no_video")
    if not shown:
        raise MediaError("it holds tables but no frame of video", "truncated")
    return Structure(end_certain=False)


def _payload(packet: bytes) -> bytes:
    control = packet[3] >> 4 & 3
    if not control & 1:
        return b""
    return packet[5 + packet[4] :] if control & 2 else packet[4:]


def _section(payload: bytes, table: int) -> bytes:
    """The entries of a table's first section, without its header and checksum."""
    at = 1 + payload[0] if payload else 0
    if len(payload) < at + 8 or payload[at] != table:
        return b""
    end = at + 3 + ((payload[at + 1] & 0x0F) << 8 | payload[at + 2]) - 4
    return payload[at + 8 : max(at + 8, end)]


def _programs(payload: bytes) -> set[int]:
    entries = _section(payload, 0)
    found = set()
    for at in range(0, len(entries) - 3, 4):
        if entries[at : at + 2] != b"\0\0":  # program 0 names the network
            found.add((entries[at + 2] & 0x1F) << 8 | entries[at + 3])
    return found


def _video_streams(payload: bytes) -> set[int]:
    entries = _section(payload, 2)
    found = set()
    at = 4 + ((entries[2] & 0x0F) << 8 | entries[3]) if len(entries) >= 4 else 0
    while 0 < at <= len(entries) - 5:
        if entries[at] in _VIDEO_TYPES:
            found.add((entries[at + 1] & 0x1F) << 8 | entries[at + 2])
        at += 5 + ((entries[at + 3] & 0x0F) << 8 | entries[at + 4])
    return found
