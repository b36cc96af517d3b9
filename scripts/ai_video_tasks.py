#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = [
#   "requests>=2.32",
#   "urllib3>=2.6",
#   "jsonschema>=4.20",
#   "pyyaml>=6.0.1",
#   "jmespath>=1.0.1",
#   "rich>=13",
#   "jinja2>=3.1.6",
# ]
# ///
"""All commands under one name, for people: words on stdout instead of JSON. The options are those of the scripts."""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True  # bootstrap points the bytecode cache away from the skill's folder
FOLDER = os.path.dirname(os.path.abspath(__file__))
if FOLDER not in sys.path:  # installed as a package: then this file is imported, and its folder is on no path
    sys.path.insert(0, FOLDER)

from videotasks.cli.bootstrap import run  # noqa: E402
from videotasks.core import invocation  # noqa: E402

WHAT = {
    "create": "make a video: one paid request, the wait, the file",
    "wait": "wait for tasks that exist",
    "status": "look at a task; list, fetch, cancel",
    "key": "whether a key is set, and where to get one",
    "inspect": "read a specification (JSON)",
    "error": "what an answer of an API means",
    "batch": "many videos from one file",
    "fleet": "the same by many machines",
    "gallery": "a page of what was made",
    "models": "which models there are",
    "mcp": "serve the commands as tools (MCP)",
    "sandbox": "serve the stand-in for other clients (JSON)",
}
ALWAYS_JSON = ("inspect", "mcp", "sandbox")
EXAMPLES = """  ai-video-tasks create --sandbox --prompt "a paper boat in the rain" --duration 4
  ai-video-tasks status --latest --sandbox
  ai-video-tasks create --help
"""


TYPE_CHECKING = False  # typing's own costs 4 ms of every start
if TYPE_CHECKING:
    from videotasks.cli.options import Parser


def build_parser() -> Parser:
    import argparse

    from videotasks.cli.options import Parser

    offered = [name for name, script in invocation.SUBCOMMANDS.items() if os.path.exists(os.path.join(FOLDER, script))]
    listing = "commands:\n" + "\n".join(f"  {name:10}{WHAT[name]}" for name in offered)
    parser = Parser(description=__doc__, examples=f"{EXAMPLES}\n{listing}\n", prog=invocation.COMMAND)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="JSON lines, as the scripts print them")
    shown.add_argument("--text", action="store_true", help="words for people (the default)")
    parser.add_argument("command", choices=offered, metavar="COMMAND", help=" | ".join(offered))
    parser.add_argument("options", nargs=argparse.REMAINDER, help="of that command: COMMAND --help")
    return parser


def main(argv: list[str]) -> int:
    invocation.called_as[:] = [os.path.abspath(sys.argv[0])]
    args = build_parser().parse(argv)

    import runpy

    if args.json:
        invocation.called_as.append("--json")
    sys.argv[1:] = args.options
    if not args.json and args.command not in ALWAYS_JSON and "--text" not in args.options:
        sys.argv.append("--text")
    runpy.run_path(os.path.join(FOLDER, invocation.SUBCOMMANDS[args.command]), run_name="__main__")
    return 0


def entry_point() -> int:
    """What the installed command starts."""
    argv = sys.argv[1:]
    return run(main, argv if "--json" in argv[:1] else ["--text", *argv])


if __name__ == "__main__":
    sys.exit(entry_point())
