"""Fetching every output of a succeeded run into its folder: fixed names, one lock, and every way that leads to a file.

A link may be dead, private, or want the key of the API that told it; the file may stand in the answer itself, or behind
the API's content endpoint. What the user paid for is there as long as one of these ways leads to it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from videotasks.core import durable_files
from videotasks.core.durable_files import intact, noted
from videotasks.core.errors import Category, TaskError, error_fields
from videotasks.core.record import record, replace
from videotasks.core.safe_text import cut_query
from videotasks.core.task import Outcome, Output, Snapshot, Status
from videotasks.core.workers import Message
from videotasks.lifecycle import free_calls
from videotasks.lifecycle.outcome import Ending, snapshot_fields, write_results
from videotasks.lifecycle.session import Context
from videotasks.network import origins
from videotasks.network.flight import Flight
from videotasks.providers.provider import Provider, TaskRef
from videotasks.runs.journal import RunState
from videotasks.runs.results import MAIN
from videotasks.runs.store import Run

if TYPE_CHECKING:
    from videotasks.downloads.errors import DownloadFailed

PROGRESS_EVERY_S = 1.0
SLOW_DOWNLOAD_S = 1.0  # a download that takes longer has its link printed beforehand, for whoever is cut off
QUICK_RESUMES = 2  # tries in a row that bring nothing, while there is another way to the same file
# After these another way may do: a link that nobody here may use, that wants the key, or that gives something else.
_WANTS_KEY = frozenset({401, 403, 404})
LOCK_PATIENCE_S = 20.0
_HOPELESS = frozenset({"deadline", "cancelled", "disk", "disk_full"})


def fetch_all(ctx: Context, run: Run, provider: Provider, *, deadline: float) -> TaskError | None:
    """Fetch what is missing. Returns the error that a person must hear, or None. Raises Interrupted.

    A missing side file (thumbnail, last frame) is a warning; a missing main result is the error.
    """
    state = run.state()
    there = {str(entry.get("name")) for entry in state.files if intact(run.folder, entry)}
    if not all(name in there for name, _ in named_outputs(state)):
        ctx.reporter.people("the result is ready; downloading " + cut_query(state.url_of("video") or "it"))
    with _download_lock(ctx, run, deadline) as mine:
        if not mine:
            return TaskError(Category.TIMEOUT, "another process is downloading this result")
        return _fetch_locked(ctx, run, provider, run.state(), deadline)


def _fetch_locked(ctx: Context, run: Run, provider: Provider, state: RunState, deadline: float) -> TaskError | None:
    from videotasks.downloads.errors import DownloadFailed

    entries = {str(e.get("name")): noted(run.folder, e) for e in state.files if intact(run.folder, e)}
    failures: dict[str, TaskError] = {}
    named = named_outputs(state)
    for name, output in named:
        if name in entries:
            continue
        try:
            entries[name] = _Job(ctx, run, provider, name, output, deadline).fetch()
        except DownloadFailed as error:
            if output.kind not in MAIN:
                ctx.reporter.event("warning", message=f"the {output.kind} could not be fetched: {error.message}")
                continue
            failures[name] = _as_task_error(error)
            if error.kind == "deadline":
                break
    kept = list(entries.values())
    if kept and kept != state.files:
        ctx.record(run, "downloaded", files=kept)
    wanted = next((output.kind for _, output in named if output.kind in MAIN), None)
    failure = next(iter(failures.values()), None)
    if failure is not None and any(e["kind"] == wanted for e in kept) and failure.category is not Category.TIMEOUT:
        # One of several is here: what the user waits for. The others are told, and fetched by the next --download.
        missing = ", ".join(failures)
        ctx.reporter.event("warning", message=f"not fetched: {missing} ({failure.message})")
        failure = None
    if failure is not None:
        ctx.record(run, "download_failed", error=error_fields(failure))
        return failure
    if ctx.output:
        _copy_to_output(ctx, run, kept)
    return None


def _copy_to_output(ctx: Context, run: Run, kept: list[dict[str, Any]]) -> None:
    from videotasks.downloads.output_copy import copy_output

    source = next((entry for kind in MAIN for entry in kept if entry["kind"] == kind), None)
    if source is not None:
        copied = copy_output(run.folder / source["path"], str(ctx.output), force=ctx.force)
        ctx.copied_to = str(copied)
        ctx.reporter.people(f"copied to {copied}")


def named_outputs(state: RunState) -> list[tuple[str, Output]]:
    """Every output of a run's record with its fixed name: video, video-2, image, last_frame, thumbnail ..."""
    return _named(Output.of_entry(entry) for entry in state.outputs)


def _named(outputs: Iterable[Output]) -> list[tuple[str, Output]]:
    counts, named = Counter[str](), []
    for output in outputs:
        if output.kind in (*MAIN, "last_frame", "thumbnail"):
            counts[output.kind] += 1
            number = counts[output.kind]
            named.append((output.kind if number == 1 else f"{output.kind}-{number}", output))
    return named


def record_ending(ctx: Context, run: Run, provider: Provider, ending: Ending) -> None:
    """Journal how a task ended (or that it is still going) and write the result files."""
    snapshot = ending.snapshot
    keep_embedded(ctx, run, provider, snapshot)
    if ending.outcome.of_the_task:
        ctx.record(run, "ended", outcome=ending.outcome.value, **snapshot_fields(ctx, provider, snapshot, ending.error))
    elif ending.outcome is Outcome.TIMEOUT:
        ctx.record(run, "timeout")
    write_results(ctx, run, snapshot)


def keep_embedded(ctx: Context, run: Run, provider: Provider, snapshot: Snapshot | None) -> None:
    """Write the files that stood in the answer itself: it may not be given twice, and no link leads to them."""
    from videotasks.downloads.errors import DownloadFailed

    named = [(name, output) for name, output in _named(snapshot.outputs if snapshot else ()) if output.data is not None]
    if not named:
        return
    with _download_lock(ctx, run, ctx.monotonic() + LOCK_PATIENCE_S) as mine:
        entries = {str(e.get("name")): e for e in run.state().files if intact(run.folder, e)}
        for name, output in named if mine else ():
            try:
                entries.setdefault(name, _Job(ctx, run, provider, name, output, math.inf).keep())
            except DownloadFailed as error:
                ctx.reporter.event("warning", message=f"the {output.kind} in the answer is of no use: {error.message}")
        if entries:
            ctx.record(run, "downloaded", files=list(entries.values()))


def try_guesses(ctx: Context, run: Run, provider: Provider, ending: Ending, *, deadline: float) -> Ending:
    """A success whose paths gave nothing: the one other link of its answer that is a video, when it is no input.

    Its content decides, so it is fetched whether or not files are wanted. Two different videos are none.
    """
    snapshot = ending.snapshot
    if ending.outcome is not Outcome.NO_RESULT or snapshot is None or not snapshot.guesses:
        return ending
    with _download_lock(ctx, run, ctx.monotonic() + LOCK_PATIENCE_S) as mine:
        found = _guessed(ctx, run, provider, snapshot, deadline) if mine else {}
        if len(found) != 1:
            for _, entry in found.values():
                _discard(run, entry)
            return ending
        ((guess, entry),) = found.values()
        name = "video" + Path(entry["path"]).suffix
        durable_files.replace(run.folder / entry["path"], run.outputs / name)
        entry = noted(run.folder, {**entry, "name": "video", "path": f"outputs/{name}"})
        ctx.record(run, "downloaded", files=[entry])
    ctx.reporter.event(
        "warning", message="no path of the profile names the result: the one video in the answer is taken"
    )
    taken = replace(snapshot, outputs=(replace(guess, data=None),))
    return replace(ending, outcome=Outcome.SUCCEEDED, snapshot=taken, error=None)


def _guessed(
    ctx: Context, run: Run, provider: Provider, snapshot: Snapshot, deadline: float
) -> dict[str, tuple[Output, dict[str, Any]]]:
    """The guesses that are videos and no inputs, by the hash of their content."""
    from videotasks.downloads.errors import DownloadFailed

    given = json.dumps(run.request.get("payload"), ensure_ascii=False, default=str)
    found: dict[str, tuple[Output, dict[str, Any]]] = {}
    for number, guess in enumerate(snapshot.guesses, 1):
        if guess.url is not None and guess.url in given:
            continue
        job = _Job(ctx, run, provider, f"guess-{number}", guess, deadline)
        try:
            entry = job.keep() if guess.data is not None else job.fetch(quick=True)
        except DownloadFailed as error:
            if error.kind in _HOPELESS:
                break
            continue
        if entry["sha256"] in given or entry["sha256"] in found:
            _discard(run, entry)
        else:
            found[entry["sha256"]] = (guess, entry)
    return found


@contextmanager
def _download_lock(ctx: Context, run: Run, end: float) -> Iterator[bool]:
    """Whether this process may write files of the run now; another one that does is waited for until `end`."""
    with run.download_lock().held(wait=ctx.mailbox.sleep, give_up=lambda: ctx.monotonic() >= end) as mine:
        if mine:
            run.prepare()
        yield mine


def _discard(run: Run, entry: dict[str, Any]) -> None:
    with suppress(OSError):
        (run.folder / entry["path"]).unlink()


@record
class _Job:
    """One output on its way to a file."""

    ctx: Context
    run: Run
    provider: Provider
    name: str
    output: Output
    deadline: float

    def fetch(self, *, quick: bool = False) -> dict[str, Any]:
        """The file's entry, by the first way that leads to it. Raises DownloadFailed: why the link did not.

        `quick`: the link alone, without patience.
        """
        from videotasks.downloads.errors import DownloadFailed

        try:
            return self._by_link(self.output, quick=quick or self.output.fallback_path is not None)
        except DownloadFailed as error:
            first = error
        for way in () if quick else self._other_ways(first):
            if first.kind in _HOPELESS:
                break
            try:
                return way()
            except DownloadFailed as error:
                if error.kind in _HOPELESS:
                    raise
        raise first

    def _other_ways(self, first: DownloadFailed) -> Iterator[Callable[[], dict[str, Any]]]:
        if first.kind == "link_expired":
            yield partial(self._by_fresh_link, first)
        if self.output.fallback_path is not None:
            yield partial(self._download, self.provider.url(self.output.fallback_path), keyed=True)
            if first.resumable and first.kind != "link_expired":  # nothing else did: with all patience now
                yield partial(self._by_link, self.output)

    def _by_link(self, output: Output, *, quick: bool = False) -> dict[str, Any]:
        """The link itself; once more with the key when it is the API's own and was refused without."""
        from videotasks.downloads.errors import DownloadFailed

        if output.url is None and output.content_path is None:
            raise DownloadFailed("link_expired", "the file stood in an answer, and no link leads to it", resumable=True)
        if output.url is not None and urlsplit(output.url).scheme not in ("http", "https"):
            expected = "the tool of that object store, with the bucket owner's own access"
            raise DownloadFailed("elsewhere", f"the result lies in a bucket, at {output.url}", expected=expected)
        url = output.url or self.provider.url(output.content_path or "")
        keyed = output.content_path is not None
        try:
            return self._download(url, keyed=keyed, quick=quick)
        except DownloadFailed as error:
            own = not keyed and origins.same_origin(url, self.provider.profile.base_url)
            if not own or not (error.http_status in _WANTS_KEY or error.kind == "not_media"):
                raise
            first = error
        try:
            return self._download(url, keyed=True, quick=quick)
        except DownloadFailed as error:
            # What the link said without the key counts: an expired one is renewed, whatever it says to a key.
            raise error if error.kind in _HOPELESS else first from None

    def _by_fresh_link(self, first: DownloadFailed) -> dict[str, Any]:
        fresh = self._fresh()
        if fresh is None:
            raise first
        if fresh.data is not None:
            return replace(self, output=fresh).keep()
        return self._by_link(fresh, quick=self.output.fallback_path is not None)

    def _download(self, url: str, *, keyed: bool, quick: bool = False) -> dict[str, Any]:
        from videotasks.downloads.download import download
        from videotasks.downloads.transfer import Limits, Transfer
        from videotasks.network.guarded_link import ResultLinks

        ctx, output, provider = self.ctx, self.output, self.provider
        source = object()
        flights: list[Flight] = []
        cancelled: list[bool] = []
        announced = False
        limits = Limits(max_resumes=QUICK_RESUMES) if quick and not self._begun() else Limits()

        def work() -> Any:
            transfer = Transfer(
                url,
                ResultLinks(provider.profile.base_url, provider.client() if keyed else None, ctx.allow_private_results),
                self._expect,
                limits,
                self.deadline,
                on_progress=lambda done, total: ctx.mailbox.put(Message("event", source, (done, total))),
                on_flight=flights.append,
                cancelled=lambda: bool(cancelled),
            )
            return download(transfer, self.run.outputs, self.name)

        began = told_at = ctx.monotonic()

        def on_event(progress: Any) -> None:
            nonlocal announced, told_at
            ctx.reporter.live_download(*progress)
            if ctx.monotonic() - told_at >= PROGRESS_EVERY_S:
                told_at = ctx.monotonic()
                ctx.reporter.event("download_progress", bytes=progress[0], total=progress[1])
            slow = ctx.monotonic() - began > SLOW_DOWNLOAD_S
            if slow and not announced and output.kind in MAIN and not ctx.sandbox:  # whose link ends with us
                announced = True
                ctx.reporter.event("status", status=Status.SUCCEEDED.value, video_url=output.url, downloading=True)

        try:
            return self._entry(ctx.mailbox.call(work, on_event=on_event, token=source))
        except BaseException:
            cancelled.append(True)
            for flight in flights[-1:]:
                flight.abort()
            raise

    def _begun(self) -> bool:
        """Whether bytes of it are here already: then nothing is quicker than going on from them."""
        part = self.run.outputs / f"{self.name}.part"
        return part.is_file() and part.stat().st_size > 0

    def keep(self) -> dict[str, Any]:
        """The file that stood in the answer, written and looked into. Raises DownloadFailed."""
        from videotasks.downloads.download import keep

        data = self.output.data
        assert data is not None
        work = partial(keep, data, self.run.outputs, self.name, expect=self._expect)
        return self._entry(self.ctx.mailbox.call(work))

    @property
    def _expect(self) -> str:
        return {"last_frame": "image", "thumbnail": "image"}.get(self.output.kind, self.output.kind)

    def _entry(self, fetched: Any) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "name": self.name,
            "path": f"outputs/{Path(fetched.path).name}",
            "kind": self.output.kind,
            "mime": fetched.type.mime,
            "bytes": fetched.bytes,
            "sha256": fetched.sha256,
        }
        measures = {key: getattr(fetched.structure, key, None) for key in ("duration_s", "width", "height")}
        entry.update({key: value for key, value in measures.items() if value is not None})
        if fetched.structure is None:  # whether it is whole was not looked into
            entry["unchecked"] = True
        return noted(self.run.folder, entry)

    def _fresh(self) -> Output | None:
        """The same output with the link that the API gives now (many links live for an hour or a day)."""
        state, provider = self.run.state(), self.provider
        if state.task_id is None:
            return None
        ref = TaskRef(state.task_id, state.follow)
        try:
            snapshot = free_calls.look(self.ctx, provider, ref, deadline=self.deadline).snapshot
        except TaskError:
            return None
        if snapshot is None or snapshot.status is not Status.SUCCEEDED or not snapshot.has_result:
            return None
        fields = snapshot_fields(self.ctx, provider, snapshot)
        self.ctx.record(self.run, "ended", outcome=Outcome.SUCCEEDED.value, **fields)
        return dict(_named(snapshot.outputs)).get(self.name)


def _as_task_error(error: Any) -> TaskError:
    if error.kind == "deadline":
        return TaskError(Category.TIMEOUT, error.message)
    return TaskError(
        Category.DOWNLOAD_FAILED,
        f"the video was made, but its download failed: {error.message}",
        expected=error.expected,
        code=error.kind,
        http_status=error.http_status,
        server_message=error.server_excerpt,
        details={"resumable": bool(error.resumable)},
    )
