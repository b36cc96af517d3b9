"""What the live sources say of the shipped models today, as a diff; `--write` takes it over. For maintainers.

    python3 ci/refresh_catalogue.py [--provider NAME]... [--add ID]... [--write]

Each model of shared/catalogue/<provider>.json is read again where the profile's `specification` says; of the `models`
in a profile's own file only the limits are. Where a source wants a key and none is set, or does not answer, the entry
stays as it is, and that is said. Exit 1: something differs (and was not written). Look at the diff before you commit
it: a specification steers bodies that are paid for.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO / "scripts"))

from videotasks.catalogue import live  # noqa: E402
from videotasks.catalogue.cached_fetch import Unavailable  # noqa: E402
from videotasks.core.errors import TaskError  # noqa: E402
from videotasks.formats import yaml12  # noqa: E402
from videotasks.providers.known_model import Known  # noqa: E402
from videotasks.providers.load_profile import load_profile, shipped_names  # noqa: E402
from videotasks.providers.profile import Model, Profile, build_part  # noqa: E402

SECONDS = 30.0
LIMITS = ("duration", "ratio", "resolution")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provider", action="append", metavar="NAME", help="only this one's (may be repeated)")
    parser.add_argument("--add", action="append", default=[], metavar="ID", help="a model that is not shipped yet")
    parser.add_argument("--write", action="store_true", help="take the differences over")
    parser.add_argument("--shared", type=Path, default=REPO / "shared", help="the folder to read and write")
    args = parser.parse_args(argv)
    today = datetime.now(timezone.utc).date().isoformat()
    differs = False
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache  # today's answers, not yesterday's copies
        for name in args.provider or shipped_names():
            profile = load_profile(name)
            for path in (args.shared / "catalogue" / f"{name}.json", args.shared / "providers" / f"{name}.yaml"):
                if (profile.specification or profile.capabilities) and path.exists():
                    differs |= refresh(profile, path, today, [] if path.suffix == ".yaml" else args.add, args.write)
    return 1 if differs and not args.write else 0


def refresh(profile: Profile, path: Path, today: str, new: list[str], write: bool) -> bool:
    """Show how one file would change; whether it would."""
    before = path.read_text(encoding="utf-8")
    told = json.loads(before) if path.suffix == ".json" else yaml12.load(before)
    entries = [*(told.get("models") or ()), *({"id": one} for one in new)]
    made = [_entry(profile, entry, whole=path.suffix == ".json") for entry in entries]
    if made == (told.get("models") or []):
        print(f"{path.name}: {len(made)} models, nothing differs from what could be asked")
        return False
    after = catalogue_text({**told, "date": today, "models": made}) if path.suffix == ".json" else _in_yaml(
        before, made, today
    )  # fmt: skip
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), path.name, path.name, lineterm="", n=1)
    print("\n".join(lines))
    if write:
        path.write_text(after, encoding="utf-8", newline="\n")
    return True


def _entry(profile: Profile, entry: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    """The entry as the live source has it; itself where nobody says anything."""
    model: Model = build_part(profile.name, "models", Model, entry)
    try:
        found = live.asked(profile, model.id, Known(model=model), seconds=SECONDS)
    except (Unavailable, TaskError) as reason:
        print(f"{profile.name}: {model.id} was not asked for: {reason}", file=sys.stderr)
        return entry
    if found is None or found.model is None:
        print(f"{profile.name}: nothing is told of {model.id}", file=sys.stderr)
        return entry
    return _described(entry, found.model) if whole else _limited(entry, found.model)


def _described(entry: Mapping[str, Any], told: Model) -> dict[str, Any]:
    """What a specification says, under what only people know of the model."""
    kept = {name: value for name, value in entry.items() if name not in ("inferred_from", "partial")}
    notes = {name: one["note"] for name, one in (entry.get("members") or {}).items() if "note" in one}
    members = {name: {**one, **({"note": notes[name]} if name in notes else {})} for name, one in told.members.items()}
    made = {**kept, "fields": dict(told.fields or {}), "variants": told.variants, "members": members}
    if told.variants is None:
        made.pop("variants")
    return made


def _limited(entry: Mapping[str, Any], told: Model) -> dict[str, Any]:
    limits = {name: limit for name in LIMITS if (limit := told.allowed(name))}
    return {**entry, "limits": {**(entry.get("limits") or {}), **limits}} if limits else dict(entry)


def catalogue_text(document: Mapping[str, Any]) -> str:
    """A catalogue as it is kept: a member a line, so that a diff shows what changed."""

    def line(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    models = []
    for model in document["models"]:
        parts = []
        for name, value in model.items():
            rows = [f"        {line(key)}: {line(one)}" for key, one in value.items()] if name == "members" else []
            shown = "{\n" + ",\n".join(rows) + "\n      }" if rows else line(value)
            parts.append(f"      {line(name)}: {shown}")
        models.append("    {\n" + ",\n".join(parts) + "\n    }")
    head = [f"  {line(name)}: {line(value)}" for name, value in document.items() if name != "models"]
    return "{\n" + ",\n".join([*head, '  "models": [\n' + ",\n".join(models) + "\n  ]"]) + "\n}\n"


def _in_yaml(text: str, models: list[dict[str, Any]], today: str) -> str:
    """The profile's text with another list of models (one a line) and their date; the rest as it stands."""
    import yaml

    def line(value: Any) -> str:
        return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True).strip()

    lines, made, inside = text.splitlines(), [], False
    for one in lines:
        inside = inside and (not one or one[0] in " #-")
        if one.startswith("models:"):
            inside = True
            made += ["models:", *(f"  - {line(model)}" for model in models)]
        elif one.startswith("models_read:"):
            read = yaml12.load(one)["models_read"]
            made.append("models_read: " + line({**read, "date": today}))
        elif not inside:
            made.append(one)
    return "\n".join(made) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
