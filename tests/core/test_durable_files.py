"""Files that survive: replaced whole or not at all, appended by whole lines, on systems that refuse half of it."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from videotasks.core import durable_files
from videotasks.core.errors import TaskError

POSIX_MODES = pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")


def refuse(code: int) -> Any:
    def call(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return call


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


# -- atomic writes -------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    durable_files.write_atomic(path, b"one")
    durable_files.write_atomic(path, b"two")
    assert path.read_bytes() == b"two" and names(tmp_path) == {"x.json"}


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_refusing_disk_leaves_the_old_content_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    path = tmp_path / "x.json"
    durable_files.write_atomic(path, b"old")
    monkeypatch.setattr(os, call, refuse(code))
    with pytest.raises(OSError, match=os.strerror(code)):
        durable_files.write_atomic(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old" and names(tmp_path) == {"x.json"}


def test_replace_is_tried_again_where_a_scanner_holds_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, refusals, pauses = os.replace, [1, 1], []

    def held_twice(source: Any, target: Any) -> None:
        if refusals:
            refusals.pop()
            raise PermissionError(errno.EACCES, "Access is denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", held_twice)
    durable_files.write_atomic(tmp_path / "x", b"new", pause=pauses.append)
    assert (tmp_path / "x").read_bytes() == b"new"
    assert pauses == [0.05, 0.1]


def test_replace_gives_up_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "replace", refuse(errno.EACCES))
    with pytest.raises(PermissionError):
        durable_files.write_atomic(tmp_path / "x", b"new", pause=lambda _: None)
    assert names(tmp_path) == set()


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def files_only(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(handle)

    monkeypatch.setattr(os, "fsync", files_only)
    durable_files.write_atomic(tmp_path / "x", b"data")
    durable_files.append_line(tmp_path / "j", {"a": 1})
    assert (tmp_path / "x").read_bytes() == b"data" and durable_files.read_lines(tmp_path / "j") == [{"a": 1}]


def test_a_folder_that_cannot_be_opened_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def no_folders(path: Any, flags: int, *mode: Any, **more: Any) -> int:  # as on Windows
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, *mode, **more)

    monkeypatch.setattr(os, "open", no_folders)
    durable_files.write_atomic(tmp_path / "x", b"data")
    assert (tmp_path / "x").read_bytes() == b"data"


def test_content_and_folder_are_synced_before_a_write_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(handle: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real_sync(handle)

    def replace(source: Any, target: Any) -> None:
        calls.append("replace")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    durable_files.write_atomic(tmp_path / "x", b"data")
    assert calls == ["file", "replace", "folder"]
    calls.clear()
    durable_files.append_line(tmp_path / "j", {})
    durable_files.append_line(tmp_path / "j", {})
    assert calls == ["file", "folder", "file"]


def test_short_writes_are_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, bytes(data)[:3]))
    durable_files.write_atomic(tmp_path / "x", b"0123456789")
    durable_files.append_line(tmp_path / "j", {"text": "abcdef"})
    assert (tmp_path / "x").read_bytes() == b"0123456789"
    assert durable_files.read_lines(tmp_path / "j") == [{"text": "abcdef"}]


# -- journals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", [b'{"a": 1', b"{", b"\xff\xfe", b'{"a": 1}', b"[" * 100_000])
def test_a_half_line_is_closed_off_and_passed_over(tmp_path: Path, half: bytes) -> None:
    path = tmp_path / "j"
    durable_files.append_line(path, {"n": 1})
    with path.open("ab") as file:
        file.write(half)
    durable_files.append_line(path, {"n": 2})
    assert [line for line in durable_files.read_lines(path) if "n" in line] == [{"n": 1}, {"n": 2}]


def test_a_line_that_the_disk_cut_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j"
    durable_files.append_line(path, {"n": 1})
    real, calls = os.write, []

    def full(handle: int, data: Any) -> int:
        calls.append(1)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, bytes(data)[:4])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            durable_files.append_line(path, {"n": 2})
    durable_files.append_line(path, {"n": 3})
    assert durable_files.read_lines(path) == [{"n": 1}, {"n": 3}]


def test_many_writers_mix_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "j"

    def write(writer: int) -> None:
        for number in range(40):
            durable_files.append_line(path, {"writer": writer, "number": number, "text": "x" * 200})

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(durable_files.read_lines(path)) == 160


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="no O_NOFOLLOW here")
def test_a_link_in_the_journal_s_place_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    (tmp_path / "j").symlink_to(victim)
    with pytest.raises(OSError):
        durable_files.append_line(tmp_path / "j", {"n": 1})
    assert victim.read_text() == "mine\n"


def test_a_link_in_a_result_s_place_is_replaced_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    try:
        (tmp_path / "x").symlink_to(victim)
    except OSError:
        pytest.skip("no symbolic links here")
    durable_files.write_atomic(tmp_path / "x", b"ours")
    assert victim.read_text() == "mine" and not (tmp_path / "x").is_symlink()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"a": NaN', b"[" * 100_000])
def test_broken_json_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert durable_files.read_json(tmp_path / "x") is None
    assert durable_files.read_json(tmp_path / "missing") is None


def test_an_oversized_file_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(json.dumps("x" * 100))
    assert durable_files.read_json(tmp_path / "x", limit=50) is None


# -- folders -------------------------------------------------------------------------------------------------------


@POSIX_MODES
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_can_read(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        durable_files.make_private_dir(tmp_path / "a" / "b")
        durable_files.write_atomic(tmp_path / "a" / "x", b"")
        durable_files.append_line(tmp_path / "a" / "j", {})
    finally:
        os.umask(before)
    for path, mode in {"a": 0o700, "a/b": 0o700, "a/x": 0o600, "a/j": 0o600}.items():
        assert stat.S_IMODE((tmp_path / path).stat().st_mode) == mode & ~umask, path


def test_a_link_where_a_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    try:
        (tmp_path / "link").symlink_to(tmp_path / "real")
    except OSError:
        pytest.skip("no symbolic links here")
    with pytest.raises(TaskError, match="symbolic link"):
        durable_files.make_private_dir(tmp_path / "link")


def test_two_who_make_the_same_folders_at_once(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "c"
    threads = [threading.Thread(target=durable_files.make_private_dir, args=(target,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.is_dir()


def test_only_old_leavings_are_swept(tmp_path: Path) -> None:
    now = time.time()
    for name in (".tmp-old", ".tmp-new", "kept"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".tmp-draft").mkdir()
    (tmp_path / ".tmp-draft" / "inputs").mkdir()
    for name in (".tmp-old", ".tmp-draft"):
        os.utime(tmp_path / name, (now - 7200, now - 7200))
    durable_files.sweep_temporary(tmp_path, now)
    assert names(tmp_path) == {".tmp-new", "kept"}
    durable_files.sweep_temporary(tmp_path / "missing", now)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
    ],
)
def test_a_refusing_disk_is_told_in_plain_words(code: int, words: str) -> None:
    error = durable_files.disk_error(OSError(code, "?"), "cannot write")
    assert error.exit_code == 1 and words in error.message and "--artifacts-dir" in str(error.hint)
