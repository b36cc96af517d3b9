"""A result of one run as an input of another: the provider's own last frame, a video, or a frame out of the file here.

What goes into the identity of the other run is this run and what was taken of it, never the bytes of a frame: a frame
that is decoded elsewhere, or a link that is signed anew, must not make the same command pay again.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from videotasks.core import durable_files
from videotasks.core.errors import configuration_error
from videotasks.core.record import record, replace
from videotasks.core.task import Outcome
from videotasks.lifecycle.verify_run import FROM_ELSEWHERE
from videotasks.providers.profile import Profile
from videotasks.request.build import MEDIA, CommonInputs, in_kind, inputs_of_record
from videotasks.request.local_files import named_run
from videotasks.runs import results
from videotasks.runs.store import Run, RunStore

FRAME_FILE = "last-frame.png"  # decoded here, where the provider gave none


@record(frozen=True)
class Link:
    """`value` is a file or a URL as an input takes it, `label` what an identity holds in its place."""

    value: str
    label: str


def with_runs(given: CommonInputs, store: RunStore, profile: Profile) -> CommonInputs:
    """`given` with what it takes of other runs in place. Raises TaskError when a run has no such thing, or is none."""
    profile = in_kind(profile, given)

    def find(value: str, kind: str, role: str | None) -> Link | None:
        named = named_run(value, kind)
        return result_of(store.open(named[0]), named[1], profile, kind, role) if named is not None else None

    return with_links(given, find)


def again(run: Run, changes: CommonInputs, mode: str) -> CommonInputs:
    """The options of an earlier create, with changes. Raises TaskError where the folder does not tell them.

    A folder from elsewhere is not asked: it would say which files of this machine are sent.
    """
    record = run.request.get("given")
    if run.mode != mode:
        with_it = "with" if run.mode == "sandbox" else "without"
        raise configuration_error(f"the run {run.run_id} is of the other kind", expected=f"{with_it} --sandbox")
    if not isinstance(record, dict) or not record or not run.made_here:
        raise configuration_error(
            f"the folder of run {run.run_id} does not tell the options of its create",
            expected="a run that this version made on this machine",
            hint="its request stands in inputs/request.json: give the options anew",
        )
    return inputs_of_record(record, changes)


def with_links(given: CommonInputs, find: Callable[[str, str, str | None], Link | None]) -> CommonInputs:
    """`given` with each medium that `find` knows replaced, and its label noted."""
    links = dict(given.links)
    placed: dict[str, Any] = {"links": links}
    for kind in MEDIA:
        placed[kind] = []
        for role, value in given.media(kind):
            link = find(value, kind, role)
            if link is not None:
                links[link.value] = link.label
            placed[kind].append((role, link.value if link else value))
    return replace(given, **placed)


def result_of(run: Run, what: str, profile: Profile, kind: str, role: str | None) -> Link:
    """What a run has made, in the form that `profile` takes. Raises TaskError."""
    if not run.made_here:  # a cloned repository may hold one whose picture or link is somebody else's
        raise configuration_error(
            f"{FROM_ELSEWHERE} ({run.run_id}): nothing vouches for its result, so it goes into no paid request",
            expected="a run that was made here, or the file itself",
            hint=f"task_status.py --run-id {run.run_id} asks its provider; afterwards it can be taken",
            code="run_from_elsewhere",
        )
    state = run.state()
    if state.outcome is not Outcome.SUCCEEDED:
        raise configuration_error(
            f"the run {run.run_id} has no result to take: it is {results.status_of(state)}",
            expected="a run that succeeded",
            hint=f"task_status.py --run-id {run.run_id}",
        )
    label = f"run {run.run_id} {what}"
    spec: Any = profile.inputs.get(kind) or {}
    of_role = (spec.get("roles") or {}).get(role) or {} if isinstance(spec, dict) else {}
    takes_files = isinstance(spec, dict) and bool(spec.get("file") or of_role.get("file"))
    file = _file_of(run, what)
    url = state.url_of(what)
    if file is not None and takes_files:
        return Link(file, label)
    if url is not None and isinstance(spec, dict) and spec.get("url") is not False:
        return Link(url, label)
    if what == "last_frame" and takes_files:
        return Link(str(_decoded(run)), label)
    if file is not None or what == "last_frame":
        raise configuration_error(
            f"{profile.name} takes only links for --{kind}, and there is none to the {what} of run {run.run_id}",
            expected="a provider that takes files, or a public link",
        )
    raise configuration_error(
        f"the {what} of run {run.run_id} is not here",
        hint=f"task_status.py --run-id {run.run_id} --download fetches it",
    )


def _file_of(run: Run, kind: str) -> str | None:
    here = (run.local_file(entry) for entry in run.state().files if entry.get("kind") == kind)
    return next((path for path in here if path is not None), None)


def _decoded(run: Run) -> Path:
    """The last frame of the run's own video file, as a PNG beside it. Raises TaskError."""
    place = run.outputs / FRAME_FILE
    source = _file_of(run, "video")
    if source is None:
        raise configuration_error(
            f"the run {run.run_id} has neither a last frame of the provider's own nor a video file here",
            hint=f"task_status.py --run-id {run.run_id} --download fetches the file",
        )
    try:
        import av
    except ImportError:
        raise configuration_error(
            f"the provider gave no last frame of run {run.run_id}, and no library is here to take it from the video",
            expected="the package av (PyAV), or an image of your own",
            hint="uv run --with av ..., or pip install av",
            code="no_last_frame",
        ) from None
    if not place.is_file():
        run.prepare()
        try:
            data, why = _last_frame(av, source), "no frame"
        except (OSError, ValueError, av.FFmpegError) as error:
            data, why = None, type(error).__name__
        if data is None:
            raise configuration_error(
                f"the last frame of run {run.run_id} could not be taken from its file ({why})",
                expected="an image of your own",
            )
        durable_files.write_atomic(place, data)
    return place


def _last_frame(av: Any, source: str) -> bytes | None:
    """The last picture of a video as PNG: from the last keyframe on, else (a broken index) from the beginning."""
    last = None
    for from_keyframe in (True, False):
        with av.open(source) as container:
            if from_keyframe and container.duration:
                container.seek(max(container.duration - 2_000_000, 0))
            for frame in container.decode(container.streams.video[0]):
                last = frame
        if last is not None:
            break
    else:
        return None
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = last.width, last.height, "rgb24"
    encoder.time_base = Fraction(1, 25)
    picture = last.reformat(format="rgb24")
    picture.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None)))
