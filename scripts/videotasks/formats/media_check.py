"""Is this file whole? The check that fits its container, where there is one.

Here are those of GIF (GIF89a) and FLV (Adobe Flash Video File Format Specification 10.1, annex E), two plain walks;
the larger ones have files of their own.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from videotasks.formats.media_type import MediaType
from videotasks.formats.structure import MAX_PARTS, MediaError, Structure, read_at

_FLV_VIDEO, _FLV_SCRIPT = 9, 18
_SHORT_S = 1.0  # by how much the last frame may end before the length that the metadata tell


def check_media(path: str | os.PathLike[str], media: MediaType, expected_length: int | None) -> Structure | None:
    """Look at a finished file of that type; None where no check knows its container.

    Raises MediaError with a reason when it is cut, contradicts itself or holds no video; OSError as is.
    """
    mime = media.mime
    with open(path, "rb") as file:
        if mime in ("video/mp4", "video/quicktime", "video/3gpp"):
            from videotasks.formats.mp4 import check_mp4

            return check_mp4(file, expected_length)
        if mime in ("video/webm", "video/x-matroska"):
            from videotasks.formats.matroska import check_matroska

            return check_matroska(file)
        if mime == "video/x-msvideo":
            from videotasks.formats.riff import check_avi

            return check_avi(file)
        if mime == "video/x-flv":
            return _check_flv(file, length_known=expected_length is not None)
        if mime == "video/mp2t":
            from videotasks.formats.transport_stream import check_transport_stream

            return check_transport_stream(file)
    return None


def check_animation(path: str | os.PathLike[str], media: MediaType) -> Structure:
    """Look at a picture that is to be a video. Raises MediaError when it stands still or is cut."""
    with open(path, "rb") as file:
        if media.mime == "image/gif":
            return _check_gif(file)
        from videotasks.formats.riff import check_webp

        return check_webp(file)


def _check_gif(file: BinaryIO) -> Structure:
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


def _check_flv(file: BinaryIO, length_known: bool) -> Structure:
    """Raises MediaError when the file is cut, broken, or holds no frame of video."""
    size = file.seek(0, os.SEEK_END)
    at = int.from_bytes(read_at(file, 5, 4), "big")
    if not 9 <= at <= 1024:
        raise MediaError("its header is broken")
    at += 4  # the length of no tag before the first
    frames = last_ms = parts = 0
    told: dict[bytes, float] = {}
    while at < size:
        parts += 1
        if parts > MAX_PARTS:
            raise MediaError(f"it has more than {MAX_PARTS} tags")
        head = read_at(file, at, 11)
        length = int.from_bytes(head[1:4], "big")
        end = at + 11 + length + 4
        if len(head) < 11 or end > size:
            raise MediaError(f"it ends inside the tag at byte {at}", "truncated")
        kind = head[0] & 0x1F
        if int.from_bytes(read_at(file, end - 4, 4), "big") not in (11 + length, 0):
            raise MediaError(f"the tag at byte {at} contradicts its length")
        if kind == _FLV_VIDEO and length > 5:  # shorter ones are headers and ends of sequences
            frames += 1
            last_ms = max(last_ms, int.from_bytes(head[7:8] + head[4:7], "big"))
        elif kind == _FLV_SCRIPT and not told:
            told = _flv_metadata(read_at(file, at + 11, min(length, 65_536)))
        at = end
    if not frames:
        raise MediaError("it holds headers but no frame of video", "truncated")
    seconds, announced = last_ms / 1000, told.get(b"duration")
    if announced and seconds < announced - _SHORT_S and not length_known:
        raise MediaError(f"it ends after {seconds:.1f} s of the {announced:.1f} s that it announces", "truncated")
    width, height = (int(told[name]) if 0 < told.get(name, 0) < 65_536 else None for name in (b"width", b"height"))
    return Structure(announced or seconds or None, width, height, end_certain=False)


def _flv_metadata(data: bytes) -> dict[bytes, float]:
    """The numbers of onMetaData: a name with its length before it, then AMF0's mark of a number."""
    found = {}
    for name in (b"duration", b"width", b"height"):
        at = data.find(struct.pack(">H", len(name)) + name + b"\0")
        value = data[at + 3 + len(name) : at + 11 + len(name)]
        if at >= 0 and len(value) == 8:
            (number,) = struct.unpack(">d", value)
            if 0 < number < 1e7:  # no NaN either
                found[name] = number
    return found
