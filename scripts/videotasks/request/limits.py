"""What can be known to be wrong before paying: the documented limits of a model, the API's rules on mixing inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from videotasks.core.errors import configuration_error
from videotasks.formats import scalars
from videotasks.providers.profile import Model, Profile
from videotasks.request.local_files import FileRef
from videotasks.request.members import get_path

_MEDIA = ("image", "video", "audio")
MAX_PARTS = 100  # a limit may come from a server: one of 1e-300 s must not make a list of 1e300 parts


def check(profile: Profile, info: Model | None, asked: Mapping[str, Any], roles: Sequence[str]) -> None:
    """Raise TaskError(CONFIGURATION) with every problem. An unknown model is unchecked: lists of ids date quickly."""
    problems = constraint_problems(profile, roles)
    if info:
        problems += model_problems(info.id, limits_of(info), asked, roles)
    if problems:
        raise configuration_error(
            "; ".join(problems),
            hint="the profile's limits are those documented; a newer one can be sent by --set" if info else None,
            details={"problems": problems},
        )


def model_problems(model: str, limits: Mapping[str, Any], asked: Mapping[str, Any], roles: Sequence[str]) -> list[str]:
    """What of `asked` (duration in seconds, ratio, resolution) and of the media is outside a model's limits."""
    problems: list[str] = []
    duration = limits.get("duration")
    if isinstance(duration, Mapping) and asked.get("duration") is not None:
        problems += duration_problems(model, duration, float(asked["duration"]))
    for name in ("ratio", "resolution"):
        allowed = limits.get(name)
        known = {str(one).casefold() for one in allowed} if isinstance(allowed, (list, tuple)) else set()
        if known and asked.get(name) is not None and str(asked[name]).casefold() not in known:
            problems.append(f"{model} has no {name} {asked[name]}; it has {', '.join(map(str, allowed or ()))}")
    for kind in _MEDIA:
        most, count = limits.get(kind + "s"), _count(kind, roles)
        if isinstance(most, int) and not isinstance(most, bool) and count > most:
            problems.append(f"{model} takes at most {most} {kind} inputs; {count} were given")
    return problems


def body_problems(profile: Profile, info: Model | None, specs: Mapping[str, Any], body: Mapping[str, Any]) -> list[str]:
    """What of a whole body is outside the documented limits: for what --payload and --set put there."""
    asked, media = asked_in(body, specs, info), media_in(body, specs, info)
    return constraint_problems(profile, media) + (
        model_problems(info.id, limits_of(info), asked, media) if info else []
    )


def limits_of(info: Model) -> dict[str, Any]:
    """The model's limits, those of its members included."""
    made = {name: info.allowed(name) for name in ("duration", "ratio", "resolution")}
    for key, to in (info.fields or {}).items():
        member = info.members.get(to.replace("[+]", "")) or {}
        kind, _, role = key.partition(".")
        if kind in _MEDIA and role in ("", "reference") and "max_items" in member:
            made.setdefault(kind + "s", member["max_items"])
    return {**{name: limit for name, limit in made.items() if limit}, **info.limits}


def require_members(info: Model | None, body: Mapping[str, Any], *, strict: bool) -> tuple[str, ...]:
    """Refuse a body that lacks what the model requires; where a person wrote parts of it, only say so.

    Raises TaskError(CONFIGURATION) that names the options.
    """
    if info is None:
        return ()
    options = {to.replace("[+]", ""): key for key, to in (info.fields or {}).items()}
    lacking = [name for name, one in info.members.items() if one.get("required") and get_path(body, name) is None]
    if not lacking:
        return ()
    words = ", ".join(_option(options[name]) if name in options else f"--set {name}=..." for name in lacking)
    if strict:
        raise configuration_error(f"{info.id} needs {' and '.join(lacking)}", expected=words, code="missing_member")
    return (f"{info.id} is documented to need {' and '.join(lacking)} ({words})",)


def _option(key: str) -> str:
    name, _, role = key.partition(".")
    return f"--{name} {role}=..." if role else f"--{name} ..."


def asked_in(body: Mapping[str, Any], specs: Mapping[str, Any], info: Model | None) -> dict[str, Any]:
    """Duration (seconds), ratio and resolution as a body has them."""
    asked: dict[str, Any] = {}
    for name in ("duration", "ratio", "resolution"):
        fields = (info.fields if info else None) or {}
        to = fields.get(name) or (specs.get(name) or {}).get("to")
        value = get_path(body, str(to)) if to else None
        asked[name] = scalars.seconds(value) if name == "duration" else value
    return {name: value for name, value in asked.items() if value is not None}


def media_in(body: Mapping[str, Any], specs: Mapping[str, Any], info: Model | None) -> list[str]:
    """The media of a body as `image.first_frame`, `image`, ..., by where the profile puts them."""
    found: list[str] = []
    if info and info.fields is not None:
        places: list[tuple[str, Mapping[str, Any]]] = [
            (key, {"to": to}) for key, to in info.fields.items() if key.partition(".")[0] in _MEDIA
        ]
    else:
        places = [(kind, specs[kind]) for kind in _MEDIA if isinstance(specs.get(kind), Mapping)]
    for key, spec in places:
        roles: Mapping[str, Any] = spec.get("roles") or {}
        words = {str((one or {}).get("word") or role): role for role, one in roles.items()}
        kind_of = spec["as"].get("type") if isinstance(spec.get("as"), Mapping) else None
        for to in dict.fromkeys([spec.get("to"), spec.get("many"), *((one or {}).get("to") for one in roles.values())]):
            items = get_path(body, str(to).replace("[+]", "")) if to else None
            for item in items if isinstance(items, list) else [] if items is None else [items]:
                if kind_of is None:
                    found.append(key)
                elif isinstance(item, Mapping) and item.get("type") == kind_of:
                    role = words.get(str(item.get("role"))) or spec.get("one_without_role")
                    found.append(f"{key}.{role}" if role else key)
    return found


def duration_problems(model: str, limits: Mapping[str, Any], seconds: float) -> list[str]:
    """A length outside {min, max, enum, also}. One that is too long comes with the maximum and a way to split it."""
    if seconds in _numbers(limits.get("also")):
        return []
    allowed = sorted(_numbers(limits.get("enum")))
    least = scalars.number(limits.get("min")) or (allowed[0] if allowed else 0.0)
    most = scalars.number(limits.get("max")) or (allowed[-1] if allowed else None)
    if most and most > 0 and seconds > most:
        advice = split(seconds, most, least, allowed)
        return [f"{model} makes at most {_s(most)} in one video; {_s(seconds)} were asked for. {advice}"]
    if allowed and seconds not in allowed:
        return [f"{model} makes videos of {', '.join(_s(one) for one in allowed)}; {_s(seconds)} were asked for"]
    if seconds < least:
        return [f"{model} makes at least {_s(least)}; {_s(seconds)} were asked for"]
    return []


def split(seconds: float, most: float, least: float = 0, allowed: Sequence[float] = ()) -> str:
    """A suggestion of parts, each within the limits: 30 s at most 12 s -> 3 videos of 10 s."""
    if not 1 <= seconds / most <= MAX_PARTS:
        return "Split it into shorter videos"
    count = math.ceil(seconds / most)
    if allowed:
        parts = [most] * (count - 1)
        rest = seconds - most * (count - 1)
        parts.append(next((one for one in allowed if one >= rest), most))
    else:
        whole, more = divmod(math.ceil(seconds), count)
        parts = [float(max(whole + (1 if i < more else 0), math.ceil(least))) for i in range(count)]
    if len(set(parts)) == 1:
        return f"Split it: {count} videos of {_s(parts[0])}"
    return f"Split it: {count} videos of " + " + ".join(f"{one:g}" for one in parts) + " s"


def constraint_problems(profile: Profile, roles: Sequence[str]) -> list[str]:
    """The API's rules on mixing: exclusive groups, companions that must be there, counts."""
    rules = profile.constraints
    problems: list[str] = []
    used = [[key for key in group if _count(key, roles)] for group in rules.exclusive]
    mixed = [keys for keys in used if keys]
    if len(mixed) > 1:
        problems.append(
            f"{profile.name} does not mix {' and '.join(mixed[0])} with {' and '.join(mixed[1])}"
            + (f" ({rules.note})" if rules.note else "")
        )
    for key, companions in rules.requires.items():
        if _count(key, roles) and not any(_count(other, roles) for other in companions):
            problems.append(f"{key} needs {' or '.join(companions)} beside it")
    for key, most in rules.max.items():
        if (count := _count(key, roles)) > most:
            problems.append(f"{profile.name} takes at most {most} of {key}; {count} were given")
    return problems


def check_total(profile: Profile, files: Sequence[FileRef]) -> None:
    """Files inside the JSON grow by a third; the API's limit counts them grown."""
    most = profile.constraints.total_max_bytes
    total = sum(4 * math.ceil(f.bytes / 3) for f in files if f.how in ("data_uri", "base64"))
    if most and total > most:
        raise configuration_error(
            f"the files make a request of {total / 1e6:.0f} MB; {profile.name} takes at most {most / 1e6:.0f} MB",
            expected="smaller files, or URLs",
        )


def _numbers(given: Any) -> list[float]:
    """The numbers of a list; limits may come from a server and be anything."""
    found = [scalars.number(one) for one in given] if isinstance(given, (list, tuple)) else []
    return [one for one in found if one is not None]


def _count(key: str, roles: Sequence[str]) -> int:
    return sum(1 for role in roles if role == key or role.startswith(key + "."))


def _s(seconds: float) -> str:
    return f"{seconds:g} s"
