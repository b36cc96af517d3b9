"""From the end of a wait to the last line: record, fetch every result, write the result files, say what to do next."""

from __future__ import annotations

from typing import Any

from videotasks import files, nextstep, results
from videotasks.context import Context
from videotasks.ending import Ending, snapshot_fields
from videotasks.journal import RunState
from videotasks.models import ApiError, Category, ExitCode, Snapshot, TaskError
from videotasks.provider import Provider
from videotasks.reporting import category_message, error_fields
from videotasks.runs import Run, epoch_of, iso, without_secrets, write_json
from videotasks.text import inert

RESPONSE_INLINE_LIMIT = 400  # characters; a longer one goes to outputs/response.json


def record_ending(ctx: Context, run: Run, provider: Provider, ending: Ending) -> None:
    """Journal how a task ended (or that it is still going) and write the result files."""
    snapshot = ending.snapshot
    if ending.outcome not in ("timeout", "refused"):
        ctx.record(run, "ended", outcome=ending.outcome, **snapshot_fields(ctx, provider, snapshot, ending.error))
    elif ending.outcome == "timeout":
        ctx.record(run, "timeout")
    write_results(ctx, run, snapshot)


def write_results(ctx: Context, run: Run, snapshot: Snapshot | None = None) -> dict[str, Any]:
    """result.json, result.md and, when there is a raw body, response.json. A full disk is told, not fatal."""
    raw = snapshot.raw if snapshot is not None else None
    try:
        if raw is not None:
            run.prepare()
            write_json(run.outputs / "response.json", without_secrets({"response": raw})["response"])
        return results.write(run, now=ctx.clock(), raw=raw)
    except OSError as error:
        ctx.reporter.event("warning", message=f"result.json could not be written: {error.strerror}")
        return results.result_document(run, run.state(), now=ctx.clock(), raw=raw)


def finish(
    ctx: Context,
    run: Run,
    provider: Provider,
    ending: Ending,
    *,
    deadline: float | None,
    attached: bool = False,
) -> int:
    """Everything after the wait, up to the final line. Returns the exit code."""
    record_ending(ctx, run, provider, ending)
    failure: TaskError | None = None
    if ending.outcome == "succeeded" and (ctx.download or ctx.output):
        from videotasks import fetching

        failure = fetching.fetch_all(ctx, run, provider, deadline=deadline)
        write_results(ctx, run)
    return report(
        ctx, run, ending.outcome, source=ending.source, error=ending.error, failure=failure, attached=attached
    )


def report(
    ctx: Context,
    run: Run,
    outcome: str,
    *,
    source: str,
    error: ApiError | None = None,
    failure: TaskError | None = None,
    attached: bool = False,
) -> int:
    """The final line for a run whose wait is over, from its journal."""
    state = run.state()
    if outcome == "timeout" or (failure is not None and failure.category is Category.TIMEOUT):
        return report_timeout(ctx, run, state)
    if outcome == "refused":
        assert error is not None
        failure = TaskError(
            error.category,
            category_message(error.category) + "; the task itself goes on, nothing is lost",
            exit_code=ExitCode.POLL_REFUSED,
            code=error.code,
            server_message=error.message or None,
            http_status=error.http_status,
        )
        return finish_error(ctx, run, failure, next_argv=follow_up(ctx, run, "task_status.py"))
    exit_code = int(ExitCode.OK)
    fields: dict[str, Any] = {}
    if outcome == "no_result":
        failure = TaskError(Category.NO_RESULT, category_message(Category.NO_RESULT), exit_code=ExitCode.NO_RESULT)
    if outcome in ("failed", "cancelled", "expired"):
        exit_code = int(ExitCode.TASK_ENDED)
        fields["error"] = state.error or {"category": Category.GENERATION_FAILED.value}
    elif failure is not None:
        exit_code = failure.exit_code
        fields["error"] = error_fields(failure)
    next_argv = None
    if failure is not None and failure.category is not Category.CONFIGURATION:
        next_argv = follow_up(ctx, run, "task_status.py", "--download")
    ctx.reporter.live_end()
    ctx.reporter.people(results.summary(run, state))
    fields = {**terminal_fields(run, state, attached), **fields}
    if ctx.copied_to:
        fields["copied_to"] = ctx.copied_to
    keep_unread_line(ctx, run)
    ctx.reporter.final("terminal", exit_code, next_argv=next_argv, source=source, **fields)
    mark_reported(ctx, run, outcome, exit_code)
    return exit_code


def terminal_fields(run: Run, state: RunState, attached: bool = False) -> dict[str, Any]:
    """The keys of a final line that speak of a task; response is server data (inlined only when short)."""
    fields: dict[str, Any] = {
        "generation_id": state.task_id,
        "task_id": state.task_id,
        "provider": run.provider,
        "provider_status": inert(state.provider_status, 60) if state.provider_status else None,
        "status": results.status_of(state),
        "video_url": state.url_of("video"),
        "files": [entry.get("path") for entry in state.files],
        "video_file": results.video_file(run, state),
    }
    if state.url_of("last_frame"):
        fields["last_frame_url"] = state.url_of("last_frame")
    if state.expires_at:
        fields["expires_at"] = iso(state.expires_at)
    fields["run_id"] = run.run_id
    fields["artifacts_dir"] = str(run.folder)
    response = files.read_json(run.outputs / "response.json")
    if response is not None:
        import json

        text = json.dumps(response, ensure_ascii=False, separators=(",", ":"))
        if len(text) < RESPONSE_INLINE_LIMIT and inert(text, RESPONSE_INLINE_LIMIT) == text:
            fields["response"] = response
        else:
            fields["response_file"] = "outputs/response.json"
    if attached:
        fields["attached"] = True
        fields["created_at"] = run.request.get("created_at")
    fields["error"] = None
    return fields


def report_timeout(ctx: Context, run: Run, state: RunState) -> int:
    """The deadline passed: nothing is lost, and `next` goes on waiting or downloading."""
    submitted = epoch_of(state.submitted_at)
    elapsed = round(ctx.clock() - submitted, 1) if submitted else None
    ctx.reporter.live_end()
    ctx.reporter.people(results.summary(run, state) + " It goes on; nothing is lost.")
    keep_unread_line(ctx, run)
    return ctx.reporter.final(
        "timeout",
        ExitCode.NOT_FINISHED,
        next_argv=follow_up(ctx, run, "wait_generation.py", *_wait_option(ctx)),
        generation_id=state.task_id,
        task_id=state.task_id,
        provider=run.provider,
        status=results.status_of(state),
        last_status=state.provider_status and inert(state.provider_status, 60),
        elapsed_seconds=elapsed,
        video_url=state.url_of("video"),
        run_id=run.run_id,
        artifacts_dir=str(run.folder),
        error={"category": Category.TIMEOUT.value, "message": "not finished within the time given; go on with next"},
    )


def finish_error(ctx: Context, run: Run | None, error: TaskError, *, next_argv: list[str] | None = None) -> int:
    """The final line of a run that ended with an error of ours or a refusal."""
    fields: dict[str, Any] = {}
    if run is not None:
        state = run.state()
        fields = {
            "generation_id": state.task_id,
            "task_id": state.task_id,
            "provider": run.provider,
            "status": results.status_of(state),
            "run_id": run.run_id,
            "artifacts_dir": str(run.folder),
        }
        keep_unread_line(ctx, run)
    exit_code = ctx.reporter.error(error, next_argv=next_argv, **fields)
    if run is not None:
        mark_reported(ctx, run, error.category.value, exit_code)
    return exit_code


def disk_refused(ctx: Context, run: Run | None, error: OSError) -> int:
    """The final line when the workspace could not be written to; a task that is known goes on with `next`."""
    next_argv = follow_up(ctx, run, "task_status.py") if run is not None and run.state().task_id else None
    return finish_error(ctx, run, files.disk_error(error, "the workspace could not be written"), next_argv=next_argv)


def follow_up(ctx: Context, run: Run, script: str, *more: str) -> list[str]:
    """The command that goes on with a run; it never pays."""
    return nextstep.command(
        script, "--run-id", run.run_id, *more, "--artifacts-dir", str(run.folder.parent), *ctx.next_options
    )


def _wait_option(ctx: Context) -> tuple[str, ...]:
    wait = ctx.limits.wait_s
    return ("--timeout", f"{wait:g}") if wait is not None else ()


def mark_reported(ctx: Context, run: Run, outcome: str, exit_code: int) -> None:
    """After the last line: what a reader was told counts as reported, and only then may the same command pay again."""
    if not ctx.reporter.closed:
        ctx.record(run, "reported", outcome=outcome, exit_code=int(exit_code))


def keep_unread_line(ctx: Context, run: Run) -> None:
    """Before the last line: when nobody reads stdout any more, the journal keeps it."""
    ctx.reporter.on_closed = lambda line: ctx.record(run, "last_line", line=dict(line))
