"""The contract of one endpoint for a reader: fields, variants, errors, pairs, limits."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from videotasks.core.safe_text import one_line
from videotasks.formats.scalars import json_type
from videotasks.openapi import endpoints, operations, polling
from videotasks.openapi.convert import Schemas
from videotasks.openapi.document import MISSING, members
from videotasks.openapi.operations import Operation
from videotasks.openapi.placeholders import prompt_rank
from videotasks.openapi.shape import Shape, shape_of, variants

_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
           "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "format")  # fmt: skip

UNKNOWN = "unknown: conservative defaults used"
_RATE = re.compile(
    r"\b\d[\d,.]*\s*(?:concurrent\s+)?(?:requests?|calls?|reqs?|rpm|rps|generations?|tasks?|jobs?)\s*"
    r"(?:per|/|an?|each|every|at a time|in parallel)\s*\d*\s*"
    r"(?:seconds?|minutes?|hours?|days?|secs?|mins?|s|m|h|user|key)?\b",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"\b(?:time-?\s?outs?|times out|expires? (?:in|after)|up to|takes?|valid for)\b[^.\n]{0,50}?"
    r"\b\d+\s*(?:-\s*\d+\s*)?(?:seconds?|minutes?|hours?|mins?|secs?)\b",
    re.IGNORECASE,
)
_RATE_KEYS = re.compile(r"^x-.*(?:rate-?limit|throttl|quota)", re.IGNORECASE)
_TIME_KEYS = re.compile(r"^x-.*time-?out", re.IGNORECASE)
_RATE_HEADERS = re.compile(r"rate-?limit|retry-after", re.IGNORECASE)


class Detail(NamedTuple):
    """How much is shown: characters of a description, levels, values of a list, rows. None means all."""

    description: int | None
    depth: int
    values: int | None
    fields: int | None


FULL = Detail(None, 8, None, None)
# Tried in turn until the output is short enough.
LEVELS = (
    Detail(160, 3, 30, 60),
    Detail(90, 2, 20, 60),
    Detail(60, 2, 12, 50),
    Detail(40, 1, 8, 40),
    Detail(0, 1, 6, 40),
    Detail(0, 0, 4, 25),
    Detail(0, 0, 2, 12),
)


class Pairs(NamedTuple):
    """What belongs to an operation elsewhere in the document: paths of its stream and plain siblings, and its poll."""

    stream: str | None
    polling: str | None
    subscribe: str | None
    poll: polling.Found


def pairs_of(operation: Operation) -> Pairs:
    """Looks at every operation of the document: made once, not for each level of detail."""
    document, method, path = operation.document, operation.method, operation.path
    return Pairs(
        endpoints.Streams(document).path_for(method, path),
        endpoints.polling_path(document, method, path),
        endpoints.subscribe_path(document),
        polling.find_poll(document, operation),
    )


def poll_fields(found: polling.Found) -> dict[str, Any]:
    """The poll endpoint and how it was told; where two are too close, neither is named and both are offered."""
    poll = found.operation
    fields: dict[str, Any] = {"poll_endpoint": poll.path if poll else None}
    if poll is not None:
        fields["poll_found_by"] = found.how
        if poll.method != "GET":
            fields["poll_method"] = poll.method
    if found.candidates:
        fields["poll_candidates"] = [one_line(candidate.endpoint, 300) for candidate in found.candidates]
    return fields


def describe(operation: Operation, schemas: Schemas, detail: Detail, pairs: Pairs | None = None) -> dict[str, Any]:
    """The contract of an operation; the keys of the seed's script first, then ours. All texts are one line, cut."""
    document, method, path = operation.document, operation.method, operation.path
    stream, plain, subscribe, found_poll = pairs or pairs_of(operation)
    media = operation.request_media()
    chosen = media[0] if media else None
    schema = schemas.convert(chosen.schema) if chosen else True
    reference = members(schema).get("$ref")
    body, names = _body_of(schemas, schema, detail)
    found: dict[str, Any] = {
        "endpoint": operation.endpoint,
        "default_result_mode": "sse" if stream else "polling",
        "default_create_endpoint": f"{method} {stream or plain or path}",
        "sse_create_endpoint": f"{method} {stream}" if stream else None,
        "polling_create_endpoint": f"{method} {plain}" if plain else None,
        "summary": _cut(operation.text("summary"), 200) or None,
        "server_url": operations.server_url(document, operation),
        "request_schema": schemas.name(reference) if reference else None,
        **body,
        "prediction_status_values": endpoints.named_enum(document, "PredictionStatus"),
        "queue_status_values": endpoints.named_enum(document, "QueueState"),
        "status_values": endpoints.status_values(found_poll.operation),
        "sse_subscribe_endpoint": subscribe,
        **poll_fields(found_poll),
        **_errors(operation, detail),
    }
    if operation.raw.get("deprecated") is True:
        found["deprecated"] = True
    found["request_content_types"] = [entry.type for entry in media]
    if len(media) > 1 or (chosen and not operations.is_json(chosen.type)):
        found["content_types"] = [_alternative(schemas, entry, names) for entry in media[:6]]
    parameters = _parameters(operation, schemas, detail)
    if parameters:
        found["parameters"] = parameters
    found["rate_limits"] = _limits(operation, _RATE_KEYS, _RATE, _RATE_HEADERS) or UNKNOWN
    found["timeouts"] = _limits(operation, _TIME_KEYS, _TIME, None) or UNKNOWN
    if detail.description is None and operation.text("description"):
        found["description"] = operation.text("description")
    return found


def _cut(text: Any, limit: int | None) -> str:
    if not isinstance(text, str) or limit == 0:
        return ""
    if limit is None:
        return one_line(text, 100_000)
    line = one_line(text, 4 * limit)
    return line if len(line) <= limit else line[: limit - 3].rstrip() + "..."


def _body_of(schemas: Schemas, schema: Any, detail: Detail) -> tuple[dict[str, Any], set[str]]:
    """Fields and variants of a request body, as they are shown; and the names of all its fields."""
    shapes = [shape for shape in variants(schemas, shape_of(schemas, schema)) if shape.types != {"null"}]
    objects = [shape for shape in shapes if shape.is_object()]
    names = {name for shape in objects for name in shape.properties}
    rows, left_out = _rows(schemas, objects, detail, 0, set())
    shown: dict[str, Any] = {"fields": rows, **({"fields_left_out": left_out} if left_out else {})}
    if len(objects) > 1:
        limit = len(objects) if detail.values is None else max(4, detail.values)
        shown["variants"] = [_variant(schemas, shape, objects) for shape in objects[:limit]]
        if len(objects) > limit:
            shown["variants"].append({"left_out": len(objects) - limit})
    if schemas.is_missing(schema):
        shown["body"] = "the specification does not define the body's schema"
    elif shapes and not objects:
        shown["body"] = "the body has no schema" if schema is True else f"the body is {_type_of(schemas, schema)}"
    elif objects and not names:
        shown["body"] = "the body is an object of free form: the specification names no fields"
    return shown, names


def _variant(schemas: Schemas, shape: Shape, others: list[Shape]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if shape.variant:
        found["name"] = " + ".join(shape.variant)
    when = {}
    for name in shape.properties:
        values = (shape_of(schemas, shape.property(name)).only_value(), *shape.hints.get(name, ()))
        told = [value for value in values if value is not MISSING]
        if told:
            when[name] = told[0]
    if when:
        found["when"] = when
    found["required"] = list(shape.required)
    common = set.intersection(*(set(other.properties) for other in others))
    found["only_here"] = [name for name in shape.properties if name not in common]
    return found


def _rows(
    schemas: Schemas, shapes: list[Shape], detail: Detail, depth: int, shown: set[str]
) -> tuple[list[dict[str, Any]], int]:
    """One row for each property of the variants together, and how many were left out (the optional ones first).

    A property is required when every variant asks for it.
    """
    found: dict[str, list[Any]] = {}
    for shape in shapes:
        for name in shape.properties:
            known, schema = found.setdefault(name, []), shape.property(name)
            if schema not in known:
                known.append(schema)
    required = {name for name in found if all(name in shape.required for shape in shapes)}
    names = list(found)
    limit = len(names) if detail.fields is None else (detail.fields if depth == 0 else max(6, detail.fields // 3))
    if len(names) > limit:
        names.sort(key=lambda name: (name not in required, prompt_rank(name)))
    rows = []
    for name in names[:limit]:
        schema = found[name][0] if len(found[name]) == 1 else {"anyOf": found[name]}
        rows.append(_row(schemas, name, schema, name in required, detail, depth, shown))
    return [row for row in rows if row is not None], max(0, len(names) - limit)


def _row(
    schemas: Schemas, name: str, schema: Any, required: bool, detail: Detail, depth: int, shown: set[str]
) -> dict[str, Any] | None:
    shape = shape_of(schemas, schema)
    choices = list(variants(schemas, shape)) or [shape]
    own = choices[0].limits if len(choices) == 1 else shape.limits
    if own.get("readOnly"):
        return None
    row: dict[str, Any] = {"name": _cut(name, 200), "required": required, "type": _type_of(schemas, schema)}
    described = [choice.limits["description"] for choice in choices if "description" in choice.limits]
    description = own.get("description") or next(iter(described), "")
    text = _cut(description, detail.description)
    if text:
        row["description"] = text
    if "default" in own:
        row["default"] = _shortened(own["default"], detail)
        if _contradicts(own["default"], choices):
            row["default_is_invalid"] = True
    allowed = _allowed(choices)
    if allowed:
        row["allowed_values"] = allowed[: detail.values]
        if len(row["allowed_values"]) < len(allowed):
            row["allowed_values_left_out"] = len(allowed) - len(row["allowed_values"])
    elif any(choice.enum for choice in choices):  # a list and free text: the list is what is known to work
        known = [value for choice in choices for value in choice.enum or () if value is not None]
        row["known_values"] = known[: detail.values]
    if any(choice.types is not None and "null" in choice.types for choice in choices):
        row["nullable"] = True
    plain = [choice.limits for choice in choices if choice.types != {"null"}]
    bounds = plain[0] if len(plain) == 1 else own
    row.update((key, bounds[key]) for key in _BOUNDS if key in bounds)
    patterns = shape.patterns or choices[0].patterns
    if patterns and detail.description != 0:
        row["pattern"] = patterns[0] if detail.values is None else _cut(patterns[0], 120)
    if own.get("deprecated"):
        row["deprecated"] = True
    if not required and shape.examples and "default" not in row and not allowed and detail.description != 0:
        row["example"] = _shortened(shape.examples[0], detail)
    if depth < detail.depth:
        _nest(schemas, row, choices, detail, depth, shown)
    return row


def _nest(
    schemas: Schemas, row: dict[str, Any], choices: list[Shape], detail: Detail, depth: int, shown: set[str]
) -> None:
    """Fields of an object or of a list's entries. A named schema is spelled out where it is met first, then named."""
    objects = [choice for choice in choices if choice.properties]
    if not objects:
        items = next((choice.items[0] for choice in choices if choice.items), None)
        objects = [choice for choice in variants(schemas, shape_of(schemas, items)) if choice.properties]
    if not objects:
        return
    uris = {uri for choice in objects for uri in choice.uris}
    if uris:
        row["schema"] = " | ".join(dict.fromkeys(schemas.name(choice.uris[0]) for choice in objects if choice.uris))
        if uris <= shown:
            return
        shown |= uris
    row["fields"], left_out = _rows(schemas, objects, detail, depth + 1, shown)
    if left_out:
        row["fields_left_out"] = left_out


def _contradicts(default: Any, choices: list[Shape]) -> bool:
    """Whether a default has a type or value that no choice takes: 100 of them in 149 real specifications."""
    kind = json_type(default)
    return not any(
        (choice.types is None or kind in choice.types)
        and (choice.enum is None or default in choice.enum)
        and (choice.const is MISSING or choice.const == default)
        for choice in choices
    )


def _allowed(choices: list[Shape]) -> list[Any] | None:
    """The values of an enum or of constants, when nothing else is allowed but null."""
    values: list[Any] = []
    for choice in choices:
        if choice.types == {"null"}:
            continue
        own = choice.values()
        if own is None:
            return None
        values += [value for value in own if value is not None and value not in values]
    return values or None


def _type_of(schemas: Schemas, schema: Any, depth: int = 0) -> str:
    """`string`, `array<string>`, `integer | string`; `any` where anything goes. Null is told by `nullable`."""
    names: list[str] = []
    for choice in variants(schemas, shape_of(schemas, schema)):
        types = set(choice.types or ())
        if "number" in types:
            types.discard("integer")
        if not types:
            types = {json_type(value) for value in choice.values() or ()}
        if not types and choice.properties:
            types = {"object"}
        if not types and choice.items:
            types = {"array"}
        for name in sorted(types - {"null"}) or (["null"] if types else ["any"]):
            if name == "array":
                item = _type_of(schemas, choice.items[0], depth + 1) if choice.items and depth < 4 else "any"
                name = f"array<{item}>"
            if name not in names:
                names.append(name)
    if len(names) > 1:
        names = [name for name in names if name not in ("null", "any")] or names
    return " | ".join(names[:6]) or "any"


def _shortened(value: Any, detail: Detail) -> Any:
    """A default or example; long ones as cut text."""
    if detail.description is None:
        return value
    import json

    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return "(nested too deeply)"
    return value if len(text) <= 200 else _cut(text, 200)


def _errors(operation: Operation, detail: Detail) -> dict[str, Any]:
    """`error_status_codes` as in the seed's script, and what each answer means, ranges like `4XX` included."""
    codes = []
    texts: dict[str, str] = {}
    for code, response in operation.responses().items():
        if code.isdigit() and len(code) < 4 and int(code) >= 400:
            codes.append(int(code))
        elif not re.fullmatch(r"[45][xX]{2}", code):
            continue
        texts[code] = _cut(response.get("description"), 60 if detail.description is not None else None)
    found: dict[str, Any] = {"error_status_codes": sorted(codes)}
    if (any(texts.values()) and detail.description != 0) or any(not code.isdigit() for code in texts):
        found["error_responses"] = dict(sorted(texts.items()))
    return found


def _alternative(schemas: Schemas, media: operations.Media, known: set[str]) -> dict[str, Any]:
    """One way to send the body: its type, which fields are files, which are only here."""
    found: dict[str, Any] = {"type": media.type}
    shapes = list(variants(schemas, shape_of(schemas, schemas.convert(media.schema))))
    files: dict[str, None] = {}
    for shape in shapes:
        for name in shape.properties:
            parts = list(variants(schemas, shape_of(schemas, shape.property(name))))
            parts += [s for p in parts for item in p.items[:1] for s in variants(schemas, shape_of(schemas, item))]
            if any(part.limits.get("format") == "binary" for part in parts):
                files[name] = None
    if files:
        found["file_fields"] = list(files)
    if extra := dict.fromkeys(name for shape in shapes for name in shape.properties if name not in known):
        found["extra_fields"] = list(extra)[:30]
    return found


def _parameters(operation: Operation, schemas: Schemas, detail: Detail) -> list[dict[str, Any]]:
    rows = []
    for parameter in operation.parameters():
        place = parameter.get("in")
        if place not in ("path", "query", "header"):
            continue
        row: dict[str, Any] = {"name": _cut(parameter["name"], 100), "in": place}
        row["required"] = parameter.get("required") is True or place == "path"
        if "schema" in parameter or "type" in parameter:
            row["type"] = _type_of(schemas, schemas.convert(parameter.get("schema", {"type": parameter.get("type")})))
        limit = None if detail.description is None else min(detail.description, 80)
        text = _cut(parameter.get("description"), limit)
        if text:
            row["description"] = text
        rows.append(row)
    return rows if detail.fields is None else rows[: max(4, detail.fields // 4)]


def _limits(
    operation: Operation, keys: re.Pattern[str], words: re.Pattern[str], headers: re.Pattern[str] | None
) -> list[str]:
    """What the document says of rate limits or time-outs, as short texts: extensions, documented headers, phrases."""
    document = operation.document
    info = members(document.root.get("info"))
    found: list[str] = []
    for holder in (operation.raw, operation.item, document.root, info):
        told = [key for key in holder if isinstance(key, str) and keys.match(key)]
        found += [f"{key}: {one_line(str(holder[key]), 160)}" for key in told]
    texts = [operation.text("description")]
    for code, response in operation.responses().items():
        if code in ("429", "503", "504", "408"):
            texts.append(str(response.get("description") or ""))
        for name in members(response.get("headers")):
            if headers is not None and headers.search(str(name)):
                found.append(f"answer {code} carries the header {one_line(str(name), 60)}")
    for text in (*texts, str(info.get("description") or "")):
        for match in words.finditer(text[:20_000]):
            found.append(one_line(match.group(), 120))
            if len(found) > 8:
                break
    return list(dict.fromkeys(found))[:8]
