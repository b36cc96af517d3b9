"""The catalogues that ship with the skill: shared/catalogue/<provider>.json, what documentation says of each model.

JSON, because a catalogue is refreshed by a program, and because the 65 models of one provider are read in a
millisecond so; as YAML they take 330.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videotasks.core import skill_folder
from videotasks.core.errors import configuration_error
from videotasks.providers.profile import Model, build_model

if TYPE_CHECKING:
    from dataclasses import dataclass as record

    from videotasks.providers.profile import Profile
else:
    from videotasks.providers.record import record

MAX_CATALOGUE_BYTES = 4_000_000


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
    """The shipped catalogue of a shipped provider; None where there is none. A foreign profile has only its own."""
    return None if profile.foreign else _read(profile.name)


@cache
def _read(provider: str) -> Catalogue | None:
    path = folder() / f"{provider}.json"
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_CATALOGUE_BYTES))
    except OSError:
        return None
    except ValueError as error:
        raise configuration_error(f"the catalogue {path} is broken: {error}", expected="JSON") from None
    return build_catalogue(document, str(path))


def build_catalogue(document: Any, where: str) -> Catalogue:
    """A catalogue from its JSON. Raises TaskError that names what is wrong."""
    if not isinstance(document, dict) or not isinstance(document.get("models"), list):
        raise configuration_error(f"the catalogue {where} is broken", expected="a list of models")
    return Catalogue(
        provider=str(document.get("provider")),
        generated_from=str(document.get("generated_from")),
        date=str(document.get("date")),
        models=tuple(build_model(where, one) for one in document["models"]),
    )
