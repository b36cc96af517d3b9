"""Event streams: bytes in, events out (WHATWG HTML, section 9.2 "Server-sent events").

Pure and incremental: no network, no clock. The same bytes give the same events however they are cut into chunks,
and an event is handed out with the very byte that ends it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MIB = 1024 * 1024
MAX_LINE_BYTES = 16 * MIB  # results may carry a picture as base64: generous, but an end
MAX_EVENT_BYTES = 16 * MIB
MAX_STREAM_BYTES = 64 * MIB  # also ends a stream that is nothing but comments or id lines

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")


class SseEvent(NamedTuple):
    """One dispatched event. `event` is "message" when the stream names no type; `data` lines are joined by newlines."""

    event: str
    data: str


class SseLimitError(Exception):
    """A cap was passed; nothing after it can be told apart, so the parser is not fed again.

    `limit` is "line", "event" or "stream". `events` holds what was complete before the cap: the id of a paid task
    may be among it, so a caller reads it before giving up.
    """

    def __init__(self, limit: str, maximum: int, events: list[SseEvent]) -> None:
        super().__init__(f"event stream over its limit: a {limit} of more than {maximum} bytes")
        self.limit = limit
        self.maximum = maximum
        self.events = events


def is_event_stream(content_type: str | None) -> bool:
    """True for the media type text/event-stream; parameters are ignored (a stream is UTF-8 whatever charset says)."""
    return (content_type or "").split(";", 1)[0].strip().lower() == "text/event-stream"


class SseParser:
    """Incremental parser; feed it chunks of any size. An event without its blank line is none: half an end is no end.

    `id` and `retry` are for clients that connect again; this one never does, for a second POST would be a second task.
    """

    def __init__(
        self,
        max_line_bytes: int = MAX_LINE_BYTES,
        max_event_bytes: int = MAX_EVENT_BYTES,
        max_stream_bytes: int = MAX_STREAM_BYTES,
    ) -> None:
        self.max_line_bytes = max_line_bytes
        self.max_event_bytes = max_event_bytes
        self.max_stream_bytes = max_stream_bytes
        self.bytes_fed = 0
        self._line = bytearray()  # the unfinished line
        self._data = bytearray()  # data lines of the unfinished event, each with its newline
        self._event_type = b""
        self._first_line = True
        self._skip_lf = False  # the last byte was a CR that already ended its line

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that this chunk completes. Raises SseLimitError at a cap."""
        events: list[SseEvent] = []
        room = self.max_stream_bytes - self.bytes_fed
        within = chunk[:room]
        self.bytes_fed += len(within)
        if within:
            self._take(within, events)
        if len(chunk) > room:
            raise SseLimitError("stream", self.max_stream_bytes, events)
        return events

    def _take(self, chunk: bytes, events: list[SseEvent]) -> None:
        start = 1 if self._skip_lf and chunk.startswith(b"\n") else 0
        # A CR ends its line at once: waiting to see whether a LF follows would hang on the last event of a CR stream.
        self._skip_lf = False
        for match in _LINE_END.finditer(chunk, start):
            self._extend_line(chunk[start : match.start()], events)
            start = match.end()
            line = bytes(self._line)
            self._line.clear()
            self._take_line(line, events)
        self._skip_lf = start == len(chunk) and chunk.endswith(b"\r")
        self._extend_line(chunk[start:], events)

    def _extend_line(self, part: bytes, events: list[SseEvent]) -> None:
        if len(self._line) + len(part) > self.max_line_bytes:
            raise SseLimitError("line", self.max_line_bytes, events)
        self._line += part

    def _take_line(self, line: bytes, events: list[SseEvent]) -> None:
        if self._first_line:
            self._first_line = False
            if line.startswith(_BOM):  # one BOM, at the very start; a second one is part of a field name
                line = line[len(_BOM) :]
        if not line:
            self._dispatch(events)
            return
        name, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if name == b"data":
            if len(self._data) + len(value) > self.max_event_bytes:
                raise SseLimitError("event", self.max_event_bytes, events)
            self._data += value
            self._data += b"\n"
        elif name == b"event":
            self._event_type = value

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._data:  # a block of only id, event or retry lines is no event
            name = _text(self._event_type) or "message"
            events.append(SseEvent(name, _text(bytes(self._data[:-1]))))
            self._data.clear()
        self._event_type = b""


def _text(raw: bytes) -> str:
    # Line by line equals the whole stream at once: no byte of a line end can be part of a longer UTF-8 sequence.
    return raw.decode("utf-8", errors="replace")
