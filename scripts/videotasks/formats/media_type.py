"""What a file is, by its content: never by its name, its link or what a server calls it. Pure."""

from __future__ import annotations

import struct
from typing import NamedTuple


class MediaType(NamedTuple):
    """`kind` is video, image or audio; `extension` starts with a dot."""

    kind: str
    mime: str
    extension: str

    @property
    def may_move(self) -> bool:
        """Whether this kind of picture can be an animation, and so the result of a video API."""
        return self.mime in ("image/gif", "image/webp")


MP4 = MediaType("video", "video/mp4", ".mp4")
MOV = MediaType("video", "video/quicktime", ".mov")
THREE_GP = MediaType("video", "video/3gpp", ".3gp")
WEBM = MediaType("video", "video/webm", ".webm")
MKV = MediaType("video", "video/x-matroska", ".mkv")
AVI = MediaType("video", "video/x-msvideo", ".avi")
FLV = MediaType("video", "video/x-flv", ".flv")
MPEG_TS = MediaType("video", "video/mp2t", ".ts")
OGV = MediaType("video", "video/ogg", ".ogv")
GIF = MediaType("image", "image/gif", ".gif")
PNG = MediaType("image", "image/png", ".png")
JPEG = MediaType("image", "image/jpeg", ".jpg")
WEBP = MediaType("image", "image/webp", ".webp")
BMP = MediaType("image", "image/bmp", ".bmp")
TIFF = MediaType("image", "image/tiff", ".tiff")
HEIC = MediaType("image", "image/heic", ".heic")
HEIF = MediaType("image", "image/heif", ".heif")
AVIF = MediaType("image", "image/avif", ".avif")
WAV = MediaType("audio", "audio/wav", ".wav")
MP3 = MediaType("audio", "audio/mpeg", ".mp3")
M4A = MediaType("audio", "audio/mp4", ".m4a")
AAC = MediaType("audio", "audio/aac", ".aac")
OGG = MediaType("audio", "audio/ogg", ".ogg")
FLAC = MediaType("audio", "audio/flac", ".flac")

_BRANDS = {
    b"qt  ": MOV, b"mif1": HEIF, b"msf1": HEIF, b"avif": AVIF, b"avis": AVIF,
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), HEIC),
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P ", b"F4A "), M4A),
}  # fmt: skip
_NO_MEDIA_BRANDS = frozenset({b"crx ", b"jp2 ", b"jpx ", b"jpm ", b"jxl "})  # raw photographs, JPEG 2000, JPEG XL
_OLD_QUICKTIME = frozenset({b"moov", b"mdat", b"wide", b"pnot"})
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})


def sniff(head: bytes) -> MediaType | None:
    """The type of the file that begins with `head` (64 bytes are enough), or None for anything else.

    Text, archives, keys and documents are None: a weak signature counts only together with the fields behind it.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return TIFF
    if head.startswith(b"RIFF"):
        return {b"WEBP": WEBP, b"WAVE": WAV, b"AVI ": AVI}.get(head[8:12])
    if head.startswith(b"\x1aE\xdf\xa3"):
        return _matroska(head)
    if head.startswith(b"OggS\0"):
        return OGV if b"\x80theora" in head else OGG
    if head.startswith(b"fLaC\0"):
        return FLAC
    if head.startswith(b"FLV\x01"):
        return FLV
    if head.startswith(b"BM") and len(head) >= 18:
        return BMP if struct.unpack_from("<I", head, 14)[0] in _BMP_HEADERS else None
    return _iso_media(head) or _sound(head) or _transport_stream(head)


def _iso_media(head: bytes) -> MediaType | None:
    if len(head) < 12:
        return None
    size, kind = struct.unpack_from(">I4s", head)
    if kind in _OLD_QUICKTIME:
        return MOV if size < 0x20000000 else None  # a larger size is four letters of text
    if kind != b"ftyp" or not 12 <= size <= 4096:
        return None
    major = head[8:12]
    if major in _NO_MEDIA_BRANDS:
        return None
    compatible = [head[at : at + 4] for at in range(16, min(size, len(head) - 3), 4)]
    found = _BRANDS.get(major)
    if found is HEIF:  # a container brand: the codec stands among the compatible ones
        return next((_BRANDS[brand] for brand in compatible if _BRANDS.get(brand) in (AVIF, HEIC)), HEIF)
    if found is not None:
        return found
    return THREE_GP if major[:2] == b"3g" else MP4


def _matroska(head: bytes) -> MediaType | None:
    at = head.find(b"\x42\x82", 0, 64)  # DocType
    if at < 0:
        return None
    name = head[at + 3 : at + 3 + (head[at + 2] & 0x7F if at + 2 < len(head) else 0)].rstrip(b"\0")
    return {b"webm": WEBM, b"matroska": MKV}.get(name)


def _sound(head: bytes) -> MediaType | None:
    if head.startswith(b"ID3") and len(head) >= 10:
        return MP3 if head[3] in (2, 3, 4) and not any(byte & 0x80 for byte in head[6:10]) else None
    if head.startswith(b"ADIF"):
        return AAC
    if len(head) < 7 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:  # ADTS: sync word, layer 0
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        return AAC if (head[2] >> 2) & 15 < 13 and length >= 7 else None
    layer_three = head[1] & 0xE6 == 0xE2 and (head[1] >> 3) & 3 != 1
    return MP3 if layer_three and 0 < head[2] >> 4 < 15 and (head[2] >> 2) & 3 != 3 else None


def _transport_stream(head: bytes) -> MediaType | None:
    packets = range(0, len(head), 188)
    return MPEG_TS if len(packets) >= 3 and all(head[at] == 0x47 for at in packets) else None
