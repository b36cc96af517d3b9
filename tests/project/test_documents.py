"""Documents drift unless something runs them: every command, flag, code, event, status and link is held to the code."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import math
import re
import shlex
import statistics
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.commands import call_unchecked, strict_tokens
from support.parameters import most_are_slow
from videotasks.core.invocation import SUBCOMMANDS

REPO = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path.name for path in (REPO / "scripts").glob("*.py"))
REFERENCES = sorted((REPO / "references").glob("*.md"))
COMMON_RULES = REPO / "shared" / "references" / "common-rules.md"
SKILL, README = REPO / "SKILL.md", REPO / "README.md"
PAGES = [README, SKILL, COMMON_RULES, *REFERENCES]
SANDBOX_RUN = 'uv run scripts/create_and_wait.py --sandbox --prompt "a paper boat in the rain" --duration 4'

# Flags in documents that belong to other programs.
FOREIGN_FLAGS = {"--group", "--copy", "--with", "--global", "--quiet"}
# Commands that cannot run without a server or an id of the user's own: parsed only.
COMMAND = re.compile(
    r"(?:uv run|python3) (?:\"?\$SKILL\"?/|\"\$SKILL/)?scripts/(?P<script>\w+\.py)\"?(?P<rest>.*)", re.S
)


class Command(NamedTuple):
    page: str
    script: str
    arguments: list[str]
    text: str


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def named(page: Path) -> str:
    return page.relative_to(REPO).as_posix()


def by_page(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=[named(page) for page in pages])


def commands_of(page: Path) -> list[Command]:
    """Every command that starts one of our scripts, from fenced blocks and from code spans."""
    text = text_of(page)
    pieces: list[str] = []
    for block in re.findall(r"^ *```(?:bash|sh)\n(.*?)^ *```", text, re.M | re.S):
        block = re.sub(r"<<'(\w+)'\n.*?^ *\1$", "", block, flags=re.M | re.S)
        pieces += re.sub(r"\\\n\s*", " ", block).splitlines()
    pieces += re.findall(r"`((?:uv run|python3) [^`]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S))
    found = []
    for piece in pieces:
        if match := COMMAND.match(piece.strip()):
            words = shlex.split(match["rest"])
            found.append(Command(page.name, match["script"], words, piece.strip()))
    return found


ALL_COMMANDS = [command for page in PAGES for command in commands_of(page)]


class Captured(Exception):
    """The parsed arguments of a script, instead of what it would do with them."""


LIBRARY_OF = {
    "create_and_wait.py": ("cli.create_and_wait", "create_and_wait"),
    "batch.py": ("cli.batch", "batch"),
    "batch_fleet.py": ("cli.batch_fleet", "batch_fleet"),
    "wait_generation.py": ("cli.wait_generation", "wait_generation"),
    "task_status.py": ("cli.task_status", "task_status"),
    "list_models.py": ("cli.list_models", "list_models"),
    "gallery.py": ("cli.gallery", "gallery"),
    "ensure_api_key.py": ("cli.ensure_api_key", "ensure_api_key"),
    "handle_runtime_error.py": ("cli.handle_runtime_error", "handle_runtime_error"),
    "inspect_openapi.py": ("cli.inspect_openapi", "inspect_openapi"),
}


def parse(script: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """The arguments as the script's own parser reads them; raises what it raises for a wrong one."""
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    module = importlib.import_module(script.removesuffix(".py"))
    if script == "ai_video_tasks.py":
        args = module.build_parser().parse_args(arguments)
        return parse(SUBCOMMANDS[args.command], args.options, monkeypatch)
    if script not in LIBRARY_OF:
        return module.build_parser().parse_args(arguments)
    library, function = LIBRARY_OF[script]

    def capture(args: argparse.Namespace) -> int:
        raise Captured(args)

    monkeypatch.setattr(importlib.import_module(f"videotasks.{library}"), function, capture)
    try:
        module.main(arguments)
    except Captured as captured:
        return captured.args[0]
    raise AssertionError(f"{script} did not hand its arguments to videotasks.{library}.{function}")


@cache
def help_of(script: str) -> str:
    module = importlib.import_module(script.removesuffix(".py"))
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        if script in LIBRARY_OF:
            module.main(["--help"])
        else:
            module.build_parser().parse_args(["--help"])
    return shown.getvalue()


@cache
def flags_of(script: str) -> frozenset[str]:
    return frozenset(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", help_of(script)))


# ---------------------------------------------------------------- commands


def test_documents_hold_commands_of_every_script() -> None:
    assert len(ALL_COMMANDS) > 60
    assert {command.script for command in ALL_COMMANDS} == set(SCRIPTS)


@pytest.mark.parametrize("command", ALL_COMMANDS, ids=lambda c: f"{c.page}:{c.text[:90]}")
def test_every_command_is_one_that_its_script_takes(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    parse(command.script, command.arguments, monkeypatch)


def harmless(command: Command) -> bool:
    """What can run here: rehearsals, dry runs, and what sends nothing."""
    words = command.arguments
    if command.script == "mcp_server.py":  # it waits for a client
        return False
    if (
        {"--sandbox", "--report"} & set(words)
        or "--dry-run" in words
        or command.script in ("inspect_openapi.py", "handle_runtime_error.py", "list_models.py")
    ):
        return True
    if command.script == "gallery.py":
        return "--run-id" in words
    return (command.script == "sandbox.py" and "--log" in words) or (
        command.script == "ensure_api_key.py" and "--verify" not in words
    )


def expected_exit(command: Command) -> set[int]:
    words = command.arguments
    if command.script == "handle_runtime_error.py":
        return set(range(20, 28))  # it says what it classified
    if command.script == "ensure_api_key.py" and not {"--sandbox", "--all"} & set(words):
        return {1}  # no key is set in a test
    if "lost-answer" in words:
        return {3}
    return {0}


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000001900000012c0802000000f21a4f300000001049444154789c6360000200000500017a5eab3f"
    "0000000049454e44ae426082"
)


def supply(folder: Path) -> None:
    """The files that examples name."""
    for name in ("photo.png", "end.png", "style.png"):
        (folder / name).write_bytes(PNG + name.encode())
    (folder / "openapi.yaml").write_bytes((REPO / "evals" / "files" / "openapi.yaml").read_bytes())
    (folder / "payload.json").write_text('{"prompt": "a paper boat", "duration": 4}', encoding="utf-8")
    (folder / "shorts.csv").write_text("id,prompt,duration\nboat,a boat,4\nkite,a kite,4\n", encoding="utf-8")
    (folder / "answer.json").write_text('{"error": {"code": "ServerOverloaded", "message": "busy"}}', encoding="utf-8")
    profile = re.search(r"^```yaml\n(.*?)^```", text_of(REPO / "references" / "adding-a-provider.md"), re.M | re.S)
    assert profile
    (folder / "acme.yaml").write_text(profile[1], encoding="utf-8")


def supply_as_told(page: Path, folder: Path) -> None:
    """What a page says is made first: its first block, by a shell."""
    block = re.search(r"^```bash\n(.*?)^```", text_of(page), re.M | re.S)
    assert block and "> photo.png" in block[1]
    subprocess.run(["bash", "-e", "-c", block[1]], cwd=folder, check=True, timeout=30)


def execute(command: Command, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`: in this process, as an interpreter for each would take most of the time."""
    assert folder == Path.cwd()
    given = "a paper boat in the rain\n"
    code, stdout, stderr = call_unchecked(command.script, *command.arguments, stdin=given)
    return subprocess.CompletedProcess(command.arguments, code, stdout.decode(), stderr.decode())


QUICK_PAGES = ("README.md", "SKILL.md", "references/fal-and-replicate.md")
RUNNABLE = [page for page in PAGES if any(harmless(command) for command in commands_of(page))]


@pytest.mark.parametrize("page", most_are_slow([named(page) for page in RUNNABLE], *QUICK_PAGES))
def test_the_harmless_commands_of_a_page_run_in_their_order(
    page: str, workspace: Path, no_outside_network: list[str]
) -> None:
    run_page(REPO / page, workspace, no_outside_network)


def run_page(page: Path, workspace: Path, no_outside_network: list[str]) -> None:
    supply_as_told(page, workspace) if page.name == "commands.md" and sys.platform != "win32" else supply(workspace)
    in_doubt = False
    for command in commands_of(page):
        if not harmless(command):
            continue
        done = execute(command, workspace)
        if in_doubt and command.script == "task_status.py" and "--latest" in command.arguments:
            assert done.returncode == 3, "a look at a lost answer is still in doubt"
            continue
        no_outside_network.clear()  # a dry run asks for the model's live specification, and does without
        in_doubt = "lost-answer" in command.arguments
        told = f"{command.text}\nexit {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
        assert done.returncode in expected_exit(command), told
        if command.script == "ai_video_tasks.py":
            assert done.stdout.strip() and '"event"' not in done.stdout, told
            continue
        last = done.stdout if command.script == "inspect_openapi.py" else done.stdout.splitlines()[-1]
        assert json.loads(last)["exit_code"] == done.returncode, told


def test_the_profile_in_the_readme_works(workspace: Path) -> None:
    block = re.search(r"^```yaml\n(.*?)^```", text_of(README), re.M | re.S)
    assert block
    assert len(block[1].splitlines()) <= 10
    (workspace / "acme.yaml").write_text(block[1], encoding="utf-8")
    words = ["--provider", "./acme.yaml", "--model", "m", "--prompt", "x", "--duration", "4", "--dry-run"]
    done = execute(Command("README.md", "create_and_wait.py", words, ""), workspace)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["request"]["body"] == {"prompt": "x", "model": "m", "seconds": 4}


def test_the_readme_shows_the_two_commands() -> None:
    blocks = "\n".join(re.findall(r"^```bash\n(.*?)^```", text_of(README), re.M | re.S)).splitlines()
    assert blocks[0] == SANDBOX_RUN
    assert blocks[1] == "uv run pytest -q"


def test_the_pip_line_is_the_dependency_list() -> None:
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", text_of(REPO / "pyproject.toml"), re.M | re.S)
    assert listed
    line = "pip install " + " ".join(f'"{name}"' for name in re.findall(r'"([^"]+)"', listed[1]))
    assert line in text_of(README)
    assert line in text_of(SKILL)


# ---------------------------------------------------------------- flags, codes, words


def test_every_flag_named_exists() -> None:
    known = frozenset().union(*(flags_of(script) for script in SCRIPTS)) | FOREIGN_FLAGS
    for page in PAGES:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", text_of(page)))
        assert named <= known, f"{page.name} names {sorted(named - known)}"


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_option_is_documented(script: str) -> None:
    page = "sandbox.md" if script == "sandbox.py" else "commands.md"
    text = text_of(REPO / "references" / page)
    missing = sorted(
        flag for flag in flags_of(script) - {"--help"} if not re.search(re.escape(flag) + r"(?![\w-])", text)
    )
    assert not missing, f"references/{page} says nothing of {', '.join(missing)} of {script}"


def test_the_subcommands_are_listed_with_their_scripts() -> None:
    rows = dict(table_column("commands.md", r"^\| `(\w+)` \| (\w+\.py) \|"))
    assert rows == {name: script for name, script in SUBCOMMANDS.items() if script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_has_its_section(script: str) -> None:
    assert f"## {script}\n" in text_of(REPO / "references" / "commands.md")


def table_column(page: str, pattern: str) -> list[str]:
    return re.findall(pattern, text_of(REPO / "references" / page), re.M)


def test_every_exit_code_is_documented() -> None:
    from videotasks.core.errors import ExitCode

    codes = {
        int(code) for cell in table_column("errors-and-exit-codes.md", r"^\| ([\d, ]+) \|") for code in cell.split(",")
    }
    assert codes == {int(code) for code in ExitCode}
    table = text_of(SKILL).split("## Tell the user")[1].split("## ")[0]
    told = {int(code) for cell in re.findall(r"^\| ([^|]+) \|", table, re.M) for code in re.findall(r"\d+", cell)}
    assert told == codes, "SKILL.md's table says what to do for each"


def test_every_error_category_is_documented_with_its_exit_code() -> None:
    from videotasks.core.errors import EXIT_OF_CATEGORY

    rows = dict(table_column("errors-and-exit-codes.md", r"^\| `(\w+)` \| ([\d, ]+) \|"))
    assert set(rows) == {category.value for category in EXIT_OF_CATEGORY}
    for category, code in EXIT_OF_CATEGORY.items():
        assert str(int(code)) in rows[category.value].split(", ")


def test_every_code_of_ours_is_documented() -> None:
    used = set()
    for path in (REPO / "scripts" / "videotasks").rglob("*.py"):
        used |= set(re.findall(r"\bcode=\"([a-z_]+)\"", text_of(path)))
    text = text_of(REPO / "references" / "errors-and-exit-codes.md")
    assert used and not {code for code in used if f"`{code}`" not in text}


def test_every_event_is_documented() -> None:
    printed = set()
    for path in (REPO / "scripts").rglob("*.py"):
        printed |= set(re.findall(r"\.(?:event|final)\(\s*\"([a-z_]+)\"", text_of(path)))
    assert len(printed) > 20
    text = text_of(REPO / "references" / "commands.md").split("## create_and_wait.py")[0]
    assert not {event for event in printed if f"`{event}`" not in text}
    schema = json.loads(text_of(REPO / "shared" / "schemas" / "events.schema.json"))
    named = set(re.findall(r"`([a-z_]+)`", text.split("| event |")[1].split("Members of")[0]))
    assert printed <= named & set(schema["properties"]["event"]["enum"])


def test_every_status_is_documented() -> None:
    from videotasks.core.task import Status

    assert table_column("statuses.md", r"^\| `(\w+)` \|") == [status.value for status in Status]


def test_every_word_of_every_provider_is_documented() -> None:
    from videotasks.core.task import Status
    from videotasks.providers.load_profile import load_profile, shipped_names

    rows = {}
    for line in text_of(REPO / "references" / "statuses.md").split("## What each provider says")[1].splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 7 and "`" in line:
            for name in cells[0].split(", "):
                rows[name] = [set(re.findall(r"`(\w+)`", cell)) for cell in cells[1:]]
    order = [status.value for status in Status if status is not Status.UNKNOWN]
    assert set(rows) == set(shipped_names())
    for name, cells in rows.items():
        mapped = load_profile(name).status.map
        assert cells == [{str(word) for word in mapped.get(status, ())} for status in order], name


def test_the_figures_of_the_schedule_are_its_own() -> None:
    import random

    from videotasks.lifecycle.poll_schedule import PollSchedule

    schedule, chance = PollSchedule(floor_s=1.5, ceiling_s=10.0), random.Random(1)

    def polled(length: float) -> tuple[int, float]:
        clock, looks = 0.0, 0
        while clock < length:
            clock += schedule.delay(clock, random=chance.random())
            looks += 1
        return looks, clock - length

    rows = table_column("statuses.md", r"^\| (\d+) s \| (\d+) \| ([\d.]+) s \|")
    assert len(rows) == 4
    for length, requests, lag in rows:
        runs = [polled(float(length) * chance.uniform(0.9, 1.1)) for _ in range(2000)]
        assert statistics.mean(run[0] for run in runs) == pytest.approx(int(requests), rel=0.08)
        assert statistics.mean(run[1] for run in runs) == pytest.approx(float(lag), rel=0.08)
    compared = text_of(REPO / "references" / "comparison.md")
    row = re.search(r"^\| requests for a 120 s task[^|]*\| (\d+) \|", compared, re.M)
    assert row and int(row[1]) == int({length: requests for length, requests, _ in rows}["120"])
    row = re.search(r"^\| seconds from the end[^|]*\| ([\d.]+) \|", compared, re.M)
    lag = statistics.median(polled(chance.uniform(6.3, 14.3))[1] for _ in range(2000))
    assert row and lag == pytest.approx(float(row[1]), abs=0.06)


def test_every_scenario_is_documented() -> None:
    from videotasks_sandbox.scenarios import SCENARIOS

    named = {
        name for cell in table_column("sandbox.md", r"^\| (`[^|]+) \|") for name in re.findall(r"`([a-z0-9-]+)", cell)
    }
    assert named == set(SCENARIOS)


def test_every_provider_has_a_page_with_its_key_and_origin() -> None:
    from videotasks.providers.load_profile import load_profile, shipped_names

    pages = [page for page in REFERENCES if page.stem not in ("errors-and-exit-codes", "commands", "statuses")]
    for name in shipped_names():
        profile = load_profile(name)
        own = [page for page in pages if f"--provider {name}" in text_of(page) or page.stem == name]
        assert own, f"no page for {name}"
        together = "\n".join(text_of(page) for page in own)
        for variable in profile.auth.env:
            assert f"`{variable}`" in together, f"{name}: {variable}"
            assert variable in text_of(README) or variable == "OPENAI_API_KEY"
        if profile.auth.key_url:
            assert profile.auth.key_url in together, f"{name}: {profile.auth.key_url}"
        for kind in profile.kinds:
            assert len(profile.kinds) == 1 or f"`{kind}`" in text_of(REPO / "references" / "commands.md")


def test_every_knob_of_a_profile_is_documented() -> None:
    schema = json.loads(text_of(REPO / "shared" / "schemas" / "provider-profile.schema.json"))
    text = text_of(REPO / "references" / "adding-a-provider.md")
    simple = {"name", "title", "rehearsal_model", "notes", "default_kind"}
    missing = [knob for knob in schema["properties"] if knob not in simple and f"`{knob}" not in text]
    missing += [
        part
        for part in schema["$defs"]["input"]["properties"]
        if f"`{part}" not in text and part != "default_resolution"
    ]
    assert not missing


def test_the_documented_models_and_their_fields_are_those_of_the_catalogue() -> None:
    from videotasks.catalogue import known
    from videotasks.providers.load_profile import load_profile

    text = text_of(REPO / "references" / "video-model-endpoints.md")
    catalogue = known.catalogue_of(load_profile("skills-video"))
    assert catalogue
    for model in (one for one in catalogue.models if one.makes == "video"):
        row = next((line for line in text.splitlines() if line.startswith(f"| `{model.id}` |")), "")
        assert row, f"{model.id} is not in the table"
        told = dict(zip(("duration", "ratio", "resolution", "seed"), row.split("|")[2:], strict=False))
        fields = model.fields or {}
        assert ("(no prompt)" in row) is ("prompt" not in fields), model.id
        for key, field in fields.items():
            usual = {"ratio": "aspect_ratio"}.get(key, key) == field
            if key in told and usual:
                assert told[key].strip() and "`" not in told[key], f"{model.id}: {key}"
            elif key not in ("prompt", "count", "sound"):
                assert f"`{field.removesuffix('[+]')}`" in row, f"{model.id}: {field}"
        assert not [key for key, cell in told.items() if cell.strip() and key not in fields], model.id


# ---------------------------------------------------------------- links, reach, size


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text_of(page), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links_of(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", text_of(page))


@by_page([*PAGES, REPO / "CONTRIBUTING.md"])
def test_links_resolve(page: Path) -> None:
    for link in links_of(page):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(REPO) and target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_is_named_in_skill_md_with_when_to_read_it() -> None:
    table = text_of(SKILL).split("## Read when")[1]
    rows = [line for line in table.splitlines() if line.startswith("| [")]
    named = {link for row in rows for link in re.findall(r"\]\(([^)]+)\)", row)}
    for_people = {REPO / "references" / "comparison.md"}
    wanted = {COMMON_RULES, *REFERENCES} - for_people
    assert named == {page.relative_to(REPO).as_posix() for page in wanted}
    assert all(len(row.split("|")[2].strip()) > 15 for row in rows), "each says when"


def test_every_file_for_readers_is_reachable() -> None:
    seen, open_pages = set(), [SKILL, README]
    while open_pages:
        page = open_pages.pop()
        if page in seen:
            continue
        seen.add(page)
        if page.suffix == ".md":
            local = [link.partition("#")[0] for link in links_of(page) if not link.startswith("http")]
            open_pages += [path for link in local if link and (path := (page.parent / link).resolve()).is_file()]
    everything = "\n".join(text_of(page) for page in seen if page.suffix == ".md")
    wanted = [*REFERENCES, COMMON_RULES, *(REPO / "references" / "images").iterdir()]
    wanted += [
        path
        for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "pyproject.toml")
        if (path := REPO / name)
    ]
    wanted += sorted((REPO / "shared" / "schemas").iterdir())
    assert not [path for path in wanted if path.resolve() not in seen]
    assert not [script for script in SCRIPTS if f"scripts/{script}" not in everything]
    assert "evals/run_evals.py" in everything


@by_page(PAGES)
def test_long_pages_have_contents(page: Path) -> None:
    text = text_of(page)
    assert max(map(len, text.splitlines())) < 700, "a line that nobody can review"
    if text.count("\n") > 300:
        assert len(re.findall(r"^- \[[^\]]+\]\(#", text, re.M)) >= 3


def test_no_page_repeats_another() -> None:
    seen: dict[str, str] = {}
    for page in PAGES:
        for line in text_of(page).splitlines():
            line = line.strip()
            if len(line) < 130 or "scripts/" in line or "pip install" in line:
                continue
            assert seen.setdefault(line, page.name) == page.name, f"{page.name} repeats {seen[line]}: {line[:90]}"


# ---------------------------------------------------------------- SKILL.md


def frontmatter() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    head = re.match(r"---\n(.*?)\n---\n", text_of(SKILL), re.S)
    assert head
    return yaml.safe_load(head[1])


def test_frontmatter_has_the_six_fields_only() -> None:
    fields = frontmatter()
    assert set(fields) <= {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
    assert fields["name"] == "ai-video-tasks"
    assert fields["license"] == "MIT"
    assert 0 < len(fields["compatibility"]) <= 500
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in fields["metadata"].items())
    version = re.search(r'^version = "([^"]+)"', text_of(REPO / "pyproject.toml"), re.M)
    assert version and fields["metadata"]["version"] == version[1]


def test_the_description_is_one_that_every_parser_takes() -> None:
    line = re.search(r'^description: "(.*)"$', text_of(SKILL), re.M)
    assert line, "one double-quoted line"
    description = frontmatter()["description"]
    assert description == line[1], "no escapes"
    assert 200 < len(description) <= 1024
    assert not re.search(r": |[<>]|---|\{|\[", description)
    assert "Use when" in description and "Not for" in description
    for term in ("task id", "resume", "Seedance", "Kling", "Sora", "Veo", "CreatOK", "skills.video", "OctopusX"):
        assert term in description, term
    for term in ("Generate a video", "check a video task", "text-to-video", "image-to-video"):
        assert term in description[:200], f"{term} belongs into the first 200 characters"


def test_skill_md_is_short() -> None:
    text = text_of(SKILL)
    assert text.count("\n") < 200
    assert strict_tokens(text) < 3000


def test_skill_md_says_what_counts() -> None:
    text = text_of(SKILL)
    for words in (
        "wait for a yes",
        "Never ask for a key in the chat",
        "No id and no run: ask for the id. Never create",
        "only the user may decide to pay again",
        "--poll-timeout 80",
        "--prompt-file - --dry-run <<'PROMPT'",
        "15 minutes",
        "TikTok only",
        "`default_create_endpoint` unless told otherwise",
        "Two failures of the same kind",
        "--base-url https://",
        "N minus 40",
        "~/.cache/ai-video-tasks/venv",
        "after the top-up the same command sends again",
        "`to_adopt`",
        "`to_close`",
    ):
        assert words in text, words


def test_the_page_on_prompts_is_short() -> None:
    assert strict_tokens(text_of(REPO / "references" / "prompting.md")) < 1_050, "under 900 by a tokenizer"


def test_the_whole_happy_path_stays_under_5000_tokens(workspace: Path) -> None:
    options = "--sandbox --provider creatok --model doubao-seedance-2 --duration 8 --ratio 9:16 --poll-timeout 100"
    spent = {"SKILL.md": text_of(SKILL)}
    for script, words in (
        ("ensure_api_key.py", ["--provider", "creatok", "--sandbox"]),
        ("create_and_wait.py", [*options.split(), "--prompt-file", "-", "--dry-run"]),
        ("create_and_wait.py", [*options.split(), "--prompt-file", "-"]),
    ):
        done = execute(Command("", script, words, ""), workspace)
        assert done.returncode == 0, done.stdout + done.stderr
        spent[f"{script} {words[-1]}"] = shlex.join(words) + done.stdout + done.stderr
    total = {what: max(math.ceil(len(text) / 4), strict_tokens(text)) for what, text in spent.items()}
    assert sum(total.values()) < 5000, total


def test_pictures_are_small_and_real() -> None:
    frame = (REPO / "references" / "images" / "sandbox-frame.png").read_bytes()
    assert frame.startswith(b"\x89PNG") and len(frame) < 60_000
    page = (REPO / "references" / "images" / "gallery.png").read_bytes()
    assert page.startswith(b"\x89PNG") and len(page) < 150_000
    terminal = text_of(REPO / "references" / "images" / "sandbox-terminal.svg")
    assert len(terminal) < 60_000 and "http://www.w3.org/2000/svg" in terminal
    shown = re.sub(r"<[^>]+>", "", terminal).replace("&quot;", '"')
    assert f"{SANDBOX_RUN} --text" in shown and "The result is ready" in shown and '"event"' not in shown
