"""Limits, price and balance as a provider publishes them (profile `capabilities`, `credits`). Pure.

A price that is not published is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from videotasks.formats import jmespath_eval, scalars
from videotasks.request import fields, limits

if TYPE_CHECKING:
    from videotasks.providers.profile import Profile
    from videotasks.request.draft import RequestDraft


@dataclass(frozen=True)
class Estimate:
    """A published price. `assumed` are inputs that the request leaves out and that the API's own defaults fill."""

    amount: float
    unit: str
    assumed: Mapping[str, Any]


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
