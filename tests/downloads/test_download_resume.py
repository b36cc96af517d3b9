"""A download goes on where it ended, within one object only, over any fault of the network."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from support import downloads
from support.downloads import DATE, GIVE_UP, OTHER, VIDEO, Clock, download, failure, names
from support.fileserver import FileServer, answer, file_server, head, raw, stored
from videotasks.downloads.part_file import PartFile
from videotasks.downloads.response_headers import Facts
from videotasks.downloads.transfer import Limits

clock, server, folder, fetch = downloads.clock, downloads.server, downloads.folder, downloads.fetch


def test_a_cut_file_goes_on_where_it_ended_with_proof(server: FileServer, fetch: Any, clock: Clock) -> None:
    server.serve(stored(VIDEO, cut=5000), stored(VIDEO, cut=6000), stored(VIDEO))
    done = fetch()
    assert done.path.read_bytes() == VIDEO
    assert done.sha256 == hashlib.sha256(VIDEO).hexdigest()
    assert [server.header(i, "range") for i in range(3)] == [None, "bytes=5000-", "bytes=11000-"]
    assert [server.header(i, "if-range") for i in range(3)] == [None, '"v1"', '"v1"']
    assert clock.pauses == [0.5, 0.5]  # each try brought something, so the pauses start anew


def test_a_later_call_goes_on_with_a_fresh_link_for_the_same_path(server: FileServer, folder: Path, fetch: Any) -> None:
    server.serve(stored(VIDEO, cut=5000), stored(VIDEO))
    assert failure(fetch, limits=GIVE_UP).resumable
    assert (folder / "video.part").read_bytes() == VIDEO[:5000]
    assert "s3cret" not in (folder / "video.part.json").read_text()
    done = fetch("/v.mp4?signature=fresh")
    assert server.header(1, "range") == "bytes=5000-"
    assert done.path.read_bytes() == VIDEO
    assert done.sha256 == hashlib.sha256(VIDEO).hexdigest()
    assert names(folder) == {"video.mp4"}


def test_a_link_of_another_path_starts_over(server: FileServer, fetch: Any) -> None:
    server.serve(stored(VIDEO, cut=5000), stored(OTHER))
    failure(fetch, limits=GIVE_UP)
    assert fetch("/other.mp4").path.read_bytes() == OTHER
    assert server.header(1, "range") is None


@pytest.mark.parametrize("honest", [True, False])
def test_a_changed_object_is_never_stitched_to_the_old_one(server: FileServer, fetch: Any, honest: bool) -> None:
    server.serve(stored(VIDEO, cut=5000), stored(OTHER, etag='"v2"', honest=honest))
    assert fetch().path.read_bytes() == OTHER


def test_a_date_is_the_proof_where_there_is_no_strong_etag(server: FileServer, fetch: Any) -> None:
    server.serve(stored(VIDEO, etag='W/"v1"', modified=DATE, cut=5000), stored(VIDEO, etag='W/"v1"', modified=DATE))
    assert fetch().path.read_bytes() == VIDEO
    assert server.header(1, "if-range") == DATE


def test_without_a_proof_every_try_starts_over(server: FileServer, fetch: Any) -> None:
    server.serve(stored(VIDEO, etag='W/"v1"', cut=5000), stored(OTHER, etag='W/"v1"'))
    assert fetch().path.read_bytes() == OTHER
    assert server.header(1, "range") is None


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Range: bytes 4000-19999/20000", 'ETag: "v1"'],  # from elsewhere
        ["Content-Range: bytes 5000-19999/30000", 'ETag: "v1"'],  # of something longer
        ["Content-Range: bytes 5000-19999/20000", 'ETag: "v2"'],
        ["Content-Range: bytes 5000-19999/20000"],  # no word on what it is a part of
        ["Content-Range: garbage", 'ETag: "v1"'],
        ['ETag: "v1"'],
        ["Content-Range: bytes 5000-19999/20000", 'ETag: "v1"', "Content-Encoding: gzip"],
    ],
)
def test_a_partial_answer_that_does_not_fit_is_not_used(server: FileServer, fetch: Any, headers: list[str]) -> None:
    server.serve(
        stored(VIDEO, cut=5000), answer("206 Partial Content", b"\xff" * 15_000, *headers), stored(OTHER, etag='"v3"')
    )
    assert fetch().path.read_bytes() == OTHER
    assert server.header(2, "range") is None


def test_a_coded_part_is_not_used_where_a_date_is_the_proof(server: FileServer, fetch: Any) -> None:
    told = ["Content-Range: bytes 5000-19999/20000", "Content-Encoding: gzip"]
    old = stored(VIDEO, etag=None, modified=DATE, cut=5000)
    server.serve(old, answer("206 Partial Content", gzip.compress(VIDEO[5000:]), *told), stored(OTHER))
    assert fetch().path.read_bytes() == OTHER


def test_a_part_that_nobody_asked_for_is_not_used(server: FileServer, fetch: Any) -> None:
    unasked = answer("206 Partial Content", OTHER[5000:], "Content-Range: bytes 5000-19999/20000")
    server.serve(stored(VIDEO, etag=None, cut=5000), unasked, stored(OTHER))
    assert fetch().path.read_bytes() == OTHER
    assert server.connections == 3


def test_the_end_of_a_part_is_not_the_end_of_the_whole(server: FileServer, fetch: Any) -> None:
    chunk = raw(head("200 OK", "Transfer-Encoding: chunked", 'ETag: "v1"') + b"%x\r\n" % 9000 + VIDEO[:7000])
    slice_of_it = answer("206 Partial Content", VIDEO[7000:9000], 'ETag: "v1"', "Content-Range: bytes 7000-8999/*")
    server.serve(chunk, slice_of_it, stored(VIDEO))
    assert fetch().path.read_bytes() == VIDEO
    assert server.header(2, "range") == "bytes=9000-"


def test_a_partial_answer_to_a_request_for_all_is_not_used(server: FileServer, fetch: Any) -> None:
    server.serve(
        answer("206 Partial Content", VIDEO, 'ETag: "v1"', "Content-Range: bytes 0-19999/20000"), stored(VIDEO)
    )
    assert fetch().path.read_bytes() == VIDEO
    assert server.connections == 2


def test_a_server_that_sends_ranges_in_slices_is_asked_on(server: FileServer, fetch: Any) -> None:
    def sliced(connection: socket.socket, request: str) -> None:
        start = int(request.lower().split("range: bytes=")[1].split("-")[0])
        part = VIDEO[start : start + 4000]
        told = f"Content-Range: bytes {start}-{start + len(part) - 1}/20000"
        connection.sendall(head("206 P", 'ETag: "v1"', told, f"Content-Length: {len(part)}") + part)

    server.serve(stored(VIDEO, cut=5000), sliced)
    assert fetch().path.read_bytes() == VIDEO
    assert server.connections == 5


def test_a_part_that_is_all_there_is_taken_when_the_server_says_so(
    server: FileServer, folder: Path, fetch: Any
) -> None:
    # The body was whole, but its last chunk was lost, so its length was never told.
    body = b"%x\r\n%s\r\n" % (len(VIDEO), VIDEO)
    server.serve(raw(head("200 OK", "Transfer-Encoding: chunked", 'ETag: "v1"') + body), stored(VIDEO))
    assert fetch().path.read_bytes() == VIDEO
    assert server.header(1, "range") == f"bytes={len(VIDEO)}-"


def test_416_with_another_length_starts_over(server: FileServer, fetch: Any) -> None:
    server.serve(
        stored(VIDEO, cut=5000),
        raw(head("416 Range Not Satisfiable", "Content-Range: bytes */4000", "Content-Length: 0")),
        stored(OTHER, etag='"v2"'),
    )
    assert fetch().path.read_bytes() == OTHER
    assert server.header(2, "range") is None


def test_a_whole_part_needs_only_its_name_and_asks_for_a_fresh_link_only(
    server: FileServer, folder: Path, fetch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.serve(stored(VIDEO))

    def broken(*args: Any, **more: Any) -> None:
        raise OSError(errno.EIO, "rename failed")

    def interrupted() -> None:
        with monkeypatch.context() as patch:
            patch.setattr("videotasks.downloads.part_file.replace", broken)
            assert failure(fetch).kind == "disk"

    interrupted()
    assert fetch().path.read_bytes() == VIDEO
    assert server.connections == 1
    interrupted()
    assert fetch("/v.mp4?signature=fresh").path.read_bytes() == VIDEO
    assert server.header(2, "range") == f"bytes={len(VIDEO)}-"


@pytest.mark.parametrize(
    "sidecar", ["", "[]", "{", '{"link": 5}', '{"etag": "\\"v1\\"", "length": 20000}', "[" * 100_000]
)
def test_a_part_with_a_foreign_or_broken_sidecar_is_not_trusted(
    server: FileServer, folder: Path, fetch: Any, sidecar: str
) -> None:
    (folder / "video.part").write_bytes(OTHER[:5000])
    (folder / "video.part.json").write_text(sidecar)
    server.serve(stored(VIDEO))
    assert fetch().path.read_bytes() == VIDEO
    assert server.header(0, "range") is None


def test_a_sidecar_cannot_put_a_header_into_the_request(server: FileServer, folder: Path, fetch: Any) -> None:
    server.serve(stored(VIDEO, cut=5000))
    failure(fetch, limits=GIVE_UP)
    record = json.loads((folder / "video.part.json").read_text())
    record |= {"etag": '"v1"\r\nX-Injected: 1', "last_modified": "x\r\nX-Injected: 1", "length": True}
    (folder / "video.part.json").write_text(json.dumps(record))
    server.serve(stored(VIDEO))
    assert fetch().path.read_bytes() == VIDEO
    assert "injected" not in server.requests[1].lower()


def test_a_kill_between_emptying_and_describing_leaves_nothing_to_stitch(folder: Path) -> None:
    part = PartFile(folder, "video", "https://cdn.example/v.mp4")
    part.restart(Facts(etag='"v1"', length=100))
    part.append(b"x" * 50)

    def killed(facts: Facts) -> None:
        raise KeyboardInterrupt

    part.describe = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        part.restart(Facts(etag='"v2"', length=200))
    assert PartFile(folder, "video", "https://cdn.example/v.mp4").facts == Facts()


def test_pauses_double_to_eight_seconds_and_tries_end(server: FileServer, fetch: Any, clock: Clock) -> None:
    server.serve(answer("503 Service Unavailable", "busy"))
    failed = failure(fetch, limits=Limits(max_resumes=7))
    assert (failed.kind, failed.http_status, failed.server_excerpt, failed.resumable) == ("http", 503, "busy", True)
    assert clock.pauses == [0.5, 1, 2, 4, 8, 8, 8]


def test_a_try_that_brought_something_starts_the_count_anew(server: FileServer, fetch: Any, clock: Clock) -> None:
    drop = raw(b"")
    server.serve(drop, drop, stored(VIDEO, cut=5000), drop, drop, stored(VIDEO))
    assert fetch(limits=Limits(max_resumes=3)).path.read_bytes() == VIDEO
    assert clock.pauses == [0.5, 1, 0.5, 1, 2]


def test_a_drip_of_bytes_is_no_progress(server: FileServer, fetch: Any) -> None:
    server.serve(stored(VIDEO, cut=1000), stored(VIDEO, cut=100))
    assert failure(fetch, limits=Limits(max_resumes=3)).kind == "network"
    assert server.connections == 4


def test_a_server_may_ask_for_a_pause(server: FileServer, fetch: Any, clock: Clock) -> None:
    server.serve(
        answer("429 Too Many Requests", "", "Retry-After: 7"),
        answer("503 Service Unavailable", "", "Retry-After: 99999"),
        stored(VIDEO),
    )
    fetch()
    assert clock.pauses == [7, 60]


def test_a_refused_connection_is_tried_again(folder: Path, clock: Clock) -> None:
    with file_server() as gone:
        pass
    failed = failure(
        download,
        gone.origin + "/v.mp4",
        folder,
        "video",
        api_base_url=gone.origin,
        monotonic=clock,
        sleep=clock.sleep,
        limits=Limits(max_resumes=2),
    )
    assert (failed.kind, failed.resumable) == ("network", True)
    assert clock.pauses == [0.5, 1]
    assert names(folder) == set()


def test_a_broken_tls_connection_is_tried_twice_more(server: FileServer, folder: Path, clock: Clock) -> None:
    server.serve(raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    origin = server.origin.replace("http:", "https:")
    failed = failure(
        download, origin + "/v.mp4", folder, "video", api_base_url=origin, monotonic=clock, sleep=clock.sleep
    )
    assert failed.kind == "network"
    assert clock.pauses == [0.5, 1]


def test_a_cut_chunk_is_not_the_end(server: FileServer, fetch: Any) -> None:
    cut = raw(head("200 OK", "Transfer-Encoding: chunked", 'ETag: "v1"') + b"%x\r\n" % len(VIDEO) + VIDEO[:7000])
    server.serve(cut, stored(VIDEO))
    assert fetch().path.read_bytes() == VIDEO


# -- the hash of the beginning ---------------------------------------------------------------------------------------


def test_nothing_goes_on_from_bytes_that_something_changed(server: FileServer, folder: Path, fetch: Any) -> None:
    server.serve(stored(VIDEO, cut=9000), stored(VIDEO))
    failure(fetch, limits=GIVE_UP)
    part = folder / "video.part"
    damaged = bytearray(part.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    part.write_bytes(damaged)
    assert fetch().path.read_bytes() == VIDEO
    assert server.header(1, "range") is None


def test_a_killed_download_goes_on_from_what_its_last_note_vouches_for(folder: Path) -> None:
    part = PartFile(folder, "video", "https://x.example/v.mp4")
    part.restart(Facts('"v1"', None, 9_000_000))
    for _ in range(5):
        part.append(bytes(300_000))
    # Killed here: nothing was closed, and the bytes after the last note are nobody's word.
    again = PartFile(folder, "video", "https://x.example/v.mp4")
    assert 1_000_000 <= again.size <= 1_500_000
    assert again.size == (folder / "video.part").stat().st_size
    assert again.sha256 == hashlib.sha256(bytes(again.size)).hexdigest()
    (folder / "video.part.json").write_bytes(b"\0" * 1024)  # a note that was torn
    assert PartFile(folder, "video", "https://x.example/v.mp4").size == 0


def test_a_part_longer_or_shorter_than_its_note_is_not_trusted_beyond_it(folder: Path) -> None:
    part = PartFile(folder, "video", "https://x.example/v.mp4")
    part.restart(Facts('"v1"', None, 9_000))
    part.append(VIDEO[:4000])
    part.keep()
    with open(folder / "video.part", "ab") as file:
        file.write(b"more")
    assert PartFile(folder, "video", "https://x.example/v.mp4").size == 4000
    os.truncate(folder / "video.part", 3000)
    assert PartFile(folder, "video", "https://x.example/v.mp4").size == 0
