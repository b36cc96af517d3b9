"""Whole commands with models that are listed, and with one that nobody documents: the server's log is the proof."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_shipped_catalogue import LISTED, MODELS, URL, everything

from support.commands import Done, call
from support.faults import json_answer
from support.faultserver import FaultServer, Request
from support.parameters import most_are_slow

ENV = {"SKILLS_VIDEO_API_KEY": "sk-CANARY-7f3a"}
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x02\0\0\0" + b"\0" * 60


class Api:
    """A stand-in that keeps the bodies of its creates and answers each with a task."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []

    def __call__(self, request: Request) -> Any:
        if request.method == "POST":
            body = request.read()
            self.bodies.append(json.loads(body) if body.startswith(b"{") else body)
            return json_answer({"id": "gen_1", "status": "IN_QUEUE"})
        return json_answer({"id": "gen_1", "status": "IN_PROGRESS"})


def create(server: FaultServer, *arguments: str) -> Done:
    return call("create_and_wait.py", "--base-url", server.base_url, "--prompt", "p", "--no-wait", *arguments, env=ENV)


def test_a_listed_model_is_made_with_its_own_members(workspace: Path) -> None:
    (workspace / "photo.png").write_bytes(PNG)
    given = ("--model", "kling-ai/kling-v2.6", "--duration", "5", "--ratio", "9:16", "--image", "first_frame=photo.png")
    api = Api()
    with FaultServer(api) as server:
        plan = create(server, *given, "--dry-run").final
        assert plan["valid"] is True and plan["checked_against"] == "catalogue" and plan["assumed"] == []
        assert plan["checked_source"]["where"].endswith("/kling-v26-video") and plan["checked_source"]["date"]
        assert api.bodies == []
        assert create(server, *given).exit_code == 0
    (body,) = api.bodies
    for part in (b'name="duration"', b'name="aspect_ratio"', b'name="image_url"; filename='):
        assert part in body


@pytest.mark.parametrize("model", most_are_slow(LISTED.split(), *LISTED.split()[::3]))
def test_a_dry_run_of_each_listed_model_is_valid_offline(model: str, workspace: Path) -> None:
    (workspace / "photo.png").write_bytes(PNG)
    info = MODELS[model]
    given = everything(info)
    image = [("--image", f"{role}=photo.png") for role, _ in given["image"]]
    rest = [(f"--{name}", str(given[name])) for name in ("prompt", "duration", "ratio", "resolution") if name in given]
    media = [(f"--{kind}", URL) for kind in ("video", "audio") if given[kind]]
    arguments = [word for pair in (*rest, *image, *media) for word in pair]
    env = {**ENV, "SKILLS_VIDEO_SPECIFICATION_URL": "http://127.0.0.1:9/nobody"}
    done = call(
        "create_and_wait.py", "--base-url", "http://127.0.0.1:9", "--model", model, *arguments, "--dry-run", env=env
    )
    plan = done.final
    assert done.exit_code == 0 and plan["valid"] is True and plan["checked_against"] == "catalogue", done
    assert any("was not asked" in note for note in plan["notes"]), "offline"
    fields = info.fields or {}
    body = json.dumps(plan["request"]["body"])
    for name in [*(name[2:] for name, _ in rest), *(f"image.{role}" for role, _ in given["image"])]:
        assert f'"{fields[name].replace("[+]", "")}"' in body
    assert {one["input"] for one in plan["assumed"]} <= set(fields) and bool(plan["assumed"]) == bool(
        info.inferred_from
    )


def test_an_unknown_model_is_made_by_the_convention_and_says_so(workspace: Path) -> None:
    api = Api()
    with FaultServer(api) as server:
        given = ("--model", "new/thing", "--duration", "5")
        done = create(server, *given, "--dry-run")
        assert done.final["valid"] is True and done.final["checked_against"] == "convention"
        assert [(one["input"], one["member"]) for one in done.final["assumed"]] == [("duration", "duration")]
        assert "paid" in done.final["if_wrong"], "what the yes covers"
        assert "assumed: --duration" in done.stderr and "if that is wrong" in done.stderr
        assert api.bodies == []
        sent = create(server, *given)
        assert sent.exit_code == 0 and "assumed: --duration" in sent.stderr
        assert api.bodies == [{"prompt": "p", "duration": 5}]
        assert create(server, *given).final["event"] != "error"
        assert len(api.bodies) == 1, "the same command attaches"


def test_a_frame_of_an_unknown_model_is_not_guessed(workspace: Path) -> None:
    (workspace / "x.png").write_bytes(PNG)
    api = Api()
    with FaultServer(api) as server:
        done = create(server, "--model", "new/thing", "--duration", "5", "--image", "first_frame=x.png")
        assert done.exit_code == 1 and api.bodies == []
        assert "'first_frame_url' or 'image_url'" in done.final["message"]
        assert "--set first_frame_url=" in done.final["error"]["expected"]


def test_nothing_known_is_not_called_valid(workspace: Path) -> None:
    with FaultServer(Api()) as server:
        plan = create(server, "--model", "new/thing", "--dry-run")
        assert plan.exit_code == 0 and plan.final["valid"] is None and plan.final["checked_against"] == "nothing"
        assert "not checked" in plan.stderr


def test_a_member_that_the_api_dropped_is_told_at_once(workspace: Path) -> None:
    def answer(request: Request) -> Any:
        if request.method == "POST":
            request.read()
            return json_answer({"id": "gen_1", "status": "IN_QUEUE", "input": {"prompt": "p"}})
        return json_answer({"id": "gen_1", "status": "IN_PROGRESS"})

    with FaultServer(answer) as server:
        done = create(server, "--model", "new/thing", "--duration", "5")
        assert done.exit_code == 0 and "'duration' was sent and is not" in done.all("warning")[0]["message"]
