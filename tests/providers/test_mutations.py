"""No profile that passes the check can lose a paid id or make a success up: random changes of the shipped ones."""

from __future__ import annotations

import copy
import json
import os
import random
from functools import cache
from typing import Any

from test_contracts import CREATES, LOOKS, REFUSALS

from support.mutations import mutated as mutated_answer
from support.mutations import torn
from videotasks.core.task import Status, valid_task_id
from videotasks.lifecycle import create_answer
from videotasks.lifecycle.create_answer import Decision
from videotasks.network.client import Answer
from videotasks.network.errors import NoAnswer
from videotasks.providers import check_profile, classify_error, normalize
from videotasks.providers.load_profile import load_profile
from videotasks.providers.profile import Profile, build_profile

ROUNDS = int(os.environ.get("VIDEO_TASKS_MUTATIONS", "60"))
ODD: list[Any] = [None, "", "a[", "lower(a)", "!a.b", "a.b", "@", "{x}", 0, -1, True, [], {}, ["a["], {"a": None}, "🚣"]


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        found += places(member, (*at, key))
    return found


def mutated(document: dict[str, Any], chance: random.Random) -> tuple[dict[str, Any], tuple[Any, ...]]:
    made = copy.deepcopy(document)
    *above, last = place = chance.choice(places(made))
    here: Any = made
    for key in above:
        here = here[key]
    if chance.random() < 0.3:
        del here[last]
    else:
        here[last] = chance.choice(ODD)
    return made, place


def test_no_accepted_profile_loses_an_id_or_makes_a_success_up() -> None:
    chance = random.Random(28)
    accepted = 0
    for _ in range(ROUNDS):
        name, answer, task_id = chance.choice(CREATES)
        base, _, kind = name.partition("/")
        document, place = mutated(json.loads(json.dumps(load_profile(base).document)), chance)
        if list(check_profile.problems_of(document)):
            continue
        accepted += 1
        profile = build_profile(document, foreign=True, kind=kind or None)
        about_ids = "id" in place or place[0] == "kinds"
        made = normalize.created(profile, answer)
        assert made.task_id == task_id or about_ids, (name, place)
        for other, body, status, _told in LOOKS:
            if other == name:
                seen = normalize.snapshot(profile, body, task_id=task_id)
                made_up = seen.status is Status.SUCCEEDED and status != "succeeded" and "status" not in place
                assert not made_up or place[0] in ("kinds", "error"), (name, place, body)
    assert accepted


@cache
def profile_of(name: str) -> Profile:
    base, _, kind = name.partition("/")
    return load_profile(base).for_kind(kind or None)


def test_no_mutated_answer_is_an_internal_error_or_a_payment_forgotten() -> None:
    """Ten answers for each changed profile: creates, looks, refusals, as values and as torn bytes.

    A 2xx answer to a create is never read as "nothing was created" unless it says so itself, and what is taken for an
    id is one.
    """
    rng = random.Random(29)
    seen: set[Decision] = set()
    looks = [(name, body, 200, "poll") for name, body, _status, _told in LOOKS]
    refusals = [(name, body, status, operation) for name, operation, status, body, _category in REFUSALS]
    answers = [(name, body, 200, "create") for name, body, _id in CREATES] + looks + refusals
    for number in range(ROUNDS * 10):
        name, body, status, operation = rng.choice(answers)
        profile = profile_of(name)
        for _ in range(rng.randrange(1, 4)):
            body = mutated_answer(body, rng)
        data = json.dumps(body).encode()
        if rng.random() < 0.3:
            data = torn(data, rng)
        if rng.random() < 0.1:
            data = b"data: " + data
        headers = {"date": rng.choice(["", "Thu, 26 Nov 2026 10:00:00 GMT", "x"]), "retry-after": rng.choice(["", "9"])}
        answer = Answer(rng.choice([status, status, 200, 404, 500, 302, 202]), headers, data, url="https://x.example/")
        try:
            made = create_answer.of_answer(profile, answer, now=1.7e9)
            cut = create_answer.of_silence(profile, NoAnswer("cut", "cut", sent=True, status=200, body=data))
            create_answer.candidate_ids(profile, data)
            look = normalize.snapshot(profile, answer.json(), task_id="t", http_status=answer.status)
            normalize.about_another_task(profile, answer.json(), "t")
            normalize.stream_event(profile, answer.text)
            classify_error.api_error(
                profile, operation=operation, http_status=answer.status, body=answer.json(), text=answer.text,
                headers=headers, now=1.7e9,
            )  # fmt: skip
        except Exception as error:
            raise AssertionError(f"number {number}: {name} {answer.status} {data!r}") from error
        seen.add(made.decision)
        assert made.task_id is None or valid_task_id(made.task_id) == made.task_id
        told = made.error is not None and made.decision is Decision.REFUSED
        assert answer.status not in (200, 202) or told or made.decision in (Decision.ACCEPTED, Decision.UNKNOWN), data
        assert cut.decision in (Decision.ACCEPTED, Decision.UNKNOWN)
        json.dumps([made.follow, look.error.message if look.error else None, look.usage], default=str)
    assert seen >= {Decision.ACCEPTED, Decision.REFUSED, Decision.UNKNOWN, Decision.LOOK}
