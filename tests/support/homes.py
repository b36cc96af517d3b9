"""The stores that a ledger may have: in memory, on disk, and S3 by its own protocol."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from videotasks.fleet.objects import Objects

WHY = "a fleet needs obstore, and Python 3.11"


@contextmanager
def objects_of(home: str, folder: Path) -> Iterator[Callable[[], Objects]]:
    """What opens the same objects again and again, as another machine would."""
    pytest.importorskip("obstore", reason=WHY)
    if home == "memory":
        shared = Objects("memory://ledger")
        yield lambda: shared
    elif home == "disk":
        yield lambda: Objects(f"file://{folder.as_posix()}/ledger")
    else:
        yield from _of_s3()


def _of_s3() -> Iterator[Callable[[], Objects]]:
    pytest.importorskip("moto.server", reason="a server that speaks S3: the group `fleet`")
    from support.s3_server import bucket_server

    server = bucket_server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        place = f"http://127.0.0.1:{server.server_port}"
        told = {"AWS_ENDPOINT_URL": place, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
        told |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in told.items():
                patch.setenv(name, value)
            make = urllib.request.Request(f"{place}/films", method="PUT")
            make.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=none/20261126/us-east-1/s3/aws4_request")
            with urllib.request.urlopen(make):
                pass
            prefix = uuid4().hex  # the server's objects outlive it in this process
            yield lambda: Objects(f"s3://films/{prefix}")
    finally:
        server.shutdown()


def at_once(count: int, work: Callable[[int], None]) -> None:
    """`work` in so many threads that begin together."""
    start = threading.Barrier(count)

    def begin(number: int) -> None:
        start.wait()
        work(number)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


HOMES = ["memory", "disk", pytest.param("s3", marks=pytest.mark.slow)]
