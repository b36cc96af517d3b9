"""Parsed shipped profiles, kept as JSON by the hash of their YAML: importing PyYAML is what costs (26 ms of 30 here).

A cache must not be able to move a key: an entry counts only when its origin and its key variables stand in the YAML
text itself, so that a planted cache folder cannot send a key elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from videotasks.core import user_cache

_FORMAT = "1"  # raise it when the YAML reader gives other values for the same text
_KEEP = 80


def recall(text: bytes) -> dict[str, Any] | None:
    """The parsed document of this YAML text, if it is kept and sound."""
    path = _path(text)
    try:
        document = json.loads(path.read_bytes()) if path else None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    source = text.decode("utf-8", "replace")
    return document if all(isinstance(one, str) and one in source for one in _guarded(document)) else None


def keep(text: bytes, document: dict[str, Any]) -> None:
    """Remember a document. JSON has no integer keys (`http: {403: ...}`), so that the reader takes both."""
    path = _path(text)
    if path is not None and user_cache.write(path, json.dumps(document, ensure_ascii=False).encode("utf-8")):
        user_cache.prune(path.parent, _KEEP)


def _path(text: bytes) -> Path | None:
    import hashlib

    folder = user_cache.cache_dir("profiles")
    return folder / f"{hashlib.sha256(_FORMAT.encode() + text).hexdigest()}.json" if folder else None


def _guarded(document: dict[str, Any]) -> Iterator[Any]:
    yield from (document[key] for key in ("name", "base_url", "base_url_env", "extends") if key in document)
    auth = document.get("auth", {})
    if not isinstance(auth, dict):
        yield None
        return
    for value in auth.values():
        if isinstance(value, dict):
            yield from (*value.keys(), *value.values())
        else:
            yield from value if isinstance(value, list) else [value]
