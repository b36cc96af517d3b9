"""Many tasks at once: each is looked at within its interval plus the server's pace, and handed on as it ends."""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path
from typing import Any, cast

import pytest

from support.virtual import ManyTasks, Slow, VirtualMailbox, json_body, silence, wait_for_many
from videotasks.core.record import replace
from videotasks.core.task import Outcome
from videotasks.lifecycle.session import Context, Timing
from videotasks.lifecycle.wait import MAX_WORKERS, Waiter
from videotasks.lifecycle.watched import Watched
from videotasks.output.reporter import Reporter
from videotasks.providers.load_profile import load_profile
from videotasks.providers.profile import Bulk, Limits, Profile
from videotasks.providers.provider import ListPage, TaskRef
from videotasks.runs.store import Run, RunStore

ANSWER_S = 0.5


def running(task_id: str) -> Any:
    return Slow(ANSWER_S, json_body({"id": task_id, "status": "running"}))


def done(task_id: str) -> Any:
    body = {"id": task_id, "status": "succeeded", "content": {"video_url": "https://a.example/v.mp4"}}
    return Slow(ANSWER_S, json_body(body))


@pytest.mark.parametrize(
    ("count", "interval_s"),
    [
        (60, 3.0),
        (60, 60.0),
        pytest.param(500, 3.0, marks=pytest.mark.slow),
        pytest.param(500, 60.0, marks=pytest.mark.slow),
    ],
)
def test_each_of_many_is_looked_at_within_its_interval_plus_the_servers_pace(
    tmp_path: Path, count: int, interval_s: float
) -> None:
    limits = Timing(poll_interval_s=interval_s)
    waits = wait_for_many(tmp_path, count, lambda task_id, now: running(task_id), deadline=100.0, limits=limits)
    a_round = count * ANSWER_S / MAX_WORKERS
    assert len(waits.asked) == count
    assert waits.longest_gap() <= interval_s + a_round + 2 * ANSWER_S
    assert all(task.ending is not None and task.ending.outcome is Outcome.TIMEOUT for task in waits.tasks)
    assert len(waits.ended_at) == count


def test_an_end_is_handed_on_within_a_round_of_when_it_shows(tmp_path: Path) -> None:
    ends = {f"t-{n}": n * 0.3 for n in range(200)}

    def answer(task_id: str, now: float) -> Any:
        return done(task_id) if now >= ends[task_id] else running(task_id)

    waits = wait_for_many(tmp_path, 200, answer, deadline=300.0, limits=Timing(poll_interval_s=3.0))
    a_round = 200 * ANSWER_S / MAX_WORKERS
    late = {task_id: waits.ended_at[task_id] - at for task_id, at in ends.items()}
    assert max(late.values()) <= 3.0 + a_round + 2 * ANSWER_S
    assert all(task.ending is not None and task.ending.outcome is Outcome.SUCCEEDED for task in waits.tasks)


def test_tasks_that_give_no_answer_hold_up_nobody_for_long(tmp_path: Path) -> None:
    """Twenty hang until their time-out, twenty break: the other sixty are seen to their ends all the same."""

    def answer(task_id: str, now: float) -> Any:
        number = int(task_id[2:])
        if number < 20:
            return Slow(float("inf"), None)
        if number < 40:
            return silence()
        return done(task_id) if now > 30.0 else running(task_id)

    limits = Timing(poll_interval_s=3.0, poll_request_s=5.0)
    waits = wait_for_many(tmp_path, 100, answer, deadline=120.0, limits=limits)
    assert sum(task.ending.outcome is Outcome.SUCCEEDED for task in waits.tasks if task.ending) == 60


# -- budgets ---------------------------------------------------------------------------------------------------------


def limited(per_minute: float, **bulk: Any) -> Profile:
    """ARK, with a budget, and with a list of its own where one is given."""
    profile = load_profile("ark")
    status = replace(profile.status, bulk=Bulk(**bulk) if bulk else None)
    return replace(profile, limits=Limits(requests_per_minute=per_minute), status=status)


def most_in_a_minute(moments: list[float]) -> int:
    return max(bisect_left(moments, at + 60.0) - index for index, at in enumerate(moments))


@pytest.mark.parametrize("per_minute", [10, 60, 600])
def test_no_minute_has_more_requests_than_the_budget(tmp_path: Path, per_minute: int) -> None:
    profile = limited(per_minute)
    waits = wait_for_many(tmp_path, 60, lambda task_id, now: running(task_id), deadline=400.0, profile=profile)
    assert most_in_a_minute(waits.sent) <= per_minute
    if per_minute < 600:
        assert len(waits.sent) >= 0.9 * per_minute * 400 / 60, "and hardly fewer: the tasks are overdue all the time"
        # The longest overdue is always the next: a round of all is as long as the budget makes it.
        assert waits.longest_gap() <= 60 * 60 / per_minute + 15


def test_all_kinds_of_a_provider_share_the_budget_of_their_key() -> None:
    profile = limited(60)
    mailbox = VirtualMailbox()
    waiter = Waiter(Context(RunStore(Path("x")), Reporter(), mailbox, monotonic=lambda: mailbox.now), [])
    tasks = [Watched(cast(Run, None), ManyTasks("ark", lambda *_: None, mailbox), TaskRef("t")) for _ in range(3)]
    for task in tasks[:2]:
        task.provider.profile = profile
    tasks[2].provider.profile = profile.with_base_url("https://another.example")
    one, other, elsewhere = (waiter.lane(task) for task in tasks)
    assert one is not other and one.pace is other.pace and one.pace is not elsewhere.pace


def test_a_429_slows_all_tasks_of_the_key_and_is_forgotten(tmp_path: Path) -> None:
    """Fifty tasks asked for by 10 a second, of an API that takes 2 a second until the first minute is over."""
    taken: list[float] = []

    def answer(task_id: str, now: float) -> Any:
        if now < 60.0 and taken and now - taken[-1] < 0.5:
            return json_body({"error": {"code": "RateLimitExceeded.X", "message": "slow"}}, status=429)
        taken.append(now)
        return running(task_id)

    waits = wait_for_many(tmp_path, 50, answer, deadline=200.0, profile=limited(600))
    refused = len([at for at in waits.sent if at < 60.0]) - len([at for at in taken if at < 60.0])
    assert refused <= 60, "one in a while, not each"
    assert len([at for at in taken if at >= 120.0]) > 80 * 5, "at its own pace again"


def test_the_last_look_at_the_deadline_waits_for_no_patience(tmp_path: Path) -> None:
    refusal = {"error": {"code": "RateLimitExceeded.X", "message": "slow"}}

    def answer(task_id: str, now: float) -> Any:
        return done(task_id) if now >= 30.0 else json_body(refusal, status=429, headers={"retry-after": "600"})

    waits = wait_for_many(tmp_path, 5, answer, deadline=30.0)
    assert all(task.ending is not None and task.ending.outcome is Outcome.SUCCEEDED for task in waits.tasks)


# -- tasks that come later -------------------------------------------------------------------------------------------


def test_tasks_may_come_while_others_are_waited_for(tmp_path: Path) -> None:
    def answer(task_id: str, now: float) -> Any:
        return done(task_id) if now >= 20.0 + 2 * int(task_id[2:]) else running(task_id)

    waits = wait_for_many(tmp_path, 20, answer, deadline=500.0, later=[(5.0, 8), (60.0, 10)])
    assert len(waits.ended_at) == 20 and max(waits.ended_at.values()) < 90
    assert min(waits.asked["t-19"]) >= 60.0, "none before it came"


# -- lists -----------------------------------------------------------------------------------------------------------


def item(task_id: str, now: float, ends: dict[str, float], **more: Any) -> dict[str, Any]:
    if now < ends.get(task_id, float("inf")):
        return {"id": task_id, "status": "running"}
    return {"id": task_id, "status": "succeeded", "content": {"video_url": "https://a.example/v.mp4"}, **more}


def by_id(ends: dict[str, float]) -> Any:
    return lambda ids, page, now: Slow(0.2, json_body({"items": [item(one, now, ends) for one in ids]}))


def never(task_id: str, now: float) -> Any:
    raise AssertionError(f"{task_id} was asked for by itself")


def test_one_list_asks_for_many(tmp_path: Path) -> None:
    ends = {f"t-{n}": 10.0 + n * 0.4 for n in range(150)}
    profile = limited(6000, path="/tasks", most=100, query={"ids": "{task_ids}"})
    waits = wait_for_many(tmp_path, 150, never, deadline=300.0, listing=by_id(ends), profile=profile)
    assert len(waits.ended_at) == 150 and not waits.asked
    assert max(number for _, number, _ in waits.lists) == 100
    alone = wait_for_many(tmp_path / "alone", 150, lambda one, now: json_body(item(one, now, ends)), deadline=300.0)
    assert len(alone.sent) > 20 * len(waits.sent)
    late = [waits.ended_at[one] - end for one, end in ends.items()]
    assert max(late) < 12.0


def test_two_tasks_are_worth_no_list(tmp_path: Path) -> None:
    waits = wait_for_many(tmp_path, 2, lambda one, now: done(one), deadline=30.0, listing=by_id({}))
    assert len(waits.ended_at) == 2 and not waits.lists


def test_a_task_that_the_list_does_not_have_is_asked_for_by_itself(tmp_path: Path) -> None:
    """Too fresh for the list, or too old: never is its absence taken for an end."""
    ends = {f"t-{n}": 40.0 for n in range(6)}

    def listing(ids: list[str], page: ListPage, now: float) -> Any:
        return json_body({"items": [item(one, now, ends) for one in ids if one not in ("t-4", "t-5")]})

    waits = wait_for_many(
        tmp_path, 6, lambda one, now: json_body(item(one, now, ends)), deadline=300.0, listing=listing
    )
    assert all(task.ending is not None and task.ending.outcome is Outcome.SUCCEEDED for task in waits.tasks)
    assert set(waits.asked) == {"t-4", "t-5"}
    assert all(number <= 6 for _, number, _ in waits.lists)
    assert next(number for at, number, _ in waits.lists if at > 15.0) == 4, "after two lists without it, no more lists"


@pytest.mark.parametrize(
    "end",
    [
        {"status": "succeeded"},
        {"status": "succeeded", "content": None},
        {"status": "failed"},
        {"status": "cancelled-by-mistake"},
    ],
)
def test_an_end_without_its_proof_is_confirmed_by_the_tasks_own_answer(tmp_path: Path, end: dict[str, Any]) -> None:
    def listing(ids: list[str], page: ListPage, now: float) -> Any:
        return json_body({"items": [{"id": one, **(end if now > 5 else {"status": "running"})} for one in ids]})

    def answer(task_id: str, now: float) -> Any:
        return done(task_id) if now > 9 else running(task_id)

    waits = wait_for_many(tmp_path, 5, answer, deadline=60.0, listing=listing)
    assert all(task.ending is not None and task.ending.outcome is Outcome.SUCCEEDED for task in waits.tasks)
    assert sum(at > 20.0 for at, _, _ in waits.lists) == 0, "a list with words of its own is asked no more"


def test_a_task_that_a_list_shows_twice_answers_for_itself(tmp_path: Path) -> None:
    """The first of the two said running for ever."""

    def listing(ids: list[str], page: ListPage, now: float) -> Any:
        ended = item("t", now, {"t": 0.0})
        return json_body(
            {"items": [{"id": one, "status": "running"} for one in ids] + [{**ended, "id": i} for i in ids]}
        )

    waits = wait_for_many(tmp_path, 4, lambda one, now: done(one), deadline=40.0, listing=listing)
    assert all(task.ending is not None and task.ending.outcome is Outcome.SUCCEEDED for task in waits.tasks)
    assert set(waits.asked) == {f"t-{n}" for n in range(4)}


def test_an_item_about_another_task_ends_nothing(tmp_path: Path) -> None:
    def listing(ids: list[str], page: ListPage, now: float) -> Any:
        return json_body({"items": [item(f"other-{one}", now, {f"other-{one}": 0.0}) for one in ids]})

    waits = wait_for_many(tmp_path, 4, lambda one, now: running(one), deadline=40.0, listing=listing)
    assert all(task.ending is not None and task.ending.outcome is Outcome.TIMEOUT for task in waits.tasks)


@pytest.mark.parametrize(
    "broken",
    [
        json_body({"error": {"code": "NotFound", "message": "no route"}}, status=404),
        json_body({"error": {"code": "AccessDenied", "message": "no"}}, status=403),
        json_body({"error": {"code": "InternalServiceError", "message": "x"}}, status=500),
        json_body({"items": "none"}),
        json_body([]),
        silence(),
        Slow(float("inf"), None),
    ],
)
def test_a_list_that_is_no_answer_ends_nothing_and_is_given_up(tmp_path: Path, broken: Any) -> None:
    ends = {f"t-{n}": 20.0 for n in range(30)}
    limits = Timing(poll_request_s=5.0)
    waits = wait_for_many(
        tmp_path,
        30,
        lambda one, now: json_body(item(one, now, ends)),
        deadline=200.0,
        listing=lambda ids, page, now: broken,
        limits=limits,
    )
    assert all(task.ending is not None and task.ending.outcome is Outcome.SUCCEEDED for task in waits.tasks)
    assert 1 <= len(waits.lists) <= 2
    assert max(waits.ended_at.values()) < 40.0


def test_a_list_that_is_too_long_for_the_server_is_halved(tmp_path: Path) -> None:
    ends = {f"t-{n}": 20.0 for n in range(80)}

    def listing(ids: list[str], page: ListPage, now: float) -> Any:
        return json_body({}, status=414) if len(ids) > 30 else by_id(ends)(ids, page, now)

    waits = wait_for_many(tmp_path, 80, never, deadline=200.0, listing=listing)
    assert len(waits.ended_at) == 80
    sizes = [number for _, number, _ in waits.lists]
    assert not waits.asked and sizes[0] == 80 and max(sizes[4:]) <= 20, sizes


def test_a_429_of_a_list_is_waited_out_and_not_answered_by_hundreds_of_looks(tmp_path: Path) -> None:
    ends = {f"t-{n}": 30.0 for n in range(50)}

    def listing(ids: list[str], page: ListPage, now: float) -> Any:
        if now < 20.0:
            return json_body({"error": {"code": "RateLimitExceeded.X", "message": "slow"}}, status=429)
        return by_id(ends)(ids, page, now)

    waits = wait_for_many(tmp_path, 50, never, deadline=200.0, listing=listing)
    assert len(waits.ended_at) == 50 and not waits.asked and len(waits.lists) < 40


def test_pages_go_on_until_all_are_found_and_no_further(tmp_path: Path) -> None:
    """A list of the newest: our 25 tasks lie among 100 of others, 10 on a page."""
    ends = {f"t-{n}": 30.0 for n in range(25)}
    everything = [f"t-{n // 4}" if n % 4 == 0 and n < 100 else f"x-{n}" for n in range(1000)]
    profile = limited(6000, path="/tasks", most=10, next={"offset": "offset"}, pages=12)

    def listing(ids: list[str], page: ListPage, now: float) -> Any:
        assert page.query.get("offset", 0) == 10 * page.number
        shown = everything[10 * page.number :][:10]
        return json_body({"items": [item(one, now, ends) for one in shown]})

    waits = wait_for_many(tmp_path, 25, never, deadline=200.0, listing=listing, profile=profile)
    assert len(waits.ended_at) == 25 and not waits.asked
    assert max(page for _, _, page in waits.lists) == 9, "the last of ours is on the tenth page"


def test_lists_keep_to_the_budget_page_by_page(tmp_path: Path) -> None:
    profile = limited(30, path="/tasks", most=10, next={"page": "page"}, pages=20)
    listing = lambda ids, page, now: json_body({"items": [{"id": f"x-{n}"} for n in range(10)]})  # noqa: E731
    waits = wait_for_many(tmp_path, 40, lambda one, now: running(one), deadline=400.0, listing=listing, profile=profile)
    assert most_in_a_minute(waits.sent) <= 30


def test_at_the_deadline_a_list_is_the_last_look(tmp_path: Path) -> None:
    ends = {f"t-{n}": 59.9 for n in range(60)}
    waits = wait_for_many(tmp_path, 60, never, deadline=60.0, listing=by_id(ends), limits=Timing(poll_interval_s=45.0))
    assert all(task.ending is not None and task.ending.outcome is Outcome.SUCCEEDED for task in waits.tasks)
