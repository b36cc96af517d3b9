"""task_status --report: enough to find a fault with, and nothing that is the user's alone."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from support.commands import Done, call, fast_sandbox

PROMPT = "the secret garden of Aunt Mathilde at dawn"


@pytest.fixture
def run(workspace: Path) -> Path:
    with fast_sandbox():
        done = call("create_and_wait.py", "--sandbox", "--prompt", PROMPT, "--duration", "4", "--run-id", "boat")
    assert done.exit_code == 0
    return workspace / "task-status" / ".artifacts" / "boat"


def contents(done: Done) -> dict[str, str]:
    with zipfile.ZipFile(done.final["report_file"]) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_it_holds_journal_answers_and_versions(run: Path, workspace: Path) -> None:
    done = call("task_status.py", "--report", "boat")
    assert done.exit_code == 0 and done.events == ["report"]
    assert done.final["report_file"] == str(workspace / "report-boat.zip")
    files = contents(done)
    assert sorted(files) == sorted(done.final["files"])
    assert {"versions.json", "journal.jsonl", "inputs/request.json", "outputs/result.json"} <= set(files)
    assert {"python", "requests", "ai-video-tasks", "provider"} <= set(json.loads(files["versions.json"]))
    assert any(json.loads(line)["event"] == "submitted" for line in files["journal.jsonl"].splitlines())
    assert "outputs/video.mp4" in done.final["left_out"]


def test_prompt_signed_queries_and_keys_are_gone(
    run: Path, monkeypatch: pytest.MonkeyPatch, clean_environment: Path
) -> None:
    monkeypatch.setenv("FAL_KEY", "fal-CANARY-51b7c0ffee")
    (run / "outputs" / "note.txt").write_text(
        f"key fal-CANARY-51b7c0ffee, {clean_environment}/x, https://u:p@a.example/v.mp4?sig=abc", encoding="utf-8"
    )
    text = "\n".join(contents(call("task_status.py", "--report", "boat")).values())
    assert "CANARY" not in text and "Mathilde" not in text and str(clean_environment) not in text
    assert "X-Tos-Signature" not in text and "sig=abc" not in text and "u:p@" not in text
    assert "video.mp4?..." in text and "[left out]" in text


def test_the_prompt_comes_along_when_asked_for(run: Path) -> None:
    text = "\n".join(contents(call("task_status.py", "--report", "boat", "--with-inputs")).values())
    assert PROMPT in text and "X-Tos-Signature" not in text


def test_a_short_prompt_is_gone_too(workspace: Path) -> None:
    with fast_sandbox():
        call("create_and_wait.py", "--sandbox", "--prompt", "a fox", "--run-id", "fox")
    files = contents(call("task_status.py", "--report", "fox"))
    assert "a fox" not in "\n".join(files.values())
    assert (
        json.loads(files["inputs/request.json"]) and json.loads(files["outputs/result.json"])["status"] == "succeeded"
    )


def test_it_replaces_nothing(run: Path, workspace: Path) -> None:
    (workspace / "report-boat.zip").write_text("mine")
    done = call("task_status.py", "--report", "boat")
    assert done.exit_code == 1 and (workspace / "report-boat.zip").read_text() == "mine"
    assert call("task_status.py", "--report", "boat", "--force").exit_code == 0
    assert call("task_status.py", "--report", "boat", "--output", "mine.zip").exit_code == 0
    assert zipfile.is_zipfile(workspace / "mine.zip")


@pytest.mark.parametrize(
    "words",
    [("--report", "none"), ("--with-inputs", "--latest"), ("--report", "boat", "--latest"), ("--report", "../x")],
)
def test_slips_are_told(words: tuple[str, ...], run: Path) -> None:
    assert call("task_status.py", *words, "--sandbox").exit_code in (1, 2)


def test_a_link_in_the_run_folder_leads_nowhere(run: Path, tmp_path: Path) -> None:
    (tmp_path / "private.txt").write_text("private words")
    try:
        (run / "outputs" / "stolen.txt").symlink_to(tmp_path / "private.txt")
    except OSError:
        pytest.skip("no symbolic links here")
    assert "private words" not in "\n".join(contents(call("task_status.py", "--report", "boat")).values())
