"""Run every check on this checkout: `bash .ci/run`, or `bash .ci/run lint types` for some steps only.

Needs bash, git, Node and one Python from 3.10; whatever else it needs it installs itself, outside the checkout.
Every step runs even when an earlier one failed; the summary at the end names each.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from glob import glob
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
SUPPORTED = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
FOREIGN = re.compile(r"(_API_KEY|_API_TOKEN|_BASE_URL)$|^(FAL_KEY$|CLAUDE|VIDEO_TASKS_(?!DATA$))")
CLOSING = re.compile(
    r"^(=+ )?(no tests ran|(\d+ [a-z]+, )*\d+ (passed|failed|errors?|skipped|warnings?)\b.*) in [\d.]+s"
)


VENDOR_CLIENTS = "tests/sandbox/test_vendor_clients.py"
GALLERY_IN_A_BROWSER = "tests/commands/test_gallery_browser.py"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")  # as that test has them


class StepError(Exception):
    """A check that does not hold; the text is the reason, `output` what the command printed."""

    def __init__(self, reason: str, output: str = "") -> None:
        super().__init__(reason)
        self.output = output


def say(text: str) -> None:
    print(text, flush=True)


def run(command: list[str], *, env: dict[str, str] | None = None, cwd: Path = REPO) -> str:
    """Run a command with its output shown as it comes; return that output. Raises StepError when it fails."""
    say("$ " + shlex.join(command))
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    output = "".join(lines)
    if code := process.wait():
        raise StepError(f"exit {code}", output)
    return output


def quiet(command: list[str]) -> str:
    """The output of a look-up, or the empty string when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


# ---------------------------------------------------------------- what the steps stand on


def ensure_uv(place: Path) -> None:
    if quiet(["uv", "--version"]):
        return
    say("uv is not here: installing it into a throwaway environment")
    run([sys.executable, "-m", "venv", str(place)])
    scripts = place / ("Scripts" if os.name == "nt" else "bin")
    run([str(scripts / "python"), "-m", "pip", "install", "--quiet", "uv>=0.9"])
    os.environ["PATH"] = f"{scripts}{os.pathsep}{os.environ['PATH']}"


def minor_version(interpreter: str) -> str:
    """'3.12', or the empty string: a name on PATH proves nothing, a version manager's shim may refuse to run."""
    return quiet([interpreter, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"])


def find_pythons() -> dict[str, str]:
    """The supported interpreters of this machine, oldest first: version -> executable."""
    pyenv = os.environ.get("PYENV_ROOT") or quiet(["pyenv", "root"]) or str(Path.home() / ".pyenv")
    found = {}
    for version in SUPPORTED:
        candidates = [shutil.which(f"python{version}"), *sorted(glob(f"{pyenv}/versions/{version}.*/bin/python"))]
        candidates.append(quiet(["uv", "python", "find", "--no-project", version]))
        for candidate in candidates:
            if candidate and minor_version(candidate) == version:
                found[version] = candidate
                break
    return found


def readme_command(start: str) -> list[str]:
    """The command in README.md that begins with `start`, as a newcomer would paste it."""
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", (REPO / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    for line in "\n".join(fenced).splitlines():
        line = line.strip().removeprefix("$ ")
        if line.startswith(start):
            return shlex.split(line, comments=True)
    raise StepError(f"README.md shows no command that starts with: {start}")


# ---------------------------------------------------------------- steps


class Checks:
    def __init__(self, work: Path) -> None:
        self.work = work
        self._begun: dict[str, subprocess.Popen[bytes]] = {}
        self.pythons = find_pythons()
        if not self.pythons:
            raise StepError(f"no Python of {', '.join(SUPPORTED)} runs here")

    def lint(self) -> None:
        run(["uv", "run", "--quiet", "ruff", "check", "."])
        run(["uv", "run", "--quiet", "ruff", "format", "--check", "."])

    def types(self) -> None:
        run(["uv", "run", "--quiet", "mypy"])

    def job(self) -> None:
        """README's first command as a newcomer has it; slower beside the audits, which begin before it."""
        command = ["ci/readme_check.py", "--how", "uv", "--without-tests", "--within", "60"]
        run([sys.executable, *command, "--python", self.pythons[self.newest()]])

    def beside(self) -> dict[str, list[str]]:
        """What mostly waits for downloads and for programs on one core: it runs beside the first of the other steps."""
        return {
            "install": [sys.executable, "ci/install_check.py", "--python", next(iter(self.pythons.values()))],
            "audits": [sys.executable, "ci/audits.py"],
        }

    def begin(self, name: str) -> None:
        """Start one of these; what it prints is shown at its turn, so that no two steps speak at once."""
        with open(self.work / f"{name}.txt", "wb") as output:
            self._begun[name] = subprocess.Popen(
                self.beside()[name], cwd=REPO, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    def finish(self, name: str) -> None:
        if name not in self._begun:
            run(self.beside()[name])
            return
        code = self._begun[name].wait()
        say((self.work / f"{name}.txt").read_text(encoding="utf-8", errors="replace"))
        if code:
            raise StepError(f"exit {code}")

    def tests(self) -> str:
        """README's own command, on the newest Python of this machine."""
        return run(readme_command("uv run pytest"), env={"UV_PYTHON": self.pythons[self.newest()]})

    def slow(self) -> str:
        """What README's command leaves out, with what a fleet needs, and six times as many drawn examples."""
        uv, start, *pytest = readme_command("uv run pytest")
        words = [uv, start, "--group", "fleet", *pytest, "-m", "slow or process or hypothesis"]
        words.append("--hypothesis-profile=thorough")
        return run(words, env={"UV_PYTHON": self.pythons[self.newest()]})

    def clients(self) -> str:
        """The vendors' own clients against the sandbox."""
        env = {"UV_PYTHON": self.pythons[self.newest()], "UV_PROJECT_ENVIRONMENT": str(self.work / "venv-clients")}
        return run(
            [*["uv", "run", "--quiet", "--group", "clients", "pytest", "-q", "-m", "clients"], VENDOR_CLIENTS], env=env
        )

    def browser(self) -> str:
        """The page of runs in a real Chromium, which this step never does without: the tests alone would skip."""
        if not any(map(shutil.which, BROWSERS)) and os.environ.get("CI") and shutil.which("apt-get"):
            say("no Chromium is here: installing the distribution's")
            run(["apt-get", "update", "-qq"])
            packages = ["chromium", "fonts-dejavu-core"]
            run(["apt-get", "install", "-qq", "-y", *packages], env={"DEBIAN_FRONTEND": "noninteractive"})
        if not any(map(shutil.which, BROWSERS)):
            raise StepError(f"none of {', '.join(BROWSERS)} is on PATH (Debian: apt install chromium)")
        env = {"UV_PYTHON": self.pythons[self.newest()], "UV_PROJECT_ENVIRONMENT": str(self.work / "venv-browser")}
        command = ["uv", "run", "--quiet", "--group", "browser", "pytest", "-q", "-n", "0", "-m", "browser"]
        return run([*command, GALLERY_IN_A_BROWSER], env=env)

    def oldest(self) -> str:
        return min(self.pythons, key=SUPPORTED.index)

    def newest(self) -> str:
        return max(self.pythons, key=SUPPORTED.index)

    def tests_on(self, version: str, *options: str, pytest: tuple[str, ...] = ()) -> str:
        """The tests on one Python, in an environment of their own; `options` are for `uv run`."""
        env = {"UV_PROJECT_ENVIRONMENT": str(self.work / f"venv-{version}{''.join(options)}")}
        groups = ["--no-default-groups", "--group", "test", "--group", "probe"]
        command = [
            "uv",
            "run",
            "--quiet",
            "--python",
            self.pythons[version],
            *options,
            *groups,
            "pytest",
            "-q",
            *pytest,
        ]
        return run(command, env=env)

    def tests_lowest(self) -> str:
        """With the lowest version of every dependency that pyproject.toml allows; what uv locks is put back."""
        lock = REPO / "uv.lock"
        before = lock.read_bytes() if lock.is_file() else None
        try:
            return self.tests_on(self.oldest(), "--resolution=lowest-direct")
        finally:
            lock.unlink(missing_ok=True)
            if before is not None:
                lock.write_bytes(before)

    def steps(self) -> dict[str, Callable[[], str | None]]:
        named: dict[str, Callable[[], str | None]] = {
            "lint": self.lint,
            "types": self.types,
            "job": self.job,
            "slow": self.slow,
            "clients": self.clients,
            "browser": self.browser,
            "install": lambda: self.finish("install"),
            "audits": lambda: self.finish("audits"),
            "tests": self.tests,
            "tests-lowest": self.tests_lowest,
        }
        if self.oldest() != self.newest():
            # With commands as processes: an old interpreter differs most in how it starts and ends.
            which = ("-m", "not slow and not clients and not browser")
            named[f"tests-{self.oldest()}"] = lambda: self.tests_on(self.oldest(), pytest=which)
        return named


def main(wanted: list[str]) -> int:
    for name in [name for name in os.environ if FOREIGN.search(name)]:
        del os.environ[name]
    os.environ.pop("VIRTUAL_ENV", None)
    os.environ.update(UV_PYTHON_DOWNLOADS="never", UV_NO_PROGRESS="1", npm_config_update_notifier="false")
    data = REPO.parent / "shared" / "data"
    if not os.environ.get("VIDEO_TASKS_DATA") and data.is_dir():
        os.environ["VIDEO_TASKS_DATA"] = str(data)

    begin = time.monotonic()
    summary: list[str] = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="ci-", ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        os.environ["UV_PROJECT_ENVIRONMENT"] = str(work / "venv")
        # Bytecode of tests and libraries is made once for all steps, outside the checkout: without it each worker
        # compiles every test anew, 10 s of its time.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(work / "bytecode")
        ensure_uv(work / "uv")
        checks = Checks(work)
        node = quiet(["node", "--version"]) or "missing"
        say(f"{quiet(['uv', '--version'])}, Node {node}, Python {', '.join(checks.pythons)}")
        steps = checks.steps()
        unknown = [name for name in wanted if name not in steps]
        if unknown:
            say(f"unknown step: {', '.join(unknown)}; there are: {', '.join(steps)}")
            return 2
        names = wanted or list(steps)
        for name in set(checks.beside()) & set(names if len(names) > 1 else ()):
            checks.begin(name)
        for name in names:
            say(f"\n=== {name}")
            started = time.monotonic()
            try:
                output = steps[name]() or ""
                verdict = "ok"
            except StepError as fault:
                say(f"FAILED: {fault}")
                verdict, failed, output = "FAILED", True, fault.output
            summary.append(f"{verdict:<7}{name} ({time.monotonic() - started:.0f} s)")
            # pytest's closing line once more, as it stands, so that the counts are among the last lines.
            summary.extend([line for line in output.splitlines() if CLOSING.match(line)][-1:])
    say(f"\n=== summary ({time.monotonic() - begin:.0f} s)\n" + "\n".join(summary))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
