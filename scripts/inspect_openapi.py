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

"""Turn an OpenAPI document into a working request: endpoints, contract, a template, a check of your payload."""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True  # bootstrap points the bytecode cache away from the skill's folder
# With -I, -P or PYTHONSAFEPATH Python does not look beside the script by itself.
if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from videotasks.cli.bootstrap import run  # noqa: E402

EXAMPLES = """  inspect_openapi.py --openapi openapi.json --list-endpoints
  inspect_openapi.py --openapi openapi.json --docs docs.json --list-endpoints
  inspect_openapi.py --openapi https://api.example.com/openapi.yaml --search "image to video"
  inspect_openapi.py --openapi openapi.json --endpoint "POST /v1/videos" --include-template
  inspect_openapi.py --openapi openapi.json --endpoint /v1/videos --validate payload.json
  inspect_openapi.py --openapi openapi.json --make-profile acme.yaml
"""
EXIT_CODES = """exit codes: 0 done, the payload is valid  1 bad input, or the payload is not valid  2 usage
Prints one JSON document under 8,000 characters; --limit 0 prints everything. Sends no key and no request.
"""


def main(argv: list[str]) -> int:
    from videotasks.cli.options import Parser

    parser = Parser(description=__doc__, examples=EXAMPLES, exit_codes=EXIT_CODES)
    parser.add_argument(
        "--openapi", required=True, metavar="SPEC", help="file or https URL: OpenAPI 3 or Swagger 2.0, JSON or YAML"
    )
    parser.add_argument("--docs", metavar="FILE", help="docs.json or mint.json whose groups name the endpoints")
    parser.add_argument("--category", choices=["videos", "images"], default="videos", help="default videos")
    parser.add_argument("--list-endpoints", action="store_true", help="the endpoints that make such media")
    parser.add_argument("--search", metavar="WORDS", help="operations that hold all the words")
    parser.add_argument("--endpoint", metavar="ENDPOINT", help="'POST /path', a path, a URL or an operationId")
    parser.add_argument("--include-template", action="store_true", help="a request body that the schema accepts")
    parser.add_argument("--validate", metavar="PAYLOAD", help="check a JSON file (- for stdin) before anything is sent")
    parser.add_argument("--make-profile", metavar="FILE", help="write a first provider profile; guesses are marked")
    parser.add_argument("--allow-unknown-fields", action="store_true", help="with --validate: let unknown fields pass")
    parser.add_argument("--limit", type=int, metavar="N", help="rows shown (default 40, or what fits); 0 shows all")
    parser.add_argument("--json-indent", type=int, default=2, metavar="N", help="default 2")
    args = parser.parse(argv)

    from videotasks.cli.inspect_openapi import inspect_openapi

    return inspect_openapi(args)


if __name__ == "__main__":
    sys.exit(run(main))
