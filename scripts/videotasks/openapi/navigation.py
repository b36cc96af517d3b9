"""Endpoints from a documentation navigation: Mintlify's docs.json or mint.json, at any nesting, in every page form."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from videotasks.openapi import parsing, source
from videotasks.openapi.document import Document, entries, members
from videotasks.openapi.endpoints import is_other, resolved
from videotasks.openapi.operations import Operation, iterate
from videotasks.openapi.source import SpecError

MAX_PAGES = 500  # pages that are opened to look at their front matter
_PAGE = re.compile(
    r"(?:(?P<file>\S+\.(?:json|ya?ml)|https?://\S+|[\w./-]+)\s+)?(?P<method>GET|POST|PUT|PATCH|DELETE)\s+(?P<path>\S+)\s*\Z",
    re.IGNORECASE,
)
_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_FRONT_LINE = re.compile(r"^(?:openapi|api)[ \t]*:[ \t]*(.+?)[ \t]*\r?$", re.MULTILINE)
_TITLES = ("group", "tab", "anchor", "dropdown", "product", "item", "menu", "title")
_GROUPS = {
    "videos": re.compile(r"vid[eé]o|v[ií]deo|视频|視頻|動画|비디오|영상|فيديو", re.IGNORECASE),
    "images": re.compile(r"image|imagen|图片|图像|圖像|画像|이미지|صور", re.IGNORECASE),
}


def load(path: str) -> tuple[dict[str, Any], str]:
    """The navigation and the absolute path of its file. Raises SpecError."""
    got = source.read(path)
    value, _ = parsing.parse(got.data, path, cache=False)
    if not isinstance(value, dict):
        raise SpecError(f"{path} is not a documentation navigation", expected="docs.json or mint.json, an object")
    return value, got.origin


def endpoints(
    navigation: dict[str, Any], origin: str, document: Document, category: str
) -> tuple[dict[str, Operation | None], list[str]]:
    """Create endpoints of the category's groups with their operations (None: not in the document), and warnings.

    A path that the document has only with or without `/v1` is given as the document has it.
    """
    root = os.path.dirname(origin) if "://" not in origin[:10] else None
    reader = _Pages(root, document)
    found: dict[str, Operation | None] = {}
    for page in _category_pages(navigation, _GROUPS[category]):
        for method, path in reader.endpoints(page):
            if method != "POST":
                continue
            operation = resolved(document, f"{method} {path}")
            if operation is None or not is_other(operation, category):
                found.setdefault(operation.endpoint if operation else f"{method} {path}", operation)
    missing = [text for text, operation in found.items() if operation is None]
    if missing:
        listed = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        reader.warnings.append(f"{len(missing)} endpoint(s) of the navigation are not in the specification: {listed}")
    return found, reader.warnings


def _category_pages(node: Any, wanted: re.Pattern[str], depth: int = 0) -> Iterator[Any]:
    """Page entries inside containers whose title fits; a container without pages stands for its whole `openapi`."""
    titles = [title for key in _TITLES if isinstance(title := members(node).get(key), str)]
    holds = not {"pages", "groups", "openapi", "tabs", "anchors", "root"}.isdisjoint(members(node))
    if holds and any(wanted.search(title) for title in titles):
        yield from _pages(node, depth)
    else:
        for value in (*entries(node), *members(node).values()) if depth < 60 else ():
            yield from _category_pages(value, wanted, depth + 1)


def _pages(node: Any, depth: int) -> Iterator[Any]:
    """All page entries below a container."""
    inner = entries(node)
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        keys = ("root", "pages", "groups", "tabs", "anchors", "dropdowns", "menu")
        inner = [node[key] for key in keys if node.get(key)]
        if "openapi" in node and not inner:
            yield {"openapi": node["openapi"]}
    for entry in inner if depth < 60 else ():
        yield from _pages(entry, depth + 1)


class _Pages:
    """Turns page entries into endpoints; opens MDX files only inside the navigation's folder."""

    def __init__(self, root: str | None, document: Document) -> None:
        self.root = os.path.realpath(root) if root else None
        self.document = document
        self.warnings: list[str] = []
        self._opened = 0

    def endpoints(self, page: Any) -> list[tuple[str, str]]:
        if isinstance(page, dict):  # a group that shows all operations of its document
            return [(operation.method, operation.path) for operation in self._operations if operation.method == "POST"]
        text = str(page).strip()
        direct = _endpoint(text)
        if direct:
            return [direct]
        if " " in text or "://" in text:
            return []
        front = self._front_matter(text)
        return self._by_name(text) if front is None else front

    @cached_property
    def _operations(self) -> list[Operation]:
        return list(iterate(self.document))

    def _front_matter(self, slug: str) -> list[tuple[str, str]] | None:
        """What the page's front matter says (nothing, for a guide); None when the page is not on disk."""
        if self.root is None or self._opened >= MAX_PAGES:
            return None
        for ending in ("", ".mdx", ".md") if slug.endswith((".mdx", ".md")) else (".mdx", ".md"):
            path = source.inside(self.root, slug.strip("/") + ending)
            if path is None or not os.path.isfile(path):
                continue
            self._opened += 1
            try:
                head = source.read_file(path, slug)[:20_000].decode("utf-8", "replace")
            except SpecError as exc:
                self.warnings.append(exc.message)
                return []
            front = _FRONT.match(head)
            lines = _FRONT_LINE.findall(front.group(1)) if front else []
            found = [_endpoint(line.strip().strip("\"'").strip()) for line in lines]
            return [endpoint for endpoint in found if endpoint]
        return None

    def _by_name(self, slug: str) -> list[tuple[str, str]]:
        """`api-reference/endpoint/video/queue` means `POST /video/queue` when the document has exactly that tail."""
        parts = slug.strip("/").lower().split("/")
        fitting: dict[int, tuple[str, str]] = {}  # by how much of the tail it says
        for operation in self._operations:
            path = [part for part in operation.path.lower().split("/") if part and "{" not in part]
            if path and operation.method == "POST" and parts[-len(path) :] == path:
                fitting.setdefault(len(path), (operation.method, operation.path))
        return [fitting[max(fitting)]] if fitting else []


def _endpoint(text: str) -> tuple[str, str] | None:
    """`POST /x`, `openapi.json POST /x`, `spec-name POST https://host/x` as method and path."""
    match = _PAGE.match(text)
    if match is None:
        return None
    path = match.group("path")
    if "://" in path[:10]:
        path = "/" + path.split("://", 1)[1].partition("/")[2]
    return (match.group("method").upper(), path) if path.startswith("/") else None
