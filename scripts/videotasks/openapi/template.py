"""A request body that the schema accepts: candidates from the specification, each kept only if it validates.

100 of the defaults in 149 real video specifications violate their own schema (`"default": "4"` for the integers 4, 8
and 12), and "required fields with their defaults" is valid for only half of the real request bodies. So every value is
asked of the validator before it is used, and the whole once more.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from videotasks.core.json_values import leaves
from videotasks.openapi import placeholders
from videotasks.openapi.convert import Schemas
from videotasks.openapi.document import MISSING, entries, members
from videotasks.openapi.patterns import Patterns
from videotasks.openapi.shape import Shape, branch_name, shape_of, variants
from videotasks.openapi.validation import LENIENT, TooComplex, Validator

MAX_CHECKS = 1_500  # validations of one template, large ones counted more; the dearest of 962 real bodies takes 103
MAX_CANDIDATES = 40  # values looked at for one place
MAX_DEPTH = 12
DEFAULTS_TO_DEPTH = 2  # deeper, only what is required is filled in


class Template(NamedTuple):
    """`problems` is empty when `value` validates; `note` says how it was read; `unchecked` what nothing is known of."""

    value: Any
    problems: list[str]
    note: str = ""
    unchecked: tuple[str, ...] = ()


BY_INTENT = "by the letter of the schema no body was found; this one fits as it is meant: " + LENIENT
EXAMPLE = "the specification's own example, whole"


def make_template(
    schemas: Schemas,
    schema: Any,
    examples: tuple[Any, ...] = (),
    *,
    category: str = "",
    needs: frozenset[str] = frozenset(),
) -> Template:
    """The body for a converted schema: required fields, the prompt, and fields with valid defaults.

    `examples` are bodies that the specification shows; their values serve where a field has none of its own, and a
    whole one where the made body has neither prompt nor media. `category` ("videos") chooses among variants that are
    named for a medium; `needs` are the media ("image", "video") that such an operation starts from.
    """
    patterns = Patterns()
    strict, lenient = Validator(schemas, patterns), Validator(schemas, patterns, lenient=True)
    examples = tuple(example for example in examples if _storable(example))
    if schemas.is_missing(schema):
        example = next((example for example in examples if isinstance(example, dict)), MISSING)
        problem = f"the specification does not define the body: {schemas.unchecked()[0]}"
        return Template(example, [problem], "", tuple(schemas.unchecked()))

    def made(value: Any, problems: list[str], note: str = "") -> Template:
        skipped = [f"pattern {pattern!r}: {reason}" for pattern, reason in patterns.skipped.items()]
        return Template(value, problems, note, (*schemas.unchecked(), *skipped[:10]))

    maker = _Maker(schemas, strict, examples, category, needs)
    attempts = []
    for attempt, note in ((maker, ""), (_Maker(schemas, lenient, examples, category, needs), BY_INTENT)):
        value = next(attempt.values(schema, "", (), 0), MISSING)
        if value is not MISSING and attempt.is_telling(value):
            return made(value, [], note)
        for example in examples:
            if isinstance(example, dict) and example and attempt.validator.is_valid(schema, example):
                return made(example, [], note or EXAMPLE)
        if value is not MISSING:
            attempts.append(made(attempt.fuller(schema, value), [], note))
        if attempt.checks <= 0:
            break  # too much work for the one reading is too much for the other
    if attempts:
        return attempts[0]
    if maker.checks <= 0:
        body, cut = maker.skeleton(schema)
        problem = "the body could not be checked within bounds"
        if cut:
            problem = "more fields are required than can be filled in and checked; this body is cut"
        return made(body, [problem])
    tried: list[tuple[int, Any, list[Any]]] = []
    for value in [*maker.rejected[:20], *examples, {}]:
        try:
            errors = lenient.errors(schema, value)
        except TooComplex as exc:
            return made(value, [str(exc)])
        # "n is required" says less than what keeps each value of n from being accepted.
        tried.append((sum(3 if error.validator == "required" else 2 for error in errors), value, errors))
    _, best, errors = min(tried, key=lambda entry: entry[0])
    return made(best, [_told(error) for error in errors[:5]] or ["no value was found within bounds"])


def _inner(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else entries(value)


def _storable(value: Any) -> bool:
    """Whether JSON can hold it: YAML and lax JSON have NaN and infinity."""
    return all(math.isfinite(leaf) for leaf in leaves(value) if isinstance(leaf, float))


def _told(error: Any) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return f"{place.lstrip('.') or '(body)'}: {error.validator}: {str(error.message)[:160]}"


MAX_SKELETON = 200  # fields of a body that cannot be checked
_CHOOSES = ("type", "task", "mode", "category", "kind", "modality", "media")


def holds_media(value: Any, kind: str) -> bool:
    """Whether a body names a file or link of the kind."""
    if isinstance(value, list):
        return any(holds_media(entry, kind) for entry in value)
    for name, entry in members(value).items():
        fits = placeholders.media_rank(str(name), kind) < placeholders.NO_MEDIA and not isinstance(entry, int)
        if entry and (fits or holds_media(entry, kind)):
            return True
    return False


def _size(value: Any) -> int:
    """How many values a body holds: what a check of it costs."""
    return len(_inner(value)) + sum(map(_size, _inner(value)))


def _holds_prompt(value: Any) -> bool:
    """Whether a made value has one of our hints in it."""
    return any(isinstance(leaf, str) and leaf.startswith(placeholders.PROMPT[:10]) for leaf in leaves(value))


class _Maker:
    def __init__(
        self, schemas: Schemas, validator: Validator, examples: tuple[Any, ...], category: str, needs: frozenset[str]
    ) -> None:
        self.schemas = schemas
        self.validator = validator
        self.examples = [example for example in examples if isinstance(example, dict)]
        self.category = category
        self.needs = sorted(needs)
        self.checks = MAX_CHECKS
        self.rejected: list[Any] = []  # whole bodies that did not validate, for the diagnosis
        self._ranks: dict[tuple[int, int], tuple[Any, int]] = {}  # the schema is held so that its id stays its own

    def valid(self, schema: Any, value: Any) -> bool:
        if self.checks <= 0:
            return False
        self.checks -= 1 + _size(value) // 4
        return self.validator.is_valid(schema, value)

    def values(self, schema: Any, name: str, trail: tuple[str, ...], depth: int, hints: Any = ()) -> Iterator[Any]:
        """Valid values for one place, best first."""
        seen: list[Any] = []
        for count, candidate in enumerate(self._candidates(schema, name, trail, depth, hints)):
            if count >= MAX_CANDIDATES or self.checks <= 0:
                return
            if any(type(candidate) is type(other) and candidate == other for other in seen):
                continue
            seen.append(candidate)
            if self.valid(schema, candidate):
                yield candidate
            elif depth == 0:
                self.rejected.append(candidate)

    def _candidates(self, schema: Any, name: str, trail: tuple[str, ...], depth: int, hints: Any) -> Iterator[Any]:
        shape = shape_of(self.schemas, schema)
        again = [uri for uri in shape.uris if trail.count(uri) > 1]
        if depth > MAX_DEPTH or again:
            yield from ([], {}, None)
            return
        trail = (*trail, *shape.uris)
        yield from hints
        prompt = placeholders.prompt_rank(name) < placeholders.NO_PROMPT
        if prompt and shape.enum is None and shape.const is MISSING:
            yield placeholders.fitted(placeholders.PROMPT, shape)
        if depth > 0:
            yield from self._stated(shape, name, depth)
        for variant in variants(self.schemas, shape, self._without_prompt):
            yield from self._stated(variant, name, depth) if depth > 0 else ()
            for kind in _kinds(variant):
                if kind == "object":
                    yield from self._objects(schema, variant, (*trail, *variant.uris), depth)
                elif kind == "array":
                    yield from self._arrays(variant, name, (*trail, *variant.uris), depth)
                else:
                    yield from placeholders.scalars(kind, name, variant)
        if depth == 0:
            yield from self._stated(shape, name, depth)

    def _stated(self, shape: Shape, name: str, depth: int) -> Iterator[Any]:
        """Values that the specification itself names for this place."""
        if shape.const is not MISSING:
            yield shape.const
        stated = [shape.limits["default"]] if "default" in shape.limits else []
        stated += shape.examples[:10]
        if depth == 1:
            stated += [example[name] for example in self.examples if name in example]
        for value in stated:
            if value is not None and _storable(value):
                yield value
                yield from _coerced(value)
        listed = (shape.enum or [])[:40]
        if name.lower().rpartition("_")[2] in _CHOOSES and self.category:
            listed = sorted(listed, key=lambda value: self._category_rank(str(value)))
        yield from listed[:20]

    def _objects(self, schema: Any, shape: Shape, trail: tuple[str, ...], depth: int) -> Iterator[Any]:
        """Objects of one variant: full, then with less, then with what an error asked for, then with more."""
        made = {name: self._first(shape, name, trail, depth) for name in shape.required}
        minimal = {name: value for name, value in made.items() if value is not MISSING}
        with_prompt = {**self._prompt(shape, minimal, trail, depth), **minimal}
        if depth <= 2:
            for kind in self.needs:
                with_prompt.update(self._media(kind, shape, with_prompt, trail, depth))
        full = with_prompt
        if depth <= DEFAULTS_TO_DEPTH:
            full = {**self._defaults(shape), **full}
        full = _in_order(full, shape)
        yield full
        if self.valid(schema, full):
            return
        yield from self._repaired(schema, shape, full, trail, depth)
        if with_prompt != full:
            yield _in_order(with_prompt, shape)
            yield from self._repaired(schema, shape, with_prompt, trail, depth)
        yield minimal
        optional = [n for n in shape.properties if n not in minimal and not _hidden(shape, n, self.schemas)]
        more = dict(with_prompt)
        for name in optional[:25]:
            value = self._first(shape, name, trail, depth)
            if value is not MISSING:
                yield {**with_prompt, name: value}
                more[name] = value
        yield _in_order(more, shape)
        impossible = [name for name in shape.required if name not in minimal]
        if impossible and depth < 2:  # for the diagnosis: the error of a wrong value names the constraint
            tries = {name: self._candidates(shape.property(name), name, trail, depth + 1, ()) for name in impossible}
            yield {**with_prompt, **{name: next(values, None) for name, values in tries.items()}}
        yield from self._extra(shape, with_prompt, trail, depth)

    def _first(self, shape: Shape, name: str, trail: tuple[str, ...], depth: int, skip: int = 0) -> Any:
        schema = shape.property(name)
        if schema is True and isinstance(shape.additional, dict):
            schema = shape.additional
        values = self.values(schema, name, trail, depth + 1, shape.hints.get(name, ()))
        return next(islice(values, skip, None), MISSING)

    def _prompt(self, shape: Shape, minimal: dict[str, Any], trail: tuple[str, ...], depth: int) -> dict[str, Any]:
        """The prompt-like field of this object, or the one that holds it further inside, unless it is required."""
        held = _holds_prompt(minimal)
        for name in sorted(shape.properties, key=placeholders.prompt_rank):
            rank = placeholders.prompt_rank(name)
            if rank >= placeholders.NO_PROMPT or (rank > placeholders.IS_PROMPT and held):
                break
            if name in minimal:
                return {}
            if depth > 1 and rank > placeholders.IS_PROMPT:
                break
            value = self._first(shape, name, trail, depth)
            if isinstance(value, (str, list)) and value:
                return {name: value}
        if depth < 2 and not held:
            for name in shape.properties:
                if name not in minimal and not _hidden(shape, name, self.schemas):
                    rank = self._prompt_inside(shape.property(name), 2)
                    value = self._first(shape, name, trail, depth) if rank <= placeholders.IS_PROMPT else MISSING
                    if _holds_prompt(value):
                        return {name: value}
        return {}

    def _media(
        self, kind: str, shape: Shape, given: dict[str, Any], trail: tuple[str, ...], depth: int
    ) -> dict[str, Any]:
        """The field of this object that takes such a file, unless one is there already."""
        if holds_media(given, kind):
            return {}
        ranks = {name: placeholders.media_rank(name, kind) for name in shape.properties}
        links = placeholders.media_links(kind)
        for name in sorted(ranks, key=lambda name: ranks[name]):
            if ranks[name] >= placeholders.NO_MEDIA or name in given or _hidden(shape, name, self.schemas):
                continue
            value = next(self.values(shape.property(name), name, trail, depth + 1, links), MISSING)
            if value is not MISSING and not isinstance(value, (bool, float)) and value:
                return {name: value}
        return {}

    def is_telling(self, value: Any) -> bool:
        """Whether a person could send it: there is a prompt in it, some other sentence, or something to work on."""
        sentence = any(isinstance(leaf, str) and leaf.count(" ") >= 2 for leaf in leaves(value))
        return not isinstance(value, dict) or sentence or any(holds_media(value, kind) for kind in ("image", "video"))

    def fuller(self, schema: Any, value: Any) -> Any:
        """A body that tells nothing, with what it could work on, else with the examples of its fields."""
        shape = next(variants(self.schemas, shape_of(self.schemas, schema), self._without_prompt), None)
        if shape is None or not isinstance(value, dict):
            return value
        for kind in ("video", "image"):
            found = {**value, **self._media(kind, shape, value, (), 0)}
            if found != value and self.valid(schema, found):
                return _in_order(found, shape)
        if value:
            return value
        for name in shape.properties:
            part = shape_of(self.schemas, shape.property(name))
            for candidate in part.examples[:3] if not _hidden(shape, name, self.schemas) else ():
                if self.valid(schema, {**value, name: candidate}):
                    value = {**value, name: candidate}
                    break
        return value

    def skeleton(self, schema: Any) -> tuple[Any, bool]:
        """A body of a schema that is too wide to be checked: its required fields, as many as MAX_SKELETON, and
        whether it was cut."""
        left = [MAX_SKELETON]

        def build(schema: Any, name: str, depth: int) -> Any:
            left[0] -= 1
            shape = next(variants(self.schemas, shape_of(self.schemas, schema), self._without_prompt), None)
            if shape is None:
                return None
            for value in (shape.const, *self._stated(shape, name, 2)):
                if value is not MISSING and value is not None:
                    return value
            kind = next(iter(_kinds(shape)), "string")
            if kind == "object":
                body: dict[str, Any] = {}
                for inner in sorted(shape.required, key=placeholders.prompt_rank):
                    if left[0] <= 0 or depth > MAX_DEPTH:
                        break
                    body[inner] = build(shape.property(inner), inner, depth + 1)
                return body
            if kind == "array":
                return []
            if kind == "string" and placeholders.prompt_rank(name) <= placeholders.IS_PROMPT:
                return placeholders.fitted(placeholders.PROMPT, shape)
            return next(placeholders.scalars(kind, name, shape), None)

        return build(schema, "", 0), left[0] <= 0

    def _without_prompt(self, branch: Any) -> int:
        """Orders variants: those named for the asked medium first, then those with a prompt, the better the earlier."""
        rank = self._prompt_inside(branch, 3)
        if self.category:
            rank += 20 * self._category_rank(branch_name(self.schemas, branch))
        return rank

    def _category_rank(self, name: str) -> int:
        """0 for a name that says the asked medium, 1 for one that says none, 2 for one that says another."""
        own, others = ("video", "image") if self.category == "videos" else ("image", "video")
        low = name.lower()
        if own in low or (own == "video" and re.search(r"[tir]2v", low)):
            return 0
        return 2 if re.search(others + "|audio|speech|music|tts|sound", low) else 1

    def _prompt_inside(self, schema: Any, levels: int) -> int:
        """The best rank of a prompt-like name in `schema`, at most `levels` down."""
        if levels <= 0 or not isinstance(schema, dict) or len(self._ranks) > MAX_CHECKS:
            return placeholders.NO_PROMPT
        key = (id(schema), levels)
        if key not in self._ranks:
            self._ranks[key] = (schema, placeholders.NO_PROMPT)
            shape = shape_of(self.schemas, schema)
            ranks = [placeholders.prompt_rank(name) for name in shape.properties]
            inner = [value for values in shape.properties.values() for value in values] + shape.items
            if not ranks or min(ranks) > 0:
                ranks += [self._prompt_inside(value, levels - 1) for value in inner[:80]]
                ranks += [self._prompt_inside(b, levels - 1) for g in shape.groups for b in g.branches[:20]]
            self._ranks[key] = (schema, min(ranks, default=placeholders.NO_PROMPT))
        return self._ranks[key][1]

    def _defaults(self, shape: Shape) -> dict[str, Any]:
        """Optional fields whose default (or a spelling of it) is valid. A default of null says nothing."""
        found = {}
        for name in shape.properties:
            schema = shape.property(name)
            default = shape_of(self.schemas, schema).limits.get("default")
            if default is None or not _storable(default) or name in shape.required:
                continue
            spellings = () if _hidden(shape, name, self.schemas) else (default, *_coerced(default))
            value = next((value for value in spellings if self.valid(schema, value)), MISSING)
            if value is not MISSING:
                found[name] = value
        return found

    def _repaired(
        self, schema: Any, shape: Shape, start: dict[str, Any], trail: tuple[str, ...], depth: int
    ) -> Iterator[Any]:
        """`start` with what the validator's errors ask for: a field added, removed, or given another value."""
        value = dict(start)
        tried: dict[str, int] = {}
        for _ in range(10):
            if self.checks <= 0:
                return
            self.checks -= 1
            try:
                errors = self.validator.errors(schema, value)
            except TooComplex:
                return
            if not errors or not any(self._mend(error, value, shape, trail, depth, tried) for error in errors):
                return
            yield dict(value)

    def _mend(
        self, error: Any, value: dict[str, Any], shape: Shape, trail: tuple[str, ...], depth: int, tried: dict[str, int]
    ) -> bool:
        kind, path, wanted = error.validator, list(error.path), error.validator_value
        missing: list[Any] = []
        superfluous: list[Any] = []
        skip = 0
        if path and path[0] in value:
            superfluous, missing = path[:1], path[:1]
            skip = tried[path[0]] = tried.get(path[0], 0) + 1
        elif not path and kind == "required":
            missing = wanted
        elif not path and kind == "dependentRequired":
            missing = [other for name, names in wanted.items() if name in value for other in names]
        elif not path and kind in ("additionalProperties", "unevaluatedProperties", "not", "maxProperties"):
            superfluous = list(reversed(value))
        for name in superfluous:
            if name not in shape.required and placeholders.prompt_rank(name) > placeholders.IS_PROMPT:
                del value[name]
                return True
        for name in missing if skip < 6 else ():
            if name not in value or skip:
                made = self._first(shape, name, trail, depth, skip)
                if made is not MISSING:
                    value[name] = made
                    return True
        return any(
            self._mend(inner, value, shape, trail, depth, tried) for inner in error.context or () if not inner.path
        )

    def _extra(self, shape: Shape, base: dict[str, Any], trail: tuple[str, ...], depth: int) -> Iterator[Any]:
        """Properties of free names, where at least some number of them is asked for."""
        missing = shape.limits.get("minProperties", 0) - len(base)
        if missing <= 0 or missing > 20 or (shape.closed and shape.additional is MISSING):
            return
        schema = shape.additional if isinstance(shape.additional, dict) else True
        value = next(self.values(schema, "value", trail, depth + 1), MISSING)
        yield base if value is MISSING else {**base, **{f"key{index + 1}": value for index in range(missing)}}

    def _arrays(self, shape: Shape, name: str, trail: tuple[str, ...], depth: int) -> Iterator[Any]:
        least = min(shape.limits.get("minItems", 0), 50)
        most = shape.limits.get("maxItems", 50)
        parts = [*shape.items, *([shape.limits["contains"]] if "contains" in shape.limits else [])]
        item = {"allOf": parts} if len(parts) > 1 else next(iter(parts), True)
        start = [next(self.values(part, name, trail, depth + 1), None) for part in shape.prefix[:20]]
        wanted = max(least, 1, shape.limits.get("minContains", 1))
        unique = shape.limits.get("uniqueItems")
        found = self.values(item, placeholders.singular(name), trail, depth + 1)
        values = list(islice(found, wanted if unique else 1))
        if values:
            count = max(0, wanted - len(start))
            if count <= most:
                yield start + ([values[index % len(values)] for index in range(count)])
            if unique and len(values) < wanted:
                yield start + list(placeholders.distinct(values[0], wanted))
        yield start
        if least == 0:
            yield []


def _kinds(shape: Shape) -> list[str]:
    """The types to try, the likeliest first."""
    order = ["object", "array", "string", "integer", "number", "boolean", "null"]
    if shape.types is not None:
        kinds = [kind for kind in order if kind in shape.types]
        if "number" in kinds and "integer" in kinds and shape.limits.get("multipleOf", 1) != 1:
            kinds.remove("integer")
        if shape.properties or "object" not in kinds:
            return kinds
        return sorted(kinds, key=lambda kind: kind == "object")
    if shape.properties or shape.required or shape.additional is not MISSING:
        return ["object"]
    if shape.items or shape.prefix or "minItems" in shape.limits:
        return ["array"]
    if any(key in shape.limits for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")):
        return ["integer", "number"]
    return ["string", "object", "integer", "array", "boolean", "null"]


def _hidden(shape: Shape, name: str, schemas: Schemas) -> bool:
    part = shape_of(schemas, shape.property(name))
    return bool(part.limits.get("readOnly") or part.limits.get("deprecated"))


def _coerced(value: Any) -> Iterator[Any]:
    """The same value in the type that was meant: `"4"` as 4, `"true"` as true, 5 as `"5"`."""
    if isinstance(value, str):
        try:
            yield json.loads(value)
        except (ValueError, RecursionError):
            low = value.strip().lower()
            if low in ("true", "false"):
                yield low == "true"
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, (int, float)):
        yield str(value)
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            yield int(value)
            yield str(int(value))
    elif isinstance(value, list) and len(value) == 1:
        yield value[0]


def _in_order(value: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """Prompt first, then the specification's order: a reader finds what to change at once."""
    names = [name for name in shape.properties if name in value]
    names.sort(key=lambda name: placeholders.prompt_rank(name) > placeholders.IS_PROMPT)
    return {name: value[name] for name in [*names, *(name for name in value if name not in shape.properties)]}
