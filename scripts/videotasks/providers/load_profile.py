"""Provider profiles: YAML -> frozen `Profile`. A provider is data; no provider's name appears in Python.

Shipped profiles (shared/providers/*.yaml) are checked structurally, which is fast; tests hold them to the schema.
Foreign ones are checked fully and may read only VIDEO_TASKS_KEY_<NAME>, so that a profile from a cloned repository
cannot carry another provider's key out.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from videotasks.core import user_cache
from videotasks.core.errors import configuration_error
from videotasks.core.installation import skill_folder
from videotasks.formats import jmespath_eval
from videotasks.providers.profile import PROFILE_NAME, Profile, bad_knob, build_profile, foreign_key_variable, merge

MAX_PROFILE_BYTES = 256 * 1024  # the largest shipped profile is under 12 KB
_CACHE_FORMAT = "1"  # raise it when the YAML reader gives other values for the same text
_CACHED = 80


def shipped_folder() -> Path:
    return skill_folder().resolve() / "shared" / "providers"


def shipped_names() -> list[str]:
    """Names of the shipped profiles, sorted."""
    return sorted(p.stem for p in shipped_folder().glob("*.yaml"))


def reserved_key_variables() -> dict[str, str]:
    """Key variables of the shipped profiles -> the profile."""
    reserved: dict[str, str] = {}
    for name in shipped_names():
        for variable in (_shipped_document(name).get("auth") or {}).get("env") or ():
            reserved.setdefault(str(variable).upper(), name)
    return reserved


def load_profile(name_or_path: str, *, search: str | None = None) -> Profile:
    """A shipped profile by name, or a foreign one by path or by name in the folder `search`.

    Raises TaskError(CONFIGURATION) that lists the known names, with the nearest match.
    """
    text = name_or_path.strip()
    if PROFILE_NAME.match(text):
        shipped = shipped_folder() / f"{text}.yaml"
        if shipped.is_file():
            return build_profile(_shipped_document(text), foreign=False)
        for suffix in (".yaml", ".yml"):
            if search and (candidate := Path(search) / f"{text}{suffix}").is_file():
                return _load_foreign(candidate)
    elif text.endswith((".yaml", ".yml")) or "/" in text or os.sep in text:
        path = Path(text).expanduser()
        if path.is_file():
            return _load_foreign(path)
        raise configuration_error(f"no provider profile at {text!r}", expected="a YAML file", hint=_known(search))
    meant = _meant(text)
    raise configuration_error(
        f"unknown provider {text[:80]!r}" + (f": {meant}" if meant else ""),
        expected="the name of a shipped profile, or the path of a profile (./mine.yaml)",
        hint=_known(search),
    )


def _known(search: str | None) -> str:
    names = shipped_names()
    if search and Path(search).is_dir():
        names += sorted(p.stem for p in Path(search).iterdir() if p.suffix in (".yaml", ".yml"))
    return "known providers: " + ", ".join(names)


def _meant(text: str) -> str:
    """Another spelling, a company's name, or a family of models: who is meant, or who offers it."""
    import difflib

    names = shipped_names()
    plain = _letters(text)
    same = [name for name in names if _letters(name) == plain]
    if not same and len(plain) >= 3:
        titles = {name: str(_shipped_document(name).get("title")) for name in names}
        same = [name for name, title in titles.items() if plain in map(_letters, title.partition("(")[0].split())]
        offered = [] if same else _offering(names, plain)
        if offered:
            return f"a model, not a provider; offered by {', '.join(offered)}: --provider {offered[0]} --model ..."
    same = same or difflib.get_close_matches(text.casefold(), names, n=1, cutoff=0.5)
    return f"did you mean {' or '.join(repr(name) for name in same)}?" if same else ""


def _offering(names: list[str], plain: str) -> list[str]:
    """The providers whose documented models carry this word."""

    def ids(name: str) -> list[str]:
        documents, paths = (_shipped_document(name), catalogue_document(name)), ("models[].id", "kinds.*.models[].id")
        return [str(one) for document in documents for path in paths for one in jmespath_eval.values(path, document)]

    return [name for name in names if any(plain in _letters(one) for one in ids(name))]


MAX_CATALOGUE_BYTES = 4_000_000


def catalogue_document(name: str) -> dict[str, Any] | None:
    """The catalogue of models that ships beside a profile, as its JSON; None where there is none.

    JSON, because a program refreshes it, and because 65 models are read in a millisecond so; as YAML they take 330.
    """
    path = shipped_folder().parent / "catalogue" / f"{name}.json"
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_CATALOGUE_BYTES))
    except OSError:
        return None
    except ValueError as error:
        raise configuration_error(f"the catalogue {path} is broken: {error}", expected="JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("models"), list):
        raise configuration_error(f"the catalogue {path} is broken", expected="a list of models")
    return document


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())


def _shipped_document(name: str) -> dict[str, Any]:
    path = shipped_folder() / f"{name}.yaml"
    try:
        text = path.read_bytes()
    except OSError as error:
        raise configuration_error(f"cannot read the profile {path}: {error.strerror}") from None
    document = recall_parsed(text)
    if document is None:
        document = parse_document(text, path)
        # JSON has no integer keys (`http: {403: ...}`), so that the reader takes both.
        user_cache.keep("profiles", _cached_name(text), document, _CACHED)
    return _extended(document, path)


def _extended(document: dict[str, Any], path: Path) -> dict[str, Any]:
    parent = document.pop("extends", None)
    if parent is None:
        return document
    if parent not in shipped_names() or parent == document.get("name"):
        raise bad_knob(path, "extends", "the name of a shipped profile")
    inherited = _shipped_document(str(parent))
    if document.get("base_url") not in (None, inherited.get("base_url")):
        for name in ("specification", "model_list", "prices"):  # what the parent's own host tells is not of this API
            inherited.pop(name, None)
    return merge(inherited, document)


def parse_document(data: bytes, path: Path) -> dict[str, Any]:
    from videotasks.formats import yaml12

    if len(data) > MAX_PROFILE_BYTES:
        raise configuration_error(f"{path}: a profile of {len(data)} bytes; at most {MAX_PROFILE_BYTES} are read")
    try:
        document = yaml12.load(data.decode("utf-8-sig"))
    except (yaml12.YamlError, UnicodeDecodeError) as error:
        raise configuration_error(f"{path}: not valid YAML: {error}", expected="a provider profile") from None
    if not isinstance(document, dict):
        raise configuration_error(f"{path}: not a provider profile", expected="a mapping with name, base_url, ...")
    return document


def _load_foreign(path: Path) -> Profile:
    from videotasks.formats import yaml12
    from videotasks.providers.check_profile import check_foreign

    try:
        with path.open("rb") as file:
            data = file.read(MAX_PROFILE_BYTES + 1)
    except OSError as error:
        raise configuration_error(f"cannot read the profile {path}: {error.strerror}") from None
    own = parse_document(data, path)
    document = _extended(dict(own), path)
    check_foreign(
        document,
        path,
        own_auth=own.get("auth"),
        shipped=shipped_names(),
        reserved=reserved_key_variables,
        lines=yaml12.lines(data.decode("utf-8-sig")),
    )
    document = merge(document, {"auth": {"env_shared": None, "env_requires": None}, "base_url_env": None})
    document["auth"]["env"] = [foreign_key_variable(str(document["name"]))]
    json.dumps(document)  # only plain data from here on
    return build_profile(document, foreign=True)


# -- parsed shipped profiles, kept as JSON by the hash of their YAML: importing PyYAML is what costs (26 ms of 30) --
# A cache must not be able to move a key: an entry counts only when its origin and its key variables stand in the YAML
# text itself, so that a planted cache folder cannot send a key elsewhere.


def recall_parsed(text: bytes) -> dict[str, Any] | None:
    """The parsed document of this YAML text, if it is kept and sound."""
    document = user_cache.recall("profiles", _cached_name(text))
    source = text.decode("utf-8", "replace")
    sound = isinstance(document, dict) and all(isinstance(one, str) and one in source for one in _guarded(document))
    return document if sound else None


def _cached_name(text: bytes) -> str:
    import hashlib

    return hashlib.sha256(_CACHE_FORMAT.encode() + text).hexdigest() + ".json"


def _guarded(document: dict[str, Any]) -> Iterator[Any]:
    yield from (document[key] for key in ("name", "base_url", "base_url_env", "extends") if key in document)
    auth = document.get("auth", {})
    if not isinstance(auth, dict):
        yield None
        return
    for value in auth.values():
        if isinstance(value, dict):
            yield from (*value.keys(), *value.values())
        else:
            yield from value if isinstance(value, list) else [value]
