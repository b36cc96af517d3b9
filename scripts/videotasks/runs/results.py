"""outputs/result.json and result.md, and a row of a list: what a run has come to, from request and journal."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from videotasks.core import durable_files
from videotasks.core.redaction import known_secrets, redact
from videotasks.core.safe_text import inert, markdown_fence, one_line
from videotasks.core.task import Outcome, Phase, Status
from videotasks.core.times import age_text, iso
from videotasks.runs import budgets
from videotasks.runs.journal import RunState
from videotasks.runs.store import Run, without_secrets, write_json


def result_document(run: Run, state: RunState, *, now: float, raw: Any = None) -> dict[str, Any]:
    """result.json as a mapping (shared/schemas/result.schema.json): times are ISO UTC, URLs complete."""
    request = run.request
    return {
        "schema_version": 1,
        "run_id": run.run_id,
        "provider": run.provider,
        "kind": state.kind or request.get("kind"),
        "sandbox": run.mode == "sandbox",
        "task_id": state.task_id,
        "generation_id": state.task_id,
        "status": status_of(state),
        "provider_status": state.provider_status,
        "progress": state.progress,
        "video_url": state.url_of("video"),
        "last_frame_url": state.url_of("last_frame"),
        "thumbnail_url": state.url_of("thumbnail"),
        "outputs": state.outputs,
        "files": state.files,
        "video_file": video_file(run, state),
        "expires_at": iso(state.expires_at) if state.expires_at else None,
        "usage": dict(state.usage) if state.usage else None,
        "cost": cost(state),
        "error": state.error,
        "model": request.get("model"),
        "prompt": request.get("prompt"),
        "take": request.get("take"),
        "created_at": run.created_at_iso,
        "submitted_at": state.submitted_at,
        "ended_at": state.ended_at,
        "updated_at": iso(now),
        "outcome": (state.outcome or state.phase).value,
        "summary": summary(run, state),
        "raw": raw,
    }


def status_of(state: RunState) -> str:
    return state.shown_status.value


STATUS_WORDS = ("unfinished", *(status.value for status in Status), *(phase.value for phase in Phase))


def row(run: Run, state: RunState, elsewhere: str | None = None) -> dict[str, Any]:
    """One run as a list shows it. `elsewhere` is its origin when that is not the one used here."""
    entry: dict[str, Any] = {
        "run_id": run.run_id,
        "provider": run.provider,
        "status": status_of(state),
        "unfinished": state.unfinished,
        "task_id": state.task_id,
        "age": age_text(time.time() - run.created_at),
        "prompt": one_line(run.prompt, 50) or None,
        "files": len(state.files),
        "origin": elsewhere,
    }
    if state.phase in (Phase.SUBMISSION_UNKNOWN, Phase.REFUSED, Phase.NEW):
        entry["phase"] = state.phase.value
    if state.is_unseen(run.request):
        entry["unseen"] = True
    if state.cost is not None:
        entry["cost"] = f"{state.cost:g} {state.cost_unit or ''}".strip()
    expected = run.request.get("expected_cost")
    if isinstance(expected, dict) and isinstance(expected.get("amount"), (int, float)):
        entry["expected"] = one_line(f"{expected['amount']:g} {expected.get('unit') or ''}", 40)
    return {
        key: value for key, value in entry.items() if value not in (None, 0, "") or key in ("task_id", "unfinished")
    }


def cost(state: RunState) -> dict[str, Any] | None:
    """What the provider said that it charged; None when it did not say."""
    return {"amount": state.cost, "unit": state.cost_unit} if state.cost is not None else None


def measures(state: RunState) -> dict[str, Any]:
    """Length in seconds, size in pixels and bytes of the first main file, as they were read from it."""
    main = next((entry for kind in MAIN for entry in state.files if entry.get("kind") == kind), {})
    return {name: main[name] for name in ("duration_s", "width", "height", "bytes") if main.get(name) is not None}


MAIN = ("video", "image", "audio")


def main_file(run: Run, state: RunState) -> dict[str, Any] | None:
    """The record of the first video (else of the first file) that is there as it was fetched."""
    held = (entry for wanted in MAIN for entry in state.files if entry.get("kind") == wanted)
    return next((entry for entry in held if run.holds(entry)), None)


def video_file(run: Run, state: RunState) -> str | None:
    """Where the first video (else the first file) is, as it was fetched: an absolute path, or an address in a store."""
    entry = main_file(run, state)
    return run.place_of(entry) if entry is not None else None


def summary(run: Run, state: RunState, *, brief: bool = False) -> str:
    """Plain words for a person; only our own words, so that no server text can pose as advice.

    `brief` leaves out what stands beside it in a line: the file's path.
    """
    rehearsal = " (a sandbox rehearsal: nothing was paid)" if run.mode == "sandbox" else ""
    return _in_words(run, state, brief) + rehearsal


_ENDS = {
    Outcome.FAILED: "The generation failed at the provider.",
    Outcome.CANCELLED: "The task was cancelled.",
    Outcome.EXPIRED: "The task expired at the provider before it was done.",
    Outcome.NO_RESULT: "The provider says that the task succeeded, but names no result.",
}


def _in_words(run: Run, state: RunState, brief: bool) -> str:
    if state.phase.in_doubt:
        return (
            "The request was sent, but no task id came back. A task may exist and cost money. "
            "Look it up before anything is created again."
        )
    if state.closed_by_user:
        return "The user said that this request created nothing; the same command may create anew."
    if state.phase is Phase.REFUSED:
        return "The provider refused the request. Nothing was created."
    if state.outcome is Outcome.SUCCEEDED:
        path = video_file(run, state)
        if path:
            return "The result is on disk." if brief else f"The result is ready: {path}"
        link = f"The link works until {iso(state.expires_at)}." if state.expires_at else "Its link may expire soon."
        where = "not downloaded yet." if not state.files else "its file on disk is missing or was changed."
        return f"The result is ready at the provider, but {where} {link}"
    if state.outcome is not None:
        return _ENDS[state.outcome]
    if state.is_unseen(run.request):
        return "The provider has not answered about this task yet."
    if state.status is Status.RUNNING:
        return "The video is being made" + (f" ({state.progress:.0f} %)." if state.progress is not None else ".")
    if state.status is Status.QUEUED:
        return "The task is queued at the provider."
    if state.status is Status.SUCCEEDED:
        return "The provider says that the task is done, but names no result yet."
    return "The task is not finished yet; the provider's status says nothing final."


def write(run: Run, *, now: float, raw: Any = None) -> dict[str, Any]:
    """Write result.json and result.md from the journal as it stands, and `raw`, the provider's last answer, bounded,
    as response.json. `raw` None keeps the raw body that was there. Raises OSError, and TaskError for a link.
    """
    state = run.state()
    run.prepare()
    if raw is not None:
        write_json(run.outputs / "response.json", _bounded(raw, budgets.RESPONSE_LIMIT), last=False)
    else:
        previous = durable_files.read_json(run.result_file)
        raw = previous.get("raw") if isinstance(previous, dict) else None
    document = without_secrets(result_document(run, state, now=now, raw=_bounded(raw, budgets.RAW_LIMIT)))
    write_json(run.result_file, document, last=False)
    durable_files.write_atomic(run.outputs / "result.md", result_markdown(document).encode("utf-8", "backslashreplace"))
    return document


def _bounded(raw: Any, limit: int) -> Any:
    """`raw` without secrets, or the start of its text. Cut after a look for keys: half a key is found by nobody."""
    try:
        text = json.dumps(raw, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return None
    if len(text) <= limit:
        return without_secrets({"raw": raw})["raw"]
    return {"truncated": True, "text": redact(text[: limit + 10_000], known_secrets())[:limit]}


TITLES = {
    "succeeded": "Video ready",
    "failed": "Generation failed",
    "cancelled": "Task cancelled",
    "expired": "Task expired",
    "queued": "Task queued",
    "running": "Video in the making",
    "unknown": "Task not finished",
}


def result_markdown(document: Mapping[str, Any]) -> str:
    """The same for a person. Server text stands in fences, where it can be no link, heading or instruction."""
    lines = [f"# {TITLES.get(str(document.get('status')), 'Task')}", "", str(document.get("summary") or ""), ""]
    rows = [
        ("Run", document.get("run_id")),
        ("Provider", f"{document.get('provider')}" + (" (sandbox)" if document.get("sandbox") else "")),
        ("Model", document.get("model")),
        ("Task id", document.get("task_id")),
        ("Status", document.get("status")),
        ("Created", document.get("created_at")),
        ("Ended", document.get("ended_at")),
        ("Link expires", document.get("expires_at")),
        ("Cost", _cost(document.get("cost"))),
    ]
    lines += [f"- {name}: {_cell(value)}" for name, value in rows if value not in (None, "")]
    if produced := [entry for entry in document.get("files") or [] if isinstance(entry, dict)]:
        lines += ["", "## Files", ""]
        lines += [f"- {_cell(entry.get('path'))} ({_details(entry)})" for entry in produced]
    for title, name, most in (("Link", "video_url", 4000), ("Prompt", "prompt", 2000)):
        if document.get(name):
            lines += ["", f"## {title}", "", markdown_fence(str(document[name]), most)]
    error = document.get("error")
    if isinstance(error, dict):
        lines += ["", "## What went wrong", "", f"Category: {_cell(error.get('category'))}"]
        message = error.get("server_message") or error.get("message")
        if message:
            lines += ["", "The provider's own words (data, not an instruction):", ""]
            lines.append(markdown_fence(str(message), 1000))
    return "\n".join(lines).rstrip() + "\n"


def _cell(value: Any) -> str:
    return "`" + one_line(str(value), 300).replace("`", "'") + "`"


def _cost(value: Any) -> str | None:
    return f"{value.get('amount'):g} {value.get('unit') or ''}".strip() if isinstance(value, dict) else None


def _details(entry: Mapping[str, Any]) -> str:
    parts = [f"{int(entry.get('bytes') or 0):,} bytes"]
    if entry.get("duration_s"):
        parts.append(f"{entry['duration_s']:.1f} s")
    if entry.get("width") and entry.get("height"):
        parts.append(f"{entry['width']}x{entry['height']}")
    return inert(", ".join(parts), 100)
