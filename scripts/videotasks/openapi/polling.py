"""The operation that tells how a task is doing, found from the create operation, and how it was told.

Each GET that takes an id is weighed: whether the create's answer names that id, what words the two paths share, what
else its path speaks of. A wrong one costs the user a paid task that is never found, so a weak one is not taken.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from videotasks.openapi import answers
from videotasks.openapi.document import Document, entries, members
from videotasks.openapi.operations import Operation, is_parameter, iterate

_SEED = re.compile(r"/generation/\{[^}]+\}$")
_NOT_POLL = re.compile(
    r"content|download|events?\b|cancel|subscribe|stream|thumbnail|logs?\b|metrics|file|webhook|list$|history$|xliff"
    r"|checkpoints?$|versions?$|usage|balance|credits?$|quota|settings?$|\.(?:jpe?g|png|gif|mp4)$",
    re.IGNORECASE,
)
_BY_POST = re.compile(r"retrieve|status|query|result|poll|fetch|(?:^|[_.-])get", re.IGNORECASE)
_WHEREWITH = re.compile(
    r"[_-]?(?:with|from|using)(?=[_-]|[A-Z])[^/]*|(?<=/)from[^/]*", re.IGNORECASE
)  # create_video_with_template
_VERSION = re.compile(r"v\d+(?:[a-z]+\d*)?|alpha|beta")
# Words of a path that say what is done, not to what.
_VERBS = frozenset((
    "create", "generate", "submit", "make", "start", "execute", "enqueue", "queue", "run", "async", "sync", "new",
    "add", "get", "retrieve", "query", "fetch", "poll", "check", "status", "state", "result", "results", "detail",
    "details", "info", "by", "from", "with", "to", "of", "for", "and", "the", "in", "via", "api", "public", "rest",
    "openapi", "sse", "stream", "edit", "edits", "extend", "extension", "extensions", "remix", "reframe", "modify",
    "upscale", "restyle", "translate", "trim", "crop", "adjust", "fit", "custom", "express", "inner", "internal",
    "service", "services", "ai", "aigc", "genai", "gen",
))  # fmt: skip
# Words that mean a task of any kind.
_GENERAL = frozenset((
    "task", "job", "prediction", "generation", "request", "inference", "operation", "execution", "process",
))  # fmt: skip
# Verbs of those that part one kind of work from another: what `/video_translate/{id}` tells is no plain video's status.
_KINDS = frozenset((
    "edit", "extend", "extension", "remix", "reframe", "modify", "upscale", "restyle", "translate", "trim", "crop",
    "adjust", "fit", "express",
))  # fmt: skip
_MEDIA = frozenset(("video", "clip", "talk", "animation", "scene", "movie", "film", "image", "audio", "render"))
# What exists before and after a task: its page tells nothing of what is made from it.
_THINGS = frozenset((
    "template", "model", "avatar", "voice", "project", "workflow", "agent", "user", "presenter", "replica", "persona",
    "document", "dataset", "deployment", "collection", "character", "blueprint", "element", "consent", "organization",
    "team", "product", "endpoint", "session", "knowledge", "board", "asset", "queue",
))  # fmt: skip
LEAST = 5  # below it, nothing is said
MARGIN = 2  # two that are closer than this are both offered


class Found(NamedTuple):
    """`operation` is None when there is none, or when `candidates` are too close to be told apart.

    `how`: "link" (the document says it), "answer" (the id of the create's answer), "path" (their words), "guess" (the
    only general task endpoint).
    """

    operation: Operation | None
    how: str | None = None
    candidates: tuple[Operation, ...] = ()


def find_poll(document: Document, create: Operation | None) -> Found:
    """The poll of a create operation; without one, only the place of skills-video's documents is looked at."""
    if create is None:
        found = next((o for o in iterate(document) if o.method == "GET" and _SEED.search(o.path)), None)
        return Found(found, "path" if found else None)
    linked = _linked(document, create)
    if linked is not None:
        return Found(linked, "link")
    relation = _Relation(create)
    cheap = ((relation.by_words(operation), index, operation) for index, operation in enumerate(iterate(document)))
    weighed = [(score, index, operation) for score, index, operation in cheap if score is not None]
    weighed.sort(key=lambda entry: -entry[0])
    scored = [(relation.score(operation, score), index, operation) for score, index, operation in weighed[:20]]
    scored = [(s - MARGIN * (relation.how(o) == "guess"), index, o) for s, index, o in scored if s >= LEAST]
    if not scored:
        return Found(None)
    scored.sort(key=lambda entry: (-entry[0], len(entry[2].path), entry[1]))
    best = scored[0]
    how = relation.how(best[2])
    close = [entry for entry in scored[1:] if best[0] - entry[0] < MARGIN and not _same_task(best[2], entry[2])]
    if close:
        # Two general task endpoints, of which neither is related to the create, are no help.
        return Found(None, None, () if how == "guess" else (best[2], close[0][2]))
    return Found(best[2], how)


def _linked(document: Document, create: Operation) -> Operation | None:
    """The target of the create's `links`, where the document says it in so many words."""
    answered = [response for code, response in create.responses().items() if code.startswith("2")]
    links = [document.deref(link) for response in answered for link in members(response.get("links")).values()]
    wanted = [members(link).get("operationId") for link in links]
    gets = (one for one in iterate(document) if one.method == "GET") if any(wanted) else ()
    return next((one for one in gets if one.text("operationId") and one.text("operationId") in wanted), None)


def _same_task(one: Operation, other: Operation) -> bool:
    """`/x/{id}` and `/x/{id}/status` speak of one task: either is right, and the better was chosen."""
    first, second = (operation.path.rstrip("/").split("/") for operation in (one, other))
    shorter = min(len(first), len(second))
    return first[:shorter] == second[:shorter] and any(map(is_parameter, first[:shorter]))


class _Path(NamedTuple):
    """A path in words: what it speaks of, its general task words, its parameters, and its literal segments."""

    content: tuple[str, ...]
    general: tuple[str, ...]
    parameters: tuple[str, ...]
    segments: tuple[str, ...]


@lru_cache(maxsize=8192)
def _read(path: str) -> _Path:
    content: list[str] = []
    general: list[str] = []
    parameters: list[str] = []
    segments: list[str] = []
    for part in path.split("?")[0].split("/"):
        if not part or _VERSION.fullmatch(part.lower()):
            continue
        if is_parameter(part):
            parameters.append(part.strip("{}<>:"))
            continue
        segments.append(part.lower())
        for token in answers.words(part):
            word = _stem(token)
            if word in _GENERAL:
                general.append(word)
            elif word not in _VERBS and token not in _VERBS and not _VERSION.fullmatch(word) and len(word) > 1:
                content.append(word)
    return _Path(tuple(content), tuple(general), tuple(parameters), tuple(segments))


def _asked(name: str | None) -> tuple[str, ...]:
    """The words of an id that an operation asks for: `batch` of batch_id."""
    return tuple(map(_stem, (answers.id_words(name) or ()) if name else ()))


def _subject(path: str) -> str:
    """The word before the last parameter: `video` in /videos/{id}/status."""
    parts = [part for part in path.split("/") if part]
    before = [part for part, following in pairwise(parts) if is_parameter(following)]
    return next(reversed(_stems(before[-1])), "") if before else ""


def _stem(word: str) -> str:
    return word[:-3] + "y" if word.endswith("ies") and len(word) > 4 else word.rstrip("s")


def _stems(text: str) -> list[str]:
    return [_stem(word) for word in answers.words(text)]


class _Relation:
    """How likely operations are to poll what one create operation makes."""

    def __init__(self, create: Operation) -> None:
        self.create = create
        self.path = create.path.split("?")[0].rstrip("/")
        self.own = _read(create.path)
        self.tags = set(create.tags)
        parameters = [part for part in self.path.split("/") if is_parameter(part)]
        behind = self.path.rpartition(parameters[-1])[2] if parameters else self.path
        made = _read(_WHEREWITH.sub("", behind)) if behind else self.own
        # What is made: the last word behind the last parameter, `batch` in /queue/{queue_id}/enqueue_batch.
        # /videos/{id}/remix makes a video.
        self.head = next(reversed(made.content or made.general or self.own.content), "")
        self.acts_inside = bool(self.own.parameters) and bool(made.content or made.general)
        self.parent = self.path[: len(self.path) - len(behind)] if behind != self.path else ""
        self.kinds = _KINDS.intersection(_stems(self.path))
        self.fields = answers.fields(create)
        ids = [answers.id_words(field.name) for field in answers.task_ids(self.fields)]
        self.ids = [tuple(map(_stem, entry)) for entry in ids if entry is not None]
        self.schemas = _schema_names(create)

    def by_words(self, operation: Operation) -> int | None:
        """What the paths, parameters and tags say; None for what cannot be it. A document may have thousands."""
        path = operation.path
        last = path.rstrip("/").rpartition("/")[2]
        by_post = operation.method == "POST" and _BY_POST.search(last) and operation.path != self.create.path
        if not (by_post or operation.method == "GET") or _NOT_POLL.search(last):
            return None
        read = _read(path)
        score = 0
        shared = [word for word in dict.fromkeys(read.content) if word in self.own.content]
        general = [word for word in dict.fromkeys(read.general) if word in self.own.general]
        same_tag = not self.tags.isdisjoint(operation.tags)
        plain = not read.content  # /tasks/{id}, /get_result
        child = path.startswith(self.path + "/") and is_parameter(path[len(self.path) + 1 :].split("/")[0])
        name = self._id_of(operation)
        if name is None or not (shared or general or same_tag or plain or child or self._named(name)):
            return None
        score += 6 if child else (4 if path.startswith(self.path + "/") else 0)
        for ours, theirs in zip(self.own.segments, read.segments, strict=False):
            if ours != theirs:
                break
            score += 1
        score = min(score, 8)
        if self.head and self.head in (*read.content, *read.general, *_asked(name)):
            score += 3
        score += min(3, len(shared)) + 2 * bool(shared and set(read.content) <= set(self.own.content))
        score += 2 * bool(general)
        score += 3 * plain
        if self.head in _THINGS and self.head not in read.content:
            score -= 4
        known = {*self.own.content, *(word for entry in self.ids for word in entry if word not in answers.OTHER_IDS)}
        known |= set(_asked(name)) if self._named(name) else set()
        known |= {word for tag in operation.tags if same_tag for word in _stems(tag)}
        score -= 2 * min(3, sum(1 for word in dict.fromkeys(read.content) if word not in known))
        score -= 2 * len(_KINDS.intersection(_stems(path)) - self.kinds)
        subject = _subject(path)
        if subject in _THINGS and not child:
            score -= 4
        score += 2 * same_tag
        words = last.lower()
        if "status" in words:
            score += 2
        elif is_parameter(last) or "result" in words or operation.path == self.create.path:
            score += 1
        if is_parameter(last) or self._id_in_query(operation):
            inside = [p for p in read.parameters[:-1] if p not in self.own.parameters]
        else:
            inside = [p for p in read.parameters if p not in self.own.parameters][1:]
        score -= 3 * len(inside)
        if path == self.parent and subject in _THINGS:
            score -= 8
        elif path == self.parent and (subject in _MEDIA or subject in _GENERAL):
            score += 1
        elif read.parameters and set(read.parameters) <= set(self.own.parameters) and self.acts_inside:
            score -= 6  # it tells about what the create works in, not about what it makes
        return score

    def score(self, operation: Operation, by_words: int) -> int:
        """With what both answers say."""
        score = by_words + self._answer(operation)
        found = answers.fields(operation)
        if found:
            score += 2 if answers.status_fields(found) else -1
        text = f"{operation.text('summary')} {operation.text('operationId')} {operation.path}".lower()
        if re.search(r"\blist|\ball\b", text) and not _read(operation.path).parameters:
            score -= 3
        elif re.search(r"status|result|progress|task|job|prediction", text):
            score += 1
        if operation.raw.get("deprecated") is True:
            score -= 1
        if self.fields and not self.ids and not answers.status_fields(self.fields):
            score -= 4  # the create answers with something else than a task
        return score

    def _answer(self, operation: Operation) -> int:
        name = self._id_of(operation)
        score = 0
        if self._named(name):
            score = 6 if _asked(name) == self.ids[0] else 3
        elif name is not None and () in self.ids and answers.id_words(name) == ():
            score = 1
        elif self.ids and name and () not in self.ids and answers.id_words(name):
            score = -1
        if not self.schemas.isdisjoint(_schema_names(operation)):
            score += 4
        return score

    def _named(self, name: str | None) -> bool:
        """Whether the create's answer has the id that the parameter asks for."""
        return bool(_asked(name)) and _asked(name) in self.ids

    def how(self, operation: Operation) -> str:
        if self._answer(operation) >= 3:
            return "answer"
        read = _read(operation.path)
        own = {*self.own.content, *self.own.general, self.head}
        related = own & {*read.content, *read.general, *_asked(self._id_of(operation))}
        related |= {word for entry in self.ids for word in entry} & {*read.content, *read.general}
        return "path" if related or not self.tags.isdisjoint(operation.tags) else "guess"

    def _id_of(self, operation: Operation) -> str | None:
        """The name of the id that the operation asks for; `tasks/{id}` asks for a `task_id`."""
        parts = [part for part in operation.path.split("?")[0].split("/") if part]
        if operation.method == "POST":
            return _id_in_body(operation)
        for before, part in reversed(list(zip(["", *parts], parts, strict=False))):
            if is_parameter(part):
                name = part.strip("{}<>:")
                if answers.id_words(name) or not before:
                    return name
                words = [word for word in _stems(before) if word in _GENERAL or word not in _VERBS]
                return f"{words[-1]}_id" if words else "id"
        return self._id_in_query(operation)

    def _id_in_query(self, operation: Operation) -> str | None:
        if any(map(is_parameter, operation.path.split("/"))):
            return None
        names = [parameter["name"] for parameter in operation.parameters() if parameter.get("in") == "query"]
        stems = {name: answers.id_words(name) for name in names}
        others = ("user", "team", "organization", "org", "workspace", "account")
        return next((n for n, stem in stems.items() if stem is not None and (not stem or stem[-1] not in others)), None)


def _id_in_body(operation: Operation) -> str | None:
    for media in operation.request_media()[:1]:
        for field in answers.task_ids(list(answers.walk(operation.document, media.schema))):
            return field.name
        if media.schema in (True, {}, {"type": "object"}):
            return "id"
    return None


def _schema_names(operation: Operation) -> set[str]:
    """The names of the schemas that a success answers with, but those that say nothing."""
    schemas = [members(media.schema) for media in operation.success_media()[:1]]
    parts = [part for schema in schemas for key in ("allOf", "oneOf", "anyOf") for part in entries(schema.get(key))]
    refs = [members(part).get("$ref") for part in (*schemas, *parts)]
    return {ref for ref in refs if isinstance(ref, str) and not _SAYS_NOTHING.search(ref)}


_SAYS_NOTHING = re.compile(
    r"(?:^|/)(?:\w*(?:error|base|common|generic)\w*|(?:api)?(?:response|result|success|ok))$", re.IGNORECASE
)
