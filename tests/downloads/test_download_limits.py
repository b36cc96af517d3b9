"""A download ends: by size, stall, deadline, cancelling or the disk, and leaves what it can be continued from."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import socket
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from support import downloads
from support.downloads import GIVE_UP, VIDEO, Clock, download, failure, names
from support.fileserver import FileServer, answer, head, mp4, raw, stored
from videotasks.downloads.transfer import Limits
from videotasks.network.flight import Flight

clock, server, folder, fetch = downloads.clock, downloads.server, downloads.folder, downloads.fetch


def test_a_file_announced_too_large_is_not_begun(server: FileServer, folder: Path, fetch: Any) -> None:
    server.serve(raw(head("200 OK", f"Content-Length: {10 * 2**40}") + VIDEO))
    assert failure(fetch).kind == "too_large"
    assert names(folder) == set()


def test_an_endless_body_is_cut_off(server: FileServer, folder: Path, fetch: Any) -> None:
    def endless(connection: socket.socket, request: str) -> None:
        connection.sendall(head("200 OK", "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n" % (len(VIDEO), VIDEO))
        while not server.release.is_set():
            connection.sendall(b"ffff\r\n" + b"x" * 65535 + b"\r\n")

    server.serve(endless)
    failed = failure(fetch, limits=Limits(max_bytes=1 << 20))
    assert (failed.kind, failed.resumable) == ("too_large", False)
    assert names(folder) == set()


def test_a_compressed_bomb_is_cut_off(server: FileServer, folder: Path, fetch: Any) -> None:
    bomb = gzip.compress(VIDEO + b"\0" * (32 << 20), 9)
    assert len(bomb) < 100_000
    server.serve(answer("200 OK", bomb, "Content-Encoding: gzip"))
    sizes: list[int] = []
    failed = failure(fetch, limits=Limits(max_bytes=1 << 20), on_progress=lambda size, total: sizes.append(size))
    assert failed.kind == "too_large"
    assert max(sizes) <= 1 << 20
    assert names(folder) == set()


def test_a_stalled_server_is_left_and_the_part_kept(server: FileServer, folder: Path, fetch: Any, clock: Clock) -> None:
    def trickle(connection: socket.socket, request: str) -> None:
        connection.sendall(head("200 OK", "Content-Length: 20000", 'ETag: "v1"') + VIDEO[:5000])
        for byte in VIDEO[5000:6000]:
            connection.sendall(bytes([byte]))
            if server.release.wait(0.002):
                return

    server.serve(trickle)

    def tick(size: int, total: int | None) -> None:
        clock.now += 20

    failed = failure(fetch, limits=Limits(max_resumes=1), on_progress=tick)
    assert (failed.kind, failed.resumable) == ("stalled", True)
    assert (folder / "video.part").stat().st_size >= 5000
    assert server.connections == 2
    assert server.header(1, "if-range") == '"v1"'


def test_a_server_above_the_floor_is_not_called_stalled(server: FileServer, fetch: Any, clock: Clock) -> None:
    video = mp4(400_000)
    server.serve(stored(video))

    def tick(size: int, total: int | None) -> None:
        clock.now = 1000 + size / 1500  # 1,500 bytes a second for four minutes

    fetch(on_progress=tick)


def slices(server: FileServer, data: bytes, first: int, then: int) -> Any:
    """The object in pieces of `then` bytes after the first, each seen as one; ranges are honoured."""

    def handle(connection: socket.socket, request: str) -> None:
        start = int(request.lower().split("range: bytes=")[1].split("-")[0]) if "range: bytes" in request.lower() else 0
        told = [f"Content-Length: {len(data) - start}", 'ETag: "v1"']
        if start:
            told.append(f"Content-Range: bytes {start}-{len(data) - 1}/{len(data)}")
        connection.sendall(head("206 P" if start else "200 OK", *told) + data[start : start + first])
        for at in range(start + first, len(data), then):
            if server.release.wait(0.005):
                return
            connection.sendall(data[at : at + then])

    return handle


def test_a_stall_is_no_progress_whatever_it_brought(server: FileServer, fetch: Any, clock: Clock) -> None:
    server.serve(slices(server, VIDEO, 2000, 2000))

    def tick(size: int, total: int | None) -> None:
        clock.now += 100

    assert failure(fetch, limits=Limits(max_resumes=2), on_progress=tick).kind == "stalled"
    assert server.connections == 3


def test_a_fast_start_does_not_excuse_a_stall(server: FileServer, fetch: Any, clock: Clock) -> None:
    video = mp4(400_000)
    server.serve(slices(server, video, 390_000, 100))

    def tick(size: int, total: int | None) -> None:
        if size >= 390_000:
            clock.now += 20

    assert failure(fetch, limits=GIVE_UP, on_progress=tick).kind == "stalled"
    assert clock.now - 1000 <= 120


def hang(server: FileServer) -> Any:
    def handle(connection: socket.socket, request: str) -> None:
        connection.sendall(head("200 OK", "Content-Length: 20000", 'ETag: "v1"') + VIDEO[:9000])
        server.release.wait(20)

    return handle


def test_the_deadline_ends_a_read_that_hangs(server: FileServer, folder: Path, fetch: Any) -> None:
    server.serve(hang(server))
    started = time.monotonic()
    failed = failure(fetch, monotonic=time.monotonic, deadline=started + 0.3)
    assert (failed.kind, failed.resumable) == ("deadline", True)
    assert time.monotonic() - started < 10  # the server holds it for 20
    assert (folder / "video.part").read_bytes() == VIDEO[:9000]


def test_the_deadline_ends_the_tries(server: FileServer, fetch: Any, clock: Clock) -> None:
    server.serve(answer("503 Service Unavailable", ""))
    assert failure(fetch, deadline=clock.now + 10).kind == "deadline"
    assert sum(clock.pauses) == 10


def test_a_deadline_in_the_past_sends_nothing(server: FileServer, fetch: Any, clock: Clock) -> None:
    server.serve(stored(VIDEO))
    assert failure(fetch, deadline=clock.now - 1).kind == "deadline"
    assert server.connections == 0


def test_a_head_that_trickles_in_is_given_up(server: FileServer, fetch: Any) -> None:
    def trickle(connection: socket.socket, request: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not server.release.wait(0.02):
            connection.sendall(b"x")

    server.serve(trickle, stored(VIDEO))
    assert fetch(limits=Limits(request_timeout_s=0.15)).path.read_bytes() == VIDEO
    assert server.connections == 2


def test_a_head_that_was_given_up_does_not_cost_the_part(server: FileServer, fetch: Any) -> None:
    def trickle(connection: socket.socket, request: str) -> None:
        connection.sendall(b"HTTP/1.1 206 Partial Content\r\nX-Slow: ")
        while not server.release.wait(0.02):
            connection.sendall(b"x")

    server.serve(stored(VIDEO, cut=9000), trickle, stored(VIDEO))
    assert fetch(limits=Limits(request_timeout_s=0.1)).path.read_bytes() == VIDEO
    assert server.header(2, "range") == "bytes=9000-"


def test_cancelling_is_noticed_between_pieces(server: FileServer, folder: Path, fetch: Any) -> None:
    server.serve(stored(mp4(400_000)))
    stop = threading.Event()
    failed = failure(fetch, on_progress=lambda size, total: stop.set(), cancelled=stop.is_set)
    assert (failed.kind, failed.resumable) == ("cancelled", True)
    assert "video.part" in names(folder)


def test_aborting_the_flight_ends_a_read_that_hangs(server: FileServer, folder: Path, fetch: Any) -> None:
    server.serve(hang(server))
    flights: list[Flight] = []
    stop = threading.Event()

    def progress(size: int, total: int | None) -> None:
        if size == 9000:
            stop.set()
            threading.Timer(0.1, lambda: flights[-1].abort()).start()

    started = time.monotonic()
    calm = lambda: False  # noqa: E731 - the abort alone must do
    assert failure(fetch, on_flight=flights.append, cancelled=calm, on_progress=progress).kind == "cancelled"
    assert stop.is_set()
    assert time.monotonic() - started < 5
    assert (folder / "video.part").read_bytes() == VIDEO[:9000]


def test_an_abort_is_not_taken_for_the_end_of_a_body_without_length(
    server: FileServer, folder: Path, fetch: Any
) -> None:
    def handle(connection: socket.socket, request: str) -> None:
        connection.sendall(head("200 OK") + VIDEO)  # whole by its boxes, but the server was not done
        server.release.wait(20)

    server.serve(handle)
    flights: list[Flight] = []
    threading.Timer(0.2, lambda: flights[-1].abort()).start()
    assert failure(fetch, on_flight=flights.append).kind == "cancelled"
    assert "video.mp4" not in names(folder)


def test_a_cancelled_call_sends_nothing(server: FileServer, fetch: Any) -> None:
    assert failure(fetch, cancelled=lambda: True).kind == "cancelled"
    assert server.connections == 0


def test_a_disk_that_is_too_small_is_found_out_before_writing(
    server: FileServer, folder: Path, fetch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.serve(stored(VIDEO))
    usage = type("Usage", (), {"free": 19_999})()
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    failed = failure(fetch)
    assert (failed.kind, failed.resumable) == ("disk_full", True)
    assert names(folder) == set()
    usage.free = 20_000
    fetch()


def test_what_is_on_the_disk_already_needs_no_room(
    server: FileServer, fetch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.serve(stored(VIDEO, cut=5000), stored(VIDEO))
    failure(fetch, limits=GIVE_UP)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 15_000})())
    assert fetch().path.read_bytes() == VIDEO


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_keeps_the_part_to_go_on_from(
    server: FileServer, folder: Path, fetch: Any, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    server.serve(stored(VIDEO))
    write, room = os.write, 6000

    def limited(handle: int, data: Any) -> int:
        nonlocal room
        if room == 0:
            raise OSError(code, os.strerror(code))
        written = write(handle, data[:room])
        room -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", limited)
        failed = failure(fetch)
    assert (failed.kind, failed.resumable) == ("disk_full", True)
    kept = (folder / "video.part").read_bytes()
    assert 4000 < len(kept) < 6000  # the sidecar took its share
    assert kept == VIDEO[: len(kept)]
    assert fetch().sha256 == hashlib.sha256(VIDEO).hexdigest()
    assert server.header(1, "range") == f"bytes={len(kept)}-"


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE")
def test_a_real_limit_on_file_size_is_a_full_disk(server: FileServer, folder: Path, fetch: Any) -> None:
    import resource

    server.serve(stored(VIDEO))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        assert failure(fetch).kind == "disk_full"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (folder / "video.part").read_bytes() == VIDEO[:8192]
    assert fetch().path.read_bytes() == VIDEO


def test_a_folder_that_is_gone_is_one_clear_failure(server: FileServer, tmp_path: Path) -> None:
    failed = failure(download, server.origin + "/v", tmp_path / "gone", "video", api_base_url=server.origin)
    assert failed.kind == "disk"


def test_a_rename_refused_twice_is_tried_again(
    server: FileServer, fetch: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.serve(stored(VIDEO))
    real, refusals = os.replace, [PermissionError(13, "held by a scanner"), PermissionError(13, "held by a scanner")]

    def held(source: Any, target: Any) -> None:
        if str(target).endswith(".mp4") and refusals:
            raise refusals.pop()
        real(source, target)

    monkeypatch.setattr(os, "replace", held)
    assert fetch().path.read_bytes() == VIDEO
    assert len(clock.pauses) == 2


def test_a_folder_that_cannot_be_synced_is_no_failure(
    server: FileServer, fetch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.serve(stored(VIDEO))
    real, synced = os.fsync, []

    def files_only(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "no fsync of folders here")
        synced.append(os.fstat(handle).st_size)
        real(handle)

    monkeypatch.setattr(os, "fsync", files_only)
    assert fetch().path.read_bytes() == VIDEO
    assert synced[-1] == len(VIDEO)  # the file itself was on disk before it got its name


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
@pytest.mark.parametrize("name", ["video.mp4", "video.part", "video.part.json"])
def test_a_link_in_the_way_is_replaced_and_never_followed(
    server: FileServer, folder: Path, tmp_path: Path, fetch: Any, name: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (folder / name).symlink_to(victim)
    server.serve(stored(VIDEO))
    done = fetch()
    assert victim.read_bytes() == b"precious"
    assert not done.path.is_symlink()
    assert done.path.read_bytes() == VIDEO


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_part_that_is_another_file_of_the_users_is_not_written_to(
    server: FileServer, folder: Path, tmp_path: Path, fetch: Any, link: Any
) -> None:
    server.serve(stored(VIDEO, cut=5000), stored(VIDEO))
    failure(fetch, limits=GIVE_UP)
    victim = tmp_path / "victim"
    (folder / "video.part").rename(victim)
    link(victim, folder / "video.part")
    assert fetch().path.read_bytes() == VIDEO
    assert victim.read_bytes() == VIDEO[:5000]
    assert server.header(1, "range") is None
