"""Progress, times, links and strict equality."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videotasks.formats import scalars


@pytest.mark.parametrize(
    ("value", "percent"),
    [
        (0, 0), (1, 1), (50, 50), (100, 100), (250, 100), (0.5, 50), (1.0, 100), (0.0, 0), (50.0, 50), (33.3, 33.3),
        ("50%", 50), ("0", 0), ("1", 1), ("100%", 100), ("0.5", 50), ("0.5%", 0.5), (" 12 % ", 12), ("12.5", 12.5),
        (True, None), (False, None), (None, None), ("", None), ("half", None), (-1, None), ("-5%", None),
        (float("nan"), None), (float("inf"), None), ([50], None), ({}, None), (10**400, None), ("9" * 5000, None),
    ],
)  # fmt: skip
def test_progress(value: Any, percent: float | None) -> None:
    assert scalars.progress(value) == percent


def test_progress_by_a_profiles_own_scale() -> None:
    assert scalars.progress(0.5, "percent") == 0.5
    assert scalars.progress(1, "fraction") == 100
    assert scalars.progress("50%", "fraction") == 50


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1765510475, 1765510475), (1765510475.5, 1765510475.5), (1765510475123, 1765510475.123),
        (1765510475123456, 1765510475.123456), ("1765510475", 1765510475), ("1765510475123", 1765510475.123),
        ("2025-12-12T03:34:35Z", 1765510475), ("2025-12-12T03:34:35.5+00:00", 1765510475.5),
        ("2025-12-12T11:34:35+08:00", 1765510475), ("2025-12-12T03:34:35", 1765510475),
        ("2024-06-27T19:49:32.334Z", 1719517772.334), ("2025-12-12T03:34:35.123456789Z", 1765510475.123456),
        (0, None), (-1, None), (5, None), (10**30, None), ("", None), ("soon", None), (None, None), (True, None),
        ([1765510475], None), (float("nan"), None), ("2025-99-99T00:00:00Z", None), ("0001-01-01T00:00:00+23:59", None),
    ],
)  # fmt: skip
def test_times(value: Any, seconds: float | None) -> None:
    assert scalars.time(value) == seconds


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (0, 0, True), (0, 0.0, True), (0, False, False), (1, True, False), (True, True, True), (False, False, True),
        ("success", "success", True), ("0", 0, False), (None, 0, False), (None, False, False), ("", None, False),
        ([], [], True), ("success", "SUCCESS", False),
    ],
)  # fmt: skip
def test_equality_has_types(left: Any, right: Any, equal: bool) -> None:
    assert scalars.same(left, right) is equal
    assert scalars.same(right, left) is equal


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans()))
def test_nothing_raises(value: Any) -> None:
    assert scalars.progress(value) is None or 0 <= (scalars.progress(value) or 0) <= 100
    scalars.time(value)
    scalars.http_url(value)
    scalars.amount(value)
