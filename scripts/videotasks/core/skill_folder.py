"""Where this skill is installed. The one place that counts folders."""

from __future__ import annotations

import os
from pathlib import Path


def scripts_folder() -> str:
    """The folder of the entry scripts, as this library was loaded (symbolic links not followed)."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def skill_folder() -> Path:
    """The folder that holds SKILL.md, as this library was loaded (symbolic links not followed)."""
    return Path(scripts_folder()).parent
