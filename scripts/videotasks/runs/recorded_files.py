"""Whether a file that a journal records is still the file that was fetched: by its hash, never by its name.

The hash is taken again only where size, time of change and inode are not those that were noted with it: after a copy of
the folder, a restore, or a change by somebody else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from videotasks.core import durable_files


def intact(folder: Path, entry: Mapping[str, Any]) -> bool:
    """Whether the recorded file of a run folder is on disk with the recorded bytes. Never raises."""
    path, size, sha256 = entry.get("path"), entry.get("bytes"), entry.get("sha256")
    if not isinstance(path, str) or not isinstance(sha256, str):
        return False
    place = folder / path
    try:
        found = os.lstat(place)
        if not stat.S_ISREG(found.st_mode) or place.parent.is_symlink() or found.st_size != size or not size:
            return False
        if (found.st_mtime_ns, found.st_ino) == (entry.get("mtime_ns"), entry.get("inode")):
            return True
        return sha256_of(str(place), found.st_size, found.st_mtime_ns, found.st_ino) == sha256
    except OSError:
        return False


def noted(folder: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of a file whose bytes were verified just now, with what tells later that nobody touched it."""
    try:
        found = os.lstat(folder / str(entry["path"]))
    except OSError:
        return dict(entry)
    return {**entry, "mtime_ns": found.st_mtime_ns, "inode": found.st_ino}


@lru_cache(maxsize=256)
def sha256_of(path: str, size: int, mtime_ns: int, inode: int) -> str:
    """Once for each state of a file in this process."""
    return durable_files.sha256_of(path)
