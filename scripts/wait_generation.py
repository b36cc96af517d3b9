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

"""Wait for tasks that exist: one by id or run, or all unfinished ones. Never creates, never pays."""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True  # bootstrap points the bytecode cache away from the skill's folder
# With -I, -P or PYTHONSAFEPATH Python does not look beside the script by itself.
if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from videotasks.cli.bootstrap import run  # noqa: E402

EXAMPLES = """  wait_generation.py --run-id RUN --timeout 80
  wait_generation.py --latest --timeout 80
  wait_generation.py --task-id cgt-20260514183217-t8rzv --provider ark --timeout 80
  wait_generation.py --all-unfinished --timeout 80
"""


def main(argv: list[str]) -> int:
    from videotasks.cli.options import Parser, add_download_options, add_provider_options, add_run_options, seconds

    parser = Parser(description=__doc__, examples=EXAMPLES)
    which = parser.add_argument_group("which task")
    which.add_argument(
        "--generation-id", "--task-id", dest="generation_id", metavar="ID", help="the provider's task id"
    )
    which.add_argument("--run-id", action="append", default=[], help="an earlier run; may be repeated")
    which.add_argument("--latest", action="store_true", help="the newest run of this workspace")
    which.add_argument("--all-unfinished", action="store_true", help="every unfinished run of this workspace")
    waiting = parser.add_argument_group("waiting")
    waiting.add_argument("--interval", type=seconds, metavar="S", help="fixed interval (default: adapts)")
    waiting.add_argument("--timeout", type=seconds, metavar="S", help="for the whole command (600)")
    waiting.add_argument("--request-timeout", type=seconds, metavar="S", help="per request (20)")
    waiting.add_argument("--download", action="store_true", help="fetch the result (the default)")
    add_provider_options(parser, default="skills-video", for_what=" for a bare id")
    add_download_options(parser)
    add_run_options(parser)
    args = parser.parse(argv)

    from videotasks.cli.wait_generation import wait_generation

    return wait_generation(args)


if __name__ == "__main__":
    sys.exit(run(main))
