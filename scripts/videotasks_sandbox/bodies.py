"""The bodies of requests: JSON and forms read into one shape, images measured, all summarised for the log."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from dataclasses import dataclass
from email import message_from_bytes
from typing import Any

from videotasks_sandbox.expressions import Scope, fill


@dataclass(frozen=True)
class Part:
    """One part. `filename` is None for a plain field."""

    name: str
    filename: str | None
    content_type: str
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


@dataclass(eq=False)
class BadBody(ValueError):
    """The body is not what it claims to be; `message` says why, `field` where."""

    message: str
    field: str | None = None


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
    """The parts of a multipart/form-data body (RFC 7578), in order. Raises BadBody."""
    message: Any = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode("latin-1") + data)
    if message.defects or not message.is_multipart():
        raise BadBody("the multipart body is not what its boundary divides and ends")
    parts = []
    for part in message.get_payload():
        for header, value in part.raw_items():  # clients write names in UTF-8; the email package takes them for ASCII
            part.replace_header(header, value.encode("ascii", "surrogateescape").decode("utf-8", "replace"))
        name = part.get_param("name", header="content-disposition")
        if not isinstance(name, str):
            raise BadBody("multipart part without a name")
        parts.append(Part(name, part.get_filename(), part.get("content-type", ""), part.get_payload(decode=True)))
    return parts


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


def image_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a PNG, GIF or JPEG; None for other formats and for broken files."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return width, height
    return _jpeg_size(data) if data.startswith(b"\xff\xd8") else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        # SOF0..SOF15, without the three markers among them that mean something else (DHT, JPG, DAC).
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 1 if marker == 0xFF else 2 + length
    return None
