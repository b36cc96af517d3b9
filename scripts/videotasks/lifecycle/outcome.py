"""How a wait ended, and how the journal and the result files record it."""

from __future__ import annotations

from typing import Any

from videotasks.core.errors import ApiError, ExitCode, api_error_fields
from videotasks.core.record import record
from videotasks.core.task import Outcome, Phase, Snapshot, Status
from videotasks.lifecycle.session import Context
from videotasks.network import origins
from videotasks.providers.provider import Provider
from videotasks.runs import results
from videotasks.runs.journal import RunState
from videotasks.runs.store import Run

# The worst comes first. What goes on by the same command is worse than what has ended: it is not over yet.
WORST_FIRST = (
    ExitCode.NOT_FINISHED, ExitCode.SUBMISSION_UNKNOWN, ExitCode.POLL_REFUSED, ExitCode.INSUFFICIENT_CREDITS,
    ExitCode.AUTH, ExitCode.PERMISSION, ExitCode.CONFIGURATION, ExitCode.TRANSIENT, ExitCode.UNKNOWN,
    ExitCode.NOT_FOUND, ExitCode.VALIDATION, ExitCode.MODERATION, ExitCode.TASK_ENDED, ExitCode.NO_RESULT, ExitCode.OK,
)  # fmt: skip


@record
class Ending:
    """`source`: sse, poll, create, record."""

    outcome: Outcome
    source: str
    snapshot: Snapshot | None = None
    error: ApiError | None = None


def snapshot_fields(
    ctx: Context, provider: Provider, snapshot: Snapshot | None, error: ApiError | None = None
) -> dict[str, Any]:
    """The journal's view of a snapshot."""
    if snapshot is None:
        return {}
    expires_at = snapshot.expires_at
    ttl_s = provider.profile.result.ttl_s
    if expires_at is None and ttl_s and snapshot.status is Status.SUCCEEDED:
        # Counted from when it was first seen done; never longer than the truth by much.
        expires_at = ctx.clock() + ttl_s
    return {
        "status": snapshot.status.value,
        "provider_status": snapshot.provider_status,
        "progress": snapshot.progress,
        "outputs": [output.entry() for output in snapshot.outputs] or None,
        "usage": dict(snapshot.usage) if snapshot.usage else None,
        "cost": snapshot.cost,
        "cost_unit": snapshot.cost_unit,
        "expires_at": expires_at,
        "follow": origins.own_paths(provider.profile.base_url, snapshot.follow) or None,
        "error": api_error_fields(error or snapshot.error, 2000),
    }


def exit_code_of(state: RunState) -> ExitCode:
    """What a run's record says by itself: 0 only with a result, 11 for what goes on, 3 for what is in doubt."""
    if state.outcome is not None:
        return state.outcome.exit_code
    if state.unfinished:
        return ExitCode.SUBMISSION_UNKNOWN if state.phase.in_doubt else ExitCode.NOT_FINISHED
    return ExitCode.TASK_ENDED if state.phase is Phase.REFUSED else ExitCode.OK


def write_results(ctx: Context, run: Run, snapshot: Snapshot | None = None) -> dict[str, Any]:
    """result.json, result.md and, when there is a raw body, response.json. A full disk is told, not fatal."""
    raw = snapshot.raw if snapshot is not None else None
    try:
        return results.write(run, now=ctx.clock(), raw=raw)
    except OSError as error:
        ctx.reporter.event("warning", message=f"result.json could not be written: {error.strerror}")
        return results.result_document(run, run.state(), now=ctx.clock(), raw=raw)
