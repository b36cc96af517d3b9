"""jsonschema over converted schemas: references on demand, nothing fetched, nothing that hangs or crashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from videotasks.openapi.convert import Schemas
from videotasks.openapi.patterns import Patterns

# A validation of a large real body takes some hundred steps; allOf in allOf in allOf can ask for 2**60.
MAX_STEPS = 20_000
MAX_ERRORS = 50


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

    def errors(self, schema: Any, value: Any) -> list[Any]:
        """jsonschema's errors, at most MAX_ERRORS. Raises TooComplex."""
        if schema is True or schema == {}:
            return []
        self._steps = 0
        found = []
        if self._given_up > 1:
            raise TooComplex("the schema repeats itself too often to be checked")
        try:
            for error in self._class(schema, registry=self._registry).iter_errors(value):
                found.append(error)
                if len(found) >= MAX_ERRORS:
                    break
        except TooComplex:
            self._given_up += 1
            raise
        except RecursionError:
            raise TooComplex("the value or the schema is nested too deeply") from None
        return found

    def is_valid(self, schema: Any, value: Any) -> bool:
        """Whether there is no error; False also when that cannot be told."""
        if schema is True or schema == {}:
            return True
        if self._given_up > 1:  # what was too complex twice is a bomb; each try costs a second
            return False
        self._steps = 0
        try:
            return next(self._class(schema, registry=self._registry).iter_errors(value), None) is None
        except (RecursionError, TooComplex):
            self._given_up += 1
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
                # Unknown properties of all parts together are found by validation.py.
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
