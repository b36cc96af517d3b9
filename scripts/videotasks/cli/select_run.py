"""Which run is meant by --latest, --run-id, --task-id and --from."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from videotasks.cli.open_session import chosen_profile, origin_here
from videotasks.core import durable_files
from videotasks.core.errors import configuration_error
from videotasks.core.task import Phase, require_task_id
from videotasks.core.times import age_text
from videotasks.lifecycle.session import Session
from videotasks.output import next_command
from videotasks.runs.journal import RunState
from videotasks.runs.store import Run, RunStore

if TYPE_CHECKING:
    from videotasks.providers.profile import Profile


def open_run(session: Session, run_id: str) -> Run:
    """A run by its id, only in its own mode and origin: a folder never says where a key goes."""
    run = session.ctx.store.open(run_id)
    require_same_place(session, run)
    return run


def require_same_place(session: Session, run: Run) -> None:
    if run.mode != session.ctx.mode:
        raise configuration_error(
            f"the run {run.run_id} was made {'in the sandbox' if run.mode == 'sandbox' else 'for real'}",
            expected="the same command with --sandbox"
            if run.mode == "sandbox"
            else "the same command without --sandbox",
        )
    if not run.is_at(session.origin):
        raise configuration_error(
            f"the run {run.run_id} belongs to another origin than {session.origin}",
            expected="its origin, named again by --base-url (a run folder never says where a key goes)",
            hint="use the `next` command of that run as it was printed",
        )


def latest(store: RunStore, args: argparse.Namespace) -> tuple[Run, int] | None:
    """The newest run by its create time, and how many others are unfinished. Refusals and unsent runs do not count.

    Runs at the origin that this command would use come first; one from elsewhere is found only when there is none
    here, and then refused with the way to name its origin.
    """
    mode = "sandbox" if args.sandbox else "real"
    origins_here: dict[str, str | None] = {}
    newest: tuple[bool, float, Run] | None = None
    unfinished: list[tuple[bool, Run]] = []
    for run in store.runs():
        if run.mode != mode or (args.provider and run.provider != args.provider):
            continue
        state = run.state()
        if (state.phase in (Phase.NEW, Phase.REFUSED) and state.task_id is None) or never_seen(run, state):
            continue
        if run.provider not in origins_here:
            origins_here[run.provider] = origin_here(args, run.provider)
        here = run.is_at(origins_here[run.provider])
        if state.unfinished:
            unfinished.append((here, run))
        if newest is None or (here, run.created_at) > newest[:2]:
            newest = here, run.created_at, run
    if newest is None:
        return None
    here, _, found = newest
    return found, sum(1 for other, run in unfinished if other == here and run.run_id != found.run_id)


def never_seen(run: Run, state: RunState) -> bool:
    """A bare id that somebody asked about and that the provider has never shown: no task of this workspace."""
    return bool(run.request.get("adopted")) and state.status_at is None


def session_profile(args: argparse.Namespace, run: Run | None) -> Profile:
    """The profile for a command on `run`: in the kind that the run was made with, unless --kind names another."""
    profile = chosen_profile(args)
    kind = run.request.get("kind") if run is not None else None
    return profile.for_kind(kind) if args.kind is None and kind in profile.kinds else profile


def provider_of_run(store: RunStore, run_id: str) -> str | None:
    """The name of the provider that a run was made with: a name only, looked up among the shipped profiles."""
    from videotasks.providers.load_profile import shipped_names

    request = durable_files.read_json(store.root / run_id / "inputs" / "request.json")
    name = request.get("provider") if isinstance(request, dict) else None
    return name if name in shipped_names() else None


def need_one(expected: str) -> Exception:
    """No id and no run: a question for the user, never a create. `expected` names the options of the command."""
    listing = next_command.quoted(next_command.command("task_status.py", "--list"))
    return configuration_error(
        "no task named",
        expected=expected,
        hint="ask the user for the task id, or run " + listing,
        code="missing_task_id",
    )


FROM_LIMIT = 5_000_000


def find_latest(store: RunStore, args: argparse.Namespace) -> tuple[Run, dict[str, Any]]:
    """--latest: the newest run, and what to say about it."""
    import time

    found = latest(store, args)
    if found is None:
        raise configuration_error(
            f"there is no {'sandbox' if args.sandbox else 'earlier'} run under {store.root}",
            expected="a task id, or a run that was made here",
            hint="ask the user for the task id" if args.sandbox else "rehearsals are found only with --sandbox",
            code="missing_task_id",
        )
    run, others = found
    age = age_text(time.time() - run.created_at)
    return run, {"age": age, "prompt_start": run.prompt[:60], "other_unfinished": others}


def run_of_task(store: RunStore, task_id: str, args: argparse.Namespace) -> Run | None:
    """The run of a bare id by the workspace; None when no run knows it."""
    require_task_id(task_id)
    runs = store.by_task_anywhere(task_id, mode="sandbox" if args.sandbox else "real")
    runs = [run for run in runs if args.provider in (None, run.provider)]
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
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip():
            provider = document.get("provider")
            known = provider if isinstance(provider, str) and provider in shipped_names() else None
            return require_task_id(value), known
    raise configuration_error(f"{path} holds no task id", expected="task_id, generation_id or id in it")
