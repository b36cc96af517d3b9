"""What every entry script starts with. Parses on Python 3.8, so that an old one gets an answer, not a traceback."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing's own costs 4 ms of every start
if TYPE_CHECKING:
    from typing import Any, Callable


def run(main: Callable[[list[str]], int], argv: list[str] | None = None) -> int:
    """Call `main(argv)` and return its exit code; every failure is one JSON line on stdout, never a traceback."""
    if sys.version_info < (3, 10):
        return fail(
            "configuration",
            f"Python {sys.version_info[0]}.{sys.version_info[1]} is too old",
            expected="Python 3.10 or newer",
            hint="run the script with `uv run`, or with a newer python3",
        )
    _keep_bytecode_out_of_the_skill()
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return int(main(argv) or 0)
    except SystemExit as stop:
        _flush_stdout()
        return stop.code if isinstance(stop.code, int) else (0 if stop.code is None else 1)
    except KeyboardInterrupt:
        return fail("interrupted", "interrupted before anything was created", exit_code=130)
    except BrokenPipeError:
        _silence_stdout()
        return 1
    except ImportError as error:
        name = (error.name or "").split(".")[0]
        from videotasks.core.installation import HOW_TO_GET_THEM, RUNTIME_PACKAGES

        if name in RUNTIME_PACKAGES:
            return fail(
                "configuration",
                f"the Python package {name} is missing",
                expected="the packages that this script's header lists",
                hint=HOW_TO_GET_THEM,
            )
        return _unexpected(error)
    except Exception as error:
        return _known_or_unexpected(error, argv)


def _known_or_unexpected(error: Exception, argv: list[str]) -> int:
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
    return fail(
        "unknown",
        f"internal error: {type(error).__name__} at {place}",
        expected="this should not happen; nothing on disk is lost",
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
    import json

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
        _silence_stdout()
    return exit_code


def _flush_stdout() -> None:
    """--help into a pipe that nobody reads any more is no error."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        _silence_stdout()


def _silence_stdout() -> None:
    """After a broken pipe: keep the interpreter's last flush from printing a traceback."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        pass


def _keep_bytecode_out_of_the_skill() -> None:
    """Nothing is written into an installed skill: our bytecode goes to the user's cache, or nowhere.

    Only ours: sys.pycache_prefix as a whole would also leave every installed package's own bytecode aside.
    PYTHONDONTWRITEBYTECODE is about litter beside sources, which this never is.
    """
    from videotasks.core.user_cache import cache_folder

    # Where the user has a place for all bytecode, ours goes there as well.
    folder = cache_folder("bytecode") if sys.pycache_prefix is None else None
    if folder is not None:
        from videotasks.cli.bytecode_cache import cache_package_bytecode
        from videotasks.core.installation import scripts_folder

        cache_package_bytecode(scripts_folder(), folder)
    sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode) or (folder is None and sys.pycache_prefix is None)
