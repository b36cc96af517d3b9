"""YAML 1.2 (core schema) loading, bounded, straight from the parser's events.

PyYAML's own loaders are not used, for three measured reasons:

* they read YAML 1.1: an unquoted ``16:9`` becomes 969, ``off`` becomes False and dates become ``datetime``;
* the C composer is recursive and dies with a segmentation fault on a 30 kB file of ``[`` (no exception reaches Python);
* they build a node graph before the values, which costs half of the time and most of the memory.

Here one iterative pass turns events into values, so depth, alias count and alias expansion are checked before
anything is built, and a 3 MB document loads in less time than ``yaml.load(..., Loader=CSafeLoader)`` needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from sys import intern
from typing import Any

# A document of a few hundred bytes can name 10**9 nodes through aliases ("billion laughs", 81 aliases), so a limit on
# their number is not enough: what they add when written out is limited too.
MAX_EXPANSION = 1_000_000
MAX_ALIASES = 1_000
MAX_DEPTH = 100
# int() refuses longer texts itself (CPython's default limit) but with a message nobody understands.
MAX_DIGITS = 4_000

_NULLS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_SPECIAL_FLOAT = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_MAYBE_NUMBER = frozenset("0123456789+-.")
_TAG = "tag:yaml.org,2002:"
_TYPE_OF_TAG = {_TAG + "null": type(None), _TAG + "bool": bool, _TAG + "int": int, _TAG + "float": float}
# Scalars of YAML 1.1 that have no counterpart in JSON stay the text that the author wrote.
_TEXT_TAGS = frozenset((_TAG + "str", _TAG + "timestamp", _TAG + "binary", "!"))


class YamlError(ValueError):
    """The text is not a YAML document that we read; the message says where and why."""


def resolve_plain(text: str) -> object:
    """The value of an unquoted scalar by the YAML 1.2 core schema (chapter 10.3.2)."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text[0] not in _MAYBE_NUMBER:
        return text
    if _INT.match(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a number of {len(text)} digits")
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    if _OCTAL.match(text):
        return int(text[2:], 8)
    if _HEX.match(text):
        return int(text[2:], 16)
    if _SPECIAL_FLOAT.match(text):
        return float(text.replace(".", "", 1))
    return text


def load(
    text: str | bytes,
    *,
    text_keys: bool = False,
    local_tags: bool = False,
    on_duplicate: Callable[[str, int], None] | None = None,
) -> object:
    """One YAML document as plain dicts, lists, strings, numbers, booleans and None.

    ``text_keys`` keeps every mapping key as the text that was written (``200:`` is ``"200"``, as in JSON).
    ``local_tags`` reads what has a tag of somebody's own (``!Sub``, ``!include``) as if it had none.
    ``on_duplicate(key, line)`` is told of each repeated key; the last one wins. ``<<`` merges as in YAML 1.1, because
    real documents use it. An empty text is None. Raises YamlError for broken YAML, for more than one document, for
    unknown tags (``!!python/...``) and when a limit is passed.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Builder(text_keys, local_tags, on_duplicate).build(yaml.parse(text, Loader=loader))
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        raise YamlError(
            f"{_place(mark)}{exc.problem or exc.context or 'not valid YAML'}{_advice(text, mark)}"
        ) from None
    except yaml.YAMLError as exc:
        raise YamlError(" ".join(str(exc).split()) or "not valid YAML") from None
    except UnicodeError as exc:
        raise YamlError(f"not valid text: {exc.reason if hasattr(exc, 'reason') else exc}") from None


def lines(text: str | bytes) -> dict[tuple[str | int, ...], int]:
    """Where each member of a document stands: its path of keys and indexes -> line, from 1. For texts that `load` took.

    What an alias or `<<` brings stands where its anchor is, and has no entry.
    """
    import yaml
    from yaml import events as ev

    found: dict[tuple[str | int, ...], int] = {}
    stack: list[list[Any]] = []  # [path of the collection, its next index or the key that waits for its value]
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, (ev.MappingEndEvent, ev.SequenceEndEvent)):
            stack.pop()
        elif isinstance(event, ev.NodeEvent):
            line = event.start_mark.line + 1 if event.start_mark else 0
            path: tuple[str | int, ...] = ()
            if stack:
                above, waiting, is_list = stack[-1]
                if not is_list and waiting is None:
                    stack[-1][1] = key = str(getattr(event, "value", ""))
                    path = (*above, key)
                    found[path] = line
                    continue
                path = (*above, waiting)
                found.setdefault(path, line)
                stack[-1][1] = waiting + 1 if is_list else None
            if isinstance(event, ev.CollectionStartEvent):
                is_list = isinstance(event, ev.SequenceStartEvent)
                stack.append([path, 0 if is_list else None, is_list])
    return found


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""


def _advice(text: str | bytes, mark: Any) -> str:
    """The two mistakes that everybody makes once."""
    rows = (text.decode("utf-8", "replace") if isinstance(text, bytes) else text).splitlines()
    row = rows[mark.line] if mark is not None and mark.line < len(rows) else ""
    if "\t" in row[: len(row) - len(row.lstrip())]:
        return "; the line is indented with a tab: YAML takes blanks only"
    return "; a text with { or : in it is put in quotes" if "{" in row.partition("{")[2] or ": /" in row else ""


_NO_KEY, _MERGE = object(), object()  # in the place of a mapping's key that waits for its value


class _Builder:
    def __init__(self, text_keys: bool, local_tags: bool, on_duplicate: Callable[[str, int], None] | None) -> None:
        self.text_keys = text_keys
        self.local_tags = local_tags
        self.on_duplicate = on_duplicate
        self.scalars: dict[str, object] = {}

    def build(self, events: Iterator[Any]) -> object:
        """Consume all events. One loop without calls for the common cases: a large spec has a million events."""
        from yaml import events as ev

        scalar_event, alias_event = ev.ScalarEvent, ev.AliasEvent
        mapping_start, sequence_start = ev.MappingStartEvent, ev.SequenceStartEvent
        mapping_end, sequence_end, document_start = ev.MappingEndEvent, ev.SequenceEndEvent, ev.DocumentStartEvent
        scalars, text_keys, on_duplicate = self.scalars, self.text_keys, self.on_duplicate
        stack: list[tuple[Any, Any, str | None, int]] = []
        anchors: dict[str, tuple[object, int] | None] = {}
        merges: dict[int, list[object]] = {}
        current: Any = None
        key: Any = _NO_KEY
        root: object = None
        documents = nodes = aliases = expansion = 0

        for event in events:
            kind = event.__class__
            nodes += 1
            if kind is scalar_event:
                value: Any = event.value
                if current.__class__ is dict and key is _NO_KEY:
                    if value == "<<" and event.implicit[0]:
                        key = _MERGE
                        continue
                    if not (text_keys and event.tag is None):
                        value = self.scalar(event)
                        if text_keys and value.__class__ is not str:
                            value = event.value
                elif event.tag is not None or (event.implicit[0] and value not in scalars):
                    value = self.scalar(event)
                elif event.implicit[0]:
                    value = scalars[value]
                if event.anchor is not None:
                    anchors[event.anchor] = (value, 1)
            elif kind is mapping_start or kind is sequence_start:
                if len(stack) >= MAX_DEPTH:
                    raise YamlError(f"{_place(event.start_mark)}nested deeper than {MAX_DEPTH} levels")
                if event.tag is not None:
                    self.check_collection_tag(event)
                if event.anchor is not None:
                    anchors[event.anchor] = None  # open: an alias to it from inside would be a loop
                stack.append((current, key, event.anchor, nodes + expansion))
                current = {} if kind is mapping_start else []
                key = _NO_KEY
                continue
            elif kind is mapping_end or kind is sequence_end:
                value = current
                if merges and id(value) in merges:
                    self.merge(value, merges.pop(id(value)), event)
                current, key, anchor, start = stack.pop()
                if anchor is not None:
                    anchors[anchor] = (value, nodes + expansion - start)
            elif kind is alias_event:
                aliases += 1
                if aliases > MAX_ALIASES:
                    raise YamlError(f"{_place(event.start_mark)}more than {MAX_ALIASES} aliases")
                if event.anchor not in anchors:
                    raise YamlError(f"{_place(event.start_mark)}alias *{event.anchor} has no anchor")
                target = anchors[event.anchor]
                if target is None:
                    raise YamlError(f"{_place(event.start_mark)}alias *{event.anchor} refers to what contains it")
                value, size = target
                expansion += size
                if expansion > MAX_EXPANSION:
                    raise YamlError(f"{_place(event.start_mark)}aliases add more than {MAX_EXPANSION} values")
            else:
                documents += kind is document_start
                if documents > 1:
                    raise YamlError(f"{_place(event.start_mark)}a second document starts; expected one")
                continue

            if current.__class__ is list:
                current.append(value)
            elif current is None:
                root = value
            elif key is _NO_KEY:
                if value.__class__ in (dict, list):
                    raise YamlError(f"{_place(event.start_mark)}a mapping key must be a plain value")
                if text_keys and value.__class__ is not str:
                    value = str(value)
                if on_duplicate is not None and value in current:
                    on_duplicate(str(value), event.start_mark.line + 1)
                key = intern(value) if value.__class__ is str else value
            elif key is _MERGE:
                merges.setdefault(id(current), []).append(value)
                key = _NO_KEY
            else:
                current[key] = value
                key = _NO_KEY
        return root

    def scalar(self, event: Any) -> object:
        """The value of one scalar event, by its tag if it has one; plain untagged ones are remembered by text."""
        text, tag = event.value, event.tag
        try:
            if tag is None:
                if not event.implicit[0]:
                    return text
                value = self.scalars[text] = resolve_plain(text)
                return value
            if tag in _TEXT_TAGS:
                return text
            if self.local_tags and tag.startswith("!"):
                return resolve_plain(text) if not event.style else text
            if tag.startswith(_TAG):
                value = resolve_plain(text)
                wanted = _TYPE_OF_TAG.get(tag)
                if wanted is float and type(value) is int:
                    return float(value)
                if type(value) is wanted:
                    return value
        except (ValueError, OverflowError) as exc:
            raise YamlError(f"{_place(event.start_mark)}{exc}") from None
        raise YamlError(f"{_place(event.start_mark)}tag {tag[:80]!r} is not supported for {text[:40]!r}")

    def check_collection_tag(self, event: Any) -> None:
        local = self.local_tags and event.tag.startswith("!")
        if not local and event.tag not in (_TAG + "map", _TAG + "seq", "!"):
            raise YamlError(f"{_place(event.start_mark)}tag {event.tag[:80]!r} is not supported")

    def merge(self, target: dict[Any, Any], sources: list[object], event: Any) -> None:
        """Fill ``target`` from ``<<`` values: its own keys win, then earlier sources (YAML 1.1 merge type)."""
        for source in (one for given in sources for one in (given if isinstance(given, list) else [given])):
            if not isinstance(source, dict):
                raise YamlError(f"{_place(event.start_mark)}<< expects a mapping or a list of mappings")
            for name, value in source.items():
                target.setdefault(name, value)
