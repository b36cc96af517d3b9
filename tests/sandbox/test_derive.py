"""A stand-in derived from a profile: whatever the file says, a rehearsal of it runs from the create to the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.commands import call, fast_sandbox, sandbox_state
from support.sandbox_http import fake_renderer
from videotasks.formats import yaml12
from videotasks.providers.load_profile import shipped_folder, shipped_names
from videotasks.providers.profile import merge
from videotasks_sandbox.derive import derive, put
from videotasks_sandbox.dialect import Dialect, DialectError

ROOT = Path("task-status/.artifacts")


def document(name: str) -> dict[str, Any]:
    shipped = yaml12.load((shipped_folder() / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(shipped, dict)
    return merge(document(str(shipped.pop("extends"))), shipped) if "extends" in shipped else shipped


OWN = """
name: mine
title: Mine
base_url: https://api.mine.example/v1
auth: {header: X-Key, prefix: "", env: [VIDEO_TASKS_KEY_MINE]}
headers: {X-Version: "3"}
create: {path: /jobs, id: [job.id]}
status:
  path: "/jobs/{task_id}"
  value: [job.state]
  map: {queued: [waiting], running: [busy], succeeded: [ready], failed: [broken], cancelled: [stopped]}
result: {video: ["job.files[].url"], cost: {path: [job.price], unit: credits}}
error:
  message: [problem.text]
  code: [problem.code]
  task_message: [job.reason]
  in_band: {path: code, ok: [0], required: true}
  categories: {no_money: insufficient_credits, blocked: moderation}
  phrases: {"try later": rate_limited}
cancel: {path: "/jobs/{task_id}/stop", only_when: [queued]}
list: {path: /jobs, items: "jobs[]", status: state}
credits: {path: /money, balance: [money.left]}
inputs:
  prompt: {to: input.text, required: true}
  model: {to: model, required: true}
  duration: {to: seconds, type: integer}
"""


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a profile of the user's own."""
    fake_renderer(monkeypatch)
    Path("mine.yaml").write_text(OWN, encoding="utf-8")
    return "./mine.yaml"


def create(own: str, *options: str) -> Any:
    with fast_sandbox():
        return call(
            "create_and_wait.py", "--sandbox", "--provider", own, "--model", "m-1", "--prompt", "a boat", *options
        )


def test_a_rehearsal_says_what_it_proves(own: str) -> None:
    made = create(own, "--duration", "4", "--no-download")
    assert (made.exit_code, made.final["status"], made.final["provider_status"]) == (0, "succeeded", "ready")
    assert made.final["cost"] == {"amount": 10.0, "unit": "credits"}
    (warning,) = made.all("warning")
    assert "derived from the profile itself" in warning["message"]
    (task,) = sandbox_state(ROOT)["tasks"].values()
    assert (task["model"], task["prompt"], task["duration"]) == ("m-1", "a boat", 4)


@pytest.mark.parametrize(
    ("scenario", "exit_code", "category"),
    [
        ("failed", 10, "generation_failed"),
        ("no-credits", 20, "insufficient_credits"),
        ("wrong-key", 21, "auth"),
        ("lost-answer", 3, "submission_unknown"),
        ("cancelled", 10, "cancelled"),
        ("flaky-poll", 0, None),
        ("rate-limited", 0, None),
    ],
)
def test_trouble_is_read_as_the_profile_says(own: str, scenario: str, exit_code: int, category: str | None) -> None:
    done = create(own, "--sandbox-scenario", scenario, "--no-download")
    assert done.exit_code == exit_code, done.final
    assert (done.final["error"] or {}).get("category") == category


def test_an_upload_in_two_steps_gets_what_its_second_address_needs(own: str) -> None:
    upload = "upload: {init: {path: /assets}, how: multipart, path: '/assets/{id}/file', key: id}\n"
    image = "  image: {to: start, file: {how: upload}}\n"
    Path(own).write_text(OWN.replace("inputs:\n", upload + "inputs:\n") + image, encoding="utf-8")
    Path("boat.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert create(own, "--image", "boat.png", "--no-download").exit_code == 0


def test_fixed_headers_are_asked_for(own: str) -> None:
    assert derive(yaml12.load(OWN))["always"] == [  # type: ignore[arg-type]
        {"when": "headers.\"x-version\" != '3'", "message": "the header X-Version is missing or wrong"}
    ]
    assert create(own, "--no-download").exit_code == 0


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_profile_has_one_too_or_is_told_why(name: str) -> None:
    """Under another name they are profiles of a user; what cannot be derived is named by its member."""
    try:
        made = Dialect(derive({**document(name), "name": "mine"}))
    except DialectError as problem:
        assert "no stand-in can be derived" in str(problem)
        assert any(member in str(problem) for member in ("result.", "status.", "{task_id}", "create."))
        return
    does = [call.get("does") for call in made.calls]
    assert "create" in does and "status" in does


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", {"a": 1}),
        ("a.b", {"a": {"b": 1}}),
        ("a[].b", {"a": [{"b": 1}]}),
        ("a[0].b.c", {"a": [{"b": {"c": 1}}]}),
        ("a.b[]", {"a": {"b": [1]}}),
    ],
)
def test_a_value_is_put_where_its_path_finds_it(path: str, expected: dict[str, Any]) -> None:
    body: dict[str, Any] = {}
    put(body, path, 1)
    assert body == expected


def test_a_status_without_words_is_told() -> None:
    profile = yaml12.load(OWN)
    assert isinstance(profile, dict)
    profile["status"]["map"] = {}
    with pytest.raises(DialectError, match=r"status\.map has no word for running"):
        derive(profile)
