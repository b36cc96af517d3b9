"""The last line about a task, however it ended, and what to do next."""

from __future__ import annotations

import json
from typing import Any

from videotasks.core import durable_files
from videotasks.core.errors import (
    ApiError,
    Category,
    ExitCode,
    TaskError,
    category_message,
    error_fields,
    said_by_the_api,
)
from videotasks.core.record import replace
from videotasks.core.safe_text import inert
from videotasks.core.task import Outcome
from videotasks.core.times import epoch_of, iso
from videotasks.formats import scalars
from videotasks.lifecycle.outcome import write_results
from videotasks.lifecycle.session import Context, Session
from videotasks.runs import results
from videotasks.runs.journal import RunState
from videotasks.runs.store import Run

RESPONSE_INLINE_LIMIT = 400  # characters; a longer one goes to outputs/response.json
LINK_INLINE_LIMIT = 200  # characters; signed links have 600, and nobody needs one beside the file


def report(
    ctx: Context,
    run: Run,
    outcome: Outcome,
    *,
    source: str,
    error: ApiError | None = None,
    failure: TaskError | None = None,
    attached: bool = False,
) -> int:
    """The final line for a run whose wait is over, from its journal."""
    state = run.state()
    if outcome is Outcome.TIMEOUT or (failure is not None and failure.category is Category.TIMEOUT):
        return report_timeout(ctx, run, state)
    if outcome is Outcome.REFUSED:
        assert error is not None
        message = category_message(error.category) + "; the task itself goes on, nothing is lost"
        failure = said_by_the_api(error, message, exit_code=ExitCode.POLL_REFUSED)
        return finish_error(ctx, run, failure, next_argv=look_at(ctx, run))
    fields = terminal_fields(ctx, run, state, attached)
    if outcome is Outcome.SUCCEEDED and not _proven(run, state):
        outcome = Outcome.NO_RESULT  # whatever was seen: what is on disk has neither a link nor a file
    exit_code = int(outcome.exit_code)
    if outcome is Outcome.NO_RESULT and failure is None:
        none = Category.NO_RESULT
        failure = said_by_the_api(error or ApiError(none, ""), category_message(none), category=none)
    if outcome.without_video:
        fields["error"] = error_of_the_task(state)
    elif failure is not None:
        exit_code = failure.exit_code
        fields["error"] = error_fields(failure)
    next_argv = None
    if failure is not None and failure.category is not Category.CONFIGURATION:
        next_argv = look_at(ctx, run, fetch=True)
    ctx.reporter.live_end()
    ctx.reporter.people(results.summary(run, state))
    if ctx.copied_to:
        fields["copied_to"] = ctx.copied_to
    keep_unread_line(ctx, run)
    ctx.reporter.final("terminal", exit_code, next_argv=next_argv, source=source, **fields)
    mark_reported(ctx, run, outcome, exit_code)
    return exit_code


def error_of_the_task(state: RunState) -> dict[str, Any]:
    """Why a task made nothing, as far as its provider said."""
    return state.error or {"category": Category.GENERATION_FAILED.value}


def _proven(run: Run, state: RunState) -> bool:
    """A success, read back from disk, with something to show for it."""
    shown = results.video_file(run, state) is not None or any(entry.get("url") for entry in state.outputs)
    return state.outcome is Outcome.SUCCEEDED and (shown or any(o.get("content_path") for o in state.outputs))


def task_fields(run: Run, state: RunState) -> dict[str, Any]:
    """The keys by which every last line about a task names it."""
    return {
        "generation_id": state.task_id,
        "task_id": state.task_id,
        "provider": run.provider,
        "status": results.status_of(state),
        "run_id": run.run_id,
        "artifacts_dir": str(run.folder),
    }


def expected_cost(run: Run) -> dict[str, Any] | None:
    """What the create was expected to cost, as it was known before it was sent."""
    told = run.request.get("expected_cost")
    if not isinstance(told, dict):
        return None
    words = {key: told[key] if isinstance(told.get(key), str) else None for key in ("unit", "kind")}
    return {"amount": scalars.number(told.get("amount")), **words}


def terminal_fields(ctx: Context, run: Run, state: RunState, attached: bool = False) -> dict[str, Any]:
    """The keys of a final line that show a task whole: what a user asks next stands in it.

    A long link is left to result.json when the file is here; response is server data (inlined only when short).
    """
    url, video_file = state.url_of("video"), results.video_file(run, state)
    asked_for = ctx.with_link or ctx.reporter.verbose or not ctx.asked.fetch
    told_elsewhere = url is not None and video_file is not None and len(url) >= LINK_INLINE_LIMIT and not asked_for
    fields: dict[str, Any] = {
        **task_fields(run, state),
        "provider_status": inert(state.provider_status, 60) if state.provider_status else None,
        "video_url": None if told_elsewhere else url,
        "files": [entry.get("path") for entry in state.files],
        "video_file": video_file,
    }
    if any(output.get("found_by") for output in state.outputs):
        fields["found_by"] = "guess"
    if told_elsewhere:
        fields["result_file"] = str(run.result_file)
    if video_file is not None:
        fields["video"] = results.measures(state)
    if state.ended:
        fields["cost"] = results.cost(state) or "unknown"
        if run.request.get("expected_cost"):
            fields["expected_cost"] = expected_cost(run)
    if state.url_of("last_frame"):
        fields["last_frame_url"] = state.url_of("last_frame")
    if state.expires_at:
        fields["expires_at"] = iso(state.expires_at)
    response = durable_files.read_json(run.outputs / "response.json")
    if response is not None:
        text = json.dumps(response, ensure_ascii=False, separators=(",", ":"))
        if len(text) < RESPONSE_INLINE_LIMIT and inert(text, RESPONSE_INLINE_LIMIT) == text:
            fields["response"] = response
        else:
            fields["response_file"] = "outputs/response.json"
    if attached:
        fields["attached"] = True
        fields["created_at"] = run.created_at_iso
    fields["error"] = None
    return fields


def report_timeout(ctx: Context, run: Run, state: RunState) -> int:
    """The deadline passed: nothing is lost, and `next` goes on waiting or downloading."""
    submitted = epoch_of(state.submitted_at)
    elapsed = round(ctx.clock() - submitted, 1) if submitted else None
    ctx.reporter.live_end()
    if ctx.reporter.shows_tables:
        ctx.reporter.people(results.summary(run, state))
    keep_unread_line(ctx, run)
    # Read at every step of a long wait: what the command that goes on will say again is left out.
    fields = task_fields(run, state)
    del fields["provider"], fields["artifacts_dir"]
    if state.url_of("video"):
        fields["video_url"] = state.url_of("video")
    return ctx.reporter.final(
        "timeout",
        ExitCode.NOT_FINISHED,
        next_argv=go_on(ctx, run),
        **fields,
        last_status=state.provider_status and inert(state.provider_status, 60),
        elapsed_seconds=elapsed,
        error={"category": Category.TIMEOUT.value},
    )


def finish_error(ctx: Context, run: Run | None, error: TaskError, *, next_argv: list[str] | None = None) -> int:
    """The final line of a run that ended with an error of ours or a refusal."""
    fields: dict[str, Any] = {}
    if run is not None:
        fields = task_fields(run, run.state())
        keep_unread_line(ctx, run)
    exit_code = ctx.reporter.error(error, next_argv=next_argv, **fields)
    if run is not None:
        mark_reported(ctx, run, error.category.value, exit_code)
    return exit_code


def disk_refused(ctx: Context, run: Run | None, error: OSError) -> int:
    """The final line when the workspace could not be written to; a task that is known goes on with `next`."""
    next_argv = look_at(ctx, run) if run is not None and run.state().task_id else None
    return finish_error(
        ctx, run, durable_files.disk_error(error, "the workspace could not be written"), next_argv=next_argv
    )


def go_on(ctx: Context, run: Run) -> list[str]:
    """The command that waits on for a run; it never pays."""
    return replace(ctx.asked, root=str(run.folder.parent)).wait("--run-id", run.run_id)


def look_at(ctx: Context, run: Run, *, fetch: bool = False) -> list[str]:
    """The command that looks at a run (and fetches its result); it never pays."""
    return replace(ctx.asked, root=str(run.folder.parent)).look("--run-id", run.run_id, fetch=fetch)


def mark_reported(ctx: Context, run: Run, outcome: str, exit_code: int) -> None:
    """After the last line: what a reader was told counts as reported, and only then may the same command pay again."""
    if not ctx.reporter.closed:
        ctx.record(run, "reported", outcome=outcome, exit_code=int(exit_code))


def keep_unread_line(ctx: Context, run: Run) -> None:
    """Before the last line: when nobody reads stdout any more, the journal keeps it."""
    ctx.reporter.on_closed = lambda line: ctx.record(run, "last_line", line=dict(line))


def report_created(session: Session, run: Run, attached: bool = False) -> int:
    """The final line of --no-wait."""
    ctx, state = session.ctx, run.state()
    keep_unread_line(ctx, run)
    return ctx.reporter.final(
        "created",
        ExitCode.OK,
        next_argv=go_on(ctx, run),
        **task_fields(run, state),
        attached=attached or None,
    )


def report_interrupted(ctx: Context, run: Run | None, signum: int) -> int:
    """The final line after a signal: nothing is lost, `next` goes on."""
    code = ExitCode.of_signal(signum)
    if run is None:
        error = {"category": "interrupted", "message": "interrupted; nothing was sent"}
        return ctx.reporter.final("interrupted", code, error=error)
    ctx.record(run, "interrupted", signum=int(signum))
    write_results(ctx, run)
    state = run.state()
    if state.outcome is Outcome.SUCCEEDED:
        what = "stopped before the result was on disk; fetch it with next"
    else:
        what = "stopped waiting; the task goes on; go on with next"
    ctx.reporter.people("interrupted; nothing is lost")
    keep_unread_line(ctx, run)
    return ctx.reporter.final(
        "interrupted",
        code,
        next_argv=go_on(ctx, run),
        **task_fields(run, state),
        video_url=state.url_of("video"),
        error={"category": "interrupted", "message": what},
    )
