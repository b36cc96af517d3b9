"""The tests of downloads bring a clock of their own, on which pauses cost nothing and are counted."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def pauses_of_users(real_pauses: None) -> None:
    """They are counted as users have them."""
