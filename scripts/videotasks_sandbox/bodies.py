"""The bodies of requests: JSON and forms read into one shape, and summarised for the log."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

from videotasks_sandbox.expressions import Scope, fill
from videotasks_sandbox.imagesize import image_size
from videotasks_sandbox.multipart import Part, parse


class BadBody(ValueError):
    """The body is not what it claims to be; the text says why, `field` where."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


def read_json(data: bytes, *, array: bool) -> Any:
    """A JSON object, or with `array` a JSON array. Raises BadBody."""
    try:
        body = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BadBody("the request body is not valid JSON") from None
    if not isinstance(body, list if array else dict):
        raise BadBody(f"the request body must be a JSON {'array' if array else 'object'}")
    return body


def read_parts(data: bytes, content_type: str) -> list[Part]:
    """The parts of a multipart body. Raises BadBody."""
    try:
        return parse(data, content_type)
    except ValueError as problem:
        raise BadBody(str(problem)) from None


def form_fields(parts: list[Part], form: dict[str, Any]) -> dict[str, Any]:
    """The parts as members of an object, read as the dialect says: `numbers`, `lists`, `json`, and `file`, a template.

    Raises BadBody.
    """
    body: dict[str, Any] = {}
    for part in parts:
        value: Any = part.text
        if part.filename is not None:
            values = {"file_name": part.filename, "file_bytes": len(part.data)}
            value = fill(form.get("file", {"file": "$file_name", "bytes": "$file_bytes"}), Scope(values, {}, {}))
        elif part.name in form.get("numbers", ()) and part.text.lstrip("-").isdigit():
            value = int(part.text)
        elif part.name in form.get("json", ()):
            try:
                value = json.loads(part.text)
            except ValueError:
                raise BadBody(f"{part.name} is not valid JSON", part.name) from None
        if part.name in form.get("lists", ()):
            body.setdefault(part.name, []).append(value)
        else:
            _put(body, part.name, value)
    return body


def _put(body: dict[str, Any], name: str, value: Any) -> None:
    """A form field; `a[b]` is a member of an object, as the clients of some vendors write it."""
    found = re.fullmatch(r"(\w+)\[(\w+)\]", name)
    if found and isinstance(body.setdefault(found[1], {}), dict):
        body[found[1]][found[2]] = value
    else:
        body[name] = value


def _no_constant(name: str) -> None:
    """NaN and Infinity are Python's own additions to JSON."""
    raise ValueError(name)


def without_nulls(value: Any) -> Any:
    """Members that are null count as not given: vendors' own clients send what they were not told so."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def summarise(value: Any) -> Any:
    """A JSON value for the log: inline data and long texts are cut, with their length and hash."""
    if isinstance(value, dict):
        return {key: summarise(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [summarise(inner) for inner in value]
    if isinstance(value, str) and len(value) > 2000:
        digest = hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()
        return f"{value[:60]}... ({len(value)} characters, sha256 {digest})"
    return value


def summarise_part(part: Part) -> dict[str, Any]:
    if part.filename is None:
        return {"name": part.name, "value": summarise(part.text)}
    digest = hashlib.sha256(part.data).hexdigest()
    file = {"filename": part.filename, "content_type": part.content_type, "bytes": len(part.data), "sha256": digest}
    return {"name": part.name, **file}


def data_uri(text: Any) -> dict[str, Any] | None:
    """{mime, bytes, width, height, shape} of a `data:` link with base64; null for a broken one. Sizes may be null."""
    found = re.match(r"data:([\w.+-]+/[\w.+-]+);base64,", text) if isinstance(text, str) else None
    if not found:
        return None
    try:
        raw = base64.b64decode(text[found.end() :], validate=True)
    except ValueError:
        return None
    width, height = image_size(raw) or (None, None)
    shape = width / height if width and height else None
    return {"mime": found[1], "bytes": len(raw), "width": width, "height": height, "shape": shape}
