"""The journal as a fold: any prefix of any journal, cut anywhere, is a state; what is known to be over stays over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videotasks.core import durable_files
from videotasks.core.task import Status
from videotasks.runs.journal import RunState, fold
from videotasks.runs.store import RunStore

JUNK = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers()))
ENDINGS = st.sampled_from(["succeeded", "failed", "cancelled", "expired", "no_result"])


def event(name: str, **members: Any) -> st.SearchStrategy[dict[str, Any]]:
    fixed = {key: value if isinstance(value, st.SearchStrategy) else st.just(value) for key, value in members.items()}
    return st.fixed_dictionaries({"at": st.just("2026-11-21T00:00:00.000Z"), "event": st.just(name), **fixed})


EVENTS = st.one_of(
    event("submitting"),
    event("not_sent"),
    event("resend"),
    event("submitted", task_id=st.sampled_from(["t-1", "t-2"]), follow=st.just({"status_url": "https://x/"})),
    event("adopted", task_id="t-1"),
    event("refused", error=st.just({"category": "auth"})),
    event("submission_unknown", server_date=st.one_of(st.none(), st.floats(0, 2e9))),
    event("resolved", how="not_created"),
    event("uploaded", sha256="a" * 64, key="k"),
    event("status", status=st.sampled_from([s.value for s in Status]), provider_status=st.text(max_size=4)),
    event("ended", outcome=ENDINGS, status=st.sampled_from([s.value for s in Status])),
    event("downloaded", files=st.just([{"kind": "video", "path": "outputs/video.mp4"}])),
    event("download_failed", error=st.just({"category": "download_failed"})),
    event("reported", outcome="x"),
    event("interrupted", signum=2),
    event("timeout"),
)
# What a bug or a stranger might have written.
ODD = st.dictionaries(
    st.sampled_from(["at", "event", "task_id", "outcome", "status", "files", "follow", "error"]), JUNK, max_size=5
)
JOURNALS = st.lists(EVENTS, max_size=25)


@given(JOURNALS)
def test_every_prefix_folds_and_what_has_ended_stays_ended(entries: list[dict[str, Any]]) -> None:
    before = RunState()
    for count in range(len(entries) + 1):
        state = fold(entries[:count])
        if before.ended:
            assert state.ended and not state.unfinished
        if before.outcome == "succeeded":
            assert state.outcome == "succeeded"
        if before.task_id is not None:
            assert state.task_id == before.task_id and state.phase == "submitted"
        before = state


@given(JOURNALS)
def test_a_task_that_goes_on_never_lets_the_command_pay_again(entries: list[dict[str, Any]]) -> None:
    state = fold(entries)
    if state.may_pay_again and state.task_id is not None:
        assert state.outcome in ("failed", "cancelled", "expired") and state.reported
    if state.phase in ("submitting", "submission_unknown") and not state.ended:
        assert not state.may_pay_again


@given(JOURNALS, st.integers(0, 200))
def test_any_cut_of_the_file_folds_to_a_prefix(tmp_path_factory: Any, entries: list[dict[str, Any]], cut: int) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / "cut.jsonl"
    lines = [json.dumps(entry).encode() + b"\n" for entry in entries]
    whole = b"".join(lines)
    path.write_bytes(whole[: max(0, len(whole) - cut)])
    kept = durable_files.read_lines(path)
    assert kept == [json.loads(line) for line in lines[: len(kept)]]
    # The next writer closes the half line off and goes on.
    durable_files.append_line(path, {"event": "timeout"})
    assert durable_files.read_lines(path) == [*kept, {"event": "timeout"}]


@given(st.lists(st.one_of(EVENTS, ODD), max_size=15))
def test_foreign_entries_do_no_harm(entries: list[dict[str, Any]]) -> None:
    state = fold(entries)
    assert isinstance(state, RunState)
    assert state.task_id is None or isinstance(state.task_id, str)


@given(st.binary(max_size=300))
def test_any_bytes_are_readable(tmp_path_factory: Any, data: bytes) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / "bytes.jsonl"
    path.write_bytes(data)
    assert isinstance(fold(durable_files.read_lines(path)), RunState)


def said(*events: tuple[str, dict[str, Any]]) -> RunState:
    return fold({"event": name, **members} for name, members in events)


def test_a_late_status_does_not_wake_a_finished_task() -> None:
    state = said(
        ("submitted", {"task_id": "t"}),
        ("ended", {"outcome": "failed", "status": "failed"}),
        ("status", {"status": "running"}),
    )
    assert state.status is Status.FAILED and state.outcome == "failed"


def test_a_second_end_is_to_be_reported_anew_and_a_success_is_final() -> None:
    state = said(
        ("submitted", {"task_id": "t"}),
        ("ended", {"outcome": "no_result", "status": "succeeded"}),
        ("reported", {}),
        ("ended", {"outcome": "succeeded", "status": "succeeded"}),
    )
    assert state.outcome == "succeeded" and not state.reported
    assert (
        fold([{"event": "ended", "outcome": "succeeded"}, {"event": "ended", "outcome": "failed"}]).outcome
        == "succeeded"
    )


@pytest.mark.parametrize(
    ("events", "may"),
    [
        ((), True),
        ((("submitting", {}),), False),
        ((("submitting", {}), ("not_sent", {})), True),
        ((("submitting", {}), ("submission_unknown", {})), False),
        ((("submitting", {}), ("submission_unknown", {}), ("reported", {})), False),
        ((("submitting", {}), ("submission_unknown", {}), ("resolved", {"how": "not_created"})), True),
        ((("submitting", {}), ("refused", {})), False),
        ((("submitting", {}), ("refused", {}), ("reported", {})), True),
        ((("submitted", {"task_id": "t"}), ("reported", {})), False),
        ((("submitted", {"task_id": "t"}), ("ended", {"outcome": "failed"})), False),
        ((("submitted", {"task_id": "t"}), ("ended", {"outcome": "failed"}), ("reported", {})), True),
        ((("submitted", {"task_id": "t"}), ("ended", {"outcome": "no_result"}), ("reported", {})), False),
        ((("submitted", {"task_id": "t"}), ("ended", {"outcome": "succeeded"}), ("reported", {})), False),
        ((("submitting", {}), ("resolved", {"how": "not_created"}), ("submitted", {"task_id": "t"})), False),
        ((("submitted", {"task_id": "t"}), ("refused", {}), ("reported", {})), False),
        ((("submitted", {"task_id": "t"}), ("resolved", {"how": "not_created"})), False),
    ],
)
def test_when_the_same_command_may_pay_again(events: Any, may: bool) -> None:
    assert said(*events).may_pay_again is may


def test_events_that_the_disk_refused_count_and_are_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(tmp_path / "a")
    store.prepare()
    run = store.create({"identity": "0" * 64}, now=0.0)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(durable_files, "append_line", full)
        with pytest.raises(OSError, match="No space"):
            run.record("submitted", 1.0, task_id="t-9")
    assert run.state().task_id == "t-9" and store.open(run.run_id).state().task_id is None
    run.record("status", 2.0, status="running")
    again = store.open(run.run_id).state()
    assert (again.task_id, again.status) == ("t-9", Status.RUNNING)


@pytest.mark.parametrize(
    "error",
    [
        {"category": "moderation", "message": "m" * 1_000_000, "server_message": "no"},
        {"category": ["x"], "message": 5, "http_status": "x", "code": {"a": 1}, "server_message": "no"},
        {"category": "no such word", "details": [1] * 10_000, "server_message": "no"},
    ],
)
def test_an_error_of_a_journal_is_one_of_ours(error: dict[str, Any]) -> None:
    """The last line told a million characters of it, and a list where its schema has a word."""
    told = fold([{"event": "ended", "outcome": "failed", "status": "failed", "error": error}]).error
    assert told is not None and told["server_message"] == "no" and len(json.dumps(told)) < 5_200
    assert told["category"] in ("moderation", "unknown") and isinstance(told.get("message", ""), str)


def test_a_journal_names_no_more_files_than_a_task_has() -> None:
    file = {"kind": "video", "path": "outputs/video.mp4"}
    assert len(fold([{"event": "downloaded", "files": [file] * 10_000}]).files) == 200
