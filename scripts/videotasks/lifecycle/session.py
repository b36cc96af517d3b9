"""What a command carries through its steps: clocks, workers, reporter, run store, timing. All injected in tests."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from videotasks.core.record import field, record
from videotasks.core.workers import Mailbox
from videotasks.lifecycle import free_calls
from videotasks.lifecycle.free_calls import FreeCalls
from videotasks.output.next_command import Asked
from videotasks.output.reporter import Reporter
from videotasks.runs.store import Run, RunStore

if TYPE_CHECKING:
    from videotasks.network.client import Client
    from videotasks.providers.profile import Profile
    from videotasks.providers.provider import Provider

T = TypeVar("T")


@record
class Timing:
    """Seconds. The defaults are those of the commands that this one extends (facts, peers 4.7)."""

    create_answer_s: float = 120.0
    stream_answer_s: float = 120.0  # to the task id on a stream
    stream_silence_s: float = 120.0
    stream_doubt_s: float = 15.0  # an open but mute stream may sit behind a buffering proxy: poll beside it
    wait_s: float | None = 900.0
    poll_interval_s: float | None = None
    sandbox_speed: float = 1.0  # a rehearsal in fast motion: tasks and the looks at them
    poll_request_s: float = 20.0
    interrupt_grace_s: float = 5.0
    last_look_s: float = 2.0
    last_file_s: float = 30.0  # past the deadline, for the file of a task that was found finished
    abort_slack_s: float = 2.0  # a request is given up this long after its own time-out should have fired
    not_found_grace_s: float = 15.0  # a fresh id may not be on every replica yet (facts, peers 5.1)
    result_looks_s: tuple[float, ...] = (1.0, 3.0, 6.0, 8.0, 12.0)  # success without a result: five more over 30 s
    max_resends: int = 4
    queues: bool = False  # a 429 is handed up, the run as it was before: whoever asks for many waits for a free place
    resend_pause_s: float = 2.0  # doubled each time; a server may ask for more, never for less
    unsent_retries: int = 2
    unsent_pause_s: float = 0.5  # doubled each time


@record
class Context:
    """One command's surroundings. `clock` is epoch seconds, `monotonic` is for deadlines."""

    store: RunStore
    reporter: Reporter
    mailbox: Mailbox
    mode: str = "real"  # real | sandbox
    limits: Timing = field(default_factory=Timing)
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random
    download: bool = True
    output: str | None = None
    copied_to: str | None = None  # where --output put its copy, once it is there
    force: bool = False
    allow_private_results: bool = False
    with_link: bool = False  # the whole link in the last line, however long, also when the file is here
    asked: Asked = field(default_factory=lambda: Asked(""))  # what every printed command repeats
    free: FreeCalls = field(default_factory=FreeCalls)

    @property
    def sandbox(self) -> bool:
        return self.mode == "sandbox"

    def pause(self, seconds: float) -> None:
        """Wait before something is tried again; a rehearsal in fast motion waits less. Raises Interrupted."""
        self.mailbox.sleep(seconds / self.limits.sandbox_speed)

    def record(self, run: Run, event: str, **fields: Any) -> bool:
        """Journal an event of `run`. A disk that refuses is told: it must not end the wait for a paid task."""
        try:
            run.record(event, self.clock(), **fields)
        except OSError as error:
            if not self.reporter.finished:  # nothing follows the last line
                self.reporter.event("warning", message=f"the journal could not be written: {error.strerror or error}")
            return False
        return True


@record
class Session:
    """One provider in a command's surroundings, which a wait for many tasks or a batch shares among several."""

    provider: Provider
    ctx: Context
    origin: str  # as runs are told apart: an origin with its base path, or sandbox:<provider>
    stand_in: tuple[str, str] | None = None  # in a rehearsal: its address, and the key that it takes

    @property
    def profile(self) -> Profile:
        return self.provider.profile

    def ask(self, verb: Callable[[Client], T], timeout: float, **more: Any) -> T:
        """A call that costs nothing, see `free_calls.ask`."""
        return free_calls.ask(self.ctx, self.provider, verb, timeout, **more)
