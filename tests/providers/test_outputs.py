"""Where results come from: the profile's paths, whatever stands there; the rest of an answer only as a guess."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.downloads import VIDEO
from support.fileserver import png
from videotasks.core.errors import ApiError, Category
from videotasks.core.task import Output, Snapshot, Status
from videotasks.network.client import Answer
from videotasks.providers import normalize, outputs
from videotasks.providers.load_profile import load_profile
from videotasks.providers.profile import Profile, build_profile
from videotasks.providers.provider import MAX_TASK_BYTES, Look, Provider, TaskRef

BASE = "https://api.example.com/v1"
ENCODED = base64.b64encode(VIDEO).decode()


def profile(**result: Any) -> Profile:
    document = {
        "name": "own",
        "base_url": BASE,
        "auth": {},
        "create": {"path": "/videos"},
        "status": {"path": "/videos/{task_id}", "map": {"succeeded": ["done"], "failed": ["failed"]}},
        "result": result or {"video": ["url"]},
        "inputs": {},
    }
    return build_profile(document, foreign=True)


def done(own: Profile, **members: Any) -> Snapshot:
    return normalize.snapshot(own, {"id": "t1", "status": "done", **members}, task_id="t1")


# -- at the profile's paths ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [ENCODED, f"data:video/mp4;base64,{ENCODED}"])
def test_a_file_in_the_answer_is_a_result_and_is_not_kept_twice(value: str) -> None:
    snap = done(profile(), url=value)
    assert [(o.kind, o.url, o.data) for o in snap.outputs] == [("video", None, VIDEO)]
    assert snap.has_result
    assert "data" not in snap.outputs[0].entry() and snap.outputs[0].entry()["inline_bytes"] == len(VIDEO)
    assert len(json.dumps(done(profile(), url=value + "A" * 200_000).raw)) < 1000


def test_a_picture_at_a_video_path_is_none_unless_it_may_move() -> None:
    still, gif = png(), b"GIF89a" + bytes(400)
    assert not done(profile(), url=base64.b64encode(still + bytes(300)).decode()).has_result
    assert done(profile(), url=base64.b64encode(gif).decode()).has_result


def test_relative_links_are_meant_on_the_own_origin() -> None:
    assert [o.url for o in done(profile(), url="/v.mp4").outputs] == ["https://api.example.com/v.mp4"]


def test_an_address_in_a_bucket_is_told() -> None:
    snap = done(profile(), url="gs://acme-bucket/clip.mp4")
    assert [o.url for o in snap.outputs] == ["gs://acme-bucket/clip.mp4"] and snap.has_result


def test_json_inside_a_text_is_read() -> None:
    text = json.dumps({"originUrl": "https://x.example/in.mp4", "resultUrls": ["https://x.example/v.mp4"]})
    exact = profile(video=["data.result.resultUrls[]"], unpack=["data.result"])
    for own in (exact, profile(video=["data.result"])):
        assert [o.url for o in done(own, data={"result": text}).outputs] == ["https://x.example/v.mp4"]
    assert not done(exact, data={"result": "no JSON"}).has_result
    assert not done(exact, data="no object").has_result


def test_one_bad_value_beside_a_good_one_costs_nothing() -> None:
    own = profile(video=["videos[].url"])
    videos = [{"url": None}, {"url": "???"}, {"url": "https://x.example/v.mp4"}, {"url": 7}]
    assert [o.url for o in done(own, videos=videos).outputs] == ["https://x.example/v.mp4"]


def test_the_number_of_outputs_has_a_bound() -> None:
    links = [f"https://x.example/{n}.mp4" for n in range(1000)]
    assert len(done(profile(video=["urls[]"]), urls=links).outputs) == outputs.MAX_OUTPUTS


# -- the content endpoint --------------------------------------------------------------------------------------------


def test_the_content_endpoint_stands_behind_a_link_of_another_place() -> None:
    own = profile(video=["url"], content={"path": "/videos/{task_id}/content"})
    (linked,) = done(own, url="https://cdn.example/v.mp4").outputs
    assert (linked.url, linked.content_path) == ("https://cdn.example/v.mp4", None)
    assert linked.fallback_path == "/videos/t1/content"
    assert Output.of_entry(linked.entry()) == linked
    (alone,) = done(own).outputs
    assert (alone.url, alone.content_path, alone.fallback_path) == (None, "/videos/t1/content", None)


def test_a_content_path_takes_values_of_the_answer() -> None:
    content = {"path": "/videos/{generation}/content", "values": {"generation": "generations[0].id"}}
    own = profile(content=content)
    assert [o.content_path for o in done(own, generations=[{"id": "g/1"}]).outputs] == ["/videos/g%2F1/content"]
    assert not done(own, generations=[]).has_result


# -- guesses ---------------------------------------------------------------------------------------------------------

VIDEO_LINK = "https://cdn.example/made.mp4"


@pytest.mark.parametrize(
    "members",
    [
        {"assets": {"clip": VIDEO_LINK}},
        {"output_video_url": VIDEO_LINK},
        {"choices": [{"message": {"video": VIDEO_LINK}}], "input": {"video": "https://x.example/in.mp4"}},
        {"files": [VIDEO_LINK, VIDEO_LINK], "firstFrameUrl": "https://x.example/f.mp4", "coverURL": "https://x/c"},
        {"data": {"thumbnail_url": "https://x.example/t.mp4", "made": VIDEO_LINK}, "webhook_url": "https://x/h"},
        {"reference_images": ["https://x.example/r.mp4"], "made": VIDEO_LINK},
    ],
)
def test_other_links_are_guesses_but_never_inputs_or_covers(members: dict[str, Any]) -> None:
    snap = done(profile(), **members)
    assert not snap.outputs and not snap.has_result
    assert [(o.url, o.found_by) for o in snap.guesses] == [(VIDEO_LINK, "guess")]


def test_a_file_in_the_answer_may_be_guessed() -> None:
    assert [o.data for o in done(profile(), made=ENCODED).guesses] == [VIDEO]


def test_there_is_no_guess_beside_a_result_or_before_the_end() -> None:
    assert not done(profile(), url=VIDEO_LINK, other="https://x.example/o.mp4").guesses
    assert not normalize.snapshot(profile(), {"id": "t1", "status": "running", "other": VIDEO_LINK}).guesses


# -- failures told as refusals ---------------------------------------------------------------------------------------


def look(name: str, status: int, body: Any) -> Look:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Provider(load_profile(name), None).read_look(Answer(status, {}, data), TaskRef("t1"))


@pytest.mark.parametrize(
    ("name", "status", "body", "category"),
    [
        ("openai-compatible", 400, {"error": {"code": "content_policy_violation", "message": "no"}}, "moderation"),
        ("openai-compatible", 500, {"error": {"code": "moderation_blocked", "message": "no"}}, "moderation"),
        ("openai-compatible", 422, {"error": {"message": "flagged by our content filter"}}, "moderation"),
        ("skills-video", 422, {"error": "VIDEO_GENERATION_CONTENT_REJECTED", "message": "no"}, "moderation"),
        ("skills-video", 502, {"error": "VIDEO_GENERATION_FAILED", "message": "no"}, "generation_failed"),
    ],
)
def test_a_refusal_of_the_look_that_names_the_end_is_the_end(name: str, status: int, body: Any, category: str) -> None:
    found = look(name, status, body)
    assert found.snapshot is not None and found.snapshot.status is Status.FAILED
    assert found.snapshot.error is not None and found.snapshot.error.category.value == category
    assert found.snapshot.error.in_task


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("openai-compatible", 502, {"error": {"message": "the moderation service is down"}}),
        ("openai-compatible", 403, {"message": "blocked by the content policy of this network"}),
        ("openai-compatible", 502, b"<html>content policy</html>"),
        ("openai-compatible", 400, b"<html>content policy</html>"),
        ("openai-compatible", 401, {"error": {"code": "invalid_api_key", "message": "x"}}),
        ("skills-video", 503, {"error": "VIDEO_GENERATION_PROVIDER_UNAVAILABLE", "message": "x"}),
        ("skills-video", 429, {"error": "VIDEO_GENERATION_RATE_LIMITED", "message": "x"}),
    ],
)
def test_other_refusals_are_no_end(name: str, status: int, body: Any) -> None:
    found = look(name, status, body)
    assert found.snapshot is None and found.error is not None


def test_an_in_band_code_beside_a_failed_task_tells_its_reason() -> None:
    own = build_profile(
        {
            **profile().document,
            "error": {
                "message": ["base.msg"],
                "code": ["base.code"],
                "in_band": {"path": "base.code", "ok": [0]},
                "categories": {"1027": "moderation"},
            },
        },
        foreign=True,
    )
    body = {"id": "t1", "status": "failed", "base": {"code": 1027, "msg": "output sensitive"}}
    snap = normalize.snapshot(own, body, task_id="t1")
    assert snap.status is Status.FAILED and snap.error is not None
    assert (snap.error.category, snap.error.message, snap.error.code) == (
        Category.MODERATION,
        "output sensitive",
        "1027",
    )
    # Beside a success or no word at all it beats the status, as ever.
    assert normalize.snapshot(own, {**body, "status": "done"}).status is Status.UNKNOWN
    assert normalize.snapshot(own, {**body, "status": "running"}).status is Status.UNKNOWN


def test_an_accepted_look_without_a_body_says_that_the_task_is_being_made() -> None:
    found = look("openai-compatible", 202, b"")
    assert found.snapshot is not None and found.snapshot.status is Status.RUNNING
    assert look("openai-compatible", 200, b"").snapshot is None


# -- fal's second request --------------------------------------------------------------------------------------------


def with_result(status: int, body: Any) -> Snapshot:
    snap = Snapshot(Status.SUCCEEDED, needs_result_fetch=True, raw={})
    return normalize.with_result(load_profile("fal"), snap, body, status)


@pytest.mark.parametrize("kind", ["no_media_generated", "brand_new_code", "content_policy_violation"])
def test_a_result_request_that_speaks_of_the_input_is_a_failure(kind: str) -> None:
    snap = with_result(422, {"detail": [{"loc": ["body"], "msg": "The model made nothing.", "type": kind}]})
    assert snap.status is Status.FAILED and snap.error is not None and "made nothing" in snap.error.message


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_result_that_does_not_come_leaves_the_task_done(status: int) -> None:
    snap = with_result(status, {"detail": "not now"})
    assert snap.status is Status.SUCCEEDED and not snap.has_result
    assert isinstance(snap.error, ApiError)


# -- budgets ---------------------------------------------------------------------------------------------------------


def test_a_large_answer_is_read_when_a_file_makes_it_large() -> None:
    film = base64.b64encode(VIDEO + bytes(9_000_000)).decode()
    found = look("openai-compatible", 200, {"id": "t1", "status": "completed", "url": "data:video/mp4;base64," + film})
    assert found.snapshot is not None and found.snapshot.has_result
    assert MAX_TASK_BYTES >= 16_000_000
    many = b'{"id":"t1","status":"completed","x":[' + b"0," * 5_500_000 + b"0]}"
    assert look("openai-compatible", 200, many).snapshot is None


def test_usage_and_status_words_have_a_budget() -> None:
    own = profile(video=["url"], usage=["usage"])
    snap = done(own, url="/v.mp4", usage={"text": "é" * 400_000, "total_tokens": 7})
    assert snap.usage == {"total_tokens": 7}
    assert len(json.dumps(snap.raw)) < 5000
    odd = normalize.snapshot(own, {"id": "t1", "status": "x" * 100_000})
    assert len(odd.provider_status or "") == normalize.MAX_WORD


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(VIDEO_LINK),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["url", "input", "a"]), inner),
    max_leaves=12,
)


@given(JSON)
def test_any_answer_is_read(body: Any) -> None:
    own = profile(video=["url", "a[].url"], unpack=["url", "a.url"], content={"path": "/x/{v}", "values": {"v": "a"}})
    outputs.outputs_of(own, body, "t1")
    assert all(output.url or output.data for output in outputs.guesses_of(body))
    outputs.kept(body)
