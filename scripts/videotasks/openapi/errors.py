"""The one exception that loading and reading a specification may end with."""

from __future__ import annotations

from typing import Any

from videotasks.core.errors import Category, TaskError


class SpecError(TaskError):
    """Bad input, said once: what is wrong (the message), what was expected, and what to do next. Exit code 1."""

    def __init__(
        self,
        message: str,
        *,
        expected: str | None = None,
        next_step: str | None = None,
        category: str = "configuration",
        detail: dict[str, Any] | None = None,
    ) -> None:
        hint = next_step or None
        super().__init__(Category(category), message, expected=expected, hint=hint, exit_code=1, details=detail)
