"""Which origin may be spoken to, and with what: pure rules on URLs (design section 6).

A key goes to one origin only: the profile's own, or one that the user named by flag or environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urljoin, urlsplit, urlunsplit

from videotasks.core.errors import configuration_error

_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> str:
    """`scheme://host:port` in canonical form (default ports left out, host in lower case).

    Raises ValueError for anything that is not an absolute http(s) URL with a host and a sane port.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"not an absolute http(s) URL: {url[:80]!r}")
    port = parts.port  # raises ValueError on nonsense
    host = parts.hostname.lower()
    if ":" in host:
        host = f"[{host}]"
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS[scheme]) else f"{scheme}://{host}:{port}"


def place_of(base_url: str) -> str:
    """Origin and base path, as runs are told apart: `/a/v1` and `/b/v1` of one origin are two accounts' APIs."""
    return origin_of(base_url) + urlsplit(base_url).path.rstrip("/")


def same_origin(one: str, other: str) -> bool:
    try:
        if "@" in urlsplit(one).netloc + urlsplit(other).netloc:  # a name to log in, or meant to be taken for the host
            return False
        return origin_of(one) == origin_of(other)
    except ValueError:
        return False


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine."""
    return is_loopback_host(urlsplit(url).hostname or "")


@lru_cache(maxsize=64)
def is_loopback_host(host: str) -> bool:
    """True for 127.0.0.0/8, ::1 and `localhost` by name; other names are not resolved here."""
    name = host.lower().rstrip(".")
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def checked_base_url(url: str, *, source: str, allow_http: bool = False) -> str:
    """A base URL without a trailing slash, or a TaskError (exit 1) that says what is wrong with it.

    `source` names where it came from (`--base-url`, `ARK_BASE_URL`, the profile). Plain http carries the key in
    clear text, so it is for loopback only unless the user says --allow-http.
    """
    text = url.strip()
    expected = "https://host[:port][/path], or http:// on loopback"
    try:
        parts = urlsplit(text)
        origin_of(text)
    except ValueError:
        raise configuration_error(f"{source} is not a usable base URL", expected=expected) from None
    if parts.username is not None or parts.password is not None:
        raise configuration_error(f"{source} carries a user name or password", expected=expected)
    if parts.query or parts.fragment:
        raise configuration_error(f"{source} carries a query or fragment", expected=expected)
    if parts.scheme.lower() == "http" and not is_loopback(text) and not allow_http:
        raise configuration_error(
            f"{source} is plain http to {parts.hostname}: the key would travel in clear text",
            expected=expected,
            hint="use https, or add --allow-http if you accept that",
        )
    return urlunsplit((parts.scheme.lower(), parts.netloc, parts.path.rstrip("/"), "", ""))


def api_url(base_url: str, path_or_url: str) -> str:
    """The URL of an API path under `base_url`; an absolute URL must be on the very same origin.

    A leading slash means "below the base path" (as in OpenAPI servers), not "at the host's root".
    Raises TaskError (exit 1) for another origin: the key is not for it.
    """
    if "://" in path_or_url or path_or_url.startswith("//"):
        if not same_origin(base_url, path_or_url):
            try:
                other = origin_of(path_or_url)
            except ValueError:
                other = "another place"
            raise configuration_error(
                f"{other} is not the API's origin {origin_of(base_url)}: no key is sent there",
                expected="a path, or a URL on the API's own origin",
                hint="name the origin with --base-url if you trust it with the key",
            )
        return path_or_url
    return base_url.rstrip("/") + "/" + path_or_url.lstrip("/")


def followed_url(base_url: str, location: str) -> str | None:
    """A URL that a server handed out, made absolute; None unless it is on the API's own origin."""
    try:
        target = urljoin(base_url + "/", location)
    except ValueError:
        return None
    return target if same_origin(base_url, target) else None


def own_paths(base_url: str, urls: Mapping[str, str]) -> dict[str, str]:
    """What an API gave for a task: its URLs as paths on its own origin, plain values as they are, other URLs left out.

    That is how they are kept: a run folder names no origin, and the sandbox has another port each time.
    """
    kept = {}
    for name, url in urls.items():
        try:
            parts = urlsplit(url)
        except ValueError:
            continue
        if same_origin(base_url, url):
            kept[name] = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        elif not parts.netloc and parts.scheme not in ("http", "https"):
            kept[name] = url
    return kept
