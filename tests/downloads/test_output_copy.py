"""--output puts a whole copy where the user wants it, and never over a file of theirs unless told to."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from videotasks.core.errors import ExitCode, TaskError
from videotasks.downloads.output_copy import copy_output, output_path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "run" / "video.mp4"
    file.parent.mkdir()
    file.write_bytes(b"video" * 1000)
    file.chmod(0o600)
    return file


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def refusal(call: Any, *args: Any, **more: Any) -> str:
    with pytest.raises(TaskError) as caught:
        call(*args, **more)
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    assert caught.value.expected
    return caught.value.message


def test_a_file_name_is_kept_as_typed(source: Path, place: Path) -> None:
    made = copy_output(source, str(place / "My Film.MOV"), force=False)
    assert made == place / "My Film.MOV"
    assert made.read_bytes() == source.read_bytes()
    assert os.listdir(place) == ["My Film.MOV"]
    assert source.exists()


@pytest.mark.parametrize("slash", ["", "/"])
def test_an_existing_folder_takes_the_file_under_its_own_name(source: Path, place: Path, slash: str) -> None:
    assert copy_output(source, f"{place}{slash}", force=False) == place / "video.mp4"
    assert os.listdir(place) == ["video.mp4"]


def test_a_slash_at_the_end_makes_the_folder(source: Path, place: Path) -> None:
    assert copy_output(source, f"{place}/films/", force=False) == place / "films" / "video.mp4"


def test_a_relative_path_is_given_back_whole(source: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    assert copy_output(source, "out.mp4", force=False) == place / "out.mp4"


def test_home_is_understood(source: Path, clean_environment: Path) -> None:
    assert copy_output(source, "~/out.mp4", force=False) == clean_environment / "out.mp4"


@pytest.mark.parametrize("target", ["missing/out.mp4", "missing/films/", "missing/"])
def test_a_missing_parent_is_named(source: Path, place: Path, target: str) -> None:
    target = f"{place}/deep/{target}"
    for force in (False, True):
        message = refusal(copy_output, source, target, force=force)
        assert "does not exist" in message
        assert str(place / "deep") in message
    assert os.listdir(place) == []


@pytest.mark.parametrize("target", ["", "a\0b"])
def test_no_path_at_all_is_refused(source: Path, target: str) -> None:
    refusal(output_path, target, "video.mp4", force=False)


def test_an_existing_file_is_kept_unless_forced(source: Path, place: Path) -> None:
    mine = place / "mine.mp4"
    mine.write_bytes(b"mine")
    assert "exists already" in refusal(copy_output, source, str(mine), force=False)
    assert mine.read_bytes() == b"mine"
    assert copy_output(source, str(mine), force=True) == mine
    assert mine.read_bytes() == source.read_bytes()
    assert os.listdir(place) == ["mine.mp4"]


def test_an_existing_file_in_the_folder_is_kept_unless_forced(source: Path, place: Path) -> None:
    (place / "video.mp4").write_bytes(b"mine")
    refusal(copy_output, source, str(place), force=False)
    assert (place / "video.mp4").read_bytes() == b"mine"


def test_a_file_that_appears_during_the_copy_is_kept(
    source: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.copyfileobj

    def slow(*args: Any) -> None:
        real(*args)
        (place / "out.mp4").write_bytes(b"mine")

    monkeypatch.setattr(shutil, "copyfileobj", slow)
    refusal(copy_output, source, str(place / "out.mp4"), force=False)
    assert (place / "out.mp4").read_bytes() == b"mine"
    assert os.listdir(place) == ["out.mp4"]


def test_a_disk_without_hard_links_will_do(source: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **more: Any) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    made = copy_output(source, str(place / "out.mp4"), force=False)
    assert made.read_bytes() == source.read_bytes()
    made.write_bytes(b"mine")
    refusal(copy_output, source, str(made), force=False)
    assert os.listdir(place) == ["out.mp4"]


def test_the_copy_of_an_earlier_call_is_found_again(source: Path, place: Path) -> None:
    made = copy_output(source, str(place / "out.mp4"), force=False)
    before = os.stat(made)
    assert copy_output(source, str(made), force=False) == made
    assert copy_output(source, f"{place}/", force=False) == place / "video.mp4"
    assert copy_output(source, f"{place}/", force=False) == place / "video.mp4"
    assert os.stat(made).st_mtime_ns == before.st_mtime_ns
    made.write_bytes(made.read_bytes()[:-1] + b"?")
    refusal(copy_output, source, str(made), force=False)


def test_a_failed_copy_leaves_nothing_and_the_old_file(
    source: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = place / "mine.mp4"
    mine.write_bytes(b"mine")

    def full(reader: Any, writer: Any, size: int) -> None:
        writer.write(b"vid")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    assert "disk is full" in refusal(copy_output, source, str(mine), force=True)
    assert mine.read_bytes() == b"mine"
    assert os.listdir(place) == ["mine.mp4"]


def test_the_file_itself_as_target_is_left_alone(source: Path) -> None:
    for target in (source, source.parent):
        assert copy_output(source, str(target), force=False) == source
    assert source.read_bytes() == b"video" * 1000


def test_a_folder_in_the_place_of_the_file_is_refused(source: Path, place: Path) -> None:
    (place / "video.mp4").mkdir()
    assert "is a folder" in refusal(copy_output, source, str(place), force=True)


def test_a_file_in_the_place_of_the_folder_is_refused(source: Path, place: Path) -> None:
    (place / "films").write_bytes(b"mine")
    assert "not a folder" in refusal(copy_output, source, f"{place}/films/", force=True)


@pytest.mark.skipif(sys.platform == "win32", reason="modes and symbolic links are POSIX")
def test_the_copy_has_the_permissions_of_any_new_file(source: Path, place: Path) -> None:
    before = os.umask(0o022)
    try:
        made = copy_output(source, str(place / "out.mp4"), force=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE(made.stat().st_mode) == 0o644


@pytest.mark.skipif(sys.platform == "win32", reason="modes and symbolic links are POSIX")
def test_a_link_is_replaced_and_what_it_points_to_is_not(source: Path, place: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for target in (victim, tmp_path / "nowhere"):
        link = place / "out.mp4"
        link.symlink_to(target)
        refusal(copy_output, source, str(link), force=False)
        refusal(output_path, str(link), "video.mp4", force=False)
        assert link.is_symlink()
        copy_output(source, str(link), force=True)
        assert not link.is_symlink()
        link.unlink()
    assert victim.read_bytes() == b"precious"


def test_a_check_before_paying_creates_nothing(place: Path) -> None:
    assert output_path(f"{place}/films/", "video.mp4", force=False) == place / "films" / "video.mp4"
    assert output_path(str(place), "video.mp4", force=False) == place / "video.mp4"
    assert os.listdir(place) == []
