"""Prices that are no model's own: the user's list in $VIDEO_TASKS_PRICES, and what an API tells of its own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from videotasks.catalogue.cached_fetch import Unavailable
from videotasks.core.errors import TaskError, configuration_error
from videotasks.core.json_values import mapped
from videotasks.formats import jmespath_eval, scalars
from videotasks.providers.known_model import Known, Rate
from videotasks.providers.profile import Profile

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

    def filled(text: Any) -> Any:
        if text == "{body}":
            return dict(body)
        return text.replace("{model}", model or "") if isinstance(text, str) else text

    return mapped(template, filled)


# -- what an API tells of its rates --

MAX_ROWS = 200
# Words in the name of a rate, such as duration_seconds_with_audio_4k, and what each says.
_SAYS: tuple[tuple[str, tuple[str, Any] | None], ...] = (
    (r"without[ _-]?audio|no[ _-]?audio|audio[ _-]?off", ("sound", False)),
    (r"with[ _-]?audio|audio[ _-]?on", ("sound", True)),
    (r"image[ _-]?to[ _-]?video", ("image", True)),
    (r"text[ _-]?to[ _-]?video", ("image", False)),
    (r"(?:reference|input)[ _-]?images?", ("per", "image")),
    (r"minimum", ("per", "minimum")),
    (r"cents", ("cents", True)),
    (r"(?:duration|video|output)*[ _-]?(?:output)?[ _-]?seconds?", ("per", "second")),
    (r"[1-9][0-9]{2,3}p|[248]k", ("resolution", None)),
    (r"per|of|output|duration|video|generation", None),
)
_PER = {
    **dict.fromkeys(("s", "sec", "second", "seconds", "durationsecond"), ("second", 1.0)),
    **dict.fromkeys(("minute", "minutes"), ("second", 60.0)),
    **dict.fromkeys(("video", "videos", "generation", "generations", "request", "requests"), ("video", 1.0)),
    **dict.fromkeys(("call", "calls", "task", "output", "run"), ("video", 1.0)),
}


def asked_rates(profile: Profile, model: str, known: Known) -> tuple[list[Rate], str]:
    """The rates that the profile's `prices.unit_price` leads to now, and where. Raises Unavailable with the reason.

    Never from a copy: a price is of the moment.
    """
    from videotasks.catalogue import live

    spec = profile.prices.unit_price if profile.prices else None
    if spec is None:
        return [], ""
    reason = "nothing is told of this model"
    for address, asker in live.price_addresses(profile, spec, model, known):
        where = address if "://" in address else profile.base_url + address
        try:
            told = json.loads(asker(address)(None).body)
        except Unavailable as error:
            reason = str(error)
        except (ValueError, RecursionError):
            reason = "the answer is no JSON"
        else:
            return rates_in(told, spec, model), where
    raise Unavailable(reason)


def rates_in(answer: Any, spec: Mapping[str, Any], model: str) -> list[Rate]:
    """The rates of an answer: of the whole, or of each of `rows`. Empty where one of them is not understood.

    A mapping at `rows` is read as {name: amount}: what a rate is for stands in its name.
    """
    quoted = model.replace("'", "")

    def told(knob: str, within: Any) -> Any:
        path = str(spec.get(knob) or "").replace("{model}", quoted)
        return jmespath_eval.evaluate(path, within) if path else None

    rows = told("rows", answer) if spec.get("rows") else [answer]
    if isinstance(rows, Mapping):
        return [one for name, amount in list(rows.items())[:MAX_ROWS]
                if (one := _rate(amount, None, name, 1, spec.get("unit"), {}, spec.get("sound")))]  # fmt: skip
    found = [
        _rate(told("amount", row), told("per", row) or spec.get("per"), told("name", row), told("of", row) or 1,
              told("currency", answer) or spec.get("unit"), told("when", row) or {}, spec.get("sound"))
        for row in (rows if isinstance(rows, list) else [])[:MAX_ROWS]
    ]  # fmt: skip
    return [one for one in found if one] if all(found) else []


def _rate(told: Any, per: Any, name: Any, of: Any, unit: Any, when: Any, sound: Any = None) -> Rate | None:
    amount, units = scalars.amount(told), scalars.amount(of)
    if amount is None or amount < 0 or not units or units < 0 or not isinstance(unit, str) or not unit:
        return None
    if not isinstance(when, Mapping) or not all(isinstance(one, (str, int, float, bool)) for one in when.values()):
        return None
    said, unread = _read_name(str(name or "")[:120])
    per, parts = _PER.get(str(per or "").casefold().strip(), (None, 1.0)) if per else (said.pop("per", None), 1.0)
    said.pop("per", None)
    if per is None:
        return None
    scale = 0.01 if said.pop("cents", False) else 1.0
    conditions = {(str(sound) if key == "sound" and sound else key): value for key, value in {**said, **when}.items()}
    each = amount / units / parts * scale
    return Rate(amount=each, unit=unit, per=per, when=conditions, unread=unread)


def _read_name(name: str) -> tuple[dict[str, Any], int]:
    """What a rate's name says, and how many of its words say something else."""
    said: dict[str, Any] = {}
    rest = name.casefold()
    for pattern, says in _SAYS:
        for match in re.finditer(rf"(?:(?<=[^a-z0-9])|\A)(?:{pattern})(?=[^a-z0-9]|\Z)", rest):
            if says is not None and says[1] is None:
                said.setdefault(says[0], []).append(match[0])
            elif says is not None:
                said.setdefault(*says)
            rest = rest.replace(match[0], " ", 1)
    return said, len(re.findall(r"[a-z0-9]+", rest))
