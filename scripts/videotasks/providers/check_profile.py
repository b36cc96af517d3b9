"""The full check of a foreign profile: the JSON Schema, and names and keys that it may not take."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from videotasks.core.errors import configuration_error
from videotasks.core.skill_folder import skill_folder
from videotasks.providers.load_profile import foreign_key_variable, load_profile, shipped_names
from videotasks.providers.profile import merge


def schema_path() -> Path:
    return skill_folder().resolve() / "shared" / "schemas" / "provider-profile.schema.json"


def reserved_key_variables() -> dict[str, str]:
    """Key variables of the shipped profiles -> the profile."""
    reserved: dict[str, str] = {}
    for name in shipped_names():
        for variable in load_profile(name).auth.env:
            reserved.setdefault(variable.upper(), name)
    return reserved


def check_foreign(document: Mapping[str, Any], path: Path, *, own_auth: object) -> None:
    """Raise TaskError(CONFIGURATION) with file, field and expectation for everything that is wrong.

    `document` is the profile with what it extends; `own_auth` is the file's own auth, which may name no reserved key.
    """
    problems = list(problems_of(document))
    name = str(document.get("name") or "").casefold().replace("_", "-")
    if name in shipped_names():
        problems.insert(0, f"name: {name!r} is the name of a shipped profile; choose another")
    variables = own_auth.get("env") if isinstance(own_auth, Mapping) else None
    reserved = reserved_key_variables()
    for variable in [variables] if isinstance(variables, str) else variables or ():
        if str(variable).upper() in reserved:
            problems.append(
                f"auth.env: {variable} is the key of {reserved[str(variable).upper()]}; a profile of your own reads "
                f"{foreign_key_variable(name or 'NAME')}"
            )
    if problems:
        raise configuration_error(
            f"{path}: {'; '.join(problems[:5])}" + (f"; and {len(problems) - 5} more" if len(problems) > 5 else ""),
            expected="a provider profile by shared/schemas/provider-profile.schema.json",
            details={"problems": problems[:50]},
        )


def problems_of(document: Mapping[str, Any]) -> Iterator[str]:
    """`field: what was expected` for each breach of the schema, and for each path that is no JMESPath."""
    from jsonschema import Draft202012Validator

    schema = json.loads(schema_path().read_text(encoding="utf-8"))
    validator = Draft202012Validator(schema)
    document = json.loads(json.dumps(document, default=str))  # keys become texts, as the schema has them
    found = list(_breaches(validator, document, ""))
    if not found:
        for name, kind in (document.get("kinds") or {}).items():
            found += _breaches(validator, merge(document, kind or {}), f"kinds.{name}: ")
    yield from found or _bad_paths(document, "")


def _breaches(validator: Any, document: Any, prefix: str) -> Iterator[str]:
    for error in sorted(validator.iter_errors(document), key=lambda e: [str(p) for p in e.absolute_path]):
        where = ".".join(str(part) for part in error.absolute_path)
        hint = error.schema.get("description") if where and isinstance(error.schema, Mapping) else None
        yield f"{prefix}{where or 'the profile'}: {error.message[:200]}" + (f" ({hint})" if hint else "")


_PATH_KNOBS = frozenset(
    [
        "id",
        "value",
        "created_at",
        "video",
        "image",
        "audio",
        "last_frame",
        "thumbnail",
        "usage",
        "expires_at",
        "finished_at",
        "message",
        "code",
        "task_message",
        "task_code",
        "body_retry_after",
        "put_url",
        "key",
        "balance",
        "unlimited",
        "when",
    ]
)
_PATH_SECTIONS = ("create", "status", "result", "error", "progress", "upload", "credits")


def _bad_paths(document: Mapping[str, Any], prefix: str) -> Iterator[str]:
    from videotasks.formats import jmespath_eval

    for section in _PATH_SECTIONS:
        for knob, expression in _expressions(document.get(section), section):
            try:
                jmespath_eval.evaluate(expression, {})
            except jmespath_eval.PathError as error:
                yield f"{prefix}{knob}: {error}"
    for name, kind in (document.get("kinds") or {}).items():
        if isinstance(kind, Mapping):
            yield from _bad_paths(kind, f"kinds.{name}.")


def _expressions(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        return
    for knob, given in value.items():
        if knob in _PATH_KNOBS and isinstance(given, (str, list)):
            for one in [given] if isinstance(given, str) else given:
                if isinstance(one, str):
                    yield f"{where}.{knob}", one
        elif knob == "rules" and isinstance(given, list):
            for rule in given:
                yield from _expressions(rule, f"{where}.rules")
        elif knob in ("cost", "in_band"):
            for one in given if isinstance(given, list) else [given]:
                if isinstance(one, Mapping):
                    for path in [one.get("path")] if isinstance(one.get("path"), str) else one.get("path") or ():
                        yield f"{where}.{knob}.path", str(path)
