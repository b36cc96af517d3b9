"""The catalogues that ship with the skill: shared/catalogue/<provider>.json, what documentation says of each model."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from videotasks.core import skill_folder
from videotasks.providers.load_profile import catalogue_document
from videotasks.providers.profile import Model, build_model

if TYPE_CHECKING:
    from dataclasses import dataclass as record

    from videotasks.providers.profile import Profile
else:
    from videotasks.providers.record import record


@record(frozen=True)
class Catalogue:
    """One provider's models, where they were read and when (an ISO date)."""

    provider: str
    generated_from: str
    date: str
    models: tuple[Model, ...]


def folder() -> Path:
    return skill_folder.skill_folder() / "shared" / "catalogue"


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
    return Catalogue(
        provider=provider,
        generated_from=str(document.get("generated_from")),
        date=str(document.get("date")),
        models=tuple(build_model(f"catalogue of {provider}", one) for one in document["models"]),
    )
