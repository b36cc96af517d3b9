"""The kill campaign: a real command is killed at one instant, and what it left is judged; then it is run again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.lifecycle import key_found
from support.taskserver import KEY, VIDEO, WIRES, TaskServer, whole_stream
from videotasks.runs.store import RunStore

REPO = Path(__file__).resolve().parents[2]
KILLER = Path(__file__).resolve().parent / "killer"
OFFLINE = Path(__file__).resolve().parent / "offline"
VARIABLES = {"skills-video": "SKILLS_VIDEO_API_KEY", "ark": "VOLCENGINE_ARK_API_KEY"}
LIMIT_S = 30.0


@dataclass
class Kill:
    """One kill: at the n-th operation in a mode, or (`at` 0) after so many seconds."""

    provider: str
    at: int = 0
    mode: str = "before"
    after_s: float = 0.0


@dataclass
class Aftermath:
    """What was found; `wrong` is empty when every promise held. `end`: paid, unknown or unkilled."""

    kill: Kill
    end: str = ""
    wrong: list[str] = field(default_factory=list)
    unreadable: int = 0
    paid: int = 0


def command(server: TaskServer, folder: Path) -> list[str]:
    """create_and_wait.py for this server, in a workspace of its own."""
    return [
        sys.executable,
        str(REPO / "scripts" / "create_and_wait.py"),
        *("--provider", server.wire.provider, "--base-url", server.base, "--model", server.wire.model),
        *("--prompt", "a paper boat", "--artifacts-dir", str(folder), "--poll-interval", "0.03"),
        *("--poll-timeout", "20", "--allow-private-results"),
    ]


def environment(server: TaskServer, caches: Path, **more: str) -> dict[str, str]:
    """The child's own: one key, warm caches, no outside network."""
    keep = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "PYTHONUSERBASE", "LANG") if name in os.environ}
    return {
        **keep,
        "HOME": str(caches),
        "XDG_CACHE_HOME": str(caches),
        "PYTHONPYCACHEPREFIX": os.environ.get("PYTHONPYCACHEPREFIX") or str(caches / "bytecode"),
        "PYTHONPATH": str(KILLER) if more else str(OFFLINE),
        VARIABLES[server.wire.provider]: KEY,
        **more,
    }


def task_server(provider: str) -> TaskServer:
    stream = whole_stream if provider == "skills-video" else None
    return TaskServer(WIRES[provider], stream=stream, polls_needed=2)


def operations(provider: str, folder: Path, caches: Path) -> list[str]:
    """The names of all that an undisturbed run does to disk and wire, in order."""
    count = folder / f"count-{provider}"
    with task_server(provider) as server:
        words = command(server, folder / f"whole-{provider}")
        done = subprocess.run(
            words,
            env=environment(server, caches, KILL_COUNT=str(count)),
            capture_output=True,
            timeout=LIMIT_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return count.read_text().split("\n")


def strike(kill: Kill, folder: Path, caches: Path) -> Aftermath:
    """Run, kill, look at what is left, run again."""
    result = Aftermath(kill)
    with task_server(kill.provider) as server:
        argv = command(server, folder)
        if kill.at:
            env = environment(server, caches, KILL_AT=str(kill.at), KILL_MODE=kill.mode)
            code = subprocess.run(argv, env=env, capture_output=True, timeout=LIMIT_S).returncode
        else:
            code = _run_for(argv, environment(server, caches), kill.after_s)
        killed = code == -signal.SIGKILL
        server.settle()  # the kill may fall right behind the request, which the server has then yet to read
        phase = _look_at(result, folder)
        paid = server.paid
        server.heal()
        again = subprocess.run(argv, env=environment(server, caches), capture_output=True, timeout=LIMIT_S)
        final: dict[str, Any] = json.loads(again.stdout.splitlines()[-1])
        result.paid = server.paid
        if server.paid > 1:
            result.wrong.append(f"paid {server.paid} times")
        if again.returncode == 3:
            result.end = "unknown"
            if phase != "submitting" or server.paid != paid:
                result.wrong.append(f"exit 3 from phase {phase}, paid {paid} -> {server.paid}")
        elif again.returncode == 0:
            result.end = "paid" if killed else "unkilled"
            if server.paid != 1 or Path(final["video_file"]).read_bytes() != VIDEO:
                result.wrong.append(f"exit 0, paid {server.paid}: {final}")
        else:
            result.wrong.append(f"exit {again.returncode}: {final} {again.stderr.decode()[-500:]}")
        if b"Traceback" in again.stderr:
            result.wrong.append(again.stderr.decode()[-800:])
        _look_at(result, folder)
        if server.leaks or key_found(folder, again.stdout, again.stderr):
            result.wrong.append(f"the key was found: {server.leaks} {key_found(folder)}")
    return result


def _run_for(argv: Sequence[str], env: dict[str, str], seconds: float) -> int:
    child = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    child.kill()
    return child.wait(LIMIT_S)


def _look_at(result: Aftermath, root: Path) -> str | None:
    """Read every artifact as a reader would. Returns the phase of the run, if there is one."""
    phase = None
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.name.startswith("."):
            continue  # locks, .gitignore, and drafts of a run that got no name
        if not (folder / "inputs" / "request.json").is_file():
            result.unreadable += 1
            result.wrong.append(f"{folder.name} holds no request")
    for path in root.rglob("*") if root.is_dir() else ():
        if not path.is_file() or ".tmp-" in str(path):
            continue
        try:
            if path.suffix == ".json":
                json.loads(path.read_bytes())
            elif path.suffix == ".md":
                assert path.read_text("utf-8").startswith("# ")
            elif path.suffix == ".jsonl":
                lines = path.read_bytes().split(b"\n")
                for line in lines[:-1]:  # the last may be half a line, which every reader passes over
                    if line.strip() and not _half_line(line, lines):
                        json.loads(line)
            elif path.suffix == ".mp4":
                assert path.read_bytes() == VIDEO
        except (ValueError, AssertionError) as error:
            result.unreadable += 1
            result.wrong.append(f"{path.relative_to(root)} is unreadable: {error}")
    for run in RunStore(root).runs():
        phase = run.state().phase
    return phase


def _half_line(line: bytes, lines: list[bytes]) -> bool:
    """The one line that the kill cut, closed off by the next command."""
    broken = [one for one in lines if one.strip() and not one.endswith(b"}")]
    return broken == [line]


def campaign(kills: Sequence[Kill], folder: Path, caches: Path, workers: int = 2) -> list[Aftermath]:
    def one(numbered: tuple[int, Kill]) -> Aftermath:
        return strike(numbered[1], folder / f"kill-{numbered[0]}", caches)

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, enumerate(kills)))


def every_kill(provider: str, names: Sequence[str]) -> list[Kill]:
    """Before each operation and in the middle of each write, and after the last."""
    kills = [Kill(provider, at) for at in range(1, len(names) + 1)]
    kills += [Kill(provider, at, "torn") for at, name in enumerate(names, 1) if name in ("write", "sendall")]
    return [*kills, Kill(provider, len(names), "after")]


def random_kills(provider: str, count: int, longest_s: float, rng: random.Random) -> list[Kill]:
    return [Kill(provider, after_s=rng.uniform(0.0, longest_s)) for _ in range(count)]
