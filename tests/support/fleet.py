"""A whole fleet of processes on this machine: an API, an object store, a scheduler, workers, a coordinator."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from support.commands import SCRIPTS

KEY = "sandbox-key-not-secret"  # of the stand-in, whoever serves it


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Fleet:
    """Processes in groups of their own, so that a machine that dies takes all of them. Used as a context."""

    def __init__(self, folder: Path, rows: int, *, s3: bool, speed: int = 20) -> None:
        self.folder, self.rows = folder, rows
        self.api, self.scheduler, self.bucket = free_port(), free_port(), free_port() if s3 else None
        self.store = f"file://{folder}/ledger" if self.bucket is None else "s3://films/fleet"
        lines = [f"b{n},boat number {n},12" for n in range(rows)]
        (folder / "rows.csv").write_text("id,prompt,duration\n" + "\n".join(lines) + "\n", encoding="utf-8")
        kept = ("PATH", "HOME", "XDG_CACHE_HOME", "PYTHONPYCACHEPREFIX", "SYSTEMROOT", "TEMP", "TMPDIR")
        self.env = {name: os.environ[name] for name in kept if name in os.environ}
        self.env |= {"CREATOK_API_KEY": KEY, "VIDEO_TASKS_SANDBOX_SPEED": str(speed)}
        self.env |= {"CREATOK_SPECIFICATION_URL": "http://127.0.0.1:9/nobody"}
        if self.bucket is not None:
            at = f"http://127.0.0.1:{self.bucket}"
            self.env |= {"AWS_ENDPOINT_URL": at, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
            self.env |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
        self.started: list[subprocess.Popen[bytes]] = []
        self.speed = speed

    def __enter__(self) -> Fleet:
        words = ["--provider", "creatok", "--port", str(self.api), "--state", str(self.folder / "api.json")]
        self.start("sandbox.py", *words, "--speed", str(self.speed))
        self.until_served(self.api)
        if self.bucket is not None:
            words = [sys.executable, str(Path(__file__).with_name("s3_server.py")), str(self.bucket)]
            self.started.append(self._popen(words, subprocess.DEVNULL))
            self.until_served(self.bucket)
            make = urllib.request.Request(f"http://127.0.0.1:{self.bucket}/films", method="PUT")
            make.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=none/20261126/us-east-1/s3/aws4_request")
            with urllib.request.urlopen(make):
                pass
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.started:
            self.end(process)

    def start(self, script: str, *words: str, out: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        process = self._popen([sys.executable, str(SCRIPTS / script), *words], out)
        self.started.append(process)
        return process

    def _popen(self, words: list[str], out: int) -> subprocess.Popen[bytes]:
        said = open(self.folder / "stderr.txt", "ab")  # noqa: SIM115
        return subprocess.Popen(words, stdout=out, stderr=said, env=self.env, cwd=self.folder, start_new_session=True)

    def serve_scheduler(self) -> subprocess.Popen[bytes]:
        process = self.start("batch_fleet.py", "--scheduler", f"127.0.0.1:{self.scheduler}")
        self.until_served(self.scheduler)
        return process

    def serve_worker(self) -> subprocess.Popen[bytes]:
        return self.start("batch_fleet.py", "--worker", f"tcp://127.0.0.1:{self.scheduler}")

    def words(self, *more: str) -> list[str]:
        place = [
            "--provider",
            "creatok",
            "--set-default",
            "model=sora-2",
            "--base-url",
            f"http://127.0.0.1:{self.api}/creatok",
            "--allow-http",
        ]
        return ["rows.csv", "--store", self.store, *place, "--allow-private-results", *more]

    def coordinate(self, *more: str, dask: str | None = None) -> subprocess.Popen[bytes]:
        dask = dask or f"tcp://127.0.0.1:{self.scheduler}"
        words = self.words("--dask", dask, "--poll-timeout", str(900 + 3 * self.rows), *more)
        return self.start("batch_fleet.py", *words, out=subprocess.PIPE)

    def creates(self) -> list[str]:
        """The prompt of every task that the API has taken."""
        try:
            state = json.loads((self.folder / "api.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [str(task["prompt"]) for task in state["tasks"].values()]

    def until_created(self, count: int, timeout_s: float = 300.0) -> None:
        end = time.monotonic() + timeout_s
        while len(self.creates()) < count:
            assert time.monotonic() < end, f"{len(self.creates())} of {count} creates; see {self.folder}/stderr.txt"
            time.sleep(0.1)

    @staticmethod
    def until_served(port: int, timeout_s: float = 60.0) -> None:
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError(f"nobody serves port {port}")

    @staticmethod
    def end(process: subprocess.Popen[bytes], how: int = signal.SIGKILL) -> None:
        try:
            os.killpg(process.pid, how)
        except (ProcessLookupError, PermissionError):
            pass
        if how == signal.SIGKILL:
            process.wait()

    @staticmethod
    def final_of(process: subprocess.Popen[bytes], timeout_s: float) -> dict[str, Any]:
        stdout, _ = process.communicate(timeout=timeout_s)
        final = json.loads(stdout.splitlines()[-1])
        assert final["exit_code"] == process.returncode
        return dict(final)
