"""The sandbox's ARK and ModelArk wire, against contracts D."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from support.sandbox_http import Caller, Start
from videotasks_sandbox.bodies import image_size

TASKS = "/contents/generations/tasks"
MODEL = "doubao-seedance-1-5-pro-251215"
TEXT = {"type": "text", "text": "a boat"}


@pytest.fixture
def call(start: Start) -> Caller:
    return start("ark")


def body(*content: Any, **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "content": list(content) or [TEXT], **fields}


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\x02\0\0\0"


def data_uri(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def medium(kind: str, url: str = "https://x.invalid/a", role: str | None = None) -> dict[str, Any]:
    item: dict[str, Any] = {"type": kind, kind: {"url": url}}
    return {**item, "role": role} if role else item


def image(role: str | None = None, url: str = "https://x.invalid/a.png") -> dict[str, Any]:
    return medium("image_url", url, role)


def test_create_answers_with_the_id_alone(call: Caller) -> None:
    answer = call.post(TASKS, body())
    assert answer.status == 200
    assert list(answer.json) == ["id"]
    assert answer.json["id"].startswith("cgt-2027")


def test_life_of_a_task(call: Caller) -> None:
    task_id = call.post(TASKS, body(duration=4, resolution="720p", ratio="9:16", return_last_frame=True)).json["id"]
    seen = []
    for wait in (0, 1, 2):
        call.clock.now += wait
        seen.append(call.get(f"{TASKS}/{task_id}").json)
    assert [each["status"] for each in seen] == ["queued", "running", "succeeded"]
    assert [each["error"] for each in seen] == [None] * 3
    assert "content" not in seen[1]
    done = seen[2]
    assert (done["ratio"], done["duration"], done["resolution"], done["framespersecond"]) == ("9:16", 4, "720p", 24)
    assert done["usage"]["completion_tokens"] == done["usage"]["total_tokens"] > 0
    assert call.get(done["content"]["video_url"]).status == 200
    assert call.get(done["content"]["last_frame_url"]).body == b"png last"
    assert "prompt" not in done


def test_no_last_frame_unless_asked_and_frames_instead_of_duration(call: Caller) -> None:
    one = {"model": "doubao-seedance-1-0-pro-250528", "content": [TEXT], "frames": 29}
    task_id = call.post(TASKS, one).json["id"]
    call.clock.now += 3
    done = call.get(f"{TASKS}/{task_id}").json
    assert list(done["content"]) == ["video_url"]
    assert done["frames"] == 29
    assert "duration" not in done


def test_links_die_after_a_day_and_tasks_after_a_week(call: Caller) -> None:
    task_id = call.post(TASKS, body()).json["id"]
    call.clock.now += 3
    url = call.get(f"{TASKS}/{task_id}").json["content"]["video_url"]
    call.clock.now += 60
    assert call.get(f"{TASKS}/{task_id}").json["content"]["video_url"] == url
    call.clock.now += 86400
    assert call.get(url).status == 403
    assert call.get(f"{TASKS}/{task_id}").json["content"] is None
    call.clock.now += 6 * 86400 + 10
    assert call.get(f"{TASKS}/{task_id}").status == 404


@pytest.mark.parametrize(
    "content",
    [
        [TEXT],
        [image()],
        [TEXT, image("first_frame")],
        [TEXT, image("first_frame"), image("last_frame")],
        [TEXT, *[image("reference_image")] * 9],
        [TEXT, medium("video_url", role="reference_video"), medium("audio_url", role="reference_audio")],
        [TEXT, image(url="asset://asset-1")],
        [TEXT, image(url=data_uri(png(300, 600)))],
        [TEXT, image(url=data_uri(b"some webp", "image/webp"))],
        [{"type": "draft_task", "draft_task": {"id": "cgt-1"}}],
    ],
)
def test_content_that_is_taken(call: Caller, content: list[Any]) -> None:
    answer = call.post(TASKS, body(*content))
    assert answer.status == 200, answer.body


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a boat", "array"),
        (["a boat"], "type"),
        ([{"type": "text", "text": ""}], "text"),
        ([{"type": "image", "image": "x"}], "type"),
        ([TEXT, {"type": "image_url", "image_url": "https://x.invalid"}], "url"),
        ([TEXT, image("middle_frame")], "role"),
        ([TEXT, medium("video_url", role="first_frame")], "role"),
        ([TEXT, image("first_frame"), image("reference_image")], "cannot be mixed"),
        ([TEXT, image(), medium("video_url", role="reference_video")], "cannot be mixed"),
        ([TEXT, image("last_frame")], "needs a first frame"),
        ([TEXT, image("first_frame"), image("first_frame")], "at most one"),
        ([TEXT, image(), image(), image()], "at most one"),
        ([TEXT, *[image("reference_image")] * 10], "at most 9"),
        ([TEXT, *[medium("video_url", role="reference_video")] * 4], "at most 3"),
        ([TEXT, medium("audio_url", role="reference_audio")], "only reference"),
        ([TEXT, image(url="/home/me/a.png")], "URL, a data URI or asset"),
        ([TEXT, image(url="data:image/png;base64,@@@")], "broken base64"),
        ([TEXT, image(url=data_uri(b"x", "text/plain"))], "data:image"),
        ([TEXT, image(url=data_uri(png(299, 600)))], "from 300 to 6000"),
        ([TEXT, image(url=data_uri(png(300, 900)))], "between 0.4 and 2.5"),
    ],
)
def test_content_that_is_refused(call: Caller, content: Any, words: str) -> None:
    answer = call.post(TASKS, {"model": MODEL, "content": content})
    assert answer.status == 400
    assert set(answer.json["error"]) == {"code", "message", "param", "type"}
    assert answer.json["error"]["code"] == "InvalidParameter"
    assert words in answer.json["error"]["message"]
    assert call.state["creates"] == 0


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"content": []}, 400, "MissingParameter"),
        ({"content": None}, 400, "MissingParameter"),
        ({"model": ""}, 400, "MissingParameter"),
        ({"model": "gpt-4"}, 404, "InvalidEndpointOrModel.NotFound"),
        ({"model": "dreamina-seedance-2-0-260128"}, 404, "InvalidEndpointOrModel.NotFound"),
        ({"duration": "5"}, 400, "InvalidParameter"),
        ({"duration": 3}, 400, "InvalidParameter"),
        ({"duration": 13}, 400, "InvalidParameter"),
        ({"duration": True}, 400, "InvalidParameter"),
        ({"frames": 29}, 400, "InvalidParameter"),
        ({"seed": -2}, 400, "InvalidParameter"),
        ({"ratio": "5:4"}, 400, "InvalidParameter"),
        ({"resolution": "360p"}, 400, "InvalidParameter"),
        ({"generate_audio": "yes"}, 400, "InvalidParameter"),
        ({"service_tier": "fast"}, 400, "InvalidParameter"),
        ({"execution_expires_after": 60}, 400, "InvalidParameter"),
        ({"model": "doubao-seedance-2-0-fast-260128", "resolution": "1080p"}, 400, "InvalidParameter"),
        ({"model": "doubao-seedance-2-0-260128", "service_tier": "flex"}, 400, "InvalidParameter"),
        ({"model": "doubao-seedance-2-0-260128", "draft": True}, 400, "InvalidParameter"),
        ({"model": "doubao-seedance-1-0-pro-250528", "generate_audio": True}, 400, "InvalidParameter"),
        ({"model": "doubao-seedance-1-0-pro-250528", "duration": -1}, 400, "InvalidParameter"),
        ({"model": "doubao-seedance-1-0-pro-250528", "frames": 30}, 400, "InvalidParameter"),
    ],
)
def test_parameters_that_are_refused(call: Caller, fields: dict[str, Any], status: int, code: str) -> None:
    answer = call.post(TASKS, {**body(), **fields})
    assert (answer.status, answer.json["error"]["code"]) == (status, code)
    assert call.state["creates"] == 0


def test_each_cloud_has_its_own_models(start: Start) -> None:
    call = start("modelark")
    for model, status in (("seedance-1-5-pro-251215", 200), ("ep-2026", 200), (MODEL, 404)):
        assert call.post(TASKS, {"model": model, "content": [TEXT]}).status == status


def test_list_is_newest_first_and_filters(call: Caller) -> None:
    ids = []
    for model in (MODEL, "ep-1", MODEL):
        ids.append(call.post(TASKS, {**body(), "model": model}).json["id"])
        call.clock.now += 1.5
    everything = call.get(TASKS).json
    assert everything["total"] == 3
    assert [item["id"] for item in everything["items"]] == ids[::-1]
    assert [item["status"] for item in everything["items"]] == ["running", "succeeded", "succeeded"]

    def listed(query: str) -> list[str]:
        return [item["id"] for item in call.get(f"{TASKS}?{query}").json["items"]]

    assert listed("filter.status=succeeded") == [ids[1], ids[0]]
    assert listed(f"filter.model={MODEL}") == [ids[2], ids[0]]
    assert listed(f"filter.task_ids={ids[0]}&filter.task_ids={ids[1]}") == [ids[1], ids[0]]
    assert listed("page_num=2&page_size=2") == [ids[0]]
    assert call.get(f"{TASKS}?page_size=0").status == 400


def test_a_lost_answer_is_found_in_the_list(start: Start) -> None:
    call = start("ark", "lost-answer-5xx")
    assert call.post(TASKS, body()).status == 502
    (item,) = call.get(TASKS).json["items"]
    assert (item["model"], item["created_at"]) == (MODEL, int(call.clock.now))


def test_delete_cancels_what_is_queued(call: Caller) -> None:
    task_id = call.post(TASKS, body()).json["id"]
    assert call("DELETE", f"{TASKS}/{task_id}").json == {}
    assert call.get(f"{TASKS}/{task_id}").json["status"] == "cancelled"
    assert call("DELETE", f"{TASKS}/{task_id}").status == 403
    call.clock.now += 86401
    assert call.get(f"{TASKS}/{task_id}").status == 404


def test_delete_refuses_what_runs_and_destroys_what_is_finished(call: Caller) -> None:
    task_id = call.post(TASKS, body()).json["id"]
    call.clock.now += 1
    running = call("DELETE", f"{TASKS}/{task_id}")
    assert running.status == 403
    assert call.get(f"{TASKS}/{task_id}").json["status"] == "running"
    call.clock.now += 2
    assert call("DELETE", f"{TASKS}/{task_id}").status == 200
    assert call.get(f"{TASKS}/{task_id}").status == 404
    assert call("DELETE", f"{TASKS}/{task_id}").status == 404


@pytest.mark.parametrize(
    ("scenario", "status", "code"),
    [
        ("failed", "failed", "InternalServiceError"),
        ("moderation", "failed", "OutputVideoSensitiveContentDetected"),
        ("expired", "expired", None),
        ("cancelled", "cancelled", None),
    ],
)
def test_bad_ends_arrive_on_http_200(start: Start, scenario: str, status: str, code: str | None) -> None:
    call = start("ark", scenario)
    task_id = call.post(TASKS, body()).json["id"]
    call.clock.now += 3
    answer = call.get(f"{TASKS}/{task_id}")
    assert (answer.status, answer.json["status"]) == (200, status)
    assert (answer.json["error"] or {}).get("code") == code


def test_refused_accounts_and_keys(start: Start) -> None:
    overdue = start("ark", "no-credits").post(TASKS, body())
    assert (overdue.status, overdue.json["error"]["code"]) == (403, "AccountOverdueError")
    key = start("ark").get(TASKS, key="Bearer x")
    assert (key.status, key.json["error"]["code"]) == (401, "AuthenticationError")
    busy = start("ark", "rate-limited").post(TASKS, body())
    assert (busy.status, busy.headers["Retry-After"]) == (429, "1")
    assert start("ark").get(f"{TASKS}/cgt-nobody").json["error"]["code"] == "ResourceNotFound"


def test_image_sizes() -> None:
    jpeg = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc2\x00\x0b\x08" + struct.pack(">HH", 480, 640) + b"\x03"
    assert image_size(png(1, 2)) == (1, 2)
    assert image_size(b"GIF89a" + struct.pack("<HH", 7, 8)) == (7, 8)
    assert image_size(jpeg) == (640, 480)
    assert [image_size(each) for each in (b"", b"RIFF....WEBP", b"\xff\xd8\x00", b"\xff\xd8\xff\xe0\xff\xff")] == [
        None
    ] * 4
