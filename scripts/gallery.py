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
"""One page of what was made: videos, prompts, costs, errors. It opens in a browser from disk and loads nothing else."""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True  # bootstrap points the bytecode cache away from the skill's folder
# With -I, -P or PYTHONSAFEPATH Python does not look beside the script by itself.
if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from videotasks.cli.bootstrap import run  # noqa: E402

EXAMPLES = """  gallery.py --latest 20
  gallery.py --since 2d --output made.html
  gallery.py --run-id boat --run-id kite --sandbox
  gallery.py --batch shorts
"""
EXIT_CODES = """exit codes: 0 the page is written  1 no such run or batch, or no place to write  2 usage
"""


def main(argv: list[str]) -> int:
    from videotasks.cli.options import Parser, add_run_options, positive_int

    parser = Parser(description=__doc__, examples=EXAMPLES, exit_codes=EXIT_CODES)
    which = parser.add_argument_group("which runs")
    which.add_argument(
        "--latest", nargs="?", type=positive_int, const=20, metavar="N", help="the newest N (the default: 20)"
    )
    which.add_argument("--since", metavar="WHEN", help="those since then: 2h, 3d, or a date")
    which.add_argument("--run-id", action="append", metavar="ID", help="this run; may be repeated")
    which.add_argument("--batch", metavar="ID|DIR", help="every row of a batch")
    which.add_argument("--provider", metavar="NAME", help="with --latest or --since: only this provider's")
    which.add_argument("--sandbox", action="store_true", help="with --latest or --since: rehearsals, not real runs")
    page = parser.add_argument_group("the page")
    page.add_argument("--output", metavar="FILE|DIR", help="where (gallery.html beside the run folders)")
    page.add_argument("--force", action="store_true", help="let --output replace a file that is no such page")
    add_run_options(parser)
    args = parser.parse(argv)

    from videotasks.cli.gallery import gallery

    return gallery(args)


if __name__ == "__main__":
    sys.exit(run(main))
