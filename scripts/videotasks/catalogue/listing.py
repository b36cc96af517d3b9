"""Models as rows: what people compare before they choose one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from videotasks.catalogue import known, prices
from videotasks.providers.known_model import in_words
from videotasks.providers.profile import Model, Profile, find_model

MEDIA_WORDS = (
    ("image.first_frame", "first frame"),
    ("image.last_frame", "last frame"),
    ("image.reference", "reference images"),
    ("image", "image"),
    ("video", "video"),
    ("video.reference", "reference videos"),
    ("audio", "audio"),
    ("audio.reference", "reference audio"),
)


def models_of(profile: Profile) -> Iterator[tuple[Profile, Model, str, str | None]]:
    """Every known model of a provider, in each of its kinds, with its source and that source's date."""
    seen: set[tuple[str, str]] = set()
    catalogue = known.catalogue_of(profile)
    for model in catalogue.models if catalogue else ():
        seen.add((profile.kind, model.id))
        yield profile, model, catalogue.generated_from if catalogue else "", catalogue.date if catalogue else None
    for kind in profile.kinds:
        local = profile.for_kind(kind)
        for model in local.models:
            if (kind, model.id) not in seen and (profile.kind, model.id) not in seen:
                seen.add((kind, model.id))
                read = local.models_read
                where = read.generated_from if read else f"profile {profile.name}"
                yield local, model, where, read.date if read else None


def row(profile: Profile, model: Model, source: str, date: str | None) -> dict[str, Any]:
    """One model in a line."""
    made: dict[str, Any] = {
        "id": model.id,
        "provider": profile.name,
        "kind": profile.kind if len(profile.kinds) > 1 else None,
        "makes": model.makes if model.makes != "video" else None,
        "takes": takes(profile, model),
        "sound": sound(model),
        "seconds": lengths(model),
        "ratios": words(model.allowed("ratio")),
        "resolutions": words(model.allowed("resolution")),
        **_price(profile, model, date),
        "source": source,
        "date": date,
        "inferred_from": model.inferred_from,
        "note": model.note,
        "tried": None if profile.tried else False,
    }
    return {name: value for name, value in made.items() if value is not None and value != []}


def _price(profile: Profile, model: Model, date: str | None) -> dict[str, str]:
    """What the user's own list says it costs, else what was printed on that day."""
    if own := prices.own_rule(profile.name, model.id):
        return {"price": in_words(own[0]) or "", "price_source": own[1]}
    printed = in_words(model.price) if model.price else None
    if not model.price or not printed:
        return {}
    return {"price": printed, "price_source": f"printed, read on {model.price.get('date', date)}"}


def takes(profile: Profile, model: Model) -> list[str]:
    """`text`, `first frame` ...: what a video can be made from; of a model without names of its own, as its id says."""
    if model.fields is not None:
        keys = set(model.fields)
    elif said := [keys for pattern, keys in _IN_IDS if re.search(pattern, model.id)]:
        keys = said[0]
    else:
        keys = set[str]().union(*(_keys(one) for one in _in_every_kind(profile, model)))
    return (["text"] if "prompt" in keys else []) + [word for key, word in MEDIA_WORDS if key in keys]


_IN_IDS = (
    (r"(image-to-video|[/-]i2v)", {"prompt", "image.first_frame"}),
    (r"(reference-to-video|[/-]r2v)", {"prompt", "image.reference"}),
    (r"(first-last|[/-]kf2v)", {"prompt", "image.first_frame", "image.last_frame"}),
    (r"(video-to-video|[/-]v2v)", {"prompt", "video"}),
    (r"(text-to-video|[/-]t2v)", {"prompt"}),
)


def _keys(profile: Profile) -> set[str]:
    """The inputs whose place the profile itself knows: where names differ by model, nothing is said of this one."""
    found = {"prompt"} if profile.inputs.get("prompt") else set()
    for kind in ("image", "video", "audio"):
        spec = profile.inputs.get(kind) or {}
        roles = {f"{kind}.{role}": {**spec, **(told or {})} for role, told in (spec.get("roles") or {}).items()}
        found |= {key for key, told in (roles or {kind: spec}).items() if told.get("to")}
    return found


def _in_every_kind(profile: Profile, model: Model) -> Iterator[Profile]:
    """The profile, and those of its kinds that the inputs choose and that have this model."""
    yield profile
    for kind, _ in profile.kinds_when():
        if kind != profile.kind and find_model((local := profile.for_kind(kind)).models, model.id):
            yield local


def sound(model: Model) -> str | None:
    """Whether it makes sound, by its own switch: on or off unless told otherwise."""
    for name in ("generate_audio", "enable_audio", "audio"):
        member = model.members.get(name)
        if member is not None and member.get("type") == "boolean":
            default = member.get("default")
            return f"--set {name}=..." + ("" if default is None else f" ({'on' if default else 'off'} by default)")
    return None


def lengths(model: Model) -> str | None:
    limit = model.allowed("duration")
    if isinstance(limit, Mapping):
        if limit.get("enum"):
            return ", ".join(f"{one:g}" if isinstance(one, (int, float)) else str(one) for one in limit["enum"])
        if limit.get("max") is not None:
            return f"{limit.get('min', 1):g} to {limit['max']:g}"
    to = (model.fields or {}).get("duration")
    default = model.members.get(to or "", {}).get("default")
    return f"{default} by default" if default is not None else None


def words(values: Any) -> list[str]:
    return [str(one) for one in values] if isinstance(values, (list, tuple)) else []


def matches(profile: Profile, model: Model, wanted: str) -> bool:
    """Whether every word stands in the model's id, note or provider, whatever the case and the separators."""
    text = " ".join([model.id, model.note or "", profile.name, profile.title, *model.match]).casefold()
    plain = "".join(ch for ch in text if ch.isalnum())
    return all(
        word in text or "".join(ch for ch in word if ch.isalnum()) in plain for word in wanted.casefold().split()
    )


def described(profile: Profile, model: Model, source: str, date: str | None) -> dict[str, Any]:
    """One model with every member of its body, and what each common option becomes."""
    fields = model.fields
    options = {
        "--" + key.replace(".", " ", 1) + ("=..." if "." in key else ""): to.replace("[+]", "")
        for key, to in (fields or {}).items()
    }
    return {
        **row(profile, model, source, date),
        "page": model.page,
        "options": options,
        "members": {name: dict(one) for name, one in model.members.items()},
        "limits": dict(model.limits),
        "variants": dict(model.variants) if model.variants else None,
        "partial": model.partial or None,
    }
