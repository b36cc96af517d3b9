"""Which run is meant by --latest, --run-id, --task-id and --from."""

from __future__ import annotations

import time
from collections.abc import Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from videotasks.core import durable_files
from videotasks.core.errors import configuration_error
from videotasks.core.record import replace
from videotasks.core.task import Phase, require_task_id
from videotasks.core.times import age_text
from videotasks.lifecycle.open_session import SessionOptions, chosen_profile, origin_here, place_of, provider_name
from videotasks.lifecycle.session import Session
from videotasks.output import next_command
from videotasks.runs.outlines import Outline
from videotasks.runs.store import Run, RunStore
from videotasks.runs.workspace import artifacts_root

if TYPE_CHECKING:
    from videotasks.providers.profile import Profile


def open_run(session: Session, run_id: str) -> Run:
    """A run by its id, only in its own mode and origin: a folder never says where a key goes."""
    run = session.ctx.store.open(run_id)
    require_same_place(session, run)
    return run


def require_same_place(session: Session, run: Run) -> None:
    if run.mode != session.ctx.mode:
        where, how = ("in the sandbox", "with") if run.mode == "sandbox" else ("for real", "without")
        raise configuration_error(
            f"the run {run.run_id} was made {where}", expected=f"the same command {how} --sandbox"
        )
    if not run.is_at(session.origin):
        raise configuration_error(
            f"the run {run.run_id} belongs to another origin than {session.origin}",
            expected="its origin, named again by --base-url (a run folder never says where a key goes)",
            hint="use the `next` command of that run as it was printed",
        )


def of_mode(store: RunStore, options: SessionOptions) -> Iterator[Outline]:
    """Runs of this mode, provider (if one is named) and origin (if one is named by --base-url)."""
    return (outline for outline, here in placed(store, options, bool(options.base_url)) if here)


def placed(store: RunStore, options: SessionOptions, by_origin: bool = True) -> Iterator[tuple[Outline, bool]]:
    """Runs of this mode and provider (if one is named), and whether each is at the origin that would be used here."""
    wanted, origins = provider_name(options), dict[str, str | None]()
    for outline in store.outlines():
        if outline.mode == options.mode and (not wanted or outline.provider == wanted):
            if by_origin and outline.provider not in origins:
                origins[outline.provider] = origin_here(options, outline.provider)
            yield outline, not by_origin or outline.is_at(origins[outline.provider])


def session_profile(options: SessionOptions, run: Run | None) -> Profile:
    """The profile for a command on `run`: in the kind that the run was made with, unless --kind names another."""
    profile = chosen_profile(options)
    kind = run.request.get("kind") if run is not None else None
    return profile.for_kind(kind) if options.kind is None and kind in profile.kinds else profile


def with_provider_of(options: SessionOptions, run: Run | None) -> SessionOptions:
    """With the provider of a run that is known, unless one was typed: a name only, of a shipped profile."""
    from videotasks.providers.load_profile import shipped_names

    if options.provider is None and run is not None:
        return replace(options, provider_of_run=run.provider if run.provider in shipped_names() else None)
    return options


def need_one(expected: str, options: SessionOptions) -> Exception:
    """No id and no run: a question for the user, never a create. `expected` names the options of the command."""
    root = ("--artifacts-dir", str(artifacts_root(options.artifacts_dir)))
    listing = next_command.quoted(next_command.command("task_status.py", "--list", *root, *place_of(options, None)))
    return configuration_error(
        "no task named",
        expected=expected,
        hint="ask the user for the task id, or run " + listing,
        code="missing_task_id",
    )


FROM_LIMIT = 5_000_000


def find_latest(store: RunStore, options: SessionOptions) -> tuple[Run, dict[str, Any]]:
    """--latest: the newest run by its create time, and what to say about it.

    Refusals and unsent runs do not count, an unseen id only without another run. Runs at the origin that this command
    would use come first; one from elsewhere is found only when there is none here, and then refused with the way to
    name its origin. A newer create that was refused is told.
    """
    tasks: list[tuple[bool, bool, float, Outline]] = []
    refusals: list[tuple[float, Outline]] = []
    for outline, here in placed(store, options):
        if outline.phase not in (Phase.NEW, Phase.REFUSED) or outline.task_id is not None:
            tasks.append((here, not outline.unseen, outline.created_at, outline))
        elif here and outline.phase == Phase.REFUSED and not outline.closed_by_user:
            refusals.append((outline.created_at, outline))
    newest = max(tasks, key=itemgetter(0, 1, 2), default=None)
    refusal = max(refusals, key=itemgetter(0), default=None)
    run = store.find(newest[3].run_id) if newest else None
    refused_run = store.find(refusal[1].run_id) if refusal and not (newest and refusal[0] < newest[2]) else None
    refused = _refusal_of(refused_run) if refused_run is not None else None
    if newest is None or run is None:
        if refused is not None:
            raise configuration_error(
                "the newest create was refused, so there is no task: " + refused["message"],
                expected="the request mended and sent again, which needs the user's yes",
                code="newest_create_refused",
                details={"refused": refused},
                server_message=refused.get("server_message"),
            )
        raise configuration_error(
            f"there is no {'sandbox' if options.sandbox else 'earlier'} run under {store.root}",
            expected="a task id, or a run that was made here",
            hint="ask the user for the task id" if options.sandbox else "rehearsals are found only with --sandbox",
            code="missing_task_id",
        )
    others = [one for one in tasks if one[:2] == (newest[0], True) and one[3].unfinished and one is not newest]
    note = {
        "age": age_text(time.time() - run.created_at),
        "prompt_start": run.prompt[:60],
        "other_unfinished": len(others),
    }
    if refused is not None:
        note["newer_create_refused"] = refused
    return run, note


def _refusal_of(run: Run) -> dict[str, Any]:
    """Which create was refused, when, and why."""
    error = run.state().error or {}
    told = {"run_id": run.run_id, "age": age_text(time.time() - run.created_at)}
    told.update({name: error[name] for name in ("category", "message", "server_message") if error.get(name)})
    return {"message": "the provider gave no reason", **told}


def run_of_task(store: RunStore, task_id: str, options: SessionOptions) -> Run | None:
    """The run of a bare id by the workspace; None when no run knows it."""
    require_task_id(task_id)
    runs = store.by_task_anywhere(task_id, mode=options.mode)
    wanted = provider_name(options)
    runs = [run for run in runs if wanted in (None, run.provider)]
    names = {run.provider for run in runs}
    if len(names) > 1:
        raise configuration_error(
            "that task id is known for several providers: " + ", ".join(sorted(names)), expected="--provider NAME"
        )
    return runs[0] if runs else None


def read_foreign_result(path: str) -> tuple[str, str | None]:
    """Task id and provider name out of another tool's result.json: untrusted, so nothing else of it is used."""
    from videotasks.providers.load_profile import shipped_names

    document = durable_files.read_json(durable_files.user_path(path), FROM_LIMIT)
    if not isinstance(document, dict):
        raise configuration_error(f"{path} is no readable JSON object", expected="another run's result.json")
    for name in ("task_id", "generation_id", "id"):
        value = document.get(name)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value).strip():
            provider = document.get("provider")
            known = provider if isinstance(provider, str) and provider in shipped_names() else None
            return require_task_id(str(value)), known
    raise configuration_error(f"{path} holds no task id", expected="task_id, generation_id or id in it")
