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
    from videotasks.cli.options import Parser, add_provider_options, add_run_options, positive_int, seconds

    parser = Parser(description=__doc__, examples=EXAMPLES)
    parser.add_argument("file", metavar="FILE", help="CSV, JSON Lines or YAML, one row a video; - for standard input")
    rows = parser.add_argument_group("rows")
    rows.add_argument(
        "--set-default",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="for every row that says nothing else; wins over the file's own defaults",
    )
    rows.add_argument(
        "--only", action="append", default=[], metavar="failed|unfinished|ID", help="these rows; may be repeated"
    )
    rows.add_argument("--skip-invalid", action="store_true", help="make the others, where some rows are not valid")
    rows.add_argument("--batch-id", metavar="NAME", help="whose limit and folder these are (default: by the file)")

    paying = parser.add_argument_group("paying")
    paying.add_argument("--dry-run", action="store_true", help="check every row, show the total; send nothing paid")
    paying.add_argument(
        "--max-cost", action="append", default=[], metavar="200credits", help="of the whole batch; once for each unit"
    )
    paying.add_argument("--max-cost-per-day", metavar="300credits", help="refuse what would exceed this today (UTC)")
    paying.add_argument("--allow-unknown-cost", action="store_true", help="with a limit: accept an unknown price")
    paying.add_argument(
        "--retry-failed", action="store_true", help="rows that failed or were refused once more, by a new take (pays)"
    )
    paying.add_argument(
        "--stop-after-unknown", type=positive_int, default=1, metavar="N", help="lost answers before it stops (1)"
    )
    paying.add_argument(
        "--stop-after-failed", type=positive_int, metavar="N", help="failed rows before it stops (default: never)"
    )

    waiting = parser.add_argument_group("creating and waiting")
    waiting.add_argument(
        "--concurrency", type=positive_int, metavar="N", help="tasks under way at once with one key (profile, else 10)"
    )
    waiting.add_argument(
        "--create-timeout", type=seconds(), default=120.0, metavar="S", help="for the answer to a create (120)"
    )
    waiting.add_argument("--poll-timeout", type=seconds(), metavar="S", help="for the whole command (900)")
    waiting.add_argument("--poll-interval", type=seconds(), metavar="S", help="fixed interval (default: adapts)")
    waiting.add_argument("--poll-request-timeout", type=seconds(), metavar="S", help="per request (20)")
    waiting.add_argument("--no-download", action="store_true", help="do not fetch the result files")
    waiting.add_argument("--force", action="store_true", help="let a row's output replace an existing file")
    waiting.add_argument(
        "--allow-private-results", action="store_true", help="accept result links to private addresses"
    )
    add_provider_options(parser, default="skills-video", for_what=" for rows that name none")
    add_run_options(parser)
    args = parser.parse(argv)

    from videotasks.cli.batch import batch

    return batch(args)


if __name__ == "__main__":
    sys.exit(run(main))
