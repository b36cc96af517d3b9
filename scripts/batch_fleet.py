#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "requests>=2.32",
#   "urllib3>=2.6",
#   "jsonschema>=4.20",
#   "pyyaml>=6.0.1",
#   "jmespath>=1.0.1",
#   "rich>=13",
#   "jinja2>=3.1.6",
#   "obstore>=0.12",
#   "distributed>=2026.1",
# ]
# ///
"""A batch by many machines: its ledger in an object store, its rows on Dask workers. A row is paid for once."""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True  # bootstrap points the bytecode cache away from the skill's folder
# With -I, -P or PYTHONSAFEPATH Python does not look beside the script by itself.
if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from videotasks.cli.bootstrap import run  # noqa: E402

EXAMPLES = """  batch_fleet.py shorts.csv --store ledger --sandbox --dask local
  batch_fleet.py shorts.csv --store s3://films/shorts --dask tcp://10.0.0.5:8786 --max-cost 900credits
  batch_fleet.py --scheduler :8786             on one machine, and on each other one:
  batch_fleet.py --worker tcp://10.0.0.5:8786
"""


def main(argv: list[str]) -> int:
    from videotasks.cli import options

    parser = options.Parser(description=__doc__, examples=EXAMPLES)
    parser.add_argument("file", nargs="?", metavar="FILE", help="as for batch.py, whose options all hold")
    fleet = parser.add_argument_group("fleet")
    fleet.add_argument("--store", metavar="ADDRESS", help="s3://BUCKET/PREFIX, gs://, az:// or a folder")
    fleet.add_argument("--dask", metavar="ADDRESS", help="tcp://HOST:PORT of a scheduler, or local (default: no Dask)")
    fleet.add_argument("--workers", type=options.positive_int, default=3, metavar="N", help="of --dask local (3)")
    fleet.add_argument(
        "--shard-rows", type=options.positive_int, metavar="N", help="rows that one worker gets at once (50)"
    )
    fleet.add_argument("--private", action="store_true", help="no prompt, answer or input goes into the store")
    options.add_seconds(fleet, "--sign", "links in the page and the table, open for so long")
    fleet.add_argument("--import", dest="import_", action="store_true", help="take over what batch.py has begun here")
    serving = parser.add_argument_group("serving, until it is stopped")
    serving.add_argument("--scheduler", metavar="[HOST]:PORT", help="be the fleet's Dask scheduler")
    serving.add_argument("--worker", metavar="ADDRESS", help="be a worker, with the keys of this environment")
    options.add_batch_options(parser, default="skills-video")
    args = parser.parse(argv)

    from videotasks.cli.batch_fleet import batch_fleet

    return batch_fleet(args)


if __name__ == "__main__":
    sys.exit(run(main))
