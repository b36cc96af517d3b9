"""ci/readme_check.py follows README word for word: the lines are found, and what fails is told."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from types import ModuleType

import pytest

REPO = Path(__file__).resolve().parents[2]
README = (REPO / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPO / "ci"))
    return importlib.import_module("readme_check")


@pytest.mark.parametrize("how", ["uv", "venv"])
def test_each_way_has_one_job_and_one_run_of_the_tests(check: ModuleType, how: str) -> None:
    lines = check.commands(README, how)
    assert len([line for line in lines if check.is_job(line)]) == 1
    assert lines[-1].endswith("pytest -q")
    assert check.commands(README, how, tests=False) == [line for line in lines if "pytest" not in line]


def test_the_tests_have_what_they_need_without_uv(check: ModuleType) -> None:
    """Every package of the group `test`, but those of the extras: without them their tests are skipped."""
    group = (REPO / "pyproject.toml").read_text(encoding="utf-8").split("\ntest = [\n")[1].split("\n]")[0]
    (line,) = [line for line in check.commands(README, "venv") if "pip install pytest" in line]
    wanted = set(re.findall(r'^ +"([\w-]+)', group, re.M)) - {"mcp", "obstore"}
    assert len(wanted) > 5 and wanted <= set(line.split())


def test_a_block_that_is_gone_is_told(check: ModuleType) -> None:
    with pytest.raises(ValueError, match="no block that starts with 'python3 -m venv '"):
        check.commands("```bash\nuv run x\n```\n", "venv")


@pytest.mark.skipif(os.name == "nt", reason="needs bash")
def test_lines_share_a_shell_and_the_first_that_fails_ends_them(check: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    env = {"PATH": os.environ["PATH"]}
    told = check.follow(["word=kept && true", 'echo "$word"  # a remark'], folder, env)
    assert [text for _, text in told] == ["", "kept\n"] and all(seconds < 60 for seconds, _ in told)
    with pytest.raises(ValueError, match=r"exit 3 from: sh -c 'echo why >&2; exit 3'\nwhy"):
        check.follow(["true", "sh -c 'echo why >&2; exit 3'", "touch never"], folder, env)
    assert not (folder / "never").exists()
