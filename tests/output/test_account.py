"""The account for people: what came of it, why not, what was expected, and the way on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from support.commands import SCRIPTS, call, environment, fast_sandbox
from videotasks.core.errors import Category, TaskError
from videotasks.output import account
from videotasks.output.reporter import Reporter

WAIT = ["python3", "/skill/scripts/wait_generation.py", "--run-id", "r 1"]


def both(text: bool) -> tuple[Reporter, Any, Any]:
    out, err = io.BytesIO(), io.StringIO()
    return Reporter(stdout=out, stderr=err, text=text), lambda: out.getvalue().decode(), err.getvalue


def test_a_plan_says_who_names_the_members_and_what_the_price_takes_for_granted() -> None:
    plan = {
        "event": "plan", "request": {"method": "POST", "url": "u", "body": {}}, "checked_against": "catalogue",
        "checked_source": {"where": "https://docs.example", "date": "2026-11-26"},
        "estimate": {"amount": 1.25, "unit": "USD", "assumed": {"resolution": "1080p"}},
        "day": {"spent": 2.0, "limit": 5.0, "unit": "USD"},
    }  # fmt: skip
    lines = list(account.result_lines(plan))
    assert "  names       by the catalogue, https://docs.example, 2026-11-26" in lines
    assert "  price       1.25 USD, if resolution is 1080p" in lines and "  today       2.0 of 5.0 USD" in lines
    done = {"event": "terminal", "status": "succeeded", "cost": {"amount": 0.4, "unit": "USD"},
            "expected_cost": {"amount": 0.35, "unit": "USD"}}  # fmt: skip
    assert "  cost    0.4 USD  (0.35 USD expected)" in list(account.result_lines(done))


@pytest.mark.parametrize("text", [False, True])
def test_reason_expectation_and_way_on_stand_on_stderr_in_every_mode(text: bool) -> None:
    reporter, _, people = both(text)
    error = TaskError(
        Category.VALIDATION, "no such model", expected="one of two", hint="look", server_message="bad\nid"
    )
    reporter.error(error, next_argv=WAIT)
    assert people().splitlines() == [
        "error: no such model (look)",
        "the provider says: bad\\nid",
        "expected: one of two",
        "go on: python3 /skill/scripts/wait_generation.py --run-id 'r 1'",
    ]


def test_after_an_interrupt_the_command_stands_on_stderr() -> None:
    reporter, _, people = both(False)
    reporter.final("interrupted", 130, next_argv=WAIT, error={"category": "interrupted", "message": "said before"})
    assert people().startswith("go on: ") and "said before" not in people()


def test_the_way_on_is_never_cut() -> None:
    reporter, _, people = both(False)
    reporter.final("error", 24, next_argv=[*WAIT, "x" * 1500])
    assert "x" * 1500 in people()


def test_a_step_of_a_long_wait_tells_a_machine_its_command_once_and_a_person_in_full() -> None:
    reporter, _, people = both(False)
    reporter.final("timeout", 11, next_argv=WAIT, error={"category": "timeout"})
    assert people() == "not finished yet, nothing is lost: go on with next\n"
    reporter, _, people = both(True)
    reporter.final("timeout", 11, next_argv=WAIT, error={"category": "timeout"})
    assert "go on: python3" in people()


def test_text_has_no_json_and_says_length_pixels_bytes_cost_and_copy() -> None:
    reporter, said, _ = both(True)
    reporter.event("created", task_id="t")
    reporter.event("warning", message="the disk is full")
    reporter.final(
        "terminal", 0, status="succeeded", video_file="/w/video.mp4", copied_to="/w/boat.mp4",
        video={"duration_s": 4.0, "width": 1280, "height": 720, "bytes": 1_250_000},
        cost={"amount": 12.0, "unit": "credits"}, task_id="t", provider="p", run_id="r",
    )  # fmt: skip
    text = said()
    assert "{" not in text and "note: the disk is full" in text
    assert "/w/video.mp4  (4 s, 1280x720, 1.2 MB)" in text and "/w/boat.mp4" in text and "12 credits" in text


def test_an_unknown_cost_is_unknown() -> None:
    assert account.amount(None) == account.amount({}) == "unknown"
    assert account.amount({"amount": 0, "unit": "credits"}) == "0 credits"


@pytest.mark.parametrize(("count", "words"), [(0, "0 B"), (999, "999 B"), (1_250_000, "1.2 MB"), (3e9, "3.0 GB")])
def test_sizes(count: float, words: str) -> None:
    assert account.size(count) == words


def test_text_that_nobody_reads_goes_to_stderr() -> None:
    class Broken(io.BytesIO):
        def write(self, _: Any) -> int:
            raise BrokenPipeError

    err, kept = io.StringIO(), []
    reporter = Reporter(stdout=Broken(), stderr=err, text=True)
    reporter.on_closed = kept.append
    reporter.people("ready")
    reporter.final("terminal", 0, task_id="t")
    assert "ready" in err.getvalue() and kept[0]["task_id"] == "t"


def text_of(tmp_path: Path, script: str, *arguments: str) -> str:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, str(SCRIPTS / script), *arguments, "--text"],
        capture_output=True, text=True, cwd=tmp_path, env=environment(VIDEO_TASKS_SANDBOX_SPEED="20"),
    )  # fmt: skip
    assert '{"' not in done.stdout and "Traceback" not in done.stderr, done
    return done.stdout


@pytest.mark.process
def test_commands_with_text_speak_to_people(tmp_path: Path) -> None:
    create = ("create_and_wait.py", "--sandbox", "--prompt", "a boat", "--duration", "4")
    plan = text_of(tmp_path, *create, "--dry-run")
    assert "would send  POST" in plan and "prompt: a boat" in plan and "send it: " in plan
    made = text_of(tmp_path, *create, "--output", "boat.mp4")
    assert "created task" in made and str(tmp_path / "boat.mp4") in made
    with fast_sandbox():
        listed = text_of(tmp_path, "task_status.py", "--sandbox", "--list")
    assert "a boat" in listed and "1 in all, 0 unfinished" in listed
    assert "yes" in text_of(tmp_path, "ensure_api_key.py", "--all") or "no " in text_of(
        tmp_path, "ensure_api_key.py", "--all"
    )


def test_json_stays_the_default(tmp_path: Path) -> None:
    assert call("wait_generation.py", "--all-unfinished", "--artifacts-dir", str(tmp_path)).final["event"] == "list"
