"""SIGKILL in the middle of a real command, sampled; benchmarks/kill_campaign.py strikes at every operation."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from support.kills import Kill, campaign, every_kill, operations, random_kills

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and sitecustomize hooks are POSIX here"),
]


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Warm caches: what only a first run writes would shift every count of the runs after it."""
    folder = tmp_path_factory.mktemp("caches")
    operations("ark", tmp_path_factory.mktemp("first"), folder)
    return folder


def test_a_killed_run_is_readable_and_its_repeat_pays_nothing_twice(tmp_path: Path, caches: Path) -> None:
    names = operations("ark", tmp_path, caches)
    # The order that the promises rest on: a fsynced journal, then the wire; a fsynced journal, then anything else.
    first = names.index("sendall")
    assert names[first - 3 : first] == ["write", "fsync", "fsync"]
    after = names[first:]
    assert after[after.index("open") : after.index("fsync") + 1] == ["open", "write", "fsync"]
    # One in twelve of all kills, and each around the one moment that cannot be known.
    kills = every_kill("ark", names)
    sample = kills[random.Random(5).randrange(12) :: 12]
    sample += [
        Kill("ark", first),
        Kill("ark", first + 1),
        Kill("ark", first + 2, "after"),
        Kill("ark", first + 4, "torn"),
    ]
    results = campaign(sample, tmp_path, caches)
    assert not {str(result.kill): result.wrong for result in results if result.wrong}
    assert {result.end for result in results} >= {"paid", "unknown"}


def test_kills_at_random_moments(tmp_path: Path, caches: Path) -> None:
    results = campaign(random_kills("skills-video", 5, 0.6, random.Random(11)), tmp_path, caches)
    assert not {str(result.kill): result.wrong for result in results if result.wrong}
