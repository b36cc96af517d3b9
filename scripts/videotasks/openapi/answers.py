"""What an operation answers: the fields of its success, from the schema, else from the documented example.

A light walk over the document as written: nothing is converted, for listing a document asks this of many operations.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from videotasks.formats.scalars import json_type
from videotasks.openapi.document import Document, entries, members
from videotasks.openapi.operations import Operation

MAX_FIELDS = 400
MAX_DEPTH = 6
_TOKENS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[^\W\d_a-zA-Z]+")
_ID_WORDS = ("id", "ids", "uid", "uuid", "guid")
STATUS_NAMES = (
    "status", "state", "task_status", "taskStatus", "job_status", "jobStatus", "phase", "video_status", "videoStatus",
)  # fmt: skip
# Ids of other things than the task, whatever the answer is about.
OTHER_IDS = frozenset((
    "user", "group", "account", "team", "organization", "org", "workspace", "project", "trace", "model", "voice",
    "avatar", "webhook", "callback", "template", "owner", "api", "error", "workflow", "customer", "client", "space",
    "folder", "session", "asset", "file", "image", "log", "parent", "previous", "external", "brand", "version",
    "device",
))  # fmt: skip
# And those that a task's id is named for.
_TASKS = frozenset((
    "task", "job", "generation", "prediction", "request", "video", "render", "inference", "transaction", "batch",
    "prompt", "run", "execution", "operation", "clip", "talk", "animation", "process",
))  # fmt: skip


class Field(NamedTuple):
    """`path` holds names and, for a list, 0; `schema` is as written, references followed."""

    path: tuple[str | int, ...]
    schema: dict[str, Any]

    @property
    def name(self) -> str:
        return next((str(part) for part in reversed(self.path) if isinstance(part, str)), "")

    @property
    def jmespath(self) -> str:
        text = ""
        for part in self.path:
            if isinstance(part, int):
                text += f"[{part}]"
            else:
                plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part)
                text += "." + (part if plain else json.dumps(part, ensure_ascii=False))
        return text.removeprefix(".")


def words(name: str) -> tuple[str, ...]:
    """`videoStatusURL` as ("video", "status", "url"); digits part words and are dropped."""
    return tuple(token.lower() for token in _TOKENS.findall(name))


def id_words(name: str) -> tuple[str, ...] | None:
    """The words of an id's name without the id: `task_id` is ("task",), `id` is (); None when it names no id."""
    parts = words(name)
    if parts and parts[-1] in _ID_WORDS:
        return parts[:-1]
    low = name.lower()  # `taskid`, `requestid`
    for ending in ("id", "uuid"):
        stem = low[: -len(ending)]
        if low.endswith(ending) and stem in ("task", "job", "request", "video", "generation", "prediction", "prompt"):
            return (stem,)
    return None


def fields(operation: Operation) -> list[Field]:
    """The fields of the first success that documents any, those on top first."""
    for media in operation.success_media():
        for found in (walk(operation.document, media.schema), *map(_of_value, media.examples[:3])):
            if listed := list(found):
                return listed
    return []


def task_ids(found: list[Field]) -> list[Field]:
    """Fields that may be the id of what was made, the likeliest first: shallow, named for a task, then a bare id."""
    ids = []
    for field in found:
        stem = id_words(field.name)
        kind = field.schema.get("type", "string")
        if stem is None or kind in ("object", "boolean") or (kind == "array" and field.path[-1:] != (0,)):
            continue
        other = bool(stem) and stem[-1] in OTHER_IDS
        named = bool(stem) and stem[-1] in _TASKS
        ids.append(((other, len(field.path) - named, not named), field))
    ids.sort(key=lambda entry: entry[0])
    return [field for _, field in ids]


def status_fields(found: list[Field]) -> list[Field]:
    """Fields that tell how a task is doing, the shallowest first."""
    return [
        field
        for field in found
        if field.name in STATUS_NAMES
        and field.schema.get("type", "string") not in ("object", "array", "boolean")
        and not any(isinstance(part, int) for part in field.path[1:])
    ]


def walk(document: Document, schema: Any) -> Iterator[Field]:
    """The fields of a schema, level by level, at most MAX_FIELDS; those of all variants together."""
    queue: deque[tuple[tuple[str | int, ...], Any, tuple[int, ...]]] = deque([((), schema, ())])
    count = 0
    while queue:
        path, written, trail = queue.popleft()
        if len(path) >= MAX_DEPTH:
            continue
        for part in _parts(document, written, 0):
            if id(part) in trail:
                continue
            inner = (*trail, id(part))
            for name, value in members(part.get("properties")).items():
                count += 1
                if count > MAX_FIELDS:
                    return
                target = merged(document, value)
                yield Field((*path, str(name)), target)
                queue.append(((*path, str(name)), value, inner))
            items = part.get("items")
            if isinstance(items, dict):
                if members(document.deref(items)).get("type") in ("string", "integer", "number"):
                    yield Field((*path, 0), merged(document, items))
                queue.append(((*path, 0), items, inner))


def merged(document: Document, written: Any) -> dict[str, Any]:
    """A schema with its type, enum and description gathered from its parts (`allOf`, nullable `anyOf`)."""
    found: dict[str, Any] = {}
    for part in _parts(document, written, 0):
        for key, value in part.items():
            if key == "enum" and isinstance(value, list) and isinstance(found.get("enum"), list):
                found["enum"] = [*found["enum"], *(entry for entry in value if entry not in found["enum"])]
            elif key == "const":
                found["enum"] = [*found.get("enum", ()), value]
            elif key == "type" and (value == "null" or isinstance(value, list)):
                kinds = [kind for kind in entries(value) if kind != "null"]
                found.setdefault("type", kinds[0] if kinds else "null")
            elif key not in found or found[key] == "null":
                found[key] = value
    return found


def _parts(document: Document, written: Any, depth: int) -> Iterator[dict[str, Any]]:
    """The schema itself and those it is composed of, references followed."""
    node = document.deref(written)
    if not isinstance(node, dict) or depth > 6:
        return
    yield node
    for key in ("allOf", "oneOf", "anyOf"):
        for part in entries(node.get(key))[:30]:
            yield from _parts(document, part, depth + 1)


def _of_value(value: Any) -> Iterator[Field]:
    """An example as fields, each with its value as the schema's example."""
    queue: deque[tuple[tuple[str | int, ...], Any]] = deque([((), value)])
    count = 0
    while queue and count < MAX_FIELDS:
        path, node = queue.popleft()
        if len(path) > MAX_DEPTH:
            continue
        if isinstance(node, dict):
            for name, entry in node.items():
                count += 1
                kind = "string" if entry is None else json_type(entry)
                yield Field((*path, str(name)), {"type": kind, "example": entry})
                queue.append(((*path, str(name)), entry))
        elif isinstance(node, list) and node:
            if isinstance(node[0], str):
                yield Field((*path, 0), {"type": "string", "example": node[0]})
            queue.append(((*path, 0), node[0]))
