"""What a careful person wants to know before paying: is it valid, what does it cost, what is left, does it attach."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from videotasks.core.errors import Category, ExitCode, TaskError, configuration_error, error_fields
from videotasks.core.workers import CallTimedOut
from videotasks.lifecycle.create_or_attach import Plan, attachable, refuse_earlier_version, refuse_keys
from videotasks.network.errors import NoAnswer
from videotasks.output import next_command
from videotasks.providers import credentials
from videotasks.providers.known_model import CONVENTION, NOTHING
from videotasks.providers.profile import Profile
from videotasks.request import costs
from videotasks.request.costs import Balance, Estimate
from videotasks.request.draft import RequestDraft, materialise, summary


@dataclass(frozen=True)
class Terms:
    """On what terms the user wants it: what to check against, and what it may cost."""

    dry_run: bool = False
    openapi: str | None = None
    allow_unknown_fields: bool = False
    max_cost: str | None = None  # such as 20credits
    allow_unknown_cost: bool = False


ASK_S = 5.0  # balance, price and limits are asked for once: "unknown" is an answer, too
_COST = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([A-Za-z][A-Za-z _-]{0,30})\s*$")


@dataclass
class Findings:
    """What the checks found. `problems` stop a create; `estimate` None means that the price is unknown, never 0."""

    problems: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    estimate: Estimate | None = None
    balance: Balance | None = None
    attaches_to: str | None = None
    validated: str | None = None


def check(plan: Plan, terms: Terms) -> Findings:
    """Everything that costs nothing. Network calls here are GETs; one that fails is a note, not an obstacle."""
    refuse_keys(plan)
    found = Findings()
    run = attachable(plan)
    found.attaches_to = run.run_id if run is not None else None
    if run is None and terms.dry_run:
        refuse_earlier_version(plan)
    if terms.openapi:
        _validate(plan, terms.openapi, terms, found)
    if found.attaches_to is not None and not terms.dry_run:
        return found
    profile = plan.session.profile
    may_ask = plan.session.ctx.sandbox or _has_key(profile)
    if profile.capabilities is not None and may_ask:
        body = _ask(plan, profile.capabilities.path, found, "limits and prices")
        if body is not None:
            problems, found.estimate = costs.check_capabilities(profile, body, plan.draft)
            found.problems += [{"message": text} for text in problems]
    if terms.dry_run and profile.credits is not None and may_ask:
        body = _ask(plan, profile.credits.path, found, "the balance")
        if body is not None:
            found.balance = costs.balance(profile, body)
    if terms.dry_run and not may_ask:
        found.notes.append(f"no key is set ({profile.auth.env[0]}), so limits, price and balance were not asked for")
    return found


def require(found: Findings) -> None:
    """Stop a create that has problems. Raises TaskError(validation), exit 22: nothing was sent."""
    if not found.problems:
        return
    raise TaskError(
        Category.VALIDATION,
        "the request is not valid, so it was not sent: " + str(found.problems[0].get("message")),
        hint="mend it and run the command again",
        code="invalid_request",
        details={"problems": found.problems[:10]},
    )


def guard_cost(plan: Plan, terms: Terms, found: Findings) -> None:
    """--max-cost or <NAME>_MAX_COST: refuse a price above it, and an unknown one. Raises TaskError, exit 1."""
    source, text = "--max-cost", terms.max_cost
    if not text:
        source, text = credentials.setting(plan.session.profile, "MAX_COST")
    if not text or found.attaches_to is not None:
        return
    match = _COST.match(text)
    if match is None:
        raise configuration_error(f"{source} is not an amount with a unit", expected="such as 20credits")
    most, unit = float(match.group(1)), match.group(2).strip()
    if found.estimate is None:
        known = _unit_of(plan.session.profile)
        if known is not None and known.casefold() != unit.casefold():
            raise configuration_error(f"{source} is in {unit}", expected=f"{known}, the provider's own unit")
        if not terms.allow_unknown_cost:
            raise configuration_error(
                f"the price of this request is unknown, and {source} limits it to {text.strip()}; nothing was sent",
                hint="ask the user; --allow-unknown-cost accepts an unknown price",
                code="unknown_cost",
            )
        return
    if found.estimate.unit.casefold() != unit.casefold():
        raise configuration_error(f"{source} is in {unit}", expected=f"{found.estimate.unit}, the provider's own unit")
    if found.estimate.amount > most:
        raise configuration_error(
            f"the request costs {found.estimate.amount:g} {unit}, more than {source} allows; nothing was sent",
            expected=f"at most {most:g} {unit}",
            hint="a cheaper model, length or resolution, or the user's word for a higher limit",
            code="over_max_cost",
        )


def report_plan(plan: Plan, terms: Terms, found: Findings, *, send: list[str]) -> int:
    """The final line of --dry-run: the exact request and what it would do. `send` is the command that sends it."""
    draft, session = plan.draft, plan.session
    estimate = found.estimate
    request = {
        "method": draft.method,
        "url": session.provider.url(draft.stream_path or draft.path),
        "encoding": draft.encoding,
        "body": _bounded(summary(draft)),
    }
    price = f"{estimate.amount:g} {estimate.unit}" if estimate else "unknown"
    refusal = None
    try:
        guard_cost(plan, terms, found)
    except TaskError as error:
        refusal = error
    for line in _in_words(session.profile, draft):
        session.ctx.reporter.people(line)
    session.ctx.reporter.people(f"dry run: nothing was sent; price: {price}")
    code = int(ExitCode.VALIDATION if found.problems else refusal.exit_code if refusal else ExitCode.OK)
    error_of_plan: dict[str, Any] | None = error_fields(refusal) if refusal else None
    if found.problems:
        error_of_plan = {"category": "validation", "message": str(found.problems[0]["message"])}
    return session.ctx.reporter.final(
        "plan",
        code,
        provider=session.profile.name,
        kind=session.profile.kind,
        model=draft.model,
        request=request,
        valid=False if found.problems else None if draft.checked_against == NOTHING else True,
        checked_against=draft.checked_against,
        checked_source=_source(session.profile, draft),
        problems=found.problems[:10],
        validated_against=found.validated,
        assumed=[dict(one) for one in draft.assumed],
        estimate={"amount": estimate.amount, "unit": estimate.unit, "assumed": dict(estimate.assumed)}
        if estimate
        else None,
        balance=_balance(found.balance),
        attaches_to=found.attaches_to,
        take=plan.take,
        notes=[*_untried(session.profile), *draft.warnings, *draft.known.notes, *found.notes],
        if_wrong=_if_wrong(session.profile, draft),
        send=next_command.quoted(send),
        send_needs="the user's confirmation: it pays" if not session.ctx.sandbox and not found.attaches_to else None,
        error=error_of_plan,
    )


def _source(profile: Profile, draft: RequestDraft) -> dict[str, str | None] | None:
    """Who says which members the model has, and of what day that is."""
    known, convention = draft.known, profile.convention
    if draft.checked_against == CONVENTION and convention:
        return {"where": convention.source, "date": convention.date}
    return {"where": known.where, "date": known.date} if known.model else None


def _if_wrong(profile: Profile, draft: RequestDraft) -> str | None:
    """What happens if an assumed name is not the model's: it belongs to what the user says yes to."""
    if not draft.assumed:
        return None
    told = profile.convention.if_wrong if profile.convention else None
    return told or "the API may refuse the request, or ignore the member and make a video with its own default"


def assumptions(profile: Profile, draft: RequestDraft) -> list[str]:
    """What is assumed and what happens if it is wrong, in plain words."""
    lines = [
        f"assumed: --{one['input'].replace('.', ' ')} goes into {one['member']!r}: {one['because']}"
        for one in draft.assumed
    ]
    if if_wrong := _if_wrong(profile, draft):
        lines.append(f"if that is wrong: {if_wrong}")
    return lines


def _in_words(profile: Profile, draft: RequestDraft) -> list[str]:
    lines = assumptions(profile, draft)
    if draft.checked_against == NOTHING:
        lines.append(f"nothing is documented here of {draft.model or 'this endpoint'}: the request was not checked")
    return lines


def _validate(plan: Plan, spec: str, terms: Terms, found: Findings) -> None:
    from videotasks.openapi import validation

    report = validation.validate_payload(
        spec,
        f"{plan.draft.method} {plan.draft.path}",
        materialise(plan.draft, {ref.sha256: "uploaded" for ref in plan.draft.files}),
        allow_unknown_fields=terms.allow_unknown_fields,
    )
    found.validated = report.endpoint
    found.notes += list(report.warnings)[:5]
    if not report.ok:
        found.problems += list(report.errors)


def _ask(plan: Plan, path: str, found: Findings, what: str) -> Any:
    provider, ctx = plan.session.provider, plan.session.ctx
    client = provider.client()
    try:
        return ctx.mailbox.call(lambda: provider.get_json(path, client=client, timeout=ASK_S), timeout=ASK_S)
    except (TaskError, NoAnswer) as error:
        found.notes.append(f"{what} could not be asked for: {error}")
    except CallTimedOut:
        found.notes.append(f"{what} could not be asked for: no answer in time")
    finally:
        client.close()
    return None


def _untried(profile: Profile) -> list[str]:
    """What a profile that nobody has paid through rests on."""
    if profile.tried:
        return []
    told = profile.basis.get("all") or {}
    source = f" ({told['source']}, {told.get('date', 'undated')})" if told else ""
    return [f"{profile.title} is known from documents only{source}: nobody has paid for a task through it yet"]


def _has_key(profile: Profile) -> bool:
    return credentials.find_key(profile) is not None


def _unit_of(profile: Profile) -> str | None:
    if profile.result.cost and profile.result.cost.get("unit"):
        return str(profile.result.cost["unit"])
    return profile.credits.unit if profile.credits else None


def _balance(balance: Balance | None) -> dict[str, Any] | None:
    if balance is None:
        return None
    return {"amount": balance.amount, "unit": balance.unit, "unlimited": balance.unlimited, "note": balance.note}


def _bounded(body: dict[str, Any], limit: int = 4000) -> Any:
    import json

    text = json.dumps(body, ensure_ascii=False)
    return body if len(text) <= limit else {"shortened": text[:limit]}
