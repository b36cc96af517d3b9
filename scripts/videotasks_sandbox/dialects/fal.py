"""The wire of the fal queue (contracts F.1)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from videotasks_sandbox import scenarios, tasks
from videotasks_sandbox.dialects.base import Call, Refused, Route, Wire, frame_size, is_unknown_model, new_id
from videotasks_sandbox.httpd import DropConnection, Reply, json_reply
from videotasks_sandbox.tasks import Order, Task

_REQUEST = r"/(?P<owner>[^/]+)/(?P<alias>[^/]+)/requests/(?P<id>[^/]+)"
_HEARTBEAT_S, _SILENT_S = 1.0, 600.0


class Fal(Wire):
    auth_scheme = "Key"

    # contracts F.1: {"detail": "..."}; where no sample is stored the text is ours.
    def unauthorised(self) -> Reply:
        return json_reply({"detail": "Authentication is required to access this application."}, 401)

    def invalid(self, message: str) -> Reply:
        return json_reply({"detail": [{"loc": ["body"], "msg": message, "type": "value_error"}]}, 422)

    def no_credits(self) -> Reply:
        return json_reply({"detail": "User is locked. Reason: Exhausted balance."}, 403)

    def rate_limited(self) -> Reply:
        return json_reply({"detail": "Too many requests", "error_type": "rate_limited"}, 429)

    def unknown_task(self, task_id: str) -> Reply:
        return json_reply({"detail": "Request not found"}, 404)

    def no_route(self, method: str, path: str) -> Reply:
        return json_reply({"detail": f"Path {path} not found"}, 404)

    def broken(self) -> Reply:
        return json_reply({"detail": "Internal Server Error"}, 500)

    def create(self, call: Call) -> Reply:
        """POST /{owner}/{alias}[/sub/path]: the queue takes any object; the model judges it later."""
        model = call.part("model")
        if is_unknown_model(model):
            raise Refused(json_reply({"detail": f"Application '{model}' not found"}, 404))
        body = call.json()
        prompt, seconds = body.get("prompt"), str(body.get("duration", "5")).removesuffix("s")
        width, height = frame_size(body.get("aspect_ratio"), body.get("resolution"))
        duration = float(seconds) if seconds.isdigit() and 0 < int(seconds) <= 60 else 5.0
        text = prompt if isinstance(prompt, str) else ""
        order = Order(model, text, duration, width, height, extra={"bad_input": not text.strip()})
        task = call.accept(order, new_id("", 32))
        if task["extra"]["bad_input"] and task["ends"] is not None:
            task["outcome"] = "failed"
        # contracts F.1: the URLs drop the sub-path.
        url = f"{call.base}/{'/'.join(model.split('/')[:2])}/requests/{task['id']}"
        body = {"request_id": task["id"], "response_url": url, "status_url": f"{url}/status"}
        return json_reply({**body, "cancel_url": f"{url}/cancel", "queue_position": 0})

    def status(self, call: Call) -> Reply:
        """GET {status_url}?logs=1."""
        return json_reply(self._body(call, self._task(call)))

    def stream(self, call: Call) -> Reply:
        """GET {status_url}/stream: events until COMPLETED."""
        task = self._task(call)
        if task["scenario"] == "stream-refused":
            return Reply(status=405, body=b'{"detail":"Method Not Allowed"}', headers={"Allow": "POST"})
        if task["scenario"] == "json-instead-of-stream":
            return json_reply(self._body(call, task))
        return Reply(content_type="text/event-stream", events=self._events(call, task))

    def result(self, call: Call) -> Reply:
        """GET {response_url}: the model's output, or why there is none."""
        task = self._task(call)
        seen = call.look(task)
        if not seen.over:
            return json_reply({"detail": "Request is still in progress"}, 400)
        if seen.phase == "succeeded" and task["scenario"] != "no-result":
            # contracts F.1: the second request's body; file_size is left out, for the file is not rendered yet.
            video = {"url": call.link(task, "video.mp4"), "content_type": "video/mp4", "file_name": "video.mp4"}
            return json_reply({"video": video, "seed": 42})
        if seen.phase == "succeeded":
            return json_reply({"seed": 42})
        error, kind = _failure(task)
        headers = {"X_Fal_Error_Type": kind, "X_Fal_Retryable": "false"}
        if kind == "missing":
            detail = [{"loc": ["body", "prompt"], "msg": error, "type": kind, "url": "", "ctx": {}}]
            return json_reply({"detail": detail}, 422, **headers)
        if kind == "content_policy_violation":
            return json_reply({"detail": [{"loc": ["body", "prompt"], "msg": error, "type": kind}]}, 422, **headers)
        return json_reply({"detail": error, "error_type": kind}, 400 if kind == "cancelled" else 500, **headers)

    def cancel(self, call: Call) -> Reply:
        """PUT {cancel_url}: best effort, on what is still queued."""
        task = self._task(call)
        if call.look(task).over:
            return json_reply({"status": "ALREADY_COMPLETED"}, 400)
        if call.look(task).phase == "queued":
            tasks.cancel(task, call.now)
        return json_reply({"status": "CANCELLATION_REQUESTED"}, 202)

    def _task(self, call: Call) -> Task:
        task = call.task(call.part("id"))
        if not task["model"].startswith(f"{call.part('owner')}/{call.part('alias')}"):
            raise Refused(self.unknown_task(task["id"]))
        return task

    def _body(self, call: Call, task: Task) -> dict[str, Any]:
        seen = call.look(task)
        logs = (
            {"logs": [{"message": f"{seen.progress}%", "level": "INFO", "timestamp": ""}]} if call.query("logs") else {}
        )
        if seen.odd:
            return {"status": scenarios.UNKNOWN_WORD.upper(), **logs}
        if seen.phase == "queued":
            return {"status": "IN_QUEUE", "queue_position": 0}
        if seen.phase == "running":
            return {"status": "IN_PROGRESS", **logs}
        body = {
            "status": "COMPLETED",
            **logs,
            "metrics": {"inference_time": round(seen.ended or 0) - round(task["starts"])},
        }
        if seen.phase == "succeeded":
            return body
        # contracts F.1: COMPLETED with `error` is a failure.
        error, kind = _failure(task)
        return {**body, "error": error, "error_type": kind}

    def _events(self, call: Call, task: Task) -> Iterator[bytes]:
        first = True
        for item in call.watch(task["id"], lambda: b": ping\n\n", _HEARTBEAT_S):
            if isinstance(item, bytes):
                yield item
                continue
            call.now = call.clock()
            line = f"data: {json.dumps(self._body(call, item), separators=(',', ':'))}\n\n".encode()
            if not first and item["scenario"] in ("stream-drop", "flaky-poll"):
                yield line[: len(line) // 2]
                raise DropConnection
            yield line
            if first and item["scenario"] == "stream-mute":
                call.pause(_SILENT_S)
                return
            first = False

    routes = (
        Route("GET", _REQUEST + "/status", status, "status"),
        Route("GET", _REQUEST + "/status/stream", stream),
        Route("GET", _REQUEST, result),
        Route("PUT", _REQUEST + "/cancel", cancel),
        Route("POST", r"/(?P<model>[^/]+/[^/]+(?:/(?!requests/)[^/]+)*)", create, "create"),
    )


def _failure(task: Task) -> tuple[str, str]:
    """The text and the error_type of a request that came to nothing."""
    if task["cancelled"] is not None:
        return "Request was cancelled", "cancelled"
    if task["extra"]["bad_input"]:
        return "Field required", "missing"
    kind = "content_policy_violation" if task["scenario"] == "moderation" else "runner_error"
    return scenarios.reason(task["scenario"]), kind
