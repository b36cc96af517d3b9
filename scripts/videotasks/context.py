"""What a command carries through its steps: clocks, mailbox, reporter, run store, limits. All injected in tests."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from videotasks.mailbox import Mailbox
from videotasks.reporting import Reporter
from videotasks.runs import RunStore


@dataclass
class Limits:
    """Seconds. The defaults are those of the commands that this one extends (facts, peers 4.7)."""

    create_answer_s: float = 120.0
    stream_silence_s: float = 120.0
    stream_doubt_s: float = 15.0  # an open but mute stream may sit behind a buffering proxy: poll beside it
    wait_s: float | None = 900.0
    poll_interval_s: float | None = None
    poll_request_s: float = 20.0
    interrupt_grace_s: float = 5.0
    last_look_s: float = 2.0
    max_resends: int = 4
    unsent_retries: int = 2


@dataclass
class Context:
    """One command's surroundings. `clock` is epoch seconds, `monotonic` is for deadlines."""

    store: RunStore
    reporter: Reporter
    mailbox: Mailbox
    mode: str = "real"  # real | sandbox
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random
    download: bool = True
    output: str | None = None
    force: bool = False
    allow_private_results: bool = False
    next_options: tuple[str, ...] = ()  # what `next` must repeat: --sandbox, --base-url, --provider FILE ...

    @property
    def sandbox(self) -> bool:
        return self.mode == "sandbox"
