"""A server's JSON as plain values that nothing later stumbles over. Pure; never raises."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

MAX_DEPTH = 100  # the deepest real task body that we met has 9 levels; encoders that recurse give up near 1,000
_MAX_DIGITS = 300  # what fits into a float: sums and times are taken of it, and no id is that long


def parse_json(data: bytes | str) -> Any:
    """The value, or None for what is no JSON.

    What JSON cannot say but servers write (NaN, Infinity, 1e999), numbers of thousands of digits and whatever is nested
    deeper than `MAX_DEPTH` become null one by one: the id of a paid task may stand beside them.
    """
    try:
        text = _text(data) if isinstance(data, bytes) else data
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return _cut_below(value, MAX_DEPTH) if text.count("{") + text.count("[") > MAX_DEPTH else value


def _text(data: bytes) -> str:
    """What JSON is written in, whatever a header says: UTF-8, 16 or 32, with or without a mark; else Latin-1."""
    try:
        if b"\0" not in data[:4]:  # no UTF-16 or 32, whose marks no UTF-8 has
            return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        pass
    try:
        return data.decode(json.detect_encoding(data)).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def no_constant(name: str) -> Any:
    """For `parse_constant` where a text has to be JSON: NaN and Infinity are not. Raises ValueError."""
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _bounded(text: str) -> int | None:
    return int(text) if len(text) <= _MAX_DIGITS else None


# Made once: json.loads makes one for each call that names a hook, a third of the time of a journal's line.
_DECODER = json.JSONDecoder(parse_constant=lambda _: None, parse_float=_finite, parse_int=_bounded)


def _cut_below(value: Any, levels: int) -> Any:
    """`value` with every container below so many levels replaced by None, in place and without recursion."""
    row = [value]
    for _ in range(levels - 1):
        row = [item for container in row for item in _items(container) if isinstance(item, (dict, list))]
    for container in row:
        places = list(container) if isinstance(container, dict) else range(len(container))
        for place in places:
            if isinstance(container[place], (dict, list)):
                container[place] = None
    return value


def leaves(value: Any) -> Iterator[Any]:
    """What stands in a value, however deep, in its order, without its objects and lists."""
    if isinstance(value, (dict, list)):
        for member in _items(value):
            yield from leaves(member)
    else:
        yield value


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value again, with `change` of each of its leaves in its place."""
    if isinstance(value, dict):
        return {key: mapped(member, change) for key, member in value.items()}
    return [mapped(member, change) for member in value] if isinstance(value, list) else change(value)


def _items(container: Any) -> Any:
    return container.values() if isinstance(container, dict) else container if isinstance(container, list) else ()
