"""Where run folders live: the same place from every folder of a project, never inside an installed skill."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.commands import SCRIPTS, call, environment, start
from videotasks.core.errors import TaskError
from videotasks.runs.workspace import ARTIFACTS, artifacts_root

NO_SKILL = Path("/nowhere/ai-video-tasks")


def root(cwd: Path, *, option: str | None = None, home: Path | None = None, skill: Path = NO_SKILL, **env: str) -> Path:
    return artifacts_root(option, environ=env, cwd=cwd, home=home or Path("/nowhere/home"), skill=skill)


# -- the search --------------------------------------------------------------------------------------------------


def test_without_anything_the_current_folder(tmp_path: Path) -> None:
    assert root(tmp_path) == tmp_path / ARTIFACTS


def test_the_repository_root(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert root(below) == tmp_path / ARTIFACTS


def test_a_worktree_has_a_file_named_git(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: elsewhere", encoding="utf-8")
    (tmp_path / "a").mkdir()
    assert root(tmp_path / "a") == tmp_path / ARTIFACTS


def test_the_nearest_existing_one_wins(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / ARTIFACTS).mkdir(parents=True)
    assert root(tmp_path / "a" / "b") == tmp_path / "a" / ARTIFACTS


def test_nothing_above_the_repository_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / ARTIFACTS).mkdir(parents=True)
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    assert root(tmp_path / "repo") == tmp_path / "repo" / ARTIFACTS


def test_nothing_above_home_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / ARTIFACTS).mkdir(parents=True)
    work = tmp_path / "home" / "work"
    work.mkdir(parents=True)
    assert root(work, home=tmp_path / "home") == work / ARTIFACTS
    (tmp_path / "home" / ARTIFACTS).mkdir(parents=True)
    assert root(work, home=tmp_path / "home") == tmp_path / "home" / ARTIFACTS


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_home_through_a_link_is_still_home(tmp_path: Path) -> None:
    (tmp_path / ARTIFACTS).mkdir(parents=True)
    (tmp_path / "real" / "work").mkdir(parents=True)
    (tmp_path / "home").symlink_to(tmp_path / "real")
    assert root(tmp_path / "real" / "work", home=tmp_path / "home") == tmp_path / "real" / "work" / ARTIFACTS


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "getuid") or os.getuid() != 0, reason="needs another owner")
def test_somebody_elses_folder_above_is_passed_over(tmp_path: Path) -> None:
    """/tmp/task-status/.artifacts, planted by another user, would read the prompts of everybody below /tmp."""
    (tmp_path / ARTIFACTS).mkdir(parents=True)
    (tmp_path / "a").mkdir()
    assert root(tmp_path / "a") == tmp_path / ARTIFACTS
    os.chown(tmp_path / ARTIFACTS, 12345, 12345)
    assert root(tmp_path / "a") == tmp_path / "a" / ARTIFACTS


def test_flag_before_environment_before_search(tmp_path: Path) -> None:
    (tmp_path / ARTIFACTS).mkdir(parents=True)
    assert root(tmp_path, option="x/../y", VIDEO_TASKS_ARTIFACTS="/z") == tmp_path / "y"
    assert root(tmp_path, VIDEO_TASKS_ARTIFACTS="rel") == tmp_path / "rel"
    assert root(tmp_path, option="~/v") == Path(os.path.expanduser("~/v"))
    with pytest.raises(TaskError, match="no folder name"):
        root(tmp_path, option="a\0b")


# -- inside an installed skill -----------------------------------------------------------------------------------


def test_from_inside_an_installed_skill_it_lies_above_the_agents_folder(tmp_path: Path) -> None:
    skill = tmp_path / "project" / ".claude" / "skills" / "ai-video-tasks"
    (skill / "scripts" / "videotasks").mkdir(parents=True)
    wanted = tmp_path / "project" / ARTIFACTS
    for inside in (skill, skill / "scripts", skill / "scripts" / "videotasks"):
        assert root(inside, skill=skill) == wanted
    assert root(skill.parent, skill=skill) == skill.parent / ARTIFACTS, "beside it is not inside it"


def test_a_checkout_is_no_installed_copy(tmp_path: Path) -> None:
    checkout = tmp_path / "ai-video-tasks"
    checkout.mkdir()
    assert root(checkout, skill=checkout) == checkout / ARTIFACTS


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_skill_that_is_a_link(tmp_path: Path) -> None:
    real = tmp_path / "vendor" / "ai-video-tasks"
    (real / "scripts").mkdir(parents=True)
    link = tmp_path / "project" / ".claude" / "skills" / "ai-video-tasks"
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    wanted = tmp_path / "project" / ARTIFACTS
    # The system's idea of the current folder has no links; the shell's has.
    assert root(real / "scripts", skill=real, PWD=str(link / "scripts")) == wanted
    assert root(real / "scripts", skill=link) == wanted
    assert root(real, skill=real, PWD="/elsewhere") == real / ARTIFACTS, "a stale PWD says nothing"


# -- as commands -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the skill copied into it, as installers do."""
    project = tmp_path_factory.mktemp("project")
    skill = project / ".claude" / "skills" / "ai-video-tasks"
    for name in ("scripts", "shared"):
        shutil.copytree(SCRIPTS.parent / name, skill / name, ignore=shutil.ignore_patterns("__pycache__"))
    return project


@pytest.mark.process
def test_an_installed_copy_leaves_no_trace_in_itself(installed: Path) -> None:
    skill = installed / ".claude" / "skills" / "ai-video-tasks"
    before = sorted(path.relative_to(skill) for path in skill.rglob("*"))
    env = environment()
    env.pop("PYTHONPYCACHEPREFIX", None)  # the test's own, which would hide a __pycache__
    arguments = ("--sandbox", "--prompt", "a boat", "--duration", "4", "--no-wait")
    done = start("create_and_wait.py", *arguments, folder=skill / "scripts", cwd=skill / "scripts", clean_env=env)
    assert done.exit_code == 0
    assert Path(done.final["artifacts_dir"]).parent == installed / ARTIFACTS
    assert sorted(path.relative_to(skill) for path in skill.rglob("*")) == before
    assert str(skill / "scripts" / "wait_generation.py") in done.final["next_argv"]
    sub = installed / "src" / "deep"
    sub.mkdir(parents=True)
    found = start("task_status.py", "--latest", "--sandbox", folder=skill / "scripts", cwd=sub, clean_env=env)
    assert found.exit_code == 0 and found.final["run_id"] == done.final["run_id"]


@pytest.mark.process
@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_an_installed_copy_through_a_link(installed: Path, tmp_path: Path) -> None:
    project = tmp_path / "other"
    link = project / ".claude" / "skills" / "ai-video-tasks"
    link.parent.mkdir(parents=True)
    link.symlink_to(installed / ".claude" / "skills" / "ai-video-tasks")
    script = ".claude/skills/ai-video-tasks/scripts/create_and_wait.py"
    line = f"python3 {script} --sandbox --prompt 'a boat' --duration 4 --no-wait"
    done = subprocess.run(
        ["sh", "-c", line], cwd=project, env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((project / ARTIFACTS).glob("*/journal.jsonl"))
    assert str(project) in done.stdout, "next names the script as it was invoked"


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        done = call("create_and_wait.py", "--sandbox", "--prompt", "x", "--duration", "4", "--no-wait")
    finally:
        tmp_path.chmod(0o700)
    assert done.exit_code == 1 and "no permission" in done.error["message"]


def test_a_root_that_is_a_file_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "task-status").write_text("", encoding="utf-8")
    done = call("create_and_wait.py", "--sandbox", "--prompt", "x", "--duration", "4", "--no-wait")
    assert done.exit_code == 1 and "--artifacts-dir" in done.error["hint"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_root_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "task-status").mkdir()
    (tmp_path / "task-status" / ".artifacts").symlink_to(tmp_path / "elsewhere")
    done = call("create_and_wait.py", "--sandbox", "--prompt", "x", "--duration", "4", "--no-wait")
    assert done.exit_code == 1 and "symbolic link" in done.error["message"]
    assert list((tmp_path / "elsewhere").iterdir()) == []
