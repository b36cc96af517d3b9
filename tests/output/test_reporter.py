"""Lines for machines and words for people: bounded, redacted, whole on every console and on none."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videotasks.core import redaction
from videotasks.core.errors import (
    ApiError,
    Category,
    ExitCode,
    TaskError,
    api_error_fields,
    category_message,
    error_fields,
)
from videotasks.output.reporter import Reporter, shortened

SECRET = "sk-CANARY-7f3a"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A reporter and what it printed: (reporter, lines(), people())."""
    redaction.remember(SECRET)
    out, err = io.BytesIO(), io.StringIO()

    def make(**options: Any) -> tuple[Reporter, Any, Any]:
        reporter = Reporter(stdout=out, stderr=err, **options)
        return reporter, lambda: [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue

    return make


def test_one_line_an_event_without_empty_members(said: Any) -> None:
    reporter, lines, _ = said()
    reporter.event("created", task_id="t", status=None, zero=0, empty="")
    assert lines() == [{"event": "created", "task_id": "t", "zero": 0, "empty": ""}]


def test_verbose_events_only_when_verbose(said: Any) -> None:
    quiet, lines, _ = said()
    quiet.event("poll", attempt=1)
    assert lines() == []
    loud, lines, _ = said(verbose=True)
    loud.event("poll", attempt=1)
    assert [line["event"] for line in lines()] == ["poll"]


@pytest.mark.parametrize("code", [0, 1, 3, 10, 11, 27, 130])
def test_the_final_line(said: Any, code: int) -> None:
    reporter, lines, _ = said(sandbox=True)
    assert reporter.final("terminal", code, next_argv=["py", "a b.py"], hint="h", extra=None) == code
    (line,) = lines()
    assert line["final"] is True and line["ok"] is (code == 0) and line["exit_code"] == code
    assert line["sandbox"] is True and line["next_argv"] == ["py", "a b.py"] and "a b.py" in line["next"]
    assert line["extra"] is None, "members of a final line stay, also when they are null"


def test_there_is_one_final_line(said: Any) -> None:
    reporter, lines, _ = said()
    reporter.final("terminal", ExitCode.OK)
    reporter.final("error", 1)
    reporter.error(TaskError(Category.AUTH, "x"))
    assert len(lines()) == 1


def test_an_error_has_its_message_beside_it_for_clients_of_old(said: Any) -> None:
    reporter, lines, people = said()
    error = TaskError(
        Category.VALIDATION, "no such model", expected="a model", hint="look", code="C", server_message="x"
    )
    assert reporter.error(error, provider="p") == 22
    (line,) = lines()
    assert line["event"] == "error" and line["message"] == line["error"]["message"] == "no such model"
    assert line["error"]["category"] == "validation" and line["error"]["server_message"] == "x"
    assert "no such model (look)" in people()


# -- bounds ------------------------------------------------------------------------------------------------------


def test_a_status_that_flaps_does_not_fill_the_output(said: Any) -> None:
    reporter, lines, _ = said()
    for number in range(5000):
        reporter.event("status", status="queued" if number % 2 else "running")
        reporter.event("warning", server_message="POLISHING" + "x" * 200 + str(number))
    reporter.event("created", task_id="t" * 256)
    reporter.event("status", status="succeeded", video_url="https://x/" + "s" * 600)
    reporter.final(
        "terminal", 0, video_url="https://x/" + "s" * 600, files=["f" * 100] * 500, response={"a": "b" * 9000}
    )
    text = json.dumps(lines(), separators=(",", ":"))
    assert len(text) < 8000
    assert "t" * 256 in text and text.count("s" * 600) == 2, "the id and the link are never the ones left out"
    assert lines()[-1]["shortened"] is True and lines()[-1]["video_url"].endswith("s" * 600)


def test_verbose_has_no_bound(said: Any) -> None:
    reporter, lines, _ = said(verbose=True)
    for _ in range(300):
        reporter.event("status", status="running", note="x" * 100)
    assert len(lines()) == 300


def test_a_whole_line_on_demand(said: Any) -> None:
    reporter, lines, _ = said()
    reporter.final("list", 0, whole=True, runs=["x" * 100] * 500)
    assert len(lines()[0]["runs"]) == 500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.text(max_size=20), inner, max_size=20),
    max_leaves=60,
)


@given(st.dictionaries(st.sampled_from(["problems", "runs", "error", "notes", "summary", "files", "response"]), JSON))
def test_any_final_line_fits_and_keeps_what_decides(members: dict[str, Any]) -> None:
    out = io.BytesIO()
    decides = {"task_id": "t", "run_id": "r", "video_url": "https://x/" + "s" * 600}
    Reporter(stdout=out, stderr=io.StringIO()).final("plan", 22, next_argv=["a"], **{**members, **decides})
    text = out.getvalue().decode()
    assert len(text) <= 8000
    line = json.loads(text)
    assert {**line, **decides} == line and line["exit_code"] == 22 and line["next"] == "a"


def test_shortening_leaves_a_short_line_as_it_is_but_for_its_bulk() -> None:
    line = {"event": "x", "response": {"a": 1}, "b": [1]}
    assert shortened(line, 1000) == {"event": "x", "b": [1], "shortened": True}


def test_a_line_of_many_long_members_fits_and_still_says_what_went_wrong() -> None:
    wide = {f"{number:020}": "x" * 500 for number in range(40)}
    line = {"event": "plan", "error": {"category": "validation", "message": "no", **wide}, "task_id": "t" * 256}
    short = shortened({**line, **{f"member_{number}": [wide] * 2 for number in range(9)}}, 5000)
    assert len(json.dumps(short, separators=(",", ":"))) <= 5000
    assert short["error"]["category"] == "validation" and short["task_id"] == "t" * 256


# -- secrets and server text -------------------------------------------------------------------------------------


def test_a_key_is_redacted_everywhere(said: Any) -> None:
    reporter, lines, people = said()
    reporter.event("warning", message=f"Bearer {SECRET}", deep=[{"k": SECRET}])
    reporter.people(f"the key is {SECRET}")
    reporter.error(TaskError(Category.AUTH, "no", server_message=f"bad key {SECRET}"))
    assert SECRET not in json.dumps(lines()) + people()
    assert "[REDACTED]" in json.dumps(lines()) and "[REDACTED]" in people()


def test_words_for_people_are_one_inert_line(said: Any) -> None:
    reporter, _, people = said()
    reporter.people("a\nb\x1b[2J\u202e" + "c" * 5000)
    assert people().count("\n") == 1 and "\x1b" not in people() and "\u202e" not in people() and len(people()) < 700


def test_the_servers_words_stand_only_in_their_field() -> None:
    fields = error_fields(TaskError(Category.AUTH, "ours", code="x\x1b" * 300, server_message="\x1b[31m theirs"))
    assert fields["message"] == "ours" and "theirs" in fields["server_message"]
    assert "\x1b" not in json.dumps(fields, ensure_ascii=False) and len(fields["code"]) <= 200
    told = api_error_fields(ApiError(Category.MODERATION, "theirs", code="c", http_status=400))
    assert told is not None and told["server_message"] == "theirs" and "theirs" not in told["message"]
    assert api_error_fields(None) is None


@pytest.mark.parametrize("category", list(Category))
def test_each_category_has_plain_words(category: Category) -> None:
    assert category_message(category)


# -- streams -----------------------------------------------------------------------------------------------------


class Broken(io.BytesIO):
    def write(self, _: Any) -> int:
        raise BrokenPipeError


def test_a_last_line_that_nobody_reads_goes_to_stderr_and_to_its_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    redaction.remember(SECRET)
    err = io.StringIO()
    reporter = Reporter(stdout=Broken(), stderr=err)
    kept: list[Any] = []
    reporter.on_closed = kept.append
    reporter.event("created", task_id="t")
    assert reporter.closed and err.getvalue() == "" and kept == []
    assert reporter.final("terminal", 0, task_id="t", note=SECRET) == 0
    assert '"event":"terminal"' in err.getvalue() and SECRET not in err.getvalue()
    assert [line["task_id"] for line in kept] == ["t"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_process_without_a_stream(monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    """Started with a closed descriptor, Python has None in its place."""
    other = io.TextIOWrapper(io.BytesIO(), "utf-8")
    monkeypatch.setattr(sys, "stderr" if stream == "stdout" else "stdout", other)
    monkeypatch.setattr(sys, stream, None)
    reporter = Reporter()
    reporter.live_begin()
    reporter.people("words")
    reporter.event("created", task_id="t")
    assert reporter.final("terminal", 0, task_id="t") == 0
    other.flush()
    assert b'"event":"terminal"' in other.buffer.getvalue()  # type: ignore[attr-defined]


def test_a_console_of_another_encoding() -> None:
    err = io.TextIOWrapper(io.BytesIO(), "ascii")
    reporter = Reporter(stdout=io.BytesIO(), stderr=err)
    reporter.people("紙の舟")
    err.flush()
    assert b"\\u7d19" in err.buffer.getvalue()  # type: ignore[attr-defined]


def test_half_a_character_is_still_a_line(said: Any) -> None:
    reporter, lines, _ = said()
    reporter.event("warning", message="\ud800 x")
    assert lines()[0]["event"] == "warning"


def test_no_live_line_where_there_is_no_terminal(said: Any) -> None:
    reporter, _, people = said()
    reporter.live_begin()
    reporter.live_status("running", 50)
    reporter.live_download(1, 2)
    reporter.live_end()
    assert people() == ""


@pytest.mark.skipif(os.name == "nt", reason="POSIX terminals")
def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "dumb")
    reporter = Reporter(stdout=io.BytesIO(), stderr=Terminal())
    reporter.live_begin()
    assert not reporter.live


def test_a_document_is_whole_inert_and_one() -> None:
    hidden = "\u115f\u3164\ufe01\U000e0100\u202e\x9b"
    stdout = io.BytesIO()
    reporter = Reporter(stdout=stdout, stderr=io.StringIO())
    redaction.remember(SECRET)
    reporter.document({"ok": True, hidden: [hidden, float("nan"), SECRET], "next": ["a b", "c"]}, indent=1)
    text = stdout.getvalue().decode()
    assert not set(text) & set(hidden) and SECRET not in text and "NaN" not in text
    found = json.loads(text)
    assert found[hidden][0] == hidden and found["next_argv"] == ["a b", "c"] and isinstance(found["next"], str)


def test_links_of_16_000_characters_keep_the_bound_and_are_never_cut() -> None:
    link = "https://cdn.example/v.mp4?sig=" + "a" * 16_000
    out = io.BytesIO()
    reporter = Reporter(stdout=out, stderr=io.StringIO())
    reporter.event("status", status="succeeded", video_url=link, downloading=True)
    reporter.final("terminal", 0, task_id="t1", video_url=link, last_frame_url=link, outputs=[{"url": link}] * 9)
    assert len(out.getvalue()) < 8_000
    last = json.loads(out.getvalue().splitlines()[-1])
    assert last["video_url"] is None and last["result_file"] == "outputs/result.json" and last["task_id"] == "t1"
    assert "https://cdn.example" not in out.getvalue().decode()


def test_a_link_of_an_honest_length_stays_whole() -> None:
    link = "https://cdn.example/v.mp4?sig=" + "a" * 2_000
    out = io.BytesIO()
    reporter = Reporter(stdout=out, stderr=io.StringIO())
    reporter.final("terminal", 0, task_id="t1", video_url=link, usage={"x": "y" * 9_000})
    assert json.loads(out.getvalue())["video_url"] == link
