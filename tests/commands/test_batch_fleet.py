"""A batch whose ledger is in a store: machines with artifacts folders of their own, and no row is paid for twice."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import pytest

from support.commands import Done, call, sandbox_state
from support.homes import WHY
from videotasks.core.installation import skill_version
from videotasks.runs.claims import Owner

pytest.importorskip("obstore", reason=WHY)

CREATOK = ("--sandbox", "--provider", "creatok")


def write_rows(count: int, name: str = "rows.csv") -> None:
    rows = [f"b{n},boat number {n},4" for n in range(count)]
    Path(name).write_text("id,prompt,duration\n" + "\n".join(rows) + "\n", encoding="utf-8")


def fleet(machine: str, *options: str, file: str = "rows.csv") -> Done:
    words = ("--store", f"file://{Path.cwd().as_posix()}/ledger", "--artifacts-dir", machine)
    return call("batch_fleet.py", file, *words, *CREATOK, *options)


def prompts() -> list[str]:
    """Of every task that any stand-in of any machine has taken."""
    states = (path.parent.parent for path in Path().rglob(".sandbox/state.json"))
    return [str(task["prompt"]) for root in states for task in sandbox_state(root)["tasks"].values()]


def table() -> list[dict[str, str]]:
    text = Path("ledger/batches/rows-sandbox/results.csv").read_text(encoding="utf-8-sig")
    return list(csv.DictReader(text.splitlines()))


def test_what_one_machine_has_made_another_finds() -> None:
    write_rows(4)
    plan = fleet("one", "--dry-run")
    assert plan.final["event"] == "batch_plan" and plan.final["steps"] == {"create": 4} and not prompts()
    first = fleet("one")
    assert first.exit_code == 0 and first.final["rows"] == {"succeeded": 4} and first.final["created"] == 4
    second = fleet("two")
    assert second.exit_code == 0 and second.final["rows"] == {"succeeded": 4} and second.final["created"] == 0
    assert second.final["spent"] == first.final["spent"] == [{"amount": 20.0, "unit": "credits"}]
    assert sorted(prompts()) == [f"boat number {n}" for n in range(4)]
    for row in table():
        assert Path(row["file"].removeprefix("file://")).read_bytes()[4:8] == b"ftyp"
    page = Path("ledger/batches/rows-sandbox/gallery.html").read_text(encoding="utf-8")
    assert page.count('src="../../runs/') >= 4


def test_a_lost_answer_of_one_machine_is_never_sent_by_another() -> None:
    write_rows(3)
    first = fleet("one", "--sandbox-scenario", "lost-answer")
    assert first.exit_code == 3 and first.final["rows"]["unknown"] >= 1
    taken = prompts()
    second = fleet("two")
    assert second.exit_code == 3 and prompts() == taken
    assert "--run-id" in second.final["next_argv"]


def test_a_person_settles_a_row_in_the_copy_and_the_store_hears_of_it() -> None:
    write_rows(1)
    first = fleet("one", "--sandbox-scenario", "lost-answer")
    words = first.final["next_argv"]
    run_id, copies = words[words.index("--run-id") + 1], words[words.index("--artifacts-dir") + 1]
    place = ("--run-id", run_id, "--artifacts-dir", copies)
    assert call("task_status.py", *place, "--resolve", "not-created", *CREATOK).exit_code == 0
    assert fleet("two").exit_code == 3, "only the first machine knows so far"
    assert fleet("one").exit_code == 0
    done = fleet("two")
    assert done.exit_code == 0 and done.final["created"] == 0


def test_machines_stay_below_one_limit_together() -> None:
    write_rows(5)
    limit = ("--max-cost", "11credits")  # two of 5
    assert fleet("one", *limit).final["rows"]["succeeded"] == 2
    second = fleet("two", "--max-cost", "16credits")
    assert second.exit_code == 1 and len(prompts()) == 3
    assert second.final["spent"] == [{"amount": 15.0, "unit": "credits"}]


def test_a_batch_is_moved_from_a_folder_in_the_middle() -> None:
    write_rows(5)
    here = ("--artifacts-dir", "one")
    begun = call("batch.py", "rows.csv", *CREATOK, *here, "--max-cost", "11credits")
    assert begun.final["rows"]["succeeded"] == 2
    moved = fleet("one", "--import")
    assert moved.exit_code == 0 and moved.final["rows"] == {"succeeded": 5} and moved.final["created"] == 3
    assert moved.final["spent"] == [{"amount": 25.0, "unit": "credits"}]
    again = fleet("one", "--import")
    assert again.exit_code == 0 and again.final["created"] == 0 and again.final["spent"] == moved.final["spent"]
    assert sorted(prompts()) == [f"boat number {n}" for n in range(5)]
    assert all(Path(row["file"].removeprefix("file://")).is_file() for row in table())
    left = call("batch.py", "rows.csv", *CREATOK, *here)
    assert left.exit_code == 1 and left.error["code"] == "batch_moved" and len(prompts()) == 5


def test_a_row_that_failed_before_the_move_stays_so_until_it_is_retried() -> None:
    write_rows(2)
    trouble = ("--sandbox-scenario", "failed@boat number 1")
    begun = call("batch.py", "rows.csv", *CREATOK, "--artifacts-dir", "one", *trouble)
    assert begun.final["rows"] == {"succeeded": 1, "failed": 1}
    call("batch.py", "rows.csv", *CREATOK, "--artifacts-dir", "one", *trouble, "--retry-failed")
    assert len(prompts()) == 3
    moved = fleet("one", "--import")
    assert moved.exit_code == 10 and len(prompts()) == 3
    retried = fleet("two", "--retry-failed")
    assert retried.exit_code == 0 and len(prompts()) == 4 and retried.final["created"] == 1


def test_a_private_batch_leaves_no_word_in_the_store() -> None:
    write_rows(2)
    done = fleet("one", "--private")
    assert done.exit_code == 0
    held = [path for path in Path("ledger").rglob("*") if path.is_file() and b"boat number" in path.read_bytes()]
    assert held == [] and done.final["gallery"].startswith("/")
    again = fleet("two", "--private")
    assert again.exit_code == 0 and again.final["created"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--store"),
        (("rows.csv",), "--store"),
        (("rows.csv", "--store", "http://x/y"), "--store"),
        (("rows.csv", "--store", "file:///nowhere", "--max-cost-per-day", "5credits"), "--max-cost-per-day"),
        (("-", "--store", "file:///nowhere"), "--batch-id"),
        (("--scheduler", "nowhere"), "--scheduler"),
    ],
)
def test_what_is_missing_is_said(words: tuple[str, ...], said: str) -> None:
    write_rows(1)
    done = call("batch_fleet.py", *words)
    assert done.exit_code == 1 and said in json.dumps(done.error)


def test_a_batch_that_is_carried_out_is_not_moved() -> None:
    write_rows(1)
    here = ("--artifacts-dir", "one")
    call("batch.py", "rows.csv", *CREATOK, *here, "--dry-run")
    assert call("batch.py", "rows.csv", *CREATOK, *here, "--max-cost", "1credits").exit_code == 1
    (log,) = Path("one").rglob("spending.jsonl")
    alive = {"by": "x", "event": "opened", "owner": {**vars(Owner.me()), "pid": 1, "started": ""}}
    with log.open("a", encoding="ascii") as file:
        file.write(json.dumps(alive) + "\n")
    refused = fleet("one", "--import")
    assert refused.exit_code == 1 and "being carried out" in refused.error["message"]
    assert call("batch.py", "rows.csv", *CREATOK, *here).exit_code == 0, "it is not closed"
    elsewhere = {**alive, "owner": {**alive["owner"], "host": "elsewhere"}}
    fresh = {"by": "x", "event": "reserved", "intent": "i", "at": round(time.time())}
    for entry, code in ((fresh, 1), ({**fresh, "at": round(time.time()) - 3_600}, 0)):
        log.write_text(json.dumps(elsewhere) + "\n" + json.dumps(entry) + "\n", encoding="ascii")
        assert fleet("one", "--import").exit_code == code, "nobody can say whether one of another machine lives"


def test_rows_of_a_matrix_are_told_apart() -> None:
    from videotasks.batch.plan import Item
    from videotasks.batch.report import Report
    from videotasks.batch.rows import read_rows
    from videotasks.fleet.coordinator import FleetReport

    text = "matrix: {model: [a, b]}\nrows: [{prompt: boat}]\n"
    items = [Item(row) for row in read_rows(text, "yaml")]
    report = FleetReport(Report(None, None, items, None))  # type: ignore[arg-type]
    report.of_shard_number["0"] = items
    report.take_in("0", [{"step": "ended", "code": 0, "status": "succeeded"}, {"step": "held", "code": 1}])
    assert [item.step.value for item in items] == ["ended", "held"]


def test_a_limit_for_a_day_that_no_fleet_could_keep_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(2)
    monkeypatch.setenv("CREATOK_MAX_COST_PER_DAY", "5credits")
    done = fleet("one")
    assert done.exit_code == 1 and done.error["code"] == "day_limit_of_one_machine"
    told = carried(shard([{"prompt": "boat number 0", "duration": 4}]))
    assert told["error"]["code"] == "day_limit_of_one_machine" and not prompts()


def test_nothing_to_import_is_said() -> None:
    write_rows(1)
    for _ in range(2):
        assert "nothing of rows.csv" in fleet("one", "--import").error["message"]
    assert not prompts()


def test_without_dask_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(1)
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    done = fleet("one", "--dask", "local")
    assert done.exit_code == 1 and done.error["code"] == "missing_package" and "distributed" in done.error["hint"]
    assert not prompts()


def refusing(patch: pytest.MonkeyPatch, what: str, times: int) -> None:
    """The store takes no object of such a name, so many times."""
    from videotasks.fleet.objects import Objects, StoreRefused

    real, left = Objects.create, [times]

    def create(self: Objects, name: str, data: bytes) -> bool:
        if what in name and left[0]:
            left[0] -= 1
            raise StoreRefused(5, "the store is away")
        return real(self, name, data)

    patch.setattr(Objects, "create", create)


@pytest.mark.parametrize("what", ["runs/", "keys/", "claims/", "journal/000001", "log/"])
def test_nothing_is_sent_before_the_store_has_its_line(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(1)
    with monkeypatch.context() as patch:
        refusing(patch, what, 1_000)
        done = fleet("one")
    assert done.exit_code == 1 and "away" in json.dumps(done.final) and not prompts()
    assert fleet("one").exit_code == 0, "it was certain that nothing was sent"
    assert fleet("two").exit_code == 0 and len(prompts()) == 1


def test_an_id_that_the_store_did_not_take_at_once_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(1)
    with monkeypatch.context() as patch:
        refusing(patch, "journal/000002", 1)
        assert fleet("one").exit_code == 0
    done = fleet("two")
    assert done.exit_code == 0 and done.final["created"] == 0 and len(prompts()) == 1


def test_a_worker_throws_nothing_away_that_the_store_has_not_got(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_rows(1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rows = [{"prompt": "boat number 0", "duration": 4}]
    with monkeypatch.context() as patch:
        refusing(patch, "journal/000003", 1_000)
        told = carried(shard(rows, batch_id="rows-sandbox"))
    words = told["error"]["hint"].split()
    left = words[words.index("--artifacts-dir") + 1]
    done = fleet(left, "--import", "--batch-id", "rows-sandbox")
    assert done.exit_code == 0 and done.final["created"] == 0 and len(prompts()) == 1
    assert fleet("two").final["rows"] == {"succeeded": 1} and len(prompts()) == 1


def test_a_dry_run_moves_nothing() -> None:
    write_rows(2)
    call("batch.py", "rows.csv", *CREATOK, "--artifacts-dir", "one", "--max-cost", "6credits")
    plan = fleet("one", "--import", "--dry-run")
    assert plan.exit_code == 0 and plan.final["steps"] == {"ended": 1, "create": 1}
    assert call("batch.py", "rows.csv", *CREATOK, "--artifacts-dir", "one").exit_code == 0


def test_a_row_that_is_not_valid_today_is_moved_with_its_run() -> None:
    write_rows(2)
    call("batch.py", "rows.csv", *CREATOK, "--artifacts-dir", "one")
    whole = Path("rows.csv").read_text(encoding="utf-8")
    Path("rows.csv").write_text(whole.replace("boat number 1,4", "boat number 1,-4"), encoding="utf-8")
    assert fleet("one", "--import", "--skip-invalid").exit_code in (0, 22)
    Path("rows.csv").write_text(whole, encoding="utf-8")
    done = fleet("two")
    assert done.exit_code == 0 and done.final["created"] == 0 and len(prompts()) == 2


def test_where_nothing_is_left_no_worker_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(2)
    fleet("one")
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    done = fleet("two", "--dask", "local")
    assert done.exit_code == 0 and done.final["rows"] == {"succeeded": 2}


# -- shards -------------------------------------------------------------------------------------------------------


def shard(rows: list[dict[str, Any]], **more: Any) -> str:
    from videotasks.fleet.shards import Shard

    given: dict[str, Any] = {
        "batch_id": "rows",
        "store": f"file://{Path.cwd().as_posix()}/ledger",
        "number": "00000",
        "rows": [{"line": n + 2, "values": {"id": f"b{n}", **row}, "matrix": {}} for n, row in enumerate(rows)],
        "options": {"provider": "creatok", "default_provider": "creatok", "sandbox": True},
        "wishes": {"terms": {}, "only": [], "retry_failed": False, "skip_invalid": True, "most": {}, "force": False},
        "pace": {},
        "limits": {},
        "stop": "batches/rows/stop/0000",
        "version": skill_version(),
    }  # fmt: skip
    return Shard(**{**given, **more}).text()


def carried(text: str) -> dict[str, Any]:
    from videotasks.fleet.shards import carry_shard

    return dict(json.loads(carry_shard(text)))


def test_a_shard_that_is_run_twice_pays_once() -> None:
    rows = [{"prompt": f"boat number {n}", "duration": 4} for n in range(2)]
    first, second = carried(shard(rows)), carried(shard(rows))
    assert [row["status"] for row in first["rows"]] == [row["status"] for row in second["rows"]] == ["succeeded"] * 2
    assert (first["created"], second["created"]) == (2, 0)
    assert [row["run_id"] for row in first["rows"]] == [row["run_id"] for row in second["rows"]]
    assert all(row["file"].startswith("file://") and row["code"] == 0 for row in second["rows"])


def test_a_worker_that_cannot_begin_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"prompt": "a boat", "duration": 4}]
    assert "version" in carried(shard(rows, version="0.0.1"))["error"]["message"]
    monkeypatch.delenv("CREATOK_API_KEY", raising=False)
    real = {"provider": "creatok", "default_provider": "creatok"}
    no_key = carried(shard([{**rows[0], "model": "sora-2", "duration": 12}], options=real))
    assert no_key["error"]["code"] == "missing_api_key" and not prompts()


def test_pictures_of_the_coordinator_reach_the_worker_by_the_store() -> None:
    from videotasks.batch.plan import Item
    from videotasks.batch.rows import read_rows
    from videotasks.core.errors import TaskError
    from videotasks.fleet.coordinator import told_row
    from videotasks.fleet.objects import Objects

    Path("start.png").write_bytes(
        bytes.fromhex("89504e470d0a1a0a0000000d4948445200000400000002400802000000") + bytes(64)
    )
    (row,) = read_rows("id,prompt,duration,first_frame\nb0,a boat,4,start.png\n", "csv")
    objects = Objects(f"file://{Path.cwd().as_posix()}/ledger")
    told = told_row(Item(row), objects, private=False, beside=lambda path: path)
    ((kind, role, value),) = told["values"]["media"]
    assert (kind, role) == ("image", "first_frame") and value.startswith("store:inputs/")
    with pytest.raises(TaskError, match="--private"):
        told_row(Item(row), objects, private=True, beside=lambda path: path)
    Path("start.png").unlink()
    values = {name: told["values"][name] for name in ("prompt", "duration", "media")}
    done = carried(shard([{**values, "provider": "ark"}], options={"sandbox": True, "default_provider": "ark"}))
    assert [row["status"] for row in done["rows"]] == ["succeeded"], done


def test_rows_that_take_of_each_other_stay_together() -> None:
    from videotasks.batch.plan import Item
    from videotasks.batch.rows import read_rows
    from videotasks.fleet.coordinator import shards_of

    text = "id,prompt,duration,image\n" + "".join(
        f"b{n},boat {n},4,{'@b0.last_frame' if n == 7 else ''}\n" for n in range(9)
    )
    parts = [[item.row.id for item in part] for part in shards_of([Item(row) for row in read_rows(text, "csv")], 3)]
    assert sorted(str(name) for part in parts for name in part) == [f"b{n}" for n in range(9)]
    assert all(len(part) <= 3 for part in parts)
    assert next(part for part in parts if "b0" in part).index("b0") < next(p for p in parts if "b7" in p).index("b7")
    assert [part for part in parts if "b0" in part] == [part for part in parts if "b7" in part]
