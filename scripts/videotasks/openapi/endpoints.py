"""Which operations make videos (or images), and what belongs to one: its stream sibling and its poll endpoint."""

from __future__ import annotations

import re
from typing import Any

from videotasks.openapi.convert import Schemas
from videotasks.openapi.document import Document
from videotasks.openapi.operations import Operation, at, iterate, split_endpoint
from videotasks.openapi.shape import shape_of, variants

CATEGORIES = ("videos", "images")
# Words of paths, tags and titles, in the languages of real documents. They are looked up in text that `_words` has
# lowered and spaced: a blank in a word is the end of a word there. (Substrings, because a specification with 1,500
# operations is listed in 15 ms this way and in 150 ms with regular expressions.)
_MEDIUM = {
    "videos": (
        "video", "vidéo", "vídeo", "movie", " film", "animate", "animation", "lipsync", "lip sync", "talking",
        " t2v ", " i2v ", " r2v ", " v2v ", "视频", "視頻", "動画", "비디오", "영상", "فيديو",
    ),
    "images": (
        "image", "photo", "picture", " t2i ", " i2i ", "imagen", "图片", "图像", "圖像", "画像", "이미지", "صور",
    ),
}  # fmt: skip
_CREATES = (
    "creat", "generat", "submit", "queue", "predict", " render", " run ", "text to", "image to", "2video", "2 video",
    "imagine", "synthes", "生成", "创建", "生图", "作成",
)  # fmt: skip
_CHANGES = (
    "edit", "extend", "extension", "remix", "modify", "reframe", "upscale", "effect", "animate", " job ", " jobs ",
    " task ", " tasks ",
)  # fmt: skip
_OTHER = (
    "cancel", "delete", "remove", " list", "retriev", " status", " fetch", " get ", "quote", "estimat", "pricing",
    " cost", "upload", "transcri", "webhook", "callback", "embedding", "moderation", "translat", "chat", "complete ",
    "caption", "metadata", "download", " login", "account", "billing", "train", "fine tun", "finetun", " file ",
    " files ", "preview", "understanding", "analyse", "analyze", "取消", "删除", "查询", "获取", "上传", "未实现",
)  # fmt: skip
_GENERIC = (
    "predict", "generat", " task ", " tasks ", " job ", " jobs ", "render", "infer", " run ", "queue", "creat", "生成",
    "任务",
)  # fmt: skip
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SEPARATORS = str.maketrans(dict.fromkeys("-_/.,:;{}()[]|\"'", " "))
_SEGMENT_STREAM = ("sse", "stream")
_STATUS_NAMES = ("status", "state", "task_status", "taskStatus", "job_status", "jobStatus", "phase")
_SUBSCRIBE = re.compile(r"/predictions/\{[^}]+\}/subscribe$")


def creating(document: Document, category: str) -> tuple[list[Operation], str]:
    """Operations that make media of the category, best first, and how they were told.

    "text" when their own words say so; "generic" when the words only say that something is created (per-model
    documents); "all" when nothing says anything and every operation with a body is listed.
    """
    medium = _MEDIUM[category]
    scored: list[tuple[int, int, Operation]] = []
    everything: list[Operation] = []
    for index, operation in enumerate(iterate(document)):
        if operation.method not in ("POST", "PUT") or not operation.has_body():
            continue
        everything.append(operation)
        score = _score(operation, medium)
        if score > 0:
            scored.append((-score, index, operation))
    if scored:
        scored.sort(key=lambda entry: entry[:2])
        return [operation for _, _, operation in scored], "text"
    generic = []
    for operation in everything:
        text = _words(f"{operation.path} {operation.text('summary')} {operation.text('operationId')}")
        if _holds(text, _GENERIC) and not _holds(text, _OTHER):
            generic.append(operation)
    return (generic, "generic") if generic else (everything, "all")


def _score(operation: Operation, medium: tuple[str, ...]) -> int:
    """Positive when the operation's own words say that it makes this medium."""
    summary = _plain(operation.text("summary"))
    title = _words(operation.text("operationId")) + summary
    score = 4 if _holds(_plain(operation.path), medium) else 0
    if _holds(title, medium) or _holds(_plain(" ".join(operation.tags)), medium):
        score += 2
    if score == 0:
        return 0
    last = _words(_last(operation.path))
    if _is_other(last):
        return 0
    if _holds(summary[:80], _OTHER):
        score -= 4
    if _holds(title + last, _CREATES):
        score += 4
    elif _holds(title + last, _CHANGES):
        score += 1
    if "{" in operation.path:
        score -= 1  # acts on something that exists
    if operation.method == "PUT":
        score -= 4
    return score


def is_other(operation: Operation) -> bool:
    """Whether the last word of the path says that the operation does something else than make media."""
    return _is_other(_words(_last(operation.path)))


def _is_other(last: str) -> bool:
    return _holds(last, _OTHER) and not _holds(last, ("generat", "creat"))


def _last(path: str) -> str:
    """The last segment of the path that is no parameter."""
    for part in reversed(path.split("/")):
        if part and "{" not in part:
            return part
    return ""


def _words(text: str) -> str:
    """Lowered, camelCase and separators as blanks, a blank at both ends."""
    return _plain(text if text.islower() else _CAMEL.sub(" ", text))


def _plain(text: str) -> str:
    return f" {text.lower().translate(_SEPARATORS)} "


def _holds(text: str, words: tuple[str, ...]) -> bool:
    for word in words:  # noqa: SIM110 - any() takes twice the time, and this runs some thousand times
        if word in text:
            return True
    return False


def search(document: Document, words: str) -> tuple[list[Operation], int]:
    """Operations whose method, path, title, tags or description hold all the words; and how many there are."""
    wanted = [word.lower() for word in words.split()]
    found: list[tuple[int, int, Operation]] = []
    for index, operation in enumerate(iterate(document)):
        name = f"{operation.text('operationId')} {operation.text('summary')}"
        head = f"{operation.endpoint} {name} {' '.join(operation.tags)}".lower()
        missing = [word for word in wanted if word not in head]
        if missing:
            rest = operation.text("description")[:4000].lower()
            if not all(word in rest for word in missing):
                continue
        found.append((len(missing), index, operation))
    found.sort(key=lambda entry: entry[:2])
    return [operation for _, _, operation in found], len(found)


class Streams:
    """The operations of a document that create the same as another and answer with an event stream.

    Such a one has the other's path with a segment `sse` or `stream` put in (`/generation/x`, `/generation/sse/x`).
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self._siblings: dict[str, list[str]] = {}
        for path in document.path_names():
            if "/sse" in path or "/stream" in path:
                parts = path.split("/")
                for index, part in enumerate(parts):
                    if part in _SEGMENT_STREAM:
                        self._siblings.setdefault("/".join(parts[:index] + parts[index + 1 :]), []).append(path)

    def path_for(self, method: str, path: str) -> str | None:
        """The path of the stream sibling; `path` itself when it is one or documents `text/event-stream`; or None."""
        if ("/sse" in path or "/stream" in path) and any(part in _SEGMENT_STREAM for part in path.split("/")):
            return path if at(self.document, method, path) else None
        siblings = [found for found in self._siblings.get(path, ()) if at(self.document, method, found)]
        if siblings:
            return min(siblings, key=lambda found: "/generation/sse/" not in found)
        operation = at(self.document, method, path)
        return path if operation is not None and _streams(operation) else None


def polling_path(document: Document, method: str, path: str) -> str | None:
    """The path that creates the same without a stream, or None."""
    parts = path.split("/")
    for index, part in enumerate(parts):
        if part in _SEGMENT_STREAM:
            found = "/".join(parts[:index] + parts[index + 1 :])
            if at(document, method, found):
                return found
    return path if at(document, method, path) else None


def _streams(operation: Operation) -> bool:
    responses = operation.raw.get("responses")
    for code, written in responses.items() if isinstance(responses, dict) else ():
        if str(code)[:1] in ("2", "d"):  # 200, 2XX, default; listing asks this of every operation
            response = operation.document.deref(written)
            content = response.get("content") if isinstance(response, dict) else None
            if isinstance(content, dict) and any(str(kind).lower().startswith("text/event-stream") for kind in content):
                return True
    produces = operation.raw.get("produces")
    return isinstance(produces, list) and "text/event-stream" in produces


def subscribe_path(document: Document) -> str | None:
    """The event stream of an existing prediction, where the document has one."""
    fallback = None
    for operation in iterate(document):
        if operation.method == "GET":
            if _SUBSCRIBE.search(operation.path):
                return operation.path
            if fallback is None and "{" in operation.path and _streams(operation):
                fallback = operation.path
    return fallback


def status_values(document: Document, schemas: Schemas, poll: Operation | None) -> list[str] | None:
    """The documented status vocabulary: of the poll answer, else of a schema that is named for it."""
    if poll is not None:
        for media in poll.success_media():
            found = _status_in(schemas, schemas.convert(media.schema), 4)
            if found:
                return found
    return None


def named_enum(document: Document, name: str) -> list[str] | None:
    """The values of the schema `name`, when it is an enum of texts."""
    holder: Any = document.root.get("components") or {}
    listed = holder.get("schemas") if isinstance(holder, dict) else None
    schema = document.deref(listed.get(name)) if isinstance(listed, dict) else None
    values = schema.get("enum") if isinstance(schema, dict) else None
    return values if isinstance(values, list) and all(isinstance(value, str) for value in values) else None


def _status_in(schemas: Schemas, schema: Any, levels: int) -> list[str] | None:
    if levels <= 0:
        return None
    found: list[str] = []
    inner: list[Any] = []
    for variant in variants(schemas, shape_of(schemas, schema)):
        for name in _STATUS_NAMES:
            if name in variant.properties:
                for part in variants(schemas, shape_of(schemas, variant.property(name))):
                    values = part.enum or ([part.const] if isinstance(part.const, str) else [])
                    found += [value for value in values if isinstance(value, str) and value not in found]
        inner += [
            variant.property(name)
            for name in ("data", "task", "output", "result", "job", "response", "attributes")
            if name in variant.properties
        ]
        inner += variant.items[:1]
    if found:
        return found
    for part in inner[:8]:
        deeper = _status_in(schemas, part, levels - 1)
        if deeper:
            return deeper
    return None


def resolved(document: Document, endpoint: str) -> Operation | None:
    """The operation of an endpoint from a documentation page, `/v1` present or not; None when there is none."""
    method, path = split_endpoint(endpoint)
    other = path[3:] if path.startswith("/v1/") else f"/v1{path if path.startswith('/') else '/' + path}"
    for candidate in (path, other):
        found = at(document, method or "POST", candidate)
        if found is not None:
            return found
    return None
