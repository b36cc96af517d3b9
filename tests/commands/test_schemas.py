"""The schemas of result.json and of stdout, held against real sandbox runs of every command."""

from __future__ import annotations

import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from support.commands import call
from support.parameters import most_are_slow

REPO = Path(__file__).resolve().parents[2]
SCHEMAS = REPO / "shared" / "schemas"
ONE_DOCUMENT = {"inspect_openapi.py"}  # prints a document, not lines


@cache
def validator(name: str) -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def breaches(name: str, document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:300]}" for error in validator(name).iter_errors(document)]


def run(command: str) -> tuple[int, list[dict[str, Any]]]:
    """One command as an assistant runs it; its exit code and its lines, held to the schema by support.commands."""
    script, *arguments = shlex.split(command)
    done = call(script, *arguments, unbounded=True)
    return done.exit_code, done.lines


def check_results(folder: Path) -> list[dict[str, Any]]:
    documents = []
    for path in sorted((folder / "task-status" / ".artifacts").glob("*/outputs/result.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        assert not breaches("result", document), f"{path}\n{breaches('result', document)}"
        for entry in document["files"]:
            assert (path.parent.parent / entry["path"]).stat().st_size == entry["bytes"]
        documents.append(document)
    return documents


MODELS = {"fal": "--model fal-ai/veo3", "replicate": "--model bytedance/seedance-1-lite"}


PROVIDERS = ["skills-video", "creatok", "octopusx", "ark", "modelark", "openai-compatible", "fal", "replicate"]


@pytest.mark.parametrize("provider", most_are_slow(PROVIDERS, "skills-video", "ark"))
def test_a_finished_run_of_each_provider(provider: str, workspace: Path) -> None:
    options = f"--sandbox --provider {provider} {MODELS.get(provider, '')} --prompt 'a paper boat'"
    code, lines = run(f"create_and_wait.py {options} --verbose")
    assert code == 0 and lines[-1]["event"] == "terminal"
    (document,) = check_results(workspace)
    assert document["outcome"] == "succeeded" and document["files"]


TROUBLE = [  # scenario, provider, exit code, event of the last line, outcome in result.json
    ("failed", "skills-video", 10, "terminal", "failed"),
    ("cancelled", "ark", 10, "terminal", "cancelled"),
    ("moderation", "creatok", 10, "terminal", "failed"),
    ("moderation", "skills-video", 26, "error", "refused"),
    ("no-credits", "octopusx", 20, "error", "refused"),
    ("wrong-key", "ark", 21, "error", "refused"),
    ("lost-answer", "ark", 3, "error", "submission_unknown"),
    ("lost-answer-5xx", "creatok", 3, "error", "submission_unknown"),
    ("stalled", "ark", 11, "timeout", "submitted"),
    ("unknown-status", "octopusx", 0, "terminal", "succeeded"),
    ("injection", "ark", 10, "terminal", "failed"),
    ("stream-drop", "skills-video", 0, "terminal", "succeeded"),
    ("json-instead-of-stream", "skills-video", 0, "terminal", "succeeded"),
]


@pytest.mark.parametrize(("scenario", "provider", "code", "event", "outcome"), TROUBLE)
def test_trouble(scenario: str, provider: str, code: int, event: str, outcome: str, workspace: Path) -> None:
    wait = "--poll-timeout 1" if scenario == "stalled" else "--poll-timeout 30"
    options = f"--sandbox --provider {provider} --sandbox-scenario {scenario} --prompt 'a kite' {wait}"
    returned, lines = run(f"create_and_wait.py {options} --verbose")
    assert (returned, lines[-1]["event"]) == (code, event)
    documents = check_results(workspace)
    assert [document["outcome"] for document in documents] == [outcome]


def test_the_commands_about_runs_that_exist(workspace: Path) -> None:
    sandbox = "--sandbox --provider ark"
    run(f"create_and_wait.py {sandbox} --sandbox-scenario slow:3 --prompt one --run-id one --no-wait")
    run(f"create_and_wait.py {sandbox} --sandbox-scenario slow:3 --prompt two --run-id two --no-wait")
    for command in (
        f"create_and_wait.py {sandbox} --prompt three --dry-run",
        "task_status.py --sandbox --latest",
        "task_status.py --sandbox --run-id one --cancel",
        "task_status.py --sandbox --refresh",
        "wait_generation.py --sandbox --all-unfinished --timeout 30",
        "wait_generation.py --sandbox --run-id one --timeout 30 --no-download --verbose",
        "task_status.py --sandbox --list --status succeeded --since 2h --limit 5",
        "task_status.py --sandbox --provider ark --list --remote",
        "task_status.py --sandbox --run-id two --download --output copy.mp4",
        "task_status.py --sandbox --latest",
        f"create_and_wait.py {sandbox} --prompt one",
        "sandbox.py --log task-status/.artifacts/.sandbox/state.json --limit 2",
        "ensure_api_key.py --sandbox --verify",
        "ensure_api_key.py --all",
        "list_models.py --search kling",
        "list_models.py --model kling-ai/kling-v2.6",
        "ensure_api_key.py --provider creatok",
        'handle_runtime_error.py --status 402 --body \'{"message": "insufficient credits"}\'',
        "handle_runtime_error.py --status 200 --body '{}'",
    ):
        run(command)
    documents = check_results(workspace)
    assert len(documents) == 2


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("create_and_wait.py --prompt x --model openai/sora-2", 1),
        ("create_and_wait.py --prompt x --provider nobody", 1),
        ("create_and_wait.py --prompt x", 1),
        ("create_and_wait.py --sandbox --prompt x --payload '[1]'", 1),
        ("create_and_wait.py --sandbox --sandbox-scenario nonsense --prompt x", 1),
        ("create_and_wait.py --no-such-option", 2),
        ("wait_generation.py", 1),
        ("task_status.py", 1),
        ("task_status.py --run-id ../escape", 1),
        ("task_status.py gen_1 --provider skills-video", 1),
        ("task_status.py --sandbox gen_1 --provider skills-video", 23),
        ("sandbox.py --log nowhere.json", 1),
    ],
)
def test_mistakes_are_told_in_the_same_form(command: str, code: int, workspace: Path) -> None:
    returned, lines = run(command)
    assert (returned, lines[-1]["event"]) == (code, "error")


def test_the_schema_knows_every_event_that_the_code_prints() -> None:
    printed = {"ready", "stopped", "log"}
    for path in (REPO / "scripts" / "videotasks").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        printed |= set(re.findall(r"\.(?:event|final)\(\s*\"([a-z_]+)\"", text))
    known = set(validator("events").schema["properties"]["event"]["enum"])
    assert printed <= known, f"not in events.schema.json: {sorted(printed - known)}"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"event": "terminal", "final": True, "ok": True, "exit_code": 10}, "ok with a failure's code"),
        ({"event": "warning", "ok": True}, "ok on a line that is not the last"),
        ({"event": "surprise"}, "an event that nobody documented"),
        ({"event": "status", "status": "COMPLETED"}, "a provider's word as ours"),
        ({"event": "list", "total": 1}, "a list that is not final"),
        ({"event": "warning", "message": "x", "surprise": 1}, "a member that nobody documented"),
    ],
)
def test_the_schema_refuses_what_no_command_may_print(line: dict[str, Any], why: str) -> None:
    assert breaches("events", line), why


def test_the_schema_refuses_a_result_that_claims_without_proof() -> None:
    schema = validator("result").schema
    document = dict.fromkeys(schema["required"])
    document |= {"schema_version": 1, "run_id": "r", "provider": "ark", "sandbox": False, "files": [], "summary": "x"}
    document |= {"status": "unknown", "outcome": "submission_unknown"}
    assert not breaches("result", document)
    assert breaches("result", document | {"status": "succeeded", "outcome": "succeeded"}), "no task id, no output"
    assert breaches("result", document | {"task_id": "t"}), "an unknown submission has no id"
    assert breaches("result", document | {"status": "COMPLETED"})
