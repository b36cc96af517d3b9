"""The error taxonomy: codes first, then a few phrases, then HTTP; a proxy's page never ends a wait."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videotasks.core.errors import ApiError, Category
from videotasks.providers import classify_error
from videotasks.providers.load_profile import load_profile, shipped_names


def error(name: str, status: int, body: Any = None, text: str = "", **headers: str) -> ApiError:
    base, _, kind = name.partition("/")
    return classify_error.api_error(
        load_profile(base).for_kind(kind or None),
        operation="create",
        http_status=status,
        body=body,
        text=text,
        headers={key.replace("_", "-"): value for key, value in headers.items()},
        now=1_700_000_000.0,
    )


def sv(code: str) -> dict[str, str]:
    return {"error": f"VIDEO_GENERATION_{code}", "message": "m"}


def oa(code: str | None, message: str = "m", kind: str | None = None) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "type": kind, "param": None}}


CASES: list[tuple[str, int, Any, str]] = [
    # B.6 skills.video: code beats HTTP status
    ("skills-video", 400, sv("INVALID_INPUT"), "validation"),
    ("skills-video", 400, sv("UNSUPPORTED_MODEL"), "validation"),
    ("skills-video", 402, sv("INSUFFICIENT_CREDITS"), "insufficient_credits"),
    ("skills-video", 422, sv("CONTENT_REJECTED"), "moderation"),
    ("skills-video", 429, sv("RATE_LIMITED"), "rate_limited"),
    ("skills-video", 502, sv("FAILED"), "generation_failed"),
    ("skills-video", 503, sv("PROVIDER_UNAVAILABLE"), "transient"),
    ("skills-video", 504, sv("TIMEOUT"), "transient"),
    ("skills-video", 422, {"error": "IMAGE_GENERATION_CONTENT_REJECTED", "message": "m"}, "moderation"),
    ("skills-video", 422, {"message": "duration must be an integer"}, "validation"),
    ("skills-video", 402, {"message": "pay"}, "insufficient_credits"),
    # A.5 CreatOK
    ("creatok", 401, {"code": 401, "msg": "bad key"}, "auth"),
    ("creatok", 404, None, "not_found"),
    ("creatok", 500, {"code": 1, "msg": "x"}, "transient"),
    # C.6 new-api
    ("octopusx", 400, {"code": "task_not_exist", "message": "m", "data": None}, "not_found"),
    ("octopusx", 400, {"code": "invalid_request", "message": "m", "data": None}, "validation"),
    ("octopusx", 400, {"code": "missing_model", "message": "m", "data": None}, "validation"),
    ("octopusx", 400, {"code": "invalid_size", "message": "m", "data": None}, "validation"),
    ("octopusx", 500, {"code": "fail_to_fetch_task", "message": "m", "data": None}, "transient"),
    (
        "octopusx",
        404,
        {"code": None, "message": "Task not found", "param": "task_id", "type": "invalid_request_error"},
        "not_found",
    ),
    ("octopusx", 401, oa("", "bad token", "new_api_error"), "auth"),
    ("octopusx", 403, {"code": "insufficient_user_quota", "message": "m"}, "insufficient_credits"),
    ("octopusx", 403, oa(None, "预扣费额度失败, 用户剩余额度: $0.10"), "insufficient_credits"),
    ("octopusx", 403, oa(None, "no access to this group"), "permission"),
    ("octopusx", 429, {"code": "", "message": "当前分组上游负载已饱和，请稍后再试"}, "rate_limited"),
    ("octopusx", 200, {"success": False, "message": "no"}, "unknown"),
    # D.7 ARK
    ("ark", 400, oa("MissingParameter"), "validation"),
    ("ark", 400, oa("InvalidParameter.TaskTypeConstraint"), "validation"),
    ("ark", 400, oa("InputTextSensitiveContentDetected"), "moderation"),
    ("ark", 400, oa("InputImageSensitiveContentDetected.PrivacyInformation"), "moderation"),
    ("ark", 400, oa("OutputVideoSensitiveContentDetected.PolicyViolation"), "moderation"),
    ("ark", 401, oa("AuthenticationError"), "auth"),
    ("ark", 403, oa("AccountOverdueError"), "insufficient_credits"),
    ("ark", 403, oa("AccessDenied"), "permission"),
    ("ark", 403, oa("OperationDenied.ServiceNotOpen"), "permission"),
    ("ark", 404, oa("ModelNotOpen"), "permission"),
    ("ark", 404, oa("InvalidEndpointOrModel.NotFound"), "not_found"),
    ("ark", 404, oa("ResourceNotFound"), "not_found"),
    ("ark", 429, oa("RateLimitExceeded.EndpointRPMExceeded"), "rate_limited"),
    ("ark", 429, oa("RequestBurstTooFast"), "rate_limited"),
    ("ark", 429, oa("ServerOverloaded"), "transient"),
    ("ark", 429, oa("QuotaExceeded"), "insufficient_credits"),  # no waiting mends it
    ("ark", 500, oa("InternalServiceError"), "transient"),
    # E OpenAI dialect
    ("openai-compatible", 429, oa("insufficient_quota"), "insufficient_credits"),
    ("openai-compatible", 429, oa("rate_limit_exceeded"), "rate_limited"),
    (
        "openai-compatible",
        429,
        oa(None, "You exceeded your current quota, please check your plan"),
        "insufficient_credits",
    ),
    ("openai-compatible", 400, oa("moderation_blocked"), "moderation"),
    ("openai-compatible", 400, oa(None, "m", "invalid_request_error"), "validation"),
    ("openai-compatible", 401, oa("invalid_api_key"), "auth"),
    ("openai-compatible", 404, oa(None, "m", "invalid_request_error"), "not_found"),
    # F
    ("fal", 422, {"detail": [{"loc": ["body", "seed"], "msg": "not an int", "type": "int_parsing"}]}, "validation"),
    ("fal", 403, {"detail": "User is locked. Reason: Exhausted balance."}, "insufficient_credits"),
    ("fal", 401, {"detail": "No user found for Key ID and Secret"}, "auth"),
    (
        "replicate",
        402,
        {"title": "Insufficient credit", "detail": "You have insufficient credit", "status": 402},
        "insufficient_credits",
    ),
    ("replicate", 429, {"detail": "Request was throttled.", "status": 429, "retry_after": 8}, "rate_limited"),
    ("replicate", 422, {"title": "Input validation failed", "detail": "- input: prompt is required"}, "validation"),
    # What another client got wrong (substrings of prose)
    ("skills-video", 500, {"message": "validation service unavailable"}, "transient"),
    ("skills-video", 400, {"message": "recharge the coolant"}, "validation"),
    ("skills-video", 400, {"message": "creditsafe balance sheet"}, "validation"),
    ("skills-video", 503, {"message": "insufficient balance service unavailable"}, "transient"),
    ("skills-video", 400, {"message": "NSFW content"}, "moderation"),
    ("replicate", 422, {"detail": "The input was flagged as sensitive. (E005)"}, "moderation"),
    # A 429 that is really a balance problem
    ("skills-video", 429, {"message": "Insufficient credits. Required: 120"}, "insufficient_credits"),
    ("openai-compatible", 402, oa(None, "m", "insufficient_funds_error"), "insufficient_credits"),
    *(
        ("ark", status, None, category)
        for status, category in (
            (400, "validation"),
            (401, "auth"),
            (402, "insufficient_credits"),
            (403, "permission"),
            (404, "not_found"),
            (405, "not_found"),
            (408, "transient"),
            (409, "transient"),
            (410, "not_found"),
            (413, "validation"),
            (415, "validation"),
            (422, "validation"),
            (425, "transient"),
            (429, "rate_limited"),
            (500, "transient"),
            (501, "unknown"),
            (502, "transient"),
            (503, "transient"),
            (504, "transient"),
            (520, "transient"),
            (524, "transient"),
            (302, "unknown"),
            (418, "unknown"),
            (0, "unknown"),
        )
    ),
]


@pytest.mark.parametrize(("name", "status", "body", "category"), CASES)
def test_categories(name: str, status: int, body: Any, category: str) -> None:
    found = error(name, status, body)
    assert found.category.value == category
    assert found.message


@pytest.mark.parametrize(
    ("body", "text", "shaped"),
    [
        (None, "", True),
        ({}, "", True),
        (None, "<html><body>401 Unauthorized</body></html>", False),
        (None, "upstream connect error", False),
        ({"detail": "Not Found"}, "", False),
        ({"message": "x"}, "", True),
        ({"error": {"message": "x"}}, "", True),
        ([1], "", False),
        ({"status": "ok"}, "", False),
    ],
)
def test_shape(body: Any, text: str, shaped: bool) -> None:
    assert error("skills-video", 401, body, text).shaped is shaped


def test_a_proxys_page_is_shown_without_its_markup_and_decides_nothing() -> None:
    page = "<html><head><style>p{}</style><script>insufficient credits</script></head><h1>Unauthorized</h1>"
    found = error("skills-video", 502, None, page)
    assert (found.category, found.shaped, found.message) == (Category.TRANSIENT, False, "Unauthorized")


def test_foreign_shapes_are_read_for_their_message_only() -> None:
    found = error("ark", 422, {"detail": [{"msg": "field required"}]})
    assert (found.message, found.shaped) == ("field required", False)
    assert error("ark", 400, [["x"]]).message == "HTTP 400 without a message"


def test_every_cause_is_told_and_long_texts_are_cut() -> None:
    two = error("fal", 422, {"detail": [{"loc": ["body", "a"], "msg": "x"}, {"loc": ["body", 0], "msg": "y"}]})
    assert two.message == "body.a: x; body.0: y"
    assert len(error("ark", 400, oa("X", "y" * 9999)).message) == classify_error.MAX_MESSAGE


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry_after": "7"}, None, 7.0),
        ({"Retry_After": "1.5"}, None, 1.5),
        ({"retry_after": "999999"}, None, 3600.0),
        ({"retry_after": "Tue, 14 Nov 2023 22:13:50 GMT"}, None, 30.0),
        ({"retry_after": "Tue, 14 Nov 2023 22:00:00 GMT"}, None, 0.0),
        ({"retry_after_ms": "250", "retry_after": "9"}, None, 0.25),
        # A time is meant by the server's own clock, which is 600 s behind ours here.
        ({"retry_after": "Tue, 14 Nov 2023 22:03:30 GMT", "date": "Tue, 14 Nov 2023 22:03:20 GMT"}, None, 10.0),
        ({"retry_after": "Tue, 14 Nov 2023 22:13:50 GMT", "date": "no date"}, None, 30.0),
        ({"retry_after": "soon"}, None, None),
        ({"retry_after": "-3"}, None, None),
        ({"retry_after": "nan"}, None, None),
        ({}, {"detail": "throttled", "retry_after": 8}, 8.0),
        ({}, {"detail": "throttled", "retry_after": True}, None),
        ({"retry_after": "2"}, {"retry_after": 8}, 2.0),
    ],
)
def test_retry_after(headers: dict[str, str], body: Any, seconds: float | None) -> None:
    assert error("replicate", 429, body, **headers).retry_after_s == seconds


@given(st.text(max_size=60))
def test_retry_after_takes_any_text(text: str) -> None:
    found = classify_error.parse_retry_after(text, 1_700_000_000.0)
    assert found is None or 0.0 <= found <= classify_error.MAX_RETRY_AFTER_S


def test_poll_hints_are_the_profiles_own() -> None:
    dialect, ark = load_profile("openai-compatible"), load_profile("ark")
    assert classify_error.poll_hint(dialect, {"OpenAI-Poll-After-Ms": "4000"}, 0.0) == 4.0
    assert classify_error.poll_hint(ark, {"openai-poll-after-ms": "4000"}, 0.0) is None
    assert classify_error.poll_hint(ark, {"Retry-After": "12"}, 0.0) == 12.0
    at = {"Date": "Tue, 14 Nov 2023 22:03:20 GMT", "Retry-After": "Tue, 14 Nov 2023 22:03:30 GMT"}
    assert classify_error.poll_hint(ark, at, 1_800_000_000.0) == 10.0


@pytest.mark.parametrize("category", list(Category))
def test_a_create_is_never_to_be_retried(category: Category) -> None:
    assert not classify_error.should_retry("create", category)
    retried = category in (Category.TRANSIENT, Category.RATE_LIMITED)
    assert classify_error.should_retry("poll", category) is retried
    assert classify_error.should_retry("download", category) is retried


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "message", "detail", "type", "msg", "title"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


@given(JSON, st.integers(0, 999), st.sampled_from(shipped_names()))
def test_any_body_is_classified(body: Any, status: int, name: str) -> None:
    found = error(name, status, body)
    assert found.message and len(found.message) <= classify_error.MAX_MESSAGE
