"""The sandbox's CreatOK wire, against contracts A."""

from __future__ import annotations

from typing import Any

import pytest

from support.sandbox_http import Answer, Caller, Start

CREATE = "/api/open/skills/tasks"
STATUS = "/api/open/skills/tasks/status"
PRESIGN = "/api/open/skills/upload/image/presigned"
IMAGE = {
    "fileName": "a.png",
    "fileType": "image/png",
    "fileSize": 3,
    "prefix": "open-skills/reference-images",
}


@pytest.fixture
def call(start: Start) -> Caller:
    return start("creatok")


def presign(call: Caller) -> tuple[str, str]:
    data = call.post(PRESIGN, IMAGE).json["data"]
    return data["presignedUploadUrl"], data["objectKey"]


def put(call: Caller, url: str, **options: Any) -> Answer:
    return call("PUT", url, b"png", {"Content-Type": "image/png"} | options.pop("headers", {}), **options)


def test_create_and_poll(call: Caller) -> None:
    created = call.post(CREATE, {"prompt": "a boat", "orientation": "16:9", "seconds": 8, "definition": "1080p"}).json
    assert (created["code"], created["msg"], created["data"]["status"]) == (0, "ok", "queued")
    path = f"{STATUS}?task_id={created['data']['task_id']}&task_type=video_generation"
    words = [call.get(path).json["data"]]
    call.clock.now += 1
    words.append(call.get(path).json["data"])
    assert words == [{"status": "queued"}, {"status": "running"}]
    call.clock.now += 2
    done = call.get(path).json["data"]
    assert done["status"] == "succeeded"
    assert call.get(done["result"]["video_url"]).status == 200
    task = call.state["tasks"][created["data"]["task_id"]]
    assert (task["width"], task["height"], task["duration"]) == (1920, 1080, 8)


def test_status_without_task_type_but_not_of_another_type(call: Caller) -> None:
    task_id = call.post(CREATE, {"prompt": "x"}).json["data"]["task_id"]
    assert call.get(f"{STATUS}?task_id={task_id}").json["code"] == 0
    assert call.get(f"{STATUS}?task_id={task_id}&task_type=image_generation").json["code"] != 0
    assert call.get(f"{STATUS}?task_id=").json["code"] != 0


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("prompt", "", "prompt is required"),
        ("prompt", 5, "prompt is required"),
        ("seconds", "8", "integer"),
        ("seconds", 8.0, "integer"),
        ("seconds", True, "integer"),
        ("seconds", 9, "out of range"),
        ("definition", "4k", "definition"),
        ("orientation", "1:1", "orientation"),
        ("model", "sora-9", "model not supported"),
        ("seed", 1, "unknown field: seed"),
        ("referenceImageKeys", ["nobody/knows.png"], "not found"),
        ("referenceImageKeys", ["a", "b", "c", "d"], "at most 3"),
        ("referenceImageKeys", "a", "array"),
    ],
)
def test_refusals_are_in_band(call: Caller, field: str, value: Any, words: str) -> None:
    answer = call.post(CREATE, {"prompt": "x", "model": "veo-3.1-fast-exp", field: value})
    assert answer.status == 200
    assert answer.json["code"] != 0
    assert words in answer.json["msg"]
    assert call.state["creates"] == 0


@pytest.mark.parametrize(("seconds", "good"), [(3, False), (4, True), (15, True), (16, False)])
def test_duration_range_of_a_model(call: Caller, seconds: int, good: bool) -> None:
    answer = call.post(CREATE, {"prompt": "x", "model": "doubao-seedance-2", "seconds": seconds})
    assert (answer.json["code"] == 0) is good


def test_duration_list_of_a_model(call: Caller) -> None:
    codes = [call.post(CREATE, {"prompt": "x", "model": "sora-2", "seconds": each}).json["code"] for each in (12, 8)]
    assert codes[0] == 0
    assert codes[1] != 0


def test_upload_and_use(call: Caller) -> None:
    url, key = presign(call)
    assert key.startswith("open-skills/reference-images/")
    assert call.post(CREATE, {"prompt": "x", "referenceImageKeys": [key]}).json["code"] != 0
    assert put(call, url).status == 200
    assert call.post(CREATE, {"prompt": "x", "referenceImageKeys": [key]}).json["code"] == 0
    assert call.state["uploads"][key]["bytes"] == 3


def test_upload_refuses_the_key_another_type_and_a_bare_link(call: Caller) -> None:
    url, key = presign(call)
    assert put(call, url, key=f"Bearer {call.sandbox.api_key}").status == 400
    assert put(call, url, headers={"Content-Type": "image/jpeg"}).status == 403
    assert put(call, url.split("?")[0]).status == 403
    assert put(call, url.replace(key[-9:], "other.png")).status == 403
    chunked = call("PUT", url, iter([b"png"]), {"Content-Type": "image/png"})
    assert chunked.status == 411
    call.clock.now += 901
    assert put(call, url).status == 403
    assert call.state["uploads"][key]["received"] is False


@pytest.mark.parametrize(
    ("field", "value"),
    [("fileName", ""), ("fileType", "image/tiff"), ("fileSize", "3"), ("fileSize", 0), ("prefix", "elsewhere")],
)
def test_presign_refusals(call: Caller, field: str, value: Any) -> None:
    assert call.post(PRESIGN, {**IMAGE, field: value}).json["code"] != 0


def test_capabilities_have_the_documented_keys(call: Caller) -> None:
    answer = call.get("/api/open/skills/capabilities").json["data"]["capabilities"]
    video = answer["video"]
    ids = [model["id"] for model in video["models"]]
    assert video["default_model"] in ids
    for model in video["models"]:
        assert set(model["limits"]) == {"definitions", "orientations", "durations", "max_reference_images"}
        assert any(model["limits"]["durations"][key] for key in ("min", "max", "enum"))
        for row in model.get("pricing", {}).get("estimates", []):
            assert set(row) == {"definition", "seconds", "orientation", "credits"}
    assert any("pricing" not in model for model in video["models"])
    assert answer["image"]["models"][0]["pricing"]["by_resolution"]


def test_the_defaults_of_each_model_are_accepted_and_priced(call: Caller) -> None:
    for model in call.get("/api/open/skills/capabilities").json["data"]["capabilities"]["video"]["models"]:
        assert call.post(CREATE, {"prompt": "x", "model": model["id"], **model["defaults"]}).json["code"] == 0
        if "pricing" in model:
            rows = model["pricing"]["estimates"]
            assert any(all(row[key] == value for key, value in model["defaults"].items()) for row in rows)


def test_unknown_task_key_and_path(call: Caller) -> None:
    unknown = call.get(f"{STATUS}?task_id=task_nobody")
    assert (unknown.status, unknown.json["data"]) == (200, None)
    assert unknown.json["code"] != 0
    assert call.get(STATUS + "?task_id=x", key="Bearer no").status == 401
    assert call.get("/api/open/skills/estimate").status == 404


def test_failed_moderation_and_no_result(start: Start) -> None:
    data = {}
    for scenario in ("failed", "moderation", "no-result"):
        call = start("creatok", scenario)
        task_id = call.post(CREATE, {"prompt": "x"}).json["data"]["task_id"]
        call.clock.now += 3
        data[scenario] = call.get(f"{STATUS}?task_id={task_id}").json["data"]
    assert data["failed"]["status"] == data["moderation"]["status"] == "failed"
    assert "policies" in data["moderation"]["error"]["message"]
    assert data["no-result"] == {"status": "succeeded", "result": {}}


def test_no_credits_is_in_band(start: Start) -> None:
    answer = start("creatok", "no-credits").post(CREATE, {"prompt": "x"})
    assert answer.status == 200
    assert (answer.json["code"] != 0, answer.json["msg"]) == (True, "Insufficient credits")
