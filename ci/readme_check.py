"""Do what README.md says, word for word, in a fresh folder and a fresh home: is there a video within ten seconds?

    python3 ci/readme_check.py [--python EXECUTABLE ...] [--how uv|venv ...] [--within SECONDS] [--without-tests]

The commands are read out of README's "Try it": the block for uv, and the one without it. They run in one shell, as they
are pasted, in a clone of HEAD. What packages they need is in the caches of uv and pip before (`--within` is about a
warm index): uv's script environment and the virtual environment are made anew each time. Of what follows there, real
runs and keys are tests' work (tests/project/test_documents.py).
Prints one line for each Python and way; exits 1 when one of them is red.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

from check_job import check_job

REPO = Path(__file__).resolve().parent.parent
FIRST_WORDS = {"uv": "uv run ", "venv": "python3 -m venv "}
FOREIGN_PREFIXES = ("CLAUDE", "CODEX", "VIDEO_TASKS_", "GIT_", "UV_PROJECT", "VIRTUAL_ENV", "PYTHON", "PYENV")
FOREIGN_SUFFIXES = ("_API_KEY", "_API_TOKEN", "_BASE_URL", "FAL_KEY")
A_WHOLE_SUITE_S = 3600


def commands(page: str, how: str, *, tests: bool = True) -> list[str]:
    """The lines of README's block for this way. Raises ValueError where there is none."""
    for block in re.findall(r"^```bash\n(.*?)^```", page, re.M | re.S):
        if block.startswith(FIRST_WORDS[how]):
            lines = [line for line in block.splitlines() if line.strip()]
            return lines if tests else [line for line in lines if "pytest" not in line]
    raise ValueError(f"README.md has no block that starts with {FIRST_WORDS[how]!r}")


def is_job(line: str) -> bool:
    return "create_and_wait.py" in line


def surroundings(root: Path, python: str, how: str) -> dict[str, str]:
    """A newcomer's environment: this Python, an empty home, the caches that are warm."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN_PREFIXES) and not name.endswith(FOREIGN_SUFFIXES)
    }
    env["UV_CACHE_DIR"] = output_of(["uv", "cache", "dir"]) if shutil.which("uv") else ""
    env["PIP_CACHE_DIR"] = os.environ.get("PIP_CACHE_DIR") or str(Path("~/.cache/pip").expanduser())
    env["HOME"] = env["USERPROFILE"] = str(root / "home")
    (root / "home").mkdir()
    if how == "uv":
        env.update(UV_PYTHON=python, UV_PYTHON_DOWNLOADS="never", UV_NO_PROGRESS="1")
    else:
        env["PATH"] = f"{Path(python).parent}{os.pathsep}{env['PATH']}"
    return env


def output_of(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout.strip()


def warm(root: Path, python: str) -> None:
    """What the scripts need is in uv's cache, as wheels: no environment that README's command could find is made."""
    place = str(root / "warm")
    output_of(["uv", "venv", "--quiet", "--python", python, place])
    output_of(["uv", "pip", "install", "--quiet", "--python", place, "-r", str(REPO / "pyproject.toml")])


def follow(lines: list[str], folder: Path, env: dict[str, str]) -> list[tuple[float, str]]:
    """(seconds, stdout) of each line, all in one shell. Raises ValueError with what the first that fails said."""
    script = ["set -e"]
    for number, line in enumerate(lines):
        (folder.parent / f"done-{number}").unlink(missing_ok=True)
        script.append(f"{{ {line}\n}} >../out-{number} 2>../err-{number}\ntouch ../done-{number}")
    before = time.time()
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=folder, env=env, stdin=subprocess.DEVNULL, timeout=A_WHOLE_SUITE_S
    )
    told = []
    for number, line in enumerate(lines):
        out, err, end = (folder.parent / f"{name}-{number}" for name in ("out", "err", "done"))
        if not end.is_file():
            said = "".join(path.read_text(encoding="utf-8", errors="replace")[-2500:] for path in (out, err))
            raise ValueError(f"exit {done.returncode} from: {line}\n{said}")
        told.append((end.stat().st_mtime - before, out.read_text(encoding="utf-8", errors="replace")))
        before = end.stat().st_mtime
    return told


def check(python: str, how: str, *, within: float, tests: bool) -> str:
    """What came of it, in words. Raises ValueError for whatever is not as README has it."""
    page = (REPO / "README.md").read_text(encoding="utf-8")
    lines = commands(page, how, tests=tests)
    with tempfile.TemporaryDirectory(prefix="readme-", ignore_cleanup_errors=True) as place:
        root = Path(place).resolve()
        env = surroundings(root, python, how)
        if how == "uv":
            warm(root, python)
        folder = root / "ai-video-tasks"
        output_of(["git", "clone", "--quiet", "--depth", "1", REPO.as_uri(), str(folder)])
        told = follow(lines, folder, env)
        at = next(number for number, line in enumerate(lines) if is_job(line))
        seconds, stdout = told[at]
        check_job(stdout, folder)
        whole = sum(one for one, _ in told[: at + 1])
        said = f"the video {seconds:.1f} s after its command, {whole:.0f} s after the first line"
        if tests:
            closing = told[-1][1].strip().splitlines()[-1].strip("= ")
            said += f"; tests: {closing}"
        if seconds > within:
            raise ValueError(f"{said}: more than {within:g} s")
        return said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", nargs="+", default=[sys.executable], metavar="EXECUTABLE", help="default: this one")
    parser.add_argument("--how", nargs="+", default=list(FIRST_WORDS), choices=FIRST_WORDS, help="default: both")
    parser.add_argument("--within", type=float, default=10.0, help="seconds until the video is there (default 10)")
    parser.add_argument("--without-tests", action="store_true", help="leave the lines with pytest out")
    args = parser.parse_args()
    red = False
    for python, how in product(args.python, args.how):
        name = f"Python {output_of([python, '-c', 'import platform; print(platform.python_version())'])} by {how}"
        try:
            told = check(python, how, within=args.within, tests=not args.without_tests)
            print(f"ok     {name}: {told}", flush=True)
        except (ValueError, KeyError, TypeError, OSError, subprocess.SubprocessError) as fault:
            red = True
            print(f"FAILED {name}: {fault}", flush=True)
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main())
