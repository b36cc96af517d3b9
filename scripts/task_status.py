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
"""Look at a video task: its status in plain words, its link, its files. Never creates, never pays."""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True  # bootstrap points the bytecode cache away from the skill's folder
# With -I, -P or PYTHONSAFEPATH Python does not look beside the script by itself.
if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from videotasks.cli.bootstrap import run  # noqa: E402

EXAMPLES = """  task_status.py --latest
  task_status.py cgt-20260514183217-t8rzv --provider ark
  task_status.py --run-id RUN --download --output boat.mp4
  task_status.py --list --status unfinished
  task_status.py --run-id RUN --resolve not-created     (only the user may decide this)
"""


def main(argv: list[str]) -> int:
    from videotasks.cli.options import Parser, add_download_options, add_provider_options, add_run_options, seconds

    parser = Parser(description=__doc__, examples=EXAMPLES)
    which = parser.add_argument_group("which task")
    which.add_argument("id", nargs="?", metavar="TASK_ID", help="the provider's task id")
    which.add_argument(
        "--task-id", metavar="ID", help="the same; with --run-id: adopt it into a run whose answer was lost"
    )
    which.add_argument("--run-id", help="an earlier run")
    which.add_argument("--latest", action="store_true", help="the newest run of this workspace")
    which.add_argument(
        "--from", dest="from_file", metavar="FILE", help="take the task id from another tool's result.json"
    )
    action = parser.add_argument_group("action (default: one look)")
    action.add_argument("--wait", action="store_true", help="wait for the end and fetch the result")
    action.add_argument("--timeout", type=seconds, metavar="S", help="with --wait or --download (100)")
    action.add_argument("--download", action="store_true", help="fetch the result files if the task has ended well")
    action.add_argument(
        "--cancel", action="store_true", help="cancel, where the provider can without destroying a result"
    )
    action.add_argument(
        "--resolve", choices=["not-created"], help="close a run whose answer was lost: nothing was created"
    )
    action.add_argument("--report", metavar="RUN", help="write a zip of a run to send along with a question")
    action.add_argument("--with-inputs", action="store_true", help="with --report: with the prompt and the inputs")
    many = parser.add_argument_group("many tasks")
    many.add_argument("--list", action="store_true", help="the runs of this workspace, and what they cost")
    many.add_argument("--refresh", action="store_true", help="one look at every unfinished run")
    many.add_argument("--remote", action="store_true", help="with --list: the provider's own list")
    many.add_argument("--status", metavar="WORD", help="with --list: only this status, or: unfinished")
    many.add_argument("--since", metavar="TIME", help="with --list: such as 2h, 3d, 2026-11-21")
    many.add_argument("--limit", type=int, metavar="N", help="with --list: rows shown (20; 0 for all)")
    add_provider_options(parser, default=None, rehearsed="skills-video")
    add_download_options(parser)
    add_run_options(parser)
    args = parser.parse(argv)

    from videotasks.cli.task_status import task_status

    return task_status(args)


if __name__ == "__main__":
    sys.exit(run(main))
