"""Whether files of other containers than MP4 are whole: made by an independent muxer, then cut everywhere."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videotasks.formats.media_check import check_animation, check_media
from videotasks.formats.media_type import MediaType, sniff
from videotasks.formats.structure import MediaError, Structure

# container, encoder, pixel format
KINDS = {
    "webm": ("webm", "libvpx", "yuv420p"),
    "mkv": ("matroska", "mpeg4", "yuv420p"),
    "avi": ("avi", "mpeg4", "yuv420p"),
    "flv": ("flv", "flv", "yuv420p"),
    "ts": ("mpegts", "mpeg2video", "yuv420p"),
    "gif": ("gif", "gif", "rgb8"),
    "webp": ("webp", "libwebp_anim", "yuv420p"),
}
FRAMES = 25


@lru_cache
def made(kind: str, frames: int = FRAMES) -> bytes:
    """A second of noise at 25 frames a second, 64 by 48 pixels."""
    av: Any = pytest.importorskip("av")
    container, encoder, pixels = KINDS[kind]
    out = io.BytesIO()
    try:
        with av.open(out, "w", format=container) as file:
            stream = file.add_stream(encoder, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
            for number in range(frames):
                frame = av.VideoFrame(64, 48, "rgb24")
                for plane in frame.planes:
                    plane.update(bytes((byte * 31 + number * 7) % 251 for byte in range(plane.buffer_size)))
                file.mux(stream.encode(frame.reformat(format=pixels)))
            file.mux(stream.encode(None))
    except (ValueError, av.error.FFmpegError) as error:  # a build without that encoder
        pytest.skip(f"{kind}: {error}")
    return out.getvalue()


def check(data: bytes, folder: Path, length: int | None = None) -> Structure | None:
    media = sniff(data[:512])
    assert media is not None
    path = folder / "file"
    path.write_bytes(data)
    return check_animation(path, media) if media.may_move else check_media(path, media, length)


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_is_whole(kind: str, tmp_path: Path) -> None:
    found = check(made(kind), tmp_path, len(made(kind)))
    assert found is not None
    if kind != "ts":  # its packets state neither
        assert (found.width, found.height) == (64, 48)
        assert found.duration_s == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_file_is_cut_wherever_it_is_cut(kind: str, tmp_path: Path) -> None:
    """A file that was cut at its origin has the right length; one without a length leaves the end in doubt."""
    data = made(kind)
    for size in [*range(64, 800, 37), *range(800, len(data), len(data) // 40)]:
        part = data[:size]
        media = sniff(part[:512])
        if media is None:
            continue
        try:
            found = check(part, tmp_path)
        except MediaError:
            continue
        assert found is not None and not found.end_certain, size


@pytest.mark.parametrize("kind", ["webm", "mkv", "avi", "gif", "webp"])
def test_a_container_that_tells_its_length_is_certain_of_its_end(kind: str, tmp_path: Path) -> None:
    found = check(made(kind), tmp_path)
    assert found is not None and found.end_certain


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_a_still_picture_is_no_video(kind: str, tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        check(made(kind, 1), tmp_path)
    assert caught.value.kind == "no_video"


HEADERS_ONLY = {
    "webm": bytes.fromhex("1a45dfa39f4286810142f7810142f2810442f381084282847765626d4287810442858102"),
    "avi": b"RIFF\xff\xff\x00\x00AVI LIST",
    "avi in its own words": b"RIFF\x04\x00\x00\x00AVI ",
    "flv": b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00" + bytes(60),
    "ts": (b"\x47\x1f\xff\x10" + bytes(184)) * 4,
    "gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "webp": b"RIFF\x0c\x00\x00\x00WEBPVP8 \x00\x00\x00\x00",
}


@pytest.mark.parametrize("name", HEADERS_ONLY)
def test_headers_without_a_frame_are_no_video(name: str, tmp_path: Path) -> None:
    with pytest.raises(MediaError):
        check(HEADERS_ONLY[name], tmp_path, len(HEADERS_ONLY[name]))


def test_what_no_check_knows_is_said_to_be_unchecked(tmp_path: Path) -> None:
    assert check(b"OggS\0" + bytes(40), tmp_path) is None
    assert check(b"\x89PNG\r\n\x1a\n" + bytes(40), tmp_path) is None


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_any_damage_ends_in_a_structure_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    damaged = bytearray(made(kind))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(8, min(len(damaged), 4000) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "file"
    path.write_bytes(damaged)
    media = sniff(made(kind)[:512])
    assert isinstance(media, MediaType)
    try:
        found = check_animation(path, media) if media.may_move else check_media(path, media, None)
    except MediaError as error:
        assert error.kind in ("truncated", "broken", "no_video")
    else:
        assert isinstance(found, Structure)
