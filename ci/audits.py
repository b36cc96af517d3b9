"""The audits that listings and clients run, on a copy of HEAD in a folder named like the skill.

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

NAME = "ai-video-tasks"  # the frontmatter's name must be the folder's
HERE = Path(__file__).resolve().parent

# Pinned: a new rule in a scanner is a decision to take, not a surprise in somebody else's change.
# `uv tool run` gives each scanner an environment of its own; they disagree about their dependencies.
TOOL = ["uv", "tool", "run", "--quiet", "--from"]
AUDITS: dict[str, list[str]] = {
    "skills-ref, the reference validator": [*TOOL, "skills-ref==0.1.1", "agentskills", "validate", "{folder}"],
    "skillsaw, strict": [*TOOL, "skillsaw==0.22.0", "skillsaw", "lint", "--strict", "-q", "{folder}"],
    "agnix, no errors": [*TOOL, "agnix==0.59.3", "agnix", "{folder}"],
    "agentscan, nothing high outside tests": [
        *TOOL, "agentscan-cli==1.2.2", "agentscan", "-q", "scan", "--severity", "high", "{untested}",
    ],
    "skill-check, strict": ["npx", "-y", "skill-check@1.2.0", "check", "{folder}", "--no-security-scan", "--strict"],
    "cisco skill-scanner, nothing high": [
        *TOOL, "cisco-ai-skill-scanner==2.3.2",
        "skill-scanner", "scan", "{folder}", "--fail-on-severity", "high", "--format", "json",
    ],
}  # fmt: skip


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


def stage(repo: Path, place: Path, *but: str) -> Path:
    """Unpack what is committed in `repo`, less the pathspecs `but`, into a folder named like the skill."""
    folder = place / NAME
    folder.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", "HEAD", ".", *but], cwd=repo, check=True, capture_output=True).stdout
    subprocess.run(["tar", "x", "-C", str(folder)], input=archive, check=True)
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository", nargs="?", type=Path, default=HERE.parent)
    parser.add_argument("--without-cisco", action="store_true", help="leave out the one large download")
    args = parser.parse_args()
    env = {**os.environ, "NO_COLOR": "1", "CI": "1", "COLUMNS": "160", "DISABLE_TELEMETRY": "1"}
    failed = 0
    with tempfile.TemporaryDirectory(prefix="audit-") as place:  # no part of this path is called "skills"
        folder = stage(args.repository, Path(place) / "whole")
        # agentscan takes hostile links in a test for links of the skill, and has no way to be told otherwise.
        untested = stage(args.repository, Path(place) / "untested", ":(exclude)tests")
        for label, command in AUDITS.items():
            if args.without_cisco and label.startswith("cisco"):
                continue
            words = [word.format(folder=folder, untested=untested) for word in command]
            try:
                done = subprocess.run(
                    words, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600
                )
                code, output = done.returncode, readable(done.stdout) + done.stderr
            except (OSError, subprocess.TimeoutExpired) as fault:
                code, output = 1, str(fault)
            print(f"{'FAILED' if code else 'ok':<7}{label}", flush=True)
            if code:
                failed += 1
                print("\n".join("       " + line[:300] for line in output.splitlines()[-120:]), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
