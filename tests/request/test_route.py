"""Endpoints as documentation writes them; the key never goes to another host."""

from __future__ import annotations

import pytest

from videotasks.core.errors import TaskError
from videotasks.providers.load_profile import load_profile
from videotasks.request import build, route
from videotasks.request.build import CommonInputs

SV = load_profile("skills-video")
PLAIN, STREAM = "/generation/openai/sora-2", "/generation/sse/openai/sora-2"


@pytest.mark.parametrize(
    "given",
    [
        STREAM,
        PLAIN,
        STREAM.lstrip("/"),
        "/v1" + STREAM,
        "/api/v1" + PLAIN,
        "POST /v1" + PLAIN,
        "https://open.skills.video/api/v1" + STREAM,
        "https://OPEN.skills.video/api/v1" + PLAIN + "/",
    ],
)
def test_every_spelling_of_one_create(given: str) -> None:
    assert route.resolve(SV, given) == route.Target(PLAIN, STREAM, "openai/sora-2")


def test_models_of_several_segments_are_encoded_by_segment() -> None:
    target = route.of_model(SV, "kling-ai/v3/a b?c")
    assert target.path == "/generation/kling-ai/v3/a%20b%3Fc"
    assert route.resolve(SV, target.path).model == "kling-ai/v3/a b?c"


def test_an_unknown_endpoint_is_taken_at_its_word() -> None:
    assert route.resolve(SV, "/predictions/x") == route.Target("/predictions/x", "/predictions/x", None)
    ark = load_profile("ark")
    assert route.resolve(ark, "/other?x=1") == route.Target("/other?x=1", None, None)


def test_another_base_url_is_another_origin() -> None:
    local = SV.with_base_url("http://127.0.0.1:8080/api/v1")
    assert route.resolve(local, "http://127.0.0.1:8080/api/v1" + STREAM).path == PLAIN
    with pytest.raises(TaskError, match="another host"):
        route.resolve(local, "https://open.skills.video/api/v1" + STREAM)


@pytest.mark.parametrize(
    "given",
    [
        "https://evil.example" + STREAM,
        "http://open.skills.video/api/v1" + STREAM,
        "https://open.skills.video:444" + STREAM,
        "https://user@open.skills.video" + STREAM,
        "https://open.skills.video.evil.example" + STREAM,
        "//evil.example" + STREAM,
        "https:" + STREAM,
    ],
)
def test_other_origins_are_refused(given: str) -> None:
    with pytest.raises(TaskError, match=r"another host|no endpoint"):
        route.resolve(SV, given)


@pytest.mark.parametrize(
    "given", ["", "/", "/generation/../credits", "/generation/%2e%2e/x", "/a\\b", "/a b", "/a\nb", "/a#b"]
)
def test_what_is_no_endpoint(given: str) -> None:
    with pytest.raises(TaskError, match="no endpoint"):
        route.resolve(SV, given)


def test_an_endpoint_stands_for_a_model() -> None:
    draft = build.build_request(SV, CommonInputs(prompt="p", duration=4, endpoint=STREAM))
    assert (draft.path, draft.stream_path, draft.model) == (PLAIN, STREAM, "openai/sora-2")
    assert draft.body == {"prompt": "p", "duration": 4}
    with pytest.raises(TaskError, match="differ"):
        build.build_request(SV, CommonInputs(prompt="p", model="x/y", endpoint=STREAM))
