"""What is known of one model and who says so: found by the catalogue, handed as data to what builds the request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as record

    from videotasks.providers.profile import Model
else:
    from videotasks.providers.record import record

SPECIFICATION, CATALOGUE, CONVENTION, NOTHING = "specification", "catalogue", "convention", "nothing"


@record(frozen=True)
class Known:
    """`model` None: nobody documents it. `where` is a file or an address, `date` an ISO date; `ids` are all known."""

    model: Model | None = None
    source: str = NOTHING
    where: str | None = None
    date: str | None = None
    ids: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # of the sources: how old, how they differ
    validated_later: bool = False  # the whole body is held against the specification itself before it is sent
