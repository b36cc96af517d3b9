"""A specification becomes the same description of a model, whoever wrote it and however."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from videotasks.catalogue import specification
from videotasks.core.errors import TaskError
from videotasks.core.record import replace
from videotasks.openapi import operations
from videotasks.openapi.document import Document, load
from videotasks.providers.known_model import Known
from videotasks.providers.load_profile import load_profile
from videotasks.providers.profile import Model
from videotasks.request.build import CommonInputs, build_request
from videotasks.request.draft import RequestDraft

URL = "https://e.example/1.png"


def document(schema: Any, path: str = "/acme/film", **schemas: Any) -> Document:
    body = {"content": {"application/json": {"schema": schema}}}
    root = {"openapi": "3.1.0", "paths": {path: {"post": {"requestBody": body}}}, "components": {"schemas": schemas}}
    return Document(root, "3.1", "test.json", None)


def model_of(provider: str, found: Document) -> Model | None:
    create = operations.find(found, "/acme/film")
    return specification.model_of_operation(load_profile(provider), "acme/film", create)


def model(schema: Any, provider: str = "fal", **schemas: Any) -> Model:
    made = model_of(provider, document(schema, **schemas))
    assert made is not None
    return made


def build(schema: Any, provider: str = "fal", **given: Any) -> RequestDraft:
    known = Known(model=model(schema, provider), source="specification")
    return build_request(load_profile(provider), CommonInputs(model="acme/film", **given), known=known)


def body(**properties: Any) -> dict[str, Any]:
    required = [name for name, one in properties.items() if one.pop("must", False)]
    return {"type": "object", "properties": properties, "required": required}


TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("properties", "given", "sent"),
    [
        ({"duration": {"enum": ["5", "10"]}}, {"duration": "5"}, {"duration": "5"}),
        ({"duration": {"type": "string", "enum": ["4s", "8s"]}}, {"duration": "8"}, {"duration": "8s"}),
        ({"duration": {"type": "integer", "minimum": 3, "maximum": 12}}, {"duration": "5"}, {"duration": 5}),
        ({"seconds": {"anyOf": [{"type": "number"}, {"type": "null"}]}}, {"duration": "5"}, {"seconds": 5}),
        ({"duration": {"oneOf": [{"const": 5}, {"const": 10}]}}, {"duration": "10"}, {"duration": 10}),
        ({"video_length": {"type": "integer"}}, {"duration": "5s"}, {"video_length": 5}),
        ({"aspect_ratio": {"enum": ["16:9", "9:16"]}}, {"ratio": "9x16"}, {"aspect_ratio": "9:16"}),
        ({"resolution": {"enum": ["512P", "768P"]}}, {"resolution": "768p"}, {"resolution": "768P"}),
        ({"seed": {"type": "integer"}}, {"seed": "7"}, {"seed": 7}),
        ({"image_url": {"type": "string", "format": "uri"}}, {"image": [(None, URL)]}, {"image_url": URL}),
        (
            {"start_image_url": TEXT, "end_image_url": TEXT},
            {"image": [("first_frame", URL), ("last_frame", URL)]},
            {"start_image_url": URL, "end_image_url": URL},
        ),
        (
            {"image_url": TEXT, "tail_image_url": TEXT},
            {"image": [("last_frame", URL)]},
            {"tail_image_url": URL},
        ),
        (
            {"reference_image_urls": {"type": "array", "items": TEXT, "maxItems": 3}},
            {"image": [("reference", URL)] * 2},
            {"reference_image_urls": [URL, URL]},
        ),
        ({"video_url": TEXT, "audio_url": TEXT}, {"video": [(None, URL)], "audio": [(None, URL)]},
         {"video_url": URL, "audio_url": URL}),
        ({"text_prompt": TEXT}, {}, {"text_prompt": "p"}),
    ],
)  # fmt: skip
def test_each_option_gets_the_member_and_type_that_the_model_has(
    properties: dict[str, Any], given: dict[str, Any], sent: dict[str, Any]
) -> None:
    properties = properties if "text_prompt" in properties else {"prompt": TEXT, **properties}
    expected = sent if "text_prompt" in sent else {"prompt": "p", **sent}
    assert build(body(**properties), prompt="p", **given).body == expected


def test_a_body_inside_the_body() -> None:
    inner = {"type": "object", "properties": {"prompt": TEXT, "num_seconds": {"type": "integer"}}, "required": []}
    schema = {"type": "object", "properties": {"input": inner}, "required": ["input"]}
    draft = build(schema, "replicate", prompt="p", duration="5")
    assert draft.body == {"input": {"prompt": "p", "num_seconds": 5}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"duration": 7}, "5 s, 10 s"),
        ({"ratio": "1:1"}, "16:9, 9:16"),
        ({"resolution": "720p"}, "no member for --resolution"),
        ({"image": [("last_frame", URL)]}, "no member for --image"),
        ({"image": [("reference", URL)] * 3}, "at most 2"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(given: dict[str, Any], words: str) -> None:
    schema = body(
        prompt=TEXT,
        duration={"enum": ["5", "10"]},
        aspect_ratio={"enum": ["16:9", "9:16"]},
        image_urls={"type": "array", "items": TEXT, "maxItems": 2},
    )
    with pytest.raises(TaskError) as caught:
        build(schema, prompt="p", **given)
    assert words in caught.value.message


def variant(const: str, *, must: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    made = {"prompt": TEXT, "feature": {"const": const}, **properties}
    return {"type": "object", "properties": made, "required": ["feature", "prompt", *must]}


VARIANTS = {
    "oneOf": [
        variant("text", aspect_ratio={"enum": ["16:9"]}),
        variant("frames", must=("first_frame_url",), first_frame_url=TEXT, end_frame_url=TEXT),
        variant("reference", must=("image_urls",), image_urls={"type": "array", "items": TEXT}),
    ]
}


@pytest.mark.parametrize(
    ("images", "feature"),
    [([], "text"), ([("first_frame", URL)], "frames"), ([("reference", URL)], "reference")],
)
def test_the_const_of_a_variant_follows_the_inputs(images: list[Any], feature: str) -> None:
    draft = build(VARIANTS, "skills-video", prompt="p", image=images)
    assert draft.body["feature"] == feature
    own = build(VARIANTS, "skills-video", prompt="p", image=images, set_values=[("feature", "mine")])
    assert own.body["feature"] == "mine"


def test_inputs_of_two_variants_are_told() -> None:
    with pytest.raises(TaskError, match="different variants"):
        build(VARIANTS, "skills-video", prompt="p", image=[("first_frame", URL), ("reference", URL)])


@pytest.mark.parametrize("const", ["https://evil.example/hook", "x" * 61])
def test_no_address_and_no_text_is_sent_as_a_variants_const(const: str) -> None:
    def one(told: str) -> dict[str, Any]:
        made = {"prompt": TEXT, "webhook": {"const": told}, "image_url": TEXT}
        return {"type": "object", "properties": made, "required": ["webhook"]}

    schema = {"oneOf": [one(const), one(const + "2")]}
    assert model(schema).variants is None
    assert build(schema, prompt="p", image=[(None, URL)], set_values=[("x", 1)]).body == {
        "prompt": "p", "image_url": URL, "x": 1,
    }  # fmt: skip


def test_another_models_variants_are_left_out() -> None:
    def one(name: str, length: Any) -> dict[str, Any]:
        made = {"model": {"const": name}, "prompt": TEXT, "duration": length}
        return {"type": "object", "properties": made, "required": ["model"]}

    schema = {"oneOf": [one("acme/other", {"enum": [4]}), one("acme/film", {"enum": [6]})]}
    assert model(schema).allowed("duration") == {"enum": [6]}


def test_nothing_is_sent_on_its_word() -> None:
    schema = body(prompt=TEXT, watermark={"type": "boolean", "default": True}, callback_url=TEXT)
    assert build(schema, prompt="p").body == {"prompt": "p"}


def test_a_list_of_objects_is_not_taken_for_a_list_of_links() -> None:
    items = {"type": "object", "properties": {"url": TEXT}}
    made = model(body(prompt=TEXT, image_urls={"type": "array", "items": items}))
    assert "image.reference" not in (made.fields or {})


@pytest.mark.parametrize("schema", [True, {}, {"type": "string"}, {"$ref": "#/nowhere"}, {"oneOf": []}])
def test_a_schema_without_members_describes_nothing(schema: Any) -> None:
    assert model_of("fal", document(schema)) is None


def test_a_hostile_schema_ends() -> None:
    deep: dict[str, Any] = {"$ref": "#/components/schemas/A"}
    wide = {"anyOf": [{"anyOf": [{"const": n * 100 + m} for m in range(12)]} for n in range(12)]}
    many = {f"m{n}": dict(wide) for n in range(300)}
    made = model({"type": "object", "properties": {"prompt": TEXT, "loop": deep, **many}}, A={"allOf": [deep]})
    assert len(made.members) <= specification.MAX_MEMBERS


# -- real specifications, where they are at hand -------------------------------------------------------------------

REAL = Path(os.environ.get("VIDEO_TASKS_DATA") or ".") / "openapi"
FILES = sorted([*REAL.glob("fal/*.json"), *REAL.glob("aimlapi/*.json")]) if os.environ.get("VIDEO_TASKS_DATA") else []


@pytest.mark.skipif(not FILES, reason="VIDEO_TASKS_DATA is not set")
def test_real_specifications_give_every_common_option_its_member() -> None:
    profile, described = load_profile("fal"), 0
    for path in FILES:
        creates = [one for one in operations.iterate(load(str(path))) if one.method == "POST"]
        made = specification.model_of_operation(profile, "m", creates[0]) if creates else None
        if made is None:
            continue
        described += 1
        fields = made.fields or {}
        for option, name in (("duration", "duration"), ("ratio", "aspect_ratio"), ("resolution", "resolution"),
                             ("seed", "seed"), ("image.first_frame", "image_url"), ("video", "video_url")):  # fmt: skip
            if name in made.members and made.members[name].get("type") not in ("uri[]", "array"):
                assert option in fields, f"{path.name}: {name}"
        limit = made.allowed("duration") or {}
        seconds = (limit.get("enum") or [limit.get("min") or 5])[0]
        if "duration" in fields:
            known = Known(model=replace(made, members=_without_needs(made)), source="specification")
            inputs = CommonInputs(prompt="p" if "prompt" in fields else None, duration=str(int(seconds)), model="m")
            sent = build_request(profile, inputs, known=known).body[fields["duration"]]
            values = made.members[fields["duration"]].get("values")
            assert sent in values if values else isinstance(sent, (int, float)), path.name
    assert described >= 80


def _without_needs(made: Model) -> dict[str, Any]:
    return {name: {key: value for key, value in one.items() if key != "required"} for name, one in made.members.items()}
