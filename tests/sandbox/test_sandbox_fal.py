"""The sandbox's fal queue, against contracts F.1."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from support.sandbox_http import Caller, Start

APP = "/fal-ai/veo3/fast/image-to-video"


def submit(call: Caller, body: Any = None) -> dict[str, str]:
    """The URLs of a new request, as paths: a whole URL gets no key from the caller."""
    answer = call.post(APP, body or {"prompt": "a boat"}).json
    return {
        name: value.replace(call.sandbox.base_url, "") if isinstance(value, str) else value
        for name, value in answer.items()
    }


def test_life_of_a_request(start: Start) -> None:
    call = start("fal")
    urls = submit(call)
    assert set(urls) == {"request_id", "response_url", "status_url", "cancel_url", "queue_position"}
    assert urls["status_url"] == f"/fal-ai/veo3/requests/{urls['request_id']}/status"
    assert call.get(urls["status_url"]).json == {"status": "IN_QUEUE", "queue_position": 0}
    assert call.get(urls["response_url"]).status == 400
    call.clock.now += 1
    assert call.get(urls["status_url"]).json == {"status": "IN_PROGRESS"}
    assert call.get(urls["status_url"] + "?logs=1").json["logs"][0]["message"] == "31%"
    call.clock.now += 2
    assert call.get(urls["status_url"]).json == {"status": "COMPLETED", "metrics": {"inference_time": 2}}
    result = call.get(urls["response_url"]).json
    assert (result["video"]["content_type"], result["seed"]) == ("video/mp4", 42)
    assert call.get(result["video"]["url"]).status == 200


def test_the_scheme_is_key(start: Start) -> None:
    call = start("fal")
    for key, status in (("Bearer", 401), ("Key", 200)):
        assert call.post(APP, {"prompt": "x"}, key=f"{key} {call.sandbox.api_key}").status == status


def test_bad_input_is_accepted_and_fails_later(start: Start) -> None:
    call = start("fal")
    urls = submit(call, {"seed": 1})
    call.clock.now += 3
    status = call.get(urls["status_url"]).json
    assert (status["status"], status["error_type"]) == ("COMPLETED", "missing")
    result = call.get(urls["response_url"])
    assert result.status == 422
    assert result.json["detail"][0]["loc"] == ["body", "prompt"]
    assert result.headers["X-Fal-Error-Type"] == "missing"


@pytest.mark.parametrize(
    ("scenario", "kind", "code"), [("failed", "runner_error", 500), ("moderation", "content_policy_violation", 422)]
)
def test_completed_with_an_error(start: Start, scenario: str, kind: str, code: int) -> None:
    call = start("fal", scenario)
    urls = submit(call)
    call.clock.now += 3
    status = call.get(urls["status_url"]).json
    assert (status["status"], status["error_type"]) == ("COMPLETED", kind)
    assert call.get(urls["response_url"]).status == code


def test_cancel(start: Start) -> None:
    call = start("fal")
    urls = submit(call)
    assert call("PUT", urls["cancel_url"]).json == {"status": "CANCELLATION_REQUESTED"}
    assert call.get(urls["status_url"]).json["error_type"] == "cancelled"
    assert call("PUT", urls["cancel_url"]).json == {"status": "ALREADY_COMPLETED"}
    running = submit(call)
    call.clock.now += 1
    assert call("PUT", running["cancel_url"]).status == 202
    assert call.get(running["status_url"]).json["status"] == "IN_PROGRESS"


def test_stream_of_the_status(start: Start) -> None:
    call = start("fal")
    answer = call.get(submit(call)["status_url"] + "/stream")
    words = [json.loads(line[6:])["status"] for line in answer.body.decode().split("\n") if line.startswith("data: ")]
    assert words == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


def test_troubled_streams(start: Start) -> None:
    call = start("fal", "stream-drop")
    with pytest.raises(http.client.IncompleteRead):
        call.get(submit(call)["status_url"] + "/stream")
    call = start("fal", "stream-refused")
    assert call.get(submit(call)["status_url"] + "/stream").status == 405
    call = start("fal", "json-instead-of-stream")
    assert call.get(submit(call)["status_url"] + "/stream").json["status"] == "IN_QUEUE"
    call = start("fal", "stream-mute")
    assert call.get(submit(call)["status_url"] + "/stream").body.count(b"data: ") == 1


def test_refusals(start: Start) -> None:
    call = start("fal")
    assert call.post("/fal-ai/no-such-app", {"prompt": "x"}).status == 404
    assert call.post("/onlyone", {"prompt": "x"}).status == 404
    urls = submit(call)
    assert call.get(f"/fal-ai/other/requests/{urls['request_id']}/status").status == 404
    assert call.get("/fal-ai/veo3/requests/nobody/status").json == {"detail": "Request not found"}
    assert start("fal", "no-credits").post(APP, {"prompt": "x"}).status == 403


def test_no_result(start: Start) -> None:
    call = start("fal", "no-result")
    urls = submit(call)
    call.clock.now += 3
    assert call.get(urls["status_url"]).json["status"] == "COMPLETED"
    assert call.get(urls["response_url"]).json == {"seed": 42}
