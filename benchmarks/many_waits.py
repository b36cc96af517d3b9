#!/usr/bin/env python3
"""Waiting for many tasks in one process: its memory, processor time and requests, and how late each end is seen.

    python3 benchmarks/many_waits.py [--tasks 1000] [--seconds 60]

A server on loopback (in a process of its own) holds tasks that end after `--seconds`. First one task is waited for,
then all of the others with `wait_generation.py --all-unfinished`; no interval is given, so that polling adapts.
Goals for 1,000 tasks of 60 s: at most 60 MB and 15 s of processor time, every end seen within 12 s, and no more
requests per task than waiting for one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
MEMORY_GOAL_MB, CPU_GOAL_S, LAG_GOAL_S = 60.0, 15.0, 12.0

SERVER = """
import http.server, json, sys, threading, time
from collections import Counter
asked, born, late, lasts = Counter(), {}, {}, float(sys.argv[1])
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        task = f"gen_{len(born)}"
        born[task] = None
        self.answer({"id": task, "status": "IN_QUEUE"})
    def do_GET(self):
        task = self.path.rsplit("/", 1)[1]
        if task == "asked":
            return self.answer(asked)
        if task == "late":
            return self.answer(late)
        asked[task] += 1
        born[task] = born.get(task) or time.monotonic()
        over = time.monotonic() - born[task] >= lasts
        if over:
            late.setdefault(task, time.monotonic() - born[task] - lasts)
        url = "http" + f"://127.0.0.1:{self.server.server_address[1]}/video.mp4"
        self.answer({"id": task, "status": "COMPLETED", "data": {"video": {"url": url}}} if over
                    else {"id": task, "status": "IN_PROGRESS"})
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 256
server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


def run(argv: list[str], env: dict[str, str], cwd: str) -> tuple[float, float, float, str]:
    """(peak MB, CPU s, wall s, stdout) of one command."""
    began = time.perf_counter()
    process = subprocess.Popen(argv, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    printed = process.stdout.read()
    process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{argv} ended with {process.returncode}\n{printed[-2000:]}")
    peak = usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    return peak, usage.ru_utime + usage.ru_stime, time.perf_counter() - began, printed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each task takes after its first look")
    options = parser.parse_args()
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(options.seconds)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        base = "http" + f"://127.0.0.1:{server.stdout.readline().strip()}"
        with tempfile.TemporaryDirectory() as folder:
            env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
            env["SKILLS_VIDEO_API_KEY"] = "sk-benchmark"
            common = ["--base-url", base, "--no-download"]
            wait = [sys.executable, str(SCRIPTS / "wait_generation.py")]
            one = run([*wait, "--generation-id", "gen_alone", *common], env, folder)
            make_runs(folder, base, options.tasks)
            many = run([*wait, "--all-unfinished", *common], env, folder)
            asked, late = Counter(told(base, "asked")), told(base, "late")
            final = json.loads(many[3].splitlines()[-1])
    finally:
        server.terminate()
    alone = asked.pop("gen_alone")
    per_task = sum(asked.values()) / max(len(asked), 1)
    print(f"{'':12}{'tasks':>8}{'peak MB':>9}{'CPU s':>8}{'wall s':>8}{'requests per task':>20}")
    print(f"{'one':12}{1:8}{one[0]:9.1f}{one[1]:8.2f}{one[2]:8.1f}{alone:20.2f}")
    print(f"{'many':12}{len(asked):8}{many[0]:9.1f}{many[1]:8.2f}{many[2]:8.1f}{per_task:20.2f}")
    print(
        f"most requests for one of many: {max(asked.values())}; unfinished: {final['unfinished']} of {final['total']}"
    )
    lag = max(late.values())
    print(f"worst lag {lag:.1f} s; stdout of many: {len(many[3])} characters")
    print(f"goals: {MEMORY_GOAL_MB:.0f} MB, {CPU_GOAL_S:.0f} s, {alone} requests per task, lag {LAG_GOAL_S:.0f} s")


def make_runs(folder: str, base: str, count: int) -> None:
    """Run folders as `create_and_wait.py --no-wait` leaves them: 200 starts of it would outlast the wait."""
    now = time.time()
    for number in range(count):
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(now))
        run_folder = Path(folder) / "task-status" / ".artifacts" / f"{stamp}-{number:010x}"
        (run_folder / "inputs").mkdir(parents=True)
        request = {
            "run_id": run_folder.name, "provider": "skills-video", "kind": "video", "mode": "real", "origin": base,
            "created_at": at, "identity": f"{number:064x}", "prompt": f"boat {number}", "take": 1,
        }  # fmt: skip
        (run_folder / "inputs" / "request.json").write_text(json.dumps(request), encoding="utf-8")
        events = [{"event": "submitting"}, {"event": "submitted", "task_id": f"gen_many_{number}", "kind": "video"}]
        lines = [json.dumps({"at": at, **event}) + "\n" for event in events]
        (run_folder / "journal.jsonl").write_text("".join(lines), encoding="utf-8")


def told(base: str, what: str) -> dict[str, float]:
    """What the server has counted, by task."""
    import urllib.request

    with urllib.request.urlopen(f"{base}/{what}", timeout=10) as answer:
        table: dict[str, float] = json.load(answer)
    return table


if __name__ == "__main__":
    main()
