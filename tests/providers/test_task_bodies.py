"""Bodies that real APIs gave, kept outside the project (VIDEO_TASKS_DATA); skipped where they are not at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from videotasks.core.errors import Category
from videotasks.core.task import Status
from videotasks.providers import classify_error, normalize
from videotasks.providers.load_profile import load_profile

FILE = Path(os.environ.get("VIDEO_TASKS_DATA") or "/nonexistent") / "errors" / "task_bodies.json"
PROFILES = {"bytedance": ("ark", "modelark"), "fal": ("fal",), "replicate": ("replicate",)}
CATEGORIES = {
    "content_policy": Category.MODERATION,
    "rate_limit": Category.RATE_LIMITED,
    "insufficient_credits": Category.INSUFFICIENT_CREDITS,
    "validation": Category.VALIDATION,
}
STATES = {"pending": (Status.QUEUED, Status.RUNNING), "failed": (Status.FAILED,), "canceled": (Status.CANCELLED,)}


def cases() -> list[Any]:
    if not FILE.is_file():
        return []
    found = json.loads(FILE.read_text(encoding="utf-8"))["cases"]
    # A refusal in the shape that many APIs share must be understood by the dialect that many gateways speak.
    return [
        pytest.param(name, case, id=f"{name}-{case['provider']}-{case['kind']}-{index}")
        for index, case in enumerate(found)
        for name in PROFILES.get(case["provider"], ("openai-compatible",) if case["kind"] == "http_error" else ())
    ]


CASES = cases()
pytestmark = pytest.mark.skipif(not CASES, reason="VIDEO_TASKS_DATA is not set")


@pytest.mark.parametrize(("name", "case"), CASES or [("", {})])
def test_real_bodies(name: str, case: dict[str, Any]) -> None:
    profile, body, expect = load_profile(name), case["body"], case["expect"]
    state = expect["state"]
    if case["kind"] == "http_error":
        error = classify_error.api_error(profile, operation="create", http_status=case["http_status"], body=body)
        assert expect.get("error", "") in json.dumps([error.message, body], ensure_ascii=False)
        assert error.message
        if "category" in expect:
            assert error.category is CATEGORIES[expect["category"]]
        assert error.retry_after_s == expect.get("retry_after")
        return
    made = normalize.created(profile, body, case["http_status"])
    if state == "error_no_id":
        assert made.task_id is None and made.error is None
        return
    if profile.result.fetch and "status" not in body:
        snap = normalize.snapshot(profile, {"status": "COMPLETED"}, task_id="t")
        snap = normalize.with_result(profile, snap, body, 200)
    else:
        snap = normalize.snapshot(profile, body)
    if state in ("succeeded", "succeeded_no_output"):
        assert snap.status is Status.SUCCEEDED
        assert [o.url for o in snap.outputs if o.kind == "video"] == expect.get("video_urls", [])
        assert snap.has_result == (state == "succeeded")
    else:
        assert snap.status in STATES[state]
    if "error" in expect:
        assert snap.error is not None and expect["error"] in snap.error.message
    if "id" in expect:
        assert made.task_id == snap.task_id == expect["id"]
