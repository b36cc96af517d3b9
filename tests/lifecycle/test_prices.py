"""What a request will cost, said before paying by whoever knows it; and limits that hold, also for two at once."""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from support.commands import Done, call, call_unchecked, start
from support.faults import json_answer
from support.faultserver import FaultServer, Request
from support.gallery import make_run
from videotasks.catalogue.prices import rates_in
from videotasks.core.errors import TaskError
from videotasks.providers.known_model import Known, rates_of
from videotasks.providers.load_profile import load_profile
from videotasks.providers.profile import Model
from videotasks.request.build import CommonInputs, build_request
from videotasks.request.costs import Estimate, by_quote, by_rates

PROFILE = """
name: acme
base_url: https://api.acme.example
auth: {env: [X]}
create: {path: /create, id: [id]}
status: {path: "/tasks/{task_id}", value: [status], map: {running: [running], succeeded: [done]}}
result: {video: [url], cost: {path: [cost], unit: USD}}
inputs: {prompt: {to: prompt}, model: {to: model}, duration: {to: duration}, resolution: {to: resolution}}
prices:
"""
QUOTE = """  quote:
    path: /price
    body: {model_id: "{model}", inputs: "{body}"}
    amount: data.unit_price
    currency: data.currency
"""
UNIT = '  unit_price: {path: "/prices?id={model}", amount: "prices[0].unit_price", per: "prices[0].unit", unit: USD}\n'


class Api:
    """Counts creates and answers with the price of the moment."""

    def __init__(self, *prices: Any) -> None:
        self.prices, self.creates, self.asked = list(prices), [], []  # type: ignore[var-annotated]

    def __call__(self, request: Request) -> Any:
        body = json.loads(request.read() or b"null") if request.method == "POST" else None
        if request.target.startswith("/price"):
            self.asked.append(body)
            return json_answer(self.prices.pop(0) if len(self.prices) > 1 else self.prices[0])
        if request.method == "POST":
            self.creates.append(body)
            return json_answer({"id": f"t_{len(self.creates)}"})
        return json_answer({"status": "running"})


def quote(amount: float) -> dict[str, Any]:
    return {"data": {"unit_price": amount, "currency": "USD"}}


def create(server: FaultServer, *arguments: str, profile: str = QUOTE, run: Any = call, env: Any = None) -> Done:
    Path("acme.yaml").write_text(PROFILE + profile, encoding="utf-8")
    given = ("--provider", "./acme.yaml", "--base-url", server.base_url, "--model", "film", "--no-wait")
    done: Done = run(
        "create_and_wait.py", *given, *arguments, env={"VIDEO_TASKS_KEY_ACME": "sk-CANARY-7f3a", **(env or {})}
    )
    return done


# -- by whom -----------------------------------------------------------------------------------------------------


def test_a_quote_is_asked_with_the_very_body(workspace: Path) -> None:
    api = Api(quote(0.35))
    with FaultServer(api) as server:
        plan = create(server, "--prompt", "p", "--duration", "5", "--dry-run").final
        assert plan["estimate"] == {"amount": 0.35, "unit": "USD", "kind": "quote", "assumed": {},
                                    "source": server.base_url + "/price"}  # fmt: skip
        assert api.asked == [{"model_id": "film", "inputs": {"prompt": "p", "model": "film", "duration": 5}}]
        assert api.creates == []


def test_the_price_of_the_create_counts_not_that_of_the_dry_run(workspace: Path) -> None:
    api = Api(quote(0.35), quote(0.9))
    with FaultServer(api) as server:
        assert create(server, "--prompt", "p", "--max-cost", "0.5USD", "--dry-run").exit_code == 0
        refused = create(server, "--prompt", "p", "--max-cost", "0.5USD")
        assert refused.exit_code == 1 and refused.error["code"] == "over_max_cost" and api.creates == []
        assert create(server, "--prompt", "p", "--max-cost", "1USD").exit_code == 0 and len(api.creates) == 1


def test_a_unit_price_times_the_units_with_the_formula(workspace: Path) -> None:
    api = Api({"prices": [{"unit_price": 0.05, "unit": "seconds"}]})
    with FaultServer(api) as server:
        plan = create(server, "--prompt", "p", "--duration", "8", "--dry-run", profile=UNIT)
        estimate = plan.final["estimate"]
        assert (estimate["amount"], estimate["kind"], estimate["formula"]) == (0.4, "unit_price", "8 s x 0.05 USD")
        assert "8 s x 0.05 USD" in plan.stderr
        unknown = create(server, "--prompt", "p", "--dry-run", profile=UNIT).final
        assert unknown["estimate"] is None, "without a length there is no product"


@pytest.mark.parametrize(
    ("answer", "profile"),
    [
        ({"data": None}, QUOTE),
        ([], QUOTE),
        (quote(-1), QUOTE),
        ({"data": {"unit_price": "x", "currency": "USD"}}, QUOTE),
        ({"prices": [{"unit_price": 1, "unit": "GPU hours"}]}, UNIT),
    ],
)
def test_what_is_no_price_is_unknown_and_stops_nothing_but_a_limit(answer: Any, profile: str, workspace: Path) -> None:
    api = Api(answer)
    with FaultServer(api) as server:
        given = ("--prompt", "p", "--duration", "5")
        assert create(server, *given, "--dry-run", profile=profile).final["estimate"] is None
        limited = create(server, *given, "--max-cost", "5USD", profile=profile)
        assert limited.error["code"] == "unknown_cost" and api.creates == []
        assert create(server, *given, profile=profile).exit_code == 0


def test_a_printed_price_holds_a_limit_for_90_days(workspace: Path) -> None:
    printed = "  {{}}\nmodels_read: {{generated_from: https://docs.acme.example, date: {day}}}\nmodels:\n"
    printed += "  - {{id: film, price: {{unit: USD, per_second: 0.1}}}}\n"
    api = Api([])
    with FaultServer(api) as server:
        given = ("--prompt", "p", "--duration", "5", "--max-cost", "0.4USD")
        today = printed.format(day=datetime.now(timezone.utc).date().isoformat())
        plan = create(server, *given[:-2], "--dry-run", profile=today).final
        assert (plan["estimate"]["amount"], plan["estimate"]["kind"]) == (0.5, "list")
        assert plan["estimate"]["source"] == "https://docs.acme.example"
        assert create(server, *given, profile=today).error["code"] == "over_max_cost"
        old = create(server, *given, profile=printed.format(day="2026-01-01"))
        assert old.error["code"] == "unknown_cost" and "a list is no price to rely on" in old.final["message"]
        assert api.creates == []


def test_the_users_own_prices(workspace: Path) -> None:
    Path("prices.yaml").write_text(
        'acme:\n  "fi*": {unit: EUR, per_second: {720p: 0.1, 1080p: 0.2}}\n', encoding="utf-8"
    )
    env = {"VIDEO_TASKS_PRICES": "prices.yaml"}
    api = Api([])
    with FaultServer(api) as server:
        given = ("--prompt", "p", "--duration", "5", "--resolution", "1080p")
        plan = create(server, *given, "--dry-run", profile="  {}\n", env=env).final
        assert (plan["estimate"]["amount"], plan["estimate"]["kind"]) == (1.0, "own")
        over = create(server, *given, "--max-cost", "0.9EUR", profile="  {}\n", env=env)
        assert over.error["code"] == "over_max_cost" and api.creates == []
        Path("prices.yaml").write_text("acme: {film: {unit: EUR, per_second: lots}}", encoding="utf-8")
        wrong = create(server, *given, profile="  {}\n", env=env)
        assert wrong.exit_code == 1 and "acme: film" in wrong.final["message"] and api.creates == []


def test_what_it_cost_before_is_told_and_no_limit_relies_on_it(workspace: Path) -> None:
    class Done_(Api):
        def __call__(self, request: Request) -> Any:
            if request.method == "POST":
                self.creates.append(json.loads(request.read()))
                return json_answer({"id": "t_1"})
            return json_answer({"status": "done", "url": "https://127.0.0.1:1/x.mp4", "cost": 2.5})

    api = Done_([])
    with FaultServer(api) as server:
        given = ("--prompt", "p", "--duration", "5")
        made = create(server, *given, profile="  {}\n")
        call("task_status.py", "--run-id", made.final["run_id"], "--provider", "./acme.yaml",
             "--base-url", server.base_url, env={"VIDEO_TASKS_KEY_ACME": "sk-CANARY-7f3a"})  # fmt: skip
        plan = create(server, "--prompt", "another", "--duration", "5", "--dry-run", profile="  {}\n").final
        assert plan["estimate"]["kind"] == "history" and plan["estimate"]["amount"] == 2.5
        longer = create(server, "--prompt", "another", "--duration", "9", "--dry-run", profile="  {}\n").final
        assert longer["estimate"] is None
        limited = create(server, "--prompt", "another", "--duration", "5", "--max-cost", "9USD", profile="  {}\n")
        assert limited.error["code"] == "unknown_cost" and len(api.creates) == 1


# -- the shapes of the shipped providers' own prices --------------------------------------------------------------

MODEL = "acme/film"
FAL = {"prices": [{"endpoint_id": MODEL, "unit_price": 0.1, "unit": "second", "currency": "USD"}]}
VARIANTS = {"kind": "variants", "dimensions": ["resolution"], "variants": [
    {"when": {"resolution": "720p"}, "price": 0.39, "unit": "second", "per": 1},
    {"when": {"resolution": "1080p"}, "price": 0.65, "unit": "second", "per": 1},
]}  # fmt: skip
SKUS = {
    "duration_seconds_with_audio": "0.40", "duration_seconds_without_audio": "0.20",
    "duration_seconds_with_audio_4k": "0.60", "duration_seconds_without_audio_4k": "0.40", "video_tokens": "1",
}  # fmt: skip
CENTS = {"cents_per_second_output_720p": "17", "cents_per_second_output_1080p": "29",
         "cents_per_second_video_continuation_720p": "41"}  # fmt: skip
LABELS = [
    {"amount": 0.2, "unit": "durationSecond", "label": "720p / 1080p \u00b7 without audio"},
    {"amount": 0.4, "unit": "durationSecond", "label": "720p / 1080p \u00b7 with audio"},
    {"amount": 0.6, "unit": "durationSecond", "label": "4K \u00b7 with audio"},
]


def aimlapi(pricing: Any) -> Any:
    return {"object": "list", "data": [{"id": MODEL, "pricing": pricing}]}


def openrouter(skus: Any) -> Any:
    return {
        "data": [{"id": "acme/other", "pricing_skus": {"duration_seconds": "9"}}, {"id": MODEL, "pricing_skus": skus}]
    }


def runware(rates: Any) -> Any:
    return {"openapi": "3.1.0", "info": {"x-pricing": {"currency": "USD", "rates": rates}}}


@pytest.mark.parametrize(
    ("name", "answer", "given", "amount", "assumed"),
    [
        ("fal", FAL, {"set_values": [("duration", 8)]}, 0.8, {}),
        ("fal", FAL, {}, None, None),
        ("fal", {"prices": [{**FAL["prices"][0], "unit": "videos"}]}, {}, 0.1, {}),
        ("fal", {"prices": [{**FAL["prices"][0], "unit": "compute seconds"}]}, {}, None, None),
        ("fal", {"prices": [{**FAL["prices"][0], "endpoint_id": "acme/other"}]}, {}, None, None),
        ("aimlapi", aimlapi(VARIANTS), {"duration": 5, "resolution": "1080p"}, 3.25, {}),
        ("aimlapi", aimlapi(VARIANTS), {"duration": 5}, None, None),
        ("aimlapi", aimlapi(VARIANTS), {"duration": 5, "resolution": "4k"}, None, None),
        ("aimlapi", aimlapi({"kind": "fixed", "units": [{"name": "second", "price": 10, "per": 100}]}),
         {"duration": 5}, 0.5, {}),
        ("aimlapi", aimlapi({"kind": "fixed", "units": [{"name": "token", "price": 3, "per": 1}]}),
         {"duration": 5}, None, None),
        ("aimlapi", aimlapi({"kind": "variable"}), {"duration": 5}, None, None),
        ("openrouter", openrouter(SKUS),
         {"duration": 5, "resolution": "720p", "set_values": [("generate_audio", False)]}, 1.0, {}),
        ("openrouter", openrouter(SKUS), {"duration": 5, "resolution": "720p"}, 2.0, {"generate_audio": True}),
        ("openrouter", openrouter(SKUS), {"duration": 5}, 3.0, {"generate_audio": True, "resolution": ["4k"]}),
        ("openrouter", openrouter(CENTS), {"duration": 5, "resolution": "720p"}, 0.85, {}),
        ("openrouter", openrouter({"duration_seconds": "0.13", "reference_images": "0.04"}),
         {"duration": 5, "image": [("reference", "https://e.example/1.png")] * 2}, 0.73, {}),
        ("openrouter", openrouter({"cents_per_second_output": "28", "minimum_cents_per_generation": "56"}),
         {"duration": 1}, 0.56, {}),
        ("openrouter", openrouter({"video_tokens": "1"}), {"duration": 5}, None, None),
        ("runware", runware(LABELS), {"duration": 5, "resolution": "1080p", "ratio": "16:9"}, 2.0, {"sound": True}),
        ("runware", runware(LABELS[:2]), {"duration": 5}, 2.0, {"resolution": ["720p", "1080p"], "sound": True}),
        ("runware", runware([{"amount": 0.3, "unit": "run", "label": "Per run"}]), {"duration": 5}, 0.3, {}),
        ("runware", runware([*LABELS, {"amount": 9, "unit": "megapixel", "label": "x"}]), {"duration": 5}, None, None),
    ],
)  # fmt: skip
def test_the_rates_of_an_answer_and_the_one_that_fits(
    name: str, answer: Any, given: dict[str, Any], amount: float | None, assumed: dict[str, Any] | None
) -> None:
    profile = load_profile(name)
    draft = build_request(profile, CommonInputs(prompt="p", model=MODEL, **given), known=Known())
    assert profile.prices and profile.prices.unit_price
    rates = rates_in(answer, profile.prices.unit_price, MODEL)
    kind = "table" if name == "aimlapi" else "unit_price"
    made = by_rates(rates, draft, profile, kind=kind)
    assert (made.amount if made else None, made and dict(made.assumed)) == (amount, assumed)


@pytest.mark.parametrize("answer", [None, [], {}, "x", {"data": "x"}, {"data": [{"pricing": {"units": [1]}}]},
                                    {"info": {"x-pricing": {"rates": [{"amount": {}, "unit": []}]}}},
                                    aimlapi({"variants": [{"when": {"a": {}}, "price": 1, "unit": "second"}]}),
                                    openrouter({"duration_seconds": "-1"}), openrouter([1]),
                                    openrouter({"": 1})])  # fmt: skip
@pytest.mark.parametrize("name", ["fal", "aimlapi", "openrouter", "runware"])
def test_an_answer_without_prices_has_no_rates(name: str, answer: Any) -> None:
    prices = load_profile(name).prices
    assert prices and prices.unit_price and rates_in(answer, prices.unit_price, MODEL) == []


BY_NAME = {"rows": "data[?id=='{model}'] | [0].pricing_skus", "unit": "USD"}


@drawn(st.text(max_size=60))
def test_any_name_of_a_rate_is_read_or_left(name: str) -> None:
    for rate in rates_in(openrouter({name: "1"}), BY_NAME, MODEL):
        assert rate.per in ("second", "video", "image", "minimum") and rate.amount in (1.0, 0.01)


KEYS = {
    "fal": "FAL_KEY",
    "aimlapi": "AIMLAPI_API_KEY",
    "runware": "RUNWARE_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
}
MOMENTS: dict[str, tuple[Any, ...]] = {  # a dry run's price, and the create's
    "fal": (FAL, {"prices": [{**FAL["prices"][0], "unit_price": 0.3}]}),
    "aimlapi": (
        aimlapi({"kind": "fixed", "units": [{"name": "second", "price": 0.1, "per": 1}]}),
        aimlapi({"kind": "fixed", "units": [{"name": "second", "price": 0.3, "per": 1}]}),
    ),
    "runware": (runware([{**LABELS[0], "amount": 0.1}]), runware([{**LABELS[0], "amount": 0.3}])),
    "openrouter": (openrouter({"duration_seconds": "0.1"}), openrouter({"duration_seconds": "0.3"})),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_a_price_that_rose_since_the_dry_run_is_refused_above_the_limit(name: str, workspace: Path) -> None:
    seen: list[Request] = []
    creates: list[Any] = []
    answers = list(MOMENTS[name])

    def api(request: Request) -> Any:
        if request.method == "POST":
            creates.append(json.loads(request.read()))
            return json_answer({"id": "t_1", "request_id": "t_1", "data": [{"taskUUID": "t_1"}]})
        if request.target.startswith("/spec"):
            members = {"prompt": {"type": "string"}, "duration": {"type": "integer"}}
            body = {"content": {"application/json": {"schema": {"type": "object", "properties": members}}}}
            return json_answer({"openapi": "3.0.0", "paths": {f"/{MODEL}": {"post": {"requestBody": body}}}})
        seen.append(request)
        return json_answer(answers.pop(0) if len(answers) > 1 else answers[0])

    with FaultServer(api) as server:
        env = {KEYS[name]: "sk-CANARY-7f3a", f"{name.upper()}_SPECIFICATION_URL": server.base_url + "/spec"}
        if name != "openrouter":
            env[f"{name.upper()}_PRICES_URL"] = server.base_url + "/prices?id={model}"
        common = ("--provider", name, "--base-url", server.base_url, "--model", MODEL, "--prompt", "p",
                  "--duration", "5", "--max-cost", "1USD", "--no-wait")  # fmt: skip
        plan = call("create_and_wait.py", *common, "--dry-run", env=env)
        assert plan.exit_code == 0, plan
        estimate = plan.final["estimate"]
        assert (estimate["amount"], estimate["kind"]) == (0.5, "table" if name == "aimlapi" else "unit_price")
        assert "5 s x 0.1 USD" in estimate["formula"] and estimate["source"].startswith(server.base_url)
        before = len(seen)
        refused = call("create_and_wait.py", *common, env=env)
        assert refused.error["code"] == "over_max_cost" and "1.5 USD" in refused.final["message"] and creates == []
        assert len(seen) > before, "the price of the moment"
    keyed = [one for one in seen if "CANARY" in str(one.headers)]
    assert bool(keyed) == (name in ("fal", "openrouter")), "the key goes where the profile says that it is wanted"


def test_a_table_that_rose_since_the_dry_run_is_refused_above_the_limit(workspace: Path) -> None:
    creates: list[Any] = []
    told = [10, 30]

    def api(request: Request) -> Any:
        if request.method == "POST":
            creates.append(request.read())
            return json_answer({"code": 0, "data": {"task_id": "t_1"}})
        row = {
            "definition": "720p",
            "seconds": 5,
            "orientation": "9:16",
            "credits": told.pop(0) if told[1:] else told[0],
        }
        pricing = {"currency": "credits", "estimates": [row]}
        model = {"id": "sora-2", "defaults": {"seconds": 5, "orientation": "9:16", "definition": "720p"},
                 "limits": {}, "pricing": pricing}  # fmt: skip
        return json_answer({"code": 0, "data": {"capabilities": {"video": {"models": [model]}}}})

    with FaultServer(api) as server:
        env = {"CREATOK_API_KEY": "sk-CANARY-7f3a"}
        common = ("--provider", "creatok", "--base-url", server.base_url, "--model", "sora-2", "--prompt", "p",
                  "--max-cost", "20credits", "--no-wait")  # fmt: skip
        plan = call("create_and_wait.py", *common, "--dry-run", env=env)
        assert plan.exit_code == 0 and plan.final["estimate"]["amount"] == 10, plan
        assert plan.final["estimate"]["kind"] == "table" and plan.final["estimate"]["assumed"]["ratio"] == "9:16"
        refused = call("create_and_wait.py", *common, env=env)
        assert refused.error["code"] == "over_max_cost" and "30 credits" in refused.final["message"] and creates == []


def test_another_gateways_prices_are_not_asked_of_the_shipped_one(workspace: Path) -> None:
    def api(request: Request) -> Any:
        return json_answer({})

    with FaultServer(api) as server:
        env = {"FAL_KEY": "sk-CANARY-7f3a", "FAL_SPECIFICATION_URL": "http://127.0.0.1:9/nobody"}
        plan = call("create_and_wait.py", "--provider", "fal", "--base-url", server.base_url, "--model", MODEL,
                    "--prompt", "p", "--dry-run", env=env)  # fmt: skip
        assert plan.exit_code == 0 and plan.final["estimate"] is None
        assert any("at another origin is not told" in one for one in plan.final["notes"])


# -- rules -------------------------------------------------------------------------------------------------------


def priced(rule: dict[str, Any], **given: Any) -> Estimate | None:
    members = {"duration": {"default": 5}, "resolution": {"values": ["720p", "1080p"], "default": "720p"}, "n": {}}
    fields = {"prompt": "prompt", "duration": "duration", "resolution": "resolution", "count": "n"}
    known = Known(model=Model(id="m", members=members, fields=fields), source="catalogue")
    profile = load_profile("skills-video")
    draft = build_request(profile, CommonInputs(prompt="p", model="m", **given), known=known)
    return by_rates(rates_of(rule), draft, profile, kind="list", source="s", of="2026-11-26")


@pytest.mark.parametrize(
    ("rule", "given", "amount", "assumed"),
    [
        ({"unit": "USD", "per_second": 0.05}, {"duration": 8}, 0.4, {}),
        ({"unit": "USD", "per_second": 0.05}, {}, 0.25, {"duration": 5}),
        ({"unit": "USD", "per_second": {"720P": 0.1, "1080p": 0.2}}, {"duration": 5}, 0.5, {"resolution": "720p"}),
        ({"unit": "USD", "per_video": 2}, {"set_values": [("n", 3)]}, 6, {}),
        ({"unit": "USD", "per_second": {"4k": 1}}, {"duration": 5}, None, {}),
        ({"unit": "", "per_second": 1}, {"duration": 5}, None, {}),
        ({"unit": "USD", "per_second": "x"}, {"duration": 5}, None, {}),
    ],
)
def test_a_rule(rule: dict[str, Any], given: dict[str, Any], amount: float | None, assumed: dict[str, Any]) -> None:
    made = priced(rule, **given)
    assert (made.amount if made else None) == amount
    assert made is None or made.assumed == assumed


def test_a_shipped_list_is_relied_on_for_90_days() -> None:
    made = priced({"unit": "USD", "per_second": 0.05})
    assert made and made.binding_on("2026-11-26") and made.binding_on("2027-02-23")
    assert not made.binding_on("2027-02-24")
    assert not Estimate(1, "USD", {}, "history").binding_on("2026-11-26")
    assert Estimate(1, "USD", {}, "quote").binding_on("2026-11-26")


def test_a_quote_has_its_unit_from_the_profile() -> None:
    assert by_quote({"quote": 0.35}, {"amount": "quote", "unit": "USD"}, "s") == Estimate(
        0.35, "USD", {}, "quote", None, "s"
    )


# -- a limit for the day -----------------------------------------------------------------------------------------


def test_the_day_is_added_up(workspace: Path) -> None:
    api = Api(quote(2.0))
    with FaultServer(api) as server:
        limit = ("--max-cost-per-day", "5USD")
        assert create(server, "--prompt", "a", *limit).exit_code == 0
        assert create(server, "--prompt", "b", *limit).exit_code == 0
        plan = create(server, "--prompt", "c", *limit, "--dry-run").final
        assert plan["day"] == {"spent": 4.0, "limit": 5.0, "unit": "USD", "unknown_creates": 0}
        refused = create(server, "--prompt", "c", *limit)
        assert refused.exit_code == 1 and refused.error["code"] == "over_max_cost" and len(api.creates) == 2
        assert "4 USD today" in refused.final["message"]
        again = create(server, "--prompt", "a", *limit)
        assert again.exit_code == 0 and len(api.creates) == 2, "what attaches costs nothing"
        assert list((Path("task-status") / ".artifacts" / ".spending").glob("*.json")) == []


def test_what_others_plant_does_not_lift_the_limit_of_a_day(workspace: Path) -> None:
    """A price below nothing in a run or a reservation was taken off the sum; a pipe among them was waited for."""
    root, now = workspace / "task-status" / ".artifacts", time.time()
    gift = {"amount": -1000, "unit": "USD"}
    make_run(root, at=now, events=[("submitted", {"task_id": "p-1"})], expected_cost=gift)
    cost = {"cost": -1000, "cost_unit": "USD"}
    make_run(root, at=now, events=[("submitted", {"task_id": "p-2"}), ("ended", {"outcome": "succeeded", **cost})])
    (root / ".spending").mkdir()
    today = datetime.fromtimestamp(now, timezone.utc).date().isoformat()
    (root / ".spending" / f"{today}-1-a.json").write_text(json.dumps({**gift, "mode": "real"}))
    if hasattr(os, "mkfifo"):
        os.mkfifo(root / ".spending" / f"{today}-1-b.json")
    api = Api(quote(3.0))
    with FaultServer(api) as server:
        assert create(server, "--prompt", "a", "--max-cost-per-day", "5USD").exit_code == 0
        refused = create(server, "--prompt", "b", "--max-cost-per-day", "5USD")
    assert refused.error["code"] == "over_max_cost" and len(api.creates) == 1


def test_unknown_costs_are_counted(workspace: Path) -> None:
    api = Api([])
    with FaultServer(api) as server:
        assert create(server, "--prompt", "a").exit_code == 0
        limit = ("--max-cost-per-day", "5USD")
        refused = create(server, "--prompt", "b", *limit)
        assert refused.error["code"] == "unknown_cost" and "1 creates of unknown price" in refused.final["message"]
        assert create(server, "--prompt", "b", *limit, "--allow-unknown-cost").exit_code == 0


@pytest.mark.process
def test_two_at_once_hold_the_limit(workspace: Path) -> None:
    api = Api(quote(3.0))
    with FaultServer(api) as server:
        create(server, "--prompt", "warm", "--dry-run")
        done: list[Done] = []

        def one(prompt: str) -> None:
            done.append(create(server, "--prompt", prompt, "--max-cost-per-day", "5USD", run=start))

        threads = [threading.Thread(target=one, args=(name,)) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(each.exit_code for each in done) == [0, 1] and len(api.creates) == 1


def test_a_refused_create_gives_its_share_back(workspace: Path) -> None:
    class Refusing(Api):
        def __call__(self, request: Request) -> Any:
            if request.target == "/create":
                request.read()
                return json_answer({"error": {"message": "bad"}}, status=400)
            return super().__call__(request)

    with FaultServer(Refusing(quote(3.0))) as server:
        assert create(server, "--prompt", "a", "--max-cost-per-day", "5USD").exit_code == 22
    api = Api(quote(3.0))
    with FaultServer(api) as server:
        assert create(server, "--prompt", "b", "--max-cost-per-day", "5USD").exit_code == 0


def test_what_was_expected_stands_beside_what_was_paid(workspace: Path) -> None:
    class Ends(Api):
        def __call__(self, request: Request) -> Any:
            if request.method == "GET" and request.target.startswith("/tasks"):
                return json_answer({"status": "done", "url": "https://127.0.0.1:1/x.mp4", "cost": 0.4})
            return super().__call__(request)

    with FaultServer(Ends(quote(0.35))) as server:
        made = create(server, "--prompt", "a", "--max-cost", "1USD")
        assert made.exit_code == 0, made
        done = call(
            "task_status.py", "--run-id", made.final["run_id"], "--provider", "./acme.yaml",
            "--base-url", server.base_url, "--wait", "--no-download", env={"VIDEO_TASKS_KEY_ACME": "sk-CANARY-7f3a"},
        )  # fmt: skip
        assert done.exit_code == 0, done.stdout + done.stderr
        assert done.final["cost"] == {"amount": 0.4, "unit": "USD"}
        assert done.final["expected_cost"] == {"amount": 0.35, "unit": "USD", "kind": "quote"}
        (row,) = call("task_status.py", "--list").final["runs"]
        assert row["cost"] == "0.4 USD" and row["expected"] == "0.35 USD"
        _, table, _ = call_unchecked("task_status.py", "--list", "--text")
        assert b"0.4 USD (0.35 USD)" in table, "for people as well"


@pytest.mark.parametrize("text", ["5", "USD", "5 5", "-1USD"])
def test_a_limit_without_a_unit_is_none(text: str, workspace: Path) -> None:
    from videotasks.lifecycle.preflight import amount_of

    with pytest.raises(TaskError, match="unit"):
        amount_of("--max-cost-per-day", text)
