"""What a file is by its content, and whether an MP4 is whole: every cut of every layout is found."""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.samples import files_of_a_home
from videotasks.formats.media_type import sniff
from videotasks.formats.mp4 import check_mp4
from videotasks.formats.structure import MediaError, Structure

# -- MP4s by hand ------------------------------------------------------------------------------------------------

SAMPLES = [b"first sample", b"2nd", b"the third sample", b"x" * 40, b"last"]
PER_CHUNK = [2, 2, 1]  # one run of two chunks with two samples, one with a single sample
TIMESCALE = 1000


def box(kind: bytes, *parts: bytes, wide: bool = False) -> bytes:
    body = b"".join(parts)
    if wide:
        return struct.pack(">I4sQ", 1, kind, 16 + len(body)) + body
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def u32(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def u64(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}Q", *numbers)


def ftyp(major: bytes = b"isom", *compatible: bytes) -> bytes:
    return box(b"ftyp", major, u32(512), *(compatible or (b"isom", b"mp41")))


IDENTITY = (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
QUARTER_TURN = (0, 0x10000, 0, 0xFFFF0000, 0, 0, 0, 0, 0x40000000)


def mvhd(duration: int, version: int = 0) -> bytes:
    times = u64(0, 0) + u32(TIMESCALE) + u64(duration) if version else u32(0, 0, TIMESCALE, duration)
    return full(b"mvhd", times, u32(0x10000, 0x1000000, 0, 0), u32(*IDENTITY), bytes(24), u32(3), version=version)


def tkhd(
    width: int, height: int, track: int = 1, version: int = 0, matrix: tuple[int, ...] = IDENTITY, duration: int = 2500
) -> bytes:
    times = u64(0, 0) + u32(track, 0) + u64(duration) if version else u32(0, 0, track, 0, duration)
    sides = u32(width << 16, height << 16)
    return full(b"tkhd", times, bytes(16), u32(*matrix), sides, version=version, flags=3)


def stbl(offsets: list[int], *, wide: bool = False, compact: int = 0, samples: list[bytes] | None = None) -> bytes:
    samples = SAMPLES if samples is None else samples
    entry = box(b"avc1", bytes(6), b"\0\1", bytes(16), struct.pack(">HH", 320, 180), bytes(50))
    sizes = [len(sample) for sample in samples]
    if compact == 4:
        nibbles = [*sizes, 0]
        packed = bytes(nibbles[i] << 4 | nibbles[i + 1] for i in range(0, len(sizes), 2))
        table = full(b"stz2", u32(4, len(sizes)), packed)
    elif compact:
        packed = b"".join(size.to_bytes(compact // 8, "big") for size in sizes)
        table = full(b"stz2", u32(compact, len(sizes)), packed)
    else:
        table = full(b"stsz", u32(0, len(sizes), *sizes))
    places = full(b"co64", u32(len(offsets)), u64(*offsets)) if wide else full(b"stco", u32(len(offsets), *offsets))
    return box(
        b"stbl",
        full(b"stsd", u32(1), entry),
        full(b"stts", u32(1, len(sizes), 500)),
        full(b"stsc", u32(2, 1, 2, 1, 3, 1, 1)),
        table,
        places,
    )


def trak(
    tables: bytes,
    handler: bytes = b"vide",
    header: bytes | None = None,
    self_contained: bool = True,
    scale: int = TIMESCALE,
) -> bytes:
    dinf = box(b"dinf", full(b"dref", u32(1), full(b"url ", flags=1 if self_contained else 0)))
    mdia = box(
        b"mdia",
        full(b"mdhd", u32(0, 0, TIMESCALE, 2500), bytes(4)),
        full(b"hdlr", bytes(4), handler, bytes(13)),
        box(b"minf", full(b"vmhd", bytes(8)), dinf, tables),
    )
    return box(b"trak", header if header is not None else tkhd(320, 180), mdia)


def moov(tables: bytes, *, head: bytes | None = None, extra: bytes = b"", **options: Any) -> bytes:
    return box(b"moov", head or mvhd(2500), trak(tables, **options), extra)


def chunk_offsets(first: int) -> list[int]:
    offsets, at, sample = [], first, 0
    for count in PER_CHUNK:
        offsets.append(at)
        at += sum(len(s) for s in SAMPLES[sample : sample + count])
        sample += count
    return offsets


def plain(*, wide: bool = False, tail: bytes = b"", **options: Any) -> bytes:
    """ftyp, mdat, moov: as an encoder writes it."""
    start = ftyp() + box(b"mdat", *SAMPLES, wide=wide)
    first = len(start) - sum(map(len, SAMPLES))
    return start + moov(stbl(chunk_offsets(first), wide=wide), **options) + tail


def faststart(*, wide: bool = False, data: bytes | None = None, tail: bytes = b"", **options: Any) -> bytes:
    """ftyp, moov, free, mdat: as it is served on the web."""
    empty = moov(stbl(chunk_offsets(0), wide=wide), **options)
    head = 16 if wide else 8
    before = ftyp() + empty + box(b"free", bytes(10))
    index = moov(stbl(chunk_offsets(len(before) + head), wide=wide), **options)
    mdat = box(b"mdat", *SAMPLES, wide=wide) if data is None else data
    return ftyp() + index + box(b"free", bytes(10)) + mdat + tail


def fragment(number: int, start: int, seconds: float = 1.0, data: bytes = b"payload", per_sample: bool = True) -> bytes:
    units = int(seconds * TIMESCALE)
    if per_sample:
        trun = full(b"trun", u32(2, 0), u32(units // 2, 4, units - units // 2, 3), flags=0x301)
    else:
        trun = full(b"trun", u32(2, 0), flags=0x1)
    default = b"" if per_sample else u32(units // 2)
    tfhd = full(b"tfhd", u32(1), default, flags=0x20000 | (0 if per_sample else 0x8))
    traf = box(b"traf", tfhd, full(b"tfdt", u64(start), version=1), trun)
    return box(b"moof", full(b"mfhd", u32(number)), traf) + box(b"mdat", data)


def fragmented(count: int = 3, *, mehd: bool = False, sidx: bool = False, mfra: bool = False, **options: Any) -> bytes:
    extends = full(b"trex", u32(1, 1, 0, 0, 0))
    if mehd:
        extends = full(b"mehd", u32(count * TIMESCALE)) + extends
    tables = box(b"stbl", full(b"stsz", u32(0, 0)), full(b"stsc", u32(0)), full(b"stco", u32(0)))
    parts = [fragment(i + 1, i * TIMESCALE, **options) for i in range(count)]
    whole = ftyp(b"iso5") + moov(tables, head=mvhd(0), extra=box(b"mvex", extends))
    if sidx:
        entries = b"".join(u32(len(part), TIMESCALE, 0x90000000) for part in parts)
        whole += full(b"sidx", u32(1, TIMESCALE, 0, 0), struct.pack(">HH", 0, count), entries)
    whole += b"".join(parts)
    if mfra:
        whole += box(b"mfra", full(b"tfra", u32(1, 0, 0)), full(b"mfro", u32(0)))
    return whole


def check(data: bytes, expected_length: int | None = None) -> Structure:
    return check_mp4(io.BytesIO(data), expected_length)


def reason(data: bytes, expected_length: int | None = None) -> tuple[str, str]:
    with pytest.raises(MediaError) as caught:
        check(data, expected_length)
    return caught.value.kind, str(caught.value)


WHOLE = {
    "plain": plain(),
    "plain, 64-bit": plain(wide=True),
    "faststart": faststart(),
    "faststart, 64-bit": faststart(wide=True),
    "faststart, data to the end of the file": faststart(data=struct.pack(">I4s", 0, b"mdat") + b"".join(SAMPLES)),
    "faststart, version 1 headers": faststart(head=mvhd(2500, version=1), header=tkhd(320, 180, version=1)),
    "fragmented with mehd": fragmented(mehd=True),
    "fragmented with sidx": fragmented(sidx=True),
    "fragmented, default durations": fragmented(mehd=True, per_sample=False),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_pass(name: str) -> None:
    info = check(WHOLE[name])
    assert (info.width, info.height) == (320, 180)
    assert info.duration_s == pytest.approx(3.0 if "fragmented" in name else 2.5)
    assert info.end_certain is ("sidx" not in name)
    assert check(WHOLE[name], len(WHOLE[name])) == info._replace(end_certain=True)


@pytest.mark.parametrize("name", WHOLE)
def test_every_cut_is_found(name: str) -> None:
    data = WHOLE[name]
    missed = []
    for length in range(len(data)):
        try:
            check(data[:length])
        except MediaError as error:
            assert error.kind in ("truncated", "no_video"), (length, str(error))
            continue
        missed.append(length)
    assert missed == []


def test_a_fragmented_file_that_does_not_state_its_length_says_so() -> None:
    data = fragmented(3)
    info = check(data)
    assert not info.end_certain
    assert info.duration_s == pytest.approx(3.0)
    assert check(data, len(data)).end_certain
    missed = []
    for length in range(len(data)):
        try:
            missed.append((length, check(data[:length]).end_certain))
        except MediaError:
            continue
    ends = [len(fragmented(1)), len(fragmented(2))]
    assert missed == [(length, False) for length in ends], "only cuts between fragments can hide, and none as certain"
    assert check(fragmented(3, mfra=True)).end_certain


@given(st.data())
def test_random_layouts_and_cuts(data: st.DataObject) -> None:
    filler = data.draw(st.binary(max_size=30))
    tail = data.draw(
        st.sampled_from([b"", box(b"free", filler), box(b"udta", filler), box(b"uuid", bytes(16), filler)])
    )
    layout = data.draw(st.sampled_from([plain, faststart]))
    whole = layout(wide=data.draw(st.booleans()), tail=tail)
    assert check(whole).width
    length = data.draw(st.integers(0, len(whole) - 1))
    if length == len(whole) - len(tail):
        return  # nothing but a trailing box without media is missing, as a whole: the file plays in full
    with pytest.raises(MediaError):
        check(whole[:length])


@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_damage_never_ends_in_another_exception(name: str, data: st.DataObject) -> None:
    damaged = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8) | st.just(b"\xff" * 4) | st.just(b"\0" * 8))
        damaged[at : at + len(piece)] = piece
    try:
        check(bytes(damaged))
    except MediaError as error:
        assert str(error)


@given(st.binary(max_size=200))
def test_noise_is_no_mp4(noise: bytes) -> None:
    with pytest.raises(MediaError):
        check(noise)
    with pytest.raises(MediaError):
        check(ftyp() + noise)


# -- what is told about a file -----------------------------------------------------------------------------------


def test_expected_length() -> None:
    data = faststart()
    assert reason(data, len(data) + 5) == (
        "truncated",
        f"it has {len(data)} bytes where {len(data) + 5} were announced",
    )
    assert reason(data, len(data) - 1)[0] == "broken"


def test_a_file_stays_open() -> None:
    file = io.BytesIO(plain())
    check_mp4(file)
    assert not file.closed


def test_turned_by_90_degrees_the_sides_swap() -> None:
    info = check(plain(header=tkhd(320, 180, matrix=QUARTER_TURN)))
    assert (info.width, info.height) == (180, 320)


def test_sides_come_from_the_sample_entry_when_the_track_has_none() -> None:
    info = check(plain(header=tkhd(0, 0)))
    assert (info.width, info.height) == (320, 180)


def test_unknown_durations_are_none() -> None:
    assert check(plain(head=mvhd(0xFFFFFFFF))).duration_s is None
    assert check(plain(head=mvhd(2**64 - 1, version=1))).duration_s is None
    assert check(plain(head=mvhd(0))).duration_s is None


def test_sound_may_be_there_and_sound_alone_is_no_video() -> None:
    sound = trak(stbl([0], samples=[]), handler=b"soun", header=tkhd(0, 0, track=2))
    assert check(plain(extra=sound)).width == 320
    assert reason(plain(handler=b"soun")) == ("no_video", "it holds no video track")


def test_samples_in_another_file_are_not_looked_for() -> None:
    elsewhere = trak(stbl([10**6]), handler=b"text", header=tkhd(0, 0, track=2), self_contained=False)
    assert check(plain(extra=elsewhere)).width
    here = trak(stbl([10**6]), handler=b"text", header=tkhd(0, 0, track=2))
    assert "samples" in reason(plain(extra=here))[1]


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_compact_sample_sizes(bits: int) -> None:
    samples = [b"aaaa", b"bb", b"ccccc", b"d", b"eeeeeee"]
    start = ftyp() + box(b"mdat", *samples)
    first = len(start) - 19
    offsets = [first, first + 6, first + 12]
    assert check(start + moov(stbl(offsets, compact=bits, samples=samples))).width
    late = [first, first + 6, 10_000]
    assert reason(start + moov(stbl(late, compact=bits, samples=samples)))[0] == "truncated"


def test_trailers_that_are_no_boxes_are_let_pass() -> None:
    # Phones append data of their own; a cut never makes an impossible box type, so this hides no truncation.
    for trailer in (bytes(8), bytes(1000), b"\0\0\0\x10\x01\x02\x03\x04trailer", b"\xff" * 64):
        assert check(plain(tail=trailer)).width
    assert reason(plain(tail=bytes(7)))[0] == "truncated", "fewer than eight bytes may be a box that was cut"


def test_mehd_is_only_an_estimate_when_the_length_is_known() -> None:
    cut = fragmented(3, mehd=True)[: -len(fragment(3, 0))]
    assert reason(cut) == ("truncated", "it ends after 2.00 s of the 3.00 s that it announces")
    assert check(cut, len(cut)).duration_s == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "truncated"),
        (b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>", "not_mp4"),
        (b'{"error":{"message":"expired"}}', "not_mp4"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "not_mp4"),
        (ftyp(), "no_video"),
        (ftyp() + box(b"mdat", b"x"), "truncated"),
        (ftyp() + box(b"moov", mvhd(1)), "no_video"),
        (ftyp() + box(b"moov"), "broken"),
        (ftyp() + moov(stbl([])), "truncated"),
        (ftyp(b"heic") + full(b"meta"), "no_video"),
        (ftyp() + fragment(1, 0), "truncated"),
    ],
)
def test_reasons(data: bytes, kind: str) -> None:
    assert reason(data)[0] == kind


# -- hostile files -----------------------------------------------------------------------------------------------


def nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = box(b"moov", data)
    return data


def with_table(kind: bytes, body: bytes) -> bytes:
    tables = [full(b"stsz", u32(9, 0xFFFFFFFF)), full(b"stsc", u32(1, 1, 0xFFFFFFFF, 1)), full(b"stco", u32(1, 0))]
    tables = [body if table[4:8] == kind else table for table in tables]
    return ftyp() + moov(box(b"stbl", *tables)) + box(b"mdat", b"x")


HOSTILE = {
    "a box of 16 exabytes": ftyp() + struct.pack(">I4sQ", 1, b"mdat", 2**64 - 1) + bytes(100),
    "a 64-bit size of nought": ftyp() + struct.pack(">I4sQ", 1, b"mdat", 0) + bytes(100),
    "a 64-bit size below its header": ftyp() + struct.pack(">I4sQ", 1, b"mdat", 15) + bytes(100),
    "sizes below a header": ftyp() + struct.pack(">I4s", 7, b"free") * 100,
    "size nought inside a container": ftyp() + box(b"moov", struct.pack(">I4s", 0, b"mvhd") + bytes(100)),
    "a child that overruns": ftyp() + box(b"moov", struct.pack(">I4s", 5000, b"mvhd") + bytes(100)) + bytes(9000),
    "deep nesting": ftyp() + nested(20_000),
    "four thousand million samples": with_table(b"none", b""),
    "a table that names more than it holds": with_table(b"stco", full(b"stco", u32(0xFFFFFFFF, 1))),
    "a compact table of odd width": with_table(b"stsz", full(b"stz2", u32(3, 5))),
    "a track without headers": ftyp() + box(b"moov", mvhd(1), box(b"trak")) + box(b"mdat", b"x"),
    "a timescale of nought": ftyp() + moov(stbl([0]), head=full(b"mvhd", bytes(96))) + b"free",
    "a short header": ftyp() + box(b"moov", full(b"mvhd", bytes(4))),
    "a run of endless samples": fragmented(1)[: -len(fragment(1, 0))]
    + box(b"moof", box(b"traf", full(b"tfhd", u32(1)), full(b"trun", u32(0xFFFFFFFF), flags=0x100))),
    "two fragments without data": fragmented(1)
    + box(b"moof", box(b"traf", full(b"tfhd", u32(1)))) * 2
    + box(b"mdat", b"x"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name: str) -> None:
    assert reason(HOSTILE[name])[1]


class Endless(io.RawIOBase):
    """A file of `size` bytes that repeats one box for ever, without holding it."""

    def __init__(self, pattern: bytes, size: int) -> None:
        self.pattern, self.length, self.at, self.reads = pattern, size, 0, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = self.length + offset if whence == 2 else offset
        return self.at

    def read(self, size: int = -1) -> bytes:
        self.reads += 1
        assert size >= 0, "the whole file was asked for"
        size = max(0, min(size, self.length - self.at))
        shift = self.at % len(self.pattern)
        self.at += size
        repeated = self.pattern * (size // len(self.pattern) + 2)
        return repeated[shift : shift + size]


def test_a_petabyte_of_tiny_boxes_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videotasks.formats.mp4_boxes.MAX_BOXES", 5000)
    file = Endless(box(b"free"), 10**15)
    with pytest.raises(MediaError, match="more than 5000 boxes"):
        check_mp4(file)  # type: ignore[arg-type]
    assert file.reads < 5100


def test_a_huge_table_is_not_read() -> None:
    huge = 1 << 40
    head = ftyp() + struct.pack(">I4sQ", 1, b"moov", 16 + len(mvhd(1)) + huge) + mvhd(1)
    head += struct.pack(">I4sQ", 1, b"mvex", huge) + struct.pack(">I4sQ", 1, b"mehd", huge - 16)

    class File(Endless):
        def read(self, size: int = -1) -> bytes:
            at = self.at
            data = super().read(size)
            assert len(data) <= 64
            return (head[at:] + data)[: len(data)] if at < len(head) else data

    started = time.monotonic()
    with pytest.raises(MediaError):
        check_mp4(File(b"\0", len(head) - 32 + huge + 16))  # type: ignore[arg-type]
    assert time.monotonic() - started < 5


def test_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videotasks.formats.mp4_boxes.MAX_INDEX_BYTES", 200)
    assert reason(plain())[1] == "its index is unreasonably large"


# -- an independent encoder --------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", ["", "faststart", "frag_keyframe+empty_moov", "frag_keyframe+empty_moov+global_sidx"])
def test_files_of_a_real_encoder(flags: str, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "real.mp4"
    with av.open(str(path), "w", options={"movflags": flags} if flags else {}) as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 5
        for _ in range(20):
            frame = av.VideoFrame(64, 48, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data = path.read_bytes()
    info = check(data)
    assert (info.width, info.height) == (64, 48)
    assert info.duration_s == pytest.approx(2.0, abs=0.11)
    assert getattr(sniff(data[:64]), "extension", None) == ".mp4"
    for length in range(len(data)):
        try:
            info = check(data[:length])
        except MediaError:
            continue
        missing = data[length + 4 : length + 8]
        assert "empty_moov" in flags and missing in (b"moof", b"mfra"), "only between two fragments can a cut hide"
        assert not info.end_certain or missing == b"mfra", "and then it is not called certain"


# -- types -------------------------------------------------------------------------------------------------------

EBML = b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82"
BMP_HEAD = b"BM" + struct.pack("<IHHIIii", 100, 0, 0, 54, 40, 2, 2)
OGG_HEAD = b"OggS\0\x02" + bytes(20) + b"\x01\x1e"


@pytest.mark.parametrize(
    ("head", "mime", "extension"),
    [
        (ftyp(), "video/mp4", ".mp4"),
        (ftyp(b"mp42"), "video/mp4", ".mp4"),
        (ftyp(b"zzzz"), "video/mp4", ".mp4"),
        (ftyp(b"qt  "), "video/quicktime", ".mov"),
        (box(b"wide") + box(b"mdat", bytes(40)), "video/quicktime", ".mov"),
        (box(b"moov", bytes(40)), "video/quicktime", ".mov"),
        (ftyp(b"3gp5"), "video/3gpp", ".3gp"),
        (ftyp(b"M4A "), "audio/mp4", ".m4a"),
        (ftyp(b"heic"), "image/heic", ".heic"),
        (ftyp(b"mif1", b"mif1", b"heic"), "image/heic", ".heic"),
        (ftyp(b"mif1", b"mif1"), "image/heif", ".heif"),
        (ftyp(b"mif1", b"miaf", b"avif"), "image/avif", ".avif"),
        (ftyp(b"avif"), "image/avif", ".avif"),
        (EBML + b"\x84webm", "video/webm", ".webm"),
        (EBML + b"\x88matroska", "video/x-matroska", ".mkv"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav", ".wav"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp", ".webp"),
        (b"RIFF\x24\0\0\0AVI LIST", "video/x-msvideo", ".avi"),
        (b"GIF89a\x01\0\x01\0", "image/gif", ".gif"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png", ".png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg", ".jpg"),
        (BMP_HEAD, "image/bmp", ".bmp"),
        (b"II*\0\x08\0\0\0", "image/tiff", ".tiff"),
        (b"MM\0*\0\0\0\x08", "image/tiff", ".tiff"),
        (b"ID3\x04\0\0\0\0\x02\x01TIT2", "audio/mpeg", ".mp3"),
        (b"\xff\xfb\x90\x64\0\0\0\0", "audio/mpeg", ".mp3"),
        (b"\xff\xf1\x50\x80\x2e\x7f\xfc\x21", "audio/aac", ".aac"),
        (b"fLaC\0\0\0\x22", "audio/flac", ".flac"),
        (OGG_HEAD + b"\x01vorbis", "audio/ogg", ".ogg"),
        (OGG_HEAD + b"\x80theora", "video/ogg", ".ogv"),
        (b"FLV\x01\x05\0\0\0\x09", "video/x-flv", ".flv"),
        ((b"G" + bytes(187)) * 3, "video/mp2t", ".ts"),
    ],
)
def test_sniff(head: bytes, mime: str, extension: str) -> None:
    found = sniff(head)
    assert found is not None
    assert (found.mime, found.extension) == (mime, extension)
    assert found.kind == mime.split("/")[0]
    if mime != "video/mp2t":
        assert sniff(head[:64]) == found


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x89PNG",
        files_of_a_home()["id_rsa"],
        b"root:x:0:0:root:/root:/bin/bash\n",
        b"SKILLS_VIDEO_API_KEY=sk-CANARY-7f3a\n",
        b"<!DOCTYPE html><html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'>",
        b'{"status":"succeeded"}',
        b"%PDF-1.7\n",
        b"PK\x03\x04\x14\0\0\0",
        b"\x1f\x8b\x08\0\0\0\0\0",
        b"\x7fELF\x02\x01\x01\0",
        b"SQLite format 3\0",
        b"BM is a car maker from Munich, nearly",
        b"ID3 tags are nice to have in a file",
        b"100%ftyp is a box of the base media format",
        b"feelmoov: text that names a box type at byte four",
        b"RIFF raff and more of that kind of text",
        b"OggSome text",
        b"\xff\xfea\0b\0c\0d\0",
        b"\xfe\xff\0a\0b\0c\0d",
        ftyp(b"crx "),
        ftyp()[:8],
        EBML + b"\x85other",
        EBML,
        b"G" * 180,
    ],
)
def test_what_is_no_media_is_none(head: bytes) -> None:
    assert sniff(head) is None


@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "ignore")))
def test_sniff_never_fails(head: bytes) -> None:
    found = sniff(head)
    assert found is None or found.kind in ("video", "image", "audio")


@given(st.text(st.characters(min_codepoint=9, max_codepoint=126), min_size=1, max_size=80))
def test_plain_text_is_never_media(text: str) -> None:
    head = text.encode()
    if not head.startswith((b"GIF87a", b"GIF89a", b"ADIF")):
        assert sniff(head) is None
