"""Local files as inputs: found, told by content, measured and hashed before anything is sent.

The only part of the inputs that reads the disk. A file is read again when it is sent, and refused if it changed since.
"""

from __future__ import annotations

import base64
import builtins
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videotasks.core.errors import configuration_error
from videotasks.core.record import record

ROLES = ("first_frame", "last_frame", "reference")
DEFAULT_MAX_BYTES = 30_000_000
_HEAD = 4096


@record(frozen=True)
class FileRef:
    """A local file in a request draft; it stands in the body where its content will go.

    `how`: data_uri | base64 (inside the JSON), upload (an object key after a presigned PUT), multipart (a form part).
    """

    path: str
    role: str
    sha256: str
    bytes: int
    mime: str
    how: str
    field: str
    extension: str = ""
    given: str = ""  # the path as the user typed it
    number: bool = False  # what an upload gave for it is a whole number in the body

    @property
    def name(self) -> str:
        """The file name that the provider sees: no part of the user's own naming leaves the machine."""
        return f"{self.role}-{self.sha256[:12]}{self.extension}"

    def identity(self) -> dict[str, str]:
        return {"role": self.role, "sha256": self.sha256}

    def read(self) -> builtins.bytes:
        """The content; TaskError when the file changed after it was checked."""
        try:
            data = Path(self.path).read_bytes()
        except OSError as error:
            raise configuration_error(f"cannot read {self.path}: {error.strerror}") from None
        if len(data) != self.bytes or hashlib.sha256(data).hexdigest() != self.sha256:
            raise configuration_error(f"{self.path} changed while the command was running", hint="run it again")
        return data

    def data_uri(self) -> str:
        return f"data:{self.mime};base64,{self.base64()}"

    def base64(self) -> str:
        return base64.b64encode(self.read()).decode("ascii")


def load_file(value: str, *, kind: str, role: str, field: str, spec: Mapping[str, Any], provider: str) -> FileRef:
    """Check a local file against the profile's `file` knob ({how, types, max_bytes}) and hash it.

    Raises TaskError(CONFIGURATION): missing, empty, a folder, of another type than it must be, too large.
    """
    path = Path(os.path.expanduser(value))
    flag = f"--{kind}"
    limit = int(spec.get("max_bytes") or DEFAULT_MAX_BYTES)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise configuration_error(f"{flag} {value}: not a file", expected=f"a file of type {kind}, or a URL")
        if size == 0:
            raise configuration_error(f"{flag} {value}: the file is empty", expected=f"a file of type {kind}")
        if size > limit:
            raise configuration_error(
                f"{flag} {value}: {_size(size)}; {provider} takes at most {_size(limit)}",
                expected=f"a file of at most {_size(limit)}",
            )
        digest, head, length = hashlib.sha256(), b"", 0
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                head = head or block[:_HEAD]
                digest.update(block)
                length += len(block)
    except OSError as error:
        raise configuration_error(
            f"{flag} {value}: {(error.strerror or 'cannot be read').lower()}", expected="an existing file, or a URL"
        ) from None
    mime, extension = _type(head, value, kind, spec, provider)
    return FileRef(
        path=os.path.abspath(path),
        role=role,
        sha256=digest.hexdigest(),
        bytes=length,
        mime=mime,
        how=str(spec["how"]),
        field=field,
        extension=extension,
        given=value,
        number=spec.get("type") == "integer",
    )


def _type(head: bytes, value: str, kind: str, spec: Mapping[str, Any], provider: str) -> tuple[str, str]:
    from videotasks.formats import media_type

    found = media_type.sniff(head)
    allowed = [str(mime) for mime in spec.get("types") or ()]
    if found is None or found.kind != kind or (allowed and found.mime not in allowed):
        what = found.mime if found else "of no type that is known here (told by its content, not by its name)"
        raise configuration_error(
            f"--{kind} {value}: the file is {what}",
            expected=f"{provider} takes " + (", ".join(allowed) or f"{kind} files"),
        )
    return found.mime, found.extension if re.match(r"\.[a-z0-9]+\Z", found.extension) else ""


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count} bytes"


def parse_media(text: str) -> tuple[str | None, str]:
    """`first_frame=PATH` -> (role, value). Only the known roles are one, so that `a=b.png` stays a file name.

    Raises TaskError for what is nearly a role and no file that is there.
    """
    role, sign, value = text.partition("=")
    if sign and role in ROLES:
        return role, value
    if sign and not os.path.exists(text):
        import difflib

        near = difflib.get_close_matches(role.strip().lower().replace("-", "_"), ROLES, n=1, cutoff=0.6)
        if near:
            raise configuration_error(
                f"{role[:40]!r} is no role of an image, video or audio: did you mean {near[0]}={value[:200]}?",
                expected=" | ".join(f"{name}=FILE" for name in ROLES),
            )
    return None, text


TAKEN = ("last_frame", "video", "image")  # what an input may be of another run


def named_run(value: str, kind: str) -> tuple[str, str] | None:
    """`@RUN` or `@RUN.last_frame` as (run id, what); None for a file or a link. A video is taken whole."""
    if not value.startswith("@") or len(value) < 2:
        return None
    head, _, what = value[1:].rpartition(".")
    if head and what in TAKEN:
        return head, what
    return value[1:], "video" if kind == "video" else "last_frame"
