"""Where a model's fields come from, in order: the user's specification, the shipped catalogue, the profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from videotasks.catalogue import shipped
from videotasks.providers.known_model import CATALOGUE, SPECIFICATION, Known
from videotasks.providers.profile import find_model

if TYPE_CHECKING:
    from videotasks.providers.profile import Profile


def known_model(
    profile: Profile, model: str | None, *, openapi: str | None = None, endpoint: str | None = None
) -> Known:
    """What is known of `model`, whose create goes to `endpoint`.

    Raises SpecError when the specification `openapi` (a file or an https URL) cannot be used.
    """
    catalogue = shipped.catalogue_of(profile)
    listed = catalogue.models if catalogue else ()
    ids = tuple(dict.fromkeys([*(one.id for one in listed), *(one.id for one in profile.models)]))
    if openapi and endpoint:
        from videotasks.catalogue import specification
        from videotasks.openapi.document import load

        if made := specification.model_of(profile, model or "", load(openapi), endpoint):
            return Known(model=made, source=SPECIFICATION, where=openapi, ids=ids, validated_later=True)
    if catalogue and (found := find_model(listed, model)):
        where = f"{catalogue.generated_from.rstrip('/')}/{found.page}" if found.page else catalogue.generated_from
        return Known(model=found, source=CATALOGUE, where=where, date=catalogue.date, ids=ids)
    if found := profile.model_info(model):
        read = profile.models_read
        where = read.generated_from if read else f"the profile {profile.name}"
        return Known(model=found, source=CATALOGUE, where=where, date=read.date if read else None, ids=ids)
    return Known(ids=ids)
