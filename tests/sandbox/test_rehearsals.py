"""Every shipped profile against its dialect, both written from the contract: where they differ, one is wrong."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from support.commands import call, fast_sandbox
from support.parameters import most_are_slow
from support.sandbox_http import fake_renderer
from videotasks.core.record import replace
from videotasks.core.task import Status
from videotasks.providers.load_profile import load_profile, shipped_names
from videotasks.providers.provider import ListPage, ManyLooks, Provider
from videotasks_sandbox.dialect import load_dialect

PROVIDERS = shipped_names()
TRIED = [name for name in PROVIDERS if load_profile(name).tried]
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


@pytest.mark.parametrize("provider", most_are_slow(PROVIDERS, *TRIED, "runway", "gemini", "vertex-veo"))
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


LISTED = [name for name in PROVIDERS if load_profile(name).status.bulk]


@pytest.mark.parametrize("provider", most_are_slow(LISTED, "ark"))
def test_a_list_shows_what_single_looks_show(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four tasks are waited for by lists, page by page, and each item is what the task's own answer says."""
    profile = load_profile(provider)
    shown: list[ManyLooks] = []
    real = Provider.look_at_many

    def look_at_many(self: Provider, refs: Any, page: ListPage, *, client: Any, **how: Any) -> ManyLooks:
        spec = replace(self.profile.status.bulk, query=small(self.profile.status.bulk.query), most=2)
        self.profile = replace(self.profile, status=replace(self.profile.status, bulk=spec))
        looks = real(self, refs, page, client=client, **how)
        for task_id, look in (looks.looks or {}).items():
            alone = self.look(refs[task_id], client=client)
            assert look.snapshot and alone.snapshot and look.snapshot.status is alone.snapshot.status
            if alone.snapshot.status is Status.SUCCEEDED and look.snapshot.has_result:
                assert [one.kind for one in look.snapshot.outputs] == [one.kind for one in alone.snapshot.outputs]
        shown.append(looks)
        return looks

    for take in range(1, 5):
        assert create(provider, "--no-wait", "--take", str(take), total_s=400).exit_code == 0
    state_file = Path("task-status/.artifacts/.sandbox/state.json")
    state = json.loads(state_file.read_text(encoding="utf-8"))
    for task in state["tasks"].values():
        task |= {
            "starts": task["created"],
            "ends": time.time() + 3.0,
        }  # however long a busy machine took to create them
    state_file.write_text(json.dumps(state), encoding="utf-8")
    monkeypatch.setattr(Provider, "look_at_many", look_at_many)
    with fast_sandbox(0.2):
        done = call("wait_generation.py", "--sandbox", "--all-unfinished", "--provider", provider, "--no-download")
    assert done.exit_code == 0 and done.final["total"] == 4 and done.final["unfinished"] == 0, done.stdout
    ids = {task_id for looks in shown for task_id in looks.looks or {}}
    assert len(ids) == 4, "each was on a page"
    assert all(looks.looks is not None for looks in shown)
    assert profile.status.bulk is not None
    whole = profile.status.bulk.by_id or "url" in profile.status.bulk.next  # where no request says how many on a page
    assert whole or any(looks.next for looks in shown), "of two tasks each"


def small(query: Any) -> dict[str, Any]:
    """The same list with two tasks on a page."""
    sizes = {"limit", "pageSize"}
    return {name: 2 if name in sizes else value for name, value in query.items()}


def test_every_shipped_profile_has_a_dialect() -> None:
    assert [load_dialect(name).name for name in PROVIDERS] == PROVIDERS
