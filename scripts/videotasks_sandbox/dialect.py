"""A dialect: the file that says what one provider's API takes, answers and refuses (format: references/sandbox.md).

Shipped ones are `shared/dialects/NAME.yaml`, written from the vendors' contracts and not from the profiles of the
client: the two check each other.
"""

from __future__ import annotations

import os
import re
from functools import cache

from videotasks_sandbox.scenarios import SandboxError

TYPE_CHECKING = False  # typing's own costs `sandbox.py --help` 4 ms, pathlib 8
if TYPE_CHECKING:
    from typing import Any

FOLDER = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "shared", "dialects")

# Scenarios that not every API can get into: what its dialect must have for it.
_STREAMS = ("stream-drop", "stream-refused", "stream-mute", "json-instead-of-stream")


class DialectError(SandboxError):
    """A dialect document that the engine cannot play; the text says where and why."""


class Dialect:
    """One dialect, ready to be played."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.name = str(document["name"])
        self.prefix = str(document.get("prefix", ""))
        self.prefixes = (self.prefix, *document.get("also_below", ()))
        self.links: dict[str, Any] = document.get("links") or {}
        self.link_ttl_s = float(self.links.get("ttl_s", 86400))
        self.expires_s = float(document.get("expires_s", self.link_ttl_s))
        self.auth = {"header": "Authorization", "prefix": "Bearer ", **(document.get("auth") or {})}
        self.shapes: dict[str, Any] = document.get("shapes") or {}
        self.refusals: dict[str, Any] = document["refusals"]
        self.calls: list[dict[str, Any]] = document["calls"]
        self._routes = [(*_route(call["on"]), call) for call in self.calls]

    def find(self, method: str, path: str) -> list[tuple[dict[str, Any], dict[str, str]]]:
        """The calls that a path behind the prefix may mean, each with the values of its path."""
        tried = ((call, pattern.fullmatch(path)) for wanted, pattern, call in self._routes if wanted == method)
        return [(call, match.groupdict()) for call, match in tried if match]

    def plays(self, scenario: str) -> bool:
        """Whether its API can get into this trouble."""
        words = self.document.get("words") or {}
        if scenario in ("expired", "cancelled"):
            return scenario in words
        if scenario == "expired-link":
            return self.document.get("links") is not None
        return scenario not in _STREAMS or any(call.get("stream") for call in self.calls)


def _route(on: str) -> tuple[str, re.Pattern[str]]:
    """`GET /videos/{id}`: {id} is one segment of the path, {model**} one or more."""
    method, _, path = on.partition(" ")
    pattern = re.sub(
        r"\\\{(\w+)(\\\*\\\*)?\\\}", lambda m: f"(?P<{m[1]}>{'.+' if m[2] else '[^/]+?'})", re.escape(path)
    )
    return method, re.compile(pattern)


def shipped() -> tuple[str, ...]:
    """The providers that have a dialect file. Reads no file: --help asks for this."""
    return tuple(sorted(name[: -len(".yaml")] for name in os.listdir(FOLDER) if name.endswith(".yaml")))


@cache
def load_dialect(name: str) -> Dialect:
    """A shipped dialect. Raises DialectError for a name without one."""
    return Dialect(_document(name))


def _document(name: str) -> dict[str, Any]:
    if name not in shipped():
        raise DialectError(f"the sandbox does not speak {name!r}; it speaks: {', '.join(shipped())}")
    with open(os.path.join(FOLDER, f"{name}.yaml"), encoding="utf-8") as file:
        document = read_yaml(file.read())
    base = document.pop("extends", None)
    return merged(_document(base), document) if base else document


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """`base` with what `more` says instead, mappings member by member."""
    result = dict(base)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def read_yaml(text: str) -> Any:
    """YAML with the scalars of YAML 1.2: PyYAML's own reading turns 16:9 into 969 and `on` into true."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    tag = "tag:yaml.org,2002:"
    replaced = {tag + kind for kind in ("bool", "int", "float", "timestamp")}
    resolvers = {
        first: [pair for pair in pairs if pair[0] not in replaced]
        for first, pairs in base.yaml_implicit_resolvers.items()
    }
    loader: Any = type("Loader", (base,), {"yaml_implicit_resolvers": resolvers})
    loader.add_implicit_resolver(tag + "bool", re.compile(r"(?:true|false)\Z"), list("tf"))
    loader.add_implicit_resolver(tag + "int", re.compile(r"-?(?:0|[1-9][0-9]*)\Z"), list("-0123456789"))
    loader.add_implicit_resolver(tag + "float", re.compile(r"-?[0-9]+\.[0-9]+\Z"), list("-0123456789"))
    made = loader(text)
    try:
        return made.get_single_data()
    finally:
        made.dispose()
