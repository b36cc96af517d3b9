"""Faults of a secure connection, for a `FaultServer(..., tls=True)`.

Those before the request (`handshake_...`) and those after it raise the same exception classes in every library; only
the connection itself knows whether the request was sent.
"""

from __future__ import annotations

from collections.abc import Callable

from support.faults import HOLD, RESET, raw
from support.faultserver import Action, Exchange


def _record(kind: int, body: bytes) -> bytes:
    return bytes([kind, 3, 3]) + len(body).to_bytes(2, "big") + body


HANDSHAKE_FAILURE = _record(21, b"\x02\x28")


def tls_plain_answer() -> Action:
    """After the request was read through TLS: an answer in plain text."""
    return raw(_beneath(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), name="plain text within TLS")


def tls_alert() -> Action:
    """After the request was read: an alert, which libraries report as a failed handshake."""
    return raw(_beneath(HANDSHAKE_FAILURE), name="TLS alert")


def tls_bad_record() -> Action:
    """After the request was read: a record that cannot be decrypted."""
    return raw(_beneath(_record(23, bytes(range(64)))), name="bad TLS record")


def handshake_alert() -> Action:
    return raw(Exchange.wait_for_bytes, HANDSHAKE_FAILURE, stage="accept", name="alert in the handshake")


def handshake_plain() -> Action:
    """A port that speaks plain HTTP."""
    words = b"HTTP/1.1 400 The plain HTTP request was sent\r\n\r\n"
    return raw(Exchange.wait_for_bytes, words, stage="accept", name="plain text in the handshake")


def handshake_reset() -> Action:
    return raw(Exchange.wait_for_bytes, RESET, stage="accept", name="reset in the handshake")


def handshake_silence() -> Action:
    return raw(HOLD, stage="accept", name="silence in the handshake")


def _beneath(data: bytes) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.send_beneath_tls(data)
