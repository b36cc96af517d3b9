"""Many tasks: each is recorded and its result fetched as it ends, in workers, while the others are waited for.

Links expire, and who is cut off keeps what was fetched. What is in the way of one task (a folder that is a link, a full
disk, a dead link) is told as its trouble and ends nothing else.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from videotasks.core.errors import Category, TaskError
from videotasks.core.record import replace
from videotasks.core.task import Outcome
from videotasks.core.workers import Interrupted, Mailbox, Message
from videotasks.lifecycle import resume
from videotasks.lifecycle.session import Context
from videotasks.lifecycle.watched import Watched
from videotasks.output.reporter import Reporter

WORKERS = 4  # files at once; the links of one provider share its bandwidth and its patience


class Quiet(Reporter):
    """Of what happens to one of many only warnings are told, on stderr; the last line has each one's trouble."""

    def __init__(self, main: Reporter) -> None:
        super().__init__(sandbox=main.sandbox)
        self._main = main

    def event(self, name: str, **fields: Any) -> None:
        if name == "warning" and fields.get("message"):
            self._main.people(str(fields["message"]))

    def people(self, text: str) -> None:
        pass

    def live_download(self, done: int, total: int | None) -> None:
        pass


class Collector:
    """Takes tasks whose `ending` is known. `trouble` holds a message or a category for each run that had one.

    `on_settled` is called in a worker when a task's record and files are as good as they will be here.
    """

    def __init__(
        self, ctx: Context, deadline: float, on_settled: Callable[[Watched], None] = lambda task: None
    ) -> None:
        self.ctx = ctx
        self._on_settled = on_settled
        self.trouble: list[dict[str, Any]] = []
        self.late: set[str] = set()  # runs whose files did not come within the time given
        self._deadline, self._end = deadline, deadline + ctx.limits.last_file_s
        self._todo: queue.SimpleQueue[Watched] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._pending: dict[str, Watched] = {}
        self._mailboxes: list[Mailbox] = []

    def take(self, task: Watched) -> None:
        """Hand over a task; returns at once."""
        with self._guard:
            self._pending[task.run.run_id] = task
        self._todo.put(task)
        if len(self._mailboxes) < WORKERS:
            mailbox = Mailbox()
            self._mailboxes.append(mailbox)
            threading.Thread(target=self._work, args=(mailbox,), daemon=True).start()

    def finish(self) -> None:
        """Wait for what was handed over, `last_file_s` beyond the deadline at most. Raises Interrupted."""
        while self._pending and self.ctx.monotonic() < self._end:
            message = self.ctx.mailbox.get(min(self._end - self.ctx.monotonic(), 1.0))
            if message is not None and message.kind == "interrupt":
                raise Interrupted(int(message.value))
        with self._guard:
            self.late |= set(self._pending)

    def stop(self, signum: int, grace_s: float = 2.0) -> None:
        """After an interrupt: downloads keep their parts and end, endings that are known are still recorded."""
        with self._guard:
            self.late |= set(self._pending)
        for mailbox in self._mailboxes:
            mailbox.put(Message("interrupt", None, signum))
        end = self.ctx.monotonic() + grace_s
        while self._pending and self.ctx.monotonic() < end:
            self.ctx.mailbox.get(0.05)

    def _work(self, mailbox: Mailbox) -> None:
        ctx = replace(self.ctx, mailbox=mailbox, reporter=Quiet(self.ctx.reporter))
        for task in iter(self._todo.get, None):  # None never comes: the thread ends with its command
            try:
                self._collect(ctx, task)
            except Interrupted:
                self.late.add(task.run.run_id)
                ctx = replace(ctx, download=False)  # from now on endings are recorded, and no more files fetched
            except TaskError as error:
                self._tell(task, message=error.message)
            except OSError as error:
                self._tell(task, message=f"the run folder could not be written: {error.strerror or error}")
            except Exception as error:  # a fault of ours in one task must not lose the others
                self._tell(task, message=f"its result could not be taken in ({type(error).__name__})")
            finally:
                try:
                    self._on_settled(task)  # before it counts as taken in: who waits for that may end the process
                finally:
                    with self._guard:
                        self._pending.pop(task.run.run_id, None)
                    self.ctx.mailbox.put(Message("event", self))

    def _collect(self, ctx: Context, task: Watched) -> None:
        ending = task.ending
        assert ending is not None
        if task.output is not None:
            ctx = replace(ctx, output=task.output)
        if ending.outcome is Outcome.REFUSED and ending.error is not None:
            self._tell(task, category=ending.error.category.value)
        task.ending, failure = resume.settle(ctx, task.run, task.provider, ending, deadline=self._deadline)
        if failure is not None and failure.category is Category.TIMEOUT:
            self.late.add(task.run.run_id)
        elif failure is not None:
            self._tell(task, message=failure.message)

    def _tell(self, task: Watched, **what: str) -> None:
        with self._guard:
            self.trouble.append({"run_id": task.run.run_id, **what})
