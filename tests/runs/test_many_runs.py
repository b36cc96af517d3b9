"""Runs among many: found by pointer, listed by outlines, and nothing of it believed against a run's own files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.commands import call
from videotasks.core import durable_files
from videotasks.core.errors import TaskError
from videotasks.runs import outlines, store
from videotasks.runs.identity import Identity, is_generated, may_be_of_day
from videotasks.runs.store import Run, RunStore, pointer

NOW = 1_790_000_000.0  # 2026-09-21
ARK = "https://ark.cn-beijing.volces.com/api/v3"
ROOT = Path("task-status") / ".artifacts"


def make(root: Path, number: int, *, ended: bool = True, at: float | None = None, **request: Any) -> Run:
    """A run by the store itself, `number` minutes after NOW."""
    moment = NOW + 60 * number if at is None else at
    root.mkdir(parents=True, exist_ok=True)
    keys = {"intent": f"{number:05x}" + "0" * 59, "identity": f"{number:04x}" + "0" * 60}
    asked = {"provider": "ark", "mode": "real", "origin": ARK, **keys, **request}
    run = RunStore(root).create(asked, now=moment)
    run.record("submitting", moment)
    run.record("submitted", moment, task_id=f"t-{number}")
    if ended:
        run.record("ended", moment, outcome="failed", status="failed", cost=1.5, cost_unit="USD")
        run.record("reported", moment, exit_code=4)
    return run


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of all files that are read, in order."""
    seen: list[str] = []
    real = durable_files.open_regular

    def open_regular(path: Any, *how: Any, **more: Any) -> int:
        seen.append(str(path))
        return real(path, *how, **more)

    monkeypatch.setattr(durable_files, "open_regular", open_regular)
    return seen


def journals(opened: list[str]) -> int:
    return sum(path.endswith("journal.jsonl") for path in opened)


# -- one task --------------------------------------------------------------------------------------------------------


def test_a_task_is_found_without_reading_other_runs(tmp_path: Path, opened: list[str]) -> None:
    runs = [make(tmp_path, number) for number in range(30)]
    opened.clear()
    found = RunStore(tmp_path).by_task("t-7", mode="real", origin=ARK)
    assert found is not None and found.run_id == runs[7].run_id
    assert journals(opened) == 1 and len(opened) <= 3


def test_a_lost_pointer_is_made_again(tmp_path: Path, opened: list[str]) -> None:
    run = make(tmp_path, 1)
    make(tmp_path, 2)
    place = pointer(tmp_path, "real", "t-1")
    place.unlink()
    found = RunStore(tmp_path).by_task("t-1", mode="real", origin=ARK)
    assert found is not None and found.run_id == run.run_id
    assert place.read_text(encoding="ascii").split() == [run.run_id]
    opened.clear()
    assert RunStore(tmp_path).by_task_anywhere("t-1", mode="real")[0].run_id == run.run_id
    assert journals(opened) == 1


@pytest.mark.parametrize("told", ["", "../../etc\n", "no-such-run\n", "\x00\xff", "OTHER\n", "OTHER\n" * 2000])
def test_a_pointer_that_is_wrong_is_a_missing_one(tmp_path: Path, told: str) -> None:
    run, other = make(tmp_path, 1), make(tmp_path, 2)
    pointer(tmp_path, "real", "t-1").write_bytes(told.replace("OTHER", other.run_id).encode("latin-1"))
    found = RunStore(tmp_path).by_task("t-1", mode="real", origin=ARK)
    assert found is not None and found.run_id == run.run_id
    assert RunStore(tmp_path).by_task("t-3", mode="real", origin=ARK) is None


def test_many_tasks_without_pointers_cost_one_look_through_all_runs(tmp_path: Path, opened: list[str]) -> None:
    runs = [make(tmp_path, number) for number in range(12)]
    for number in range(12):
        pointer(tmp_path, "real", f"t-{number}").unlink()
    opened.clear()
    found = RunStore(tmp_path).by_tasks([f"t-{number}" for number in range(5, 20)], mode="real", origin=ARK)
    assert {task_id: run.run_id for task_id, run in found.items()} == {f"t-{n}": runs[n].run_id for n in range(5, 12)}
    assert max(Counter(path for path in opened if path.endswith("journal.jsonl")).values()) <= 3


def test_pointers_never_cross_mode_or_origin(tmp_path: Path) -> None:
    here = make(tmp_path, 1)
    there = make(tmp_path, 1, origin="https://elsewhere.example")
    rehearsed = make(tmp_path, 1, mode="sandbox", origin="sandbox:ark")
    known = RunStore(tmp_path)
    for run in (here, there, rehearsed):
        found = known.by_task("t-1", mode=run.mode, origin=run.origin)
        assert found is not None and found.run_id == run.run_id
    assert [run.run_id for run in known.by_task_anywhere("t-1", mode="real")] == [there.run_id, here.run_id]
    assert known.by_task("t-1", mode="sandbox", origin=ARK) is None


def test_where_no_pointer_can_be_left_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / ".tasks").symlink_to(tmp_path / "elsewhere")
    run = make(tmp_path / "root", 1)
    found = RunStore(tmp_path / "root").by_task("t-1", mode="real", origin=ARK)
    assert found is not None and found.run_id == run.run_id
    assert list((tmp_path / "elsewhere").iterdir()) == [], "nothing is written through a link"


# -- lists -----------------------------------------------------------------------------------------------------------


def outlined(root: Path) -> dict[str, outlines.Outline]:
    return {outline.run_id: outline for outline in RunStore(root).outlines()}


def test_a_run_that_has_not_changed_is_not_read_again(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "OUTLINES_FROM", 0)
    runs = [make(tmp_path, number, ended=number != 3) for number in range(20)]
    first = outlined(tmp_path)
    opened.clear()
    assert outlined(tmp_path) == first and journals(opened) == 0
    assert [run_id for run_id, outline in first.items() if outline.unfinished] == [runs[3].run_id]

    runs[3].record("ended", NOW, outcome="cancelled", status="cancelled")
    runs[5].take_over(NOW)
    opened.clear()
    now = outlined(tmp_path)
    assert now[runs[3].run_id].status == "cancelled" and not now[runs[3].run_id].unfinished
    assert now[runs[5].run_id].unfinished, "its request.json and its journal have changed"
    assert journals(opened) == 2


def test_an_outline_from_elsewhere_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that was copied or unpacked, with outlines that call an unfinished run ended."""
    monkeypatch.setattr(store, "OUTLINES_FROM", 0)
    run = make(tmp_path, 1, ended=False)
    outlined(tmp_path)
    document = json.loads((tmp_path / outlines.FILE).read_bytes())
    entry = document["runs"][run.run_id]
    entry[entry.index("submitted")] = "refused"
    (tmp_path / outlines.FILE).write_text(json.dumps(document), encoding="utf-8")
    assert outlined(tmp_path)[run.run_id].phase == "refused", "the entry stands for these very files"
    data = run.journal_file.read_bytes()
    run.journal_file.unlink()
    run.journal_file.write_bytes(data)
    assert outlined(tmp_path)[run.run_id].phase == "submitted"


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"format": 1, "runs": []}', b'{"format": 1, "runs": {"RUN": [1]}}', b"{" * 9_999]
)
def test_broken_outlines_are_none(tmp_path: Path, data: bytes) -> None:
    run = make(tmp_path, 1)
    (tmp_path / outlines.FILE).write_bytes(data.replace(b"RUN", run.run_id.encode()))
    assert outlined(tmp_path)[run.run_id].status == "failed"


def test_lists_of_many_read_the_rows_that_they_show(opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(120):
        make(ROOT, number, ended=number % 40 != 0)
    environ = {"VOLCENGINE_ARK_API_KEY": "k"}
    first = call("task_status.py", "--list", "--limit", "5", env=environ).final
    opened.clear()
    assert call("task_status.py", "--list", "--limit", "5", env=environ).final == first
    assert first["total"] == 120 and first["unfinished"] == 3 and journals(opened) <= 5
    opened.clear()
    unfinished = call("task_status.py", "--list", "--status", "unfinished", env=environ).final
    assert [row["task_id"] for row in unfinished["runs"]] == ["t-80", "t-40", "t-0"]
    assert journals(opened) <= 3


# -- creates ---------------------------------------------------------------------------------------------------------


def test_a_create_reads_no_run_that_cannot_be_its_own(tmp_path: Path, opened: list[str]) -> None:
    runs = [make(tmp_path, number) for number in range(30)]
    identity = Identity(str(runs[4].request["intent"]), "f" * 64)
    opened.clear()
    assert [run.run_id for run in RunStore(tmp_path).related(identity)] == [runs[4].run_id]
    assert len(opened) == 1 and journals(opened) == 0


def test_a_days_spending_reads_the_runs_of_that_day(tmp_path: Path, opened: list[str]) -> None:
    for number in range(20):
        make(tmp_path, number, at=NOW - 86_400 * 3)
    today = make(tmp_path, 20)
    chosen = RunStore(tmp_path).create({"provider": "ark", "mode": "real", "origin": ARK}, now=NOW, run_id="mine")
    opened.clear()
    known, told = RunStore(tmp_path), lambda run: (run.run_id, run.state().cost)
    first = set(known.of_day("2026-09-21", told))
    assert first == {(today.run_id, 1.5), (chosen.run_id, None)} and journals(opened) == 2

    opened.clear()
    assert set(known.of_day("2026-09-21", told)) == first and not opened
    today.record("ended", NOW, outcome="failed", status="failed", cost=2.5, cost_unit="USD")
    opened.clear()
    assert set(known.of_day("2026-09-21", told)) == {(today.run_id, 2.5), (chosen.run_id, None)}
    assert journals(opened) == 1, "what has grown is read again"


@pytest.mark.parametrize(
    ("run_id", "made"),
    [
        ("20261121-093000-01234-5678", True),
        ("20261121-093000-01234-5678-2", True),
        ("20261121-093000-0123456789", True),
        ("20261121-093000", False),
        ("20261121-mine", False),
    ],
)
def test_nobody_may_choose_a_name_that_is_believed(tmp_path: Path, run_id: str, made: bool) -> None:
    assert is_generated(run_id) is made and may_be_of_day(run_id, "2026-11-20") is not made
    request = {"provider": "ark", "mode": "real", "origin": ARK}
    if not made:
        assert RunStore(tmp_path).create(request, now=NOW, run_id=run_id).run_id == run_id
        return
    with pytest.raises(TaskError):
        RunStore(tmp_path).create(request, now=NOW, run_id=run_id)
