"""The secrets that this process knows, and texts without them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from functools import lru_cache

_known: set[str] = set()


def known_secrets() -> frozenset[str]:
    """Every key value read by this process: whatever is printed or stored is redacted by them."""
    return frozenset(_known)


def remember(secret: str) -> None:
    """A secret that came another way (a sandbox key is none, but is treated as one)."""
    if secret:
        _known.add(secret)


def forget_all() -> None:
    """Know no secret any more: what belongs to one command must not colour another one in the same process."""
    _known.clear()


MIN_SECRET = 6  # shorter values ("none", "test") would blacken ordinary words
REDACTED = "[REDACTED]"
_ESCAPE = re.compile(r"(?:%|\\u00|\\x)[0-9A-Fa-f]{2}")
_SWALLOWED = 5  # characters of a secret at most that an escape just before it may seem to own: \\x4 1abcdef
_SAME_LETTERS = {0x130: "i", 0x131: "i", 0x17F: "s"}  # to re.IGNORECASE, and not to str.lower


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` with each secret replaced by `[REDACTED]`, whether raw, percent-encoded, JSON-escaped or in base64.

    All but base64 in any case: a host name that holds the key is lower-cased on its way. Base64 is found at each of its
    three alignments (a header `Basic base64("user:KEY")` hides the key at any of them), in both alphabets. Secrets of
    fewer than six characters are ignored.
    """
    values = {secret.strip() for secret in secrets if secret}
    usable = tuple(sorted((value for value in values if len(value) >= MIN_SECRET), key=lambda v: (-len(v), v)))
    if not usable or not text:
        return text
    # The pattern takes half a second a megabyte: 2 ms of each look at a task of 4 kB, and a video may stand in an
    # answer as megabytes of base64.
    return _pattern(usable).sub(REDACTED, text) if _may_hold(text, usable) else text


def _may_hold(text: str, secrets: tuple[str, ...]) -> bool:
    """False only when the pattern surely finds nothing: compared once without escapes, as plain text.

    Escapes are taken from the left, so that one before a secret can take the secret's own first characters for its
    digits; what comes after them stands there all the same.
    """
    bare = _ESCAPE.sub(_unescaped, text).replace("\\", "") if "%" in text or "\\" in text else text
    letters = bare if bare.isascii() else bare.translate(_SAME_LETTERS)
    folded, standard = letters.lower().replace(" ", "+"), bare.replace("-", "+").replace("_", "/")
    return any(
        not secret.isascii()
        or "\\" in secret
        or "%" in secret
        or secret[_SWALLOWED:].lower().replace(" ", "+") in folded
        or any(core[_SWALLOWED:] in standard for core in _base64_cores(secret))
        for secret in secrets
    )


def _unescaped(escape: re.Match[str]) -> str:
    return chr(int(escape[0][-2:], 16))


@lru_cache(maxsize=16)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    alternatives: list[str] = []
    for secret in secrets:
        alternatives.append("(?i:" + "".join(_spellings(character) for character in secret) + ")")
        # In a link, base64 is percent-encoded in turn: + / =
        alternatives += [
            core.replace("+", r"(?:[+-]|%2[bB])").replace("/", r"(?:[/_]|\\/|%2[fF])") for core in _base64_cores(secret)
        ]
    return re.compile("|".join(alternatives))


def _spellings(character: str) -> str:
    """A pattern for one character as it is, percent-encoded, or escaped in JSON or Python text."""
    forms = [re.escape(character)]
    raw = character.encode("utf-8", "surrogatepass")
    forms.append("".join(f"%{byte:02x}" for byte in raw))
    if len(raw) == 1:
        forms.append(f"\\\\(?:u00|x){raw[0]:02x}")
    if character in "/\"'\\":
        forms.append(re.escape("\\" + character))
    if character == " ":
        forms.append(r"\+")
    if ord(character) > 0x7F and ord(character) < 0x10000:
        forms.append(f"\\\\u{ord(character):04x}")
    return f"(?:{'|'.join(forms)})"


@lru_cache(maxsize=16)
def _base64_cores(secret: str) -> list[str]:
    """The characters of its base64 that depend on the secret alone, at each alignment."""
    raw = secret.encode("utf-8", "surrogatepass")
    cores = []
    for offset, lead in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(b"\0" * offset + raw).decode("ascii")
        cores.append(encoded[lead : (offset + len(raw)) * 8 // 6])
    return cores
