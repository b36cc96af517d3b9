"""The tests of downloads bring a clock of their own, on which pauses cost nothing and are counted."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def real_pauses(hurried_pauses: pytest.MonkeyPatch) -> None:
    hurried_pauses.undo()
