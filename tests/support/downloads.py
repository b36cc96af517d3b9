"""One place, clock and server for tests of downloads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fileserver import FileServer, file_server, mp4
from videotasks.downloads import download as downloads
from videotasks.downloads.download import Fetched
from videotasks.downloads.errors import DownloadFailed
from videotasks.downloads.transfer import Limits, Transfer
from videotasks.network.client import Client
from videotasks.network.guarded_link import ResultLinks

VIDEO = mp4(20_000)
OTHER = mp4(20_000, seed=3)
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
GIVE_UP = Limits(max_resumes=0)


class Clock:
    """A clock that moves only when something sleeps or a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    return outputs


@pytest.fixture
def fetch(server: FileServer, folder: Path, clock: Clock) -> Any:
    def call(path: str = "/v.mp4?signature=s3cret", stem: str = "video", **more: Any) -> Fetched:
        options: dict[str, Any] = {"api_base_url": server.origin, "monotonic": clock, "sleep": clock.sleep, **more}
        return download(server.origin + path, folder, stem, **options)

    return call


def download(
    url: str,
    folder: Path,
    stem: str,
    *,
    api_base_url: str,
    api_client: Client | None = None,
    allow_private: bool = False,
    **more: Any,
) -> Fetched:
    transfer = Transfer(url, ResultLinks(api_base_url, api_client, allow_private), **more)
    return downloads.download(transfer, folder, stem)


def failure(call: Any, *args: Any, **more: Any) -> DownloadFailed:
    with pytest.raises(DownloadFailed) as caught:
        call(*args, **more)
    assert caught.value.message
    assert "s3cret" not in caught.value.message
    return caught.value


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}
