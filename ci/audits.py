"""The audits that listings and clients run: on what users get, then on the whole repository.

    python3 ci/audits.py [--without-cisco] [REPOSITORY]

The Cisco scanner is about 530 MB to download (10 s with uv on a fast line, cached after that); the rest is small.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from make_dist import REPO, make_dist, stage

# Pinned: a new rule in a scanner is a decision to take, not a surprise in somebody else's change.
# `uv tool run` gives each scanner an environment of its own; they disagree about their dependencies.
TOOL = ["uv", "tool", "run", "--quiet", "--from"]
AUDITS: dict[str, list[str]] = {
    "skills-ref, the reference validator": [*TOOL, "skills-ref==0.1.1", "agentskills", "validate", "{folder}"],
    "skillsaw, strict": [*TOOL, "skillsaw==0.22.0", "skillsaw", "lint", "--strict", "-q", "{folder}"],
    "agnix, no errors": [*TOOL, "agnix==0.59.3", "agnix", "{folder}"],
    "skill-check, strict": ["npx", "-y", "skill-check@1.2.0", "check", "{folder}", "--no-security-scan", "--strict"],
    "agentscan, nothing {severity}": [
        *TOOL, "agentscan-cli==1.2.2", "agentscan", "-q", "scan", "--severity", "{severity}", "{folder}",
    ],
    "cisco skill-scanner, nothing high": [
        *TOOL, "cisco-ai-skill-scanner==2.3.2",
        "skill-scanner", "scan", "{folder}", "--fail-on-severity", "high", "--format", "json",
    ],
}  # fmt: skip
# agentscan takes every http address of a test server for one of the skill, and has no way to be told otherwise.
SEVERITY = {"what users get": "high", "the repository": "critical"}


def readable(output: str) -> str:
    """The findings that count, of the scanners that would list hundreds of others with them."""
    if blocks := re.findall(r"^ +(?:HIGH|CRITICAL) .*\n.*\n.*", output, re.M):  # agentscan
        return "\n".join(re.sub(r"\s*\n\s*", "  ", block.strip()) for block in blocks)
    try:
        findings = json.loads(output)["findings"]  # cisco
    except (ValueError, KeyError, TypeError):
        return output
    return "\n".join(
        f"{found['severity']} {found['title']}  {found.get('file_path')}:{found.get('line_number')}  {found['rule_id']}"
        for found in findings
        if found["severity"] in {"HIGH", "CRITICAL"}
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository", nargs="?", type=Path, default=REPO)
    parser.add_argument("--without-cisco", action="store_true", help="leave out the one large download")
    args = parser.parse_args()
    env = {**os.environ, "NO_COLOR": "1", "CI": "1", "COLUMNS": "160", "DISABLE_TELEMETRY": "1"}
    failed = 0
    with tempfile.TemporaryDirectory(prefix="audit-") as place:
        repository = args.repository.resolve()
        folders = {
            "what users get": make_dist(repository, Path(place) / "dist"),
            "the repository": stage(repository, Path(place) / "whole"),  # no part of this path is called "skills"
        }
        for what, folder in folders.items():
            for label, command in AUDITS.items():
                if args.without_cisco and label.startswith("cisco"):
                    continue
                words = [word.format(folder=folder, severity=SEVERITY[what]) for word in command]
                try:
                    done = subprocess.run(
                        words,
                        cwd=folder,
                        env=env,
                        stdin=subprocess.DEVNULL,
                        capture_output=True,
                        text=True,
                        timeout=600,
                    )
                    code, output = done.returncode, readable(done.stdout) + done.stderr
                except (OSError, subprocess.TimeoutExpired) as fault:
                    code, output = 1, str(fault)
                print(f"{'FAILED' if code else 'ok':<7}{what}: {label.format(severity=SEVERITY[what])}", flush=True)
                if code:
                    failed += 1
                    print("\n".join("       " + line[:300] for line in output.splitlines()[-120:]), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
