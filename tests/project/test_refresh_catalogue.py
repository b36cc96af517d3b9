"""The maintainers' refresh: what the live sources say today as a diff, and written only when that is asked for."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.faults import answer, json_answer
from support.faultserver import FaultServer, Request, refused_port
from videotasks.formats import yaml12

REPO = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("refresh_catalogue", REPO / "ci" / "refresh_catalogue.py")
assert SPEC and SPEC.loader
refresh = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(refresh)
CATALOGUE = REPO / "shared" / "catalogue" / "skills-video.json"

PAGE = """# Kling 2.6

````yaml openapi.json POST /v1/generation/MODEL
openapi: 3.1.0
paths:
  /v1/generation/MODEL:
    post:
      requestBody:
        content:
          application/json:
            schema:
              type: object
              required: [prompt]
              properties:
                prompt: {type: string}
                duration: {type: integer, enum: [5, 10, 15]}
                first_image: {type: string, format: uri}
                image_url: {type: string, format: uri}
````
"""


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = tmp_path / "shared"
    for name in ("catalogue", "providers"):
        shutil.copytree(REPO / "shared" / name, place / name)
    return place


def test_what_is_kept_is_written_the_same_again() -> None:
    text = CATALOGUE.read_text(encoding="utf-8")
    assert refresh.catalogue_text(json.loads(text)) == text, "a diff shows only what changed"


def test_a_catalogue_is_read_again(
    shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shared / "catalogue" / "skills-video.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    kept = [one for one in told["models"] if one["id"] in ("kling-ai/kling-v2.6", "google/veo-2")]
    path.write_text(refresh.catalogue_text({**told, "date": "2026-01-01", "models": kept}), encoding="utf-8")

    def docs(request: Request) -> Any:
        model = request.target.partition("?")[2]
        known = model == "kling-ai/kling-v2.6"
        return answer(200, PAGE.replace("MODEL", model)) if known else answer(404, "nothing")

    with FaultServer(docs) as server:
        monkeypatch.setenv("SKILLS_VIDEO_SPECIFICATION_URL", server.base_url + "/page?{model}")
        before = path.read_bytes()
        given = ["--provider", "skills-video", "--shared", str(shared)]
        assert refresh.main(given) == 1 and path.read_bytes() == before
        shown = capsys.readouterr()
        assert '+        "duration": {"type": "integer", "values": [5, 10, 15]}' in shown.out
        assert "google/veo-2 was not asked for" in shown.err and "HTTP 404" in shown.err
        assert refresh.main([*given, "--write"]) == 0
        assert refresh.main(given) == 0, "nothing differs any more"
    made = json.loads(path.read_text(encoding="utf-8"))
    assert made["date"] > "2026-01-01"
    kling, veo = sorted(made["models"], key=lambda one: one["id"], reverse=True)
    assert kling["fields"]["image.first_frame"] == "image_url" and kling["page"] == "kling-v26-video"
    assert veo == next(one for one in kept if one["id"] == "google/veo-2"), "what nobody answered for stays"


def test_the_limits_in_a_profile_are_read_again(
    shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shared / "providers" / "openrouter.yaml"
    rows = [{"id": one["id"], "supported_durations": [3, 9], "supported_aspect_ratios": ["16:9", "1:1"]}
            for one in yaml12.load(path.read_text(encoding="utf-8"))["models"]]  # fmt: skip

    with FaultServer(lambda request: json_answer({"data": rows})) as server:
        monkeypatch.setenv("OPENROUTER_API_KEY", "sk-CANARY-7f3a")
        monkeypatch.setenv("OPENROUTER_SPECIFICATION_URL", server.base_url + "/models")
        assert refresh.main(["--provider", "openrouter", "--shared", str(shared), "--write"]) == 0
    made = yaml12.load(path.read_text(encoding="utf-8"))
    assert (
        made["models"][0]["limits"]["duration"] == {"enum": [3, 9]} and "16:9" in made["models"][0]["limits"]["ratio"]
    )
    was = yaml12.load((REPO / "shared" / "providers" / "openrouter.yaml").read_text(encoding="utf-8"))
    for document in (made, was):
        document.pop("models"), document.pop("models_read")
    assert made == was, "nothing else of the profile is touched"
    assert "CANARY" not in "".join(capsys.readouterr())


def test_a_source_that_is_down_changes_nothing(
    shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNWARE_SPECIFICATION_URL", f"http://127.0.0.1:{refused_port()}/x")
    before = (shared / "providers" / "runware.yaml").read_bytes()
    assert refresh.main(["--provider", "runware", "--shared", str(shared), "--write"]) == 0
    assert (shared / "providers" / "runware.yaml").read_bytes() == before
    assert "was not asked for" in capsys.readouterr().err


def test_a_model_is_added(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shared / "catalogue" / "skills-video.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(refresh.catalogue_text({**told, "models": []}), encoding="utf-8")
    with FaultServer(lambda request: answer(200, PAGE.replace("MODEL", "acme/film"))) as server:
        monkeypatch.setenv("SKILLS_VIDEO_SPECIFICATION_URL", server.base_url + "/page")
        assert (
            refresh.main(["--provider", "skills-video", "--add", "acme/film", "--shared", str(shared), "--write"]) == 0
        )
    (one,) = json.loads(path.read_text(encoding="utf-8"))["models"]
    assert one["id"] == "acme/film" and one["fields"]["duration"] == "duration"
