"""Every scenario on every provider, and odd bodies on every create."""

from __future__ import annotations

import http.client
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.parameters import combinations, most_are_slow
from support.sandbox_http import (
    CREATES,
    Start,
    create,
    sandboxes,
    status,
)
from videotasks_sandbox import scenarios
from videotasks_sandbox.dialect import load_dialect, shipped
from videotasks_sandbox.scenarios import SCENARIOS, SandboxError

PROVIDERS = tuple(CREATES)


def test_every_dialect_is_tried() -> None:
    assert set(shipped()) == set(CREATES)


def refused_in_band(provider: str, body: Any) -> bool:
    """A refusal on HTTP 200 (contracts A.5; more-contracts 1.7)."""
    if provider == "minimax":
        return bool(body["base_resp"]["status_code"] != 0)
    if provider == "pixverse":
        return bool(body["ErrCode"] != 0)
    return provider == "creatok" and body["code"] != 0


class TestScenarios:
    @pytest.mark.parametrize(("name", "provider"), combinations(sorted(SCENARIOS), PROVIDERS))
    def test_every_scenario_plays_or_says_that_it_cannot(self, start: Start, name: str, provider: str) -> None:
        if not load_dialect(provider).plays(name):
            with pytest.raises(SandboxError, match=f"does not exist on {provider}.*can be rehearsed with: "):
                start(provider, name)
            return
        call = start(provider, name)
        if name.startswith("lost-answer") or name in ("wrong-key", "no-credits", "rate-limited"):
            with_answer = 502 if name == "lost-answer-5xx" else None
            try:
                answer = call.post(*CREATES[provider][:2])
            except (http.client.RemoteDisconnected, ConnectionResetError):
                assert name == "lost-answer"
            else:
                assert (
                    answer.status == with_answer
                    or (answer.status >= 400 and name != "lost-answer-5xx")
                    or refused_in_band(provider, answer.json)
                )
            assert call.state["creates"] == (1 if name.startswith("lost-answer") else 0)
            return
        if name == "moderation" and "moderated" in load_dialect(provider).refusals:
            assert call.post(*CREATES[provider][:2]).status >= 400
            return
        task_id = create(call)
        call.clock.now += 300
        if name == "flaky-poll":
            for _ in range(7):
                try:
                    status(call, task_id)
                except (http.client.HTTPException, ConnectionError):
                    pass
        last = status(call, task_id)
        assert last.status in (200, 202)
        call.clock.now += 86400
        assert call.state["tasks"][task_id]["scenario"] == name

    def test_unknown_names_list_the_known(self) -> None:
        with pytest.raises(SandboxError, match="stream-drop"):
            scenarios.parse("nope")

    @pytest.mark.parametrize("text", ["slow:", "slow:x", "slow:-1", "slow:0", "slow:nan", "ok:5", "failed:2"])
    def test_bad_numbers(self, text: str) -> None:
        with pytest.raises(SandboxError, match="slow"):
            scenarios.parse(text)

    def test_a_word_chooses_the_prompts_that_meet_it(self, start: Start) -> None:
        path, body = CREATES["skills-video"][:2]
        word = str(body["prompt"]).split()[0]
        assert start("skills-video", "no-credits@nowhere in it").post(path, body).status < 300
        assert start("skills-video", f"no-credits@{word}").post(path, body).status == 402

    def test_busy_has_room_for_so_many(self, start: Start) -> None:
        call = start("ark", "busy:2")
        create(call), create(call)
        assert call.post(*CREATES["ark"][:2]).status == 429
        call.clock.now += 60
        assert create(call)

    def test_slow_takes_its_time(self, start: Start) -> None:
        for text, seconds in (("slow", 240), ("slow:90", 90)):
            call = start("skills-video", text)
            task_id = create(call)
            call.clock.now += seconds - 1
            assert status(call, task_id).json["status"] == "IN_PROGRESS"
            call.clock.now += 1.5
            assert status(call, task_id).json["status"] == "COMPLETED"

    def test_stalled_never_ends(self, start: Start) -> None:
        call = start("octopusx", "stalled")
        task_id = create(call)
        call.clock.now += 86400
        body = status(call, task_id).json["data"]
        assert (body["status"], body["progress"]) == ("IN_PROGRESS", "42%")

    def test_flaky_poll_is_the_same_sequence_for_each_task(self, start: Start) -> None:
        call = start("creatok", "flaky-poll")
        for task_id in (create(call), create(call)):
            call.clock.now += 3
            seen: list[Any] = []
            for _ in range(8):
                try:
                    answer = status(call, task_id)
                except ConnectionError:
                    seen.append("reset")
                except http.client.IncompleteRead:
                    seen.append("cut")
                else:
                    seen.append((answer.status, answer.body[:9]))
                    if answer.status == 429:
                        assert answer.headers["Retry-After"] == "1"
            assert seen == [
                (500, b'{"code":5'),
                (200, b"<!DOCTYPE"),
                (200, b""),
                "reset",
                (429, b'{"code":4'),
                (200, b'{"code":4'),
                "cut",
                (200, b'{"code":0'),
            ]

    def test_injection_carries_what_it_promises(self, start: Start) -> None:
        call = start("ark", "injection")
        task_id = create(call)
        call.clock.now += 3
        message = status(call, task_id).json["error"]["message"]
        assert "\x1b]0;" in message and "ignore all previous instructions" in message and "\u202e" in message

    def test_wrong_key_refuses_polls_of_earlier_tasks_too(self, start: Start) -> None:
        task_id = create(start("ark"))
        assert status(start("ark", "wrong-key"), task_id).status == 401


class TestBodies:
    """Whatever a create sends, the answer is the API's own; a fault of the sandbox would be a 500."""

    JSON = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=6,
    )

    @pytest.mark.parametrize("provider", most_are_slow(PROVIDERS, "skills-video", "fal", "runware", "creatok"))
    def test_odd_values_in_every_field(self, tmp_path: Path, provider: str) -> None:
        path, body, _, _ = CREATES[provider]
        more = {
            "skills-video": ["duration", "n", "aspect_ratio", "image_urls", "resolution"],
            "creatok": ["seconds", "orientation", "definition", "model", "referenceImageKeys"],
            "octopusx": ["duration", "seconds", "size", "metadata", "content", "width"],
            "ark": ["duration", "frames", "seed", "ratio", "resolution", "draft", "service_tier"],
            "modelark": ["duration", "content", "execution_expires_after"],
            "openai-compatible": ["seconds", "size", "model", "input_reference"],
            "fal": ["duration", "aspect_ratio", "resolution"],
            "replicate": ["version", "input"],
            "gemini": ["response_format", "input"],
            "runway": ["ratio", "duration", "promptImage"],
            "luma": ["keyframes", "duration", "aspect_ratio"],
            "kling": ["duration", "mode", "image", "sound"],
            "minimax": ["duration", "first_frame_image"],
            "vidu": ["images", "duration"],
            "dashscope": ["parameters"],
            "xai": ["image", "reference_images", "duration"],
            "wavespeed": ["duration", "seed", "aspect_ratio"],
            "openrouter": ["frame_images", "size", "duration"],
            "vertex-veo": ["parameters", "instances"],
            "pixverse": ["duration", "quality"],
            "zai": ["duration", "size", "image_url"],
            "siliconflow": ["image_size", "image", "seed"],
            "azure-openai": ["n_seconds", "n_variants"],
            "together": ["seconds", "media", "width"],
            "freepik": ["duration", "image"],
            "heygen": ["dimension"],
            "runware": ["duration", "frameImages", "width"],
        }.get(provider, [])
        with sandboxes(tmp_path) as starter:
            call = starter(provider)

            @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
            @given(st.sampled_from([*(body[0] if isinstance(body, list) else body), *more]), self.JSON)
            def run(field: str, value: Any) -> None:
                if isinstance(body, list):
                    answer = call.post(path, [{**body[0], field: value, "taskUUID": str(uuid.uuid4())}])
                else:
                    answer = call.post(path, {**body, field: value}, headers={"Ai-trace-id": uuid.uuid4().hex})
                assert answer.status < 500, answer.body
                paid = call.log[-1]["paid"]
                if paid:
                    polled = status(call, call.log[-1]["task_id"])
                    assert polled.status in (200, 202), polled.body

            run()

    RAW = (b"", b"{", b"\xff\xfe", b"[1]", b"1", b'"x"', b"null", b'{"duration": NaN}', b"[" * 99999)

    @pytest.mark.parametrize(("provider", "raw"), combinations(PROVIDERS, RAW))
    def test_bodies_that_are_no_json_object(self, start: Start, provider: str, raw: bytes) -> None:
        call = start(provider)
        answer = call.post(CREATES[provider][0], raw, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status < 500 or refused_in_band(provider, answer.json)
        assert call.state["creates"] == 0


def test_progress_as_a_fraction_where_the_api_tells_it_so(start: Start) -> None:
    call = start("runway")
    path, body, _, look = CREATES["runway"]
    task_id = call.post(path, body).json["id"]
    call.clock.now += 1.4
    assert 0 < call.get(look.format(task_id)).json["progress"] < 1
