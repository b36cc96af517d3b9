"""What a result path of an answer holds: a link, a file written into the answer, or an address in somebody's bucket.

Pure; never raises. A value counts by what it is, not by what its member is called: APIs write links with blanks around
them, relative to their own origin, or not at all and send the file itself (as a `data:` link or as plain base64).
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

from videotasks.formats import scalars
from videotasks.formats.media_type import sniff

MIN_EMBEDDED = 200  # characters of base64: no media file is smaller, and most ids and hashes are
_DATA = re.compile(r"data:([^,]{0,200}),", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64}")
# Object stores by their own schemes: nobody but the owner of the bucket can fetch from there.
_BUCKET = re.compile(r"(?:gs|s3|oss|cos|tos|az|azblob|wasbs?|abfss?|r2|b2)://[^\s\"'<>\\]{1,2000}", re.IGNORECASE)
# One run of characters, slashes among them: with a group for each segment, base64 with its slashes took for ever.
_FILE = re.compile(r"[^\s/?#:\\][^\s?#:\\]*\.(?:mp4|mov|webm|mkv|gif|webp|png|jpe?g|mp3|wav|m4a)(?:\?\S*)?")


def link(value: Any, base_url: str) -> str | None:
    """The value as an absolute http(s) link; one without a scheme is meant on the origin of `base_url`."""
    if not isinstance(value, str) or not 0 < len(value) <= scalars.MAX_URL:
        return None
    text = value.strip().replace(" ", "%20")
    if text.startswith("/") or _FILE.fullmatch(text):
        try:
            text = urljoin(base_url.rstrip("/") + "/", text)
        except ValueError:
            return None
    found = scalars.http_url(text)
    return None if found is None or "%" in urlsplit(found).netloc else found


def bucket_address(value: Any) -> str | None:
    """The value when it is an address such as gs://bucket/file."""
    if not isinstance(value, str) or len(value) > scalars.MAX_URL:
        return None
    text = value.strip()
    return text if _BUCKET.fullmatch(text) and text.isprintable() else None


def embedded(value: Any) -> bytes | None:
    """The file inside the value: a `data:` link, or base64 whose first bytes are those of a video, image or sound."""
    if not isinstance(value, str) or len(value) < MIN_EMBEDDED:
        return None
    text = value.strip() if value[:1].isspace() or value[-1:].isspace() else value
    told = _DATA.match(text)
    if told is not None and "base64" not in told[1].lower():
        data = unquote_to_bytes(quote(text[told.end() :], safe="%"))
        return data if sniff(data[:512]) is not None else None
    start = told.end() if told is not None else 0
    head = text[start : start + 64]
    if not _BASE64.fullmatch(head) or sniff(base64.b64decode(_standard(head))) is None:
        return None
    body = _standard(text[start:])
    if any(char in body[:10_000] for char in "\r\n \t"):
        body = "".join(body.split())
    body = body.rstrip("=")
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _standard(text: str) -> str:
    return text.replace("-", "+").replace("_", "/")
