"""Signals and closed pipes, in real processes: what was paid for is on disk, and the last line says how to go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support import faults
from support.kills import REPO, command, environment
from support.lifecycle import Client
from support.taskserver import KEY, VIDEO, WIRES, CreateFault, TaskServer, taken, told, whole_stream
from videotasks.runs.journal import RunState
from videotasks.runs.store import RunStore

pytestmark = [pytest.mark.process, pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")]

SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 130}


@contextmanager
def started(server: TaskServer, tmp_path: Path, *more: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    argv, env = [*command(server, tmp_path / "a"), *more], environment(server, tmp_path)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    child = subprocess.Popen(argv, env=env, **options)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def end_of(child: subprocess.Popen[bytes], limit_s: float = 20.0) -> tuple[int, dict[str, Any], bytes]:
    out, err = child.communicate(timeout=limit_s)
    assert b"Traceback" not in err, err.decode()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [bool(line.get("final")) for line in lines].count(True) == 1, lines
    return child.returncode, lines[-1], err


def state(tmp_path: Path) -> RunState:
    (run,) = RunStore(tmp_path / "a").runs()
    return run.state()


def wait_for(condition: Callable[[], bool], limit_s: float = 15.0) -> None:
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.01)


def late(seconds: float) -> CreateFault:
    return told("late", lambda wire, task_id: faults.late(seconds, faults.json_answer(wire.created(task_id))))


def held() -> CreateFault:
    return told("held", lambda wire, task_id: faults.when_released(faults.json_answer(wire.created(task_id))))


@pytest.mark.parametrize("name", SIGNALS)
def test_in_flight_the_answer_is_waited_for_and_the_id_stored(tmp_path: Path, name: str) -> None:
    with TaskServer(WIRES["ark"], creates=[late(1.0)]) as server, started(server, tmp_path) as child:
        wait_for(lambda: bool(server.created))
        child.send_signal(getattr(signal, name))
        code, final, _ = end_of(child)
        assert code == final["exit_code"] == SIGNALS[name] and final["event"] == "interrupted"
        assert final["task_id"] == state(tmp_path).task_id == server.task_id
        # `next` goes on with the same task, and pays nothing.
        again = subprocess.run(final["next_argv"], env=environment(server, tmp_path), capture_output=True, timeout=30)
        assert again.returncode == 0, again.stdout
        assert server.paid == 1


def test_in_flight_a_second_signal_ends_unknown(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"], creates=[taken(faults.silence())]) as server, started(server, tmp_path) as child:
        wait_for(lambda: bool(server.created))
        child.send_signal(signal.SIGINT)
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        began = time.monotonic()
        code, final, _ = end_of(child)
        assert time.monotonic() - began < 3
        assert code == 3 and final["error"]["category"] == "submission_unknown"
        assert "task_status.py" in final["next"]
        assert state(tmp_path).phase == "submission_unknown"


@pytest.mark.parametrize("streaming", [False, True], ids=["polls", "stream"])
@pytest.mark.parametrize("name", SIGNALS)
def test_while_waiting_it_ends_at_once_with_the_way_on(tmp_path: Path, name: str, streaming: bool) -> None:
    def mute(server: TaskServer, task_id: str) -> Any:
        return faults.sse(f"data: {json.dumps(server.body('running'))}\n\n", faults.HOLD)

    wire = WIRES["skills-video" if streaming else "ark"]
    with TaskServer(wire, outcome="never", stream=mute if streaming else None) as server:
        with started(server, tmp_path) as child:
            wait_for(lambda: bool(server.created) and state(tmp_path).status.value == "running")
            child.send_signal(getattr(signal, name))
            began = time.monotonic()
            code, final, _ = end_of(child)
            assert time.monotonic() - began < 20  # the wait has 900
        assert code == SIGNALS[name]
        assert final["task_id"] == server.task_id and "wait_generation.py" in final["next"]
        assert final["next_argv"][0] == sys.executable
        assert json.loads((Path(final["artifacts_dir"]) / "outputs" / "result.json").read_text())["status"] == "running"


def test_while_downloading_the_part_is_kept_and_gone_on_with(tmp_path: Path) -> None:
    head = {"ETag": '"v1"', "Content-Type": "video/mp4", "Accept-Ranges": "bytes"}
    slow = faults.raw(faults.head(200, head, len(VIDEO)), VIDEO[:3000], faults.HOLD, name="slow")
    with TaskServer(WIRES["ark"], downloads=[slow]) as server:
        with started(server, tmp_path) as child:
            part = "*/outputs/video.part"
            wait_for(lambda: any(found.stat().st_size >= 3000 for found in (tmp_path / "a").glob(part)))
            child.send_signal(signal.SIGINT)
            code, final, _ = end_of(child)
        assert code == 130 and final["status"] == "succeeded" and final["video_url"] == server.url
        assert "not on disk" not in final["error"]["message"] or final["next"]
        again = subprocess.run(final["next_argv"], env=environment(server, tmp_path), capture_output=True, timeout=30)
        done = json.loads(again.stdout.splitlines()[-1])
        assert again.returncode == 0 and Path(done["video_file"]).read_bytes() == VIDEO
        ranges = [request.header("range") for request in server.requests if request.target.startswith("/files/")]
        assert ranges[-1] == "bytes=3000-"


def test_before_anything_is_sent_nothing_is_paid(tmp_path: Path) -> None:
    """Killed by a signal while it waits for another process of the same request."""
    with TaskServer(WIRES["ark"], creates=[held()]) as server, started(server, tmp_path) as first:
        wait_for(lambda: bool(server.created))
        with started(server, tmp_path) as second:
            assert second.stderr is not None
            assert b"being sent by another process" in second.stderr.readline()
            second.send_signal(signal.SIGINT)
            code, final, _ = end_of(second)
            assert code == 130 and final["next"] is None
        server.release()
        assert end_of(first)[0] == 0
        assert server.paid == 1


def test_a_closed_stdout_loses_neither_the_id_nor_the_last_line(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"], polls_needed=10) as server:
        reading, writing = os.pipe()
        with started(server, tmp_path, stdout=writing) as child:
            os.close(writing)
            os.close(reading)  # nobody will ever read it
            _, err = child.communicate(timeout=20)
        assert child.returncode == 0, err
        assert b"Traceback" not in err and b"BrokenPipe" not in err
        last = json.loads(err.splitlines()[-1])
        assert last["final"] is True and last["task_id"] == server.task_id
        (run,) = RunStore(tmp_path / "a").runs()
        entries = [json.loads(line) for line in run.journal_file.read_text().splitlines()]
        assert entries[-1]["event"] == "last_line" and entries[-1]["line"]["exit_code"] == 0


def test_a_closed_stderr_changes_nothing(tmp_path: Path) -> None:
    with TaskServer(WIRES["skills-video"], stream=whole_stream) as server:
        reading, writing = os.pipe()
        with started(server, tmp_path, stderr=writing) as child:
            os.close(writing)
            os.close(reading)
            out, _ = child.communicate(timeout=20)
        assert child.returncode == 0 and json.loads(out.splitlines()[-1])["ok"] is True


def test_nohup_is_respected(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"], outcome="never") as server:

        def ignore() -> None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

        with started(server, tmp_path, preexec_fn=ignore) as child:
            wait_for(lambda: server.looks > 2)
            child.send_signal(signal.SIGHUP)
            time.sleep(0.3)
            assert child.poll() is None
            server.outcome = "succeeded"
            assert end_of(child)[0] == 0


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_wait_for_tasks_of_several_providers_is_interrupted_too(tmp_path: Path, name: str) -> None:
    """Each provider has a session of its own; a signal must reach the one loop that waits for all."""
    with TaskServer(WIRES["ark"], outcome="never") as ark, TaskServer(WIRES["skills-video"], outcome="never") as other:
        for server in (ark, other):
            assert Client(server, tmp_path / "a").create(no_wait=True).code == 0
        argv = [sys.executable, str(REPO / "scripts" / "wait_generation.py"), "--all-unfinished", "--timeout", "60"]
        env = environment(ark, tmp_path)
        env |= {"ARK_BASE_URL": ark.base, "SKILLS_VIDEO_BASE_URL": other.base, "SKILLS_VIDEO_API_KEY": KEY}
        looked = ark.looks, other.looks
        child = subprocess.Popen(
            [*argv, "--artifacts-dir", str(tmp_path / "a")], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            wait_for(lambda: ark.looks > looked[0] and other.looks > looked[1])
            child.send_signal(getattr(signal, name))
            code, final, _ = end_of(child, 5)
        finally:
            child.kill()
        assert code == SIGNALS[name] and final["unfinished"] == 2
        assert "wait_generation.py" in final["next"]
