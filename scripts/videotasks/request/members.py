"""Members of a request body: where one is (`a.b`, `a[0].b`, `a[+]`), and a value in its own spelling. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from videotasks.core.errors import configuration_error
from videotasks.formats import scalars

_SEGMENT = re.compile(r"((?:[^.\[\]\\]|\\.)+)((?:\[(?:\+|[0-9]{1,4})\])*)\Z")
_RATIO = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)\s*[:xX*×/_-]\s*([0-9]{1,4}(?:\.[0-9]{1,3})?)\Z")


def get_path(body: Any, dotted: str) -> Any:
    """The member at a plain dotted path, or None."""
    for name in dotted.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return body


def set_path(body: dict[str, Any], dotted: str, value: Any, *, flag: str) -> None:
    """Set `a.b`, `a[0].b` or append with `a[+]`; a dot inside a name is written `\\.`."""
    steps: list[Any] = []
    for segment in re.split(r"(?<!\\)\.", dotted):
        match = _SEGMENT.match(segment)
        if not match:
            raise configuration_error(f"{flag}: {dotted!r} is no path", expected="such as a.b, a[0].b or a[+]")
        steps.append((re.sub(r"\\(.)", r"\1", match[1]),))  # a tuple marks a member's name
        steps += ["+" if i == "+" else int(i) for i in re.findall(r"\[(\+|[0-9]+)\]", match[2])]
    here: Any = body
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        empty: Any = None if following is None else ({} if isinstance(following, tuple) else [])
        here = _step(here, step, value if following is None else empty, following is None, f"{flag}: {dotted!r}")


def _step(here: Any, step: Any, new: Any, last: bool, where: str) -> Any:
    """Go one step into `here`, making it there; the container (or the value set)."""
    if isinstance(step, tuple):
        if not isinstance(here, dict):
            raise configuration_error(f"{where} goes into something that is no object")
        if last or here.get(step[0]) is None:
            here[step[0]] = new
        return here[step[0]]
    if not isinstance(here, list):
        raise configuration_error(f"{where} goes into something that is no list")
    if step == "+" or step == len(here):
        here.append(new)
        return new
    if step > len(here):
        raise configuration_error(f"{where}: the list has {len(here)} items", expected=f"[{len(here)}] or [+]")
    if last:
        here[step] = new
    return here[step]


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
