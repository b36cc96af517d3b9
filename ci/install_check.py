"""Install the skill with the real installer, as a user would, and do its main job from the installed copy.

    python3 ci/install_check.py [--repository DIR] [--python EXECUTABLE] [--skills VERSION ...]

What is committed is published as a git repository behind a local stand-in for GitHub, so that the user's own command
(`skills add owner/name`) runs unchanged and reaches no outside host but the package registries. Checked for each
version of the installer: every file arrives; the job succeeds through the agent's folder from another project, with
`python3` and with `uv run`; nothing is written inside the installed skill. With the current version also re-install,
update, remove and a global install. Prints one line a check; exits 1 with the reason at the first that fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from check_job import check_job
from make_dist import NAME, stage

REPO = Path(__file__).resolve().parent.parent
OWNER = "acme"
CURRENT = "1.7.4"
# How each version starts, and which names it leaves out of a root-level skill.
INSTALLERS = {
    CURRENT: ["npx", "-y", "-p", "node@22", "-p", "skills@1.7.4", "--", "skills"],  # needs Node 22.20
    "1.5.18": ["npx", "-y", "skills@1.5.18"],  # the last for Node 18 and 20
    "1.4.4": ["npx", "-y", "skills@1.4.4"],  # drops every file whose name begins with an underscore
}
JOB = ["--sandbox", "--prompt", "a paper boat in the rain", "--duration", "4"]
FOREIGN_PREFIXES = ("CLAUDE", "CODEX", "VIDEO_TASKS_", "GIT_", "UV_PROJECT", "VIRTUAL_ENV", "PYTHON")
FOREIGN_SUFFIXES = ("_API_KEY", "_API_TOKEN", "_BASE_URL", "FAL_KEY")


class CheckError(Exception):
    """A check that does not hold; the text is the reason."""


def expect(condition: object, reason: str) -> None:
    if not condition:
        raise CheckError(reason)


def capture(command: list[str], *, cwd: Path, env: dict[str, str] | None = None) -> str:
    """stdout of a command that has to succeed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    if done.returncode:
        shown = " ".join(command)
        raise CheckError(f"exit {done.returncode} from: {shown}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def contents(folder: Path) -> dict[str, str]:
    """Every file below `folder` with its hash, mode and time; folders too. Nothing is left out, caches included."""
    listing = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            listing[name] = "folder"
        else:
            stat = path.stat()
            listing[name] = f"{hashlib.sha256(path.read_bytes()).hexdigest()} {stat.st_mode:o} {stat.st_mtime_ns}"
    return listing


@dataclass
class Place:
    """One throwaway world: a home, a project that is not ours, and a repository behind a stand-in for GitHub."""

    root: Path
    env: dict[str, str]

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def published(self) -> Path:
        return self.root / "gh" / OWNER / f"{NAME}.git"

    @property
    def installed(self) -> Path:
        """Where the agents' folders lead: Claude Code's is a link to this one."""
        return self.project / ".agents" / "skills" / NAME

    @property
    def entry(self) -> Path:
        return self.project / ".claude" / "skills" / NAME

    def skills(self, version: str, *words: str) -> str:
        return capture([*INSTALLERS[version], *words], cwd=self.project, env=self.env)

    def git(self, *words: str) -> str:
        identity = ["-c", "user.name=check", "-c", "user.email=check@example.invalid", "-c", "commit.gpgsign=false"]
        return capture(["git", *identity, *words], cwd=self.published, env=self.env)


def make_place(root: Path, repository: Path) -> Place:
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN_PREFIXES) and not name.endswith(FOREIGN_SUFFIXES)
    }
    # Their caches are found through HOME, which moves.
    env["npm_config_cache"] = capture(["npm", "config", "get", "cache"], cwd=root, env=env).strip()
    env["UV_CACHE_DIR"] = capture(["uv", "cache", "dir"], cwd=root, env=env).strip()
    env.update(
        HOME=str(root / "home"),
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0=f"url.file://{root}/gh/.insteadOf",
        GIT_CONFIG_VALUE_0="https://github.com/",
        DISABLE_TELEMETRY="1",
        NO_COLOR="1",
        UV_PYTHON_DOWNLOADS="never",
        npm_config_update_notifier="false",
    )
    place = Place(root, env)
    (root / "home").mkdir()
    stage(repository, root / "staged")
    place.published.parent.mkdir(parents=True)
    shutil.move(str(root / "staged" / NAME), str(place.published))
    place.git("init", "-q", "-b", "main")
    place.git("add", "--all", "--force")
    place.git("commit", "-q", "-m", "published")
    # A Python project of the user's own: neither `uv run` nor an import may take notice of it.
    (place.project / "src").mkdir(parents=True)
    (place.project / "pyproject.toml").write_text(
        '[project]\nname = "other"\nversion = "1"\nrequires-python = ">=3.99"\ndependencies = ["no-such-package-x"]\n',
        encoding="utf-8",
    )
    (place.project / "requests.py").write_text("raise SystemExit('imported from the project')\n", encoding="utf-8")
    return place


def check_files(place: Place, version: str) -> None:
    expect(place.entry.is_symlink(), f"{place.entry} is not a link")
    expect(place.entry.resolve() == place.installed.resolve(), f"{place.entry} leads to {place.entry.resolve()}")
    tracked = [Path(name) for name in place.git("ls-files", "-z").split("\0") if name]
    expect(len(tracked) > 5, f"only {len(tracked)} files are published")
    for name in tracked:
        if version == "1.4.4" and name.name.startswith("_"):
            continue
        there, here = place.published / name, place.installed / name
        expect(here.is_file(), f"{name} did not arrive")
        expect(here.read_bytes() == there.read_bytes(), f"{name} arrived changed")
        expect(os.access(here, os.X_OK) == os.access(there, os.X_OK), f"{name} lost its execute bit")


def check_job_runs(place: Place, python: Path) -> None:
    """The main job through the agent's folder, with either runner, and no trace of it in the skill."""
    before = contents(place.installed)
    with_python = {**place.env, "PATH": f"{python.parent}{os.pathsep}{place.env['PATH']}"}
    create, status = (str(place.entry / "scripts" / name) for name in ("create_and_wait.py", "task_status.py"))
    runs = [
        (["python3", create, *JOB], place.project, with_python),
        (["uv", "run", "--quiet", create, *JOB, "--take", "2"], place.project / "src", place.env),
    ]
    for command, folder, env in runs:
        stdout = capture(command, cwd=folder, env=env)
        try:
            check_job(stdout, place.project)
        except (ValueError, KeyError, TypeError, OSError) as fault:
            raise CheckError(f"{' '.join(command)}: {fault}\n{stdout[-3000:]}") from fault
        looked = capture([*command[: command.index(create)], status, "--latest", "--sandbox"], cwd=folder, env=env)
        expect(json.loads(looked.splitlines()[-1]).get("ok") is True, f"task_status --latest says {looked[-600:]}")
        after = contents(place.installed)
        changed = sorted(set(before.items()) ^ set(after.items()))
        names = list(dict.fromkeys(name for name, _ in changed))
        expect(not names, f"{command[0]} wrote inside the installed skill: {', '.join(names[:12])}")


def check_lifecycle(place: Place) -> None:
    """Re-install, update, remove and a global install with the current installer."""
    source, agents = f"{OWNER}/{NAME}", ["-a", "claude-code", "-a", "codex"]
    state = place.installed / "STATE"
    state.touch()
    place.skills(CURRENT, "add", source, "-y", *agents)
    expect(not state.exists(), "a re-install is expected to replace the folder: state in it would be lost")
    listed = json.loads(place.skills(CURRENT, "list", "--json"))
    expect([skill["name"] for skill in listed] == [NAME], f"list shows {listed}")

    marker = place.published / "references" / "update-marker.md"
    marker.parent.mkdir(exist_ok=True)
    marker.write_text("new\n", encoding="utf-8")
    place.git("add", "--all", "--force")
    place.git("commit", "-q", "-m", "a new version")
    place.skills(CURRENT, "update", "-y")
    expect((place.installed / "references" / marker.name).is_file(), "update did not bring the new commit")

    place.skills(CURRENT, "remove", NAME, "-y")
    expect(not place.installed.exists() and not place.entry.exists(), "remove left the skill behind")
    place.skills(CURRENT, "add", source, "-g", "-y", "-a", "claude-code", "--json")
    expect((place.root / "home" / ".claude" / "skills" / NAME / "SKILL.md").is_file(), "the global install is missing")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repository", type=Path, default=REPO, help="what to publish (its HEAD)")
    parser.add_argument("--python", default=sys.executable, help="the Python of the run without uv")
    parser.add_argument("--skills", nargs="+", default=list(INSTALLERS), choices=INSTALLERS, metavar="VERSION")
    args = parser.parse_args()
    if not shutil.which("npx"):
        print("FAILED npx is not here: install Node 20 or later")
        return 1
    with tempfile.TemporaryDirectory(prefix="install-", ignore_cleanup_errors=True) as folder:
        venv = Path(folder).resolve() / "venv"
        python = venv / "bin" / "python3"
        try:
            # The libraries as the pip line installs them, and nothing else: no uv, no test tools.
            here = Path(folder)
            requirements = str(args.repository.resolve() / "pyproject.toml")
            capture(["uv", "venv", "--quiet", "--python", args.python, str(venv)], cwd=here)
            capture(["uv", "pip", "install", "--quiet", "--python", str(python), "-r", requirements], cwd=here)
            for version in args.skills:
                root = Path(folder).resolve() / version
                root.mkdir()
                place = make_place(root, args.repository.resolve())
                place.skills(version, "add", f"{OWNER}/{NAME}", "-y", "-a", "claude-code", "-a", "codex")
                check_files(place, version)
                print(f"ok     skills {version}: every file arrived", flush=True)
                check_job_runs(place, python)
                print(
                    f"ok     skills {version}: the job runs from the installed copy, which stays untouched", flush=True
                )
                if version == CURRENT:
                    check_lifecycle(place)
                    print(f"ok     skills {version}: re-install, list, update, remove, global", flush=True)
        except (CheckError, subprocess.TimeoutExpired) as fault:
            print(f"FAILED {fault}", flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
