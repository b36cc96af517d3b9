"""Points in time as texts and back."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

FIRST, LAST = -62_135_596_800.0, 253_402_300_799.0  # of the years 1 and 9999: a clock may be set to anything


def iso(epoch: float) -> str:
    """UTC time as `2026-11-21T09:30:00.123Z`."""
    moment = datetime.fromtimestamp(0, timezone.utc) + timedelta(seconds=min(max(epoch, FIRST), LAST))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_of(text: Any) -> float | None:
    """Epoch seconds of one of our ISO times, or None."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError, OSError):  # years that this system cannot count
        return None


def age_text(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h`, `2 d`."""
    for limit, unit, size in ((90, "s", 1), (5400, "min", 60), (129_600, "h", 3600)):
        if seconds < limit:
            return f"{max(seconds, 0) / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
