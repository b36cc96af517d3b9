"""What a look at a file's structure tells, whatever its container; and how such a look reads."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

MAX_PARTS = 2_000_000  # chunks, elements, tags: six hours at 60 frames a second with sound; a hostile file must end


class MediaError(Exception):
    """The file is not a whole video. `kind` says how: truncated, not_mp4, broken or no_video."""

    def __init__(self, reason: str, kind: str = "broken") -> None:
        super().__init__(reason)
        self.kind = kind


class Structure(NamedTuple):
    """A whole file. Seconds and pixels are None where the container does not state them.

    `end_certain` is false where a file cut at a boundary looks whole, so that only a matching length can tell.
    """

    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    end_certain: bool = True


def read_at(file: BinaryIO, start: int, count: int) -> bytes:
    """The bytes at a place of a buffered file; fewer only at its end."""
    file.seek(start)
    return file.read(count)
