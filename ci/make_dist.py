"""Make the layout that users install from: `python3 ci/make_dist.py OUT` (a new or empty folder).

    OUT/skills/ai-video-tasks/       the skill: SKILL.md and what it needs at run time, nothing else
    OUT/.claude-plugin/plugin.json   makes the same tree a plugin
    OUT/server.json                  what registries of MCP servers read; only when the skill has such a server
    OUT/SHA256SUMS                   of every file above: `sha256sum -c SHA256SUMS`

Taken from HEAD, and the same bytes for the same commit, so that installers report no update where nothing changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAME = "ai-video-tasks"  # the frontmatter's name must be the folder's
REPO = Path(__file__).resolve().parent.parent
# agents/ is what Codex shows of a skill.
PARTS = ("SKILL.md", "LICENSE", "pyproject.toml", "agents", "references", "scripts", "shared")
# Only the README leads there, or only who writes a dialect or a client of the commands reads it.
UNSHIPPED = ("references/comparison.md", "shared/dialects/README.md", "shared/schemas/events.schema.json")
REMARK = re.compile(r"^ *# .*\n|(?<=\S) {2,}# .*$", re.MULTILINE)
COMPACT: dict[str, Any] = {"ensure_ascii": False, "separators": (",", ":")}
MOST_FILES, MOST_BYTES = 270, 2 * 1024 * 1024  # what an install may copy into somebody's project


class DistError(Exception):
    """What must not be shipped; the text is the reason."""


def stage(repo: Path, place: Path, name: str = NAME) -> Path:
    """Write what is committed in `repo` into the folder `name` of `place`. (git archive would leave out tests.)"""
    folder = place / name
    folder.mkdir(parents=True)
    env = {**os.environ, "GIT_INDEX_FILE": str(place / f"{name}.index")}
    subprocess.run(["git", "read-tree", "HEAD"], cwd=repo, env=env, check=True)
    write_out = ["git", "checkout-index", "--all", "--prefix=" + str(folder) + "/"]
    subprocess.run(write_out, cwd=repo, env=env, check=True)
    return folder


def make_dist(repo: Path, out: Path) -> Path:
    """Fill `out`; returns the skill's folder in it. Raises DistError."""
    if out.exists() and any(out.iterdir()):
        raise DistError(f"{out} is not empty")
    skill = out / "skills" / NAME
    skill.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="dist-") as place:
        whole = stage(repo, Path(place))
        for part in PARTS:
            source = whole / part
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, skill / part)
    shutil.rmtree(skill / "references" / "images")  # README's, which stays in the repository
    for page in UNSHIPPED:
        (skill / page).unlink()
    project = skill / "pyproject.toml"  # what comes from here on is for who works on it
    project.write_text(project.read_text(encoding="utf-8").split("\n[dependency-groups]\n")[0], encoding="utf-8")
    for path in skill.rglob("*.py"):
        path.write_text(tabbed(path.read_text(encoding="utf-8")), encoding="utf-8")
    for path in (skill / "shared" / "dialects").glob("*.yaml"):  # their remarks cite contracts that are not shipped
        path.write_text(REMARK.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
    for path in skill.rglob("*.json"):  # laid out for who works on them; 31 kB less for who uses them
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")), **COMPACT) + "\n", encoding="utf-8")
    version, description = facts_of(skill)
    plugin = {
        "name": NAME,
        "version": version,
        "description": description,
        "author": {"name": f"{NAME} contributors"},
        "license": "MIT",
        "keywords": ["video", "text-to-video", "image-to-video"],
    }
    write_json(out / ".claude-plugin" / "plugin.json", plugin)
    if (skill / "scripts" / "mcp_server.py").is_file():
        write_json(out / "server.json", server(skill, version))
    check(out, skill)
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(out).as_posix()}" for path in files(out)
    ]
    (out / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")
    return skill


def tabbed(source: str) -> str:
    """The same program, line by line, with a tab for four spaces of indentation: 140 kB less. Texts are left alone."""
    lines, inside = source.split("\n"), False
    for at, line in enumerate(lines):
        if not inside:
            bare = line.lstrip(" ")
            tabs, spaces = divmod(len(line) - len(bare), 4)
            lines[at] = "\t" * tabs + " " * spaces + bare
        inside ^= line.count('"""') % 2 == 1  # ruff leaves no other quotes around a text of several lines
    return "\n".join(lines)


def facts_of(skill: Path) -> tuple[str, str]:
    """Version and description, of pyproject.toml."""
    text = (skill / "pyproject.toml").read_text(encoding="utf-8")
    found = dict(re.findall(r'^(version|description) = "(.*)"$', text, re.M))
    return found["version"], found["description"]


def server(skill: Path, version: str) -> dict[str, object]:
    """The MCP registry's record: the wheel's command with the library of the server, over standard input and output."""
    extra = re.search(r'^mcp = \["(.*)"\]$', (skill / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert extra is not None
    workspace = {"description": "Folder in which runs live", "format": "filepath", "isRequired": True}
    return {
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": f"io.github.OWNER/{NAME}",
        "title": "AI video tasks",
        "description": "Videos on any video API as tools: planned and confirmed, never paid twice, never lost",
        "version": version,
        "packages": [
            {
                "registryType": "pypi",
                "identifier": NAME,
                "version": version,
                "runtimeHint": "uvx",
                "runtimeArguments": [{"type": "named", "name": "--with", "value": extra[1]}],
                "packageArguments": [
                    {"type": "positional", "value": "mcp"},
                    {"type": "named", "name": "--workspace", "value": "{dir}", "variables": {"dir": workspace}},
                ],
                "environmentVariables": list(keys(skill)),
                "transport": {"type": "stdio"},
            }
        ],
    }


def keys(skill: Path) -> Iterator[dict[str, object]]:
    """The variables that hold a key, each once, with the providers that read it."""
    readers: dict[str, list[str]] = {}
    for profile in sorted((skill / "shared" / "providers").glob("*.yaml")):
        text = profile.read_text(encoding="utf-8")
        title, named = re.search(r"^title: (.*)$", text, re.M), re.search(r"^  env: \[(.*)\]$", text, re.M)
        for variable in named[1].split(", ") if named else ():
            readers.setdefault(variable, []).append(title[1].strip("\"'") if title else profile.stem)
    for variable, titles in readers.items():
        yield {"name": variable, "description": "Key of " + ", ".join(titles), "isSecret": True}


def write_json(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def check(out: Path, skill: Path) -> None:
    """What would fail only at the user's: dead links, two versions, weight."""
    wrong = []
    for page in skill.rglob("*.md"):
        for link in re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8")):
            target = (page.parent / link).resolve()
            if "://" not in link and not (target.exists() and target.is_relative_to(skill.resolve())):
                wrong.append(f"{page.relative_to(skill)} links to {link}, which is not shipped")
    version = re.search(r'^  version: "(.*)"$', (skill / "SKILL.md").read_text(encoding="utf-8"), re.M)
    if version is None or version[1] != facts_of(skill)[0]:
        wrong.append("SKILL.md and pyproject.toml differ in their version")
    shipped = files(skill)
    size = sum(path.stat().st_size for path in shipped)
    if len(shipped) > MOST_FILES or size > MOST_BYTES:
        wrong.append(f"{len(shipped)} files, {size} bytes: at most {MOST_FILES} and {MOST_BYTES}")
    if wrong:
        raise DistError("\n".join(wrong))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--repository", type=Path, default=REPO, help="whose HEAD is taken (this one)")
    args = parser.parse_args()
    try:
        shipped = files(make_dist(args.repository.resolve(), args.out))
    except DistError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{args.out}: a skill of {len(shipped)} files, {sum(path.stat().st_size for path in shipped)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
