"""A run folder that this user's machine did not make gets one look at the provider before it answers.

Homes may be new every day, workspaces are shared, and a cloned repository may hold a folder with somebody else's video
under the very command that its README gives. So a folder from elsewhere is never a payment and never a block: the
provider's word replaces the folder's; where the provider has none, the command attaches, says so (`unverified`), prints
no link of it, downloads nothing from it, and counts a file of it only when that is whole media.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from videotasks.core import durable_files
from videotasks.core.errors import Category, ExitCode, TaskError, error_fields
from videotasks.core.record import record
from videotasks.core.task import Outcome
from videotasks.lifecycle import check_status, final_line
from videotasks.lifecycle.session import Session
from videotasks.providers.provider import TaskRef
from videotasks.runs.journal import RunState
from videotasks.runs.store import Run

FROM_ELSEWHERE = "this run folder was not made by this user's machine"


@record(frozen=True)
class Unverified:
    """Why nothing vouches for a run folder. `waits`: it tells of no end, and to wait for its task is to ask."""

    reason: str
    waits: bool = False


def why_unverified(session: Session, run: Run) -> Unverified | None:
    """None when `run` may answer a create: made here, or the provider has just shown its task.

    In the second case the journal is taken over: of what the folder told only the task id counts, and the look is
    recorded, so go on with `run.state()` read afresh. Otherwise the caller says `unverified` and never pays; it ends
    with `report_unverified` unless the task can be waited for. One free status request, bounded by the poll's time-out.
    Raises Interrupted.
    """
    if run.made_here:
        return None
    state = run.state()
    if state.task_id is None:
        return Unverified(f"{FROM_ELSEWHERE}, and it holds no task id")
    if session.provider.keyless:
        return Unverified(f"{FROM_ELSEWHERE}, and no key is set to ask the provider with")
    try:
        # Of the addresses that the folder holds only those that name the task: the others may name another's.
        look = check_status.ask(session, TaskRef(state.task_id, state.follow_of_the_id()))
    except TaskError as error:
        reason = f"{FROM_ELSEWHERE}, and the provider could not be asked: {error.message}"
        return Unverified(reason, waits=not state.ended and session.ctx.record(run, "taken_over"))
    if look.snapshot is None:
        known = look.error is None or look.error.category is not Category.NOT_FOUND
        told = "the provider's answer says nothing of its task" if known else "the provider does not know its task"
        return Unverified(f"{FROM_ELSEWHERE}, and {told}")
    try:
        run.take_over(session.ctx.clock())
    except OSError as error:
        return Unverified(f"{FROM_ELSEWHERE}, and it cannot be written to: {error.strerror or error}")
    check_status.take_in(session, run, look)
    return None


def end_unverified(session: Session, run: Run) -> int | None:
    """For a look or a wait: the exit code of its last line when `run` tells of a success that nothing vouches for.

    None when there is more to do: the run was made here, claims no video, or its provider has just shown the task.
    """
    state = run.state()
    if state.task_id is None or state.outcome is not Outcome.SUCCEEDED:
        return None
    unverified = why_unverified(session, run)
    return report_unverified(session, run, unverified) if unverified is not None else None


def report_unverified(session: Session, run: Run, unverified: Unverified, *, take: int | None = None) -> int:
    """The final line about a folder which nothing vouches for. Returns the exit code.

    0 with the file when a whole one is there, else 13. `take` is that of a create which attaches to it: then the way to
    make another (which pays) is told.
    """
    ctx, state = session.ctx, run.state()
    file = _whole_file(run, state)
    fields: dict[str, Any] = {
        **final_line.task_fields(run, state),
        "provider_status": None,
        "video_url": None,
        "files": [] if file is None else [Path(file).relative_to(run.folder).as_posix()],
        "video_file": file,
        "attached": take is not None,
        "created_at": run.created_at_iso,
        "unverified": True,
        "reason": unverified.reason,
    }
    hint = None if take is None else f"--take {take + 1} makes another one, and pays for it"
    ctx.reporter.people("; ".join(filter(None, (unverified.reason, hint))))
    final_line.keep_unread_line(ctx, run)
    if file is not None:
        return ctx.reporter.final("terminal", ExitCode.OK, source="record", error=None, hint=hint, **fields)
    category = Category.SUBMISSION_UNKNOWN if state.task_id is None else Category.NO_RESULT
    expected = "a run that was made here, or a task that the provider knows"
    failure = TaskError(category, unverified.reason, expected=expected, hint=hint)
    next_argv = final_line.look_at(ctx, run)
    return ctx.reporter.final(
        "terminal", failure.exit_code, next_argv=next_argv, source="record", error=error_fields(failure), **fields
    )


def _whole_file(run: Run, state: RunState) -> str | None:
    """The first result in the folder that is whole as far as its structure tells; what no check knows is none."""
    from videotasks.formats.media_check import check_animation, check_media
    from videotasks.formats.media_type import sniff
    from videotasks.formats.structure import MediaError

    for entry in state.files:
        path = run.folder / str(entry["path"])
        try:
            if path.is_symlink() or path.parent.is_symlink():
                continue
            handle = durable_files.open_regular(path)
            with open(handle, "rb") as file:
                media = sniff(file.read(4096))
            if media is None:
                continue
            whole = check_animation(path, media) if media.may_move else check_media(path, media, None)
            if whole is not None:
                return str(path)
        except (OSError, MediaError):
            continue
    return None
