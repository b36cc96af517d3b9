"""Single values of provider bodies in our units: progress, time, links, numbers, strict equality. Never raises."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from videotasks.formats import jmespath_eval

MAX_URL = 16_384  # signed links run to 600 and, with embedded policies, to a few thousand characters
_NUMBER = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,18})?)\s*(%?)\s*\Z")
# Between 2001 and 2286 in seconds; anything else is no time of a task (0 stands for "not yet" at several providers).
_EARLIEST, _LATEST = 1e9, 1e10


def progress(value: Any, scale: str = "auto") -> float | None:
    """Percent, 0 to 100, or None.

    auto: an int is percent (1 is 1 %), a float up to 1.0 is a fraction (0.5 is 50 %, 1.0 is 100 %) and a larger one
    percent; a text with % is percent, another text by how it is written ("1" is 1 %, "0.5" is 50 %). A profile whose
    API writes percents as floats says `scale: percent`; one that writes fractions as 0 and 1, `scale: fraction`.
    """
    percent_sign = False
    if isinstance(value, str):
        match = _NUMBER.match(value)
        if not match:
            return None
        percent_sign = bool(match[2])
        value = float(match[1]) if "." in match[1] else int(match[1])
    found = number(value)
    if found is None or found < 0:
        return None
    if not percent_sign and (scale == "fraction" or (scale == "auto" and isinstance(value, float) and found <= 1.0)):
        found *= 100.0
    return round(min(found, 100.0), 2)


def number(value: Any) -> float | None:
    """A finite int or float; booleans are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def seconds(value: Any) -> float | None:
    """A length: 5, "5", "5s" and "5 sec" are 5.0; None for anything else."""
    if isinstance(value, str):
        value = re.sub(r"(?<=[0-9])\s*s(ec(onds?|s)?)?\Z", "", value.strip(), flags=re.IGNORECASE)
    return amount(value)


def amount(value: Any) -> float | None:
    """A finite number, also when it is written as text ("12.5")."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return number(value)


def time(value: Any, zone: str = "") -> float | None:
    """Epoch seconds from seconds, milliseconds (number or text) or ISO 8601; None for 0, null and nonsense.

    `zone` (+08:00) is that of an ISO time without one.
    """
    if isinstance(value, str):
        text = value.strip()
        if not _NUMBER.match(text) and not re.match(r"[0-9]{10,16}\Z", text):
            return _iso(text, zone)
        value = float(text.rstrip("% "))
    found = number(value)
    if found is None:
        return None
    for divisor in (1.0, 1e3, 1e6):
        if _EARLIEST <= found / divisor < _LATEST:
            return found / divisor
    return None


def _iso(text: str, zone: str) -> float | None:
    from datetime import datetime, timezone

    # Python 3.10 knows neither "Z" nor fractions of other than 3 or 6 digits.
    text = re.sub(r"[zZ]\Z", "+00:00", text)
    text = re.sub(r"\.([0-9]+)", lambda m: "." + m[1][:6].ljust(6, "0"), text)
    try:
        when = datetime.fromisoformat(text)
        if when.tzinfo is None:
            when = datetime.fromisoformat(when.isoformat() + zone) if zone else when.replace(tzinfo=timezone.utc)
        seconds = when.timestamp()
        return seconds if _EARLIEST <= seconds < _LATEST else None
    except (ValueError, OverflowError, OSError):
        return None


def first_time(candidates: Iterable[str], body: object, zone: str = "") -> float | None:
    found = (time(jmespath_eval.evaluate(path, body), zone) for path in candidates)
    return next((one for one in found if one is not None), None)


def http_url(value: Any) -> str | None:
    """The value when it is an absolute http(s) URL with a host and nothing unprintable in it."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_URL:
        return None
    if not value.isprintable() or " " in value or "\\" in value:
        return None
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return None
    return value if usable else None


def same(value: Any, other: Any) -> bool:
    """Equal with equal types, as JSON has them: 0 is not false, 1 is not true, "0" is not 0."""
    alike = type(value) is type(other) or {type(value), type(other)} == {int, float}
    return alike and bool(value == other)


def json_type(value: Any) -> str:
    """What JSON Schema calls the value's type: `integer` for whole numbers that are written so."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "null" if value is None else "string")


def is_type(value: Any, name: str) -> bool:
    """Whether the value is of the JSON type `name`; an integer is a number, too."""
    kind = json_type(value)
    return name == ("number" if kind == "integer" else kind) and value is not None
