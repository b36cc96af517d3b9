"""Two hundred rows through three SIGKILLs, the same command each time: what the provider's log says decides."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support.commands import SCRIPTS, call, sandbox_state

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX"),
]
ROOT = Path("task-status") / ".artifacts"
ROWS = 200
CREATOK = ("--sandbox", "--provider", "creatok")


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_TASKS_SANDBOX_SPEED", "20")


def write_rows(count: int = ROWS, storms: int = 0) -> None:
    rows = [f"b{n},{'storm' if n % 10 == 7 and n < 10 * storms else 'boat'} number {n},4" for n in range(count)]
    Path("rows.csv").write_text("id,prompt,duration\n" + "\n".join(rows) + "\n", encoding="utf-8")


def start(*options: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, str(SCRIPTS / "batch.py"), "rows.csv", *CREATOK, *options]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(os.environ))


def creates() -> int:
    path = ROOT / ".sandbox" / "state.json"
    return int(sandbox_state(ROOT)["creates"]) if path.exists() else 0


def killed_after(creates_made: int, pause_s: float) -> None:
    """The command, killed a moment after so many creates in all."""
    process = start()
    end = time.monotonic() + 120
    while process.poll() is None and creates() < creates_made and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(pause_s)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def settle_as_the_user_would() -> tuple[int, int]:
    """Rows in doubt by the provider's own log: adopted where it shows their task, else closed. (adopted, closed)"""
    known = {task["prompt"]: name for name, task in sandbox_state(ROOT)["tasks"].items()}
    adopted = closed = 0
    batch = json.loads(next((ROOT / "batches").glob("*/batch.json")).read_text(encoding="utf-8"))
    for row in batch["rows"]:
        if row["status"] != "unknown":
            continue
        if row["prompt"] in known:
            adopted += 1
            how = ("--task-id", known[row["prompt"]])
        else:
            closed += 1
            how = ("--resolve", "not-created")
        assert call("task_status.py", *how, "--run-id", row["run_id"], *CREATOK).exit_code in (0, 10, 11)
    return adopted, closed


def made_once() -> list[dict[str, Any]]:
    """Each row has one task at the provider, and its file here."""
    state = sandbox_state(ROOT)
    prompts = [task["prompt"] for task in state["tasks"].values()]
    assert len(set(prompts)) == len(prompts), "a row was paid for twice"
    batch = json.loads(next((ROOT / "batches").glob("*/batch.json")).read_text(encoding="utf-8"))
    rows: list[dict[str, Any]] = batch["rows"]
    return rows


def test_two_hundred_rows_through_three_kills() -> None:
    write_rows()
    draw = random.Random(20261126)
    for number in range(3):
        killed_after(draw.randrange(10 + 60 * number, 60 + 60 * number), draw.random() * 0.3)
        made_once() if (ROOT / "batches").exists() and list((ROOT / "batches").glob("*/batch.json")) else None
    done = call("batch.py", "rows.csv", *CREATOK)
    doubts = done.final["rows"].get("unknown", 0)
    assert done.exit_code == (3 if doubts else 0)
    adopted, closed = settle_as_the_user_would()
    assert adopted + closed == doubts
    done = call("batch.py", "rows.csv", *CREATOK)
    rows = made_once()
    assert done.exit_code == 0 and done.final["rows"] == {"succeeded": ROWS}
    assert creates() == ROWS and len({row["file"] for row in rows}) == ROWS
    assert all(Path(row["file"]).is_file() for row in rows)
    print(f"in doubt after three kills: {doubts} ({adopted} had been created, {closed} had not)")


def test_moderated_rows_are_asked_for_once_however_often_it_runs() -> None:
    write_rows(storms=20)
    for number in range(5):
        done = call("batch.py", "rows.csv", *CREATOK, "--sandbox-scenario", "moderation@storm")
        assert done.exit_code == 10 and done.final["rows"] == {"succeeded": ROWS - 20, "failed": 20}
        assert done.final["created"] == (0 if number else ROWS) and creates() == ROWS
    made_once()


def test_an_interrupt_lets_answers_arrive_and_ends_with_next() -> None:
    write_rows(60)
    process = start()
    while creates() < 5:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=60)
    final = json.loads(stdout.splitlines()[-1])
    assert process.returncode == 130 and final["event"] == "interrupted" and "unknown" not in final["rows"]
    assert final["created"] == creates() and "batch.py" in final["next"]
    done = call("batch.py", *final["next_argv"][final["next_argv"].index(str(SCRIPTS / "batch.py")) + 1 :])
    made_once()
    assert done.exit_code == 0 and creates() == 60


def test_two_processes_stay_below_the_limit_together_through_a_kill() -> None:
    write_rows(60)
    limit = ("--max-cost", "151credits")  # 30 rows of 5
    first, second = start(*limit), start(*limit)
    while creates() < 8:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second.communicate()
    call("batch.py", "rows.csv", *CREATOK, *limit)
    settle_as_the_user_would()
    done = call("batch.py", "rows.csv", *CREATOK, *limit)
    made_once()
    assert creates() == 30 and done.final["spent"] == [{"amount": 150.0, "unit": "credits"}]
