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
#   "mcp>=2.3,<3",
# ]
# ///
"""Serve the commands as tools of an MCP server on standard input and output, for assistants without a shell."""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True  # bootstrap points the bytecode cache away from the skill's folder
# With -I, -P or PYTHONSAFEPATH Python does not look beside the script by itself.
if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from videotasks.cli.bootstrap import run  # noqa: E402

EXAMPLES = """  mcp_server.py --workspace ~/Videos/ai
  mcp_server.py --workspace ~/Videos/ai --sandbox
  mcp_server.py --workspace ~/Videos/ai --provider fal --max-cost 2USD --max-cost-per-day 10USD
"""
EXIT_CODES = """exit codes: 0 the client went away  1 configuration  2 usage  130/143 interrupted
"""


TYPE_CHECKING = False  # typing's own costs 4 ms of every start
if TYPE_CHECKING:
    from videotasks.cli.options import Parser


def build_parser() -> Parser:
    from videotasks.cli.options import Parser

    parser = Parser(description=__doc__, examples=EXAMPLES, exit_codes=EXIT_CODES)
    parser.add_argument("--workspace", metavar="DIR", help="the project in which runs live (default: the current one)")
    parser.add_argument("--provider", metavar="NAME", help="meant where a call names none (a name, or a path of yours)")
    parser.add_argument("--sandbox", action="store_true", help="rehearse everything: no key, no cost, real video files")
    parser.add_argument("--sandbox-scenario", metavar="NAME", help="rehearse trouble (sandbox.py --help)")
    parser.add_argument("--max-cost", metavar="20credits", help="refuse when the price is above this, or unknown")
    parser.add_argument("--max-cost-per-day", metavar="100credits", help="refuse what would exceed this today (UTC)")
    parser.add_argument("--allow-unknown-cost", action="store_true", help="with a limit: accept an unknown price")
    return parser


def main(argv: list[str]) -> int:
    given = vars(build_parser().parse(argv))

    from videotasks.mcp_tools.server import enter_workspace, serve
    from videotasks.mcp_tools.tools import Settings

    enter_workspace(given.pop("workspace"))
    return serve(Settings(create_provider="skills-video", **given))


if __name__ == "__main__":
    sys.exit(run(main))
