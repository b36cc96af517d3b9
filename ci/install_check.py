"""Install the skill with the real installer, as a user would, and do its main job from the installed copy.

    python3 ci/install_check.py [--repository DIR] [--python EXECUTABLE] [--skills VERSION ...]

What is committed is published as a git repository behind a local stand-in for GitHub, so that the user's own command
(`skills add owner/name#dist`) runs unchanged and reaches no outside host but the package registries. Its branch `dist`
holds what ci/make_dist.py makes. Checked for each version of the installer: every file arrives; the job succeeds
through the agent's folder from another project, with `python3` and with `uv run`; nothing is written inside the
installed skill; an unchanged version is no update. With the current version also: no libraries, and those of Debian 12;
re-install, update, remove, a global install; an install from the root, and one from an archive. Then the wheel: its
command does the job, too, and the protocol's own inspector calls every tool of its server.
Prints one line a check; exits 1 with the reason at the first that fails.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from check_job import check_job
from make_dist import NAME, make_dist, stage

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


def capture(
    command: list[str], *, cwd: Path, env: dict[str, str] | None = None, codes: frozenset[int] = frozenset({0})
) -> str:
    """stdout of a command that has to succeed, or to end with one of `codes`."""
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
    if done.returncode not in codes:
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
    source: str = f"{OWNER}/{NAME}"  # what a user gives to `skills add`

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def published(self) -> Path:
        return self.root / "gh" / OWNER / f"{NAME}.git"

    @property
    def skill(self) -> Path:
        """The published skill: in the dist layout, or at the root."""
        nested = self.published / "skills" / NAME
        return nested if nested.is_dir() else self.published

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


def make_place(root: Path, repository: Path, *, dist: bool) -> Place:
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
    if dist:
        place.source += "#dist"
        place.git("checkout", "-q", "--orphan", "dist")
        place.git("rm", "-q", "-r", "-f", ".")
        make_dist(repository, root / "dist")
        shutil.copytree(root / "dist", place.published, dirs_exist_ok=True)
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
    listed = [place.published / name for name in place.git("ls-files", "-z").split("\0") if name]
    tracked = [path.relative_to(place.skill) for path in listed if path.is_relative_to(place.skill)]
    expect(len(tracked) > 100, f"only {len(tracked)} files are published")
    for name in tracked:
        if version == "1.4.4" and name.name.startswith("_"):
            continue
        there, here = place.skill / name, place.installed / name
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


OLD_LIBRARIES = ["requests==2.28.1", "urllib3==1.26.12", "pyyaml", "jmespath"]  # of Debian 12


def check_libraries(place: Place, interpreter: str) -> None:
    """Without the libraries, and with too old ones: one line for machines, one for people, and nothing on disk."""
    here, venvs = new_folder(str(place.root), "without"), new_folder(str(place.root), "venvs")
    for wanted, said in (([], "is missing"), (OLD_LIBRARIES, "is too old")):
        venv = str(venvs / str(len(wanted)))
        capture(["uv", "venv", "--quiet", "--python", interpreter, venv], cwd=here, env=place.env)
        if wanted:
            capture(["uv", "pip", "install", "--quiet", "--python", venv, *wanted], cwd=here, env=place.env)
        python = str(Path(venv) / ("Scripts" if os.name == "nt" else "bin") / "python")
        before = contents(here)
        done = subprocess.run(
            [python, str(place.entry / "scripts" / "create_and_wait.py"), *JOB],
            cwd=here, env=place.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip
        (line,), (words,) = done.stdout.splitlines(), done.stderr.splitlines()
        error = json.loads(line)["error"]
        expect(done.returncode == 1 and said in error["message"], f"{said} is expected, not {done.stdout}")
        for text in (error["hint"], words):
            expect("uv run" in text and "-m venv" in text, f"no way out in {text}")
        expect(contents(here) == before, "something was written")


def check_unchanged(place: Place, version: str) -> None:
    """A commit that changes nothing of the skill is no update of it."""
    installed = {name: told.partition(" ")[0] for name, told in contents(place.installed).items()}
    state = place.installed / "STATE"
    state.touch()
    (place.published / "elsewhere").write_text("a commit that changes nothing of the skill\n", encoding="utf-8")
    place.git("add", "--all", "--force")
    place.git("commit", "-q", "-m", "the same version")
    told = place.skills(version, "update", "-y")
    if version == CURRENT:
        expect("up to date" in told, f"an unchanged version is an update: {told}")
    if version != "1.5.18":  # that one compares nothing, and copies the same files again
        expect(state.exists(), "an unchanged version was installed again")
    state.unlink(missing_ok=True)
    now = {name: told.partition(" ")[0] for name, told in contents(place.installed).items()}
    expect(now == installed, "an update of the same version changed files")


def check_lifecycle(place: Place) -> None:
    """Re-install, update, remove and a global install with the current installer."""
    source, agents = place.source, ["-a", "claude-code", "-a", "codex"]
    state = place.installed / "STATE"
    state.touch()
    place.skills(CURRENT, "add", source, "-y", *agents)
    expect(not state.exists(), "a re-install is expected to replace the folder: state in it would be lost")
    listed = json.loads(place.skills(CURRENT, "list", "--json"))
    expect([skill["name"] for skill in listed] == [NAME], f"list shows {listed}")

    marker = place.skill / "references" / "update-marker.md"
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


def say(text: str) -> None:
    print(f"ok     {text}", flush=True)


def new_folder(place: str, name: str) -> Path:
    root = Path(place).resolve() / name
    root.mkdir()
    return root


def install(place: Place, version: str) -> None:
    source = place.source
    if version == "1.4.4":  # it knows no branches: the stand-in's default one is the same
        source = source.removesuffix("#dist")
    place.skills(version, "add", source, "-y", "-a", "claude-code", "-a", "codex")


def check_archive(place: Place, python: Path) -> None:
    """The host's own archive of the root layout, from an address: .gitattributes keeps developers' files out of it."""
    served = place.root / "served"
    served.mkdir()
    name = f"{NAME}.tar.gz"
    place.git("archive", f"--prefix={NAME}-main/", "-o", str(served / name), "HEAD")

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(served))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place.source = f"http://127.0.0.1:{server.server_address[1]}/{name}"
        install(place, CURRENT)
        server.shutdown()
    expect((place.installed / "SKILL.md").is_file(), "no SKILL.md came from the archive")
    unwanted = [part for part in ("tests", "ci", "evals", "benchmarks") if (place.installed / part).exists()]
    expect(not unwanted, f"the archive holds {', '.join(unwanted)}")
    check_job_runs(place, python)


def check_wheel(place: Place, interpreter: str) -> None:
    """`ai-video-tasks` from a built wheel in an empty environment, and by uvx from the published repository."""
    venv, wheels = place.root / "venv", place.root / "wheels"
    capture(["uv", "build", "--quiet", "--wheel", "-o", str(wheels), str(place.skill)], cwd=place.root, env=place.env)
    (wheel,) = wheels.glob("*.whl")
    capture(["uv", "venv", "--quiet", "--python", interpreter, str(venv)], cwd=place.root, env=place.env)
    python = str(venv / ("Scripts" if os.name == "nt" else "bin") / "python")
    capture(["uv", "pip", "install", "--quiet", "--python", python, str(wheel)], cwd=place.root, env=place.env)
    command = str(Path(python).with_name(NAME))
    version = capture([command, "--version"], cwd=place.project, env=place.env).strip()
    expect(version == f"{NAME} {wheel.name.split('-')[1]}", f"--version says {version}")
    listed = re.findall(
        r"^  ([a-z]+) ", capture([command, "--help"], cwd=place.project, env=place.env).split("commands:")[1], re.M
    )
    offered = {"create", "wait", "status", "key", "inspect", "gallery", "sandbox"}
    expect(offered <= set(listed), f"--help lists {listed}")
    for name in listed:
        expect("usage:" in capture([command, name, "--help"], cwd=place.project, env=place.env), f"no help of {name}")
    stdout = capture([command, "--json", "create", *JOB], cwd=place.project, env=place.env)
    check_job(stdout, place.project)
    said = capture([command, "create", *JOB, "--take", "2"], cwd=place.project, env=place.env)
    expect(".mp4" in said and '"event"' not in said, f"words are expected, not {said[-600:]}")
    page = json.loads(capture([command, "--json", "gallery", "--sandbox"], cwd=place.project, env=place.env))
    expect(Path(page["file"]).is_file() and page["shown"] == 2, f"a page of two runs is expected, not {page}")
    capture(["uv", "pip", "install", "--quiet", "--python", python, f"{wheel}[mcp]"], cwd=place.root, env=place.env)
    check_server(place, command)
    origin = f"git+file://{place.published}@main"
    shown = capture(
        ["uvx", "--quiet", "--python", interpreter, "--from", origin, NAME, "--version"],
        cwd=place.project,
        env=place.env,
    )
    expect(shown.strip() == version, f"uvx says {shown}")


INSPECTOR = "@modelcontextprotocol/inspector@2.12.0"  # needs Node 22.19
# Tool -> arguments of a call against the workspace in which the job has run.
TOOLS: dict[str, list[str]] = {
    "plan_video": ["prompt=a red kite"],
    "create_video": ["prompt=a red kite", "duration=4"],  # a plan: its confirmation lives as long as its server
    "check_task": [],
    "wait_for_task": ["seconds=20"],
    "download_result": [],
    "list_tasks": ["limit=3"],
    "cancel_task": [],
    "list_models": ["search=kling"],
    "check_key": [],
    "seedance_check_task": ["task_id=cgt-nobody"],
}
REFUSED = {"cancel_task", "seedance_check_task"}  # nothing to cancel, no such task: errors of the tool


def check_server(place: Place, command: str) -> None:
    """The server of the wheel by the protocol's own inspector: every tool is listed and called, a resource is read."""
    inspector = ["npx", "-y", "-p", "node@22", "-p", INSPECTOR, "--", "mcp-inspector", "--cli"]
    inspector += [command, "mcp", "--workspace", str(place.project), "--sandbox"]
    inspector += ["--connect-timeout", "60000"]  # its own 15 s are too few for a start beside the campaigns

    def ask(*words: str) -> dict[str, Any]:
        told = capture([*inspector, "--method", *words], cwd=place.project, env=place.env, codes=frozenset({0, 5}))
        answer: dict[str, Any] = json.loads(told)
        return answer

    listed = {tool["name"] for tool in ask("tools/list")["tools"]}
    expect(listed == set(TOOLS), f"the inspector lists {sorted(listed)}")
    for name, given in TOOLS.items():
        told = ask("tools/call", "--tool-name", name, *(word for one in given for word in ("--tool-arg", one)))
        expect(told.get("isError", False) == (name in REFUSED), f"{name}: {told}")
        expect(told["content"][0]["text"] and told["structuredContent"], f"{name}: {told}")
    resource = ask("resources/list")["resources"][0]["uri"]
    expect(ask("resources/read", "--uri", resource)["contents"][0]["text"], f"{resource} is empty")


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
            repository = args.repository.resolve()
            for version in args.skills:
                place = make_place(new_folder(folder, version), repository, dist=True)
                install(place, version)
                check_files(place, version)
                say(f"skills {version}: every file arrived")
                check_job_runs(place, python)
                say(f"skills {version}: the job runs from the installed copy, which stays untouched")
                check_unchanged(place, version)
                say(f"skills {version}: an unchanged version is no update")
                if version == CURRENT:
                    check_libraries(place, args.python)
                    say(f"skills {version}: missing and too old libraries are one line each for machines and people")
                    check_lifecycle(place)
                    say(f"skills {version}: re-install, list, update, remove, global")
            place = make_place(new_folder(folder, "root"), repository, dist=False)
            install(place, CURRENT)
            check_files(place, CURRENT)
            say(f"skills {CURRENT}: every file arrived from the root layout")
            check_archive(make_place(new_folder(folder, "archive"), repository, dist=False), python)
            say(f"skills {CURRENT}: the job runs from an archive, which holds no tests")
            check_wheel(make_place(new_folder(folder, "wheel"), repository, dist=True), args.python)
            say("the wheel: version, help and a rehearsal; its server by the inspector; uvx from git")
        except (CheckError, subprocess.TimeoutExpired) as fault:
            print(f"FAILED {fault}", flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
