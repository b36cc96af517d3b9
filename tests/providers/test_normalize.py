"""Every example body of the wire contracts, read by its profile: one table, one vocabulary."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videotasks.core.errors import Category
from videotasks.core.task import Snapshot, Status, valid_task_id
from videotasks.providers import normalize
from videotasks.providers.load_profile import load_profile, shipped_names
from videotasks.providers.normalize import Created
from videotasks.providers.profile import Profile

V = "https://cdn.example.com/video.mp4?sig=1"
F = "https://cdn.example.com/last.png"


def profile(name: str) -> Profile:
    """`octopusx/openai` is the kind openai of octopusx."""
    base, _, kind = name.partition("/")
    return load_profile(base).for_kind(kind or None)


def ark_error(code: str, message: str = "no") -> dict[str, Any]:
    return {"id": "cgt-1", "status": "failed", "error": {"code": code, "message": message}}


def new_api(status: str, **more: Any) -> dict[str, Any]:
    data = {"id": 1, "task_id": "task_1", "platform": "p", "action": "a", "status": status, "fail_reason": ""}
    data |= {"result_url": "", "submit_time": 1700000000, "start_time": 0, "finish_time": 0, "progress": "50%"}
    return {"code": "success", "message": "", "data": data | {"properties": {}} | more}


def wrapper(status: str, url: str = "", error: Any = None) -> dict[str, Any]:
    data = {"task_id": "task-video-abc123", "status": status, "url": url, "format": "mp4", "metadata": None}
    return {"code": "success", "message": "", "data": data | {"error": error}}


# (profile, body, what the snapshot must show)
STATUS_BODIES: list[tuple[str, Any, dict[str, Any]]] = [
    # A.4 CreatOK
    ("creatok", {"code": 0, "data": {"status": "queued"}}, {"status": "queued"}),
    ("creatok", {"code": 0, "data": {"status": "running"}}, {"status": "running"}),
    (
        "creatok",
        {"code": 0, "data": {"status": "succeeded", "result": {"video_url": V}}},
        {"status": "succeeded", "video_url": V},
    ),
    (
        "creatok",
        {"code": 0, "msg": "ok", "data": {"status": "failed", "error": {"message": "no luck"}}},
        {"status": "failed", "message": "no luck", "category": "generation_failed"},
    ),
    # The envelope's own "ok" is no reason.
    (
        "creatok",
        {"code": 0, "msg": "ok", "data": {"status": "failed"}},
        {"status": "failed", "message": ""},
    ),
    (
        "creatok/image",
        {
            "code": 0,
            "data": {
                "status": "succeeded",
                "result": {"images": [{"url": V, "thumbnail_url": F, "object_key": "k"}, {"url": F + "?2"}]},
            },
        },
        {"status": "succeeded", "outputs": [("image", V), ("image", F + "?2"), ("thumbnail", F)]},
    ),
    ("creatok", {"code": 0, "data": {"status": "submitted"}}, {"status": "queued"}),
    ("creatok", {"code": 7, "msg": "bad", "data": None}, {"status": "unknown", "message": "bad", "code": "7"}),
    # Type-strict: false is not 0, "0" is not 0, a missing code is no success.
    *(
        ("creatok", body, {"status": "unknown", "error": True})
        for body in (
            {"code": False, "data": {"status": "succeeded", "result": {"video_url": V}}},
            {"code": "0", "data": {"status": "succeeded", "result": {"video_url": V}}},
            {"data": {"status": "succeeded", "result": {"video_url": V}}},
            {"code": None, "data": {"status": "succeeded"}},
        )
    ),
    # B.4 skills.video
    (
        "skills-video",
        {"id": "gen_123", "status": "IN_QUEUE", "input": {"prompt": "…"}, "usage": {"total": 10, "subscription": 10}},
        {"status": "queued", "provider_status": "IN_QUEUE", "task_id": "gen_123", "cost": 10, "cost_unit": "credits"},
    ),
    ("skills-video", {"id": "g", "status": "starting"}, {"status": "queued"}),
    ("skills-video", {"id": "g", "status": "processing", "data": None}, {"status": "running"}),
    (
        "skills-video",
        {"id": "g", "status": "IN_PROGRESS", "input": {"image_url": V}, "data": None, "usage": {}},
        {"status": "running", "outputs": []},
    ),
    ("skills-video", {"id": "g", "status": "COMPLETED", "data": {"video": {"url": V}}}, {"video_url": V}),
    ("skills-video", {"id": "g", "status": "SUCCEEDED", "data": {"videos": [{"url": V}]}}, {"video_url": V}),
    (
        "skills-video",
        {"id": "g", "status": "completed", "data": {"videos": [{"url": V}, {"url": V + "2"}, {"url": "no"}]}},
        {"outputs": [("video", V), ("video", V + "2")]},
    ),
    (
        "skills-video",
        {"id": "g", "status": "COMPLETED", "data": {"type": "image", "n": 1, "images": [{"url": F}], "image": {}}},
        {"status": "succeeded", "outputs": [("image", F)], "has_result": True},
    ),
    # Never the whole document: `input` echoes the caller's own links.
    (
        "skills-video",
        {"id": "g", "status": "COMPLETED", "input": {"video_url": V, "image_urls": [V]}, "data": {}},
        {"status": "succeeded", "outputs": [], "has_result": False},
    ),
    (
        "skills-video",
        {"id": "g", "status": "FAILED", "code": "VIDEO_GENERATION_CONTENT_REJECTED", "message": "no", "input": {}},
        {"status": "failed", "category": "moderation", "message": "no", "code": "VIDEO_GENERATION_CONTENT_REJECTED"},
    ),
    ("skills-video", {"id": "g", "status": "CANCELED"}, {"status": "cancelled", "category": "cancelled"}),
    ("skills-video", {"id": "g", "status": "CANCELLED"}, {"status": "cancelled"}),
    ("skills-video", {"id": "g", "status": "canceled"}, {"status": "cancelled"}),
    (
        "skills-video",
        {"id": "g", "status": "PAUSED"},
        {"status": "unknown", "provider_status": "PAUSED", "warnings": 1},
    ),
    # A status of something else is not the task's.
    ("skills-video", {"id": "g", "input": {"status": "COMPLETED"}}, {"status": "unknown", "provider_status": None}),
    # C.3 OctopusX (a) simple wrapper
    *(
        ("octopusx", wrapper(word), {"status": status, "task_id": "task-video-abc123"})
        for word, status in (("queued", "queued"), ("processing", "running"), ("failed", "failed"), ("", "unknown"))
    ),
    ("octopusx", wrapper("succeeded", V), {"status": "succeeded", "video_url": V}),
    ("octopusx", wrapper("unknown"), {"status": "unknown", "provider_status": "unknown"}),
    # (b) TaskDto
    ("octopusx", new_api("NOT_START"), {"status": "queued"}),
    ("octopusx", new_api("SUBMITTED"), {"status": "queued"}),
    ("octopusx", new_api("QUEUED"), {"status": "queued"}),
    (
        "octopusx",
        new_api("IN_PROGRESS", data={"status": "running", "content": {"video_url": V}, "usage": {}}),
        {"status": "running", "progress": 50, "outputs": [], "task_id": "task_1", "created_at": 1700000000},
    ),
    ("octopusx", new_api("UNKNOWN"), {"status": "unknown"}),
    ("octopusx", new_api("SUCCESS", result_url=V, progress="100%"), {"video_url": V, "progress": 100}),
    (
        "octopusx",
        new_api("SUCCESS", data={"content": {"video_url": V, "last_frame_url": F}, "usage": {"total_tokens": 9}}),
        {"video_url": V, "last_frame_url": F, "usage": {"total_tokens": 9}},
    ),
    ("octopusx", new_api("SUCCESS", fail_reason=V), {"status": "succeeded", "video_url": V}),
    ("octopusx", new_api("SUCCESS", result_url=V, finish_time=1700000100), {"expires_at": 1700000100 + 43200}),
    # C.4: on a failure the link's place holds the failure text.
    (
        "octopusx",
        new_api("FAILURE", result_url="upstream said no"),
        {"status": "failed", "message": "upstream said no", "outputs": []},
    ),
    ("octopusx", new_api("FAILURE", fail_reason="too dark", result_url=V), {"message": "too dark", "outputs": []}),
    (
        "octopusx",
        new_api(
            "FAILURE", fail_reason="", data={"error": {"code": "InputTextSensitiveContentDetected", "message": "x"}}
        ),
        {"category": "moderation", "message": "x"},
    ),
    # C.4: a dead upstream task inside a gateway task that looks alive.
    *(
        ("octopusx", new_api("IN_PROGRESS", data={"status": dead}), {"status": status, "warnings": 1})
        for dead, status in (("cancelled", "cancelled"), ("EXPIRED", "expired"), ("failed", "failed"))
    ),
    ("octopusx", new_api("IN_PROGRESS", data={"status": "succeeded"}), {"status": "running", "warnings": 0}),
    # (c) and (d) flat
    (
        "octopusx",
        {
            "task_id": "abcd",
            "status": "succeeded",
            "url": V,
            "format": "mp4",
            "metadata": {"duration": 5},
            "error": None,
        },
        {"status": "succeeded", "video_url": V, "task_id": "abcd"},
    ),
    (
        "octopusx",
        {"id": "x", "status": "completed", "progress": 100, "video_url": V},
        {"video_url": V, "progress": 100},
    ),
    (
        "octopusx",
        {"task_id": "abcd", "status": "failed", "error": {"code": 500, "message": "boom"}},
        {"status": "failed", "message": "boom", "code": "500"},
    ),
    # the OpenAI object, by either kind: each reads the other's tasks
    *(
        (kind, body, expect)
        for kind in ("octopusx", "octopusx/openai", "openai-compatible")
        for body, expect in (
            (
                {"id": "task_1", "object": "video", "status": "completed", "progress": 100, "created_at": 1700000000}
                | {"completed_at": 1700000001, "metadata": {"url": V}},
                {"status": "succeeded", "video_url": V, "created_at": 1700000000},
            ),
            (
                {"id": "video_123", "object": "video", "status": "succeeded", "expires_at": 1641081600, "url": V},
                {"video_url": V, "expires_at": 1641081600},
            ),
            (
                {"id": "v", "status": "processing", "video_url": "", "completed_at": 0}
                | {"error": {"message": "", "code": ""}},
                {"status": "running", "error": False, "warnings": 0},
            ),
            (
                {"id": "v", "status": "in_progress", "progress": 33, "error": None},
                {"status": "running", "progress": 33},
            ),
        )
    ),
    (
        "octopusx/openai",
        {"id": "v", "status": "failed", "error": {"message": "", "code": ""}},
        {"status": "failed", "message": "", "code": None},
    ),
    (
        "octopusx",
        {"id": "v", "status": "pending", "video_url": None, "progress": "0"},
        {"status": "queued", "progress": 0},
    ),
    # D.3 ARK
    (
        "ark",
        {"id": "cgt-1", "model": "m", "status": "queued", "error": None, "created_at": 1765510475},
        {"status": "queued", "created_at": 1765510475},
    ),
    ("ark", {"id": "cgt-1", "status": "running", "error": None}, {"status": "running"}),
    ("ark", {"id": "cgt-1", "status": "in_queue"}, {"status": "queued"}),
    ("ark", {"id": "cgt-1", "status": "pending"}, {"status": "queued"}),
    *(
        (
            name,
            {
                "id": "cgt-1",
                "status": "succeeded",
                "error": None,
                "content": {"video_url": V, "last_frame_url": F},
                "usage": {"completion_tokens": 108900, "total_tokens": 108900},
                "updated_at": 1765510559,
            },
            {"video_url": V, "last_frame_url": F, "cost": 108900, "cost_unit": "tokens"}
            | {"expires_at": 1765510559 + 86400, "has_result": True},
        )
        for name in ("ark", "modelark")
    ),
    ("ark", {"id": "c", "status": "succeeded", "content": None}, {"status": "succeeded", "has_result": False}),
    ("ark", {"id": "c", "status": "succeeded", "content": {"last_frame_url": F}}, {"has_result": False}),
    ("ark", {"id": "c", "status": "succeeded", "videoUrl": V}, {"video_url": V}),
    ("ark", {"id": "c", "status": "succeeded", "result": {"video_url": V, "last_frame_url": F}}, {"last_frame_url": F}),
    ("ark", ark_error("OutputVideoSensitiveContentDetected"), {"status": "failed", "category": "moderation"}),
    ("ark", ark_error("InputImageSensitiveContentDetected.PrivacyInformation"), {"category": "moderation"}),
    ("ark", ark_error("InternalServiceError"), {"category": "generation_failed"}),
    ("ark", {"id": "c", "status": "failed", "failReason": "tired"}, {"message": "tired"}),
    ("ark", {"id": "c", "status": "cancelled"}, {"status": "cancelled"}),
    ("ark", {"id": "c", "status": "expired"}, {"status": "expired", "category": "expired"}),
    ("ark", {"error": {"code": "ResourceNotFound", "message": "gone"}}, {"status": "unknown", "category": "not_found"}),
    # E OpenAI dialect
    (
        "openai-compatible",
        {"id": "video_1", "object": "video", "status": "queued", "progress": 0, "created_at": 1758941485}
        | {"completed_at": None, "expires_at": None, "prompt": "…", "error": None},
        {"status": "queued", "progress": 0, "expires_at": None},
    ),
    (
        "openai-compatible",
        {"id": "video_1", "status": "completed", "progress": 100, "expires_at": 1758945200, "error": None},
        {"status": "succeeded", "content": "/videos/video_1/content", "expires_at": 1758945200, "has_result": True},
    ),
    (
        "openai-compatible",
        {"id": "v", "status": "failed", "error": {"code": "moderation_blocked", "message": "no"}},
        {"category": "moderation", "message": "no", "code": "moderation_blocked"},
    ),
    # F.1 fal
    ("fal", {"status": "IN_QUEUE", "queue_position": 2}, {"status": "queued"}),
    ("fal", {"status": "IN_PROGRESS", "logs": []}, {"status": "running"}),
    ("fal", {"status": "COMPLETED", "logs": [], "metrics": {}}, {"status": "succeeded", "fetch": True, "outputs": []}),
    (
        "fal",
        {"status": "COMPLETED", "error": "broke", "error_type": "runner_disconnected"},
        {"status": "failed", "message": "broke", "code": "runner_disconnected", "category": "generation_failed"},
    ),
    # F.2 Replicate
    ("replicate", {"id": "p", "status": "starting"}, {"status": "queued"}),
    ("replicate", {"id": "p", "status": "processing", "output": None, "error": None}, {"status": "running"}),
    *(
        ("replicate", {"id": "p", "status": "succeeded", "output": output}, {"video_url": V})
        for output in (V, [V], {"video": V}, {"anything": V}, [{"url": V}])
    ),
    ("replicate", {"id": "p", "status": "succeeded", "output": None}, {"status": "succeeded", "has_result": False}),
    ("replicate", {"id": "p", "status": "canceled"}, {"status": "cancelled"}),
    ("replicate", {"id": "p", "status": "aborted", "error": "e"}, {"status": "failed", "message": "e"}),
    (
        "replicate",
        {"id": "p", "status": "succeeded", "output": V, "completed_at": "2026-03-04T05:06:07.123456789Z"},
        {"expires_at": 1772600767.123456 + 3600},
    ),
]


@pytest.mark.parametrize(("name", "body", "expect"), STATUS_BODIES)
def test_status_bodies(name: str, body: Any, expect: dict[str, Any]) -> None:
    snap = normalize.snapshot(profile(name), body)
    assert shown(snap, expect) == expect
    assert snap.raw == body


def url_of(snap: Snapshot, kind: str) -> str | None:
    return next((output.url for output in snap.outputs if output.kind == kind and output.url), None)


def shown(snap: Snapshot, wanted: dict[str, Any]) -> dict[str, Any]:
    """The members of a snapshot that a row asks for."""
    error = snap.error
    everything = {
        "status": snap.status.value,
        "provider_status": snap.provider_status,
        "task_id": snap.task_id,
        "progress": snap.progress,
        "video_url": url_of(snap, "video"),
        "last_frame_url": url_of(snap, "last_frame"),
        "outputs": [(o.kind, o.url) for o in snap.outputs],
        "content": next((o.content_path for o in snap.outputs if o.content_path), None),
        "has_result": snap.has_result,
        "fetch": snap.needs_result_fetch,
        "usage": snap.usage,
        "cost": snap.cost,
        "cost_unit": snap.cost_unit,
        "expires_at": snap.expires_at,
        "created_at": snap.created_at,
        "warnings": len(snap.warnings),
        "error": error is not None,
        "category": error.category.value if error else None,
        "message": error.message if error else None,
        "code": error.code if error else None,
    }
    return {key: everything[key] for key in wanted}


@pytest.mark.parametrize("body", [None, [], "COMPLETED", 7, True, [{"status": "succeeded"}]])
def test_an_answer_that_is_no_object_is_unknown(body: Any) -> None:
    snap = normalize.snapshot(profile("ark"), body, task_id="cgt-1")
    assert (snap.status, snap.task_id, snap.error) == (Status.UNKNOWN, "cgt-1", None)
    assert snap.warnings


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/v.mp4",
        "https://",
        "https:///v.mp4",
        "javascript:alert(1)",
        "data:video/mp4;base64,AAAA",
        "https://exa mple.com/v",
        "https://example.com/a\nb",
        "https://example.com:99999/v",
        "https://[::1/v",
        "https://example.com\\@evil.example/v",
        "the generation failed",
        "",
        None,
        7,
        True,
        ["https://example.com/v.mp4"],
        {"url": "https://example.com/v.mp4"},
        "https://example.com/" + "a" * 20_000,
    ],
)
def test_only_http_links_are_results(url: Any) -> None:
    snap = normalize.snapshot(
        profile("ark"), {"id": "c", "status": "succeeded", "content": {"video_url": [url, [url]]}}
    )
    plain = normalize.snapshot(
        profile("creatok"), {"code": 0, "data": {"status": "succeeded", "result": {"video_url": url}}}
    )
    good = "https://example.com/v.mp4"
    assert [o.url for o in plain.outputs] == ([good] if url == [good] else [])
    assert not snap.outputs


def test_the_apis_own_content_link_wants_the_key() -> None:
    octopus = profile("octopusx")
    own = "https://octopusx.ai/v1/videos/task_1/content?variant=video"
    (output,) = normalize.snapshot(octopus, wrapper("succeeded", own)).outputs
    assert (output.url, output.content_path) == (own, "/v1/videos/task_1/content?variant=video")
    for other in (
        "https://octopusx.ai.evil.example/v1/videos/task_1/content",
        "http://octopusx.ai/v1/videos/task_1/content",
        "https://octopusx.ai/v1/videos/../token/content",
        "https://octopusx.ai/other/task_1.mp4",
        V,
    ):
        (output,) = normalize.snapshot(octopus, wrapper("succeeded", other)).outputs
        assert (output.url, output.content_path) == (other, None)
    moved = octopus.with_base_url("http://127.0.0.1:8000/")
    (output,) = normalize.snapshot(moved, wrapper("succeeded", "http://127.0.0.1:8000/v1/videos/a/content")).outputs
    assert output.content_path == "/v1/videos/a/content"


def test_a_content_endpoint_stands_in_for_a_missing_link_with_the_id_encoded() -> None:
    body = {"id": "a/b ?c", "status": "completed"}
    (output,) = normalize.snapshot(profile("openai-compatible"), body).outputs
    assert output.content_path == "/videos/a%2Fb%20%3Fc/content"


# (profile, body, task id, canonical status of the snapshot or None, category of the refusal or None)
CREATE_BODIES: list[tuple[str, Any, str | None, str | None, str | None]] = [
    (
        "creatok",
        {"code": 0, "msg": "ok", "data": {"task_id": "task_demo_123", "status": "queued"}},
        "task_demo_123",
        "queued",
        None,
    ),
    ("creatok", {"code": 0, "data": {"task_id": "t"}}, "t", None, None),
    ("creatok", {"code": 3, "msg": "insufficient credits", "data": None}, None, None, "insufficient_credits"),
    ("creatok", {"code": 3, "msg": "hm"}, None, None, "unknown"),
    ("creatok", {"code": 0, "msg": "ok", "data": None}, None, None, None),
    ("creatok", {"data": {}}, None, None, None),  # no code proves nothing: not a refusal, submission_unknown
    ("creatok", {"code": 9, "msg": "late", "data": {"task_id": "t"}}, "t", None, "unknown"),  # the id counts
    ("skills-video", {"id": "gen_123", "status": "IN_QUEUE", "usage": {"total": 10}}, "gen_123", "queued", None),
    ("skills-video", {"id": "g", "status": "starting", "usage": {}}, "g", "queued", None),
    ("skills-video", {"id": "g", "status": "FAILED", "code": "X", "message": "no"}, "g", "failed", None),
    (
        "skills-video",
        {"error": "VIDEO_GENERATION_INSUFFICIENT_CREDITS", "message": "pay"},
        None,
        None,
        "insufficient_credits",
    ),
    ("skills-video", {"error": "VIDEO_GENERATION_TIMEOUT", "message": "slow"}, None, None, None),
    ("skills-video", {"message": "something"}, None, None, None),
    (
        "octopusx",
        {"id": "video_123", "task_id": "abcd1234efgh", "status": "processing"},
        "abcd1234efgh",
        "running",
        None,
    ),
    (
        "octopusx",
        {"id": "task_1", "task_id": "task_1", "object": "video", "status": "queued", "progress": 0},
        "task_1",
        "queued",
        None,
    ),
    ("octopusx", {"task_id": "cgt-1"}, "cgt-1", None, None),
    ("octopusx", {"code": "invalid_request", "message": "bad", "data": None}, None, None, "validation"),
    ("octopusx/openai", {"id": "video_1", "object": "video", "status": "queued"}, "video_1", "queued", None),
    ("ark", {"id": "cgt-20260514183217-t8rzv"}, "cgt-20260514183217-t8rzv", None, None),
    ("ark", {"id": "cgt-1", "safety_identifier": "s"}, "cgt-1", None, None),
    ("ark", {}, None, None, None),
    ("openai-compatible", {"id": "video_1", "status": "queued", "progress": 0}, "video_1", "queued", None),
    ("replicate", {"id": "p1", "status": "starting", "urls": {"get": "https://x.example"}}, "p1", "queued", None),
    ("skills-video", {"id": 42, "status": "IN_QUEUE"}, "42", "queued", None),
]


@pytest.mark.parametrize(("name", "body", "task_id", "status", "refusal"), CREATE_BODIES)
def test_create_bodies(name: str, body: Any, task_id: str | None, status: str | None, refusal: str | None) -> None:
    made = normalize.created(profile(name), body, 200)
    assert made.task_id == task_id
    assert (made.snapshot.status.value if made.snapshot else None) == status
    assert (made.error.category.value if made.error else None) == refusal
    if made.snapshot:
        assert made.snapshot.task_id == task_id


@pytest.mark.parametrize(
    "bad",
    [
        True,
        False,
        None,
        "",
        " ",
        "a\nb",
        "a\x00",
        "\x1b[2J",
        " a",
        ".",
        "..",
        "a" * 4097,
        [],
        ["a"],
        {"id": "a"},
        1.5,
        -1,
    ],
)
def test_ids_that_are_none(bad: Any) -> None:
    assert normalize.created(profile("ark"), {"id": bad}, 200).task_id is None


def test_an_unusable_first_candidate_does_not_hide_the_next() -> None:
    assert normalize.created(profile("octopusx"), {"task_id": True, "id": "good"}).task_id == "good"


@pytest.mark.parametrize("body", [None, [], "id", 5, [{"id": "a"}]])
def test_a_create_answer_that_is_no_object_has_no_id(body: Any) -> None:
    assert normalize.created(profile("ark"), body) == Created(warnings=("the answer is not a JSON object",))


def test_follow_keeps_links_of_the_apis_own_origin_only() -> None:
    answer = {
        "request_id": "r1",
        "status_url": "https://queue.fal.run/fal-ai/veo3/requests/r1/status",
        "response_url": "/fal-ai/veo3/requests/r1",
        "cancel_url": "https://evil.example/cancel",
        "queue_position": 0,
    }
    made = normalize.created(profile("fal"), answer, 200)
    assert made.task_id == "r1"
    assert made.follow == {
        "status_url": "https://queue.fal.run/fal-ai/veo3/requests/r1/status",
        "response_url": "https://queue.fal.run/fal-ai/veo3/requests/r1",
    }
    assert len(made.warnings) == 1


def test_the_second_request_gives_the_result() -> None:
    fal = profile("fal")
    done = normalize.snapshot(fal, {"status": "COMPLETED"}, task_id="r1")
    assert done.needs_result_fetch and not done.has_result
    full = normalize.with_result(fal, done, {"video": {"url": V, "content_type": "video/mp4"}, "seed": 5}, 200)
    assert (full.status, url_of(full, "video"), full.needs_result_fetch) == (Status.SUCCEEDED, V, False)
    bare = normalize.with_result(fal, done, {"seed": 5}, 200)
    assert (bare.status, bare.has_result, bare.needs_result_fetch) == (Status.SUCCEEDED, False, False)


def test_a_refused_second_request() -> None:
    fal = profile("fal")
    done = normalize.snapshot(fal, {"status": "COMPLETED"}, task_id="r1")
    rejected = normalize.with_result(
        fal, done, {"detail": [{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation"}]}, 422
    )
    assert rejected.status is Status.FAILED and rejected.error is not None and rejected.error.in_task
    assert rejected.error.category is Category.MODERATION
    assert rejected.error.message == "body.prompt: flagged"
    busy = normalize.with_result(fal, done, {"detail": "try later", "error_type": "runner_scheduling_failure"}, 503)
    assert (busy.status, busy.needs_result_fetch) == (Status.SUCCEEDED, True)
    assert busy.error is not None and busy.error.category is Category.TRANSIENT


@pytest.mark.parametrize(
    ("data", "task_id", "status"),
    [
        ('{"id":"gen_123","status":"IN_QUEUE"}', "gen_123", "queued"),
        ('{"id":"gen_123","status":"IN_PROGRESS"}', "gen_123", "running"),
        (
            '{"id":"gen_123","status":"COMPLETED","data":{"video":{"url":"https://e.example/v"}}}',
            "gen_123",
            "succeeded",
        ),
        ('{"id":"gen_123"}', "gen_123", None),
        ("[DONE]", None, None),
        ("", None, None),
        ('"COMPLETED"', None, None),
        ('[{"id":"a","status":"COMPLETED"}]', None, None),
        ('{"id":"a","status":NaN}', "a", None),
        ("[" * 100_000, None, None),
        ('{"error":"VIDEO_GENERATION_FAILED","message":"NSFW"}', None, "unknown"),
    ],
)
def test_stream_events(data: str, task_id: str | None, status: str | None) -> None:
    found, snap = normalize.stream_event(profile("skills-video"), data)
    assert found == task_id
    assert (snap.status.value if snap else None) == status


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([V, "succeeded", "COMPLETED"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "task_id",
                    "data",
                    "status",
                    "code",
                    "error",
                    "message",
                    "content",
                    "video_url",
                    "url",
                    "result",
                    "metadata",
                    "output",
                    "progress",
                    "usage",
                ]
            )
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)
EVERY_KIND = [f"{name}/{kind}" for name in shipped_names() for kind in load_profile(name).kinds]


@given(body=JSON, name=st.sampled_from(EVERY_KIND))
def test_any_json_is_read_without_raising_and_success_never_comes_from_nothing(body: Any, name: str) -> None:
    reader = profile(name)
    snap = normalize.snapshot(reader, body, task_id="t1")
    if snap.status is not Status.SUCCEEDED:
        assert snap.outputs == ()
    for output in snap.outputs:
        assert output.url or output.content_path
        assert output.url is None or output.url.startswith(("http://", "https://"))
    if snap.status.terminal:
        assert snap.provider_status is not None
        assert (snap.error is None) == (snap.status is Status.SUCCEEDED)
    assert snap.progress is None or 0 <= snap.progress <= 100
    made = normalize.created(reader, body, 200)
    assert made.task_id is None or valid_task_id(made.task_id) == made.task_id
    normalize.with_result(reader, snap, body, 200)
    normalize.with_result(reader, snap, body, 422)
    hash(repr(snap))


@pytest.mark.parametrize("name", EVERY_KIND)
def test_no_terminal_set_hangs_on_a_cancelled_task(name: str) -> None:
    words = profile(name).status.words
    assert {"succeeded", "failed", "cancelled"} <= set(words.values())
    assert all(words.get(spelling, "cancelled") == "cancelled" for spelling in ("canceled", "cancelled"))
