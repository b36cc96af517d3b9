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
# ]
# ///

"""Classify an API's answer: what went wrong, may it be sent again, what to tell the user."""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True  # bootstrap points the bytecode cache away from the skill's folder
# With -I, -P or PYTHONSAFEPATH Python does not look beside the script by itself.
if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from videotasks.cli.bootstrap import run  # noqa: E402

EXAMPLES = """  handle_runtime_error.py --status 402 --body '{"message": "insufficient credits"}'
  handle_runtime_error.py --provider octopusx --status 403 --body-file answer.json --operation create
  handle_runtime_error.py --provider ./mine.yaml --check-answer created.json --as create
"""
EXIT_CODES = """exit codes: 0 no error  1 configuration  2 usage  10 the task itself failed
  20 insufficient_credits  21 auth  22 validation  23 not_found  24 transient, rate_limited
  25 unknown  26 moderation  27 permission
"""


def main(argv: list[str]) -> int:
    from videotasks.cli.options import Parser, add_provider_options, add_run_options

    parser = Parser(description=__doc__, examples=EXAMPLES, exit_codes=EXIT_CODES)
    parser.add_argument("--status", type=int, metavar="HTTP", help="the HTTP status")
    parser.add_argument("--body", help="the answer's body")
    parser.add_argument("--body-file", metavar="FILE", help="the body from a file, or - for standard input")
    parser.add_argument("--retry-after", metavar="VALUE", help="the Retry-After header, if there was one")
    parser.add_argument(
        "--operation", choices=["create", "poll", "download"], default="create", help="which call was answered (create)"
    )
    parser.add_argument("--check-answer", metavar="FILE", help="show what the profile reads out of a stored answer")
    parser.add_argument(
        "--as",
        dest="as_kind",
        choices=["create", "status", "list", "error"],
        help="what was answered, for --check-answer",
    )
    parser.add_argument("--credits-endpoint", default="/credits", metavar="PATH", help="the balance's path (/credits)")
    add_provider_options(parser, default="skills-video")
    add_run_options(parser)
    args = parser.parse(argv)

    from videotasks.cli.handle_runtime_error import handle_runtime_error

    return handle_runtime_error(args)


if __name__ == "__main__":
    sys.exit(run(main))
