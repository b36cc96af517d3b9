#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["pyyaml>=6.0.1", "jmespath>=1.0.1"]
# ///
"""Serve the local stand-in for the video APIs in the foreground, for any client: no key, no cost.

Prints one JSON line with the base URL of each provider when it is ready, and ends on Ctrl-C or SIGTERM.
Tasks live in the state file and follow the clock: they go on while nothing is running.
"""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True  # bootstrap points the bytecode cache away from the skill's folder
# With -I, -P or PYTHONSAFEPATH Python does not look beside the script by itself.
if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from videotasks.cli.bootstrap import run  # noqa: E402

EXAMPLES = """  sandbox.py --provider ark --port 8800
  sandbox.py --scenario stream-drop --state trouble.json
  sandbox.py --log sandbox-state.json
"""

TYPE_CHECKING = False  # typing's own costs 4 ms of every start
if TYPE_CHECKING:
    from videotasks.cli.options import Parser
    from videotasks.output.reporter import Reporter


def build_parser() -> Parser:
    from videotasks.cli.options import Parser
    from videotasks_sandbox.dialect import shipped
    from videotasks_sandbox.scenarios import SCENARIOS

    listing = "\n".join(f"  {name:24}{text}" for name, text in SCENARIOS.items())
    exit_codes = f"scenarios:\n{listing}\n\nexit codes: 0 stopped or printed  1 configuration  2 usage\n"
    parser = Parser(description=__doc__, examples=EXAMPLES, exit_codes=exit_codes)
    parser.add_argument("--provider", default="skills-video", choices=shipped(), help="whose base_url is printed first")
    parser.add_argument("--scenario", default="ok", help="trouble to rehearse (default: ok); slow:SECONDS is possible")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    parser.add_argument("--state", default="sandbox-state.json", help="state file (default: %(default)s)")
    parser.add_argument("--speed", type=float, default=1.0, help="divides the length of new tasks (default: 1)")
    parser.add_argument("--log", metavar="STATE", help="print what a state file has recorded, and end")
    parser.add_argument("--limit", type=int, default=15, help="how many tasks and requests --log prints; 0: everything")
    return parser


def print_log(path: str, limit: int, reporter: Reporter) -> int:
    from pathlib import Path

    from videotasks.core.errors import configuration_error
    from videotasks_sandbox.state import Store

    if not os.path.isfile(path):
        raise configuration_error(f"there is no state file {path}", code="no_state_file")
    state = Store(Path(path)).read()
    kept = ("id", "provider", "model", "prompt", "scenario", "created", "cancelled", "polls", "fetches", "request")
    tasks = [{name: task[name] for name in kept} for task in state["tasks"].values()][-limit:]
    if limit:
        tasks = [{**task, "prompt": task["prompt"][:80], "request": None} for task in tasks]
    return reporter.final(
        "log",
        0,
        creates=state["creates"],
        tasks_total=len(state["tasks"]),
        requests_total=len(state["requests"]),
        tasks=tasks,
        uploads=dict(list(state["uploads"].items())[-limit:]),
        requests=[entry if not limit else {**entry, "query": ""} for entry in state["requests"][-limit:]],
    )


def main(argv: list[str]) -> int:
    options = build_parser().parse(argv)

    from pathlib import Path

    import jmespath  # noqa: F401  the dialects need both at the first request
    import yaml  # noqa: F401

    from videotasks.core.errors import configuration_error
    from videotasks.core.workers import Mailbox, signals_to
    from videotasks.output.reporter import Reporter

    reporter = Reporter(verbose=True)  # no line is cut
    if options.log is not None:
        return print_log(options.log, options.limit, reporter)

    from videotasks_sandbox.server import Sandbox, SandboxError

    mailbox = Mailbox()
    # Until a signal comes, by the mailbox: a handler that sets an event hangs where that is being waited for.
    with signals_to(mailbox):
        try:
            sandbox = Sandbox(
                provider=options.provider,
                state_file=Path(options.state),
                scenario=options.scenario,
                host=options.host,
                port=options.port,
                speed=options.speed,
            )
        except SandboxError as problem:
            raise configuration_error(str(problem), code="invalid_arguments") from None
        except (OSError, OverflowError) as problem:
            raise configuration_error(
                f"cannot listen on {options.host} port {options.port}: {problem}", code="cannot_listen"
            ) from None
        with sandbox:
            how = {"api_key": sandbox.api_key}  # security scanners take `api_key=` for a secret
            reporter.event(
                "ready",
                **how,
                provider=options.provider,
                base_url=sandbox.base_url,
                base_urls=sandbox.base_urls(),
                scenario=options.scenario,
                scenario_not_for=sandbox.silent_about(),  # these providers are served as in the scenario ok
                state=os.path.abspath(options.state),
            )
            mailbox.get(None)
    return reporter.final("stopped", 0)


if __name__ == "__main__":
    sys.exit(run(main))
