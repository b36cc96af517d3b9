#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["pyyaml>=6.0.1", "jmespath>=1.0.1"]
# ///
"""Serve the local stand-in for the video APIs in the foreground, for any client: no key, no cost.

Prints one JSON line with the base URL of each provider when it is ready, and ends on Ctrl-C or SIGTERM.
Tasks live in the state file and follow the clock: they go on while nothing is running.
"""

import sys

if sys.version_info < (3, 10):
    # This file has to parse on an old Python to say so.
    print(
        '{"event": "error", "final": true, "ok": false, "exit_code": 1, '
        '"error": {"category": "configuration", "code": "python_too_old", "message": "Python 3.10 or newer is needed", '
        '"hint": "run the script with `uv run`, or with a newer python3"}, "next": null, "next_argv": null}'
    )
    sys.exit(1)

import argparse
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any, NoReturn

# With -I, -P or PYTHONSAFEPATH Python does not look beside the script by itself.
if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from videotasks_sandbox.dialect import shipped
from videotasks_sandbox.scenarios import SCENARIOS, SandboxError

EXIT_CONFIGURATION, EXIT_USAGE = 1, 2


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}, ensure_ascii=True), flush=True)


def fail(exit_code: int, code: str, message: str) -> NoReturn:
    category = "usage" if exit_code == EXIT_USAGE else "configuration"
    error = {"category": category, "code": code, "message": message}
    say("error", final=True, ok=False, exit_code=exit_code, error=error, message=message, next=None, next_argv=None)
    sys.exit(exit_code)


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments:"):  # their values are not repeated: one may be a key
            names = [word.split("=")[0] for word in message.split()[2:] if word.startswith("-")]
            message = "unknown option " + (", ".join(names) or "(a word that belongs to none)")
        fail(EXIT_USAGE, "usage", f"{message}; see {self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    listing = "\n".join(f"  {name:24}{text}" for name, text in SCENARIOS.items())
    parser = Parser(
        description=__doc__,
        epilog=f"scenarios:\n{listing}\n\nexit codes: 0 stopped or printed, 1 configuration, 2 usage",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--provider", default="skills-video", choices=shipped(), help="whose base_url is printed first")
    parser.add_argument("--scenario", default="ok", help="trouble to rehearse (default: ok); slow:SECONDS is possible")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    parser.add_argument(
        "--state", type=Path, default=Path("sandbox-state.json"), help="state file (default: %(default)s)"
    )
    parser.add_argument("--speed", type=float, default=1.0, help="divides the length of new tasks (default: 1)")
    parser.add_argument("--log", type=Path, metavar="STATE", help="print what a state file has recorded, and end")
    parser.add_argument("--limit", type=int, default=15, help="how many tasks and requests --log prints; 0: everything")
    return parser


def print_log(path: Path, limit: int) -> None:
    from videotasks_sandbox.state import Store

    if not path.is_file():
        fail(EXIT_CONFIGURATION, "no_state_file", f"there is no state file {path}")
    state = Store(path).read()
    kept = ("id", "provider", "model", "prompt", "scenario", "created", "cancelled", "polls", "fetches", "request")
    tasks = [{name: task[name] for name in kept} for task in state["tasks"].values()][-limit:]
    if limit:
        tasks = [{**task, "prompt": task["prompt"][:80], "request": None} for task in tasks]
    say(
        "log",
        final=True,
        ok=True,
        exit_code=0,
        creates=state["creates"],
        tasks_total=len(state["tasks"]),
        requests_total=len(state["requests"]),
        tasks=tasks,
        uploads=dict(list(state["uploads"].items())[-limit:]),
        requests=[entry if not limit else {**entry, "query": ""} for entry in state["requests"][-limit:]],
        next=None,
        next_argv=None,
    )


def main() -> None:
    options = build_parser().parse_args()
    if options.log is not None:
        print_log(options.log, options.limit)
        return
    try:
        import jmespath  # noqa: F401  the dialects need both at the first request
        import yaml  # noqa: F401
    except ImportError as missing:
        needed = "run the script with `uv run`, or in an environment of its own: python3 -m pip install pyyaml jmespath"
        fail(EXIT_CONFIGURATION, "missing_library", f"the Python package {missing.name} is missing; {needed}")
    from videotasks_sandbox.server import start_sandbox  # not for --help

    stop = threading.Event()
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: stop.set())
    try:
        sandbox = start_sandbox(
            provider=options.provider,
            state_file=options.state,
            scenario=options.scenario,
            host=options.host,
            port=options.port,
            speed=options.speed,
        )
    except SandboxError as problem:
        fail(EXIT_CONFIGURATION, "invalid_arguments", str(problem))
    except (OSError, OverflowError) as problem:
        fail(EXIT_CONFIGURATION, "cannot_listen", f"cannot listen on {options.host} port {options.port}: {problem}")
    with sandbox:
        ready = {
            "provider": options.provider,
            "base_url": sandbox.base_url,
            "base_urls": sandbox.base_urls(),
            "api_key": sandbox.api_key,
            "scenario": options.scenario,
            # These providers are served as in the scenario ok.
            "scenario_not_for": sandbox.silent_about(),
            "state": str(options.state.resolve()),
        }
        say("ready", **ready)
        # The time-out lets Windows deliver the signal.
        while not stop.wait(0.5):
            pass
    say("stopped", final=True, ok=True, exit_code=0, next=None, next_argv=None)


if __name__ == "__main__":
    try:
        main()
    finally:
        try:
            sys.stdout.flush()
        except (OSError, AttributeError):  # --help into a pipe that nobody reads any more
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
