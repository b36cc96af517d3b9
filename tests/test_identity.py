"""The command is its own idempotency key: what makes two commands the same paid request, and what does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.commands import call, fast_sandbox
from support.faults import json_answer
from support.faultserver import FaultServer
from support.fileserver import png
from videotasks.identity import identity, new_run_id, valid_run_id

BASE: dict[str, Any] = {
    "mode": "real", "origin": "https://a.example", "method": "POST", "path": "/x", "body": b"{}", "take": 1,
}  # fmt: skip


def of(**changed: Any) -> str:
    return identity(**{**BASE, **changed})


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
    made = new_run_id("20261121-093000", of())
    assert valid_run_id(made) and made == "20261121-093000-" + of()[:10]


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
