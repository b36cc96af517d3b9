"""Which operations make videos (or images), and what belongs to one: its stream sibling and its poll endpoint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from videotasks.openapi import answers
from videotasks.openapi.document import Document, entries, members
from videotasks.openapi.operations import Operation, at, is_parameter, iterate, split_endpoint

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
# What some APIs call the media that they make.
_MADE = {
    "videos": (" talk ", " talks ", " clip ", " clips ", " scene ", " scenes ", " render ", " renders ", " shorts "),
    "images": (" portrait ", " portraits ", " headshot ", " headshots ", " sticker ", " stickers ", " logo "),
}
_CREATES = (
    "creat", "generat", "submit", "queue", "predict", " render", " run ", "text to", "image to", "2video", "2 video",
    "imagine", "synthes", "execut", "生成", "创建", "生图", "作成",
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
    "detect", "recogni", "tracking", " manage", "update", " star ", "unstar", " starred", " board", " contact",
    " like ", "favorite", "favourite", "bookmark", " rating", " share ", " sdp ", " ice ", "streaming", " interrupt",
    "topup", "top up", " token ", " consent", "install", "search", "calculat", "question answer", "describe",
)  # fmt: skip
# What is kept beside the media: to create one of these makes no video.
_THINGS = frozenset((
    "asset", "avatar", "voice", "stream", "model", "template", "dataset", "deployment", "deploy", "user", "key",
    "project", "collection", "document", "persona", "replica", "agent", "folder", "session", "reference", "character",
    "setting", "secret", "endpoint", "preset", "knowledge", "team", "prompts", "batches", "custom", "router",
    "workflow", "product", "conversation", "element",
))  # fmt: skip
# These run something, rather than make an entry.
_RUNS = (
    "predict", "generat", " task ", " tasks ", " job ", " jobs ", "render", "infer", " run ", "queue", "submit",
    "execut", "synthes", "生成", "任务",
)  # fmt: skip
_GENERIC = (*_RUNS, "creat")
# Words of a path whose operation makes something else than the category, unless the category's own are there, too.
_ELSEWHERE = (
    " to text ", "2text", " llm ", " llms ", "chat", " audio ", "speech", " tts ", " music ", "sound", " voice ",
    "embedding", " text generation ", " 3d ", "translat", "completion", " responses ", " ocr ",
)  # fmt: skip
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SEPARATORS = str.maketrans(dict.fromkeys("-_/.,:;{}()[]|\"'<>", " "))
_SUBSCRIBE = re.compile(r"/predictions/\{[^}]+\}/subscribe$")
_BASE = re.compile(r"api|v\d+(?:[a-z]+\d*)?")
LOOKED_INTO = 30  # operations whose bodies and answers are read to put them in order


def creating(document: Document, category: str) -> tuple[list[Operation], str]:
    """Operations that make media of the category, best first, and how they were told.

    "text" when their own words say so; "generic" when the words only say that something is created (per-model
    documents); "all" when nothing says anything and every operation with a body is listed. Deprecated ones come last.
    """
    everything = [one for one in iterate(document) if one.method in ("POST", "PUT") and one.has_body()]
    for how in ("text", "generic"):
        scores = (_score(one, category) if how == "text" else _generic(one) for one in everything)
        scored = [(-score, index) for index, score in enumerate(scores) if score > 0]
        if scored:
            break
    else:
        return everything, "all"
    scored.sort()
    head = [(rank - _by_bodies(everything[index], how), index) for rank, index in scored[:LOOKED_INTO]]
    ordered = sorted(head + [(rank + 99, index) for rank, index in scored[LOOKED_INTO:]])
    found = [everything[index] for _, index in ordered]
    return sorted(found, key=lambda one: one.raw.get("deprecated") is True), how


def _score(operation: Operation, category: str) -> int:
    """Positive when the operation's own words say that it makes this medium."""
    medium, made = _MEDIUM[category], _MADE[category]
    summary = _plain(operation.text("summary"))
    title = _words(operation.text("operationId")) + summary
    path = _words(operation.path)
    last = _words(_last(operation.path))
    score = 4 if _holds(path, medium) else 0
    if _holds(title, medium) or _holds(_plain(" ".join(operation.tags)), medium):
        score += 2
    making = _holds(title + last, _CREATES)
    if score == 0 and _holds(last, made):
        score = 3 if making else 0
    if score == 0 and making and not operation.path.endswith("}"):
        described = _plain(operation.text("description")[:400])
        score = 1 if _holds(described, medium) and not _holds(path + title, _ELSEWHERE) else 0
    if score == 0 or _is_other(last) or _is_thing(operation.path, title):
        return 0
    if " add " in last or ("upload" in title and "generat" not in title):
        return 0
    if _holds(summary[:80], _OTHER):
        score -= 4
    if making:
        score += 4
    elif _holds(title + last, _CHANGES):
        score += 1
    if " text to " in path or " text2" in path or " t2v " in path:
        score += 2  # what most people come for
    elif " image to " in path or " image2" in path:
        score += 1
    if "{" in operation.path or "<" in operation.path:
        score -= 1  # acts on something that exists
    if operation.method == "PUT":
        score -= 4
    return score


def _generic(operation: Operation) -> int:
    """Positive when the words say that something is made or run, whatever it is."""
    title = _words(operation.text("operationId")) + _plain(operation.text("summary"))
    last = _words(_last(operation.path))
    text = _words(operation.path) + title
    if not _holds(text, _GENERIC) or _is_other(last) or _holds(_plain(operation.text("summary"))[:80], _OTHER):
        return 0
    if _holds(text, _OTHER) and not _holds(title + last, _RUNS):
        return 0
    if _is_thing(operation.path, title):
        return 0
    return (4 if _holds(title + last, _RUNS) else 1) - operation.path.count("{")


def _by_bodies(operation: Operation, how: str) -> int:
    """What the body (a prompt) and the answer (a task) add; a path of few words is the plain case."""
    score = 0
    found = answers.fields(operation)
    if answers.task_ids(found):
        score += 1 + bool(answers.status_fields(found))
    elif found and how == "text":
        score -= 2
    for media in operation.request_media()[:1]:
        names = {field.name.lower() for field in answers.walk(operation.document, media.schema) if len(field.path) < 3}
        score += any("prompt" in name for name in names)
    parts = [part for part in operation.path.split("/") if part and not is_parameter(part)]
    parts = [part for part in parts if not _BASE.fullmatch(part.lower())]
    score -= max(0, len(_plain(_CAMEL.sub(" ", "/".join(parts[-2:]))).split()) - 1)
    return score - 2 * max(0, len(parts) - 2)


def needs(operation: Operation) -> frozenset[str]:
    """What such an operation is for: "image" for image-to-video, "video" for what changes a video; else nothing."""
    title = _words(operation.text("operationId")) + _plain(operation.text("summary")[:80])
    text = _words(operation.path) + title
    wanted = set()
    if _holds(text, _FROM_IMAGE):
        wanted.add("image")
    if _holds(text, _FROM_VIDEO) or (
        _holds(_words(_last(operation.path)), _ALTERS) and _holds(text, _MEDIUM["videos"]) and not wanted
    ):
        wanted.add("video")
    return frozenset(wanted)


_FROM_IMAGE = (
    "image to video", "img to video", "image2video", "img2video", "image 2 video", "images to video", "photo to video",
    " i2v ", "image2", "img2", "frame to video", "animate image", "animate a picture", "animate an image", "图生视频",
)  # fmt: skip
_FROM_VIDEO = ("video to video", "video2video", " v2v ", "edit video", "extend video", "upscale video", "video upscale")
_ALTERS = (
    " edit ", " edits ", "extend", "extension", "modify", "reframe", "upscale", "restyle", " lip sync ", "lipsync",
    " trim ", " crop ", "watermark", " aleph ",
)  # fmt: skip


def is_other(operation: Operation, category: str) -> bool:
    """Whether the words of the operation say that it does something else than make media of the category."""
    title = _words(operation.text("operationId")) + _plain(operation.text("summary"))
    path = _words(operation.path)
    if _is_other(_words(_last(operation.path))):
        return True
    if _holds(path + title, _MEDIUM[category]) or _holds(path, _MADE[category]):
        return False
    others = [word for name, words in _MEDIUM.items() if name != category for word in words]
    return _holds(path, _ELSEWHERE) or _holds(path, tuple(others))


def _is_other(last: str) -> bool:
    return _holds(last, _OTHER) and not _holds(last, ("generat", "creat"))


def _is_thing(path: str, title: str) -> bool:
    """Whether what is created is an entry beside the media: `POST /clips/avatars`, "Create asset reference"."""
    parts = [part for part in path.split("/") if part and not is_parameter(part)]
    last = _words(parts[-1]) if parts else ""
    if " from " in last or " with " in last:  # /videos/fromTemplate makes a video, /assets/from-hash an asset
        last = f" {re.split(' (?:from|with) ', last)[0].strip()} "
        last = last if last.strip() else _words(parts[-2] if len(parts) > 1 else "")
    if _holds(last, _RUNS) or _holds(last, ("video", "image", "animat")):
        return False
    thing = last.rstrip().rpartition(" ")[2]
    if thing in _THINGS or thing.removesuffix("s") in _THINGS:
        return not _holds(title, ("generat", "render"))
    return _holds(title, (" asset ", " reference "))


def _last(path: str) -> str:
    """The last segment of the path that is no parameter."""
    return next((part for part in reversed(path.split("/")) if part and not is_parameter(part)), "")


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


def search(document: Document, words: str) -> list[Operation]:
    """Operations whose method, path, title, tags or description hold all the words."""
    wanted = [word.lower() for word in words.split()]
    found: list[tuple[int, Operation]] = []
    for operation in iterate(document):
        name = f"{operation.text('operationId')} {operation.text('summary')}"
        head = f"{operation.endpoint} {name} {' '.join(operation.tags)}".lower()
        missing = [word for word in wanted if word not in head]
        rest = operation.text("description")[:4000].lower() if missing else ""
        if all(word in rest for word in missing):
            found.append((len(missing), operation))
    found.sort(key=lambda entry: entry[0])
    return [operation for _, operation in found]


class Streams:
    """The operations of a document that create the same as another and answer with an event stream.

    Such a one has the other's path with a segment `sse` or `stream` put in (`/generation/x`, `/generation/sse/x`).
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self._siblings: dict[str, list[str]] = {}
        for path in document.path_names():
            for plain in _without_stream(path):
                self._siblings.setdefault(plain, []).append(path)

    def path_for(self, method: str, path: str) -> str | None:
        """The path of the stream sibling; `path` itself when it is one or documents `text/event-stream`; or None."""
        is_one = bool(_without_stream(path))
        named: Sequence[str] = [path] if is_one else self._siblings.get(path, ())
        streams = [found for found in named if (one := at(self.document, method, found)) and _may_stream(one)]
        if streams or is_one:
            return min(streams, key=lambda found: "/generation/sse/" not in found, default=None)
        operation = at(self.document, method, path)
        return path if operation is not None and _streams(operation) else None


def _without_stream(path: str) -> list[str]:
    """The path without a segment `sse` or `stream`, once for each that it has."""
    parts = path.split("/")
    return [
        "/".join(parts[:index] + parts[index + 1 :]) for index, part in enumerate(parts) if part in ("sse", "stream")
    ]


def polling_path(document: Document, method: str, path: str) -> str | None:
    """The path that creates the same without a stream, or None."""
    return next((found for found in (*_without_stream(path), path) if at(document, method, found)), None)


def _answer_types(operation: Operation) -> list[str]:
    """The media types that a success is documented with; none when the document does not say."""
    found: list[Any] = []
    for code, written in members(operation.raw.get("responses")).items():
        if str(code)[:1] in ("2", "d"):  # 200, 2XX, default; listing asks this of every operation
            found += members(members(operation.document.deref(written)).get("content"))
    return [str(kind).lower() for kind in [*found, *entries(operation.raw.get("produces"))]]


def _streams(operation: Operation) -> bool:
    return any(kind.startswith("text/event-stream") for kind in _answer_types(operation))


def _may_stream(operation: Operation) -> bool:
    """For a path that is named for a stream: one that documents JSON or audio is none, whatever it is called."""
    types = _answer_types(operation)
    return not types or any(kind.startswith("text/event-stream") for kind in types)


def subscribe_path(document: Document) -> str | None:
    """The event stream of an existing prediction, where the document has one."""
    fallback = None
    for operation in iterate(document):
        if operation.method == "GET":
            if _SUBSCRIBE.search(operation.path) and _may_stream(operation):
                return operation.path
            if fallback is None and "{" in operation.path and _streams(operation):
                fallback = operation.path
    return fallback


def status_values(poll: Operation | None) -> list[str] | None:
    """The documented status vocabulary of the poll's answer, that of all its variants together."""
    found = answers.status_fields(answers.fields(poll)) if poll is not None else []
    told = [(f.path, f.schema["enum"]) for f in found if isinstance(f.schema.get("enum"), list)]
    words = [word for path, listed in told if path == told[0][0] for word in listed if isinstance(word, str)]
    return list(dict.fromkeys(words)) or None


def named_enum(document: Document, name: str) -> list[str] | None:
    """The values of the schema `name`, when it is an enum of texts."""
    values = members(document.deref(document.schemas().get(name))).get("enum")
    return values if isinstance(values, list) and all(isinstance(value, str) for value in values) else None


def resolved(document: Document, endpoint: str) -> Operation | None:
    """The operation of an endpoint from a documentation page, `/v1` present or not; None when there is none."""
    method, path = split_endpoint(endpoint)
    other = path[3:] if path.startswith("/v1/") else f"/v1{path if path.startswith('/') else '/' + path}"
    return at(document, method or "POST", path) or at(document, method or "POST", other)
