"""An MP4 file (ISO/IEC 14496-12, -15) with one H.264 track, `moov` before `mdat` so that it plays while it loads."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UND = 0x55C4  # language "und" in three times five bits


@dataclass(frozen=True)
class Sample:
    """One coded frame: NAL units behind 4-byte lengths, and how long it is shown, in ticks of the track's timescale."""

    data: bytes
    duration: int
    key: bool


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full_box(kind: bytes, version: int, flags: int, *content: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def write_mp4(
    samples: Sequence[Sample], *, width: int, height: int, timescale: int, sps: bytes, pps: bytes, title: str = ""
) -> bytes:
    """The file as bytes. Times of creation are zero, so the same input gives the same bytes."""
    duration = sum(sample.duration for sample in samples)
    ftyp = box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isomiso2avc1mp41")
    media = b"".join(sample.data for sample in samples)

    def moov(offset: int) -> bytes:
        stbl = box(
            b"stbl",
            full_box(b"stsd", 0, 0, struct.pack(">I", 1), _avc1(width, height, sps, pps)),
            full_box(b"stts", 0, 0, _runs([sample.duration for sample in samples])),
            full_box(b"stss", 0, 0, _numbers([n for n, sample in enumerate(samples, 1) if sample.key])),
            full_box(b"stsc", 0, 0, struct.pack(">4I", 1, 1, len(samples), 1)),  # one chunk holds them all
            full_box(b"stsz", 0, 0, struct.pack(">I", 0), _numbers([len(sample.data) for sample in samples])),
            full_box(b"stco", 0, 0, _numbers([offset])),
        )
        minf = box(
            b"minf",
            full_box(b"vmhd", 0, 1, bytes(8)),
            box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1))),
            stbl,
        )
        mdia = box(
            b"mdia",
            full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, timescale, duration, _UND, 0)),
            full_box(b"hdlr", 0, 0, bytes(4), b"vide", bytes(12), b"VideoHandler\0"),
            minf,
        )
        tkhd = full_box(
            b"tkhd",
            0,
            3,  # enabled, in movie
            struct.pack(">IIIII", 0, 0, 1, 0, duration),
            bytes(16),
            _MATRIX,
            struct.pack(">II", width << 16, height << 16),
        )
        mvhd = full_box(
            b"mvhd",
            0,
            0,
            struct.pack(">IIII", 0, 0, timescale, duration),
            struct.pack(">IH", 0x10000, 0x100),
            bytes(10),
            _MATRIX,
            bytes(24),
            struct.pack(">I", 2),  # next track
        )
        return box(b"moov", mvhd, box(b"trak", tkhd, mdia), _title(title))

    offset = len(ftyp) + len(moov(0)) + 8
    return ftyp + moov(offset) + box(b"mdat", media)


def _avc1(width: int, height: int, sps: bytes, pps: bytes) -> bytes:
    avcc = box(
        b"avcC",
        b"\1" + sps[1:4],  # profile, compatibility, level
        b"\xff\xe1",  # NAL lengths of four bytes, one SPS
        struct.pack(">H", len(sps)) + sps,
        b"\1" + struct.pack(">H", len(pps)) + pps,
    )
    return box(
        b"avc1",
        bytes(6) + struct.pack(">H", 1) + bytes(16),
        struct.pack(">HH", width, height),
        struct.pack(">III", 72 << 16, 72 << 16, 0),  # 72 dpi
        struct.pack(">H", 1) + bytes(32),  # one frame a sample, no compressor name
        struct.pack(">Hh", 24, -1),
        avcc,
        box(b"colr", b"nclx", struct.pack(">HHHB", 1, 1, 1, 0)),  # BT.709, limited range
        box(b"pasp", struct.pack(">II", 1, 1)),
    )


def _title(title: str) -> bytes:
    """The title as players and `ffprobe` show it (iTunes metadata)."""
    if not title:
        return b""
    data = box(b"data", struct.pack(">II", 1, 0), title.encode("utf-8", "replace"))  # type 1: UTF-8
    handler = full_box(b"hdlr", 0, 0, bytes(4), b"mdirappl", bytes(9))
    return box(b"udta", full_box(b"meta", 0, 0, handler, box(b"ilst", box(b"\xa9nam", data))))


def _numbers(values: Sequence[int]) -> bytes:
    return struct.pack(f">{len(values) + 1}I", len(values), *values)


def _runs(durations: Sequence[int]) -> bytes:
    """Run-length coded durations, as stts wants them."""
    runs: list[list[int]] = []
    for duration in durations:
        if runs and runs[-1][1] == duration:
            runs[-1][0] += 1
        else:
            runs.append([1, duration])
    return struct.pack(">I", len(runs)) + b"".join(struct.pack(">II", *run) for run in runs)
