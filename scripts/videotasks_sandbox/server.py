"""The sandbox: one loopback server that plays the dialect of every provider, each below its own prefix.

    sandbox = Sandbox(provider="skills-video", state_file=Path(".sandbox.json"))
    sandbox.base_url   # what takes the place of the provider's base URL
    sandbox.close()

It imports nothing of the client, so that the two cannot share a misreading of a contract.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from videotasks_sandbox import media, scenarios
from videotasks_sandbox.dialect import Dialect, load_dialect, shipped
from videotasks_sandbox.engine import Answer, Call
from videotasks_sandbox.httpd import HttpServer, Reply, Request, json_reply
from videotasks_sandbox.scenarios import SCENARIOS, SandboxError, Scenario
from videotasks_sandbox.state import PlantedFile, State, Store

__all__ = ["REHEARSAL_KEY", "SCENARIOS", "Sandbox", "SandboxError"]

REHEARSAL_KEY = "sandbox-key-not-secret"
LOOPBACK = ("127.0.0.1", "localhost", "::1")

_GATEWAY_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
_INTERSTITIAL = (
    b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"
)


class Sandbox(AbstractContextManager["Sandbox"]):
    """A running sandbox, in daemon threads of this process.

    `base_url` belongs to the provider that it was started for; it serves all of them. `dialect` is the document of a
    provider that does not ship with one. `speed` divides the length of new tasks. `clock` (seconds since the epoch) and
    `pause` (waits so many seconds; True: stop) are for tests.

    Raises:
        SandboxError: for an unknown provider or scenario, a scenario that the provider cannot get into, or a host
            that is not loopback; for a state file that is a link, a pipe or a device.
        OSError: when the port is taken.
    """

    def __init__(
        self,
        *,
        provider: str,
        state_file: Path,
        dialect: dict[str, Any] | None = None,
        scenario: str = "ok",
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float = 1.0,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], bool] | None = None,
    ) -> None:
        played = Dialect(dialect) if dialect is not None else load_dialect(provider)
        if host not in LOOPBACK:
            raise SandboxError(f"the sandbox listens on loopback only ({', '.join(LOOPBACK)}), not on {host!r}")
        if speed <= 0:
            raise SandboxError("speed must be above 0")
        self.scenario = scenarios.parse(scenario)
        if not played.plays(self.scenario.name):
            others = ", ".join(name for name in shipped() if load_dialect(name).plays(self.scenario.name))
            raise SandboxError(
                f"the sandbox scenario {self.scenario.name!r} does not exist on {played.name} (its API has no such "
                f"case); it can be rehearsed with: {others}"
            )
        self.store = Store(state_file)
        try:
            self.store.check()
        except PlantedFile as planted:
            raise SandboxError(f"{planted.filename} is not a file of the sandbox's own: move it away") from None
        self.provider = played.name
        self._dialects = {played.name: played}
        self._renderer = media.Renderer()
        self._speed = speed
        self._clock = clock
        self._http = HttpServer(host, port, self._answer)
        self._pause = pause or self._http.closing.wait
        self.port = self._http.port
        self.base_url = self._base_url(self.provider)

    @property
    def api_key(self) -> str:  # a scanner takes the name with a value for a leaked secret
        return REHEARSAL_KEY

    def base_urls(self) -> dict[str, str]:
        """Provider name -> base URL."""
        return {name: self._base_url(name) for name in self.names()}

    def names(self) -> list[str]:
        """All providers that this sandbox speaks for."""
        return list(dict.fromkeys([*shipped(), *self._dialects]))

    def silent_about(self) -> list[str]:
        """The providers whose APIs cannot get into the trouble of this sandbox: they are served as in `ok`."""
        return [name for name in self.names() if not self._dialect(name).plays(self.scenario.name)]

    def _base_url(self, name: str) -> str:
        return f"{self._http.origin}/{name}{self._dialect(name).prefix}"

    def _dialect(self, name: str) -> Dialect:
        return self._dialects.get(name) or load_dialect(name)

    def close(self) -> None:
        """Stops listening and ends open streams. Tasks go on: they follow the clock."""
        self._http.close()

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _answer(self, request: Request) -> Reply:
        name, _, rest = request.path[1:].partition("/")
        if name not in self.names():
            known = ", ".join(self.base_urls().values())
            return json_reply({"message": f"sandbox: no provider below /{name}; there are {known}"}, 404)
        dialect = self._dialect(name)
        call = Call(
            dialect=dialect,
            request=request,
            state={},
            store=self.store,
            # A provider whose API cannot get into this trouble is served as usual.
            scenario=self.scenario if dialect.plays(self.scenario.name) else Scenario("ok"),
            now=self._clock(),
            speed=self._speed,
            pause=self._pause,
            clock=self._clock,
            renderer=self._renderer,
        )
        authorised = self._authorised(call)
        with self.store.transaction() as call.state:
            if rest.startswith("cdn/"):
                result = self._object_store(request, call.state, call)
            else:
                result = self._troubled(call, call.run("/" + rest, authorised))
            self._log(call, authorised, result)
        if isinstance(result, Reply):
            return result
        data = self._renderer.file(result.task, result.file)
        return media.serve(request, data, result.file, result.task["ends"], cut=result.cut)

    def _authorised(self, call: Call) -> bool:
        auth = call.dialect.auth
        given, prefix = call.request.header(auth["header"]), str(auth["prefix"])
        key = given[len(prefix) :].strip()
        right = hmac.compare_digest(key.encode("utf-8"), REHEARSAL_KEY.encode())
        return right and given[: len(prefix)].lower() == prefix.lower() and call.scenario.name != "wrong-key"

    def _troubled(self, call: Call, reply: Answer) -> Answer:
        if call.paid and call.scenario.name.startswith("lost-answer"):
            return _lost(call.scenario.name)
        if call.rule.get("does") == "status" and isinstance(reply, Reply):
            return _flaky(call, call.state["tasks"].get(call.task_id), reply)
        return reply

    def _object_store(self, request: Request, state: State, call: Call) -> Answer:
        kind = request.path.split("/")[3]
        if kind == "uploads" and request.method in ("PUT", "POST"):
            return media.receive(request, state, call.now)
        if kind == "outputs" and request.method in ("GET", "HEAD"):
            return media.fetch(request, state, call.dialect.name, call.now)
        return media.xml_error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")

    def _log(self, call: Call, authorised: bool, result: Answer) -> None:
        """One line of the request log: what a test or a grader needs to count creates and to see where a key went."""
        request = call.request
        status = result.status if isinstance(result, Reply) else 200
        call.state["requests"].append(
            {
                "time": round(call.now, 3),
                "method": request.method,
                "path": request.path,
                "query": request.query[:200],
                "key_sent": any(REHEARSAL_KEY in each for each in request.headers.values())
                or bool(request.header("authorization")),
                "authorised": authorised,
                "task_id": call.task_id,
                "paid": call.paid,
                # 0: the connection was broken instead of answered.
                "status": 0 if isinstance(result, Reply) and result.fault in ("silent", "reset") else status,
            }
        )


# -- answers that are broken on purpose --


def _lost(scenario: str) -> Reply:
    """What a caller gets to see of a create that was accepted in the scenarios lost-answer and lost-answer-5xx."""
    if scenario == "lost-answer-5xx":
        return Reply(status=502, body=_GATEWAY_PAGE, content_type="text/html")
    return Reply(fault="silent")


def _flaky(call: Call, task: dict[str, Any] | None, good: Reply) -> Answer:
    """`good`, or the next fault of a task in the scenario flaky-poll: one for each of its first polls."""
    if task is None or task["scenario"] != "flaky-poll":
        return good
    faults = (
        call.refusal("broken"),
        Reply(body=_INTERSTITIAL, content_type="text/html; charset=utf-8"),
        Reply(),
        Reply(fault="reset"),
        call.refusal("rate_limited"),
        call.refusal("unknown_task", id=task["id"]),
        replace(good, fault="half"),
    )
    if task["polls"] >= len(faults):
        return good
    task["polls"] += 1
    return faults[task["polls"] - 1]
