"""No profile that passes the check can lose a paid id or make a success up: random changes of the shipped ones."""

from __future__ import annotations

import copy
import json
import os
import random
from typing import Any

from test_contracts import CREATES, LOOKS

from videotasks.core.task import Status
from videotasks.providers import check_profile, normalize
from videotasks.providers.load_profile import load_profile
from videotasks.providers.profile import build_profile

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
