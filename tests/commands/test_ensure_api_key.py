"""ensure_api_key: inherited keys, the table of all providers, one free call to verify; the key is never shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.commands import call, fast_sandbox, start
from support.faults import answer, html, json_answer, reset_after_request
from support.faultserver import FaultServer, refused_port
from videotasks.providers.load_profile import shipped_names

KEY = "sk-CANARY-7f3a"
PROVIDERS = ["ark", "creatok", "fal", "modelark", "octopusx", "openai-compatible", "replicate", "skills-video"]


@pytest.mark.process
def test_the_inherited_command_without_a_key() -> None:
    done = start("ensure_api_key.py")
    assert done.exit_code == 1 and done.final["ok"] is False
    assert done.final["env_var"] == "SKILLS_VIDEO_API_KEY" and done.final["message"]
    assert done.final["dashboard_url"].startswith("https://skills.video/")
    assert done.final["how_to_get_key"] and done.final["set_env_examples"]
    text = " ".join(done.final["set_env_examples"])
    assert ".zshrc" not in text and "export SKILLS_VIDEO_API_KEY=" not in text, "no key lands in a shell's history"
    assert "PowerShell" in text
    assert "start the assistant again" in done.final["for_a_running_assistant"]


@pytest.mark.process
def test_the_inherited_command_with_a_key() -> None:
    done = start("ensure_api_key.py", env={"SKILLS_VIDEO_API_KEY": KEY})
    assert done.exit_code == 0 and done.final["env_var"] == "SKILLS_VIDEO_API_KEY"
    assert KEY not in done.stdout + done.stderr and "CANARY" not in done.stdout + done.stderr


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_provider_says_how_to_get_its_key(provider: str) -> None:
    done = call("ensure_api_key.py", "--provider", provider)
    assert done.exit_code == 1 and done.final["how_to_get_key"], done.final
    variable = done.final["env_var"]
    found = call("ensure_api_key.py", "--provider", provider, env={variable: KEY})
    assert found.exit_code == 0 and found.final["env_var"] == variable and KEY not in found.stdout


def test_the_table_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    done = call("ensure_api_key.py", "--all")
    assert done.exit_code == 0 and [row["provider"] for row in done.final["providers"]] == shipped_names()
    assert done.final["found"] == 0
    env = {"ARK_API_KEY": KEY, "FAL_KEY": "x\ny", "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://gw.example/v1"}
    done = call("ensure_api_key.py", "--all", env=env)
    rows = {row["provider"]: row for row in done.final["providers"]}
    assert rows["ark"]["found"] and rows["modelark"]["found"]
    assert rows["ark"]["note"] == rows["modelark"]["note"] == "shared key, choose --provider"
    assert "control character" in rows["fal"]["problem"]
    assert rows["openai-compatible"]["found"] and rows["openai-compatible"]["env_var"] == "OPENAI_API_KEY"
    assert "x\\ny" not in done.stdout and KEY not in done.stdout + done.stderr


def test_an_openai_key_counts_only_together_with_its_own_origin() -> None:
    alone = call("ensure_api_key.py", "--provider", "openai-compatible", env={"OPENAI_API_KEY": KEY})
    assert alone.exit_code == 1
    env = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://gw.example/v1"}
    assert call("ensure_api_key.py", "--provider", "openai-compatible", env=env).exit_code == 0
    other = ("--base-url", "https://evil.example/v1")
    assert call("ensure_api_key.py", "--provider", "openai-compatible", *other, env=env).exit_code == 1


@pytest.mark.parametrize("value", ["", "   ", "sk-a\nb", "sk-\u30ad", "sk-a\x7fb"])
def test_values_that_are_no_key(value: str) -> None:
    done = call("ensure_api_key.py", env={"SKILLS_VIDEO_API_KEY": value})
    assert done.exit_code == 1
    assert "\u30ad" not in done.stdout + done.stderr


VERIFY: list[tuple[Any, int, bool]] = [
    (json_answer({"total": 120}), 0, True),
    (json_answer({"message": "bad key"}, 401), 21, False),
    (answer(401), 21, False),
    (json_answer({"message": "Insufficient credits"}, 402), 20, False),
    (json_answer({"message": "no"}, 403), 27, False),
    (html(502), 24, False),
    (reset_after_request(), 24, False),
]


@pytest.mark.parametrize(("action", "code", "verified"), VERIFY)
def test_verify_asks_one_free_call(action: Any, code: int, verified: bool) -> None:
    with FaultServer(action) as server:
        options = ("--verify", "--no-retry", "--base-url", server.base_url)
        done = call("ensure_api_key.py", *options, env={"SKILLS_VIDEO_API_KEY": KEY})
        assert done.exit_code == code and done.final["verified"] is verified, done
        assert [(request.method, request.target) for request in server.requests] == [("GET", "/credits")]
    if verified:
        assert done.final["balance"]["amount"] == 120 and done.final["balance"]["unit"] == "credits"
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize("provider", PROVIDERS)
def test_verify_in_the_sandbox(provider: str) -> None:
    with fast_sandbox():
        done = call("ensure_api_key.py", "--sandbox", "--provider", provider, "--verify")
    assert done.exit_code == 0 and done.final["verified"] in (True, None)
    assert done.final["sandbox"] is True


def test_a_wrong_key_in_the_sandbox() -> None:
    done = call("ensure_api_key.py", "--sandbox", "--sandbox-scenario", "wrong-key", "--verify")
    assert done.exit_code == 21 and done.final["verified"] is False


def test_verify_against_an_unreachable_host() -> None:
    with refused_port() as port:
        done = call(
            "ensure_api_key.py", "--verify", "--base-url", f"http://127.0.0.1:{port}",
            env={"SKILLS_VIDEO_API_KEY": KEY},
        )  # fmt: skip
    assert done.exit_code == 24


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--provider", "nonesuch"), "nonesuch"),
        (("--provider", "skils-video"), "skills-video"),
        (("--all", "--verify"), "--all"),
        (("--provider", "openai-compatible", "--verify"), "--base-url"),
        (("--base-url", "http://api.example.com"), "--base-url"),
    ],
)
def test_bad_input(arguments: tuple[str, ...], words: str) -> None:
    done = call("ensure_api_key.py", *arguments, env={"SKILLS_VIDEO_API_KEY": KEY})
    assert done.exit_code == 1 and words in json.dumps(done.error)


def test_a_sandbox_needs_no_key() -> None:
    assert call("ensure_api_key.py", "--sandbox").exit_code == 0


@pytest.mark.process
@pytest.mark.skipif(os.name == "nt", reason="no sh there")
@pytest.mark.parametrize("options", [[], ["--all"]])
def test_a_closed_stderr_changes_nothing(options: list[str]) -> None:
    script = Path(__file__).resolve().parents[2] / "scripts" / "ensure_api_key.py"
    told = []
    for close in ("", " 2>&-"):
        command = f'"$0" "$@"{close}'
        done = subprocess.run(["sh", "-c", command, sys.executable, str(script), *options], capture_output=True)
        told.append((done.returncode, json.loads(done.stdout.splitlines()[-1])["exit_code"]))
    assert told[0] == told[1] and told[0][0] in (0, 1)
