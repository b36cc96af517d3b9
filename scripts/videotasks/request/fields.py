"""Where each common input goes in a request body, by the profile's `inputs`. No name is ever guessed.

An entry of `inputs` says: `to` (a dotted path; `content[+]` appends) or `candidates` (which name it is depends on the
model), `type`, `values` (the API's words), `as` (a template with {value}, {role} and {mime}), and for media `roles`,
`default_role`, `many`, `url`, `schemes` and `file`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from videotasks.core.errors import TaskError, configuration_error
from videotasks.core.record import field, record
from videotasks.formats import scalars
from videotasks.providers.known_model import SPECIFICATION
from videotasks.providers.profile import Model, Profile, merge
from videotasks.request.local_files import ROLES, FileRef, load_file
from videotasks.request.members import fitted, get_path, set_path

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//)?")
_SIZE = re.compile(r"([1-9][0-9]{1,4})\s?[xX*×:]\s?([1-9][0-9]{2,4})\Z")  # of a ratio the second part is shorter
_ORDER = {role: place for place, role in enumerate(ROLES)}


@record
class Found:
    """A request body while it is being filled, and what was asked for (for the limits)."""

    profile: Profile
    model: str | None
    info: Model | None
    specs: Mapping[str, Any]
    source: str  # who says what `info` says: specification, catalogue ...
    body: dict[str, Any]
    asked: dict[str, Any] = field(default_factory=dict)
    roles: list[str] = field(default_factory=list)  # image.first_frame, audio.reference ...
    combined: dict[str, dict[str, str]] = field(default_factory=dict)
    assumed: list[dict[str, str]] = field(default_factory=list)


def specs(profile: Profile, info: Model | None) -> dict[str, Any]:
    """The profile's inputs; an entry of the model's own replaces the profile's, null removes it."""
    entries = {**profile.inputs, **(info.inputs if info else {})}
    return {name: spec for name, spec in entries.items() if spec is not None}


def place_scalar(found: Found, name: str, given: Any) -> None:
    spec = _spec(found, name)
    member = _member(found, name)
    value = _typed(name, given, member.get("type") or spec.get("type"), exact=bool(member.get("values")))
    found.asked[name] = value
    if "combine" in spec:
        found.combined.setdefault(str(spec["combine"]), {})[name] = str(value)
        return
    target = _target(found, name, None, spec)
    words: Mapping[str, Any] = spec.get("values") or {}
    value = {str(word).casefold(): own for word, own in words.items()}.get(str(value).casefold(), value)
    value = fitted(name, value, member or spec)
    if name != "duration":
        found.asked[name] = value
    set_path(found.body, target, _templated(spec.get("as"), value, {}), flag=f"--{name}")


def place_combined(found: Found) -> None:
    """Inputs that share one field, such as ratio and resolution in `size`."""
    for name, given in found.combined.items():
        spec = found.specs[name]
        ratio, resolution = given.get("ratio"), given.get("resolution")
        table: Mapping[str, str] = spec.get("table") or {}
        size = _in_table(table, ratio, resolution, spec.get("default_resolution"))
        literal = _SIZE.match(size or resolution or "") or (_SIZE.match(ratio or "") if not size else None)
        if not size and literal and _fits(literal, ratio):
            size = _size_text(spec, table, literal)
        if not size:
            wanted = " ".join(f"--{key} {value}" for key, value in given.items())
            known = ", ".join(f"--ratio {key.replace(' ', ' --resolution ')}" for key in table)
            raise configuration_error(
                f"{found.profile.name} takes one size in pixels, and {wanted} does not say which",
                expected=(f"{known}, or " if known else "") + "--resolution WIDTHxHEIGHT",
            )
        if isinstance(spec["to"], Mapping):
            if literal is None:
                raise configuration_error(f"{size!r} is no size in pixels", expected="WIDTHxHEIGHT")
            for part, number in (("width", literal[1]), ("height", literal[2])):
                set_path(found.body, str(spec["to"][part]), int(number), flag="--resolution")
        else:
            set_path(found.body, str(spec["to"]), size, flag="--resolution")


def _in_table(table: Mapping[str, str], ratio: str | None, resolution: str | None, default: str | None) -> str | None:
    """The API's word for a ratio and a resolution; a word of the table itself is taken as it is."""
    for key in (
        f"{ratio} {resolution or default}",
        ratio if resolution is None else "",
        resolution if not ratio else "",
    ):
        if key and key in table:
            return table[key]
    word = ratio if resolution is None else resolution if ratio is None else None
    return word if word in table.values() else None


def _size_text(spec: Mapping[str, Any], table: Mapping[str, str], size: re.Match[str]) -> str:
    """A size with the API's own sign between width and height: by `format`, else as the table's words have it."""
    written = next((_SIZE.match(word) for word in table.values() if _SIZE.match(word)), None)
    sign = written[0][len(written[1]) : -len(written[2])] if written else "x"
    form = str(spec.get("format") or "{width}" + sign + "{height}")
    return form.replace("{width}", size[1]).replace("{height}", size[2])


def place_media(found: Found, kind: str, given: list[tuple[str | None, str]]) -> None:
    if not given:
        return
    spec = _spec(found, kind)
    roles = [role or _default_role(found, kind, spec, len(given)) for role, _ in given]
    # By role, never by the command line: a first and a last frame that change places are a wrong video, paid for.
    order = sorted(zip(given, roles, strict=True), key=lambda one: _ORDER.get(one[1] or "", len(ROLES)))
    for (role, value), chosen in order:
        merged = merge(spec, _role_spec(found, kind, spec, chosen)) if chosen else dict(spec)
        found.roles.append(f"{kind}.{chosen}" if chosen else kind)
        target = _target(found, kind, chosen, merged)
        if len(given) > 1 and spec.get("many"):
            target = str(spec["many"])
        word = str(merged.get("word") or chosen) if chosen else None
        if role is None and chosen == spec.get("one_without_role"):
            word = None
        item = _media_value(found, kind, value, chosen, merged, target)
        is_file = isinstance(item, FileRef)
        template = (merged.get("file") or {}).get("as", merged.get("as")) if is_file else merged.get("as")
        if not (is_file and item.how == "multipart"):
            item = _templated(template, item, {"role": word, "mime": item.mime if is_file else None})
        if "[+]" not in target and get_path(found.body, target) is not None:
            raise configuration_error(
                f"{found.profile.name} takes one {target} per request{_of(found)}; more than one --{kind} was given"
            )
        set_path(found.body, target, item, flag=f"--{kind}")


def _spec(found: Found, name: str) -> Mapping[str, Any]:
    spec = found.specs.get(name)
    if not isinstance(spec, dict):
        raise _lacks(found, name)
    return spec


def _lacks(found: Found, what: str) -> TaskError:
    name, _, role = what.partition(" ")
    having = [kind for kind in found.profile.kinds if kind != found.profile.kind and _has(found, kind, name, role)]
    return configuration_error(
        f"{found.profile.name}{_of(found)} has no input {what!r}" + (f"; its kind {having[0]} has" if having else ""),
        expected=f"--kind {having[0]}" if having else "it has: " + ", ".join(available(found.profile, found.info)),
        hint="anything else of its body: --set name=value or --payload",
    )


def _has(found: Found, kind: str, name: str, role: str) -> bool:
    spec = found.profile.for_kind(kind).inputs.get(name)
    return isinstance(spec, Mapping) and (not role or role.rstrip("=") in (spec.get("roles") or {}))


def available(profile: Profile, info: Model | None) -> list[str]:
    """The flags that this provider (and model, where documented) takes."""
    if info and info.fields is not None:
        names = [f"--{key} ".replace(".", " ").rstrip() for key in info.fields if key not in ("count", "sound")]
        return [re.sub(r"^--(\w+) (\w+)$", r"--\1 \2=...", name) for name in names]
    flags = []
    for name, spec in specs(profile, info).items():
        if name == "size" or not isinstance(spec, dict) or not spec:
            continue
        roles = spec.get("roles") or {}
        flags.append(f"--{name}" + (f" [{'|'.join(roles)}=]..." if len(roles) > 1 else ""))
    return flags


def _of(found: Found) -> str:
    return f" ({found.info.id})" if found.info and found.info.fields is not None else ""


def _default_role(found: Found, kind: str, spec: Mapping[str, Any], count: int) -> str | None:
    roles = list(spec.get("roles") or {})
    fields = found.info.fields if found.info else None
    if fields is not None:
        documented = [key.partition(".")[2] for key in fields if key == kind or key.startswith(kind + ".")]
        if not documented and not (found.info and found.info.partial):
            raise _lacks(found, kind)
        roles = [role for role in documented if role] if documented else roles
        if documented and (not roles or len(documented) == 1):
            return documented[0] or None
    if not roles:
        return None
    default = spec.get("default_role") or (spec.get("one_without_role") if count == 1 else None)
    if default or len(roles) == 1:
        return str(default or roles[0])
    raise configuration_error(
        f"say what each --{kind} is for{_of(found)}",
        expected=" or ".join(f"--{kind} {role}=PATH_OR_URL" for role in roles),
    )


def _role_spec(found: Found, kind: str, spec: Mapping[str, Any], role: str) -> Mapping[str, Any]:
    roles = spec.get("roles") or {}
    if role in roles:
        return dict(roles[role] or {})
    if found.info and found.info.fields and f"{kind}.{role}" in found.info.fields:
        return {}
    raise configuration_error(
        f"{found.profile.name} has no {kind} with the role {role!r}",
        expected="a role it has: " + (", ".join(roles) or f"none; --{kind} PATH_OR_URL"),
    )


def _target(found: Found, name: str, role: str | None, spec: Mapping[str, Any]) -> str:
    """The dotted path for an input: documented for the model, fixed by the profile, or decided by a specification."""
    key = f"{name}.{role}" if role else name
    if found.info and found.info.fields is not None:
        target = found.info.fields.get(key) or found.info.fields.get(name)
        if target is not None:
            if found.info.inferred_from:
                _assume(found, key, target, f"a sibling's name ({found.info.inferred_from}); no page prints it")
            return target
        if found.source == SPECIFICATION and not spec.get("to"):
            raise configuration_error(
                f"{found.model or 'this endpoint'} has no member for --{name} in its specification",
                expected="its members: " + ", ".join(sorted(found.info.members)[:60]),
                hint="--set name=value sets any of them",
            )
        if not found.info.partial:
            raise _lacks(found, f"{name} {role}=" if role else name)
    if spec.get("to"):
        return str(spec["to"])
    candidates = [str(c) for c in spec.get("candidates") or ()]
    convention = found.profile.convention
    counted = convention.members.get(key) if convention else None
    if convention and counted:
        _assume(found, key, str(counted["is"]), f"{counted['right']} of {counted['of']} documented models call it so")
        return str(counted["is"])
    if not candidates:
        raise _lacks(found, key)
    guess = " or ".join(repr(c.replace("[+]", "")) for c in candidates)
    raise configuration_error(
        f"the name of --{name} differs by model on {found.profile.name}, and {found.model or 'this one'} is not among "
        f"the documented ones: it would have to be guessed ({guess})",
        expected=f"--set {candidates[0].replace('[+]', '[0]')}=... once you know the name, or --openapi SPEC",
        hint=f"list_models.py --provider {found.profile.name} shows the documented models and their members",
    )


def _assume(found: Found, name: str, member: str, because: str) -> None:
    found.assumed.append({"input": name, "member": member.replace("[+]", ""), "because": because})


def place_variant(found: Found, given: set[str]) -> tuple[str, ...]:
    """The const of the variant that the given media belong to, and a word on it; a user's own value stands.

    Raises TaskError for inputs of two variants: the API makes one of them.
    """
    variants = found.info.variants if found.info else None
    by = str(variants["by"]) if variants else ""
    if not variants or by in given:
        return ()
    media = list(dict.fromkeys(found.roles))
    fitting = [one for one in variants["choose"] if all(_any_within(role, one["takes"]) for role in media)]
    if not fitting:
        words = "; ".join(f"{by}={one['is']}: {', '.join(one['takes']) or 'none'}" for one in variants["choose"])
        raise configuration_error(
            f"{found.model} does not mix {' and '.join(media)}: they belong to different variants",
            expected=f"the inputs of one variant ({words})",
            hint=f"--set {by}=... chooses one yourself",
        )
    complete = (one for one in fitting if all(_any_within(key, media) for key in one.get("needs", ())))
    chosen = next(complete, fitting[0])
    if not chosen.get("send", True):
        return ()
    set_path(found.body, by, chosen["is"], flag=f"--set {by}")
    return (
        f"{by}={chosen['is']} is sent as well: the variant {'that takes ' + media[0] if media else 'without media'}",
    )


def _any_within(role: str, keys: Iterable[str]) -> bool:
    """Whether one of the keys means this role: `image` means `image.first_frame`, too."""
    return any(role == key or role.startswith(key + ".") or key.startswith(role + ".") for key in keys)


def _member(found: Found, name: str) -> Mapping[str, Any]:
    """What is known of the member that the option goes into."""
    info = found.info
    if info is None or not info.members:
        return {}
    target = (info.fields or {}).get(name) or (found.specs.get(name) or {}).get("to")
    return info.members.get(str(target).replace("[+]", "")) or {}


def _typed(name: str, given: Any, kind: Any, *, exact: bool = False) -> Any:
    """A number for duration and seed; where a member lists its values, a word may be one of them (`auto`)."""
    if name not in ("duration", "seed"):
        return given
    number: Any = given
    if isinstance(given, str):
        text = given.strip()
        if name == "duration":
            text = re.sub(r"(?<=[0-9])\s*s(ec(onds?)?)?\Z", "", text)  # 5s
        if re.match(r"-?[0-9]{1,12}(\.[0-9]{1,6})?\Z", text):
            number = float(text)
        elif exact and text.isalpha():
            return text
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
        raise configuration_error(f"--{name} {given!r} is no number", expected="a number of seconds, such as 5")
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if name == "duration" and number <= 0 and number != -1:
        raise configuration_error(f"--duration {given} is no length", expected="a number of seconds above 0")
    if kind in ("integer", "string") and isinstance(number, float):
        raise configuration_error(f"--{name} {given}: only whole numbers are taken here", expected="such as 5")
    return number


def _fits(size: re.Match[str], ratio: str | None) -> bool:
    """Whether WIDTHxHEIGHT agrees with a ratio that was given as well."""
    if not ratio or _SIZE.match(ratio):
        return True
    parts = re.match(r"([0-9]{1,3}):([0-9]{1,3})\Z", ratio)
    return parts is not None and int(size[1]) * int(parts[2]) == int(size[2]) * int(parts[1])


def _media_value(found: Found, kind: str, value: str, role: str | None, spec: Mapping[str, Any], target: str) -> Any:
    schemes = [str(s).casefold() for s in spec.get("schemes") or ()]
    match = _SCHEME.match(value)
    scheme = match[1].casefold() if match else ""
    if scheme in ("http", "https"):
        if spec.get("url") is False:
            raise configuration_error(
                f"{found.profile.name} takes no URL for --{kind}", expected="a local file: it is uploaded for you"
            )
        if scalars.http_url(value) is None:
            raise configuration_error(f"--{kind}: {value[:200]!r} is no URL", expected="https://host/path")
        return value
    if scheme in schemes:
        return value
    if match and (match[2] or scheme == "data"):
        raise configuration_error(
            f"--{kind}: {found.profile.name} does not take {scheme}: links",
            expected=", ".join(["https://...", *(f"{s}:..." for s in schemes)]) + " or a local file",
        )
    if not spec.get("file"):
        raise configuration_error(
            f"{found.profile.name} takes no local file for --{kind}", expected="a public https:// URL"
        )
    return load_file(value, kind=kind, role=role or kind, field=target, spec=spec["file"], provider=found.profile.name)


def _templated(template: Any, value: Any, words: Mapping[str, str | None]) -> Any:
    """`template` with {value} and `words` in place; members whose word is not known are left out.

    A text that is {value} alone takes the value with its type; around others it is written out.
    """
    if template is None or template == "{value}":
        return value
    if isinstance(template, dict):
        unknown = {"{" + name + "}" for name, word in words.items() if word is None}
        return {
            k: _templated(v, value, words) for k, v in template.items() if not (isinstance(v, str) and v in unknown)
        }
    if isinstance(template, list):
        return [_templated(v, value, words) for v in template]
    if not isinstance(template, str):
        return template
    known = {name: word for name, word in words.items() if word is not None}
    if isinstance(value, (str, int, float)):
        known["value"] = str(value)
    return re.sub(r"\{(\w+)\}", lambda match: known.get(match[1], match[0]), template)
