"""One provider's API for one task on a FaultServer: honest, except where a script of faults says otherwise.

    server = TaskServer(WIRES["ark"], creates=[taken(reset_after_request())], polls=[html(200)])
    with server, session(server, tmp_path) as client: ...

A fault is for one request, in order; when they are used up every answer is honest. The server remembers which creates
it took (`created`), for how many it gave a whole answer with the id (`told`), and where an Authorization header went.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from support import faults
from support.faults import json_answer, sse
from support.faultserver import Action, FaultServer, Request
from support.fileserver import mp4

KEY = "sk-CANARY-7f3a"
VIDEO = mp4(6_000)


@dataclass(frozen=True)
class Wire:
    """The bodies of one provider (contracts A to D): of a create's answer, and of a task in a phase."""

    provider: str
    prefix: str
    model: str
    created: Callable[[str], Any]
    task: Callable[[str, str, str | None], Any]  # task id, phase, video link
    refusal: Callable[[str], Any]
    phases: Sequence[str] = ("queued", "running", "succeeded", "failed", "cancelled")


def _skills_video(task_id: str, phase: str, url: str | None) -> Any:
    words = {"queued": "IN_QUEUE", "running": "IN_PROGRESS", "succeeded": "COMPLETED", "failed": "FAILED"}
    body: dict[str, Any] = {"id": task_id, "status": words.get(phase, phase.upper()), "created_at": 1_790_000_000}
    if url:
        body["data"] = {"video": {"url": url}}
    if phase == "failed":
        body["error"] = "the model produced no frames"
    return body


def _creatok(task_id: str, phase: str, url: str | None) -> Any:
    data: dict[str, Any] = {"task_id": task_id, "status": phase, "result": {"video_url": url} if url else None}
    if phase == "failed":
        data["error"] = {"message": "the model produced no frames"}
    return {"code": 0, "msg": "ok", "data": data}


def _octopusx(task_id: str, phase: str, url: str | None) -> Any:
    words = {"queued": "SUBMITTED", "running": "IN_PROGRESS", "succeeded": "SUCCESS", "failed": "FAILURE"}
    data: dict[str, Any] = {"task_id": task_id, "status": words.get(phase, phase), "progress": "50%"}
    if url:
        data["result_url"] = url
    if phase == "failed":
        data["fail_reason"] = "the model produced no frames"
    return {"code": "success", "message": "", "data": data}


def _ark(task_id: str, phase: str, url: str | None) -> Any:
    body: dict[str, Any] = {"id": task_id, "model": "doubao-seedance-1-5-pro-251215", "status": phase, "error": None}
    if url:
        body["content"] = {"video_url": url}
    if phase == "failed":
        body["error"] = {"code": "InternalServiceError", "message": "the model produced no frames"}
    return body


WIRES: Mapping[str, Wire] = {
    wire.provider: wire
    for wire in (
        Wire(
            "skills-video",
            "/api/v1",
            "openai/sora-2",
            lambda task_id: _skills_video(task_id, "queued", None),
            _skills_video,
            lambda message: {"message": message},
        ),
        Wire(
            "creatok",
            "",
            "doubao-seedance-2",
            lambda task_id: {"code": 0, "msg": "ok", "data": {"task_id": task_id}},
            _creatok,
            lambda message: {"code": 40001, "msg": message, "data": None},
        ),
        Wire(
            "octopusx",
            "",
            "sora-2",
            lambda task_id: {"task_id": task_id, "status": "queued"},
            _octopusx,
            lambda message: {"error": {"message": message, "type": "new_api_error"}},
        ),
        Wire(
            "ark",
            "/api/v3",
            "doubao-seedance-1-5-pro-251215",
            lambda task_id: {"id": task_id},
            _ark,
            lambda message: {"error": {"code": "SomethingElse", "message": message}},
        ),
    )
}


@dataclass(frozen=True)
class CreateFault:
    """What happens to one create: the action for a task id, whether a task came to be, whether its id was told."""

    name: str
    action: Callable[[Wire, str], Action]
    creates: bool = True
    told: bool = False
    connection: bool = False  # it strikes before a request could be read


def taken(action: Action) -> CreateFault:
    """The server takes the create and its answer is `action`, which tells no id."""
    return CreateFault(action.name, lambda wire, task_id: action)


def refused(action: Action) -> CreateFault:
    return CreateFault(action.name, lambda wire, task_id: action, creates=False)


def told(name: str, make: Callable[[Wire, str], Action]) -> CreateFault:
    """The server takes the create and tells its id in a whole, if odd, answer."""
    return CreateFault(name, make, told=True)


@dataclass(frozen=True)
class Sighting:
    """An Authorization header, or any other place in which the key came."""

    where: str
    line: str


class TaskServer(FaultServer):
    """See the module's text. `outcome`: succeeded, failed, cancelled, no_result, never; after `polls_needed` looks."""

    def __init__(
        self,
        wire: Wire,
        *,
        creates: Sequence[CreateFault] = (),
        polls: Sequence[Action] = (),
        downloads: Sequence[Action] = (),
        outcome: str = "succeeded",
        polls_needed: int = 1,
        link_origin: str | None = None,
        stream: Callable[[TaskServer, str], Action] | None = None,
        stream_tells: bool = True,
        task_id: str = "task-7f31",
    ) -> None:
        super().__init__(self._choose)
        self.wire = wire
        self.outcome = outcome
        self.polls_needed = polls_needed
        self.base = self.base_url + wire.prefix
        self.link_origin = link_origin or self.base_url
        self.stream = stream
        self.stream_tells = stream_tells
        self.task_id = task_id
        self.created: list[str] = []
        self.told: list[str] = []
        self.refused_creates = 0
        self.looks = 0
        self.sightings: list[Sighting] = []
        self.creates = list(creates)
        self.polls = list(polls)
        self.downloads = list(downloads)
        self._guard = threading.Lock()

    # -- what tests ask ------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The link of the result: it looks signed."""
        return f"{self.link_origin}/files/{self.task_id}.mp4?X-Signature=abc"

    @property
    def paid(self) -> int:
        """Creates that a provider would charge for."""
        return len(self.created)

    def body(self, phase: str, task_id: str | None = None) -> Any:
        has_link = phase == "succeeded" and self.outcome != "no_result"
        return self.wire.task(task_id or self.task_id, phase, self.url if has_link else None)

    def now(self, task_id: str | None = None) -> Any:
        """The task as one look shows it."""
        if self.outcome == "never" or self.looks < self.polls_needed:
            return self.body("running", task_id)
        return self.body("succeeded" if self.outcome == "no_result" else self.outcome, task_id)

    def final(self) -> Any:
        self.looks = self.polls_needed  # from now on every look shows the end, too
        return self.body("succeeded" if self.outcome == "no_result" else self.outcome)

    def heal(self) -> None:
        """From now on every answer is honest, and what was held is let go."""
        with self._guard:
            self.creates, self.polls, self.downloads, self.stream = [], [], [], None
        self.release()

    # -- inside --------------------------------------------------------------------------------------------------

    def _at_once(self, exchange: Any, stage: str) -> bool:
        with self._guard:
            if not self.creates or not self.creates[0].connection:
                return False
            action = self.creates[0].action(self.wire, self.task_id)
            if action.stage != stage:
                return False
            self.creates.pop(0)
        action.run(exchange)
        return True

    def _choose(self, request: Request) -> Action:
        self._watch(request)
        if request.target.startswith("/files/"):
            return self.downloads.pop(0) if self.downloads else _file(request)
        if request.target.endswith("/content"):  # the authenticated endpoint of a result without a link
            if not request.header("authorization").endswith(KEY):
                return faults.answer(401)
            return _file(request) if self.outcome == "succeeded" else faults.answer(404)
        with self._guard:
            if request.method == "POST":
                return self._create(request)
            self.looks += 1
            if self.polls:
                return self.polls.pop(0)
            if "req-17" in request.target:  # the id of a request, not of a task
                return json_answer(self.wire.refusal("no such task"), 404)
            asked = next((told for told in reversed(self.told) if told in request.target), None)
            return json_answer(self.now(asked))

    def _create(self, request: Request) -> Action:
        fault = self.creates.pop(0) if self.creates else None
        if fault is not None and not fault.creates:
            self.refused_creates += 1
            return fault.action(self.wire, self.task_id)
        if fault is None or fault.action(self.wire, self.task_id).stage == "body":
            request.read()
        self.created.append(request.target)
        if fault is not None:
            if fault.told:
                self.told.append(self.task_id)
            return fault.action(self.wire, self.task_id)
        if self.stream is not None and "event-stream" in request.header("accept"):
            if self.stream_tells:
                self.told.append(self.task_id)
            return self.stream(self, self.task_id)
        self.told.append(self.task_id)
        return json_answer(self.wire.created(self.task_id))

    def _watch(self, request: Request) -> None:
        api = not request.target.startswith("/files/")
        self.sightings += sightings(request, right_place=api)

    @property
    def leaks(self) -> list[Sighting]:
        return [one for one in self.sightings if one.where != "authorization"]


class FileHost(FaultServer):
    """Another origin that holds results: whoever sends it a key is leaking one."""

    def __init__(self, downloads: Sequence[Action] = ()) -> None:
        super().__init__(self._choose)
        self.downloads = list(downloads)
        self.leaks: list[Sighting] = []

    def _choose(self, request: Request) -> Action:
        self.leaks += sightings(request, right_place=False)
        return self.downloads.pop(0) if self.downloads else _file(request)


def sightings(request: Request, *, right_place: bool) -> list[Sighting]:
    """Where the key stands in a request: `authorization` is the one right place."""
    found = []
    for name, value in request.headers:
        if KEY in value:
            right = right_place and name.lower() == "authorization"
            found.append(Sighting("authorization" if right else f"header {name}", request.target))
    if KEY in request.target:
        found.append(Sighting("target", request.target))
    if right_place and request.method == "POST" and KEY.encode() in request.body:
        found.append(Sighting("body", request.target))
    return found


def _file(request: Request) -> Action:
    """The result, whole or from where a Range says."""
    etag = {"ETag": '"v1"', "Content-Type": "video/mp4", "Accept-Ranges": "bytes"}
    wanted = request.header("range")
    if wanted.startswith("bytes=") and request.header("if-range") in ("", '"v1"'):
        start = int(wanted[6:].split("-")[0])
        if start < len(VIDEO):
            span = f"bytes {start}-{len(VIDEO) - 1}/{len(VIDEO)}"
            return faults.answer(206, VIDEO[start:], {**etag, "Content-Range": span})
    return faults.answer(200, VIDEO, etag)


def event(body: Any, name: str = "") -> str:
    """One event of a stream."""
    data = body if isinstance(body, str) else json.dumps(body)
    return (f"event: {name}\n" if name else "") + f"data: {data}\n\n"


def whole_stream(server: TaskServer, task_id: str) -> Action:
    """queued, running, the end; then the stream closes as it should."""
    return sse(event(server.body("queued")), 0.01, event(server.body("running")), 0.01, event(server.final()))
