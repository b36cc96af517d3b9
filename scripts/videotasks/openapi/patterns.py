"""`pattern` of a schema, checked so that no pattern can crash or hang the command.

Patterns are ECMA-262, Python's differ a little: they are translated where the difference is only spelling, and skipped
with a reason where it is not (`\\p{L}`). One that could take exponential time (`^(a+)+$` needs more than 10 s for 41
characters) runs in a child process with a limit, because no other way can stop Python's matcher on every system.
"""

from __future__ import annotations

import re
from functools import lru_cache
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
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "possible nested set" is about Python's future, not about this pattern
            re.compile(text)
    except (re.error, OverflowError, RecursionError, ValueError, MemoryError) as exc:
        return None, f"not a pattern that can be checked here ({str(exc)[:80]})"
    return text, ""


def _respell(pattern: str) -> str:
    """ECMA spellings that Python writes otherwise: `$`, `\\d \\w` (ASCII), `(?<name>`, `\\/`, `\\u{1F600}`, `[^]`."""
    out: list[str] = []
    inside = False
    index = 0
    while index < len(pattern):
        char = pattern[index]
        pair = pattern[index : index + 2]
        if char == "\\" and len(pair) == 2:
            index += 2
            if pair == "\\d":
                out.append("0-9" if inside else "[0-9]")
            elif pair == "\\w":
                out.append("A-Za-z0-9_" if inside else "[A-Za-z0-9_]")
            elif pair == "\\u" and pattern[index : index + 1] == "{":
                end = pattern.find("}", index)
                code = pattern[index + 1 : end] if end > 0 else ""
                try:
                    out.append(re.escape(chr(int(code, 16))))
                    index = end + 1
                except (ValueError, OverflowError):
                    out.append(pair)
            elif pair == "\\k" and pattern[index : index + 1] == "<":
                end = pattern.find(">", index)
                out.append(f"(?P={pattern[index + 1 : end]})")
                index = end + 1 if end > 0 else len(pattern)
            elif pair[1] in "/-#&~@%!\"':;<>=, _`":
                out.append(re.escape(pair[1]) if pair[1] != "_" else "_")
            elif pair == "\\Z" or pair == "\\A":
                out.append(pair[1])
            else:
                out.append(pair)
            continue
        if inside:
            if char == "]":
                inside = False
            elif char == "[":
                char = "\\["
            out.append(char)
        elif pattern.startswith("[^]", index):
            out.append("(?s:.)")
            index += 3
            continue
        elif char == "[":
            inside = True
            out.append(char)
            if pattern[index + 1 : index + 2] == "]":  # [] matches nothing in ECMA
                out[-1] = "(?!)"
                inside = False
                index += 2
                continue
        elif char == "$":
            out.append("\\Z")
        elif pattern.startswith("(?<", index) and pattern[index + 3 : index + 4] not in ("=", "!", ""):
            out.append("(?P<")
            index += 3
            continue
        else:
            out.append(char)
        index += 1
    return "".join(out)


@lru_cache(maxsize=512)
def risky(pattern: str) -> bool:
    """Whether matching may take more than quadratic time: a repeat of what itself varies, or two long repeats.

    Errs on the side of yes; that costs one child process.
    """
    groups: list[bool] = []  # for each open group: does it hold a repeat or an alternative?
    varies = False
    last_varies = False  # whether the last complete atom was a group that varies
    long_repeats = 0
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if char == "\\":
            if pattern[index + 1 : index + 2].isdigit() or pattern[index + 1 : index + 2] == "k":
                return True  # back-references
            index += 2
            last_varies = False
            continue
        if char == "[":
            index = _after_class(pattern, index)
            last_varies = False
            continue
        if char == "(":
            groups.append(varies)
            varies = False
        elif char == ")":
            last_varies = varies
            varies = (groups.pop() if groups else False) or varies
            index += 1
            continue
        elif char == "|":
            varies = True
        elif char in "*+?{":
            low, high, after = _repeat(pattern, index)
            if high is None and after == index:  # a literal brace
                index += 1
                last_varies = False
                continue
            if pattern[index - 1 : index] == "(" and char == "?":  # (?: (?= (?<
                index += 1
                continue
            many = high is None or high > 1
            if many and last_varies:
                return True
            if high is None or high > LONG_REPEAT:
                long_repeats += 1
            if low != high:
                varies = True
            index = after
            last_varies = False
            continue
        last_varies = False
        index += 1
    return long_repeats > 1 and not _separated(pattern)


def _separated(pattern: str) -> bool:
    """`^a+-b+$` with classes that share no character cannot backtrack; only the plainest shapes are recognised."""
    atom, separator = r"(?:\[[A-Za-z0-9_-]*\]|\\[dw]|[A-Za-z0-9])", r"(?:[-_./:@]|\\[-./:@])"
    plain = len(pattern) < 200 and re.fullmatch(rf"\^?(?:{atom}[+*]?{separator}?)+\$?", pattern) is not None
    return plain and len(re.findall(r"[+*]", pattern)) <= 2


def _after_class(pattern: str, index: int) -> int:
    index += 1
    while index < len(pattern) and pattern[index] != "]":
        index += 2 if pattern[index] == "\\" else 1
    return index + 1


def _repeat(pattern: str, index: int) -> tuple[int, int | None, int]:
    """Least and most repeats at `index` and where the pattern goes on; (0, None, index) for a brace that is none."""
    char = pattern[index]
    if char == "{":
        match = re.compile(r"\{(\d{1,9})(,?)(\d{0,9})\}").match(pattern, index)
        if match is None:
            return 0, None, index
        low = int(match.group(1))
        high = int(match.group(3)) if match.group(3) else (None if match.group(2) else low)
        after = match.end()
    else:
        low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        after = index + 1
    if pattern[after : after + 1] in ("?", "+"):  # lazy; possessive is not ECMA
        after += 1
    return low, high, after


def sample(translated: str, repeats: int) -> str | None:
    """A text that the (translated) pattern matches, as a rule; unbounded repeats are taken at least `repeats` times."""
    parser: Any = getattr(re, "_parser", None) or getattr(re, "sre_parse", None)  # the latter in Python 3.10
    try:
        return _sample(parser.parse(translated), repeats, {})
    except (re.error, RecursionError, ValueError, OverflowError, KeyError, TypeError, MemoryError, AttributeError):
        return None


def _sample(parsed: Any, repeats: int, groups: dict[int, str]) -> str:
    out: list[str] = []
    for operation, argument in parsed:
        name = str(operation)
        if name == "LITERAL":
            out.append(chr(argument))
        elif name == "NOT_LITERAL":
            out.append("b" if argument == ord("a") else "a")
        elif name == "ANY":
            out.append("a")
        elif name == "IN":
            out.append(_member(argument))
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            low, high, inner = argument
            count = min(max(low, min(repeats, 2000)), int(high))
            once = _sample(inner, repeats if count <= 1 else 0, groups)
            out.append(once * min(count, 5000))
        elif name == "SUBPATTERN":
            text = _sample(argument[3], repeats, groups)
            if argument[0] is not None:
                groups[argument[0]] = text
            out.append(text)
        elif name == "BRANCH":
            out.append(_sample(argument[1][0], repeats, groups))
        elif name == "GROUPREF":
            out.append(groups.get(argument, ""))
        elif name == "CATEGORY":
            out.append(_CATEGORIES.get(str(argument), "a"))
        elif name == "ATOMIC_GROUP":
            out.append(_sample(argument, repeats, groups))
        # AT, ASSERT and ASSERT_NOT add no text
    return "".join(out)


_CATEGORIES = {"CATEGORY_DIGIT": "1", "CATEGORY_SPACE": " ", "CATEGORY_NOT_WORD": "-", "CATEGORY_NOT_SPACE": "a"}


def _member(items: Any) -> str:
    """One character of a class: a letter if it has one, else a digit, else its first."""
    negated = bool(items) and str(items[0][0]) == "NEGATE"
    choices = "aA1bB0_-. /xyzXYZ@#:;,é"

    def holds(char: str) -> bool:
        code = ord(char)
        for operation, argument in items:
            name = str(operation)
            if name == "LITERAL" and argument == code:
                return True
            if name == "RANGE" and argument[0] <= code <= argument[1]:
                return True
            if name == "CATEGORY":
                kind = str(argument)
                found = {"DIGIT": char.isdigit(), "SPACE": char.isspace(), "WORD": char.isalnum() or char == "_"}
                plain = found.get(kind.rpartition("_")[2], False)
                if plain != ("_NOT_" in kind):
                    return True
        return False

    for char in choices:
        if holds(char) != negated:
            return char
    for operation, argument in items:
        if str(operation) == "LITERAL":
            return chr(argument)
        if str(operation) == "RANGE":
            return chr(argument[0])
    return "a"
