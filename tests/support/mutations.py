"""Documents with something wrong somewhere: what a journal, an answer or a profile looks like after an accident."""

from __future__ import annotations

import random
from typing import Any

ODD: list[Any] = [
    None, True, -1, 0, 10**400, 1e308, "", "x", "a\nb", "../x", "outputs/video.mp4", "9" * 50, "0001-01-01T00:00:00",
    "9999-12-31T23:59:59+00:00", "\ud800", [], [[]], [None], {}, {"a": {}}, {"kind": [], "path": {}},
    "succeeded", "ended",
]  # fmt: skip


def mutated(value: Any, rng: random.Random) -> Any:
    """`value` with one member somewhere replaced, dropped or doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        kind = rng.random()
        if kind < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: mutated(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return [*value[:at], mutated(value[at], rng), *value[at + rng.randrange(2) :]]
    return rng.choice(ODD)


def torn(data: bytes, rng: random.Random) -> bytes:
    """`data` with a few bytes lost, changed or added at one place."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.randrange(4)) + data[at + rng.randrange(9) :]
