"""Where this user's own things are kept: a cache of what can be made again, and a state of what cannot.

Never the skill's own folder: it is wiped by updates and often not writable.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing's own costs 4 ms of every start, contextlib and pathlib 15: for --help strings will do
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

APPLICATION = "ai-video-tasks"


def cache_dir(sub: str) -> Path | None:
    """The folder `sub` of our cache, made if need be (only for this user), or None where nothing can be written.

    `$XDG_CACHE_HOME` wins everywhere when it is an absolute path; then `%LOCALAPPDATA%` on Windows,
    `~/Library/Caches` on macOS and `~/.cache` elsewhere.
    """
    from pathlib import Path

    folder = cache_folder(sub)
    return Path(folder) if folder else None


def cache_folder(sub: str) -> str | None:
    """`cache_dir` as a string."""
    return _made(_cache_root(), sub)


def state_dir() -> Path | None:
    """The folder of what this user's machine remembers beyond a workspace, or None where nothing can be written.

    `$XDG_STATE_HOME` wins everywhere when it is an absolute path; then `%LOCALAPPDATA%` on Windows,
    `~/Library/Application Support` on macOS and `~/.local/state` elsewhere.
    """
    from pathlib import Path

    folder = _made(_state_root(), "")
    return Path(folder) if folder else None


def _made(root: str, sub: str) -> str | None:
    if not os.path.isabs(root):  # no home is known
        return None
    folder = os.path.join(root, APPLICATION, sub) if sub else os.path.join(root, APPLICATION)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return folder if os.access(folder, os.W_OK | os.X_OK) else None
    except (OSError, ValueError):
        return None


def _state_root() -> str:
    named = os.environ.get("XDG_STATE_HOME", "")
    if named and os.path.isabs(named):
        return named
    if os.name == "nt":
        return _cache_root()
    if sys.platform == "darwin":
        return _in_home("Library", "Application Support")
    return _in_home(".local", "state")


def _cache_root() -> str:
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named and os.path.isabs(named):
        return named
    if os.name == "nt":
        return os.environ.get("LOCALAPPDATA", "") or _in_home("AppData", "Local")
    if sys.platform == "darwin":
        return _in_home("Library", "Caches")
    return _in_home(".cache")


def _in_home(*parts: str) -> str:
    return os.path.join(os.path.expanduser("~"), *parts)


def write(path: Path, data: bytes) -> bool:
    """Put `data` at `path` in one step, so that a reader or a kill never meets half of it. False when it cannot be.

    No fsync: after a crash of the machine a cache is simply made again.
    """
    import contextlib
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


def recall(sub: str, name: str) -> Any:
    """The JSON that is kept as `name` in the folder `sub` of the cache; None where there is none that can be read."""
    import json

    folder = cache_dir(sub)
    try:
        return json.loads((folder / name).read_bytes()) if folder else None
    except (OSError, ValueError, RecursionError):
        return None


def keep(sub: str, name: str, value: object, most: int) -> None:
    """Keep a value as JSON, and no more than the `most` newest files beside it."""
    import json

    folder = cache_dir(sub)
    try:
        # Surrogates cannot be encoded; ASCII escapes can hold anything that JSON can.
        data = json.dumps(value, separators=(",", ":"), check_circular=False).encode("ascii")
    except (ValueError, RecursionError):
        return
    if folder is not None and write(folder / name, data):
        prune(folder, most)


def recall_page(sub: str, url: str) -> dict[str, Any] | None:
    """What `keep_page` was told of the document at `url`, with its bytes as `body`; None unless all of it fits."""
    import hashlib

    name, folder = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest(), cache_dir(sub)
    told = recall(sub, f"{name}.json")
    try:
        body = (folder / f"{name}.body").read_bytes() if folder else b""
    except OSError:
        return None
    sound = isinstance(told, dict) and told.get("url") == url
    return {**told, "body": body} if sound and told.get("sha256") == hashlib.sha256(body).hexdigest() else None


def keep_page(sub: str, url: str, body: bytes, told: dict[str, Any], most: int) -> None:
    """Keep a document of the web with what its server told of it."""
    import hashlib

    name, folder = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest(), cache_dir(sub)
    if folder is not None and write(folder / f"{name}.body", body):
        keep(sub, f"{name}.json", {**told, "url": url, "sha256": hashlib.sha256(body).hexdigest()}, most)


def prune(folder: Path, keep: int) -> None:
    """Remove all but the `keep` newest files of a cache folder; errors are nobody's concern."""
    import contextlib

    with contextlib.suppress(OSError):
        files = [entry for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
        files.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime, reverse=True)
        for entry in files[keep:]:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
