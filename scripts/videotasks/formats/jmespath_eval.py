"""JMESPath candidates: look where a profile says, in its order, and nowhere else.

Nearly all paths of a profile are plain (`a.b`, `a[0].b`, `a[].b`); these are evaluated here, because importing jmespath
costs 16 ms, more than the rest of a status check's parsing. Anything else goes to jmespath. A test holds both equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\[[0-9]*\])*(?:\.[A-Za-z_][A-Za-z0-9_]*(?:\[[0-9]*\])*)*\Z")
_STEP = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]*)\]")
_FLATTEN = object()


class PathError(ValueError):
    """The expression is not JMESPath."""


def evaluate(path: str, body: object) -> Any:
    """The value at `path`, or None. Never raises for a body of a wrong shape; PathError for a broken expression."""
    return _compiled(path)(body)


def values(path: str, body: object) -> list[Any]:
    """What `path` gives, as a list: [] for null, the elements of a list, else the one value."""
    found = evaluate(path, body)
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def first_value(paths: Iterable[str], body: object) -> Any:
    """The first value that is not null, or None."""
    return next((found for path in paths if (found := evaluate(path, body)) is not None), None)


def first_string(paths: Iterable[str], body: object) -> str | None:
    """The first non-empty string among the candidates, or None."""
    strings = (found for path in paths for found in values(path, body) if isinstance(found, str) and found.strip())
    return next(strings, None)


def check(path: str) -> None:
    """Raise PathError for what would give null for ever, without a word: broken syntax, an unknown function, a wrong
    number of arguments, and `!a.b`, which is `(!a).b`.
    """
    _compiled(path)
    if PLAIN.match(path):
        return
    import jmespath
    from jmespath.functions import Functions

    table: dict[str, Any] = Functions.FUNCTION_TABLE
    parts: list[Any] = [jmespath.compile(path).parsed]
    while parts:
        node = parts.pop()
        parts += node["children"]
        if node["type"] == "subexpression" and node["children"][0]["type"] == "not_expression":
            raise PathError(f"{path!r}: !a.b reads as (!a).b, which is always null; write !(a.b)")
        if node["type"] != "function_expression":
            continue
        name, given = node["value"], len(node["children"])
        if name not in table:
            import difflib

            near = difflib.get_close_matches(name, table, n=1, cutoff=0.6)
            others = f"did you mean {near[0]!r}?" if near else "it has: " + ", ".join(sorted(table))
            raise PathError(f"{path!r}: JMESPath has no function {name!r}; {others}")
        signature = table[name]["signature"]
        variadic = bool(signature and signature[-1].get("variadic"))
        if given < len(signature) or (given > len(signature) and not variadic):
            wanted = f"at least {len(signature)}" if variadic else str(len(signature))
            raise PathError(f"{path!r}: {name}() takes {wanted} argument(s), not {given}")


@lru_cache(maxsize=1024)
def _compiled(path: str) -> Callable[[object], Any]:
    if PLAIN.match(path):
        return _plain(path)
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        expression = jmespath.compile(path)
    except JMESPathError as error:
        raise PathError(f"not a JMESPath expression: {path!r}: {error}") from None

    def search(body: object) -> Any:
        try:
            return expression.search(body)
        # A function applied to a wrong type raises JMESPathTypeError; odd values have raised plain TypeError too.
        except (JMESPathError, TypeError, ValueError, AttributeError, RecursionError):
            return None

    return search


def _plain(path: str) -> Callable[[object], Any]:
    steps: list[Any] = []
    for name, index in _STEP.findall(path):
        steps.append(name or (int(index) if index else _FLATTEN))

    def search(body: object) -> Any:
        value: Any = body
        projecting = False
        for step in steps:
            if step is _FLATTEN:
                if not isinstance(value, list):
                    return None
                flat: list[Any] = []
                for element in value:
                    flat.extend(element) if isinstance(element, list) else flat.append(element)
                value = [element for element in flat if element is not None]
                projecting = True
            elif projecting:
                value = [found for element in value if (found := _take(step, element)) is not None]
            else:
                value = _take(step, value)
                if value is None:
                    return None
        return value

    return search


def _take(step: Any, value: Any) -> Any:
    if isinstance(step, str):
        return value.get(step) if isinstance(value, dict) else None
    return value[step] if isinstance(value, list) and step < len(value) else None
