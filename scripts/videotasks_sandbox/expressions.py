"""The `$` in a dialect file: values of a request and a task put into literal answers, and conditions over them.

$name, $task.member     the value, with its type where the text is nothing else
$(JMESPath)             the same for an expression; functions of our own are in `_functions`
{$shape: NAME}          an answer that has a name of its own
{$phase: {queued: ..., succeeded: ..., else: ...}}
{$choose: [{when: JMESPath, then: ...}, {then: ...}]}
{member?: ...}          a member that is left out when its value is null
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Any

_NAME = re.compile(r"\$([A-Za-z_]\w*(?:\.\w+)*)")


class BadValue(ValueError):
    """An expression met a value of a kind that it cannot work on, or is broken itself."""


class Scope:
    """Names and their values, each computed when it is first asked for. JMESPath reads it as it reads a mapping."""

    def __init__(self, known: dict[str, Any], lazy: dict[str, Callable[[], Any]], shapes: dict[str, Any]) -> None:
        self.known, self.lazy, self.shapes = known, lazy, shapes
        self.functions: dict[str, Callable[..., Any]] = {}

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self.known and name in self.lazy:
            self.known[name] = None  # a name that needs itself is null
            self.known[name] = self.lazy[name]()
        return self.known.get(name, default)

    def more(self, **known: Any) -> Scope:
        """The same names and some more."""
        scope = Scope({**self.known, **known}, self.lazy, self.shapes)
        scope.functions = self.functions
        return scope


def search(expression: str, scope: Scope) -> Any:
    """The value of a JMESPath expression. Raises BadValue."""
    import jmespath
    from jmespath.exceptions import JMESPathError

    options = jmespath.Options(custom_functions=_functions()(scope))
    try:
        return jmespath.search(expression, scope, options)
    except (JMESPathError, TypeError, ValueError, KeyError, OverflowError) as problem:
        raise BadValue(f"{expression}: {problem}") from None


def holds(condition: Any, scope: Scope) -> bool:
    """Whether a condition holds, as JMESPath sees truth: 0 is true, empty things are not. None: it always does."""
    return condition is None or search(str(condition), scope) not in (None, False, "", [], {})


def applies(condition: Any, scope: Scope) -> bool:
    """`holds`, and False for what cannot be worked out."""
    try:
        return holds(condition, scope)
    except BadValue:
        return False


def fill(template: Any, scope: Scope) -> Any:
    """A template of a dialect file with its values put in. What cannot be worked out is null."""
    if isinstance(template, str):
        return _fill_text(template, scope)
    if isinstance(template, list):
        return [fill(each, scope) for each in template]
    if not isinstance(template, dict):
        return template
    if "$shape" in template:
        return fill(scope.shapes[template["$shape"]], scope)
    if "$phase" in template:
        phases = template["$phase"]
        return fill(phases.get(scope.get("phase"), phases.get("else")), scope)
    if "$choose" in template:
        return next(
            (fill(each["then"], scope) for each in template["$choose"] if applies(each.get("when"), scope)), None
        )
    filled = {key: fill(value, scope) for key, value in template.items()}
    return {key.removesuffix("?"): value for key, value in filled.items() if not (key[-1:] == "?" and value is None)}


def _fill_text(text: str, scope: Scope) -> Any:
    pieces = _pieces(text)
    if len(pieces) == 1 and pieces[0][0]:
        return _value(pieces[0][1], scope)
    return "".join(_as_text(_value(piece, scope)) if live else piece for live, piece in pieces)


def _value(expression: str, scope: Scope) -> Any:
    if not re.fullmatch(r"\w+(?:\.\w+)*", expression):
        try:
            return search(expression, scope)
        except BadValue:
            return None
    value: Any = scope
    for step in expression.split("."):
        value = value.get(step) if isinstance(value, (dict, Scope)) else None
    return value


def _as_text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


@lru_cache(maxsize=4096)
def _pieces(text: str) -> tuple[tuple[bool, str], ...]:
    """A text as pieces: (False, words) and (True, expression)."""
    pieces: list[tuple[bool, str]] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        name = _NAME.match(text, dollar)
        end = name.end() if name else _closing(text, dollar + 1) if text.startswith("$(", dollar) else 0
        if not end:
            break
        if dollar > at:
            pieces.append((False, text[at:dollar]))
        pieces.append((True, name.group(1) if name else text[dollar + 2 : end - 1]))
        at = end
    if at < len(text) or not pieces:
        pieces.append((False, text[at:]))
    return tuple(pieces)


def _closing(text: str, start: int) -> int:
    """The end of the parenthesis that opens at `start`, quotes respected; 0: it does not close."""
    depth, quote = 0, ""
    for at in range(start, len(text)):
        character = text[at]
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"`":
            quote = character
        else:
            depth += (character == "(") - (character == ")")
            if not depth:
                return at + 1
    return 0


@cache
def _functions() -> Any:
    """JMESPath's functions and those of the scope. Made when first needed: jmespath costs 16 ms."""
    from jmespath import functions

    class OfTheScope(functions.Functions):
        def __init__(self, scope: Scope) -> None:
            self.scope = scope

        def call_function(self, name: str, arguments: Iterable[Any]) -> Any:
            own = self.scope.functions.get(name)
            return own(*arguments) if own else super().call_function(name, arguments)

    return OfTheScope
