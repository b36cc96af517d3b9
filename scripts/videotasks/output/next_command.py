"""The exact command that goes on: same runner, same script path as invoked, absolute folders, safely quoted.

What we print does what the user asked for, from any shell and without the environment that gave half of it: `Asked`
holds that, `cli` fills it in from flags and variables alike, and every printed command is made here of it.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence

from videotasks.core.installation import scripts_folder
from videotasks.core.invocation import called_as, subcommand_of
from videotasks.core.record import record

STEP_S = 80.0  # of waiting, where the user set no limit: fits a command limit of 120 s with what comes on top


@record(frozen=True)
class Asked:
    """What the user asked for besides the task itself, as options that a later command repeats. Never a secret.

    `place` says which API (--provider, --kind, --base-url, --sandbox ...), `files` what becomes of the result
    (--output, --force ...), `pace` belongs to a wait alone, `manner` to every command (--no-retry, --text ...).
    """

    root: str  # the artifacts folder, absolute
    place: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    pace: tuple[str, ...] = ()
    manner: tuple[str, ...] = ()
    wait_s: float | None = None  # the user's own limit
    fetch: bool = True  # False with --no-download
    look_fetches: bool = False  # a look was asked to fetch: --download, or --output with it

    def wait(self, *target: str) -> list[str]:
        """Wait for `target` (--run-id R, --task-id ID, --all-unfinished) and fetch its result."""
        step = ("--timeout", f"{self.wait_s or STEP_S:g}")
        fetch = () if self.fetch else ("--no-download",)
        return command("wait_generation.py", *target, *step, *self.pace, *fetch, *self._common())

    def look(self, *target: str, fetch: bool = False) -> list[str]:
        """One look at `target`; with `fetch`, or when the user asked for it, its result, too."""
        options: tuple[str, ...] = ("--download",) if fetch or self.look_fetches else ()
        if options and self.wait_s:
            options += ("--timeout", f"{self.wait_s:g}")
        return command("task_status.py", *target, *options, *self._common())

    def settle(self, *target: str) -> list[str]:
        """What only the user may decide about a run in doubt: nothing of a result belongs to it yet."""
        return command("task_status.py", *target, "--artifacts-dir", self.root, *self.place, *self.manner)

    def place_options(self) -> list[tuple[str, ...]]:
        """`place` option by option, each with its value."""
        options: list[tuple[str, ...]] = []
        for word in self.place:
            if word.startswith("--"):
                options.append((word,))
            else:
                options[-1] = (*options[-1], word)
        return options

    def _common(self) -> tuple[str, ...]:
        return (*self.files, "--artifacts-dir", self.root, *self.place, *self.manner)


def again(script: str, typed: Sequence[str], needed: Sequence[tuple[str, ...]]) -> list[str]:
    """A command as it was typed, and then what only the environment had told (of two values the last one counts)."""
    words = list(typed)
    for option in needed:
        there = "=".join(option) in words or any(
            tuple(words[at : at + len(option)]) == option for at in range(len(words))
        )
        if not there:
            words += option
    return command(script, *words)


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
    return for_windows(argv) if os.name == "nt" else shlex.join(argv)


def for_windows(argv: Sequence[str]) -> str:
    """One line for PowerShell and for Git's bash, which both may be the shell there.

    Quotes keep backslashes from bash; a program in quotes would be a text to PowerShell, so it gets slashes instead,
    and quotes only where it holds a blank.
    """

    def in_quotes(word: str) -> str:
        if re.fullmatch(r"[\w./:=+~-]+", word, re.ASCII):
            return word
        word = re.sub(r'(\\*)"', r'\1\1\\"', word)
        return '"' + re.sub(r"(\\+)\Z", r"\1\1", word) + '"'

    program, *words = argv
    return " ".join(in_quotes(word) for word in (program.replace("\\", "/"), *words))
