"""Parameters of tests that try one kind many times over: a few run by default, all of them in CI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


def most_are_slow(values: Sequence[Any], *quick: Any) -> list[Any]:
    """Parameters of which only `quick` run by default: the others try the same kind again."""
    assert set(quick) <= set(values)
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]


def combinations(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    """Every pair as parameters. Each value stands in one that runs by default; the rest of the table is slow."""
    quick = {(k % len(first), k % len(second)) for k in range(max(len(first), len(second)))}
    return [
        pytest.param(one, other, marks=() if (i, j) in quick else pytest.mark.slow)
        for i, one in enumerate(first)
        for j, other in enumerate(second)
    ]
