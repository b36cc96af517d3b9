"""One location of the data as a reader sees it: references followed, `allOf` merged, variants told apart.

Works on converted schemas (convert.py). A Shape is a summary for people and for the template; what is
valid is only ever decided by the validator.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from videotasks.openapi.convert import Schemas
from videotasks.openapi.document import MISSING, members

MAX_VARIANTS = 60
MAX_STEPS = 400  # choices looked at for one place; combinations that exclude each other end here
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
_FIRST = ("title", "description", "format", "multipleOf", "uniqueItems", "contains", "propertyNames", "readOnly",
          "deprecated", "default")  # fmt: skip


class Group(NamedTuple):
    """One `oneOf` or `anyOf`."""

    kind: str
    branches: list[Any]
    discriminator: Any


class Shape:
    """Everything that holds at one place. `groups` are the choices that are still open.

    `properties` maps a name to all schemas that hold for it; `hints` to values that a discriminator asks for.
    `additional` is what the schema says of other properties unless that is False, which is `closed`.
    """

    def __init__(self) -> None:
        self.types: set[str] | None = None
        self.properties: dict[str, list[Any]] = {}
        self.required: list[str] = []
        self.enum: list[Any] | None = None
        self.const: Any = MISSING
        self.limits: dict[str, Any] = {}
        self.patterns: list[str] = []
        self.items: list[Any] = []
        self.prefix: list[Any] = []
        self.additional: Any = MISSING
        self.closed = False
        self.name_patterns: list[str] = []
        self.examples: list[Any] = []
        self.groups: list[Group] = []
        self.conditions: list[Any] = []
        self.hints: dict[str, list[Any]] = {}
        self.variant: list[str] = []
        self.uris: list[str] = []
        self.impossible = False

    def copy(self) -> Shape:
        """A copy that can be added to; values inside are shared."""
        other = Shape()
        for name, value in self.__dict__.items():
            if isinstance(value, (list, set)):
                value = type(value)(value)
            elif isinstance(value, dict):
                value = {key: list(entry) if isinstance(entry, list) else entry for key, entry in value.items()}
            setattr(other, name, value)
        return other

    def property(self, name: str) -> Any:
        """The schema of a property: the only one, or `allOf` of several."""
        schemas = self.properties.get(name, [])
        return schemas[0] if len(schemas) == 1 else ({"allOf": schemas} if schemas else True)

    def is_object(self) -> bool:
        return bool(self.properties) or (self.types is not None and "object" in self.types)

    def values(self) -> list[Any] | None:
        """The values of its enum, else its constant; None where nothing is listed."""
        return self.enum if self.enum is not None or self.const is MISSING else [self.const]

    def only_value(self) -> Any:
        """The one value that may stand here, or MISSING."""
        return self.enum[0] if self.const is MISSING and self.enum and len(self.enum) == 1 else self.const


def shape_of(schemas: Schemas, schema: Any) -> Shape:
    shape = Shape()
    add(schemas, shape, schema, ())
    return shape


def add(schemas: Schemas, shape: Shape, schema: Any, trail: tuple[str, ...]) -> None:
    """Merge `schema` into `shape`; the `oneOf` and `anyOf` in it become groups."""
    if schema is False:
        shape.impossible = True
    if not isinstance(schema, dict) or len(trail) > 60:
        return
    _merge_plain(shape, schema)
    for name, value in schema.get("properties", {}).items():
        shape.properties.setdefault(name, []).append(value)
    for name in schema.get("required", ()):
        if name not in shape.required:
            shape.required.append(name)
    discriminator = schema.get("discriminator")
    if isinstance(discriminator, dict) and "oneOf" not in schema and "anyOf" not in schema:
        _inherit(schemas, shape, discriminator, trail)
    uri = schema.get("$ref")
    if uri is not None and uri not in shape.uris:  # a second time says nothing new, and 2**n times would
        shape.uris.append(uri)
        add(schemas, shape, schemas.target(uri), (*trail, uri))
    for part in schema.get("allOf", ()):
        add(schemas, shape, part, trail)
    for kind in ("oneOf", "anyOf"):
        if kind in schema:
            shape.groups.append(Group(kind, schema[kind], discriminator))
    if "if" in schema:
        shape.conditions.append(schema)


def _inherit(schemas: Schemas, shape: Shape, discriminator: dict[str, Any], trail: tuple[str, ...]) -> None:
    """The values that a base schema's discriminator has for its heirs (`trail`, outermost first)."""
    name, mapping = discriminator.get("propertyName"), members(discriminator.get("mapping"))
    if not isinstance(name, str):
        return
    named = [(schemas.ref(uri), schemas.name(uri)) for uri in trail]
    values = [str(key) for names in named for key, target in mapping.items() if target in names]
    values += [short for _, short in named[:-1]] or list(mapping)
    shape.hints.setdefault(name, []).extend(values)


def _merge_plain(shape: Shape, schema: dict[str, Any]) -> None:
    types = schema.get("type")
    if types is not None:
        found = {types} if isinstance(types, str) else set(types)
        if "number" in found:
            found.add("integer")
        shape.types = found if shape.types is None else shape.types & found
        if not shape.types:
            shape.impossible = True
    if "const" in schema and shape.const is MISSING:
        shape.const = schema["const"]
    if "enum" in schema:
        values = schema["enum"]
        shape.enum = values if shape.enum is None else [value for value in shape.enum if value in values]
    for keys, narrower in ((_LOWER, max), (_UPPER, min)):
        for key in keys:
            if key in schema:
                shape.limits[key] = narrower(schema[key], shape.limits.get(key, schema[key]))
    for key in _FIRST:
        if key in schema and key not in shape.limits:
            shape.limits[key] = schema[key]
    if "pattern" in schema:
        shape.patterns.append(schema["pattern"])
    if "items" in schema:
        shape.items.append(schema["items"])
    if "prefixItems" in schema:
        shape.prefix = schema["prefixItems"]
    for key in ("additionalProperties", "unevaluatedProperties"):
        if schema.get(key) is False:
            shape.closed = True
        elif key in schema:
            shape.additional = schema[key]
    shape.name_patterns.extend(schema.get("patternProperties", ()))
    if "example" in schema:
        shape.examples.append(schema["example"])
    shape.examples.extend(schema.get("examples", ()))


def variants(schemas: Schemas, shape: Shape, prefer: Any = None) -> Iterator[Shape]:
    """The shape with every open choice made, in each way, at most MAX_VARIANTS; impossible ones left out.

    `prefer(schema) -> number` orders the branches of each choice (smallest first); null comes last by itself.
    """
    count = steps = 0
    stack = [shape]
    while stack and count < MAX_VARIANTS and steps < MAX_STEPS:
        current = stack.pop()
        steps += 1
        if current.impossible:
            continue
        if not current.groups:
            count += 1
            yield current
            continue
        group = current.groups[0]
        branches = [(branch, branch_name(schemas, branch)) for branch in group.branches[:MAX_VARIANTS]]
        order = sorted(branches, key=lambda entry: (is_null(schemas, entry[0]), prefer(entry[0]) if prefer else 0))
        for branch, name in reversed(order):
            chosen = current.copy()
            chosen.groups = chosen.groups[1:]
            if name:
                chosen.variant.append(name)
            add(schemas, chosen, branch, ())
            _discriminate(schemas, chosen, branch, group.discriminator)
            stack.append(chosen)


def branch_name(schemas: Schemas, branch: Any) -> str:
    """What to call a variant: its schema's name, or its title."""
    if "$ref" in members(branch):
        return schemas.name(branch["$ref"])
    title = members(branch).get("title")
    return title if isinstance(title, str) else ""


def is_null(schemas: Schemas, branch: Any) -> bool:
    branch = members(schemas.deref(branch))
    return branch.get("type") == "null" or branch.get("enum") == [None]


def discriminator_values(schemas: Schemas, branch: Any, discriminator: Any) -> tuple[str, list[str]]:
    """The property of a discriminator and the values that mean `branch`; ("", []) when there is none."""
    name, mapping = members(discriminator).get("propertyName"), members(members(discriminator).get("mapping"))
    if not isinstance(name, str):
        return "", []
    if "$ref" not in members(branch):
        return name, []
    ref, short = schemas.ref(branch["$ref"]), schemas.name(branch["$ref"])
    return name, [str(key) for key, target in mapping.items() if target in (ref, short)] or [short]


def _discriminate(schemas: Schemas, shape: Shape, branch: Any, discriminator: Any) -> None:
    name, values = discriminator_values(schemas, branch, discriminator)
    if name and values:
        shape.hints[name] = [*values, *shape.hints.get(name, [])]
        if name not in shape.required and name in shape.properties:
            shape.required.append(name)
