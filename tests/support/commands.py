"""Runs entry scripts as a user or an agent does, and holds every run to what all commands promise.

    done = start("task_status.py", "--latest", cwd=tmp_path)          # a process of its own
    done = call("task_status.py", "--latest")                         # the same in this process, for speed
    assert done.exit_code == 0 and done.final["status"] == "running"

Both check, before they return: exactly one final line and it is the last, `ok` exactly when the exit code is 0, the
exit code in the line is the process's, `next` is the quoted `next_argv`, every line is a JSON object in UTF-8, no
traceback on stderr, and stdout within its bound.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import json
import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
NORMAL_CHARS, MOST_CHARS = 1_500, 8_000

# What a started script needs of this machine; everything else of the developer's environment stays away.
NEEDED = ("PATH", "HOME", "USERPROFILE", "SYSTEMROOT", "TEMP", "TMP", "XDG_CACHE_HOME", "PYTHONPATH", "PYTHONUSERBASE")
NEEDED += ("PYTHONPYCACHEPREFIX", "LOCALAPPDATA", "APPDATA", "COMSPEC", "PATHEXT", "VIDEO_TASKS_SANDBOX_SPEED")


@dataclass
class Done:
    """A command that has ended."""

    exit_code: int
    stdout: str
    stderr: str
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def final(self) -> dict[str, Any]:
        return self.lines[-1]

    @property
    def error(self) -> dict[str, Any]:
        error = self.final["error"]
        assert isinstance(error, dict), self.final
        return error

    @property
    def events(self) -> list[str]:
        return [str(line["event"]) for line in self.lines]

    def all(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


def environment(**extra: str) -> dict[str, str]:
    """A clean environment for a script, with `extra` on top."""
    return {**{name: os.environ[name] for name in NEEDED if name in os.environ}, **extra}


def start(
    script: str,
    *arguments: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    clean_env: Mapping[str, str] | None = None,
    stdin: str | bytes = b"",
    timeout: float = 60.0,
    python: str = sys.executable,
    folder: Path = SCRIPTS,
    unbounded: bool = False,
) -> Done:
    """`python3 script arguments` in a process of its own; `clean_env` replaces the environment, `env` adds to it."""
    done = subprocess.run(
        [python, str(folder / script), *arguments],
        cwd=cwd,
        env=dict(clean_env) if clean_env is not None else environment(**(env or {})),
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=timeout,
    )
    return checked(done.returncode, done.stdout, done.stderr, unbounded=unbounded)


def call(
    script: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdin: str | bytes = b"",
    unbounded: bool = False,
) -> Done:
    """The same in this process: no interpreter is started, and what a test has patched stays patched."""
    return checked(*call_unchecked(script, *arguments, env=env, stdin=stdin), unbounded=unbounded)


def call_unchecked(
    script: str, *arguments: str, env: Mapping[str, str] | None = None, stdin: str | bytes = b""
) -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr of `call`; for what prints no lines, such as an inspection's document."""
    from videotasks.cli.bootstrap import run
    from videotasks.core import redaction

    redaction.forget_all()
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    given = io.TextIOWrapper(io.BytesIO(stdin.encode() if isinstance(stdin, str) else stdin), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", [str(SCRIPTS / script), *arguments])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        patch.setattr(sys, "stdin", given)
        patch.setattr(sys, "dont_write_bytecode", True)
        code = run(main_of(script), list(arguments))
    out.flush()
    return code, out.buffer.getvalue(), err.getvalue().encode()  # type: ignore[attr-defined]


def checked(code: int, stdout: bytes, stderr: bytes, *, unbounded: bool = False) -> Done:
    """What every command promises, whatever it was asked."""
    text, people = stdout.decode("utf-8"), stderr.decode("utf-8", "replace")
    shown = f"exit {code}\n{text}\n{people}"
    assert "Traceback (most recent call last)" not in people + text, shown
    assert "internal error" not in text, shown
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines and all(isinstance(line, dict) for line in lines), shown
    assert [bool(line.get("final")) for line in lines] == [False] * (len(lines) - 1) + [True], shown
    final = lines[-1]
    assert final["exit_code"] == code, shown
    assert final["ok"] is (code == 0), shown
    assert final["next"] == (_quoted(final["next_argv"]) if final["next_argv"] else None), shown
    for word in final["next_argv"] or ():
        assert isinstance(word, str)
    if final["next_argv"]:
        runnable(final["next_argv"])
    for line in lines:
        breaches = [f"{error.json_path}: {error.message[:300]}" for error in _events_schema().iter_errors(line)]
        assert not breaches, f"{breaches}\n{json.dumps(line)[:3000]}"
    assert unbounded or len(text) <= MOST_CHARS, f"{len(text)} characters on stdout\n{shown[:3000]}"
    return Done(code, text, people, lines)


@functools.cache
def _events_schema() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    text = (SCRIPTS.parent / "shared" / "schemas" / "events.schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def runnable(argv: list[str]) -> list[str]:
    """Assert that a `next_argv` names files that exist and an absolute artifacts folder, and never pays."""
    scripts = [word for word in argv if word.endswith(".py")]
    assert scripts and Path(scripts[0]).is_absolute() and Path(scripts[0]).is_file(), argv
    assert Path(scripts[0]).name != "create_and_wait.py", f"next must never pay: {argv}"
    if "--artifacts-dir" in argv:
        assert Path(argv[argv.index("--artifacts-dir") + 1]).is_absolute(), argv
    return argv


def follow(done: Done, *more: str, **options: Any) -> Done:
    """Run the `next` of a command, in this process."""
    argv = list(done.final["next_argv"])
    script = next(i for i, word in enumerate(argv) if word.endswith(".py"))
    return call(Path(argv[script]).name, *argv[script + 1 :], *more, **options)


def _quoted(argv: list[str]) -> str:
    return subprocess.list2cmdline(argv) if os.name == "nt" else shlex.join(argv)


def main_of(script: str) -> Any:
    name = f"entry_{script.removesuffix('.py')}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, SCRIPTS / script)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        before = sys.dont_write_bytecode
        spec.loader.exec_module(module)
        sys.dont_write_bytecode = before
        sys.modules[name] = module
    return sys.modules[name].main


@contextlib.contextmanager
def fast_sandbox(total_s: float = 0.15) -> Iterator[None]:
    """Tasks of an in-process sandbox take `total_s` of real time, whatever the fast motion of rehearsals."""
    from videotasks_sandbox import tasks

    total_s *= float(os.environ.get("VIDEO_TASKS_SANDBOX_SPEED", "1"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "TOTAL_S", total_s)
        patch.setattr(tasks, "QUEUED_S", total_s / 8)
        yield


def sandbox_state(artifacts_root: Path) -> dict[str, Any]:
    """What the sandbox of a workspace has recorded: creates, tasks, uploads, requests."""
    path = artifacts_root / ".sandbox" / "state.json"
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def journal(run_folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()]


def strict_tokens(text: str) -> int:
    """More than a tokenizer counts: a token for every four letters begun of a word, and for each run of signs."""
    words = re.findall(r"[^\W_]+", text)
    return sum(math.ceil(len(word) / 6) for word in words) + len(re.findall(r"[^\w\s]+|_", text))
