"""The files that a sandbox task ends with: the prompt as an MP4, its last frame and a thumbnail as PNG.

MP4 (ISO/IEC 14496-12, -15) with one H.264 track, `moov` before `mdat` so that it plays while it loads; PNG (ISO/IEC
15948) of 8-bit RGB, on zlib alone.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from videotasks_sandbox.h264 import Encoder
from videotasks_sandbox.picture import Picture

_TICKS = 1000  # of the timescale per frame at full length
_KEY_FRAME_EVERY_S = 5  # where a player can start when it seeks
_THUMBNAIL_SIDE = 480  # pixels, longer side
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UND = 0x55C4  # language "und" in three times five bits


@dataclass(frozen=True)
class RenderedVideo:
    """Complete files as bytes."""

    mp4: bytes
    last_frame_png: bytes
    thumbnail_png: bytes


def render_video(
    prompt: str, *, duration_s: float, width: int, height: int, fps: int = 24, caption: str = "SANDBOX", seed: int = 0
) -> RenderedVideo:
    """A playable H.264 MP4 that shows `prompt` over a landscape drawn from its hash and the seed.

    The same input gives the same bytes. The picture has exactly `width` x `height` pixels (even numbers), the track
    lasts `duration_s` seconds to the millisecond: the last frame is shown a little longer or shorter.
    """
    encoder = Encoder(width, height, fps)
    timescale = fps * _TICKS
    ticks = max(1, round(duration_s * timescale))
    frames = max(1, round(duration_s * fps))
    picture = Picture(prompt, width=width, height=height, total_s=duration_s, caption=caption, seed=seed)
    samples: list[Sample] = []
    for number in range(frames):
        changed = picture.advance(number / (frames - 1) if frames > 1 else 1.0)
        key = number % (fps * _KEY_FRAME_EVERY_S) == 0
        planes = picture.planes()
        data = encoder.key_frame(planes) if key else encoder.delta_frame(planes, changed)
        last = number == frames - 1
        samples.append(Sample(data, ticks - number * _TICKS if last else _TICKS, key))
    sps, pps = encoder.parameter_sets()
    mp4 = write_mp4(samples, width=width, height=height, timescale=timescale, sps=sps, pps=pps, title=caption)
    # The thumbnail is drawn anew in small: letters that were scaled down would be hard to read.
    shrink = min(1.0, _THUMBNAIL_SIDE / max(width, height))
    w, h = (max(2, round(side * shrink / 2) * 2) for side in (width, height))
    small = Picture(prompt, width=w, height=h, total_s=duration_s, caption=caption, seed=seed)
    return RenderedVideo(mp4, write_png(width, height, picture.rgb_rows()), write_png(w, h, small.rgb_rows()))


# -- MP4 --


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
    runs = [(len(list(same)), duration) for duration, same in groupby(durations)]
    return struct.pack(">I", len(runs)) + b"".join(struct.pack(">II", *run) for run in runs)


# -- PNG --


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(width: int, height: int, rows: Sequence[bytes]) -> bytes:
    """A PNG file of `height` rows of `width` RGB pixels, three bytes each."""
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
