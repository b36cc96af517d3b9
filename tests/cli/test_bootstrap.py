"""What every entry script starts with: an old Python, a missing package and a fault of ours are one JSON line each."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import faults
from support.commands import SCRIPTS, call, call_unchecked, environment, start
from support.faultserver import FaultServer
from videotasks.cli import bootstrap
from videotasks.core import installation
from videotasks.providers.load_profile import load_profile

ENTRY = sorted(path.name for path in SCRIPTS.glob("*.py"))
COMMANDS = [name for name in ENTRY if name not in ("ai_video_tasks.py", "inspect_openapi.py")]
LOOK = ("task_status.py", "gen_1", "--provider", "skills-video", "--base-url", "http://127.0.0.1:9")


def old_pythons() -> list[str]:
    root = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser() / "versions"
    return [str(path) for name in ("3.8", "3.9") for path in sorted(root.glob(f"{name}.*/bin/python"))]


OLD = old_pythons()  # before conftest moves the home


@pytest.mark.parametrize("script", ENTRY)
def test_an_entry_script_parses_on_python_3_8(script: str) -> None:
    library = SCRIPTS / "videotasks" / "cli"
    for path in (SCRIPTS / script, library / "bootstrap.py", library / "failures.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.process
@pytest.mark.skipif(not OLD, reason="no Python 3.8 or 3.9 on this machine")
@pytest.mark.parametrize("python", OLD)
@pytest.mark.parametrize("script", ENTRY)
def test_an_old_python_is_told_what_to_run_instead(python: str, script: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [python, str(SCRIPTS / script)], env=environment(), cwd=tmp_path, capture_output=True, timeout=30
    )
    assert done.returncode == 1 and b"Traceback" not in done.stderr
    (line,) = [json.loads(text) for text in done.stdout.splitlines()]
    assert line["final"] is True and line["ok"] is False and line["exit_code"] == 1
    text = json.dumps(line)
    assert "3.10" in text and "uv run" in text
    assert not list(tmp_path.iterdir())


@pytest.mark.process
@pytest.mark.parametrize("package", ["requests", "urllib3"])
def test_a_missing_package_is_one_error_with_the_line_that_mends_it(package: str, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / f"{package}.py").write_text(
        f"raise ModuleNotFoundError(\"No module named '{package}'\", name='{package}')", encoding="utf-8"
    )
    path = os.pathsep.join([str(tmp_path / "broken"), os.environ["PYTHONPATH"]])
    done = start(*LOOK, env={"SKILLS_VIDEO_API_KEY": "sk-1", "PYTHONPATH": path}, cwd=tmp_path)
    assert done.exit_code == 1 and package in done.error["message"]
    assert "uv run" in done.error["hint"] and "python3 -m venv" in done.error["hint"]


@pytest.mark.process
@pytest.mark.parametrize("package", installation.NEEDED_PACKAGES)
def test_a_package_that_only_the_answer_needs_is_missed_before_anything_begins(package: str, tmp_path: Path) -> None:
    blocker = tmp_path / "blocker"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text(
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Without())\n",
        encoding="utf-8",
    )
    words = ("create_and_wait.py", "--sandbox", "--prompt", "x")
    done = start(*words, env={"PYTHONPATH": str(blocker)}, cwd=tmp_path)
    assert done.exit_code == 1 and package in done.error["message"] and len(done.lines) == 1
    (said,) = done.stderr.splitlines()
    assert package in said and "uv run" in said and "-m venv" in said
    assert not (tmp_path / "task-status").exists()


@pytest.mark.parametrize(("package", "old"), [("urllib3", "1.26.20"), ("jmespath", "0.9.0"), ("requests", "2.25.1")])
def test_too_old_a_package_is_one_error_before_anything_begins(
    package: str, old: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site" / f"{package}-{old}.dist-info").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    monkeypatch.setattr(importlib.import_module(package), "__version__", old)
    done = call("create_and_wait.py", "--sandbox", "--prompt", "x")
    assert done.exit_code == 1 and done.error["code"] == "library_too_old" and len(done.lines) == 1
    (said,) = done.stderr.splitlines()
    assert f"{package} {old} is too old" in said and "-m venv" in said and "-m venv" in done.error["hint"]
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_what_an_old_package_left_behind_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "urllib3-1.26.20.egg-info").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert installation.too_old(["urllib3"]) == ("urllib3", "1.26.20", "2.6")
    assert call("create_and_wait.py", "--sandbox", "--prompt", "x", "--dry-run").exit_code == 0


@pytest.mark.parametrize("version", ["2.6", "2.6.1", "2.10", "3"])
def test_versions_are_compared_by_their_numbers(version: str) -> None:
    assert not installation.older(version, "2.6") and installation.older("2.5.9", "2.6")


def test_a_fault_beside_an_old_package_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(_: list[str]) -> int:
        raise AttributeError("no attribute")

    (tmp_path / "jsonschema-3.2.0.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert bootstrap.run(main, []) == 25
    error = json.loads(capsys.readouterr().out)["error"]
    assert "jsonschema 3.2.0 is too old" in error["message"] and "jsonschema 4.20 or newer" in error["expected"]
    assert "task_status.py --latest" in error["hint"]


def test_the_pip_line_is_the_scripts_own_header() -> None:
    project = (SCRIPTS.parent / "pyproject.toml").read_text(encoding="utf-8")
    extras = project.split("[project.optional-dependencies]")[1].split("\n[")[0]
    for script in ENTRY:
        text = (SCRIPTS / script).read_text(encoding="utf-8")
        for requirement in [line.strip('#", ') for line in text.splitlines() if line.startswith('#   "')]:
            if f'"{requirement}' not in extras:  # nobody else pays for these
                assert f'"{requirement}"' in installation.PIP_LINE


@pytest.mark.parametrize(
    "name", ["jsonschema", "yaml", "jmespath", "rich", "jinja2", "requests.adapters", "referencing"]
)
def test_each_package_is_recognised(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: list[str]) -> int:
        raise ModuleNotFoundError(name=name)

    assert bootstrap.run(main, []) == 1
    line = json.loads(capsys.readouterr().out)
    assert name.split(".")[0] in line["error"]["message"] and "pip install" in line["error"]["hint"]


def test_a_fault_of_ours_tells_kind_and_place_and_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: list[str]) -> int:
        raise KeyError("sk-CANARY-7f3a")

    assert bootstrap.run(main, []) == 25
    out, err = capsys.readouterr()
    line = json.loads(out)
    assert "KeyError at test_bootstrap.py" in line["error"]["message"] and line["final"] is True
    assert "CANARY" not in out + err and "Traceback" not in out + err
    assert "before anything is created again" in line["error"]["hint"]


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt(), 130), (SystemExit(2), 2), (SystemExit(None), 0)])
def test_ends_that_are_no_faults(raised: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: list[str]) -> int:
        raise raised

    assert bootstrap.run(main, []) == code
    assert "internal error" not in capsys.readouterr().out


@pytest.mark.parametrize(("signum", "code"), [(2, 130), (15, 143)])
def test_an_interrupt_of_a_call_that_costs_nothing(signum: int, code: int, capfdbinary: Any) -> None:
    from videotasks.core.workers import CallTimedOut, Interrupted

    def interrupted(_: list[str]) -> int:
        raise Interrupted(signum)

    def late(_: list[str]) -> int:
        raise CallTimedOut

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", open(1, "w", closefd=False))  # noqa: SIM115
        assert bootstrap.run(interrupted, ["--sandbox"]) == code
        assert bootstrap.run(late, []) == 24
    first, second = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert first["error"]["category"] == "interrupted" and first["sandbox"] is True
    assert second["error"]["category"] == "transient"


# -- every command -----------------------------------------------------------------------------------------------


# What --help goes without: each of them costs 1 to 100 ms of a start.
DEAR = {"requests", "urllib3", "jsonschema", "yaml", "jmespath", "rich", "jinja2", "ssl", "http.client", "json"}
DEAR |= {"dataclasses", "inspect", "typing", "pathlib", "contextlib", "shutil", "threading", "subprocess", "logging"}
OF_HELP = {"videotasks", "videotasks.cli", "videotasks.core", "videotasks.core.user_folders"}
OF_HELP |= {"videotasks.cli.bootstrap", "videotasks.cli.options", "videotasks.core.invocation"}
OF_HELP_BESIDES = {
    "sandbox.py": ("videotasks_sandbox", "videotasks_sandbox.dialect", "videotasks_sandbox.scenarios"),
}


@pytest.mark.process
@pytest.mark.parametrize("script", ENTRY)
def test_help_needs_the_standard_library_alone(script: str, tmp_path: Path) -> None:
    """Nothing of ours either but the options: models and dataclasses would double what --help costs."""
    argv = [sys.executable, "-X", "importtime", str(SCRIPTS / script), "--help"]
    done = subprocess.run(argv, env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=30)
    name = script if script != "ai_video_tasks.py" else "ai-video-tasks"
    assert done.returncode == 0 and name in done.stdout and "exit codes" in done.stdout
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert not imported & DEAR, imported & DEAR
    ours = {name for name in imported if name.startswith("videotasks")}
    assert ours <= {*OF_HELP, *OF_HELP_BESIDES.get(script, ())}, ours
    assert not list(tmp_path.iterdir()), "--help writes nothing"


# What one look goes without: rooms as a whole, then single modules, then libraries.
NOT_OF_A_LOOK = {"batch", "catalogue", "downloads", "gallery", "mcp_tools", "openapi", "request"}
NOT_OF_A_LOOK |= {"lifecycle.create_or_attach", "lifecycle.reconcile", "lifecycle.submit", "lifecycle.upload_inputs"}
NOT_OF_A_LOOK |= {"lifecycle.stream", "lifecycle.wait", "formats.sse", "formats.mp4"}
DEAR_TO_A_LOOK = {"jsonschema", "yaml", "jmespath", "rich", "jinja2", "dataclasses", "subprocess", "uuid"}


@pytest.mark.process
def test_a_look_goes_without_what_it_does_not_need(tmp_path: Path) -> None:
    """The profile comes from the cache of an earlier command, as for everybody but the first."""
    load_profile("skills-video")
    task = {"id": "gen_1", "status": "IN_PROGRESS", "created_at": "2026-11-21T09:30:00Z"}
    with FaultServer(lambda request: faults.json_answer(task)) as server:
        argv = [sys.executable, "-X", "importtime", str(SCRIPTS / LOOK[0]), *LOOK[1:-1], server.base_url]
        env = environment(SKILLS_VIDEO_API_KEY="sk-1")
        done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "running", done.stdout
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    ours = {name.partition(".")[2] for name in imported if name.startswith("videotasks.")}
    assert not {name for name in ours if name in NOT_OF_A_LOOK or name.partition(".")[0] in NOT_OF_A_LOOK}
    assert not imported & DEAR_TO_A_LOOK and "requests" in imported


@pytest.mark.parametrize("script", ENTRY)
def test_help_is_ascii_and_names_each_exit_code(script: str) -> None:
    code, out, err = call_unchecked(script, "--help")
    assert code == 0 and err == b"" and out.isascii()


@pytest.mark.process
@pytest.mark.skipif(os.name == "nt", reason="POSIX shell")
@pytest.mark.parametrize("script", ["create_and_wait.py", "sandbox.py"])
def test_help_into_a_pipe_that_nobody_reads(script: str) -> None:
    line = f"set -o pipefail; {sys.executable} {SCRIPTS / script} --help | true"
    done = subprocess.run(["bash", "-c", line], env=environment(), capture_output=True, timeout=30)
    assert b"Exception ignored" not in done.stderr and b"Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize("script", COMMANDS)
@pytest.mark.parametrize("option", ["--api-key=sk-CANARY", "--token", "--key"])
def test_a_key_as_an_argument_is_refused_unrepeated(script: str, option: str) -> None:
    from support.commands import call

    done = call(script, option, "sk-CANARY")
    assert done.exit_code == 2 and "CANARY" not in done.stdout + done.stderr


@pytest.mark.parametrize("script", COMMANDS)
def test_an_unknown_option_is_one_error_that_names_it(script: str) -> None:
    from support.commands import call

    done = call(script, "--no-such-option=sk-CANARY", "--status", "1")
    assert done.exit_code == 2 and "CANARY" not in done.stdout
    assert "--no-such-option" in done.error["message"] or "required" in done.error["message"]
    assert "--help" in done.error["expected"]
