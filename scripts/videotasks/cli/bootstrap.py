"""What every entry script starts with. Parses on Python 3.8, so that an old one gets an answer, not a traceback.

Every start compiles this file, because the bytecode of all others is kept by what stands here: what is needed only
after a failure stands in failures.py.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import FileFinder, SourceFileLoader

import videotasks

TYPE_CHECKING = False  # typing's own costs 4 ms of every start
if TYPE_CHECKING:
    from typing import Any, Callable


def run(main: Callable[[list[str]], int], argv: list[str] | None = None) -> int:
    """Call `main(argv)` and return its exit code; every failure is one JSON line on stdout, never a traceback."""
    if sys.version_info < (3, 10):
        from videotasks.cli.failures import fail

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
        from videotasks.cli.failures import fail

        return fail("interrupted", "interrupted before anything was created", exit_code=130)
    except BrokenPipeError:
        from videotasks.cli.failures import silence_stdout

        silence_stdout()
        return 1
    except Exception as error:
        from videotasks.cli.failures import report

        return report(error, argv)


def _flush_stdout() -> None:
    """--help into a pipe that nobody reads any more is no error."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        from videotasks.cli.failures import silence_stdout

        silence_stdout()


def _keep_bytecode_out_of_the_skill() -> None:
    """Nothing is written into an installed skill: our bytecode goes to the user's cache, or nowhere.

    Only ours: sys.pycache_prefix as a whole would also leave every installed package's own bytecode aside.
    PYTHONDONTWRITEBYTECODE is about litter beside sources, which this never is.
    """
    from videotasks.core.user_folders import cache_folder

    # Where the user has a place for all bytecode, ours goes there as well.
    folder = cache_folder("bytecode") if sys.pycache_prefix is None else None
    if folder is not None:
        cache_package_bytecode(os.path.dirname(videotasks.__path__[0]), folder)
    sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode) or (folder is None and sys.pycache_prefix is None)


def cache_package_bytecode(source_folder: str, cache_folder: str) -> None:
    """From now on, modules below `source_folder` have their bytecode in `cache_folder`, and only they."""

    class CachingLoader(SourceFileLoader):
        def get_code(self, fullname: str) -> Any:
            # get_code reads source and bytecode and runs nothing, so that no other module is looked up meanwhile.
            prefix, silent = sys.pycache_prefix, sys.dont_write_bytecode
            sys.pycache_prefix, sys.dont_write_bytecode = cache_folder, False
            try:
                return super().get_code(fullname)
            finally:
                sys.pycache_prefix, sys.dont_write_bytecode = prefix, silent

    finder: Callable[[str], Any] = FileFinder.path_hook((CachingLoader, [".py"]))

    def ours_only(path: str) -> Any:
        if path != source_folder and not path.startswith(source_folder + os.sep):
            raise ImportError
        return finder(path)

    sys.path_hooks.insert(0, ours_only)
    for path in list(sys.path_importer_cache):
        if path.startswith(source_folder):
            del sys.path_importer_cache[path]
