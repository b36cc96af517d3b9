"""Thirty models of fal and Replicate, as their specifications are written, served on loopback.

Each common option that a model has must reach the right member with the right type; the schema itself is the judge.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.faults import answer, json_answer
from support.faultserver import FaultServer, Request
from videotasks.catalogue.known import known_model
from videotasks.catalogue.live import with_live
from videotasks.providers.load_profile import load_profile
from videotasks.request.build import CommonInputs, build_request

jsonschema = pytest.importorskip("jsonschema")

URL = "https://e.example/1.png"
CLIP = "https://e.example/1.mp4"
TEXT: dict[str, Any] = {"type": "string"}
LINK: dict[str, Any] = {"type": "string", "format": "uri"}
LINKS: dict[str, Any] = {"type": "array", "items": TEXT, "maxItems": 4}
PROMPT: dict[str, Any] = {"type": "string", "title": "Prompt"}
SEED: dict[str, Any] = {"anyOf": [{"type": "integer"}, {"type": "null"}], "title": "Seed"}
RATIOS: dict[str, Any] = {"type": "string", "enum": ["16:9", "9:16", "1:1"], "default": "16:9"}
SIZES: dict[str, Any] = {"type": "string", "enum": ["720p", "1080p"], "default": "720p"}


def words(*values: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(values), "default": values[0]}


def whole(*values: int) -> dict[str, Any]:
    return {"type": "integer", "enum": list(values)}


FIRST, LAST = {"image": [("first_frame", URL)]}, {"image": [("first_frame", URL), ("last_frame", URL)]}
FIVE, TALL, HD = {"duration": "5"}, {"ratio": "9:16"}, {"resolution": "1080p"}
# name: (members of its body, what the user says, what has to be sent beside the prompt)
FAL: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "text, length in words": ({"duration": words("5", "10"), "aspect_ratio": RATIOS}, {**FIVE, **TALL},
                              {"duration": "5", "aspect_ratio": "9:16"}),
    "length with its unit": ({"duration": words("4s", "6s", "8s"), "resolution": SIZES}, {"duration": 8, **HD},
                             {"duration": "8s", "resolution": "1080p"}),
    "length as a number": ({"duration": whole(5, 10), "seed": SEED}, {**FIVE, "seed": "7"}, {"duration": 5, "seed": 7}),
    "a range of lengths": ({"duration": {"type": "integer", "minimum": 3, "maximum": 12}}, FIVE, {"duration": 5}),
    "a number or null": ({"duration": {"anyOf": [{"type": "number"}, {"type": "null"}]}}, FIVE, {"duration": 5}),
    "a length by default's unit": ({"duration": {"type": "string", "default": "8s"}}, FIVE, {"duration": "5s"}),
    "constants": ({"duration": {"oneOf": [{"const": "5"}, {"const": "10"}]}}, FIVE, {"duration": "5"}),
    "one image": ({"image_url": LINK}, FIRST, {"image_url": URL}),
    "an image without a role": ({"image_url": LINK}, {"image": [(None, URL)]}, {"image_url": URL}),
    "start and end": ({"start_image_url": LINK, "end_image_url": LINK}, LAST,
                      {"start_image_url": URL, "end_image_url": URL}),
    "image and tail": ({"image_url": LINK, "tail_image_url": LINK}, LAST, {"image_url": URL, "tail_image_url": URL}),
    "first and last": ({"first_frame_url": LINK, "last_frame_url": LINK}, LAST,
                       {"first_frame_url": URL, "last_frame_url": URL}),
    "references": ({"image_urls": LINKS}, {"image": [("reference", URL)] * 2}, {"image_urls": [URL, URL]}),
    "a video": ({"video_url": LINK}, {"video": [(None, CLIP)]}, {"video_url": CLIP}),
    "a video and its sound": ({"video_url": LINK, "audio_url": LINK},
                              {"video": [(None, CLIP)], "audio": [(None, URL)]}, {"video_url": CLIP, "audio_url": URL}),
    "upper case sizes": ({"resolution": words("512P", "768P")}, {"resolution": "768p"}, {"resolution": "768P"}),
    "auto is a ratio": ({"aspect_ratio": words("auto", "16:9", "9:16")}, {"ratio": "auto"}, {"aspect_ratio": "auto"}),
    "a ratio by reference": ({"aspect_ratio": {"allOf": [{"$ref": "#/components/schemas/Ratio"}], "default": "16:9"}},
                             TALL, {"aspect_ratio": "9:16"}),
}  # fmt: skip
REPLICATE: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "a length": ({"duration": {"type": "integer", "default": 5}}, FIVE, {"duration": 5}),
    "a length by reference": ({"duration": {"allOf": [{"$ref": "#/components/schemas/Length"}]}}, FIVE,
                              {"duration": 5}),
    "seconds": ({"seconds": whole(4, 8, 12)}, {"duration": "8"}, {"seconds": 8}),
    "num_seconds": ({"num_seconds": {"type": "number", "minimum": 1, "maximum": 20}}, FIVE, {"num_seconds": 5}),
    "a ratio by reference": ({"aspect_ratio": {"allOf": [{"$ref": "#/components/schemas/Ratio"}]}, "seed": SEED},
                             {**TALL, "seed": 3}, {"aspect_ratio": "9:16", "seed": 3}),
    "an image": ({"image": LINK}, FIRST, {"image": URL}),
    "start and end": ({"start_image": LINK, "end_image": LINK}, LAST, {"start_image": URL, "end_image": URL}),
    "first and last": ({"first_frame_image": LINK, "last_frame_image": LINK}, LAST,
                       {"first_frame_image": URL, "last_frame_image": URL}),
    "image and last": ({"image": LINK, "last_frame": LINK}, LAST, {"image": URL, "last_frame": URL}),
    "references": ({"reference_images": LINKS, "resolution": SIZES}, {"image": [("reference", URL)] * 3, **HD},
                   {"reference_images": [URL] * 3, "resolution": "1080p"}),
    "a video": ({"video": LINK}, {"video": [(None, CLIP)]}, {"video": CLIP}),
    "a face and a voice": ({"image": LINK, "audio": LINK}, {**FIRST, "audio": [(None, CLIP)]},
                           {"image": URL, "audio": CLIP}),
}  # fmt: skip
COMPONENTS = {"Ratio": RATIOS, "Length": whole(5, 10)}


def test_there_are_thirty() -> None:
    assert len(FAL) + len(REPLICATE) == 30


def input_schema(members: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "title": "Input", "properties": {"prompt": PROMPT, **members}, "required": ["prompt"]}


def of_fal(model: str, schema: Any, components: Any) -> dict[str, Any]:
    """fal's queue document: the create, its status and its result, the body as a component."""
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/FilmInput"}}}}
    done = {"200": {"description": "x", "content": {"application/json": {"schema": {"type": "object"}}}}}
    return {
        "openapi": "3.0.4",
        "info": {"title": "Queue", "version": "1.0.0", "x-fal-metadata": {"endpointId": model}},
        "paths": {
            f"/{model}/requests/{{request_id}}/status": {"get": {"responses": done}},
            f"/{model}/requests/{{request_id}}/cancel": {"put": {"responses": done}},
            f"/{model}": {"post": {"requestBody": body, "responses": done}},
            f"/{model}/requests/{{request_id}}": {"get": {"responses": done}},
        },
        "components": {"schemas": {**components, "FilmInput": schema}},
    }


def of_replicate(schema: Any, components: Any) -> dict[str, Any]:
    """A model of Replicate's: the schema inside its newest version."""
    schemas = {**components, "Input": schema, "Output": {"type": "string", "format": "uri"}}
    return {"owner": "acme", "name": "film", "latest_version": {"openapi_schema": {"components": {"schemas": schemas}}}}


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """{"document": what the server answers}."""
    told: dict[str, Any] = {}

    def serve(request: Request) -> Any:
        return json_answer(told["document"]) if "document" in told else answer(404, "")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8-CANARY-7f3a")
    with FaultServer(serve) as server:
        monkeypatch.setenv("FAL_SPECIFICATION_URL", server.base_url + "/openapi.json?endpoint_id={model}")
        told["base"] = server.base_url
        yield told


def made(provider: str, served: dict[str, Any], **given: Any) -> dict[str, Any]:
    """The body of a create of acme/film, as the served specification has it."""
    profile = load_profile(provider)
    if provider == "replicate":
        profile = profile.with_base_url(served["base"])
    known = with_live(profile, "acme/film", known_model(profile, "acme/film"), dry_run=False)
    assert known.source == "specification" and known.model, known.notes
    draft = build_request(profile, CommonInputs(model="acme/film", **given), known=known)
    assert draft.assumed == () and draft.checked_against == "specification"
    body: dict[str, Any] = draft.body["input"] if provider == "replicate" else draft.body
    return body


def judge(schema: Any, components: Any, body: Any) -> None:
    document = {**schema, "components": {"schemas": components}, "additionalProperties": False}
    jsonschema.Draft202012Validator(document).validate(body)


@pytest.mark.parametrize("name", FAL)
def test_a_model_of_fal(name: str, served: dict[str, Any]) -> None:
    members, given, sent = FAL[name]
    schema = input_schema(members)
    served["document"] = of_fal("acme/film", schema, COMPONENTS)
    body = made("fal", served, prompt="p", **given)
    assert body == {"prompt": "p", **sent}
    judge(schema, COMPONENTS, body)


@pytest.mark.parametrize("name", REPLICATE)
def test_a_model_of_replicate(name: str, served: dict[str, Any]) -> None:
    members, given, sent = REPLICATE[name]
    schema = input_schema(members)
    served["document"] = of_replicate(schema, COMPONENTS)
    body = made("replicate", served, prompt="p", **given)
    assert body == {"prompt": "p", **sent}
    judge(schema, COMPONENTS, body)


# -- real ones, where they are at hand ---------------------------------------------------------------------------

REAL = Path(os.environ.get("VIDEO_TASKS_DATA") or ".") / "openapi"
FILES = sorted([*REAL.glob("fal/*.json"), *REAL.glob("aimlapi/*.json")]) if os.environ.get("VIDEO_TASKS_DATA") else []
OPTIONS: dict[str, tuple[str, ...]] = {
    "duration": ("duration",), "ratio": ("aspect_ratio",), "resolution": ("resolution",), "seed": ("seed",),
    "image": ("image_url",), "video": ("video_url",), "audio": ("audio_url",),
}  # fmt: skip


def _real(path: Path) -> tuple[Any, Any]:
    """(schema of the create's body, components) of a stored specification."""
    document = json.loads(path.read_text(encoding="utf-8"))
    creates = [one["post"] for one in document.get("paths", {}).values() if "post" in one]
    schema = creates[0]["requestBody"]["content"]["application/json"]["schema"] if creates else None
    components = document.get("components", {}).get("schemas", {})
    while isinstance(schema, dict) and "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    return schema, components


def _value(member: Any, fallback: Any) -> Any:
    listed = member.get("enum") or [one["const"] for one in member.get("anyOf", ()) if "const" in one]
    return listed[-1] if listed else member.get("maximum", fallback)


@pytest.mark.skipif(not FILES, reason="VIDEO_TASKS_DATA is not set")
@pytest.mark.parametrize("provider", ["fal", "replicate"])
def test_real_specifications_as_each_would_serve_them(
    provider: str, served: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = 0
    for number, path in enumerate(FILES):
        schema, components = _real(path)
        members = schema.get("properties", {}) if isinstance(schema, dict) else {}
        if "prompt" not in members:
            continue
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / str(number)))
        relaxed = {**schema, "required": []}
        served["document"] = of_fal("acme/film", relaxed, components) if provider == "fal" else of_replicate(
            relaxed, components
        )  # fmt: skip
        given: dict[str, Any] = {}
        for option, names in OPTIONS.items():
            member = next((members[name] for name in names if name in members), None)
            if not isinstance(member, dict) or member.get("type") == "array":
                continue
            media: dict[str, Any] = {"image": [("first_frame", URL)], "video": [(None, CLIP)], "audio": [(None, CLIP)]}
            given[option] = media.get(option) or str(_value(member, {"duration": 5, "seed": 7}.get(option, "16:9")))
        body = made(provider, served, prompt="p", **given)
        sent = {name for option in given for name in OPTIONS[option]}
        assert sent <= set(body), f"{path.name}: {sent - set(body)}"
        for name in sent:
            judge({"type": "object", "properties": {name: members[name]}}, components, {name: body[name]})
        tried += 1
    assert tried >= 60
