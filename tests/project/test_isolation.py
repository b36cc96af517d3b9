"""The guards of conftest.py themselves: a guard that lets something through would hide it everywhere else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

PUBLIC = "192.0.2.7"  # TEST-NET-1: belongs to nobody, so that a hole in the guard harms nobody


def test_a_public_address_is_refused_and_recorded(no_outside_network: list[str]) -> None:
    with socket.socket() as sock:
        sock.settimeout(1)
        with pytest.raises(RuntimeError, match="loopback only"):
            sock.connect((PUBLIC, 80))
    assert no_outside_network == [f"{PUBLIC}:80"]
    no_outside_network.clear()


def test_a_public_name_is_refused_before_it_is_looked_up(no_outside_network: list[str]) -> None:
    with pytest.raises(RuntimeError, match="loopback only"):
        HTTPConnection("api.example.com", timeout=1).connect()
    assert no_outside_network == ["api.example.com"]
    no_outside_network.clear()


def test_an_invalid_name_fails_like_dns() -> None:
    with pytest.raises(socket.gaierror):
        HTTPConnection("nowhere.invalid", timeout=1).connect()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_open(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = HTTPConnection(host, server.getsockname()[1], timeout=5)
        connection.connect()
        connection.close()


def test_a_started_script_is_guarded_too() -> None:
    code = f"from http.client import HTTPConnection; HTTPConnection('{PUBLIC}', timeout=1).connect()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert "loopback only" in done.stderr


def test_no_key_or_origin_of_the_developer_is_seen() -> None:
    seen = [name for name in os.environ if name.endswith(("_API_KEY", "_API_TOKEN", "_BASE_URL", "_PROXY"))]
    assert seen == []


def test_home_and_current_folder_are_throwaway(repo: Path, workspace: Path) -> None:
    assert Path.cwd() == workspace.resolve()
    assert repo not in (Path.cwd(), *Path.cwd().parents)
    assert list(Path.home().iterdir()) == []


def test_a_folder_that_somebody_wrote_into_is_not_lent_again(empty_folders: Any) -> None:
    with empty_folders.one() as used:
        (used / "x").touch()
    with empty_folders.one() as clean:
        assert clean != used and list(clean.iterdir()) == []
    with empty_folders.one() as again:
        assert again == clean
