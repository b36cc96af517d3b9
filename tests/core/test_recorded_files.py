"""A recorded file counts by its bytes: not by its name, and not by what a folder from elsewhere claims."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from videotasks.core import durable_files
from videotasks.core.durable_files import intact, noted

DATA = b"a whole video" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run" / "outputs").mkdir(parents=True)
    (tmp_path / "run" / "outputs" / "video.mp4").write_bytes(DATA)
    return tmp_path / "run"


ENTRY: dict[str, Any] = {
    "path": "outputs/video.mp4",
    "bytes": len(DATA),
    "sha256": hashlib.sha256(DATA).hexdigest(),
}


def test_the_same_bytes_are_intact(folder: Path) -> None:
    assert intact(folder, ENTRY)
    assert intact(folder, noted(folder, ENTRY))


def test_an_untouched_file_is_not_hashed_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = noted(folder, ENTRY)
    monkeypatch.setattr(durable_files, "sha256_of", lambda *_: pytest.fail("hashed"))
    assert intact(folder, entry)


@pytest.mark.parametrize("damage", ["empty", "cut", "changed", "gone", "folder"])
def test_a_damaged_file_is_none(folder: Path, damage: str) -> None:
    entry, path = noted(folder, ENTRY), folder / "outputs" / "video.mp4"
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "gone":
        path.write_bytes({"empty": b"", "cut": DATA[:-1], "changed": b"A" + DATA[1:]}[damage])
        os.utime(path, (1, 1))
    assert not intact(folder, entry)


def test_a_copy_of_the_folder_is_judged_by_its_hash(folder: Path, tmp_path: Path) -> None:
    entry = noted(folder, ENTRY)
    shutil.copytree(folder, tmp_path / "copy")
    assert intact(tmp_path / "copy", entry)
    (tmp_path / "copy" / "outputs" / "video.mp4").write_bytes(bytes(len(DATA)))
    assert not intact(tmp_path / "copy", entry)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_nothing_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder / "outputs" / "video.mp4").rename(tmp_path / "elsewhere" / "video.mp4")
    (folder / "outputs" / "video.mp4").symlink_to(tmp_path / "elsewhere" / "video.mp4")
    assert not intact(folder, ENTRY)
    (folder / "outputs" / "video.mp4").unlink()
    (folder / "outputs").rmdir()
    (folder / "outputs").symlink_to(tmp_path / "elsewhere")
    assert not intact(folder, ENTRY)


@pytest.mark.parametrize("entry", [{}, {"path": 7}, {**ENTRY, "sha256": None}, {**ENTRY, "bytes": 0}, {"path": "x"}])
def test_an_odd_record_is_no_file(folder: Path, entry: dict[str, Any]) -> None:
    assert not intact(folder, entry)
