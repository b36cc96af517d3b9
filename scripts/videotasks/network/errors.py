"""How no answer comes: each kind of silence, told without the words of a library."""

from __future__ import annotations

from collections.abc import Iterator

from videotasks.core.record import field, record
from videotasks.network.flight import Flight, WriteAheadFailed


@record(eq=False)
class NoAnswer(Exception):
    """No complete answer. `sent` tells whether a byte of the request may have been written.

    `kind`: dns, refused, connect, tls, timeout, reset, cut, aborted, invalid, proxy, no_socks. `status` and `body`
    hold what did arrive. Server text is only in `body`.
    """

    kind: str
    message: str
    sent: bool
    status: int | None = None
    body: bytes = field(default=b"", repr=False)
    host: str = ""

    def __str__(self) -> str:
        return self.message


@record(eq=False)
class Blocked(Exception):
    """A connection was refused by our own address guard; `rule` says which, `address` where."""

    address: str
    rule: str


# After the first byte the same names speak of a broken answer (two lengths, an odd header), not of our request.
_UNUSABLE = "InvalidURL InvalidSchema MissingSchema LocationParseError InvalidHeader"
_CUT = "IncompleteRead ChunkedEncodingError InvalidChunkLength DecodeError ContentDecodingError"


def no_answer_of(error: Exception, flight: Flight, url: str, *, status: int | None = None) -> Exception:
    """NoAnswer for whatever the HTTP library raised. The class tells people what happened; `sent` is the flight's."""
    from datetime import datetime, timezone
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname or ""
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, (Blocked, WriteAheadFailed)):
            return cause
    names = {type(cause).__name__ for cause in chain}
    text = " ".join(str(cause) for cause in chain).lower()

    def answer(kind: str, message: str) -> NoAnswer:
        return NoAnswer(kind, message, sent=flight.sent, status=status, host=host)

    if flight.aborted or "AbortedBeforeSending" in names:
        return answer("aborted", f"the request to {host} was given up")
    # Before the names of what failed: a proxy that is down refuses a connection like any other host.
    if "Missing dependencies for SOCKS support" in str(error):
        return answer("no_socks", "the environment names a SOCKS proxy, and this Python has no support for SOCKS")
    proxy = _proxy_of(url) if not flight.sent else None
    if "ProxyError" in names or (proxy is not None and "socks" in text):
        return answer("proxy", f"the proxy {proxy or ''} on the way to {host} failed".replace("  ", " "))
    if "connection refused" in text:
        names.add("ConnectionRefusedError")
    why = ""
    if "expired" in text or "not yet valid" in text:  # a clock set to 1970 or 2100 finds every certificate so
        why = f": its certificate is not valid at this machine's time ({datetime.now(timezone.utc):%Y-%m-%d})"
    for kind, told_by, message in (
        ("dns", "NameResolutionError gaierror", f"the name {host} could not be resolved"),
        ("refused", "ConnectionRefusedError", f"{host} refused the connection"),
        ("connect", "ConnectTimeout ConnectTimeoutError", f"{host} did not take the connection in time"),
        ("invalid", "" if flight.sent else _UNUSABLE, "the request could not be built"),
        ("timeout", "ReadTimeout ReadTimeoutError TimeoutError timeout", f"{host} did not answer in time"),
        ("tls", "SSLError SSLCertVerificationError SSLEOFError", f"the secure connection to {host} failed{why}"),
        ("cut", _CUT, f"the answer of {host} was cut off"),
        ("connect", "NewConnectionError", f"{host} could not be reached"),
    ):
        if names.intersection(told_by.split()):
            return answer(kind, message)
    return answer("reset", f"the connection to {host} broke")


def _proxy_of(url: str) -> str | None:
    """Host and port of the environment's proxy for this URL, without its user name and password."""
    from urllib.parse import urlsplit

    from requests.utils import get_environ_proxies, select_proxy

    try:
        proxy = select_proxy(url, get_environ_proxies(url))
        return urlsplit(proxy).netloc.rpartition("@")[2] or None if proxy else None
    except ValueError:
        return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, its reasons, arguments, causes and contexts, each once."""
    queue: list[BaseException] = [error]
    seen: set[int] = set()
    for current in queue:  # which grows meanwhile
        if id(current) not in seen:
            seen.add(id(current))
            yield current
            linked = getattr(current, "reason", None), current.__cause__, current.__context__, *current.args
            queue += [each for each in linked if isinstance(each, BaseException)]
