"""Every printed command is complete: it does what was asked for, from another shell, without this environment."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from support import faults
from support.commands import SCRIPTS, call, main_of
from support.taskserver import KEY, WIRES, TaskServer
from videotasks.cli import options
from videotasks.cli.request_options import session_options
from videotasks.core.record import replace
from videotasks.lifecycle.open_session import asked_of, place_of
from videotasks.output.next_command import STEP_S, Asked
from videotasks.providers.load_profile import load_profile

ENV = {"SKILLS_VIDEO_API_KEY": KEY, "OCTOPUSX_API_KEY": KEY}
COMMANDS = ("create_and_wait.py", "wait_generation.py", "task_status.py")

# Why an option need not stand in `next`: it is about the create that was, about which task, or about this one command.
CREATE = {
    *("--prompt", "--prompt-file", "--model", "--duration", "--ratio", "--resolution", "--seed", "--image", "--video"),
    *("--audio", "--set", "--payload", "--payload-file", "--sse-endpoint", "--openapi", "--allow-unknown-fields"),
    *(
        "--dry-run",
        "--take",
        "--again",
        "--max-cost",
        "--max-cost-per-day",
        "--allow-unknown-cost",
        "--no-wait",
        "--create-timeout",
    ),
    *("--sse-request-timeout", "--allow-convention"),
}
WHICH = {"--task-id", "--run-id", "--latest", "--from", "--generation-id", "--all-unfinished"}
ONCE = {
    *(
        "--wait",
        "--cancel",
        "--resolve",
        "--list",
        "--refresh",
        "--remote",
        "--status",
        "--since",
        "--limit",
        "--report",
        "--with-inputs",
    ),
    *("--help", "--version"),
}
ONCE |= {"--sandbox-scenario"}  # trouble is rehearsed by one command; the next one goes on from it
HERE = "<here>"
CARRIED: dict[str, tuple[list[str], list[str]]] = {  # option -> (as typed, as it must stand in `next`)
    "--provider": (["--provider", "skills-video"], ["--provider", "skills-video"]),
    "--kind": (["--kind", "unified"], ["--kind", "unified"]),
    "--base-url": (["--base-url", "https://api.example/v1"], ["--base-url", "https://api.example/v1"]),
    "--allow-http": (["--allow-http"], ["--allow-http"]),
    "--no-retry": (["--no-retry"], ["--no-retry"]),
    "--sandbox": (["--sandbox"], ["--sandbox"]),
    "--no-download": (["--no-download"], ["--no-download"]),
    "--download": (["--download"], []),  # the default of a wait; carried by a look
    "--output": (["--output", "boat.mp4"], ["--output", HERE + "boat.mp4"]),
    "--force": (["--force"], ["--force"]),
    "--with-link": (["--with-link"], ["--with-link"]),
    "--allow-private-results": (["--allow-private-results"], ["--allow-private-results"]),
    "--artifacts-dir": (["--artifacts-dir", "runs"], ["--artifacts-dir", "/root"]),
    "--verbose": (["--verbose"], ["--verbose"]),
    "--text": (["--text"], ["--text"]),
    "--timeout": (["--timeout", "45"], ["--timeout", "45"]),
    "--poll-timeout": (["--poll-timeout", "45"], ["--timeout", "45"]),
    "--interval": (["--interval", "2"], ["--interval", "2"]),
    "--poll-interval": (["--poll-interval", "2"], ["--interval", "2"]),
    "--request-timeout": (["--request-timeout", "9"], ["--request-timeout", "9"]),
    "--poll-request-timeout": (["--poll-request-timeout", "9"], ["--request-timeout", "9"]),
}


class Parsed(Exception):
    def __init__(self, parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
        self.parser, self.given = parser, args


def parse(script: str, *typed: str) -> Parsed:
    """The parser of a command and what it makes of these words."""
    with pytest.MonkeyPatch.context() as patch:

        def stop(self: options.Parser, argv: list[str]) -> Any:
            raise Parsed(self, self.parse_args(argv))

        patch.setattr(options.Parser, "parse", stop)
        try:
            main_of(script)(list(typed))
        except Parsed as parsed:
            return parsed
    raise AssertionError("the command parses nothing")


@pytest.mark.parametrize("script", COMMANDS)
def test_every_option_is_carried_or_has_a_reason_not_to_be(script: str) -> None:
    for option in re.findall(r"(?m)^ +(?:-\w, )?(--[a-z-]+)", parse(script).parser.format_help()):
        if option in CREATE | WHICH | ONCE:
            continue
        typed, wanted = CARRIED[option]
        wanted = [word.replace(HERE, str(Path.cwd()) + os.sep) for word in wanted]
        args = parse(script, *typed).given
        argv = asked_of(session_options(args), None, "/root").wait("--run-id", "r")
        assert shlex.join(wanted) in shlex.join(argv), f"{option} of {script} is lost in {argv}"


@pytest.mark.parametrize("script", COMMANDS)
def test_the_users_own_time_limit_or_one_that_fits_a_shell(script: str) -> None:
    argv = asked_of(session_options(parse(script).given), None, "/root").wait("--run-id", "r")
    assert argv[argv.index("--timeout") + 1] == f"{STEP_S:g}" == "80"


def test_a_look_that_was_to_fetch_goes_on_fetching() -> None:
    args = parse("task_status.py", "--latest", "--download", "--output", "boat.mp4", "--timeout", "45").given
    line = shlex.join(asked_of(session_options(args), None, "/root").look("--run-id", "r"))
    assert "--download --timeout 45" in line and f"--output {Path('boat.mp4').absolute()}" in line


def test_settling_is_about_no_file() -> None:
    asked = Asked("/root", place=("--sandbox",), files=("--output", "/b.mp4"))
    assert "--output" not in asked.settle("--resolve", "not-created")


def test_a_folder_stays_a_folder() -> None:
    args = parse("wait_generation.py", "--latest", "--output", "films/").given
    files = asked_of(session_options(args), None, "/root").files
    assert files[1].endswith("films/") or files[1].endswith("films\\")


# -- from the environment ----------------------------------------------------------------------------------------


def test_send_pays_at_the_origin_and_within_the_limit_that_the_environment_named(tmp_path: Path) -> None:
    with TaskServer(WIRES["skills-video"]) as server:
        env = {**ENV, "SKILLS_VIDEO_BASE_URL": server.base, "SKILLS_VIDEO_MAX_COST": "20credits"}
        env["VIDEO_TASKS_ARTIFACTS"] = str(tmp_path / "runs")
        typed = ("--model", "openai/sora-2", "--prompt", "it's $5", "--duration", "4", "--allow-unknown-cost")
        plan = call("create_and_wait.py", *typed, "--dry-run", env=env)
        assert plan.exit_code == 0
        words = shlex.split(plan.final["send"])
        at = words.index(str(SCRIPTS / "create_and_wait.py")) + 1
        for option, value in (
            ("--base-url", server.base),
            ("--max-cost", "20credits"),
            ("--artifacts-dir", str(tmp_path / "runs")),
            ("--prompt", "it's $5"),
        ):
            assert words[words.index(option) + 1] == value
        assert "--dry-run" not in words and KEY not in plan.stdout
        sent = call("create_and_wait.py", *words[at:], "--no-wait", env={"SKILLS_VIDEO_API_KEY": KEY})
        assert sent.exit_code == 0 and server.paid == 1
        wait = sent.final["next_argv"]
        assert wait[wait.index("--base-url") + 1] == server.base


def test_a_profile_that_the_environment_finds_goes_on_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine", encoding="utf-8")
    monkeypatch.setenv("VIDEO_TASKS_PROVIDERS", str(tmp_path))
    foreign = replace(load_profile("skills-video"), foreign=True)
    given = parse("task_status.py", "x", "--provider", "mine").given
    assert place_of(session_options(given), foreign)[:2] == ("--provider", str(tmp_path / "mine.yaml"))


def test_next_after_an_interrupted_lookup_keeps_where_the_file_goes(tmp_path: Path) -> None:
    with TaskServer(WIRES["skills-video"], polls=[faults.html(502)] * 40) as server:
        done = call(
            "wait_generation.py", "--task-id", "gen_1", "--base-url", server.base, "--timeout", "0.3",
            "--output", "boat.mp4", "--allow-private-results", env=ENV,
        )  # fmt: skip
        assert done.exit_code == 11
        argv = done.final["next_argv"]
        assert argv[argv.index("--timeout") + 1] == "0.3" and str(Path("boat.mp4").absolute()) in argv
        assert "--allow-private-results" in argv
