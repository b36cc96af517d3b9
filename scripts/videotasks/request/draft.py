"""A request before it is sent, and what it can be turned into: an identity, a body, a form, a summary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from videotasks.core.errors import configuration_error
from videotasks.providers.known_model import NOTHING, Known
from videotasks.request.local_files import FileRef


@dataclass
class RequestDraft:
    """A create request in full. In `body` a local file stands as a FileRef; `materialise` fills it."""

    method: str
    path: str
    stream_path: str | None
    encoding: str  # json | multipart
    body: dict[str, Any]
    files: tuple[FileRef, ...] = ()
    model: str | None = None
    endpoint_label: str = ""
    warnings: tuple[str, ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)  # what the user typed, for the intent of a run's identity
    known: Known = field(default_factory=Known)  # who says which members the model has
    assumed: tuple[Mapping[str, str], ...] = ()  # names that nobody documents for this model: {input, member, because}
    checked_against: str = NOTHING  # specification | catalogue | convention | nothing


def canonical_body(draft: RequestDraft) -> bytes:
    """The body for an identity: sorted JSON, each local file replaced by its content hash and role."""
    try:
        text = json.dumps(
            draft.body, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_identity, allow_nan=False
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise configuration_error(f"the request is no JSON: {error}", expected="finite numbers, text keys") from None
    return text.encode("ascii")


def materialise(draft: RequestDraft, uploads: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The body as sent: data URIs and upload keys (by the file's sha256) filled in, form files left out."""
    filled = _filled(draft.body, uploads or {})
    assert isinstance(filled, dict)
    return filled


@dataclass(frozen=True)
class FormPart:
    """One part of a multipart body: a text or a file."""

    field: str
    text: str | None = None
    file: FileRef | None = None


def form_parts(draft: RequestDraft, uploads: Mapping[str, str] | None = None) -> list[FormPart]:
    """The parts of a multipart body: lists repeat their field, objects are JSON texts (contracts B.2, C.2)."""
    parts: list[FormPart] = []
    for name, value in draft.body.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, FileRef) and item.how == "multipart":
                parts.append(FormPart(name, file=item))
            elif (filled := _filled(item, uploads or {})) is not None:
                text = filled if isinstance(filled, str) else json.dumps(filled, ensure_ascii=False)
                parts.append(FormPart(name, text=text))
    return parts


def summary(draft: RequestDraft) -> dict[str, Any]:
    """The body for people and dry runs: a local file by name, type, size and hash instead of its content."""

    def shown(value: Any) -> Any:
        if isinstance(value, FileRef):
            return {
                "file": value.path,
                "mime": value.mime,
                "bytes": value.bytes,
                "sha256": value.sha256,
                "as": value.how,
            }
        if isinstance(value, dict):
            return {k: shown(v) for k, v in value.items()}
        return [shown(v) for v in value] if isinstance(value, list) else value

    made = shown(draft.body)
    assert isinstance(made, dict)
    return made


def _identity(value: Any) -> dict[str, str]:
    if isinstance(value, FileRef):
        return value.identity()
    raise configuration_error(f"the payload holds a value that JSON has not: {type(value).__name__}")


def _filled(value: Any, uploads: Mapping[str, str]) -> Any:
    """`value` with files in place; None where a form file stood."""
    if isinstance(value, FileRef):
        if value.how == "multipart":
            return None
        if value.how == "upload":
            key = uploads.get(value.sha256)
            if key is None:
                raise configuration_error(f"{value.path} has not been uploaded")
            return key
        return value.data_uri() if value.how == "data_uri" else value.base64()
    if isinstance(value, dict):
        return {k: _filled(v, uploads) for k, v in value.items() if not _is_form_file(v)}
    if isinstance(value, list):
        return [_filled(v, uploads) for v in value if not _is_form_file(v)]
    return value


def _is_form_file(value: Any) -> bool:
    return isinstance(value, FileRef) and value.how == "multipart"
