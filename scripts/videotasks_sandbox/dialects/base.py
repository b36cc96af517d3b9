"""What the wire formats have in common: routes, refusals, and the terms on which a create is accepted."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from videotasks_sandbox import media, multipart, tasks
from videotasks_sandbox.httpd import Reply, Request
from videotasks_sandbox.scenarios import Scenario
from videotasks_sandbox.state import State, Store
from videotasks_sandbox.tasks import Look, Order, Task

# A name that contains one of these stands for a model that the API does not know: no list of models is stored anywhere.
_NO_SUCH_MODEL = ("no-such", "nonexistent", "unsupported", "unknown-model")


class Refused(Exception):
    """Ends a call with the given answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass(frozen=True)
class Route:
    """`pattern` matches the path behind the wire's prefix. `kind`: create, status or other."""

    method: str
    pattern: str
    handler: Callable[[Any, Call], Reply | media.Download]
    kind: str = "other"


@dataclass
class Call:
    """One request on its way through a wire, inside a transaction on the state."""

    wire: Wire
    request: Request
    state: State
    store: Store
    scenario: Scenario
    now: float
    speed: float
    # Waits so many seconds; True: the server is closing.
    pause: Callable[[float], bool]
    clock: Callable[[], float]
    match: re.Match[str] | None = None
    task_id: str = ""
    paid: bool = False
    sent: Any = field(default=None)

    @property
    def base(self) -> str:
        """The base URL of the provider as this caller spells it."""
        return f"{self.request.origin}/{self.wire.name}{self.wire.prefix}"

    def part(self, name: str) -> str:
        assert self.match is not None
        return unquote(self.match.group(name) or "")

    def query(self, name: str, default: str = "") -> str:
        return parse_qs(self.request.query, keep_blank_values=True).get(name, [default])[0]

    def queries(self, name: str) -> list[str]:
        return parse_qs(self.request.query).get(name, [])

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; refused in the wire's words otherwise."""
        try:
            body = json.loads(self.request.body.decode("utf-8"), parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise Refused(self.wire.invalid("the request body is not valid JSON")) from None
        if not isinstance(body, dict):
            raise Refused(self.wire.invalid("the request body must be a JSON object"))
        self.sent = summarise(body)
        return body

    def form(self) -> list[multipart.Part] | None:
        """The parts of a multipart body; None when the body is something else."""
        content_type = self.request.header("content-type")
        if not content_type.lower().startswith("multipart/form-data"):
            return None
        try:
            parts = multipart.parse(self.request.body, content_type)
        except ValueError as problem:
            raise Refused(self.wire.invalid(str(problem))) from None
        self.sent = {"multipart": [_summarise_part(part) for part in parts]}
        return parts

    def task(self, task_id: str) -> Task:
        """The task of this provider with that id; refused in the wire's words when there is none."""
        self.task_id = task_id
        task = self.state["tasks"].get(task_id)
        if task is None or task["provider"] != self.wire.name:
            raise Refused(self.wire.unknown_task(task_id))
        assert isinstance(task, dict)
        return task

    def look(self, task: Task) -> Look:
        return tasks.look(task, self.now)

    def link(self, task: Task, file: str, *, signed_at: float | None = None) -> str:
        moment = self.now if signed_at is None else signed_at
        return media.link(self.request.origin, task, file, moment, self.wire.link_ttl_s)

    def accept(self, order: Order, task_id: str) -> Task:
        """Makes the task, and with it the bill, unless the scenario refuses the create."""
        trouble = {"no-credits": self.wire.no_credits, "moderation": self.wire.moderated_at_create}
        refusal = trouble.get(self.scenario.name, lambda: None)()
        if refusal is None and self.scenario.name == "rate-limited" and self._first_attempt(order):
            refusal = self.wire.rate_limited()
            refusal.headers["Retry-After"] = "1"
        if refusal is not None:
            raise Refused(refusal)
        task = tasks.new_task(task_id, self.wire.name, order, self.scenario, self.now, self.speed)
        if task["request"] is None:
            task["request"] = self.sent
        self.state["tasks"][task_id] = task
        self.state["creates"] += 1
        self.task_id, self.paid = task_id, True
        return task

    def _first_attempt(self, order: Order) -> bool:
        """Every second attempt with the same content is let through."""
        content = json.dumps([self.wire.name, order.model, order.prompt, order.duration, self.sent], default=str)
        key = hashlib.sha256(content.encode()).hexdigest()[:16]
        count = self.state["attempts"].pop(key, 0)
        self.state["attempts"][key] = count + 1
        return bool(count % 2 == 0)

    def watch(self, task_id: str, silence: Callable[[], bytes], heartbeat_s: float) -> Iterator[Task | bytes]:
        """The task now and after each change of its status, with `silence()` in between; ends when the task has."""
        shown: tuple[str, bool] | None = None
        while True:
            task = self.store.read()["tasks"].get(task_id)
            if task is None:
                return
            now = self.clock()
            seen = tasks.look(task, now)
            if (seen.phase, seen.odd) != shown:
                shown = (seen.phase, seen.odd)
                yield task
                if seen.over:
                    return
            else:
                yield silence()
            change = tasks.next_change(task, self.clock())
            wait = heartbeat_s if change is None else min(heartbeat_s, max(0.0, change - self.clock()))
            if self.pause(wait):
                return


class Wire:
    """One wire format. Subclasses give routes, and the words in which their API refuses."""

    prefix = ""
    auth_scheme = "Bearer"
    link_ttl_s = 86400.0
    routes: tuple[Route, ...] = ()

    def __init__(self, name: str) -> None:
        self.name = name
        self._compiled = [(route, re.compile(route.pattern)) for route in self.routes]

    def find(self, method: str, path: str) -> tuple[Route, re.Match[str]] | None:
        for route, pattern in self._compiled:
            match = pattern.fullmatch(path)
            if match and route.method == method:
                return route, match
        return None

    def knows_path(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for _, pattern in self._compiled)

    # The refusals; each wire words them.
    def unauthorised(self) -> Reply:
        raise NotImplementedError

    def invalid(self, message: str) -> Reply:
        raise NotImplementedError

    def no_credits(self) -> Reply:
        raise NotImplementedError

    def rate_limited(self) -> Reply:
        raise NotImplementedError

    def unknown_task(self, task_id: str) -> Reply:
        raise NotImplementedError

    def no_route(self, method: str, path: str) -> Reply:
        raise NotImplementedError

    def broken(self) -> Reply:
        """A 500 of the API itself."""
        raise NotImplementedError

    def moderated_at_create(self) -> Reply | None:
        """None: this API moderates inside the task."""
        return None


def new_id(prefix: str, length: int = 24) -> str:
    return prefix + os.urandom((length + 1) // 2).hex()[:length]


def iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"


def _no_constant(name: str) -> None:
    """NaN and Infinity are Python's own additions to JSON."""
    raise ValueError(name)


def is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_unknown_model(model: str) -> bool:
    return any(word in model.lower() for word in _NO_SUCH_MODEL)


def summarise(value: Any) -> Any:
    """A JSON value for the log: inline data and long texts are cut, with their length and hash."""
    if isinstance(value, dict):
        return {key: summarise(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [summarise(inner) for inner in value]
    if isinstance(value, str) and len(value) > 2000:
        digest = hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()
        return f"{value[:60]}... ({len(value)} characters, sha256 {digest})"
    return value


def _summarise_part(part: multipart.Part) -> dict[str, Any]:
    if part.filename is None:
        return {"name": part.name, "value": summarise(part.text)}
    return {
        "name": part.name,
        "filename": part.filename,
        "content_type": part.content_type,
        "bytes": len(part.data),
        "sha256": hashlib.sha256(part.data).hexdigest(),
    }


_SHORT_SIDES = {"480p": 480, "540p": 540, "580p": 580, "720p": 720, "768p": 768, "1080p": 1080, "std": 720, "pro": 1080}


def frame_size(ratio: Any, resolution: Any) -> tuple[int, int]:
    """Width and height, both even, for `16:9` and `720p`; 16:9 and 720p when not told or not known.

    4k is rendered as 1080p: the picture is a stand-in, and its size in bytes would help nobody.
    """
    short = _SHORT_SIDES.get(str(resolution or "").lower(), 1080 if "k" in str(resolution or "").lower() else 720)
    found = re.fullmatch(r"(\d{1,3}):(\d{1,3})", str(ratio or ""))
    across, down = (int(found.group(1)), int(found.group(2))) if found else (16, 9)
    if not across or not down or max(across, down) > 4 * min(across, down):
        across, down = 16, 9
    long = short * max(across, down) / min(across, down)
    width, height = (long, short) if across >= down else (short, long)
    return round(width / 2) * 2, round(height / 2) * 2


def pixel_size(size: Any) -> tuple[int, int] | None:
    """`1280x720` or `1280*720` -> (1280, 720); None for anything else."""
    found = re.fullmatch(r"(\d{2,4})[xX*](\d{2,4})", str(size or ""))
    if not found:
        return None
    width, height = int(found.group(1)), int(found.group(2))
    return (width // 2 * 2, height // 2 * 2) if min(width, height) >= 64 and max(width, height) <= 1920 else None
