"""The one exception that loading and reading a specification may end with."""

from __future__ import annotations


class SpecError(Exception):
    """Bad input, said once: what is wrong (the message), what was expected, and what to do next.

    `category` is one of ours (`configuration`, `validation`, `not_found`); `detail` goes into the error as it is.
    """

    def __init__(
        self,
        message: str,
        *,
        expected: str = "",
        next_step: str = "",
        category: str = "configuration",
        detail: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.next_step = next_step
        self.category = category
        self.detail = detail or {}

    def as_dict(self) -> dict[str, object]:
        return {"category": self.category, "message": self.message, "expected": self.expected, **self.detail}
