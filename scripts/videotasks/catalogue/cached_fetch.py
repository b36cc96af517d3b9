"""A public document with a memory: by address, with its ETag, for a day; an old copy with its date beats none."""

from __future__ import annotations

from collections.abc import Callable

from videotasks.core import user_cache
from videotasks.core.record import record

FRESH_S = 86_400.0
MAX_BYTES = 3_000_000  # the largest specification of one video API that was met has 3 MB
KEPT_FILES = 120
_FOLDER = "models"


@record(frozen=True)
class Fetched:
    """A document, when it was fetched (seconds since 1970), and whether nobody could confirm it today."""

    body: bytes
    at: float
    stale: bool = False


@record(frozen=True)
class Got:
    """What an asker brings: a body, or `unchanged`."""

    body: bytes = b""
    etag: str | None = None
    unchanged: bool = False


class Unavailable(Exception):
    """No document, and why in a few words."""


def fetch(address: str, ask: Callable[[str | None], Got], *, now: float, fresh_s: float = FRESH_S) -> Fetched:
    """The document at `address`; `ask(etag)` fetches it, and is not called while a copy is younger than `fresh_s`.

    Raises Unavailable when it cannot be had and no copy is kept.
    """
    kept = user_cache.recall_page(_FOLDER, address)
    if kept is not None and 0 <= now - kept["at"] < fresh_s:
        return Fetched(kept["body"], kept["at"])
    try:
        got = ask(kept["etag"] if kept else None)
    except Unavailable:
        if kept is None:
            raise
        return Fetched(kept["body"], kept["at"], stale=True)
    if got.unchanged and kept is not None:
        got = Got(kept["body"], kept["etag"])
    user_cache.keep_page(_FOLDER, address, got.body, {"at": now, "etag": got.etag}, KEPT_FILES)
    return Fetched(got.body, now)


def public_asker(address: str, *, seconds: float) -> Callable[[str | None], Got]:
    """Asks a public address without any key, within `seconds`."""

    def ask(etag: str | None) -> Got:
        from videotasks.network import public_fetch
        from videotasks.network.errors import NoAnswer

        headers = {"Accept": "application/json, text/markdown, text/plain, */*;q=0.5"}
        if etag:
            headers["If-None-Match"] = etag
        try:
            answer = public_fetch.fetch(address, headers=headers, max_bytes=MAX_BYTES, total_s=seconds)
        except (public_fetch.NotFetched, NoAnswer) as error:
            raise Unavailable(str(getattr(error, "message", error))[:200]) from None
        if answer.status == 304 and etag:
            return Got(unchanged=True, etag=etag)
        if answer.status != 200:
            raise Unavailable(f"HTTP {answer.status}")
        if answer.truncated:
            raise Unavailable(f"larger than {MAX_BYTES // 1_000_000} MB")
        return Got(answer.body, answer.headers.get("etag"))

    return ask
