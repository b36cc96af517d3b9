"""The sandbox's OpenAI Videos dialect, against contracts E."""

from __future__ import annotations

from typing import Any

import pytest

from support.sandbox_http import Caller, Start, multipart_body


@pytest.fixture
def call(start: Start) -> Caller:
    return start("openai-compatible")


def test_life_of_a_video(call: Caller) -> None:
    created = call.post("/videos", {"prompt": "a boat", "model": "sora-2", "seconds": "8", "size": "1280x720"})
    assert created.headers["openai-poll-after-ms"] == "1000"
    body = created.json
    assert body == {
        "id": body["id"],
        "object": "video",
        "model": "sora-2",
        "status": "queued",
        "progress": 0,
        "created_at": int(call.clock.now),
        "completed_at": None,
        "expires_at": None,
        "seconds": "8",
        "size": "1280x720",
        "prompt": "a boat",
        "remixed_from_video_id": None,
        "error": None,
    }
    call.clock.now += 1
    running = call.get(f"/videos/{body['id']}")
    assert (running.json["status"], running.json["progress"]) == ("in_progress", 31)
    assert running.headers["openai-poll-after-ms"] == "1000"
    call.clock.now += 2
    done = call.get(f"/videos/{body['id']}").json
    assert (done["status"], done["progress"]) == ("completed", 100)
    assert done["expires_at"] == done["completed_at"] + 3600
    assert "url" not in done


def test_content_is_binary_and_wants_the_key(call: Caller) -> None:
    task_id = call.post("/videos", {"prompt": "a boat"}).json["id"]
    path = f"/videos/{task_id}/content"
    assert call.get(path).status == 400
    call.clock.now += 3
    whole = call.get(path)
    assert (whole.status, whole.headers["Content-Type"]) == (200, "video/mp4")
    assert call.get(path, key="").status == 401
    assert call.get(path, headers={"Range": "bytes=2-"}).body == whole.body[2:]
    assert call("HEAD", path).headers["Content-Length"] == str(len(whole.body))
    assert call.get(f"{path}?variant=thumbnail").body == b"png thumb"
    assert call.get(f"{path}?variant=poster").status == 400
    assert call.get("/videos/video_nobody/content").status == 404
    call.clock.now += 3600
    assert call.get(path).status == 404


def test_multipart_with_a_reference(call: Caller) -> None:
    fields: list[Any] = [("prompt", "x"), ("model", "sora-2"), ("seconds", "4"), ("size", "720x1280")]
    body, kind = multipart_body([*fields, ("input_reference", ("a.png", "image/png", b"\x89PNG\r\n--\r\n"))])
    answer = call.post("/videos", body, headers={"Content-Type": kind})
    assert answer.status == 200
    sent = call.state["tasks"][answer.json["id"]]["request"]["multipart"]
    assert (sent[-1]["filename"], sent[-1]["bytes"]) == ("a.png", 10)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "prompt"),
        ({"prompt": " "}, "prompt"),
        ({"prompt": "x", "seconds": 4}, "seconds"),
        ({"prompt": "x", "seconds": "5"}, "seconds"),
        ({"prompt": "x", "seconds": "four"}, "seconds"),
        ({"prompt": "x", "size": "640x480"}, "size"),
        ({"prompt": "x", "model": "no-such-model"}, "model"),
        ({"prompt": "x", "model": 3}, "model"),
        ({"prompt": "x", "input_reference": "https://x.invalid/a.png"}, "input_reference"),
    ],
)
def test_refusals(call: Caller, body: Any, param: str) -> None:
    answer = call.post("/videos", body)
    assert answer.status == 400
    assert set(answer.json["error"]) == {"message", "type", "param", "code"}
    assert answer.json["error"]["param"] == param
    assert call.state["creates"] == 0


def test_gateways_take_other_lengths_for_other_models(call: Caller) -> None:
    assert call.post("/videos", {"prompt": "x", "model": "wan-2.5", "seconds": "5", "size": "832x480"}).status == 200


@pytest.mark.parametrize("broken", [b"", b"--wrong\r\n", b"------a-boundary-of-the-test\r\n\r\nno headers"])
def test_broken_multipart(call: Caller, broken: bytes) -> None:
    _, kind = multipart_body([])
    assert call.post("/videos", broken, headers={"Content-Type": kind}).status == 400
    assert call.post("/videos", b"x", headers={"Content-Type": "multipart/form-data"}).status == 400


def test_list_pages(call: Caller) -> None:
    ids = []
    for _ in range(3):
        ids.append(call.post("/videos", {"prompt": "x"}).json["id"])
        call.clock.now += 1
    page = call.get("/videos?limit=2").json
    assert [video["id"] for video in page["data"]] == [ids[2], ids[1]]
    assert (page["object"], page["has_more"], page["last_id"]) == ("list", True, ids[1])
    rest = call.get(f"/videos?limit=2&after={ids[1]}").json
    assert ([video["id"] for video in rest["data"]], rest["has_more"]) == ([ids[0]], False)
    assert [video["id"] for video in call.get("/videos?order=asc").json["data"]] == ids
    assert call.get("/videos?limit=0").status == 400


def test_delete_destroys_only_what_is_finished(call: Caller) -> None:
    task_id = call.post("/videos", {"prompt": "x"}).json["id"]
    assert call("DELETE", f"/videos/{task_id}").status == 400
    call.clock.now += 3
    assert call("DELETE", f"/videos/{task_id}").json == {"id": task_id, "deleted": True, "object": "video.deleted"}
    assert call.get(f"/videos/{task_id}").status == 404


@pytest.mark.parametrize(("scenario", "code"), [("failed", "generation_failed"), ("moderation", "moderation_blocked")])
def test_failures(start: Start, scenario: str, code: str) -> None:
    call = start("openai-compatible", scenario)
    task_id = call.post("/videos", {"prompt": "x"}).json["id"]
    call.clock.now += 3
    body = call.get(f"/videos/{task_id}").json
    assert (body["status"], body["error"]["code"]) == ("failed", code)
    assert call.get(f"/videos/{task_id}/content").status == 400


def test_no_result_no_balance_no_key(start: Start) -> None:
    call = start("openai-compatible", "no-result")
    task_id = call.post("/videos", {"prompt": "x"}).json["id"]
    call.clock.now += 3
    assert call.get(f"/videos/{task_id}").json["status"] == "completed"
    assert call.get(f"/videos/{task_id}/content").status == 404
    balance = start("openai-compatible", "no-credits").post("/videos", {"prompt": "x"})
    assert (balance.status, balance.json["error"]["code"]) == (429, "insufficient_quota")
    assert "Retry-After" not in balance.headers
    assert start("openai-compatible").get("/videos", key="x").json["error"]["code"] == "invalid_api_key"
