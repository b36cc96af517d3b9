"""The sandbox's skills.video wire, against contracts B."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.sandbox_http import Answer, Start, multipart_body

SORA = "/generation/openai/sora-2"
STREAM = "/generation/sse/openai/sora-2"


def events(answer: Answer) -> list[dict[str, Any]]:
    lines = answer.body.decode().split("\n")
    return [json.loads(line[len("data: ") :]) for line in lines if line.startswith("data: ")]


def test_create_and_poll_to_a_video(start: Start) -> None:
    call = start("skills-video")
    created = call.post(SORA, {"prompt": "a boat", "duration": 4, "first_frame_url": "https://x.invalid/in.png"})
    assert created.status == 200
    body = created.json
    assert body["status"] == "IN_QUEUE"
    assert body["usage"] == {"total": 10, "subscription": 10, "permanent": 0}
    assert body["input"]["first_frame_url"] == "https://x.invalid/in.png"
    seen = []
    for _ in range(6):
        status = call.get(f"/generation/{body['id']}").json
        seen.append(status["status"])
        call.clock.now += 0.6
    assert seen[0] == "IN_QUEUE"
    assert seen[-1] == "COMPLETED"
    assert set(seen) == {"IN_QUEUE", "IN_PROGRESS", "COMPLETED"}
    assert status["data"]["type"] == "video"
    assert status["data"]["video"] == status["data"]["videos"][0]
    url = status["data"]["video"]["url"]
    assert call.get(url).status == 200


def test_the_older_vocabulary(start: Start) -> None:
    call = start("skills-video")
    created = call.post("/generation/kling-ai/v3/video", {"prompt": "a boat"}).json
    assert (set(created), created["status"]) == ({"id", "status", "usage"}, "starting")
    call.clock.now += 1
    assert call.get(f"/generation/{created['id']}").json["status"] == "processing"
    stream = events(call.post("/generation/sse/kling-ai/v3/video", {"prompt": "a boat"}))
    assert [event["status"] for event in stream] == ["starting", "processing", "succeeded"]


def test_several_outputs(start: Start) -> None:
    call = start("skills-video")
    created = call.post(SORA, {"prompt": "a boat", "n": 3}).json
    call.clock.now += 3
    videos = call.get(f"/generation/{created['id']}").json["data"]["videos"]
    assert [video["file_name"] for video in videos] == ["video.mp4", "video-2.mp4", "video-3.mp4"]
    bodies = [call.get(video["url"]).body for video in videos]
    assert len(set(bodies)) == 3


def test_stream_has_data_only_events_and_ends_at_the_terminal_one(start: Start) -> None:
    call = start("skills-video")
    answer = call.post(STREAM, {"prompt": "a boat"})
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert [event["status"] for event in events(answer)] == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    assert set(events(answer)[-1]) == {"id", "status", "data", "usage"}
    assert events(answer)[-1]["data"]["video"]["url"].startswith("http://127.0.0.1:")
    other = [line for line in answer.body.decode().split("\n") if line and not line.startswith("data: ")]
    assert other and all(line.startswith(":") for line in other)
    assert answer.body.endswith(b"\n\n")


def test_multipart_with_repeated_files(start: Start) -> None:
    call = start("skills-video")
    files = [("image_urls", ("a.png", "image/png", b"1")), ("image_urls", "https://x.invalid/b.png")]
    body, kind = multipart_body([("prompt", "two"), ("duration", "6"), ("feature", "reference"), *files])
    answer = call.post("/generation/bytedance/seedance-2.0", body, headers={"Content-Type": kind})
    assert answer.status == 200
    assert answer.json["input"]["duration"] == 6
    assert answer.json["input"]["image_urls"] == ["upload://a.png", "https://x.invalid/b.png"]
    sent = call.state["tasks"][answer.json["id"]]["request"]["multipart"]
    assert sent[3]["filename"] == "a.png" and sent[3]["bytes"] == 1


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        ("openai/sora-2", {"duration": 4}, "prompt"),
        ("openai/sora-2", {"prompt": ""}, "prompt"),
        ("openai/sora-2", {"prompt": "x", "duration": "4"}, "duration"),
        ("openai/sora-2", {"prompt": "x", "seconds": 4}, "seconds"),
        ("openai/sora-2", {"prompt": "x", "aspect_ratio": "1:2"}, "aspect_ratio"),
        ("openai/sora-2", {"prompt": "x", "n": 5}, "n must"),
        ("openai/sora-2-pro", {"prompt": "x", "duration": 4}, "duration"),
        ("bytedance/seedance-1.5", {"prompt": "x", "duration": 13}, "between 4 and 12"),
        ("bytedance/seedance-1.5", {"prompt": "x", "last_frame_url": "https://x.invalid"}, "last_frame_url"),
        ("bytedance/seedance-2.0", {"prompt": "x", "image_urls": ["u"] * 10}, "image_urls"),
        ("kling-ai/v3/video", {"prompt": "x", "quality": "best"}, "quality"),
        ("some/other", {}, "prompt"),
        ("openai/sora-2", ["prompt"], "object"),
    ],
)
def test_refuses_what_the_model_does_not_take(start: Start, model: str, body: Any, words: str) -> None:
    call = start("skills-video")
    answer = call.post(f"/generation/{model}", body)
    assert answer.status == 400
    assert answer.json["error"] == "VIDEO_GENERATION_INVALID_INPUT"
    assert words in answer.json["message"]
    assert call.state["creates"] == 0


def test_undocumented_models_are_taken_as_they_come(start: Start) -> None:
    call = start("skills-video")
    assert call.post("/generation/lightricks/ltx-2.3/extend-video", {"video_url": "https://x.invalid/v"}).status == 200


def test_unsupported_model(start: Start) -> None:
    call = start("skills-video")
    answer = call.post("/generation/acme/no-such-model", {"prompt": "x"})
    assert (answer.status, answer.json["error"]) == (400, "VIDEO_GENERATION_UNSUPPORTED_MODEL")


@pytest.mark.parametrize(
    "key", ["", "Bearer ", "Bearer wrong", "Basic sandbox-key-not-secret", "sandbox-key-not-secret"]
)
def test_wrong_key_or_scheme(start: Start, key: str) -> None:
    call = start("skills-video")
    answer = call.post(SORA, {"prompt": "x"}, key=key)
    assert answer.status == 401
    assert set(answer.json) == {"message"}


def test_unknown_id_and_unknown_path(start: Start) -> None:
    call = start("skills-video")
    assert call.get("/generation/gen_nobody").status == 404
    assert call.get("/generations").status == 404
    assert call.post("/generation/onlyone", {"prompt": "x"}).status == 404


def test_credits(start: Start) -> None:
    call = start("skills-video")
    before = call.get("/credits").json["total"]
    call.post(SORA, {"prompt": "x"})
    assert call.get("/credits").json["total"] == before - 10


@pytest.mark.parametrize(
    ("scenario", "status", "error"),
    [
        ("no-credits", 402, "VIDEO_GENERATION_INSUFFICIENT_CREDITS"),
        ("moderation", 422, "VIDEO_GENERATION_CONTENT_REJECTED"),
        ("rate-limited", 429, "VIDEO_GENERATION_RATE_LIMITED"),
    ],
)
@pytest.mark.parametrize("path", [SORA, STREAM])
def test_refused_creates(start: Start, scenario: str, status: int, error: str, path: str) -> None:
    call = start("skills-video", scenario)
    answer = call.post(path, {"prompt": "x"})
    assert (answer.status, answer.json["error"]) == (status, error)
    assert call.state["creates"] == 0


def test_rate_limited_lets_the_second_attempt_through(start: Start) -> None:
    call = start("skills-video", "rate-limited")
    assert call.post(SORA, {"prompt": "x"}).headers["Retry-After"] == "1"
    assert call.post(SORA, {"prompt": "x"}).status == 200
    assert call.post(SORA, {"prompt": "another"}).status == 429
    assert call.post(SORA, {"prompt": "x"}).status == 429


def test_failed_task(start: Start) -> None:
    call = start("skills-video", "failed")
    task_id = call.post(SORA, {"prompt": "x"}).json["id"]
    call.clock.now += 3
    body = call.get(f"/generation/{task_id}").json
    assert (body["status"], body["code"], body["data"]) == ("FAILED", "VIDEO_GENERATION_FAILED", None)
    assert body["message"]


def test_cancelled_no_result_and_unknown_word(start: Start) -> None:
    bodies = {}
    for scenario in ("cancelled", "no-result", "unknown-status"):
        call = start("skills-video", scenario)
        task_id = call.post(SORA, {"prompt": "x"}).json["id"]
        call.clock.now += 1.6
        middle = call.get(f"/generation/{task_id}").json["status"]
        call.clock.now += 3
        bodies[scenario] = (middle, call.get(f"/generation/{task_id}").json)
    assert bodies["cancelled"][1]["status"] == "CANCELED"
    assert bodies["no-result"][1]["status"] == "COMPLETED"
    assert bodies["no-result"][1]["data"]["video"] is None
    assert bodies["unknown-status"][0] == "POST_PROCESSING"
    assert bodies["unknown-status"][1]["status"] == "COMPLETED"


def test_stream_of_an_unknown_word(start: Start) -> None:
    answer = start("skills-video", "unknown-status").post(STREAM, {"prompt": "x"})
    words = [event["status"] for event in events(answer)]
    assert words == ["IN_QUEUE", "IN_PROGRESS", "POST_PROCESSING", "IN_PROGRESS", "COMPLETED"]


def test_stream_drop_cuts_inside_an_event_and_the_task_goes_on(start: Start) -> None:
    import http.client

    call = start("skills-video", "stream-drop")
    with pytest.raises(http.client.IncompleteRead) as cut:
        call.post(STREAM, {"prompt": "x"})
    pieces = cut.value.partial.decode().split("\n\n")
    first = json.loads(pieces[0][len("data: ") :])
    assert first["status"] == "IN_QUEUE"
    assert pieces[-1].startswith("data: {")
    with pytest.raises(ValueError):
        json.loads(pieces[-1][len("data: ") :])
    call.clock.now += 3
    assert call.get(f"/generation/{first['id']}").json["status"] == "COMPLETED"


def test_stream_refused_costs_nothing(start: Start) -> None:
    call = start("skills-video", "stream-refused")
    assert call.post(STREAM, {"prompt": "x"}).status == 405
    assert call.state["creates"] == 0
    assert call.post(SORA, {"prompt": "x"}).status == 200


def test_json_instead_of_stream(start: Start) -> None:
    answer = start("skills-video", "json-instead-of-stream").post(STREAM, {"prompt": "x"})
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["status"] == "IN_QUEUE"


def test_stream_mute_says_nothing_after_the_first_event(start: Start) -> None:
    call = start("skills-video", "stream-mute")
    answer = call.post(STREAM, {"prompt": "x"})
    assert answer.body.count(b"data: ") == 1
    assert b": keep-alive" not in answer.body
    assert call.get(f"/generation/{events(answer)[0]['id']}").json["status"] == "COMPLETED"


@pytest.mark.parametrize("scenario", ["lost-answer", "lost-answer-5xx"])
@pytest.mark.parametrize("path", [SORA, STREAM])
def test_a_lost_answer_is_paid(start: Start, scenario: str, path: str) -> None:
    import http.client

    call = start("skills-video", scenario)
    if scenario == "lost-answer":
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            call.post(path, {"prompt": "x"})
    else:
        answer = call.post(path, {"prompt": "x"})
        assert answer.status == 502 and b"<html>" in answer.body
    assert call.state["creates"] == 1
    assert [entry["paid"] for entry in call.log] == [True]
    (task_id,) = call.state["tasks"]
    call.clock.now += 3
    assert call.get(f"/generation/{task_id}").json["status"] == "COMPLETED"
