"""What a batch may spend, and which take a row is at: on disk before anything is sent, shared by processes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.homes import HOMES, objects_of
from videotasks.batch.ledger import BatchHome, Ledger, batch_id
from videotasks.core.errors import TaskError
from videotasks.core.record import replace
from videotasks.runs.claims import Owner
from videotasks.runs.journal import RunState
from videotasks.runs.store import RunStore

LIMIT = {"credits": 20.0}
UNMADE = [chr(code) for code in range(ord("a"), ord("z"))]


def ledger(root: Path, home: BatchHome | None = None) -> Ledger:
    """As another process opens it."""
    made = Ledger(RunStore(root), "shorts-1234", home)
    made.open_spending(UNMADE)
    return made


@pytest.fixture(params=["folder", *HOMES])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Ledger]]:
    """What opens the same ledger in a folder, and in each store, as another process or machine would."""
    if request.param == "folder":
        yield lambda: ledger(tmp_path)
        return
    with objects_of(request.param, tmp_path) as objects:
        from videotasks.fleet.objects import ObjectHome

        yield lambda: ledger(tmp_path, ObjectHome(objects(), "shorts-1234", tmp_path / "copy"))


def test_what_is_under_way_counts_until_it_is_certain_that_it_was_not_made(opened: Callable[[], Ledger]) -> None:
    first, second = opened(), opened()
    first.reserve("a", 12.0, "credits", LIMIT)
    with pytest.raises(TaskError, match="12 of 20") as refused:
        second.reserve("b", 9.0, "Credits", LIMIT)
    assert refused.value.code == "over_max_cost"
    second.reserve("b", 8.0, "credits", LIMIT)
    first.release("a")
    second.reserve("c", 12.0, "credits", LIMIT)
    assert second.spent() == ({"credits": 20.0}, 0)


def test_two_that_send_one_row_hold_its_price_once_and_until_both_let_go(opened: Callable[[], Ledger]) -> None:
    first, second = opened(), opened()
    first.reserve("a", 12.0, "credits", LIMIT)
    second.reserve("a", 12.0, "credits", LIMIT)
    assert second.spent()[0] == {"credits": 12.0}
    second.release("a")
    with pytest.raises(TaskError):
        second.reserve("b", 12.0, "credits", LIMIT)


def test_what_was_charged_takes_the_place_of_what_was_reserved(opened: Callable[[], Ledger]) -> None:
    first = opened()
    first.reserve("a", 12.0, "credits", LIMIT)
    first.settle("a", RunState(cost=5.0, cost_unit="credits"))
    first.settle("b", RunState(cost=99.0, cost_unit="credits"))  # not of this batch
    first.reserve("b", 15.0, "credits", LIMIT)
    assert opened().spent()[0] == {"credits": 20.0}


def test_a_dead_process_holds_nothing_for_a_create_that_never_came_to_be(tmp_path: Path) -> None:
    first = ledger(tmp_path)
    first.reserve("a", 12.0, "credits", LIMIT)
    first.reserve("b", 8.0, "credits", LIMIT)
    run = first.store.create({"intent": "a", "identity": "x" * 64, "mode": "real"}, now=1e9)
    run.record("submitting", 1e9)  # this one may have been created
    gone = vars(replace(Owner.me(), pid=2**22 + 1))
    log = first.folder / "spending.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    log.write_text(
        "".join(json.dumps({**line, **({"owner": gone} if "owner" in line else {})}) + "\n" for line in lines)
    )
    assert ledger(tmp_path).spent()[0] == {"credits": 12.0}


def test_a_half_line_of_a_kill_is_passed_over(tmp_path: Path) -> None:
    first = ledger(tmp_path)
    first.reserve("a", 12.0, "credits", LIMIT)
    with open(first.folder / "spending.jsonl", "a", encoding="ascii") as log:
        log.write('{"event":"reserved","intent":"b","amo')
    second = ledger(tmp_path)
    second.reserve("c", 8.0, "credits", LIMIT)
    assert ledger(tmp_path).spent()[0] == {"credits": 20.0}


def test_many_threads_never_pass_the_limit_together(opened: Callable[[], Ledger]) -> None:
    shared, other = opened(), opened()
    made: list[str] = []

    def work(mine: Ledger, name: str) -> None:
        try:
            mine.reserve(name, 3.0, "credits", LIMIT)
        except TaskError:
            return
        made.append(name)

    threads = [threading.Thread(target=work, args=((shared, other)[n % 2], f"r{n}")) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6 and opened().spent()[0] == {"credits": 18.0}


def test_a_take_moves_on_once_however_many_ask(opened: Callable[[], Ledger]) -> None:
    first, second = opened(), opened()
    assert first.retake({"a": (1, 2)}) == {"a": 2}
    assert second.retake({"a": (1, 2), "b": (1, 3)}) == {"a": 2, "b": 3}, "it saw take 1, which is no more"
    first.write({"rows": []})
    assert second.retake({"a": (2, 3)}) == {"a": 3, "b": 3} == first.takes()


def test_the_id_is_of_the_file_and_of_its_manner(tmp_path: Path) -> None:
    names = {
        batch_id(str(tmp_path / "a" / "shorts.csv"), "x", "real"),
        batch_id(str(tmp_path / "shorts.csv"), "x", "real"),
    }
    names |= {
        batch_id(str(tmp_path / "shorts.csv"), "x", "sandbox"),
        batch_id("-", "x", "real"),
        batch_id("-", "y", "real"),
    }
    assert len(names) == 5 and all("shorts" in name or name.startswith("stdin-") for name in names)
    assert batch_id(str(tmp_path / "shorts.csv"), "x", "real") == batch_id(str(tmp_path / "shorts.csv"), "y", "real")
    with pytest.raises(TaskError, match="no batch id"):
        Ledger(RunStore(tmp_path), "../x")


def test_a_cell_that_a_spreadsheet_would_compute_is_text(opened: Callable[[], Ledger]) -> None:
    place = opened().write_table([{"row": 2, "status": "failed", "error": "=HYPERLINK(1)", "cost": -1.5}])
    line = place.read_text(encoding="utf-8-sig").splitlines()[1]
    assert "'=HYPERLINK(1)" in line and ",-1.5," in line


def test_no_entry_below_nothing_lifts_the_limit(tmp_path: Path) -> None:
    first = ledger(tmp_path)
    lines = [
        {"event": "reserved", "by": "x", "intent": "evil", "amount": -1000.0, "unit": "credits"},
        {"event": "settled", "by": "x", "intent": "evil", "amount": -1000.0, "unit": "credits"},
    ]
    with (first.folder / "spending.jsonl").open("a", encoding="utf-8") as log:
        log.writelines(json.dumps(line) + "\n" for line in lines)
    with pytest.raises(TaskError) as refused:
        ledger(tmp_path).reserve("a", 21.0, "credits", LIMIT)
    assert refused.value.code == "over_max_cost"


def test_what_is_spent_is_read_to_the_end_however_long_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from videotasks.core import durable_files

    monkeypatch.setattr(durable_files, "READ_LIMIT", 1_000)
    first = ledger(tmp_path)
    for number in range(19):
        first.reserve(f"row {number}", 1.0, "credits", LIMIT)
    with (first.folder / "spending.jsonl").open("a", encoding="utf-8") as log:
        log.write("x" * 250_000 + "\n")
    first.reserve("row 19", 1.0, "credits", LIMIT)
    assert ledger(tmp_path).spent() == ({"credits": 20.0}, 0)
    with pytest.raises(TaskError):
        ledger(tmp_path).reserve("one more", 1.0, "credits", LIMIT)
