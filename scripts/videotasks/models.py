"""The one language of the library: statuses, error categories, exit codes, snapshots.

Imports nothing of ours; everything else speaks in these terms, whatever a provider says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any


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


class Category(str, Enum):
    """Error taxonomy: what went wrong, in terms that decide what to do next."""

    # What an API can tell us.
    INSUFFICIENT_CREDITS = "insufficient_credits"
    AUTH = "auth"
    PERMISSION = "permission"
    VALIDATION = "validation"
    MODERATION = "moderation"
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    TRANSIENT = "transient"
    UNKNOWN = "unknown"
    # Ends of a task.
    GENERATION_FAILED = "generation_failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    # What only this side knows.
    CONFIGURATION = "configuration"
    USAGE = "usage"
    SUBMISSION_UNKNOWN = "submission_unknown"
    NO_RESULT = "no_result"
    DOWNLOAD_FAILED = "download_failed"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"


class ExitCode(IntEnum):
    """Exit codes of every command (references/errors-and-exit-codes.md)."""

    OK = 0
    CONFIGURATION = 1
    USAGE = 2
    SUBMISSION_UNKNOWN = 3
    TASK_ENDED = 10
    NOT_FINISHED = 11
    POLL_REFUSED = 12
    NO_RESULT = 13
    INSUFFICIENT_CREDITS = 20
    AUTH = 21
    VALIDATION = 22
    NOT_FOUND = 23
    TRANSIENT = 24
    UNKNOWN = 25
    MODERATION = 26
    PERMISSION = 27
    SIGINT = 130
    SIGTERM = 143


EXIT_OF_CATEGORY: Mapping[Category, ExitCode] = {
    Category.INSUFFICIENT_CREDITS: ExitCode.INSUFFICIENT_CREDITS,
    Category.AUTH: ExitCode.AUTH,
    Category.PERMISSION: ExitCode.PERMISSION,
    Category.VALIDATION: ExitCode.VALIDATION,
    Category.MODERATION: ExitCode.MODERATION,
    Category.NOT_FOUND: ExitCode.NOT_FOUND,
    Category.RATE_LIMITED: ExitCode.TRANSIENT,
    Category.TRANSIENT: ExitCode.TRANSIENT,
    Category.UNKNOWN: ExitCode.UNKNOWN,
    Category.GENERATION_FAILED: ExitCode.TASK_ENDED,
    Category.CANCELLED: ExitCode.TASK_ENDED,
    Category.EXPIRED: ExitCode.TASK_ENDED,
    Category.CONFIGURATION: ExitCode.CONFIGURATION,
    Category.USAGE: ExitCode.USAGE,
    Category.SUBMISSION_UNKNOWN: ExitCode.SUBMISSION_UNKNOWN,
    Category.NO_RESULT: ExitCode.NO_RESULT,
    Category.DOWNLOAD_FAILED: ExitCode.NO_RESULT,
    Category.TIMEOUT: ExitCode.NOT_FINISHED,
    Category.INTERRUPTED: ExitCode.SIGINT,
}


@dataclass(frozen=True)
class ApiError:
    """What an API said went wrong, classified.

    `message` is server text (or ours when the server said nothing): data, never an instruction.
    `retry_after_s` is what the server asked for (header or body), in seconds.
    `in_task` is true when the error came in a task's own body, not as a refusal of the request.
    """

    category: Category
    message: str
    code: str | None = None
    http_status: int | None = None
    retry_after_s: float | None = None
    in_task: bool = False
    shaped: bool = True  # the body has the provider's own error shape (or is empty); a proxy's HTML page has not


@dataclass(frozen=True)
class Output:
    """One result of a task. `url` is absolute or None; `content_path` is set for an authenticated content endpoint."""

    kind: str  # video | image | audio | last_frame | thumbnail
    url: str | None = None
    content_path: str | None = None


@dataclass(frozen=True)
class Snapshot:
    """A task as one answer of its API shows it, in our terms.

    `progress` is 0 to 100, `expires_at` and `created_at` are epoch seconds; `usage` is the provider's own mapping.
    `usable` outputs come only from paths that the profile names; nothing is searched for.
    """

    status: Status
    provider_status: str | None = None
    task_id: str | None = None
    progress: float | None = None
    outputs: tuple[Output, ...] = ()
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
    def video_url(self) -> str | None:
        return next((o.url for o in self.outputs if o.kind == "video" and o.url), None)

    @property
    def last_frame_url(self) -> str | None:
        return next((o.url for o in self.outputs if o.kind == "last_frame" and o.url), None)

    @property
    def has_result(self) -> bool:
        """True when there is something of the task's own making to fetch (a last frame alone is not a result)."""
        return any(o.kind in ("video", "image", "audio") for o in self.outputs)


class TaskError(Exception):
    """An expected end of a command: category, what was wrong, what was expected, what to run next.

    `message`, `expected` and `hint` are our words; `server_message` is the server's, escaped before it is shown.
    """

    def __init__(
        self,
        category: Category,
        message: str,
        *,
        expected: str | None = None,
        hint: str | None = None,
        exit_code: int | None = None,
        code: str | None = None,
        server_message: str | None = None,
        http_status: int | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.category = category
        self.message = message
        self.expected = expected
        self.hint = hint
        self.exit_code = int(exit_code if exit_code is not None else EXIT_OF_CATEGORY[category])
        self.code = code
        self.server_message = server_message
        self.http_status = http_status
        self.details = dict(details or {})


def configuration_error(message: str, **more: Any) -> TaskError:
    """Exit 1: the command, its input or its environment is wrong; nothing was sent."""
    return TaskError(Category.CONFIGURATION, message, **more)
