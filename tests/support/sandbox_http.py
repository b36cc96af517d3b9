"""A bare HTTP caller for the tests of the sandbox: http.client and nothing of the client under development."""

from __future__ import annotations

import http.client
import json
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from videotasks_sandbox.dialect import load_dialect
from videotasks_sandbox.server import Sandbox

START = 1_800_000_000.0


class Clock:
    """A clock that only moves when told, or when the server waits on it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> bool:
        self.now += max(seconds, 0.001)
        return False


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """Calls one sandbox. `path` is relative to its base URL, or a whole URL, which gets no key of its own accord."""

    def __init__(self, sandbox: Sandbox, clock: Clock, state_file: Path) -> None:
        self.sandbox, self.clock, self.state_file = sandbox, clock, state_file
        self.auth = load_dialect(sandbox.provider).auth

    def __call__(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, key: str | None = None
    ) -> Answer:
        url = path if path.startswith("http") else self.sandbox.base_url + path
        parts = urlsplit(url)
        sent = {**NEEDED.get(self.sandbox.provider, {}), **(headers or {})}
        if key is None and not path.startswith("http"):
            key = f"{self.auth['prefix']}{self.sandbox.api_key}"
        if key:
            sent[self.auth["header"]] = key
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        try:
            connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body, sent)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, path: str, **options: Any) -> Answer:
        return self("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> Answer:
        return self("POST", path, body, **options)

    @property
    def state(self) -> dict[str, Any]:
        return json.loads(self.state_file.read_text(encoding="utf-8"))

    @property
    def log(self) -> list[dict[str, Any]]:
        return self.state["requests"]


Start = Callable[..., Caller]

ARK_TASKS = "/contents/generations/tasks"

# provider -> (create path, body, where the id is, status path)
CREATES: dict[str, tuple[str, Any, str, str]] = {
    "skills-video": ("/generation/openai/sora-2", {"prompt": "a boat"}, "id", "/generation/{}"),
    "creatok": (
        "/api/open/skills/tasks",
        {"prompt": "a boat"},
        "data.task_id",
        "/api/open/skills/tasks/status?task_id={}",
    ),
    "octopusx": (
        "/v1/video/generations",
        {"prompt": "a boat", "model": "wan-2"},
        "task_id",
        "/v1/video/generations/{}",
    ),
    "ark": (
        ARK_TASKS,
        {"model": "doubao-seedance-1-0-pro-250528", "content": [{"type": "text", "text": "a boat"}]},
        "id",
        ARK_TASKS + "/{}",
    ),
    "modelark": (ARK_TASKS, {"model": "ep-1", "content": [{"type": "text", "text": "x"}]}, "id", ARK_TASKS + "/{}"),
    "openai-compatible": ("/videos", {"prompt": "a boat", "seconds": "4"}, "id", "/videos/{}"),
    "fal": ("/fal-ai/veo3", {"prompt": "a boat"}, "request_id", "/fal-ai/veo3/requests/{}/status"),
    "replicate": ("/predictions", {"version": "v", "input": {"prompt": "a boat"}}, "id", "/predictions/{}"),
    "gemini": (
        "/interactions",
        {"model": "gemini-omni-1.1-flash", "input": "a boat", "background": True},
        "id",
        "/interactions/{}",
    ),
    "runway": (
        "/v1/text_to_video",
        {"model": "gen4.5", "promptText": "a boat", "ratio": "1280:720", "duration": 5},
        "id",
        "/v1/tasks/{}",
    ),
    "luma": ("/generations/video", {"model": "ray-2", "prompt": "a boat"}, "id", "/generations/{}"),
    "kling": (
        "/v1/videos/text2video",
        {"model_name": "kling-v2-6", "prompt": "a boat"},
        "data.task_id",
        "/v1/videos/text2video/{}",
    ),
    "minimax": (
        "/video_generation",
        {"model": "MiniMax-Hailuo-2.3", "prompt": "a boat"},
        "task_id",
        "/query/video_generation?task_id={}",
    ),
    "vidu": ("/text2video", {"model": "viduq2", "prompt": "a boat"}, "task_id", "/tasks/{}/creations"),
    "dashscope": (
        "/services/aigc/video-generation/video-synthesis",
        {"model": "wan2.6-t2v", "input": {"prompt": "a boat"}, "parameters": {"size": "1280*720"}},
        "output.task_id",
        "/tasks/{}",
    ),
    "xai": ("/videos/generations", {"model": "grok-imagine-video", "prompt": "a boat"}, "request_id", "/videos/{}"),
    "wavespeed": ("/wavespeed-ai/wan-2.2/t2v", {"prompt": "a boat"}, "data.id", "/predictions/{}/result"),
    "vertex-veo": (
        "/models/veo-3.1-generate-001:predictLongRunning",
        {"instances": [{"prompt": "a boat"}]},
        "name",
        "/models/veo-3.1-generate-001:fetchPredictOperation",
    ),
    "pixverse": ("/video/text/generate", {"model": "v6", "prompt": "a boat"}, "Resp.video_id", "/video/result/{}"),
    "zai": ("/videos/generations", {"model": "cogvideox-3", "prompt": "a boat"}, "id", "/async-result/{}"),
    "siliconflow": ("/video/submit", {"model": "Wan-AI/T2V", "prompt": "a boat"}, "requestId", "/video/status"),
    "azure-openai": (
        "/video/generations/jobs?api-version=preview",
        {"model": "sora", "prompt": "a boat", "width": 1280, "height": 720, "n_seconds": 5},
        "id",
        "/video/generations/jobs/{}?api-version=preview",
    ),
    "together": ("/videos", {"model": "minimax/hailuo-02", "prompt": "a boat"}, "id", "/videos/{}"),
    "freepik": (
        "/v1/ai/image-to-video/kling-v2",
        {"prompt": "a boat"},
        "data.task_id",
        "/v1/ai/image-to-video/kling-v2/{}",
    ),
    "aimlapi": (
        "/video/generations",
        {"model": "google/veo3", "prompt": "a boat"},
        "id",
        "/video/generations?generation_id={}",
    ),
    "heygen": (
        "/v2/video/generate",
        {"video_inputs": [{"voice": {"type": "text", "input_text": "a boat"}}]},
        "data.video_id",
        "/v1/video_status.get?video_id={}",
    ),
    "runware": (
        "/v1",
        [
            {
                "taskType": "videoInference",
                "taskUUID": "6b5f1a7e-0f5e-4d5c-9a55-0d6c1f5e8a11",
                "deliveryMethod": "async",
                "model": "klingai:5@3",
                "positivePrompt": "a boat",
            }
        ],
        "data.0.taskUUID",
        "/v1",
    ),
    "openrouter": ("/videos", {"model": "google/veo-3.1", "prompt": "a boat"}, "id", "/videos/{}"),
}

# Headers that an API wants on every call.
NEEDED = {
    "pixverse": {"Ai-trace-id": "one"},
    "runway": {"X-Runway-Version": "2024-11-06"},
    "dashscope": {"X-DashScope-Async": "enable"},
}

# Looks that are a POST, with the task's id in their body.
ASKED_BY_POST: dict[str, Callable[[str], Any]] = {
    "vertex-veo": lambda task_id: {"operationName": task_id},
    "siliconflow": lambda task_id: {"requestId": task_id},
    "runware": lambda task_id: [{"taskType": "getResponse", "taskUUID": task_id}],
}


def create(call: Caller) -> str:
    """The id of a new task of the sandbox's provider."""
    path, body, where, _ = CREATES[call.sandbox.provider]
    answer: Any = call.post(path, body).json
    for key in where.split("."):
        answer = answer[int(key) if key.isdigit() else key]
    return str(answer).rpartition("/")[2]


def status(call: Caller, task_id: str) -> Answer:
    name = call.sandbox.provider
    path = CREATES[name][3].format(task_id)
    return call.post(path, ASKED_BY_POST[name](task_id)) if name in ASKED_BY_POST else call.get(path)


def finished_link(call: Caller, task_id: str | None = None) -> str:
    """A link of a finished skills.video task."""
    task_id = task_id or create(call)
    call.clock.now += 3
    return str(call.get(f"/generation/{task_id}").json["data"]["video"]["url"])


@contextmanager
def sandboxes(tmp_path: Path) -> Iterator[Start]:
    """A function that starts sandboxes on one state file and one clock; all are closed at the end."""
    clock, started = Clock(), []

    def start(provider: str, scenario: str = "ok", *, speed: float = 1.0) -> Caller:
        state_file = tmp_path / "sandbox" / "state.json"
        sandbox = Sandbox(
            provider=provider, state_file=state_file, scenario=scenario, speed=speed, clock=clock, pause=clock.pause
        )
        started.append(sandbox)
        return Caller(sandbox, clock, state_file)

    try:
        yield start
    finally:
        for sandbox in started:
            sandbox.close()


def fake_renderer(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replaces the video writer by one that takes no time; the yielded list holds the calls."""
    calls: list[dict[str, Any]] = []

    def render_video(prompt: str, **options: Any) -> Any:
        calls.append({"prompt": prompt, **options})
        mp4 = f"mp4 of {prompt!r} {sorted(options.items())} ".encode() * 50
        return types.SimpleNamespace(mp4=mp4, last_frame_png=b"png last", thumbnail_png=b"png thumb")

    module = types.ModuleType("videotasks_sandbox.mp4writer")
    module.render_video = render_video  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "videotasks_sandbox.mp4writer", module)
    return calls


def multipart_body(fields: list[tuple[str, str | tuple[str, str, bytes]]]) -> tuple[bytes, str]:
    """(body, content type) of fields and of files given as (filename, type, data)."""
    boundary = "----a-boundary-of-the-test"
    body = b""
    for name, value in fields:
        body += f"--{boundary}\r\n".encode()
        if isinstance(value, str):
            body += f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        else:
            filename, content_type, data = value
            body += f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'.encode()
            body += f"Content-Type: {content_type}\r\n\r\n".encode() + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
