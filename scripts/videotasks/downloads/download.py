"""Result files: fetched by link, resumable, bounded, verified; on disk under our own name or not at all."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from videotasks.downloads.errors import DownloadFailed
from videotasks.downloads.part_file import PartFile
from videotasks.downloads.response_headers import Facts
from videotasks.downloads.transfer import Transfer, alarm
from videotasks.formats.media_type import MediaType
from videotasks.formats.structure import Structure
from videotasks.network.guarded_link import ResultLinks

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True)
class Fetched:
    """A finished file. `type` is by content; `structure` is None where no check knows the container: whether the file
    is whole was not looked into.
    """

    path: Path
    type: MediaType
    bytes: int
    sha256: str
    structure: Structure | None


def download(transfer: Transfer, folder: Path, stem: str) -> Fetched:
    """Fetch into `folder/<stem>.<extension by content>`; for a worker thread that holds the lock on that name.

    On failure `<stem>.part` stays where a later call, also with a fresh link, can go on from it. Raises DownloadFailed.
    """
    if not stem or stem.startswith(".") or any(char in stem for char in '/\\:*?"<>|\0'):
        raise ValueError(f"not a plain file name: {stem!r}")
    # A read that hangs does not notice the deadline; only another thread does.
    timer = alarm(transfer.deadline - transfer.monotonic(), transfer.expire)
    try:
        with _part_file(folder, stem, transfer.url) as part:
            media, structure = transfer.fetch(part)
            path = part.promote(stem + media.extension, pause=transfer.sleep)
    finally:
        timer.cancel()
    return Fetched(path, media, part.size, part.sha256, structure)


def keep(data: bytes, folder: Path, stem: str, *, expect: str) -> Fetched:
    """A file that came another way, checked and put under its name like a downloaded one. Raises DownloadFailed."""
    with _part_file(folder, stem, "") as part:
        part.restart(Facts(length=len(data)))
        part.append(data)
        media, structure = Transfer("", ResultLinks(api_base_url=""), expect).check(part, whole=True)
        path = part.promote(stem + media.extension)
    return Fetched(path, media, part.size, part.sha256, structure)


@contextmanager
def _part_file(folder: Path, stem: str, url: str) -> Iterator[PartFile]:
    """The unfinished file; what is not promoted stays for another try. Raises DownloadFailed for what the disk says."""
    try:
        part = PartFile(folder, stem, url)
        try:
            yield part
        finally:
            part.keep()
    except OSError as error:
        if error.errno in _DISK_FULL:
            full = DownloadFailed("disk_full", "the disk is full", expected="free space for the file", resumable=True)
            raise full from None
        said = f"the file could not be written: {error.strerror or 'the disk refused'}"
        raise DownloadFailed("disk", said, expected="a folder that can be written to", resumable=True) from None
