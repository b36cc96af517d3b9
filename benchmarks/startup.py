#!/usr/bin/env python3
"""What a command costs before it does anything: `--help` over an empty Python, one status look over `import requests`.

    python3 benchmarks/startup.py [--rounds 25] [--imports] [--server]

`--server` measures the MCP server instead: from `uv run` to its list of tools (goal 1.5 s, with a warm cache).

CPU time (user and system) of whole processes, started in turns, so that a busy machine slows all of them alike; medians
and the medians of the ratios within each round. The look goes to a server on loopback in this process. No timed test
rests on this: the numbers depend on the machine, the ratios hardly do.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
ENTRY = sorted(path.name for path in SCRIPTS.glob("*.py"))
HELP_GOAL_MS, LOOK_GOAL, SERVER_GOAL_S = 40.0, 1.45, 1.5
TASK = {"id": "gen_1", "status": "IN_PROGRESS", "created_at": "2026-11-21T09:30:00Z"}


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps(TASK).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def cost(argv: list[str], env: dict[str, str], cwd: str) -> tuple[float, float]:
    """(CPU, wall) milliseconds of one process; fails when it does."""
    began = time.perf_counter()
    process = subprocess.Popen(argv, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.stdout, process.stderr
    assert out is not None and err is not None
    printed, told = out.read(), err.read()
    if hasattr(os, "wait4"):
        _, status, usage = os.wait4(process.pid, 0)
        code = process.returncode = os.waitstatus_to_exitcode(status)
        cpu = (usage.ru_utime + usage.ru_stime) * 1000
    else:  # Windows has no rusage: wall time stands in
        code, cpu = process.wait(), (time.perf_counter() - began) * 1000
    if code:
        raise SystemExit(f"{argv} ended with {code}\n{printed.decode()}\n{told.decode()}")
    return cpu, (time.perf_counter() - began) * 1000


def first_list(argv: list[str], env: dict[str, str], cwd: str) -> float:
    """Seconds from the start of a server to its list of tools."""
    client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}
    messages = (
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    )
    began = time.perf_counter()
    with subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
        process.stdin.flush()
        for line in process.stdout:
            if json.loads(line).get("id") == 2:
                took = time.perf_counter() - began
                process.stdin.close()
                return took
    raise SystemExit(f"{argv} ended without a list of tools")


def server_start(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        argv = ["uv", "run", str(SCRIPTS / "mcp_server.py"), "--workspace", folder, "--sandbox"]
        first_list(argv, env, folder)  # fetches the packages and compiles them
        took = sorted(first_list(argv, env, folder) for _ in range(rounds))
    middle = statistics.median(took)
    print(
        f"{rounds} rounds: list of tools after {middle:.2f} s, {took[0]:.2f} to {took[-1]:.2f} (goal {SERVER_GOAL_S})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--imports", action="store_true", help="also list the dearest imports of one look")
    parser.add_argument("--server", action="store_true", help="measure the MCP server instead, by uv")
    options = parser.parse_args()
    if options.server:
        return server_start(options.rounds)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = "http" + f"://127.0.0.1:{server.server_address[1]}"
    python = options.python
    with tempfile.TemporaryDirectory() as folder:
        env = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT", "TEMP") if name in os.environ}
        env["SKILLS_VIDEO_API_KEY"] = "sk-benchmark"
        look = [python, str(SCRIPTS / "task_status.py"), "gen_1", "--provider", "skills-video", "--base-url", base]
        commands: dict[str, list[str]] = {
            "empty": [python, "-c", ""],
            "requests": [python, "-c", "import requests"],
            "look": look,
            "look --latest": [*look[:2], "--latest", *look[3:]],
        }
        commands.update({f"{name} --help": [python, str(SCRIPTS / name), "--help"] for name in ENTRY})
        for argv in commands.values():
            cost(argv, env, folder)  # compiles and fills caches
        rounds: list[dict[str, tuple[float, float]]] = []
        for _ in range(options.rounds):
            rounds.append({name: cost(argv, env, folder) for name, argv in commands.items()})

        def middle(name: str, which: int = 0) -> float:
            return statistics.median(one[name][which] for one in rounds)

        def over(name: str, base_name: str) -> float:
            return statistics.median(one[name][0] - one[base_name][0] for one in rounds)

        print(f"{options.rounds} rounds, {python}")
        print(f"{'':32}{'CPU ms':>8}{'wall ms':>9}")
        for name in commands:
            print(f"{name:32}{middle(name):8.1f}{middle(name, 1):9.1f}", end="")
            if name.endswith("--help"):
                more = over(name, "empty")
                print(f"   +{more:.1f} ms over an empty Python (goal {HELP_GOAL_MS:.0f})", end="")
            if name.startswith("look"):
                ratio = statistics.median(one[name][0] / one["requests"][0] for one in rounds)
                print(f"   {ratio:.2f} x `import requests` (goal {LOOK_GOAL})", end="")
            print()
        if options.imports:
            argv = [python, "-X", "importtime", *look[1:]]
            done = subprocess.run(argv, env=env, cwd=folder, capture_output=True, text=True)
            rows = [line[12:].split("|") for line in done.stderr.splitlines() if line.startswith("import time:")][1:]
            for own, total, name in sorted(rows, key=lambda row: -int(row[0]))[:40]:
                print(f"{int(own) / 1000:8.2f} ms own {int(total) / 1000:8.2f} ms with its imports  {name.strip()}")


if __name__ == "__main__":
    main()
