"""What a command says: one JSON object a line on stdout for machines, short text on stderr for people.

With --text stdout has the account for people instead; reasons and the way on stand on stderr in both.

Every command ends with exactly one line that has `final: true, ok, exit_code, next, next_argv` (design section 4).
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate, takewhile
from typing import IO, Any, TypeVar

from videotasks.core.errors import ExitCode, TaskError, error_fields
from videotasks.core.invocation import in_words_of_the_caller
from videotasks.core.redaction import known_secrets, redact
from videotasks.core.safe_text import inert, json_inert, one_line
from videotasks.output import account
from videotasks.output.next_command import quoted

T = TypeVar("T")
STDOUT_LIMIT = 7_900  # characters of a whole run without --verbose; the promise is 8,000
EVENTS_LIMIT = 3_000  # of these, for the lines before the last: a status that flaps must not fill them
WIDEST_DOCUMENT = 100_000_000  # characters; a longer one is printed without layout
STDERR_LIMIT = 16_000  # characters before the last line, where no person looks on: a status that flaps is no news
LONGEST_LINK_SHOWN = 200  # a longer one gives way to the place of result.json where the line would not fit
LONGEST_ID_TWICE = 1_500  # a longer task id stands in the last line only
VERBOSE_ONLY = frozenset(
    {"sse_open", "sse_event", "sse_stream_ended", "sse_http_error", "sse_timeout", "sse_connect_error"}
    | {"poll", "poll_error", "fallback_polling_start", "fallback_polling_end", "upload", "download_progress"}
)


class Reporter:
    """Prints events. `verbose` restores the full stream; without it only what changes is printed."""

    def __init__(
        self,
        *,
        verbose: bool = False,
        sandbox: bool = False,
        text: bool = False,
        stdout: IO[bytes] | None = None,
        stderr: IO[str] | None = None,
    ) -> None:
        self.verbose = verbose
        self.sandbox = sandbox
        self.text = text
        self._stdout = stdout
        self._stderr = stderr
        self.on_closed: Callable[[Mapping[str, Any]], object] | None = None
        self.finished = False
        self.closed = False
        self._used = self._said = 0
        self._live: Any = None

    # -- machines --

    def event(self, name: str, **fields: Any) -> None:
        """One line. Fields that are None are left out; server text must come as `server_message`."""
        if name in VERBOSE_ONLY and not self.verbose:
            return
        if self.text:
            for word in ("message", "note", "server_message"):
                if name in ("start", "warning") and fields.get(word):
                    self.people(f"note: {fields[word]}")
            return
        line = {"event": name, **{k: v for k, v in fields.items() if v is not None}}
        if not self.verbose and len(str(line.get("task_id", ""))) > LONGEST_ID_TWICE:
            line = {**line, "task_id": None, "shortened": True}  # whole in the last line, and on disk
        text = _dumps(line)
        if not self.verbose:
            # What must be seen (an id, a link, a disk that is full) has more room than the rest.
            telling = name == "created" or "video_url" in line or (name == "warning" and "server_message" not in line)
            if self._used + len(text) > EVENTS_LIMIT * (1 + telling):
                return
            self._used += len(text) + 1
        self._write(line, text)

    def final(
        self,
        name: str,
        exit_code: int,
        *,
        next_argv: Sequence[str] | None = None,
        hint: str | None = None,
        whole: bool = False,
        **fields: Any,
    ) -> int:
        """The last line; returns the exit code. `ok` is true exactly when that is 0.

        It is shortened to what the run has left of its 8,000 characters, unless the user asked for the `whole`.
        """
        if self.finished:
            return exit_code
        self.finished = True
        self.live_end()
        line: dict[str, Any] = {"event": name, "final": True, "ok": exit_code == 0, "exit_code": int(exit_code)}
        if self.sandbox:
            line["sandbox"] = True
        line.update(fields)
        line["next"] = quoted(next_argv) if next_argv else None
        line["next_argv"] = list(next_argv) if next_argv else None
        if hint:
            line["hint"] = hint
        text = _dumps(line)
        if not whole and not self.verbose and len(text) > STDOUT_LIMIT - self._used:
            text = _dumps(shortened(line, STDOUT_LIMIT - self._used))
        if self.text:
            for said in account.result_lines(line):
                self._tell(said)
            if self.closed and self.on_closed is not None:
                self.on_closed(line)
        else:
            self._write(line, text)
        # A long wait ends many times: who reads no terminal has the command in the line, and once is enough.
        if exit_code == ExitCode.NOT_FINISHED and not self.shows_tables:
            self.people("not finished yet, nothing is lost: go on with next")
            return int(exit_code)
        for said in account.way_on(line):
            self._plain(one_line(in_words_of_the_caller(said), account.LONGEST))
        return int(exit_code)

    def error(self, error: TaskError, *, next_argv: Sequence[str] | None = None, **fields: Any) -> int:
        """The final line of a command that ends with an expected error."""
        fields = {"error": error_fields(error), "message": error.message, **fields}
        return self.final("error", error.exit_code, next_argv=next_argv, **fields)

    def document(self, fields: Mapping[str, Any], *, indent: int | None = None) -> None:
        """All that an inspecting command says: one JSON document, laid out for people, too, and not cut here."""
        text = document_text(fields, indent)
        if len(text) > WIDEST_DOCUMENT:
            text = document_text(fields, None)
        self._write({"final": True}, text)

    def _write(self, line: Mapping[str, Any], text: str) -> None:
        if not self._to_stdout(redact(text, known_secrets())) and line.get("final"):  # it must not be lost
            self._plain(text)
            if self.on_closed is not None:
                self.on_closed(line)

    def _to_stdout(self, text: str) -> bool:
        """A line on stdout; False, then and for ever, when nobody reads it any more."""
        try:
            if self.closed or (self._stdout is None and sys.stdout is None):  # started with a closed descriptor 1
                raise BrokenPipeError
            stream = self._stdout if self._stdout is not None else sys.stdout.buffer
            shared = self._live is not None and self._stdout is None and sys.stdout.isatty()
            if shared:
                self._live.step_aside()
            stream.write(text.encode("utf-8", "backslashreplace") + b"\n")
            stream.flush()
            if shared:
                self._live.come_back()
            return True
        except (OSError, ValueError):
            if not self.closed:
                self.closed = True
                if self._stdout is None:
                    _drop(sys.stdout)
            return False

    # -- people --

    @property
    def shows_tables(self) -> bool:
        """Whether a person reads along: then rows are shown as a table, too."""
        return self.text or (sys.stderr is not None and sys.stderr.isatty())

    def people(self, text: str) -> None:
        """A short line for people: on stderr, with --text on stdout. Server text in it is made inert here."""
        line = one_line(redact(text, known_secrets()), 600)
        if not self.finished and not self.verbose and not self._watched():
            self._said += len(line) + 1
            if self._said > STDERR_LIMIT:
                return
        self._tell(line) if self.text else self._plain(line)

    def _watched(self) -> bool:
        stream = self._stderr if self._stderr is not None else sys.stderr
        return stream is not None and stream.isatty()

    def row(self, text: str) -> None:
        """A row of a table: as `people`, with its blanks."""
        line = inert(redact(text, known_secrets()), 600)
        self._tell(line) if self.text else self._plain(line)

    def _tell(self, text: str) -> None:
        """A line of the account on stdout; on stderr when nobody reads stdout any more."""
        text = redact(inert(text, account.LONGEST), known_secrets())
        if self._live is not None:
            self._live.above(text)
        elif not self._to_stdout(text):
            self._plain(text)

    def _plain(self, text: str) -> None:
        stream = self._stderr if self._stderr is not None else sys.stderr
        if stream is None:  # started with a closed descriptor 2
            return
        try:
            if self._live is not None:
                self._live.above(redact(text, known_secrets()))
                return
            stream.write(redact(text, known_secrets()) + "\n")
            stream.flush()
        except UnicodeEncodeError:
            stream.write(text.encode("ascii", "backslashreplace").decode("ascii") + "\n")
        except (OSError, ValueError):
            if self._stderr is None:
                _drop(sys.stderr)

    def live_begin(self) -> None:
        """A live line on a terminal; plain lines elsewhere."""
        stream: Any = self._stderr if self._stderr is not None else sys.stderr
        if self.text and self._stdout is None:
            stream = sys.stdout
        if self._live is None and stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb":
            with suppress(ImportError):
                from videotasks.output.live_line import LiveScreen

                screen = LiveScreen(stream)
                self._live = screen if screen.usable else None

    @property
    def live(self) -> bool:
        return self._live is not None

    def live_status(self, text: str, percent: float | None = None) -> None:
        if self._live is not None:
            self._live.status(one_line(text, 200), percent)

    def live_rows(self, rows: Sequence[tuple[str, str]]) -> None:
        """Many tasks at once: (run id, status in words)."""
        if self._live is not None:
            self._live.rows([(one_line(name, 80), one_line(words, 80)) for name, words in rows])

    def live_download(self, done: int, total: int | None) -> None:
        if self._live is not None:
            self._live.download(done, total)

    def live_end(self) -> None:
        if self._live is not None:
            self._live.close()
            self._live = None


def document_text(fields: Mapping[str, Any], indent: int | None) -> str:
    """A document as it will be printed. A list of arguments under `next` becomes a command line and `next_argv`."""
    steps = fields.get("next")
    if isinstance(steps, list):
        fields = {**fields, "next": quoted(steps), "next_argv": steps}
    try:
        text = json.dumps(fields, ensure_ascii=False, indent=indent, allow_nan=False, default=str)
    except ValueError:
        text = json.dumps(_finite(fields), ensure_ascii=False, indent=indent, allow_nan=False, default=str)
    return json_inert(text)


def _finite(value: Any) -> Any:
    """Infinity and NaN, which YAML can hold and JSON cannot, as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, list) else value


def _dumps(line: Mapping[str, Any]) -> str:
    return json_inert(json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str))


def within(rows: Sequence[T], chars: int) -> list[T]:
    """As many rows as fit into so many characters of JSON."""
    used = accumulate(len(json.dumps(entry, ensure_ascii=False)) + 1 for entry in rows)
    return [entry for entry, _ in takewhile(lambda pair: pair[1] <= chars, zip(rows, used, strict=True))]


def shortened(line: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """A line that fits: the bulky extras go first, then the ends of what is long; what decides stays whole.

    A link is whole or left out: a signed one may have 16,000 characters, and the run's result.json has it.
    """
    short = {key: value for key, value in line.items() if key not in _BULKY}
    short["shortened"] = True
    for key, value in line.items():
        if key.endswith("_url") and isinstance(value, str) and len(value) > min(LINK_LIMIT, limit // 3):
            short[key] = None
            short["result_file"] = "outputs/result.json"
    for most in (1_000, 300, 100):
        if len(_dumps(short)) <= limit:
            break
        short = {key: value if key in _DECIDING else _cut(value, most) for key, value in short.items()}
    short = _without_link(short, line, limit, 2_000)
    for key in sorted(short.keys() - _DECIDING, key=lambda key: -len(_dumps({"": short[key]}))):
        if len(_dumps(short)) <= limit:
            break
        error = short.pop(key)
        if key == "error" and isinstance(error, Mapping):
            short[key] = {name: error[name] for name in ("category", "message") if name in error}
    return _without_link(short, line, limit, LONGEST_LINK_SHOWN)


def _without_link(short: dict[str, Any], line: Mapping[str, Any], limit: int, longest: int) -> dict[str, Any]:
    """Links of 16,000 characters exist: one that leaves no room for the rest is told by the file that holds it."""
    fits = len(_dumps(short)) <= limit or len(str(short.get("video_url") or "")) <= longest
    if fits or not line.get("artifacts_dir"):
        return short
    file = os.path.join(str(line["artifacts_dir"]), "outputs", "result.json")
    return {**short, "video_url": None, "result_file": file}


LINK_LIMIT = 4_000  # characters of one link in a line that must be shortened
_BULKY = ("response", "usage", "candidates", "for_a_running_assistant")
_DECIDING = frozenset(
    {"event", "final", "ok", "exit_code", "next", "next_argv", "task_id", "run_id", "video_url", "video_file"}
    | {"result_file"}
)


def _cut(value: Any, most: int) -> Any:
    """Strings of at most `most` characters, lists of as many items as fit into four times that."""
    if isinstance(value, str):
        if "://" in value[:20]:
            return value if len(value) <= most else None
        return value if len(value) <= most else value[:most] + "..."
    if isinstance(value, Mapping):
        return {key: _cut(item, most) for key, item in list(value.items())[:30]}
    if isinstance(value, (list, tuple)):
        kept: list[Any] = []
        room = 4 * most
        for item in value:
            item = _cut(item, most)
            room -= len(_dumps({"": item}))
            if room < 0:
                break
            kept.append(item)
        return kept
    return value


def _drop(stream: Any) -> None:
    """Nobody reads this stream any more: what it still holds must not fail the interpreter's own last flush (120)."""
    with suppress(OSError, ValueError, AttributeError):
        handle = os.open(os.devnull, os.O_WRONLY)
        os.dup2(handle, stream.fileno())
        os.close(handle)
