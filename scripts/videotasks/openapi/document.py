"""A loaded specification and its references, followed one at a time and only inside its own folder."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from videotasks.openapi import parsing, source
from videotasks.openapi.source import SpecError

MISSING: Any = object()
MAX_HOPS = 50
MAX_FILES = 1000  # files of one multi-file specification; the largest that we met has 134
MAX_WARNINGS = 200
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")


def members(value: Any) -> dict[str, Any]:
    """The members of an object; none of anything else, for a real document holds anything anywhere."""
    return value if isinstance(value, dict) else {}


def entries(value: Any) -> list[Any]:
    """The entries of a list; none of anything else."""
    return value if isinstance(value, list) else []


class Document:
    """The parsed root with what is needed to follow its references. Nothing in it is copied or changed.

    `family` is "2.0", "3.0" or "3.1". References of other files are rewritten when such a file is loaded, so that each
    `$ref` in hand reads the same everywhere: `#/pointer` in the root, `folder/file.yaml#/pointer` from its folder.
    """

    def __init__(self, root: dict[str, Any], family: str, origin: str, folder: str | None) -> None:
        self.root = root
        self.family = family
        self.origin = origin
        self.warnings: list[str] = []
        self._folder = os.path.realpath(folder) if folder else None
        self._files: dict[str, Any] = {posixpath.basename(origin.replace(os.sep, "/")): root} if folder else {}
        self._resolved: dict[str, Any] = {}

    def warn(self, text: str) -> None:
        if len(self.warnings) < MAX_WARNINGS and text not in self.warnings:
            self.warnings.append(text)

    def resolve(self, ref: str) -> Any:
        """What `ref` names, or MISSING (then a warning says why). Nothing outside the folder is opened or fetched."""
        if ref in self._resolved:
            return self._resolved[ref]
        self._resolved[ref] = MISSING  # an external file that refers to itself while it loads
        target = self._look_up(ref)
        self._resolved[ref] = target
        return target

    def deref(self, node: Any) -> Any:
        """`node`, or what its chain of references ends at; an empty object where that is nothing."""
        seen: set[str] = set()
        while isinstance(node, dict) and isinstance(node.get("$ref"), str):
            ref = node["$ref"]
            if ref in seen or len(seen) > MAX_HOPS:
                self.warn(f"$ref {ref[:120]} refers to itself")
                return {}
            seen.add(ref)
            node = self.resolve(ref)
            if node is MISSING:
                return {}
        return node

    def path_names(self) -> list[str]:
        return [path for path in members(self.root.get("paths")) if isinstance(path, str)]

    def schemas(self) -> dict[str, Any]:
        """The named schemas as written."""
        return members(members(self.root.get("components")).get("schemas")) or members(self.root.get("definitions"))

    def paths(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Path and path item, references followed and siblings of the reference kept."""
        for path, item in members(self.root.get("paths")).items():
            if isinstance(item, dict) and isinstance(item.get("$ref"), str):
                target = self.deref(item)
                siblings = {key: value for key, value in item.items() if key != "$ref"}
                item = {**target, **siblings} if isinstance(target, dict) else None
            if isinstance(item, dict):
                yield str(path), item

    def _look_up(self, ref: str) -> Any:
        name, _, fragment = ref.partition("#")
        shown = ref[:120]
        if name:
            if _BARE.match(name) and "." not in name and not fragment and name in self.schemas():
                self.warn(f"$ref {shown!r} is a bare name; taken as that schema")
                return self.schemas()[name]
            root = self._file(name, shown)
            if root is MISSING:
                return MISSING
        else:
            root = self.root
        if not fragment:
            return root
        if not fragment.startswith("/"):
            target = self._index[0].get(unquote(fragment), MISSING)
        else:
            target = _walk(self, root, fragment)
            if target is MISSING and root is self.root:
                target = self._definition(fragment)
        if target is MISSING:
            self.warn(f"$ref {shown} leads nowhere")
        return target

    def _file(self, name: str, shown: str) -> Any:
        """The parsed neighbour file, loaded once. MISSING with a warning for everything that is not one."""
        name = unquote(name)
        if _SCHEME.match(name) or name.startswith(("/", "\\")) or "\\" in name or "\0" in name:
            self.warn(f"$ref {shown} points outside the specification's folder: not followed")
            return MISSING
        key = posixpath.normpath(name)
        if key in self._files:
            return self._files[key]
        self._files[key] = MISSING
        if self._folder is None:
            self.warn(f"$ref {shown} names another file; only a specification on disk can have those")
            return MISSING
        path = source.inside(self._folder, key)
        if path is None or key.startswith(".."):
            self.warn(f"$ref {shown} points outside the specification's folder: not followed")
            return MISSING
        if len(self._files) > MAX_FILES:
            self.warn(f"more than {MAX_FILES} files; $ref {shown} is not followed")
            return MISSING
        try:
            value, warnings = parsing.parse(source.read_file(path, key), key)
        except SpecError as exc:
            self.warn(f"$ref {shown}: {exc.message}")
            return MISSING
        for warning in warnings:
            self.warn(f"{key}: {warning}")
        _rebase(value, key)
        self._files[key] = value
        return value

    def _definition(self, fragment: str) -> Any:
        """`#/$defs/X` that was true inside one schema before it was pasted into the document: any `$defs` named X."""
        match = re.match(r"/(?:\$defs|definitions|components/schemas)/([^/]+)(/.*)?\Z", fragment)
        if not match:
            return MISSING
        target = self._index[1].get(_token(match.group(1)), MISSING)
        if target is not MISSING:
            self.warn(f"$ref #{fragment[:120]} is not at the document's root; taken from the schema that defines it")
            if match.group(2):
                target = _walk(self, target, match.group(2))
        return target

    @cached_property
    def _index(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What `$anchor` and nested `$defs` name anywhere in the root; only documents that need it pay for the pass."""
        anchors: dict[str, Any] = {}
        definitions: dict[str, Any] = {}
        stack: list[Any] = [self.root]
        while stack:
            node = stack.pop()
            if isinstance(node, dict):
                for field in ("$anchor", "$dynamicAnchor"):
                    if isinstance(node.get(field), str):
                        anchors.setdefault(node[field], node)
                for field in ("$defs", "definitions"):
                    for name, value in members(node.get(field)).items():
                        definitions.setdefault(name, value)
                stack.extend(node.values())
            elif isinstance(node, list):
                stack.extend(node)
        return anchors, definitions


def load(spec: str) -> Document:
    """Read, parse and recognise a specification. An invalid one is a warning, not a refusal. Raises SpecError."""
    got = source.read(spec)
    return from_bytes(got.data, got.origin, got.folder, got.warnings)


def from_bytes(data: bytes, origin: str, folder: str | None, warnings: tuple[str, ...] = ()) -> Document:
    """As `load`, of bytes in hand."""
    value, found = parsing.parse(data, origin)
    family, more = parsing.version_of(value)
    assert isinstance(value, dict)
    document = Document(value, family, origin, folder)
    for warning in (*warnings, *found, *more):
        document.warn(warning)
    return document


def _token(text: str) -> str:
    return unquote(text).replace("~1", "/").replace("~0", "~")


def _walk(document: Document, node: Any, pointer: str) -> Any:
    for raw in pointer.split("/")[1:]:
        if isinstance(node, list):
            index = int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 10 else len(node)
            node = node[index] if index < len(node) else MISSING
            continue
        part = raw.replace("~1", "/").replace("~0", "~")
        part = part if part in members(node) else _token(raw)
        holder = node if part in members(node) else document.deref(node)
        node = members(holder).get(part, MISSING)
    return node


def _rebase(value: Any, key: str) -> None:
    """Write the references of a neighbour file as seen from the root's folder (that file's own tree, changed once)."""
    folder = posixpath.dirname(key)
    seen: set[int] = set()
    stack = [value]
    while stack:
        node = stack.pop()
        if id(node) in seen:  # YAML aliases share objects; a second visit would move the reference twice
            continue
        if isinstance(node, dict):
            seen.add(id(node))
            ref = node.get("$ref")
            if isinstance(ref, str):
                node["$ref"] = _rebased(ref, key, folder)
            mapping = members(node.get("mapping")) if "propertyName" in node else {}
            for name, target in mapping.items():
                if isinstance(target, str) and re.search(r"[#/]|\.yaml\Z|\.json\Z", target):
                    mapping[name] = _rebased(target, key, folder)
            stack.extend(node.values())
        elif isinstance(node, list):
            seen.add(id(node))
            stack.extend(node)


def _rebased(ref: str, key: str, folder: str) -> str:
    if ref.startswith("#"):
        return key + ref
    if _SCHEME.match(ref) or ref.startswith(("/", "\\")):
        return ref
    name, hash_sign, fragment = ref.partition("#")
    return posixpath.normpath(posixpath.join(folder, name)) + hash_sign + fragment
