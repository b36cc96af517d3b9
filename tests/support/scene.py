"""A command run as a user runs it, with a canary as the key, and the hunt for that canary wherever it must not be.

The canary is looked for as it is, percent-encoded and in base64, in stdout, in stderr, in every file that was written
and in the command line of every process that was started. The one place where it may be seen is the Authorization
header of a request to the API's own origin.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from support.faults import answer, json_answer, routes
from support.faultserver import Action, FaultServer, Request, Script
from support.fileserver import mp4

CANARY = "sk-CANARY-7f3a"
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
VIDEO = mp4(4000)


def _base64_cores(secret: bytes) -> list[bytes]:
    """What stands for the secret in base64 wherever it begins among three bytes."""
    cores = []
    for lead, first in ((0, 0), (1, 2), (2, 3)):
        coded = base64.b64encode(b"\0" * lead + secret)
        cores.append(coded[first : (lead + len(secret)) * 8 // 6])
    return cores


FORMS = [CANARY.encode(), *_base64_cores(CANARY.encode())]


def canary_in(data: bytes | str) -> bytes | None:
    """The form in which the canary stands in `data`, or None."""
    raw = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    for text in (raw, unquote_to_bytes(raw)):
        for form in FORMS:
            if form in text:
                return form
    return None


@dataclass
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str
    processes: set[str] = field(default_factory=set)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def final(self) -> dict[str, Any]:
        last: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        assert last["final"] is True
        assert last["ok"] is (self.code == 0) and last["exit_code"] == self.code
        return last

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.final["error"]
        return error


class Scene:
    """One user's workspace: commands, servers, and at the end the hunt. Use it as a context manager."""

    def __init__(self, workspace: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.workspace = workspace
        self.home = home
        self.artifacts = workspace / "task-status" / ".artifacts"
        self.said: list[Said] = []
        self.exempt: set[Path] = set()  # files that the test itself gave the canary
        self._monkeypatch = monkeypatch
        self._apis: list[FaultServer] = []
        self._others: list[FaultServer] = []
        self._stack = contextlib.ExitStack()
        monkeypatch.setenv("SKILLS_VIDEO_API_KEY", CANARY)

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if error is None:
            self.hunt()

    # -- servers -----------------------------------------------------------------------------------------------

    def api(self, script: Script | None = None, **options: Any) -> FaultServer:
        """The API's own origin: the only place that may see the key, and only in its header."""
        server = self._stack.enter_context(FaultServer(script or healthy(), **options))
        self._apis.append(server)
        return server

    def elsewhere(self, script: Script | None = None) -> FaultServer:
        """Any other origin: it must never see the key."""
        server = self._stack.enter_context(FaultServer(script or json_answer({})))
        self._others.append(server)
        return server

    # -- commands ----------------------------------------------------------------------------------------------

    def run(self, script: str, *argv: str, stdin: bytes = b"") -> Said:
        """The command in this process: `run("create_and_wait", "--prompt", "x")`."""
        from videotasks.cli import bootstrap
        from videotasks.core import redaction

        texts = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n", write_through=True) for _ in "oe"]
        redaction.forget_all()
        with self._monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [str(SCRIPTS / f"{script}.py"), *argv])
            patch.setattr(sys, "stdout", texts[0])
            patch.setattr(sys, "stderr", texts[1])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
            code = bootstrap.run(importlib.import_module(script).main, list(argv))
        out, err = (text.buffer.getvalue().decode("utf-8") for text in texts)  # type: ignore[attr-defined]
        return self.keep(Said(code, out, err))

    def spawn(
        self, script: str, *argv: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, umask: int = -1
    ) -> Said:
        """The command as a process of its own, its children's command lines watched."""
        words = [sys.executable, str(SCRIPTS / f"{script}.py"), *argv]
        process = subprocess.Popen(
            words,
            cwd=self.workspace,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            umask=umask,
        )
        seen: set[str] = set()
        watcher = threading.Thread(target=_watch, args=(process, seen), daemon=True)
        watcher.start()
        out, err = process.communicate(stdin, timeout=60)
        watcher.join(5)
        return self.keep(Said(process.returncode, out.decode("utf-8"), err.decode("utf-8"), seen))

    def create(self, server: FaultServer, *argv: str, spawn: bool = False, **options: Any) -> Said:
        """create_and_wait.py against `server`, in a hurry."""
        call = self.spawn if spawn else self.run
        return call("create_and_wait", *hurried(server), *argv, **options)

    def keep(self, said: Said) -> Said:
        self.said.append(said)
        assert "Traceback" not in said.out + said.err
        return said

    # -- the hunt ----------------------------------------------------------------------------------------------

    def files(self) -> list[Path]:
        """Every file of the workspace and the home folder; links are not followed."""
        found: list[Path] = []
        for root in (self.workspace, self.home):
            for folder, _, names in os.walk(root):
                found += [path for name in names if not (path := Path(folder) / name).is_symlink() and path.is_file()]
        return found

    def hunt(self) -> None:
        """Fail when the canary is anywhere but in the header that carries it."""
        for said in self.said:
            assert not canary_in(said.out), f"the key is on stdout: {said.out}"
            assert not canary_in(said.err), f"the key is on stderr: {said.err}"
            assert not any(canary_in(line) for line in said.processes), f"the key is in {said.processes}"
        for path in self.files():
            if path not in self.exempt:
                assert not canary_in(path.read_bytes()), f"the key is in {path}"
        for server in self._apis:
            for request in server.requests:
                assert not canary_in(_without_authorisation(request)), f"the key is in {request}"
        for server in self._others:
            for request in server.requests:
                assert not canary_in(_text_of(request, request.headers)), f"the key reached another origin: {request}"


def _text_of(request: Request, headers: list[tuple[str, str]]) -> bytes:
    head = "\n".join([request.method, request.target, *(f"{name}: {value}" for name, value in headers)])
    return head.encode("utf-8", "replace") + b"\n" + request.body


def _without_authorisation(request: Request) -> bytes:
    kept = [(name, value) for name, value in request.headers if name.lower() != "authorization"]
    return _text_of(request, kept)


def _watch(process: subprocess.Popen[bytes], seen: set[str]) -> None:
    """Collect the command lines of the process and its descendants (where there is a /proc)."""
    if not os.path.isdir("/proc/self"):
        return
    while process.poll() is None:
        pids, tree = {process.pid}, [process.pid]
        while tree:
            with contextlib.suppress(OSError, ValueError):
                for child in Path(f"/proc/{tree.pop()}/task").glob("*/children"):
                    found = {int(word) for word in child.read_text().split()} - pids
                    pids |= found
                    tree += found
        for pid in pids:
            with contextlib.suppress(OSError):
                seen.add(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        time.sleep(0.005)
    seen.discard("")


@pytest.fixture
def scene(workspace: Path, clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A workspace with the canary as its key; at the end of the test the hunt is on."""
    with Scene(workspace, clean_environment, monkeypatch) as made:
        yield made


# -- answers -----------------------------------------------------------------------------------------------------


def hurried(server: FaultServer) -> list[str]:
    return ["--base-url", f"{server.base_url}/api/v1", "--model", "openai/sora-2", *FAST]


FAST = ["--poll-interval", "0.02", "--poll-timeout", "60", "--poll-request-timeout", "3"]


def at_host(request: Request, path: str) -> str:
    return f"http://{request.header('host')}{path}"


def done(url: str, **more: Any) -> dict[str, Any]:
    """A finished task of skills.video."""
    return {"id": "t_1", "status": "COMPLETED", "data": {"video": {"url": url}}, **more}


def healthy(
    *,
    created: Action | None = None,
    status: Action | None = None,
    file: Action | None = None,
    url: str | None = None,
    **more: Any,
) -> Any:
    """A script: create, status and file of one skills.video task, each to be replaced."""

    def script(request: Request) -> Action:
        link = url or at_host(request, "/v.mp4?Signature=SIGNED-7b&Expires=9")
        table = {
            "POST *": created or json_answer({"id": "t_1", "status": "IN_QUEUE"}, 202),
            "GET */generation/*": status or json_answer(done(link, **more)),
            "GET /v.mp4": file or answer(200, VIDEO, {"Content-Type": "video/mp4"}),
        }
        return routes(table)(request)

    return script


def strict_json(text: str) -> Any:
    """JSON as its standard has it: no NaN, no Infinity, no lone surrogate in the bytes."""

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    text.encode("utf-8")
    return json.loads(text, parse_constant=refuse)


def plain(text: str) -> bool:
    """Whether nothing in `text` moves a cursor, hides, or reorders."""
    return not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]",
        text,
    )
