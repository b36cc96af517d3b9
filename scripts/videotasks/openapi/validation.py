"""Is this payload what the endpoint documents? Answered before anything is sent, with errors that say what to write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from videotasks.openapi import explain, operations
from videotasks.openapi.convert import Schemas
from videotasks.openapi.document import MISSING, Document, load
from videotasks.openapi.patterns import Patterns
from videotasks.openapi.shape import Shape, add, shape_of

MAX_LISTED = 30  # errors of a report
# A validation of a large real body takes some hundred steps; allOf in allOf in allOf can ask for 2**60.
MAX_STEPS = 20_000
MAX_ERRORS = 50
MAX_DEPTH = 60


@dataclass
class ValidationReport:
    """`errors` are dicts: `path` ("$.content[0].text"), `message`, and where known `expected`, `allowed`, `nearest`.

    `unchecked` says what could not be checked: `ok` says nothing of that.
    `endpoint` is the operation that the payload was held against, None when there is none.
    """

    ok: bool
    errors: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    endpoint: str | None = None
    unchecked: list[str] = field(default_factory=list)


loaded: dict[tuple[object, ...], Document] = {}


def validate_payload(
    spec: str, method_and_path_or_endpoint: str, payload: object, *, allow_unknown_fields: bool = False
) -> ValidationReport:
    """Hold `payload` against the request body of an endpoint of the specification `spec` (a file or https URL).

    Fields that the schema does not know are errors unless it says `additionalProperties: true` or
    `allow_unknown_fields` is set. Raises SpecError when the specification or the endpoint cannot be found.
    """
    document = _document(spec)
    operation = operations.find(document, method_and_path_or_endpoint)
    return validate_operation(operation, payload, allow_unknown_fields=allow_unknown_fields)


def validate_operation(
    operation: operations.Operation, payload: object, *, allow_unknown_fields: bool = False
) -> ValidationReport:
    """As validate_payload, for an operation in hand."""
    report = ValidationReport(ok=True, endpoint=operation.endpoint)
    media = operation.request_media()
    if not media:
        return _nothing_checked(report, "the endpoint documents no request body; nothing was checked")
    chosen = media[0]
    if not operations.is_json(chosen.type) and "form" not in chosen.type:
        return _nothing_checked(report, f"the body is {chosen.type[:60]}, which cannot be checked")
    schemas = Schemas(operation.document)
    schema = schemas.convert(chosen.schema)
    if schema is True or schema == {}:
        return _nothing_checked(report, "the endpoint documents no schema for its body; nothing was checked")
    if schemas.is_missing(schema):
        return _nothing_checked(report, f"{schemas.unchecked()[0]}; nothing was checked")
    form = not operations.is_json(chosen.type)
    report.errors, warnings = check(schemas, schema, payload, allow_unknown_fields, form=form)
    report.warnings += warnings
    report.unchecked = [*schemas.unchecked(), *(text for text in warnings if "was not checked" in text)][:20]
    report.ok = not report.errors
    return report


def _nothing_checked(report: ValidationReport, why: str) -> ValidationReport:
    report.warnings.append(why)
    report.unchecked.append(why)
    return report


def check(
    schemas: Schemas, schema: Any, payload: object, allow_unknown_fields: bool = False, *, form: bool = False
) -> tuple[list[dict[str, Any]], list[str]]:
    """Errors and warnings for a value and a converted schema; in a `form`, 8 is as good as "8"."""
    patterns = Patterns()
    strict, lenient = Validator(schemas, patterns), Validator(schemas, patterns, lenient=True)
    warnings: list[str] = []
    try:
        raw = strict.errors(schema, payload)
        if raw:
            by_intent = lenient.errors(schema, payload)
            if not by_intent:
                warnings.append(f"accepted by intent, not by the letter of the schema: {LENIENT}")
            raw = by_intent
        errors = explain.explain(schemas, raw, form=form)
        walker = _Walker(schemas, lenient, allow_unknown_fields)
        walker.walk(schema, payload, (), 0)
    except (TooComplex, RecursionError) as exc:
        reason = str(exc) if isinstance(exc, TooComplex) else "the payload is nested too deeply"
        return [{"path": "$", "message": f"cannot be checked: {reason}", "expected": "a simpler value"}], []
    # A misspelt field is often both unknown and missing; what the reader can act on comes first.
    merged = {(error["path"], error["message"]): error for error in [*walker.errors, *errors]}
    warnings += walker.warnings
    warnings += [f"pattern {pattern!r} was not checked: {reason}" for pattern, reason in patterns.skipped.items()]
    listed = list(merged.values())
    if len(listed) > MAX_LISTED:
        warnings.append(f"{len(listed) - MAX_LISTED} more errors are not listed")
    return listed[:MAX_LISTED], warnings[:20]


class _Walker:
    """Finds fields that no part of the schema knows, and notes those that a server ignores."""

    def __init__(self, schemas: Schemas, validator: Validator, allow_unknown: bool) -> None:
        self.schemas = schemas
        self.validator = validator
        self.allow_unknown = allow_unknown
        self.errors: list[dict[str, Any]] = []
        self.warnings: list[str] = []

    def walk(self, schema: Any, value: Any, path: tuple[Any, ...], depth: int) -> None:
        if depth > MAX_DEPTH or not isinstance(value, (dict, list)) or not isinstance(schema, dict):
            return
        shape = self._fitting(schema, value)
        if isinstance(value, list):
            for index, entry in enumerate(value[:200]):
                inner = [shape.prefix[index]] if index < len(shape.prefix) else shape.items
                if inner:
                    self.walk(inner[0] if len(inner) == 1 else {"allOf": inner}, entry, (*path, index), depth + 1)
            return
        if not shape.properties and not shape.closed and not isinstance(shape.additional, dict):
            return  # a free-form object
        for name, entry in value.items():
            if name in shape.properties:
                inner_schema = shape.property(name)
                self._note(inner_schema, (*path, name))
                self.walk(inner_schema, entry, (*path, name), depth + 1)
            elif any(self.validator.patterns.matches(pattern, name) for pattern in shape.name_patterns):
                continue
            elif isinstance(shape.additional, dict) and shape.additional:
                self.walk(shape.additional, entry, (*path, name), depth + 1)
            elif shape.additional is MISSING and (shape.closed or not self.allow_unknown):
                self.errors.append(explain.unknown_field((*path, name), list(shape.properties)))

    def _fitting(self, schema: dict[str, Any], value: Any) -> Shape:
        """The shape with the variants that `value` fits (all of a choice when it fits none)."""
        shape = shape_of(self.schemas, schema)
        for _ in range(200):
            if shape.conditions:
                condition = shape.conditions.pop()
                for key in ("if", "then", "else"):
                    add(self.schemas, shape, condition.get(key), ())
            elif shape.groups:
                group = shape.groups.pop()
                fitting = [branch for branch in group.branches if self.validator.is_valid(branch, value)]
                for branch in fitting or explain.meant_branches(self.schemas, group, value):
                    add(self.schemas, shape, branch, ())
            else:
                break
        return shape

    def _note(self, schema: Any, path: tuple[Any, ...]) -> None:
        limits = shape_of(self.schemas, schema).limits
        if limits.get("readOnly"):
            self.warnings.append(f"{explain.shown_path(path)} is read-only: the server ignores or refuses it")
        elif limits.get("deprecated"):
            self.warnings.append(f"{explain.shown_path(path)} is deprecated")


def _document(spec: str) -> Document:
    """The loaded specification; one run of a command asks more than once."""
    try:
        info = os.stat(spec)
        key: tuple[object, ...] = (os.path.abspath(spec), info.st_mtime_ns, info.st_size)
    except (OSError, ValueError):
        key = (spec,)
    if key not in loaded:
        loaded.clear()
        loaded[key] = load(spec)
    return loaded[key]


# -- jsonschema over converted schemas, so that nothing hangs --


class TooComplex(Exception):
    """The schema asks for more work than any honest one; nothing is known about the value."""


LENIENT = "several variants of a oneOf fit at once, or its additionalProperties: false shuts out its own variants"
_COMPOSED = ("$ref", "allOf", "anyOf", "oneOf")


class Validator:
    """Validates values against the schemas of one document.

    `lenient` reads two common mistakes as they were meant, for by the letter no body at all would satisfy them: a
    `oneOf` may be satisfied by several variants (an image as URL or file, both plain strings), and
    `additionalProperties: false` beside or inside `allOf`/`oneOf` also knows the properties of the other parts.
    """

    def __init__(self, schemas: Schemas, patterns: Patterns | None = None, *, lenient: bool = False) -> None:
        from referencing import Registry, Resource
        from referencing.jsonschema import DRAFT202012

        self.schemas = schemas
        self.patterns = patterns or Patterns()
        self._steps = 0
        self._given_up = 0
        resources: dict[str, Any] = {}
        make: Any = Resource

        def retrieve(uri: str) -> Any:
            if uri not in resources:
                resources[uri] = make(schemas.target(uri), DRAFT202012)
            return resources[uri]

        self._class = _validator_class(self._step, self.patterns, lenient)
        self._registry: Any = Registry(retrieve=retrieve)  # type: ignore[call-arg]

    def errors(self, schema: Any, value: Any, most: int = MAX_ERRORS) -> list[Any]:
        """jsonschema's errors, at most `most`. Raises TooComplex."""
        if schema is True or schema == {}:
            return []
        self._steps = 0
        if self._given_up > 1:  # what was too complex twice is a bomb; each try costs a second
            raise TooComplex("the schema repeats itself too often to be checked")
        try:
            return list(islice(self._class(schema, registry=self._registry).iter_errors(value), most))
        except TooComplex:
            self._given_up += 1
            raise
        except RecursionError:
            self._given_up += 1
            raise TooComplex("the value or the schema is nested too deeply") from None

    def is_valid(self, schema: Any, value: Any) -> bool:
        """Whether there is no error; False also when that cannot be told."""
        try:
            return not self.errors(schema, value, 1)
        except TooComplex:
            return False

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TooComplex("the schema repeats itself too often to be checked")


def _validator_class(step: Callable[[], None], patterns: Patterns, lenient: bool) -> Any:
    """jsonschema's 2020-12 validator with counted steps, our patterns, and the lenient reading if asked for."""
    import jsonschema

    draft = jsonschema.Draft202012Validator
    known: Any = draft.VALIDATORS

    def counted(plain: Any) -> Any:
        def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
            step()
            yield from plain(validator, value, instance, schema) or ()

        return check

    def pattern(validator: Any, text: str, instance: Any, schema: Any) -> Iterator[Any]:
        if isinstance(instance, str) and not patterns.matches(text, instance):
            yield jsonschema.ValidationError(f"does not match {text[:200]}")

    def additional(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        composed = value is False and any(key in schema for key in _COMPOSED)
        name = "unevaluatedProperties" if composed else "additionalProperties"
        yield from known[name](validator, value, instance, schema) or ()

    def all_of(validator: Any, parts: Any, instance: Any, schema: Any) -> Iterator[Any]:
        for index, part in enumerate(parts):
            for error in validator.descend(instance, part, schema_path=index):
                # Unknown properties of all parts together are found by the walk above.
                if error.validator != "additionalProperties" or error.path:
                    yield error

    changed = {name: counted(known[name]) for name in ("$ref", "properties", "allOf", "anyOf", "oneOf", "items")}
    changed["pattern"] = pattern
    if lenient:
        changed["oneOf"] = changed["anyOf"]
        changed["allOf"] = counted(all_of)
        changed["additionalProperties"] = additional
    extend: Any = jsonschema.validators.extend
    return extend(draft, changed)
