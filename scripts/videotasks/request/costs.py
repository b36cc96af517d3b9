"""What a request will cost, by whoever says so, and what is left. Pure. A price that is not known is None, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from videotasks.formats import jmespath_eval, scalars
from videotasks.request import fields, limits

if TYPE_CHECKING:
    from videotasks.providers.profile import Profile
    from videotasks.request.draft import RequestDraft


@dataclass(frozen=True)
class Estimate:
    """A price. `assumed` are inputs that the request leaves out and that the API's own defaults fill.

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
            return self.date is not None and _days(self.date, today) < LIST_DAYS
        return self.kind != "history"

    def shown(self) -> dict[str, Any]:
        made = {"amount": self.amount, "unit": self.unit, "kind": self.kind, "formula": self.formula,
                "source": self.source, "date": self.date}  # fmt: skip
        return {"assumed": dict(self.assumed), **{key: value for key, value in made.items() if value is not None}}


LIST_DAYS = 90
_WORDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "minute": 60.0, "minutes": 60.0}
_WHOLE = {"video", "videos", "generation", "generations", "request", "requests", "call", "calls", "task", "output"}


def _days(earlier: str, later: str) -> int:
    return (date.fromisoformat(later) - date.fromisoformat(earlier)).days


def by_rule(
    rule: Mapping[str, Any], draft: RequestDraft, profile: Profile, *, kind: str, source: str, of: str | None = None
) -> Estimate | None:
    """A price by `{unit, per_second | per_video}`, each a number or one by resolution; None where it does not say.

    What the request leaves out counts as the model's documented default, and is shown as assumed.
    """
    info = draft.known.model
    asked = limits.asked_in(draft.body, fields.specs(profile, info), info)
    assumed: dict[str, Any] = {}
    for name in ("duration", "resolution"):
        member = info.members.get((info.fields or {}).get(name, "")) if info else None
        if name not in asked and member and member.get("default") is not None:
            default = member["default"]
            asked[name] = assumed[name] = scalars.seconds(default) if name == "duration" else default
    count_member = (info.fields or {}).get("count") if info else None
    count = scalars.number(draft.body.get(count_member, 1)) if count_member else 1.0
    unit = str(rule.get("unit") or "")
    if not unit or not count:
        return None
    for knob, times, word in (("per_second", scalars.seconds(asked.get("duration")), " s"), ("per_video", 1.0, "")):
        each = rule.get(knob)
        if isinstance(each, Mapping):
            by_size = {str(key).casefold(): value for key, value in each.items()}
            each = by_size.get(str(asked.get("resolution")).casefold(), by_size.get("default"))
        each = scalars.number(each)
        if each is None:
            continue
        if times is None or times <= 0:
            return None
        parts = [*([f"{count:g}"] if count != 1 else []), f"{times:g}{word}" if word else "1 video", f"{each:g} {unit}"]
        used = {"duration": assumed.get("duration") if word else None}
        used["resolution"] = assumed.get("resolution") if isinstance(rule.get(knob), Mapping) else None
        used = {name: value for name, value in used.items() if value is not None}
        return Estimate(round(each * times * count, 6), unit, used, kind, " x ".join(parts), source, of)
    return None


def rule_of_unit(amount: Any, word: Any, currency: Any) -> dict[str, Any] | None:
    """A unit price as a rule: 0.4 per `second` in `USD`; None for a unit whose number in a video is not known."""
    each, text = scalars.amount(amount), str(word or "").casefold().strip()
    if each is None or not isinstance(currency, str) or not currency:
        return None
    if text in _WORDS:
        return {"unit": currency, "per_second": each / _WORDS[text]}
    return {"unit": currency, "per_video": each} if text in _WHOLE else None


def by_quote(answer: object, spec: Mapping[str, Any], source: str) -> Estimate | None:
    """The answer to a request for a quote: `amount` (JMESPath) and `currency` (JMESPath, or a word in `unit`)."""
    amount = scalars.amount(jmespath_eval.evaluate(str(spec.get("amount")), answer))
    unit = jmespath_eval.first_string([str(spec["currency"])], answer) if spec.get("currency") else None
    unit = unit or (str(spec["unit"]) if spec.get("unit") else None)
    if amount is None or amount < 0 or unit is None:
        return None
    return Estimate(amount, unit, {}, "quote", None, source)


@dataclass(frozen=True)
class Balance:
    """What is left. `amount` None: the answer has none at the profile's paths; `raw` is the answer itself."""

    amount: float | None
    unit: str | None
    unlimited: bool
    raw: Any
    note: str | None = None


def balance(profile: Profile, body: object) -> Balance:
    """Read the answer of the profile's `credits` call. Never raises."""
    spec = profile.credits
    if spec is None:
        return Balance(None, None, False, body)
    found = next((a for p in spec.balance if (a := scalars.amount(jmespath_eval.evaluate(p, body))) is not None), None)
    if found is not None:
        used = [a for p in spec.minus if (a := scalars.amount(jmespath_eval.evaluate(p, body))) is not None]
        found -= sum(used)
    unlimited = any(jmespath_eval.evaluate(path, body) is True for path in spec.unlimited)
    return Balance(None if found is None else found * spec.scale, spec.unit, unlimited, body, spec.note)


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
    return problems, None if problems else _price(spec.pricing, spec.defaults, model, asked, draft)


def _price(
    pricing: Mapping[str, Any] | None,
    defaults: Mapping[str, str],
    model: Mapping[str, Any],
    asked: Mapping[str, Any],
    draft: RequestDraft,
) -> Estimate | None:
    if not pricing:
        return None
    assumed = {
        name: default
        for name, path in defaults.items()
        if name not in asked and (default := jmespath_eval.evaluate(path, model)) is not None
    }
    effective = {**assumed, **asked}
    unit = jmespath_eval.first_string([str(pricing["unit"])], model)
    found = _by_estimates(pricing, model, effective) if pricing.get("estimates") else None
    if pricing.get("by"):
        per_one = jmespath_eval.evaluate(str(pricing["by"]), model)
        each = per_one.get(str(effective.get(pricing["by_input"]))) if isinstance(per_one, Mapping) else None
        times = scalars.number(draft.body.get(str(pricing.get("times")), 1))
        amount = scalars.number(each)
        found = amount * times if amount is not None and times is not None else None
    return None if found is None or unit is None else Estimate(found, unit, assumed)


def _by_estimates(pricing: Mapping[str, Any], model: Mapping[str, Any], effective: Mapping[str, Any]) -> float | None:
    match: Mapping[str, str] = pricing["match"]
    for one in jmespath_eval.values(str(pricing["estimates"]), model):
        if not isinstance(one, Mapping):
            continue
        if all(name in effective and _equal(one.get(key), effective[name]) for key, name in match.items()):
            return scalars.number(one.get(str(pricing["amount"])))
    return None


def _equal(published: Any, asked: Any) -> bool:
    first, second = scalars.number(published), scalars.number(asked)
    if first is not None and second is not None:
        return first == second
    return isinstance(published, str) and isinstance(asked, str) and published.casefold() == asked.casefold()
