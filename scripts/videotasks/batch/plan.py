"""What a batch would do, row by row, before anything is paid: every row checked, its run found, its price added up."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from tempfile import TemporaryDirectory
from typing import Any

from videotasks.batch.ledger import Ledger
from videotasks.batch.rows import Row, in_order
from videotasks.core.errors import Category, ExitCode, TaskError, configuration_error
from videotasks.core.record import replace
from videotasks.core.task import Outcome, Phase
from videotasks.downloads import output_copy
from videotasks.lifecycle import chain, preflight
from videotasks.lifecycle.create_or_attach import Plan, attachable, refuse_keys
from videotasks.lifecycle.open_session import chosen_profile
from videotasks.lifecycle.preflight import Findings, Terms
from videotasks.lifecycle.session import Session
from videotasks.lifecycle.session_pool import SessionPool
from videotasks.providers.profile import Profile
from videotasks.request.build import PLAIN, CommonInputs, in_kind, parse_payload
from videotasks.request.costs import Balance, Estimate
from videotasks.request.draft import RequestDraft
from videotasks.request.local_files import named_run, parse_media
from videotasks.runs import results
from videotasks.runs.claims import Sender
from videotasks.runs.journal import RunState
from videotasks.runs.store import Run, RunStore


class Step(str, Enum):
    """What a batch does with a row."""

    CREATE = "create"  # it pays
    FOLLOW = "follow"  # it pays, once the row that it takes of is there
    HELD = "held"  # the row that it takes of made no video
    GO_ON = "go_on"  # its task is under way, or its file is not here: nothing is paid
    ENDED = "ended"  # it stays as it is
    UNKNOWN = "unknown"  # its answer was lost: only the user may settle it
    INVALID = "invalid"
    LEFT_OUT = "left_out"  # --only names others

    @property
    def pays(self) -> bool:
        return self in (Step.CREATE, Step.FOLLOW)


@dataclass(frozen=True)
class Wishes:
    """What the user wants of a batch as a whole. Limits: unit in lower case -> amount."""

    terms: Terms
    only: tuple[str, ...] = ()
    retry_failed: bool = False
    skip_invalid: bool = False
    most: Mapping[str, float] = field(default_factory=dict)
    force: bool = False  # --output may replace files


@dataclass
class Item:
    """One row and all that is known of it. `note` is what a person should hear before saying yes."""

    row: Row
    step: Step = Step.INVALID
    given: CommonInputs | None = None
    session: Session | None = None
    plan: Plan | None = None  # None while it waits for another row
    found: Findings | None = None
    run: Run | None = None  # which stands for it
    base: str | None = None  # the intent of the row as it is written, whatever take it is at
    output: str | None = None
    note: str | None = None
    retries: bool = False  # it ended without a video, and is made again by another take
    assumed: bool = False  # a name in its request is the provider's habit, not the model's documented one
    code: ExitCode | None = None  # what it came to, where no run says it
    error: dict[str, Any] | None = None

    @property
    def provider(self) -> str:
        return self.session.profile.name if self.session else str(self.row.values.get("provider") or "")

    @property
    def model(self) -> str | None:
        model = self.plan.draft.model if self.plan else self.row.values.get("model")
        return str(model) if model else None

    @property
    def estimate(self) -> Estimate | None:
        return self.found.estimate if self.found else None


class RowSessions(SessionPool):
    """One session for each provider and kind that the rows need."""

    @cached_property
    def _profiles(self) -> dict[tuple[str | None, str | None], Profile]:
        return {}

    def profile(self, provider: str | None, kind: str | None) -> Profile:
        """The profile that a row names, else the command's. Raises TaskError."""
        key = (provider, kind)
        if key not in self._profiles:
            options = replace(self.options, provider=provider or self.options.provider, kind=kind or self.options.kind)
            self._profiles[key] = chosen_profile(options)
        return self._profiles[key]

    def of(self, profile: Profile, provider: str | None) -> Session:
        """An open session of this profile, in its kind. Raises TaskError, for a key that is not set among others."""
        options = replace(self.options, provider=provider or self.options.provider, kind=None)
        return self.opened((profile.name, profile.kind), options, profile)


class Planner:
    """Looks at rows one by one, in an order in which each comes after those that it takes of."""

    def __init__(
        self, rows: Sequence[Row], sessions: RowSessions, store: RunStore, ledger: Ledger, wishes: Wishes, folder: str
    ) -> None:
        self.rows, self.sessions, self.store, self.wishes = rows, sessions, store, wishes
        self.ledger = ledger
        self.takes = ledger.takes()
        self._items: list[Item] = []
        self.folder = folder  # of the batch file: pictures may lie beside it
        former = ledger.former().get("rows")
        self._former = {
            str(entry["id"]): entry
            for entry in (former if isinstance(former, list) else ())
            if isinstance(entry, dict) and entry.get("id")
        }
        self.by_id: dict[str, Item] = {}
        self._found: dict[str, Findings] = {}  # by what decides a price
        self._seen: dict[str, Item] = {}  # by each key of an identity
        self.balances: dict[str, Balance] = {}

    def all(self) -> list[Item]:
        """Every row as the file has them. What is wrong with one is kept with it."""
        items = {id(row): Item(row) for row in self.rows}
        for row in in_order(self.rows):
            item = items[id(row)]
            if row.id is not None:
                self.by_id.setdefault(row.id, item)
            if not row.problems:
                try:
                    self._look_at(item)
                except TaskError as error:
                    if error.code == "missing_api_key":
                        raise
                    self._refuse(item, error)
        for item in items.values():
            if item.row.problems:
                item.step = Step.INVALID
        for item in items.values():
            if item.step is Step.FOLLOW and any(one.step is Step.INVALID for one in self.others(item)):
                item.row.wrong("the row that it takes of is not valid")
                item.step = Step.INVALID
        self._items = list(items.values())
        return self._items

    def _refuse(self, item: Item, error: TaskError) -> None:
        problems = error.details.get("problems") if error.code == "invalid_request" else None
        for problem in problems or [{"message": error.message}]:
            item.row.wrong(str(problem.get("message")), error.expected)
        item.step = Step.INVALID

    def others(self, item: Item) -> list[Item]:
        """The rows that it takes of."""
        return [self.by_id[one] for one in item.row.taken if one in self.by_id]

    def _look_at(self, item: Item) -> None:
        row = item.row
        provider, kind = (row.values.get(name) for name in ("provider", "kind"))
        profile = self.sessions.profile(provider, kind)
        item.given = self.inputs(row)
        waits, held = self.waits(item)
        if waits or held:
            # The request as far as it is known, with a stand-in for what is not there yet.
            profile, draft = self._with_stand_in(profile, item.given)
        else:
            profile, draft = self._draft(profile, self._with_results(row, profile))
        item.session = self.sessions.of(profile, provider)
        plan = self._plan(item.session, draft, item)
        self._same(item, plan)
        if held:
            item.step, item.note = Step.HELD, held
            item.error = {"category": "held", "message": held}
            doubt = any(one.step is Step.UNKNOWN for one in self.others(item))
            item.code = ExitCode.SUBMISSION_UNKNOWN if doubt else ExitCode.TASK_ENDED
        elif waits:
            item.step = Step.FOLLOW
            self._price(item, plan)
            self._where(item, None)
        else:
            self._decide(item, plan)
        self._select(item)

    def _draft(self, profile: Profile, given: CommonInputs) -> tuple[Profile, RequestDraft]:
        return preflight.draft_of(profile, given, self.wishes.terms, sandbox=self.sessions.options.sandbox)

    def resolve(self, item: Item, session: Session) -> None:
        """A row that waited for others, now that these are there: as if it had been planned now. Raises TaskError."""
        _, draft = self._draft(session.profile, self._with_results(item.row, session.profile))
        self._decide(item, self._plan(session, draft, item))
        self._select(item)
        if item.row.problems:
            raise configuration_error(item.row.problems[0]["message"], code="invalid_row")

    def _plan(self, session: Session, draft: RequestDraft, item: Item) -> Plan:
        assert item.given is not None
        plan = Plan(session, draft, item.row.take, preflight.prompt_of(item.given, draft), once=True)
        refuse_keys(plan)
        item.assumed = bool(draft.assumed)
        return plan

    def waits(self, item: Item) -> tuple[bool, str | None]:
        """Whether a row must wait for others, and why it cannot be made at all."""
        waits = False
        for one in self.others(item):
            if one.step in (Step.CREATE, Step.FOLLOW, Step.GO_ON):
                waits = True
            elif one.run is None or one.step is Step.INVALID or one.run.state().outcome is not Outcome.SUCCEEDED:
                return False, f"it takes of line {one.row.line}, which made no video"
        return waits, None

    def _with_stand_in(self, profile: Profile, given: CommonInputs) -> tuple[Profile, RequestDraft]:
        """A draft with a link, or (where only files are taken) a small file, in the place of another row's result."""
        try:
            return self._draft(profile, chain.with_links(given, _link_for))
        except TaskError as error:
            with suppress(TaskError):
                return self._draft(profile, chain.with_links(given, self._file_for))
            raise error from None

    def _file_for(self, value: str, kind: str, role: str | None) -> chain.Link | None:
        if not value.startswith("@"):
            return None
        name = os.path.join(self._stand_ins.name, "stand-in" + (".mp4" if kind == "video" else ".png"))
        with open(name, "wb") as file:
            file.write(_MP4 if kind == "video" else _PNG)
        return chain.Link(name, value)

    @cached_property
    def _stand_ins(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory(prefix="batch-")

    def _decide(self, item: Item, plan: Plan) -> None:
        """By the run that stands for the row, if there is one."""
        item.base = plan.identity.intent
        item.plan = plan = replace(plan, take=self.takes.get(item.base, item.row.take))
        item.run = run = attachable(plan)
        if run is None:
            item.step = Step.CREATE
            self._price(item, plan)
        else:
            state = run.state()
            item.step = step_of(state, run, fetches=not self.sessions.options.no_download)
            sender = self.store.claims.sender_of_run
            if state.phase is Phase.SUBMITTING and sender(plan.identity.keys, run.run_id) is Sender.BUSY:
                item.step = Step.CREATE  # by another process: the create waits for it, and attaches
                self._price(item, plan)
            if ended_without_video(state) and self.wishes.retry_failed:
                item.retries, item.step = True, Step.CREATE
                item.note = "it ended without a video: made again by another take, which pays"
                self._price(item, replace(plan, take=plan.take + 1))
        self._where(item, run)
        former = self._former.get(item.row.id) if item.row.id else None
        changed = former and former.get("run_id") and former.get("intent") not in (None, item.base)
        if former and changed and item.step.pays and not item.retries:
            item.note = f"pays again: the row {item.row.id} has changed since run {former['run_id']}"

    def advance(self, items: Iterable[Item]) -> None:
        """Rows that are made again get their next take, on disk before anything is sent. Raises TaskError."""
        again = [item for item in items if item.retries and item.step is Step.CREATE and item.plan is not None]
        if not again:
            return
        taken: dict[str, set[int]] = {}
        for item in self._items:
            if item.plan is not None:
                taken.setdefault(_takeless(item.plan), set()).update((item.row.take, item.plan.take))
        wanted: dict[str, tuple[int, int]] = {}
        for item in again:
            assert item.plan is not None and item.base is not None
            used, following = taken[_takeless(item.plan)], item.plan.take + 1
            while following in used or self.store.by_identity(replace(item.plan, take=following).identity):
                following += 1
            used.add(following)
            wanted[item.base] = (item.plan.take, following)
        self.takes = self.ledger.retake(wanted)
        for item in again:
            assert item.plan is not None and item.base is not None
            item.plan = replace(item.plan, take=self.takes[item.base])
            item.run = attachable(item.plan)
            if item.run is not None:  # another process has done so meanwhile
                item.step = step_of(item.run.state(), item.run, fetches=not self.sessions.options.no_download)

    def _select(self, item: Item) -> None:
        """--only: rows that failed, that are not finished, or that have this id."""
        only = self.wishes.only
        if not only:
            return
        state = item.run.state() if item.run else None
        failed = state is not None and ended_without_video(state)
        words = {item.row.id, "failed" if failed else None}
        if not failed and item.step is not Step.ENDED:
            words.add("unfinished")
        if not words & set(only):
            item.step = Step.LEFT_OUT

    def _same(self, item: Item, plan: Plan) -> None:
        """Two rows that are one request would be one video: whoever wants two says so by `take`."""
        for key in plan.identity.keys:
            if (first := self._seen.setdefault(key, item)) is not item:
                words = f"this row is the same request as line {first.row.line}"
                return item.row.wrong(words, "another take, for another video")

    def _price(self, item: Item, plan: Plan) -> None:
        """Limits, prices and balance. Rows that differ in nothing that decides a price share the answer."""
        assert item.session is not None
        profile, terms = item.session.profile, self.wishes.terms
        told = {name: value for name, value in plan.draft.asked.items() if name not in ("prompt", "seed")}
        told |= {kind: [role for role, _ in told[kind]] for kind in ("image", "video", "audio") if kind in told}
        key = repr((profile.name, profile.kind, plan.draft.path, sorted(told.items(), key=str)))
        if key not in self._found:
            ask = replace(terms, dry_run=True, balance=profile.name not in self.balances)
            found = preflight.check(replace(plan, once=False), ask)
            if found.balance is not None:
                self.balances[profile.name] = found.balance
            self._found[key] = found
        item.found = found = replace(self._found[key], attaches_to=None)
        for problem in found.problems:
            item.row.wrong(str(problem.get("message")))
        if not found.problems:
            preflight.guard_cost(plan, replace(terms, max_cost=None), found)
            self._within(plan, found)

    def _within(self, plan: Plan, found: Findings) -> None:
        """A price that the limits of batch and day can be held against. Raises TaskError."""
        most, terms = self.wishes.most, self.wishes.terms
        if not most and preflight.day_limit(plan, terms) is None:
            return
        estimate = preflight.binding(plan, found)
        if estimate is None and not terms.allow_unknown_cost:
            raise configuration_error(
                "the price of this row is unknown, and what may be spent is limited",
                expected="--allow-unknown-cost, with the user's word for it, or your own in $VIDEO_TASKS_PRICES",
                code="unknown_cost",
            )
        if estimate is not None and most and estimate.unit.casefold() not in most:
            raise configuration_error(
                f"this row is priced in {estimate.unit}, and --max-cost is not",
                expected=f"another --max-cost, in {estimate.unit}",
            )

    def _where(self, item: Item, run: Run | None) -> None:
        """Where a copy goes; what stands there already may be this very row's."""
        target = item.row.values.get("output")
        if not target:
            return
        if target.endswith(("/", os.sep)) or os.path.isdir(os.path.expanduser(target)):
            target = os.path.join(target, f"{item.row.id or f'row-{item.row.line}'}.mp4")
        item.output = os.path.abspath(os.path.expanduser(target))
        folder = os.path.dirname(item.output)
        if not os.path.isdir(os.path.dirname(folder)):
            raise configuration_error(f"output: the folder {folder} does not exist")
        if not os.path.isdir(folder):
            return  # made when the first file comes
        taken = output_copy.in_the_way(item.output, "video.mp4", force=self.wishes.force)
        if taken is None or item.step is Step.ENDED:
            return
        if run is None or not output_copy.is_copy_of(item.output, run.state().files):
            raise taken

    # -- inputs --

    def inputs(self, row: Row) -> CommonInputs:
        """A row's values as a create's options. Raises TaskError."""
        values = row.values
        payload = values.get("payload")
        prompt = values.get("prompt")
        if prompt is not None and not str(prompt).strip():
            raise configuration_error("the prompt is empty", expected="what the video shows")
        options: dict[str, Any] = {name: values.get(name) for name in PLAIN}
        options["payload"] = parse_payload(payload) if isinstance(payload, str) else payload
        options["kind"] = options["kind"] or self.sessions.options.kind
        given = CommonInputs(**options, set_values=list(values.get("set") or ()))
        for kind, role, value in row.media:
            if not value.startswith("@"):
                named, value = parse_media(value) if role is None else (role, value)
                role, value = named, self.beside(value)
            given.media(kind).append((role, value))
        return given

    def beside(self, value: str) -> str:
        """A relative path from the current folder, else from that of the batch file."""
        beside = os.path.join(self.folder, value)
        if "://" in value or os.path.isabs(value) or os.path.exists(value) or not os.path.exists(beside):
            return value
        return beside

    def _with_results(self, row: Row, profile: Profile) -> CommonInputs:
        """A row's options with the results of other rows and runs in place. Raises TaskError when one has none."""

        def find(value: str, kind: str, role: str | None) -> chain.Link | None:
            named = named_run(value, kind)
            if named is None:
                return None
            item = self.by_id.get(named[0])
            run = item.run if item is not None and item.run is not None else self.store.open(named[0])
            return chain.result_of(run, named[1], profile, kind, role)

        given = self.inputs(row)
        profile = in_kind(profile, given)
        return chain.with_links(given, find)


# The beginnings of files, enough to be told by: they are never sent.
_PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000400000002400802000000")
_MP4 = bytes.fromhex("0000001c66747970697363730000020069736f3669736f326d703431")


def _link_for(value: str, kind: str, role: str | None) -> chain.Link | None:
    if not value.startswith("@"):
        return None
    return chain.Link(f"https://not-there-yet.invalid/{value[1:]}.{'mp4' if kind == 'video' else 'png'}", value)


def _takeless(plan: Plan) -> str:
    return replace(plan, take=0).identity.intent


def unmade(items: Iterable[Item]) -> list[str]:
    """The intents of rows that have no run so far."""
    return [item.plan.identity.intent for item in items if item.plan is not None and item.run is None]


# -- what a run means for its row --


def ended_without_video(state: RunState) -> bool:
    """Failed, cancelled, expired or refused: so it stays until the user asks for another take."""
    return state.phase is Phase.REFUSED or (state.outcome is not None and state.outcome.without_video)


def step_of(state: RunState, run: Run, *, fetches: bool) -> Step:
    if state.phase.in_doubt:
        return Step.UNKNOWN
    if ended_without_video(state):
        return Step.ENDED
    if not run.made_here:
        return Step.GO_ON  # its provider is asked before it counts
    if state.outcome is Outcome.SUCCEEDED and (not fetches or results.video_file(run, state) is not None):
        return Step.ENDED
    return Step.GO_ON


# -- the plan as it is told --


def problems_of(items: Iterable[Item]) -> list[dict[str, Any]]:
    """What is wrong, each thing once, with the lines that have it."""
    by_text: dict[tuple[str, str | None], list[int]] = {}
    for item in items:
        for problem in item.row.problems:
            by_text.setdefault((problem["message"], problem.get("expected")), []).append(item.row.line)
    return [
        {"lines": line_ranges(lines), "message": message, **({"expected": expected} if expected else {})}
        for (message, expected), lines in sorted(by_text.items(), key=lambda entry: entry[1][0])
    ]


def line_ranges(lines: Iterable[int]) -> str:
    """`3, 7-9` for 3, 7, 8, 9."""
    runs: list[list[int]] = []
    for line in sorted(set(lines)):
        if runs and line == runs[-1][1] + 1:
            runs[-1][1] = line
        else:
            runs.append([line, line])
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs)


def totals(items: Iterable[Item], balances: Mapping[str, Balance]) -> list[dict[str, Any]]:
    """What the rows that pay would cost, by provider and unit; what is not known is counted, never taken as free."""
    sums: dict[tuple[str, str | None], dict[str, Any]] = {}
    for item in items:
        if not item.step.pays:
            continue
        estimate = item.estimate
        unit = estimate.unit if estimate else None
        entry = sums.setdefault((item.provider, unit), {"provider": item.provider, "rows": 0, "amount": None})
        entry["rows"] += 1
        if estimate is not None:
            entry["amount"] = round((entry["amount"] or 0.0) + estimate.amount, 6)
            entry["unit"] = unit
            entry["kind"] = estimate.kind
    for (provider, _), entry in sums.items():
        balance = balances.get(provider)
        if balance is not None:
            entry["balance"] = {"amount": balance.amount, "unit": balance.unit, "unlimited": balance.unlimited}
    return list(sums.values())


def counts(items: Iterable[Item]) -> dict[str, int]:
    return dict(Counter(item.step.value for item in items))


def require_valid(items: Sequence[Item], skip: bool) -> None:
    """Stop a batch that has an invalid row, unless the user said to leave those out. Raises TaskError, exit 22."""
    wrong = problems_of(items)
    if not wrong or (skip and any(item.step is not Step.INVALID for item in items)):
        return
    bad = sum(1 for item in items if item.row.problems)
    raise TaskError(
        Category.VALIDATION,
        f"{bad} of {len(items)} rows are not valid, nothing was sent: line {wrong[0]['lines']}: {wrong[0]['message']}",
        expected=wrong[0].get("expected"),
        hint="mend them, or --skip-invalid to make the others",
        code="invalid_rows",
        details={"problems": wrong},
    )
