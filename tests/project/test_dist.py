"""What ci/make_dist.py makes is what users get: nothing that they do not need, nothing missing, the same each time."""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import start
from videotasks_sandbox.dialect import read_yaml

REPO = Path(__file__).resolve().parents[2]
MAKE = REPO / "ci" / "make_dist.py"
IN_GIT = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPO, capture_output=True).returncode == 0

pytestmark = pytest.mark.skipif(not IN_GIT, reason="it is made from a commit")


def make(out: Path, repository: Path = REPO) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(MAKE), str(out), "--repository", str(repository)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist") / "out"
    done = make(out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.process
def test_it_holds_the_skill_and_nothing_else(dist: Path) -> None:
    assert {path.name for path in dist.iterdir()} - {"server.json"} == {"skills", ".claude-plugin", "SHA256SUMS"}
    (skill,) = (dist / "skills").iterdir()
    parts = {"SKILL.md", "LICENSE", "pyproject.toml", "agents", "references", "scripts", "shared"}
    assert {path.name for path in skill.iterdir()} == parts
    assert not [path for path in dist.rglob("*") if path.is_symlink() or path.name.startswith("test_")]
    files = [path for path in skill.rglob("*") if path.is_file()]
    assert len(files) <= 270 and sum(path.stat().st_size for path in files) <= 2 * 1024 * 1024


@pytest.mark.process
def test_its_programs_are_those_of_the_commit(dist: Path, tmp_path: Path) -> None:
    committed = subprocess.run(["git", "archive", "HEAD", "scripts"], cwd=REPO, capture_output=True, check=True).stdout
    subprocess.run(["tar", "x", "-C", str(tmp_path)], input=committed, check=True)
    (skill,) = (dist / "skills").iterdir()
    for shipped in skill.rglob("*.py"):
        ours = (tmp_path / shipped.relative_to(skill)).read_text(encoding="utf-8")
        theirs = shipped.read_text(encoding="utf-8")
        assert len(theirs.splitlines()) == len(ours.splitlines())
        assert ast.dump(ast.parse(theirs)) == ast.dump(ast.parse(ours)), shipped


def test_its_dialects_are_those_of_the_repository_without_remarks(dist: Path) -> None:
    (skill,) = (dist / "skills").iterdir()
    for shipped in (skill / "shared" / "dialects").iterdir():
        theirs = shipped.read_text(encoding="utf-8")
        assert read_yaml(theirs) == read_yaml((REPO / shipped.relative_to(skill)).read_text(encoding="utf-8")), shipped
        assert "  # " not in theirs


@pytest.mark.process
def test_commands_run_from_it(dist: Path, workspace: Path) -> None:
    (skill,) = (dist / "skills").iterdir()
    done = start("create_and_wait.py", "--sandbox", "--prompt", "x", "--dry-run", folder=skill / "scripts")
    assert done.exit_code == 0 and done.final["event"] == "plan"


def test_the_version_stands_once(dist: Path) -> None:
    plugin = json.loads((dist / ".claude-plugin" / "plugin.json").read_text(encoding="utf-8"))
    assert f'version = "{plugin["version"]}"' in (REPO / "pyproject.toml").read_text(encoding="utf-8")
    assert plugin["name"] == "ai-video-tasks" and plugin["description"]


def test_the_servers_record_says_how_to_start_it(dist: Path) -> None:
    record = json.loads((dist / "server.json").read_text(encoding="utf-8"))
    (package,) = record["packages"]
    assert len(record["description"]) <= 100 and package["transport"] == {"type": "stdio"}
    assert [one.get("name") or one["value"] for one in package["packageArguments"]] == ["mcp", "--workspace"]
    assert package["runtimeArguments"][0]["value"].startswith("mcp>=")
    variables = {one["name"]: one for one in package["environmentVariables"]}
    assert {"FAL_KEY", "ARK_API_KEY", "SKILLS_VIDEO_API_KEY", "REPLICATE_API_TOKEN"} <= set(variables)
    assert len(variables) >= 28 and all(one["isSecret"] for one in variables.values())


def test_the_checksums_are_those_of_every_file(dist: Path) -> None:
    lines = (dist / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    there = {path.relative_to(dist).as_posix() for path in dist.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    assert set(listed) == there
    assert all(hashlib.sha256((dist / name).read_bytes()).hexdigest() == digest for name, digest in listed.items())


@pytest.mark.process
def test_the_same_commit_makes_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    assert make(tmp_path / "again").returncode == 0
    assert (tmp_path / "again" / "SHA256SUMS").read_bytes() == (dist / "SHA256SUMS").read_bytes()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = make(tmp_path)
    assert done.returncode == 1 and "not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.process
def test_a_dead_link_is_not_shipped(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    clone = ["git", "clone", "--quiet", "--depth", "1", REPO.as_uri(), str(copy)]
    subprocess.run(clone, check=True)
    page = copy / "references" / "commands.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n[tests](../tests/conftest.py)\n", encoding="utf-8")
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.invalid", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, "commit", "--quiet", "-am", "x"], cwd=copy, check=True)
    done = make(tmp_path / "out", copy)
    assert done.returncode == 1 and "../tests/conftest.py" in done.stderr


def test_an_archive_leaves_out_what_is_for_developers() -> None:
    listed = subprocess.run(["git", "archive", "HEAD"], cwd=REPO, capture_output=True, check=True).stdout
    names = subprocess.run(["tar", "t"], input=listed, capture_output=True, check=True).stdout.decode().splitlines()
    tops = {name.partition("/")[0] for name in names}
    assert {"SKILL.md", "scripts", "references", "shared", "LICENSE", "pyproject.toml"} <= tops
    assert not tops & {"tests", "ci", ".ci", "evals", "benchmarks", ".github", "CONTRIBUTING.md"}
