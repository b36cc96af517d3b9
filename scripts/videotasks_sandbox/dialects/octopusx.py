"""The wire of OctopusX and other new-api gateways (contracts C).

The same two status paths answer in different shapes, by the channel behind the model. The sandbox picks by the model's
name, so that a rehearsal can visit all of them:

| model starts with | POST /v1/video/generations    | GET /v1/video/generations/{id} | GET /v1/videos/{id}  |
|-------------------|-------------------------------|--------------------------------|----------------------|
| veo, gemini       | NA-src object                 | (a) simple wrapper             | NA-src, metadata.url |
| doubao, seedance  | {"task_id": "cgt-..."}        | (b) TaskDto                    | OX-docs, video_url   |
| kling             | NA-docs: 201, id != task_id   | (c) flat, status and url       | NA-docs, url         |
| sora              | NA-src object                 | (d) flat, video_url            | NA-src, metadata.url |
| anything else     | NA-src object                 | (b) TaskDto                    | NA-src, metadata.url |

With sora every link is the platform's proxy, /v1/videos/{id}/content, which wants the key (contracts C.4).
Either path reads the tasks of the other, and POST /v1/video/create with GET /v1/video/query works beside them.
"""

from __future__ import annotations

from typing import Any

from videotasks_sandbox import media, scenarios
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
from videotasks_sandbox.dialects.openai_videos import openai_content, read_openai_order
from videotasks_sandbox.httpd import Reply, json_reply
from videotasks_sandbox.tasks import Look, Order, Task

# contracts C.3: one row for each of the shapes; "dto" is (b).
_WORDS = {
    "wrapper": {"queued": "queued", "running": "processing", "succeeded": "succeeded", "failed": "failed"},
    "dto": {"queued": "NOT_START", "running": "IN_PROGRESS", "succeeded": "SUCCESS", "failed": "FAILURE"},
    "flat": {"queued": "queued", "running": "processing", "succeeded": "succeeded", "failed": "failed"},
    "flat-new": {"queued": "queued", "running": "in_progress", "succeeded": "completed", "failed": "failed"},
    "openai": {"queued": "queued", "running": "in_progress", "succeeded": "completed", "failed": "failed"},
    "unified": {"queued": "pending", "running": "processing", "succeeded": "completed", "failed": "failed"},
}


def family(model: str) -> str:
    """The row of the table above."""
    low = model.lower().rpartition("/")[2]
    rows = {
        "veo": "veo",
        "gemini": "veo",
        "doubao": "seedance",
        "seedance": "seedance",
        "kling": "kling",
        "sora": "sora",
    }
    return next((row for start, row in rows.items() if low.startswith(start)), "other")


class OctopusX(Wire):
    # contracts C.7: OctopusX says about 12 h, ARK 24 h; the shorter.
    link_ttl_s = 12 * 3600.0

    # contracts C.6.
    def unauthorised(self) -> Reply:
        return _relay_error(401, "Invalid token (request id: sandbox)", "")

    def invalid(self, message: str, code: str = "invalid_request") -> Reply:
        return json_reply({"code": code, "message": message, "data": None}, 400)

    def no_credits(self) -> Reply:
        message = "用户额度不足, 剩余额度: $0.000000"
        return json_reply({"code": "insufficient_user_quota", "message": message, "data": None}, 403)

    def rate_limited(self) -> Reply:
        return _relay_error(429, "当前分组上游负载已饱和，请稍后再试", "")

    def unknown_task(self, task_id: str) -> Reply:
        # 400, not 404.
        return json_reply({"code": "task_not_exist", "message": "task_not_exist", "data": None}, 400)

    def no_route(self, method: str, path: str) -> Reply:
        message = f"Invalid URL ({method} {path})"
        return json_reply(
            {"error": {"message": message, "type": "invalid_request_error", "param": "", "code": ""}}, 404
        )

    def broken(self) -> Reply:
        return json_reply({"code": "fail_to_fetch_task", "message": "fail to fetch task", "data": None}, 500)

    def create(self, call: Call) -> Reply:
        """POST /v1/video/generations, contracts C.2 item 1."""
        order = self._read_order(call, call.json())
        row = family(order.model)
        task = call.accept(order, new_id("cgt-" if row == "seedance" else "task_", 24))
        if row == "seedance":
            # The Seedance page of OX-docs.
            return json_reply({"task_id": task["id"]})
        if row == "kling":
            # NA-docs: `id` is not the id to ask for.
            body = {"id": new_id("video_", 12), "task_id": task["id"], "object": "video", "model": task["model"]}
            return json_reply({**body, "status": "processing", "created_at": int(task["created"])}, 201)
        return json_reply(
            {
                "id": task["id"],
                "task_id": task["id"],
                "object": "video",
                "model": task["model"],
                "status": "queued",
                "progress": 0,
                "created_at": int(task["created"]),
            }
        )

    def _read_order(self, call: Call, body: dict[str, Any]) -> Order:
        model, prompt, content = body.get("model"), body.get("prompt"), body.get("content")
        if not isinstance(model, str) or not model:
            raise Refused(self.invalid("model field is required", "missing_model"))
        if is_unknown_model(model):
            message = f"No available channel for model {model} under group default (distributor)"
            raise Refused(_relay_error(503, message, "model_not_found"))
        if content is not None and not isinstance(content, list):
            raise Refused(self.invalid("content must be an array"))
        texts = [item.get("text", "") for item in content or [] if isinstance(item, dict)]
        prompt = prompt if prompt is not None else "\n".join(text for text in texts if isinstance(text, str) and text)
        if not isinstance(prompt, str) or not (prompt.strip() or content):
            raise Refused(self.invalid("prompt is required"))
        metadata = body.get("metadata") if body.get("metadata") is not None else {}
        if not isinstance(metadata, dict):
            raise Refused(self.invalid("metadata must be an object"))
        seconds = self._seconds(body, metadata)
        size = pixel_size(body.get("size")) or pixel_size(f"{body.get('width')}x{body.get('height')}")
        ratio = metadata.get("ratio") or metadata.get("aspect_ratio") or body.get("aspect_ratio") or body.get("size")
        width, height = size or frame_size(ratio, metadata.get("resolution") or body.get("resolution"))
        extra = {"seconds": f"{seconds:g}", "size": f"{width}x{height}"}
        return Order(model, prompt, seconds, width, height, kind="unified", extra=extra)

    def _seconds(self, body: dict[str, Any], metadata: dict[str, Any]) -> float:
        duration = body.get("duration", metadata.get("duration"))
        if duration is None and body.get("seconds") is not None:
            # NA-src: `seconds` is a string, `duration` a number.
            if not isinstance(body["seconds"], str) or not body["seconds"].isdigit():
                raise Refused(self.invalid("cannot unmarshal into TaskSubmitReq.seconds of type string"))
            duration = int(body["seconds"])
        if duration is None:
            duration = 5
        if isinstance(duration, bool) or not isinstance(duration, (int, float)) or not 0 < duration <= 60:
            raise Refused(self.invalid("cannot unmarshal into TaskSubmitReq.duration of type int"))
        return float(duration)

    def create_openai(self, call: Call) -> Reply:
        """POST /v1/videos, JSON or multipart, contracts C.2 item 2."""
        order = read_openai_order(call, strict=False, kind="openai")
        task = call.accept(order, new_id("task_", 24))
        return json_reply(self._openai_object(call, task))

    def create_unified(self, call: Call) -> Reply:
        """POST /v1/video/create, contracts C.2 item 3."""
        task = call.accept(self._read_order(call, call.json()), new_id("task_", 24))
        return json_reply({"id": task["id"], "status": "pending", "status_update_time": int(task["created"] * 1000)})

    def status(self, call: Call) -> Reply:
        """GET /v1/video/generations/{id}, contracts C.3."""
        task = call.task(call.part("id"))
        shape = {"veo": self._wrapper, "kling": self._flat, "sora": self._flat_new}
        return json_reply(shape.get(family(task["model"]), self._dto)(call, task))

    def status_openai(self, call: Call) -> Reply:
        """GET /v1/videos/{id}, contracts C.3."""
        return json_reply(self._openai_object(call, call.task(call.part("id"))))

    def query_unified(self, call: Call) -> Reply:
        """GET /v1/video/query?id=, contracts C.3."""
        task = call.task(call.query("id"))
        seen = call.look(task)
        return json_reply(
            {
                "id": task["id"],
                "status": _word("unified", seen),
                "video_url": self._url(call, task, seen) or None,
                "progress": str(seen.progress),
                "status_update_time": int(call.now * 1000),
                "thumbnail_url": call.link(task, "thumbnail.png") if seen.phase == "succeeded" else None,
                "enhanced_prompt": task["prompt"],
                "detail": {"error": scenarios.reason(task["scenario"])} if seen.phase == "failed" else {},
            }
        )

    def content(self, call: Call) -> Reply | media.Download:
        """GET /v1/videos/{id}/content, contracts C.5."""
        return openai_content(call, call.task(call.part("id")))

    def token_usage(self, call: Call) -> Reply:
        """GET /api/usage/token/, contracts C.7: `code` is a boolean here."""
        used = 2500 * call.state["creates"]
        left = 0 if call.scenario.name == "no-credits" else max(0, 500000 - used)
        data = {"object": "token_usage", "name": "sandbox", "total_granted": 500000, "total_used": used}
        data |= {"total_available": left, "unlimited_quota": False, "expires_at": 0}
        return json_reply({"code": True, "message": "ok", "data": data})

    def _url(self, call: Call, task: Task, seen: Look) -> str:
        if seen.phase == "succeeded" and task["scenario"] != "no-result":
            if family(task["model"]) == "sora":
                return f"{call.base}/v1/videos/{task['id']}/content"
            return call.link(task, "video.mp4")
        # contracts C.4: on failure the field of the URL can hold the failure text.
        return scenarios.reason(task["scenario"]) if seen.phase == "failed" else ""

    def _wrapper(self, call: Call, task: Task) -> dict[str, Any]:
        seen = call.look(task)
        # contracts C.3 (a); the inside of `error` as in (c) of C.8.
        data = {
            "task_id": task["id"],
            "status": _word("wrapper", seen),
            "url": self._url(call, task, seen) if seen.phase == "succeeded" else "",
            "format": "mp4",
            "metadata": _metadata(task) if seen.phase == "succeeded" else None,
            "error": _error(task) if seen.phase == "failed" else None,
        }
        return {"code": "success", "message": "", "data": data}

    def _dto(self, call: Call, task: Task) -> dict[str, Any]:
        seen = call.look(task)
        reason = scenarios.reason(task["scenario"]) if seen.phase == "failed" else ""
        good = seen.phase == "succeeded" and task["scenario"] != "no-result"
        upstream: dict[str, Any] = {"status": seen.phase, "content": {}, "usage": {}}
        if good:
            upstream["content"] = {"video_url": self._url(call, task, seen)}
            upstream["content"]["last_frame_url"] = call.link(task, "last_frame.png")
            upstream["usage"] = {"completion_tokens": 108900, "total_tokens": 108900}
        # contracts C.3 (b). C.4: an upstream status that the gateway does not know stays IN_PROGRESS out here.
        data = {
            "id": 1,
            "task_id": task["id"],
            "platform": "45",
            "action": "textGenerate",
            "status": _word("dto", seen),
            "fail_reason": reason,
            "result_url": self._url(call, task, seen),
            "submit_time": int(task["created"]),
            "start_time": int(seen.started or 0),
            "finish_time": int(seen.ended or 0) if seen.phase in ("succeeded", "failed") else 0,
            "progress": f"{100 if seen.phase == 'failed' else seen.progress}%",
            "properties": {},
            "data": upstream,
        }
        return {"code": "success", "message": "", "data": data}

    def _flat(self, call: Call, task: Task) -> dict[str, Any]:
        seen = call.look(task)
        # contracts C.3 (c).
        return {
            "task_id": task["id"],
            "status": _word("flat", seen),
            "url": self._url(call, task, seen) if seen.phase == "succeeded" else "",
            "format": "mp4",
            "metadata": _metadata(task) if seen.phase == "succeeded" else None,
            "error": _error(task) if seen.phase == "failed" else None,
        }

    def _flat_new(self, call: Call, task: Task) -> dict[str, Any]:
        seen = call.look(task)
        # contracts C.3 (d).
        body = {"id": task["id"], "status": _word("flat-new", seen), "progress": seen.progress}
        if seen.phase == "succeeded":
            body["video_url"] = self._url(call, task, seen)
        elif seen.phase == "failed":
            body["error"] = _error(task)
        return body

    def _openai_object(self, call: Call, task: Task) -> dict[str, Any]:
        seen, row = call.look(task), family(task["model"])
        done, ended = seen.phase == "succeeded", int(seen.ended or 0)
        body = {"id": task["id"], "object": "video", "model": task["model"], "progress": seen.progress}
        failure = {"message": scenarios.reason(task["scenario"]), "code": "task_failed"}
        if row == "seedance":
            # contracts C.3, OX-docs: an error full of empty strings on a healthy task, completed_at 0 until the end.
            video_url = self._url(call, task, seen) if done else ""
            error = failure if seen.phase == "failed" else {"message": "", "code": ""}
            status = "processing" if seen.phase == "running" and not seen.odd else _word("openai", seen)
            return {**body, "status": status, "video_url": video_url, "completed_at": ended, "error": error}
        if row == "kling":
            # contracts C.3, NA-docs.
            body |= {"status": _word("wrapper", seen), "size": task["extra"]["size"], "quality": "standard"}
            body |= {"seconds": task["extra"]["seconds"]}
            if done:
                body |= {"url": self._url(call, task, seen), "expires_at": ended + int(self.link_ttl_s)}
            return {**body, "error": failure} if seen.phase == "failed" else body
        # contracts C.3, NA-src.
        body |= {"status": _word("openai", seen), "created_at": int(task["created"])}
        if seen.over:
            body |= {"completed_at": ended, "metadata": {"url": self._url(call, task, seen)}}
        return {**body, "error": failure} if seen.phase == "failed" else body

    routes = (
        Route("POST", r"/v1/video/generations", create, "create"),
        Route("GET", r"/v1/video/generations/(?P<id>[^/]+)", status, "status"),
        Route("POST", r"/v1/videos", create_openai, "create"),
        Route("GET", r"/v1/videos/(?P<id>[^/]+)", status_openai, "status"),
        Route("GET", r"/v1/videos/(?P<id>[^/]+)/content", content),
        Route("POST", r"/v1/video/create", create_unified, "create"),
        Route("GET", r"/v1/video/query", query_unified, "status"),
        Route("GET", r"/api/usage/token/", token_usage),
    )


def _word(shape: str, seen: Look) -> str:
    if seen.odd:
        return scenarios.UNKNOWN_WORD
    if seen.phase == "cancelled":
        # contracts C.3: the word is OX-docs' alone; C.4: (b) hides it behind IN_PROGRESS.
        return "IN_PROGRESS" if shape == "dto" else "cancelled"
    return _WORDS[shape][seen.phase]


def _metadata(task: Task) -> dict[str, Any]:
    # contracts C.3 (c).
    size = {"height": task["height"], "seed": 20231234, "width": task["width"]}
    return {"duration": task["duration"], "fps": 24, **size}


def _error(task: Task) -> dict[str, Any]:
    # contracts C.8, NA-docs: {code:int, message}.
    return {"code": 500, "message": scenarios.reason(task["scenario"])}


def _relay_error(status: int, message: str, code: str) -> Reply:
    # contracts C.6: authentication and the choice of a channel.
    return json_reply({"error": {"message": message, "type": "new_api_error", "code": code}}, status)
