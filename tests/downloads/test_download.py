"""A downloaded file is whole, of the right kind and under our own name, or it is not there."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from support import downloads
from support.downloads import GIVE_UP, VIDEO, failure, names
from support.fileserver import FileServer, answer, head, png, raw, stored
from videotasks.downloads.transfer import Limits

clock, server, folder, fetch = downloads.clock, downloads.server, downloads.folder, downloads.fetch


def test_a_file_is_on_disk_under_our_name_with_its_hash_size_and_shape(
    server: FileServer, folder: Path, fetch: Any
) -> None:
    server.serve(answer("200 OK", VIDEO, 'Content-Disposition: attachment; filename="../../evil.sh"'))
    seen: list[tuple[int, int | None]] = []
    done = fetch(on_progress=lambda size, total: seen.append((size, total)))
    assert done.path == folder / "video.mp4"
    assert done.path.read_bytes() == VIDEO
    assert (done.bytes, done.sha256) == (len(VIDEO), hashlib.sha256(VIDEO).hexdigest())
    assert (done.type.kind, done.type.mime) == ("video", "video/mp4")
    assert done.structure is not None and done.structure[:3] == (4.0, 640, 360)
    assert names(folder) == {"video.mp4"}
    assert seen[-1] == (len(VIDEO), len(VIDEO))
    assert server.header(0, "accept-encoding") == "identity"
    assert server.header(0, "range") is None


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_files_are_private_whatever_the_umask(server: FileServer, folder: Path, fetch: Any) -> None:
    server.serve(stored(VIDEO, cut=9000))
    before = os.umask(0)
    try:
        failure(fetch, limits=GIVE_UP)
        modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in names(folder)}
        assert modes == {"video.part": 0o600, "video.part.json": 0o600}
        server.serve(stored(VIDEO))
        assert stat.S_IMODE(fetch().path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


@pytest.mark.parametrize("stem", ["", "../x", "a/b", "a\\b", ".part", "c:x"])
def test_a_stem_that_is_no_plain_name_is_refused(stem: str, fetch: Any) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        fetch(stem=stem)


def test_a_chunked_body_is_taken_when_its_end_is_marked(server: FileServer, fetch: Any) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(VIDEO[i : i + 999]), VIDEO[i : i + 999]) for i in range(0, 20_000, 999))
    server.serve(raw(head("200 OK", "Transfer-Encoding: chunked") + chunks + b"0\r\n\r\n"))
    assert fetch().path.read_bytes() == VIDEO


def test_a_length_beside_chunks_counts_for_nothing(server: FileServer, fetch: Any) -> None:
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(VIDEO), VIDEO)
    server.serve(raw(head("200 OK", "Transfer-Encoding: chunked", "Content-Length: 700") + body))
    assert fetch(limits=GIVE_UP).path.read_bytes() == VIDEO


def test_a_body_that_is_coded_against_our_wish_is_decoded(server: FileServer, fetch: Any) -> None:
    server.serve(answer("200 OK", gzip.compress(VIDEO), "Content-Encoding: gzip", 'ETag: "v1"'))
    assert fetch().path.read_bytes() == VIDEO


def test_a_body_without_length_is_judged_by_its_boxes(server: FileServer, fetch: Any) -> None:
    server.serve(raw(head("200 OK") + VIDEO))
    assert fetch().path.read_bytes() == VIDEO


def test_a_cut_body_without_length_is_never_promoted(server: FileServer, folder: Path, fetch: Any) -> None:
    server.serve(raw(head("200 OK") + VIDEO[:-1]))
    failed = failure(fetch, limits=Limits(max_resumes=1))
    assert (failed.kind, failed.resumable) == ("truncated", True)
    assert "video.mp4" not in names(folder)
    assert server.connections == 2


def test_a_cut_body_without_length_goes_on_by_its_etag(server: FileServer, fetch: Any) -> None:
    server.serve(raw(head("200 OK", 'ETag: "v1"') + VIDEO[:9000]), stored(VIDEO))
    assert fetch().path.read_bytes() == VIDEO
    assert server.header(1, "range") == "bytes=9000-"


def test_an_image_without_length_is_not_believed_whole(server: FileServer, folder: Path, fetch: Any) -> None:
    server.serve(raw(head("200 OK") + png()))
    assert failure(fetch, expect="image", limits=GIVE_UP).kind == "truncated"
    server.serve(answer("200 OK", png()))
    assert fetch(expect="last_frame", stem="last_frame").path == folder / "last_frame.png"


def test_a_file_that_is_complete_but_broken_is_refused_and_not_gone_on_from(
    server: FileServer, folder: Path, fetch: Any
) -> None:
    server.serve(answer("200 OK", VIDEO[:-100], 'ETag: "v1"'), stored(VIDEO))
    failed = failure(fetch)
    assert (failed.kind, failed.resumable) == ("truncated", False)
    assert names(folder) == {"video.part"}  # it was paid for: a person may want to look
    assert fetch().path.read_bytes() == VIDEO
    assert server.header(1, "range") is None


def test_an_mp4_without_a_picture_is_no_video(server: FileServer, folder: Path, fetch: Any) -> None:
    server.serve(answer("200 OK", VIDEO.replace(b"vide", b"soun")))
    assert failure(fetch).kind == "not_media"
    assert "video.mp4" not in names(folder)


def test_more_than_announced_is_refused(server: FileServer, fetch: Any) -> None:
    def greedy(connection: socket.socket, request: str) -> None:
        body = VIDEO[5000:] + b"tail"
        told = "Content-Range: bytes 5000-20003/20000"
        connection.sendall(head("206 P", 'ETag: "v1"', told, f"Content-Length: {len(body)}") + body)

    server.serve(stored(VIDEO, cut=5000), greedy, stored(VIDEO))
    assert fetch().path.read_bytes() == VIDEO
    assert server.connections == 3


@pytest.mark.parametrize(
    ("body", "expect", "word"),
    [
        (b"<!DOCTYPE html><p>Sign in</p>" * 9, "video", "a web page"),
        (b'{"error": "not found"}', "video", "JSON"),
        (b"", "video", "an empty file"),
        (b"\x00\x01\x02" * 50, "video", "no known type"),
        (png(), "video", "image/png"),
        (VIDEO, "image", "video/mp4"),
        (VIDEO, "last_frame", "video/mp4"),
        (b"<?xml version='1.0'?><Error/>" * 4, "audio", "markup"),
    ],
)
def test_what_is_not_the_expected_kind_is_refused(
    server: FileServer, folder: Path, fetch: Any, body: bytes, expect: str, word: str
) -> None:
    server.serve(answer("200 OK", body, "Content-Type: video/mp4"))
    failed = failure(fetch, expect=expect)
    assert (failed.kind, failed.resumable) == ("not_media", False)
    assert word in failed.message
    assert names(folder) == set()
    assert server.connections == 1
    text = body[:1] in (b"<", b"{")
    assert failed.server_excerpt == (body.decode()[:300] if text else None)


def test_a_wrong_answer_does_not_cost_the_part(server: FileServer, folder: Path, fetch: Any) -> None:
    server.serve(stored(VIDEO, cut=9000), answer("200 OK", "<html>proxy login</html>"), stored(VIDEO))
    failure(fetch, limits=GIVE_UP)
    assert failure(fetch).kind == "not_media"
    assert fetch().path.read_bytes() == VIDEO
    assert server.header(2, "range") == "bytes=9000-"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_an_expired_link_says_so_at_once_and_keeps_the_part(
    server: FileServer, folder: Path, fetch: Any, status: int
) -> None:
    server.serve(stored(VIDEO, cut=9000), answer(f"{status} No", "<Error>Request has expired</Error>"))
    failed = failure(fetch)
    assert (failed.kind, failed.http_status, failed.resumable) == ("link_expired", status, True)
    assert failed.server_excerpt == "<Error>Request has expired</Error>"
    assert (folder / "video.part").read_bytes() == VIDEO[:9000]
    assert server.connections == 2


@pytest.mark.parametrize("status", [204, 304, 302, 402, 451])
def test_other_refusals_are_not_repeated(server: FileServer, fetch: Any, status: int) -> None:
    server.serve(raw(head(f"{status} No", "Content-Length: 0")))
    failed = failure(fetch)
    assert (failed.kind, failed.http_status, failed.resumable) == ("http", status, False)
    assert server.connections == 1


# -- other containers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        bytes.fromhex("1a45dfa39f4286810142f7810142f2810442f381084282847765626d4287810442858102"),
        b"RIFF\xff\xff\x00\x00AVI LIST",
        b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00" + bytes(60),
    ],
)
def test_a_header_with_the_right_length_is_no_video(server: FileServer, folder: Path, fetch: Any, data: bytes) -> None:
    server.serve(answer("200 OK", data))
    assert failure(fetch).kind in ("truncated", "not_media")
    assert names(folder) <= {"video.part"}


GIF_HEAD = b"GIF89a\x02\x00\x02\x00\x00\x00\x00"
GIF_FRAME = b"!\xf9\x04\x00\x0a\x00\x00\x00,\x00\x00\x00\x00\x02\x00\x02\x00\x00\x02\x03\x44\x34\x05\x00"


def test_an_animation_is_a_video_under_its_true_ending(server: FileServer, folder: Path, fetch: Any) -> None:
    server.serve(answer("200 OK", GIF_HEAD + 3 * GIF_FRAME + b";"))
    done = fetch()
    assert done.path == folder / "video.gif" and done.type.mime == "image/gif"
    assert done.structure is not None and done.structure[:3] == (0.3, 2, 2)


def test_a_still_picture_is_no_video(server: FileServer, folder: Path, fetch: Any) -> None:
    server.serve(answer("200 OK", GIF_HEAD + GIF_FRAME + b";"))
    assert failure(fetch).kind == "not_media"
    server.serve(answer("200 OK", png()))
    assert failure(fetch).kind == "not_media"


def test_a_kind_that_no_check_knows_is_told_as_unchecked(server: FileServer, fetch: Any) -> None:
    server.serve(answer("200 OK", b"OggS\0" + bytes(23) + b"\x80theora" + bytes(100)))
    assert fetch().structure is None
    server.serve(answer("200 OK", VIDEO))
    assert fetch().structure is not None
