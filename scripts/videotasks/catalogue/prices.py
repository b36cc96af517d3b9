"""Prices that are no model's own: the user's list in $VIDEO_TASKS_PRICES, and what an API answers about them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from videotasks.core.errors import TaskError, configuration_error
from videotasks.formats import jmespath_eval, scalars

MAX_BYTES = 1_000_000
EXPECTED = "provider: {model or pattern: {unit: USD, per_second: 0.1}} (or per_video; a number, or one by resolution)"


def own_rule(provider: str, model: str | None) -> tuple[dict[str, Any], str] | None:
    """The user's own price of this model and the file it stands in: an exact id before patterns, in their order.

    Raises TaskError for a file that cannot be read or says something else.
    """
    named = os.environ.get("VIDEO_TASKS_PRICES")
    if not named or not model:
        return None
    listed = _read(Path(named).expanduser()).get(provider)
    if listed is None:
        return None
    if not isinstance(listed, Mapping):
        raise _wrong(named, provider)
    found = listed.get(model) or next((one for key, one in listed.items() if fnmatchcase(model, str(key))), None)
    if found is None:
        return None
    priced = isinstance(found, Mapping) and isinstance(found.get("unit"), str)
    if not priced or not any(_is_price(found.get(knob)) for knob in ("per_second", "per_video")):
        raise _wrong(named, f"{provider}: {model}")
    return dict(found), named


def _is_price(value: Any) -> bool:
    values = list(value.values()) if isinstance(value, Mapping) else [value]
    return bool(values) and all((each := scalars.number(one)) is not None and each >= 0 for one in values)


def _read(path: Path) -> Mapping[str, Any]:
    from videotasks.formats import yaml12

    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES)
        told = yaml12.load(data.decode("utf-8-sig"))
    except OSError as error:
        raise configuration_error(f"$VIDEO_TASKS_PRICES: cannot read {path}: {error.strerror}") from None
    except (yaml12.YamlError, UnicodeDecodeError) as error:
        raise configuration_error(f"$VIDEO_TASKS_PRICES: {path} is no YAML: {error}", expected=EXPECTED) from None
    if not isinstance(told, Mapping):
        raise _wrong(path, "the whole")
    return told


def _wrong(path: object, where: str) -> TaskError:
    return configuration_error(f"$VIDEO_TASKS_PRICES: {path}: {where[:100]} is no price", expected=EXPECTED)


def quote_body(template: Any, model: str | None, body: Mapping[str, Any]) -> Any:
    """The body of a request for a quote: the very body of the create in the place of "{body}"."""
    if template == "{body}":
        return dict(body)
    if isinstance(template, Mapping):
        return {key: quote_body(value, model, body) for key, value in template.items()}
    return template.replace("{model}", model or "") if isinstance(template, str) else template


def unit_price(answer: Any, spec: Mapping[str, Any], model: str | None) -> tuple[Any, Any, Any]:
    """(amount, per what, currency) of an answer, by a profile's `prices.unit_price`."""

    def told(knob: str) -> Any:
        path = str(spec.get(knob) or "").replace("{model}", (model or "").replace("'", ""))
        return jmespath_eval.evaluate(path, answer) if path else None

    return told("amount"), told("per") or spec.get("per"), told("currency") or spec.get("unit")
