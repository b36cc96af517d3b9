"""A value as the member of a body wants it: `--duration 5` becomes 5, "5" or "5s". Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from videotasks.formats import scalars

_RATIO = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)\s*[:xX*×/_-]\s*([0-9]{1,4}(?:\.[0-9]{1,3})?)\Z")


def fitted(name: str, value: Any, member: Mapping[str, Any]) -> Any:
    """`value` of the option `name` in the member's own spelling and type; unchanged where none of them is meant.

    Whether it is allowed is for the limits to say, which know the alternatives.
    """
    allowed = member.get("values")
    if isinstance(allowed, (list, tuple)):
        for one in allowed:
            if same_value(name, one, value):
                return one
    if name in ("duration", "seed") and scalars.number(value) is not None and member.get("type") == "string":
        unit = re.match(r"[0-9.]+(\s*[A-Za-z]+)\Z", str(member.get("default") or ""))  # a default of 8s wants 5s
        return f"{value}{unit[1] if unit else ''}"
    return value


def same_value(name: str, allowed: Any, given: Any) -> bool:
    """Whether two spellings mean the same: 5, "5" and "5s"; 720 and 720P; 9x16 and 9:16."""
    if isinstance(allowed, bool) or isinstance(given, bool):
        return allowed is given
    first, second = str(allowed).strip().casefold(), str(given).strip().casefold()
    if first == second:
        return True
    if name == "duration":
        one, other = scalars.seconds(allowed), scalars.seconds(given)
        return one is not None and one == other
    if name == "ratio":
        left, right = _RATIO.match(first), _RATIO.match(second)
        return bool(left and right and left.groups() == right.groups())
    return name == "resolution" and first.rstrip("p") == second.rstrip("p") and first.rstrip("p").isdigit()
