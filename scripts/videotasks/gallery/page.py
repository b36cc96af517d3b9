"""A page of runs for a browser: what a card shows of a run, and the page as one file that needs nothing else.

Whatever a user typed or a server said is text there, never markup: Jinja2 escapes it, a content security policy lets
only the page's own style and script act, and no link leads anywhere but to files of the runs.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote_from_bytes, urlsplit

from videotasks.core import durable_files
from videotasks.core.errors import Category, category_message, configuration_error
from videotasks.core.installation import skill_folder, skill_version
from videotasks.core.redaction import known_secrets, redact
from videotasks.core.safe_text import inert, one_line
from videotasks.core.task import Phase
from videotasks.core.times import iso
from videotasks.output import account
from videotasks.runs import results
from videotasks.runs.journal import RunState
from videotasks.runs.store import Run, RunStore

FILE_NAME = "gallery.html"
BATCHES = "batches"  # under the artifacts root: a folder for each batch
BATCH_FILE = "batch.json"
MOST_CARDS = 1_000  # 5 MB of page; nobody scrolls further
MOST_AXES, AXIS_CHARS = 6, 80
_MARK = b'<meta name="generator" content="ai-video-tasks gallery'
# What a browser shows in place, by the endings that downloads give. Any other file is linked to. One that is none of
# these (.html, .svg in a folder from elsewhere) is not even that: opened from disk it would be a program.
_PLAYS = {
    "video": (".mp4", ".mov", ".webm", ".ogv", ".3gp"),
    "audio": (".wav", ".mp3", ".m4a", ".aac", ".ogg", ".flac"),
    "image": (".png", ".jpg", ".webp", ".gif", ".bmp", ".avif"),
}
_LINKED = (*chain.from_iterable(_PLAYS.values()), ".mkv", ".avi", ".flv", ".ts", ".tiff", ".heic", ".heif")
_TONES = {
    "succeeded": "good",
    **dict.fromkeys(("failed", "expired", "refused", "invalid"), "bad"),
    **dict.fromkeys(("queued", "running"), "busy"),
}


@dataclass(frozen=True)
class Card:
    """One run, or one row of a batch that has none, as the page shows it. Texts are inert and cut already.

    `files` are those of the run's own making that are there as they were fetched: (how the browser shows it: video,
    audio, image or link; absolute path, or the link to one in a store). `axes` are what cards are set side by side by:
    (name, value).
    """

    status: str
    prompt: str = ""
    words: str = ""
    server_words: str = ""
    provider: str = ""
    model: str = ""
    run_id: str = ""
    line: int | None = None
    take: int | None = None
    created_at: float = 0.0
    length_s: float | None = None
    width: int | None = None
    height: int | None = None
    size: str = ""
    cost: float | None = None
    cost_text: str = ""
    cost_unit: str = ""
    sandbox: bool = False
    vouched: bool = True
    files: tuple[tuple[str, Path | str], ...] = ()
    poster: Path | str | None = None
    axes: tuple[tuple[str, str], ...] = ()
    crossed: bool = False

    @property
    def tone(self) -> str:
        return _TONES.get(self.status, "calm")

    @property
    def hue(self) -> int:
        return zlib.crc32(f"{self.provider} {self.model}".encode()) % 8

    @property
    def axes_json(self) -> str:
        return json.dumps(self.axes, ensure_ascii=False)

    @property
    def created(self) -> str:
        return iso(self.created_at) if self.created_at else ""


class Written(NamedTuple):
    """What was written: the page's absolute path and size, the runs that it shows, and how many there were."""

    file: str
    bytes: int
    shown: int
    total: int


# -- cards --


def card_of_run(run: Run, row: Mapping[str, Any] | None = None) -> Card:
    """The card of a run; `row` is the row of a batch that it belongs to. Recorded files count only while intact."""
    state, request = run.state(), run.request
    vouched = run.made_here
    main = [entry for kind in results.MAIN for entry in state.files if entry.get("kind") == kind]
    measured = results.measures(state)
    prompt, provider, model = run.prompt, one_line(run.provider, 60), one_line(_text(request.get("model")), 120)
    made_by = f"{provider}, {model}" if model else provider
    unit = one_line(state.cost_unit or "", 20) if state.cost is not None else ""
    take = request.get("take")
    return Card(
        status="refused" if state.phase is Phase.REFUSED else results.status_of(state),
        prompt=inert(prompt, multiline=True),
        words=_words(run, state, vouched),
        server_words=_server_words(state.error),
        provider=provider,
        model=model,
        run_id=run.run_id,
        line=_line(row),
        take=take if isinstance(take, int) and take > 1 else None,
        created_at=run.created_at,
        length_s=_positive(measured.get("duration_s")),
        width=_pixels(measured.get("width")),
        height=_pixels(measured.get("height")),
        size=account.size(measured["bytes"]) if _positive(measured.get("bytes")) else "",
        cost=state.cost,
        cost_text=_cost(request, state),
        cost_unit=unit,
        sandbox=run.mode == "sandbox",
        vouched=vouched,
        files=tuple(
            (_shown_as(entry), _own(run, entry))
            for entry in main[:20]
            if _ending(entry) in _LINKED and run.holds(entry)
        ),
        poster=_poster(run, state),
        axes=_axes(row) or (("prompt", one_line(prompt, 200)), ("model", made_by)),
        crossed=bool(_axes(row)),
    )


def card_of_row(row: Mapping[str, Any]) -> Card:
    """The card of a batch's row that has no run (or one that is gone): what the row says of itself."""
    error = row.get("error")
    error = error if isinstance(error, Mapping) else {}
    axes = dict(_axes(row))
    return Card(
        status=one_line(_text(row.get("status")) or "unknown", 30),
        prompt=axes.get("prompt", ""),
        words=one_line(_text(error.get("message")), 300),
        server_words=_server_words(error),
        provider=axes.get("provider", ""),
        model=axes.get("model", ""),
        run_id=one_line(_text(row.get("run_id")), 64),
        line=_line(row),
        axes=_axes(row),
        crossed=bool(axes),
    )


def _words(run: Run, state: RunState, vouched: bool) -> str:
    """What it has come to, and why, in our words."""
    if not vouched:
        return "This folder was made by another machine, and nothing has vouched for what it tells."
    said = results.summary(run, state, brief=True)
    if state.error and not state.phase.in_doubt:
        with suppress(ValueError):
            reason = category_message(Category(state.error.get("category")))
            if reason[4:] not in said:  # "the task was cancelled" is said once
                said += f" {reason[0].upper()}{reason[1:]}."
    return said


def _server_words(error: Mapping[str, Any] | None) -> str:
    return inert(_text(error.get("server_message")), 500, multiline=True) if error else ""


def _cost(request: Mapping[str, Any], state: RunState) -> str:
    if state.cost is not None:
        return one_line(account.amount(results.cost(state)), 40)
    if state.task_id is None:
        return ""
    expected = account.amount(request.get("expected_cost"))
    return "unknown" if expected == "unknown" else one_line(f"{expected} expected", 60)


def _poster(run: Run, state: RunState) -> Path | str | None:
    for kind in ("thumbnail", "last_frame"):
        for entry in state.files:
            if entry.get("kind") == kind and _shown_as(entry) == "image" and run.holds(entry):
                return _own(run, entry)
    return None


def _own(run: Run, entry: Mapping[str, Any]) -> Path | str:
    return run.link_of(entry) or run.folder / str(entry["path"])


def _ending(entry: Mapping[str, Any]) -> str:
    return os.path.splitext(str(entry.get("path")))[1].lower()


def _shown_as(entry: Mapping[str, Any]) -> str:
    return next((how for how, endings in _PLAYS.items() if _ending(entry) in endings), "link")


def _axes(row: Mapping[str, Any] | None) -> tuple[tuple[str, str], ...]:
    """What a row of a matrix was crossed from."""
    matrix = row.get("matrix") if row else None
    if not isinstance(matrix, Mapping):
        return ()
    return tuple(
        (one_line(str(name), AXIS_CHARS), one_line(_text(value), AXIS_CHARS))
        for name, value in list(matrix.items())[:MOST_AXES]
    )


def _line(row: Mapping[str, Any] | None) -> int | None:
    line = row.get("line") if row else None
    return line if isinstance(line, int) and not isinstance(line, bool) and 0 <= line < 10**9 else None


def _text(value: Any) -> str:
    """A value of JSON as people read it; containers as the start of their JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)[:4_000]


def _positive(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and 0 < value < 1e12 else None


def _pixels(value: Any) -> int | None:
    return int(value) if _positive(value) and value < 100_000 else None


# -- batches --


def read_batch(folder: Path) -> Mapping[str, Any]:
    """batch.json of a batch's folder, as data. Raises TaskError when there is none that can be read."""
    document = durable_files.read_json(folder / BATCH_FILE)
    if not isinstance(document, dict) or not isinstance(document.get("rows"), list):
        raise configuration_error(f"{folder} holds no {BATCH_FILE} with rows", expected="the folder of a batch")
    return document


def write_batch_gallery(
    folder: Path, document: Mapping[str, Any], store: RunStore, *, now: float, file: Path | None = None
) -> Written:
    """The page of a batch, in its folder unless `file` says otherwise. Raises TaskError; ImportError without Jinja2."""
    rows = [row for row in document["rows"] if isinstance(row, Mapping)]
    cards = []
    for row in rows[:MOST_CARDS]:
        run_id = row.get("run_id")
        run = store.find(run_id) if isinstance(run_id, str) else None
        cards.append(card_of_run(run, row) if run is not None else card_of_row(row))
    title = one_line(f"Batch {_text(document.get('id')) or folder.name}", 100)
    return write_gallery(file or folder / FILE_NAME, cards, title=title, now=now, total=len(rows))


# -- the page --


def write_gallery(file: Path, cards: Sequence[Card], *, title: str, now: float, total: int | None = None) -> Written:
    """Write the page of `cards` to `file`, whole or not at all; what stood there is replaced, a link is refused.

    A page holds MOST_CARDS; `total` is how many there were where the caller has made no more cards than that.

    Links are relative to the file's real folder, so that the path in the answer is the one to open. Raises TaskError
    when it cannot be written, and ImportError without Jinja2.
    """
    durable_files.refuse_link(file)
    file = Path(os.path.realpath(file.parent)) / file.name
    shown = cards[:MOST_CARDS]
    total = len(cards) if total is None else total
    text = render(shown, folder=str(file.parent), title=title, now=now, left_out=total - len(shown))
    data = redact(text, known_secrets()).encode("utf-8", "backslashreplace")
    try:
        durable_files.write_atomic(file, data)
    except OSError as error:
        raise durable_files.disk_error(error, f"{file} could not be written") from None
    return Written(str(file), len(data), len(shown), total)


def render(cards: Sequence[Card], *, folder: str, title: str, now: float, left_out: int = 0) -> str:
    """The page as it stands in `folder` (a real path). Raises ImportError without Jinja2."""
    linked = [place for card in cards for place in (*(one for _, one in card.files), card.poster)]
    hosts = {"{0.scheme}://{0.netloc}".format(urlsplit(place)) for place in linked if isinstance(place, str)}
    return compiled_template().render(
        folder=folder,
        cards=cards,
        title=title,
        made=iso(now),
        version=skill_version(),
        left_out=left_out,
        hosts=sorted(host for host in hosts if host.startswith("http")),
        sums=_sums(cards),
        counts=_counted(card.status for card in cards),
        providers=_counted(card.provider for card in cards if card.provider),
        models=_counted(card.model for card in cards if card.model),
        crossed=any(card.crossed for card in cards),
    )


@functools.cache
def compiled_template() -> Any:
    """Compiled once: 30 ms, which a server or a batch would spend on every page."""
    from jinja2 import Environment, StrictUndefined

    pages = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters.update(source_hash=_source_hash, link=link, name=_name)
    return pages.from_string((skill_folder() / "shared" / "gallery.html.j2").read_text(encoding="utf-8"))


def is_gallery(file: Path) -> bool:
    """Whether a file is an earlier page of ours, which a new one may replace."""
    try:
        with open(durable_files.open_regular(file), "rb") as reader:
            return _MARK in reader.read(400)
    except OSError:
        return False


def link(place: Path | str, folder: str) -> str:
    """The address of a file, relative to a folder: each name percent-encoded, so that #, ?, % and blanks are names.

    One in a store has its own.
    """
    if isinstance(place, str):
        return place
    real = os.path.join(os.path.realpath(place.parent), place.name)
    try:
        relative = os.path.relpath(real, folder)
    except ValueError:  # another drive
        return Path(real).as_uri()
    return "/".join(quote_from_bytes(os.fsencode(part), safe="") for part in Path(relative).parts)


def _name(place: Path | str) -> str:
    return os.path.basename(urlsplit(place).path) if isinstance(place, str) else place.name


def _source_hash(source: str) -> str:
    """What a content security policy calls one inline script or style by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _counted(words: Any) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _sums(cards: Sequence[Card]) -> list[str]:
    """What was charged by provider and unit; unknown costs are counted, never taken as nothing."""
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for card in cards:
        if card.cost is not None:
            sums[card.provider, card.cost_unit] += card.cost
    told = [f"{round(total, 6):g} {unit} at {provider}" for (provider, unit), total in sorted(sums.items())]
    unknown = sum(1 for card in cards if card.cost is None and card.cost_text)
    return told + ([f"{unknown} of unknown cost"] if unknown else [])
