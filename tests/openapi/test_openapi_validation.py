"""Payloads against a contract: what passes, what fails, and whether the error says what to write instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from videotasks.openapi import validation
from videotasks.openapi.source import SpecError
from videotasks.openapi.validation import ValidationReport, validate_payload

STRING = {"type": "string"}


def document(schema: Any, media: str = "application/json", family: str = "3.1.0", **named: Any) -> dict[str, Any]:
    operation = {"requestBody": {"content": {media: {"schema": schema}}}, "responses": {}}
    return {"openapi": family, "paths": {"/v1/x": {"post": operation}}, "components": {"schemas": named}}


def check(
    schema: Any, payload: Any, *, media: str = "application/json", unknown: bool = False, **named: Any
) -> ValidationReport:
    path = Path("spec.json")  # each test stands in a folder of its own
    path.write_text(json.dumps(document(schema, media, **named)), encoding="utf-8")
    validation.loaded.clear()
    return validate_payload(str(path), "POST /v1/x", payload, allow_unknown_fields=unknown)


def only_error(schema: Any, payload: Any, **more: Any) -> dict[str, Any]:
    report = check(schema, payload, **more)
    assert not report.ok and len(report.errors) == 1, report
    return report.errors[0]


def body(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required or [], "properties": properties}


VIDEO = body(
    ["prompt"],
    prompt={"type": "string", "minLength": 2, "maxLength": 10},
    duration={"type": "integer", "enum": [5, 10]},
    aspect_ratio={"type": "string", "enum": ["16:9", "9:16", "1:1"]},
    seconds={"type": "string", "enum": ["4", "8", "12"]},
    seed={"type": "integer", "minimum": 0, "maximum": 100},
    image_urls={"type": "array", "items": STRING, "maxItems": 2},
    audio={"type": "boolean"},
    options=body(None, quality={"enum": ["high", "low"]}),
)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"duration": 7}, {"path": "$.duration", "message": "duration: 7 is not one of 5, 10", "allowed": [5, 10],
                           "nearest": 5, "expected": "one of 5, 10"}),
        ({"duration": 9}, {"nearest": 10}),
        ({"duration": "5"}, {"nearest": 5}),
        ({"duration": 7.5}, {"nearest": 5}),
        ({"aspect_ratio": "16x9"}, {"nearest": "16:9"}),
        ({"aspect_ratio": "4:3"}, {"nearest": "1:1"}),
        ({"aspect_ratio": "21:9"}, {"nearest": "16:9"}),
        ({"seconds": 8}, {"path": "$.seconds", "nearest": "8"}),
        ({"seconds": "7s"}, {"nearest": "8"}),
        ({"seed": -1}, {"message": "seed: -1 is less than 0", "expected": "0 to 100", "nearest": 0}),
        ({"seed": 101}, {"nearest": 100}),
        ({"seed": "7"}, {"message": 'seed: "7" is not a whole number', "nearest": 7}),
        ({"audio": "yes"}, {"message": 'audio: "yes" is not true or false'}),
        ({"audio": "true"}, {"nearest": True}),
        ({"image_urls": "u"}, {"path": "$.image_urls", "nearest": ["u"]}),
        ({"image_urls": ["a", "b", "c"]}, {"message": "image_urls: has 3 entries, more than 2"}),
        ({"image_urls": ["a", 2]}, {"path": "$.image_urls[1]", "message": "image_urls[1]: 2 is not text"}),
        ({"prompt": "x"}, {"message": "prompt: has 1 characters, fewer than 2", "expected": "2 to 10 characters"}),
        ({"options": {"quality": "hihg"}}, {"path": "$.options.quality", "nearest": "high"}),
        ({"promt": "x"}, {"path": "$.promt", "message": "promt: unknown field; did you mean prompt?",
                          "nearest": "prompt"}),
        ({"aspectRatio": "16:9"}, {"nearest": "aspect_ratio"}),
        ({"Seed": 1}, {"nearest": "seed"}),
        ({"images": []}, {"nearest": "image_urls"}),
        ({"zzzz": 1}, {"message": "zzzz: unknown field"}),
        ({"options": {"qualty": "x"}}, {"path": "$.options.qualty", "nearest": "quality"}),
    ],
)  # fmt: skip
def test_errors_say_where_what_and_the_nearest(payload: dict[str, Any], expected: dict[str, Any]) -> None:
    found = only_error(VIDEO, {"prompt": "a cat", **payload})
    assert {key: found.get(key) for key in expected} == expected
    assert found["path"].startswith("$") and found["expected"]


def test_required_fields_say_what_they_take() -> None:
    schema = body(["prompt", "ratio"], prompt=STRING, ratio={"enum": ["16:9", "1:1"]})
    report = check(schema, {})
    assert [(e["path"], e["expected"]) for e in report.errors] == [
        ("$.prompt", "text"),
        ("$.ratio", 'one of "16:9", "1:1"'),
    ]


def test_the_body_itself() -> None:
    assert only_error(VIDEO, [])["message"] == "(body): [] is not an object"
    assert check(VIDEO, {"prompt": "a cat"}) == ValidationReport(True, [], [], "POST /v1/x")


@pytest.mark.parametrize(
    ("schema", "ok"),
    [
        (body(a=STRING), False),
        ({**body(a=STRING), "additionalProperties": True}, True),
        ({**body(a=STRING), "additionalProperties": {}}, True),
        ({**body(a=STRING), "additionalProperties": {"type": "integer"}}, True),
        ({**body(a=STRING), "additionalProperties": {"type": "string"}}, False),
        ({**body(a=STRING), "additionalProperties": False}, False),
        ({**body(a=STRING), "patternProperties": {"^x": {}}}, True),
        ({"type": "object"}, True),
        ({"allOf": [body(a=STRING), {"additionalProperties": True}]}, True),
        ({"allOf": [body(a=STRING), body(x={"type": "integer"})]}, True),
        ({"oneOf": [body(["a"], a=STRING, x={"type": "integer"}), body(["b"], b=STRING)]}, True),
        ({"oneOf": [body(["a"], a=STRING), body(["b"], b=STRING, x={"type": "integer"})]}, False),
        ({**body(a=STRING), "if": {}, "then": body(x={"type": "integer"})}, True),
        (True, True),
    ],
)
def test_unknown_fields(schema: Any, ok: bool) -> None:
    assert check(schema, {"a": "1", "x": 1}).ok is ok


def test_unknown_fields_can_be_allowed_unless_the_schema_forbids_them() -> None:
    assert check(body(a=STRING), {"x": 1}, unknown=True).ok
    assert not check({**body(a=STRING), "additionalProperties": False}, {"x": 1}, unknown=True).ok
    assert check({"type": "object", "properties": {"a": {"type": "object"}}}, {"a": {"free": 1}}).ok


FEATURES = {
    "oneOf": [
        body(["feature", "prompt"], feature={"const": "text"}, prompt=STRING),
        body(["feature", "image"], feature={"const": "frame"}, image=STRING, strength={"type": "number"}),
    ]
}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"feature": "txt", "prompt": "p"}, [("$.feature", "text")]),
        ({"feature": "frame"}, [("$.image", None)]),
        ({"feature": "frame", "image": "u", "prompt": "p"}, [("$.prompt", None)]),
        ({"feature": "frame", "image": "u", "strength": "1"}, [("$.strength", 1)]),
        ({"feature": "text", "prompt": 5}, [("$.prompt", "5")]),
    ],
)
def test_variants_are_told_by_their_constant(payload: dict[str, Any], expected: list[tuple[str, Any]]) -> None:
    report = check(FEATURES, payload)
    assert [(error["path"], error.get("nearest")) for error in report.errors] == expected
    assert not any("any of the given schemas" in error["message"] for error in report.errors)


def test_variants_of_a_discriminator() -> None:
    ref = "#/components/schemas/"
    schema = {
        "oneOf": [{"$ref": ref + "Cat"}, {"$ref": ref + "Dog"}],
        "discriminator": {"propertyName": "kind", "mapping": {"c": ref + "Cat", "d": ref + "Dog"}},
    }
    named = {"Cat": body(["kind", "lives"], kind=STRING, lives={"type": "integer"}), "Dog": body(["kind"], kind=STRING)}
    assert only_error(schema, {"kind": "c", "lives": "9"}, **named)["path"] == "$.lives"
    assert check(schema, {"kind": "d"}, **named).ok


def test_a_choice_of_types_lists_them_all() -> None:
    schema = body(image={"anyOf": [STRING, {"type": "array", "items": STRING}, {"type": "null"}]})
    assert only_error(schema, {"image": 5})["expected"] == "text or a list"
    known = body(duration={"anyOf": [{"type": "string", "enum": ["5s", "9s"]}, STRING]})
    found = only_error(known, {"duration": 5})
    assert found["message"] == 'duration: 5 is not one of "5s", "9s", or text' and found["nearest"] == "5s"


def test_what_no_body_could_satisfy_is_accepted_as_meant_with_a_warning() -> None:
    image = {"oneOf": [{"type": "string", "format": "uri"}, {"type": "string", "format": "binary"}]}
    report = check(body(image=image), {"image": "https://x"})
    assert report.ok and "by the letter" in report.warnings[0]
    closed = {"type": "object", "oneOf": [body(["a"], a=STRING)], "additionalProperties": False}
    assert check(closed, {"a": "1"}).ok
    assert not check(closed, {"a": "1", "b": 2}).ok
    inherits = {"allOf": [{**body(["a"], a=STRING), "additionalProperties": False}, body(["b"], b=STRING)]}
    assert check(inherits, {"a": "1", "b": "2"}).ok
    assert not check(inherits, {"a": "1", "b": "2", "c": 3}, unknown=True).ok


def test_read_only_and_deprecated_fields_are_warnings() -> None:
    schema = body(["id"], id={"type": "string", "readOnly": True}, old={"type": "string", "deprecated": True})
    report = check(schema, {"id": "x", "old": "y"})
    assert report.ok and [warning.split(" is ")[0] for warning in report.warnings] == ["$.id", "$.old"]
    assert check(schema, {}).ok


def test_everything_in_a_form_is_text() -> None:
    form = body(seconds=STRING, n={"type": "integer"}, ratio={"enum": ["16:9"]})
    assert check(form, {"seconds": 8, "n": "1"}, media="multipart/form-data").ok
    assert not check(form, {"seconds": [8]}, media="multipart/form-data").ok
    assert not check(form, {"ratio": "9:16"}, media="multipart/form-data").ok
    assert not check(form, {"seconds": 8}).ok


def test_patterns_that_cannot_be_checked_are_said() -> None:
    report = check(body(name={"type": "string", "pattern": r"^\p{L}+$"}), {"name": "1"})
    assert report.ok and "was not checked" in report.warnings[0]
    assert only_error(body(name={"type": "string", "pattern": "^a$"}), {"name": "b"})["message"].startswith(
        'name: "b" does not match'
    )


def test_bombs_end_as_an_error() -> None:
    named: dict[str, Any] = {}
    for n in range(40):
        following = {"$ref": f"#/components/schemas/A{n + 1}"}
        named[f"A{n}"] = {"anyOf": [following, {"anyOf": [following, False]}]}
    named["A40"] = {"type": "integer"}
    found = only_error({"$ref": "#/components/schemas/A0"}, "x", **named)
    assert "cannot be checked" in found["message"]
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    loop = {"anyOf": [{"type": "array", "items": {"$ref": "#/components/schemas/L"}}, {"type": "integer"}]}
    assert "cannot be checked" in only_error({"$ref": "#/components/schemas/L"}, deep, L=loop)["message"]


def test_hostile_names_and_values_are_inert_and_cut() -> None:
    report = check(body(a=STRING), {"\x1b[2J\u202e" + "n" * 500: 1, "a": ["\x1b]0;x\x07" * 100]})
    text = json.dumps(report.errors, ensure_ascii=False)
    assert "\x1b" not in json.loads(text)[0]["message"] and "\u202e" not in text
    assert all(len(error["message"]) < 400 for error in report.errors)


def test_many_errors_are_cut() -> None:
    schema = body([f"f{n}" for n in range(80)])
    report = check(schema, {})
    assert len(report.errors) == 30 and "more errors" in report.warnings[0]


@pytest.mark.parametrize("media", ["application/octet-stream", "text/plain"])
def test_bodies_that_cannot_be_checked_are_said(media: str) -> None:
    report = check(STRING, "x", media=media)
    assert report.ok and "cannot be checked" in report.warnings[0]


def test_no_body_and_no_schema_are_said() -> None:
    Path("spec.json").write_text(
        json.dumps({"openapi": "3.0.0", "paths": {"/a": {"post": {}}, "/b": {"post": {"requestBody": {"content": {
            "application/json": {}}}}}}}), encoding="utf-8")  # fmt: skip
    validation.loaded.clear()
    assert "no request body" in validate_payload("spec.json", "/a", {}).warnings[0]
    assert "no schema" in validate_payload("spec.json", "/b", {}).warnings[0]


def test_a_missing_specification_or_endpoint_raises() -> None:
    with pytest.raises(SpecError, match="File not found"):
        validate_payload("none.json", "/x", {})
    check(VIDEO, {})
    with pytest.raises(SpecError, match="Endpoint not found"):
        validate_payload("spec.json", "/nothing", {})


def test_a_changed_file_is_read_again() -> None:
    assert check(body(a=STRING), {"a": "1"}).ok
    Path("spec.json").write_text(json.dumps(document(body(other=STRING))), encoding="utf-8")
    assert not validate_payload("spec.json", "/x", {"a": "1"}).ok
