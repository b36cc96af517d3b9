"""Endpoints as documentation writes them; the key never goes to another host."""

from __future__ import annotations

import pytest

from videotasks import endpoints, inputs, profiles
from videotasks.inputs import CommonInputs
from videotasks.models import TaskError

SV = profiles.load_profile("skills-video")
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
    assert endpoints.resolve(SV, given) == endpoints.Target(PLAIN, STREAM, "openai/sora-2")


def test_models_of_several_segments_are_encoded_by_segment() -> None:
    target = endpoints.of_model(SV, "kling-ai/v3/a b?c")
    assert target.path == "/generation/kling-ai/v3/a%20b%3Fc"
    assert endpoints.resolve(SV, target.path).model == "kling-ai/v3/a b?c"


def test_an_unknown_endpoint_is_taken_at_its_word() -> None:
    assert endpoints.resolve(SV, "/predictions/x") == endpoints.Target("/predictions/x", "/predictions/x", None)
    ark = profiles.load_profile("ark")
    assert endpoints.resolve(ark, "/other?x=1") == endpoints.Target("/other?x=1", None, None)


def test_another_base_url_is_another_origin() -> None:
    local = SV.with_base_url("http://127.0.0.1:8080/api/v1")
    assert endpoints.resolve(local, "http://127.0.0.1:8080/api/v1" + STREAM).path == PLAIN
    with pytest.raises(TaskError, match="another host"):
        endpoints.resolve(local, "https://open.skills.video/api/v1" + STREAM)


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
        endpoints.resolve(SV, given)


@pytest.mark.parametrize(
    "given", ["", "/", "/generation/../credits", "/generation/%2e%2e/x", "/a\\b", "/a b", "/a\nb", "/a#b"]
)
def test_what_is_no_endpoint(given: str) -> None:
    with pytest.raises(TaskError, match="no endpoint"):
        endpoints.resolve(SV, given)


def test_an_endpoint_stands_for_a_model() -> None:
    draft = inputs.build_request(SV, CommonInputs(prompt="p", duration=4), endpoint=STREAM)
    assert (draft.path, draft.stream_path, draft.model) == (PLAIN, STREAM, "openai/sora-2")
    assert draft.body == {"prompt": "p", "duration": 4}
    with pytest.raises(TaskError, match="differ"):
        inputs.build_request(SV, CommonInputs(prompt="p", model="x/y"), endpoint=STREAM)
