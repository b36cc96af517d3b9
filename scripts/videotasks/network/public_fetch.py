"""A public document over https, without any key: a specification, a catalogue, a price list.

The same client as for everything else, so the same rules: no login from ~/.netrc, no cookie, a redirect's body is not
read, and what is read has a limit in bytes and in time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

from videotasks.core.record import record
from videotasks.network.client import Answer, Client
from videotasks.network.errors import NoAnswer
from videotasks.network.origins import is_loopback, same_origin

MAX_REDIRECTS = 5
READ_TIMEOUT_S = 30.0  # of silence
TOTAL_TIMEOUT_S = 90.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@record(eq=False)
class NotFetched(Exception):
    """The URL, or where it leads, is none that we fetch: `message` says what it is, `expected` what it should be.

    `leads_to` is the target of a redirect to another origin, which only the user can decide to trust.
    """

    message: str
    expected: str
    leads_to: str = ""


def check_url(url: str) -> None:
    """Raises NotFetched for what is no public https URL; plain http is for this machine only."""
    shown = url[:200]
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise NotFetched(f"Not a URL: {shown}", "https://host/path") from None
    if not host:
        raise NotFetched(f"No host in {shown}", "https://host/path")
    if parts.username is not None or parts.password is not None:
        raise NotFetched("The URL carries a user name or password", "a public https URL without credentials")
    if parts.scheme.lower() != "https" and not (parts.scheme.lower() == "http" and is_loopback(url)):
        raise NotFetched(f"Not fetched over plain http: {shown}", "an https URL, or a downloaded file")


def fetch(url: str, *, headers: Mapping[str, str], max_bytes: int, total_s: float = TOTAL_TIMEOUT_S) -> Answer:
    """The answer to a GET, at most `max_bytes` of it (then `truncated`). Redirects stay on the origin.

    Raises NotFetched, and NoAnswer when none came whole within `total_s` seconds.
    """
    check_url(url)
    deadline = time.monotonic() + total_s
    client = Client()
    target = url
    try:
        for _ in range(MAX_REDIRECTS + 1):
            with client.open("GET", target, headers=headers, timeout=min(READ_TIMEOUT_S, total_s)) as opened:
                location = opened.headers.get("location")
                if opened.status in _REDIRECTS and location:
                    target = _redirected(target, location)
                    continue
                body = bytearray()
                for part in opened.chunks():
                    body += part
                    if len(body) > max_bytes:
                        break
                    if time.monotonic() > deadline:
                        raise NoAnswer("timeout", f"not complete after {total_s:.0f} s", sent=True)
                whole, cut = bytes(body[:max_bytes]), len(body) > max_bytes
                return Answer(opened.status, opened.headers, whole, target, cut)
    finally:
        client.close()
    raise NoAnswer("redirects", f"more than {MAX_REDIRECTS} redirects", sent=True)


def _redirected(source: str, location: str) -> str:
    try:
        target = urljoin(source, location)
    except ValueError:
        target = ""
    if not same_origin(source, target):
        raise NotFetched(
            f"{source} redirects to another host: {target[:200]}", "a URL that answers itself", leads_to=target
        )
    return target
