"""Where this skill is installed, and which version it is. The one place that counts folders."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # typing's own costs 4 ms of every start, pathlib 8: for --help a string will do
if TYPE_CHECKING:
    from pathlib import Path


def scripts_folder() -> str:
    """The folder of the entry scripts, as this library was loaded (symbolic links not followed)."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def skill_folder() -> Path:
    """The folder that holds SKILL.md, as this library was loaded (symbolic links not followed)."""
    from pathlib import Path

    return Path(scripts_folder()).parent


def skill_version() -> str:
    """The version that SKILL.md states in its first lines; `unknown` where it cannot be read."""
    import re

    try:
        head = (skill_folder() / "SKILL.md").read_bytes()[:4000].decode("utf-8", "replace")
    except OSError:
        return "unknown"
    found = re.search(r'^ +version: *"?([0-9][\w.+-]{0,40})', head, re.MULTILINE)
    return found.group(1) if found else "unknown"
