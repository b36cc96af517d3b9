"""The fault campaign: seeded runs of a whole command against a provider that breaks, judged by what the server knows.

`draw(random)` makes a scenario, `play(scenario, folder)` runs the command, then the same command again with all faults
gone, and returns what was wrong. Times are compressed (support.lifecycle.SHORT); nothing else is simulated.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support import faults
from support.faults import HOLD, RESET, answer, html, json_answer, retry_after, sse
from support.faultserver import Action
from support.lifecycle import SHORT, Client, Outcome, key_found, said
from support.taskserver import (
    KEY,
    VIDEO,
    WIRES,
    CreateFault,
    FileHost,
    TaskServer,
    Wire,
    event,
    taken,
    told,
    whole_stream,
)
from videotasks.core.task import Phase
from videotasks.lifecycle.carry_out import carry_out
from videotasks.runs.store import Run

NO_LOCKS = "no-locks"
DEADLINE_S = 6.0
SHORT_DEADLINE_S = 0.8  # for tasks that never end
SLACK_S = 1.5  # of a busy two-core machine, beside the last look


def _whole(wire: Wire, task_id: str) -> bytes:
    return json.dumps(wire.created(task_id)).encode()


def _refusal_with_id(wire: Wire) -> Action:
    """A refusal whose id belongs to no task: a look at it is answered with 404."""
    body = wire.refusal("the prompt is too long")
    return json_answer({**body, "id": "req-17", "task_id": "req-17", "request_id": "req-17"}, 422)


# -- the fault points of a create (facts, reliability section 3) ----------------------------------------------------

UNSENT = [CreateFault("reset on connect", lambda w, t: faults.reset_on_connect(), creates=False, connection=True)]
UNREAD = [
    CreateFault("reset unread", lambda w, t: faults.reset_unread(), creates=False, connection=True),
    CreateFault("close unread", lambda w, t: faults.close_unread(), creates=False, connection=True),
]
AMBIGUOUS: list[CreateFault] = [
    taken(faults.reset_after_headers()),
    taken(faults.reset_after_request()),
    taken(faults.reset_mid_headers()),
    taken(faults.close_without_answer()),
    taken(faults.half_status_line()),
    taken(faults.garbage()),
    taken(faults.continue_then_close()),
    taken(faults.raw(b"HTTP/1.1 103 Early Hints\r\n\r\n", name="103, then close")),
    taken(faults.silence()),
    taken(faults.silence_after_headers()),
    CreateFault("reset in the body", lambda w, t: faults.reset_mid_body(_whole(w, t), 8)),
    CreateFault("cut within its length", lambda w, t: faults.cut_length(_whole(w, t), 8)),
    CreateFault("cut in a chunk", lambda w, t: faults.cut_chunk(_whole(w, t), 8)),
    CreateFault("cut between chunks", lambda w, t: faults.cut_between_chunks(_whole(w, t), 8)),
    CreateFault("half a close-delimited body", lambda w, t: faults.cut_close_delimited(_whole(w, t), 8)),
    CreateFault("a length that is too short", lambda w, t: faults.lie_about_length(_whole(w, t), 8)),
    CreateFault("bad chunk size", lambda w, t: faults.bad_chunk_size(_whole(w, t))),
    taken(html(200)),
    taken(faults.empty(200)),
    taken(json_answer({"ok": True})),
    taken(json_answer([1, 2, 3])),
    *(taken(html(status)) for status in (500, 502, 503, 504, 520)),
    *(taken(faults.redirect("http://127.0.0.1:9/elsewhere", status)) for status in (302, 303)),
    taken(answer(408)),
    taken(answer(409)),
    taken(answer(425)),
    taken(retry_after(1, 503)),
]
TOLD: list[CreateFault] = [
    told("every byte its own chunk", lambda w, t: faults.split_utf8(_whole(w, t).decode())),
    told("in drops", lambda w, t: faults.trickle(_whole(w, t), 0.002)),
    told("late", lambda w, t: faults.late(0.3, json_answer(w.created(t)))),
    told("close-delimited", lambda w, t: answer(200, _whole(w, t), framing="close")),
    told("102 and 103 first", lambda w, t: faults.interim(json_answer(w.created(t)), 102, 103)),
    told("103, later the answer", lambda w, t: faults.interim(faults.late(0.1, json_answer(w.created(t))), 103)),
    told("a length that is too long", lambda w, t: faults.lie_about_length(_whole(w, t), 800)),
    told("a refusal that shows a task", lambda w, t: json_answer(w.task(t, "queued", None), 400)),
    told("gzip that nobody named", lambda w, t: answer(200, gzip.compress(_whole(w, t)))),
    told("gzip that is none", lambda w, t: answer(200, _whole(w, t), {"Content-Encoding": "gzip"})),
    told("called a stream", lambda w, t: answer(200, _whole(w, t), {"Content-Type": "text/event-stream"})),
    told("201", lambda w, t: json_answer(w.created(t), 201)),
    told("byte order mark", lambda w, t: answer(200, b"\xef\xbb\xbf" + _whole(w, t))),
]
REFUSED: list[CreateFault] = [
    CreateFault("429 then", lambda w, t: retry_after("0.05", 429, w.refusal("slow down")), creates=False),
    CreateFault("422", lambda w, t: json_answer(w.refusal("the prompt is too long"), 422), creates=False),
    CreateFault("401 echo", lambda w, t: json_answer(w.refusal(f"no such key: Bearer {KEY}"), 401), creates=False),
    CreateFault("a refusal with a request's id", lambda w, t: _refusal_with_id(w), creates=False),
    CreateFault("307", lambda w, t: faults.redirect("http://127.0.0.1:9/elsewhere", 307), creates=False),
]

# -- faults of an event stream that tells the id, or does not ---------------------------------------------------------

Streams = dict[str, tuple[Callable[[TaskServer, str], Action], bool]]  # action, whether the id is told


def _opened(server: TaskServer) -> str:
    return event(server.body("queued"))


STREAMS: Streams = {
    "whole": (whole_stream, True),
    "cut after the id": (lambda s, t: sse(_opened(s)), True),
    "reset after the id": (lambda s, t: sse(_opened(s), RESET), True),
    "cut in the end": (lambda s, t: sse(_opened(s), event(s.final())[:-9]), True),
    "end without its blank line": (lambda s, t: sse(_opened(s), event(s.final())[:-1]), True),
    "mute after the id": (lambda s, t: sse(_opened(s), HOLD), True),
    "heartbeats": (lambda s, t: sse(_opened(s), *([": ping\n\n", 0.05] * 100)), True),
    "names that lie": (
        lambda s, t: sse(_opened(s), event(s.body("running"), "succeeded"), event("[DONE]", "done")),
        True,
    ),
    "somebody else's end": (
        lambda s, t: sse(_opened(s), event(s.wire.task("task-other", "succeeded", s.url)), HOLD),
        True,
    ),
    "an end without a result": (lambda s, t: sse(_opened(s), event(s.wire.task(t, "succeeded", None))), True),
    "split into bytes": (lambda s, t: sse(*(bytes([b]) for b in _opened(s).encode()), framing="chunked"), True),
    "plain JSON instead": (lambda s, t: json_answer(s.wire.created(t)), True),
    "cut before the id": (lambda s, t: sse(_opened(s)[:14]), False),
    "no id": (lambda s, t: sse(event("", "ready"), event("[DONE]")), False),
    "mute from the start": (lambda s, t: sse(HOLD), False),
    "error event before an id": (lambda s, t: sse(event(s.wire.refusal("upstream broke"), "error")), False),
}

# -- faults of a look: all must be survived ---------------------------------------------------------------------------

POLLS: list[Callable[[Wire], Action]] = [
    lambda w: json_answer(w.refusal("upstream fault"), 500),
    lambda w: html(502),
    lambda w: json_answer(w.refusal("unavailable"), 503),
    lambda w: retry_after("0.05", 429, w.refusal("slow down")),
    lambda w: json_answer(w.refusal("slow down"), 429),
    lambda w: html(520),
    lambda w: answer(408),
    lambda w: faults.reset_after_request(),
    lambda w: faults.close_without_answer(),
    lambda w: faults.cut_length(b'{"status": "succeeded"}', 9),
    lambda w: faults.cut_chunk(b'{"status": "succeeded"}', 9),
    lambda w: html(200),
    lambda w: faults.empty(200),
    lambda w: json_answer(w.refusal("not found"), 404),
    lambda w: html(404),
    lambda w: html(401),
    lambda w: faults.silence(),
    lambda w: faults.garbage(),
    lambda w: faults.trickle(b'{"a": 1}' + b" " * 200, 0.02),
    lambda w: json_answer({"message": "succeeded", "event": "succeeded"}),
    lambda w: json_answer(w.task("task-7f31", "post_processing", None)),
    lambda w: json_answer(w.task("task-other", "succeeded", "http://127.0.0.1:9/other.mp4")),
    lambda w: json_answer(w.task("task-other", "failed", None)),
    lambda w: faults.interim(html(502), 102, 103),
    lambda w: faults.raw(b"HTTP/1.1 102 Processing\r\n\r\n", name="102, then close"),
    lambda w: faults.redirect("http://127.0.0.1:9/elsewhere"),
    lambda w: answer(500, f"Authorization: Bearer {KEY}"),
    lambda w: json_answer(w.refusal(f"Bearer {KEY} is over its limit"), 429),
    lambda w: answer(200, b"[" * 5000),
    lambda w: answer(200, b'{"status": NaN}'),
    lambda w: faults.bad_chunk_size(),
    lambda w: faults.two_lengths(),
]
DOWNLOADS: list[Callable[[], Action]] = [
    lambda: faults.cut_length(VIDEO, 3000, {"ETag": '"v1"', "Content-Type": "video/mp4"}),
    lambda: faults.reset_mid_body(VIDEO, 2000),
    lambda: answer(503),
    lambda: answer(403, "<Error><Code>AccessDenied</Code></Error>"),
    lambda: faults.reset_after_request(),
    lambda: faults.cut_chunk(VIDEO, 4000),
]
# What else is wrong, or has happened when the same command comes again.
AROUND = ("quiet",) * 6 + ("no locks", "two at once", "another machine's folder", "a planted success", "edited profile")
EVIL = "https://evil.example/v.mp4"
OUTCOMES = ("succeeded",) * 7 + ("failed", "cancelled", "no_result", "never")


@dataclass
class Scenario:
    """One run's script, all that is needed to play it again."""

    number: int
    provider: str
    streaming: bool
    creates: list[CreateFault]
    stream: str
    polls: list[Action]
    downloads: list[Action]
    outcome: str
    around: str = "quiet"

    def __str__(self) -> str:
        names = [fault.name for fault in self.creates]
        if self.streaming:
            names.append(f"stream: {self.stream}")
        names += [f"poll: {action.name}" for action in self.polls] + [f"file: {a.name}" for a in self.downloads]
        how = "stream" if self.streaming else "plain"
        return f"#{self.number} {self.provider} {how} {self.outcome}, {self.around}: {names}"


@dataclass
class Report:
    """What one run came to; `wrong` is empty when every promise held."""

    scenario: Scenario
    wrong: list[str] = field(default_factory=list)
    code: int = -1
    posts_taken: int = 0
    paid: int = 0
    told: bool = False
    lost: bool = False
    false_success: bool = False
    traceback: bool = False
    overrun_s: float = 0.0
    leaks: int = 0


def draw(rng: random.Random, number: int = 0) -> Scenario:
    """A scenario: half of the creates meet a fault, most waits and a third of the downloads do."""
    provider = rng.choice(list(WIRES))
    wire, streaming = WIRES[provider], rng.random() < 0.5
    creates: list[CreateFault] = []
    around = rng.choice(AROUND)
    for group, share in ((UNSENT, 0.08), (UNREAD, 0.03), (REFUSED, 0.12)):
        # Whoever comes second after a refusal asks anew, by design: nothing to judge there.
        if rng.random() < share and not (group is REFUSED and around == "two at once"):
            creates.append(rng.choice(group))
    if rng.random() < 0.5:
        creates.append(rng.choice(AMBIGUOUS if rng.random() < 0.75 else TOLD))
    downloads = [rng.choice(DOWNLOADS)() for _ in range(rng.choice((0, 0, 0, 0, 1, 2)))]
    polls = [rng.choice(POLLS)(wire) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
    outcome = rng.choice(OUTCOMES)
    stream = rng.choice(list(STREAMS))
    if outcome not in ("succeeded", "no_result") and stream == "an end without a result":
        stream = "whole"  # a server that says succeeded and serves a file has made it
    return Scenario(number, provider, streaming, creates, stream, polls, downloads, outcome, around)


def play(scenario: Scenario, folder: Path) -> Report:
    """Run it in an empty `folder`."""
    report = Report(scenario)
    make, tells = STREAMS[scenario.stream]
    wire = WIRES[scenario.provider]
    with (
        FileHost(scenario.downloads) as files,
        TaskServer(
            wire,
            creates=scenario.creates,
            polls=scenario.polls,
            outcome=scenario.outcome,
            polls_needed=len(scenario.polls) + 2,
            link_origin=files.base_url,
            stream=make if scenario.streaming else None,
            stream_tells=tells,
        ) as server,
    ):
        root = folder / (NO_LOCKS if scenario.around == "no locks" else "runs")
        client = Client(server, root, streaming=scenario.streaming)
        wait_s = SHORT_DEADLINE_S if scenario.outcome == "never" else DEADLINE_S
        first = _two_at_once(client, report, wait_s) if scenario.around == "two at once" else None
        first = first or _command(client, report, wait_s)
        if first is not None:
            _judge(report, client, server, first)
            _again(report, client, server, first, wait_s)
        report.posts_taken, report.paid = server.posts_taken, server.paid
        report.leaks = len(server.leaks) + len(files.leaks) + len(key_found(folder))
        if server.leaks or files.leaks:
            report.wrong.append(f"the key went to {server.leaks + files.leaks}")
        if found := key_found(folder):
            report.wrong.append(f"the key is in {found}")
        server.release()
    return report


def _command(client: Client, report: Report, wait_s: float) -> Outcome | None:
    session = client.session()
    try:
        outcome = said(session, carry_out(client.plan(session), wait_s=wait_s))
    except BaseException as error:
        report.traceback = True
        report.wrong.append(f"{type(error).__name__}: {error}")
        return None
    ended, times = time.monotonic(), session.ctx.reporter.times  # type: ignore[attr-defined]
    began = times.get("created", times.get("start"))
    if began is not None:
        report.overrun_s = max(report.overrun_s, ended - began - wait_s)
    if "created" in times and ended - times["created"] > wait_s + SHORT.last_look_s + SLACK_S:
        report.wrong.append(f"it took {ended - said['created']:.1f} s of {wait_s} s")
    if "Traceback" in outcome.stderr or b"internal error" in outcome.stdout:
        report.traceback = True
        report.wrong.append("a traceback was printed")
    if key_found(Path("/nonexistent"), outcome.stdout, outcome.stderr):
        report.leaks += 1
        report.wrong.append("the key was printed")
    return outcome


def _two_at_once(client: Client, report: Report, wait_s: float) -> Outcome | None:
    """The same command twice at the same moment; what the one that paid said, or else the first."""
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(_command, client, report, wait_s) for _ in range(2)]
        ended = [outcome for outcome in (one.result() for one in both) if outcome is not None]
    if any(outcome.code == 3 for outcome in ended):
        # One learned that it cannot know; what the other says then depends on when it asked.
        return next(outcome for outcome in ended if outcome.code == 3)
    return ended[0] if ended else None


def _run_of(client: Client, report: Report) -> Run:
    """The one run of the command. Of two at once the later may find the earlier over, and send its own by design."""
    runs = client.runs()
    open_still = [run for run in runs if run.state().phase != Phase.NEW and not run.state().may_pay_again]
    if len(open_still) > 1 or (len(runs) > 1 and report.scenario.around != "two at once"):
        report.wrong.append(f"one request has {len(runs)} runs, {len(open_still)} of them not over")
    return (open_still or runs)[0]


def _meanwhile(report: Report, client: Client, server: TaskServer) -> None:
    """What happens to the workspace, or to us, before the same command comes again."""
    around, run = report.scenario.around, _run_of(client, report)
    if around == "edited profile":
        client.create_body = {"n": 1}
    if around in ("another machine's folder", "a planted success"):
        file = run.folder / "inputs" / "request.json"
        request = json.loads(file.read_text("utf-8"))
        file.write_text(json.dumps({**request, "mark": "0" * 64}), encoding="utf-8")
    if around == "a planted success":
        for name in ("outputs/video.mp4", "result.json", "result.md"):
            (run.folder / name).unlink(missing_ok=True)
        lie = {"event": "ended", "outcome": "succeeded", "status": "succeeded"}
        with run.journal_file.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps({**lie, "outputs": [{"kind": "video", "url": EVIL}]}) + "\n")


def _judge(report: Report, client: Client, server: TaskServer, first: Outcome) -> None:
    report.code, final = first.code, first.final
    state = _run_of(client, report).state()
    if server.paid > len(client.runs()):
        report.wrong.append(f"paid {server.paid} times")
    if server.told:
        report.told = True
        if state.task_id != server.task_id or final.get("task_id") != server.task_id:
            report.lost = True
            report.wrong.append(f"the id was told and lost: {final}")
    elif server.paid and first.code != 3:
        report.wrong.append(f"a task may exist, and yet exit {first.code}: {final}")
    _judge_success(report, client, server, first)
    expected = {"succeeded": 0, "failed": 10, "cancelled": 10, "no_result": 13, "never": 11}[server.outcome]
    if sum(action.name == "answer 403" for action in report.scenario.downloads) > 1 and first.code == 13:
        expected = 13  # a fresh link that is dead as well ends the command, resumable
    if server.told and first.code != expected:
        report.wrong.append(f"exit {first.code} instead of {expected}: {final}")
    if first.code == 3 and any(word in json.dumps(final).lower() for word in ("create_and_wait", "retry")):
        report.wrong.append("an unknown submission points to a create")


def _judge_success(report: Report, client: Client, server: TaskServer, outcome: Outcome) -> None:
    told = [line for line in outcome.lines if line["event"] not in ("sse_event", "poll")]  # those repeat the server
    claims = outcome.code == 0 or any(line.get("status") == "succeeded" for line in told)
    if claims and server.outcome not in ("succeeded", "no_result"):
        report.false_success = True
    if outcome.code == 0:
        video = outcome.final.get("video_file")
        if not video or Path(video).read_bytes() != VIDEO:
            report.false_success = True
    if report.false_success:
        report.wrong.append(f"a success that is none: {outcome.final}")


def _again(report: Report, client: Client, server: TaskServer, first: Outcome, wait_s: float) -> None:
    """The same command once more, with nothing broken: it goes on, or still says that it does not know."""
    state = _run_of(client, report).state()
    if state.may_pay_again and state.phase != "new":
        return  # it ended and said so: the next one is a new request by design
    paid = server.paid
    server.heal()
    _meanwhile(report, client, server)
    second = _command(client, report, wait_s)
    if second is None:
        return
    _judge_success(report, client, server, second)
    if first.code == 3 and (second.code != 3 or server.paid != paid):
        report.wrong.append(f"after exit 3 the same command paid or guessed: {second.final}")
    if server.told and server.paid != max(paid, 1):
        report.wrong.append("the same command paid again")
    if server.told and server.outcome == "succeeded" and second.code != 0:
        report.wrong.append(f"the repeat did not reach the result: {second.final}")
    if EVIL in json.dumps(second.final):
        report.false_success = True
        report.wrong.append(f"a planted link was told: {second.final}")


@contextlib.contextmanager
def compressed() -> Iterator[None]:
    """Short pauses between tries of a download; and a folder whose file system has no locks (on Linux)."""
    from videotasks.downloads import transfer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "BACKOFF_S", 0.02)
        patch.setattr(transfer, "MAX_BACKOFF_S", 0.1)
        if not sys.platform.startswith("linux"):
            yield
            return
        import fcntl

        flock = fcntl.flock

        def refusing(handle: int, how: int) -> None:
            if NO_LOCKS in os.readlink(f"/proc/self/fd/{handle}"):
                raise OSError(errno.ENOLCK, "no locks available")
            flock(handle, how)

        patch.setattr(fcntl, "flock", refusing)
        yield


def campaign(count: int, seed: int, folder: Path, threads: int = 8) -> list[Report]:
    """`count` runs in threads; the same seed draws the same scenarios."""
    rng = random.Random(seed)
    scenarios = [draw(rng, number) for number in range(count)]

    def one(scenario: Scenario) -> Report:
        place = folder / f"run-{scenario.number}"
        place.mkdir()
        return play(scenario, place)

    with compressed(), ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, scenarios))


def figures(reports: Sequence[Report]) -> dict[str, Any]:
    """What the campaign is judged by."""
    return {
        "runs": len(reports),
        "most creates taken in a run": max(report.paid for report in reports),
        "runs with a task taken": sum(report.paid > 0 for report in reports),
        "runs whose id was told": sum(report.told for report in reports),
        "lost ids": sum(report.lost for report in reports),
        "submissions unknown (exit 3)": sum(report.code == 3 for report in reports),
        "false successes": sum(report.false_success for report in reports),
        "tracebacks": sum(report.traceback for report in reports),
        "hangs past the deadline": sum("it took" in text for report in reports for text in report.wrong),
        "worst overrun, s": round(max(report.overrun_s for report in reports), 2),
        "key found elsewhere": sum(report.leaks for report in reports),
        "promises broken": sum(bool(report.wrong) for report in reports),
    }
