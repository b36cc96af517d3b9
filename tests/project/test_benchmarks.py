"""Each benchmark starts as its own text says: from any folder, with nothing set."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).resolve().parents[2] / "benchmarks").glob("*.py"))


@pytest.mark.process
@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.name)
def test_it_starts_as_its_text_says(path: Path) -> None:
    (shown,) = re.findall(r"^    (.*\bpython3 benchmarks/.*)$", path.read_text(encoding="utf-8"), re.M)
    words = shlex.split(re.sub(r"\[.*", "", shown))
    assert words == ["python3", f"benchmarks/{path.name}"], "no variable in front"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, str(path), "--help"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr
