"""Templates of a profile filled with what is known of a task: addresses, queries and bodies. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from videotasks.core.errors import configuration_error
from videotasks.core.json_values import leaves, mapped

_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def names_in(template: Any) -> set[str]:
    """The placeholders of a text, or of every text in a body."""
    return {name for text in leaves(template) if isinstance(text, str) for name in _NAME.findall(text)}


def fill_path(template: str, known: Mapping[str, str], *, raw_id: bool = False) -> str:
    """A path with every placeholder in place, percent-encoded as one segment.

    `{path}` is a path itself, and `{model}` and an id that the profile calls raw may have several segments. Raises
    TaskError (exit 1) for a placeholder that nothing is known for, and for segments that would lead elsewhere.
    """
    several = {"path", "model", *(("task_id",) if raw_id else ())}

    def filled(match: re.Match[str]) -> str:
        name = match[1]
        value = known.get(name)
        if value is None:
            raise unknown_value(name)
        if name not in several:
            return quote(value, safe="")
        parts = value.strip("/").split("/") if name != "task_id" else value.split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise configuration_error("that is no task id", expected="path segments without . or ..")
        return ("/" if name == "path" else "") + "/".join(
            quote(part, safe=":@~%" if name == "path" else ":@~") for part in parts
        )

    return _NAME.sub(filled, template)


def fill_body(template: Any, known: Mapping[str, Any]) -> Any:
    """A body or query with its placeholders in place; a text that is one placeholder takes the value with its type."""

    def value_of(match: re.Match[str]) -> Any:
        if match[1] not in known:
            raise unknown_value(match[1])
        return known[match[1]]

    def filled(text: Any) -> Any:
        if not isinstance(text, str):
            return text
        whole = _NAME.fullmatch(text)
        return value_of(whole) if whole else _NAME.sub(lambda match: str(value_of(match)), text)

    return mapped(template, filled)


def unknown_value(name: str) -> Exception:
    return configuration_error(
        f"the address of this task needs its {name}, which is not known here",
        expected="a run made by create_and_wait.py",
        hint="look with --run-id",
    )
