"""Bytes to plain values: JSON or YAML by content, and told apart from what people pass by mistake.

The parsed form of large YAML is kept in the cache.
"""

from __future__ import annotations

import gc
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from videotasks.core import user_cache
from videotasks.openapi.source import SpecError

# Below this, parsing YAML costs less than the look-up in the cache is worth (100 kB parse in 15 ms).
CACHED_FROM = 100_000
# Telling duplicate keys of JSON costs a Python call for each object; above this it would double the time.
DUPLICATES_UP_TO = 500_000
# Part of the name of a cached file: raise it when what the parser makes of a text changes.
CACHE_FORMAT = "2"
KEPT_FILES = 40
_EXPECTED = "an OpenAPI 3.0/3.1 or Swagger 2.0 document (JSON or YAML)"
_FENCE = re.compile(r"^([`~]{3,})[ \t]*(?:json|ya?ml)?[^\n]*\n", re.IGNORECASE | re.MULTILINE)
_UNPACK, _NO_TEXT = "unpack it first", "look for the address of openapi.json, openapi.yaml or swagger.json"
_MAGIC = (
    (b"\x1f\x8b", "gzip-compressed", _UNPACK),
    (b"PK\x03\x04", "a zip archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed", _UNPACK),
    (b"BZh", "bzip2-compressed", _UNPACK),
    (b"\xfd7zXZ\x00", "xz-compressed", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"%PDF", "a PDF", _NO_TEXT),
    (b"\x89PNG", "a PNG picture", _NO_TEXT),
    (b"\xff\xd8\xff", "a JPEG picture", _NO_TEXT),
    (b"GIF8", "a GIF picture", _NO_TEXT),
    (b"\xd0\xcf\x11\xe0", "an old Office document", _NO_TEXT),
    (b"SQLite format 3\x00", "a database", _NO_TEXT),
    (b"\x7fELF", "a program", _NO_TEXT),
)
_SPEC_START = re.compile(
    r"\s*(?:---\s+)?(?:#[^\n]*\n\s*)*(?:\{\s*[\"']?(?:openapi|swagger)\b|[\"']?(?:openapi|swagger)[\"']?\s*:)"
)


def parse(data: bytes, shown: str, cache: bool = True) -> tuple[object, list[str]]:
    """The value and its warnings. `shown` names the file in errors. Raises SpecError for what is neither format."""
    _refuse_binary(data)
    key = ""
    if cache and len(data) >= CACHED_FROM and data.lstrip()[:1] not in (b"{", b"["):
        import hashlib

        key = f"{hashlib.sha256(data).hexdigest()}-{CACHE_FORMAT}.json"
        with _no_collection():
            kept = user_cache.recall("parsed", key)
        if isinstance(kept, dict) and "value" in kept:
            return kept["value"], [str(warning) for warning in kept["warnings"]]
    text, warnings = _decode(data)
    with _no_collection():
        value, more = _parse_text(text, shown)
    warnings += more
    if key:
        user_cache.keep("parsed", key, {"value": value, "warnings": warnings}, KEPT_FILES)
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
    _refuse_text(text)
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
    block = None if _SPEC_START.match(text) else _embedded(text)
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
            duplicates.extend(name for name, count in Counter(name for name, _ in items).items() if count > 1)
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


# -- what a text or a parsed document is --


def _refuse_binary(data: bytes) -> None:
    """Raise for archives, PDFs and images, whose text would only give a puzzling parse error."""
    for magic, name, step in _MAGIC:
        if data.startswith(magic):
            raise SpecError(f"The file is {name}, not text", expected=_EXPECTED, next_step=step)
    if data[4:8] == b"ftyp":
        raise SpecError("The file is a video, not text", expected=_EXPECTED, next_step=_NO_TEXT)
    if not data.strip():
        raise SpecError("The file is empty", expected=_EXPECTED)


def _refuse_text(text: str) -> None:
    """Raise for texts that are known not to be JSON or YAML specifications."""
    head = text[:2000].lstrip("\ufeff \t\r\n")
    low = head.lower()
    if low.startswith("<"):
        kind = "an XML document" if low.startswith("<?xml") and "<html" not in low else "an HTML page"
        for mark, name in _XML:
            if mark in low:
                kind = name
        step = "open it in a browser and look for a link to openapi.json, openapi.yaml or swagger.json"
        raise SpecError(f"This is {kind}, not a specification", expected=_EXPECTED, next_step=step)
    if low.startswith("format: 1a"):
        raise SpecError("This is an API Blueprint", expected=_EXPECTED)
    if low.startswith("#%raml"):
        raise SpecError("This is a RAML document", expected=_EXPECTED, next_step="convert it to OpenAPI 3 first")
    if re.match(r"(?://[^\n]*\n\s*)*syntax\s*=\s*[\"']proto", low):
        raise SpecError("This is a Protocol Buffers file", expected=_EXPECTED)


# Older dialects that are written in XML.
_XML = (
    ("wadl.dev.java.net", "a WADL document"), ("<application xmlns", "a WADL document"),
    ("schemas.xmlsoap.org/wsdl", "a WSDL document"), ("www.w3.org/ns/wsdl", "a WSDL document"),
    ("<edmx:", "OData metadata"), ("<svg", "an SVG picture"),
)  # fmt: skip


def _embedded(text: str) -> str | None:
    """The first fenced block of a Markdown page that holds a specification (documentation pages carry them)."""
    for match in _FENCE.finditer(text):
        if _SPEC_START.match(text, match.end()):
            end = text.find("\n" + match.group(1), match.end())
            return text[match.end() : end if end >= 0 else len(text)]
    return None


def version_of(root: object) -> tuple[str, list[str]]:
    """The family (`"2.0"`, `"3.0"`, `"3.1"`) and warnings. Raises SpecError naming what the document is instead."""
    if not isinstance(root, dict):
        kind = "a list" if isinstance(root, list) else "a plain text or value"
        raise SpecError(f"The document is {kind}, not an object", expected=_EXPECTED)
    other = _other_kind(root)
    if other and not ("paths" in root and ("openapi" in root or "swagger" in root)):
        raise SpecError(f"This is {other[0]}, not an OpenAPI document", expected=_EXPECTED, next_step=other[1])
    warnings: list[str] = []
    swagger, openapi = root.get("swagger"), root.get("openapi")
    if openapi is not None:
        text = str(openapi)
        family = "3.0" if text.startswith("3.0") else "3.1"
        if not text.startswith(("3.0", "3.1")):
            warnings.append(f"openapi: {text[:20]} is not a version that we know; read as 3.1")
    elif swagger is not None:
        family = "2.0"
        if not str(swagger).startswith("2"):
            raise SpecError(f"Swagger {str(swagger)[:20]} is not supported", expected=_EXPECTED)
    elif isinstance(root.get("paths"), dict):
        family = "3.0"
        warnings.append("no openapi or swagger version; read as OpenAPI 3.0")
    else:
        keys = ", ".join(str(key)[:30] for key in list(root)[:6]) or "none"
        raise SpecError(f"No openapi version and no paths (top-level keys: {keys})", expected=_EXPECTED)
    paths = root.get("paths")
    if not isinstance(paths, dict):
        warnings.append("no paths" if paths is None else "paths is not an object")
    return family, warnings


def _other_kind(root: dict[str, Any]) -> tuple[str, str] | None:
    """Name and advice for documents of other kinds, by the keys that only they have."""

    def inside(name: str) -> dict[str, Any]:
        value = root.get(name)
        return value if isinstance(value, dict) else {}

    info, convert = inside("info"), "convert it to OpenAPI 3 first"
    export = "export it as OpenAPI from the tool that made it"
    by_hand = "look for the service's OpenAPI document, or pass --payload by hand"
    as_docs = "pass it as --docs, and the specification as --openapi"
    postman = "_postman_id" in info or "postman.com" in str(info.get("schema", ""))
    listing = isinstance(root.get("apis"), list) and not {"apiVersion", "resourcePath", "basePath"}.isdisjoint(root)
    blueprint = root.get("element") in ("parseResult", "category") or ("ast" in root and "_version" in root)
    ways = root.get("endpoints")
    io_docs = isinstance(ways, list) and any(isinstance(way, dict) and "methods" in way for way in ways)
    discovery = "discoveryVersion" in root or str(root.get("kind", "")).startswith("discovery#")
    navigation = isinstance(root.get("navigation"), (dict, list))
    schema = "paths" not in root and not {"$schema", "properties", "$defs"}.isdisjoint(root)
    kinds = (
        (discovery, "a Google discovery document", by_hand),
        (postman, "a Postman collection", export),
        (root.get("_type") == "export" and "resources" in root, "an Insomnia export", export),
        ("asyncapi" in root, "an AsyncAPI document", export),
        ("swaggerVersion" in root, f"a Swagger {str(root.get('swaggerVersion'))[:10]} document", convert),
        (listing, "a Swagger 1 document", convert),
        (blueprint, "a parsed API Blueprint", convert),
        ("smithy" in root, "a Smithy model", convert),
        (io_docs, "an I/O Docs description", convert),
        ("entries" in inside("log"), "a HAR recording", ""),
        ("__schema" in root or "__schema" in inside("data"), "a GraphQL introspection result", ""),
        (navigation, "a documentation navigation (docs.json or mint.json)", as_docs),
        (schema, "a JSON Schema", "validate against the OpenAPI document that uses it"),
    )
    return next(((name, advice) for it_is, name, advice in kinds if it_is), None)
