"""jsonschema's errors as what a person can act on: where, what was expected, and the nearest valid value."""

from __future__ import annotations

import json
import math
from typing import Any

from videotasks.core.safe_text import one_line
from videotasks.formats import scalars
from videotasks.openapi.convert import Schemas
from videotasks.openapi.document import MISSING
from videotasks.openapi.shape import Group, discriminator_values, shape_of

MAX_ALLOWED = 50
_NAMES = {"string": "text", "number": "a number", "integer": "a whole number", "boolean": "true or false",
          "object": "an object", "array": "a list", "null": "null"}  # fmt: skip
# Fields that different APIs name differently; the spelling of the one says nothing about the other.
_SYNONYMS = (
    ("duration", "seconds", "length", "video_length", "duration_seconds", "video_duration"),
    ("ratio", "aspect_ratio", "aspectRatio", "size", "dimensions", "orientation"),
    ("resolution", "size", "quality", "definition"),
    ("image", "image_url", "first_frame_url", "first_frame_image", "start_image", "input_image", "input_reference",
     "image_urls", "images", "first_frame", "img_url", "start_frame"),
    ("last_frame", "last_frame_url", "end_frame_url", "end_image", "tail_image_url", "last_frame_image", "image_tail"),
    ("prompt", "text", "input", "description", "text_prompt", "promptText", "prompt_text"),
    ("audio", "generate_audio", "with_audio", "sound", "enable_audio"),
    ("n", "count", "num_videos", "number_of_videos", "batch_size"),
    ("model", "model_name", "model_id", "version"),
)  # fmt: skip


def shown_path(path: Any) -> str:
    """`$.content[0].text`; names that are no plain words are quoted."""
    out = "$"
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        elif str(part).replace("_", "a").replace("-", "a").isalnum():
            out += f".{part}"
        else:
            out += f"[{json.dumps(one_line(str(part), 80), ensure_ascii=False)}]"
    return out


def shown(value: Any) -> str:
    """A value as JSON on one line, cut."""
    try:
        return one_line(json.dumps(value, ensure_ascii=False, default=str), 80)
    except (ValueError, RecursionError):
        return "(a value nested too deeply)"


def make(path: Any, problem: str, **more: Any) -> dict[str, Any]:
    """One error. The message starts with the place, without the leading `$.`."""
    place = shown_path(path)
    label = place[2:] if place.startswith("$.") else ("(body)" if place == "$" else place[1:])
    given = {key: value for key, value in more.items() if value not in (None, "")}
    return {"path": place, "message": f"{label}: {problem}", **given}


def unknown_field(path: tuple[Any, ...], known: list[str]) -> dict[str, Any]:
    """A field that the schema does not have, with the one that was probably meant."""
    import difflib

    name = str(path[-1])
    plain = {entry.lower().replace("_", "").replace("-", ""): entry for entry in known}
    candidates = (
        plain.get(name.lower().replace("_", "").replace("-", "")),
        *(entry for group in _SYNONYMS if name in group for entry in group if entry in known),
        *difflib.get_close_matches(name, known, 1, 0.6),
    )
    nearest = next(filter(None, candidates), None)
    listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    problem = "unknown field" + (f"; did you mean {nearest}?" if nearest else "")
    return make(path, problem, expected=f"one of the fields {listed}" if known else "no such field", nearest=nearest)


def explain(schemas: Schemas, errors: list[Any], *, form: bool = False) -> list[dict[str, Any]]:
    """Errors of the validator, flattened: of a choice of variants only what keeps the meant one from fitting."""
    found = [entry for error in errors for entry in _explained(schemas, error, ())]
    listed: dict[tuple[str, str], dict[str, Any]] = {}
    decided = {entry["path"] for entry in found if "allowed" in entry}
    for entry in found:
        type_alone = entry.pop("kind", "") == "type" and entry["path"] in decided
        same_text = entry.pop("same_text", False)
        # "is not text" beside "is not one of ..." says nothing, and everything in a form is text on the wire.
        if not (type_alone or (same_text and form)):
            listed.setdefault((entry["path"], entry["message"]), entry)
    return list(listed.values())


def meant_branches(schemas: Schemas, group: Group, value: Any) -> list[Any]:
    """Of variants that `value` does not fit, those whose discriminator or constants it carries; else all."""
    if not isinstance(value, dict):
        return list(group.branches)
    named = []
    for branch in group.branches:
        name, values = discriminator_values(schemas, branch, group.discriminator)
        if name and value.get(name) in values:
            named.append(branch)
    return named or [b for b in group.branches if _agrees(schemas, b, value)] or list(group.branches)


def _agrees(schemas: Schemas, branch: Any, value: dict[str, Any]) -> bool:
    """Whether `value` carries single-valued fields of a variant, all of them as asked."""
    shape = shape_of(schemas, branch)
    asked = {name: shape_of(schemas, shape.property(name)).only_value() for name in shape.properties if name in value}
    told = [value[name] == wanted for name, wanted in asked.items() if wanted is not MISSING]
    return bool(told) and all(told)


def _explained(schemas: Schemas, error: Any, base: tuple[Any, ...]) -> list[dict[str, Any]]:
    path = (*base, *error.path) if base else tuple(error.absolute_path)
    if error.validator in ("anyOf", "oneOf") and error.context:
        return _choice(schemas, error, path)
    return _single(schemas, str(error.validator), error, path)


def _choice(schemas: Schemas, error: Any, path: tuple[Any, ...]) -> list[dict[str, Any]]:
    """What keeps the value from the variant that it comes closest to."""
    branches: dict[int, list[Any]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0] if inner.schema_path else 0, []).append(inner)
    value = error.instance
    listed = error.validator_value
    group = Group(str(error.validator), listed, error.schema.get("discriminator"))
    meant = {id(branch) for branch in meant_branches(schemas, group, value)}
    candidates = {index: inner for index, inner in branches.items() if id(listed[index]) in meant} or branches

    def of_itself(inner: list[Any]) -> list[Any]:
        return [e for e in inner if not e.path and e.validator in ("type", "enum", "const")]

    def weight(inner: list[Any]) -> tuple[int, int, int]:
        constants = sum(1 for e in inner if e.path and e.validator in ("const", "enum"))
        return len(of_itself(inner)), constants, len(inner)

    here = [e for inner in candidates.values() for e in of_itself(inner)]
    if len({e.schema_path[0] for e in here if e.schema_path}) == len(candidates):
        return [_merged(value, here, path)]
    constants = [
        [e for e in inner if len(e.path) == 1 and e.validator in ("const", "enum")] for inner in candidates.values()
    ]
    fields = {tuple(e.path) for inner in constants for e in inner}
    if len(candidates) > 1 and len(fields) == 1 and all(constants):
        flat = [e for inner in constants for e in inner]
        return [_merged(flat[0].instance, flat, (*path, *next(iter(fields))))]
    return [entry for e in min(candidates.values(), key=weight) for entry in _explained(schemas, e, path)]


def _merged(value: Any, errors: list[Any], path: tuple[Any, ...]) -> dict[str, Any]:
    """One error for a value that no variant takes: all allowed values, or all types."""
    allowed: list[Any] = []
    types: list[str] = []
    listing = {error.schema_path[0] for error in errors if error.validator in ("enum", "const")}
    for error in errors:
        wanted = error.validator_value
        if error.validator in ("enum", "const"):
            wanted = wanted if error.validator == "enum" else [wanted]
            allowed += [entry for entry in wanted if entry not in allowed]
        elif error.schema_path[0] not in listing:
            types += [name for name in ([wanted] if isinstance(wanted, str) else wanted) if name not in types]
    types = [name for name in types if name != "null"] or types
    names = _type_names(types)
    if allowed:
        return _not_one_of(value, allowed, path, names if types != ["null"] else "")
    return make(path, f"{shown(value)} is not {names}", expected=names, kind="type")


def _type_names(types: list[str]) -> str:
    return " or ".join(_NAMES.get(name, name) for name in types)


def _not_one_of(value: Any, allowed: list[Any], path: tuple[Any, ...], others: str = "") -> dict[str, Any]:
    """A value outside its list; `others` says what is accepted beside the list."""
    listed = ", ".join(shown(entry) for entry in allowed[:20]) + (", ..." if len(allowed) > 20 else "")
    if others:
        listed += f", or {others}"
    expected = f"one of {listed}" if len(allowed) > 1 else listed
    problem = f"{shown(value)} is not {expected}"
    return make(path, problem, expected=expected, allowed=allowed[:MAX_ALLOWED], nearest=_nearest(value, allowed))


def _nearest(value: Any, allowed: list[Any]) -> Any:
    """The allowed value that was probably meant: the same in another type, the closest number, the closest spelling."""
    import difflib

    for entry in allowed:
        if str(entry).lower() == str(value).strip().lower():
            return entry
    for measure in (_as_ratio, _as_number):
        own = measure(value)
        measured = [(one, measure(one)) for one in allowed] if own is not None else []
        far = [(abs(other - own), one) for one, other in measured if own is not None and other is not None]
        if far:
            return min(far, key=lambda entry: entry[0])[1]
    texts = {str(entry): entry for entry in allowed if isinstance(entry, str)}
    close = difflib.get_close_matches(str(value)[:200], list(texts), 1, 0.5)
    return texts[close[0]] if close else None


def _as_ratio(value: Any) -> float | None:
    """The logarithm of `16:9`, so that 2:1 is as far from 1:1 as 1:2 is."""
    width, colon, height = str(value)[:20].partition(":")
    if not (colon and width.strip().isdecimal() and height.strip().isdecimal() and int(width) and int(height)):
        return None
    return math.log(int(width) / int(height))


def _as_number(value: Any) -> float | None:
    if isinstance(value, str):
        value = value.strip().rstrip("spPS")  # "5s", "720p"
        return scalars.amount(value) if len(value) < 30 else None
    return scalars.number(value)


def _single(schemas: Schemas, kind: str, error: Any, path: tuple[Any, ...]) -> list[dict[str, Any]]:
    value, wanted = error.instance, error.validator_value
    if kind in ("enum", "const"):
        return [_not_one_of(value, list(wanted) if kind == "enum" else [wanted], path)]
    if kind == "type":
        types = [wanted] if isinstance(wanted, str) else list(wanted)
        names = _type_names(types)
        near = _cast(value, types)
        same = (near is not None and str(near) == str(value)) or None
        problem = f"{shown(value)} is not {names}"
        return [make(path, problem, expected=names, nearest=near, kind="type", same_text=same)]
    if kind == "required":
        missing = [name for name in wanted if isinstance(value, dict) and name not in value]
        # jsonschema yields one error for each missing name, all with the same list.
        named = [name for name in missing if repr(name) in str(error.message)][:1] or missing
        return [make((*path, name), "is required", expected=_described(schemas, error.schema, name)) for name in named]
    if kind == "dependentRequired":
        return [make(path, one_line(str(error.message), 200), expected="both fields, or neither")]
    if kind in ("additionalProperties", "unevaluatedProperties"):
        return []  # found with their names by the walk in validation.py
    if kind in _BOUNDS:
        text = _BOUNDS[kind].format(wanted=shown(wanted), size=len(value) if hasattr(value, "__len__") else "")
        near = wanted if kind in ("minimum", "maximum") else None
        subject = shown(value) if not hasattr(value, "__len__") else ""
        problem = f"{subject} {text}".strip()
        return [make(path, problem, expected=_range(error.schema, kind), nearest=near)]
    if kind == "pattern":
        problem = f"{shown(value)} does not match the pattern {shown(wanted)}"
        return [make(path, problem, expected=f"text like {shown(wanted)}")]
    if error.schema is False or kind == "None":
        return [make(path, "is not allowed here", expected="no such value")]
    if kind in ("anyOf", "oneOf"):
        return [make(path, "fits more than one variant", expected="exactly one of the variants")]
    if kind == "not":
        return [make(path, "is what the schema excludes", expected=f"anything but {shown(wanted)}")]
    return [make(path, f"{kind}: {one_line(str(error.message), 160)}", expected=f"{kind} {shown(wanted)}")]


_BOUNDS = {
    "minimum": "is less than {wanted}",
    "maximum": "is more than {wanted}",
    "exclusiveMinimum": "is not more than {wanted}",
    "exclusiveMaximum": "is not less than {wanted}",
    "multipleOf": "is not a multiple of {wanted}",
    "minLength": "has {size} characters, fewer than {wanted}",
    "maxLength": "has {size} characters, more than {wanted}",
    "minItems": "has {size} entries, fewer than {wanted}",
    "maxItems": "has {size} entries, more than {wanted}",
    "minProperties": "has {size} fields, fewer than {wanted}",
    "maxProperties": "has {size} fields, more than {wanted}",
    "uniqueItems": "repeats an entry",
}
_PAIRS = {
    key: pair for pair in (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems")) for key in pair
}
_UNITS = {"minLength": " characters", "minItems": " entries", "minimum": ""}


def _range(schema: Any, kind: str) -> str:
    """`4 to 12`, `at least 4`, `at most 2500 characters`; the keyword itself where there is no such pair."""
    if kind == "uniqueItems":
        return "entries that differ"
    if kind not in _PAIRS or not isinstance(schema, dict):
        return f"{kind} {shown(schema.get(kind)) if isinstance(schema, dict) else ''}".strip()
    low, high = (schema.get(key) for key in _PAIRS[kind])
    unit = _UNITS[_PAIRS[kind][0]]
    if low is not None and high is not None:
        return f"{shown(low)} to {shown(high)}{unit}"
    return f"at least {shown(low)}{unit}" if low is not None else f"at most {shown(high)}{unit}"


def _described(schemas: Schemas, schema: Any, name: str) -> str:
    """What a missing field takes: its values or its type."""
    shape = shape_of(schemas, shape_of(schemas, schema).property(name))
    if shape.enum:
        return "one of " + ", ".join(shown(entry) for entry in shape.enum[:20])
    if shape.const is not MISSING:
        return shown(shape.const)
    types = shape.types or set()
    return _type_names(sorted(types - ({"integer"} if "number" in types else set()))) or "a value"


def _cast(value: Any, types: list[str]) -> Any:
    """The same value in a wanted type (`"5"` as 5, 5 as `"5"`), None when there is none."""
    if isinstance(value, str):
        number = _as_number(value) if value.strip()[-1:].isdigit() else None
        if number is not None and ("number" in types or ("integer" in types and number == int(number))):
            return int(number) if number == int(number) else number
        if "boolean" in types and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and "string" in types:
        return str(value)
    elif isinstance(value, float) and "integer" in types and value == value and abs(value) < 2**53:
        return round(value)
    if "array" in types and not isinstance(value, (dict, list)) and value is not None:
        return [value]
    return None
