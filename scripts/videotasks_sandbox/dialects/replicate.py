"""The wire of Replicate predictions (contracts F.2)."""

from __future__ import annotations

from typing import Any

from videotasks_sandbox import scenarios, tasks
from videotasks_sandbox.dialects.base import Call, Refused, Route, Wire, frame_size, is_unknown_model, iso, new_id
from videotasks_sandbox.httpd import Reply, json_reply
from videotasks_sandbox.tasks import Order, Task

WORDS = {
    "queued": "starting",
    "running": "processing",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "canceled",
}
_PAGE = 100


def problem(status: int, title: str, detail: str) -> Reply:
    # contracts F.2: RFC 7807.
    reply = json_reply({"title": title, "detail": detail, "status": status}, status)
    reply.content_type = "application/problem+json"
    return reply


class Replicate(Wire):
    prefix = "/v1"
    # contracts F.2: outputs are deleted after an hour.
    link_ttl_s = 3600.0

    def unauthorised(self) -> Reply:
        return problem(401, "Unauthenticated", "You did not pass a valid authentication token")

    def invalid(self, message: str) -> Reply:
        return problem(422, "Input validation failed", message)

    def no_credits(self) -> Reply:
        return problem(402, "Insufficient credit", "You have insufficient credit to run this model.")

    def rate_limited(self) -> Reply:
        return problem(429, "Too many requests", "Request was throttled. Expected available in 1 second.")

    def unknown_task(self, task_id: str) -> Reply:
        return problem(404, "Not Found", "The requested resource could not be found.")

    def no_route(self, method: str, path: str) -> Reply:
        return problem(404, "Not Found", "The requested resource could not be found.")

    def broken(self) -> Reply:
        return problem(500, "Internal server error", "An unexpected error occurred.")

    def create(self, call: Call) -> Reply:
        """POST /predictions {version, input}."""
        body = call.json()
        version = body.get("version")
        if not isinstance(version, str) or not version:
            raise Refused(self.invalid("- version is required"))
        return self._accept(call, body, version, version)

    def create_by_model(self, call: Call) -> Reply:
        """POST /models/{owner}/{name}/predictions {input}."""
        return self._accept(call, call.json(), f"{call.part('owner')}/{call.part('name')}", "hidden")

    def _accept(self, call: Call, body: dict[str, Any], model: str, version: str) -> Reply:
        if is_unknown_model(model):
            raise Refused(self.unknown_task(model))
        given = body.get("input")
        if not isinstance(given, dict):
            raise Refused(self.invalid("- input is required"))
        prompt = given.get("prompt")
        if not isinstance(prompt, str) or not prompt.strip():
            raise Refused(self.invalid("- input: prompt is required"))
        length = given.get("duration", given.get("seconds", 5))
        if isinstance(length, bool) or not isinstance(length, (int, float)) or not 0 < length <= 60:
            raise Refused(self.invalid("- input.duration: Invalid type. Expected: integer"))
        width, height = frame_size(given.get("aspect_ratio"), given.get("resolution"))
        extra = {"version": version, "webhook": body.get("webhook")}
        order = Order(model, prompt, float(length), width, height, echo=call.sent["input"], extra=extra)
        # `Prefer: wait` is a preference, which this server does not follow: it always answers at once.
        task = call.accept(order, new_id("", 26))
        return json_reply(self._body(call, task), 201)

    def status(self, call: Call) -> Reply:
        """GET /predictions/{id}."""
        return json_reply(self._body(call, call.task(call.part("id"))))

    def cancel(self, call: Call) -> Reply:
        """POST /predictions/{id}/cancel."""
        task = call.task(call.part("id"))
        if not call.look(task).over:
            tasks.cancel(task, call.now)
        return json_reply(self._body(call, task))

    def list(self, call: Call) -> Reply:
        """GET /predictions: newest first, by cursor."""
        mine = [task for task in call.state["tasks"].values() if task["provider"] == self.name]
        mine.sort(key=lambda task: task["created"], reverse=True)
        cursor = call.query("cursor", "0")
        start = int(cursor) if cursor.isdigit() else 0
        following = f"{call.base}/predictions?cursor={start + _PAGE}" if start + _PAGE < len(mine) else None
        results = [self._body(call, task) for task in mine[start : start + _PAGE]]
        return json_reply({"previous": None, "next": following, "results": results})

    def _body(self, call: Call, task: Task) -> dict[str, Any]:
        seen = call.look(task)
        url = f"{call.base}/predictions/{task['id']}"
        # contracts F.2: the keys there; the only sign of progress is in the logs.
        return {
            "id": task["id"],
            "model": task["model"],
            "version": task["extra"]["version"],
            "input": task["echo"],
            "logs": "" if seen.phase == "queued" else f"Generating: {seen.progress}%\n",
            "output": self._output(call, task),
            "data_removed": False,
            "error": scenarios.reason(task["scenario"]) if seen.phase == "failed" else None,
            "status": scenarios.UNKNOWN_WORD if seen.odd else WORDS[seen.phase],
            "created_at": iso(task["created"]),
            "started_at": iso(seen.started) if seen.started else None,
            "completed_at": iso(seen.ended) if seen.ended else None,
            "metrics": {"predict_time": round(seen.ended - task["starts"], 3)} if seen.ended and seen.started else {},
            # No `stream` here: only models that write text have one.
            "urls": {"get": url, "cancel": f"{url}/cancel"},
        }

    def _output(self, call: Call, task: Task) -> Any:
        """A string, a list or an object: which, is the model's own choice (contracts F.2)."""
        seen = call.look(task)
        if seen.phase != "succeeded" or seen.ended is None or task["scenario"] == "no-result":
            return None
        if call.now >= seen.ended + self.link_ttl_s:
            return None
        url = call.link(task, "video.mp4", signed_at=seen.ended)
        if "wan" in task["model"] or "/" not in task["model"]:
            return [url]
        if "luma" in task["model"]:
            return {"video": url, "thumbnail": call.link(task, "thumbnail.png", signed_at=seen.ended)}
        return url

    routes = (
        Route("POST", r"/predictions", create, "create"),
        Route("POST", r"/models/(?P<owner>[^/]+)/(?P<name>[^/]+)/predictions", create_by_model, "create"),
        Route("GET", r"/predictions", list),
        Route("GET", r"/predictions/(?P<id>[^/]+)", status, "status"),
        Route("POST", r"/predictions/(?P<id>[^/]+)/cancel", cancel),
    )
