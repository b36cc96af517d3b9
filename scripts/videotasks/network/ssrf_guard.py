"""Which result links and which connected peers are refused: pure rules on addresses and URLs (design section 6).

A result link is server text. Followed blindly it turns the user's machine into a probe of its own network, so a link
may lead to public addresses only. The networks are spelled out here because `ipaddress.is_global` calls 192.0.0.192,
224.0.0.1, 64:ff9b::7f00:1 and 2002:7f00:1:: public on some of the Python versions we support.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from videotasks.network.origins import same_origin

MAX_LINK_CHARS = 16_384  # signed links measure up to 3 kB; a server's request line rarely takes more than 8 or 16 kB
_PORTS = (None, 80, 443)

_METADATA = "a cloud metadata address"
_RESERVED = "a reserved address"

# The IANA special-purpose registries; the first match names the rule. No address of one family lies in the other's.
_RULES = tuple(
    (ip_network(network), rule)
    for network, rule in (
        ("169.254.169.254/32", _METADATA),  # AWS, GCP, Azure, Volcengine
        ("192.0.0.192/32", _METADATA),  # Oracle
        ("100.100.100.200/32", _METADATA),  # Alibaba
        ("168.63.129.16/32", _METADATA),  # Azure's wire server, in public space
        ("127.0.0.0/8", "a loopback address"),
        ("10.0.0.0/8", "a private address"),
        ("172.16.0.0/12", "a private address"),
        ("192.168.0.0/16", "a private address"),
        ("169.254.0.0/16", "a link-local address"),
        ("100.64.0.0/10", "a carrier-grade NAT address"),
        ("0.0.0.0/8", "an unspecified address"),
        ("224.0.0.0/4", "a multicast address"),
        # VPN tools in fake-IP mode answer every name from this network: the user needs to read why.
        ("198.18.0.0/15", "a benchmarking address (VPN tools in fake-IP mode hand these out)"),
        ("192.0.0.0/24", _RESERVED),
        ("192.0.2.0/24", _RESERVED),
        ("192.88.99.0/24", _RESERVED),
        ("198.51.100.0/24", _RESERVED),
        ("203.0.113.0/24", _RESERVED),
        ("240.0.0.0/4", _RESERVED),
        ("fd00:ec2::254/128", _METADATA),
        ("::1/128", "a loopback address"),
        ("::/128", "an unspecified address"),
        ("fc00::/7", "a private address"),
        ("fec0::/10", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("ff00::/8", "a multicast address"),
        ("2001::/23", _RESERVED),  # IETF protocol assignments; Teredo, inside, is judged before
        ("2001:db8::/32", _RESERVED),
        ("3fff::/20", _RESERVED),
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")

# Names that never lead to a public host; RFC 6761, 6762, 8375 and ICANN's `internal`.
_LOCAL_NAMES = ("localhost", "internal", "local", "lan", "home.arpa", "localdomain")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*", re.ASCII)
_AUTHORITY = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\])(:[0-9]*)?", re.ASCII)
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.ASCII)


def refusal_of(address: str) -> str | None:
    """Why a connected peer is refused ("a private address"), or None for a public one.

    `address` is what `getpeername()` gives, zone included. What is no IP address is refused too.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "no IP address"
    return _rule_of(parsed)


def _rule_of(address: IPv4Address | IPv6Address) -> str | None:
    embedded = _embedded(address) if isinstance(address, IPv6Address) else None
    if embedded is not None:
        rules = ((inner, _rule_of(inner)) for inner in embedded)
        refused = (f"{rule} ({inner}) inside an IPv6 one" for inner, rule in rules if rule)
        return next(refused, None if embedded else _RESERVED)
    rule = next((rule for network, rule in _RULES if address in network), None)
    return rule or (_RESERVED if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST else None)


def _embedded(address: IPv6Address) -> tuple[IPv4Address, ...] | None:
    """The IPv4 addresses that this one may lead to through a translator or tunnel; None when it is none of those."""
    value = int(address)
    low = IPv4Address(value & 0xFFFFFFFF)
    if address.ipv4_mapped is not None or address in _NAT64:
        return (low,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo  # the server and the client
    if address in _NAT64_LOCAL:
        # The operator chose a prefix of 48, 56, 64 or 96 bits (RFC 6052); a place that holds 0.x.x.x is not the one.
        # Bits 64 to 71 are skipped in every one of them.
        skipped = (value >> 64) << 56 | value & 0xFFFFFFFFFFFFFF
        places = (low, *(IPv4Address((skipped >> (88 - prefix)) & 0xFFFFFFFF) for prefix in (48, 56, 64)))
        return tuple(place for place in places if int(place) >> 24)
    return None


def refusal_of_link(url: object, *, api_base_url: str = "", allow_private: bool = False) -> str | None:
    """Why a result link is refused before anything is connected, or None.

    Judges the spelling: scheme, user name, port, host. A host that is a name is judged again, by `refusal_of`, once it
    is connected. A URL on the API's own origin passes in any case; `allow_private` lifts the rules on plain http,
    ports and private hosts, for results kept on the user's own network.
    """
    if not isinstance(url, str) or not url:
        return "it is no URL"
    if len(url) > MAX_LINK_CHARS:
        return f"it is longer than {MAX_LINK_CHARS} characters"
    # urlsplit drops tabs and line ends silently, so they are looked for first.
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in url):
        return "it holds control characters"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "its host or port is malformed"
    scheme = parts.scheme.lower()
    if scheme not in ("https", "http"):
        return "it is no http(s) link"
    if not host:
        return "it names no host"
    if "@" in parts.netloc:
        return "it carries a user name"
    # One parser's host is another's user name: with these characters out, all parsers agree.
    if not _AUTHORITY.fullmatch(parts.netloc):
        return "its host is spelled in an odd way"
    name = host.lower()
    spelled = _refusal_of_spelling(name)
    if spelled is not None and spelled[0] == "malformed":
        return spelled[1]
    if allow_private or (api_base_url and same_origin(url, api_base_url)):
        return None
    if spelled is not None:
        return spelled[1]
    if scheme == "http":
        return "it is plain http"
    if port not in _PORTS:
        return f"it names port {port}"
    return None


def _refusal_of_spelling(name: str) -> tuple[str, str] | None:
    """(`malformed` or `private`, why) for a host as a URL spells it, in lower case and without brackets; or None."""
    if ":" in name:
        try:
            rule = _rule_of(IPv6Address(name))
        except ValueError:
            return "malformed", "its host is malformed"
        return None if rule is None else ("private", f"{name} is {rule}")
    bare = name[:-1] if name.endswith(".") else name
    if len(bare) > 253 or not _NAME.fullmatch(bare):
        return "malformed", "its host is malformed"
    labels = bare.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        address = _ipv4_of(labels)
        if address is None:
            return "malformed", "its host is malformed"
        rule = _rule_of(address)
        if rule is not None:
            return "private", f"{name} is {rule}"
        # A public address written as one number or in octal is a disguise without an honest use.
        return None if name == str(address) else ("malformed", "its host is spelled in an odd way")
    if len(labels) == 1 or any(bare == local or bare.endswith("." + local) for local in _LOCAL_NAMES):
        return "private", f"{name} is a name of the local network"
    return None


def _ipv4_of(labels: list[str]) -> IPv4Address | None:
    """The address that `inet_aton` reads: 1 to 4 parts, each decimal, octal or hexadecimal, the last one filling up."""
    if len(labels) > 4 or not all(_NUMBER.fullmatch(label) and len(label) <= 20 for label in labels):
        return None
    try:
        *head, last = (int(label.removeprefix("0x") or "0", _base_of(label)) for label in labels)
    except ValueError:  # 08
        return None
    if any(number > 255 for number in head) or last >= 256 ** (4 - len(head)):
        return None
    return IPv4Address(bytes(head) + last.to_bytes(4 - len(head), "big"))


def _base_of(label: str) -> int:
    return 16 if label.startswith("0x") else 8 if label.startswith("0") else 10
