"""Schemas of OpenAPI 3.0, 3.1 and Swagger 2.0 as JSON Schema 2020-12, one at a time and only when used.

Real documents mix the dialects (a 3.1 document with 112 `nullable` and seven boolean `exclusiveMinimum`), so one set of
rules reads all of them and anything that cannot be meant is dropped with a warning rather than refused:

* `nullable: true` admits null, also beside `enum`, `allOf` and `$ref` (real servers accept it);
* a boolean `exclusiveMinimum` turns `minimum` exclusive, a boolean `required` on a property names it in its parent;
* `readOnly` properties are not required of a request;
* keywords of the wrong type, unknown types and patterns that are none are dropped.

References become `spec:N` and are converted when something asks for their target, so a document with mutually recursive
schemas or a thousand operations costs no more than the part in use.
"""

from __future__ import annotations

from typing import Any

from videotasks.formats import scalars
from videotasks.openapi.document import MISSING, Document, entries, members
from videotasks.openapi.patterns import risky, translate

MAX_DEPTH = 60  # levels of inline schemas; what is deeper accepts anything
_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")
# Spellings met in real documents for types that do not exist.
_TYPE_NAMES = {
    "int": "integer", "int32": "integer", "int64": "integer", "long": "integer",
    "float": "number", "double": "number", "decimal": "number",
    "bool": "boolean", "str": "string", "text": "string", "uuid": "string", "uri": "string", "url": "string",
    "date": "string", "datetime": "string", "date-time": "string", "email": "string", "binary": "string",
    "file": "string", "enum": "string", "password": "string", "byte": "string",
    "list": "array", "dict": "object", "map": "object", "none": "null",
}  # fmt: skip
_SCHEMA = ("additionalProperties", "items", "not", "if", "then", "else", "contains", "propertyNames",
           "unevaluatedProperties", "unevaluatedItems")  # fmt: skip
_SCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SCHEMA_MAPS = ("properties", "patternProperties", "dependentSchemas")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains",
           "maxContains")  # fmt: skip
_NUMBERS = ("minimum", "maximum", "multipleOf")
_NOTES = ("title", "description", "format", "default", "example", "readOnly", "writeOnly", "deprecated",
          "discriminator", "contentMediaType", "contentEncoding")  # fmt: skip
_ANNOTATIONS = frozenset((*_NOTES, "$ref", "nullable", "summary", "examples", "externalDocs", "xml", "$comment"))
_IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
_IN_PLACE = ("not", "if", "then", "else")

Schema = dict[str, Any]  # a converted schema


class Schemas:
    """Converts the schemas of one document and remembers the targets of references."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._numbers: dict[str, int] = {}
        self._refs: list[str] = []
        self._targets: dict[str, Schema | bool] = {}
        self._settled: set[str] = set()
        self.missing: dict[str, None] = {}  # references that lead nowhere, in the order in which they were met

    def convert(self, node: Any) -> Schema | bool:
        """The 2020-12 form of a schema as written. References stay references (`spec:N`)."""
        schema = self._convert(node, 0)
        if isinstance(schema, dict):
            self._settle(schema)
        return schema

    def target(self, uri: str) -> Schema | bool:
        """The converted schema that `spec:N` stands for; an unresolvable one accepts anything."""
        if uri not in self._targets:
            self._load(uri)
        schema = self._targets[uri]
        if uri not in self._settled:
            if isinstance(schema, dict):
                self._settle(schema, uri)
            self._settled.add(uri)
        return schema

    def is_missing(self, schema: Any) -> bool:
        """Whether a converted schema is nothing but a reference that leads nowhere."""
        for _ in range(50):
            if not (isinstance(schema, dict) and "$ref" in schema):
                break
            ref = self.ref(schema["$ref"])
            schema = self.target(schema["$ref"])
            if ref in self.missing:
                return True
        return False

    def unchecked(self) -> list[str]:
        """What could not be checked for want of a definition."""
        return [f"$ref {ref[:120]} leads nowhere: anything is accepted there" for ref in self.missing]

    def ref(self, uri: str) -> str:
        """The reference as the document wrote it."""
        return self._refs[int(uri[5:])]

    def name(self, uri: str) -> str:
        """The last part of a reference: the schema's name."""
        last = self.ref(uri).rpartition("/")[2] or self.ref(uri)
        return last.replace("~1", "/").replace("~0", "~").rpartition("#")[2]

    def uri(self, ref: str) -> str:
        if ref not in self._numbers:
            self._numbers[ref] = len(self._refs)
            self._refs.append(ref)
        return f"spec:{self._numbers[ref]}"

    def deref(self, schema: Any) -> Any:
        """The converted schema at the end of a chain of plain references (`$ref` without constraints beside it)."""
        for _ in range(50):
            if not (isinstance(schema, dict) and "$ref" in schema and _ANNOTATIONS.issuperset(schema)):
                break
            schema = self.target(schema["$ref"])
        return schema

    def _load(self, uri: str) -> None:
        ref = self.ref(uri)
        node = self.document.resolve(ref)
        if node is MISSING:
            self.missing[ref] = None
        self._targets[uri] = True if node is MISSING else self._convert(node, 0)

    def _convert(self, node: Any, depth: int) -> Schema | bool:
        if isinstance(node, bool):
            return node
        if not isinstance(node, dict):
            self.document.warn(f"a schema is {type(node).__name__}, not an object: anything is accepted there")
            return True
        if depth > MAX_DEPTH:
            self.document.warn(f"schemas nested deeper than {MAX_DEPTH} levels accept anything")
            return True
        out: Schema = {key: node[key] for key in _NOTES if key in node}
        examples = node.get("examples")
        if isinstance(examples, dict):  # 3.0 authors copy the form of media types
            out["examples"] = [members(example).get("value", example) for example in examples.values()]
        elif isinstance(examples, list):
            out["examples"] = examples
        ref = node.get("$ref", node.get("$dynamicRef"))
        if isinstance(ref, str):
            out["$ref"] = self.uri(ref)
        # OpenAPI 3.0 says that everything beside $ref is ignored; only what says something about null is kept.
        if not isinstance(ref, str) or self.document.family == "3.1":
            self._assertions(node, out, depth)
        if node.get("nullable") is True or node.get("x-nullable") is True:
            out = self._with_null(out)
        return out

    def _assertions(self, node: dict[str, Any], out: Schema, depth: int) -> None:
        types = self._types(node.get("type", MISSING))
        if types is not None:
            out["type"] = types
        if enum := entries(node.get("enum")):
            out["enum"] = enum
        if "const" in node:
            out["const"] = node["const"]
        if isinstance(node.get("pattern"), str):
            out["pattern"] = node["pattern"]
        if node.get("uniqueItems") is True:
            out["uniqueItems"] = True
        self._numbers_of(node, out)
        for key in _SCHEMA:
            value = node.get(key, MISSING)
            if isinstance(value, (dict, bool)):
                out[key] = self._convert(value, depth + 1)
        if isinstance(node.get("items"), list):  # tuples of older drafts
            out.pop("items", None)
            out["prefixItems"] = [self._convert(item, depth + 1) for item in node["items"]]
        for key in _SCHEMA_LISTS:
            value = node.get(key)
            if parts := [value] if isinstance(value, dict) else entries(value):
                out[key] = self._unique([self._convert(part, depth + 1) for part in parts])
        for key in _SCHEMA_MAPS:
            if isinstance(node.get(key), dict):
                out[key] = {str(name): self._convert(item, depth + 1) for name, item in node[key].items()}
        if "patternProperties" in out:
            self._check_property_patterns(out)
        self._required(node, out)
        if isinstance(node.get("dependentRequired"), dict):
            out["dependentRequired"] = {
                name: [entry for entry in names if isinstance(entry, str)]
                for name, names in node["dependentRequired"].items()
                if isinstance(names, list)
            }

    def _types(self, value: Any) -> Any:
        """A type, a list of types, or None when there is none. YAML's unquoted `null` arrives as None."""
        if value is MISSING:
            return None
        found: dict[str, None] = {}
        for entry in value if isinstance(value, list) else [value]:
            name = "null" if entry is None else str(entry)
            low = name.lower()
            better = name if name in _TYPES else _TYPE_NAMES.get(low, low if low in _TYPES else None)
            if better != name and low != "file":
                read = f"read as {better}" if better else "ignored"
                self.document.warn(f"type {name[:40]!r} does not exist; {read}")
            if better is None:
                return None
            found[better] = None
        return list(found) if len(found) > 1 else next(iter(found), None)

    def _numbers_of(self, node: dict[str, Any], out: Schema) -> None:
        for key in _COUNTS:
            count = _number(node.get(key))
            if count is not None and count >= 0 and count == int(count):
                out[key] = int(count)
        for key in _NUMBERS:
            number = _number(node.get(key))
            if number is not None and not (key == "multipleOf" and number <= 0):
                out[key] = number
        for key, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            value = node.get(key)
            if value is True and bound in out:
                out[key] = out.pop(bound)
            elif not isinstance(value, bool) and _number(value) is not None:
                out[key] = _number(value)

    def _required(self, node: dict[str, Any], out: Schema) -> None:
        properties = members(node.get("properties"))
        names = [name for name in entries(node.get("required")) if isinstance(name, str)]
        names += [str(name) for name, written in properties.items() if members(written).get("required") is True]
        if names := [name for name in names if not self._read_only(members(properties.get(name)))]:
            out["required"] = list(dict.fromkeys(names))

    def _read_only(self, written: dict[str, Any]) -> bool:
        own = written.get("readOnly")
        told = own if isinstance(own, bool) else members(self.document.deref(written)).get("readOnly")
        return told is True

    def _with_null(self, out: Schema) -> Schema:
        """The schema that also accepts null."""
        if "enum" in out and None not in out["enum"]:
            out["enum"] = [*out["enum"], None]
        if not any(key in out for key in ("$ref", "allOf", "anyOf", "oneOf", "not", "const", "if")):
            types = out.get("type", "null")
            types = [types] if isinstance(types, str) else types
            if "null" not in types:
                out["type"] = [*types, "null"]
            return out
        notes = {key: out.pop(key) for key in (*_NOTES, "examples") if key in out and key != "discriminator"}
        return {"anyOf": [out, {"type": "null"}], **notes}

    def _unique(self, schemas: list[Schema | bool]) -> list[Schema | bool]:
        """Without repeated references: `allOf: [B, B]`, B the same of C ... doubles the work at each level."""
        kept: dict[object, Schema | bool] = {}  # by reference; whatever is none has a number of its own
        for schema in schemas:
            plain = isinstance(schema, dict) and list(schema) == ["$ref"]
            kept.setdefault(schema["$ref"] if plain else len(kept), schema)  # type: ignore[index]
        return list(kept.values())

    def _check_property_patterns(self, out: Schema) -> None:
        """The validator matches property names itself, so only patterns that are safe for it may stay."""
        kept = {}
        for pattern, schema in out.pop("patternProperties").items():
            translated, _ = translate(pattern)
            if translated is None or risky(pattern):
                self.document.warn(f"patternProperties {pattern[:80]!r} is not checked")
                for key in ("additionalProperties", "unevaluatedProperties"):
                    out.pop(key, None)
            else:
                kept[translated] = schema
        if kept:
            out["patternProperties"] = kept

    def _settle(self, schema: Schema, uri: str | None = None) -> None:
        """Cut references that lead back to the same place of the data, on which a validator would recurse forever.

        The usual one is `Cat: allOf: [Pet]` with `Pet: oneOf: [Cat, Dog]`: there `Cat` keeps what is Pet's own.
        """

        def visit(node: Any, trail: list[tuple[str, Schema, str]], kind: str) -> None:
            if not isinstance(node, dict) or len(trail) > MAX_DEPTH:
                return
            if "$ref" in node:
                follow(node, trail, kind)
            for key in _IN_PLACE_LISTS:
                for part in node.get(key, ()):
                    visit(part, trail, key)
            for key in _IN_PLACE:
                visit(node.get(key), trail, key)
            for part in node.get("dependentSchemas", {}).values():
                visit(part, trail, "dependentSchemas")

        def follow(holder: Schema, trail: list[tuple[str, Schema, str]], kind: str) -> None:
            target = holder["$ref"]
            names = [name for name, _, _ in trail]
            if target == uri or target in names:
                start = names.index(target) + 1 if target in names else 0
                self._cut([*trail[start:], (target, holder, kind)])
            elif target not in self._settled:
                if target not in self._targets:
                    self._load(target)
                visit(self._targets[target], [*trail, (target, holder, kind)], "$ref")
                self._settled.add(target)

        visit(schema, [], "$ref")

    def _cut(self, loop: list[tuple[str, Schema, str]]) -> None:
        """Open a loop of references at the step that inherits, else at its last step."""
        inheriting = [step for step in loop if step[2] == "allOf"]
        target, holder, kind = (inheriting or loop)[-1]
        self.document.warn(f"schema {self.ref(target)[:100]} contains itself ({kind}); the loop is cut")
        holder.pop("$ref", None)
        own = self._targets.get(target)
        if inheriting and isinstance(own, dict):
            for key, value in own.items():
                if key not in ("$ref", "allOf", "anyOf", "oneOf", "discriminator", "if", "then", "else"):
                    holder.setdefault(key, value)


def _number(value: Any) -> int | float | None:
    """A finite number, also when written as text; None otherwise."""
    if isinstance(value, str):
        try:
            value = float(value) if len(value) < 40 else None
        except ValueError:
            return None
        if value is not None and value.is_integer() and abs(value) < 2**53:
            return int(value)
    return None if scalars.number(value) is None else value
