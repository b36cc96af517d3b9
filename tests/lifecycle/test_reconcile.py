"""After a lost answer: candidates by the server's own clock; a person adopts one or closes the run, nobody guesses."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import task_status

from support import faults
from support.faultserver import Action, Request
from support.lifecycle import Client
from support.taskserver import KEY, WIRES, TaskServer, Wire, taken
from videotasks.cli import bootstrap
from videotasks.core.record import replace
from videotasks.core.times import epoch_of
from videotasks.lifecycle.reconcile import shown_items
from videotasks.providers.profile import Times
from videotasks.providers.provider import Provider
from videotasks.runs.store import Run, RunStore

MODEL = WIRES["ark"].model
Ask = Callable[..., tuple[int, dict[str, Any]]]


class ListingServer(TaskServer):
    """ARK with its list of tasks, on a clock that may be wrong."""

    def __init__(self, wire: Wire, ahead_s: float = 0.0, **more: Any) -> None:
        super().__init__(wire, **more)
        self.ahead_s = ahead_s
        self.items: list[dict[str, Any]] = []
        self.broken: Action | None = None

    def date(self) -> dict[str, str]:
        moment = datetime.fromtimestamp(time.time() + self.ahead_s, timezone.utc)
        return {"Date": format_datetime(moment, usegmt=True)}

    def item(self, task_id: str, age_s: float = 0.0, model: str = MODEL, status: str = "running") -> dict[str, Any]:
        created = int(time.time() + self.ahead_s - age_s)
        return {"id": task_id, "model": model, "status": status, "created_at": created}

    def _choose(self, request: Request) -> Action:
        path = request.target.partition("?")[0]
        if request.method == "GET" and path.endswith("/contents/generations/tasks"):
            return self.broken or faults.json_answer({"items": self.items, "total": len(self.items)}, 200, self.date())
        return super()._choose(request)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsysbinary: Any, tmp_path: Path) -> Ask:
    """task_status.py in this process, for the one workspace of these tests."""

    def call(server: TaskServer, *argv: str) -> tuple[int, dict[str, Any]]:
        for name in ("VOLCENGINE_ARK_API_KEY", "CREATOK_API_KEY"):
            monkeypatch.setenv(name, KEY)
        capsysbinary.readouterr()
        options = ["--base-url", server.base, "--artifacts-dir", str(tmp_path / "a"), "--allow-private-results"]
        code = bootstrap.run(task_status.main, [*argv, *options])
        out, err = capsysbinary.readouterr()
        assert KEY.encode() not in out + err
        return code, json.loads(out.splitlines()[-1])

    return call


@pytest.fixture
def server() -> Iterator[ListingServer]:
    with ListingServer(WIRES["ark"], creates=[taken(faults.reset_after_request())]) as running:
        yield running


@pytest.fixture
def lost(server: ListingServer, tmp_path: Path) -> Run:
    """A run whose answer was lost."""
    client = Client(server, tmp_path / "a")
    assert client.create().code == 3
    return client.run


def candidates(final: dict[str, Any]) -> list[str]:
    return [one["task_id"] for one in final["error"]["candidates"]]


def test_candidates_are_shown_and_none_is_adopted(server: ListingServer, lost: Run, ask: Ask) -> None:
    server.items = [server.item("task-7f31"), server.item("task-other", model="doubao-seedance-1-0-lite-t2v-250428")]
    code, final = ask(server, "--run-id", lost.run_id)
    assert code == 3 and candidates(final) == ["task-7f31"]
    assert final["next"] is None and final["status"] == "unknown"
    assert "--task-id" in final["error"]["to_adopt"] and "--resolve not-created" in final["error"]["to_close"]
    assert lost.state().task_id is None
    assert len(server.posts) == 1


def test_only_tasks_of_that_moment_count(server: ListingServer, lost: Run, ask: Ask) -> None:
    server.items = [server.item(f"age {age}", age) for age in (-400, -200, 0, 3, 60, 3600)]
    _, final = ask(server, "--run-id", lost.run_id)
    assert candidates(final) == ["age -200", "age 0", "age 3"]


@pytest.mark.parametrize("ahead_s", [-7200.0, 86_400.0])
def test_the_server_s_own_clock_decides(tmp_path: Path, ask: Ask, ahead_s: float) -> None:
    with ListingServer(WIRES["ark"], ahead_s, creates=[taken(faults.reset_after_request())]) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 3
        by_our_clock = {"id": "t-ours", "model": MODEL, "status": "running", "created_at": int(time.time())}
        server.items = [server.item("task-7f31"), by_our_clock]
        _, final = ask(server, "--run-id", client.run.run_id)
        assert candidates(final) == ["task-7f31"]


def test_the_date_of_the_lost_answer_outlives_a_change_of_our_clock(tmp_path: Path, ask: Ask) -> None:
    """A laptop's clock was wrong when it sent, and was set right before it looked."""
    page = faults.answer(502, "<html></html>", {"Date": "Sat, 21 Nov 2026 12:00:00 GMT"})
    with ListingServer(WIRES["ark"], creates=[taken(page)]) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 3
        there = int(datetime(2026, 11, 21, 12, 0, 0, tzinfo=timezone.utc).timestamp())
        server.items = [{"id": "task-7f31", "model": MODEL, "status": "running", "created_at": there}]
        _, final = ask(server, "--run-id", client.run.run_id)
        assert candidates(final) == ["task-7f31"]


def test_tasks_of_other_runs_are_no_candidates(tmp_path: Path, ask: Ask) -> None:
    with ListingServer(WIRES["ark"], creates=[taken(faults.reset_after_request())]) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 3
        lost = client.run
        assert client.create(take=2).code == 0  # the same server gives the same id
        server.items = [server.item(server.task_id), server.item("task-lost")]
        _, final = ask(server, "--run-id", lost.run_id)
        assert candidates(final) == ["task-lost"]


def test_server_text_in_a_list_is_inert(server: ListingServer, lost: Run, ask: Ask) -> None:
    server.items = [server.item("t-1\x1b[2J\u202e", status="\x1b]0;owned\x07")]
    _, final = ask(server, "--run-id", lost.run_id)
    assert "\x1b" not in json.dumps(final["error"], ensure_ascii=False)


@pytest.mark.parametrize(
    "broken",
    [
        faults.answer(500),
        faults.html(200),
        faults.json_answer({"items": "none"}),
        faults.json_answer({"items": [1, None, {"id": None}]}),
        faults.json_answer([]),
        faults.reset_after_request(),
    ],
    ids=lambda action: action.name,
)
def test_a_list_that_fails_leaves_the_run_in_doubt(server: ListingServer, lost: Run, ask: Ask, broken: Action) -> None:
    server.broken = broken
    code, final = ask(server, "--run-id", lost.run_id)
    assert code == 3 and not final["error"].get("candidates")
    assert lost.state().phase == "submission_unknown"


def test_a_provider_without_a_list_says_so_and_where_to_look(tmp_path: Path, ask: Ask) -> None:
    with TaskServer(WIRES["creatok"], creates=[taken(faults.html(504))]) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 3
        code, final = ask(server, "--run-id", client.run.run_id)
        assert code == 3
        assert final["error"]["lookup"] == "this provider lists no tasks by API key"
        assert final["error"]["look_at"].startswith("https://www.creatok.ai/")


# -- the two ways out ----------------------------------------------------------------------------------------------


def test_adopting_goes_on_with_the_paid_task(server: ListingServer, lost: Run, ask: Ask, tmp_path: Path) -> None:
    code, final = ask(server, "--run-id", lost.run_id, "--task-id", "task-7f31")
    assert code == 0 and final["task_id"] == "task-7f31" and final["run_id"] == lost.run_id
    outcome = Client(server, tmp_path / "a").create()
    assert outcome.code == 0 and outcome.final["attached"] is True and server.paid == 1


def test_a_task_that_is_not_there_is_not_adopted(server: ListingServer, lost: Run, ask: Ask) -> None:
    missing = faults.json_answer({"error": {"code": "ResourceNotFound", "message": "no"}}, 404)
    server.polls = [missing] * 5
    code, _ = ask(server, "--run-id", lost.run_id, "--task-id", "task-typo")
    assert code == 23 and lost.state().task_id is None


def test_the_task_of_another_run_is_not_adopted(server: ListingServer, lost: Run, ask: Ask, tmp_path: Path) -> None:
    assert Client(server, tmp_path / "a").create(take=2).code == 0
    code, final = ask(server, "--run-id", lost.run_id, "--task-id", server.task_id)
    assert code == 1 and "belongs to the run" in final["error"]["message"]


def test_a_second_adoption_and_a_run_that_is_not_in_doubt_are_refused(
    server: ListingServer, lost: Run, ask: Ask
) -> None:
    assert ask(server, "--run-id", lost.run_id, "--task-id", "task-7f31")[0] == 0
    assert ask(server, "--run-id", lost.run_id, "--task-id", "task-else")[0] == 1
    assert ask(server, "--run-id", lost.run_id, "--resolve", "not-created")[0] == 1
    assert lost.state().task_id == "task-7f31"


def test_only_the_user_s_word_lets_the_same_command_pay_again(
    server: ListingServer, lost: Run, ask: Ask, tmp_path: Path
) -> None:
    client = Client(server, tmp_path / "a")
    server.items = []  # an empty list proves nothing: a task can be listed late
    assert ask(server, "--run-id", lost.run_id)[0] == 3
    assert client.create().code == 3 and len(server.posts) == 1
    code, final = ask(server, "--run-id", lost.run_id, "--resolve", "not-created")
    assert code == 0 and "may create anew" in final["summary"]
    assert client.create().code == 0 and len(server.posts) == 2


def test_what_is_being_sent_right_now_is_neither_closed_nor_adopted(
    server: ListingServer, lost: Run, ask: Ask, tmp_path: Path
) -> None:
    store = RunStore(tmp_path / "a")
    held = store.claims.take({str(lost.request["identity"]): 1}, lost.run_id)
    assert held is not None
    lost.record("submitting", time.time())
    with held:
        for more in (("--resolve", "not-created"), ("--task-id", "task-7f31")):
            code, final = ask(server, "--run-id", lost.run_id, *more)
            assert code == 1 and "right now" in final["error"]["message"]
        code, final = ask(server, "--run-id", lost.run_id)
        assert code == 0 and final["look_again_in_s"] == 5
    assert lost.state().phase == "submitting"
    assert epoch_of(lost.state().submitting_at) is not None


def test_latest_finds_the_lost_one(server: ListingServer, lost: Run, ask: Ask) -> None:
    server.items = [server.item("task-7f31")]
    code, final = ask(server, "--latest")
    assert code == 3 and candidates(final) == ["task-7f31"]


def test_times_in_a_list_are_of_the_profiles_zone(tmp_path: Path) -> None:
    with ListingServer(WIRES["ark"]) as server:
        session = Client(server, tmp_path / "a").session()
    there = replace(session.profile, times=Times(zone="+08:00"))
    session = replace(session, provider=Provider(there, None))
    (shown,) = shown_items(session, [{"id": "t-1", "created_at": "2026-11-26 08:00:00"}])
    assert shown["created_at"] == "2026-11-26T00:00:00.000Z"
