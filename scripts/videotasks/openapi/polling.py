"""The operation that tells how a task is doing, found from the create operation."""

from __future__ import annotations

import re

from videotasks.openapi.document import Document
from videotasks.openapi.operations import Operation, at, iterate

# The places where the seed's documents have it; other documents are searched.
_PREFERRED = ("/generation/{id}", "/v1/generation/{request_id}", "/v1/generation/{id}")
_SEED = re.compile(r"/generation/\{[^}]+\}")
_NOT_POLL = re.compile(
    r"content|download|events?\b|cancel|workflow|subscribe|stream|thumbnail|logs?\b|metrics|file|webhook", re.IGNORECASE
)
_POLL_WORDS = re.compile(
    r"status|task|job|predict|generation|request|result|retrieve|query|poll|render|fetch", re.IGNORECASE
)
_BY_POST = re.compile(r"retrieve|status|query|result|poll|fetch", re.IGNORECASE)
_ID_NAMES = re.compile(r"(?:^|_)(?:id|ids|uuid|token|name)$|(?:Id|ID)$")
_VERSION = re.compile(r"api|v\d+(?:beta|alpha)?\d*")
LEAST = 5  # a path of its own that ends with an id and shares a word with the create


def poll_operation(document: Document, create: Operation | None) -> Operation | None:
    """The poll of a create operation; without one, only the seed's well-known places are looked at."""
    for path in _PREFERRED:
        found = at(document, "GET", path)
        if found is not None:
            return found
    linked = _linked(document, create) if create else None
    if linked is not None:
        return linked
    relation = _Relation(create) if create else None
    best: tuple[int, Operation] | None = None
    for operation in iterate(document):
        if operation.method == "GET" and "/generation/{" in operation.path and _SEED.search(operation.path):
            return operation
        score = relation.score(operation) if relation else 0
        if score >= LEAST and (best is None or score > best[0]):
            best = (score, operation)
    return best[1] if best else None


def _linked(document: Document, create: Operation) -> Operation | None:
    """The target of the create's `links`, where the document says it in so many words."""
    for code, response in create.responses().items():
        links = response.get("links")
        if code.startswith("2") and isinstance(links, dict):
            wanted = [link.get("operationId") for link in map(document.deref, links.values()) if isinstance(link, dict)]
            for operation in iterate(document):
                if operation.method == "GET" and operation.raw.get("operationId") in [w for w in wanted if w]:
                    return operation
    return None


class _Relation:
    """How likely operations are to poll what one create operation makes."""

    def __init__(self, create: Operation) -> None:
        self.segments = _segments(create.path)
        self.stems = {_stem(part) for part in self.segments}
        self.tags = set(create.tags)
        self.parameters = create.path.count("{")

    def score(self, operation: Operation) -> int:
        """0 for what cannot be it. A document may have thousands of operations: what is cheap comes first."""
        if operation.method not in ("GET", "POST"):
            return 0
        path = operation.path
        last = path.rstrip("/").rpartition("/")[2]
        if operation.method == "POST" and not _BY_POST.search(last):
            return 0
        parts = _segments(path)
        stems = {_stem(part) for part in parts}
        same_tag = bool(self.tags) and not self.tags.isdisjoint(operation.tags)
        if not same_tag and self.stems.isdisjoint(stems):
            return 0
        common = self._common(parts)
        if not (common or same_tag or (parts and _stem(parts[-1]) in self.stems)) or _NOT_POLL.search(last):
            return 0
        score = 1
        if operation.method == "GET":
            if "{" not in path and not any(
                parameter.get("in") == "query" and _ID_NAMES.search(parameter["name"])
                for parameter in operation.parameters()
            ):
                return 0
            if last.startswith("{"):
                score = 3
            elif last.lower() in ("status", "result"):
                score = 4 if last.lower() == "status" else 3
        score += 2 * common + same_tag + bool(_POLL_WORDS.search(path))
        if parts and self.segments and _stem(parts[-1]) == _stem(self.segments[-1]):
            score += 3
        elif not self.stems.isdisjoint(stems):
            score += 1
        score -= 2 * sum(1 for part in parts if part not in self.segments and not _POLL_WORDS.search(part))
        return score - 2 * (path.count("{") - self.parameters > 1)

    def _common(self, parts: list[str]) -> int:
        """Leading segments that both paths have."""
        common = 0
        for ours, theirs in zip(self.segments, parts, strict=False):
            if ours != theirs:
                break
            common += 1
        return common


def _segments(path: str) -> list[str]:
    """Segments that say something: no parameters, versions or `api`."""
    return [
        part
        for part in path.lower().split("/")
        if part and "{" not in part and not (part[0] in "av" and _VERSION.fullmatch(part))
    ]


def _stem(segment: str) -> str:
    return segment.rstrip("s")
