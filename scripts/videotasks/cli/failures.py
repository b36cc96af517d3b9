"""What a command prints that could not even begin, or that met a fault of ours: one JSON line, never a traceback.

Parses on Python 3.8, as bootstrap does.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def report(error: Exception, argv: list[str]) -> int:
    """The last line about whatever nobody has caught, and its exit code."""
    if isinstance(error, ImportError):
        from videotasks.core.installation import HOW_TO_GET_THEM, RUNTIME_PACKAGES

        name = (error.name or "").split(".")[0]
        if name not in RUNTIME_PACKAGES:
            return _unexpected(error)
        return fail(
            "configuration",
            f"the Python package {name} is {'missing' if isinstance(error, ModuleNotFoundError) else 'too old'}",
            expected="the packages that this script's header lists",
            hint=HOW_TO_GET_THEM,
        )
    from videotasks.core.errors import Category, TaskError
    from videotasks.core.workers import CallTimedOut, Interrupted
    from videotasks.output.reporter import Reporter

    # What may have created something reports its own interrupts; here only calls are left that cost nothing.
    if isinstance(error, Interrupted):
        exit_code = 143 if error.signum == 15 else 130
        error = TaskError(Category.INTERRUPTED, "interrupted before anything was created", exit_code=exit_code)
    elif isinstance(error, CallTimedOut):
        error = TaskError(Category.TRANSIENT, "no answer in time", hint="try the same command again later")
    elif isinstance(error, OSError):
        from videotasks.core.durable_files import machine_error

        error = machine_error(error)
    if isinstance(error, TaskError):
        return Reporter(sandbox="--sandbox" in argv, text="--text" in argv).error(error)
    return _unexpected(error)


def _unexpected(error: Exception) -> int:
    """A fault of ours: its kind and place, without values, which might be secrets."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        place = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    from videotasks.core.installation import least_versions, too_old

    message, expected = f"internal error: {type(error).__name__} at {place}", "this should not happen"
    if old := too_old(least_versions()):
        message += f"; the Python package {old[0]} {old[1]} is too old"
        expected = f"{old[0]} {old[2]} or newer"
    return fail(
        "unknown",
        message,
        expected=f"{expected}; nothing on disk is lost",
        hint="look at the run with task_status.py --latest before anything is created again",
        exit_code=25,
    )


def fail(category: str, message: str, expected: str | None = None, hint: str | None = None, exit_code: int = 1) -> int:
    """The one final line of a command that could not even begin, and one for people on stderr."""
    line: Any = {
        "event": "error",
        "final": True,
        "ok": False,
        "exit_code": exit_code,
        "error": {"category": category, "message": message, "expected": expected, "hint": hint},
        "next": None,
        "next_argv": None,
    }
    try:
        if sys.stderr is not None:
            sys.stderr.write(f"error: {message}" + (f" ({hint})" if hint else "") + "\n")
    except (OSError, ValueError):
        pass
    if sys.stdout is None:  # started with a closed descriptor 1
        return exit_code
    try:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        silence_stdout()
    return exit_code


def silence_stdout() -> None:
    """After a broken pipe: keep the interpreter's last flush from printing a traceback."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        pass
