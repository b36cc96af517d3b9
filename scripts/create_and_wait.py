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
"""Create a video task, wait for it, fetch the result. The same command again attaches instead of paying again."""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True  # bootstrap points the bytecode cache away from the skill's folder
# With -I, -P or PYTHONSAFEPATH Python does not look beside the script by itself.
if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from videotasks.cli.bootstrap import run  # noqa: E402

EXAMPLES = """  create_and_wait.py --sandbox --prompt "a paper boat in the rain" --duration 4
  create_and_wait.py --provider ark --model MODEL --prompt-file - --dry-run < prompt.txt
  create_and_wait.py --provider creatok --model MODEL --prompt "..." --image photo.png --poll-timeout 80
  create_and_wait.py --sse-endpoint /generation/sse/bytedance/seedance-2.0 --payload '{"prompt": "..."}'
"""


def main(argv: list[str]) -> int:
    from videotasks.cli import options

    parser = options.Parser(description=__doc__, examples=EXAMPLES)
    request = parser.add_argument_group("request")
    request.add_argument("--prompt", help="what the video shows")
    request.add_argument("--prompt-file", metavar="FILE", help="read the prompt from a file, or - for standard input")
    request.add_argument("--model", help="the provider's model id")
    request.add_argument("--duration", metavar="S", help="length in seconds")
    request.add_argument("--ratio", help="such as 16:9 or 9:16")
    request.add_argument("--resolution", help="such as 720p")
    request.add_argument("--seed", help="a whole number")
    options.add_repeatable(request, "--image", "[ROLE=]FILE|URL", "ROLE: first_frame, last_frame, reference")
    options.add_repeatable(request, "--video", "[ROLE=]FILE|URL", "a reference video")
    options.add_repeatable(request, "--audio", "[ROLE=]FILE|URL", "a reference audio")
    options.add_repeatable(request, "--set", "KEY=VALUE", "any other member of the body (dotted, JSON value)")
    request.add_argument("--again", metavar="RUN", help="an earlier run's options with those given here, as a new take")
    request.add_argument("--payload", metavar="JSON", help="the request body; wins over the options above")
    request.add_argument("--payload-file", metavar="FILE", help="the same from a file, or - for standard input")
    request.add_argument("--sse-endpoint", metavar="PATH", help="create endpoint (path or URL), stream or plain")
    request.add_argument("--openapi", metavar="SPEC", help="validate the body against this specification first")
    request.add_argument("--allow-unknown-fields", action="store_true", help="with --openapi: let unknown fields pass")

    paying = parser.add_argument_group("paying")
    paying.add_argument(
        "--dry-run", action="store_true", help="show the request, its price and balance; send nothing paid"
    )
    paying.add_argument(
        "--take", type=options.positive_int, metavar="N", help="another one of the same request (pays again)"
    )
    paying.add_argument("--max-cost", metavar="20credits", help="refuse when the price is above this, or unknown")
    paying.add_argument("--max-cost-per-day", metavar="100credits", help="refuse what would exceed this today (UTC)")
    paying.add_argument("--allow-unknown-cost", action="store_true", help="with a limit: accept an unknown price")

    waiting = parser.add_argument_group("waiting")
    waiting.add_argument("--no-wait", action="store_true", help="end when the task id is on disk")
    options.add_seconds(waiting, "--create-timeout", "for the answer to the create (120)", 120.0)
    options.add_seconds(waiting, "--poll-timeout", "resends and waiting, download included (900)")
    options.add_seconds(waiting, "--poll-interval", "fixed interval (default: adapts)")
    options.add_seconds(waiting, "--poll-request-timeout", "per request (20)")
    options.add_seconds(waiting, "--sse-request-timeout", "silence allowed on a stream (120)")
    waiting.add_argument("--run-id", help="name of the new run's folder")
    options.add_provider_options(parser, default="skills-video")
    options.add_download_options(parser)
    options.add_run_options(parser)
    args = parser.parse(argv)

    from videotasks.cli.create_and_wait import create_and_wait

    return create_and_wait(args)


if __name__ == "__main__":
    sys.exit(run(main))
