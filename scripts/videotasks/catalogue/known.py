"""Where a model's fields come from, in order: the user's specification, the shipped catalogue, the profile.

A catalogue is shared/catalogue/<provider>.json: what documentation says of each model.
"""

from __future__ import annotations

from functools import cache

from videotasks.core.record import record
from videotasks.providers.known_model import CATALOGUE, SPECIFICATION, Known
from videotasks.providers.load_profile import catalogue_document
from videotasks.providers.profile import Model, Profile, build_part, find_model


@record(frozen=True)
class Catalogue:
    """One provider's models, where they were read and when (an ISO date)."""

    generated_from: str
    date: str
    models: tuple[Model, ...]


def catalogue_of(profile: Profile) -> Catalogue | None:
    """The shipped catalogue of a shipped provider; None where there is none. A foreign profile has only its own.

    Raises TaskError that names what is wrong in the file.
    """
    return None if profile.foreign else _read(profile.name)


@cache
def _read(provider: str) -> Catalogue | None:
    document = catalogue_document(provider)
    if document is None:
        return None
    models = tuple(build_part(f"catalogue of {provider}", "models", Model, one) for one in document["models"])
    return Catalogue(str(document.get("generated_from")), str(document.get("date")), models)


def known_model(
    profile: Profile, model: str | None, *, openapi: str | None = None, endpoint: str | None = None
) -> Known:
    """What is known of `model`, whose create goes to `endpoint`.

    Raises SpecError when the specification `openapi` (a file or an https URL) cannot be used.
    """
    catalogue = catalogue_of(profile)
    listed = catalogue.models if catalogue else ()
    ids = tuple(dict.fromkeys([*(one.id for one in listed), *(one.id for one in profile.models)]))
    if openapi and endpoint:
        from videotasks.catalogue.specification import model_of_operation
        from videotasks.openapi.document import load
        from videotasks.openapi.operations import find

        if made := model_of_operation(profile, model or "", find(load(openapi), endpoint)):
            return Known(model=made, source=SPECIFICATION, where=openapi, ids=ids, validated_later=True)
    if catalogue and (found := find_model(listed, model)):
        where = f"{catalogue.generated_from.rstrip('/')}/{found.page}" if found.page else catalogue.generated_from
        return Known(model=found, source=CATALOGUE, where=where, date=catalogue.date, ids=ids)
    if found := profile.model_info(model):
        read = profile.models_read
        where = read.generated_from if read else f"the profile {profile.name}"
        return Known(model=found, source=CATALOGUE, where=where, date=read.date if read else None, ids=ids)
    return Known(ids=ids)
