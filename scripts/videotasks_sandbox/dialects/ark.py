"""The wire of Volcengine ARK and BytePlus ModelArk (contracts D)."""

from __future__ import annotations

from typing import Any

from videotasks_sandbox import media, scenarios, tasks
from videotasks_sandbox.dialects.ark_inputs import check_create
from videotasks_sandbox.dialects.base import Call, Refused, Route, Wire, frame_size, new_id
from videotasks_sandbox.httpd import Reply, json_reply
from videotasks_sandbox.tasks import Order, Task

# contracts D.3.
LINK_TTL_S = 86400
TASK_TTL_S = 7 * 86400
CANCELLED_TTL_S = 86400


def ark_error(status: int, code: str, message: str, param: str = "", kind: str = "BadRequest") -> Reply:
    # contracts D.7.
    return json_reply({"error": {"code": code, "message": message, "param": param, "type": kind}}, status)


class Ark(Wire):
    prefix = "/api/v3"
    link_ttl_s = LINK_TTL_S

    # contracts D.7.
    def unauthorised(self) -> Reply:
        message = "The API key doesn't exist. Request id: sandbox"
        return ark_error(401, "AuthenticationError", message, kind="Unauthorized")

    def invalid(self, message: str) -> Reply:
        return ark_error(400, "InvalidParameter", message)

    def no_credits(self) -> Reply:
        message = "The request failed because your account has an overdue balance."
        return ark_error(403, "AccountOverdueError", message, kind="Forbidden")

    def rate_limited(self) -> Reply:
        message = "Requests Per Minute (RPM) limit of the endpoint has been exceeded."
        return ark_error(429, "RateLimitExceeded.EndpointRPMExceeded", message, kind="TooManyRequests")

    def unknown_task(self, task_id: str) -> Reply:
        # contracts D.7, G.6: code and status from a third party's test.
        message = f"The specified task {task_id} is not found."
        return ark_error(404, "ResourceNotFound", message, "id", "NotFound")

    def no_route(self, method: str, path: str) -> Reply:
        return ark_error(404, "InvalidAction.NotFound", f"{method} {path} does not exist", kind="NotFound")

    def broken(self) -> Reply:
        message = "The service encountered an unexpected internal error."
        return ark_error(500, "InternalServiceError", message, kind="InternalServerError")

    def create(self, call: Call) -> Reply:
        """POST /contents/generations/tasks, contracts D.2."""
        body = call.json()
        problem = check_create(body, cloud=self.name)
        if problem is not None:
            raise Refused(ark_error(problem.status, problem.code, problem.message, problem.param))
        task_id = f"cgt-{media.stamp(call.now, '%Y%m%d%H%M%S')}-{new_id('', 5)}"
        task = call.accept(self._read_order(call, body), task_id)
        # contracts D.2: "nothing else: no status".
        return json_reply({"id": task["id"]})

    def _read_order(self, call: Call, body: dict[str, Any]) -> Order:
        texts = [item["text"] for item in body["content"] if item["type"] == "text"]
        resolution = body.get("resolution", "720p")
        ratio = body.get("ratio", "16:9")
        width, height = frame_size("16:9" if ratio == "adaptive" else ratio, resolution)
        asked = body.get("duration", 5)
        # -1 lets the model choose; `frames` beats `duration`, at 24 frames a second (contracts D.2, D.3).
        duration = body["frames"] / 24 if "frames" in body else float(5 if asked == -1 else asked)
        extra = {
            "seed": body["seed"] if body.get("seed", -1) != -1 else 58944,
            "resolution": resolution,
            "ratio": "16:9" if ratio == "adaptive" else ratio,
            "duration": 5 if asked == -1 else asked,
            "frames": body.get("frames"),
            "service_tier": body.get("service_tier", "default"),
            "execution_expires_after": body.get("execution_expires_after", 172800),
            "generate_audio": body.get("generate_audio", True),
            "draft": body.get("draft", False),
            "return_last_frame": body.get("return_last_frame", False),
        }
        return Order(body["model"], "\n".join(texts), duration, width, height, extra=extra)

    def status(self, call: Call) -> Reply:
        """GET /contents/generations/tasks/{id}, contracts D.3."""
        task = call.task(call.part("id"))
        if _forgotten(task, call.now):
            raise Refused(self.unknown_task(task["id"]))
        return json_reply(self._body(call, task))

    def _body(self, call: Call, task: Task) -> dict[str, Any]:
        seen, extra = call.look(task), task["extra"]
        # contracts D.3: the literals there, key for key.
        body: dict[str, Any] = {
            "id": task["id"],
            "model": task["model"],
            "status": scenarios.UNKNOWN_WORD if seen.odd else seen.phase,
            "error": _failure(task) if seen.phase == "failed" else None,
            "created_at": int(task["created"]),
            "updated_at": int(seen.ended or seen.started or task["created"]),
            "service_tier": extra["service_tier"],
            "execution_expires_after": extra["execution_expires_after"],
        }
        if seen.phase == "succeeded" and seen.ended is not None:
            used = int(task["width"] * task["height"] * 24 * task["duration"] / 1024)
            length = {"frames": extra["frames"]} if extra["frames"] else {"duration": extra["duration"]}
            body |= {
                "content": self._content(call, task, seen.ended),
                "usage": {"completion_tokens": used, "total_tokens": used},
                "seed": extra["seed"],
                "resolution": extra["resolution"],
                "ratio": extra["ratio"],
                **length,
                "framespersecond": 24,
                "generate_audio": extra["generate_audio"],
                "draft": extra["draft"],
            }
        return body

    def _content(self, call: Call, task: Task, ended: float) -> dict[str, str] | None:
        if call.now >= ended + LINK_TTL_S or task["scenario"] == "no-result":
            # contracts D.3: absent or null on a succeeded task after 24 h.
            return None
        content = {"video_url": call.link(task, "video.mp4", signed_at=ended)}
        if task["extra"]["return_last_frame"]:
            content["last_frame_url"] = call.link(task, "last_frame.png", signed_at=ended)
        return content

    def list(self, call: Call) -> Reply:
        """GET /contents/generations/tasks?page_num&page_size&filter.*, contracts D.4: newest first, prompt not told."""
        numbers = [call.query("page_num", "1"), call.query("page_size", "20")]
        if not all(number.isdigit() and 1 <= int(number) <= 500 for number in numbers):
            raise Refused(self.invalid("page_num and page_size must be between 1 and 500"))
        page, size = int(numbers[0]), int(numbers[1])
        found = []
        for task in call.state["tasks"].values():
            body = self._body(call, task) if task["provider"] == self.name else None
            if body is None or _forgotten(task, call.now):
                continue
            ids = call.queries("filter.task_ids")
            if ids and task["id"] not in ids:
                continue
            pairs = [(call.query(f"filter.{name}"), body[name]) for name in ("status", "model", "service_tier")]
            if all(not asked or asked == has for asked, has in pairs):
                found.append((task["created"], body))
        found.sort(key=lambda pair: pair[0], reverse=True)
        items = [body for _, body in found]
        return json_reply({"total": len(items), "items": items[(page - 1) * size : page * size]})

    def delete(self, call: Call) -> Reply:
        """DELETE /contents/generations/tasks/{id}, contracts D.5."""
        task = call.task(call.part("id"))
        if _forgotten(task, call.now):
            raise Refused(self.unknown_task(task["id"]))
        phase = call.look(task).phase
        if phase == "queued":
            tasks.cancel(task, call.now)
        elif phase in ("succeeded", "failed", "expired"):
            del call.state["tasks"][task["id"]]
        else:
            # contracts D.5 says "error" and no more; the code is of the family that D.7 has for such refusals.
            message = f"The task is {phase} and can be neither cancelled nor deleted."
            raise Refused(ark_error(403, "OperationDenied.InvalidState", message, "id", "Forbidden"))
        return json_reply({})

    routes = (
        Route("POST", r"/contents/generations/tasks", create, "create"),
        Route("GET", r"/contents/generations/tasks", list),
        Route("GET", r"/contents/generations/tasks/(?P<id>[^/]+)", status, "status"),
        Route("DELETE", r"/contents/generations/tasks/(?P<id>[^/]+)", delete),
    )


def _failure(task: Task) -> dict[str, str]:
    # contracts D.3, D.7: moderation of the output arrives in the task, at HTTP 200.
    code = "OutputVideoSensitiveContentDetected" if task["scenario"] == "moderation" else "InternalServiceError"
    return {"code": code, "message": scenarios.reason(task["scenario"])}


def _forgotten(task: Task, now: float) -> bool:
    """contracts D.3: tasks are kept 7 days, cancelled ones 24 h."""
    seen = tasks.look(task, now)
    if seen.phase == "cancelled" and seen.ended is not None:
        return now > seen.ended + CANCELLED_TTL_S
    return bool(now > task["created"] + TASK_TTL_S)
