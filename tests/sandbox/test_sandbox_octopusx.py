"""The sandbox's OctopusX wire, against contracts C."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.sandbox_http import Caller, Start, multipart_body

UNIFIED = "/v1/video/generations"
OPENAI = "/v1/videos"


@pytest.fixture
def call(start: Start) -> Caller:
    return start("octopusx")


def walk(call: Caller, model: str, path: str = UNIFIED) -> list[Any]:
    """The bodies of a task: created, queued, running, succeeded."""
    body = {"prompt": "x", "model": model}
    created = call.post(UNIFIED, body).json
    bodies = [created]
    for wait in (0, 1, 2):
        call.clock.now += wait
        bodies.append(call.get(f"{path}/{created['task_id']}").json)
    return bodies


def test_simple_wrapper(call: Caller) -> None:
    created, queued, running, done = walk(call, "veo-3.1")
    assert created["id"] == created["task_id"]
    assert queued == {
        "code": "success",
        "message": "",
        "data": {
            "task_id": created["task_id"],
            "status": "queued",
            "url": "",
            "format": "mp4",
            "metadata": None,
            "error": None,
        },
    }
    assert running["data"]["status"] == "processing"
    assert done["data"]["status"] == "succeeded"
    assert call.get(done["data"]["url"]).status == 200


def test_task_dto(call: Caller) -> None:
    for model in ("doubao-seedance-2-0-260128", "wan-2.5"):
        created, queued, running, done = walk(call, model)
        assert [each["data"]["status"] for each in (queued, running, done)] == ["NOT_START", "IN_PROGRESS", "SUCCESS"]
        assert running["data"]["progress"] == "31%"
        assert running["data"]["result_url"] == ""
        assert done["data"]["data"]["content"]["video_url"] == done["data"]["result_url"]
        assert call.get(done["data"]["data"]["content"]["last_frame_url"]).body == b"png last"
        assert created == {"task_id": created["task_id"]} or "object" in created


def test_flat_with_another_id(call: Caller) -> None:
    created, queued, _, done = walk(call, "kling-v1")
    assert created["id"] != created["task_id"]
    assert "code" not in queued
    assert (done["status"], done["metadata"]["width"]) == ("succeeded", 1280)
    assert call.get(f"{UNIFIED}/{created['id']}").status == 400


def test_flat_with_a_proxy_link_that_wants_the_key(call: Caller) -> None:
    _, queued, running, done = walk(call, "sora-2")
    assert [each["status"] for each in (queued, running, done)] == ["queued", "in_progress", "completed"]
    assert done["video_url"].startswith(call.sandbox.base_url + "/v1/videos/")
    assert call.get(done["video_url"]).status == 401
    answer = call.get(done["video_url"], key=f"Bearer {call.sandbox.api_key}", headers={"Range": "bytes=0-3"})
    assert (answer.status, answer.body) == (206, b"mp4 ")


@pytest.mark.parametrize(
    ("model", "words", "where"),
    [
        ("doubao-seedance-2-0", ["queued", "processing", "completed"], ("video_url",)),
        ("kling-v1", ["queued", "processing", "succeeded"], ("url",)),
        ("wan-2.5", ["queued", "in_progress", "completed"], ("metadata", "url")),
    ],
)
def test_openai_objects(call: Caller, model: str, words: list[str], where: tuple[str, ...]) -> None:
    created, *bodies = walk(call, model, OPENAI)
    assert [body["status"] for body in bodies] == words
    url: Any = bodies[-1]
    for key in where:
        url = url[key]
    assert call.get(url).status == 200
    if model.startswith("doubao"):
        assert bodies[1]["error"] == {"message": "", "code": ""}
        assert (bodies[1]["video_url"], bodies[1]["completed_at"]) == ("", 0)
    assert bodies[1]["progress"] == 31
    assert isinstance(created, dict)


def test_openai_create_json_and_multipart(call: Caller) -> None:
    created = call.post(OPENAI, {"prompt": "x", "model": "wan-2.5", "seconds": "6", "size": "9:16"}).json
    assert (created["object"], created["status"]) == ("video", "queued")
    task = call.state["tasks"][created["id"]]
    assert (task["width"], task["height"], task["duration"]) == (720, 1280, 6)
    files = [("first_frame_image", ("a.png", "image/png", b"123")), ("metadata", '{"seed":1}')]
    body, kind = multipart_body([("prompt", "x"), ("model", "doubao-seedance"), ("seconds", "5"), *files])
    answer = call.post(OPENAI, body, headers={"Content-Type": kind})
    assert answer.status == 200
    sent = call.state["tasks"][answer.json["id"]]["request"]["multipart"]
    assert {part["name"] for part in sent} == {"prompt", "model", "seconds", "first_frame_image", "metadata"}


def test_either_path_reads_the_tasks_of_the_other(call: Caller) -> None:
    openai = call.post(OPENAI, {"prompt": "x", "model": "wan-2.5"}).json["id"]
    assert call.get(f"{UNIFIED}/{openai}").json["data"]["task_id"] == openai


def test_unified_create_and_query(call: Caller) -> None:
    created = call.post("/v1/video/create", {"prompt": "x", "model": "wan", "orientation": "16:9"}).json
    assert created["status"] == "pending"
    before = call.get(f"/v1/video/query?id={created['id']}").json
    call.clock.now += 3
    after = call.get(f"/v1/video/query?id={created['id']}").json
    assert (before["status"], before["video_url"], before["progress"]) == ("pending", None, "0")
    assert (after["status"], after["progress"]) == ("completed", "100")
    assert call.get(after["video_url"]).status == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"prompt": "x"}, 400, "missing_model"),
        ({"model": "veo"}, 400, "invalid_request"),
        ({"model": "veo", "prompt": "x", "duration": "5"}, 400, "invalid_request"),
        ({"model": "veo", "prompt": "x", "seconds": 5}, 400, "invalid_request"),
        ({"model": "veo", "prompt": "x", "metadata": "{}"}, 400, "invalid_request"),
    ],
)
def test_refusals(call: Caller, body: Any, status: int, code: str) -> None:
    answer = call.post(UNIFIED, body)
    assert (answer.status, answer.json["code"], answer.json["data"]) == (status, code, None)
    assert call.state["creates"] == 0


def test_seedance_content_body(call: Caller) -> None:
    content = [
        {"type": "text", "text": "a boat"},
        {"type": "image_url", "image_url": {"url": "https://x.invalid/a.png"}, "role": "first_frame"},
    ]
    metadata = {"duration": 7, "resolution": "720p", "ratio": "9:16"}
    created = call.post(UNIFIED, {"model": "doubao-seedance-2-0", "content": content, "metadata": metadata}).json
    task = call.state["tasks"][created["task_id"]]
    assert (task["prompt"], task["duration"], task["width"], task["height"]) == ("a boat", 7, 720, 1280)
    assert task["request"]["metadata"] == metadata


def test_no_channel_no_key_no_route(call: Caller) -> None:
    missing = call.post(UNIFIED, {"prompt": "x", "model": "no-such-model"})
    assert (missing.status, missing.json["error"]["type"]) == (503, "new_api_error")
    refused = call.get(f"{UNIFIED}/x", key="")
    assert (refused.status, refused.json["error"]["type"]) == (401, "new_api_error")
    assert call.get("/v1/nothing").status == 404


def test_unknown_id_is_a_400(call: Caller) -> None:
    for path in (f"{UNIFIED}/task_x", f"{OPENAI}/task_x", f"{OPENAI}/task_x/content"):
        answer = call.get(path)
        assert (answer.status, answer.json["code"], answer.json["data"]) == (400, "task_not_exist", None)


def test_token_usage_has_a_boolean_code(call: Caller) -> None:
    body = call.get("/api/usage/token/").json
    assert body["code"] is True
    assert {"total_granted", "total_used", "total_available", "unlimited_quota", "expires_at"} <= set(body["data"])


@pytest.mark.parametrize("model", ["veo", "wan", "kling", "sora", "doubao"])
def test_failure_text_sits_where_the_link_would(start: Start, model: str) -> None:
    call = start("octopusx", "failed")
    done = walk(call, model)[-1]
    openai = walk(call, model, OPENAI)[-1]
    assert "usable frames" in json.dumps(done)
    assert openai["status"] == "failed"
    assert "usable frames" in openai["error"]["message"]
    if model == "wan":
        assert done["data"]["status"] == "FAILURE"
        assert done["data"]["result_url"] == done["data"]["fail_reason"] != ""
        assert openai["metadata"]["url"] == openai["error"]["message"]


def test_a_cancelled_task_looks_alive_in_the_dto(start: Start) -> None:
    call = start("octopusx", "cancelled")
    done = walk(call, "doubao-seedance")[-1]["data"]
    assert (done["status"], done["data"]["status"]) == ("IN_PROGRESS", "cancelled")
    assert walk(call, "veo")[-1]["data"]["status"] == "cancelled"


def test_quota_and_load(start: Start) -> None:
    quota = start("octopusx", "no-credits").post(UNIFIED, {"prompt": "x", "model": "veo"})
    assert (quota.status, quota.json["code"]) == (403, "insufficient_user_quota")
    load = start("octopusx", "rate-limited").post(UNIFIED, {"prompt": "x", "model": "veo"})
    assert (load.status, load.headers["Retry-After"]) == (429, "1")
    assert "上游负载" in load.json["error"]["message"]


def test_content_before_the_end(call: Caller) -> None:
    task_id = call.post(OPENAI, {"prompt": "x", "model": "sora-2"}).json["id"]
    assert call.get(f"{OPENAI}/{task_id}/content").status == 400
