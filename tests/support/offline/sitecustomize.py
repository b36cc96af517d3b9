"""Refuse every connection that leaves the machine, in this process.

`tests/conftest.py` imports this file for the test process and puts its folder on PYTHONPATH, so that Python imports it
at start-up in every script that a test starts. An audit hook sees each connect below any library and any monkeypatch.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # every script that a test starts imports this: typing is 17 of its milliseconds
if TYPE_CHECKING:
    from typing import Any

refused: list[str] = []
"""What this process tried to reach; the fixture `no_outside_network` fails a test that left something here."""


class OutsideNetworkError(RuntimeError):
    """No OSError on purpose: code that survives network faults must not survive this."""


def is_loopback(host: Any) -> bool:
    """True for the names and addresses of this machine; an empty host is a listener's wildcard."""
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "replace")
    if not host:
        return True
    name = str(host).lower().partition("%")[0]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    import ipaddress

    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_address(host: Any) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return True


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        address = args[1]
        if not isinstance(address, tuple) or is_loopback(address[0]):
            return
        target = f"{address[0]}:{address[1]}"
    elif event == "socket.getaddrinfo":
        if is_loopback(args[0]) or is_address(args[0]):
            return
        target = str(args[0])
        if target.rstrip(".").endswith(".invalid"):
            # RFC 6761: never resolves. Answered here, so that the test costs no look-up.
            import socket

            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    else:
        return
    refused.append(target)
    raise OutsideNetworkError(f"a test tried to reach {target}: tests talk to loopback only")


sys.addaudithook(_hook)
