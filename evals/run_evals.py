#!/usr/bin/env python3
"""Prepare a workspace for an eval, serve its provider on this machine, and grade what an assistant left there.

    python3 evals/run_evals.py list
    python3 evals/run_evals.py prepare 4 FOLDER     writes FOLDER/prompt.md, FOLDER/env.json and FOLDER/workspace
    python3 evals/run_evals.py serve FOLDER         the provider's stand-in, until Ctrl-C
    python3 evals/run_evals.py grade FOLDER         prints the marks, writes FOLDER/grading.json

No model is called. Whoever runs an assistant starts it in FOLDER/workspace with the variables of env.json and the
text of prompt.md while `serve` runs, and leaves its last message as FOLDER/answer.md and, if it can, its shell commands
as FOLDER/commands.txt, one a line. The provider answers as for real; the skill is given no hint that it is a stand-in.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parent / "scripts"
STAND_IN_KEY = "sandbox-key-not-secret"  # what videotasks_sandbox accepts
KEYS = {
    "skills-video": "SKILLS_VIDEO_API_KEY",
    "creatok": "CREATOK_API_KEY",
    "octopusx": "OCTOPUSX_API_KEY",
    "ark": "VOLCENGINE_ARK_API_KEY",
    "openai-compatible": "OPENAI_COMPATIBLE_API_KEY",
}
MODELS = {"skills-video": "openai/sora-2", "ark": "doubao-seedance-1-5-pro-251215"}
PROMPT = "a paper boat in the rain"
PICTURE = base64.b64decode(  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def load_evals() -> dict[int, dict[str, Any]]:
    document = json.loads((HERE / "evals.json").read_text(encoding="utf-8"))
    return {entry["id"]: entry for entry in document["evals"]}


def state_file(folder: Path) -> Path:
    return folder / "workspace" / "task-status" / ".artifacts" / ".sandbox" / "state.json"


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


# ---------------------------------------------------------------- prepare and serve


def serve_command(folder: Path, speed: float, scenario: str | None = None) -> list[str]:
    chosen = read_json(folder / "eval.json")
    setup = chosen["setup"]
    command = [sys.executable, str(SCRIPTS / "sandbox.py"), "--provider", setup["provider"]]
    command += ["--scenario", scenario or setup.get("scenario", "ok"), "--port", str(chosen["port"])]
    return [*command, "--state", str(state_file(folder)), "--speed", f"{speed:g}"]


@contextmanager
def serving(folder: Path, speed: float = 1.0, scenario: str | None = None) -> Iterator[None]:
    """The stand-in in the background, ready for requests."""
    state_file(folder).parent.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(serve_command(folder, speed, scenario), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if '"ready"' not in line:
            raise SystemExit(f"the stand-in did not start: {line.strip()}")
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()


def run_script(folder: Path, script: str, *arguments: str) -> dict[str, Any]:
    """One command of the skill in the workspace, as an assistant runs it; its last line."""
    environment = {**clean_environment(), **read_json(folder / "env.json")}
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / script), *arguments],
        cwd=folder / "workspace",
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    return json.loads(done.stdout.splitlines()[-1])


def clean_environment() -> dict[str, str]:
    """This environment without any key or origin of a video API."""
    foreign = re.compile(r"(_API_KEY|_API_TOKEN|_BASE_URL)$|^(FAL_KEY$|VIDEO_TASKS_)")
    return {name: value for name, value in os.environ.items() if not foreign.search(name)}


def prepare(number: int, folder: Path) -> dict[str, Any]:
    """Make `folder` for eval `number`; returns what was written. The folder must be new or empty."""
    chosen = load_evals().get(number)
    if chosen is None:
        raise SystemExit(f"there is no eval {number}; there are 1 to {max(load_evals())}")
    folder = folder.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty")
    workspace = folder / "workspace"
    workspace.mkdir(parents=True)
    for name in chosen["files"]:
        shutil.copy(HERE.parent / name, workspace / Path(name).name)
    setup = chosen["setup"]
    port = free_port()
    (folder / "eval.json").write_text(json.dumps({**chosen, "port": port}), encoding="utf-8")
    environment: dict[str, str] = {}
    key = KEYS[setup["provider"]]
    if setup.get("served", True):
        address = base_url(folder)
        environment[base_url_variable(setup["provider"])] = address
        environment[key] = STAND_IN_KEY
    (folder / "env.json").write_text(json.dumps(environment, indent=1), encoding="utf-8")
    facts = BEFORE[setup["before"]](folder, setup) if "before" in setup else {}
    if setup.get("base_url") == "told":  # in the user's words instead of the environment
        facts["base_url"] = environment.pop(base_url_variable(setup["provider"]))
        (folder / "env.json").write_text(json.dumps(environment, indent=1), encoding="utf-8")
    if "picture" in setup:
        (workspace / setup["picture"]).write_bytes(PICTURE)
    if setup.get("key") is False:
        environment.pop(key, None)
        (folder / "env.json").write_text(json.dumps(environment, indent=1), encoding="utf-8")
    prompt = chosen["prompt"]
    for name, value in facts.items():
        prompt = prompt.replace("{" + name + "}", value)
    (folder / "prompt.md").write_text(prompt + "\n", encoding="utf-8")
    baseline = {"facts": facts, **counts(folder)}
    (folder / "baseline.json").write_text(json.dumps(baseline), encoding="utf-8")
    return {"folder": str(folder), "workspace": str(workspace), "prompt": prompt, "env": environment, "facts": facts}


def free_port() -> int:
    """One that stays free until it is used: below those that systems hand out unasked (Linux: 32768 and above)."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def base_url_variable(provider: str) -> str:
    return provider.upper().replace("-", "_") + "_BASE_URL"


def base_url(folder: Path) -> str:
    """The stand-in's own word for the provider's base URL; it listens for this moment only."""
    process = subprocess.Popen(serve_command(folder, 1.0, "ok"), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        return str(json.loads(process.stdout.readline())["base_url"])
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()


def create_words(setup: dict[str, Any], *more: str) -> list[str]:
    provider = setup["provider"]
    model = setup.get("model", MODELS[provider])
    return ["--provider", provider, "--model", model, "--prompt", PROMPT, "--duration", "5", *more]


def forget_workspace(folder: Path) -> None:
    """The provider's memory stays, the user's goes."""
    for path in list((folder / "workspace" / "task-status" / ".artifacts").iterdir()):
        if path.name != ".sandbox":
            put_away(folder, path)


def put_away(folder: Path, path: Path) -> None:
    """Out of the assistant's reach; nothing is deleted by a tool that is given folders by hand."""
    (folder / "put-away").mkdir(exist_ok=True)
    path.rename(folder / "put-away" / path.name)


def foreign_task(folder: Path, setup: dict[str, Any]) -> dict[str, str]:
    with serving(folder, speed=50):
        made = run_script(folder, "create_and_wait.py", *create_words(setup, "--no-wait"))
    forget_workspace(folder)
    return {"task_id": made["task_id"]}


def crashed_create(folder: Path, setup: dict[str, Any]) -> dict[str, str]:
    with serving(folder, speed=50, scenario="lost-answer"):
        made = run_script(folder, "create_and_wait.py", *create_words(setup))
    journal = Path(made["artifacts_dir"]) / "journal.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    sent = next(i for i, line in enumerate(lines) if json.loads(line)["event"] == "submitting")
    journal.write_text("".join(lines[: sent + 1]), encoding="utf-8")
    if (journal.parent / "outputs").is_dir():
        put_away(folder, journal.parent / "outputs")
    return {"candidate": next(iter(read_json(state_file(folder))["tasks"]))}


def finished_without_file(folder: Path, setup: dict[str, Any]) -> dict[str, str]:
    with serving(folder, speed=50):
        made = run_script(folder, "create_and_wait.py", *create_words(setup, "--no-download"))
    return {"run_id": made["run_id"]}


def running_task(folder: Path, setup: dict[str, Any]) -> dict[str, str]:
    with serving(folder):
        made = run_script(folder, "create_and_wait.py", *create_words(setup, "--no-wait"))
    return {"run_id": made["run_id"]}


def finished_task(folder: Path, setup: dict[str, Any]) -> dict[str, str]:
    with serving(folder, speed=50):
        made = run_script(folder, "create_and_wait.py", *create_words(setup))
    return {"run_id": made["run_id"]}


def killed_batch(folder: Path, setup: dict[str, Any]) -> dict[str, str]:
    """Five rows, three of them under way when the process is killed."""
    rows = "".join(f"{name},a {name} in the rain\n" for name in ("boat", "kite", "tower", "train", "tree"))
    (folder / "workspace" / "rows.csv").write_text("id,prompt\n" + rows, encoding="utf-8")
    root = folder / "workspace" / "task-status" / ".artifacts"
    words = [
        sys.executable,
        str(SCRIPTS / "batch.py"),
        "rows.csv",
        "--set-default",
        f"model={MODELS[setup['provider']]}",
    ]
    with serving(folder, speed=50, scenario="slow:300"):
        process = subprocess.Popen(
            [*words, "--set-default", "duration=4", "--concurrency", "3"],
            cwd=folder / "workspace",
            env={**clean_environment(), **read_json(folder / "env.json")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            told = [path.read_text(encoding="utf-8") for path in root.glob("*/journal.jsonl")]
            if sum('"submitted"' in text for text in told) >= 3:
                break
            time.sleep(0.05)
        process.kill()
        process.wait(timeout=20)
    return {}


BEFORE: dict[str, Callable[[Path, dict[str, Any]], dict[str, str]]] = {
    "foreign task": foreign_task,
    "crashed create": crashed_create,
    "finished without file": finished_without_file,
    "running task": running_task,
    "finished task": finished_task,
    "killed batch": killed_batch,
}


# ---------------------------------------------------------------- grade


def counts(folder: Path) -> dict[str, int]:
    """What the provider has seen: accepted creates, create requests, looks at tasks."""
    state = read_json(state_file(folder)) or {"creates": 0, "requests": []}
    requests = [entry for entry in state["requests"] if "/cdn/" not in entry["path"]]
    looks = [e for e in requests if e["method"] == "GET" and e["task_id"] and not e["paid"]]
    return {
        "creates": state["creates"],
        "posts": sum(entry["method"] == "POST" and "upload" not in entry["path"] for entry in requests),
        "looks": len(looks),
    }


class Left:
    """What an assistant left: the workspace, the provider's log, its last message."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.baseline = read_json(self.folder / "baseline.json") or {"facts": {}}
        now = counts(self.folder)
        self.seen = {name: now[name] - self.baseline.get(name, 0) for name in now}
        root = self.folder / "workspace" / "task-status" / ".artifacts"
        self.runs = (
            [p for p in root.glob("*") if p.is_dir() and (p / "journal.jsonl").is_file()] if root.is_dir() else []
        )
        self.results = [r for run in self.runs if (r := read_json(run / "outputs" / "result.json"))]
        self.results.sort(key=lambda result: str(result.get("created_at")))
        self.answer = self._text("answer.md")
        self.commands = [line for line in self._text("commands.txt").splitlines() if line.strip()]

    def _text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def videos(self) -> list[str]:
        """Files that are what their record says, and films."""
        whole = []
        for run in self.runs:
            result = read_json(run / "outputs" / "result.json") or {}
            for entry in result.get("files") or []:
                path = run / str(entry.get("path"))
                data = path.read_bytes() if path.is_file() else b""
                if data[4:8] == b"ftyp" and hashlib.sha256(data).hexdigest() == entry.get("sha256"):
                    whole.append(str(path))
        return whole

    def payload(self, run: Path) -> dict[str, Any]:
        """The body that a run sent, by its own record."""
        return (read_json(run / "inputs" / "request.json") or {}).get("payload") or {}

    def outcome(self) -> str | None:
        return self.results[-1].get("outcome") if self.results else None

    def known(self, name: str) -> list[str]:
        """Values that an answer may have to give, newest first."""
        facts = self.baseline.get("facts") or {}
        if name in facts:
            return [facts[name]]
        return [str(result[name]) for result in reversed(self.results) if result.get(name)]


NUMBERS = re.compile(r"^(creates|posts|looks|videos|commands)(=|<=)(\d+)$")


def check(assertion: str, left: Left) -> tuple[bool | None, str]:
    """Whether one assertion holds (None: cannot be judged), with the evidence. ValueError for an unknown one."""
    rule = assertion.split(" -- ")[0].strip()
    if match := NUMBERS.match(rule):
        name, sign, wanted = match[1], match[2], int(match[3])
        if name == "commands" and not left.commands:
            return None, "no commands.txt"
        if name == "commands":
            found = sum("scripts/" in line and ".py" in line for line in left.commands)
        else:
            found = len(left.videos()) if name == "videos" else left.seen[name]
        return (found == wanted if sign == "=" else found <= wanted), f"{name}: {found}"
    if rule.startswith("outcome="):
        return left.outcome() == rule[8:], f"outcome: {left.outcome()}"
    if rule.startswith("sent "):
        name, _, value = rule[5:].partition("=")
        sent = [bodies.get(name) for run in left.runs if (bodies := left.payload(run))]
        return [str(one) for one in sent] == [value], f"{name}: {sent}"
    if rule == "chained":
        records = [read_json(run / "inputs" / "request.json") or {} for run in left.runs]
        images = [str(pair[1]) for record in records for pair in (record.get("given") or {}).get("image") or ()]
        return any(one.startswith("@") or "last" in one for one in images), f"images: {images}"
    if rule.startswith("file="):
        path = left.folder / "workspace" / rule[5:]
        data = path.read_bytes() if path.is_file() else b""
        return data[4:8] == b"ftyp", f"{path.name}: {len(data)} bytes"
    kind, _, wanted = rule.partition(" says ")
    if kind == "answer" and wanted:
        hit = re.search(wanted, left.answer, re.IGNORECASE)
        return bool(hit), f"found {hit[0]!r}" if hit else f"not in the answer ({len(left.answer)} characters)"
    kind, _, wanted = rule.partition(" lacks ")
    if kind == "answer" and wanted:
        hit = re.search(wanted, left.answer, re.IGNORECASE)
        return bool(left.answer.strip()) and not hit, f"found {hit[0]!r}" if hit else "not there"
    if kind == "workspace" and wanted:
        holders = [
            p for p in (left.folder / "workspace").rglob("*") if p.is_file() and wanted.encode() in p.read_bytes()
        ]
        return not holders, f"in {', '.join(p.name for p in holders)}" if holders else "in no file"
    kind, _, wanted = rule.partition(" has ")
    if kind == "answer" and wanted:
        name, _, other = wanted.partition("|")
        values = [*left.known(name), *([other] if other else [])]
        given = next((value for value in values if value in left.answer), None)
        return given is not None, f"gives {given[:120]}" if given else f"gives none of {len(values)} known {wanted}"
    raise ValueError(f"unknown assertion: {rule}")


def grade(folder: Path) -> dict[str, Any]:
    """The marks of one eval, in the form of the specification's grading.json."""
    chosen = read_json(folder / "eval.json")
    if chosen is None:
        raise SystemExit(f"{folder} was not made by prepare")
    left = Left(folder)
    marks = []
    for assertion in chosen["assertions"]:
        passed, evidence = check(assertion, left)
        marks.append({"text": assertion, "passed": passed, "evidence": evidence})
    judged = [mark for mark in marks if mark["passed"] is not None]
    passed_count = sum(bool(mark["passed"]) for mark in judged)
    summary = {"passed": passed_count, "failed": len(judged) - passed_count, "total": len(judged)}
    summary["pass_rate"] = round(passed_count / len(judged), 3) if judged else 0.0
    document = {"eval": chosen["id"], "assertion_results": marks, "summary": summary}
    (folder / "grading.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return document


# ---------------------------------------------------------------- command line


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="the evals, one a line")
    for name in ("prepare", "serve", "grade"):
        action = actions.add_parser(name)
        if name == "prepare":
            action.add_argument("id", type=int)
        if name == "serve":
            action.add_argument("--speed", type=float, default=1.0, help="divides the length of new tasks")
        action.add_argument("folder", type=Path)
    args = parser.parse_args()
    if args.action == "list":
        for number, entry in load_evals().items():
            print(f"{number:3}  {entry['prompt'][:110]}")
        return 0
    folder = args.folder.absolute()
    if args.action == "prepare":
        print(json.dumps(prepare(args.id, folder), indent=1, ensure_ascii=False))
        return 0
    if args.action == "serve":
        try:
            return subprocess.run(serve_command(folder, args.speed)).returncode
        except KeyboardInterrupt:
            return 0
    document = grade(folder)
    print(json.dumps(document, indent=1, ensure_ascii=False))
    return 1 if document["summary"]["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
