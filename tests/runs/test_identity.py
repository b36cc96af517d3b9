"""The command is its own idempotency key: what makes two commands the same paid request, and what does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.commands import call, fast_sandbox
from support.faults import json_answer
from support.faultserver import FaultServer
from support.fileserver import png
from videotasks.request.build import CommonInputs, asked
from videotasks.runs.identity import Identity, body_key, intent_key, new_run_id, valid_run_id

BASE: dict[str, Any] = {
    "mode": "real", "origin": "https://a.example", "method": "POST", "path": "/x", "body": b"{}", "take": 1,
}  # fmt: skip


def of(**changed: Any) -> str:
    return body_key(**{**BASE, **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"mode": "sandbox"},
        {"origin": "https://b.example"},
        {"method": "PUT"},
        {"path": "/y"},
        {"body": b"{} "},
        {"take": 2},
    ],
)
def test_each_part_counts(changed: dict[str, Any]) -> None:
    assert of(**changed) != of()


def test_equal_parts_make_an_equal_identity_whatever_the_spelling_of_the_method() -> None:
    assert of() == of(method="post") and len(of()) == 64


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_parts_cannot_run_into_each_other(a: str, b: str, c: str, d: str) -> None:
    if (a, b) != (c, d):
        assert of(origin=a, path=b) != of(origin=c, path=d)


@given(st.text(max_size=80))
def test_a_run_id_is_a_plain_folder_name_on_every_system(text: str) -> None:
    if valid_run_id(text):
        assert text.isascii() and 0 < len(text) <= 64
        assert not set(text) & set('/\\:*?"<>| \0\n') and not text.startswith((".", "-")) and not text.endswith(".")


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a/b", "a\\b", "CON", "nul.txt", "a.", "-x", "x" * 65, "a\n", "\u00e9"]
)
def test_names_that_are_no_run_id(text: str) -> None:
    assert not valid_run_id(text)


def test_a_generated_run_id_is_valid_and_short() -> None:
    made = new_run_id("20261121-093000", "a" * 64, of())
    assert valid_run_id(made) and made == "20261121-093000-aaaaa-" + of()[:4]
    assert Identity("a" * 64, "").may_be(made) and Identity("", of()).may_be(made + "-2")
    assert not Identity("b" * 64, "c" * 64).may_be(made) and Identity("b" * 64, "c" * 64).may_be("mine")


# -- as commands -------------------------------------------------------------------------------------------------

ENV = {"SKILLS_VIDEO_API_KEY": "sk-CANARY-7f3a", "CREATOK_API_KEY": "sk-CANARY-7f3a"}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(json_answer({"id": "gen_1", "status": "IN_QUEUE"})) as made:
        yield made


def create(server: FaultServer, *arguments: str, **options: Any) -> str:
    """The run id that a create made or attached to."""
    done = call("create_and_wait.py", "--base-url", server.base_url, "--no-wait", *arguments, env=ENV, **options)
    assert done.exit_code == 0, done
    return str(done.final["run_id"])


SORA = ("--model", "openai/sora-2")
SAME = [
    ((*SORA, "--prompt", "p", "--duration", "4"), (*SORA, "--duration", "4", "--prompt", "p")),
    ((*SORA, "--prompt", "p", "--duration", "4"), (*SORA, "--prompt", "p", "--set", "duration=4")),
    ((*SORA, "--prompt", "p"), (*SORA, "--payload", '{"prompt": "p"}')),
    ((*SORA, "--payload", '{"a": 1, "prompt": "p"}'), (*SORA, "--payload", '{ "prompt":"p","a":1 }')),
    ((*SORA, "--prompt", "p"), ("--sse-endpoint", "/generation/sse/openai/sora-2", "--payload", '{"prompt": "p"}')),
    ((*SORA, "--prompt", "p"), ("--sse-endpoint", "/generation/openai/sora-2", "--payload", '{"prompt": "p"}')),
    ((*SORA, "--prompt", "p"), (*SORA, "--prompt", "p", "--poll-timeout", "5", "--no-download", "--verbose")),
    ((*SORA, "--prompt", "p"), (*SORA, "--prompt", "p", "--run-id", "mine")),
    ((*SORA, "--prompt", "p"), (*SORA, "--prompt", "p", "--take", "1")),
]
OTHER = [
    ((*SORA, "--prompt", "p"), (*SORA, "--prompt", "q")),
    ((*SORA, "--prompt", "p"), (*SORA, "--prompt", "p", "--take", "2")),
    ((*SORA, "--prompt", "p"), (*SORA, "--prompt", "p", "--duration", "4")),
    ((*SORA, "--prompt", "p"), ("--model", "openai/sora-2-pro", "--prompt", "p")),
    ((*SORA, "--payload", '{"a": 1}'), (*SORA, "--payload", '{"a": "1"}')),
    ((*SORA, "--payload", '{"a": 1}'), (*SORA, "--payload", '{"a": true}')),
    ((*SORA, "--payload", '{"a": null}'), (*SORA, "--payload", '{"b": null}')),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_the_same_request_is_paid_once(server: FaultServer, first: Any, second: Any) -> None:
    assert create(server, *first) == create(server, *second)
    assert server.posts_taken == 1


@pytest.mark.parametrize(("first", "second"), OTHER)
def test_another_request_is_another_one(server: FaultServer, first: Any, second: Any) -> None:
    assert create(server, *first) != create(server, *second)
    assert server.posts_taken == 2


def test_a_file_counts_by_its_content_and_role_and_not_by_its_name(server: FaultServer, workspace: Path) -> None:
    (workspace / "a.png").write_bytes(png())
    (workspace / "deep").mkdir()
    (workspace / "deep" / "b.png").write_bytes(png())
    (workspace / "c.png").write_bytes(png() + b"\0")
    given = (*SORA, "--prompt", "p", "--image")
    first = create(server, *given, "a.png")
    assert create(server, *given, "deep/b.png") == first
    assert create(server, *given, str(workspace / "a.png")) == first
    (workspace / "a.png").write_bytes((workspace / "c.png").read_bytes())
    assert create(server, *given, "a.png") != first
    assert server.posts_taken == 2


def test_another_origin_is_another_request(server: FaultServer) -> None:
    with FaultServer(json_answer({"id": "gen_2", "status": "IN_QUEUE"})) as other:
        assert create(server, *SORA, "--prompt", "p") != create(other, *SORA, "--prompt", "p")
        assert server.posts_taken == other.posts_taken == 1


def test_the_sandboxs_port_is_no_part_of_it() -> None:
    with fast_sandbox(400):
        given = ("create_and_wait.py", "--sandbox", "--prompt", "p", "--duration", "4", "--no-wait")
        assert call(*given).final["run_id"] == call(*given).final["run_id"]


# -- the intent ----------------------------------------------------------------------------------------------------

PROFILE = """
name: mine
base_url: {base}
auth: {{}}
create: {{path: /videos, id: [id]{more}}}
status: {{path: "/videos/{{task_id}}", value: [status], map: {{queued: [IN_QUEUE], succeeded: [done]}}}}
result: {{video: [url]}}
inputs: {{prompt: {{to: prompt}}, model: {{to: {model}}}, duration: {{to: duration}}}}
"""


@pytest.mark.parametrize(
    "changed",
    [{"more": ", body: {n: 1}"}, {"model": "model_name"}, {"more": ", headers: {}"}],
    ids=["a fixed member more", "a member renamed", "broken"],
)
def test_a_profile_that_is_edited_does_not_make_the_same_command_pay_again(
    server: FaultServer, workspace: Path, changed: dict[str, str]
) -> None:
    words = {"base": server.base_url, "more": "", "model": "model"}
    profile = workspace / "mine.yaml"
    given = ("create_and_wait.py", "--provider", "./mine.yaml", "--model", "m", "--prompt", "p", "--no-wait")
    env = {"VIDEO_TASKS_KEY_MINE": "sk-CANARY-7f3a"}
    profile.write_text(PROFILE.format(**words), encoding="utf-8")
    first = call(*given, env=env)
    profile.write_text(PROFILE.format(**words | changed), encoding="utf-8")
    again = call(*given, env=env)
    assert first.exit_code == 0 and server.posts_taken == 1
    if "headers" not in changed.get("more", ""):  # a knob that is none is refused, which costs nothing either
        assert again.final["run_id"] == first.final["run_id"] and again.final["attached"] is True


def test_either_key_finds_the_run() -> None:
    made = {"intent": "a" * 64, "identity": "b" * 64}
    assert Identity("a" * 64, "x").fits(made) and Identity("x", "b" * 64).fits(made)
    assert not Identity("x", "y").fits(made)
    assert not Identity("b" * 64, "a" * 64).fits(made)


INTENT: dict[str, Any] = {"mode": "real", "provider": "p", "origin": "https://a.example/v1", "asked": {}, "take": 1}


@pytest.mark.parametrize(
    "changed",
    [{"mode": "sandbox"}, {"provider": "q"}, {"origin": "https://a.example/v2"}, {"asked": {"x": 1}}, {"take": 2}],
)
def test_each_part_of_the_intent_counts(changed: dict[str, Any]) -> None:
    assert intent_key(**{**INTENT, **changed}) != intent_key(**INTENT)


def test_every_request_option_is_part_of_the_intent() -> None:
    """An option that is left out would hand one request the video of another."""
    base: dict[str, Any] = {"prompt": "p", "model": "m"}
    changes: dict[str, Any] = {
        "prompt": "q", "model": "n", "duration": "5", "ratio": "9:16", "resolution": "720p", "seed": "7",
        "image": [(None, "https://a.example/x.png")], "video": [(None, "https://a.example/x.mp4")],
        "audio": [(None, "https://a.example/x.mp3")], "set_values": [("a", 1)], "payload": {"a": 1},
        "endpoint": "/x", "kind": "k",
    }  # fmt: skip
    assert {*changes, "links"} == set(CommonInputs.__annotations__)
    seen = [asked(CommonInputs(**base), ())]
    for name, value in changes.items():
        told = asked(CommonInputs(**{**base, name: value}), ())
        assert told not in seen, name
        seen.append(told)
    for of in ("run a last_frame", "run b last_frame"):  # what is taken of a run counts by that run, not by its place
        told = asked(CommonInputs(**base, image=[(None, "x.png")], links={"x.png": of}), ())
        assert told not in seen and told["image"] == [[None, of]]
        seen.append(told)


def test_one_length_in_several_spellings_is_one_intent() -> None:
    told = [asked(CommonInputs(prompt="p", duration=value), ()) for value in (5, 5.0, "5", "5.0")]
    assert all(one == told[0] for one in told)
    endpoints = ["/generation/x", "POST /generation/x/", "https://a.example/generation/x"]
    told = [asked(CommonInputs(endpoint=text), ()) for text in endpoints]
    assert all(one == told[0] for one in told)


def test_two_base_paths_of_one_origin_are_two_accounts(server: FaultServer) -> None:
    given = ("create_and_wait.py", "--provider", "openai-compatible", "--model", "m", "--prompt", "p", "--no-wait")
    env = {"OPENAI_COMPATIBLE_API_KEY": "sk-CANARY-7f3a"}
    one = call(*given, "--base-url", server.base_url + "/a/v1", env=env)
    other = call(*given, "--base-url", server.base_url + "/b/v1", env=env)
    assert one.exit_code == other.exit_code == 0 and one.final["run_id"] != other.final["run_id"]
    assert server.posts_taken == 2
    latest = call(
        "task_status.py",
        "--latest",
        "--provider",
        "openai-compatible",
        "--base-url",
        server.base_url + "/a/v1",
        env=env,
    )
    assert latest.final["run_id"] == one.final["run_id"]


# -- runs of version 0.1 -------------------------------------------------------------------------------------------


def aged(root: Path, run_id: str, **changes: Any) -> None:
    """Make a run what version 0.1 left of it."""
    path = root / run_id / "inputs" / "request.json"
    request = json.loads(path.read_text(encoding="utf-8"))
    del request["intent"]
    parts = urlsplit(request["origin"])
    request.update(schema_version=1, identity="0" * 64, origin=f"{parts.scheme}://{parts.netloc}", **changes)
    path.write_text(json.dumps(request), encoding="utf-8")
    shutil.rmtree(root / ".claims")
    path.parent.parent.rename(root / (run_id[:16] + "0123456789"))


def test_a_run_of_version_0_1_stops_the_create_and_is_named(server: FaultServer, workspace: Path) -> None:
    root = workspace / "task-status" / ".artifacts"
    base = server.base_url + "/api/v1"
    given = ("create_and_wait.py", "--base-url", base, *SORA, "--prompt", "p", "--no-wait")
    first = call(*given, env=ENV)
    aged(root, first.final["run_id"])
    again = call(*given, env=ENV)
    assert again.exit_code == 1 and again.error["code"] == "made_by_earlier_version" and server.posts_taken == 1
    (old,) = [path.name for path in root.iterdir() if path.name[:1].isdigit()]
    assert old in again.error["message"] and old in again.final["next_argv"]
    looked = call("task_status.py", "--run-id", old, "--base-url", base, env=ENV)
    assert looked.exit_code == 0 and looked.final["task_id"] == "gen_1"
    assert call(*given, "--take", "2", env=ENV).exit_code == 0 and server.posts_taken == 2


def test_a_run_of_version_0_1_of_another_request_stops_nothing(server: FaultServer, workspace: Path) -> None:
    root = workspace / "task-status" / ".artifacts"
    base = server.base_url + "/api/v1"
    first = call("create_and_wait.py", "--base-url", base, *SORA, "--prompt", "p", "--no-wait", env=ENV)
    aged(root, first.final["run_id"])
    other = call("create_and_wait.py", "--base-url", base, *SORA, "--prompt", "q", "--no-wait", env=ENV)
    assert other.exit_code == 0 and server.posts_taken == 2
