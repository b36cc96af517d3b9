"""Schemas: conversion of the dialects, patterns that neither hang nor crash, and a template for each that validates."""

from __future__ import annotations

import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videotasks.openapi import patterns, placeholders
from videotasks.openapi.convert import Schemas
from videotasks.openapi.document import MISSING, Document
from videotasks.openapi.shape import shape_of, variants
from videotasks.openapi.template import Template, make_template
from videotasks.openapi.validation import TooComplex, Validator


def schemas_of(family: str = "3.0", **named: Any) -> Schemas:
    return Schemas(Document({"paths": {}, "components": {"schemas": named}}, family, "/x/openapi.json", None))


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def accepts(written: Any, value: Any, family: str = "3.0", **named: Any) -> bool:
    schemas = schemas_of(family, **named)
    return Validator(schemas).is_valid(schemas.convert(written), value)


# ---------------------------------------------------------------- conversion


@pytest.mark.parametrize(
    ("written", "good", "bad"),
    [
        ({"type": "string", "nullable": True}, [None, "a"], [1]),
        ({"type": "string", "enum": ["a"], "nullable": True}, [None, "a"], ["b"]),
        ({"enum": ["a", None], "nullable": True}, [None, "a"], ["b"]),
        ({"type": ["string", "null"]}, [None, "a"], [1]),
        ({"type": ["string", None]}, [None, "a"], [1]),  # YAML's unquoted null
        ({"type": None}, [None], [1]),
        ({"allOf": [{"type": "string"}], "nullable": True}, [None, "a"], [1]),
        ({"oneOf": [{"type": "string"}], "nullable": True}, [None, "a"], [1]),
        ({"type": "string", "x-nullable": True}, [None], [1]),
        ({"type": "number", "minimum": 1, "exclusiveMinimum": True}, [1.1], [1]),
        ({"type": "number", "minimum": 1, "exclusiveMinimum": False}, [1], [0]),
        ({"type": "number", "exclusiveMaximum": 2}, [1], [2]),
        ({"type": "number", "minimum": "1", "maximum": "5.5"}, [1, 5.5], [0, 6]),
        ({"type": "string", "minLength": "2", "maxLength": 3.0}, ["ab"], ["a", "abcd"]),
        ({"type": "string", "maxLength": None, "minLength": -1}, ["", "abc"], [1]),
        ({"type": "int"}, [1], ["1", 1.5]),
        ({"type": "String"}, ["1"], [1]),
        ({"type": "–"}, [1, "x"], []),
        ({"type": "file"}, ["x"], [1]),
        ({"type": "object", "required": True, "properties": {"a": {"type": "string"}}}, [{}], [1]),
        ({"type": "object", "properties": {"a": {"type": "string", "required": True}}}, [{"a": ""}], [{}]),
        ({"properties": {"a": {"readOnly": True}, "b": {}}, "required": ["a", "b"]}, [{"b": 1}], [{"a": 1}]),
        ({"properties": {"a": {"$ref": "#/components/schemas/RO"}}, "required": ["a"]}, [{}], []),
        ({"type": "array", "items": [{"type": "string"}, {"type": "integer"}]}, [["a", 1]], [[1, "a"]]),
        ({"type": "array"}, [[1, "a"]], [{}]),
        ({"enum": "a"}, ["b"], []),
        ({"allOf": {"type": "string"}}, ["a"], [1]),
        ({"anyOf": []}, [1], []),
        ({"additionalProperties": "no"}, [{"a": 1}], []),
        ({"properties": ["a"]}, [{"a": 1}], []),
        ({"multipleOf": 0}, [1], []),
        ({"pattern": "["}, ["x"], []),
        ({"pattern": 5}, ["x"], []),
        (True, [1], []),
        (False, [], [1]),
        ("nonsense", [1], []),
        ({"patternProperties": {"^x-": {"type": "string"}}}, [{"x-a": "1"}], [{"x-a": 1}]),
        ({"patternProperties": {"^(a+)+$": {"type": "string"}}, "additionalProperties": False}, [{"aaa": 1}], []),
        ({"dependentRequired": {"a": ["b"]}}, [{}, {"a": 1, "b": 2}], [{"a": 1}]),
        ({"$ref": "#/components/schemas/Nowhere"}, [1, {}], []),
        ({"$ref": "http://127.0.0.1:9/x.json"}, [1], []),
        ({"$id": "https://x.example/", "$ref": "#/components/schemas/S"}, ["a"], [1]),
        ({"format": "uri", "type": "string"}, ["no uri"], [1]),
    ],
)
def test_dialects(written: Any, good: list[Any], bad: list[Any]) -> None:
    named = {"RO": {"type": "string", "readOnly": True}, "S": {"type": "string"}}
    for value in good:
        assert accepts(written, value, **named), value
    for value in bad:
        assert not accepts(written, value, **named), value


def test_siblings_of_a_reference_count_in_3_1_only() -> None:
    written = {**ref("S"), "maxLength": 2, "description": "d"}
    assert accepts(written, "long", "3.0", S={"type": "string"})
    assert not accepts(written, "long", "3.1", S={"type": "string"})
    assert accepts({**ref("S"), "nullable": True}, None, "3.0", S={"type": "string"})


def test_only_what_is_used_is_converted() -> None:
    asked: list[str] = []

    class Counting(Document):
        def resolve(self, ref: str) -> Any:
            asked.append(ref)
            return super().resolve(ref)

    many = {f"S{n}": {"properties": {"next": ref(f"S{n + 1}")}} for n in range(1000)}
    document = Counting({"paths": {}, "components": {"schemas": many}}, "3.0", "/x", None)
    schemas = Schemas(document)
    assert Validator(schemas).is_valid(schemas.convert(ref("S0")), {"next": {"next": {}}})
    assert len(set(asked)) <= 4


def test_the_document_is_not_changed() -> None:
    written = {"type": "object", "required": True, "nullable": True, "properties": {"a": {"exclusiveMinimum": True}}}
    before = repr(written)
    schemas_of().convert(written)
    assert repr(written) == before


@pytest.mark.parametrize(
    "named",
    [
        {"A": ref("A")},
        {"A": {"allOf": [ref("B")]}, "B": {"allOf": [ref("A")], "properties": {"x": {"type": "string"}}}},
        {"A": {"oneOf": [ref("A"), {"type": "string"}]}},
        {"A": {"not": ref("A")}},
        {"A": {"anyOf": [{"allOf": [{"$ref": "#/components/schemas/A"}]}]}},
    ],
)
def test_schemas_that_contain_themselves_in_place_are_cut(named: dict[str, Any]) -> None:
    schemas = schemas_of(**named)
    converted = schemas.convert(ref("A"))
    Validator(schemas).errors(converted, {"x": 1})  # ends
    assert any("itself" in warning for warning in schemas.document.warnings)


def test_inheritance_that_refers_back_keeps_what_it_inherits() -> None:
    pet = {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}}, "oneOf": [ref("Cat")]}
    cat = {"allOf": [ref("Pet"), {"required": ["meow"]}]}
    assert accepts(ref("Cat"), {"kind": "c", "meow": 1}, Pet=pet, Cat=cat)
    assert not accepts(ref("Cat"), {"meow": 1}, Pet=pet, Cat=cat)
    assert not accepts(ref("Pet"), {"kind": "c"}, Pet=pet, Cat=cat)


def test_recursion_in_the_data_is_no_loop() -> None:
    tree = {"type": "object", "properties": {"children": {"type": "array", "items": ref("Tree")}}}
    assert accepts(ref("Tree"), {"children": [{"children": []}]}, Tree=tree)
    assert not accepts(ref("Tree"), {"children": [{"children": 1}]}, Tree=tree)


def test_doubling_schemas_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videotasks.openapi.validation.MAX_STEPS", 500)
    named: dict[str, Any] = {f"A{n}": {"allOf": [ref(f"A{n + 1}"), {"allOf": [ref(f"A{n + 1}")]}]} for n in range(40)}
    named["A40"] = {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"}}}
    schemas = schemas_of(**named)
    converted = schemas.convert(ref("A0"))
    with pytest.raises(TooComplex):
        Validator(schemas).errors(converted, {"prompt": "x"})
    assert shape_of(schemas, converted).required == ["prompt"]
    assert make_template(schemas, converted).problems


def test_deep_data_is_too_complex_not_a_crash() -> None:
    value: Any = 1
    for _ in range(3000):
        value = [value]
    schemas = schemas_of(L={"anyOf": [{"type": "array", "items": ref("L")}, {"type": "integer"}]})
    with pytest.raises(TooComplex):
        Validator(schemas).errors(schemas.convert(ref("L")), value)


# ---------------------------------------------------------------- patterns


@pytest.mark.parametrize(
    ("pattern", "value", "found"),
    [
        (r"^\d+$", "12", True),
        (r"^\d+$", "١٢", False),
        (r"^\w+$", "é", False),
        (r"^a$", "a\n", False),
        (r"^(?<ratio>\d+:\d+)$", "16:9", True),
        (r"^https:\/\/", "https://x", True),
        (r"^[\w\-.]+$", "a-b.c", True),
        (r"^[^]$", "\n", True),
        (r"^\u{41}$", "A", True),
        (r"^[[]$", "[", True),
        (r"[]", "", False),
        (r"\p{L}", "1", True),  # cannot be checked: accepted, and said
        ("(", "1", True),
        ("x" * 10_000, "y", True),
        (r"a{2,99999999999}", "a", True),
    ],
)
def test_patterns(pattern: str, value: str, found: bool) -> None:
    assert patterns.Patterns().matches(pattern, value) is found


@pytest.mark.parametrize(
    "pattern",
    ["^(a+)+$", "(a|aa)*$", "(x+x+)+y", r"^([a-z]{1,20}\.?){1,20}$", "(a?){30}a{30}", r"(.)\1+", "^.*.*.*x$"],
)
def test_patterns_that_may_explode_are_known(pattern: str) -> None:
    assert patterns.risky(pattern)


@pytest.mark.parametrize(
    "pattern",
    [r"^\d+:\d+$", "^[a-z]+$", "^https?://.*", "^(16|9):(9|16)$", "^.{1,500}$", r"^#[0-9a-f]{6}$", r"^(?:a|b)$"],
)
def test_plain_patterns_need_no_process_of_their_own(pattern: str) -> None:
    assert not patterns.risky(pattern)


def test_a_pattern_that_hangs_is_given_up_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = patterns.Patterns()
    with monkeypatch.context() as patch:
        patch.setattr(patterns, "CHILD_SECONDS", 0.5)
        started = time.monotonic()
        assert checked.matches("^(a+)+$", "a" * 41 + "!")
        assert time.monotonic() - started < 20
    assert list(checked.skipped) == ["^(a+)+$"]
    assert not checked.matches("^(ab?)+$", "b") and checked.matches("^(ab?)+$", "aba")


def test_children_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "MAX_CHILDREN", 0)
    checked = patterns.Patterns()
    assert checked.matches("^(a+)+$", "b") and "too many" in checked.skipped["^(a+)+$"]


@given(st.text(alphabet="ab(|)[]{}*+?\\^$.-,0123dw", max_size=12))
def test_translating_any_pattern_ends_in_a_pattern_or_a_reason(pattern: str) -> None:
    translated, reason = patterns.translate(pattern)
    assert (translated is None) == bool(reason)
    patterns.risky(pattern)
    if translated is not None:
        patterns.sample(translated, 3)


@pytest.mark.parametrize(
    "pattern", [r"^\d{3}-[A-Z]{2}$", r"^(16:9|9:16)$", r"^[^a-z]+$", r"^v\d+(\.\d+)*$", r"^\S+@\S+$"]
)
def test_samples_match(pattern: str) -> None:
    translated, _ = patterns.translate(pattern)
    assert translated is not None
    made = patterns.sample(translated, 0)
    assert made is not None and patterns.Patterns().matches(pattern, made)


# ---------------------------------------------------------------- templates


def template(written: Any, family: str = "3.0", examples: tuple[Any, ...] = (), **named: Any) -> Template:
    schemas = schemas_of(family, **named)
    return make_template(schemas, schemas.convert(written), examples)


def body(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required or [], "properties": properties}


STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (body(["prompt"], prompt=STRING), {"prompt": placeholders.PROMPT}),
        (body(prompt=STRING), {"prompt": placeholders.PROMPT}),
        (body(promptText=STRING), {"promptText": placeholders.PROMPT}),
        (body(text_prompt=STRING, negative_prompt=STRING), {"text_prompt": placeholders.PROMPT}),
        (body(prompt_optimizer={"type": "boolean"}), {}),
        (body(prompt_id=STRING, text=STRING), {"text": placeholders.PROMPT}),
        (body(["prompt"], prompt={"type": "string", "maxLength": 8}), {"prompt": "Describe"}),
        (body(["duration"], duration={"type": "integer", "enum": [4, 8], "default": "4"}), {"duration": 4}),
        (body(["duration"], duration={"type": "integer", "enum": [4, 8], "default": 5}), {"duration": 4}),
        (body(duration={"type": "integer", "enum": [4, 8], "default": 5}), {}),
        (body(["s"], s={"type": "string", "enum": ["5", "10"], "default": 5}), {"s": "5"}),
        (body(["b"], b={"type": "boolean", "default": "true"}), {"b": True}),
        (body(["m"], m={"const": "x"}), {"m": "x"}),
        (body(["m"], m={"type": "string", "example": "sora"}), {"m": "sora"}),
        (body(["n"], n={"type": "integer", "minimum": 4, "maximum": 15}), {"n": 4}),
        (body(["n"], n={"type": "integer", "minimum": 5, "multipleOf": 4}), {"n": 8}),
        (body(["n"], n={"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}), {"n": 0.5}),
        (body(["n"], n={"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1}), {"n": 1}),
        (body(["a"], a={"type": "array", "items": STRING, "minItems": 2}), {"a": ["<a>", "<a>"]}),
        (body(["image_urls"], image_urls={"type": "array", "items": {"type": "string", "format": "uri"}}),
         {"image_urls": ["https://example.com/image_url.png"]}),
        (body(["image_url"], image_url={"type": "string", "format": "uri"}),
         {"image_url": "https://example.com/image_url.png"}),
        (body(["id"], id={"type": "string", "format": "uuid"}), {"id": "00000000-0000-4000-8000-000000000000"}),
        (body(["ratio"], ratio={"type": "string", "pattern": r"^\d+:\d+$"}), {"ratio": "1:1"}),
        (body(["x"], x={"readOnly": True, "type": "string"}), {}),
        (body(old={"type": "string", "default": "x", "deprecated": True}), {}),
        (body(seed={"type": "integer", "nullable": True, "default": None}), {}),
        ({"allOf": [body(["a"], a=STRING), body(["b"], b={"type": "integer"})]}, {"a": "<a>", "b": 1}),
        ({"oneOf": [body(["u"], u={"const": "x"}), body(["prompt"], prompt=STRING)]}, {"prompt": placeholders.PROMPT}),
        ({"type": "array", "items": body(["p"], p=STRING), "minItems": 1}, [{"p": "<p>"}]),
        ({"type": "string", "enum": ["a"]}, "a"),
        (body(["any"], any={}), {"any": "<any>"}),
        ({"type": "object", "required": ["undeclared"]}, {"undeclared": "<undeclared>"}),
        ({"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}}, {"key1": 1, "key2": 1}),
        (body(["input"], input=body(["prompt"], prompt=STRING)), {"input": {"prompt": placeholders.PROMPT}}),
        (body(input=body(prompt=STRING)), {"input": {"prompt": placeholders.PROMPT}}),
    ],
)  # fmt: skip
def test_templates(written: Any, expected: Any) -> None:
    made = template(written)
    assert (made.value, made.problems, made.note) == (expected, [], "")


LINK = {"type": "string", "format": "uri"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (body(["prompt"], prompt=STRING, image_url=LINK), {"image_url": "https://example.com/image.png"}),
        (body(["prompt"], prompt=STRING, image_size=STRING, last_image=STRING, image=STRING),
         {"image": "https://example.com/image.png"}),
        (body(["prompt"], prompt=STRING, images={"type": "array", "items": LINK}),
         {"images": ["https://example.com/image.png"]}),
        (body(["prompt", "promptImage"], prompt=STRING, promptImage=STRING, image=STRING),
         {"promptImage": "https://example.com/prompt_image.png"}),
        (body(["prompt"], prompt=STRING, img_id={"type": "integer"}), {"img_id": 1}),
        (body(["input"], input=body(["prompt"], prompt=STRING, image=body(["url"], url=LINK))),
         {"input": {"prompt": placeholders.PROMPT, "image": {"url": "https://example.com/image.png"}}}),
        (body(["prompt"], prompt=STRING, num_images={"type": "integer"}), {}),
    ],
)  # fmt: skip
def test_an_image_to_video_gets_its_picture(written: Any, expected: Any) -> None:
    schemas = schemas_of()
    made = make_template(schemas, schemas.convert(written), needs=frozenset({"image"}))
    prompt = {} if "input" in expected else {"prompt": placeholders.PROMPT}
    assert (made.value, made.problems) == ({**prompt, **expected}, [])


def test_an_example_is_used_whole_where_the_body_would_say_nothing() -> None:
    voiced = body(inputs={"type": "array", "items": body(voice=body(input_text=STRING))}, test={"type": "boolean"})
    example = {"inputs": [{"voice": {"input_text": "Hello"}}], "test": True}
    assert template(voiced, examples=(example,)).value == example
    assert template(body(prompt=STRING), examples=({"prompt": "theirs"},)).value == {"prompt": placeholders.PROMPT}
    member = body(template_id={"type": "string", "example": "t-1"}, other=STRING)
    assert template(member).value == {"template_id": "t-1"}
    assert template(body(effect=STRING, video_url=LINK)).value == {"video_url": "https://example.com/video.mp4"}


def test_the_variant_that_names_the_asked_medium() -> None:
    schemas = schemas_of(
        ImageInput=body(["kind", "prompt"], kind={"const": "i"}, prompt=STRING),
        VideoInput=body(["kind", "text_prompt"], kind={"const": "v"}, text_prompt=STRING),
    )
    written = {"oneOf": [ref("ImageInput"), ref("VideoInput")]}
    chosen = {
        c: make_template(schemas, schemas.convert(written), category=c).value["kind"] for c in ("videos", "images")
    }
    assert chosen == {"videos": "v", "images": "i"}
    typed = body(["type", "prompt"], type={"enum": ["image", "video"]}, prompt=STRING)
    assert make_template(schemas, schemas.convert(typed), category="videos").value["type"] == "video"


def test_of_optional_objects_the_one_with_the_prompt() -> None:
    choice = {"oneOf": [body(a=STRING), body(prompt=STRING)]}
    assert template(body(input=choice)).value == {"input": {"prompt": placeholders.PROMPT}}


def test_no_assurance_of_what_cannot_be_known() -> None:
    gone = template(ref("Gone"))
    assert gone.value is MISSING and gone.problems and gone.unchecked
    part = template(body(["prompt", "x"], prompt=STRING, x=ref("Gone")))
    assert part.problems == [] and "Gone" in part.unchecked[0]
    assert template(body(n={"type": "number", "default": float("nan")}, prompt=STRING)).value == {
        "prompt": placeholders.PROMPT
    }
    odd = template(body(["x"], x={"type": "string", "pattern": "(?<n>a)\\k<n>("}))
    assert odd.unchecked and "pattern" in odd.unchecked[0]


def test_a_body_too_wide_to_be_checked_is_cut() -> None:
    def tree(depth: int) -> Any:
        names = [f"p{n}" for n in range(10)]
        return body(names, **{name: tree(depth - 1) for name in names}) if depth else STRING

    schemas = schemas_of()
    written = tree(3)
    written["required"].append("prompt")
    written["properties"]["prompt"] = STRING
    made = make_template(schemas, schemas.convert(written))
    assert made.value["prompt"] == placeholders.PROMPT and len(str(made.value)) > 500
    assert "is cut" in made.problems[0]


def test_content_lists_get_the_text_variant_filled() -> None:
    text = body(["type", "text"], type={"const": "text"}, text=STRING)
    image = body(["type", "image_url"], type={"const": "image_url"}, image_url=body(["url"], url=STRING))
    made = template(body(["content"], content={"type": "array", "items": {"oneOf": [image, text]}}), "3.1")
    assert made.value == {"content": [{"type": "text", "text": placeholders.PROMPT}]}


def test_discriminators_say_which_value_means_the_variant() -> None:
    one, two = body(["kind", "x"], kind=STRING, x=STRING), body(["kind", "prompt"], kind=STRING, prompt=STRING)
    mapping = {"first": "#/components/schemas/One", "second": "#/components/schemas/Two"}
    written = {"oneOf": [ref("One"), ref("Two")], "discriminator": {"propertyName": "kind", "mapping": mapping}}
    made = template(written, One=one, Two=two)
    assert made.value["kind"] == "second"
    base = {**body(["kind"], kind=STRING), "discriminator": {"propertyName": "kind"}}
    assert template(ref("Cat"), Base=base, Cat={"allOf": [ref("Base")]}).value == {"kind": "Cat"}


def test_values_that_exclude_each_other_are_mended() -> None:
    written = {
        **body(["prompt"], prompt=STRING, a={"type": "string", "default": "x"}, b={"type": "string", "default": "y"}),
        "not": {"required": ["a", "b"]},
    }
    made = template(written)
    assert made.problems == [] and made.value["prompt"] and not {"a", "b"} <= set(made.value)
    needs = {**body(["a"], a=STRING, b=STRING), "dependentRequired": {"a": ["b"]}}
    assert template(needs, "3.1").value == {"a": "<a>", "b": "<b>"}
    one_of = {**body([], image=STRING, video=STRING), "oneOf": [{"required": ["image"]}, {"required": ["video"]}]}
    assert list(template(one_of).value) == ["image"]
    when = {
        **body(["mode"], mode={"enum": ["a"]}, extra=STRING),
        "if": {"properties": {"mode": {"const": "a"}}},
        "then": {"required": ["extra"]},
    }
    assert template(when, "3.1").value == {"mode": "a", "extra": "<extra>"}


def test_examples_of_the_body_serve_for_fields_without_a_value() -> None:
    written = body(["model", "prompt"], model=STRING, prompt=STRING)
    made = template(written, examples=({"model": "fast-1", "prompt": "a cat"},))
    assert made.value == {"prompt": placeholders.PROMPT, "model": "fast-1"}


def test_recursion_is_cut() -> None:
    node = body(["name", "children"], name=STRING, children={"type": "array", "items": ref("Node")})
    made = template(ref("Node"), Node=node)
    assert made.problems == [] and made.value["name"] == "<name>"
    endless = body(["next"], next=ref("Endless"))
    assert template(ref("Endless"), Endless=endless).problems


def test_what_cannot_be_satisfied_says_which_constraint() -> None:
    made = template(body(["n"], n={"type": "integer", "minimum": 5, "maximum": 4}))
    assert made.problems == ["n: minimum: 1 is less than the minimum of 5"]
    assert template(False).problems


def test_schemas_that_accept_nothing_by_the_letter_are_read_as_meant() -> None:
    image = {"oneOf": [{"type": "string", "format": "uri"}, {"type": "string", "format": "binary"}]}
    made = template(body(["image"], image=image))
    assert made.problems == [] and "by the letter" in made.note
    variant = body(["p"], p=STRING)
    closed = template({"type": "object", "oneOf": [variant], "additionalProperties": False})
    assert closed.value == {"p": "<p>"} and closed.note


leaf = st.sampled_from(
    [
        {"type": "string"}, {"type": "string", "minLength": 30}, {"type": "string", "maxLength": 3},
        {"type": "integer"},
        {"type": "integer", "minimum": 3, "maximum": 9}, {"type": "number", "exclusiveMinimum": 2}, {"type": "boolean"},
        {"enum": ["a", "b"]}, {"enum": [4, 8], "default": "4"}, {"const": 1}, {"type": "null"}, {},
        {"type": "string", "pattern": "^[A-Z]{2}$"}, {"type": "number", "multipleOf": 0.5, "minimum": 0.2},
        {"type": "array", "items": {"type": "integer"}, "minItems": 2, "uniqueItems": True},
        {"type": ["null", "string"]},
    ]
)  # fmt: skip
names = st.sampled_from(["prompt", "a", "b", "image_url", "n"])


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> Any:
    properties = draw(st.dictionaries(names, inner, max_size=4))
    required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
    return {"type": "object", "properties": properties, "required": required}


def choices(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(lambda branches: {"anyOf": branches}, st.lists(inner, min_size=1, max_size=3))


tree = st.recursive(leaf, lambda inner: objects(inner) | choices(inner), max_leaves=8)


@given(objects(tree))
def test_any_satisfiable_schema_gets_a_valid_template(written: Any) -> None:
    """Judged by plain jsonschema on the schema as written (2020-12 already), not by our own validator."""
    made = template(written, "3.1")
    assert made.problems == []
    jsonschema.Draft202012Validator(written).validate(made.value)
    if written["properties"].get("prompt") == {"type": "string"}:
        assert made.value["prompt"] == placeholders.PROMPT


# ---------------------------------------------------------------- shapes


def test_shapes_merge_and_tell_variants_apart() -> None:
    schemas = schemas_of(Base=body(["id"], id=STRING), Extra=body(["x"], x={"type": "integer"}))
    written = {
        "allOf": [ref("Base"), {"oneOf": [ref("Extra"), {"title": "Other", "required": ["y"]}, {"type": "null"}]}]
    }
    shape = shape_of(schemas, schemas.convert(written))
    found = list(variants(schemas, shape))
    assert [variant.variant for variant in found] == [["Extra"], ["Other"]]
    assert found[0].required == ["id", "x"] and found[1].required == ["id", "y"]


def test_numbers_narrow() -> None:
    schemas = schemas_of()
    shape = shape_of(
        schemas, schemas.convert({"allOf": [{"type": "number", "minimum": 1}, {"type": "integer", "minimum": 3}]})
    )
    assert shape.types == {"integer"} and shape.limits["minimum"] == 3
    assert shape_of(schemas, {"allOf": [{"type": "string"}, {"type": "integer"}]}).impossible
    assert shape_of(schemas, {}).const is MISSING
