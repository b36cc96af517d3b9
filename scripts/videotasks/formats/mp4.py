"""Is this MP4 whole? A walk over its boxes (ISO/IEC 14496-12, QuickTime File Format), without dependencies.

A download that was cut may still end with status 200 (an answer that ends with its connection has no length), so the
file itself is the only witness. Three things are looked at: every box ends within the file, every sample that the
index names lies within the file, and what a fragmented file says about its own length.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass, field
from typing import BinaryIO

from videotasks.formats.mp4_boxes import Box, Boxes, numbers, uint
from videotasks.formats.structure import MediaError, Structure, read_at

MEHD_TOLERANCE_S = 0.25  # muxers round, and audio is padded to whole frames

# What a file may begin with; old QuickTime files have no ftyp.
_FIRST = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"uuid"})


def check_mp4(file: BinaryIO, expected_length: int | None = None) -> Structure:
    """Look at the MP4 or MOV in a seekable file. The size is that shown: a track turned by 90 degrees swaps its sides.

    The end of a fragmented file that states neither its length nor its last fragment is not certain: cut between two
    fragments it looks the same, so that only a matching `expected_length` can tell.

    Raises MediaError with a reason when it is cut, is no MP4, contradicts itself or holds no video; OSError as is.
    """
    boxes = Boxes(file)
    if expected_length is not None and boxes.size != expected_length:
        kind = "truncated" if boxes.size < expected_length else "broken"
        raise MediaError(f"it has {boxes.size} bytes where {expected_length} were announced", kind)
    return _check(boxes, length_known=expected_length is not None)


@dataclass
class _Movie:
    """What moov says. Times in units of a track's own timescale, if not in seconds."""

    duration_s: float | None = None
    fragment_duration_s: float | None = None
    fragmented: bool = False
    timescales: dict[int, int] = field(default_factory=dict)
    default_durations: dict[int, int] = field(default_factory=dict)
    width: int | None = None
    height: int | None = None
    has_video: bool = False
    samples: int = 0
    last_byte: int = 0


def _check(boxes: Boxes, length_known: bool) -> Structure:
    head = read_at(boxes.file, 0, 8)
    if not head:
        raise MediaError("it is empty", "truncated")
    if head[4:] not in _FIRST and not (len(head) < 8 and any(kind.startswith(head[4:]) for kind in _FIRST)):
        raise MediaError("it is no MP4 or MOV file", "not_mp4")

    movie: _Movie | None = None
    has_data = waiting_for_data = index_at_end = False
    fragments = _Fragments(boxes)
    sidx_end = 0
    for box in boxes.walk(0, boxes.size, top=True):
        index_at_end = box.kind == b"mfra"
        if box.kind == b"moov" and movie is None:
            movie = _movie(boxes, box)
        elif box.kind == b"mdat":
            has_data, waiting_for_data = True, False
        elif box.kind == b"moof":
            if waiting_for_data:
                raise MediaError(f"the fragment before byte {box.start} has no media data")
            waiting_for_data = True
            fragments.add(box, movie)
        elif box.kind == b"sidx":
            sidx_end = max(sidx_end, _sidx_end(boxes, box))

    if movie is None:
        raise MediaError("its index (moov) is missing", "truncated" if has_data else "no_video")
    if not movie.has_video:
        raise MediaError("it holds no video track", "no_video")
    if movie.last_byte > boxes.size:
        missing = movie.last_byte - boxes.size
        raise MediaError(f"its index names samples that end {missing} bytes after the end of the file", "truncated")
    if waiting_for_data:
        raise MediaError("its last fragment has no media data", "truncated")
    if sidx_end > boxes.size:
        missing = sidx_end - boxes.size
        raise MediaError(f"its segment index reaches {missing} bytes past the end of the file", "truncated")
    if not has_data or not (movie.samples or fragments.count):
        raise MediaError("it holds an index but no media data", "truncated")

    duration, certain = movie.duration_s, True
    if fragments.count or (movie.fragmented and not movie.samples):
        there = fragments.end_s(movie)
        announced = movie.fragment_duration_s
        short = announced is not None and there is not None and there < announced - MEHD_TOLERANCE_S
        if short and not length_known:  # a matching length beats a muxer's estimate
            raise MediaError(f"it ends after {there:.2f} s of the {announced:.2f} s that it announces", "truncated")
        # A segment index proves a cut but no end: of one per segment (DASH), a cut file holds whole ones only.
        certain = length_known or index_at_end or (announced is not None and there is not None)
        duration = max(duration or 0.0, there or announced or 0.0) or None
    return Structure(duration, movie.width, movie.height, end_certain=certain)


def _movie(boxes: Boxes, moov: Box) -> _Movie:
    movie = _Movie()
    children = boxes.children(moov)
    if b"mvhd" not in children:
        raise MediaError("its index (moov) has no header")
    timescale, duration = _times(boxes.body(children[b"mvhd"][0], 20, 32))
    if timescale and duration:
        movie.duration_s = duration / timescale
    for mvex in children.get(b"mvex", []):
        movie.fragmented = True
        extends = boxes.children(mvex)
        for mehd in extends.get(b"mehd", []):
            raw = boxes.body(mehd, 8, 12)
            length = uint(raw, 4, 8 if raw[0] == 1 else 4)
            if timescale and length:
                movie.fragment_duration_s = length / timescale
        for trex in extends.get(b"trex", []):
            raw = boxes.body(trex, 24, 24)
            movie.default_durations[uint(raw, 4, 4)] = uint(raw, 12, 4)
    for trak in children.get(b"trak", []):
        _track(boxes, trak, movie)
    return movie


def _track(boxes: Boxes, trak: Box, movie: _Movie) -> None:
    tkhd, hdlr = boxes.descend(trak, b"tkhd"), boxes.descend(trak, b"mdia", b"hdlr")
    mdhd, minf = boxes.descend(trak, b"mdia", b"mdhd"), boxes.descend(trak, b"mdia", b"minf")
    if tkhd is None or hdlr is None or mdhd is None or minf is None:
        raise MediaError(f"the track at byte {trak.start} lacks its headers")
    handler = boxes.body(hdlr, 12, 12)[8:12]
    header = boxes.body(tkhd, 84, 96)
    wide = 12 if header[0] == 1 else 0
    if len(header) < 84 + wide:
        raise MediaError("box 'tkhd' is too short")
    track_id = uint(header, 20 if wide else 12, 4)
    movie.timescales[track_id] = _times(boxes.body(mdhd, 20, 32))[0]
    stbl = boxes.descend(minf, b"stbl")
    tables = boxes.children(stbl) if stbl else {}
    count, last_byte = _samples(boxes, tables)
    if not _is_external(boxes, minf):
        movie.last_byte = max(movie.last_byte, last_byte)
    if handler != b"vide":
        return
    movie.has_video = True
    movie.samples += count
    width, height = uint(header, 76 + wide, 4) >> 16, uint(header, 80 + wide, 4) >> 16
    entry = boxes.body(tables[b"stsd"][0], 8, 44) if b"stsd" in tables else b""
    if len(entry) >= 44 and not (width and height):
        width, height = uint(entry, 40, 2), uint(entry, 42, 2)
    a, b = struct.unpack_from(">ii", header, 40 + wide)
    if a == 0 and b != 0:
        width, height = height, width
    if width and height and movie.width is None:
        movie.width, movie.height = width, height


def _is_external(boxes: Boxes, minf: Box) -> bool:
    """True when the samples lie in another file, so that their places mean nothing here."""
    dref = boxes.descend(minf, b"dinf", b"dref")
    if dref is None:
        return False
    entries = list(boxes.walk(dref.body + 8, dref.end))
    return bool(entries) and not any(boxes.body(entry, 4, 4)[3] & 1 for entry in entries)


def _samples(boxes: Boxes, tables: dict[bytes, list[Box]]) -> tuple[int, int]:
    """How many samples a track has, and where the last byte of any of them lies."""
    if b"stsz" in tables:
        raw = boxes.body(tables[b"stsz"][0], 12)
        each, count = uint(raw, 4, 4), uint(raw, 8, 4)
        sizes = numbers(raw, 12, 0 if each else count, "I", "stsz")
    elif b"stz2" in tables:
        raw = boxes.body(tables[b"stz2"][0], 12)
        each, count, bits = 0, uint(raw, 8, 4), raw[7]
        if bits == 4:
            packed = numbers(raw, 12, (count + 1) // 2, "B", "stz2")
            sizes = array("B", (half for byte in packed for half in (byte >> 4, byte & 15)))
        elif bits in (8, 16):
            sizes = numbers(raw, 12, count, "B" if bits == 8 else "H", "stz2")
        else:
            raise MediaError("box 'stz2' has an impossible field size")
    else:
        return 0, 0
    wide = b"stco" not in tables
    if not count or b"stsc" not in tables or (wide and b"co64" not in tables):
        return count, 0
    raw = boxes.body(tables[b"co64" if wide else b"stco"][0], 8)
    offsets = numbers(raw, 8, uint(raw, 4, 4), "Q" if wide else "I", "stco")
    raw = boxes.body(tables[b"stsc"][0], 8)
    runs = numbers(raw, 8, 3 * uint(raw, 4, 4), "I", "stsc")
    sample = run = last_byte = 0
    for chunk, offset in enumerate(offsets, 1):
        while run + 3 < len(runs) and runs[run + 3] <= chunk:
            run += 3
        until = min(count, sample + (runs[run + 1] if runs else 0))
        if until > sample:
            # A QuickTime sound sample of "one byte" is a frame of unstated size: only its place is sure.
            length = 1 if each == 1 else each * (until - sample) or sum(sizes[sample:until])
            if length:
                last_byte = max(last_byte, offset + length)
        sample = until
    return count, last_byte


class _Fragments:
    """The fragments of a file: how many, and how far each track reaches."""

    def __init__(self, boxes: Boxes) -> None:
        self._boxes = boxes
        self._ends: dict[int, int] = {}
        self.count = 0

    def add(self, moof: Box, movie: _Movie | None) -> None:
        self.count += 1
        for traf in self._boxes.children(moof).get(b"traf", []):
            parts = self._boxes.children(traf)
            if b"tfhd" not in parts:
                raise MediaError(f"the fragment at byte {moof.start} has no header")
            raw = self._boxes.body(parts[b"tfhd"][0], 8, 40)
            flags, track = uint(raw, 1, 3), uint(raw, 4, 4)
            default = movie.default_durations.get(track, 0) if movie else 0
            if flags & 0x8:
                default = uint(raw, 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0), 4)
            start = self._ends.get(track, 0)
            if b"tfdt" in parts:
                raw = self._boxes.body(parts[b"tfdt"][0], 8, 12)
                start = uint(raw, 4, 8 if raw[0] == 1 else 4)
            length = sum(self._run(trun, default) for trun in parts.get(b"trun", []))
            self._ends[track] = max(self._ends.get(track, 0), start + length)

    def _run(self, trun: Box, default: int) -> int:
        raw = self._boxes.body(trun, 8)
        flags, count = uint(raw, 1, 3), uint(raw, 4, 4)
        if not flags & 0x100:
            return count * default
        at = 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
        fields = sum(1 for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit)
        return sum(numbers(raw, at, count * fields, "I", "trun")[::fields])

    def end_s(self, movie: _Movie) -> float | None:
        seconds = [end / movie.timescales[track] for track, end in self._ends.items() if movie.timescales.get(track)]
        return max(seconds, default=None)


def _sidx_end(boxes: Boxes, sidx: Box) -> int:
    """Where the last segment that this index names ends."""
    raw = boxes.body(sidx, 24)
    at = 28 if raw[0] == 1 else 20
    first = uint(raw, 20, 8) if raw[0] == 1 else uint(raw, 16, 4)
    sizes = numbers(raw, at + 4, 3 * uint(raw, at + 2, 2), "I", "sidx")[::3]
    return sidx.end + first + sum(size & 0x7FFFFFFF for size in sizes)


def _times(raw: bytes) -> tuple[int, int]:
    """(timescale, duration) of mvhd or mdhd; a duration of all ones means unknown and is given as 0."""
    at, width = (20, 8) if raw[0] == 1 else (12, 4)
    timescale, duration = uint(raw, at, 4), uint(raw, at + 4, width)
    return timescale, 0 if duration == (1 << 8 * width) - 1 else duration
