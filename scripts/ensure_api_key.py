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

"""Is the provider's API key set? Says how to get and set one; never shows it. A key is never typed into a chat."""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True  # bootstrap points the bytecode cache away from the skill's folder
# With -I, -P or PYTHONSAFEPATH Python does not look beside the script by itself.
if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from videotasks.cli.bootstrap import run  # noqa: E402

EXAMPLES = """  ensure_api_key.py                      (skills-video)
  ensure_api_key.py --provider ark --verify
  ensure_api_key.py --all
"""
EXIT_CODES = """exit codes: 0 the key is set (--all: always)  1 it is not, or is unusable  2 usage
  with --verify also: 20 credits  21 auth  24 unreachable  27 permission
"""


def main(argv: list[str]) -> int:
    from videotasks.cli.options import Parser, add_provider_options, add_run_options

    parser = Parser(description=__doc__, examples=EXAMPLES, exit_codes=EXIT_CODES)
    parser.add_argument("--all", action="store_true", help="every provider, key found or not")
    parser.add_argument(
        "--verify", action="store_true", help="one free authenticated call; shows the balance if there is one"
    )
    add_provider_options(parser, default="skills-video")
    add_run_options(parser)
    args = parser.parse(argv)

    from videotasks.cli.ensure_api_key import ensure_api_key

    return ensure_api_key(args)


if __name__ == "__main__":
    sys.exit(run(main))
