"""Published limits, prices by exact match, balances; what is not published is None and never 0."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videotasks.providers.load_profile import load_profile
from videotasks.request import build, costs, limits
from videotasks.request.build import CommonInputs

CREATOK = load_profile("creatok")


def capabilities() -> dict[str, Any]:
    """Contracts A.7."""
    video = {
        "id": "doubao-seedance-2",
        "defaults": {"orientation": "9:16", "seconds": 10, "definition": "720p"},
        "limits": {
            "definitions": ["480p", "720p"],
            "orientations": ["9:16", "16:9"],
            "durations": {"min": 4, "max": 15, "enum": None},
            "max_reference_images": 2,
        },
        "pricing": {
            "currency": "credits",
            "unit": "video",
            "estimates": [
                {"definition": "480p", "seconds": 10, "orientation": "9:16", "credits": 7},
                {"definition": "720p", "seconds": 10, "orientation": "9:16", "credits": 12},
            ],
        },
    }
    fixed = {
        "id": "sora-2",
        "limits": {"durations": {"min": None, "max": None, "enum": [12]}, "max_reference_images": 1},
    }
    image = {
        "id": "nano-banana-2",
        "defaults": {"resolution": "2K", "n": 1},
        "limits": {"resolutions": ["1K", "2K"], "n": {"min": 1, "max": 4}, "aspect_ratios": ["1:1"]},
        "pricing": {"currency": "credits", "unit": "image", "by_resolution": {"1K": 1, "2K": 3}},
    }
    body = {
        "video": {"default_model": "doubao-seedance-2", "models": [video, fixed]},
        "image": {"default_model": "nano-banana-2", "models": [image]},
    }
    return {"code": 0, "data": {"capabilities": body}}


def check(kind: str | None = None, body: Any = None, **given: Any) -> tuple[list[str], costs.Estimate | None]:
    profile = CREATOK.for_kind(kind)
    given.setdefault("model", "doubao-seedance-2" if kind is None else "nano-banana-2")
    draft = build.build_request(profile, CommonInputs(prompt="p", **given))
    return costs.check_capabilities(profile, capabilities() if body is None else body, draft)


def test_an_exact_match_has_a_price() -> None:
    problems, price = check(duration=10, ratio="9:16", resolution="480p")
    assert problems == [] and price == costs.Estimate(7.0, "credits", {})


def test_the_apis_own_defaults_fill_what_is_left_out_and_are_told() -> None:
    _, price = check(duration=10)
    assert price == costs.Estimate(12.0, "credits", {"ratio": "9:16", "resolution": "720p"})


@pytest.mark.parametrize("given", [{"duration": 9}, {"ratio": "16:9"}, {"model": "sora-2", "duration": 12}])
def test_a_price_that_is_not_published_is_none(given: dict[str, Any]) -> None:
    assert check(**given) == ([], None)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"duration": 30}, "makes at most 15 s in one video; 30 s were asked for. Split it: 2 videos of 15 s"),
        ({"duration": 3}, "makes at least 4 s"),
        ({"resolution": "1080p"}, "has no resolution 1080p; it has 480p, 720p"),
        ({"ratio": "1:1"}, "has no ratio 1:1; it has 9:16, 16:9"),
        ({"set_values": [("referenceImageKeys", ["a", "b", "c"])]}, "at most 2 image inputs; 3 were given"),
        ({"payload": {"seconds": 99}}, "99 s were asked for"),
        ({"model": "sora-2", "duration": 8}, "makes videos of 12 s; 8 s were asked for"),
        ({"model": "sora-2", "duration": 20}, "at most 12 s"),
        ({"model": "nope"}, "has no model 'nope' now; it has: doubao-seedance-2, sora-2"),
    ],
)
def test_limits(given: dict[str, Any], problem: str) -> None:
    (only,), price = check(**given)
    assert problem in only and price is None


def test_images_cost_by_resolution_times_n() -> None:
    assert check("image", resolution="2K", set_values=[("n", 4)]) == ([], costs.Estimate(12.0, "credits", {}))
    assert check("image", set_values=[("n", "many")])[1] is None
    assert check("image", resolution="4K")[0]


@pytest.mark.parametrize("body", [{}, [], None, "x", {"data": {"capabilities": {"video": {"models": "x"}}}}])
def test_no_capabilities_are_no_problem(body: Any) -> None:
    assert check(body=body or []) == ([], None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["min", "max", "enum", "x"]), inner),
    max_leaves=8,
)


@given(JSON, JSON, JSON)
def test_odd_capabilities_raise_nothing(durations: Any, allowed: Any, pricing: Any) -> None:
    body = capabilities()
    model = body["data"]["capabilities"]["video"]["models"][0]
    model["limits"] |= {"durations": durations, "definitions": allowed, "max_reference_images": allowed}
    model["pricing"]["estimates"] = pricing
    model["defaults"] = pricing
    check(body=body, duration=10)


@pytest.mark.parametrize("most", [5e-324, 1e-300, 0, -11])
def test_an_absurd_limit_costs_no_memory(most: float) -> None:
    body = capabilities()
    body["data"]["capabilities"]["video"]["models"][0]["limits"]["durations"] = {"max": most}
    assert len("".join(check(body=body, duration=10)[0])) < 500


def test_a_provider_without_capabilities() -> None:
    ark = load_profile("ark")
    draft = build.build_request(ark, CommonInputs(prompt="p", model="m"))
    assert costs.check_capabilities(ark, capabilities(), draft) == ([], None)


@pytest.mark.parametrize(
    ("name", "body", "amount", "unit", "unlimited"),
    [
        (
            "octopusx",
            {"code": True, "message": "ok", "data": {"total_granted": 9, "total_used": 2, "total_available": 7}},
            7.0,
            "quota",
            False,
        ),
        ("octopusx", {"code": True, "data": {"total_available": 0, "unlimited_quota": True}}, 0.0, "quota", True),
        ("skills-video", {"credits": 12.5}, 12.5, "credits", False),
        ("skills-video", {"data": {"balance": "30"}}, 30.0, "credits", False),
        ("skills-video", {"somewhere": {"else": 5}}, None, "credits", False),
        ("skills-video", {"credits": True}, None, "credits", False),
        ("skills-video", [5], None, "credits", False),
        ("ark", {"credits": 5}, None, None, False),
    ],
)
def test_balances(name: str, body: Any, amount: float | None, unit: str | None, unlimited: bool) -> None:
    found = costs.balance(load_profile(name), body)
    assert (found.amount, found.unit, found.unlimited) == (amount, unit, unlimited)


@given(st.integers(1, 600), st.integers(1, 60))
def test_a_split_covers_the_length_within_the_maximum(seconds: int, most: int) -> None:
    text = limits.split(seconds, most)
    if seconds < most or seconds / most > limits.MAX_PARTS:
        assert text == "Split it into shorter videos"
        return
    if " + " in text:
        parts = [float(part) for part in text.split(" of ")[1].removesuffix(" s").split(" + ")]
    else:
        count, each = text.removeprefix("Split it: ").removesuffix(" s").split(" videos of ")
        parts = [float(each)] * int(count)
    assert sum(parts) >= seconds and max(parts) <= most and max(parts) - min(parts) <= 1
