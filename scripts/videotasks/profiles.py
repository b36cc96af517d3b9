"""Provider profiles: YAML -> frozen `Profile`. A provider is data; no provider's name appears in Python.

Shipped profiles (shared/providers/*.yaml) are checked structurally, which is fast; tests hold them to the schema.
Foreign ones are checked fully and may read only VIDEO_TASKS_KEY_<NAME>, so that a profile from a cloned repository
cannot carry another provider's key out.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from . import profile_parts as parts
from . import records
from .models import Status, TaskError, configuration_error

if TYPE_CHECKING:
    from dataclasses import dataclass as record
    from dataclasses import field
else:
    from .records import field, record

MAX_PROFILE_BYTES = 256 * 1024  # the largest shipped profile is under 12 KB
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}\Z")
_STATUSES = frozenset(s.value for s in Status)
_FOREIGN_KEY_PREFIX = "VIDEO_TASKS_KEY_"


@record(frozen=True)
class Profile:
    """One provider in one kind. Built by `load_profile`; `for_kind` gives the same provider in another kind."""

    name: str
    title: str
    base_url: str
    base_url_env: str
    auth: parts.Auth
    create: parts.Create
    status: parts.StatusSpec
    result: parts.Result
    kind: str
    kinds: tuple[str, ...]
    base_url_required: bool = False  # a dialect that many gateways speak: the user names one
    headers: Mapping[str, str] = field(default_factory=dict)
    links: parts.Links = parts.Links()
    error: parts.ErrorSpec = parts.ErrorSpec()
    progress: parts.Progress = parts.Progress()
    poll: parts.Poll = parts.Poll()
    models: tuple[parts.Model, ...] = ()
    default_model: str | None = None
    rehearsal_model: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    constraints: parts.Constraints = parts.Constraints()
    cancel: parts.Cancel | None = None
    list: parts.ListSpec | None = None
    upload: parts.Upload | None = None
    credits: parts.Credits | None = None
    capabilities: parts.Capabilities | None = None
    notes: tuple[str, ...] = ()
    foreign: bool = False
    document: Mapping[str, Any] = field(default_factory=dict)

    def for_kind(self, kind: str | None) -> Profile:
        """The same provider in `kind` (None: the default kind). Raises TaskError listing the kinds."""
        wanted = kind or str(self.document.get("default_kind") or self.kinds[0])
        if wanted == self.kind:
            return self
        if wanted not in self.kinds:
            raise configuration_error(
                f"{self.name} has no kind {wanted!r}", expected="one of: " + ", ".join(self.kinds)
            )
        made = _build(self.document, foreign=self.foreign, kind=wanted)
        return made.with_base_url(self.base_url)

    def with_base_url(self, base_url: str) -> Profile:
        """The same provider at another origin (flag, environment, sandbox)."""
        return cast(Profile, records.changed(self, base_url=base_url.rstrip("/")))

    @property
    def shipped_base_url(self) -> str:
        """The origin and path that the profile's own file names."""
        return str(self.document.get("base_url") or "").rstrip("/")

    def model_info(self, model: str | None) -> parts.Model | None:
        """The documented model with this id, else the first whose `match` glob fits, else None."""
        if not model:
            return None
        for known in self.models:
            if known.id == model:
                return known
        return next((m for m in self.models if any(fnmatchcase(model, glob) for glob in m.match)), None)


def shipped_folder() -> Path:
    return Path(__file__).resolve().parents[2] / "shared" / "providers"


def shipped_names() -> list[str]:
    """Names of the shipped profiles, sorted."""
    try:
        return sorted(p.stem for p in shipped_folder().glob("*.yaml"))
    except OSError:
        return []


def foreign_key_variable(name: str) -> str:
    return _FOREIGN_KEY_PREFIX + re.sub(r"[^A-Z0-9]", "_", name.upper())


def load_profile(name_or_path: str, *, search: str | None = None) -> Profile:
    """A shipped profile by name, or a foreign one by path or by name in the folder `search`.

    Raises TaskError(CONFIGURATION) that lists the known names, with the nearest match.
    """
    text = name_or_path.strip()
    if _NAME.match(text):
        shipped = shipped_folder() / f"{text}.yaml"
        if shipped.is_file():
            return _build(_shipped_document(text), foreign=False)
        for suffix in (".yaml", ".yml"):
            if search and (candidate := Path(search) / f"{text}{suffix}").is_file():
                return _load_foreign(candidate)
    elif text.endswith((".yaml", ".yml")) or "/" in text or os.sep in text:
        path = Path(text).expanduser()
        if path.is_file():
            return _load_foreign(path)
        raise configuration_error(f"no provider profile at {text!r}", expected="a YAML file", hint=_known(search))
    raise _unknown_provider(text, search)


def _known(search: str | None) -> str:
    names = shipped_names()
    if search and Path(search).is_dir():
        names += sorted(p.stem for p in Path(search).iterdir() if p.suffix in (".yaml", ".yml"))
    return "known providers: " + ", ".join(names)


def _unknown_provider(text: str, search: str | None) -> TaskError:
    import difflib

    near = difflib.get_close_matches(text.casefold(), shipped_names(), n=1, cutoff=0.5)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    return configuration_error(
        f"unknown provider {text[:80]!r}{guess}",
        expected="the name of a shipped profile, or the path of a profile (./mine.yaml)",
        hint=_known(search),
    )


def _shipped_document(name: str) -> dict[str, Any]:
    path = shipped_folder() / f"{name}.yaml"
    from . import profile_cache

    try:
        text = path.read_bytes()
    except OSError as error:
        raise configuration_error(f"cannot read the profile {path}: {error.strerror}") from None
    document = profile_cache.recall(text)
    if document is None:
        document = _parse(text, path)
        profile_cache.keep(text, document)
    return _extended(document, path)


def _extended(document: dict[str, Any], path: Path) -> dict[str, Any]:
    parent = document.pop("extends", None)
    if parent is None:
        return document
    if parent not in shipped_names() or parent == document.get("name"):
        raise _bad(path, "extends", "the name of a shipped profile")
    return merge(_shipped_document(str(parent)), document)


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    from . import yaml12

    if len(data) > MAX_PROFILE_BYTES:
        raise configuration_error(f"{path}: a profile of {len(data)} bytes; at most {MAX_PROFILE_BYTES} are read")
    try:
        document = yaml12.load(data.decode("utf-8-sig"))
    except (yaml12.YamlError, UnicodeDecodeError) as error:
        raise configuration_error(f"{path}: not valid YAML: {error}", expected="a provider profile") from None
    if not isinstance(document, dict):
        raise configuration_error(f"{path}: not a provider profile", expected="a mapping with name, base_url, ...")
    return document


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge: mappings merge, everything else (lists too) is replaced, null removes."""
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _bad(where: object, knob: str, expected: str) -> TaskError:
    return configuration_error(f"provider profile {where}: {knob} is wrong", expected=f"{knob}: {expected}")


_PARTS: Mapping[str, type] = {
    "auth": parts.Auth,
    "links": parts.Links,
    "create": parts.Create,
    "status": parts.StatusSpec,
    "result": parts.Result,
    "error": parts.ErrorSpec,
    "progress": parts.Progress,
    "poll": parts.Poll,
    "cancel": parts.Cancel,
    "list": parts.ListSpec,
    "upload": parts.Upload,
    "credits": parts.Credits,
    "capabilities": parts.Capabilities,
    "constraints": parts.Constraints,
}
_PLAIN = ("title", "default_model", "rehearsal_model", "headers", "inputs", "base_url_required")
_DOCUMENT_ONLY = {"name", "base_url", "base_url_env", "default_kind", "kinds", "models", "notes", "extends"}


def _build(document: Mapping[str, Any], *, foreign: bool, kind: str | None = None) -> Profile:
    name = document.get("name")
    if not isinstance(name, str) or not _NAME.match(name):
        raise _bad(name, "name", "lower-case letters, digits and dashes")
    default_kind = str(document.get("default_kind") or "video")
    overrides = document.get("kinds") or {}
    kinds = (default_kind, *(k for k in overrides if k != default_kind))
    chosen = kind or default_kind
    doc = merge(document, overrides.get(chosen) or {})
    unknown = set(doc) - set(_PARTS) - set(_PLAIN) - _DOCUMENT_ONLY
    if unknown:
        raise _bad(name, sorted(unknown)[0], "not a knob of a profile; see shared/schemas/provider-profile.schema.json")
    base_url = doc.get("base_url")
    if not isinstance(base_url, str) or not base_url.startswith(("https://", "http://")):
        raise _bad(name, "base_url", "an http(s) URL")
    made: dict[str, Any] = {
        key: _part(name, key, cls, doc[key]) for key, cls in _PARTS.items() if doc.get(key) is not None
    }
    for required in ("auth", "create", "status", "result"):
        if required not in made:
            raise _bad(name, required, "required")
    made.update({key: doc[key] for key in _PLAIN if doc.get(key) is not None})
    made.setdefault("title", name)
    models = tuple(_part(name, "models", parts.Model, m) for m in doc.get("models") or ())
    made.setdefault("rehearsal_model", made.get("default_model") or (models[0].id if models else None))
    return Profile(
        name=name,
        base_url=base_url.rstrip("/"),
        base_url_env=str(doc.get("base_url_env") or re.sub(r"[^A-Z0-9]", "_", name.upper()) + "_BASE_URL"),
        kind=chosen,
        kinds=kinds,
        models=models,
        notes=tuple(doc.get("notes") or ()),
        foreign=foreign,
        document=document,
        **made,
    )


def _part(name: str, key: str, cls: type, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise _bad(name, key, "a mapping")
    known: Mapping[str, str] = cls.__annotations__
    values: dict[str, Any] = {}
    for knob, given in value.items():
        if knob == "http" and isinstance(given, Mapping):  # status codes: YAML's integers, a JSON object's texts
            given = {int(code): category for code, category in given.items() if str(code).isdigit()}
        if knob not in known or knob == "words":
            raise _bad(name, f"{key}.{knob}", "one of: " + ", ".join(k for k in known if k != "words"))
        if known[knob] == "Paths":
            given = (given,) if isinstance(given, str) else tuple(given or ())
            if not all(isinstance(path, str) for path in given):
                raise _bad(name, f"{key}.{knob}", "a list of strings")
        elif known[knob].startswith("tuple") and given is not None:
            given = (given,) if isinstance(given, Mapping) else tuple(given)
        values[knob] = given
    if cls is parts.StatusSpec:
        values["words"] = _words(name, values)
    try:
        return cls(**values)
    except TypeError as error:
        raise _bad(name, key, str(error).split("__init__() ")[-1]) from None


def _words(name: str, status: Mapping[str, Any]) -> dict[str, str]:
    words: dict[str, str] = {}
    for canonical, spellings in (status.get("map") or {}).items():
        if canonical not in _STATUSES or not isinstance(spellings, (list, tuple)):
            raise _bad(name, f"status.map.{canonical}", "a list of words under one of: " + ", ".join(sorted(_STATUSES)))
        words.update({str(word).casefold(): canonical for word in spellings})
    return words


def _load_foreign(path: Path) -> Profile:
    from .profile_check import check_foreign

    try:
        with path.open("rb") as file:
            data = file.read(MAX_PROFILE_BYTES + 1)
    except OSError as error:
        raise configuration_error(f"cannot read the profile {path}: {error.strerror}") from None
    own = _parse(data, path)
    document = _extended(dict(own), path)
    check_foreign(document, path, own_auth=own.get("auth"))
    document = merge(document, {"auth": {"env_shared": None, "env_requires": None}, "base_url_env": None})
    document["auth"]["env"] = [foreign_key_variable(str(document["name"]))]
    json.dumps(document)  # only plain data from here on
    return _build(document, foreign=True)
