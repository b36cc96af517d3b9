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
"""Many videos from one file, a row each. The plan comes first; the same command again pays for no row twice."""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True  # bootstrap points the bytecode cache away from the skill's folder
# With -I, -P or PYTHONSAFEPATH Python does not look beside the script by itself.
if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from videotasks.cli.bootstrap import run  # noqa: E402

EXAMPLES = """  batch.py shorts.csv --sandbox --dry-run
  batch.py shorts.csv --provider creatok --max-cost 200credits --poll-timeout 80
  batch.py shorts.yaml --retry-failed --only failed --dry-run
  batch.py - --set-default duration=8 < shorts.jsonl
"""


def main(argv: list[str]) -> int:
    from videotasks.cli.options import Parser, add_batch_options

    parser = Parser(description=__doc__, examples=EXAMPLES)
    parser.add_argument("file", metavar="FILE", help="CSV, JSON Lines or YAML, one row a video; - for standard input")
    add_batch_options(parser, default="skills-video")
    args = parser.parse(argv)

    from videotasks.cli.batch import batch

    return batch(args)


if __name__ == "__main__":
    sys.exit(run(main))
