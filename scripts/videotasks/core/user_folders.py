"""Where this user's own things are kept: a cache of what can be made again, and a state of what cannot.

Never the skill's own folder: it is wiped by updates and often not writable. Short, and strings only: every start
compiles this file, because the bytecode of all others is kept below.
"""

from __future__ import annotations

import os
import sys


def cache_folder(sub: str) -> str | None:
    """The folder `sub` of our cache, made if need be (only for this user), or None where nothing can be written."""
    return _made(os.environ.get("XDG_CACHE_HOME", ""), "~/Library/Caches", "~/.cache", sub)


def state_folder() -> str | None:
    """The folder of what this user's machine remembers beyond a workspace, or None where nothing can be written."""
    return _made(os.environ.get("XDG_STATE_HOME", ""), "~/Library/Application Support", "~/.local/state", "")


def _made(named: str, on_macos: str, elsewhere: str, sub: str) -> str | None:
    """`named` (XDG) wins everywhere when it is an absolute path; then comes `%LOCALAPPDATA%` on Windows."""
    root = named if os.path.isabs(named) else ""
    if not root and os.name == "nt":
        root = os.environ.get("LOCALAPPDATA", "") or os.path.expanduser("~\\AppData\\Local")
    root = root or os.path.expanduser(on_macos if sys.platform == "darwin" else elsewhere)
    if not os.path.isabs(root):  # no home is known
        return None
    folder = os.path.join(root, "ai-video-tasks", sub) if sub else os.path.join(root, "ai-video-tasks")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return folder if os.access(folder, os.W_OK | os.X_OK) else None
    except (OSError, ValueError):
        return None
