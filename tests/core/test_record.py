"""Records do what the standard library's data classes do, as type checkers take them for those."""

from __future__ import annotations

import dataclasses
from typing import Any

from videotasks.core import record as records


def classes(record: Any, field: Any) -> tuple[Any, Any]:
    @record(frozen=True)
    class Fixed:
        name: str
        size: int = 3
        secret: str = field(default="none", repr=False)

        @property
        def double(self) -> int:
            return 2 * self.size

    @record
    class Open:
        name: str
        parts: list[int] = field(default_factory=list)

    return Fixed, Open


def told(make: Any, replace: Any) -> list[Any]:
    """What two classes do, as plain values; an error by its kind."""
    fixed, open_ = make

    def outcome(call: Any) -> Any:
        try:
            return call()
        except Exception as error:
            return [kind.__name__ for kind in (TypeError, AttributeError) if isinstance(error, kind)]

    one, box = fixed("a", secret="s"), open_("b")
    box.parts.append(1)
    box.name = "c"
    return [
        (one.name, one.size, one.secret, one.double, vars(one)),
        (one == fixed("a", 3, "s"), one != fixed("a"), one == ("a", 3, "s"), hash(one) == hash(fixed("a", 3, "s"))),
        repr(one).partition(".<locals>.")[2] or repr(one),
        (vars(box), open_("b").parts, replace(box, name="d").parts is box.parts, vars(replace(one, size=9))),
        [outcome(lambda: setattr(one, "size", 4)), outcome(lambda: delattr(one, "size")), outcome(lambda: hash(box))],
        [outcome(lambda: fixed()), outcome(lambda: fixed("a", nme=1)), outcome(lambda: fixed("a", name="b"))],
        [outcome(lambda: fixed("a", 1, "b", 2)), outcome(lambda: replace(one, sze=1))],
    ]


def test_a_record_is_a_data_class() -> None:
    ours = told(classes(records.record, records.field), records.replace)
    theirs = told(classes(dataclasses.dataclass, dataclasses.field), dataclasses.replace)
    assert [ours[0], *ours[3:]] == [theirs[0], *theirs[3:]] and ours[1] == theirs[1]
    assert ours[2] == theirs[2].replace("classes.<locals>.", "") == "Fixed(name='a', size=3)"


def test_a_record_may_be_itself_alone() -> None:
    @records.record(eq=False)
    class Ticket:
        number: int = 1

    first = Ticket()
    assert first != Ticket() and len({first, Ticket()}) == 2
