"""Before paying: the dry run and the spending guard, with the server's log as proof that nothing paid was sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.commands import SCRIPTS, Done, call, fast_sandbox, sandbox_state
from support.faults import html, json_answer, silence_after_headers
from support.faultserver import FaultServer, Request, refused_port

ROOT = Path("task-status") / ".artifacts"
KEY = "sk-CANARY-7f3a"
ENV = {"SKILLS_VIDEO_API_KEY": KEY, "CREATOK_API_KEY": KEY, "OCTOPUSX_API_KEY": KEY, "ARK_API_KEY": KEY}
PRICED = ("--model", "doubao-seedance-2", "--duration", "10", "--ratio", "9:16", "--resolution", "720p")
CAPABILITIES = {
    "code": 0,
    "data": {
        "capabilities": {
            "video": {
                "default_model": "doubao-seedance-2",
                "models": [
                    {
                        "id": "doubao-seedance-2",
                        "defaults": {"orientation": "9:16", "seconds": 10, "definition": "720p"},
                        "limits": {
                            "definitions": ["480p", "720p"],
                            "orientations": ["9:16", "16:9"],
                            "durations": {"min": 4, "max": 15, "enum": None},
                            "max_reference_images": 5,
                        },
                        "pricing": {
                            "currency": "credits",
                            "unit": "video",
                            "estimates": [{"definition": "720p", "seconds": 10, "orientation": "9:16", "credits": 12}],
                        },
                    }
                ],
            }
        }
    },
}


def creatok(capabilities: Any = None) -> Callable[[Request], Any]:
    def choose(request: Request) -> Any:
        if request.target == "/api/open/skills/capabilities":
            return capabilities or json_answer(CAPABILITIES)
        if request.method == "POST":
            request.read()
            return json_answer({"code": 0, "data": {"task_id": "t_1"}})
        return json_answer({"code": 0, "data": {"task_id": "t_1", "status": "running"}})

    return choose


def create(server: FaultServer, *arguments: str, prompt: str = "p", **options: Any) -> Done:
    env = {**ENV, **options.pop("env", {})}
    return call(
        "create_and_wait.py", "--provider", "creatok", "--base-url", server.base_url, "--prompt", prompt, "--no-wait",
        *arguments, env=env, **options,
    )  # fmt: skip


# -- dry run -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "provider", ["skills-video", "creatok", "octopusx", "ark", "modelark", "openai-compatible", "fal", "replicate"]
)
def test_a_dry_run_shows_the_request_and_sends_nothing_paid(provider: str, workspace: Path) -> None:
    model = {"modelark": "ep-1", "fal": "fal-ai/veo3", "replicate": "google/veo-3"}.get(provider)
    given = ("--sandbox", "--provider", provider, "--prompt", "a boat", *(("--model", model) if model else ()))
    with fast_sandbox():
        done = call("create_and_wait.py", *given, "--dry-run")
        assert done.exit_code == 0 and done.final["event"] == "plan" and done.final["valid"] is not False
        state = sandbox_state(ROOT) if (workspace / ROOT / ".sandbox" / "state.json").exists() else {"requests": []}
        assert [entry for entry in state["requests"] if entry["paid"] or entry["method"] != "GET"] == []
        assert done.final["next"] is None, "next never pays"
        assert not list((workspace / ROOT).glob("*/journal.jsonl")), "a dry run makes no run"

        # What `send` says is exactly this command without --dry-run, and makes what was shown.
        sent = call("create_and_wait.py", *given, "--no-wait")
        kept = json.loads((Path(sent.final["artifacts_dir"]) / "inputs" / "request.json").read_text(encoding="utf-8"))
        assert kept["payload"] == done.final["request"]["body"]
        again = call("create_and_wait.py", *given, "--dry-run")
        assert again.final["attaches_to"] == sent.final["run_id"]
    assert "--dry-run" not in done.final["send"] and str(SCRIPTS / "create_and_wait.py") in done.final["send"]


def test_the_plan_shows_method_url_body_price_and_balance(workspace: Path) -> None:
    (workspace / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0" * 60)
    with FaultServer(creatok()) as server:
        done = create(server, *PRICED, "--image", "p.png", "--dry-run")
        assert done.exit_code == 0
        request = done.final["request"]
        assert request["method"] == "POST" and request["url"] == server.base_url + "/api/open/skills/tasks"
        assert request["body"]["seconds"] == 10
        assert "IHDR" not in done.stdout and "p.png" in json.dumps(request["body"]["referenceImageKeys"])
        assert done.final["estimate"]["amount"] == 12 and done.final["estimate"]["unit"] == "credits"
        assert server.posts == [], "not even an upload"
        unpriced = create(server, "--model", "doubao-seedance-2", "--duration", "7", "--dry-run")
        assert unpriced.final["estimate"] is None, "unknown is null, never 0"
        impossible = create(server, "--model", "doubao-seedance-2", "--duration", "99", "--dry-run")
        assert impossible.exit_code == 22 and impossible.final["valid"] is False and "15" in impossible.stdout
        refused = create(server, "--model", "doubao-seedance-2", "--duration", "99")
        assert refused.exit_code == 22
        assert server.posts == []


def test_the_balance_is_shown_where_there_is_one() -> None:
    with fast_sandbox():
        for provider, unit in (("skills-video", "credits"), ("octopusx", "quota")):
            done = call("create_and_wait.py", "--sandbox", "--provider", provider, "--prompt", "p", "--dry-run")
            assert done.final["balance"]["unit"] == unit and done.final["balance"]["amount"] > 0


def test_a_dry_run_needs_no_key_and_then_asks_nobody() -> None:
    with FaultServer(json_answer({})) as server:
        done = call(
            "create_and_wait.py",
            "--base-url",
            server.base_url,
            "--prompt",
            "p",
            "--model",
            "openai/sora-2",
            "--dry-run",
        )
        assert done.exit_code == 0 and done.final["balance"] is None
        assert "SKILLS_VIDEO_API_KEY" in done.final["notes"][0]
        assert server.requests == []


@pytest.mark.parametrize("action", [html(502), json_answer({"code": 1, "msg": "no"}), json_answer([])])
def test_limits_and_prices_that_cannot_be_had_are_a_note(action: Any) -> None:
    with FaultServer(creatok(action)) as server:
        done = create(server, *PRICED, "--dry-run")
        assert done.exit_code == 0 and done.final["estimate"] is None


def test_limits_and_prices_of_a_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    from videotasks.core.workers import CallTimedOut, Mailbox
    from videotasks.network.flight import Flight

    def hangs(*_: Any, **__: Any) -> Any:
        raise CallTimedOut

    given_up: list[Flight] = []
    monkeypatch.setattr(Mailbox, "call", hangs)
    monkeypatch.setattr(Flight, "abort", lambda flight: given_up.append(flight))
    with FaultServer(silence_after_headers()) as server:
        done = create(server, *PRICED, "--dry-run")
    notes = [note for note in done.final["notes"] if "no answer in time" in note]
    assert done.exit_code == 0 and notes and len(given_up) == len(notes)


def test_a_dry_run_against_an_unreachable_host() -> None:
    with refused_port() as port:
        done = call(
            "create_and_wait.py", "--provider", "creatok", "--base-url", f"http://127.0.0.1:{port}", "--prompt", "p",
            *PRICED, "--dry-run", env=ENV,
        )  # fmt: skip
    assert done.exit_code == 0 and any("could not be asked for" in note for note in done.final["notes"])


def test_a_long_payload_stays_within_the_bound() -> None:
    payload = json.dumps({"prompt": "x" * 200_000, **{f"field_{n}": "y" * 300 for n in range(300)}})
    done = call(
        "create_and_wait.py", "--sandbox", "--model", "acme/new", "--payload-file", "-", "--dry-run", stdin=payload
    )
    assert done.exit_code in (0, 22) and len(done.stdout) < 8000


# -- the spending guard ------------------------------------------------------------------------------------------


def paid(server: FaultServer) -> int:
    return sum(request.target == "/api/open/skills/tasks" for request in server.posts)


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        (("--max-cost", "11credits"), "12 credits", "over_max_cost"),
        (("--max-cost", "11.99 credits"), "12 credits", "over_max_cost"),
        (("--max-cost", "0credits"), "12 credits", "over_max_cost"),
        (("--max-cost", "12USD"), "USD", None),
        (("--max-cost", "12"), "unit", None),
        (("--max-cost=-1credits",), "unit", None),
        (("--max-cost", "lots"), "unit", None),
    ],
)
@pytest.mark.parametrize("dry", [False, True])
def test_a_guard_that_refuses_sends_nothing_paid(
    options: tuple[str, ...], words: str, code: str | None, dry: bool
) -> None:
    with FaultServer(creatok()) as server:
        done = create(server, *PRICED, *options, *(("--dry-run",) if dry else ()))
        assert done.exit_code == 1, done
        assert words in json.dumps(done.error)
        assert code is None or done.error["code"] == code
        assert server.posts == []


@pytest.mark.parametrize("most", ["12credits", "12 Credits", "12.0credits", "1000credits"])
def test_a_guard_that_allows(most: str) -> None:
    with FaultServer(creatok()) as server:
        assert create(server, *PRICED, "--max-cost", most).exit_code == 0
        assert paid(server) == 1


def test_an_unknown_price_is_refused_unless_allowed() -> None:
    unpriced = ("--model", "doubao-seedance-2", "--duration", "7", "--max-cost", "20credits")
    with FaultServer(creatok()) as server:
        done = create(server, *unpriced)
        assert done.exit_code == 1 and done.error["code"] == "unknown_cost"
        assert "--allow-unknown-cost" in done.error["hint"]
        assert paid(server) == 0
        assert create(server, *unpriced, "--allow-unknown-cost").exit_code == 0
        assert paid(server) == 1


def test_the_guard_of_the_environment_and_the_flag_over_it() -> None:
    with FaultServer(creatok()) as server:
        done = create(server, *PRICED, env={"CREATOK_MAX_COST": "5credits"})
        assert done.exit_code == 1 and "CREATOK_MAX_COST" in done.error["message"]
        assert paid(server) == 0
        assert create(server, *PRICED, "--max-cost", "50credits", env={"CREATOK_MAX_COST": "5credits"}).exit_code == 0
        # Attaching costs nothing, whatever the limit.
        again = create(server, *PRICED, env={"CREATOK_MAX_COST": "5credits"})
        assert again.exit_code == 0 and again.final["attached"] is True
        assert paid(server) == 1


def test_the_unit_is_the_providers_own_even_where_no_price_is_published() -> None:
    given = ("--provider", "ark", "--prompt", "p", "--model", "doubao-seedance-1-5-pro-251215")
    with FaultServer(json_answer({"id": "t"})) as server:
        base = ("--base-url", server.base_url)
        wrong = call("create_and_wait.py", *given, *base, "--max-cost", "5USD", "--allow-unknown-cost", env=ENV)
        assert wrong.exit_code == 1 and "tokens" in wrong.error["expected"]
        assert server.requests == []
        right = call(
            "create_and_wait.py", *given, *base, "--max-cost", "500tokens", "--allow-unknown-cost", "--no-wait", env=ENV
        )
        assert right.exit_code == 0


def test_off_by_default() -> None:
    with FaultServer(creatok(html(502))) as server:
        assert create(server, *PRICED).exit_code == 0
        assert paid(server) == 1
