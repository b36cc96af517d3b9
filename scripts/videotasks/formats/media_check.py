"""Is this file whole? The check that fits its container, where there is one."""

from __future__ import annotations

import os

from videotasks.formats.media_type import MediaType
from videotasks.formats.structure import Structure


def check_media(path: str | os.PathLike[str], media: MediaType, expected_length: int | None) -> Structure | None:
    """Look at a finished file of that type; None where no check knows its container.

    Raises MediaError with a reason when it is cut, contradicts itself or holds no video; OSError as is.
    """
    mime = media.mime
    if mime in ("video/mp4", "video/quicktime", "video/3gpp"):
        from videotasks.formats.mp4 import check_mp4

        info = check_mp4(path, expected_length)
        return Structure(info.duration_s, info.width, info.height, info.end_certain)
    with open(path, "rb") as file:
        if mime in ("video/webm", "video/x-matroska"):
            from videotasks.formats.matroska import check_matroska

            return check_matroska(file)
        if mime == "video/x-msvideo":
            from videotasks.formats.riff import check_avi

            return check_avi(file)
        if mime == "video/x-flv":
            from videotasks.formats.flv import check_flv

            return check_flv(file, length_known=expected_length is not None)
        if mime == "video/mp2t":
            from videotasks.formats.transport_stream import check_transport_stream

            return check_transport_stream(file)
    return None


def check_animation(path: str | os.PathLike[str], media: MediaType) -> Structure:
    """Look at a picture that is to be a video. Raises MediaError when it stands still or is cut."""
    with open(path, "rb") as file:
        if media.mime == "image/gif":
            from videotasks.formats.gif import check_gif

            return check_gif(file)
        from videotasks.formats.riff import check_webp

        return check_webp(file)
