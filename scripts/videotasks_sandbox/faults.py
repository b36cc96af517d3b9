"""Answers that are broken on purpose."""

from __future__ import annotations

from typing import Any

from videotasks_sandbox.engine import Answer, Call
from videotasks_sandbox.httpd import Reply

_GATEWAY_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
_INTERSTITIAL = (
    b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"
)

# In this order, one for each poll of a task in the scenario flaky-poll; then all answers are good.
FLAKY_SEQUENCE = ("500", "html", "empty", "reset", "429", "404", "half")


def lost(scenario: str) -> Reply:
    """What a caller gets to see of a create that was accepted in the scenarios lost-answer and lost-answer-5xx."""
    if scenario == "lost-answer-5xx":
        return Reply(status=502, body=_GATEWAY_PAGE, content_type="text/html")
    return Reply(fault="silent")


def flaky(call: Call, task: dict[str, Any] | None, good: Reply) -> Answer:
    """`good`, or the next fault of a task in the scenario flaky-poll."""
    if task is None or task["scenario"] != "flaky-poll" or task["polls"] >= len(FLAKY_SEQUENCE):
        return good
    fault = FLAKY_SEQUENCE[task["polls"]]
    task["polls"] += 1
    if fault == "500":
        return call.refusal("broken")
    if fault == "html":
        return Reply(body=_INTERSTITIAL, content_type="text/html; charset=utf-8")
    if fault == "empty":
        return Reply()
    if fault == "reset":
        return Reply(fault="reset")
    if fault == "429":
        return call.refusal("rate_limited")
    if fault == "404":
        return call.refusal("unknown_task", id=task["id"])
    good.fault = "half"
    return good
