"""Where the key may go: one origin, by requests that follow nobody (checklist lines 8, 9, 11, 12 and 13)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import scene as scenes
from support.faults import json_answer, redirect
from support.faultserver import Action, Request
from support.scene import CANARY, FAST, Scene, done, healthy
from videotasks.core.errors import TaskError
from videotasks.core.task import require_task_id
from videotasks.network import origins
from videotasks.providers import normalize
from videotasks.providers.address import fill_path
from videotasks.providers.load_profile import load_profile
from videotasks.providers.provider import Provider, TaskRef

scene = scenes.scene

BASE = "https://api.example/v1"


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://evil.invalid/generation/sse/openai/sora-2",
        "//evil.invalid/generation/x",
        "http://{host}@evil.invalid/x",
        "http://evil.invalid#@{host}/x",
        "http://evil.invalid\\@{host}/x",
        "https://{host}/generation/x",  # another scheme is another origin
        "POST http://evil.invalid/x",
    ],
)
def test_08_an_endpoint_elsewhere_is_refused_before_anything_is_sent(scene: Scene, endpoint: str) -> None:
    api = scene.api()
    host = urlsplit(api.base_url).netloc
    words = ["--base-url", api.base_url, "--sse-endpoint", endpoint.format(host=host), "--payload", '{"prompt": "x"}']
    said = scene.run("create_and_wait", *words, *FAST)
    assert said.code == 1 and api.requests == []


def test_08_the_servers_of_a_specification_are_no_origin(scene: Scene, tmp_path: Path) -> None:
    evil, api = scene.elsewhere(), scene.api()
    content = {"application/json": {"schema": {"type": "object", "properties": {"prompt": {"type": "string"}}}}}
    create = {
        "servers": [{"url": evil.base_url}],
        "requestBody": {"content": content},
        "responses": {"200": {"description": "ok"}},
    }
    document = {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "servers": [{"url": evil.base_url}],
        "paths": {"/generation/openai/sora-2": {"servers": [{"url": evil.base_url}], "post": create}},
    }
    spec = tmp_path / "openapi.json"
    spec.write_text(json.dumps(document))
    said = scene.create(api, "--prompt", "x", "--openapi", str(spec))
    assert said.code == 0 and api.posts_taken == 1
    assert scene.run("inspect_openapi", "--openapi", str(spec), "--list-endpoints").code == 0
    assert evil.accepted == 0


@pytest.mark.parametrize("source", ["flag", "environment"])
@pytest.mark.parametrize("url", ["http://evil.invalid/v1", "http://10.0.0.1", "http://localhost.evil.invalid"])
def test_08_plain_http_beyond_this_machine_is_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, source: str, url: str
) -> None:
    words = ["--base-url", url] if source == "flag" else []
    if source == "environment":
        monkeypatch.setenv("SKILLS_VIDEO_BASE_URL", url)
    said = scene.run("create_and_wait", "--prompt", "x", "--model", "openai/sora-2", *words)
    assert said.code == 1
    assert "clear text" in said.error["message"] and "--allow-http" in said.error["hint"]


@pytest.mark.parametrize("url", ["https://user:pw@api.example", "https://api.example/?k=1", "ftp://api.example", "api"])
def test_08_an_odd_base_url_is_refused(url: str) -> None:
    with pytest.raises(TaskError) as caught:
        origins.checked_base_url(url, source="--base-url")
    assert caught.value.exit_code == 1 and "pw" not in caught.value.message


def test_08_an_origin_is_scheme_host_and_port() -> None:
    assert origins.same_origin("https://API.example:443/x", "https://api.example/y")
    for other in ("http://api.example", "https://api.example:444", "https://api.example.evil", "https://api.example."):
        assert not origins.same_origin("https://api.example", other), other


CODES = (301, 302, 303, 307, 308)


@pytest.mark.parametrize("where", ["create", "status", "credits"])
@pytest.mark.parametrize("target", ["elsewhere", "here"])
def test_09_redirects_never_carry_the_key(scene: Scene, where: str, target: str) -> None:
    """Of five kinds of redirect each is an answer like any other: shown, not followed."""
    evil = scene.elsewhere()
    for code in CODES:

        def script(request: Request, code: int = code) -> Action:
            to = f"{evil.base_url}/stolen" if target == "elsewhere" else scenes.at_host(request, "/stolen")
            moved = redirect(to, code)
            if where == "create":
                return moved if request.method == "POST" else json_answer({})
            return healthy(status=moved)(request)  # type: ignore[no-any-return]

        api = scene.api(script)
        if where == "credits":
            api = scene.api(redirect(f"{evil.base_url}/stolen", code))
            said = scene.run("ensure_api_key", "--verify", "--base-url", api.base_url)
            assert said.code != 0
        else:
            said = scene.create(api, "--prompt", f"{code}", "--poll-timeout", "0.1")
            # 302 and 303 may follow a request that was taken; the others say that it was not.
            assert said.code in ((11,) if where == "status" else (3,) if code in (302, 303) else (22, 25))
            assert len(api.posts) == 1
        assert not any("stolen" in request.target for request in api.requests)
    assert evil.accepted == 0


@pytest.mark.parametrize("code", CODES)
def test_09_a_redirected_create_names_where_to_and_is_not_sent_again(scene: Scene, code: int) -> None:
    api = scene.api(redirect("https://moved.example/v1/generation?key=SIGNED", code))
    said = scene.create(api, "--prompt", "x")
    assert api.posts_taken == 1 and len(api.requests) == 1
    assert "SIGNED" not in said.err and said.error["http_status"] == code
    if code in (302, 303):  # they may follow a request that was taken
        assert said.code == 3 and "create_and_wait" not in said.final["next"]
    else:
        assert "https://moved.example" in said.error["message"] and said.final["next"] is None


def _follower(url: str) -> Any:
    return TaskRef("t_1", {"status_url": url})


@pytest.mark.parametrize(
    "given_url",
    [
        "https://evil.example/requests/t_1/status",
        "http://queue.fal.run/x",
        "https://queue.fal.run:444/x",
        "https://queue.fal.run.evil.example/x",
        "https://queue.fal.run@evil.example/x",
        "https://evil.example#@queue.fal.run/x",
        "https://evil.example\\@queue.fal.run/x",
        "//evil.example/x",
        "\\\\evil.example/x",
        "https:/\\evil.example/x",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://[queue.fal.run/x",
    ],
)
def test_11_a_url_from_the_server_is_followed_on_the_apis_own_origin_only(given_url: str) -> None:
    profile = load_profile("fal")
    assert "status_url" in profile.create.follow
    body = {"request_id": "t_1", "status_url": given_url, "response_url": given_url}
    made = normalize.created(profile, body)
    assert made.task_id == "t_1"
    for url in (*made.follow.values(), Provider(profile, None).followed("status_url", _follower(given_url))):
        assert url is None or origins.same_origin(url, profile.base_url), url
    assert normalize.created(profile, {**body, "status_url": profile.base_url + "/s"}).follow["status_url"]


@given(st.text(max_size=40), st.sampled_from(["", "//", "\\\\", "https://", "https:", "/", "?", "#", "@", "http://"]))
def test_11_no_text_is_followed_to_another_origin(text: str, start: str) -> None:
    url = origins.followed_url(BASE, start + text)
    assert url is None or origins.same_origin(url, BASE)


ODD_IDS = [
    "..",
    ".",
    "",
    "a\n",
    "a\r\nHost: evil",
    "a\0b",
    "\u202eid",
    "a" * 4097,
    "\ud800",
    None,
    True,
    1.5,
    ["x"],
    {"i": 1},
]


@pytest.mark.parametrize("odd", ODD_IDS, ids=repr)
def test_12_and_13_an_odd_id_is_no_id(odd: Any) -> None:
    for provider in ("skills-video", "creatok", "replicate"):
        profile = load_profile(provider)
        assert normalize.created(profile, {"id": odd, "task_id": odd, "data": {"task_id": odd}}).task_id is None


@pytest.mark.parametrize("odd", [odd for odd in ODD_IDS if isinstance(odd, str)], ids=repr)
def test_12_an_odd_id_is_not_taken_from_a_user_either(odd: str) -> None:
    if odd == "a\n":
        return  # a blank at its end is a slip of the clipboard
    with pytest.raises(TaskError) as caught:
        require_task_id(odd)
    assert caught.value.exit_code == 1


SPELLED = [
    "a/b",
    "a\\b",
    "a?x=1",
    "a#f",
    "a;b=c",
    "..%2f..%2fcredits",
    "%2e%2e",
    "../../credits",
    "//evil",
    "${HOME}",
    "-rf",
]


@pytest.mark.parametrize("task_id", SPELLED)
def test_12_an_id_is_one_segment_of_the_path(task_id: str) -> None:
    filled = fill_path("/generation/{task_id}/status", {"task_id": task_id})
    head, segment, tail = filled.lstrip("/").split("/")
    assert (head, tail) == ("generation", "status") and unquote(segment) == task_id
    assert "?" not in filled and "#" not in filled and "\\" not in filled


def test_12_ids_on_the_wire_stay_below_their_path(scene: Scene) -> None:
    """What the HTTP library makes of a segment counts: urllib3 collapses dots that are not encoded."""
    api = scene.api(json_answer(done("https://cdn.example/v.mp4")))
    for task_id in SPELLED:
        scene.run(
            *("task_status", "--base-url", f"{api.base_url}/api/v1", "--provider", "skills-video"),
            *(f"--task-id={task_id}", "--no-retry"),
        )
    for request in api.requests:
        assert request.target.startswith("/api/v1/generation/") and request.target.count("/") == 4, request.target
    assert len(api.requests) == len(SPELLED)


def test_12_an_id_with_slashes_where_the_template_takes_them() -> None:
    assert fill_path("/{task_id}", {"task_id": "operations/a b"}, raw_id=True) == "/operations/a%20b"
    for odd in ("../../credits", "operations/../x", "/operations", "a//b", "a/."):
        with pytest.raises(TaskError):
            fill_path("/{task_id}", {"task_id": odd}, raw_id=True)


@pytest.mark.parametrize("value", [12345, 0, "0123", "null", "1e5"])
def test_13_a_number_or_word_as_id_is_taken_as_text(value: Any) -> None:
    made = normalize.created(load_profile("skills-video"), {"id": value, "status": "IN_QUEUE"})
    assert made.task_id == str(value)


@pytest.mark.parametrize("odd", [True, None, 1.5, ["x"], {"id": "x"}, ".."], ids=repr)
def test_13_a_create_without_a_usable_id_is_unknown_not_paid_again(scene: Scene, odd: Any) -> None:
    api = scene.api(json_answer({"id": odd, "status": "IN_QUEUE"}))
    said = scene.create(api, "--prompt", "x")
    assert said.code == 3 and api.posts_taken == 1
    assert scene.create(api, "--prompt", "x").code == 3
    assert api.posts_taken == 1


def test_the_key_is_sent_with_every_call_to_the_api_and_with_nothing_else(scene: Scene) -> None:
    """Without this the hunt could pass on a client that never sends the key."""
    store = scene.elsewhere(json_answer({}))
    api = scene.api(healthy(url=f"{store.base_url}/v.mp4"))
    said = scene.create(api, "--prompt", "x", "--allow-private-results", "--allow-http")
    assert said.code == 13  # what came from there is no video
    assert {request.header("authorization") for request in api.requests} == {f"Bearer {CANARY}"}
    assert len(store.requests) == 1


def test_12_and_13_the_hostile_ids_of_the_data_folder(real_data: Path) -> None:
    profile = load_profile("skills-video")
    for odd in json.loads((real_data / "security" / "hostile.json").read_text("utf-8"))["ids"]:
        task_id = normalize.created(profile, {"id": odd}).task_id
        if task_id is not None:
            head, segment, tail = fill_path("/g/{task_id}/s", {"task_id": task_id}).lstrip("/").split("/")
            assert (head, tail) == ("g", "s") and unquote(segment) == str(odd) and segment not in (".", "..")
