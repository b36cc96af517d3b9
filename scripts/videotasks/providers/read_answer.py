"""What a profile reads out of a stored answer, and where it finds nothing: pure, for whoever writes a profile."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from videotasks.core.errors import api_error_fields
from videotasks.core.task import Status
from videotasks.core.times import iso
from videotasks.formats import jmespath_eval, scalars
from videotasks.providers import classify_error, normalize, outputs
from videotasks.providers.profile import Profile

KINDS = ("create", "status", "list", "error")
_ID = re.compile(r"(?:id|uuid|name|task|operation|job)\Z", re.IGNORECASE)
_STATE = re.compile(r"(?:status|state|phase|done|progress)\Z", re.IGNORECASE)
_MAX_SHOWN = 8


def read_answer(
    profile: Profile, kind: str, body: Any, http_status: int, *, operation: str = "create"
) -> tuple[dict[str, Any], list[str]]:
    """(what is read, what is missing and where it may stand) of an answer of `kind` (create, status, list, error)."""
    readers = {"create": _create, "status": _status, "list": _list}
    if kind == "error":
        return _error(profile, body, http_status, operation)
    return readers[kind](profile, body, http_status)


def _create(profile: Profile, body: Any, http_status: int) -> tuple[dict[str, Any], list[str]]:
    made = normalize.created(profile, body, http_status)
    told: dict[str, Any] = {"task_id": made.task_id, "kept": dict(made.follow), "error": api_error_fields(made.error)}
    problems = list(made.warnings)
    if made.snapshot is not None:
        told |= {"status": made.snapshot.status.value, "provider_status": made.snapshot.provider_status}
    if made.task_id is None and made.error is None:
        said = f"no task id at create.id ({', '.join(profile.create.id)}): a paid create would end as exit 3"
        problems.append(said + _may_be(body, _ID))
    for name, path in profile.create.keep.items() if made.task_id else ():
        if jmespath_eval.evaluate(path, body) is None:
            problems.append(f"nothing at create.keep.{name}: {path}")
    return told, problems


def _status(profile: Profile, body: Any, http_status: int) -> tuple[dict[str, Any], list[str]]:
    task_id = normalize.created(profile, body).task_id or "TASK_ID"
    seen = normalize.snapshot(profile, body, task_id=task_id, http_status=http_status)
    told = {
        "task_id": seen.task_id,
        "provider_status": seen.provider_status,
        "status": seen.status.value,
        "progress": seen.progress,
        "results": [_output(output) for output in seen.outputs],
        "second_call": seen.needs_result_fetch,
        "kept": dict(seen.follow),
        "usage": seen.usage,
        "cost": None if seen.cost is None else {"amount": seen.cost, "unit": seen.cost_unit},
        "created_at": iso(seen.created_at) if seen.created_at else None,
        "expires_at": iso(seen.expires_at) if seen.expires_at else None,
        "error": api_error_fields(seen.error),
    }
    problems = list(seen.warnings)
    if seen.provider_status is None and seen.error is None:
        problems.append(f"no status word at status.value ({', '.join(profile.status.value)})" + _may_be(body, _STATE))
    if seen.status is Status.SUCCEEDED and not (seen.outputs or seen.needs_result_fetch):
        paths = [path for kind in outputs.MADE for path in getattr(profile.result, kind)]
        problems.append(f"a success without a result at {', '.join(paths) or 'result.video'}" + _links(body))
    if seen.status.terminal and seen.status is not Status.SUCCEEDED and seen.error and not seen.error.message:
        problems.append("the task says no reason at error.task_message or error.message")
    return told, problems


def _list(profile: Profile, body: Any, http_status: int) -> tuple[dict[str, Any], list[str]]:
    spec = profile.list
    if spec is None:
        return {"tasks": []}, ["the profile has no `list`"]
    items = jmespath_eval.values(spec.items, body)
    tasks = [
        {
            "task_id": jmespath_eval.evaluate(spec.id, item),
            "status": normalize.canonical(profile, jmespath_eval.evaluate(spec.status, item)),
            "model": jmespath_eval.evaluate(spec.model, item),
            "created_at": iso(when)
            if (when := scalars.first_time((spec.created_at,), item, profile.times.zone)) is not None
            else None,
        }
        for item in items[:_MAX_SHOWN]
    ]
    problems = [] if items else [f"no tasks at list.items ({spec.items})"]
    for member, path in (("task_id", spec.id), ("created_at", spec.created_at)):
        if tasks and all(task[member] is None for task in tasks):
            knob = "id" if member == "task_id" else member
            problems.append(f"no {member} at list.{knob} ({path}): a lost task could not be found by it")
    return {"total": len(items), "tasks": tasks}, problems


def _error(profile: Profile, body: Any, http_status: int, operation: str) -> tuple[dict[str, Any], list[str]]:
    found = normalize.in_band_error(profile, body, http_status, operation=operation) if http_status < 300 else None
    error = found or classify_error.api_error(profile, operation=operation, http_status=http_status, body=body)
    problems = []
    if http_status < 300 and found is None:
        problems.append("with HTTP 200 nothing says that this is an error: error.in_band names the member that does")
    if not error.shaped:
        problems.append(
            "neither error.message nor error.code gives anything: the refusal would pass for a proxy's page"
        )
    return {"error": api_error_fields(error), "category": error.category.value}, problems


def _output(output: Any) -> dict[str, Any]:
    where = {"url": output.url, "path": output.content_path, "bytes": len(output.data) if output.data else None}
    return {"kind": output.kind, **{name: value for name, value in where.items() if value is not None}}


def _may_be(body: Any, names: re.Pattern[str]) -> str:
    found = [path for path, value in _members(body) if names.search(path.rpartition(".")[2])]
    return f"; it may be: {', '.join(found[:_MAX_SHOWN])}" if found else ""


def _links(body: Any) -> str:
    found = [path for path, value in _members(body) if scalars.http_url(value)]
    return f"; links stand at: {', '.join(found[:_MAX_SHOWN])}" if found else ""


def _members(value: Any, at: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """(path, value) of every plain member, as a profile would write the path."""
    if depth > 12:
        return
    if isinstance(value, Mapping):
        for name, member in value.items():
            quoted = name if re.match(r"[A-Za-z_]\w*\Z", str(name)) else f'"{name}"'
            yield from _members(member, f"{at}.{quoted}" if at else quoted, depth + 1)
    elif isinstance(value, list):
        for member in value[:1]:
            yield from _members(member, f"{at}[]", depth + 1)
    elif value is not None:
        yield at, value
