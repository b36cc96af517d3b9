"""Fetching every output of a succeeded run into its folder: fixed names, one lock, a fresh link when one has died."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from videotasks.core.errors import Category, ExitCode, TaskError, error_fields
from videotasks.core.safe_text import cut_query
from videotasks.core.task import Output, Snapshot, Status
from videotasks.core.workers import CallTimedOut, Message
from videotasks.lifecycle.outcome import snapshot_fields
from videotasks.lifecycle.poll_schedule import PollSchedule
from videotasks.lifecycle.session import Context
from videotasks.network.errors import NoAnswer
from videotasks.network.flight import Flight
from videotasks.providers.provider import Look, Provider, TaskRef
from videotasks.runs.journal import RunState
from videotasks.runs.store import Run

MAIN_KINDS = ("video", "image", "audio")
FRESH_LOOKS = 6  # for a link that has died
PROGRESS_EVERY_S = 1.0
SLOW_DOWNLOAD_S = 1.0  # a download that takes longer has its link printed beforehand, for whoever is cut off


def fetch_all(ctx: Context, run: Run, provider: Provider, *, deadline: float | None) -> TaskError | None:
    """Fetch what is missing. Returns the error that a person must hear, or None. Raises Interrupted.

    A missing side file (thumbnail, last frame) is a warning; a missing main result is the error.
    """
    state = run.state()
    there = {str(entry.get("name")) for entry in state.files if _still_there(run, entry)}
    if not all(name in there for name, _ in named_outputs(state)):
        ctx.reporter.people("the result is ready; downloading " + cut_query(state.url_of("video") or "it"))
    lock = run.download_lock()
    end = None if deadline is None else deadline
    if not lock.acquire(wait=ctx.mailbox.sleep, give_up=lambda: end is not None and ctx.monotonic() >= end):
        return TaskError(
            Category.TIMEOUT, "another process is downloading this result", exit_code=ExitCode.NOT_FINISHED
        )
    try:
        return _fetch_locked(ctx, run, provider, run.state(), deadline)
    finally:
        lock.release()


def _fetch_locked(
    ctx: Context, run: Run, provider: Provider, state: RunState, deadline: float | None
) -> TaskError | None:
    from videotasks.downloads.errors import DownloadFailed
    from videotasks.downloads.output_copy import copy_output

    run.prepare()
    entries = {str(entry.get("name")): entry for entry in state.files if _still_there(run, entry)}
    failure: TaskError | None = None
    for name, output in named_outputs(state):
        if name in entries:
            continue
        main = output.kind in MAIN_KINDS
        try:
            entries[name] = _fetch_one(ctx, run, provider, state, name, output, deadline)
        except DownloadFailed as error:
            if not main:
                ctx.reporter.event("warning", message=f"the {output.kind} could not be fetched: {error.message}")
                continue
            failure = failure or _as_task_error(error)
            if error.kind == "deadline":
                break
    kept = list(entries.values())
    if kept:
        ctx.record(run, "downloaded", files=kept)
    if failure is not None:
        ctx.record(run, "download_failed", error=error_fields(failure))
        return failure
    if ctx.output:
        source = next((e for kind in MAIN_KINDS for e in kept if e["kind"] == kind), None)
        if source is not None:
            copied = copy_output(run.folder / source["path"], ctx.output, force=ctx.force)
            ctx.copied_to = str(copied)
            ctx.reporter.people(f"copied to {copied}")
    return None


def named_outputs(state: RunState) -> list[tuple[str, Output]]:
    """Every output with its fixed name: video, video-2, image, last_frame, thumbnail ..."""
    counts: dict[str, int] = {}
    named = []
    for entry in state.outputs:
        kind = entry.get("kind")
        if kind not in (*MAIN_KINDS, "last_frame", "thumbnail"):
            continue
        counts[kind] = counts.get(kind, 0) + 1
        name = kind if counts[kind] == 1 else f"{kind}-{counts[kind]}"
        named.append((name, Output(kind, entry.get("url"), entry.get("content_path"))))
    return named


def _fetch_one(
    ctx: Context, run: Run, provider: Provider, state: RunState, name: str, output: Output, deadline: float | None
) -> dict[str, Any]:
    """One file, with one fresh look at the task when its link has died."""
    from videotasks.downloads.errors import DownloadFailed

    try:
        return _download(ctx, run, provider, state, name, output, deadline)
    except DownloadFailed as error:
        if error.kind != "link_expired":
            raise
        fresh = _fresh_output(ctx, run, provider, state, name, deadline)
        if fresh is None:
            raise
        return _download(ctx, run, provider, state, name, fresh, deadline)


def _download(
    ctx: Context, run: Run, provider: Provider, state: RunState, name: str, output: Output, deadline: float | None
) -> dict[str, Any]:
    from videotasks.downloads.download import download

    source = object()
    flights: list[Flight] = []
    cancelled: list[bool] = []
    url = output.url or provider.url(output.content_path or "")
    expect = {"last_frame": "image", "thumbnail": "image"}.get(output.kind, output.kind)
    announced = False

    def work() -> Any:
        return download(
            url,
            run.outputs,
            name,
            expect=expect,
            api_base_url=provider.profile.base_url,
            api_client=provider.client() if output.content_path else None,
            allow_private=ctx.allow_private_results,
            deadline=deadline,
            on_progress=lambda done, total: ctx.mailbox.put(Message("event", source, (done, total))),
            flights=flights.append,
            cancelled=lambda: bool(cancelled),
        )

    began = told_at = ctx.monotonic()

    def on_event(progress: Any) -> None:
        nonlocal announced, told_at
        ctx.reporter.live_download(*progress)
        if ctx.monotonic() - told_at >= PROGRESS_EVERY_S:
            told_at = ctx.monotonic()
            ctx.reporter.event("download_progress", bytes=progress[0], total=progress[1])
        if not announced and output.kind in MAIN_KINDS and ctx.monotonic() - began > SLOW_DOWNLOAD_S:
            announced = True
            ctx.reporter.event("status", status=Status.SUCCEEDED.value, video_url=output.url, downloading=True)

    try:
        fetched = ctx.mailbox.call(work, on_event=on_event, token=source)
    except BaseException:
        cancelled.append(True)
        for flight in flights[-1:]:
            flight.abort()
        raise
    entry: dict[str, Any] = {
        "name": name,
        "path": f"outputs/{Path(fetched.path).name}",
        "kind": output.kind,
        "mime": fetched.mime,
        "bytes": fetched.bytes,
        "sha256": fetched.sha256,
    }
    for key in ("duration_s", "width", "height"):
        if getattr(fetched, key) is not None:
            entry[key] = getattr(fetched, key)
    return entry


def _fresh_output(
    ctx: Context, run: Run, provider: Provider, state: RunState, name: str, deadline: float | None
) -> Output | None:
    """The same output with the link that the API gives now (many links live for an hour or a day)."""
    if state.task_id is None:
        return None
    snapshot = _look_through_faults(ctx, provider, TaskRef(state.task_id, state.follow), deadline)
    if snapshot is None or snapshot.status is not Status.SUCCEEDED or not snapshot.has_result:
        return None
    ctx.record(run, "ended", outcome="succeeded", **snapshot_fields(ctx, provider, snapshot))
    return dict(named_outputs(run.state())).get(name)


def _look_through_faults(ctx: Context, provider: Provider, ref: TaskRef, deadline: float | None) -> Snapshot | None:
    """The task as it is now; a passing fault is asked again, as in any wait."""
    poll, timeout = provider.profile.poll, ctx.limits.poll_request_s
    schedule = PollSchedule(poll.floor_s, poll.ceiling_s, ctx.limits.poll_interval_s)
    for faults in range(1, FRESH_LOOKS + 1):
        client, hint_s = provider.client(), None
        look_once = partial(provider.look, ref, client=client, timeout=timeout)
        try:
            look: Look = ctx.mailbox.call(look_once, timeout=timeout + ctx.limits.abort_slack_s)
            if look.snapshot is not None or look.final_refusal:
                return look.snapshot
            hint_s = look.hint_s
        except TaskError:
            return None
        except (NoAnswer, CallTimedOut):
            client.flight.abort()
        finally:
            client.close()
        pause = schedule.delay(0.0, random=ctx.random(), hint_s=hint_s, faults=faults)
        if faults == FRESH_LOOKS or (deadline is not None and ctx.monotonic() + pause >= deadline):
            return None
        ctx.mailbox.sleep(pause)
    return None


def _still_there(run: Run, entry: dict[str, Any]) -> bool:
    path = run.folder / str(entry.get("path"))
    try:
        return not path.is_symlink() and path.is_file() and path.stat().st_size == entry.get("bytes")
    except OSError:
        return False


def _as_task_error(error: Any) -> TaskError:
    if error.kind == "deadline":
        return TaskError(Category.TIMEOUT, error.message, exit_code=ExitCode.NOT_FINISHED)
    return TaskError(
        Category.DOWNLOAD_FAILED,
        f"the video was made, but its download failed: {error.message}",
        expected=error.expected,
        code=error.kind,
        http_status=error.http_status,
        server_message=error.server_excerpt,
        details={"resumable": bool(error.resumable)},
    )
