"""Where this user's own things are kept: a cache of what can be made again, and a state of what cannot.

Never the skill's own folder: it is wiped by updates and often not writable.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

TYPE_CHECKING = False  # typing's own costs 4 ms of every start
if TYPE_CHECKING:
    from collections.abc import Callable

APPLICATION = "ai-video-tasks"


def cache_dir(sub: str) -> Path | None:
    """The folder `sub` of our cache, made if need be (only for this user), or None where nothing can be written.

    `$XDG_CACHE_HOME` wins everywhere when it is an absolute path; then `%LOCALAPPDATA%` on Windows,
    `~/Library/Caches` on macOS and `~/.cache` elsewhere.
    """
    return _made(_cache_root, sub)


def state_dir() -> Path | None:
    """The folder of what this user's machine remembers beyond a workspace, or None where nothing can be written.

    `$XDG_STATE_HOME` wins everywhere when it is an absolute path; then `%LOCALAPPDATA%` on Windows,
    `~/Library/Application Support` on macOS and `~/.local/state` elsewhere.
    """
    return _made(_state_root, "")


def _made(root: Callable[[], Path], sub: str) -> Path | None:
    try:
        folder = root() / APPLICATION / sub
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder if os.access(folder, os.W_OK | os.X_OK) else None
    except (OSError, RuntimeError, ValueError):
        return None


def _state_root() -> Path:
    named = os.environ.get("XDG_STATE_HOME", "")
    if named and os.path.isabs(named):
        return Path(named)
    if os.name == "nt":
        return _cache_root()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path.home() / ".local" / "state"


def _cache_root() -> Path:
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named and os.path.isabs(named):
        return Path(named)
    if os.name == "nt":
        local = os.environ.get("LOCALAPPDATA", "")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path.home() / ".cache"


def write(path: Path, data: bytes) -> bool:
    """Put `data` at `path` in one step, so that a reader or a kill never meets half of it. False when it cannot be.

    No fsync: after a crash of the machine a cache is simply made again.
    """
    import tempfile

    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
        return True
    except OSError:
        with contextlib.suppress(OSError):
            if temporary:
                os.unlink(temporary)
        return False


def prune(folder: Path, keep: int) -> None:
    """Remove all but the `keep` newest files of a cache folder; errors are nobody's concern."""
    with contextlib.suppress(OSError):
        files = [entry for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
        files.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime, reverse=True)
        for entry in files[keep:]:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
