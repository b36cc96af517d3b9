"""Tasks taken in while others are waited for: done means that what comes of each is done, too."""

from __future__ import annotations

import threading
from pathlib import Path

from videotasks.core.workers import Mailbox
from videotasks.lifecycle.collect import Collector
from videotasks.lifecycle.session import Context
from videotasks.lifecycle.watched import Watched
from videotasks.output.reporter import Reporter
from videotasks.providers.provider import TaskRef
from videotasks.runs.store import Run, RunStore


def test_what_is_done_with_a_task_is_waited_for(tmp_path: Path) -> None:
    # A worker of a fleet ended between a file in the store and the document that tells of it.
    gate, settled = threading.Event(), []

    def on_settled(task: Watched) -> None:
        gate.wait(10)
        settled.append(task.run.run_id)

    ctx = Context(RunStore(tmp_path), Reporter(), Mailbox())
    collector = Collector(ctx, ctx.monotonic() + 30, on_settled)
    collector.take(Watched(Run(tmp_path / "boat", {}), None, TaskRef("t", {})))  # type: ignore[arg-type]
    threading.Timer(0.1, gate.set).start()
    collector.finish()
    assert settled == ["boat"]
    assert [entry["run_id"] for entry in collector.trouble] == ["boat"]
