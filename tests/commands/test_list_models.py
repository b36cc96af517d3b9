"""list_models: what people compare before they choose, over all providers, without a request."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.commands import SCRIPTS, call, call_unchecked, environment
from support.faults import json_answer
from support.faultserver import FaultServer, Request
from videotasks.providers import load_profile


def test_a_search_goes_over_all_providers() -> None:
    done = call("list_models.py", "--search", "kling")
    offering = {"skills-video", "octopusx", "kling", "fal", "replicate", "aimlapi", "openrouter", "runware"}
    assert done.exit_code == 0 and {row["provider"] for row in done.final["models"]} >= offering, "a few of each"
    rows = call("list_models.py", "--search", "kling", env={"SKILLS_VIDEO_API_KEY": "sk-CANARY-7f3a"}).final["models"]
    assert rows[0]["provider"] == "skills-video" and rows[0]["key"] is True, "what can be used now"
    (row,) = call("list_models.py", "--provider", "skills-video", "--search", "kling 3 video").final["models"][:1]
    assert row["id"] == "kling-ai/v3/video"
    assert row["seconds"] == "3 to 15" and "first frame" in row["takes"] and row["key"] is False
    assert row["date"] and row["source"].startswith("https://") and "generate_audio" in row["sound"]
    assert "fal" in done.final["any_model"]


@pytest.mark.parametrize("words", ["kling 2.6", "KLING-V2.6", "kling motion"])
def test_words_are_found_however_they_are_spelled(words: str) -> None:
    assert call("list_models.py", "--search", words).final["total"] >= 1


def test_one_model_comes_with_every_member() -> None:
    (model,) = call("list_models.py", "--model", "kling-ai/kling-v2.6").final["models"]
    assert model["options"]["--image first_frame=..."] == "image_url"
    assert model["members"]["aspect_ratio"]["values"] == ["9:16", "16:9", "1:1"]
    assert len(model["members"]) == 12
    (exact,) = call("list_models.py", "--provider", "ark", "--model", "doubao-seedance-1-5-pro-251215").final["models"]
    assert exact["provider"] == "ark" and exact["seconds"]


def test_a_model_that_nobody_documents_names_its_neighbours() -> None:
    done = call("list_models.py", "--model", "kling-2.6")
    assert done.exit_code == 1 and "kling-v2-6" in done.error["expected"]
    assert call("list_models.py", "--provider", "nobody").exit_code == 1


def test_the_key_is_told_and_not_shown() -> None:
    done = call("list_models.py", "--provider", "skills-video", env={"SKILLS_VIDEO_API_KEY": "sk-CANARY-7f3a"})
    assert all(row["key"] for row in done.final["models"]) and "CANARY" not in done.stdout + done.stderr


def test_a_long_list_is_cut_and_says_so() -> None:
    done = call("list_models.py", "--makes", "all")
    assert len(done.final["models"]) == 15 < done.final["total"] and "more" in done.final["message"]
    assert len(done.stdout) < 8000


def test_a_price_is_told_with_who_says_so(tmp_path: Path) -> None:
    (row,) = call("list_models.py", "--provider", "xai", "--search", "1.5").final["models"]
    assert "0.14 USD/s at 720p" in row["price"] and row["price_source"] == "printed, read on 2026-09-22"
    mine = tmp_path / "prices.yaml"
    mine.write_text('xai: {"grok-*": {unit: EUR, per_second: 0.2}}', encoding="utf-8")
    env = {"VIDEO_TASKS_PRICES": str(mine)}
    (row,) = call("list_models.py", "--provider", "xai", "--search", "1.5", env=env).final["models"]
    assert row["price"] == "0.2 EUR/s" and row["price_source"] == str(mine)


def test_a_family_of_models_is_no_provider_but_points_to_those_who_have_it() -> None:
    done = call("list_models.py", "--provider", "seedance")
    assert done.exit_code == 1 and "offered by" in done.final["message"] and "--model" in done.final["message"]


@pytest.mark.process
def test_people_get_a_table() -> None:
    command = [sys.executable, str(SCRIPTS / "list_models.py"), "--search", "kling-v2.6", "--text"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment(), timeout=60)
    assert done.returncode == 0
    assert "kling-ai/kling-v2.6" in done.stdout and "first frame" in done.stdout and "{" not in done.stdout


def test_no_profile_is_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the YAML of all of them takes a second; from the cache it is 0.2 s."""
    call("list_models.py")
    monkeypatch.setattr(load_profile, "parse_document", lambda *_: pytest.fail("the cache was not used"))
    assert call("list_models.py", "--search", "seedance").exit_code == 0


def test_the_live_list_and_one_model_of_it() -> None:
    schemas = {"Input": {"type": "object", "properties": {"prompt": {"type": "string"}, "seconds": {"enum": [4, 8]}}}}
    model = {"latest_version": {"openapi_schema": {"components": {"schemas": schemas}}}}
    rows = {"models": [{"owner": "acme", "name": "film", "description": "films \x1b[2J"}, {"owner": "x", "name": "y"}]}

    def answer(request: Request) -> Any:
        assert "Bearer r8-CANARY" in str(request.headers)
        return json_answer(model if request.target == "/models/acme/film" else rows)

    with FaultServer(answer) as server:
        env = {"REPLICATE_API_TOKEN": "r8-CANARY", "REPLICATE_BASE_URL": server.base_url}
        found = call("list_models.py", "--provider", "replicate", "--live", "--search", "film", env=env)
        assert found.exit_code == 0, found
        assert [row["id"] for row in found.final["models"]] == ["acme/film"] and "\x1b" not in found.stdout
        (one,) = call("list_models.py", "--provider", "replicate", "--live", "--model", "acme/film", env=env).final[
            "models"
        ]
        assert one["options"]["--duration"] == "input.seconds" and one["seconds"] == "4, 8"
    asked: list[Request] = []

    def platform(request: Request) -> Any:
        asked.append(request)
        row = {"endpoint_id": "acme/film", "metadata": {"display_name": "Film one"}}
        return json_answer({"models": [row, {"endpoint_id": "acme/other"}]})

    with FaultServer(platform) as server:
        env = {"FAL_KEY": "sk-CANARY-7f3a", "FAL_MODELS_URL": server.base_url + "/v1/models?q={search}"}
        given = ("--provider", "fal", "--live", "--search", "film one")
        (row,) = call("list_models.py", *given, env=env).final["models"]
        assert (row["id"], row["server_message"], row["key"]) == ("acme/film", "Film one", True)
        code, table, _ = call_unchecked("list_models.py", *given, "--text", env=env)
        assert code == 0 and b"acme/film" in table and b"Film one" in table and b"{" not in table
        assert len(asked) == 2, "asked now, each time"
        assert asked[0].target.endswith("q=film%20one") and not any("CANARY" in str(one.headers) for one in asked)
    videos = {"data": [{"id": "google/veo-3.1", "supported_durations": [4], "supported_resolutions": ["480p"]},
                       {"id": "new/thing", "supported_aspect_ratios": ["1:1"]}]}  # fmt: skip
    with FaultServer(lambda request: json_answer(videos)) as server:
        env = {"OPENROUTER_API_KEY": "sk-CANARY-7f3a", "OPENROUTER_BASE_URL": server.base_url}
        known, new = call("list_models.py", "--provider", "openrouter", "--live", env=env).final["models"]
        assert (known["seconds"], known["resolutions"]) == ("4", ["480p"]) and "first frame" in known["takes"]
        assert new["ratios"] == ["1:1"] and new["takes"] == [] and new["source"] == "live"
    unset = call("list_models.py", "--provider", "replicate", "--live")
    assert unset.exit_code == 24 and "REPLICATE_API_TOKEN" in unset.final["message"]
    assert call("list_models.py", "--live").exit_code == 1
