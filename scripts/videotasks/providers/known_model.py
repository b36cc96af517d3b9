"""What is known of one model and who says so: found by the catalogue, handed as data to what builds the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from videotasks.core.record import field, record
from videotasks.formats import scalars
from videotasks.providers.profile import Model

SPECIFICATION, CATALOGUE, CONVENTION, NOTHING = "specification", "catalogue", "convention", "nothing"


@record(frozen=True)
class Known:
    """`model` None: nobody documents it. `where` is a file or an address, `date` an ISO date; `ids` are all known."""

    model: Model | None = None
    source: str = NOTHING
    where: str | None = None
    date: str | None = None
    ids: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # of the sources: how old, how they differ
    validated_later: bool = False  # the whole body is held against the specification itself before it is sent


@record(frozen=True)
class Rate:
    """An amount of `unit` `per` second, video or image given (or the `minimum` of one), for requests as `when` says.

    `when` names common options (resolution, ratio, duration, sound, image) or members of the body. `unread` counts the
    words of its name that say something else: such a rate comes last.
    """

    amount: float
    unit: str
    per: str
    when: Mapping[str, Any] = field(default_factory=dict)
    unread: int = 0


def rates_of(rule: Mapping[str, Any]) -> list[Rate]:
    """The rates of `{unit, per_second | per_video | per_image}`, each a number or one by resolution (or `default`).

    What depends on more stands in `rates`, each {amount, per, when}.
    """
    found: list[Rate] = []
    unit = str(rule.get("unit") or "")
    for per in ("second", "video", "image"):
        each = rule.get(f"per_{per}")
        for size, told in each.items() if isinstance(each, Mapping) else [("default", each)]:
            if (amount := scalars.number(told)) is not None:
                when = {} if size == "default" else {"resolution": size}
                found.append(Rate(amount=amount, unit=unit, per=per, when=when))
    for row in rule.get("rates") or ():
        if isinstance(row, Mapping) and (amount := scalars.number(row.get("amount"))) is not None:
            when = row.get("when") or {}
            found.append(Rate(amount=amount, unit=unit, per=str(row.get("per")), when=when))
    return found


def in_words(rule: Mapping[str, Any]) -> str | None:
    """`0.1 USD/s`, `0.1 USD/s at 720p`: a printed price for a list."""
    words = []
    for rate in rates_of(rule):
        size = f" at {' '.join(map(str, rate.when.values()))}" if rate.when else ""
        words.append(f"{rate.amount:g} {rate.unit}/{'s' if rate.per == 'second' else rate.per}{size}")
    return ", ".join(words) or None
