"""The wire of the CreatOK Open Skills API (contracts A)."""

from __future__ import annotations

from typing import Any

from videotasks_sandbox import media, scenarios
from videotasks_sandbox.dialects.base import Call, Refused, Route, Wire, frame_size, is_int, new_id
from videotasks_sandbox.httpd import Reply, json_reply
from videotasks_sandbox.tasks import Order

# contracts A.5: `code` 0 is success; no other number is stored, so every number below is ours.
_INVALID, _NO_CREDITS, _NOT_FOUND, _UNAUTHORISED, _BUSY, _BROKEN = 40001, 40201, 40401, 40101, 42901, 50001


def _prices(*rows: tuple[str, int, str, int]) -> dict[str, Any]:
    estimates = [
        {"definition": definition, "seconds": seconds, "orientation": orientation, "credits": price}
        for definition, seconds, orientation, price in rows
    ]
    return {"currency": "credits", "unit": "video", "estimates": estimates}


def _model(
    name: str, seconds: int, definitions: list[str], durations: dict[str, Any], references: int, pricing: Any
) -> dict[str, Any]:
    model = {
        "id": name,
        "label": name.replace("-", " ").title(),
        "defaults": {"orientation": "9:16", "seconds": seconds, "definition": "720p"},
        "limits": {
            "definitions": definitions,
            "orientations": ["9:16", "16:9"],
            "durations": durations,
            "max_reference_images": references,
        },
    }
    return {**model, "pricing": pricing} if pricing else model


# contracts A.7: the keys are exact, the ids and limits those of the fixtures there, the prices illustrative. One model
# has no price at all, as the text says that it may.
VIDEO_MODELS = [
    _model(
        "doubao-seedance-2", 10, ["480p", "720p"], {"min": 4, "max": 15, "enum": None}, 5,
        _prices(("720p", 10, "9:16", 12), ("720p", 5, "9:16", 6), ("720p", 4, "9:16", 5), ("480p", 4, "9:16", 3)),
    ),
    _model(
        "doubao-seedance-2-fast", 10, ["480p", "720p"], {"min": 4, "max": 15, "enum": None}, 5,
        _prices(("720p", 10, "9:16", 9), ("720p", 5, "9:16", 5), ("720p", 4, "9:16", 4)),
    ),
    _model("sora-2", 12, ["720p"], {"min": None, "max": None, "enum": [12]}, 1, _prices(("720p", 12, "9:16", 10))),
    _model(
        "veo-3.1-fast-exp", 8, ["720p", "1080p"], {"min": None, "max": 8, "enum": None}, 3,
        _prices(("720p", 8, "9:16", 8), ("720p", 4, "9:16", 4), ("1080p", 8, "9:16", 12), ("720p", 8, "16:9", 8)),
    ),
    _model("veo-3.1-exp", 8, ["720p", "1080p"], {"min": None, "max": 8, "enum": None}, 3, None),
]  # fmt: skip
IMAGE_MODELS = [
    {
        "id": "nano-banana-2",
        "defaults": {"resolution": "2K", "n": 1},
        "limits": {
            "resolutions": ["1K", "2K", "4K"],
            "n": {"min": 1, "max": 4},
            "aspect_ratios": ["1:1"],
            "max_reference_images": 5,
        },
        "pricing": {"currency": "credits", "unit": "image", "by_resolution": {"1K": 1, "2K": 1, "4K": 2}},
    }
]
DEFAULT_VIDEO_MODEL = "veo-3.1-fast-exp"
# contracts A.6.
IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif")
_FIELDS = ("prompt", "model", "orientation", "seconds", "definition", "referenceImageKeys")


def _ok(data: Any) -> Reply:
    # contracts A.3.
    return json_reply({"code": 0, "msg": "ok", "data": data})


def _error(code: int, message: str, status: int = 200) -> Reply:
    # contracts A.5: errors come in the envelope, on HTTP 200.
    return json_reply({"code": code, "msg": message, "data": None}, status)


class CreatOK(Wire):
    # contracts A.5.
    def unauthorised(self) -> Reply:
        return _error(_UNAUTHORISED, "Unauthorized", 401)

    def invalid(self, message: str) -> Reply:
        return _error(_INVALID, message)

    def no_credits(self) -> Reply:
        return _error(_NO_CREDITS, "Insufficient credits")

    def rate_limited(self) -> Reply:
        # No 429 is stored for this API; its envelope, on the status that everybody uses.
        return _error(_BUSY, "Too many requests", 429)

    def unknown_task(self, task_id: str) -> Reply:
        # Not stored: 404 means an unknown endpoint here, so an unknown task is taken to be in-band.
        return _error(_NOT_FOUND, "task not found")

    def no_route(self, method: str, path: str) -> Reply:
        # contracts A.5: "404 -> endpoint".
        return _error(_NOT_FOUND, f"Cannot {method} {path}", 404)

    def broken(self) -> Reply:
        return _error(_BROKEN, "Internal Server Error", 500)

    def create(self, call: Call) -> Reply:
        """POST /api/open/skills/tasks, contracts A.3."""
        body = call.json()
        order = self._read_order(call, body)
        task = call.accept(order, new_id("task_"))
        return _ok({"task_id": task["id"], "status": "queued"})

    def _read_order(self, call: Call, body: dict[str, Any]) -> Order:
        prompt = body.get("prompt")
        if not (isinstance(prompt, str) and prompt.strip()):
            raise Refused(self.invalid("prompt is required"))
        for name in body:
            if name not in _FIELDS:
                # contracts A.3: "No audio, seed, negative prompt, ... field exists in any version".
                raise Refused(self.invalid(f"unknown field: {name}"))
        wanted = body.get("model", DEFAULT_VIDEO_MODEL)
        model = next((each for each in VIDEO_MODELS if each["id"] == wanted), None)
        if model is None:
            raise Refused(self.invalid(f"model not supported: {wanted}"))
        filled = {**model["defaults"], **body}
        problem = _beyond_limits(model["limits"], filled, call)
        if problem:
            raise Refused(self.invalid(problem))
        width, height = frame_size(filled["orientation"], filled["definition"])
        return Order(model["id"], prompt, float(filled["seconds"]), width, height)

    def status(self, call: Call) -> Reply:
        """GET /api/open/skills/tasks/status?task_id=&task_type=, contracts A.4. Without task_type: Disagreement 1."""
        task_id = call.query("task_id")
        if not task_id:
            raise Refused(self.invalid("task_id is required"))
        task = call.task(task_id)
        if call.query("task_type", "video_generation") != "video_generation":
            raise Refused(self.unknown_task(task_id))
        seen = call.look(task)
        data: dict[str, Any] = {"status": scenarios.UNKNOWN_WORD if seen.odd else seen.phase}
        if seen.phase == "succeeded":
            data["result"] = {} if task["scenario"] == "no-result" else {"video_url": call.link(task, "video.mp4")}
        elif seen.phase == "failed":
            data["error"] = {"message": scenarios.reason(task["scenario"])}
        return _ok(data)

    def capabilities(self, call: Call) -> Reply:
        """GET /api/open/skills/capabilities, contracts A.7."""
        video = {"default_model": DEFAULT_VIDEO_MODEL, "models": VIDEO_MODELS}
        image = {"default_model": "nano-banana-2", "models": IMAGE_MODELS}
        return _ok({"capabilities": {"video": video, "image": image}})

    def presign(self, call: Call) -> Reply:
        """POST /api/open/skills/upload/image/presigned, contracts A.6 step 1."""
        body = call.json()
        name, kind, size = body.get("fileName"), body.get("fileType"), body.get("fileSize")
        if not isinstance(name, str) or not name:
            raise Refused(self.invalid("fileName is required"))
        if kind not in IMAGE_TYPES:
            raise Refused(self.invalid(f"fileType must be one of {', '.join(IMAGE_TYPES)}"))
        if not isinstance(size, int) or not is_int(size) or size <= 0:
            raise Refused(self.invalid("fileSize must be a positive integer"))
        if body.get("prefix") != "open-skills/reference-images":
            raise Refused(self.invalid("prefix is not allowed"))
        suffix = name.rpartition(".")[2].lower()
        key = f"open-skills/reference-images/{new_id('', 20)}.{suffix if suffix.isalnum() else 'bin'}"
        call.state["uploads"][key] = {"type": kind, "size": size, "received": False, "asked": call.now}
        url = media.upload_link(call.request.origin, self.name, key, kind, call.now)
        return _ok({"presignedUploadUrl": url, "objectKey": key})

    routes = (
        Route("POST", r"/api/open/skills/tasks", create, "create"),
        Route("GET", r"/api/open/skills/tasks/status", status, "status"),
        Route("GET", r"/api/open/skills/capabilities", capabilities),
        Route("POST", r"/api/open/skills/upload/image/presigned", presign),
    )


def _beyond_limits(limits: dict[str, Any], body: dict[str, Any], call: Call) -> str:
    """What goes beyond the limits of A.7, or "". `body` has its defaults filled in."""
    seconds = body["seconds"]
    if not is_int(seconds):
        return "seconds must be an integer"
    durations = limits["durations"]
    if durations["enum"] and seconds not in durations["enum"]:
        return f"seconds must be one of {durations['enum']}"
    if seconds < (durations["min"] or 1) or seconds > (durations["max"] or seconds):
        return f"seconds is out of range: {durations['min'] or 1}-{durations['max']}"
    if body["definition"] not in limits["definitions"]:
        return f"definition must be one of {limits['definitions']}"
    if body["orientation"] not in limits["orientations"]:
        return f"orientation must be one of {limits['orientations']}"
    keys = body.get("referenceImageKeys", [])
    if not isinstance(keys, list) or len(keys) > limits["max_reference_images"]:
        return f"referenceImageKeys must be an array of at most {limits['max_reference_images']}"
    for key in keys:
        if not call.state["uploads"].get(str(key), {}).get("received"):
            return f"reference image not found: {key}"
    return ""
