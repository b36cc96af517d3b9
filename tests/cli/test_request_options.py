"""Texts from files, pipes and standard input."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from videotasks.cli import request_options
from videotasks.cli.request_options import read_text_input
from videotasks.core.errors import TaskError

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")


@needs_pipes
def test_a_pipe_that_nobody_writes_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_options, "PIPE_S", 0.05)
    os.mkfifo(tmp_path / "prompt")
    with pytest.raises(TaskError) as caught:
        read_text_input(str(tmp_path / "prompt"), flag="--prompt-file")
    assert "nothing was written to it" in caught.value.message


@needs_pipes
def test_a_pipe_that_somebody_writes_to_is_read_whole(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "prompt")
    text = "a paper boat\n" * 20_000  # more than a pipe holds
    writer = threading.Thread(target=lambda: (tmp_path / "prompt").write_text(text))
    writer.start()
    assert read_text_input(str(tmp_path / "prompt"), flag="--prompt-file") == text
    writer.join()


def test_a_file_is_read_no_further_than_the_limit(tmp_path: Path) -> None:
    (tmp_path / "prompt").write_bytes(b"\xef\xbb\xbfboat")
    assert read_text_input(str(tmp_path / "prompt"), flag="--prompt-file", limit=7) == "boat"
    with pytest.raises(TaskError, match="more than 6 bytes"):
        read_text_input(str(tmp_path / "prompt"), flag="--prompt-file", limit=6)


def test_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="cannot read"):
        read_text_input(str(tmp_path), flag="--prompt-file")
