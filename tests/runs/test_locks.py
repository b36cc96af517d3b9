"""One holder per name: with flock, with msvcrt, and where there is neither."""

from __future__ import annotations

import builtins
import errno
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from videotasks.runs import locks
from videotasks.runs.locks import FileLock


@pytest.fixture(params=["system", "none", "no locks on this file system"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each kind of system, forced."""
    if request.param == "none":
        without(monkeypatch, "fcntl", "msvcrt")
    elif request.param != "system":

        def refuse(handle: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(locks, "system_lock", lambda: (refuse, refuse))
    return str(request.param)


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    real = builtins.__import__

    def importing(name: str, *args: Any, **more: Any) -> Any:
        if name in modules:
            raise ImportError(name=name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", importing)


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_one_holder_at_a_time(tmp_path: Path, kind: str) -> None:
    first, second = FileLock(tmp_path / "x.lock"), FileLock(tmp_path / "x.lock")
    assert first.try_acquire() and first.try_acquire()
    assert not second.try_acquire()
    first.release()
    assert second.try_acquire()
    second.release()
    second.release()


def test_a_context_manager_gives_it_back(tmp_path: Path, kind: str) -> None:
    with FileLock(tmp_path / "x.lock").held() as mine:
        assert mine and not FileLock(tmp_path / "x.lock").try_acquire()
    assert FileLock(tmp_path / "x.lock").try_acquire()


def test_waiting_asks_whether_to_give_up(tmp_path: Path, kind: str) -> None:
    held, waits = FileLock(tmp_path / "x.lock"), []
    held.acquire()
    waiting = FileLock(tmp_path / "x.lock")
    assert not waiting.acquire(wait=waits.append, give_up=lambda: len(waits) >= 3)
    assert len(waits) == 3
    assert waiting.acquire(wait=lambda _: held.release())


def test_no_two_threads_are_inside_at_once(tmp_path: Path, kind: str) -> None:
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(10):
            with FileLock(tmp_path / "x.lock").held():
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.0005)
                inside[0] -= 1

    real, locks.POLL_S = locks.POLL_S, 0.001
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        locks.POLL_S = real
    assert most[0] == 1


@pytest.mark.skipif(os.name == "nt", reason="pids cannot be asked for there")
def test_a_dead_owner_s_file_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "fcntl", "msvcrt")
    lock = FileLock(tmp_path / "x.lock")
    lock.owner_file.write_text(str(dead_pid()))
    assert lock.try_acquire()
    assert lock.owner_file.read_text() == str(os.getpid())
    assert not (tmp_path / "x.lock.pid.takeover").exists()


@pytest.mark.skipif(os.name == "nt", reason="pids cannot be asked for there")
def test_many_who_find_a_dead_owner_get_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "fcntl", "msvcrt")
    pid = str(dead_pid())
    for round_ in range(10):
        path = tmp_path / f"{round_}.lock"
        FileLock(path).owner_file.write_text(pid)
        found = [FileLock(path) for _ in range(6)]
        got: list[bool] = []
        gate = threading.Barrier(6)

        def take(lock: FileLock, gate: threading.Barrier = gate, got: list[bool] = got) -> None:
            gate.wait()
            got.append(lock.try_acquire())

        threads = [threading.Thread(target=take, args=(lock,)) for lock in found]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(got) <= 1
        assert sum(got) == 1 or FileLock(path).try_acquire()


@pytest.mark.skipif(os.name == "nt", reason="pids cannot be asked for there")
def test_a_takeover_that_died_half_way_does_not_block_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "fcntl", "msvcrt")
    lock = FileLock(tmp_path / "x.lock")
    pid = str(dead_pid())
    lock.owner_file.write_text(pid)
    (tmp_path / "x.lock.pid.takeover").write_text(pid)
    assert lock.acquire(wait=lambda _: None)


def test_an_owner_s_file_without_a_pid_is_nobody_s_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "fcntl", "msvcrt")
    lock = FileLock(tmp_path / "x.lock")
    lock.owner_file.write_text("")
    assert not lock.try_acquire()
    os.utime(lock.owner_file, (time.time() - 60,) * 2)
    assert lock.try_acquire()


@pytest.mark.parametrize("content", ["not a pid", "-1", "0", "99999999999999999999", "\x00"])
def test_a_strange_owner_s_file_counts_as_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    without(monkeypatch, "fcntl", "msvcrt")
    lock = FileLock(tmp_path / "x.lock")
    lock.owner_file.write_text(content)
    assert not lock.try_acquire()


def test_msvcrt_is_used_where_there_is_no_fcntl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def locking(handle: int, mode: int, count: int) -> None:
        if mode == 2 and taken:
            raise OSError(errno.EACCES, "Permission denied")
        taken.append(handle) if mode == 2 else taken.clear()

    fake: Any = SimpleNamespace(LK_NBLCK=2, LK_UNLCK=0, locking=locking)
    without(monkeypatch, "fcntl")
    monkeypatch.setitem(sys.modules, "msvcrt", fake)
    first, second = FileLock(tmp_path / "x.lock"), FileLock(tmp_path / "x.lock")
    assert first.try_acquire() and not second.try_acquire()
    first.release()
    assert second.try_acquire()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    program = """
        import sys, time
        sys.path.insert(0, sys.argv[2])
        from pathlib import Path
        from videotasks.runs.locks import FileLock
        lock = FileLock(Path(sys.argv[1])); lock.acquire()
        print("held", flush=True)
        time.sleep(60)
    """
    scripts = str(Path(locks.__file__).parents[2])
    argv = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "x.lock"), scripts]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline().strip() == b"held"
        lock = FileLock(tmp_path / "x.lock")
        assert not lock.try_acquire()
        child.kill()
        child.wait()
    assert lock.try_acquire()


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="no O_NOFOLLOW here")
def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "x.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError):
        FileLock(tmp_path / "x.lock").try_acquire()
    assert not (tmp_path / "victim").exists()
