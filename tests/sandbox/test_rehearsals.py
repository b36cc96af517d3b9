"""Every shipped profile against its dialect, both written from the contract: where they differ, one is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from support.commands import call, fast_sandbox
from support.sandbox_http import fake_renderer
from videotasks.providers.load_profile import load_profile, shipped_names
from videotasks_sandbox.dialect import load_dialect

PROVIDERS = shipped_names()
# What a create of the API needs beside a prompt.
NEEDS = {
    "runway": ("--ratio", "16:9", "--duration", "5"),
    "replicate": ("--model", "google/veo-3"),
    "fal": ("--model", "fal-ai/veo3"),
}
# Google tells an empty account and a full minute by the same code; a 429 inside HTTP 200 is sent again by nobody; a
# create whose own value finds the first task again is not in doubt.
ALIKE = {
    ("gemini", "no-credits"): {24},
    ("vertex-veo", "no-credits"): {24},
    ("minimax", "rate-limited"): {24},
    ("pixverse", "rate-limited"): {24},
    ("pixverse", "lost-answer"): {0},
    ("runware", "lost-answer"): {0},
}


@pytest.fixture(autouse=True)
def no_rendering(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "vertex-veo" not in request.node.name:  # its answer holds the file itself, which the client looks into
        fake_renderer(monkeypatch)


def create(provider: str, *options: str, total_s: float = 0.1) -> Any:
    what = ("--provider", provider, "--prompt", "a boat", *NEEDS.get(provider, ()))
    with fast_sandbox(total_s):
        return call("create_and_wait.py", "--sandbox", *what, *options)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_from_the_create_to_the_end(provider: str) -> None:
    done = create(provider, "--no-download")
    assert (done.exit_code, done.final["status"]) == (0, "succeeded"), done.stdout


@pytest.mark.slow  # 168 commands
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("scenario", "exit_codes"),
    [
        ("failed", {10}),
        ("moderation", {10, 26}),
        ("no-credits", {20}),
        ("wrong-key", {21}),
        ("rate-limited", {0}),
        ("lost-answer", {3}),
    ],
)
def test_trouble(provider: str, scenario: str, exit_codes: set[int]) -> None:
    done = create(provider, "--sandbox-scenario", scenario, "--no-download")
    assert done.exit_code in exit_codes | ALIKE.get((provider, scenario), set()), done.stdout
    if scenario == "moderation":  # many say it in words alone
        assert done.error["category"] in ("moderation", "generation_failed"), done.stdout


@pytest.mark.parametrize("provider", [name for name in PROVIDERS if load_profile(name).cancel])
def test_a_cancel(provider: str) -> None:
    profile = load_profile(provider)
    made = create(provider, "--no-wait", total_s=400)
    assert made.exit_code == 0, made.stdout
    with fast_sandbox(400):
        done = call("task_status.py", "--sandbox", "--run-id", made.final["run_id"], "--cancel")
    assert done.exit_code in (0, 10), done.stdout
    assert profile.cancel is not None


@pytest.mark.parametrize("provider", [name for name in PROVIDERS if load_profile(name).list])
def test_a_list(provider: str) -> None:
    made = create(provider, "--no-download")
    with fast_sandbox(0.1):
        done = call("task_status.py", "--sandbox", "--provider", provider, "--list", "--remote")
    assert done.exit_code == 0, done.stdout
    assert made.final["task_id"] in done.stdout


def test_every_shipped_profile_has_a_dialect() -> None:
    assert [load_dialect(name).name for name in PROVIDERS] == PROVIDERS
