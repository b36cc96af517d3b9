"""Bytes to plain values: JSON or YAML by content, with the parsed form of large YAML kept in the cache."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from videotasks.openapi import recognise
from videotasks.openapi.errors import SpecError

# Below this, parsing YAML costs less than the look-up in the cache is worth (100 kB parse in 15 ms).
CACHED_FROM = 100_000
# Telling duplicate keys of JSON costs a Python call for each object; above this it would double the time.
DUPLICATES_UP_TO = 500_000
# Part of the name of a cached file: raise it when what the parser makes of a text changes.
CACHE_FORMAT = "2"
KEPT_FILES = 40


def parse(data: bytes, shown: str, cache: bool = True) -> tuple[object, list[str]]:
    """The value and its warnings. `shown` names the file in errors. Raises SpecError for what is neither format."""
    recognise.refuse_binary(data)
    key = ""
    if cache and len(data) >= CACHED_FROM and data.lstrip()[:1] not in (b"{", b"["):
        import hashlib

        key = f"{hashlib.sha256(data).hexdigest()}-{CACHE_FORMAT}.json"
        hit = _from_cache(key)
        if hit is not None:
            return hit
    text, warnings = _decode(data)
    with _no_collection():
        value, more = _parse_text(text, shown)
    warnings += more
    if key:
        _to_cache(key, value, warnings)
    return value, warnings


@contextmanager
def _no_collection() -> Iterator[None]:
    """Parsing makes a million objects and no garbage: the collector's passes over them cost a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _decode(data: bytes) -> tuple[str, list[str]]:
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding), []
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace"), [f"not valid {encoding}; read as Windows-1252"]


def _parse_text(text: str, shown: str) -> tuple[object, list[str]]:
    recognise.refuse_text(text)
    if text.lstrip()[:1] in ("{", "["):
        try:
            return _json(text)
        except RecursionError:
            raise SpecError(f"{shown} is nested too deeply", expected="a specification") from None
        except json.JSONDecodeError as exc:
            failure = f"Invalid JSON in {shown}: {exc}"
        except ValueError:
            raise SpecError(f"{shown} holds a number of more than 4000 digits", expected="a specification") from None
        try:  # YAML's flow style: comments, trailing commas, single quotes
            value, warnings = _yaml(text)
        except ValueError:
            raise SpecError(failure, expected="valid JSON or YAML") from None
        return value, ["not strict JSON; read as YAML", *warnings]
    block = None if recognise.starts_as_spec(text) else recognise.embedded(text)
    if block is not None:
        value, warnings = _parse_text(block, shown)
        return value, ["read from the first specification block of a Markdown page", *warnings]
    try:
        return _yaml(text)
    except ValueError as exc:
        raise SpecError(f"Invalid YAML in {shown}: {exc}", expected="valid JSON or YAML") from None


def _json(text: str) -> tuple[object, list[str]]:
    if len(text) > DUPLICATES_UP_TO:
        return json.loads(text), []
    duplicates: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) != len(items):
            seen: set[str] = set()
            for name, _ in items:
                if name in seen:
                    duplicates.append(name)
                seen.add(name)
        return made

    value = json.loads(text, object_pairs_hook=pairs)
    return value, [_duplicate(name) for name in duplicates[:20]]


def _yaml(text: str) -> tuple[object, list[str]]:
    from videotasks.formats import yaml12

    duplicates: list[str] = []

    def note(key: str, line: int) -> None:
        if len(duplicates) < 20:
            duplicates.append(f"{_duplicate(key)} (line {line})")

    return yaml12.load(text, text_keys=True, local_tags=True, on_duplicate=note), duplicates


def _duplicate(name: str) -> str:
    return f"duplicate key {name[:80]!r}: the last one counts"


def _from_cache(key: str) -> tuple[object, list[str]] | None:
    from videotasks.core import user_cache

    folder = user_cache.cache_dir("parsed")
    if folder is None:
        return None
    try:
        with open(folder / key, encoding="utf-8") as file, _no_collection():
            kept = json.load(file)
        return kept["value"], [str(warning) for warning in kept["warnings"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _to_cache(key: str, value: object, warnings: list[str]) -> None:
    from videotasks.core import user_cache

    folder = user_cache.cache_dir("parsed")
    if folder is None:
        return
    try:
        # Surrogates cannot be encoded; ASCII escapes can hold anything that JSON can.
        data = json.dumps({"warnings": warnings, "value": value}, separators=(",", ":"), check_circular=False)
    except (ValueError, RecursionError):
        return
    if user_cache.write(folder / key, data.encode("ascii")):
        user_cache.prune(folder, KEPT_FILES)
