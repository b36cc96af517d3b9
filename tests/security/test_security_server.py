"""A hostile server: bodies, numbers, floods and streams (checklist lines 20 to 22, 24, 25 and 32), by the command."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import scene as scenes
from support.faults import (
    CLOSE,
    answer,
    cut_length,
    endless_body,
    endless_headers,
    gzip_bomb,
    html,
    json_answer,
    raw,
    redirect,
    sse,
    trickle_head,
)
from support.faults import head as head_of
from support.faultserver import Action, Exchange, Request
from support.fileserver import png
from support.parameters import most_are_slow
from support.scene import SCRIPTS, VIDEO, Scene, done, healthy, hurried, strict_json
from videotasks.core.json_values import MAX_DEPTH, parse_json
from videotasks.lifecycle import session
from videotasks.providers import normalize
from videotasks.providers.load_profile import load_profile

scene = scenes.scene
MIB = 1 << 20


def nested(depth: int, inside: str = "1") -> str:
    return '{"a":' * depth + inside + "}" * depth


def body(text: str | bytes, status: int = 200) -> Action:
    return answer(status, text, {"Content-Type": "application/json"})


# -- bodies ----------------------------------------------------------------------------------------------------------

HUGE = "1" + "0" * 400
NASTY_BODIES: dict[str, str] = {
    "10,000 deep": nested(10_000),
    "10,000 deep list": "[" * 10_000 + "]" * 10_000,
    "an unclosed object": '{"id": "t_1"',
    "a list": "[1]",
    "a string": '"COMPLETED"',
    "a number": "5",
    "NUL bytes": "\0" * 1000,
}


@pytest.mark.parametrize("name", NASTY_BODIES)
def test_24_a_create_that_is_answered_with_nonsense_is_unknown_and_paid_once(scene: Scene, name: str) -> None:
    api = scene.api(body(NASTY_BODIES[name].encode("latin-1", "replace")))
    said = scene.create(api, "--prompt", "x")
    assert said.code == 3, said.out
    assert said.final["next_argv"] and not said.final["next_argv"][1].endswith("create_and_wait.py")
    assert api.posts_taken == 1


def test_24_a_poll_survives_every_nonsense_and_the_task_ends_well(scene: Scene) -> None:
    polls: Iterator[str] = iter(NASTY_BODIES.values())

    def script(request: Request) -> Action:
        if "/generation/" in request.target and request.method == "GET" and (text := next(polls, None)) is not None:
            return body(text.encode("latin-1", "replace"))
        return healthy()(request)  # type: ignore[no-any-return]

    said = scene.create(scene.api(script), "--prompt", "x")
    assert said.code == 0, said.out


# Deep enough to break an encoder that recurses, shallow enough for the decoder.
@pytest.mark.parametrize("depth", [50, 300, 900])
def test_24_a_deep_body_of_a_real_task_costs_nothing_but_itself(scene: Scene, depth: int) -> None:
    created = body(f'{{"id": "t_1", "status": "IN_QUEUE", "meta": {nested(depth)}}}')
    task = done("LINK")

    def script(request: Request) -> Action:
        link = scenes.at_host(request, "/v.mp4")
        status = body(json.dumps({**task, "usage": "DEEP"}).replace('"DEEP"', nested(depth)).replace("LINK", link))
        return healthy(created=created, status=status)(request)  # type: ignore[no-any-return]

    said = scene.create(scene.api(script), "--prompt", "x")
    assert said.code == 0, said.out
    assert (scene.artifacts / said.final["run_id"] / "outputs" / "video.mp4").read_bytes() == VIDEO
    strict_json((scene.artifacts / said.final["run_id"] / "outputs" / "result.json").read_text())


NUMBERS = [HUGE, "-" + HUGE, "1e999", "-1e999", "1e308", "-0.0", "9" * 4000, "9" * 5000, "0.1e-400", "NaN", "-Infinity"]
NUMBERS += ["true", '"\\ud800"', '"NaN"']


@pytest.mark.parametrize("number", NUMBERS, ids=lambda text: text[:12])
def test_24_huge_numbers_and_lone_surrogates_leave_valid_json_everywhere(scene: Scene, number: str) -> None:
    fields = ("progress", "created_at", "expires_at", "message", "error", "code", "usage", "cost")
    more = ", ".join(f'"{name}": {number}' for name in fields)
    usage = f'"usage": {{"total": {number}, "total_tokens": {number}}}'
    created = body(f'{{"id": "t_1", "status": "IN_QUEUE", {more}}}')
    polls = iter([body(f'{{"id": "t_1", "status": {word}, {more}}}') for word in (number, '"IN_PROGRESS"')])

    def script(request: Request) -> Action:
        link = scenes.at_host(request, "/v.mp4")
        last = body(
            f'{{"id": "t_1", "status": "COMPLETED", {more}, {usage}, "data": {{"video": {{"url": "{link}"}}}}}}'
        )
        status = next(polls, last) if request.method == "GET" and "/generation/" in request.target else last
        return healthy(created=created, status=status)(request)  # type: ignore[no-any-return]

    said = scene.create(scene.api(script), "--prompt", "x", "--verbose")
    assert said.code == 0, said.out
    for text in said.out.splitlines():
        strict_json(text)
    run = scene.artifacts / said.final["run_id"]
    for path in (run / "outputs" / "result.json", run / "outputs" / "response.json"):
        strict_json(path.read_text(encoding="utf-8"))
    for line in (run / "journal.jsonl").read_text(encoding="utf-8").splitlines():
        strict_json(line)
    assert scene.run("task_status", "--list").code == 0


@pytest.mark.parametrize("value", ["99999999999", "1e999", "nan", "Thu, 01 Jan 2099 00:00:00 GMT", "x" * 5000, "0x10"])
def test_24_a_servers_wish_for_a_pause_is_bounded_by_the_deadline(scene: Scene, value: str) -> None:
    api = scene.api(healthy(status=json_answer({"error": "slow down"}, 429, {"Retry-After": value})))
    started = time.monotonic()
    said = scene.create(api, "--prompt", "x", "--poll-timeout", "0.2")
    assert said.code == 11 and time.monotonic() - started < 5


FLOODS = {
    "endless body": endless_body(limit=32 * MIB),
    "endless headers": endless_headers(limit=4 * MIB),
    "gzip bomb": gzip_bomb(64 * MIB, {"Content-Type": "application/json"}),
    "5,000 headers": raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n{}"),
    "one header of 1 MB": raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * MIB + b"\r\n\r\n{}"),
    "20 MB of JSON": body(b'{"id": "t_1", "x": "' + b"y" * (20 * MIB) + b'"}'),
}


@pytest.mark.parametrize("flood", most_are_slow(list(FLOODS), "endless headers", "one header of 1 MB", "5,000 headers"))
def test_24_a_flood_on_a_create_is_unknown_and_on_a_poll_no_answer(scene: Scene, flood: str) -> None:
    api = scene.api(FLOODS[flood])
    assert scene.create(api, "--prompt", "x").code == 3
    assert len(api.posts) == 1
    polls = iter([FLOODS[flood]])

    def script(request: Request) -> Action:
        if "/generation/" in request.target and request.method == "GET" and (action := next(polls, None)) is not None:
            return action
        return healthy()(request)  # type: ignore[no-any-return]

    assert scene.create(scene.api(script), "--prompt", "y").code == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
def test_24_a_gzip_bomb_takes_no_memory(tmp_path: Path) -> None:
    """64 MiB of zeros in 64 kB: the body is read to its cap and no further (urllib3 from 2.6 decodes in pieces)."""
    from support.faultserver import FaultServer

    program = (
        "import sys; from videotasks.network.client import Client\n"
        "answer = Client().request('GET', sys.argv[1]); assert answer.truncated, len(answer.body)\n"
        "print(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])\n"
    )
    with FaultServer(gzip_bomb(64 * MIB)) as server:
        env = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
        command = [sys.executable, "-c", program, server.base_url]
        peak = int(subprocess.run(command, env=env, capture_output=True, check=True, timeout=60).stdout)
    assert peak < 100_000  # kB: the interpreter, requests, and three copies of 10 MB


def test_24_the_parser_of_bodies() -> None:
    assert parse_json(b"\xef\xbb\xbf{}") == {}
    for text in ("", "NaN", "-Infinity", "1e999", "9" * 5000, "[" * 100_000, "{", "\ud800", b"\xff\xfe{}"):
        assert parse_json(text) is None
    assert parse_json('{"a": "\\ud800"}') == {"a": "\ud800"}
    assert parse_json('{"id": "t_1", "n": [NaN, 1e999, 1.5, 7]}') == {"id": "t_1", "n": [None, None, 1.5, 7]}


@pytest.mark.parametrize("depth", [1, 98, 99, 100, 101, 300])
def test_24_what_is_nested_too_deeply_is_cut_out_and_what_stands_beside_it_kept(depth: int) -> None:
    kept = parse_json(f'{{"id": "t_1", "list": {"[" * depth + "]" * depth}, "deep": {nested(depth)}}}')
    assert kept["id"] == "t_1"
    levels, node = 0, kept
    while isinstance(node, dict):
        levels, node = levels + 1, node.get("deep", node.get("a"))
    assert levels == min(depth + 1, MAX_DEPTH)
    assert json.dumps(kept, indent=1)


def limited(monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
    """Shorter waits than a user has."""
    from videotasks.lifecycle import session

    monkeypatch.setattr(session, "Timing", functools.partial(session.Timing, **limits))


# -- streams ---------------------------------------------------------------------------------------------------------

FIRST = 'data: {"id": "t_1", "status": "IN_QUEUE"}\n\n'


def flooding(piece: bytes, before: str = "", limit: int = 128 * MIB) -> Action:
    """An event stream that never ends."""

    def run(exchange: Exchange) -> None:
        exchange.send(head_of(200, {"Content-Type": "text/event-stream"}) + before.encode())
        for _ in range(limit // len(piece)):
            exchange.send(piece)

    return Action("flood", run)


STREAM_FLOODS = {
    "comments": b": heartbeat\n" * 5000,
    "id lines": b"id: 7\n\n" * 8000,
    "one line": b"data: " + b"x" * 65536,
    "events": b'data: {"x": 1}\n\n' * 4000,
}


@pytest.mark.parametrize("flood", STREAM_FLOODS)
def test_25_a_stream_that_floods_before_the_id_ends_as_unknown(scene: Scene, flood: str) -> None:
    api = scene.api(flooding(STREAM_FLOODS[flood]))
    started = time.monotonic()
    said = scene.create(api, "--prompt", "x", "--sse-request-timeout", "0.6")
    assert said.code == 3, said.out
    assert api.posts_taken == 1 and time.monotonic() - started < 20


@pytest.mark.parametrize("flood", ["comments", "events"])
def test_25_a_stream_that_floods_after_the_id_is_left_for_polls(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, flood: str
) -> None:
    limited(monkeypatch, stream_doubt_s=0.3)
    api = scene.api(healthy(created=flooding(STREAM_FLOODS[flood], FIRST)))
    said = scene.create(api, "--prompt", "x", "--sse-request-timeout", "2")
    assert said.code == 0, said.out
    assert api.posts_taken == 1


def test_25_a_page_instead_of_a_stream_is_unknown_with_an_excerpt(scene: Scene) -> None:
    api = scene.api(html(200, "<html><h1>Attention required</h1><script>x()</script></html>"))
    said = scene.create(api, "--prompt", "x")
    assert said.code == 3 and api.posts_taken == 1


# -- success without proof -----------------------------------------------------------------------------------------

LIES: dict[str, Any] = {
    "an event's name": sse(FIRST, "event: succeeded\ndata: {}\n\n", "event: done\ndata: [DONE]\n\n"),
    "a message": sse(FIRST, 'data: {"id": "t_1", "status": "IN_QUEUE", "message": "status: COMPLETED"}\n\n'),
    "an unended event": sse(
        FIRST, 'data: {"id": "t_1", "status": "COMPLETED", "data": {"video": {"url": "https://x.example/v"}}}'
    ),
    "another task's end": sse(
        FIRST, 'data: {"id": "t_2", "status": "COMPLETED", "data": {"url": "https://x.example/v.mp4"}}\n\n'
    ),
    "the echoed input": json_answer({"id": "t_1", "status": "IN_QUEUE", "input": done("https://x.example/v.mp4")}),
}


@pytest.mark.parametrize("lie", LIES)
def test_32_a_success_needs_a_terminal_status_in_the_tasks_own_body(scene: Scene, lie: str) -> None:
    running = json_answer(
        {"id": "t_1", "status": "IN_PROGRESS", "message": "succeeded", "video_url": "https://x.example/v.mp4"}
    )
    said = scene.create(scene.api(healthy(created=LIES[lie], status=running)), "--prompt", "x", "--poll-timeout", "0.3")
    assert said.code == 11 and said.final["status"] in ("queued", "running")
    assert said.final.get("video_url") is None


def test_32_a_success_without_a_result_is_an_outcome_of_its_own(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, result_looks_s=(0.01,) * 5)
    api = scene.api(
        healthy(status=json_answer({"id": "t_1", "status": "COMPLETED", "message": "see https://x.example/v.mp4"}))
    )
    said = scene.create(api, "--prompt", "x")
    assert said.code == 13 and said.error["category"] == "no_result"
    assert said.final["video_url"] is None and said.final["files"] == []


def test_32_what_normalize_takes_for_a_success() -> None:
    profile = load_profile("skills-video")
    for text in ("succeeded!", "not completed", "COMPLETED\u200b", "completed; rm", "DONE", "\u0421OMPLETED"):
        assert not normalize.snapshot(profile, {"id": "t", "status": text}).status.terminal, text


# -- results -----------------------------------------------------------------------------------------------------

NO_VIDEOS = {
    "a page": html(),
    "an error with 200": json_answer({"error": "expired"}),
    "nothing": answer(200, b""),
    "an image": answer(200, png(), {"Content-Type": "video/mp4"}),
    "a script": answer(200, b"#!/bin/sh\nid\n", {"Content-Type": "video/mp4"}),
    "half a video": answer(200, VIDEO[:2000], {"Content-Type": "video/mp4"}),
}


@pytest.mark.parametrize("what", NO_VIDEOS)
def test_22_what_is_no_video_is_not_kept_as_one(scene: Scene, what: str) -> None:
    said = scene.create(scene.api(healthy(file=NO_VIDEOS[what])), "--prompt", "x", "--poll-timeout", "3")
    assert said.code == 13 and said.error["category"] == "download_failed", said.out
    assert said.final["video_file"] is None and said.final["files"] == []
    assert not [path for path in scene.files() if path.name.startswith("video.") and path.suffix in (".mp4", ".html")]
    assert said.final["video_url"]  # it may have been paid for, so the link stays


@pytest.mark.parametrize(
    "link",
    [
        "http://10.0.0.1/v.mp4",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:127.0.0.1]/v.mp4",
        "https://2130706433/v.mp4",
        "https://metadata.google.internal/",
        "http://127.0.0.1:1/v.mp4",
    ],
)
def test_18_and_20_a_link_or_redirect_into_the_users_network_is_refused(scene: Scene, link: str) -> None:
    said = scene.create(scene.api(healthy(url=link)), "--prompt", "x")
    assert said.code == 13 and "--allow-private-results" in said.error["expected"], said.out
    assert said.final["video_url"] == link
    said = scene.create(scene.api(healthy(file=redirect(link))), "--prompt", "y")
    assert said.code == 13 and "redirect 1" in said.error["message"]


def test_21_a_download_without_end_or_without_bytes_ends_by_the_deadline(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried = functools.partial(session.Timing, last_file_s=0.5)  # thirty seconds otherwise
    monkeypatch.setattr(session, "Timing", hurried)
    for prompt, file in (
        ("cut", cut_length(VIDEO, 3000)),
        ("head", trickle_head(0.1)),
        ("silent", raw(b"HTTP/1.1 200 OK\r\n", 9.0, CLOSE)),
    ):
        started = time.monotonic()
        said = scene.create(scene.api(healthy(file=file)), "--prompt", prompt, "--poll-timeout", "0.5")
        assert said.code == 11, said.out
        assert time.monotonic() - started < 6
        assert said.final["next_argv"] and "create_and_wait" not in said.final["next"]
        assert not list(scene.artifacts.glob("*/outputs/video.mp4"))


def test_the_hurry_of_these_tests_is_one_that_succeeds(scene: Scene) -> None:
    said = scene.run("create_and_wait", *hurried(scene.api()), "--prompt", "x")
    assert said.code == 0
