"""The sandbox's Replicate wire, against contracts F.2."""

from __future__ import annotations

from typing import Any

import pytest

from support.sandbox_http import Caller, Start
from videotasks_sandbox.dialect import load_dialect

BY_MODEL = "/models/kwaivgi/kling-v2/predictions"
INPUT = {"input": {"prompt": "a boat", "duration": 6, "aspect_ratio": "1:1"}}


def done(call: Caller, path: str, body: Any) -> Any:
    task_id = call.post(path, body).json["id"]
    call.clock.now += 3
    return call.get(f"/predictions/{task_id}").json


def test_life_of_a_prediction(start: Start) -> None:
    call = start("replicate")
    created = call.post(BY_MODEL, INPUT)
    assert created.status == 201
    body = created.json
    assert (body["status"], body["output"], body["started_at"]) == ("starting", None, None)
    assert body["input"] == INPUT["input"]
    assert body["urls"]["get"] == f"{call.sandbox.base_url}/predictions/{body['id']}"
    call.clock.now += 1
    running = call.get(f"/predictions/{body['id']}").json
    assert (running["status"], running["logs"]) == ("processing", "Generating: 31%\n")
    call.clock.now += 2
    last = call.get(f"/predictions/{body['id']}").json
    assert (last["status"], last["created_at"]) == ("succeeded", "2027-01-15T08:00:00.000Z")
    assert last["metrics"]["predict_time"] == pytest.approx(2.2, abs=0.01)
    assert call.get(last["output"]).status == 200
    call.clock.now += 3600
    assert call.get(last["output"]).status == 403
    assert call.get(f"/predictions/{body['id']}").json["output"] is None


def test_output_is_a_string_a_list_or_an_object(start: Start) -> None:
    call = start("replicate")
    assert isinstance(done(call, BY_MODEL, INPUT)["output"], str)
    assert isinstance(done(call, "/models/wan-video/wan-2.5/predictions", INPUT)["output"], list)
    assert isinstance(done(call, "/predictions", {"version": "abc", **INPUT})["output"], list)
    assert set(done(call, "/models/luma/ray/predictions", INPUT)["output"]) == {"video", "thumbnail"}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/predictions", INPUT, 422),
        (BY_MODEL, {"prompt": "x"}, 422),
        (BY_MODEL, {"input": {}}, 422),
        (BY_MODEL, {"input": {"prompt": "x", "duration": "6"}}, 422),
        ("/models/acme/no-such-model/predictions", INPUT, 404),
        ("/elsewhere", INPUT, 404),
    ],
)
def test_refusals_are_problem_documents(start: Start, path: str, body: Any, status: int) -> None:
    call = start("replicate")
    answer = call.post(path, body)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (set(answer.json), answer.json["status"]) == ({"title", "detail", "status"}, status)
    assert call.state["creates"] == 0


def test_cancel_and_list(start: Start) -> None:
    call = start("replicate")
    ids = []
    for _ in range(2):
        ids.append(call.post(BY_MODEL, INPUT).json["id"])
        call.clock.now += 0.5
    assert call.post(f"/predictions/{ids[1]}/cancel", b"").json["status"] == "canceled"
    call.clock.now += 3
    assert call.post(f"/predictions/{ids[0]}/cancel", b"").json["status"] == "succeeded"
    listed = call.get("/predictions").json
    assert [(each["id"], each["status"]) for each in listed["results"]] == [
        (ids[1], "canceled"),
        (ids[0], "succeeded"),
    ]
    assert (listed["previous"], listed["next"]) == (None, None)


def test_list_goes_on_by_cursor(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    (listing,) = (each["list"] for each in load_dialect("replicate").calls if "list" in each)
    monkeypatch.setitem(listing, "size", 1)
    call = start("replicate")
    for _ in range(2):
        call.post(BY_MODEL, INPUT)
        call.clock.now += 1
    first = call.get("/predictions").json
    second = call.get(first["next"].replace(call.sandbox.base_url, "")).json
    assert second["next"] is None
    assert first["results"][0]["id"] != second["results"][0]["id"]


def test_bad_ends_and_refused_accounts(start: Start) -> None:
    for scenario, status in (("failed", "failed"), ("moderation", "failed"), ("cancelled", "canceled")):
        body = done(start("replicate", scenario), BY_MODEL, INPUT)
        assert body["status"] == status
        assert (body["error"] is None) == (status == "canceled")
    assert done(start("replicate", "no-result"), BY_MODEL, INPUT)["output"] is None
    assert start("replicate", "no-credits").post(BY_MODEL, INPUT).status == 402
    limited = start("replicate", "rate-limited").post(BY_MODEL, INPUT)
    assert (limited.status, limited.headers["Retry-After"]) == (429, "1")
    assert start("replicate").get("/predictions", key="Token x").json["title"] == "Unauthenticated"
