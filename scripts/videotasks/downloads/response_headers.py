"""What the head of an HTTP answer tells of the file it brings: RFC 9110's representation metadata. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from email.utils import parsedate_tz

MAX_RETRY_AFTER_S = 60.0

# Sent back in a header, so nothing but what RFC 9110 lets a strong ETag hold.
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]{1,512}"')
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]{1,18}|\*)/([0-9]{1,18}|\*)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Facts:
    """What the server said of the whole object. `length` is in bytes, before any content coding."""

    etag: str | None = None
    last_modified: str | None = None
    length: int | None = None

    @property
    def validator(self) -> str | None:
        """What `If-Range` may carry: a strong ETag, else a date. Without either nothing is ever resumed."""
        return self.etag or self.last_modified

    def agrees(self, other: Facts) -> bool:
        """Whether a partial answer belongs to this object: nothing that both tell differs, and the ETag is repeated."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        differ = any(one is not None and two is not None and one != two for one, two in pairs)
        return not differ and (not self.etag or other.etag == self.etag)


def strong_etag(value: object) -> str | None:
    """The ETag when it is a strong one (RFC 9110 8.8.3): a weak one promises equal meaning, not equal bytes."""
    return value if isinstance(value, str) and _STRONG_ETAG.fullmatch(value) else None


def http_date(value: object) -> str | None:
    if not isinstance(value, str) or len(value) > 40 or not value.isascii() or not value.isprintable():
        return None
    return value if parsedate_tz(value) else None


def facts_of(headers: Mapping[str, str]) -> Facts:
    """What a complete answer tells of its object. A coded body has another length and is never resumed."""
    if is_coded(headers):
        return Facts()
    return Facts(strong_etag(headers.get("etag")), http_date(headers.get("last-modified")), _length(headers))


def is_coded(headers: Mapping[str, str]) -> bool:
    return headers.get("content-encoding", "").strip().lower() not in ("", "identity")


def end_is_marked(headers: Mapping[str, str]) -> bool:
    """Whether the HTTP library can tell a whole body from one that was cut: by its chunks or its length."""
    return "chunked" in headers.get("transfer-encoding", "").lower() or _length(headers) is not None


def content_range(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """(start of the part, length of the whole) in bytes; None for what the server left out or spelled wrong."""
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if found is None:
        return None, None
    return (int(found[1]) if found[1] else None), (int(found[2]) if found[2] != "*" else None)


def retry_after_s(headers: Mapping[str, str]) -> float:
    """The pause that the server asks for, in seconds, at most a minute; 0 when it asks for none."""
    value = headers.get("retry-after", "").strip()
    return min(float(value), MAX_RETRY_AFTER_S) if value.isascii() and value.isdigit() and len(value) < 10 else 0.0


def looks_like(head: bytes) -> str:
    """What a body is that is no media, in words."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"{", b"[")):
        return "JSON"
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return "markup" if text.startswith(b"<") else "data of no known type"


def _length(headers: Mapping[str, str]) -> int | None:
    value = headers.get("content-length", "")
    sane = value.isascii() and value.isdigit() and len(value) <= 18
    return int(value) if sane and "transfer-encoding" not in headers else None
