"""The inspect_openapi command as people run it: the seed's command lines, one bounded document, exit codes."""

from __future__ import annotations

import gc
import importlib.util
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.commands import call, fast_sandbox
from support.parameters import most_are_slow
from videotasks.providers.load_profile import load_profile

STRING = {"type": "string"}


class Answer:
    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code = code
        self.out = out.decode("utf-8")
        self.err = err.decode("utf-8")

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def inspect_process(repo: Path) -> Any:
    """The command in a process of its own, for what only a process shows."""

    def run(*arguments: str, flags: tuple[str, ...] = (), **environment: str) -> Answer:
        command = [sys.executable, *flags, str(repo / "scripts" / "inspect_openapi.py"), *arguments]
        done = subprocess.run(command, capture_output=True, timeout=60, env={**os.environ, **environment}, check=False)
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def inspect(repo: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[Any]:
    """The entry script's `main` in this process, which is twenty times faster."""
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    monkeypatch.setattr(sys, "pycache_prefix", sys.pycache_prefix)
    path = repo / "scripts" / "inspect_openapi.py"
    loaded = importlib.util.spec_from_file_location("inspect_openapi_script", path)
    assert loaded is not None and loaded.loader is not None
    module = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", [str(path)])

    def run(*arguments: str, text: str = "") -> Answer:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode("utf-8"))))
        capfdbinary.readouterr()
        code = module.run(module.main, list(arguments))
        return Answer(code, *capfdbinary.readouterr())

    yield run
    gc.unfreeze()


def seed_like() -> dict[str, Any]:
    """A document of the shape that the seed's script was written for."""
    schema = {
        "type": "object",
        "required": ["prompt"],
        "properties": {
            "prompt": {"type": "string", "description": "What to show"},
            "duration": {"type": "integer", "enum": [5, 10], "default": 5},
            "mode": {"anyOf": [{"const": "std"}, {"const": "pro"}]},
            "status": {"type": "string", "readOnly": True},
        },
    }
    create = {
        "summary": "Create a video",
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Body"}}}},
        "responses": {"200": {"description": "ok"}, "402": {"description": "no credits"}, "4XX": {}, "default": {}},
    }
    return {
        "openapi": "3.0.3",
        "servers": [{"url": "/api"}],
        "paths": {
            "/v1/generation/maker/one": {"post": create},
            "/v1/generation/sse/maker/one": {"post": create},
            "/v1/generation/maker/two": {"post": create},
            "/v1/generation/{id}": {"get": {"responses": {"200": {"description": "a task"}}}},
            "/v1/predictions/{id}/subscribe": {"get": {"responses": {}}},
        },
        "components": {
            "schemas": {
                "Body": schema,
                "PredictionStatus": {"type": "string", "enum": ["starting", "succeeded"]},
                "QueueState": {"enum": ["IN_QUEUE", "COMPLETED"]},
            }
        },
    }


DOCS = {
    "navigation": {
        "tabs": [
            {
                "groups": [
                    {"group": "Videos", "pages": ["POST /v1/generation/maker/one", "POST /v1/generation/maker/two"]}
                ]
            }
        ]
    }
}


@pytest.fixture
def seed(workspace: Path) -> str:
    (workspace / "openapi.json").write_text(json.dumps(seed_like()), encoding="utf-8")
    (workspace / "docs.json").write_text(json.dumps(DOCS), encoding="utf-8")
    return str(workspace / "openapi.json")


def test_the_seeds_listing(inspect: Any, seed: str) -> None:
    answer = inspect("--openapi", seed, "--docs", "docs.json", "--list-endpoints", "--category", "videos")
    assert answer.code == 0
    found = answer.json
    expected = {
        "category": "videos",
        "source": os.path.abspath("docs.json"),
        "default_result_mode": "sse",
        "default_endpoints": ["POST /v1/generation/sse/maker/one", "POST /v1/generation/maker/two"],
        "sse_endpoints": ["POST /v1/generation/sse/maker/one"],
        "polling_endpoints": ["POST /v1/generation/maker/one", "POST /v1/generation/maker/two"],
        "poll_endpoint": "/v1/generation/{id}",
    }
    assert {key: found[key] for key in expected} == expected
    assert found["ok"] is True and "inspect_openapi.py" in found["next"]


def test_the_seeds_contract_and_template(inspect: Any, seed: str) -> None:
    arguments = (
        "--openapi",
        seed,
        "--endpoint",
        "POST /generation/maker/one",
        "--include-template",
        "--json-indent",
        "0",
    )
    answer = inspect(*arguments)
    found = answer.json
    assert answer.code == 0 and found["ok"] is True
    expected = {
        "endpoint": "POST /v1/generation/maker/one",
        "default_result_mode": "sse",
        "default_create_endpoint": "POST /v1/generation/sse/maker/one",
        "sse_create_endpoint": "POST /v1/generation/sse/maker/one",
        "polling_create_endpoint": "POST /v1/generation/maker/one",
        "summary": "Create a video",
        "server_url": "/api",
        "request_schema": "Body",
        "prediction_status_values": ["starting", "succeeded"],
        "queue_status_values": ["IN_QUEUE", "COMPLETED"],
        "sse_subscribe_endpoint": "/v1/predictions/{id}/subscribe",
        "poll_endpoint": "/v1/generation/{id}",
        "error_status_codes": [402],
        "request_template": {"prompt": "Describe what to generate", "duration": 5},
        "rate_limits": "unknown: conservative defaults used",
        "timeouts": "unknown: conservative defaults used",
    }
    assert {key: found[key] for key in expected} == expected
    assert found["error_responses"]["4XX"] == ""
    rows = {row["name"]: row for row in found["fields"]}
    assert rows["prompt"] == {"name": "prompt", "required": True, "type": "string", "description": "What to show"}
    assert rows["duration"]["default"] == 5 and rows["duration"]["allowed_values"] == [5, 10]
    assert rows["mode"]["allowed_values"] == ["std", "pro"]
    assert "status" not in rows


def test_listing_and_endpoint_together_are_one_document(inspect: Any, seed: str) -> None:
    found = inspect(
        "--openapi", seed, "--docs", "docs.json", "--list-endpoints", "--endpoint", "/generation/maker/two"
    ).json
    assert found["polling_endpoints"] and found["endpoint"] == "POST /v1/generation/maker/two"
    assert found["default_result_mode"] == "polling"


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["--openapi", "none.json", "--endpoint", "/x"], "File not found: none.json", 1),
        (["--openapi", "broken.json", "--endpoint", "/x"], "Invalid JSON in", 1),
        (
            ["--openapi", "openapi.json", "--endpoint", "POST /nothing"],
            "Endpoint not found in OpenAPI: POST /nothing",
            1,
        ),
        (["--openapi", "openapi.json"], "Provide --endpoint or use --list-endpoints only", 1),
        (["--openapi", "openapi.json", "--include-template"], "Provide --endpoint", 1),
        (
            ["--openapi", "openapi.json", "--endpoint", "/v1/generation/maker/one", "--validate", "none.json"],
            "Payload file not found: none.json",
            1,
        ),
        (["--openapi", "openapi.json", "--endpoint", "/v1/generation/maker/one", "--validate", ""], "given nothing", 1),
        (
            ["--openapi", "openapi.json", "--endpoint", "/v1/generation/maker/one", "--validate", "empty.json"],
            "is empty",
            1,
        ),
        (["--openapi", "schemas.json", "--endpoint", "/x"], "holds 1 schemas and no paths", 1),
        (
            ["--openapi", "openapi.json", "--endpoint", "/v1/generation/maker/one", "--validate", "{"],
            "Invalid JSON in",
            1,
        ),
        (
            ["--openapi", "openapi.json", "--endpoint", "/v1/generation/maker/one", "--validate", "[NaN]"],
            "Invalid JSON in",
            1,
        ),
        (["--openapi", "docs.json", "--list-endpoints"], "documentation navigation", 1),
        (["--endpoint", "/x"], "--openapi", 2),
        (["--openapi", "openapi.json", "--list-endpoints", "--category", "songs"], "songs", 2),
        (["--openapi", "openapi.json", "--list-endpoints", "--limit", "-1"], "--limit", 2),
    ],
)
def test_refusals(arguments: list[str], message: str, code: int, inspect: Any, seed: str) -> None:
    Path("broken.json").write_text('{"openapi": ', encoding="utf-8")
    Path("empty.json").write_text(" \n", encoding="utf-8")
    Path("schemas.json").write_text('{"openapi": "3.1.0", "components": {"schemas": {"A": {}}}}', encoding="utf-8")
    answer = inspect(*arguments)
    assert answer.code == code
    assert answer.json["ok"] is False and answer.json["exit_code"] == code
    assert message in answer.json["error"]["message"] or message == "songs"
    assert answer.json["error"]["category"] and answer.json["error"]["expected"]
    assert answer.err.strip() and "Traceback" not in answer.err


def test_validation(inspect: Any, seed: str) -> None:
    endpoint = ("--openapi", seed, "--endpoint", "/v1/generation/maker/one")
    Path("payload.json").write_text('\ufeff{"prompt": "a cat", "duration": 7}', encoding="utf-8")
    bad = inspect(*endpoint, "--validate", "payload.json")
    assert bad.code == 1 and bad.json["ok"] is False and bad.json["valid"] is False
    assert bad.json["errors"][0]["message"] == "duration: 7 is not one of 5, 10"
    assert bad.json["error"]["category"] == "validation" and "duration" in bad.err
    good = inspect(*endpoint, "--validate", "-", text='{"prompt": "a cat"}')
    assert good.code == 0 and good.json["ok"] is True and good.json["errors"] == []
    assert inspect(*endpoint, "--validate", '{"prompt": "a", "x": 1}').code == 1
    assert inspect(*endpoint, "--validate", '{"prompt": "a", "x": 1}', "--allow-unknown-fields").code == 0


def test_a_document_of_one_endpoint_needs_no_endpoint(inspect: Any, workspace: Path) -> None:
    spec = seed_like()
    spec["paths"] = {"/maker/model": spec["paths"]["/v1/generation/maker/one"]}
    (workspace / "one.json").write_text(json.dumps(spec), encoding="utf-8")
    assert inspect("--openapi", "one.json", "--include-template").json["endpoint"] == "POST /maker/model"


def test_search(inspect: Any, seed: str) -> None:
    found = inspect("--openapi", seed, "--search", "maker TWO").json
    assert [row["endpoint"] for row in found["endpoints"]] == ["POST /v1/generation/maker/two"] and found["total"] == 1
    assert inspect("--openapi", seed, "--search", "nothing here").json["total"] == 0


def test_what_was_not_checked_is_said(inspect: Any, workspace: Path) -> None:
    spec = seed_like()
    schema = spec["components"]["schemas"]["Body"]
    schema["properties"]["gone"] = {"$ref": "#/components/schemas/Gone"}
    schema["properties"]["odd"] = {"type": "string", "pattern": "(?<n>a)\\k<n>(", "default": "a"}
    spec["paths"]["/gone"] = {
        "post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Gone"}}}}}
    }
    (workspace / "gaps.json").write_text(json.dumps(spec), encoding="utf-8")
    arguments = ("--openapi", "gaps.json", "--endpoint")
    found = inspect(*arguments, "/v1/generation/maker/one", "--validate", '{"prompt": "a", "gone": 1, "odd": "b"}').json
    assert found["ok"] is True and len(found["unchecked"]) == 2 and "Gone" in found["unchecked"][0]
    found = inspect(*arguments, "/gone", "--include-template").json
    assert found["template_valid"] is False and found["request_template"] is None and found["unchecked"]
    assert inspect(*arguments, "/gone", "--validate", "{}").json["unchecked"]


def test_a_document_of_schemas_says_so(inspect: Any, workspace: Path) -> None:
    (workspace / "schemas.json").write_text('{"openapi": "3.1.0", "components": {"schemas": {"A": {}}}}')
    found = inspect("--openapi", "schemas.json", "--list-endpoints").json
    assert found["note"] == "the document holds 1 schemas and no paths" and found["total"] == 0


def test_a_profile_is_written_once_and_loads(inspect: Any, seed: str) -> None:
    spec = seed_like()
    answer = {"type": "object", "properties": {"id": STRING, "status": STRING, "video_url": STRING}}
    spec["paths"]["/v1/generation/{id}"]["get"]["responses"]["200"]["content"] = {
        "application/json": {"schema": answer}
    }
    spec["servers"] = [{"url": "https://api.acme.example"}]
    Path("acme.json").write_text(json.dumps(spec), encoding="utf-8")
    made = inspect("--openapi", "acme.json", "--make-profile", "acme.yaml")
    found = made.json
    assert made.code == 0 and found["provider"] == "acme" and found["poll"] == "GET /v1/generation/{id}"
    assert found["key_variable"] == "VIDEO_TASKS_KEY_ACME" and "--dry-run" in found["next_argv"]
    assert "status.map" in found["guessed"] and "# guessed:" in Path("acme.yaml").read_text(encoding="utf-8")
    again = inspect("--openapi", "acme.json", "--make-profile", "acme.yaml")
    assert again.code == 1 and "not replaced" in again.json["error"]["message"]
    mine = inspect("--openapi", "acme.json", "--make-profile", "luma.yaml")
    assert mine.code == 0 and mine.json["provider"] == "my-luma", "the name of a shipped provider is not to be had"
    for name in ("acme.txt", "no/such/folder.yaml"):
        assert inspect("--openapi", "acme.json", "--make-profile", name).code == 1 and not Path(name).exists()
    assert sorted(path.name for path in Path().glob(".*")) == []


def test_a_profile_knows_a_word_for_a_failure_and_its_rehearsal_runs(inspect: Any, seed: str) -> None:
    spec = seed_like()
    status = {"type": "string", "enum": ["PROCESSING", "COMPLETED"]}
    answer = {"type": "object", "properties": {"id": STRING, "status": status, "video_url": STRING}}
    spec["paths"]["/v1/generation/{id}"]["get"]["responses"]["200"]["content"] = {
        "application/json": {"schema": answer}
    }
    spec["servers"] = [{"url": "https://api.acme.example"}]
    Path("acme.json").write_text(json.dumps(spec), encoding="utf-8")
    assert inspect("--openapi", "acme.json", "--make-profile", "acme.yaml").code == 0
    assert load_profile("./acme.yaml").status.words["failed"] == "failed"
    with fast_sandbox():
        done = call(
            "create_and_wait.py", "--provider", "./acme.yaml", "--sandbox", "--model", "m", "--prompt", "a boat",
            "--poll-interval", "0.05",
        )  # fmt: skip
    assert done.exit_code == 0 and Path(done.final["video_file"]).stat().st_size > 1000


# ---------------------------------------------------------------- bounds


def huge() -> dict[str, Any]:
    """A thousand operations, and one body of 100 nested fields with long descriptions and enums."""
    text = "A long description of what this does. " * 40
    inner = {
        f"inner{n}": {"type": "string", "description": text, "enum": [f"value-{m}" for m in range(60)]}
        for n in range(40)
    }
    fields: dict[str, Any] = {
        f"field{n}": {"type": "object", "description": text, "properties": inner, "default": {"inner0": "value-1"}}
        for n in range(100)
    }
    body = {"type": "object", "required": ["prompt"], "properties": {"prompt": STRING, **fields}}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Body"}}}
    operation = {"summary": text, "description": text, "requestBody": {"content": content}, "responses": {}}
    paths = {f"/v1/videos/model-{n}/generate": {"post": operation} for n in range(1000)}
    return {"openapi": "3.1.0", "paths": paths, "components": {"schemas": {"Body": body}}}


VIDEO_7 = ("--endpoint", "/v1/videos/model-7/generate")
BOUNDED: dict[str, tuple[str, ...]] = {
    "list": ("--list-endpoints",),
    "search": ("--search", "videos"),
    "endpoint": VIDEO_7,
    "template": (*VIDEO_7, "--include-template"),
    "template and list": (*VIDEO_7, "--include-template", "--list-endpoints"),
    "validation": (*VIDEO_7, "--validate", json.dumps({f"x{n}": n for n in range(200)})),
    "nothing found": ("--endpoint", "/nothing" * 400),
    "indented": (*VIDEO_7, "--json-indent", "12"),
}


@pytest.mark.parametrize("name", most_are_slow(list(BOUNDED), "list", "template"))
def test_output_is_bounded_and_one_document(name: str, inspect: Any, workspace: Path) -> None:
    (workspace / "huge.json").write_text(json.dumps(huge()), encoding="utf-8")
    answer = inspect("--openapi", "huge.json", *BOUNDED[name])
    assert len(answer.out) < 8000
    assert isinstance(answer.json, dict)


@pytest.mark.slow  # a document of megabytes, four times
def test_limit_0_shows_everything_and_limit_n_that_many(inspect: Any, workspace: Path) -> None:
    (workspace / "huge.json").write_text(json.dumps(huge()), encoding="utf-8")
    found = inspect("--openapi", "huge.json", "--list-endpoints", "--limit", "0").json
    assert len(found["polling_endpoints"]) == len(found["endpoints"]) == found["total"] == 1000
    assert len(inspect("--openapi", "huge.json", "--list-endpoints", "--limit", "3").json["endpoints"]) == 3
    found = inspect("--openapi", "huge.json", "--endpoint", "/v1/videos/model-7/generate", "--limit", "0").json
    assert len(found["fields"]) == 101
    assert len(found["fields"][1]["fields"]) == 40 and len(found["fields"][1]["fields"][0]["allowed_values"]) == 60
    shortened = inspect("--openapi", "huge.json", "--endpoint", "/v1/videos/model-7/generate").json
    assert shortened["fields_left_out"] + len(shortened["fields"]) == 101
    assert shortened["fields"][0]["name"] == "prompt" and "--limit 0" in shortened["shortened"]


def test_hostile_text_of_a_specification_is_inert(inspect: Any, workspace: Path) -> None:
    evil = "\x1b]0;owned\x07\u202e\u2028\x9b2J\u3164\ufe01"
    spec = seed_like()
    operation = spec["paths"]["/v1/generation/maker/one"]["post"]
    operation["summary"] = operation["description"] = evil
    schema = spec["components"]["schemas"]["Body"]
    schema["properties"]["evil"] = {"type": "string", "default": evil, "enum": [evil], "description": evil}
    (workspace / "evil.json").write_text(json.dumps(spec), encoding="utf-8")
    answer = inspect("--openapi", "evil.json", "--endpoint", "/v1/generation/maker/one", "--include-template")
    assert not set(answer.out) & set("\x1b\x07\x9b\u202e\u2028\u3164\ufe01")
    assert answer.json["request_template"]["evil"] == evil  # escaped in the text, whole in the value


def test_numbers_that_json_lacks(inspect: Any, workspace: Path) -> None:
    text = (
        "openapi: 3.0.0\npaths:\n  /x:\n    post:\n      requestBody: {content: {application/json: {schema: "
        "{type: object, properties: {a: {type: number, default: .inf}, prompt: {type: string}}}}}}\n"
    )
    (workspace / "inf.yaml").write_text(text, encoding="utf-8")
    answer = inspect("--openapi", "inf.yaml", "--endpoint", "/x", "--include-template")
    assert answer.code == 0 and "Infinity" not in answer.out and answer.json["fields"][0]["default"] == "inf"


# ---------------------------------------------------------------- manners


def imported(answer: Answer) -> set[str]:
    return {line.rpartition("|")[2].strip() for line in answer.err.splitlines() if line.startswith("import time:")}


@pytest.mark.process
def test_help_and_plain_inspection_import_little(inspect_process: Any, seed: str) -> None:
    heavy = {"requests", "urllib3", "jsonschema", "yaml", "jmespath", "rich", "referencing"}
    helped = inspect_process("--help", flags=("-X", "importtime"))
    assert helped.code == 0 and len(helped.out) < 3000 and "exit codes" in helped.out and "examples" in helped.out
    assert not imported(helped) & heavy
    plain = inspect_process("--openapi", seed, "--endpoint", "/v1/generation/maker/one", flags=("-X", "importtime"))
    assert plain.code == 0 and not imported(plain) & heavy
    checked = inspect_process(
        "--openapi", seed, "--endpoint", "/v1/generation/maker/one", "--include-template", flags=("-X", "importtime")
    )
    assert "jsonschema" in imported(checked) and not imported(checked) & {"yaml", "jmespath", "rich"}


@pytest.mark.process
def test_nothing_is_written_beside_the_scripts_or_the_document(
    inspect_process: Any, seed: str, repo: Path, workspace: Path
) -> None:
    before = sorted(path for path in (repo / "scripts").rglob("*") if "__pycache__" not in path.parts)
    inspect_process("--openapi", seed, "--list-endpoints")
    assert sorted(path for path in (repo / "scripts").rglob("*") if "__pycache__" not in path.parts) == before
    assert sorted(path.name for path in workspace.iterdir()) == ["docs.json", "openapi.json"]


@pytest.mark.process
def test_a_console_that_is_no_unicode(inspect_process: Any, workspace: Path) -> None:
    spec = seed_like()
    spec["paths"]["/v1/generation/maker/one"]["post"]["summary"] = "创建视频"
    (workspace / "cn.json").write_text(json.dumps(spec), encoding="utf-8")
    answer = inspect_process(
        "--openapi", "cn.json", "--endpoint", "/v1/generation/maker/one", PYTHONIOENCODING="ascii", PYTHONUTF8="0"
    )
    assert answer.code == 0 and answer.json["summary"] == "创建视频"
    assert inspect_process("--openapi", "视频.json", "--endpoint", "/x", PYTHONIOENCODING="ascii").code == 1


@pytest.mark.process
def test_keys_are_not_taken_as_arguments(inspect_process: Any, seed: str) -> None:
    answer = inspect_process("--openapi", seed, "--list-endpoints", "--api-key", "sk-secret")
    assert answer.code == 2 and "sk-secret" not in answer.out + answer.err
