"""A first profile out of a specification: what is taken from it, what is marked as a guess, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from videotasks.formats import yaml12
from videotasks.openapi import operations, profile_draft
from videotasks.openapi.document import Document
from videotasks.openapi.source import SpecError
from videotasks.providers.load_profile import load_profile

TEXT = {"type": "string"}
LINK = {"type": "string", "format": "uri"}


def content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def body(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required or [], "properties": properties}


STATUS = {"type": "string", "enum": ["QUEUED", "GENERATING", "DONE", "FAILED", "CANCELED", "odd"]}
CREATE = {
    "requestBody": content(
        body(
            ["model", "prompt"],
            model={"type": "string", "enum": ["acme-1", "acme-2"], "default": "acme-1"},
            prompt=TEXT,
            seconds={"type": "integer"},
            aspect_ratio=TEXT,
            image_url=LINK,
            last_image_url=LINK,
        )
    ),
    "responses": {
        "200": {"description": "ok", **content(body(task_id=TEXT, status=STATUS))},
        "400": {"description": "no", **content(body(error=body(message=TEXT, code=TEXT)))},
    },
}
ANSWER = body(task_id=TEXT, status=STATUS, progress={"type": "number"}, error_message=TEXT,
              output=body(video_url=LINK, thumbnail_url=LINK, webhook_url=LINK))  # fmt: skip


def spec(**changes: Any) -> Document:
    root: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Acme Video"},
        "servers": [{"url": "https://api.acme.example/v1/"}],
        "security": [{"key": []}],
        "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}}},
        "paths": {
            "/videos": {"post": CREATE},
            "/videos/{task_id}": {"get": {"responses": {"200": {"description": "ok", **content(ANSWER)}}}},
        },
    }
    return Document({**root, **changes}, "3.1", "/x/acme.json", None)


def drafted(document: Document, endpoint: str = "POST /videos") -> tuple[profile_draft.Draft, dict[str, Any]]:
    made = profile_draft.draft(document, operations.find(document, endpoint), "acme")
    loaded = yaml12.load(made.text)
    assert isinstance(loaded, dict)
    return made, loaded


def test_what_the_specification_says_is_taken_as_it_says_it(tmp_path: Path) -> None:
    made, found = drafted(spec())
    assert found["base_url"] == "https://api.acme.example/v1"
    assert found["auth"] == {"header": "X-Api-Key", "prefix": "", "env": ["VIDEO_TASKS_KEY_ACME"]}
    assert found["create"] == {"path": "/videos", "id": ["task_id"]}
    assert found["status"] == {
        "path": "/videos/{task_id}",
        "value": ["status"],
        "map": {
            "queued": ["QUEUED"],
            "running": ["GENERATING"],
            "succeeded": ["DONE"],
            "failed": ["FAILED"],
            "cancelled": ["CANCELED"],
        },
    }
    assert found["result"] == {"video": ["output.video_url"], "thumbnail": ["output.thumbnail_url"]}
    assert found["error"] == {
        "message": ["error.message"],
        "code": ["error.code"],
        "task_message": ["error_message"],
    }
    assert found["inputs"] == {
        "prompt": {"to": "prompt", "required": True},
        "duration": {"to": "seconds", "type": "integer"},
        "ratio": {"to": "aspect_ratio"},
        "model": {"to": "model", "required": True},
        "image": {
            "roles": {"first_frame": {"to": "image_url"}, "last_frame": {"to": "last_image_url"}},
            "one_without_role": "first_frame",
        },
    }
    assert found["default_model"] == "acme-1" and found["tried"] is False
    assert made.guessed == {} and "guessed:" not in made.text and "odd" in made.open[0]
    (tmp_path / "acme.yaml").write_text(made.text, encoding="utf-8")
    profile = load_profile(str(tmp_path / "acme.yaml"))
    assert profile.foreign and profile.status.words["done"] == "succeeded"


def test_what_it_leaves_open_is_a_guess_with_a_comment_beside_it(tmp_path: Path) -> None:
    silent: dict[str, Any] = {"description": "ok"}
    paths = {
        "/image_to_video": {
            "post": {"requestBody": content(body(input={"type": "object"})), "responses": {"200": silent}}
        },
        "/tasks/{id}": {"get": {"summary": "Get a task", "responses": {"200": silent}}},
    }
    made, found = drafted(spec(paths=paths, security=[], components={}, servers=[]), "POST /image_to_video")
    expected = {
        "status.path",
        "status.value",
        "status.map",
        "result.video",
        "create.id",
        "auth.prefix",
        "inputs.prompt",
    }
    assert set(made.guessed) == expected
    assert {name for name, told in found["basis"].items() if told["is"] == "guess"} == expected
    lines = made.text.splitlines()
    for key in ("env", "path", "id", "value", "map", "video", "prompt"):
        assert any(line.lstrip().startswith(f"{key}:") and "# guessed:" in line for line in lines), key
    assert found["base_url_required"] is True and any("base_url" in text for text in made.open)
    assert found["inputs"]["prompt"] == {"to": "input.prompt"}
    (tmp_path / "acme.yaml").write_text(made.text, encoding="utf-8")
    load_profile(str(tmp_path / "acme.yaml"))


@pytest.mark.parametrize(
    ("scheme", "auth"),
    [
        ({"type": "http", "scheme": "bearer"}, None),
        ({"type": "http", "scheme": "basic"}, ("Authorization", "Basic ")),
        ({"type": "oauth2"}, None),
        ({"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Key <your key>`"},
         ("Authorization", "Key ")),
        ({"type": "apiKey", "in": "header", "name": "x-key"}, ("x-key", "")),
    ],
)  # fmt: skip
def test_how_the_key_is_sent(scheme: dict[str, Any], auth: tuple[str, str] | None) -> None:
    _, found = drafted(spec(components={"securitySchemes": {"key": scheme}}))
    assert (found["auth"].get("header"), found["auth"].get("prefix")) == (auth or (None, None))


def test_a_second_request_a_content_endpoint_and_a_look_by_post() -> None:
    status = {"get": {"responses": {"200": {"description": "", **content(body(status=STATUS))}}}}
    whole = {"get": {"responses": {"200": {"description": "", **content(body(video=body(url=LINK)))}}}}
    paths = {"/videos": {"post": CREATE}, "/videos/{id}/status": status, "/videos/{id}": whole}
    result = drafted(spec(paths=paths))[1]["result"]
    assert result == {"video": ["video.url"], "fetch": {"path": "/videos/{task_id}"}}
    file = {"get": {"responses": {"200": {"description": "", "content": {"video/mp4": {}}}}}}
    paths = {"/videos": {"post": CREATE}, "/videos/{id}": status, "/videos/{id}/content": file}
    assert drafted(spec(paths=paths))[1]["result"] == {"content": {"path": "/videos/{task_id}/content"}}
    asked = {
        "requestBody": content(body(["task_id", "model"], task_id=TEXT, model=TEXT)),
        "responses": {"200": {"description": "", **content(ANSWER)}},
    }
    found = drafted(
        spec(paths={"/video/queue": {"post": CREATE}, "/video/retrieve": {"post": asked}}), "POST /video/queue"
    )
    assert found[1]["status"]["method"] == "POST"
    assert found[1]["status"]["body"] == {"task_id": "{task_id}", "model": "{model}"}


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("IN_QUEUE", "queued"), ("not_start", "queued"), ("inProgress", "running"), ("succeed", "succeeded"),
        ("unsuccessful", "failed"), ("Task not found", "not_found"), ("timed_out", "expired"),
        ("canceled", "cancelled"),
        ("incomplete", "running"), ("partial_success", None), ("xyzzy", None), ("Content Moderated", "failed"),
        ("READY", "succeeded"), ("throttled", "queued"),
    ],
)  # fmt: skip
def test_words_of_a_status(word: str, status: str | None) -> None:
    document = spec()
    document.root["paths"]["/videos/{task_id}"]["get"]["responses"]["200"] = {
        "description": "",
        **content(body(status={"type": "string", "enum": ["it is done", word]}, output=body(video_url=LINK))),
    }
    table = drafted(document)[1]["status"]["map"]
    assert next((name for name, words in table.items() if word in words), None) == status


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paths": {"/videos": {"post": CREATE}}}, "does not say how a task"),
        ({"components": {"securitySchemes": {"key": {"type": "apiKey", "in": "query", "name": "k"}}}}, "in the query"),
    ],
)
def test_what_no_profile_can_be_made_of(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        drafted(spec(**changes))


def test_text_of_a_specification_cannot_break_out_of_its_line() -> None:
    evil = 'x"\nauth: {env: [SKILLS_VIDEO_API_KEY]}\u2028# \x85'
    document = spec(info={"title": evil})
    document.root["paths"]["/videos"]["post"] = {**CREATE, "summary": evil}
    made, found = drafted(document)
    assert found["auth"]["env"] == ["VIDEO_TASKS_KEY_ACME"]
    assert made.text.count("\nauth:") == 1 and "\u2028" not in made.text and "\x85" not in made.text
