"""One look at a run or a bare task id, and the runs behind --latest, --run-id, --task-id and --from."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from videotasks import files, finishing, nextstep, origins, results
from videotasks.commandline import Session, load_profile, origin_here
from videotasks.ending import Ending, snapshot_fields
from videotasks.http import NoAnswer
from videotasks.identity import body_key
from videotasks.journal import RunState
from videotasks.mailbox import CallTimedOut
from videotasks.models import ApiError, Category, Status, TaskError, configuration_error
from videotasks.provider import Look, TaskRef, no_answer_error, refusal
from videotasks.runs import Run, RunStore, epoch_of
from videotasks.schedule import PollSchedule

if TYPE_CHECKING:
    from videotasks.profiles import Profile


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
        if (state.phase in ("new", "refused") and state.task_id is None) or never_seen(run, state):
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
    profile = load_profile(args)
    kind = run.request.get("kind") if run is not None else None
    return profile.for_kind(kind) if args.kind is None and kind in profile.kinds else profile


def provider_of_run(store: RunStore, run_id: str) -> str | None:
    """The name of the provider that a run was made with: a name only, looked up among the shipped profiles."""
    from videotasks.profiles import shipped_names

    request = files.read_json(store.root / run_id / "inputs" / "request.json")
    name = request.get("provider") if isinstance(request, dict) else None
    return name if name in shipped_names() else None


def run_for_task(session: Session, task_id: str, *, adopt: bool = True) -> Run:
    """The run of a task; a bare id from elsewhere gets a run folder of its own, so that it is not lost either."""
    ctx = session.ctx
    origins.require_task_id(task_id)
    ctx.store.prepare()
    run = ctx.store.by_task(task_id, mode=ctx.mode, origin=session.origin)
    if run is not None:
        return run
    lock = ctx.store.identity_lock(_task_identity(session, task_id))
    lock.acquire(wait=ctx.mailbox.sleep)
    try:
        run = ctx.store.by_task(task_id, mode=ctx.mode, origin=session.origin)
        if run is None:
            run = ctx.store.create(
                {
                    "provider": session.profile.name,
                    "kind": session.profile.kind,
                    "mode": ctx.mode,
                    "origin": session.origin,
                    "adopted": True,
                    "task_id": task_id,
                    "identity": _task_identity(session, task_id),
                },
                now=ctx.clock(),
            )
            run.record("adopted", ctx.clock(), task_id=task_id, kind=session.profile.kind)
        return run
    finally:
        lock.release()


def _task_identity(session: Session, task_id: str) -> str:
    return body_key(
        mode=session.ctx.mode, origin=session.origin, method="TASK", path="", body=task_id.encode("utf-8"), take=1
    )


def take_in_if_any(session: Session, run: Run) -> None:
    """One look whose absence is no error."""
    state = run.state()
    assert state.task_id is not None
    look = ask(session, TaskRef(state.task_id, state.follow))
    if look.snapshot is not None:
        take_in(session, run, look)
    elif look.final_refusal and look.error is not None:
        raise refusal(look.error)


def renew_rehearsed_link(session: Session, run: Run) -> None:
    """A link of the sandbox names a port that ended with the command that printed it: ask for the present one."""
    state = run.state()
    if session.ctx.sandbox and state.task_id is not None and results.video_file(run, state) is None:
        with suppress(TaskError):
            take_in_if_any(session, run)


def look_at_stranger(session: Session, task_id: str) -> tuple[Run, Look]:
    """A bare id that no run knows: it gets a run folder only when the provider shows a task. Raises TaskError."""
    look = ask(session, TaskRef(origins.require_task_id(task_id)))
    if look.snapshot is None:
        raise refusal(_error_of(look))
    return run_for_task(session, task_id), look


def look_once(session: Session, run: Run, look: Look | None = None, **more: Any) -> int:
    """One look: journal it, write the result files, print the final `status` line. Raises TaskError, Interrupted."""
    state = run.state()
    if state.task_id is None:
        raise configuration_error(f"the run {run.run_id} has no task id to look at")
    if state.ended and state.outcome not in ("succeeded", "no_result"):
        return report_status(session, run, **more)
    if state.outcome == "succeeded" and (session.provider.keyless or results.video_file(run, state)):
        return report_status(session, run, **more)
    if look is None:
        look = ask(session, TaskRef(state.task_id, state.follow))
    if look.snapshot is None:
        if state.ended:
            return report_status(session, run, **more)  # what is known to be over stays known
        raise refusal(_error_of(look))
    take_in(session, run, look)
    return report_status(session, run, hint_s=look.hint_s, **more)


def _error_of(look: Look) -> ApiError:
    return look.error or ApiError(Category.TRANSIENT, look.reason, http_status=look.http_status)


def ask(session: Session, ref: TaskRef) -> Look:
    """One status request, bounded in time. Raises TaskError when there is no answer."""
    ctx, client = session.ctx, session.provider.client()
    timeout = ctx.limits.poll_request_s
    try:
        look: Look = ctx.mailbox.call(
            lambda: session.provider.look(ref, client=client, timeout=timeout), timeout=timeout + 2.0
        )
        return look
    except NoAnswer as error:
        raise no_answer_error(error) from None
    except CallTimedOut:
        raise no_answer_error(NoAnswer("timeout", "no complete answer in time", sent=True)) from None
    finally:
        client.close()


def take_in(session: Session, run: Run, look: Look) -> None:
    """Journal what a look showed. A success without a result is not final yet: it is looked at again."""
    snapshot = look.snapshot
    assert snapshot is not None
    if snapshot.status.terminal and (snapshot.status is not Status.SUCCEEDED or snapshot.has_result):
        finishing.record_ending(
            session.ctx, run, session.provider, Ending(snapshot.status.value, "poll", snapshot, snapshot.error)
        )
        return
    session.ctx.record(run, "status", **snapshot_fields(session.ctx, session.provider, snapshot))
    finishing.write_results(session.ctx, run, snapshot)


def report_status(session: Session, run: Run, *, hint_s: float | None = None, **more: Any) -> int:
    """The final line of one look: canonical status, link, reason, a summary, and when to look again."""
    ctx = session.ctx
    document = finishing.write_results(ctx, run)
    state = run.state()
    exit_code = 0
    if state.outcome in ("failed", "cancelled", "expired"):
        exit_code = 10
    elif state.outcome == "no_result":
        exit_code = 13
    fields = finishing.terminal_fields(run, state)
    fields["error"] = state.error
    fields["summary"] = results.summary(run, state, brief=True)
    next_argv = None
    if not state.ended:
        submitted_at = epoch_of(state.submitted_at) or run.created_at
        poll = session.profile.poll
        age = max(ctx.clock() - submitted_at, 0.0)
        fields["look_again_in_s"] = round(
            PollSchedule(poll.floor_s, poll.ceiling_s).delay(age, random=0.0, hint_s=hint_s)
        )
        next_argv = finishing.follow_up(ctx, run, "wait_generation.py", "--timeout", "100")
    elif state.outcome == "succeeded" and fields["video_file"] is None:
        next_argv = finishing.follow_up(ctx, run, "task_status.py", "--download")
        fields["reminder"] = (
            f"the link works until {document.get('expires_at')}"
            if document.get("expires_at")
            else "the link may expire soon"
        )
    ctx.reporter.people(results.summary(run, state))
    finishing.keep_unread_line(ctx, run)
    ctx.reporter.final("status", exit_code, next_argv=next_argv, **fields, **more)
    if state.ended:
        finishing.mark_reported(ctx, run, state.outcome or "", exit_code)
    return exit_code


def need_one(script: str) -> Exception:
    """No id and no run: a question for the user, never a create."""
    return configuration_error(
        "no task named",
        expected="a task id, --run-id, --latest, --from FILE or --list",
        hint="ask the user for the task id, or run " + nextstep.quoted(nextstep.command(script, "--list")),
        code="missing_task_id",
    )
