"""Runs and batches on disk as the store makes them, for pages that show them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from videotasks.runs.machine_mark import mark_of
from videotasks.runs.store import Run, RunStore

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'>{{7*7}}{% raw %} \x1b[31m \u202e & ]]>"


def make_run(
    root: Path, run_id: str | None = None, *, at: float = 1.8e9, events: Sequence[Any] = (), **request: Any
) -> Run:
    """A run as the store makes it; `events` are (name, fields)."""
    store = RunStore(root)
    store.prepare()
    record = {"mode": "real", "provider": "acme", "origin": "https://api.acme.example", "prompt": "a kite", **request}
    run = store.create(record, now=at, run_id=run_id)
    for name, fields in events:
        run.record(name, at, **fields)
    return run


def file_of(run: Run, name: str, kind: str = "video", data: bytes = b"bytes") -> dict[str, Any]:
    (run.outputs / name).write_bytes(data)
    return {"path": f"outputs/{name}", "kind": kind, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def succeeded(root: Path, run_id: str | None = None, *, data: bytes = b"bytes", **request: Any) -> Run:
    run = make_run(root, run_id, **request)
    run.record("submitting", 1.8e9)
    run.record("submitted", 1.8e9, task_id=f"task-{run.run_id}")
    run.record("ended", 1.8e9, status="succeeded", outcome="succeeded", cost=12.0, cost_unit="credits")
    measured = {**file_of(run, "video.mp4", data=data), "duration_s": 4.0, "width": 1280, "height": 720}
    run.record("downloaded", 1.8e9, files=[measured])
    return run


def failed(root: Path, run_id: str, server_message: str, category: str = "moderation", **request: Any) -> Run:
    run = make_run(root, run_id, **request)
    run.record("submitted", 1.8e9, task_id=f"task-{run_id}")
    error = {"category": category, "message": "not shown", "server_message": server_message}
    run.record("ended", 1.8e9, status="failed", outcome="failed", error=error)
    return run


def by_hand(root: Path, run_id: str, prompt: str, video: Path | None = None) -> None:
    """A run of this machine without the locks and looks of the store, which take most of the time of hundreds."""
    folder = root / run_id
    (folder / "inputs").mkdir(parents=True)
    at = "2026-01-01T00:00:00Z"
    request = {"run_id": run_id, "mode": "real", "provider": "acme", "prompt": prompt, "created_at": at}
    request["mark"] = str(mark_of(request))
    (folder / "inputs" / "request.json").write_text(json.dumps(request))
    events: list[dict[str, Any]] = [{"event": "submitted", "at": at, "task_id": run_id}]
    if video is not None:
        (folder / "outputs").mkdir()
        os.link(video, folder / "outputs" / "video.mp4")
        data = video.read_bytes()
        file = {"kind": "video", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        events.append({"event": "ended", "at": at, "status": "succeeded", "outcome": "succeeded"})
        events.append({"event": "downloaded", "at": at, "files": [{"path": "outputs/video.mp4", **file}]})
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def batch(root: Path, rows: Any, name: str = "shorts") -> Path:
    folder = root / "batches" / name
    folder.mkdir(parents=True)
    (folder / "batch.json").write_text(json.dumps({"version": 1, "id": name, "file": "b.yaml", "rows": rows}))
    return folder
