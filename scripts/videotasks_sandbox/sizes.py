"""How long and how large a video was asked for, in the many spellings of APIs."""

from __future__ import annotations

import re
from typing import Any

_SHORT_SIDES = {"480p": 480, "540p": 540, "580p": 580, "720p": 720, "768p": 768, "1080p": 1080, "std": 720, "pro": 1080}
_LONGEST_S = 60


def frame_size(ratio: Any, resolution: Any) -> tuple[int, int]:
    """Width and height, both even, for `16:9` and `720p`; 16:9 and 720p when not told or not known.

    4k is rendered as 1080p: the picture is a stand-in, and its size in bytes would help nobody.
    """
    short = _SHORT_SIDES.get(str(resolution or "").lower(), 1080 if "k" in str(resolution or "").lower() else 720)
    found = re.fullmatch(r"(\d{1,3}):(\d{1,3})", str(ratio or ""))
    across, down = (int(found.group(1)), int(found.group(2))) if found else (16, 9)
    if not across or not down or max(across, down) > 4 * min(across, down):
        across, down = 16, 9
    long = short * max(across, down) / min(across, down)
    width, height = (long, short) if across >= down else (short, long)
    return round(width / 2) * 2, round(height / 2) * 2


def pixel_size(size: Any) -> tuple[int, int] | None:
    """`1280x720`, `1280*720` or `1280:720` -> (1280, 720); None for anything else."""
    found = re.fullmatch(r"(\d{2,4})[xX*:](\d{2,4})", str(size or ""))
    if not found:
        return None
    width, height = int(found.group(1)), int(found.group(2))
    return (width // 2 * 2, height // 2 * 2) if min(width, height) >= 64 and max(width, height) <= 1920 else None


def seconds(value: Any, default: float = 5.0) -> float:
    """5, 5.0, "5" or "5s" -> 5.0; `default` for what is no length of at most a minute."""
    text = str(value).removesuffix("s")
    try:
        number = default if isinstance(value, bool) else float(text)
    except ValueError:
        return default
    return number if 0 < number <= _LONGEST_S else default
