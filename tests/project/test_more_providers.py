"""references/more-providers.md says of each profile that nobody has paid for what its YAML says, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from videotasks.providers.load_profile import load_profile, shipped_names
from videotasks.providers.profile import Profile

PAGE = Path(__file__).resolve().parents[2] / "references" / "more-providers.md"
UNTRIED = [name for name in shipped_names() if not load_profile(name).tried]
MEDIA = ("image", "video", "audio")


def takes(profile: Profile) -> str:
    """What a video can be made from, over all kinds."""
    found: list[str] = ["text"]
    for kind in profile.kinds:
        local = profile.for_kind(kind)
        for medium in MEDIA:
            spec = local.inputs.get(medium)
            if spec:
                found += [f"{medium} {role}".replace("_", " ") for role in spec.get("roles") or ()] or [medium]
    return ", ".join(dict.fromkeys(found))


def files(profile: Profile) -> str:
    ways = []
    for kind in profile.kinds:
        for medium in MEDIA:
            spec = profile.for_kind(kind).inputs.get(medium) or {}
            if spec.get("file"):
                ways.append(str(spec["file"]["how"]).replace("_", " "))
    return ", ".join(dict.fromkeys(ways)) or "links only"


def bounds(profile: Profile) -> str:
    """Ids of the documented models with their lengths."""
    told = []
    for kind in profile.kinds:
        for model in profile.for_kind(kind).models:
            limit = model.limits.get("duration") or {}
            length = "/".join(map(str, limit.get("enum") or ())) or (f"{limit['min']}-{limit['max']}" if limit else "")
            told.append(f"`{model.id}`" + (f" ({length} s)" if length else ""))
    names = list(dict.fromkeys(told))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    read = f", read on {profile.models_read.date}" if profile.models_read else ""
    return (", ".join(names[:SHOWN]) or "–") + more + read


SHOWN = 6  # of a provider's models: list_models.py has all


def calls(profile: Profile) -> str:
    cancel = f"cancel ({' or '.join(profile.cancel.only_when)})" if profile.cancel else None
    free = ["list" if profile.list else None, "balance" if profile.credits else None]
    return ", ".join(one for one in (cancel, *free) if one) or "–"


def rests_on(profile: Profile) -> str:
    told = profile.basis["all"]
    guesses = [name for name, one in profile.basis.items() if one["is"] == "guess"]
    text = f"{told['is'].replace('_', ' ')}: {told['source']}, {told['date']}"
    return text + (f"; guessed: {', '.join(guesses)}" if guesses else "")


def section(name: str) -> str:
    """The part of the page about one provider."""
    profile = load_profile(name)
    keys = " or ".join(f"`{variable}`" for variable in profile.auth.env)
    kinds = [kind for kind in profile.kinds if kind != profile.kind]
    chosen = dict(profile.kinds_when())
    lines = [
        f"## {profile.title}",
        "",
        f"`--provider {name}`; key {keys} from {profile.auth.key_url}",
        "",
        f"- origin: `{profile.base_url}`"
        + (f" (yours by `{profile.base_url_env}`)" if profile.base_url_required else ""),
        f"- makes from: {takes(profile)}; local files: {files(profile)}",
        f"- models: {bounds(profile)}",
        f"- other calls: {calls(profile)}",
    ]
    if kinds:
        told = [
            f"`{kind}`" + (f" when {' and '.join(chosen[kind])} is given" if kind in chosen else "") for kind in kinds
        ]
        lines.append(f"- kinds beside `{profile.kind}`: {', '.join(told)}")
    if profile.idempotency is not None:
        lines.append(f"- a create of the same value: {profile.idempotency.on_reuse}")
    lines.append(f"- rests on {rests_on(profile)}")
    return "\n".join(lines)


@pytest.mark.parametrize("name", UNTRIED)
def test_the_page_says_what_the_profile_says(name: str) -> None:
    assert section(name) in PAGE.read_text(encoding="utf-8"), f"it should be:\n{section(name)}"
