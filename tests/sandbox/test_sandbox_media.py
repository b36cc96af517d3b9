"""The result links and downloads of the sandbox."""

from __future__ import annotations

import http.client
from typing import Any

import pytest

from support.sandbox_http import (
    Caller,
    Start,
    create,
    finished_link,
)


class TestLinks:
    def test_length_and_content(self, start: Start, renders: list[dict[str, Any]]) -> None:
        call = start("skills-video")
        url = finished_link(call)
        assert len(url) == 600
        answer = call.get(url)
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "video/mp4"
        assert answer.body.startswith(b"mp4 of 'a boat'")
        assert renders[0] == {"prompt": "a boat", "duration_s": 4.0, "width": 1280, "height": 720} | {
            "seed": renders[0]["seed"]
        }

    def test_refused_without_the_query_or_with_another(self, start: Start) -> None:
        call = start("skills-video")
        url = finished_link(call)
        bare, query = url.split("?")
        wrong = {
            "bare": bare,
            "cut": url[:-1],
            "token": bare + "?" + query.partition("&")[2],
            "expiry": url.replace("X-Tos-Expires=86400", "X-Tos-Expires=99999999"),
            "file": url.replace("video.mp4", "thumbnail.png"),
            "ellipsis": url[:80] + "...",
        }
        answers = {name: call.get(each) for name, each in wrong.items()}
        assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(wrong, 403)
        assert b"<Code>SignatureDoesNotMatch</Code>" in answers["expiry"].body
        assert answers["bare"].headers["Content-Type"] == "application/xml"

    def test_the_key_does_not_belong_there(self, start: Start) -> None:
        call = start("skills-video")
        answer = call.get(finished_link(call), key=f"Bearer {call.sandbox.api_key}")
        assert answer.status == 400
        assert b"Only one auth mechanism" in answer.body
        assert call.log[-1]["key_sent"] is True

    def test_expires(self, start: Start) -> None:
        call = start("skills-video")
        url = finished_link(call)
        call.clock.now += 86399
        assert call.get(url).status == 200
        call.clock.now += 2
        answer = call.get(url)
        assert answer.status == 403
        assert b"Request has expired" in answer.body

    def test_outlives_its_server_on_another_port(self, start: Start) -> None:
        first = start("skills-video")
        url = finished_link(first)
        body = first.get(url).body
        first.sandbox.close()
        second = start("ark")
        moved = url.replace(f":{first.sandbox.port}/", f":{second.sandbox.port}/")
        assert second.get(moved).body == body

    def test_not_before_the_end_and_not_for_strangers(self, start: Start) -> None:
        from videotasks_sandbox import media

        call = start("skills-video")
        task_id = create(call)
        task = call.state["tasks"][task_id]
        origin = f"http://127.0.0.1:{call.sandbox.port}"
        early = media.link(origin, task, "video.mp4", call.clock.now, 60)
        assert call.get(early).status == 404
        call.clock.now += 1
        assert call.get(early).status == 404
        stranger = media.link(origin, {**task, "id": "gen_other"}, "video.mp4", call.clock.now, 60)
        assert call.get(stranger).status == 404
        unknown = media.link(origin, task, "video-2.mp4", call.clock.now, 60)
        assert call.get(unknown).status == 404


class TestDownloads:
    @pytest.fixture
    def served(self, start: Start) -> tuple[Caller, str, bytes]:
        call = start("skills-video")
        url = finished_link(call)
        return call, url, call.get(url).body

    @pytest.mark.parametrize(
        ("wanted", "first", "last"),
        [("bytes=0-9", 0, 9), ("bytes=100-", 100, None), ("bytes=-7", -7, None), ("bytes=5-999999999", 5, None)],
    )
    def test_ranges(self, served: tuple[Caller, str, bytes], wanted: str, first: int, last: int | None) -> None:
        call, url, data = served
        answer = call.get(url, headers={"Range": wanted})
        expected = data[first:] if last is None else data[first : last + 1]
        begin = len(data) + first if first < 0 else first
        assert answer.status == 206
        assert answer.body == expected
        assert answer.headers["Content-Range"] == f"bytes {begin}-{begin + len(expected) - 1}/{len(data)}"

    @pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "bytes=9-5", "items=0-5", "bytes=a-b", "bytes=-"])
    def test_what_is_no_range_gets_everything(self, served: tuple[Caller, str, bytes], wanted: str) -> None:
        call, url, data = served
        answer = call.get(url, headers={"Range": wanted})
        assert (answer.status, answer.body) == (200, data)

    def test_beyond_the_end(self, served: tuple[Caller, str, bytes]) -> None:
        call, url, data = served
        answer = call.get(url, headers={"Range": f"bytes={len(data)}-"})
        assert answer.status == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(data)}"

    def test_if_range(self, served: tuple[Caller, str, bytes]) -> None:
        call, url, _ = served
        headers = call("HEAD", url).headers
        for condition, code in ((headers["ETag"], 206), (headers["Last-Modified"], 206), ('"other"', 200)):
            assert call.get(url, headers={"Range": "bytes=5-", "If-Range": condition}).status == code

    def test_head(self, served: tuple[Caller, str, bytes]) -> None:
        call, url, data = served
        answer = call("HEAD", url)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["Content-Length"] == str(len(data))
        assert answer.headers["Accept-Ranges"] == "bytes"

    def test_other_methods(self, served: tuple[Caller, str, bytes]) -> None:
        call, url, _ = served
        assert call("DELETE", url).status == 405

    def test_rendered_once(self, start: Start, renders: list[dict[str, Any]]) -> None:
        call = start("skills-video")
        url = finished_link(call)
        for _ in range(3):
            call.get(url, headers={"Range": "bytes=0-9"})
        assert len(renders) == 1

    def test_truncated_download_then_range(self, start: Start) -> None:
        call = start("skills-video", "truncated-download")
        url = finished_link(call)
        with pytest.raises(http.client.IncompleteRead) as cut:
            call.get(url)
        partial = cut.value.partial
        rest = call.get(url, headers={"Range": f"bytes={len(partial)}-"})
        assert rest.status == 206
        whole = call.get(url)
        assert whole.status == 200
        assert partial + rest.body == whole.body

    def test_expired_link_then_a_fresh_one(self, start: Start) -> None:
        call = start("skills-video", "expired-link")
        task_id = create(call)
        url = finished_link(call, task_id)
        assert call.get(url).status == 403
        assert call.get(url).status == 403
        fresh = finished_link(call, task_id)
        assert fresh != url
        assert call.get(fresh).status == 200
