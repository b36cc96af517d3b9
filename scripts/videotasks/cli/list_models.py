"""The list_models command: search, list, and show one with every member of its body."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from typing import Any

from videotasks.catalogue import listing
from videotasks.catalogue.known import known_model
from videotasks.core.errors import Category, ExitCode, TaskError, configuration_error
from videotasks.core.record import replace
from videotasks.core.safe_text import one_line
from videotasks.lifecycle.open_session import SessionOptions, at_named_origin
from videotasks.output.reporter import Reporter
from videotasks.providers import credentials
from videotasks.providers.load_profile import load_profile, shipped_names
from videotasks.providers.profile import Model, Profile, find_model


def list_models(args: argparse.Namespace) -> int:
    """Run the command; prints one line. Raises TaskError for a provider or a model that is not known."""
    reporter = Reporter(verbose=args.verbose, text=args.text)
    search = os.environ.get("VIDEO_TASKS_PROVIDERS")
    names = [args.provider] if args.provider else shipped_names()
    profiles = [load_profile(name, search=search) for name in names]
    if args.live:
        if not args.provider:
            raise configuration_error("--live asks one provider", expected="--provider NAME as well")
        (profile,) = profiles
        profile = at_named_origin(profile, SessionOptions(), required=False)
        return _show_live(reporter, profile, args.model) if args.model else _list_live(reporter, profile, args)
    if args.model:
        return _show(reporter, profiles, args.model)
    found: list[tuple[Profile, Any, str, str | None]] = []
    for profile in profiles:
        found += [
            one
            for one in listing.models_of(profile)
            if (args.makes == "all" or one[1].makes == args.makes)
            and (not args.search or listing.matches(one[0], one[1], args.search))
        ]
    # Those with a key first, then a few of each provider before many of one.
    keys = {profile.name: _has_key(profile) for profile in profiles}
    place: Counter[str] = Counter()
    ordered = []
    for one in found:
        place[one[0].name] += 1
        ordered.append((not keys[one[0].name], place[one[0].name], one))
    ordered.sort(key=lambda entry: entry[:2])
    rows = [{**listing.row(*one), "key": keys[one[0].name]} for _, _, one in ordered]
    return _list(reporter, rows, args, any_model=[profile.name for profile in profiles if _takes_any(profile)])


def _show(reporter: Reporter, profiles: list[Profile], wanted: str) -> int:
    everything = [one for profile in profiles for one in listing.models_of(profile)]
    for exact in (True, False):
        for local, model, source, date in everything:
            if model.id == wanted if exact else find_model((model,), wanted):
                return _one(reporter, local, listing.described(local, model, source, date))
    raise _unknown(profiles, wanted)


def _one(reporter: Reporter, profile: Profile, told: dict[str, Any]) -> int:
    described = {**told, "key": _has_key(profile)}
    if reporter.shows_tables:
        reporter.row(_line(described))
        for option, name in described["options"].items():
            reporter.row(f"  {option:24} {name}")
        for name, member in described["members"].items():
            reporter.row(f"  {name:24} {_member(member)}")
        reporter.row(f"  read from {described['source']}, {described['date'] or 'undated'}")
    return reporter.final("models", ExitCode.OK, models=[described], total=1)


def _list_live(reporter: Reporter, profile: Profile, args: argparse.Namespace) -> int:
    from videotasks.catalogue import live
    from videotasks.catalogue.cached_fetch import Unavailable

    words = (args.search or "").casefold().split()
    try:
        told = live.listed(profile, args.search or "")
    except Unavailable as error:
        raise TaskError(Category.TRANSIENT, f"the list of {profile.name} could not be had: {error}") from None
    fitting = [one for one in told if all(word in f"{one.id} {one.note or ''}".casefold() for word in words)]
    return _list(reporter, [_live_row(profile, one) for one in fitting], args)


def _live_row(profile: Profile, told: Model) -> dict[str, Any]:
    """A row of the live list: what that says, beside what is known here of the same model."""
    known = known_model(profile, told.id)
    model = replace(known.model or told, id=one_line(told.id, 120), note=None)
    model = replace(model, limits={**model.limits, **told.limits})
    read = listing.row(profile, model, f"live, and {known.where}" if known.model else "live", known.date)
    takes = read["takes"] if known.model else []
    note = {"server_message": one_line(told.note, 120)} if told.note else {}
    return {**read, "takes": takes, **note, "key": _has_key(profile)}


def _list(reporter: Reporter, rows: list[dict[str, Any]], args: argparse.Namespace, **more: Any) -> int:
    shown = rows if args.verbose else rows[: args.limit]
    if reporter.shows_tables:
        for entry in shown:
            reporter.row(_line(entry))
    fields: dict[str, Any] = {"models": shown, "total": len(rows), **more}
    if len(rows) > len(shown):
        fields["message"] = f"{len(rows) - len(shown)} more: --search WORDS, --provider NAME or --limit N"
    return reporter.final("models", ExitCode.OK, **fields)


def _show_live(reporter: Reporter, profile: Profile, wanted: str) -> int:
    from videotasks.catalogue.live import with_live

    known = with_live(profile, wanted, known_model(profile, wanted), dry_run=True)
    if known.model is None:
        raise _unknown([profile], wanted)
    described = listing.described(profile, known.model, known.where or known.source, known.date)
    return _one(reporter, profile, {**described, "notes": list(known.notes)})


def _unknown(profiles: list[Profile], wanted: str) -> TaskError:
    import difflib

    ids = [model.id for profile in profiles for _, model, _, _ in listing.models_of(profile)]
    near = difflib.get_close_matches(wanted, ids, n=3, cutoff=0.4) or [one for one in ids if wanted in one][:3]
    where = profiles[0].name if len(profiles) == 1 else "any provider"
    return configuration_error(
        f"{wanted!r} is not among the documented models of {where}",
        expected=("such as " + ", ".join(near)) if near else "list_models.py --search WORD",
        hint="an undocumented model can still be used: its names then go by convention, --openapi or --set",
    )


def _takes_any(profile: Profile) -> bool:
    """Whether the provider has a catalogue of its own that does not ship with the skill."""
    return profile.model_list is not None or not any(True for _ in listing.models_of(profile))


def _has_key(profile: Profile) -> bool:
    try:
        return credentials.find_key(profile) is not None
    except TaskError:
        return False


def _line(entry: dict[str, Any]) -> str:
    key = "key" if entry["key"] else "   "
    length, unset, _ = entry.get("seconds", "").partition(" by default")
    lengths = f"{length} s{unset}" if length else ""
    sizes = " ".join(entry.get("resolutions", ()))
    takes = ", ".join(entry["takes"]) or entry.get("server_message", "")
    price = f"  {entry['price']}" if "price" in entry else ""
    return f"{key} {entry['provider']:16} {entry['id']:36} {lengths:14} {sizes:22} {takes}{price}".rstrip()


def _member(member: dict[str, Any]) -> str:
    words = [str(member.get("type", ""))]
    if member.get("values"):
        words.append(", ".join(map(str, member["values"])))
    if member.get("min") is not None or member.get("max") is not None:
        words.append(f"{member.get('min', '')} to {member.get('max', '')}")
    if member.get("default") is not None:
        words.append(f"default {member['default']}")
    if member.get("required"):
        words.append("required")
    return "  ".join(word for word in [*words, member.get("note") or ""] if word)
