"""Machines as they are: hardened, read-only, with a clock of another century, or with the current folder removed."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.commands import SCRIPTS, Done, checked, environment
from videotasks.cli import bootstrap
from videotasks.core.times import iso
from videotasks.output import next_command

ENTRY = sorted(path.name for path in SCRIPTS.glob("*.py"))
POSIX = pytest.mark.skipif(os.name == "nt", reason="POSIX")
CREATE = ("create_and_wait.py", "--sandbox", "--prompt", "a boat", "--poll-timeout", "30")


def run(*argv: str, cwd: Path, python: tuple[str, ...] = (), script: Path | None = None, **env: str) -> Done:
    name, *arguments = argv
    words = [sys.executable, *python, str(script or SCRIPTS / name), *arguments]
    env = environment(VIDEO_TASKS_SANDBOX_SPEED="100", **env)
    done = subprocess.run(words, cwd=cwd, env=env, input=b"", capture_output=True, timeout=60)
    return checked(done.returncode, done.stdout, done.stderr)


# -- hardened interpreters ---------------------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize("script", ENTRY)
@pytest.mark.parametrize("how", ["-I", "PYTHONSAFEPATH"])
def test_python_that_does_not_look_beside_the_script(script: str, how: str, tmp_path: Path) -> None:
    env = environment(**({"PYTHONSAFEPATH": "1"} if how == "PYTHONSAFEPATH" else {}))
    argv = [sys.executable, *(["-I"] if how == "-I" else []), str(SCRIPTS / script), "--help"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, timeout=60)
    assert done.returncode == 0 and b"exit codes" in done.stdout, done.stderr


@pytest.mark.process
def test_a_safe_path_finds_no_library_in_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "videotasks").mkdir()
    (tmp_path / "videotasks" / "__init__.py").write_text("raise SystemExit(99)", encoding="utf-8")
    assert run("task_status.py", "--list", cwd=tmp_path, PYTHONSAFEPATH="1").exit_code == 0


@pytest.mark.process
@POSIX
def test_a_script_reached_through_a_link_works_without_its_folder_on_the_path(tmp_path: Path) -> None:
    link = tmp_path / "look.py"
    link.symlink_to(SCRIPTS / "task_status.py")
    assert run("task_status.py", "--list", cwd=tmp_path, script=link, PYTHONSAFEPATH="1").exit_code == 0


@pytest.mark.process
def test_files_of_a_cloned_repository_change_nothing(tmp_path: Path) -> None:
    for name in ("uv.toml", "pyproject.toml", "setup.cfg", ".env"):
        (tmp_path / name).write_text("rubbish = [", encoding="utf-8")
    assert run(*CREATE, "--no-download", cwd=tmp_path).exit_code == 0


# -- the current folder is gone ----------------------------------------------------------------------------------------


def from_nowhere(tmp_path: Path, *argv: str) -> Done:
    gone = tmp_path / "gone"
    gone.mkdir()
    words = [sys.executable, str(SCRIPTS / argv[0]), *argv[1:]]
    done = subprocess.run(
        ["sh", "-c", 'cd "$1" && rmdir "$1" && shift && exec "$@"', "sh", str(gone), *words],
        env=environment(VIDEO_TASKS_SANDBOX_SPEED="100"), stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
    )  # fmt: skip
    return checked(done.returncode, done.stdout, done.stderr)


@pytest.mark.process
@POSIX
@pytest.mark.parametrize("argv", [("task_status.py", "--list"), ("wait_generation.py", "--latest"), CREATE])
def test_a_removed_current_folder_is_said_in_one_line(tmp_path: Path, argv: tuple[str, ...]) -> None:
    done = from_nowhere(tmp_path, *argv)
    assert done.exit_code == 1 and "removed" in done.error["message"] and "cd" in done.error["hint"]


@pytest.mark.process
@POSIX
def test_a_named_folder_needs_no_current_one(tmp_path: Path) -> None:
    done = from_nowhere(tmp_path, *CREATE, "--artifacts-dir", str(tmp_path / "runs"))
    assert done.exit_code == 0 and Path(done.final["video_file"]).is_file()


@POSIX
def test_next_is_told_when_the_current_folder_goes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "argv", ["scripts/task_status.py"])
    shutil.rmtree(tmp_path / "here")
    assert Path(next_command.script_path("wait_generation.py")).is_file()


# -- homes and clocks --------------------------------------------------------------------------------------------------


@pytest.mark.process
@POSIX
@pytest.mark.parametrize("home", ["/dev/null", "/proc/self/nowhere", ""])
def test_a_home_that_cannot_be_written_to_costs_nothing(tmp_path: Path, home: str) -> None:
    done = run(*CREATE, cwd=tmp_path, HOME=home, XDG_CACHE_HOME=home, XDG_STATE_HOME=home)
    assert done.exit_code == 0 and Path(done.final["video_file"]).is_file()


CLOCK = """
import os, time
_real, _by = time.time, float(os.environ["CLOCK_AT"]) - time.time()
time.time = lambda: _real() + _by
"""


@pytest.mark.process
@pytest.mark.parametrize("at", [0.0, -86_400.0, 4_102_444_800.0], ids=["1970", "1969", "2100"])
def test_a_clock_of_another_century_loses_nothing(tmp_path: Path, at: float) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CLOCK, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path / "site"), environment().get("PYTHONPATH", "")])
    how: dict[str, Any] = {"cwd": tmp_path, "CLOCK_AT": str(at), "PYTHONPATH": path}
    made = run(*CREATE, **how)
    assert made.exit_code == 0 and Path(made.final["video_file"]).is_file()
    assert made.final["run_id"].startswith(iso(at)[:4])
    assert run(*CREATE, **how).final["attached"] is True
    assert run("task_status.py", "--sandbox", "--list", "--since", "2h", **how).final["total"] == 1


def test_every_time_of_a_clock_has_a_text() -> None:
    assert iso(1e20) == "9999-12-31T23:59:59.000Z" and iso(-1e20) == "0001-01-01T00:00:00.000Z"
    assert iso(1_790_000_000.1234) == "2026-09-21T14:13:20.123Z"


# -- what the machine refuses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), "no permission"),
        (OSError(errno.EMFILE, "Too many open files"), "too many open files"),
    ],
)
def test_a_refusal_of_the_machine_is_no_internal_error(error: OSError, word: str, capfdbinary: Any) -> None:
    def main(_: list[str]) -> int:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", open(1, "w", closefd=False))  # noqa: SIM115
        assert bootstrap.run(main, []) == 1
    out = capfdbinary.readouterr().out.decode()
    assert word in out.lower() and "internal error" not in out
