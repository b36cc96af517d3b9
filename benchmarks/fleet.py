#!/usr/bin/env python3
"""A fleet on one machine: creates and looks a second, objects and bytes a task, milliseconds a claim.

    python3 benchmarks/fleet.py [--tasks 10000] [--workers 4] [--seconds 20] [--store s3]

An API of its own process takes the creates, lists up to 500 tasks an answer (ARK's dialect) and counts who asked for
what; each task ends after `--seconds` with a small video. The store is a folder, with `--store s3` a server that speaks
S3 in one process (moto), which is itself the slowest part by far. Needs distributed and obstore (Python 3.11).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"

SERVER = """
import http.server, json, sys, threading, time, urllib.parse
from videotasks_sandbox.mp4writer import render_video
lasts, movie = float(sys.argv[1]), render_video("a boat", width=64, height=36, duration_s=1).mp4
told = dict(creates=0, looks=0, lists=0, doubled=0, first=0, last=0)
born, prompts, guard = {}, {}, threading.Lock()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, data, kind="application/json"):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def shown(self, task):
        over = time.monotonic() - born[task] >= lasts
        url = "http" + f"://127.0.0.1:{self.server.server_address[1]}/{task}.mp4"
        return {"id": task, "model": "m", "status": "succeeded" if over else "running",
                "content": {"video_url": url} if over else None, "usage": {"total_tokens": 10}}
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with guard:
            text = body["content"][0]["text"]
            told["creates"] += 1
            told["doubled"] += text in prompts
            task = prompts[text] = f"cgt-{len(born)}"
            born[task] = told["last"] = time.monotonic()
            told["first"] = told["first"] or told["last"]
        self.answer({"id": task})
    def do_GET(self):
        path = urllib.parse.urlsplit(self.path)
        name = path.path.rsplit("/", 1)[1]
        if name == "told":
            return self.answer(told)
        if name.endswith(".mp4"):
            return self.answer(movie, "video/mp4")
        if name == "tasks":
            told["lists"] += 1
            ids = urllib.parse.parse_qs(path.query).get("filter.task_ids", [])
            found = [self.shown(task) for one in ids for task in one.split(",") if task in born]
            return self.answer({"items": found, "total": len(found)})
        told["looks"] += 1
        self.answer(self.shown(name))
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 512
server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""
STORE = SCRIPTS.parent / "tests" / "support" / "s3_server.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each task takes")
    parser.add_argument("--concurrency", type=int, default=2_000, help="tasks under way at once")
    parser.add_argument("--store", choices=("file", "s3"), default="file")
    options = parser.parse_args()
    env = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    env |= {"ARK_API_KEY": "ark-benchmark", "PYTHONPATH": str(SCRIPTS)}
    env |= {"ARK_SPECIFICATION_URL": "http" + "://127.0.0.1:9/nobody"}
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(options.seconds)], stdout=subprocess.PIPE, text=True, env=env
    )
    bucket: subprocess.Popen[bytes] | None = None
    try:
        assert server.stdout is not None
        base = "http" + f"://127.0.0.1:{server.stdout.readline().strip()}"
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            rows = "".join(f"r{n},boat number {n},5\n" for n in range(options.tasks))
            (folder / "rows.csv").write_text("id,prompt,duration\n" + rows, encoding="utf-8")
            store = f"file://{folder}/ledger"
            if options.store == "s3":
                bucket, store = serve_bucket(env)
            os.environ.update({name: value for name, value in env.items() if name.startswith("AWS_")})
            words = [sys.executable, str(SCRIPTS / "batch_fleet.py"), "rows.csv", "--store", store, "--provider", "ark"]
            words += ["--set-default", "model=doubao-seedance-1-5-pro-251215"]
            words += ["--base-url", f"{base}/api/v3", "--allow-http", "--allow-private-results"]
            words += ["--dask", "local", "--workers", str(options.workers), "--shard-rows", "250"]
            words += ["--concurrency", str(options.concurrency), "--poll-timeout", "36000"]
            began = time.monotonic()
            done = subprocess.run(words, env=env, cwd=folder, capture_output=True, text=True)
            wall = time.monotonic() - began
            final = json.loads(done.stdout.splitlines()[-1])
            if final["exit_code"]:
                raise SystemExit(f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
            with urllib.request.urlopen(f"{base}/told", timeout=10) as answer:
                told = json.loads(answer.read())
            usage = os.times()
            report(options, told, wall, usage.children_user + usage.children_system, store)
    finally:
        server.terminate()
        if bucket is not None:
            bucket.terminate()


def serve_bucket(env: dict[str, str]) -> tuple[subprocess.Popen[bytes], str]:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, str(STORE), str(port)]
    process = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    at = "http" + f"://127.0.0.1:{port}"
    make = urllib.request.Request(f"{at}/films", method="PUT")
    make.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=none/20261126/us-east-1/s3/aws4_request")
    for _ in range(200):
        try:
            urllib.request.urlopen(make, timeout=5).close()
            break
        except OSError:
            time.sleep(0.1)
    env |= {"AWS_ENDPOINT_URL": at, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    env |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    return process, "s3://films/fleet"


def report(options: argparse.Namespace, told: dict[str, Any], wall: float, cpu: float, store: str) -> None:
    sys.path.insert(0, str(SCRIPTS))
    from videotasks.fleet.objects import Objects

    objects = Objects(store)
    names = objects.names("")
    sizes = [len(objects.read(name) or b"") for name in names[:: max(len(names) // 2_000, 1)]]
    tasks, span = options.tasks, max(told["last"] - told["first"], 0.001)
    looks, stored = told["lists"] + told["looks"], sum(sizes) / max(len(sizes), 1) * len(names)
    print(f"{tasks} tasks, {options.workers} workers, store {options.store}: {wall:.0f} s, {cpu:.0f} s of processor")
    print(
        f"creates: {told['creates']}, {told['doubled']} doubled, {told['creates'] / span:.1f} a second as they went out"
    )
    print(
        f"looks: {told['lists']} lists, {told['looks']} single: {looks / wall:.1f} a second, {looks / tasks:.2f} a task"
    )
    print(f"objects: {len(names) / tasks:.1f} a task, {stored / tasks:,.0f} bytes a task, a small video among them")
    kinds: dict[str, int] = {}
    for name in names:
        parts = name.split("/")
        kind = f"runs/{parts[2].partition('.')[0]}" if parts[0] == "runs" else parts[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    print("  " + ", ".join(f"{kind} {count / tasks:.2f}" for kind, count in sorted(kinds.items())))
    took = []
    for number in range(200):
        began = time.perf_counter()
        objects.create(f"claims/benchmark-{number}", b"x" * 300)
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    print(f"a claim: {took[100]:.1f} ms (median), {took[190]:.1f} ms (95 of 100)")


if __name__ == "__main__":
    main()
