"""What the tests of the sandbox share: a clock that only moves when told, and a video writer without work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.sandbox_http import Start, fake_renderer, sandboxes


@pytest.fixture
def renders(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The calls of the video writer, which is replaced by one that takes no time."""
    return fake_renderer(monkeypatch)


@pytest.fixture
def start(tmp_path: Path, renders: list[dict[str, Any]]) -> Iterator[Start]:
    """Starts sandboxes, `start("ark", "failed")`, on one state file and one clock."""
    with sandboxes(tmp_path) as starter:
        yield starter
