"""What can go wrong and every way in which a command can end: categories, exit codes, their words."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum
from typing import Any

from videotasks.core.record import record
from videotasks.core.safe_text import inert


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

    @classmethod
    def of_signal(cls, signum: int) -> ExitCode:
        """SIGHUP counts as an interrupt, too: the run goes on by `next`."""
        return cls.SIGTERM if signum == 15 else cls.SIGINT


EXIT_OF_CATEGORY: Mapping[Category, ExitCode] = {
    **{category: ExitCode[category.name] for category in Category if category.name in ExitCode.__members__},
    Category.RATE_LIMITED: ExitCode.TRANSIENT,
    Category.GENERATION_FAILED: ExitCode.TASK_ENDED,
    Category.CANCELLED: ExitCode.TASK_ENDED,
    Category.EXPIRED: ExitCode.TASK_ENDED,
    Category.DOWNLOAD_FAILED: ExitCode.NO_RESULT,
    Category.TIMEOUT: ExitCode.NOT_FINISHED,
    Category.INTERRUPTED: ExitCode.SIGINT,
}


@record(frozen=True)
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


def said_by_the_api(error: ApiError, message: str, *, category: Category | None = None, **more: Any) -> TaskError:
    """An ApiError as the end of a command: `message` in our words, the server's kept apart."""
    return TaskError(
        category or error.category,
        message,
        code=error.code,
        server_message=error.message or None,
        http_status=error.http_status,
        **more,
    )


SERVER_TEXT_LIMIT = 500  # in an event; the whole is in result.json


def error_fields(error: TaskError, limit: int = SERVER_TEXT_LIMIT) -> dict[str, Any]:
    """A TaskError as the `error` object of a line or of result.json."""
    fields: dict[str, Any] = {"category": error.category.value, "message": error.message}
    for name in ("expected", "hint", "code", "http_status"):
        value = getattr(error, name)
        if value is not None:
            fields[name] = inert(value, 200) if name == "code" else value
    if error.server_message:
        fields["server_message"] = inert(error.server_message, limit)
    fields.update(error.details)
    return fields


def api_error_fields(error: ApiError | None, limit: int = SERVER_TEXT_LIMIT) -> dict[str, Any] | None:
    """An ApiError as an `error` object: the server's words only in `server_message`, escaped and cut."""
    if error is None:
        return None
    told = TaskError(
        error.category,
        category_message(error.category),
        code=error.code,
        http_status=error.http_status,
        server_message=error.message,
    )
    return error_fields(told, limit)


def category_message(category: Category) -> str:
    """Our own plain words for a category: what people are told when the server's words may not lead them."""
    return {
        Category.INSUFFICIENT_CREDITS: "the account has not enough credits",
        Category.AUTH: "the API did not accept the key",
        Category.PERMISSION: "the key is not allowed to do this",
        Category.VALIDATION: "the API did not accept the request as it is",
        Category.MODERATION: "the provider's content rules refused the request or its result",
        Category.NOT_FOUND: "the API does not know this task or endpoint",
        Category.RATE_LIMITED: "the API asks to slow down",
        Category.TRANSIENT: "the API had a passing fault",
        Category.GENERATION_FAILED: "the generation failed at the provider",
        Category.CANCELLED: "the task was cancelled",
        Category.EXPIRED: "the task expired at the provider before it was done",
        Category.NO_RESULT: "the task succeeded, but the API names no result",
        Category.DOWNLOAD_FAILED: "the video was made, but could not be downloaded",
    }.get(category, "the API reported an error")
