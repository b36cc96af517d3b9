"""What the end of a task (or of the wait for it) leaves in its run: files out of the answer, journal, result files."""

from __future__ import annotations

from videotasks.core.task import Outcome
from videotasks.lifecycle.fetch_outputs import keep_embedded
from videotasks.lifecycle.outcome import Ending, snapshot_fields, write_results
from videotasks.lifecycle.session import Context
from videotasks.providers.provider import Provider
from videotasks.runs.store import Run


def record_ending(ctx: Context, run: Run, provider: Provider, ending: Ending) -> None:
    """Journal how a task ended (or that it is still going) and write the result files."""
    snapshot = ending.snapshot
    keep_embedded(ctx, run, provider, snapshot)
    if ending.outcome.of_the_task:
        ctx.record(run, "ended", outcome=ending.outcome.value, **snapshot_fields(ctx, provider, snapshot, ending.error))
    elif ending.outcome is Outcome.TIMEOUT:
        ctx.record(run, "timeout")
    write_results(ctx, run, snapshot)
