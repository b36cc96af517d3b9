"""A request before it is sent, and what it can be turned into: an identity, a body, a form, a summary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from videotasks.core.errors import configuration_error
from videotasks.core.json_values import leaves, mapped
from videotasks.core.record import field, record
from videotasks.providers.known_model import NOTHING, Known
from videotasks.request.local_files import FileRef


@record
class RequestDraft:
    """A create request in full. In `body` a local file stands as a FileRef; `materialise` fills it."""

    method: str
    path: str
    stream_path: str | None
    encoding: str  # json | multipart
    body: dict[str, Any]
    files: tuple[FileRef, ...] = ()
    model: str | None = None
    warnings: tuple[str, ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)  # what the user typed, for the intent of a run's identity
    known: Known = field(default_factory=Known)  # who says which members the model has
    assumed: tuple[Mapping[str, str], ...] = ()  # names that nobody documents for this model: {input, member, because}
    checked_against: str = NOTHING  # specification | catalogue | convention | nothing
    wrap: Any = None  # the whole body as a template with {body}
    given: Mapping[str, Any] = field(default_factory=dict)  # the options as typed, to be asked for again
    links: Mapping[str, str] = field(default_factory=dict)  # what was taken of another run -> what an identity holds

    @property
    def has_fresh(self) -> bool:
        """Whether a value of the body is new for each run."""
        return any(isinstance(leaf, Fresh) for leaf in leaves(self.body))


class Fresh:
    """Stands in a body where a value goes that is made for each run, and that no identity counts."""


def with_fresh(value: Any) -> Any:
    """A profile's fixed members, with `{uuid}` marked; what a user writes is never looked at."""
    return mapped(value, lambda leaf: Fresh() if leaf == "{uuid}" else leaf)


def canonical_body(draft: RequestDraft) -> bytes:
    """The body for an identity: sorted JSON, each local file replaced by its content hash and role, what is of another
    run by that run's name."""

    def named(value: Any) -> Any:
        if isinstance(value, FileRef) and value.given in draft.links:
            return {"role": value.role, "of": draft.links[value.given]}
        return draft.links.get(value, value) if isinstance(value, str) else value

    try:
        body = mapped(draft.body, named) if draft.links else draft.body
        text = json.dumps(
            body, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_identity, allow_nan=False
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise configuration_error(f"the request is no JSON: {error}", expected="finite numbers, text keys") from None
    return text.encode("ascii")


def materialise(draft: RequestDraft, uploads: Mapping[str, str] | None = None, fresh: str = "") -> Any:
    """The body as sent: data URIs, upload keys (by the file's sha256) and the `fresh` value in, form files out."""
    return _wrapped(draft.wrap, _filled(draft.body, uploads or {}, fresh))


def _wrapped(template: Any, body: Any) -> Any:
    return mapped(template, lambda leaf: body if leaf in (None, "{body}") else leaf)


@record(frozen=True)
class FormPart:
    """One part of a multipart body: a text or a file."""

    field: str
    text: str | None = None
    file: FileRef | None = None


def form_parts(draft: RequestDraft, uploads: Mapping[str, str] | None = None, fresh: str = "") -> list[FormPart]:
    """The parts of a multipart body: lists repeat their field, objects are JSON texts (contracts B.2, C.2)."""
    parts: list[FormPart] = []
    for name, value in draft.body.items():
        for item in value if isinstance(value, list) else [value]:
            if _is_form_file(item):
                parts.append(FormPart(name, file=item))
            elif (filled := _filled(item, uploads or {}, fresh)) is not None:
                text = filled if isinstance(filled, str) else json.dumps(filled, ensure_ascii=False)
                parts.append(FormPart(name, text=text))
    return parts


def summary(draft: RequestDraft) -> Any:
    """The body for people and dry runs: a local file by name, type, size and hash instead of its content."""

    def shown(value: Any) -> Any:
        if isinstance(value, FileRef):
            told = {"file": value.path, "mime": value.mime, "bytes": value.bytes, "sha256": value.sha256}
            return {**told, "as": value.how}
        return "{uuid}" if isinstance(value, Fresh) else value

    return _wrapped(draft.wrap, mapped(draft.body, shown))


def _identity(value: Any) -> Any:
    if isinstance(value, FileRef):
        return value.identity()
    if isinstance(value, Fresh):
        return "{uuid}"
    raise configuration_error(f"the payload holds a value that JSON has not: {type(value).__name__}")


def _filled(value: Any, uploads: Mapping[str, str], fresh: str) -> Any:
    """`value` with files in place, and without those of a form."""
    if isinstance(value, Fresh):
        return fresh
    if isinstance(value, FileRef):
        if value.how == "upload":
            key = uploads.get(value.sha256)
            if key is None:
                raise configuration_error(f"{value.path} has not been uploaded")
            return int(key) if value.number and key.isdecimal() else key
        return value.data_uri() if value.how == "data_uri" else value.base64()
    if isinstance(value, dict):
        return {k: _filled(v, uploads, fresh) for k, v in value.items() if not _is_form_file(v)}
    if isinstance(value, list):
        return [_filled(v, uploads, fresh) for v in value if not _is_form_file(v)]
    return value


def _is_form_file(value: Any) -> bool:
    return isinstance(value, FileRef) and value.how == "multipart"
