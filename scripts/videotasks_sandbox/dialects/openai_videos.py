"""The OpenAI Videos dialect, as gateways speak it (contracts E)."""

from __future__ import annotations

import json
from typing import Any

from videotasks_sandbox import media, multipart, scenarios
from videotasks_sandbox.dialects.base import (
    Call,
    Refused,
    Route,
    Wire,
    frame_size,
    is_unknown_model,
    new_id,
    pixel_size,
)
from videotasks_sandbox.httpd import Reply, json_reply
from videotasks_sandbox.tasks import Order, Task

# contracts E: the values of the two models that the dialect comes from; gateways take others for other models.
SORA_SECONDS = ("4", "8", "12")
SORA_SIZES = ("720x1280", "1280x720", "1024x1792", "1792x1024")
# contracts E: "completed" + one hour in the sample there.
EXPIRES_S = 3600
# contracts E, header openai-poll-after-ms.
POLL_AFTER_MS = "1000"

WORDS = {
    "queued": "queued",
    "running": "in_progress",
    "succeeded": "completed",
    "failed": "failed",
    # contracts G.1: OpenAI itself has no such status, its gateways do.
    "cancelled": "cancelled",
}


def openai_error(status: int, message: str, code: str | None, kind: str, param: str | None = None) -> Reply:
    # contracts E: {"error":{"message","type","param","code"}}.
    return json_reply({"error": {"message": message, "type": kind, "param": param, "code": code}}, status)


class OpenAIVideos(Wire):
    prefix = "/v1"

    def unauthorised(self) -> Reply:
        return openai_error(401, "Incorrect API key provided.", "invalid_api_key", "invalid_request_error")

    def invalid(self, message: str) -> Reply:
        return openai_error(400, message, "invalid_value", "invalid_request_error")

    def no_credits(self) -> Reply:
        # A 429 that no waiting mends: OpenAI's own code for an empty balance.
        message = "You exceeded your current quota, please check your plan and billing details."
        return openai_error(429, message, "insufficient_quota", "insufficient_quota")

    def rate_limited(self) -> Reply:
        return openai_error(429, "Rate limit reached for requests", "rate_limit_exceeded", "requests")

    def unknown_task(self, task_id: str) -> Reply:
        message = f"Video with id '{task_id}' not found."
        return openai_error(404, message, None, "invalid_request_error", "video_id")

    def no_route(self, method: str, path: str) -> Reply:
        return openai_error(404, f"Invalid URL ({method} {path})", None, "invalid_request_error")

    def broken(self) -> Reply:
        return openai_error(500, "The server had an error while processing your request.", None, "server_error")

    def create(self, call: Call) -> Reply:
        """POST /videos, multipart or JSON."""
        order = read_openai_order(call, strict=True)
        task = call.accept(order, new_id("video_", 32))
        return self._answer(call, task)

    def status(self, call: Call) -> Reply:
        """GET /videos/{id}."""
        return self._answer(call, call.task(call.part("id")))

    def list(self, call: Call) -> Reply:
        """GET /videos?after&limit&order."""
        mine = [task for task in call.state["tasks"].values() if task["provider"] == self.name]
        mine.sort(key=lambda task: task["created"], reverse=call.query("order", "desc") != "asc")
        after, limit = call.query("after"), call.query("limit", "20")
        if not limit.isdigit() or not 1 <= int(limit) <= 100:
            raise Refused(self.invalid("limit must be between 1 and 100"))
        ids = [task["id"] for task in mine]
        start = ids.index(after) + 1 if after in ids else 0
        page = mine[start : start + int(limit)]
        return json_reply(
            {
                "object": "list",
                "data": [self._body(call, task) for task in page],
                "first_id": page[0]["id"] if page else None,
                "last_id": page[-1]["id"] if page else None,
                "has_more": start + int(limit) < len(mine),
            }
        )

    def delete(self, call: Call) -> Reply:
        """DELETE /videos/{id}: destroys a finished record; a live one is refused (completed or failed only)."""
        task = call.task(call.part("id"))
        if not call.look(task).over:
            raise Refused(self.invalid("Only completed or failed videos can be deleted."))
        del call.state["tasks"][task["id"]]
        return json_reply({"id": task["id"], "deleted": True, "object": "video.deleted"})

    def content(self, call: Call) -> Reply | media.Download:
        """GET /videos/{id}/content?variant=video|thumbnail|spritesheet: binary, with the key."""
        return openai_content(call, call.task(call.part("id")))

    def _answer(self, call: Call, task: Task) -> Reply:
        return json_reply(self._body(call, task), openai_poll_after_ms=POLL_AFTER_MS)

    def _body(self, call: Call, task: Task) -> dict[str, Any]:
        seen = call.look(task)
        done = seen.phase == "succeeded"
        # contracts E, the queued sample; `prompt` and `remixed_from_video_id` included.
        return {
            "id": task["id"],
            "object": "video",
            "model": task["model"],
            "status": scenarios.UNKNOWN_WORD if seen.odd else WORDS[seen.phase],
            "progress": seen.progress,
            "created_at": int(task["created"]),
            "completed_at": int(seen.ended) if done and seen.ended else None,
            "expires_at": int(seen.ended) + EXPIRES_S if done and seen.ended else None,
            "seconds": task["extra"]["seconds"],
            "size": task["extra"]["size"],
            "prompt": task["prompt"],
            "remixed_from_video_id": None,
            "error": openai_failure(task) if seen.phase == "failed" else None,
        }

    routes = (
        Route("POST", r"/videos", create, "create"),
        Route("GET", r"/videos", list),
        Route("GET", r"/videos/(?P<id>[^/]+)", status, "status"),
        Route("DELETE", r"/videos/(?P<id>[^/]+)", delete),
        Route("GET", r"/videos/(?P<id>[^/]+)/content", content),
    )


def openai_failure(task: Task) -> dict[str, str]:
    # contracts E: the code values are not enumerated; "moderation_blocked" is the one that OpenAI used.
    code = "moderation_blocked" if task["scenario"] == "moderation" else "generation_failed"
    return {"code": code, "message": scenarios.reason(task["scenario"])}


def openai_content(call: Call, task: Task) -> Reply | media.Download:
    """The content endpoint (contracts C.5, E): 400 before the end, 404 when there is nothing (any more)."""
    seen = call.look(task)
    kind = "invalid_request_error"
    if seen.phase != "succeeded" or seen.ended is None:
        return openai_error(400, "Video is not ready yet, use GET /v1/videos/{id} to check status.", None, kind)
    if task["scenario"] == "no-result" or call.now > seen.ended + EXPIRES_S:
        return openai_error(404, "Video content not found.", None, kind)
    variant = call.query("variant", "video")
    file = {"video": "video.mp4", "thumbnail": "thumbnail.png", "spritesheet": "thumbnail.png"}.get(variant)
    if file is None:
        return openai_error(400, "variant must be one of video, thumbnail, spritesheet", None, kind, "variant")
    return media.Download(task, file, cut=media.count_fetch(task, file, call.request))


def read_openai_order(call: Call, *, strict: bool, kind: str = "") -> Order:
    """The body of POST /videos. `strict`: as OpenAI itself, else as new-api (contracts C.2 item 2).

    Refuses what the dialect refuses: a number where `seconds` has to be a string, a prompt or model that is missing.
    """
    parts = call.form()
    fields = call.json() if parts is None else _from_form(call, parts)
    prompt, model = fields.get("prompt"), fields.get("model", "sora-2" if strict else None)
    if not (isinstance(prompt, str) and prompt.strip()):
        raise Refused(_bad(call, "Missing required parameter: 'prompt'.", "missing_required_parameter", "prompt"))
    if not (isinstance(model, str) and model):
        raise Refused(_bad(call, "Missing required parameter: 'model'.", "missing_required_parameter", "model"))
    if is_unknown_model(model):
        raise Refused(_bad(call, f"The model '{model}' does not exist.", "model_not_found", "model"))
    seconds = fields.get("seconds", "4")
    if not isinstance(seconds, str):
        message = "Invalid type for 'seconds': expected a string, but got a number instead."
        raise Refused(_bad(call, message, "invalid_type", "seconds"))
    size = fields.get("size", "720x1280" if strict else "1280x720")
    sora = model.startswith("sora-2")
    if not seconds.isdigit() or not 1 <= int(seconds) <= 60 or (strict and sora and seconds not in SORA_SECONDS):
        raise Refused(
            _bad(call, f"Invalid value: '{seconds}'. Supported values are: '4', '8', and '12'.", None, "seconds")
        )
    if not isinstance(size, str) or (sora and size not in SORA_SIZES):
        allowed = ", ".join(f"'{each}'" for each in SORA_SIZES)
        raise Refused(_bad(call, f"Invalid value: '{size}'. Supported values are: {allowed}.", None, "size"))
    if strict and not (isinstance(fields.get("input_reference", {}), dict)):
        message = "Invalid type for 'input_reference': expected a file or an object with image_url or file_id."
        raise Refused(_bad(call, message, "invalid_type", "input_reference"))
    # contracts C.2: on OctopusX `size` can carry a ratio, and `resolution` may stand beside it.
    ratio = fields.get("aspect_ratio") or size
    width, height = pixel_size(size) or frame_size(ratio, fields.get("resolution"))
    extra = {"seconds": seconds, "size": size}
    return Order(model, prompt, float(seconds), width, height, kind=kind, extra=extra)


def _bad(call: Call, message: str, code: str | None, param: str) -> Reply:
    return openai_error(400, message, code or "invalid_value", "invalid_request_error", param)


def _from_form(call: Call, parts: list[multipart.Part]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for part in parts:
        if part.filename is not None:
            fields[part.name] = {"file": part.filename}
            if not part.data:
                raise Refused(_bad(call, f"The file '{part.name}' is empty.", "empty_file", part.name))
        elif part.name == "metadata":
            # contracts C.2: a JSON *string* in multipart.
            try:
                fields["metadata"] = json.loads(part.text)
            except ValueError:
                raise Refused(_bad(call, "metadata is not valid JSON", "invalid_json", "metadata")) from None
        else:
            fields[part.name] = part.text
    return fields
