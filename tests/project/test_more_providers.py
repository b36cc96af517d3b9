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


def calls(profile: Profile) -> str:
    cancel = f"cancel ({' or '.join(profile.cancel.only_when)})" if profile.cancel else None
    free = ["list" if profile.list else None, "balance" if profile.credits else None]
    return ", ".join(one for one in (cancel, *free) if one) or "–"


def rests_on(profile: Profile) -> str:
    told = profile.basis["all"]
    guesses = [name for name, one in profile.basis.items() if one["is"] == "guess"]
    text = f"{told['is'].replace('_', ' ')}: {told['source']}, {told['date']}"
    return text + (f"; guessed: {', '.join(guesses)}" if guesses else "")


def row(name: str) -> str:
    """The line of the page about one provider. Models and lengths are list_models.py's to tell."""
    profile = load_profile(name)
    keys = " or ".join(f"`{variable}`" for variable in profile.auth.env)
    chosen = dict(profile.kinds_when())
    kinds = [
        f"`{kind}`" + (f" when {' and '.join(chosen[kind])} is given" if kind in chosen else "")
        for kind in profile.kinds
        if kind != profile.kind
    ]
    origin = f"; its address by `{profile.base_url_env}`" if profile.base_url_required else ""
    repeat = f"; a create of the same value: {profile.idempotency.on_reuse}" if profile.idempotency else ""
    beside = f"; kinds beside `{profile.kind}`: {', '.join(kinds)}" if kinds else ""
    way, key = f"`--provider {name}`", f"{keys} from {profile.auth.key_url}{origin}"
    cells = [profile.title, way, key, takes(profile), files(profile), calls(profile) + beside + repeat]
    return f"| {' | '.join([*cells, rests_on(profile)])} |"


@pytest.mark.parametrize("name", UNTRIED)
def test_the_page_says_what_the_profile_says(name: str) -> None:
    assert row(name) in PAGE.read_text(encoding="utf-8").splitlines(), f"it should be:\n{row(name)}"
