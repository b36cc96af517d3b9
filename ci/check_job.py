"""Judge what a run of the main job printed and left in its folder."""

from __future__ import annotations

import json
from pathlib import Path

STDOUT_BOUND = 1500  # characters of a normal run, signed link included


def check_job(stdout: str, folder: Path) -> Path:
    """Return the video made by the run that printed `stdout` in `folder`; ValueError says what is wrong."""
    if len(stdout) >= STDOUT_BOUND:
        raise ValueError(f"stdout has {len(stdout)} characters, the bound is {STDOUT_BOUND}")
    events = [json.loads(line) for line in stdout.splitlines()]
    if not events:
        raise ValueError("nothing on stdout")
    last = events[-1]
    wanted = {"event": "terminal", "ok": True, "final": True, "exit_code": 0, "status": "succeeded"}
    wrong = {key: last.get(key) for key, value in wanted.items() if last.get(key) != value}
    if wrong:
        raise ValueError(f"the last line should have {wanted} but has {wrong}")
    if sum(event.get("final") is True for event in events) != 1:
        raise ValueError("not exactly one line is final")
    video = Path(last["video_file"])
    if not video.is_absolute() or not video.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"video_file is {video}, expected an absolute path under {folder}")
    if video.stat().st_size < 1000 or video.read_bytes()[4:8] != b"ftyp":
        raise ValueError(f"{video} is no MP4")
    result = json.loads((video.parent / "result.json").read_text(encoding="utf-8"))
    missing = {"task_id", "status", "video_url", "raw", "error"} - set(result)
    if missing:
        raise ValueError(f"result.json lacks {sorted(missing)}")
    return video
