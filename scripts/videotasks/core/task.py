"""A task in our own terms, whatever a provider says: its status, its outputs, its id."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from videotasks.core.errors import ApiError, ExitCode, configuration_error
from videotasks.core.record import field, record


class Status(str, Enum):
    """Canonical status of a task. `unknown` is never terminal: it keeps waiting until the deadline."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.EXPIRED})


class Outcome(str, Enum):
    """How a task ended, or (REFUSED, TIMEOUT) how the wait for a task that goes on ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    NO_RESULT = "no_result"  # the provider says succeeded and names no result
    REFUSED = "refused"
    TIMEOUT = "timeout"

    @property
    def exit_code(self) -> ExitCode:
        return _EXIT_CODES.get(self, ExitCode.TASK_ENDED)

    @property
    def without_video(self) -> bool:
        """The task is over and made nothing: the same command may pay again once that was reported."""
        return self in (Outcome.FAILED, Outcome.CANCELLED, Outcome.EXPIRED)

    @property
    def of_the_task(self) -> bool:
        return self not in (Outcome.REFUSED, Outcome.TIMEOUT)


_EXIT_CODES: Mapping[Outcome, ExitCode] = {
    Outcome.SUCCEEDED: ExitCode.OK,
    Outcome.NO_RESULT: ExitCode.NO_RESULT,
    Outcome.REFUSED: ExitCode.POLL_REFUSED,
    Outcome.TIMEOUT: ExitCode.NOT_FINISHED,
}


class Phase(str, Enum):
    """Where a run's create stands: SUBMITTED means that there is a task id."""

    NEW = "new"
    SUBMITTING = "submitting"
    SUBMISSION_UNKNOWN = "submission_unknown"
    REFUSED = "refused"
    SUBMITTED = "submitted"

    @property
    def in_doubt(self) -> bool:
        """A byte of the request may have left, and no id is known."""
        return self in (Phase.SUBMITTING, Phase.SUBMISSION_UNKNOWN)


@record(frozen=True)
class Output:
    """One result of a task.

    `url` is absolute, an address of an object store that only its owner can fetch from (gs://...), or None;
    `content_path` is set for the API's content endpoint, which wants the key; `fallback_path` is that endpoint beside a
    link of another place. `data` is a file that stood in the answer itself. `found_by` says `guess` of a link that no
    path of the profile names.
    """

    kind: str  # video | image | audio | last_frame | thumbnail
    url: str | None = None
    content_path: str | None = None
    fallback_path: str | None = None
    data: bytes | None = field(default=None, repr=False)
    found_by: str | None = None

    def entry(self) -> dict[str, Any]:
        """As journal and result.json keep it: the bytes of a file are told by their number."""
        told: dict[str, Any] = {"kind": self.kind, "url": self.url, "content_path": self.content_path}
        size = len(self.data) if self.data is not None else None
        more = {"fallback_path": self.fallback_path, "found_by": self.found_by, "inline_bytes": size}
        return told | {name: value for name, value in more.items() if value is not None}

    @staticmethod
    def of_entry(entry: Mapping[str, Any]) -> Output:
        def text(name: str) -> str | None:
            value = entry.get(name)
            return value if isinstance(value, str) else None

        kind, place = str(entry.get("kind")), text("url")
        return Output(kind, place, text("content_path"), text("fallback_path"), found_by=text("found_by"))


@record(frozen=True)
class Snapshot:
    """A task as one answer of its API shows it, in our terms.

    `progress` is 0 to 100, `expires_at` and `created_at` are epoch seconds; `usage` is the provider's own mapping.
    Outputs come only from paths that the profile names. `guesses` are the other links of a success whose paths gave
    nothing, for whoever can look at what is behind them.
    """

    status: Status
    provider_status: str | None = None
    task_id: str | None = None
    progress: float | None = None
    outputs: tuple[Output, ...] = ()
    guesses: tuple[Output, ...] = ()
    usage: Mapping[str, Any] | None = None
    cost: float | None = None
    cost_unit: str | None = None
    expires_at: float | None = None
    created_at: float | None = None
    error: ApiError | None = None
    needs_result_fetch: bool = False  # succeeded, but the result is behind a second request (profile result.fetch)
    follow: Mapping[str, str] = field(default_factory=dict)  # URLs the API gave for this task (status_url, ...)
    warnings: tuple[str, ...] = ()
    raw: Any = None

    @property
    def has_result(self) -> bool:
        """True when there is something of the task's own making to fetch (a last frame alone is not a result)."""
        return any(o.kind in ("video", "image", "audio") for o in self.outputs)


MAX_ID = 4096  # gateways pack provider, model and a cloud operation's name into their ids


def valid_task_id(value: object) -> str | None:
    """The id as text, or None: booleans, containers, empty, over-long, unprintable and dot ids are no ids.

    The one rule: what is taken from an answer is what a command takes back.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        value = str(value) if 0 <= value < 10**100 else ""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID or value in (".", ".."):
        return None
    return value if value.isprintable() and value == value.strip() else None


def require_task_id(value: object) -> str:
    """A task id as a user gave it, blanks around it left out. Raises TaskError."""
    text = valid_task_id(value.strip() if isinstance(value, str) else value)
    if text is None:
        raise configuration_error(
            "that is no task id", expected=f"1 to {MAX_ID:,} printable characters, as the provider gave it"
        )
    return text
