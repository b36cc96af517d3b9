"""`pattern` of a schema, checked so that no pattern can crash or hang the command.

Patterns are ECMA-262, Python's differ a little: they are translated where the difference is only spelling, and skipped
with a reason where it is not (`\\p{L}`). One that could take exponential time (`^(a+)+$` needs more than 10 s for 41
characters) runs in a child process with a limit, because no other way can stop Python's matcher on every system.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from itertools import chain
from typing import Any

MAX_PATTERN = 5_000
CHILD_SECONDS = 2.0
MAX_CHILDREN = 20  # a schema with hundreds of risky patterns must not cost hundreds of processes
MAX_TIMEOUTS = 2
LONG_REPEAT = 50
LONG_VALUE = 2_000  # even `a*b` is quadratic in a value that does not match; data URIs have millions of characters

_CHILD = "import json,re,sys; p,v=json.load(sys.stdin); sys.exit(10 if re.search(p,v) else 11)"


class Patterns:
    """Matches patterns for one validation or template; `skipped` says which could not be checked, and why."""

    def __init__(self) -> None:
        self.skipped: dict[str, str] = {}
        self._known: dict[tuple[str, str], bool] = {}
        self._children = 0
        self._timeouts = 0

    def matches(self, pattern: str, value: str) -> bool:
        """Whether `pattern` is found in `value`; True (and noted in `skipped`) when that cannot be told."""
        translated, reason = translate(pattern)
        if translated is None:
            self.skipped.setdefault(pattern[:200], reason)
            return True
        if len(value) <= LONG_VALUE and not risky(pattern):
            return re.search(translated, value) is not None
        key = (pattern, value)
        if key not in self._known:
            self._known[key] = self._in_child(pattern, translated, value)
        return self._known[key]

    def _in_child(self, pattern: str, translated: str, value: str) -> bool:
        if self._children >= MAX_CHILDREN or self._timeouts >= MAX_TIMEOUTS:
            self.skipped.setdefault(pattern[:200], "too many patterns that may take very long")
            return True
        import json
        import subprocess
        import sys

        self._children += 1
        code: int | None = None
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _CHILD],
                input=json.dumps([translated, value]).encode("ascii"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=CHILD_SECONDS,
                check=False,
            )
            code = done.returncode
        except subprocess.TimeoutExpired:
            self._timeouts += 1
        except (OSError, ValueError):
            pass
        if code in (10, 11):
            return code == 10
        self.skipped.setdefault(pattern[:200], f"takes longer than {CHILD_SECONDS:.0f} s")
        return True


@lru_cache(maxsize=512)
def translate(pattern: str) -> tuple[str | None, str]:
    """The pattern for Python's `re`, or None and why there is none."""
    if len(pattern) > MAX_PATTERN:
        return None, f"longer than {MAX_PATTERN} characters"
    text = _respell(pattern)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(text)
    except (re.error, OverflowError, RecursionError, ValueError, MemoryError) as exc:
        return None, f"not a pattern that can be checked here ({str(exc)[:80]})"
    return text, ""


_ESCAPE = r"\\u\{(?P<code>[^}]*)\}|\\k<(?P<name>[^>]*)>|\\(?P<char>.)"
_INSIDE = re.compile(_ESCAPE + "|.", re.DOTALL)  # a class
_OUTSIDE = re.compile(_ESCAPE + r"|\[\^?\]|\(\?<(?![=!]|\Z)|.", re.DOTALL)
_SPELLINGS = {"[^]": "(?s:.)", "[]": "(?!)", "$": r"\Z", "(?<": "(?P<"}


def _respell(pattern: str) -> str:
    """ECMA spellings that Python writes otherwise: `$`, `\\d \\w` (ASCII), `(?<name>`, `\\/`, `\\u{1F600}`, `[^]`."""
    out: list[str] = []
    inside, at = False, 0
    while token := (_INSIDE if inside else _OUTSIDE).match(pattern, at):
        at, text = token.end(), token[0]
        if len(text) > 1 and text[0] == "\\":
            text = _escape(token, inside)
        elif inside:
            inside = text != "]"
            text = "\\[" if text == "[" else text
        else:
            inside = text == "["
            text = _SPELLINGS.get(text, text)
        out.append(text)
    return "".join(out)


def _escape(token: re.Match[str], inside: bool) -> str:
    if token["code"] is not None:
        try:
            return re.escape(chr(int(token["code"], 16)))
        except (ValueError, OverflowError):
            return token[0]
    if token["name"] is not None:
        return f"(?P={token['name']})"
    char = token["char"]
    if char in "dw":
        members = "0-9" if char == "d" else "A-Za-z0-9_"
        return members if inside else f"[{members}]"
    if char in "/-#&~@%!\"':;<>=, `":
        return re.escape(char)
    return char if char in "_ZA" else token[0]


@lru_cache(maxsize=512)
def risky(pattern: str) -> bool:
    """Whether matching may take more than quadratic time: a repeat of what itself varies, or two long repeats.

    Errs on the side of yes; that costs one child process.
    """
    try:
        _, nested, long_repeats = _repeats(_parsed(translate(pattern)[0] or ""))
    except _UNPARSED:
        return True
    return nested or (long_repeats > 1 and not _separated(pattern))


def _repeats(parsed: Any) -> tuple[bool, bool, int]:
    """Whether the length of what matches varies, whether a repeat holds what varies, and how many repeats are long."""
    varies, nested, long_repeats = False, False, 0
    for operation, argument in parsed:
        name = str(operation)
        inner: list[Any] = []
        if name.endswith("_REPEAT"):
            inner = [argument[2]]
        elif name == "SUBPATTERN":
            inner = [argument[3]]
        elif name in ("ASSERT", "ASSERT_NOT"):
            inner = [argument[1]]
        elif name == "ATOMIC_GROUP":
            inner = [argument]
        elif name == "BRANCH":
            inner, varies = argument[1], True
        elif name.startswith("GROUPREF"):
            nested = True
        found = [_repeats(part) for part in inner]
        inside = any(one[0] for one in found)
        nested = nested or any(one[1] for one in found)
        long_repeats += sum(one[2] for one in found)
        if name.endswith("_REPEAT"):
            low, high, _ = argument
            nested = nested or (high > 1 and inside)
            long_repeats += high > LONG_REPEAT
            inside = inside or low != high
        varies = varies or inside
    return varies, nested, long_repeats


def _separated(pattern: str) -> bool:
    """`^a+-b+$` with classes that share no character cannot backtrack; only the plainest shapes are recognised."""
    atom, separator = r"(?:\[[A-Za-z0-9_-]*\]|\\[dw]|[A-Za-z0-9])", r"(?:[-_./:@]|\\[-./:@])"
    plain = len(pattern) < 200 and re.fullmatch(rf"\^?(?:{atom}[+*]?{separator}?)+\$?", pattern) is not None
    return plain and len(re.findall(r"[+*]", pattern)) <= 2


# What Python's own parser of patterns, which is no public one, ends with.
_UNPARSED = (
    re.error, RecursionError, ValueError, OverflowError, KeyError, TypeError, MemoryError, AttributeError,
)  # fmt: skip


def _parsed(translated: str) -> Any:
    parser: Any = getattr(re, "_parser", None) or getattr(re, "sre_parse", None)  # the latter in Python 3.10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "possible nested set" is about Python's future, not about this pattern
        return parser.parse(translated)


def sample(translated: str, repeats: int) -> str | None:
    """A text that the (translated) pattern matches, as a rule; unbounded repeats are taken at least `repeats` times."""
    try:
        return _sample(_parsed(translated), repeats, {})
    except _UNPARSED:
        return None


def _sample(parsed: Any, repeats: int, groups: dict[int, str]) -> str:
    out: list[str] = []
    for index, (operation, argument) in enumerate(parsed):
        name = str(operation)
        if name == "LITERAL":
            out.append(chr(argument))
        elif name in ("IN", "ANY", "NOT_LITERAL"):
            out.append(_member(parsed[index : index + 1]))
        elif name.endswith("_REPEAT"):
            low, high, inner = argument
            count = min(max(low, min(repeats, 2000)), int(high))
            once = _sample(inner, repeats if count <= 1 else 0, groups)
            out.append(once * min(count, 5000))
        elif name == "SUBPATTERN":
            out.append(_sample(argument[3], repeats, groups))
            groups[argument[0]] = out[-1]
        elif name == "BRANCH":
            out.append(_sample(argument[1][0], repeats, groups))
        elif name == "GROUPREF":
            out.append(groups.get(argument, ""))
        elif name == "ATOMIC_GROUP":
            out.append(_sample(argument, repeats, groups))
        # AT, ASSERT and ASSERT_NOT add no text
    return "".join(out)


def _member(parsed: Any) -> str:
    """One character of a class: a letter if it has one, else a digit, else its first."""
    compiler: Any = getattr(re, "_compiler", None) or getattr(re, "sre_compile", None)
    takes = compiler.compile(parsed).match
    return next(filter(takes, chain("aA1bB0_-. /xyzXYZ@#:;,é", map(chr, range(0x20000)))), "a")
