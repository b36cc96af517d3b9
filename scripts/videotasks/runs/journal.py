"""What a run's journal says: a pure fold of its lines into one state. The journal is the truth; result.json follows.

Lines are `{"at": ISO time, "event": name, ...}`. Events: submitting, not_sent, resend, submitted, adopted, refused,
submission_unknown, resolved, uploaded, status, ended, downloaded, download_failed, reported, interrupted, timeout,
cancel_requested, warning, taken_over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from videotasks.core.errors import Category
from videotasks.core.record import field, record
from videotasks.core.task import Outcome, Phase, Status, valid_task_id
from videotasks.core.times import epoch_of

MAX_ERROR_TEXT = 5_000  # characters of one member of an error
MAX_FILES = 200  # of a run; a task has 50 outputs at most
_CATEGORIES = [category.value for category in Category]
_OWN_PATH = re.compile(r"outputs/[A-Za-z0-9][A-Za-z0-9._-]{0,80}")


@record
class RunState:
    """Where a run stands."""

    phase: Phase = Phase.NEW
    task_id: str | None = None
    status: Status = Status.UNKNOWN
    provider_status: str | None = None
    progress: float | None = None
    kind: str | None = None
    follow: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, str] = field(default_factory=dict)
    submitting_at: str | None = None
    submitted_at: str | None = None
    answered_at: str | None = None  # when an answer without an id came; `server_date` is the server's clock then
    status_at: str | None = None
    ended_at: str | None = None
    server_date: float | None = None
    ids_in_answer: list[str] = field(default_factory=list)  # of one that could not be read: for a person to look at
    outcome: Outcome | None = None
    error: dict[str, Any] | None = None
    outputs: list[dict[str, Any]] = field(default_factory=list)
    expires_at: float | None = None
    usage: Mapping[str, Any] | None = None
    cost: float | None = None
    cost_unit: str | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    reported: bool = False
    delivered: bool = False  # reported with exit code 0: what was asked for is there
    posts: int = 0
    closed_by_user: bool = False
    doubt: str | None = None  # why nobody knows whether it was created

    def url_of(self, kind: str) -> str | None:
        return next((o["url"] for o in self.outputs if o.get("kind") == kind and isinstance(o.get("url"), str)), None)

    def follow_of_the_id(self) -> dict[str, str]:
        """The addresses that name the task itself; what asks for them keeps them at the provider's own origin."""
        return {name: place for name, place in self.follow.items() if self.task_id and self.task_id in place}

    def age_s(self, now: float) -> float | None:
        """Seconds since the task was submitted (or adopted), None when nobody knows. `now` is epoch seconds."""
        submitted = epoch_of(self.submitted_at)
        return max(now - submitted, 0.0) if submitted is not None else None

    @property
    def ended(self) -> bool:
        return self.outcome is not None

    @property
    def unfinished(self) -> bool:
        """A task is or may be under way: worth another look."""
        possible = self.phase is Phase.SUBMITTED or self.phase.in_doubt
        return possible and not self.ended and not self.closed_by_user

    @property
    def shown_status(self) -> Status:
        """The canonical status; a submission without an answer is unknown."""
        if self.phase is Phase.REFUSED and self.task_id is None:
            return Status.FAILED
        return self.status if self.phase is Phase.SUBMITTED else Status.UNKNOWN

    def is_unseen(self, request: Mapping[str, Any]) -> bool:
        """A bare id that somebody asked about and that the provider has not shown so far."""
        return bool(request.get("adopted")) and self.status_at is None and not self.ended

    @property
    def may_pay_again(self) -> bool:
        """Whether the same command may create anew: nothing was accepted, or it ended without a video and said so."""
        if self.phase is Phase.NEW or self.closed_by_user:
            return True
        if self.phase is Phase.REFUSED:
            return self.reported
        return self.outcome is not None and self.outcome.without_video and self.reported


_BEFORE_A_TASK = frozenset({"submitting", "not_sent", "resend", "refused", "submission_unknown", "resolved"})


def fold(entries: Iterable[Mapping[str, Any]]) -> RunState:
    """The state after all entries. An ended task never goes back to a live one, whoever writes late."""
    state = RunState()
    for entry in entries:
        event = entry.get("event")
        at = entry.get("at") if isinstance(entry.get("at"), str) else None
        if not isinstance(event, str):
            continue
        if event in _BEFORE_A_TASK and state.task_id is not None:
            continue  # a task that is known is never unknown again, whoever writes late
        if event == "submitting":
            state.phase, state.submitting_at, state.error, state.reported = Phase.SUBMITTING, at, None, False
            state.posts += 1
            _keep(state, entry)
            state.closed_by_user = False
        elif event in ("not_sent", "resend"):
            if state.phase is Phase.SUBMITTING:
                state.phase = Phase.NEW
        elif event == "uploaded":
            if isinstance(entry.get("sha256"), str) and isinstance(entry.get("key"), str):
                state.uploads[entry["sha256"]] = entry["key"]
        elif event in ("submitted", "adopted"):
            _submitted(state, entry, at)
        elif event == "refused":
            state.phase, state.error, state.ended_at = Phase.REFUSED, _error(entry.get("error")), at
        elif event == "submission_unknown":
            state.phase, state.error = Phase.SUBMISSION_UNKNOWN, _error(entry.get("error"))
            state.closed_by_user = False
            state.doubt = entry["reason"] if isinstance(entry.get("reason"), str) else None
            ids = entry.get("ids_in_answer")
            state.ids_in_answer = [value for value in ids if isinstance(value, str)] if isinstance(ids, list) else []
            state.server_date, state.answered_at = _number(entry.get("server_date")), at
        elif event == "resolved":
            if entry.get("how") == "not_created":
                state.closed_by_user, state.phase = True, Phase.REFUSED
        elif event in ("status", "ended"):
            _observed(state, entry, at)
        elif event == "downloaded":
            state.files = _files(entry.get("files"))
            if state.outcome is Outcome.SUCCEEDED:
                state.error = None
        elif event == "download_failed":
            state.error = _error(entry.get("error"))
        elif event == "reported":
            state.reported = True
            state.delivered = state.ended and entry.get("exit_code") == 0
        elif event == "taken_over" and state.task_id is not None:
            # A folder from elsewhere whose task the provider knows: of what it told, only the id counts.
            follow = state.follow_of_the_id()
            state = RunState(Phase.SUBMITTED, state.task_id, kind=state.kind, follow=follow, submitted_at=at)
    return state


def _submitted(state: RunState, entry: Mapping[str, Any], at: Any) -> None:
    task_id = valid_task_id(entry.get("task_id"))
    if task_id is None or state.task_id not in (None, task_id):
        return
    state.phase, state.task_id, state.error, state.reported = Phase.SUBMITTED, task_id, None, False
    state.submitted_at = at
    state.closed_by_user = False
    state.kind = entry.get("kind") if isinstance(entry.get("kind"), str) else state.kind
    state.server_date = _number(entry.get("server_date")) or state.server_date
    if not state.ended and entry.get("status") is not None:
        _observed(state, {key: entry.get(key) for key in ("status", "provider_status")}, at)
    _keep(state, entry)


def _keep(state: RunState, entry: Mapping[str, Any]) -> None:
    """What addresses of the task need: URLs and values that the API gave, and the request's own."""
    follow = entry.get("follow")
    if isinstance(follow, dict):
        state.follow.update({str(k): v for k, v in follow.items() if isinstance(v, str)})


def _observed(state: RunState, entry: Mapping[str, Any], at: Any) -> None:
    try:
        status = Status(entry.get("status"))
    except ValueError:
        status = Status.UNKNOWN
    if state.ended and entry.get("event") != "ended":
        return
    outcome = _outcome(entry) if entry.get("event") == "ended" else None
    if state.outcome is Outcome.SUCCEEDED and outcome is not Outcome.SUCCEEDED:
        return
    state.status, state.status_at = status, at
    if isinstance(entry.get("provider_status"), str):
        state.provider_status = entry["provider_status"]
    for name in ("progress", "expires_at", "cost"):
        value = _number(entry.get(name))
        if value is not None and (value >= 0 or name == "cost"):
            setattr(state, name, value)
    if isinstance(entry.get("cost_unit"), str):
        state.cost_unit = entry["cost_unit"]
    if isinstance(entry.get("outputs"), list):
        state.outputs = [output for output in entry["outputs"] if _is_output(output)]
    if isinstance(entry.get("usage"), dict):
        state.usage = entry["usage"]
    _keep(state, entry)
    if outcome is not None:
        if outcome is not state.outcome:
            state.reported = False
        state.outcome, state.ended_at = outcome, state.ended_at or at
        state.error = _error(entry.get("error"))


def _outcome(entry: Mapping[str, Any]) -> Outcome | None:
    try:
        outcome = Outcome(entry.get("outcome"))
    except ValueError:
        return None
    return outcome if outcome.of_the_task else None


def _error(value: Any) -> dict[str, Any] | None:
    """An error as ours are: a journal from elsewhere may hold a million characters, or a list for a word."""
    if not isinstance(value, dict):
        return None
    told = {
        name: item[:MAX_ERROR_TEXT] if isinstance(item, str) else item
        for name, item in value.items()
        if _is_of_an_error(str(name), item)
    }
    return told if "category" in told else {"category": Category.UNKNOWN.value, **told}


def _is_of_an_error(name: str, value: Any) -> bool:
    if name == "category":
        return value in _CATEGORIES
    if name in ("message", "expected", "hint", "server_message", "code"):
        return isinstance(value, str)
    if name == "http_status":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, str) or len(str(value)) <= MAX_ERROR_TEXT


def _number(value: Any) -> float | None:
    """A number that times and amounts can be: a journal may have been edited by anybody."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if -1e11 < value < 1e11 else None


def _is_output(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        return False
    return all(isinstance(entry.get(name), (str, type(None))) for name in ("url", "content_path"))


def _files(found: Any) -> list[dict[str, Any]]:
    """Results in the run's own folder. What else a journal names is no result: it would be copied by --output."""
    numbers = ("bytes", "duration_s", "width", "height")
    return [
        {name: value for name, value in entry.items() if name not in numbers or _number(value) is not None}
        for entry in (found[:MAX_FILES] if isinstance(found, list) else ())
        if isinstance(entry, dict)
        and isinstance(entry.get("kind"), str)
        and isinstance(entry.get("path"), str)
        and _OWN_PATH.fullmatch(entry["path"])
    ]
