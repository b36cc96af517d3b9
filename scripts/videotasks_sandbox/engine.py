"""Plays one request against a dialect: finds the call, checks the request, keeps the task, fills the answer."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from videotasks_sandbox import bodies, media, scenarios, tasks
from videotasks_sandbox.checks import first_problem
from videotasks_sandbox.dialect import Dialect
from videotasks_sandbox.expressions import Scope, applies, fill
from videotasks_sandbox.httpd import DropConnection, Reply, Request, json_reply
from videotasks_sandbox.scenarios import Scenario
from videotasks_sandbox.state import State, Store
from videotasks_sandbox.tasks import Look, Task

# A name that contains one of these stands for a model that the API does not know: no list of models is stored anywhere.
_NO_SUCH_MODEL = ("no-such", "nonexistent", "unsupported", "unknown-model")
_SILENT_S, _HEARTBEAT_S = 600.0, 1.0

Answer = Reply | media.Download


@dataclass(eq=False)
class Refused(Exception):
    """Ends a call with the given answer."""

    reply: Answer


@dataclass
class Call:
    """One request on its way through a dialect, inside a transaction on the state."""

    dialect: Dialect
    request: Request
    state: State
    store: Store
    scenario: Scenario
    now: float
    speed: float
    # Waits so many seconds; True: the server is closing.
    pause: Callable[[float], bool]
    clock: Callable[[], float]
    renderer: media.Renderer
    rule: dict[str, Any] = field(default_factory=dict)
    path: dict[str, str] = field(default_factory=dict)
    parts: list[bodies.Part] | None = None
    task_id: str = ""
    paid: bool = False
    sent: Any = None
    parsed: Any = None

    # -- one request --

    def run(self, path: str, authorised: bool) -> Answer:
        """The answer to a request for `path`, the dialect's prefix included."""
        try:
            if not authorised:
                return self.refusal("unauthorised")
            return self._play(path)
        except Refused as refused:
            return refused.reply

    def _play(self, path: str) -> Answer:
        method = "GET" if self.request.method == "HEAD" else self.request.method
        behind = next((path[len(each) :] for each in self.dialect.prefixes if path.startswith(each + "/")), None)
        found = self.dialect.find(method, behind) if behind is not None else []
        for self.rule, values in found:
            self.path = {name: unquote(value) for name, value in values.items()}
            scope = self._request_scope()
            if applies(self.rule.get("when"), scope):
                break
        else:
            return self.refusal("no_route", method=self.request.method, url_path=path)
        self._check(self.dialect.document.get("always") or [], scope)
        does: str = self.rule.get("does", "answer")
        plays: Callable[[Scope], Answer] = getattr(self, f"_{does}")
        return plays(scope)

    def _answer(self, scope: Scope) -> Answer:
        self._check(self.rule.get("checks") or [], scope)
        return self._reply(self.rule.get("answer"), scope)

    def _create(self, scope: Scope) -> Answer:
        """A create: refused, or a new task and with it the bill."""
        if self.scenario.only and self.scenario.only not in str(fill(self.rule["makes"].get("prompt"), scope)):
            self.scenario = Scenario("ok")
        stream = self.rule.get("stream")
        if stream and self.scenario.name == "stream-refused":
            return self._reply(stream["refused"], scope)
        if self.rule.get("task"):  # a remix: what is made from another task
            scope = scope.more(source=self._task_scope(self._find_task(scope)))
        self._check(self.rule.get("checks") or [], scope)
        repeated = fill(self.rule.get("repeats"), scope)
        made = next((t for t in self._own_tasks() if repeated and t["repeats"] == repeated), None)
        if made is not None:
            self.task_id = made["id"]
            return self._reply(self.rule["answer"], self._task_scope(made))
        self._refuse_by_scenario()
        task = self._new_task({key: fill(value, scope) for key, value in self.rule["makes"].items()}, repeated)
        if stream and self.scenario.name != "json-instead-of-stream":
            return self._stream(task, stream)
        return self._reply(self.rule["answer"], self._task_scope(task))

    def _status(self, scope: Scope) -> Answer:
        """A look at a task, or something done to it: `acts` says what, by its phase."""
        task = self._find_task(scope)
        before = self._task_scope(task)
        self._check(self.rule.get("checks") or [], before)
        act = (self.rule.get("acts") or {}).get(before.get("phase"))
        if act == "cancel":
            task["cancelled"] = self.now
        after = self._task_scope(task)
        if act == "forget":
            del self.state["tasks"][task["id"]]
        stream = self.rule.get("stream")
        if stream and task["scenario"] == "stream-refused":
            return self._reply(stream["refused"], after)
        if stream and task["scenario"] != "json-instead-of-stream":
            return self._stream(task, stream)
        # What is answered may go by how the task was before: a cancel is refused to one that has ended.
        answers = self.rule.get("answers")
        answer = answers.get(before.get("phase"), answers.get("else")) if answers else self.rule.get("answer")
        return self._reply(answer, after)

    _act = _show = _status  # the same, but no poll: flaky-poll leaves them alone

    def _list(self, scope: Scope) -> Answer:
        self._check(self.rule.get("checks") or [], scope)
        wanted = self.rule["list"]
        scopes = [self._task_scope(task) for task in self._own_tasks()]
        scopes.sort(
            key=lambda each: each.get("created_s"), reverse=not applies(wanted.get("oldest_first", "''"), scope)
        )
        kept = [each for each in scopes if applies(wanted.get("where"), each)]
        size, ids = int(fill(wanted.get("size", 100), scope)), [each.get("id") for each in kept]
        after, offset = fill(wanted.get("after"), scope), fill(wanted.get("offset", 0), scope)
        start = (
            ids.index(after) + 1 if after in ids else (int(fill(wanted.get("page", 1), scope)) - 1) * size + int(offset)
        )
        page = kept[start : start + size]
        more = start + size < len(kept)
        items = [fill(wanted["item"], each) for each in page]
        first, last = (page[0].get("id"), page[-1].get("id")) if page else (None, None)
        listed = {"items": items, "total": len(kept), "more": more, "next": start + size if more else None}
        return self._reply(self.rule["answer"], scope.more(**listed, first_id=first, last_id=last))

    def _upload(self, scope: Scope) -> Answer:
        """A place for a file (`by` PUT or POST at a link of its own), or the file itself (`by` part or body)."""
        self._check(self.rule.get("checks") or [], scope)
        wanted = self.rule["upload"]
        key, kind, by = (str(fill(wanted.get(name, ""), scope)) for name in ("key", "type", "by"))
        if by == "part":
            self._body()  # which reads the parts
        data = next((part.data for part in self.parts or [] if part.name == wanted.get("part")), None)
        data = self.request.body if by == "body" else data
        if by in ("part", "body") and not data:
            raise Refused(self.refusal("invalid", message="the file is missing", param=wanted.get("part")))
        entry = {"type": kind, "by": by, "received": data is not None, "asked": self.now}
        if data is not None:
            entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        self.state["uploads"][key] = entry
        link = media.upload_link(self.request.origin, self.dialect.name, key, kind, self.now)
        return self._reply(self.rule["answer"], scope.more(upload_key=key, upload_url=link))

    # -- tasks --

    def _own_tasks(self) -> list[Task]:
        return [
            t for t in self.state["tasks"].values() if t["provider"] == self.dialect.name and not self._forgotten(t)
        ]

    def _find_task(self, scope: Scope) -> Task:
        self.task_id = str(fill(self.rule.get("task", "$path.id"), scope) or "")
        by = self.rule.get("by")  # a kept value instead, such as the id of a file
        task = next((t for t in self._own_tasks() if self.task_id == (t["kept"].get(by) if by else t["id"])), None)
        if task is None:
            raise Refused(self.refusal("unknown_task", id=self.task_id))
        self.task_id = task["id"]
        return task

    def _forgotten(self, task: Task) -> bool:
        limits = self.dialect.document.get("forgets") or {}
        if task["cancelled"] is not None and "cancelled_s" in limits:
            return bool(self.now > task["cancelled"] + limits["cancelled_s"])
        return bool(self.now > task["created"] + limits.get("after_s", float("inf")))

    def _refuse_by_scenario(self) -> None:
        name = {"no-credits": "no_credits", "moderation": "moderated"}.get(self.scenario.name, "")
        if self.scenario.name == "rate-limited" and self._first_attempt():
            name = "rate_limited"
        if self.scenario.name == "busy" and self._running() >= self.scenario.most:
            name = "rate_limited"
        if name in self.dialect.refusals:
            raise Refused(self.refusal(name, reason=scenarios.reason(self.scenario.name)))

    def _running(self) -> int:
        return sum(not tasks.look(task, self.now).over for task in self._own_tasks())

    def _first_attempt(self) -> bool:
        """Every second attempt with the same content is let through."""
        content = json.dumps([self.dialect.name, self.request.path, self.sent], default=str)
        key = hashlib.sha256(content.encode()).hexdigest()[:16]
        count = self.state["attempts"].pop(key, 0)
        self.state["attempts"][key] = count + 1
        return bool(count % 2 == 0)

    def _new_task(self, made: dict[str, Any], repeated: Any) -> Task:
        asked = made.get("size"), made.get("ratio"), made.get("resolution")
        width, height = tasks.pixel_size(asked[0]) or tasks.frame_size(asked[1] or asked[0], asked[2])
        outputs = made.get("outputs")
        task = {
            "id": str(made["id"]),
            "provider": self.dialect.name,
            "model": str(made.get("model") or ""),
            "prompt": made["prompt"] if isinstance(made.get("prompt"), str) else "",
            "duration": made["frames"] / 24 if made.get("frames") else tasks.seconds(made.get("seconds")),
            "width": width,
            "height": height,
            "outputs": outputs if type(outputs) is int and 1 <= outputs <= 4 else 1,
            "request": self.sent,
            "repeats": repeated,
            "kept": made.get("keeps") or {},
            **tasks.lifetime(self.scenario, self.now, self.speed),
        }
        if made.get("fails") and task["ends"] is not None:
            task["outcome"] = "failed"
        self.state["tasks"][task["id"]] = task
        self.state["creates"] += 1
        self.task_id, self.paid = task["id"], True
        return task

    def _stream(self, task: Task, stream: dict[str, Any]) -> Reply:
        headers = {"Cache-Control": "no-cache"}
        return Reply(content_type="text/event-stream", headers=headers, events=self._events(task["id"], stream))

    def _events(self, task_id: str, stream: dict[str, Any]) -> Iterator[bytes]:
        """The task now and after each change of its status, as events; comments in between; ends when the task has."""
        shown: tuple[str, bool] | None = None
        while True:
            task = self.store.read()["tasks"].get(task_id)
            if task is None:
                return
            self.now = self.clock()
            seen = tasks.look(task, self.now)
            if (seen.phase, seen.odd) == shown:
                yield str(stream["silence"]).encode() + b"\n\n"
            else:
                first, shown = shown is None, (seen.phase, seen.odd)
                template = stream.get("first") if first and not seen.over else None
                event = json.dumps(fill(template or stream["event"], self._task_scope(task)), ensure_ascii=False)
                line = f"data: {event}\n\n".encode("utf-8", "replace")
                if not first and task["scenario"] in ("stream-drop", "flaky-poll"):
                    # flaky-poll too: without the cut nobody with a stream would poll.
                    yield line[: len(line) // 2]
                    raise DropConnection
                yield line
                if task["scenario"] == "stream-mute" and self.pause(_SILENT_S) is not None:
                    return
                if seen.over:
                    return
            change = tasks.next_change(task, self.clock())
            wait = _HEARTBEAT_S if change is None else min(_HEARTBEAT_S, max(0.0, change - self.clock()))
            if self.pause(wait):
                return

    # -- answers --

    def refusal(self, name: str, **values: Any) -> Answer:
        """One of the dialect's refusals; `values` are put in."""
        known = {"message": name.replace("_", " "), "param": None, "code": None, **values}
        reply = self._reply(self.dialect.refusals[name], self._request_scope(parse=False).more(**known))
        if name == "rate_limited" and isinstance(reply, Reply):
            reply.headers["Retry-After"] = "1"
        return reply

    def _check(self, checks: list[dict[str, Any]], scope: Scope) -> None:
        problem = first_problem(checks, self.dialect.document.get("says") or {}, scope)
        if problem is not None:
            raise Refused(self.refusal(problem.pop("refuse"), **problem))

    def _reply(self, template: Any, scope: Scope) -> Answer:
        """`template` filled: {http, body, headers, type}, or a body for HTTP 200; {$file: name} is a download."""
        filled = fill(template, scope)
        whole = filled if isinstance(filled, dict) and "http" in filled else {"http": 200, "body": filled}
        body = whole.get("body")
        if isinstance(body, dict) and "$file" in body:
            task = self.state["tasks"][self.task_id]
            return media.Download(task, body["$file"], cut=media.count_fetch(task, body["$file"], self.request))
        reply = json_reply(body, whole["http"]) if "body" in whole else Reply(status=whole["http"])
        reply.headers.update({name: str(value) for name, value in (whole.get("headers") or {}).items()})
        reply.content_type = whole.get("type", reply.content_type)
        if isinstance(body, str) and reply.content_type != "application/json":
            reply.body = body.encode()
        return reply

    # -- names --

    def _request_scope(self, *, parse: bool = True) -> Scope:
        """What can be named of a request. `parse` False: whatever the body is, it is not looked at."""
        query = parse_qs(self.request.query, keep_blank_values=True)
        known = {
            "provider": self.dialect.name, "method": self.request.method, "url_path": self.request.path,
            "path": self.path, "query": {name: values[0] for name, values in query.items()}, "queries": query,
            "headers": self.request.headers, "origin": self.request.origin, "creates": self.state.get("creates", 0),
            "base": f"{self.request.origin}/{self.dialect.name}{self.dialect.prefix}",
            "data": self.dialect.document.get("data") or {}, "scenario": self.scenario.name,
            "left": 0 if self.scenario.name == "no-credits" else max(0, 1000 - 10 * self.state.get("creates", 0)),
            "used": min(1000, 10 * self.state.get("creates", 0)),
            "uuid": str(uuid.uuid4()), "date": media.stamp(self.now, "%Y%m%d%H%M%S"), **_moments(now=self.now),
        }  # fmt: skip
        for length in (5, 12, 16, 20, 24, 26, 32):
            known[f"hex{length}"] = os.urandom(length).hex()[:length]
        for length in (12, 15):
            number = int.from_bytes(os.urandom(8), "big") % 10 ** (length - 1)
            known[f"digits{length}"] = f"1{number:0{length - 1}}"
        lazy: dict[str, Callable[[], Any]] = {
            "body": self._body,
            "fields": lambda: bodies.summarise(scope.get("body")),
            "model": lambda: fill((self.rule.get("makes") or {}).get("model"), scope),
        }
        scope = Scope(known if parse else {**known, "body": None}, lazy, self.dialect.shapes)
        self._add(scope)
        return scope

    def _task_scope(self, task: Task) -> Scope:
        """What can be named of a task as well."""
        seen, sent = tasks.look(task, self.now), task["scenario"]
        scope = self._request_scope()
        length = task["duration"]
        scope.known |= {
            **task["kept"],
            **{name: task[name] for name in ("id", "model", "prompt", "width", "height", "outputs")},
            **_moments(created=task["created"], started=seen.started, ended=seen.ended),
            **_moments(updated=seen.ended or seen.started or task["created"]),
            "created_s": task["created"], "seconds": int(length) if length == int(length) else length,
            "phase": seen.phase, "progress": seen.progress, "fraction": seen.progress / 100, "odd": seen.odd,
            "over": seen.over, "scenario": sent, "reason": scenarios.reason(sent),
            "moderated": sent == "moderation", "bare": sent == "no-result",
            "expires": int(seen.ended + self.dialect.expires_s) if seen.ended else None,
            "ran": round(seen.ended - task["starts"], 3) if seen.ended and seen.started else None,
        }  # fmt: skip
        files = media.VIDEO_NAMES[: task["outputs"]]
        scope.lazy |= {
            "status": lambda: self._word(seen, "words"),
            "video": lambda: self._link(task, seen, "video.mp4"),
            "last_frame": lambda: self._link(task, seen, "last_frame.png"),
            "thumbnail": lambda: self._link(task, seen, "thumbnail.png"),
            "files": lambda: [
                {"name": name, "url": self._link(task, seen, name), "width": task["width"], "height": task["height"]}
                for name in files if scope.get("video")
            ],
        }  # fmt: skip
        scope.functions |= {
            "word": lambda name: self._word(seen, name),
            "stored": lambda name: base64.b64encode(self.renderer.file(task, name)).decode(),
        }
        return scope

    def _add(self, scope: Scope) -> None:
        for name, expression in (self.dialect.document.get("lets") or {}).items():
            scope.lazy[name] = partial(fill, expression, scope)
        scope.functions = {
            "find": lambda rows, name, value: next((row for row in rows or [] if row.get(name) == value), None),
            "matches": lambda text, pattern: isinstance(text, str) and re.search(pattern, text) is not None,
            "no_such": lambda model: any(word in str(model).lower() for word in _NO_SUCH_MODEL),
            "known": lambda task_id: task_id in self.state["tasks"],
            "uploaded": lambda key: bool(self.state["uploads"].get(str(key), {}).get("received")),
            "data_uri": bodies.data_uri,
            "clock": lambda moment, hours: iso(moment + 3600 * hours).replace("T", " ")[:-1],
            "last": lambda path: str(path).rpartition("/")[2],
            "head": lambda path, count: "/".join(str(path).split("/")[:count]),
            "quoted": lambda text: quote(str(text), safe=""),
        }

    def _word(self, seen: Look, name: str) -> Any:
        """The word for the present phase, by a vocabulary of the dialect."""
        document = self.dialect.document
        words = (document.get("vocabularies") or {}).get(name) or document.get("words") or {}
        return words.get("odd", scenarios.UNKNOWN_WORD) if seen.odd else words.get(seen.phase)

    def _link(self, task: Task, seen: Look, file: str) -> str | None:
        """A link to an output; null when there is none (any more)."""
        if seen.phase != "succeeded" or seen.ended is None or task["scenario"] == "no-result":
            return None
        fixed = self.dialect.links.get("renewed") is False
        if fixed and self.now >= seen.ended + self.dialect.link_ttl_s:
            return None
        moment = seen.ended if fixed else self.now
        return media.link(self.request.origin, task, file, moment, self.dialect.link_ttl_s)

    # -- bodies --

    def _body(self) -> Any:
        """The request's body as a JSON value, without members that are null; refused in the API's words otherwise."""
        if self.parsed is None:
            try:
                self.parsed = self._parse()
            except bodies.BadBody as problem:
                raise Refused(self.refusal("invalid", message=problem.message, param=problem.field)) from None
        return self.parsed

    def _parse(self) -> Any:
        form = self.request.header("content-type").lower().startswith("multipart/form-data")
        kind = self.rule.get("body")
        if form:
            self.parts = bodies.read_parts(self.request.body, self.request.header("content-type"))
            self.sent = {"multipart": [bodies.summarise_part(part) for part in self.parts]}
            return bodies.form_fields(self.parts, self.rule.get("form") or {})
        optional = self.request.method in ("GET", "HEAD", "DELETE") or (kind == "optional" and not self.request.body)
        if optional or kind == "raw":
            return {}
        body = bodies.read_json(self.request.body, array=kind == "array")
        self.sent = bodies.summarise(body)
        return bodies.without_nulls(body)


def _moments(**named: float | None) -> dict[str, Any]:
    """Each moment as whole seconds (`created`), milliseconds and ISO text; None stays None."""
    found: dict[str, Any] = {}
    for name, moment in named.items():
        found[name] = None if moment is None else int(moment)
        found[f"{name}_ms"] = None if moment is None else int(moment * 1000)
        found[f"{name}_iso"] = None if moment is None else iso(moment)
    return found


def iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"
