"""One option, many spellings: each member gets its own type and word."""

from __future__ import annotations

from typing import Any

import pytest

from videotasks.formats.scalars import seconds
from videotasks.request.members import fitted


@pytest.mark.parametrize(
    ("name", "given", "member", "sent"),
    [
        ("duration", 5, {"type": "integer"}, 5),
        ("duration", 5, {}, 5),
        ("duration", 5, {"type": "string"}, "5"),
        ("duration", 5, {"type": "string", "default": "8s"}, "5s"),
        ("duration", 5, {"type": "string", "values": ["5", "10"]}, "5"),
        ("duration", 8, {"type": "string", "values": ["4s", "6s", "8s"]}, "8s"),
        ("duration", 5, {"type": "integer", "values": [5, 10]}, 5),
        ("duration", 7.5, {"type": "number"}, 7.5),
        ("duration", "auto", {"values": ["auto", "5"]}, "auto"),
        ("duration", 9, {"type": "string", "values": ["5", "10"]}, "9"),
        ("ratio", "9x16", {"values": ["16:9", "9:16"]}, "9:16"),
        ("ratio", "9/16", {"values": ["16:9", "9:16"]}, "9:16"),
        ("ratio", "21:9", {"values": ["16:9", "9:16"]}, "21:9"),
        ("ratio", "Auto", {"values": ["auto"]}, "auto"),
        ("resolution", "720", {"values": ["720p", "1080p"]}, "720p"),
        ("resolution", "768p", {"values": ["512P", "768P"]}, "768P"),
        ("resolution", "4K", {"values": ["1K", "4K"]}, "4K"),
        ("seed", 7, {"type": "string"}, "7"),
        ("seed", 7, {"type": "integer", "values": [True, 7]}, 7),
    ],
)
def test_a_value_becomes_what_the_member_wants(name: str, given: Any, member: dict[str, Any], sent: Any) -> None:
    made = fitted(name, given, member)
    assert made == sent and type(made) is type(sent)


@pytest.mark.parametrize(("text", "found"), [("5", 5), ("5s", 5), ("5 sec", 5), (4, 4), ("7.5s", 7.5), ("x", None)])
def test_seconds(text: Any, found: float | None) -> None:
    assert seconds(text) == found
