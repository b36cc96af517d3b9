"""How a download ends without a file, and which of these ends another try may avoid."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class DownloadFailed(Exception):
    """No file. `resumable` tells whether the same call (after link_expired: with a fresh link) can still succeed.

    `kind`: link_expired, blocked, elsewhere, not_media, truncated, too_large, disk_full, disk, stalled, http, network,
    deadline, cancelled. `message` and `expected` are ours; `server_excerpt` is server text, to be redacted and escaped.
    """

    kind: str
    message: str
    expected: str | None = None
    resumable: bool = False
    http_status: int | None = None
    server_excerpt: str | None = None

    def __str__(self) -> str:
        return self.message


@dataclass(eq=False)
class TryAgain(Exception):
    """A fault that the next try may not meet. `failure` is what it becomes when there is no next try."""

    failure: DownloadFailed
    after_s: float = 0.0
    max_tries: int | None = None


def network(message: str, *, max_tries: int | None = None) -> TryAgain:
    """A fault on the way: the next try may not meet it."""
    return TryAgain(DownloadFailed("network", message, resumable=True), max_tries=max_tries)
