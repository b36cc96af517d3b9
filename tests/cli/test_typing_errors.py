"""Typing errors are met halfway: one line with the right spelling, and never the value that was typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.commands import SCRIPTS, call, call_unchecked, fast_sandbox

CREATE = "create_and_wait.py"


@pytest.mark.parametrize(
    ("script", "typed", "meant"),
    [
        (CREATE, "--promt", "--prompt"),
        (CREATE, "--aspect-ratio", "--ratio"),
        (CREATE, "--Duration", "--duration"),
        (CREATE, "--first_frame", "--image first_frame=FILE"),
        (CREATE, "--negative-prompt", "--set negative_prompt=TEXT"),
        (CREATE, "--timeout", "--poll-timeout"),
        ("wait_generation.py", "--poll-timeout", "--timeout"),
        ("task_status.py", "--id", "--task-id"),
        ("task_status.py", "--dowload", "--download"),
    ],
)
def test_an_option_that_is_nearly_one_is_named(tmp_path: Path, script: str, typed: str, meant: str) -> None:
    done = call(script, f"{typed}=sk-secret-value")
    assert done.exit_code == 2
    assert done.error["message"] == f"unknown option {typed}: did you mean {meant}?"
    assert "sk-secret-value" not in done.stdout + done.stderr


def test_what_is_nothing_like_an_option_is_no_guess() -> None:
    assert call(CREATE, "--zzz", "1").error["message"] == "unknown option --zzz"


def test_a_bare_prompt_is_told_where_it_goes() -> None:
    done = call(CREATE, "a paper boat in the rain")
    assert done.exit_code == 2 and "--prompt" in done.error["expected"]
    assert "paper boat" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("skills.video", "did you mean 'skills-video'?"),
        ("SkillsVideo", "did you mean 'skills-video'?"),
        ("volcengine", "did you mean 'ark'?"),
        ("byteplus", "did you mean 'modelark'?"),
        ("creatork", "did you mean 'creatok'?"),
    ],
)
def test_a_provider_that_is_nearly_one_is_named(typed: str, meant: str) -> None:
    done = call(CREATE, "--provider", typed, "--prompt", "x", "--dry-run")
    assert done.exit_code == 1 and done.error["message"].endswith(meant)


@pytest.mark.parametrize(("family", "some"), [("seedance", "ark"), ("sora", "skills-video"), ("Veo", "creatok")])
def test_a_family_of_models_as_provider_says_who_offers_it(family: str, some: str) -> None:
    message = call(CREATE, "--provider", family, "--prompt", "x", "--dry-run").error["message"]
    assert "offered by" in message and some in message.split("offered by")[1].split(":")[0]
    assert "--provider" in message


def test_a_role_that_is_nearly_one_is_named_unless_such_a_file_is_there(tmp_path: Path) -> None:
    done = call(CREATE, "--sandbox", "--prompt", "x", "--image", "frist_frame=x.png", "--dry-run")
    assert done.exit_code == 1 and "did you mean first_frame=x.png?" in done.error["message"]
    from videotasks.request.local_files import parse_media

    (tmp_path / "first-frame=x.png").write_bytes(b"")
    assert parse_media(str(tmp_path / "first-frame=x.png"))[0] is None


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_every_command_says_its_version(script: str) -> None:
    code, out, _ = call_unchecked(script, "--version")
    skill = (SCRIPTS.parent / "SKILL.md").read_text(encoding="utf-8")
    assert code == 0 and f'version: "{out.decode().split()[1]}"' in skill


def test_a_wait_suggests_only_what_it_has() -> None:
    error = call("wait_generation.py").error
    assert "--from" not in error["expected"] and "--list" not in error["expected"]
    assert "task_status.py --list" in error["hint"].replace("'", "")


def test_an_id_in_the_sandbox_takes_the_default_provider(tmp_path: Path) -> None:
    with fast_sandbox():
        done = call("task_status.py", "gen_unknown", "--sandbox", "--artifacts-dir", str(tmp_path))
    assert done.exit_code == 23 and done.final.get("sandbox") is True
