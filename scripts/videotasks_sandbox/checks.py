"""What an API refuses: the `checks` of a call in a dialect file, in their order.

- fields: {seconds: {type: integer, min: 4, max: 15}, quality: {enum: [std, pro]}, prompt: {type: text, required: true}}
- when: model == 'sora-2'                   # a table that counts only then
  fields: {duration: {min: 1, max: 60}, seconds: {absent: true}}
- when: length(images) > `9`                # a rule
  refuse: invalid                           # which of the dialect's refusals (this one if not said)
  message: at most 9 images
  param: images
"""

from __future__ import annotations

import math
import re
from typing import Any

from videotasks_sandbox.expressions import BadValue, Scope, fill, holds

SAYS = {
    "required": "$field is required",
    "type": "$field must be $article",
    "enum": "$field must be one of $allowed",
    "range": "$field must be between $min and $max",
    "items": "$field must be an array of at most $max_items",
    "chars": "$field must be at most $max_chars characters",
    "steps": "$field must be one of the steps $steps",
    "pattern": "$field has a wrong form",
    "absent": "there is no field $field",
    "unknown": "unknown field: $field",
}
# Type -> how it is called, and what it is in Python.
_TYPES: dict[str, tuple[Any, ...]] = {
    "": ("", str, int, float, bool, dict, list), "text": ("a non-empty string", str), "string": ("a string", str),
    "integer": ("an integer", int), "number": ("a number", int, float), "boolean": ("a boolean", bool),
    "object": ("an object", dict), "array": ("an array", list),
}  # fmt: skip


def first_problem(checks: list[dict[str, Any]], says: dict[str, Any], scope: Scope) -> dict[str, Any] | None:
    """The first thing that is wrong: {refuse, message, param, code, ...}; None: the request is taken."""
    for check in checks:
        try:
            applies = holds(check.get("when"), scope)
        except BadValue:
            # A value of a kind that the condition cannot read: a rule takes it for wrong, a table is not meant.
            applies = "fields" not in check
        if not applies:
            continue
        found = _problem_in(check, scope) if "fields" in check else {}
        if found is None:
            continue
        named = {key: value for key, value in {**check, **found}.items() if key not in ("when", "fields")}
        text = named.get("message") or {**SAYS, **says}.get(named.get("broken", ""), "")
        values = scope.more(**named)
        filled = {key: fill(value, values) for key, value in named.items() if key != "enum"}
        return {"refuse": "invalid", **filled, "message": fill(text, values)}
    return None


def _problem_in(check: dict[str, Any], scope: Scope) -> dict[str, Any] | None:
    body = scope.get("body")
    body = body if isinstance(body, dict) else {}
    for field, rule in check["fields"].items():
        value: Any = body
        for step in field.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        broken = _broken(value, rule, scope)
        if broken:
            allowed = ", ".join(map(str, _allowed(rule, scope)))
            kind = {"article": _TYPES[rule.get("type", "")][0], "allowed": allowed}
            return {"broken": broken, "field": field, "param": field, "value": value, **kind, **rule}
    extra = [name for name in body if name not in check["fields"]] if check.get("only") else []
    return {"broken": "unknown", "field": extra[0], "param": extra[0]} if extra else None


def _allowed(rule: dict[str, Any], scope: Scope) -> list[Any]:
    allowed = fill(rule.get("enum"), scope)
    return allowed if isinstance(allowed, list) else []


def _broken(value: Any, rule: dict[str, Any], scope: Scope) -> str:
    if value is None:
        return "required" if rule.get("required") else ""
    if rule.get("absent"):
        return "absent"
    kind = rule.get("type", "")
    if type(value) not in _TYPES[kind][1:] or (kind == "text" and not value.strip()):
        return "type"
    if "enum" in rule and not any(value == each and type(value) is type(each) for each in _allowed(rule, scope)):
        return "enum"
    if isinstance(value, (int, float)) and not rule.get("min", -math.inf) <= value <= rule.get("max", math.inf):
        return "range"
    if "steps" in rule and (value - rule["steps"][0]) % rule["steps"][1]:
        return "steps"
    if "max_items" in rule and not (isinstance(value, list) and len(value) <= rule["max_items"]):
        return "items"
    if "max_chars" in rule and isinstance(value, str) and len(value) > rule["max_chars"]:
        return "chars"
    if "pattern" in rule and not re.fullmatch(rule["pattern"], str(value)):
        return "pattern"
    return ""
