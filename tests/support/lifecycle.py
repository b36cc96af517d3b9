"""A client's session in this process, with short limits and its output in memory, for tests of the lifecycle."""

from __future__ import annotations

import io
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import videotasks.network.connection  # noqa: F401  # loaded here, or the first short time-out of a test would end in an import
from support.taskserver import KEY, TaskServer
from videotasks.core import redaction
from videotasks.core.record import replace
from videotasks.core.workers import Mailbox
from videotasks.lifecycle.carry_out import carry_out
from videotasks.lifecycle.create_or_attach import Plan
from videotasks.lifecycle.session import Context, Session, Timing
from videotasks.network.origins import place_of
from videotasks.output.next_command import Asked
from videotasks.output.reporter import Reporter
from videotasks.providers import credentials
from videotasks.providers.load_profile import load_profile
from videotasks.providers.profile import Profile
from videotasks.providers.provider import Provider
from videotasks.request.build import CommonInputs, build_request
from videotasks.runs.store import Run, RunStore

# A hundredth to a tenth of the real ones; requests on loopback take a millisecond or two.
SHORT = Timing(
    create_answer_s=1.5,
    stream_silence_s=1.5,
    stream_doubt_s=0.15,
    wait_s=10.0,
    poll_interval_s=0.03,
    poll_request_s=0.3,
    interrupt_grace_s=0.5,
    last_look_s=0.3,
    abort_slack_s=0.1,
    not_found_grace_s=0.2,
    result_looks_s=(0.02, 0.03, 0.04, 0.05, 0.06),
    unsent_pause_s=0.02,
    resend_pause_s=0.02,
)


@dataclass
class Outcome:
    """What a command said and returned."""

    code: int
    lines: list[dict[str, Any]]
    stdout: bytes
    stderr: str

    @property
    def final(self) -> dict[str, Any]:
        assert sum(bool(line.get("final")) for line in self.lines) == 1, self.lines
        assert self.lines[-1].get("final"), self.lines
        return self.lines[-1]


class TimedReporter(Reporter):
    """A reporter that notes when it first said what, on the monotonic clock."""

    def __init__(self, *, verbose: bool) -> None:
        self.out, self.err = io.BytesIO(), io.StringIO()
        super().__init__(verbose=verbose, stdout=self.out, stderr=self.err)
        self.times: dict[str, float] = {}

    def event(self, name: str, **fields: Any) -> None:
        self.times.setdefault(name, time.monotonic())
        super().event(name, **fields)

    def final(self, name: str, exit_code: int, **fields: Any) -> int:
        self.times["final"] = time.monotonic()
        return super().final(name, exit_code, **fields)


@dataclass
class Client:
    """One workspace's view of one server; every `command` is a process of its own as far as state goes."""

    server: TaskServer
    root: Path
    streaming: bool = False
    limits: Timing = field(default_factory=lambda: SHORT)
    prompt: str = "a paper boat in the rain"
    download: bool = True
    mailbox: Callable[[], Mailbox] = Mailbox
    monotonic: Callable[[], float] = time.monotonic
    sessions: list[Session] = field(default_factory=list)
    create_body: dict[str, Any] | None = None  # as if somebody had edited the profile

    @property
    def profile(self) -> Profile:
        profile = load_profile(self.server.wire.provider).with_base_url(self.server.base)
        stream = {"path": profile.create.path} if self.streaming else None
        if self.streaming and profile.create.stream:
            stream = dict(profile.create.stream)
        body = profile.create.body if self.create_body is None else {**(profile.create.body or {}), **self.create_body}
        changed: Profile = replace(profile, create=replace(profile.create, stream=stream, body=body))
        return changed

    def session(self, *, verbose: bool = True) -> Session:
        redaction.remember(KEY)
        profile = self.profile
        reporter = TimedReporter(verbose=verbose)
        ctx = Context(
            store=RunStore(self.root),
            reporter=reporter,
            mailbox=self.mailbox(),
            limits=self.limits,
            monotonic=self.monotonic,
            random=random.Random(7).random,
            download=self.download,
            allow_private_results=True,  # the result's server is on loopback, too
            asked=Asked(str(self.root), place=("--base-url", profile.base_url)),
        )
        provider = Provider(profile, credentials.Key("TEST_KEY", KEY))
        made = Session(provider, ctx, place_of(profile.base_url))
        self.sessions.append(made)
        return made

    def plan(self, session: Session, take: int = 1, run_id: str | None = None) -> Plan:
        given = CommonInputs(prompt=self.prompt, model=self.server.wire.model)
        return Plan(session, build_request(session.profile, given), take, self.prompt, run_id)

    def create(self, *, wait_s: float = 60.0, take: int = 1, no_wait: bool = False, verbose: bool = True) -> Outcome:
        """create_and_wait, once."""
        session = self.session(verbose=verbose)
        code = carry_out(self.plan(session, take), wait_s=wait_s, no_wait=no_wait)
        return said(session, code)

    def runs(self) -> list[Run]:
        return list(RunStore(self.root).runs())

    @property
    def run(self) -> Run:
        (only,) = self.runs()
        return only


def said(session: Session, code: int) -> Outcome:
    """What a session has printed so far."""
    reporter: Any = session.ctx.reporter
    data = reporter.out.getvalue()
    return Outcome(code, [json.loads(line) for line in data.splitlines()], data, reporter.err.getvalue())


def key_found(root: Path, *texts: str | bytes) -> list[str]:
    """Where the canary key stands: names of files under `root`, or `text` for what was printed."""
    needle = KEY.encode()
    found = ["text" for text in texts if needle in (text.encode() if isinstance(text, str) else text)]
    found += [str(path) for path in root.rglob("*") if path.is_file() and needle in path.read_bytes()]
    return found
