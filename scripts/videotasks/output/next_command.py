"""The exact command that goes on: same runner, same script path as invoked, absolute folders, safely quoted."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence

from videotasks.core.invocation import called_as, subcommand_of
from videotasks.core.skill_folder import scripts_folder


def runner() -> list[str]:
    """`uv run` when uv runs us, else this very interpreter: another one may lack the packages."""
    if os.environ.get("UV_RUN_RECURSION_DEPTH"):
        return ["uv", "run"]
    return [sys.executable or "python3"]


def script_path(script: str) -> str:
    """The sibling script beside the one that was invoked, absolute, symbolic links kept as invoked."""
    try:
        folder = os.path.dirname(os.path.abspath(sys.argv[0])) if sys.argv and sys.argv[0] else ""
    except OSError:  # the current folder was removed while a task was waited for
        folder = ""
    if not os.path.exists(os.path.join(folder, script)):
        folder = scripts_folder()
    return os.path.join(folder, script)


def command(script: str, *arguments: str) -> list[str]:
    """`script` with `arguments`, called the way this program was called: by its path, or as a subcommand."""
    if called_as:
        words = [word for word in arguments if word != "--text"]  # which that command adds by itself
        by_path = called_as[0].endswith(".py")
        return [*(runner() if by_path else ()), *called_as, subcommand_of(script), *words]
    return [*runner(), script_path(script), *arguments]


def quoted(argv: Sequence[str]) -> str:
    """One line for a shell of this system; a reader that can should use the list instead."""
    if os.name == "nt":
        return subprocess.list2cmdline(list(argv))
    return shlex.join(argv)
