"""--list: bounded output however many runs there are, filters, sums that never mix modes, origins or units."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from support.commands import SCRIPTS, Done, call, environment
from videotasks.cli import list_runs
from videotasks.core import durable_files
from videotasks.core.errors import TaskError
from videotasks.output.reporter import within

ROOT = Path("task-status") / ".artifacts"
ARK = "https://ark.cn-beijing.volces.com/api/v3"
START = datetime(2026, 11, 1, tzinfo=timezone.utc)


def make_run(number: int, *events: dict[str, Any], at: datetime | None = None, **request: Any) -> str:
    """A run folder as a command leaves it: `number` minutes after the start of the month."""
    moment = at or START + timedelta(minutes=number)
    stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    run_id = str(request.pop("run_id", f"{moment:%Y%m%d-%H%M%S}-{number:010x}"))
    folder = ROOT / run_id
    (folder / "inputs").mkdir(parents=True)
    document = {
        "run_id": run_id, "created_at": stamp, "provider": "ark", "mode": "real", "origin": ARK,
        "prompt": f"a paper boat number {number}", "identity": f"{number:064x}", **request,
    }  # fmt: skip
    (folder / "inputs" / "request.json").write_text(json.dumps(document), encoding="utf-8")
    lines = [{"at": stamp, **event} for event in events]
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return run_id


def submitted(task_id: str = "t") -> tuple[dict[str, Any], ...]:
    return ({"event": "submitting"}, {"event": "submitted", "task_id": task_id})


def succeeded(task_id: str = "t", **more: Any) -> tuple[dict[str, Any], ...]:
    return (*submitted(task_id), {"event": "ended", "outcome": "succeeded", "status": "succeeded", **more})


def listed(*arguments: str, **options: Any) -> Done:
    return call("task_status.py", "--list", *arguments, **options)


def ids(done: Done) -> list[str]:
    return [row["run_id"] for row in done.final["runs"]]


# -- bounds ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_thousand_runs_of_the_longest_kind_stay_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1000):
        make_run(
            number,
            *succeeded(f"{number:04d}" + "x" * 250, cost=1.5, cost_unit=f"unit {number % 40} " + "u" * 40),
            prompt="雨の中の紙の舟" * 200,
        )
    opened: list[str] = []
    read_json, read_lines = durable_files.read_json, durable_files.read_lines
    monkeypatch.setattr(durable_files, "read_json", lambda path, *a: opened.append(str(path)) or read_json(path, *a))
    monkeypatch.setattr(durable_files, "read_lines", lambda path, *a: opened.append(str(path)) or read_lines(path, *a))
    done = listed()
    assert done.exit_code == 0 and len(done.stdout) < 8000
    assert done.final["total"] == 1000 and 10 <= done.final["shown"] <= 20
    assert done.final["runs"][0]["task_id"].startswith("0999"), "the newest first"
    assert len(opened) <= 2 * (1000 + 20) and len(set(opened)) <= 2 * 1000, "two for each run, and again for a row"
    opened.clear()
    assert listed().final == done.final and len(opened) <= 2 * 20, "what has not changed is not read again"

    everything = listed("--limit", "0", unbounded=True)
    assert everything.final["shown"] == 1000 == len(everything.final["runs"])


def test_more_rows_than_fit_are_left_out_whole() -> None:
    for number in range(200):
        make_run(number, *succeeded(f"task-{number}"))
    done = listed("--limit", "200")
    assert len(done.stdout) < 8000 and 20 < done.final["shown"] < 200
    assert done.final["total"] == 200


# -- what is listed ----------------------------------------------------------------------------------------------


def test_filters() -> None:
    done_run = make_run(1, *succeeded("a"))
    running = make_run(2, *submitted("b"), {"event": "status", "status": "running"}, provider="creatok")
    failed = make_run(3, *submitted("c"), {"event": "ended", "outcome": "failed", "status": "failed"})
    lost = make_run(4, {"event": "submitting"}, {"event": "submission_unknown"})
    refused = make_run(5, {"event": "submitting"}, {"event": "refused"})
    now = datetime.now(timezone.utc)
    fresh = make_run(6, *succeeded("f"), at=now - timedelta(hours=1))
    sandbox = make_run(7, *succeeded("s"), mode="sandbox", origin="sandbox:ark")
    custom = make_run(8, *succeeded("n"), run_id="zz-named-by-the-user")
    (ROOT / ".locks").mkdir()
    (ROOT / "broken").mkdir()

    assert ids(listed()) == [fresh, custom, refused, lost, failed, running, done_run], "by age, whatever the name"
    assert ids(listed("--sandbox")) == [sandbox]
    assert ids(listed("--status", "unfinished")) == [lost, running]
    assert ids(listed("--status", "succeeded")) == [fresh, custom, done_run]
    assert ids(listed("--status", "failed")) == [refused, failed]
    assert ids(listed("--status", "refused")) == [refused]
    assert ids(listed("--status", "submission_unknown")) == [lost]
    assert ids(listed("--provider", "creatok")) == [running]
    assert ids(listed("--since", "2h")) == [fresh]
    assert ids(listed("--since", "2026-11-01T00:03:30Z")) == [fresh, custom, refused, lost]
    assert ids(listed("--limit", "1")) == [fresh]
    assert listed("--limit", "1").final["total"] == 7


def test_sums_count_what_is_known_and_never_take_unknown_as_free() -> None:
    make_run(1, *succeeded("a", cost=100, cost_unit="tokens", usage={"total_tokens": 100}))
    make_run(2, *succeeded("b", cost=50.5, cost_unit="tokens", usage={"total_tokens": 50}))
    make_run(3, *succeeded("c"))
    make_run(4, *succeeded("d", cost=7, cost_unit="credits"), provider="creatok", origin="https://www.creatok.ai")
    make_run(5, *succeeded("e", cost=1000, cost_unit="tokens"), mode="sandbox", origin="sandbox:ark")
    make_run(6, *succeeded("f", cost=1000, cost_unit="tokens"), origin="http://127.0.0.1:1")
    make_run(7, {"event": "submitting"}, {"event": "refused"})
    sums = {(row["provider"], row["unit"], row.get("origin")): row for row in listed().final["sums"]}
    assert sums["ark", "tokens", None]["cost"] == 150.5 and sums["ark", "tokens", None]["runs"] == 2
    assert sums["ark", "tokens", None]["total_tokens"] == 150
    assert sums["ark", None, None]["cost"] is None and sums["ark", None, None]["runs"] == 1
    assert sums["creatok", "credits", None]["cost"] == 7
    assert sums["ark", "tokens", "http://127.0.0.1:1"]["cost"] == 1000, "another origin is another sum"
    assert len(sums) == 4
    assert [row.get("origin") for row in listed().final["runs"]].count("http://127.0.0.1:1") == 1
    only = listed("--base-url", "http://127.0.0.1:1")
    assert only.final["total"] == 1 and only.final["sums"][0]["cost"] == 1000


def test_an_empty_workspace_is_an_answer() -> None:
    done = listed()
    assert done.exit_code == 0 and done.final["total"] == 0 and done.final["runs"] == []
    assert not ROOT.exists(), "looking makes no folder"


def test_a_prompt_is_one_inert_line() -> None:
    make_run(1, *succeeded(), prompt="a\nb\x1b[31m\u202ec" + "d" * 500)
    done = listed()
    prompt = done.final["runs"][0]["prompt"]
    assert len(prompt) <= 60 and "\x1b" not in prompt and "\n" not in prompt and "\u202e" not in prompt


@pytest.mark.process
@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_people_see_a_table_on_a_terminal(workspace: Path) -> None:
    import pty
    import subprocess
    import sys

    make_run(1, *succeeded("a"))
    controller, terminal = pty.openpty()
    argv = [sys.executable, str(SCRIPTS / "task_status.py"), "--list"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=terminal, env=environment(), cwd=workspace, timeout=30)
    os.close(terminal)
    shown = os.read(controller, 65536).decode()
    os.close(controller)
    assert "run id" in shown and "succeeded" in shown and "a paper boat number 1" in shown
    assert json.loads(done.stdout)["total"] == 1, "stdout is JSON all the same"


# -- units -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("3d", 259_200),
        ("1w", 604_800),
        (" 2h ", 7200),
    ],
)
def test_since_as_an_age(text: str, seconds: int) -> None:
    assert list_runs.parse_since(text, 1e9) == 1e9 - seconds


@pytest.mark.parametrize("text", ["2026-11-21", "2026-11-21T00:00:00Z", "2026-11-21T01:00:00+01:00"])
def test_since_as_a_date(text: str) -> None:
    assert list_runs.parse_since(text, 0) == datetime(2026, 11, 21, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize("text", ["", "h", "2x", "-2h", "tomorrow", "2026-13-01"])
def test_since_as_nonsense(text: str) -> None:
    with pytest.raises(TaskError) as caught:
        list_runs.parse_since(text, 0)
    assert "--since" in caught.value.message


def test_an_age_of_a_billion_weeks_is_before_everything() -> None:
    assert list_runs.parse_since("9" * 400 + "w", 1e9) < 0


@pytest.mark.parametrize("limit", [0, 1, 30, 31, 10_000])
def test_rows_within_a_bound(limit: int) -> None:
    rows = [{"n": number} for number in range(100)]
    kept = within(rows, limit)
    assert kept == rows[: len(kept)]
    assert len(kept) == 0 or sum(len(json.dumps(row)) + 1 for row in kept) <= limit
