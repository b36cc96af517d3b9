"""The bytes of a specification, from a file or from an https URL without any key; and how its reading fails."""

from __future__ import annotations

import errno
import os
from typing import Any, NamedTuple

from videotasks.core import durable_files, user_cache
from videotasks.core.errors import Category, TaskError

# The largest public video specification is 3 MB, the largest we met of any kind 13 MB.
MAX_BYTES = 20 * 1024 * 1024
KEPT_FILES = 40
_NAMES = ("openapi.json", "openapi.yaml", "openapi.yml", "swagger.json", "swagger.yaml", "swagger.yml")


class SpecError(TaskError):
    """Bad input, said once: what is wrong (the message), what was expected, and what to do next. Exit code 1."""

    def __init__(
        self,
        message: str,
        *,
        expected: str | None = None,
        next_step: str | None = None,
        category: str = "configuration",
        detail: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            Category(category), message, expected=expected, hint=next_step or None, exit_code=1, details=detail
        )


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


def read_file(path: str, shown: str, limit: int = MAX_BYTES, *, payload: bool = False) -> bytes:
    """The bytes of a regular file of at most `limit` bytes; SpecError otherwise. `payload`: it is no specification."""
    what, wanted = ("File", "the path of an OpenAPI file, or its https URL")
    if payload:
        what, wanted = "Payload file", "the path of a JSON file, - for standard input, or the JSON text itself"
    try:
        return durable_files.read_file(path, limit, follow=True)
    except FileNotFoundError:
        raise SpecError(f"{what} not found: {shown}", expected=wanted) from None
    except (OSError, ValueError) as exc:
        if isinstance(exc, OSError) and exc.errno == errno.EFBIG:
            said = f"{shown} is larger than {limit // 1024 // 1024} MB"
            raise SpecError(said, expected="one API's specification") from None
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise SpecError(f"Cannot read {shown}: {reason}", expected="a readable JSON or YAML file") from None


def inside(folder: str, name: str) -> str | None:
    """The real path of `name` below `folder` (itself a real path), symbolic links followed; None when it leads out."""
    try:
        path = os.path.realpath(os.path.join(folder, *name.split("/")))
        return path if os.path.commonpath([path, folder]) == folder else None
    except ValueError:  # a NUL, or another drive
        return None


def _fetch(url: str) -> Source:
    """The body of the URL; unchanged ones come from the cache."""
    from videotasks.network import public_fetch
    from videotasks.network.errors import NoAnswer

    entry = user_cache.recall_page("specs", url)
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
        return Source(entry["body"], url, None)
    if answer.status != 200:
        return _not_reached(url, entry, _told(answer.status), answer.status)
    if answer.truncated:
        raise SpecError(f"{url} is larger than {MAX_BYTES // 1024 // 1024} MB", expected="one API's specification")
    told = {"etag": answer.headers.get("etag", ""), "modified": answer.headers.get("last-modified", "")}
    user_cache.keep_page("specs", url, answer.body, told, KEPT_FILES)
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
        return Source(entry["body"], url, None, (f"{url} was not reached ({why}); the cached copy is used",))
    step = "download it and pass the file; an assistant may need permission to use the network"
    if status in (404, 410):
        step = "look for the address of openapi.json, openapi.yaml or swagger.json in the documentation"
    elif status in (401, 403):
        step = "download it in a browser and pass the file"
    raise SpecError(
        f"Cannot fetch {url}: {why}", expected="an https URL that answers with a specification", next_step=step
    )
