"""The event-stream parser: every rule, every byte split, every cap."""

from __future__ import annotations

import base64
import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videotasks.formats.sse import SseEvent, SseLimitError, SseParser, is_event_stream


def message(data: str, event: str = "message") -> SseEvent:
    return SseEvent(event, data)


def parse(*chunks: bytes) -> list[SseEvent]:
    parser = SseParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def every_split(body: bytes) -> list[list[bytes]]:
    """Whole, byte by byte, with empty chunks, and cut in two at every place."""
    singles = [body[i : i + 1] for i in range(len(body))]
    with_empty = [part for single in singles for part in (single, b"")]
    return [[body], singles, with_empty, *([body[:i], body[i:]] for i in range(len(body) + 1))]


CASES: dict[str, tuple[bytes, list[SseEvent]]] = {
    "one event": (b"data: a\n\n", [message("a")]),
    "no space after the colon": (b"data:a\n\n", [message("a")]),
    "only one space is taken": (b"data:  a \n\n", [message(" a ")]),
    "a tab is no space": (b"data:\ta\n\n", [message("\ta")]),
    "lines are joined": (b"data: a\ndata: b\n\n", [message("a\nb")]),
    "empty data lines count": (b"data\ndata:\n\n", [message("\n")]),
    "one empty data line is an event": (b"data\n\n", [message("")]),
    "type, then default again": (b"event: done\ndata: 1\n\ndata: 2\n\n", [message("1", "done"), message("2")]),
    "type of a block without data is forgotten": (b"event: done\n\ndata: 1\n\n", [message("1")]),
    "the last type wins": (b"event: a\nevent: b\ndata: 1\n\n", [message("1", "b")]),
    "empty type is message": (b"event: a\nevent\ndata: 1\n\n", [message("1")]),
    "an id is no data": (b"id: 7\ndata: a\n\nid: 8\x009\ndata: b\n\n", [message("a"), message("b")]),
    "blocks of id, retry or event are no events": (b"id: 7\n\nretry: 5\n\nevent: x\n\n", []),
    "field names are exact": (b"Data: a\n data: b\ndata : c\ndata\x00: d\ndata: e\n\n", [message("e")]),
    "a comment is no data": (b": ping\ndata: a\n:\ndata: b\n\n", [message("a\nb")]),
    "one BOM is stripped": (b"\xef\xbb\xbfdata: a\n\n", [message("a")]),
    "a second BOM spoils the line": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [message("b")]),
    "a BOM later spoils the line": (b"data: a\n\n\xef\xbb\xbfdata: b\n\ndata: c\n\n", [message("a"), message("c")]),
    "CR": (b"data: a\rdata: b\r\rdata: c\r\r", [message("a\nb"), message("c")]),
    "CRLF": (b"data: a\r\ndata: b\r\n\r\n\r\ndata: c\r\n\r\n", [message("a\nb"), message("c")]),
    "LF then CR are two ends": (b"data: a\n\rdata: b\n\n", [message("a"), message("b")]),
    "mixed ends": (b"data: a\r\ndata: b\r\n\n\rdata: c\n\r\n", [message("a\nb"), message("c")]),
    "other separators are text": (
        "data: a\u2028b\u0085c\x0bd\x0ce\n\n".encode(),
        [message("a\u2028b\u0085c\x0bd\x0ce")],
    ),
    "UTF-8": ("event: \u00fc\nid: \u2026\ndata: \U0001f3ac\n\n".encode(), [message("\U0001f3ac", "\u00fc")]),
    "broken UTF-8 is replaced": (b"data: a\xf0\x9f\x8e\ndata: \xff\n\n", [message("a\ufffd\n\ufffd")]),
    "unfinished event is dropped": (b'data: a\n\nevent: done\ndata: {"status":"succeeded"}\n', [message("a")]),
    "unfinished line is dropped": (b"data: a\n\ndata: b", [message("a")]),
    "JSON of one provider": (
        b'event: progress\r\ndata: {"id":"t_1","p":0.5}\r\n\r\n',
        [message('{"id":"t_1","p":0.5}', "progress")],
    ),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("name", CASES)
def test_every_case_at_every_split(name: str) -> None:
    body, expected = CASES[name]
    for chunks in every_split(body):
        assert parse(*chunks) == expected, chunks


FRAGMENTS = st.sampled_from(
    [
        b"data",
        b"event",
        b"id",
        b"retry",
        b":",
        b": ",
        b" ",
        b"\r",
        b"\n",
        b"\r\n",
        b"\xef\xbb\xbf",
        b"\0",
        b"7",
        "ü🎬".encode(),
        b"\xff",
        b"x",
    ]
)


@given(st.lists(FRAGMENTS | st.binary(max_size=4), max_size=40).map(b"".join), st.data())
def test_any_rechunking_gives_the_same_events(body: bytes, data: st.DataObject) -> None:
    def run(chunks: list[bytes]) -> tuple[Any, ...]:
        parser = SseParser(max_line_bytes=24, max_event_bytes=24, max_stream_bytes=90)
        events: list[SseEvent] = []
        limit = None
        for chunk in chunks:
            try:
                events += parser.feed(chunk)
            except SseLimitError as error:
                events += error.events
                limit = error.limit
                break
        return events, limit

    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=12)))
    edges = [0, *cuts, len(body)]
    chunks = [body[a:b] for a, b in itertools.pairwise(edges)]
    whole = run([body])
    assert run(chunks) == whole
    assert run([body[i : i + 1] for i in range(len(body))]) == whole


def test_an_event_comes_with_the_byte_that_ends_it() -> None:
    for end in (b"\n", b"\r"):
        parser = SseParser()
        assert parser.feed(b"data: a" + end) == []
        assert parser.feed(end) == [message("a")], "waiting for a LF after the CR would hang on the last event"
    parser = SseParser()
    assert parser.feed(b"data: a\r\n\r") == [message("a")]
    assert parser.feed(b"\ndata: b\r\n\r\n") == [message("b")], "the LF of that CRLF is no blank line of its own"


def test_half_an_event_at_the_end_is_none() -> None:
    for body in (b"data: a\n", b"data: a", b"dat", b": x\n"):
        assert parse(body) == []


@pytest.mark.parametrize("line", [b"retry: 1500", b"retry: " + b"9" * 5000, b"retry: -1", b"id: " + b"7" * 5000])
def test_what_is_for_connecting_again_says_nothing(line: bytes) -> None:
    assert parse(line + b"\n\ndata: a\n\n") == [message("a")]


def test_line_cap() -> None:
    parser = SseParser(max_line_bytes=10)
    assert parser.feed(b"data: 4444\n\n") == [message("4444")]
    with pytest.raises(SseLimitError) as caught:
        parser.feed(b"data: 1\n\ndata: 55555")
    assert (caught.value.limit, caught.value.maximum) == ("line", 10)
    assert caught.value.events == [message("1")], "what was complete before the cap is not lost"


def test_line_cap_holds_byte_by_byte_and_for_comments() -> None:
    for start in (b"", b":", b"data:", b"id:"):
        parser = SseParser(max_line_bytes=100)
        parser.feed(start)
        with pytest.raises(SseLimitError):
            for _ in range(101):
                parser.feed(b"x")
        assert parser.bytes_fed <= 101


def test_event_cap() -> None:
    parser = SseParser(max_event_bytes=100)
    with pytest.raises(SseLimitError, match="event of more than 100 bytes"):
        for _ in range(102):
            parser.feed(b"data\n")
    assert SseParser(max_event_bytes=4).feed(b"data: 4444\n\ndata: 4444\n\n") == [message("4444"), message("4444")]


@pytest.mark.parametrize("block", [b": ping\n", b"id: 1\n\n", b"event: x\n", b"\n", b"data: a\n\n"])
def test_stream_cap_ends_streams_that_never_say_anything(block: bytes) -> None:
    parser = SseParser(max_stream_bytes=1000)
    with pytest.raises(SseLimitError) as caught:
        for _ in range(1001):
            parser.feed(block)
    assert caught.value.limit == "stream"
    assert parser.bytes_fed == 1000


def test_stream_cap_hands_out_what_came_before_it() -> None:
    with pytest.raises(SseLimitError) as caught:
        SseParser(max_stream_bytes=9).feed(b"data: a\n\ndata: b\n\n")
    assert caught.value.events == [message("a")]


def test_a_long_line_in_small_chunks_is_linear() -> None:
    # half a MiB in 2-byte chunks: a parser that joins the line anew for each chunk would move 68 gigabytes
    parser = SseParser()
    parser.feed(b"data: ")
    for _ in range(2**18):
        parser.feed(b"xx")
    (event,) = parser.feed(b"\n\n")
    assert len(event.data) == 2**19


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("text/event-stream", True),
        ("text/event-stream;", True),
        ("Text/Event-Stream; charset=windows-1252", True),
        (" text/event-stream ; x", True),
        ("text/event-stream-v2", False),
        ("text/html", False),
        ("application/json", False),
        ("x bogus", False),
        ("", False),
        (None, False),
    ],
)
def test_content_type(content_type: str | None, expected: bool) -> None:
    assert is_event_stream(content_type) is expected


def outside_cases() -> list[Any]:
    folder = os.environ.get("VIDEO_TASKS_DATA", "")
    path = Path(folder) / "sse" / "sse_cases.json"
    if not folder or not path.is_file():
        return [pytest.param(None, marks=pytest.mark.skip(reason="VIDEO_TASKS_DATA is not set"))]
    return [pytest.param(case, id=case["name"]) for case in json.loads(path.read_text("utf-8"))["cases"]]


@pytest.mark.parametrize("case", outside_cases())
def test_public_conformance_cases(case: dict[str, Any]) -> None:
    body = base64.b64decode(case["bytes"])
    if "content_type" in case:
        assert is_event_stream(case["content_type"]) is not case.get("http_reject", False)
    if case.get("http_reject"):
        return
    expected = [message(item["data"], item["event"]) for item in case["expected"]]
    ways = every_split(body) if len(body) < 2000 else [[body], [body[i : i + 1] for i in range(len(body))]]
    if "chunks" in case:
        ways.append([base64.b64decode(chunk) for chunk in case["chunks"]])
    for chunks in ways:
        assert parse(*chunks) == expected
