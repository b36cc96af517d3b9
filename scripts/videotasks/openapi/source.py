"""The bytes of a specification: from a file, or from an https URL without any key."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from videotasks.core import user_cache
from videotasks.openapi.errors import SpecError

# The largest public video specification is 3 MB, the largest we met of any kind 13 MB.
MAX_BYTES = 20 * 1024 * 1024
MAX_REDIRECTS = 5
CONNECT_TIMEOUT, READ_TIMEOUT, TOTAL_TIMEOUT = 10.0, 30.0, 90.0  # seconds
KEPT_FILES = 40
_NAMES = ("openapi.json", "openapi.yaml", "openapi.yml", "swagger.json", "swagger.yaml", "swagger.yml")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


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


def read_file(path: str, shown: str = "", limit: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file of at most `limit` bytes; SpecError otherwise."""
    shown = shown or path
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise SpecError(f"{shown} is not a regular file", expected="a JSON or YAML file")
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise SpecError(f"File not found: {shown}", expected="the path of an OpenAPI file, or its https URL") from None
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
    _check_url(url)
    folder = user_cache.cache_dir("specs")
    entry = _remembered(folder, url)
    try:
        data, headers = _download(url, entry)
    except _NotReached as exc:
        if entry is None:
            raise SpecError(
                f"Cannot fetch {url}: {exc}",
                expected="an https URL that answers with a specification",
                next_step="download it and pass the file; an assistant may need permission to use the network",
            ) from None
        return Source(entry["data"], url, None, (f"{url} was not reached ({exc}); the cached copy is used",))
    if data is None and entry is not None:
        return Source(entry["data"], url, None)
    data = data or b""
    if folder is not None:
        digest = hashlib.sha256(data).hexdigest()
        if user_cache.write(folder / f"{digest}.body", data):
            record = {"url": url, "sha256": digest, **headers}
            user_cache.write(folder / f"{_url_key(url)}.url", json.dumps(record).encode("utf-8"))
        user_cache.prune(folder, KEPT_FILES)
    return Source(data, url, None)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise SpecError(f"Not a URL: {url[:200]}", expected="https://host/path/openapi.json") from None
    if not host:
        raise SpecError(f"No host in {url[:200]}", expected="https://host/path/openapi.json")
    if parts.username is not None or parts.password is not None:
        raise SpecError("The URL carries a user name or password", expected="a public https URL without credentials")
    if parts.scheme.lower() != "https" and host not in _LOOPBACK:
        raise SpecError(f"Not fetched over plain http: {url[:200]}", expected="an https URL, or a downloaded file")


class _NotReached(Exception):
    """No usable answer came; a cached copy may stand in."""


def _download(url: str, entry: dict[str, Any] | None) -> tuple[bytes | None, dict[str, str]]:
    """Body (None when unchanged since `entry`) and validators. Redirects stay on the host and on https."""
    import requests

    deadline = time.monotonic() + TOTAL_TIMEOUT
    headers = {"Accept": "application/json, application/yaml, text/yaml, */*;q=0.5"}
    for name, field in (("If-None-Match", "etag"), ("If-Modified-Since", "modified")):
        if entry is not None and entry.get(field):
            headers[name] = entry[field]
    with requests.Session() as session:
        # A callable keeps ~/.netrc out: requests would otherwise send the login that it finds there for the host.
        session.auth = lambda request: request
        target = url
        for _ in range(MAX_REDIRECTS + 1):
            try:
                with session.get(
                    target,
                    headers=headers,
                    stream=True,
                    allow_redirects=False,
                    timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                ) as answer:
                    if answer.status_code == 304 and entry is not None:
                        return None, {}
                    location = answer.headers.get("Location")
                    if answer.status_code in (301, 302, 303, 307, 308) and location:
                        target = _redirected(target, location)
                        continue
                    if answer.status_code != 200:
                        raise _NotReached(f"HTTP {answer.status_code}")
                    body = _body(answer, deadline, url)
                    kept = {"etag": answer.headers.get("ETag", ""), "modified": answer.headers.get("Last-Modified", "")}
                    return body, kept
            except (requests.RequestException, OSError, ValueError) as exc:
                raise _NotReached(type(exc).__name__) from None
    raise _NotReached(f"more than {MAX_REDIRECTS} redirects")


def _redirected(source: str, location: str) -> str:
    target = urljoin(source, location)
    try:
        old, new = urlsplit(source), urlsplit(target)
        same = (old.hostname, old.port) == (new.hostname, new.port) and new.scheme == old.scheme
    except ValueError:
        same = False
    if not same:
        raise SpecError(
            f"{source} redirects to another host: {target[:200]}",
            expected="a URL that answers itself",
            next_step=f"if you trust it, pass that URL: --openapi {target[:200]}",
        )
    _check_url(target)
    return target


def _body(answer: Any, deadline: float, url: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in answer.iter_content(65536):
        size += len(part)
        if size > MAX_BYTES:
            raise SpecError(f"{url} is larger than {MAX_BYTES // 1024 // 1024} MB", expected="one API's specification")
        if time.monotonic() > deadline:
            raise _NotReached(f"not complete after {TOTAL_TIMEOUT:.0f} s")
        parts.append(part)
    return b"".join(parts)


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
