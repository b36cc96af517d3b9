"""What all wires of the sandbox share: HTTP, base URLs, the state file, the foreground script."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.sandbox_http import (
    ARK_TASKS,
    CREATES,
    Start,
    create,
    finished_link,
)
from videotasks_sandbox import state
from videotasks_sandbox.dialect import shipped
from videotasks_sandbox.scenarios import SandboxError
from videotasks_sandbox.server import Sandbox
from videotasks_sandbox.state import PlantedFile, Store
from videotasks_sandbox.tasks import frame_size, pixel_size

REPO = Path(__file__).resolve().parents[2]


class TestHttp:
    def test_one_connection_carries_many_calls(self, start: Start) -> None:
        call = start("skills-video")
        connection = http.client.HTTPConnection("127.0.0.1", call.sandbox.port, timeout=10)
        key = {"Authorization": f"Bearer {call.sandbox.api_key}"}
        connection.request("GET", "/skills-video/api/v1/credits", headers=key)
        assert connection.getresponse().read()
        first = connection.sock
        connection.request("POST", "/skills-video/api/v1/generation/openai/sora-2", b'{"prompt":"x"}', key)
        assert json.loads(connection.getresponse().read())["status"] == "IN_QUEUE"
        assert connection.sock is first
        connection.close()

    def test_chunked_request_body(self, start: Start) -> None:
        call = start("skills-video")
        connection = http.client.HTTPConnection("127.0.0.1", call.sandbox.port, timeout=10)
        pieces = (piece for piece in (b'{"prom', b'pt":"a', b' boat"}'))
        headers = {"Authorization": f"Bearer {call.sandbox.api_key}"}
        path = "/skills-video/api/v1/generation/openai/sora-2"
        connection.request("POST", path, pieces, headers, encode_chunked=True)
        assert json.loads(connection.getresponse().read())["input"] == {"prompt": "a boat"}
        connection.close()

    def test_expect_continue(self, start: Start) -> None:
        call = start("skills-video")
        with socket.create_connection(("127.0.0.1", call.sandbox.port), timeout=10) as raw:
            head = "POST /skills-video/api/v1/generation/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n"
            head += f"Authorization: Bearer {call.sandbox.api_key}\r\nExpect: 100-continue\r\n\r\n"
            raw.sendall(head.encode())
            assert raw.recv(100).startswith(b"HTTP/1.1 100 ")
            raw.sendall(b'{"prompt":"x"}')
            assert raw.recv(4096).startswith(b"HTTP/1.1 200 ")

    @pytest.mark.parametrize(
        "head",
        [
            b"nonsense\r\n\r\n",
            b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
            b"POST /x HTTP/1.1\r\nContent-Length: many\r\n\r\n",
            b"POST /x HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
            b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ],
    )
    def test_bytes_that_are_no_request(self, start: Start, head: bytes) -> None:
        call = start("skills-video")
        with socket.create_connection(("127.0.0.1", call.sandbox.port), timeout=10) as raw:
            raw.sendall(head)
            assert raw.recv(100).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 "))

    def test_events_leave_one_by_one(self, tmp_path: Path, renders: list[Any]) -> None:
        """On the real clock: the first event is there long before the stream ends."""
        with Sandbox(provider="skills-video", state_file=tmp_path / "s.json", speed=5) as sandbox:
            connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=10)
            begun = time.monotonic()
            connection.request(
                "POST",
                "/skills-video/api/v1/generation/sse/openai/sora-2",
                b'{"prompt":"x"}',
                {"Authorization": f"Bearer {sandbox.api_key}"},
            )
            response = connection.getresponse()
            assert b"IN_" in response.readline()  # IN_QUEUE, or on a busy machine IN_PROGRESS by now
            first = time.monotonic() - begun
            assert b"COMPLETED" in response.read()
            whole = time.monotonic() - begun
            connection.close()
        assert first < whole / 2 and whole > 0.4

    def test_close_ends_open_streams_and_frees_the_port(self, tmp_path: Path) -> None:
        sandbox = Sandbox(provider="skills-video", state_file=tmp_path / "s.json", scenario="stalled")
        connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=10)
        path = "/skills-video/api/v1/generation/sse/openai/sora-2"
        connection.request("POST", path, b'{"prompt":"x"}', {"Authorization": f"Bearer {sandbox.api_key}"})
        response = connection.getresponse()
        response.readline()
        begun = time.monotonic()
        sandbox.close()
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            response.read()
        assert time.monotonic() - begun < 5  # the time-out of the read is 10
        Sandbox(provider="ark", state_file=tmp_path / "s.json", port=sandbox.port).close()

    def test_unknown_prefix_names_the_base_urls(self, start: Start) -> None:
        call = start("ark")
        answer = call.get(call.sandbox.base_url.replace("/ark/", "/elsewhere/"))
        assert answer.status == 404
        assert f"{call.sandbox.port}/ark/api/v3" in answer.json["message"]


class TestBaseUrls:
    def test_each_provider_has_its_prefix(self, start: Start) -> None:
        port = start("ark").sandbox.port
        call = start("ark")
        port = call.sandbox.port
        assert call.sandbox.base_url == f"http://127.0.0.1:{port}/ark/api/v3"
        urls = call.sandbox.base_urls()
        assert urls.keys() == set(shipped())
        assert {name: urls[name] for name in ("skills-video", "creatok", "openai-compatible", "luma")} == {
            "skills-video": f"http://127.0.0.1:{port}/skills-video/api/v1",
            "creatok": f"http://127.0.0.1:{port}/creatok",
            "openai-compatible": f"http://127.0.0.1:{port}/openai-compatible/v1",
            "luma": f"http://127.0.0.1:{port}/luma/dream-machine/v1",
        }

    @pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com", ""])
    def test_loopback_only(self, tmp_path: Path, host: str) -> None:
        with pytest.raises(SandboxError, match="loopback"):
            Sandbox(provider="ark", state_file=tmp_path / "s", host=host)

    def test_links_follow_the_callers_spelling_of_loopback(self, start: Start) -> None:
        call = start("skills-video")
        task_id = create(call)
        call.clock.now += 3
        url = f"http://localhost:{call.sandbox.port}/skills-video/api/v1/generation/{task_id}"
        body = call.get(url, key=f"Bearer {call.sandbox.api_key}").json
        assert body["data"]["video"]["url"].startswith(f"http://localhost:{call.sandbox.port}/")

    def test_links_never_name_another_host(self, start: Start) -> None:
        call = start("skills-video")
        task_id = create(call)
        call.clock.now += 3
        body = call.get(f"/generation/{task_id}", headers={"Host": "evil.example"}).json
        assert body["data"]["video"]["url"].startswith(f"http://127.0.0.1:{call.sandbox.port}/")


class TestState:
    def test_a_later_process_on_another_port_sees_the_task(self, start: Start) -> None:
        first = start("skills-video", "slow:60")
        task_id = create(first)
        first.sandbox.close()
        second = start("skills-video")
        assert second.sandbox.port != first.sandbox.port
        second.clock.now += 30
        assert second.get(f"/generation/{task_id}").json["status"] == "IN_PROGRESS"
        second.clock.now += 31
        assert second.get(f"/generation/{task_id}").json["status"] == "COMPLETED"

    def test_the_scenario_stays_with_the_task(self, start: Start) -> None:
        task_id = create(start("skills-video", "failed"))
        later = start("skills-video")
        later.clock.now += 5
        assert later.get(f"/generation/{task_id}").json["status"] == "FAILED"

    def test_providers_do_not_see_each_others_tasks(self, start: Start) -> None:
        task_id = create(start("ark"))
        assert start("modelark").get(f"{ARK_TASKS}/{task_id}").status == 404

    def test_the_log_counts_creates_and_shows_where_the_key_went(self, start: Start) -> None:
        call = start("skills-video")
        task_id = create(call)
        call.post("/generation/openai/sora-2", {"prompt": ""})
        call.get(f"/generation/{task_id}", key="Bearer wrong")
        call.get(finished_link(call, task_id))
        log = call.log
        assert [(entry["method"], entry["status"], entry["paid"]) for entry in log] == [
            ("POST", 200, True),
            ("POST", 400, False),
            ("GET", 401, False),
            ("GET", 200, False),
            ("GET", 200, False),
        ]
        assert log[0]["task_id"] == task_id
        assert [entry["authorised"] for entry in log] == [True, True, False, True, False]
        assert [entry["key_sent"] for entry in log] == [True, True, True, True, False]
        assert call.state["creates"] == 1
        assert call.state["tasks"][task_id]["request"] == {"prompt": "a boat"}

    def test_the_log_is_bounded_and_cuts_inline_data(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("videotasks_sandbox.state.MAX_REQUESTS", 5)
        call = start("skills-video")
        data = "data:image/png;base64," + "A" * 100_000
        created = call.post("/generation/openai/sora-2", {"prompt": "x", "first_frame_url": data}).json
        for _ in range(9):
            call.get("/credits")
        assert len(call.log) == 5
        assert call.state["creates"] == 1
        sent = call.state["tasks"][created["id"]]["request"]["first_frame_url"]
        assert hashlib.sha256(data.encode()).hexdigest() in sent
        assert call.state_file.stat().st_size < 10_000

    @pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
    @pytest.mark.parametrize("name", ["state.json", "state.json.lock"])
    @pytest.mark.parametrize("target", ["kept", "dangling"])
    def test_a_planted_link_is_refused_and_its_target_stays(self, tmp_path: Path, name: str, target: str) -> None:
        (tmp_path / "kept").write_text("the user's own", encoding="utf-8")
        folder = tmp_path / ".sandbox"
        folder.mkdir()
        (folder / name).symlink_to(tmp_path / target)
        with pytest.raises(SandboxError, match=name):
            Sandbox(provider="ark", state_file=folder / "state.json")
        with pytest.raises(PlantedFile), Store(folder / "state.json").transaction():
            pass
        assert (tmp_path / "kept").read_text(encoding="utf-8") == "the user's own"
        assert not (tmp_path / "dangling").exists()

    @pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
    def test_a_link_where_a_draft_of_the_state_could_be_is_not_written_through(self, tmp_path: Path) -> None:
        (tmp_path / "kept").write_text("the user's own", encoding="utf-8")
        (tmp_path / "state.json.part").symlink_to(tmp_path / "kept")
        with Store(tmp_path / "state.json").transaction() as state:
            state["creates"] = 1
        assert (tmp_path / "kept").read_text(encoding="utf-8") == "the user's own"
        assert sorted(p.name for p in tmp_path.iterdir()) == [
            "kept", "state.json", "state.json.lock", "state.json.part",
        ]  # fmt: skip

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
    def test_a_pipe_in_the_place_of_the_state_is_refused_at_once(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "state.json")
        with pytest.raises(SandboxError, match="state"):
            Sandbox(provider="ark", state_file=tmp_path / "state.json")

    def test_many_writers_lose_nothing(self, tmp_path: Path) -> None:
        stores = [Store(tmp_path / "s.json") for _ in range(4)]

        def work(store: Store) -> None:
            for _ in range(25):
                with store.transaction() as state:
                    state["creates"] += 1

        threads = [threading.Thread(target=work, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert stores[0].read()["creates"] == 100

    @pytest.mark.parametrize("text", ["{", "[]", '{"version": 99, "tasks": {}}', '{"version": 1, "tasks": []}', ""])
    def test_a_broken_file_is_put_aside(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "s.json"
        path.write_text(text, encoding="utf-8")
        with Store(path).transaction() as state:
            state["creates"] = 7
        assert Store(path).read()["creates"] == 7
        assert (tmp_path / "s.json.broken").read_text(encoding="utf-8") == text

    def test_reading_makes_nothing(self, tmp_path: Path) -> None:
        assert Store(tmp_path / "no" / "s.json").read()["tasks"] == {}
        assert list(tmp_path.iterdir()) == []

    def test_a_state_file_that_cannot_be_written_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("", encoding="utf-8")
        with Sandbox(provider="ark", state_file=tmp_path / "file" / "s.json") as sandbox:
            connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=10)
            connection.request("GET", "/ark/api/v3" + ARK_TASKS)
            response = connection.getresponse()
            assert response.status == 500
            assert b"the sandbox failed" in response.read()
            connection.close()


@pytest.mark.parametrize(
    ("ratio", "resolution", "size"),
    [
        ("16:9", "720p", (1280, 720)),
        ("9:16", "720p", (720, 1280)),
        ("1:1", "480p", (480, 480)),
        ("4:3", "1080p", (1440, 1080)),
        ("21:9", "480p", (1120, 480)),
        (None, None, (1280, 720)),
        ("adaptive", "4k", (1920, 1080)),
        ("0:0", "720p", (1280, 720)),
        ("1:100", "720p", (1280, 720)),
        ([], {}, (1280, 720)),
    ],
)
def test_frame_size(ratio: Any, resolution: Any, size: tuple[int, int]) -> None:
    assert frame_size(ratio, resolution) == size


def test_pixel_size() -> None:
    assert pixel_size("1280x720") == (1280, 720)
    assert pixel_size("721*1281") == (720, 1280)
    assert [pixel_size(each) for each in ("16:9", "10x10", "9999x9999", None, 5)] == [None] * 5


def test_the_package_knows_nothing_of_the_client() -> None:
    for path in (REPO / "scripts" / "videotasks_sandbox").rglob("*.py"):
        found = re.findall(r"^\s*(?:from|import)\s+videotasks\b(?!_)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert not found, path


@pytest.mark.parametrize(
    ("imported", "kept_out"),
    [
        # What the server needs is imported by its first request, and the renderer by its first download.
        ("videotasks_sandbox.server", ["requests", "yaml", "jmespath", "videotasks_sandbox.mp4writer"]),
        ("sandbox", ["http.server", "yaml", "jmespath", "videotasks_sandbox.server", "email", "ssl"]),
    ],
)
def test_importing_it_stays_cheap(imported: str, kept_out: list[str]) -> None:
    code = f"import sys, {imported}; print([name for name in {kept_out} if name in sys.modules])"
    # -S: what a developer's site-packages load at start-up is not ours.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={**os.environ, "PYTHONPATH": str(REPO / "scripts")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


class TestScript:
    SCRIPT = str(REPO / "scripts" / "sandbox.py")

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run([sys.executable, self.SCRIPT, *arguments], capture_output=True, text=True, timeout=60)
        assert bool(done.stderr) == (done.returncode != 0)
        return done.returncode, json.loads(done.stdout)

    @pytest.mark.process
    @pytest.mark.skipif(os.name == "nt", reason="signals are sent another way there")
    def test_serves_until_it_is_told_to_stop(self, tmp_path: Path) -> None:
        state = tmp_path / "s.json"
        command = [sys.executable, self.SCRIPT, "--state", str(state), "--provider", "ark"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            parts = urlsplit(ready["base_url"])
            connection = http.client.HTTPConnection(parts.netloc, timeout=10)
            key = {"Authorization": f"Bearer {ready['api_key']}"}
            connection.request("POST", parts.path + ARK_TASKS, json.dumps(CREATES["ark"][1]), key)
            assert json.loads(connection.getresponse().read())["id"].startswith("cgt-")
            process.send_signal(signal.SIGTERM)
            ended = json.loads(process.stdout.readline())
            connection.close()
        assert (process.returncode, ended["event"], ended["final"]) == (0, "stopped", True)
        code, log = self.run("--log", str(state))
        assert log["tasks"][0]["request"] is None
        code, log = self.run("--log", str(state), "--limit", "0")
        assert log["tasks"][0]["request"]["content"] == CREATES["ark"][1]["content"]
        assert (code, log["creates"], log["tasks"][0]["prompt"]) == (0, 1, "a boat")

    @pytest.mark.slow
    @pytest.mark.skipif(os.name == "nt", reason="signals are sent another way there")
    def test_ends_whenever_the_signal_comes(self, tmp_path: Path) -> None:
        """One that came while the wait for it began was waited for, for ever."""
        for _ in range(8):
            command = [sys.executable, self.SCRIPT, "--state", str(tmp_path / "s.json")]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None and '"ready"' in process.stdout.readline()
                process.send_signal(signal.SIGTERM)
                assert '"stopped"' in process.stdout.readline()
                assert process.wait(timeout=20) == 0

    @pytest.mark.process
    def test_the_log_is_short_unless_asked(self, tmp_path: Path) -> None:
        state = tmp_path / "s.json"
        with Sandbox(provider="ark", state_file=state) as sandbox:
            connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=10)
            key = {"Authorization": f"Bearer {sandbox.api_key}"}
            content = [{"type": "text", "text": "a boat " * 500}]
            for _ in range(60):
                connection.request(
                    "POST", "/ark/api/v3" + ARK_TASKS, json.dumps({**CREATES["ark"][1], "content": content}), key
                )
                connection.getresponse().read()
            connection.close()
        code, log = self.run("--log", str(state))
        assert (code, log["creates"], log["requests_total"], len(log["requests"])) == (0, 60, 60, 15)
        assert len(json.dumps(log)) < 8000
        assert len(self.run("--log", str(state), "--limit", "0")[1]["tasks"]) == 60

    @pytest.mark.process
    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["--scenario", "nope"], 1, "unknown sandbox scenario"),
            (["--scenario", "expired", "--provider", "fal"], 1, "does not exist on fal"),
            (["--host", "0.0.0.0"], 1, "loopback"),
            (["--port", "99999"], 1, "cannot listen"),
            (["--speed", "0"], 1, "speed"),
            (["--log", "nowhere.json"], 1, "no state file"),
            (["--port", "x"], 2, "invalid int"),
            (["--provider", "nobody"], 2, "invalid choice"),
        ],
    )
    def test_bad_input_is_one_json_error(self, arguments: list[str], code: int, words: str) -> None:
        returned, body = self.run(*arguments)
        assert (returned, body["exit_code"], body["ok"], body["final"]) == (code, code, False, True)
        assert words in body["message"]


@pytest.mark.parametrize(("refusals", "kept"), [(2, True), (9, False)])
def test_a_state_file_that_a_scanner_holds_is_written_a_moment_later(
    refusals: int, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, pauses = os.replace, []

    def held(source: Any, target: Any) -> None:
        if len(pauses) < refusals:
            pauses.append(target)
            raise PermissionError(13, "held by a scanner")
        real(source, target)

    monkeypatch.setattr(os, "replace", held)
    monkeypatch.setattr(state.time, "sleep", lambda _: None)
    store = state.Store(tmp_path / "state.json")
    with contextlib.nullcontext() if kept else pytest.raises(PermissionError), store.transaction() as now:
        now["creates"] = 7
    assert store.read()["creates"] == (7 if kept else 0)
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_without_fcntl_the_state_is_changed_by_one_process_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals, asked = [OSError(13, "held by another process")], []

    def locking(descriptor: int, mode: int, count: int) -> None:
        asked.append((mode, count))
        if refusals:
            raise refusals.pop()

    monkeypatch.setattr(state, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=2, locking=locking))
    with Store(tmp_path / "state.json").transaction() as now:
        now["creates"] = 3
    assert asked == [(2, 1), (2, 1)] and json.loads((tmp_path / "state.json").read_bytes())["creates"] == 3
