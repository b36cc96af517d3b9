"""What a careful person wants to know before paying: is it valid, what does it cost, what is left, does it attach."""

from __future__ import annotations

import json
import re
from contextlib import AbstractContextManager, closing, nullcontext
from itertools import islice
from typing import Any

from videotasks.catalogue import prices
from videotasks.catalogue.cached_fetch import Unavailable
from videotasks.catalogue.known import known_model
from videotasks.core.errors import Category, ExitCode, TaskError, configuration_error, error_fields
from videotasks.core.record import field, record
from videotasks.core.times import iso
from videotasks.core.workers import CallTimedOut
from videotasks.lifecycle import spending
from videotasks.lifecycle.create_or_attach import Plan, attachable, refuse_earlier_version, refuse_keys
from videotasks.lifecycle.open_session import last_line
from videotasks.lifecycle.session import Session
from videotasks.output import next_command
from videotasks.providers import credentials
from videotasks.providers.known_model import CONVENTION, NOTHING, rates_of
from videotasks.providers.profile import Prices, Profile
from videotasks.request import costs, fields, limits
from videotasks.request.build import CommonInputs, build_request, chosen_model, create_path, in_kind
from videotasks.request.costs import Balance, Estimate
from videotasks.request.draft import RequestDraft, materialise, summary


@record(frozen=True)
class Terms:
    """On what terms the user wants it: what to check against, and what it may cost."""

    dry_run: bool = False
    openapi: str | None = None
    allow_unknown_fields: bool = False
    max_cost: str | None = None  # such as 20credits
    max_cost_per_day: str | None = None
    allow_unknown_cost: bool = False
    balance: bool = True  # a dry run asks for it


REMEMBERED_RUNS = 200  # newest first; a price of long ago is no news
ASK_S = 5.0  # balance, price and limits are asked for once: "unknown" is an answer, too
_COST = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([A-Za-z][A-Za-z _-]{0,30})\s*$")


@record
class Findings:
    """What the checks found. `problems` stop a create; `estimate` None means that the price is unknown, never 0."""

    problems: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    estimate: Estimate | None = None
    balance: Balance | None = None
    attaches_to: str | None = None
    validated: str | None = None


def draft_of(profile: Profile, given: CommonInputs, terms: Terms, *, sandbox: bool) -> tuple[Profile, RequestDraft]:
    """The request that these inputs make, and the profile in the kind that they need. Raises TaskError.

    Sends nothing to the provider; a live specification may be read (5 s, see catalogue.live).
    """
    profile = in_kind(profile, given)
    model = chosen_model(profile, given, sandbox=sandbox)
    known = known_model(profile, model, openapi=terms.openapi, endpoint=given.endpoint or create_path(profile, model))
    if model and not sandbox and not terms.openapi:
        from videotasks.catalogue.live import with_live

        known = with_live(profile, model, known, dry_run=terms.dry_run)
    return profile, build_request(profile, given, known=known, sandbox=sandbox)


def prompt_of(given: CommonInputs, draft: RequestDraft) -> str | None:
    """What the video shows, as typed or as the payload says it: the run is listed by it."""
    if given.prompt:
        return given.prompt
    prompt = draft.body.get("prompt")
    return prompt if isinstance(prompt, str) else None


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
    _look_at_prices(plan, terms, found)
    profile = plan.session.profile
    may_ask = plan.session.ctx.sandbox or credentials.find_key(profile) is not None
    if profile.capabilities is not None and may_ask:
        body = _ask(plan, found, "limits and prices", profile.capabilities.path)
        if body is not None:
            problems, exact = costs.check_capabilities(profile, body, plan.draft)
            if exact is not None and (found.estimate is None or found.estimate.kind != "quote"):
                found.estimate = exact
            found.problems += [{"message": text} for text in problems]
    if terms.dry_run and terms.balance and profile.credits is not None and may_ask:
        body = _ask(plan, found, "the balance", profile.credits.path)
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
    source, text = _limit(plan, "--max-cost", terms.max_cost)
    if not text or found.attaches_to is not None:
        return
    most, unit = amount_of(source, text)
    estimate = binding(plan, found)
    if estimate is None:
        known = _unit_of(plan.session.profile)
        if known is not None and known.casefold() != unit.casefold():
            raise configuration_error(f"{source} is in {unit}", expected=f"{known}, the provider's own unit")
        if not terms.allow_unknown_cost:
            raise configuration_error(
                f"the price of this request is unknown, and {source} limits it to {text.strip()}; nothing was sent"
                + (f" (a {found.estimate.kind} is no price to rely on)" if found.estimate else ""),
                hint="ask the user; --allow-unknown-cost accepts an unknown price, $VIDEO_TASKS_PRICES names your own",
                code="unknown_cost",
            )
        return
    if estimate.unit.casefold() != unit.casefold():
        raise configuration_error(f"{source} is in {unit}", expected=f"{estimate.unit}, the unit of the price")
    if estimate.amount > most:
        raise configuration_error(
            f"the request costs {estimate.amount:g} {unit}, more than {source} allows; nothing was sent",
            expected=f"at most {most:g} {unit}",
            hint="a cheaper model, length or resolution, or the user's word for a higher limit",
            code="over_max_cost",
        )


def amount_of(source: str, text: str) -> tuple[float, str]:
    """`20credits` as (20.0, "credits"). Raises TaskError naming the option."""
    match = _COST.match(text)
    if match is None:
        raise configuration_error(f"{source} is not an amount with a unit", expected="such as 20credits")
    return float(match.group(1)), match.group(2).strip()


def binding(plan: Plan, found: Findings) -> Estimate | None:
    """The price that a limit may rely on."""
    today = iso(plan.session.ctx.clock())[:10]
    return found.estimate if found.estimate is not None and found.estimate.binding_on(today) else None


def budget(plan: Plan, terms: Terms, found: Findings) -> AbstractContextManager[None]:
    """What holds the day's limit while the create is made: --max-cost-per-day or <NAME>_MAX_COST_PER_DAY."""
    limit = day_limit(plan, terms)
    if limit is None or found.attaches_to is not None:
        return nullcontext()
    allowed = terms.allow_unknown_cost
    return spending.reserved(plan.session.ctx, limit, binding(plan, found), allow_unknown=allowed)


def day_limit(plan: Plan, terms: Terms) -> tuple[float, str] | None:
    source, text = _limit(plan, "--max-cost-per-day", terms.max_cost_per_day)
    return amount_of(source, text) if text else None


def _limit(plan: Plan, flag: str, typed: str | None) -> tuple[str, str | None]:
    """Who set a limit, and to what: the flag, else the provider's own setting (--max-cost: <NAME>_MAX_COST)."""
    name = flag[2:].upper().replace("-", "_")
    return (flag, typed) if typed else credentials.setting(plan.session.profile, name)


def _look_at_prices(plan: Plan, terms: Terms, found: Findings) -> None:
    """The surest price there is: a quote, a unit price, the user's own, a shipped list, what it cost before."""
    session, draft = plan.session, plan.draft
    profile, known = session.profile, draft.known
    typed = {"--max-cost": terms.max_cost, "--max-cost-per-day": terms.max_cost_per_day}
    limited = any(_limit(plan, flag, text)[1] for flag, text in typed.items())
    if profile.prices is not None and not session.ctx.sandbox and (terms.dry_run or limited):
        quoted = _quoted(plan, profile.prices, found) if credentials.find_key(profile) is not None else None
        found.estimate = quoted or _by_unit(plan, profile.prices, found)
    if found.estimate is None and (own := prices.own_rule(profile.name, draft.model)):
        rule, where = own
        found.estimate = costs.by_rates(rates_of(rule), draft, profile, kind="own", source=where)
    if found.estimate is None and known.model is not None and known.model.price:
        printed = known.model.price
        source, of = printed.get("source") or known.where or known.source, printed.get("date", known.date)
        found.estimate = costs.by_rates(rates_of(printed), draft, profile, kind="list", source=source, of=of)
    if found.estimate is None and terms.dry_run:
        found.estimate = _remembered(plan)


def _quoted(plan: Plan, told: Prices, found: Findings) -> Estimate | None:
    spec, draft = told.quote, plan.draft
    if spec is None or any(ref.how not in ("data_uri", "base64") for ref in draft.files):
        return None
    path = str(spec["path"]).replace("{model}", draft.model or "")
    body = prices.quote_body(spec.get("body", "{body}"), draft.model, materialise(draft, {}))
    answer = _ask(plan, found, "the price", path, method="POST", json_body=body)
    return costs.by_quote(answer, spec, plan.session.provider.url(path)) if answer is not None else None


def _by_unit(plan: Plan, told: Prices, found: Findings) -> Estimate | None:
    """The price by the rates that the provider tells now; what cannot be had is a note."""
    session, draft, spec = plan.session, plan.draft, told.unit_price
    if spec is None or not draft.model:
        return None
    model = draft.model
    try:
        rates, where = session.ctx.mailbox.call(
            lambda: prices.asked_rates(session.profile, model, draft.known), timeout=ASK_S
        )
    except (TaskError, Unavailable, CallTimedOut) as error:
        found.notes.append(f"the price could not be asked for: {str(error) or 'no answer in time'}")
        return None
    kind = "table" if spec.get("exact") else "unit_price"
    return costs.by_rates(rates, draft, session.profile, kind=kind, source=where)


def _ask(plan: Plan, found: Findings, what: str, path: str, **how: Any) -> Any:
    """A call that costs nothing, once, five seconds; None with a note where it fails."""
    provider, ctx = plan.session.provider, plan.session.ctx
    with closing(provider.client()) as client:
        try:
            return ctx.mailbox.call(lambda: provider.get_json(path, client=client, timeout=ASK_S, **how), timeout=ASK_S)
        except (TaskError, CallTimedOut) as error:
            client.flight.abort()  # whoever did not answer in time is not listened to any more
            found.notes.append(f"{what} could not be asked for: {str(error) or 'no answer in time'}")
    return None


def _remembered(plan: Plan) -> Estimate | None:
    """What the newest run of the same model, length and size in this workspace cost."""
    session, draft = plan.session, plan.draft
    info = draft.known.model
    specs = fields.specs(session.profile, info)
    wanted = limits.asked_in(draft.body, specs, info)
    for run in islice(session.ctx.store.runs(), REMEMBERED_RUNS):
        same = (run.provider, run.origin, run.mode) == (session.profile.name, session.origin, session.ctx.mode)
        if not same or run.request.get("model") != draft.model:
            continue
        payload = run.request.get("payload")
        if not isinstance(payload, dict) or limits.asked_in(payload, specs, info) != wanted:
            continue
        state = run.state()
        if state.cost is not None and state.cost_unit:
            when = iso(run.created_at)[:10]
            source = f"what the same cost on {when} (run {run.run_id})"
            return Estimate(state.cost, state.cost_unit, {}, "history", None, source, when)
    return None


def verify_key(session: Session, fields: dict[str, Any]) -> int:
    """The last line about a key, after one free call with it: the balance, else capabilities, else the list.

    `fields` is what `credentials.describe` says of it.
    """
    reporter, provider, profile = session.ctx.reporter, session.provider, session.profile
    told = {name: value for name, value in fields.items() if name != "ok"}
    spec = profile.credits or profile.capabilities or profile.list
    if spec is None:
        told["message"] += "; this provider has no free call to verify it with"
        return reporter.final("api_key", ExitCode.OK, verified=None, **told)

    how = {}
    if spec is profile.list and profile.list is not None:
        how = {"query": profile.list.query, "method": profile.list.method, "json_body": profile.list.body}

    def refused(error: TaskError) -> int:
        told["message"] = error.message
        return reporter.final("api_key", error.exit_code, verified=False, **told, error=error_fields(error))

    with last_line(session.ctx) as end:
        end.refused = refused
        body = session.ask(lambda client: provider.get_json(spec.path, client=client, **how), 40.0, patient=True)
        told["message"] += " and the API accepts it"
        if profile.credits is not None:
            told["balance"] = _balance(costs.balance(profile, body))
        end.code = reporter.final("api_key", ExitCode.OK, verified=True, **told)
    return end.code


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
    price = f"{estimate.amount:g} {estimate.unit} ({_kind_in_words(estimate)})" if estimate else "unknown"
    problem: dict[str, Any] | None = None
    code: int = ExitCode.OK
    try:
        guard_cost(plan, terms, found)
    except TaskError as error:
        problem, code = error_fields(error), error.exit_code
    if found.problems:
        problem = {"category": "validation", "message": str(found.problems[0]["message"])}
        code = ExitCode.VALIDATION
    for line in assumptions(session.profile, draft):
        session.ctx.reporter.people(line)
    if draft.checked_against == NOTHING:
        what = draft.model or "this endpoint"
        session.ctx.reporter.people(f"nothing is documented here of {what}: the request was not checked")
    session.ctx.reporter.people(f"dry run: nothing was sent; price: {price}")
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
        estimate=estimate.shown() if estimate else None,
        balance=_balance(found.balance),
        **_day(plan, terms),
        attaches_to=found.attaches_to,
        take=plan.take,
        notes=[*_untried(session.profile), *draft.warnings, *draft.known.notes, *found.notes],
        if_wrong=_if_wrong(session.profile, draft),
        send=next_command.quoted(send),
        send_needs="the user's confirmation: it pays" if not session.ctx.sandbox and not found.attaches_to else None,
        error=problem,
    )


def _day(plan: Plan, terms: Terms) -> dict[str, Any]:
    """What is spent today, where a limit is set."""
    limit = day_limit(plan, terms)
    if limit is None:
        return {}
    spent, unknown = spending.spent_today(plan.session.ctx, limit[1])
    return {"day": {"spent": spent, "limit": limit[0], "unit": limit[1], "unknown_creates": unknown}}


def _kind_in_words(estimate: Estimate) -> str:
    words = {
        "quote": "the provider's quote for this very request",
        "table": "the provider's own price for exactly this",
        "unit_price": f"{estimate.formula}, the provider's unit price",
        "own": f"{estimate.formula}, your own prices",
        "list": f"{estimate.formula}, as printed on {estimate.date}",
        "history": f"{estimate.source}; no limit relies on that",
    }
    return words[estimate.kind]


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


def _untried(profile: Profile) -> list[str]:
    """What a profile that nobody has paid through rests on."""
    if profile.tried:
        return []
    told = profile.basis.get("all") or {}
    source = f" ({told['source']}, {told.get('date', 'undated')})" if told else ""
    return [f"{profile.title} is known from documents only{source}: nobody has paid for a task through it yet"]


def _unit_of(profile: Profile) -> str | None:
    if profile.result.cost and profile.result.cost.get("unit"):
        return str(profile.result.cost["unit"])
    return profile.credits.unit if profile.credits else None


def _balance(balance: Balance | None) -> dict[str, Any] | None:
    if balance is None:
        return None
    return {"amount": balance.amount, "unit": balance.unit, "unlimited": balance.unlimited, "note": balance.note}


def _bounded(body: dict[str, Any], limit: int = 4000) -> Any:
    text = json.dumps(body, ensure_ascii=False)
    return body if len(text) <= limit else {"shortened": text[:limit]}
