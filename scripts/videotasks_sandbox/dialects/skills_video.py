"""The wire of skills.video (contracts B).

Two generations of its documentation name the states differently (contracts B.4). Models of kling-ai speak the older
PredictionStatus here, all others the newer QueueState, so that a rehearsal can meet both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from videotasks_sandbox import media, multipart, scenarios
from videotasks_sandbox.dialects.base import (
    Call,
    Route,
    Wire,
    frame_size,
    is_int,
    is_unknown_model,
    new_id,
    summarise,
)
from videotasks_sandbox.dialects.base import Refused as Refuse
from videotasks_sandbox.httpd import DropConnection, Reply, json_reply
from videotasks_sandbox.tasks import Look, Order, Task, look

# contracts B.3, what is documented of the four models there: the ranges, enums and constants of their fields.
_RATIOS = ("16:9", "9:16")
MODEL_FIELDS: dict[str, dict[str, Any]] = {
    "openai/sora-2": {"duration": (1, 60), "aspect_ratio": _RATIOS, "resolution": ("720p",), "n": (1, 4)},
    "openai/sora-2-pro": {"seconds": (1, 60), "aspect_ratio": _RATIOS, "resolution": ("720p", "1080p"), "n": (1, 4)},
    "bytedance/seedance-1.5": {"duration": (4, 12), "resolution": ("480p", "720p", "1080p")},
    "bytedance/seedance-2.0": {"duration": (4, 15)},
    "kling-ai/v3/video": {"duration": (3, 15), "quality": ("standard", "pro"), "n": (1, 4)},
}
# contracts B.3: the same thing has another name on another model.
MISNAMED = {
    "openai/sora-2": ("seconds", "image_url", "end_frame_url", "last_frame_url"),
    "openai/sora-2-pro": ("duration",),
    "bytedance/seedance-1.5": ("seconds", "last_frame_url", "image_urls"),
    "bytedance/seedance-2.0": ("seconds",),
    "kling-ai/v3/video": ("seconds", "end_frame_url"),
}
_MAX_ITEMS = {"image_urls": 9, "audio_urls": 3}
_NUMBERS = ("duration", "seconds", "n", "seed")
_SILENT_S, _HEARTBEAT_S = 600.0, 1.0

# contracts B.4, PredictionStatus.
OLD_WORDS = {
    "queued": "starting",
    "running": "processing",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "canceled",
}
# contracts B.4, QueueState.
WORDS = {
    "queued": "IN_QUEUE",
    "running": "IN_PROGRESS",
    "succeeded": "COMPLETED",
    "failed": "FAILED",
    "cancelled": "CANCELED",
}


class SkillsVideo(Wire):
    prefix = "/api/v1"

    # contracts B.6, new docs: {"error", "message"}; statuses without a documented code have the older {"message"}.
    def unauthorised(self) -> Reply:
        return json_reply({"message": "Unauthorized: missing or invalid API key"}, 401)

    def invalid(self, message: str) -> Reply:
        return json_reply({"error": "VIDEO_GENERATION_INVALID_INPUT", "message": message}, 400)

    def no_credits(self) -> Reply:
        return json_reply({"error": "VIDEO_GENERATION_INSUFFICIENT_CREDITS", "message": "Insufficient credits"}, 402)

    def rate_limited(self) -> Reply:
        return json_reply({"error": "VIDEO_GENERATION_RATE_LIMITED", "message": "Too many requests"}, 429)

    def unknown_task(self, task_id: str) -> Reply:
        return json_reply({"message": "Generation not found"}, 404)

    def no_route(self, method: str, path: str) -> Reply:
        return json_reply({"message": f"Cannot {method} {path}"}, 404)

    def broken(self) -> Reply:
        return json_reply({"message": "Internal Server Error"}, 500)

    def moderated_at_create(self) -> Reply:
        body = {"error": "VIDEO_GENERATION_CONTENT_REJECTED", "message": scenarios.MODERATION_REASON}
        return json_reply(body, 422)

    def create(self, call: Call) -> Reply:
        """POST /generation/{provider}/{model...}, contracts B.2."""
        return json_reply(self._created(self._accept(call)))

    def create_stream(self, call: Call) -> Reply:
        """POST /generation/sse/{provider}/{model...}, contracts B.5."""
        if call.scenario.name == "stream-refused":
            return Reply(status=405, body=b'{"message":"Method Not Allowed"}', headers={"Allow": "GET"})
        task = self._accept(call)
        if call.scenario.name == "json-instead-of-stream":
            return json_reply(self._created(task))
        return Reply(
            content_type="text/event-stream",
            headers={"Cache-Control": "no-cache"},
            events=self._events(call, str(task["id"])),
        )

    def status(self, call: Call) -> Reply:
        """GET /generation/{id}, contracts B.4."""
        task = call.task(call.part("id"))
        seen = call.look(task)
        body: dict[str, Any] = {"id": task["id"], "status": _word(task, seen)}
        if seen.phase == "failed":
            # contracts B.4, "immediate failure": code and message at the top, the code of B.6.
            body |= {"code": "VIDEO_GENERATION_FAILED", "message": scenarios.reason(task["scenario"])}
        body |= {"input": task["echo"], "data": self._data(call, task, seen), "usage": USAGE}
        return json_reply(body)

    def credits(self, call: Call) -> Reply:
        """GET /credits. Its shape is stored nowhere (contracts B.2): this one borrows the keys of `usage`."""
        left = max(0, 1000 - 10 * call.state["creates"]) if call.scenario.name != "no-credits" else 0
        return json_reply({"total": left, "subscription": left, "permanent": 0})

    def _accept(self, call: Call) -> Task:
        model = call.part("model")
        if is_unknown_model(model):
            # contracts B.6.
            body = {"error": "VIDEO_GENERATION_UNSUPPORTED_MODEL", "message": f"Unsupported model: {model}"}
            raise Refuse(json_reply(body, 400))
        return call.accept(self._read_order(call, model), new_id("gen_"))

    def _read_order(self, call: Call, model: str) -> Order:
        parts = call.form()
        fields = call.json() if parts is None else _from_form(parts)
        problem = _problem(model, fields)
        if problem:
            raise Refuse(self.invalid(problem))
        width, height = frame_size(fields.get("aspect_ratio"), fields.get("resolution") or fields.get("quality"))
        return Order(
            model=model,
            prompt=str(fields.get("prompt") or ""),
            # contracts B.3: 4 is the default of sora-2, 5 that of seedance.
            duration=float(fields.get("duration") or fields.get("seconds") or (4 if "sora" in model else 5)),
            width=width,
            height=height,
            outputs=fields["n"] if is_int(fields.get("n")) and 1 <= fields["n"] <= 4 else 1,
            # contracts B.4: `input` repeats what the caller sent, links of images included.
            echo=summarise(fields),
        )

    def _created(self, task: Task) -> dict[str, Any]:
        if _is_old(task):
            # contracts B.4, "create, old docs".
            return {"id": task["id"], "status": "starting", "usage": USAGE}
        # contracts B.4, "create, new docs".
        return {"id": task["id"], "status": "IN_QUEUE", "input": task["echo"], "usage": USAGE}

    def _data(self, call: Call, task: Task, seen: Look) -> dict[str, Any] | None:
        if seen.phase != "succeeded":
            return None
        # contracts B.4: no completed video is stored; this follows the completed image, as the text there expects.
        head = {"type": "video", "n": task["outputs"], "actual_prompt": task["prompt"]}
        if task["scenario"] == "no-result":
            return {**head, "n": 0, "videos": [], "video": None}
        videos = [
            {
                "url": call.link(task, name),
                "file_name": name,
                "content_type": "video/mp4",
                "width": task["width"],
                "height": task["height"],
            }
            for name in media.VIDEO_NAMES[: task["outputs"]]
        ]
        return {**head, "videos": videos, "video": videos[0]}

    def _events(self, call: Call, task_id: str) -> Iterator[bytes]:
        # contracts B.5: data-only events with these four keys. The keep-alive comments are ours.
        scenario = call.scenario.name
        first = True
        for item in call.watch(task_id, lambda: b": keep-alive\n\n", _HEARTBEAT_S):
            if isinstance(item, bytes):
                yield item
                continue
            call.now = call.clock()
            seen = look(item, call.now)
            event: dict[str, Any] = {"id": task_id, "status": _word(item, seen)}
            if seen.over or not first:
                event |= {"data": self._data(call, item, seen), "usage": USAGE}
            line = f"data: {json.dumps(event, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
            if not first and scenario in ("stream-drop", "flaky-poll"):
                # flaky-poll too: without the cut nobody with a stream would poll.
                yield line[: len(line) // 2]
                raise DropConnection
            yield line
            if first and scenario == "stream-mute":
                call.pause(_SILENT_S)
                return
            first = False

    routes = (
        Route("POST", r"/generation/sse/(?P<model>[^/]+/.+)", create_stream, "create"),
        Route("POST", r"/generation/(?P<model>[^/]+/.+)", create, "create"),
        Route("GET", r"/generation/(?P<id>[^/]+)", status, "status"),
        Route("GET", r"/credits", credits),
    )


# contracts B.4.
USAGE = {"total": 10, "subscription": 10, "permanent": 0}


def _is_old(task: Task) -> bool:
    return str(task["model"]).startswith("kling-ai/")


def _word(task: Task, seen: Look) -> str:
    if seen.odd:
        return scenarios.UNKNOWN_WORD.upper()
    return (OLD_WORDS if _is_old(task) else WORDS)[seen.phase]


def _from_form(parts: list[multipart.Part]) -> dict[str, Any]:
    """Fields of a multipart create: repeated names are lists; a file is shown by name (contracts B.2)."""
    fields: dict[str, Any] = {}
    for part in parts:
        value: Any = part.text if part.filename is None else f"upload://{part.filename}"
        if part.name in _NUMBERS and part.text.lstrip("-").isdigit():
            value = int(part.text)
        if part.name in _MAX_ITEMS:
            fields.setdefault(part.name, []).append(value)
        else:
            fields[part.name] = value
    return fields


def _problem(model: str, fields: dict[str, Any]) -> str:
    """What the API would not take, or "". Models that contracts B.3 does not have are taken as they come."""
    prompt = fields.get("prompt")
    if "prompt" in fields and not (isinstance(prompt, str) and prompt.strip()):
        return "prompt must be a non-empty string"
    if "prompt" not in fields and (model.startswith("openai/sora-2") or not fields):
        return "prompt is required"
    for name in MISNAMED.get(model, ()):
        if name in fields:
            return f"{model} has no field {name!r}"
    for name in _NUMBERS:
        if fields.get(name) is not None and not is_int(fields[name]):
            return f"{name} must be an integer"
    for name, allowed in MODEL_FIELDS.get(model, {}).items():
        value = fields.get(name)
        if value is None:
            continue
        if is_int(allowed[0]):
            if not allowed[0] <= value <= allowed[1]:
                return f"{name} must be between {allowed[0]} and {allowed[1]}"
        elif value not in allowed:
            return f"{name} must be one of {', '.join(allowed)}"
    for name, most in _MAX_ITEMS.items():
        items = fields.get(name)
        if items is not None and (not isinstance(items, list) or len(items) > most):
            return f"{name} must be an array of at most {most}"
    return ""
