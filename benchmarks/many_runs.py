#!/usr/bin/env python3
"""Commands among many run folders against the same commands among ten.

    python3 benchmarks/many_runs.py [--runs 10000] [--repeats 5]

Most of the folders hold a task that has ended, one in a hundred is unfinished. A server on loopback answers. Each
command is run `--repeats` times in a process of its own (a create with a new prompt each time), and the fastest counts:
what else the machine does only makes one slower. Processor time is shown beside it, for a machine that is busy.
Goals: a create, a look by task id and a wait take at most 50 ms longer; --latest and --list stay under 1 s. The first
--list, which has nothing to build on, is shown beside them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
FEW = 10
MORE_S, WHOLE_S = 0.05, 1.0

SERVER = """
import http.server, json
made = 0
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
        global made
        self.rfile.read(int(self.headers["Content-Length"]))
        made += 1
        self.answer({"id": f"gen_new_{made}", "status": "IN_QUEUE"})
    def do_GET(self):
        self.answer({"id": self.path.rsplit("/", 1)[1], "status": "FAILED", "message": "no frames"})
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


def make_runs(root: Path, base: str, count: int, now: float) -> None:
    """Run folders as commands leave them, a minute apart."""
    for number in range(count):
        moment = now - 60.0 * (count - number)
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(moment))
        intent = hashlib.sha256(f"intent {number}".encode()).hexdigest()
        body = hashlib.sha256(f"body {number}".encode()).hexdigest()
        folder = root / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(moment))}-{intent[:5]}-{body[:4]}"
        (folder / "inputs").mkdir(parents=True)
        (folder / "outputs").mkdir()
        request = {
            "schema_version": 2, "run_id": folder.name, "provider": "skills-video", "kind": "video", "mode": "real",
            "origin": base, "created_at": at, "intent": intent, "identity": body, "prompt": f"boat {number}", "take": 1,
            "payload": {"prompt": f"boat {number}"}, "endpoint": "POST /generation/openai/sora-2",
        }  # fmt: skip
        (folder / "inputs" / "request.json").write_text(json.dumps(request, indent=1), encoding="utf-8")
        events = [
            {"event": "submitting"},
            {"event": "submitted", "task_id": f"gen_many_{number}", "kind": "video"},
            {"event": "status", "status": "running", "provider_status": "IN_PROGRESS"},
        ]
        if number % 100:
            events += [
                {"event": "ended", "outcome": "failed", "status": "failed", "error": {"message": "no frames"}},
                {"event": "reported", "exit_code": 4},
            ]
        lines = [json.dumps({"at": at, **event}) + "\n" for event in events]
        (folder / "journal.jsonl").write_text("".join(lines), encoding="utf-8")


def timed(argv: list[str], env: dict[str, str], cwd: str) -> tuple[float, float]:
    """(wall, processor) seconds of one command."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *argv], env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    printed, said = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    took = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
    if not printed or json.loads(printed.splitlines()[-1]).get("event") == "error":
        raise SystemExit(f"{argv} ended with {process.returncode}: {printed[-500:]!r} {said[-500:]!r}")
    return took


def measure(folder: str, base: str, count: int, repeats: int) -> dict[str, tuple[float, float]]:
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env["SKILLS_VIDEO_API_KEY"] = "sk-benchmark"
    env["SKILLS_VIDEO_SPECIFICATION_URL"] = "http" + "://127.0.0.1:9/nobody"
    make_runs(Path(folder) / "task-status" / ".artifacts", base, count, time.time() - 60)
    place = ["--base-url", base]
    known = f"gen_many_{count // 2 + 1}"
    status, wait = str(SCRIPTS / "task_status.py"), str(SCRIPTS / "wait_generation.py")
    create = [str(SCRIPTS / "create_and_wait.py"), "--provider", "skills-video", "--no-wait", *place]
    create += ["--payload", '{"prompt": "boat %d"}', "--sse-endpoint", "/generation/sse/openai/sora-2"]
    first = timed([status, "--list", *place], env, folder)
    commands = {
        "create": create,
        "look by id": [status, "--task-id", known, *place],
        "wait": [wait, "--task-id", known, *place],
        "--latest": [status, "--latest", *place],
        "--list": [status, "--list", *place],
        "--status unfinished": [status, "--list", "--status", "unfinished", *place],
    }
    took = {"first --list": first}
    for name, argv in commands.items():
        tries = []
        for number in range(repeats):
            tries.append(timed([word.replace("%d", f"{time.time_ns()}{number}") for word in argv], env, folder))
        took[name] = min(wall for wall, _ in tries), min(cpu for _, cpu in tries)
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        base = "http" + f"://127.0.0.1:{server.stdout.readline().strip()}"
        with tempfile.TemporaryDirectory() as small, tempfile.TemporaryDirectory() as large:
            few = measure(small, base, FEW, options.repeats)
            many = measure(large, base, options.runs, options.repeats)
    finally:
        server.terminate()
    missed = False
    print(f"{'':22}{f'{FEW} runs':>20}{f'{options.runs} runs':>20}{'more':>20}")
    print(f"{'wall and processor, ms':22}" + f"{'wall':>11}{'processor':>9}" * 3)
    for name, took in many.items():
        more = took[0] - few[name][0]
        bad = name != "first --list" and (took[0] > WHOLE_S if name.startswith("--") else more > MORE_S)
        missed = missed or bad
        cells = (*few[name], *took, more, took[1] - few[name][1])
        print(
            f"{name:22}"
            + "".join(f"{1000 * one:{11 - 2 * (n % 2)}.0f}" for n, one in enumerate(cells))
            + "  missed" * bad
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
