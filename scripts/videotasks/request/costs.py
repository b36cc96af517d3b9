"""What a request will cost, by whoever says so, and what is left. Pure. A price that is not known is None, never 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from videotasks.core.record import record
from videotasks.formats import jmespath_eval, scalars
from videotasks.providers.known_model import Rate
from videotasks.providers.profile import Profile
from videotasks.request import fields, limits
from videotasks.request.draft import RequestDraft
from videotasks.request.members import get_path, same_value


@record(frozen=True)
class Estimate:
    """A price. `assumed` is what the request leaves out: the API's own default, else what makes it dearest.

    `kind` says how sure it is: quote (of this very body), table (an exact match in the API's own), unit_price (times
    the units, see `formula`), own (the user's list), list (a shipped one, of `date`), history (what it cost before).
    """

    amount: float
    unit: str
    assumed: Mapping[str, Any]
    kind: str = "table"
    formula: str | None = None
    source: str | None = None
    date: str | None = None

    def binding_on(self, today: str) -> bool:
        """Whether a limit may rely on it: never on history, on a shipped list for 90 days."""
        if self.kind == "list":
            limit = timedelta(days=LIST_DAYS)
            return self.date is not None and date.fromisoformat(today) - date.fromisoformat(self.date) < limit
        return self.kind != "history"

    def shown(self) -> dict[str, Any]:
        made = {name: getattr(self, name) for name in ("amount", "unit", "kind", "formula", "source", "date")}
        return {"assumed": dict(self.assumed), **{key: value for key, value in made.items() if value is not None}}


LIST_DAYS = 90


def by_rates(
    rates: Sequence[Rate],
    draft: RequestDraft,
    profile: Profile,
    *,
    kind: str,
    source: str | None = None,
    of: str | None = None,
    defaults: Mapping[str, Any] | None = None,
    times: str | None = None,
) -> Estimate | None:
    """The price by the rate that fits best; None where none does. A `table` is matched exactly or not at all.

    Of rates that differ by what nobody knows the dearest counts, and is said. `defaults` are the API's own, `times`
    the member that says how many videos are made.
    """
    request = _Request(draft, profile, defaults or {}, times)
    videos = scalars.number(request.count)
    main = _best(
        [rate for rate in rates if rate.per in ("second", "video") and rate.unit], request, exact=kind == "table"
    )
    if not videos or main is None or (amount := request.amount(main)) is None:
        return None
    unit = main.unit
    parts = [*([f"{videos:g}"] if videos != 1 else []), request.units(main), f"{main.amount:g} {unit}"]
    formula = " x ".join(parts) if main.per == "second" or kind != "table" else None
    images = _best([rate for rate in rates if rate.per == "image" and rate.unit == unit], request, exact=False)
    if images is not None and request.images:
        amount += request.images * images.amount
        formula = f"{formula} + {request.images} images x {images.amount:g} {unit}"
    least = _best([rate for rate in rates if rate.per == "minimum" and rate.unit == unit], request, exact=False)
    if least is not None and least.amount > amount:
        amount, formula = least.amount, f"at least {least.amount:g} {unit}"
    assumed = request.assumed([*main.when, *(["duration"] if main.per == "second" else [])], main)
    return Estimate(round(amount * videos, 6), unit, assumed, kind, formula, source, of)


class _Request:
    """What a price depends on, as the body says it or else the model's documented defaults."""

    def __init__(self, draft: RequestDraft, profile: Profile, defaults: Mapping[str, Any], times: str | None) -> None:
        info = draft.known.model
        specs = fields.specs(profile, info)
        self._body, self._defaults = draft.body, defaults
        self._fields, self._members = (info.fields if info else None) or {}, info.members if info else {}
        roles = limits.media_in(draft.body, specs, info)
        self.images = sum(1 for role in roles if role.startswith("image"))
        typed = {name: draft.asked[name] for name in ("ratio", "resolution") if name in draft.asked}  # 1280x720 in it
        self._told: dict[str, Any] = {**typed, **limits.asked_in(draft.body, specs, info), "image": bool(self.images)}
        self.count = draft.body.get(times or self._fields.get("count", ""), 1)

    def told(self, name: str) -> Any:
        return self._told[name] if name in self._told else get_path(self._body, self._fields.get(name, name))

    def value(self, name: str) -> Any:
        if (told := self.told(name)) is not None:
            return told
        default = self._defaults.get(name, (self._members.get(self._fields.get(name, name)) or {}).get("default"))
        return scalars.seconds(default) if name == "duration" else default

    def amount(self, rate: Rate) -> float | None:
        length = scalars.seconds(self.value("duration")) if rate.per == "second" else 1.0
        return rate.amount * length if length is not None and length > 0 else None

    def units(self, rate: Rate) -> str:
        return f"{scalars.seconds(self.value('duration')):g} s" if rate.per == "second" else "1 video"

    def assumed(self, names: Sequence[str], rate: Rate) -> dict[str, Any]:
        missing = [name for name in names if self.told(name) is None]
        return {name: rate.when.get(name) if self.value(name) is None else self.value(name) for name in missing}


def _best(rates: Sequence[Rate], request: _Request, *, exact: bool) -> Rate | None:
    """Of the rates that nothing contradicts: the most closely fitting, then the dearest."""
    fitting = []
    for rate in rates:
        values = {name: request.value(name) for name in rate.when}
        known = [name for name, value in values.items() if value is not None]
        if all(_is(name, rate.when[name], values[name]) for name in known):
            if exact and len(known) < len(values):
                continue
            amount = request.amount(rate)
            fitting.append(((-rate.unread, len(known), float("inf") if amount is None else amount), rate))
    return max(fitting, key=lambda one: one[0])[1] if fitting else None


def _is(name: str, wanted: Any, value: Any) -> bool:
    return any(same_value(name, one, value) for one in (wanted if isinstance(wanted, list) else [wanted]))


def by_quote(answer: object, spec: Mapping[str, Any], source: str) -> Estimate | None:
    """The answer to a request for a quote: `amount` (JMESPath) and `currency` (JMESPath, or a word in `unit`)."""
    amount = scalars.amount(jmespath_eval.evaluate(str(spec.get("amount")), answer))
    unit = jmespath_eval.first_string([str(spec["currency"])], answer) if spec.get("currency") else None
    unit = unit or (str(spec["unit"]) if spec.get("unit") else None)
    if amount is None or amount < 0 or unit is None:
        return None
    return Estimate(amount, unit, {}, "quote", None, source)


@record(frozen=True)
class Balance:
    """What is left. `amount` None: the answer has none at the profile's paths."""

    amount: float | None
    unit: str | None
    unlimited: bool
    note: str | None = None


def balance(profile: Profile, body: object) -> Balance:
    """Read the answer of the profile's `credits` call. Never raises."""
    spec = profile.credits
    if spec is None:
        return Balance(None, None, False)
    bought, used = (
        [amount for path in paths if (amount := scalars.amount(jmespath_eval.evaluate(path, body))) is not None]
        for paths in (spec.balance, spec.minus)
    )
    found = bought[0] - sum(used) if bought else None
    unlimited = any(jmespath_eval.evaluate(path, body) is True for path in spec.unlimited)
    return Balance(None if found is None else found * spec.scale, spec.unit, unlimited, spec.note)


def check_capabilities(
    profile: Profile, capabilities_body: object, draft: RequestDraft
) -> tuple[list[str], Estimate | None]:
    """(problems, price) of a draft by the answer of the profile's `capabilities` call (contracts A.7).

    The values are taken from the body as it will be sent, so that --payload and --set are checked too. The price is an
    exact match on the published estimates; no match is None.
    """
    spec = profile.capabilities
    if spec is None:
        return [], None
    models = [m for m in jmespath_eval.values(spec.models, capabilities_body) if isinstance(m, Mapping)]
    if not models:
        return [], None
    wanted = draft.model or jmespath_eval.first_string(
        [spec.default_model] if spec.default_model else [], capabilities_body
    )
    ids = [str(m.get(spec.id)) for m in models]
    model = next((m for m in models if m.get(spec.id) == wanted), None)
    if model is None:
        return [f"{profile.name} has no model {wanted!r} now; it has: {', '.join(ids)}"], None
    specs = fields.specs(profile, profile.model_info(draft.model))
    asked, media = limits.asked_in(draft.body, specs, None), limits.media_in(draft.body, specs, None)
    allowed = {name: jmespath_eval.evaluate(path, model) for name, path in spec.limits.items()}
    problems = limits.model_problems(str(wanted), allowed, asked, media)
    pricing = spec.pricing or {}
    unit = jmespath_eval.first_string([str(pricing.get("unit"))], model)
    if problems or unit is None:
        return problems, None
    told = {name: jmespath_eval.evaluate(path, model) for name, path in spec.defaults.items()}
    rates = list(_published(pricing, model, unit))
    return [], by_rates(rates, draft, profile, kind="table", defaults=told, times=pricing.get("times"))


def _published(pricing: Mapping[str, Any], model: Mapping[str, Any], unit: str) -> Iterator[Rate]:
    """A price for each combination (`estimates`), or for each value of one option (`by`)."""
    match: Mapping[str, str] = pricing.get("match") or {}
    for one in jmespath_eval.values(str(pricing["estimates"]), model) if pricing.get("estimates") else ():
        amount = scalars.number(one.get(str(pricing.get("amount")))) if isinstance(one, Mapping) else None
        if amount is not None:
            when = {name: one.get(key) for key, name in match.items()}
            yield Rate(amount=amount, unit=unit, per="video", when=when)
    per_one = jmespath_eval.evaluate(str(pricing["by"]), model) if pricing.get("by") else None
    for value, told in per_one.items() if isinstance(per_one, Mapping) else ():
        if (amount := scalars.number(told)) is not None:
            yield Rate(amount=amount, unit=unit, per="video", when={str(pricing["by_input"]): value})
