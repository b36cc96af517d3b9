"""batch.py as an assistant runs it, against the sandbox: the plan before the yes, and no row paid for twice."""

from __future__ import annotations

import csv
import json
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.commands import Done, call, call_unchecked, checked, follow, sandbox_state
from support.faultserver import refused_port
from videotasks.batch import carry
from videotasks.core.record import replace
from videotasks.runs.store import RunStore

ROOT = Path("task-status") / ".artifacts"
EVIL = "https://evil.example/v.mp4"
CREATOK = ("--sandbox", "--provider", "creatok")  # whose stand-in tells prices: 5 credits for 4 s, 10 for 10 s
SKILLS = ("--sandbox",)


pytestmark = pytest.mark.usefixtures("instant_tasks")


def rows_file(prompts: Sequence[str], name: str = "rows.csv", **more: str) -> str:
    lines = [",".join(["prompt", *more]), *(",".join([prompt, *more.values()]) for prompt in prompts)]
    Path(name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return name


def batch(*arguments: str, **options: Any) -> Done:
    return call("batch.py", *arguments, **options)


def run_main(script: str, words: list[str]) -> int:
    from support.commands import main_of
    from videotasks.cli.bootstrap import run

    return run(main_of(script), words)


def creates() -> int:
    return int(sandbox_state(ROOT)["creates"]) if (ROOT / ".sandbox" / "state.json").exists() else 0


def posts() -> int:
    """Requests for a create, refused ones as well."""
    return sum(entry["method"] == "POST" for entry in sandbox_state(ROOT)["requests"])


def kept(done: Done) -> dict[str, Any]:
    folder = ROOT / "batches" / str(done.final["batch_id"])
    found: dict[str, Any] = json.loads((folder / "batch.json").read_text(encoding="utf-8"))
    return found


def statuses(done: Done) -> list[str]:
    return [row["status"] for row in kept(done)["rows"]]


# -- the plan -----------------------------------------------------------------------------------------------------


def test_a_dry_run_checks_every_row_and_sends_nothing() -> None:
    Path("b.csv").write_text(
        "id,prompt,duration,image\na,a boat,4,\nb,,4,\nc,a kite,99,\nd,a tower,4,nowhere.png\na,a tree,4,\n", "utf-8"
    )
    done = batch("b.csv", *CREATOK, "--dry-run")
    assert done.exit_code == 22 and done.final["event"] == "batch_plan" and done.final["send"] is None
    told = {problem["lines"]: problem["message"] for problem in done.final["problems"]}
    assert set(told) == {"3", "4", "5", "6"}
    assert "prompt" in told["3"] and "99" in told["4"] and "nowhere.png" in told["5"] and "line 2" in told["6"]
    assert creates() == 0
    again = batch("b.csv", *CREATOK)
    assert again.exit_code == 22 and again.error["code"] == "invalid_rows" and creates() == 0
    assert [problem["lines"] for problem in again.error["problems"]] == ["3", "4", "5", "6"]


def test_the_total_comes_before_the_yes_and_the_plan_is_sent_as_it_was_shown() -> None:
    rows_file(["a boat", "a kite", "a tower"], duration="4")
    plan = batch("rows.csv", *CREATOK, "--dry-run")
    assert plan.exit_code == 0 and plan.final["steps"] == {"create": 3} and creates() == 0
    assert plan.final["totals"] == [
        {"provider": "creatok", "rows": 3, "amount": 15.0, "unit": "credits", "kind": "table"}
    ]
    done = batch("rows.csv", *CREATOK)
    assert done.exit_code == 0 and done.final["created"] == 3 and done.final["rows"] == {"succeeded": 3}
    assert done.final["spent"] == [{"amount": 15.0, "unit": "credits"}] and creates() == 3
    files = {row["file"] for row in kept(done)["rows"]}
    assert len(files) == 3 and all(Path(file).is_file() for file in files)
    with open(done.final["results"], encoding="utf-8-sig", newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["row"] for row in rows] == ["2", "3", "4"] and {row["status"] for row in rows} == {"succeeded"}
    assert Path(done.final["gallery"]).is_file()
    after = batch("rows.csv", *CREATOK, "--dry-run")
    assert after.final["steps"] == {"ended": 3} and after.final["totals"] == []


def test_skip_invalid_makes_the_others() -> None:
    rows_file(["a boat", " ", "a kite"], seed="7")
    done = batch("rows.csv", *SKILLS, "--set-default", "duration=4")
    assert done.exit_code == 22 and creates() == 0
    done = batch("rows.csv", *SKILLS, "--set-default", "duration=4", "--skip-invalid")
    assert done.exit_code == 0 and creates() == 2 and statuses(done) == ["succeeded", "invalid", "succeeded"]


def test_equal_rows_name_both_lines_unless_their_takes_differ() -> None:
    Path("b.jsonl").write_text(
        '{"prompt": "a boat", "duration": 4}\n{"prompt": "a boat", "set.duration": 4}\n', "utf-8"
    )
    done = batch("b.jsonl", *SKILLS, "--dry-run")
    assert done.exit_code == 22 and done.final["problems"][0]["lines"] == "2"
    assert "line 1" in done.final["problems"][0]["message"]
    Path("b.jsonl").write_text('{"prompt": "a boat", "duration": 4}\n{"prompt": "a boat", "duration": 4, "take": 2}\n')
    done = batch("b.jsonl", *SKILLS)
    assert done.exit_code == 0 and creates() == 2


def test_a_changed_row_under_an_old_id_is_told_before_it_pays_again() -> None:
    Path("b.csv").write_text("id,prompt\nboat,a boat\nkite,a kite\n")
    assert batch("b.csv", *SKILLS).exit_code == 0
    Path("b.csv").write_text("id,prompt\nkite,a kite\nboat,a red boat\nnew,a tower\n")
    plan = batch("b.csv", *SKILLS, "--dry-run")
    assert plan.final["steps"] == {"ended": 1, "create": 2}
    notes = {entry["id"]: entry.get("note", "") for entry in plan.final["pays"]}
    assert "pays again" in notes["boat"] and notes["new"] == "" and creates() == 2


def test_a_matrix_is_counted_before_it_is_paid() -> None:
    Path("m.yaml").write_text("matrix: {model: [doubao-seedance-2, sora-2], prompt: [a boat, a kite]}\n")
    plan = batch("m.yaml", *CREATOK, "--dry-run")
    assert plan.final["rows_total"] == 4 and creates() == 0
    done = batch("m.yaml", *CREATOK)
    assert done.exit_code == 0 and creates() == 4
    assert [row["matrix"]["prompt"] for row in kept(done)["rows"]] == ["a boat", "a kite"] * 2


def test_standard_input_can_be_gone_on_with() -> None:
    text = '{"prompt": "a boat"}\n{"prompt": "a kite"}\n'
    done = batch("-", *SKILLS, "--poll-timeout", "0.01", stdin=text)
    assert done.exit_code == 11 and done.final["next_argv"]
    end = follow(done, "--poll-timeout", "60")
    assert end.exit_code == 0 and end.final["batch_id"] == done.final["batch_id"] and creates() == 2


# -- the same command again ---------------------------------------------------------------------------------------


def test_a_refused_row_stays_so_until_it_is_asked_for_again() -> None:
    rows_file(["a boat", "two boxers", "a kite"])
    trouble = ("--sandbox-scenario", "moderation@boxers")
    done = batch("rows.csv", *SKILLS, *trouble)
    assert done.exit_code == 26 and done.final["rows"] == {"succeeded": 2, "refused": 1}
    asked = posts()
    for _ in range(3):
        assert batch("rows.csv", *SKILLS, *trouble).exit_code == 26
        assert batch("rows.csv", *SKILLS).exit_code == 26
    assert posts() == asked and creates() == 2
    plan = batch("rows.csv", *SKILLS, "--retry-failed", "--dry-run")
    assert plan.final["steps"] == {"ended": 2, "create": 1} and "another take" in plan.final["pays"][0]["note"]
    done = batch("rows.csv", *SKILLS, "--retry-failed")
    assert done.exit_code == 0 and creates() == 3 and kept(done)["rows"][1]["take"] == 2
    assert batch("rows.csv", *SKILLS).final["rows"] == {"succeeded": 3} and creates() == 3
    assert batch("rows.csv", *SKILLS, "--retry-failed").final["created"] == 0


def test_a_failed_row_was_paid_once_however_often_the_batch_runs() -> None:
    rows_file(["a boat", "a kite that fails"])
    done = batch("rows.csv", *CREATOK, "--sandbox-scenario", "failed@fails")
    assert done.exit_code == 10 and creates() == 2
    for _ in range(4):
        assert batch("rows.csv", *CREATOK).exit_code == 10
    assert creates() == 2
    assert batch("rows.csv", *CREATOK, "--only", "failed", "--retry-failed").exit_code == 0 and creates() == 3


def test_a_retry_leaves_the_takes_of_other_rows_alone() -> None:
    Path("b.csv").write_text("prompt,take\na boat that fails,1\na boat that fails,2\n")
    assert batch("b.csv", *CREATOK, "--sandbox-scenario", "failed").exit_code == 10
    done = batch("b.csv", *CREATOK, "--retry-failed")
    assert done.exit_code == 0 and creates() == 4
    assert [row["take"] for row in kept(done)["rows"]] == [3, 4]


def test_only_chooses_rows() -> None:
    Path("b.csv").write_text("id,prompt\nboat,a boat\nkite,a kite\n")
    done = batch("b.csv", *SKILLS, "--only", "kite")
    assert done.exit_code == 0 and statuses(done) == ["left_out", "succeeded"] and creates() == 1
    assert batch("b.csv", *SKILLS, "--only", "unfinished").final["created"] == 1
    assert batch("b.csv", *SKILLS, "--only", "nope").exit_code == 1


def test_a_deadline_ends_with_next_and_pays_nothing_twice() -> None:
    rows_file([f"boat {n}" for n in range(5)])
    done = batch("rows.csv", *SKILLS, "--sandbox-scenario", "stalled", "--poll-timeout", "1", "--concurrency", "2")
    made = creates()
    assert done.exit_code == 11 and done.final["event"] == "timeout" and done.final["created"] == made <= 2
    assert f"{5 - made} rows" in done.final["next_pays"]
    state = sandbox_state(ROOT)
    for task in state["tasks"].values():
        task |= {"outcome": "succeeded", "ends": task["created"]}
    (ROOT / ".sandbox" / "state.json").write_text(json.dumps(state), encoding="utf-8")
    end = follow(done, "--poll-timeout", "60", "--sandbox-scenario", "ok")
    assert end.exit_code == 0 and end.final["rows"] == {"succeeded": 5} and creates() == 5


# -- what stops a batch -------------------------------------------------------------------------------------------


def test_an_account_without_credits_stops_its_provider_and_goes_on_after_the_top_up() -> None:
    rows_file([f"boat {n}" for n in range(12)])
    done = batch("rows.csv", *SKILLS, "--sandbox-scenario", "no-credits", "--concurrency", "1")
    assert done.exit_code == 20 and posts() == 1 and done.final["rows"] == {"refused": 1, "held": 11}
    done = batch("rows.csv", *SKILLS, "--concurrency", "8")
    assert done.exit_code == 0 and creates() == 12 and done.final["rows"] == {"succeeded": 12}


def test_a_lost_answer_stops_the_batch_until_somebody_has_looked() -> None:
    rows_file(["a boat", "a lost kite", "a tower", "a tree"])
    trouble = ("--sandbox-scenario", "lost-answer@lost", "--concurrency", "1")
    done = batch("rows.csv", *SKILLS, *trouble)
    assert done.exit_code == 3 and creates() == 2 and "task_status.py" in done.final["next"]
    assert done.final["rows"] == {"succeeded": 1, "unknown": 1, "held": 2}
    assert batch("rows.csv", *SKILLS).exit_code == 3 and creates() == 2
    done = batch("rows.csv", *SKILLS, "--stop-after-unknown", "2")
    assert done.exit_code == 3 and creates() == 4 and done.final["rows"] == {"succeeded": 3, "unknown": 1}


def test_failures_stop_it_where_the_user_said_so() -> None:
    rows_file([f"boat {n}" for n in range(6)])
    trouble = ("--sandbox-scenario", "moderation", "--concurrency", "1", "--stop-after-failed", "2")
    done = batch("rows.csv", *SKILLS, *trouble)
    assert done.exit_code == 10 and done.final["rows"] == {"refused": 2, "held": 4} and posts() == 2
    assert batch("rows.csv", *SKILLS, *trouble).exit_code == 10 and posts() == 2


def test_a_busy_api_is_a_queue() -> None:
    rows_file([f"boat {n}" for n in range(7)])
    done = batch("rows.csv", *SKILLS, "--sandbox-scenario", "busy:2")
    assert done.exit_code == 0 and creates() == 7 and done.final["rows"] == {"succeeded": 7}
    assert len(list(ROOT.glob("2*"))) == 7, "a row that waited its turn has one run folder"


def test_creates_keep_to_the_pace_of_their_key(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Leaping()
    begun: list[float] = []

    class Paced(carry.Carrier):
        """With a clock that leaps over every pause, and six creates a minute: one in ten seconds of it."""

        def __init__(self, items: list[Any], planner: Any, ledger: Any, ctx: Any, wishes: Any, pace: Any) -> None:
            ctx.monotonic = clock
            for item in items:
                item.session.ctx.monotonic = clock
                limits = replace(item.session.profile.limits, creates_per_minute=6 / ctx.limits.sandbox_speed)
                item.session.provider.profile = replace(item.session.profile, limits=limits)
            super().__init__(items, planner, ledger, ctx, wishes, pace, lambda session, parallel: self)

        def take(self) -> bool:
            begun.append(clock())
            return True

        def leave(self) -> None:
            pass

    monkeypatch.setattr("videotasks.cli.batch.Carrier", Paced)
    leaping = SimpleNamespace(Condition=clock.condition, Lock=threading.Lock, Thread=threading.Thread)
    monkeypatch.setattr(carry, "threading", leaping)
    rows_file([f"boat {n}" for n in range(5)])
    done = batch("rows.csv", *SKILLS)
    assert done.final["rows"] == {"succeeded": 5} and creates() == 5 and len(begun) == 5
    assert min(later - sooner for sooner, later in pairwise(begun)) > 9


class Leaping:
    """A monotonic clock that a wait for a condition puts forward instead of waiting."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead

    def condition(self) -> threading.Condition:
        clock = self

        class Leap(threading.Condition):
            def wait(self, timeout: float | None = None) -> bool:
                clock.ahead += timeout or 0.0
                return super().wait(0.001)

        return Leap()


def test_the_first_row_of_an_assumed_name_goes_alone() -> None:
    rows_file([f"boat {n}" for n in range(5)], duration="5")
    model = ("--set-default", "model=nova-labs/nova-9")
    done = batch("rows.csv", *SKILLS, *model, "--sandbox-scenario", "failed@boat 0")
    assert done.final["rows"] == {"failed": 1, "held": 4} and creates() == 1
    plan = batch("rows.csv", *SKILLS, *model, "--dry-run")
    assert any("assumed" in note for note in plan.final["notes"])
    done = batch("rows.csv", *SKILLS, *model)
    assert done.exit_code == 10 and creates() == 5 and done.final["rows"] == {"failed": 1, "succeeded": 4}


# -- money --------------------------------------------------------------------------------------------------------


def test_max_cost_belongs_to_the_batch_however_often_it_runs() -> None:
    rows_file([f"boat {n}" for n in range(6)], duration="4")
    limit = ("--max-cost", "17credits")
    plan = batch("rows.csv", *CREATOK, *limit, "--dry-run")
    assert plan.exit_code == 0 and plan.final["over_max_cost"] == [{"unit": "credits", "wanted": 30.0, "left": 17.0}]
    for _ in range(3):
        done = batch("rows.csv", *CREATOK, *limit)
        assert done.exit_code == 1 and creates() == 3 and done.final["rows"] == {"succeeded": 3, "held": 3}
    assert "of 17 are spent or under way" in done.final["trouble"][0]["message"]
    assert batch("rows.csv", *CREATOK, "--max-cost", "30credits").exit_code == 0 and creates() == 6


def test_a_limit_needs_a_price() -> None:
    rows_file(["a boat"])
    done = batch("rows.csv", *SKILLS, "--max-cost", "20credits")
    assert done.exit_code == 22 and "unknown" in done.error["problems"][0]["message"] and creates() == 0
    rows_file(["a kite"], duration="4")
    assert "priced in credits" in batch("rows.csv", *CREATOK, "--max-cost", "20USD").error["problems"][0]["message"]
    assert batch("rows.csv", *CREATOK, "--max-cost", "much").exit_code == 1


def test_two_processes_on_one_file_stay_below_its_limit_together() -> None:
    rows_file([f"boat {n}" for n in range(12)], duration="4")
    words = ["rows.csv", *CREATOK, "--max-cost", "32credits"]
    # As two processes: each command has its own ledger, claims and sandbox, and they share the disk alone.
    threads = [threading.Thread(target=run_main, args=("batch.py", words)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert creates() == 6
    done = batch(*words)
    assert done.exit_code == 1 and done.final["rows"] == {"succeeded": 6, "held": 6} and creates() == 6


def test_a_limit_for_the_day_holds_in_a_batch_and_across_batches() -> None:
    rows_file([f"boat {n}" for n in range(4)], duration="4")
    day = ("--max-cost-per-day", "12credits")
    done = batch("rows.csv", *CREATOK, *day)
    assert done.exit_code == 1 and creates() == 2 and done.final["rows"] == {"succeeded": 2, "held": 2}
    rows_file(["a kite"], "other.csv", duration="4")
    assert batch("other.csv", *CREATOK, *day).exit_code == 1 and creates() == 2
    rows_file(["a tower"], "third.csv")
    assert batch("third.csv", *SKILLS, *day).exit_code == 22 and creates() == 2


def test_a_provider_that_cannot_be_reached_is_asked_for_no_second_row() -> None:
    rows_file([f"boat {n}" for n in range(20)], model="openai/sora-2")
    env = {"SKILLS_VIDEO_API_KEY": "k" * 20, "SKILLS_VIDEO_SPECIFICATION_URL": "http://127.0.0.1:9/nobody"}
    with refused_port() as port:
        env["SKILLS_VIDEO_BASE_URL"] = f"http://127.0.0.1:{port}/api/v1"
        done = batch("rows.csv", "--concurrency", "1", env=env)
    assert done.exit_code == 24 and done.final["rows"] == {"held": 20} and done.final["created"] == 0
    assert not (ROOT / ".sandbox").exists() and len(list(ROOT.glob("2*"))) == 1


def test_a_key_that_is_missing_is_told_once() -> None:
    rows_file(["a boat", "a kite"], model="openai/sora-2")
    env = {"SKILLS_VIDEO_SPECIFICATION_URL": "http://127.0.0.1:9/nobody"}
    assert batch("rows.csv", env=env).error["code"] == "missing_api_key"
    assert batch("rows.csv", "--dry-run", env=env).exit_code == 0


def test_a_batch_of_a_thousand_is_told_in_eight_thousand_characters() -> None:
    Path("b.csv").write_text(
        "prompt,duration\n" + "".join(f"boat number {n},{'99' if n % 7 else ''}\n" for n in range(1000))
    )
    done = checked(*call_unchecked("batch.py", "b.csv", *CREATOK, "--dry-run"))
    assert done.exit_code == 22 and done.final["rows_total"] == 1000 and done.final["problems_total"] == 1


# -- folders from elsewhere ---------------------------------------------------------------------------------------


def lie(prompt: str) -> None:
    """Rewrite the run of a row: its journal tells of somebody else's video."""
    (run,) = [run for run in RunStore(ROOT).runs() if run.prompt == prompt]
    lines = [
        {"event": "submitting"},
        {"event": "submitted", "task_id": "evil-1"},
        {"event": "ended", "outcome": "succeeded", "status": "succeeded", "outputs": [{"kind": "video", "url": EVIL}]},
    ]
    run.journal_file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (run.outputs / "video.mp4").unlink()


def test_rows_whose_folders_came_from_elsewhere_count_when_their_provider_knows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = rows_file(["boat", "kite", "hill"])
    assert batch(name, *SKILLS).exit_code == 0 and creates() == 3
    lie("kite")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    done = batch(name, *SKILLS)
    assert done.exit_code == 13 and creates() == 3
    assert statuses(done) == ["succeeded", "no_result", "succeeded"]
    rows = kept(done)["rows"]
    assert "does not know its task" in rows[1]["error"]["message"] and EVIL not in json.dumps(rows)
    assert all(Path(row["file"]).is_file() for row in (rows[0], rows[2]))
