"""The bytes of a specification: from a file, or from an https URL without any key."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from typing import Any, NamedTuple

from videotasks.core import user_cache
from videotasks.openapi.errors import SpecError

# The largest public video specification is 3 MB, the largest we met of any kind 13 MB.
MAX_BYTES = 20 * 1024 * 1024
KEPT_FILES = 40
_NAMES = ("openapi.json", "openapi.yaml", "openapi.yml", "swagger.json", "swagger.yaml", "swagger.yml")


class Source(NamedTuple):
    """`origin` is an absolute path or the URL; `folder` is None for a URL, so that it has no neighbours to refer to."""

    data: bytes
    origin: str
    folder: str | None
    warnings: tuple[str, ...] = ()


def is_url(spec: str) -> bool:
    return spec[:8].lower().startswith(("http://", "https://"))


def read(spec: str) -> Source:
    """Read the file or URL. Raises SpecError when it is missing, too large or not to be fetched."""
    if is_url(spec):
        return _fetch(spec)
    if "://" in spec[:20] and not os.path.exists(spec):
        raise SpecError(f"Cannot read {spec[:200]}", expected="a file, or a URL that starts with https://")
    path = os.path.abspath(os.path.expanduser(spec))
    if os.path.isdir(path):
        found = [name for name in _NAMES if os.path.isfile(os.path.join(path, name))]
        if not found:
            raise SpecError(f"{spec} is a folder", expected=f"a file in it, such as {_NAMES[0]}")
        path = os.path.join(path, found[0])
    return Source(read_file(path, spec), path, os.path.dirname(path))


def read_file(path: str, shown: str = "", limit: int = MAX_BYTES, *, payload: bool = False) -> bytes:
    """The bytes of a regular file of at most `limit` bytes; SpecError otherwise. `payload`: it is no specification."""
    shown = shown or path
    what, wanted = ("File", "the path of an OpenAPI file, or its https URL")
    if payload:
        what, wanted = "Payload file", "the path of a JSON file, - for standard input, or the JSON text itself"
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise SpecError(f"{shown} is not a regular file", expected="a JSON or YAML file")
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise SpecError(f"{what} not found: {shown}", expected=wanted) from None
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise SpecError(f"Cannot read {shown}: {reason}", expected="a readable JSON or YAML file") from None
    if len(data) > limit:
        raise SpecError(f"{shown} is larger than {limit // 1024 // 1024} MB", expected="one API's specification")
    return data


def inside(folder: str, name: str) -> str | None:
    """The real path of `name` below `folder` (itself a real path), symbolic links followed; None when it leads out."""
    try:
        path = os.path.realpath(os.path.join(folder, *name.split("/")))
        return path if os.path.commonpath([path, folder]) == folder else None
    except ValueError:  # a NUL, or another drive
        return None


def _open_without_waiting(path: str, flags: int) -> int:
    """Opening a named pipe for reading would wait for a writer forever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _fetch(url: str) -> Source:
    """The body of the URL; unchanged ones come from the cache, where bodies are filed by their hash."""
    from videotasks.network import public_fetch
    from videotasks.network.errors import NoAnswer

    folder = user_cache.cache_dir("specs")
    entry = _remembered(folder, url)
    headers = {"Accept": "application/json, application/yaml, text/yaml, */*;q=0.5"}
    for name, field in (("If-None-Match", "etag"), ("If-Modified-Since", "modified")):
        if entry is not None and entry.get(field):
            headers[name] = entry[field]
    try:
        answer = public_fetch.fetch(url, headers=headers, max_bytes=MAX_BYTES)
    except public_fetch.NotFetched as exc:
        step = f"if you trust it, pass that URL: --openapi {exc.leads_to[:200]}" if exc.leads_to else None
        raise SpecError(exc.message, expected=exc.expected, next_step=step) from None
    except NoAnswer as exc:
        return _not_reached(url, entry, exc.message)
    if answer.status == 304 and entry is not None:
        return Source(entry["data"], url, None)
    if answer.status != 200:
        return _not_reached(url, entry, _told(answer.status), answer.status)
    if answer.truncated:
        raise SpecError(f"{url} is larger than {MAX_BYTES // 1024 // 1024} MB", expected="one API's specification")
    if folder is not None:
        digest = hashlib.sha256(answer.body).hexdigest()
        if user_cache.write(folder / f"{digest}.body", answer.body):
            kept = {"etag": answer.headers.get("etag", ""), "modified": answer.headers.get("last-modified", "")}
            record = {"url": url, "sha256": digest, **kept}
            user_cache.write(folder / f"{_url_key(url)}.url", json.dumps(record).encode("utf-8"))
        user_cache.prune(folder, KEPT_FILES)
    return Source(answer.body, url, None)


def _told(status: int) -> str:
    """An HTTP status in words."""
    words = {
        401: "it asks for a login",
        403: "it is not public",
        404: "there is nothing at this address",
        410: "it was taken away",
        429: "it asks to slow down",
    }
    text = words.get(status) or ("the server has a fault" if status >= 500 else "no document")
    return f"HTTP {status}: {text}"


def _not_reached(url: str, entry: dict[str, Any] | None, why: str, status: int | None = None) -> Source:
    """The cached copy with a warning; SpecError when there is none."""
    if entry is not None:
        return Source(entry["data"], url, None, (f"{url} was not reached ({why}); the cached copy is used",))
    step = "download it and pass the file; an assistant may need permission to use the network"
    if status in (404, 410):
        step = "look for the address of openapi.json, openapi.yaml or swagger.json in the documentation"
    elif status in (401, 403):
        step = "download it in a browser and pass the file"
    raise SpecError(
        f"Cannot fetch {url}: {why}", expected="an https URL that answers with a specification", next_step=step
    )


def _url_key(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def _remembered(folder: Any, url: str) -> dict[str, Any] | None:
    """What the cache knows of this URL, with its body under `data`; None when any of it is missing or does not fit."""
    if folder is None:
        return None
    try:
        record = json.loads((folder / f"{_url_key(url)}.url").read_bytes())
        data = (folder / f"{record['sha256']}.body").read_bytes()
        if record["url"] != url or hashlib.sha256(data).hexdigest() != record["sha256"]:
            return None
        record["data"] = data
        return record
    except (OSError, ValueError, KeyError, TypeError):
        return None
