"""result.json and result.md: derived from the journal, plain words, server text as data, no key on disk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from videotasks.core import redaction
from videotasks.core.times import iso
from videotasks.runs import results
from videotasks.runs.store import Run, RunStore

NOW = 1_800_000_000.0
KEY = "sk-CANARY-7f3a"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    store = RunStore(tmp_path / "root")
    store.prepare()
    request = {
        "provider": "ark", "kind": "video", "mode": "real", "origin": "https://a.example", "model": "m",
        "prompt": "a boat", "take": 1, "identity": "0" * 64,
    }  # fmt: skip
    return store.create(request, now=NOW)


def after(run: Run, *events: dict[str, Any]) -> Run:
    for event in events:
        fields = dict(event)
        run.record(fields.pop("event"), NOW, **fields)
    return run


SUBMITTED = ({"event": "submitting"}, {"event": "submitted", "task_id": "t_1"})
URL = "https://cdn.example/v.mp4?X-Signature=" + "s" * 600
VIDEO = {"kind": "video", "url": URL}
ENDED = {"event": "ended", "outcome": "succeeded", "status": "succeeded", "outputs": [VIDEO]}

CASES: list[tuple[str, tuple[dict[str, Any], ...], str, str]] = [
    ("submitting", ({"event": "submitting"},), "unknown", "A task may exist and cost money"),
    ("lost", ({"event": "submitting"}, {"event": "submission_unknown"}), "unknown", "before anything is created again"),
    ("refused", ({"event": "submitting"}, {"event": "refused"}), "failed", "Nothing was created"),
    ("queued", (*SUBMITTED, {"event": "status", "status": "queued"}), "queued", "queued at the provider"),
    ("running", (*SUBMITTED, {"event": "status", "status": "running", "progress": 40.0}), "running", "(40 %)"),
    ("odd", (*SUBMITTED, {"event": "status", "status": "unknown", "provider_status": "POLISHING"}), "unknown", "not"),
    ("done", (*SUBMITTED, ENDED), "succeeded", "may expire soon"),
    ("expiring", (*SUBMITTED, {**ENDED, "expires_at": NOW + 86_400}), "succeeded", f"until {iso(NOW + 86_400)}"),
    ("failed", (*SUBMITTED, {"event": "ended", "outcome": "failed", "status": "failed"}), "failed", "failed at"),
    ("cancelled", (*SUBMITTED, {"event": "ended", "outcome": "cancelled", "status": "cancelled"}), "cancelled", "was"),
    ("expired", (*SUBMITTED, {"event": "ended", "outcome": "expired", "status": "expired"}), "expired", "expired"),
    ("empty", (*SUBMITTED, {"event": "ended", "outcome": "no_result", "status": "succeeded"}), "succeeded", "no"),
    ("closed", ({"event": "submitting"}, {"event": "resolved", "how": "not_created"}), "failed", "created nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "events", "status", "words"), CASES, ids=[case[0] for case in CASES])
def test_status_and_summary(run: Run, name: str, events: Any, status: str, words: str) -> None:
    document = results.write(after(run, *events), now=NOW, raw={"a": 1})
    assert document["status"] == status and words in document["summary"]
    assert {
        "run_id",
        "task_id",
        "status",
        "provider_status",
        "video_url",
        "last_frame_url",
        "files",
        "raw",
        "error",
    } <= set(document)
    on_disk = json.loads(run.result_file.read_text(encoding="utf-8"))
    assert on_disk == json.loads(json.dumps(document)) and on_disk["raw"] == {"a": 1}
    page = (run.outputs / "result.md").read_text(encoding="utf-8")
    assert page.startswith("# ") and words.split("(")[0].strip() in page and "a boat" in page


def test_a_file_on_disk_is_named_and_one_that_is_gone_is_not(run: Run) -> None:
    run.prepare()
    (run.outputs / "video.mp4").write_bytes(b"x")
    entry = {"name": "video", "kind": "video", "path": "outputs/video.mp4", "bytes": 1}
    entry["sha256"] = hashlib.sha256(b"x").hexdigest()
    after(run, *SUBMITTED, ENDED, {"event": "downloaded", "files": [entry]})
    document = results.write(run, now=NOW)
    assert document["video_file"] == str(run.outputs / "video.mp4") and document["video_file"] in document["summary"]
    assert str(run.outputs) not in results.summary(run, run.state(), brief=True)
    assert "1 bytes" in (run.outputs / "result.md").read_text(encoding="utf-8")
    (run.outputs / "video.mp4").write_bytes(b"y")
    assert results.write(run, now=NOW)["video_file"] is None
    assert "missing or was changed" in results.summary(run, run.state())
    (run.outputs / "video.mp4").unlink()
    assert results.write(run, now=NOW)["video_file"] is None


def test_the_raw_body_stays_when_a_later_writing_has_none(run: Run) -> None:
    results.write(after(run, *SUBMITTED), now=NOW, raw={"first": True})
    assert results.write(run, now=NOW)["raw"] == {"first": True}


def test_a_huge_raw_body_is_cut(run: Run) -> None:
    results.write(after(run, *SUBMITTED), now=NOW, raw={"big": "x" * 3_000_000})
    assert run.result_file.stat().st_size < 1_000_000


def test_cost_and_usage_are_recorded_and_unknown_is_null(run: Run) -> None:
    after(run, *SUBMITTED, {**ENDED, "usage": {"total_tokens": 9}, "cost": 9, "cost_unit": "tokens"})
    document = results.write(run, now=NOW)
    assert document["cost"] == {"amount": 9.0, "unit": "tokens"} and document["usage"] == {"total_tokens": 9}
    assert "9 tokens" in (run.outputs / "result.md").read_text(encoding="utf-8")


def test_no_cost_is_null_and_never_0(run: Run) -> None:
    assert results.write(after(run, *SUBMITTED, ENDED), now=NOW)["cost"] is None


def test_a_rehearsal_says_so(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "root")
    store.prepare()
    run = store.create({"provider": "ark", "mode": "sandbox", "origin": "sandbox:ark", "identity": "0" * 64}, now=NOW)
    document = results.write(after(run, *SUBMITTED), now=NOW)
    assert document["sandbox"] is True and "nothing was paid" in document["summary"]


EVIL = "\x1b[2J</pre>\n# Do this\n[click](http://evil.invalid)\n```\n`rm -rf`\n\u202e<script>" + "x" * 5000


def test_server_text_stands_in_a_fence_where_it_can_do_nothing(run: Run) -> None:
    error = {"category": "generation_failed", "message": "ours", "server_message": EVIL}
    after(run, *SUBMITTED, {"event": "ended", "outcome": "failed", "status": "failed", "error": error})
    document = results.write(run, now=NOW)
    assert "evil" not in document["summary"]
    page = (run.outputs / "result.md").read_text(encoding="utf-8")
    assert "\x1b" not in page and "\u202e" not in page and len(page) < 4000
    fence, inside, outside = None, [], []
    for line in page.splitlines():
        mark = line[: len(line) - len(line.lstrip("`"))]
        if fence is None and len(mark) >= 3:
            fence = mark
        elif fence is not None and line == fence:
            fence = None
        else:
            (outside if fence is None else inside).append(line)
    assert fence is None, "every fence is closed"
    assert any("evil" in line for line in inside) and not any("evil" in line for line in outside)
    assert "# Do this" not in outside


@pytest.mark.parametrize("prompt", [EVIL, "````", "a\n```\nb", "|" * 200])
def test_a_prompt_is_data_too(tmp_path: Path, prompt: str) -> None:
    store = RunStore(tmp_path / "root")
    store.prepare()
    request = {"provider": "p", "mode": "real", "origin": "x", "identity": "0" * 64, "prompt": prompt}
    run = store.create(request, now=NOW)
    results.write(after(run, *SUBMITTED), now=NOW)
    page = (run.outputs / "result.md").read_text(encoding="utf-8")
    assert "\n# Do this" not in page.replace("\n# Task", "").split("```")[0]
    assert page.count("\n## ") == 1


def test_an_api_that_echoes_the_key_does_not_bring_it_to_disk(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    redaction.remember(KEY)
    error = {"category": "auth", "server_message": f"bad key Bearer {KEY}"}
    after(run, *SUBMITTED, {"event": "ended", "outcome": "failed", "status": "failed", "error": error})
    results.write(run, now=NOW, raw={"headers": {"Authorization": f"Bearer {KEY}"}})
    for path in run.folder.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path


def test_the_document_follows_the_journal_and_nothing_else(run: Run) -> None:
    after(run, *SUBMITTED, ENDED)
    first = results.result_document(run, run.state(), now=NOW)
    assert first == results.result_document(run, run.state(), now=NOW)
    assert first["video_url"] == URL, "complete, query included"
    assert first["outcome"] == "succeeded" and first["submitted_at"] == first["ended_at"] == iso(NOW)
