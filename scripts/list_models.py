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
"""Which models there are, what they take and what is known of their price. Sends nothing that pays."""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True  # bootstrap points the bytecode cache away from the skill's folder
# With -I, -P or PYTHONSAFEPATH Python does not look beside the script by itself.
if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from videotasks.cli.bootstrap import run  # noqa: E402

EXAMPLES = """  list_models.py --search kling
  list_models.py --provider skills-video --text
  list_models.py --provider skills-video --model kling-ai/kling-v2.6
  list_models.py --provider fal --live --search veo
"""
EXIT_CODES = """exit codes: 0 the list  1 no such model or provider  2 usage
"""


def main(argv: list[str]) -> int:
    from videotasks.cli.options import Parser, add_run_options, positive_int

    parser = Parser(description=__doc__, examples=EXAMPLES, exit_codes=EXIT_CODES)
    parser.add_argument("--search", metavar="WORDS", help="only models whose id, note or provider has all these words")
    parser.add_argument("--provider", metavar="NAME", help="only this provider's")
    parser.add_argument("--model", metavar="ID", help="this one, with every member of its body")
    parser.add_argument("--live", action="store_true", help="ask the provider now: its list, or with --model that one")
    parser.add_argument("--makes", choices=("video", "image", "all"), default="video", help="(video)")
    parser.add_argument("--limit", type=positive_int, default=15, metavar="N", help="at most so many rows (15)")
    add_run_options(parser)
    args = parser.parse(argv)

    from videotasks.cli.list_models import list_models

    return list_models(args)


if __name__ == "__main__":
    sys.exit(run(main))
