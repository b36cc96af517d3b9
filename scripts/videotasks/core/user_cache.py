"""Files of this user's cache: written in one step, the newest kept, and read back only when they are sound."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from videotasks.core.user_folders import cache_folder


def cache_dir(sub: str) -> Path | None:
    """The folder `sub` of the cache, see `cache_folder`."""
    folder = cache_folder(sub)
    return Path(folder) if folder else None


def write(path: Path, data: bytes) -> bool:
    """Put `data` at `path` in one step, so that a reader or a kill never meets half of it. False when it cannot be.

    No fsync: after a crash of the machine a cache is simply made again.
    """
    from videotasks.core.durable_files import write_atomic

    try:
        write_atomic(path, data, durable=False)
        return True
    except OSError:
        return False


def recall(sub: str, name: str) -> Any:
    """The JSON that is kept as `name` in the folder `sub` of the cache; None where there is none that can be read."""
    folder = cache_dir(sub)
    try:
        return json.loads((folder / name).read_bytes()) if folder else None
    except (OSError, ValueError, RecursionError):
        return None


def keep(sub: str, name: str, value: object, most: int) -> None:
    """Keep a value as JSON, and no more than the `most` newest files beside it."""
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
    name, folder = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest(), cache_dir(sub)
    if folder is not None and write(folder / f"{name}.body", body):
        keep(sub, f"{name}.json", {**told, "url": url, "sha256": hashlib.sha256(body).hexdigest()}, most)


def prune(folder: Path, keep: int) -> None:
    """Remove all but the `keep` newest files of a cache folder; errors are nobody's concern."""
    with contextlib.suppress(OSError):
        files = [entry for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
        files.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime, reverse=True)
        for entry in files[keep:]:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
