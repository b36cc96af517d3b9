"""The sandbox's video writer: font, picture, H.264, MP4 and PNG. PyAV is the independent judge where it installs."""

from __future__ import annotations

import io
import random
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videotasks_sandbox import font
from videotasks_sandbox.h264 import Encoder, Planes, escape, unsigned_golomb
from videotasks_sandbox.mp4writer import RenderedVideo, Sample, render_video, write_mp4, write_png
from videotasks_sandbox.picture import Picture

PROMPT = "A red fox runs through fresh snow at dawn, camera tracking low and close"
CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"udta")


def boxes(data: bytes, base: int = 0) -> Iterator[tuple[bytes, int, bytes]]:
    """Boxes of one level: kind, offset in `data`, content."""
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        assert 8 <= size <= len(data) - position, f"box {kind!r} runs over its parent"
        yield kind, base + position, data[position + 8 : position + size]
        position += size


def all_boxes(data: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for kind, _, content in boxes(data):
        found[kind] = content
        if kind in CONTAINERS:
            found |= all_boxes(content)
    return found


def numbers(content: bytes, skip: int = 4) -> list[int]:
    count = struct.unpack_from(">I", content, skip)[0]
    return list(struct.unpack_from(f">{count}I", content, skip + 4))


def read_png(data: bytes) -> tuple[int, int, list[bytes]]:
    """A PNG reader for 8-bit RGB with filters 0 and 2; checks every checksum."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    position, chunks = 8, {}
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        assert struct.unpack_from(">I", data, position + 8 + length)[0] == zlib.crc32(kind + content)
        chunks[kind] = content
        position += 12 + length
    assert list(chunks)[-1] == b"IEND"
    width, height, depth, colours, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colours) == (8, 2)
    raw = zlib.decompress(chunks[b"IDAT"])
    stride = 3 * width + 1
    assert len(raw) == stride * height
    rows: list[bytes] = []
    for y in range(height):
        kind, row = raw[y * stride], raw[y * stride + 1 : (y + 1) * stride]
        assert kind in (0, 2)
        rows.append(bytes((a + b) & 255 for a, b in zip(row, rows[-1], strict=True)) if kind == 2 else row)
    return width, height, rows


@pytest.fixture(scope="module")
def small() -> RenderedVideo:
    return render_video(PROMPT, duration_s=2, width=322, height=182)


# --- MP4 ---


def test_the_index_stands_before_the_media_and_points_into_it(small: RenderedVideo) -> None:
    top = [(kind, offset) for kind, offset, _ in boxes(small.mp4)]
    assert [kind for kind, _ in top] == [b"ftyp", b"moov", b"mdat"]
    found = all_boxes(small.mp4)
    assert numbers(found[b"stco"]) == [top[2][1] + 8]
    sizes = numbers(found[b"stsz"], skip=8)
    assert len(sizes) == 48
    assert sum(sizes) == len(found[b"mdat"])
    position = 0
    for number, size in enumerate(sizes, 1):
        length, header = struct.unpack_from(">IB", found[b"mdat"], position)
        assert length == size - 4
        assert header & 31 == (5 if number in numbers(found[b"stss"]) else 1)
        position += size


def test_size_and_parameter_sets_stand_in_the_sample_entry(small: RenderedVideo) -> None:
    found = all_boxes(small.mp4)
    assert struct.unpack(">II", found[b"tkhd"][-8:]) == (322 << 16, 182 << 16)
    kind, _, entry = next(boxes(found[b"stsd"][8:]))
    assert kind == b"avc1"
    assert struct.unpack_from(">HH", entry, 24) == (322, 182)
    inner = {name: content for name, _, content in boxes(entry[78:])}
    avcc = inner[b"avcC"]
    (length,) = struct.unpack_from(">H", avcc, 6)
    sps = avcc[8 : 8 + length]
    assert sps[0] & 31 == 7
    assert avcc[1:4] == sps[1:4]
    assert avcc[1:3] == b"\x42\xc0"  # constrained baseline
    assert avcc[8 + length] == 1
    assert avcc[11 + length] & 31 == 8
    assert inner[b"colr"][:4] == b"nclx"


@pytest.mark.parametrize("fps", [24, 25, 30])
@pytest.mark.parametrize("duration", [0.5, 4, 5.04, 5.0625, 0.01])
def test_the_duration_is_what_was_asked(duration: float, fps: int) -> None:
    found = all_boxes(render_video("x", duration_s=duration, width=64, height=64, fps=fps).mp4)
    for kind in (b"mvhd", b"mdhd"):
        timescale, ticks = struct.unpack_from(">II", found[kind], 12)
        assert ticks / timescale == pytest.approx(duration, abs=0.001)
    runs = numbers_of_runs(found[b"stts"])
    assert sum(count * delta for count, delta in runs) == ticks
    assert sum(count for count, _ in runs) == max(1, round(duration * fps))
    assert all(delta > 0 for _, delta in runs)


def numbers_of_runs(content: bytes) -> list[tuple[int, int]]:
    count = struct.unpack_from(">I", content, 4)[0]
    return [struct.unpack_from(">II", content, 8 + 8 * i) for i in range(count)]


def test_the_same_input_gives_the_same_bytes_and_another_prompt_or_seed_another_picture() -> None:
    def render(prompt: str, seed: int) -> bytes:
        return render_video(prompt, duration_s=0.2, width=160, height=96, seed=seed).mp4

    assert render("a", 0) == render("a", 0)
    assert len({render("a", 0), render("b", 0), render("a", 1)}) == 3


def test_a_default_video_is_small_and_quick() -> None:
    started = time.process_time()
    made = render_video(PROMPT, duration_s=4, width=1280, height=720)
    assert time.process_time() - started < 4  # about 0.2 s; a loop over pixels would take ten times this limit
    assert len(made.mp4) < 1_500_000
    assert len(made.thumbnail_png) < 100_000


def test_the_writer_needs_the_standard_library_only() -> None:
    assert not {"av", "numpy", "PIL"} & {name.split(".")[0] for name in vars(sys.modules[render_video.__module__])}


# --- PNG ---


def test_png_round_trip() -> None:
    rows = [bytes(random.Random(y // 3).randbytes(21)) for y in range(10)]
    assert read_png(write_png(7, 10, rows)) == (7, 10, rows)


def test_the_pictures_are_valid_and_have_their_sizes(small: RenderedVideo) -> None:
    width, height, rows = read_png(small.last_frame_png)
    assert (width, height) == (322, 182)
    assert len({pixel for row in rows for pixel in zip(row[::3], row[1::3], row[2::3], strict=True)}) > 50
    portrait = render_video(PROMPT, duration_s=0.1, width=720, height=1280)
    assert read_png(portrait.thumbnail_png)[:2] == (270, 480)


# --- H.264 ---


@pytest.mark.parametrize(("value", "bits"), [(0, "1"), (1, "010"), (2, "011"), (3, "00100"), (25, "000011010")])
def test_exponential_golomb(value: int, bits: str) -> None:
    assert unsigned_golomb(value) == bits


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 255]), max_size=40).map(bytes))
def test_emulation_prevention_against_the_standard_read_literally(payload: bytes) -> None:
    expected, zeros = bytearray(), 0
    for byte in payload:
        if zeros == 2 and byte <= 3:
            expected.append(3)
            zeros = 0
        expected.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    assert escape(payload) == bytes(expected)


def noise(width: int, height: int, seed: int) -> Planes:
    """Few values, so that flat and extended macroblocks occur, and many zeros, so that start codes must be hidden."""
    source = random.Random(seed)

    def rows(wide: int, high: int, block: int) -> list[bytes]:
        made: list[bytes] = []
        for _ in range(high // block):
            kinds = [source.randrange(4) for _ in range(wide // block)]
            flat = bytearray(source.choices((0, 1, 60, 255), k=block))
            for y in range(block):
                row = bytearray()
                for kind in kinds:
                    row += (
                        bytes(block),
                        bytes((flat[y],)) * block,
                        bytes(flat),
                        bytes(source.choices((0, 0, 1, 3, 200), k=block)),
                    )[kind]
                made.append(bytes(row))
        return made

    return Planes(rows(width, height, 16), rows(width // 2, height // 2, 8), rows(width // 2, height // 2, 8))


def decode(mp4: bytes) -> list[Planes]:
    av = pytest.importorskip("av")
    frames = []
    with av.open(io.BytesIO(mp4)) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"err_detect": "explode"}
        for frame in container.decode(stream):
            assert frame.format.name == "yuv420p"
            assert not frame.is_corrupt
            planes = []
            for plane in frame.planes:
                data = bytes(plane)
                planes.append(
                    [data[y * plane.line_size : y * plane.line_size + plane.width] for y in range(plane.height)]
                )
            frames.append(Planes(*planes))
    return frames


def cropped(planes: Planes, width: int, height: int) -> Planes:
    return Planes(
        [row[:width] for row in planes.y[:height]],
        [row[: width // 2] for row in planes.cb[: height // 2]],
        [row[: width // 2] for row in planes.cr[: height // 2]],
    )


@pytest.mark.parametrize("seed", range(12))
def test_a_decoder_sees_every_sample_as_it_was_given(seed: int) -> None:
    """All kinds of macroblocks with all kinds of neighbours, key frames and changed rectangles."""
    pytest.importorskip("av")
    source = random.Random(seed)
    width, height = source.choice([(64, 48), (96, 112), (16, 16), (160, 32)])
    encoder = Encoder(width, height, 24)
    picture = noise(width, height, seed)
    given_frames = [picture]
    samples = [Sample(encoder.key_frame(picture), 1, True)]
    for step in range(8):
        other = noise(width, height, 100 * seed + step)
        left, top = source.randrange(0, width, 16), source.randrange(0, height, 16)
        right, bottom = source.randrange(left, width) + 1, source.randrange(top, height) + 1
        if step == 4:
            picture = other
            samples.append(Sample(encoder.key_frame(picture), 1, True))
        elif step == 6:
            samples.append(Sample(encoder.delta_frame(picture), 1, False))
        else:
            right, bottom = -(-right // 16) * 16, -(-bottom // 16) * 16
            picture = paste(picture, other, left, top, right, bottom)
            samples.append(Sample(encoder.delta_frame(picture, [(left, top, right, bottom)]), 1, False))
        given_frames.append(picture)
    sps, pps = encoder.parameter_sets()
    assert decode(write_mp4(samples, width=width, height=height, timescale=24, sps=sps, pps=pps)) == given_frames


def paste(below: Planes, above: Planes, left: int, top: int, right: int, bottom: int) -> Planes:
    def plane(a: list[bytes], b: list[bytes], part: int) -> list[bytes]:
        x0, x1, rows = left // part, right // part, range(top // part, bottom // part)
        return [r[:x0] + s[x0:x1] + r[x1:] if y in rows else r for y, (r, s) in enumerate(zip(a, b, strict=True))]

    return Planes(plane(below.y, above.y, 1), plane(below.cb, above.cb, 2), plane(below.cr, above.cr, 2))


@pytest.mark.parametrize(
    ("width", "height", "duration"),
    [
        pytest.param(322, 182, 2.0, marks=pytest.mark.slow),
        pytest.param(180, 320, 6.0, marks=pytest.mark.slow),
        (128, 128, 1.04),
        (64, 64, 0.5),
        (2, 2, 0.25),
    ],
)
def test_every_frame_of_a_video_plays_as_drawn(width: int, height: int, duration: float) -> None:
    av = pytest.importorskip("av")
    made = render_video(PROMPT, duration_s=duration, width=width, height=height)
    frames = decode(made.mp4)
    assert len(frames) == round(duration * 24)
    for number, frame in enumerate(frames):
        # A new drawing of this moment, so that a rectangle that the encoder was not told of shows.
        picture = Picture(PROMPT, width=width, height=height, total_s=duration, caption="SANDBOX", seed=0)
        picture.advance(number / (len(frames) - 1))
        assert frame == cropped(picture.planes(), width, height), f"frame {number}"
    with av.open(io.BytesIO(made.mp4)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (width, height, len(frames))
        assert float(stream.duration * stream.time_base) == pytest.approx(duration, abs=0.001)
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.color_range == 1  # limited


def test_the_video_moves() -> None:
    frames = decode(render_video(PROMPT, duration_s=1, width=320, height=180).mp4)
    assert all(before != after for before, after in pairwise(frames))


def test_the_level_grows_with_size_rate_and_the_largest_frame() -> None:
    def level(width: int, height: int, fps: int, prompt: str = "x") -> int:
        found = all_boxes(render_video(prompt, duration_s=0.1, width=width, height=height, fps=fps).mp4)
        return found[b"stsd"][8 + 8 + 78 + 8 + 3]

    assert level(1280, 720, 24) == 31
    assert level(1920, 1080, 24) == 40
    assert level(64, 64, 24) < level(640, 480, 24) < level(1280, 720, 60)


# --- text ---


def test_the_font_has_every_printable_character_and_all_differ() -> None:
    assert set(map(chr, range(32, 127))) <= set(font.GLYPHS)
    assert len(set(font.GLYPHS.values())) == len(font.GLYPHS)
    for char, art in font.GLYPHS.items():
        assert len(art) == font.HEIGHT
        assert len({len(row) for row in art}) == 1
        assert char == " " or any("#" in row for row in art)


def test_digits_are_equally_wide_so_that_the_clock_stands_still() -> None:
    assert len({font.text_width(digit) for digit in "0123456789"}) == 1


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Crème brûlée", "Creme brulee"),
        ("“Łódź” – Straße", '"Lodz" - Strasse'),
        ("a\tb\x1b[2J\nc", "a b [2J\nc"),
        ("猫 🦊", f"{font.BOX} {font.BOX}"),
        ("e\u0301 \u200d\ufe0f", "e "),
        ("wait...", f"wait{font.ELLIPSIS}"),
        ("\ud800", font.BOX),
    ],
)
def test_transliteration(text: str, plain: str) -> None:
    assert font.transliterate(text) == plain


@given(st.text(max_size=200), st.integers(16, 200), st.integers(1, 6))
def test_wrapped_lines_fit_and_lose_nothing_unless_cut(text: str, width: int, most: int) -> None:
    plain = font.transliterate(text)
    lines, complete = font.wrap(plain, width, most)
    assert len(lines) <= most
    assert all(font.text_width(line) <= width for line in lines)
    if complete:
        assert "".join("".join(lines).split()) == "".join(plain.split())
    else:
        assert lines[-1].endswith(font.ELLIPSIS)


def test_a_long_prompt_ends_with_an_ellipsis_and_a_short_one_does_not() -> None:
    lines, complete = font.wrap("word " * 100, 100, 3)
    assert (len(lines), complete) == (3, False)
    assert font.wrap("word word", 100, 3) == (["word word"], True)


def test_a_prompt_without_spaces_is_broken_in_linear_time() -> None:
    """Chinese prompts have none."""
    started = time.process_time()
    lines, complete = font.wrap(font.BOX * 4000, 300, 1000)
    assert time.process_time() - started < 5  # a scan of the rest for each line took half a minute
    assert complete
    assert [len(line) for line in lines] == [50] * 80


@pytest.mark.parametrize("scale", [1, 2, 3, 7])
def test_raster_keeps_the_shape(scale: int) -> None:
    rows = font.raster("E", scale)
    assert len(rows) == font.HEIGHT * scale
    assert {len(row) for row in rows} == {(5 + font.GAP) * scale}
    assert all(rows[scale // 2][x] == 2 for x in range(5 * scale))


@given(st.text(max_size=60), st.integers(1, 100), st.integers(1, 100), st.text(max_size=30))
def test_any_text_fits_any_picture(prompt: str, half_width: int, half_height: int, caption: str) -> None:
    width, height = 2 * half_width, 2 * half_height
    made = render_video(prompt, duration_s=0.1, width=width, height=height, caption=caption)
    assert read_png(made.last_frame_png)[:2] == (width, height)


def test_prompt_and_caption_are_in_the_picture() -> None:
    def ink(prompt: str, caption: str) -> tuple[int, int]:
        """White pixels in the upper and in the lowest part."""
        _, height, rows = read_png(
            render_video(prompt, duration_s=0.1, width=640, height=360, caption=caption).last_frame_png
        )
        white = [row.count(b"\xf7\xf7\xf5") for row in rows]
        return sum(white[: height * 4 // 5]), sum(white[height * 4 // 5 :])

    nothing, clock = ink("", "")
    assert nothing == 0
    text, label = ink(PROMPT, "SANDBOX")
    assert text > 2000
    assert label > clock + 200
