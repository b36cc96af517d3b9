"""Opens a result link: hop by hop, each hop judged, no key past the API's own content endpoint (design section 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import urljoin, urlsplit

from videotasks.core.record import record
from videotasks.network.client import Client, OpenAnswer
from videotasks.network.errors import Blocked
from videotasks.network.flight import Flight
from videotasks.network.origins import same_origin
from videotasks.network.ssrf_guard import refusal_of, refusal_of_link

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@record(eq=False)
class LinkRefused(Exception):
    """A link, or where it led, broke one of our rules; nothing was sent there. The message is ours, without a query.

    `liftable` tells whether `allow_private` would let it pass.
    """

    message: str
    liftable: bool = False


@record(frozen=True)
class ResultLinks:
    """Opens links of one task.

    `api_client` carries the key, and nobody else may use it meanwhile. It is given for the API's own content endpoint
    only, serves the first hop only, and only on `api_base_url`'s origin; every other hop has a client of its own that
    knows no key and no cookie. `allow_private` is for results kept on the user's own network.

    Where a proxy is set in the environment, this machine connects to the proxy and cannot see the address behind it:
    then names of the local network and literal addresses are refused as always, but a public name that resolves to a
    private address is the proxy's to refuse.
    """

    api_base_url: str
    api_client: Client | None = None
    allow_private: bool = False

    @contextmanager
    def open(
        self, url: str, headers: Mapping[str, str], *, timeout: float, new_flight: Callable[[], Flight]
    ) -> Iterator[OpenAnswer]:
        """The first answer that is no redirect. Raises LinkRefused, NoAnswer; `new_flight` is called for each hop."""
        client = self.api_client if self.api_client and same_origin(url, self.api_base_url) else None
        for hop in range(MAX_REDIRECTS + 1):
            refusal = refusal_of_link(url, api_base_url=self.api_base_url, allow_private=self.allow_private)
            if refusal is not None:
                liftable = refusal_of_link(url, allow_private=True) is None
                raise LinkRefused(f"{_place(hop)} is refused: {refusal}", liftable=liftable)
            opener = client or Client(guard=self.guard(url))
            try:
                try:
                    answer = opener.open("GET", url, headers=headers, timeout=timeout, flight=new_flight())
                except Blocked as blocked:
                    host = urlsplit(url).hostname or ""
                    seen = f"{host} ({blocked.address})" if host != blocked.address else host
                    raise LinkRefused(f"{_place(hop)} is refused: {seen} is {blocked.rule}", liftable=True) from None
                with answer:
                    location = answer.headers.get("location")
                    if answer.status not in _REDIRECTS or not location:
                        yield answer
                        return
                    url, client = next_url(url, location), None
            finally:
                if opener is not self.api_client:
                    opener.close()
        raise LinkRefused(f"the link was redirected more than {MAX_REDIRECTS} times")

    def guard(self, url: str) -> Callable[[str, str], None] | None:
        """The judge of the connected peer; None where any peer is allowed."""
        if self.allow_private or same_origin(url, self.api_base_url):
            return None
        named = (urlsplit(url).hostname or "").lower()
        proxied = _proxied(url)

        def judge(address: str, host: str) -> None:
            # Through a proxy, `host` is the proxy's: where that stands is the user's own affair.
            if proxied and host.strip("[]").lower() != named:
                return
            rule = refusal_of(address)
            if rule is not None:
                raise Blocked(address, rule)

        return judge


def _proxied(url: str) -> bool:
    """Whether requests will send this URL through a proxy of the environment (or the system's)."""
    from requests.utils import get_environ_proxies, select_proxy

    return select_proxy(url, get_environ_proxies(url)) is not None


def next_url(url: str, location: str) -> str:
    with suppress(UnicodeError):
        # The HTTP library reads headers as Latin-1; servers that write beyond ASCII mean UTF-8.
        location = location.encode("latin-1").decode("utf-8")
    try:
        target = urljoin(url, location)
    except ValueError:
        raise LinkRefused("the link was redirected to something that is no URL") from None
    if url[:6].lower() == "https:" and target[:5].lower() == "http:":
        raise LinkRefused("the link was redirected from https to plain http")
    return target


def _place(hop: int) -> str:
    return "the result link" if hop == 0 else f"redirect {hop} of the result link"
