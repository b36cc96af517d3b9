"""Every way that leads to a paid result is gone, and none that the key must not go."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from support import faults
from support.faultserver import Action, refused_port
from support.lifecycle import Client, Outcome
from support.taskserver import KEY, VIDEO, FileHost, TaskServer, Wire
from videotasks.lifecycle.fetch_outputs import named_outputs

LINK = "video_url"
GATEWAY = Wire(
    "openai-compatible",
    "/v1",
    "sora-2",
    lambda task_id: {"id": task_id, "status": "queued"},
    lambda task_id, phase, url: {"id": task_id, "status": phase},
    lambda message: {"error": {"message": message}},
)


class Task(TaskServer):
    """A gateway whose finished task says what a test wants; /content and links of its own as told."""

    def __init__(self, members: Callable[[Task], dict[str, Any]], **files: Any) -> None:
        super().__init__(GATEWAY)
        self.members = members
        self.files = {name.replace("_", "/"): value for name, value in files.items()}
        self.asked: list[tuple[str, bool]] = []

    def now(self, task_id: str | None = None) -> Any:
        return {"id": self.task_id, "status": "completed", **self.members(self)}

    def _choose(self, request: Any) -> Action:
        path = request.target.split("?")[0]
        keyed = request.header("authorization").endswith(KEY)
        if request.method == "GET" and not path.endswith(self.task_id):
            self._watch(request)
            self.asked.append((path, keyed))
            found = self.files.get(path.rsplit("/", 1)[-1], 404)
            if isinstance(found, tuple):  # without the key, with the key
                found = found[keyed]
            return found if isinstance(found, Action) else answer(found)
        return super()._choose(request)


def answer(what: int | bytes) -> Action:
    return faults.answer(what) if isinstance(what, int) else faults.answer(200, what, {"Content-Type": "video/mp4"})


def made(task: Task, root: Path, **more: Any) -> tuple[Client, Outcome]:
    client = Client(task, root / "a", **more)
    return client, client.create()


def video_of(client: Client) -> bytes | None:
    path = client.run.outputs / "video.mp4"
    return path.read_bytes() if path.exists() else None


def test_a_dead_link_leaves_the_content_endpoint(tmp_path: Path) -> None:
    with refused_port() as port, Task(lambda _: {LINK: f"http://127.0.0.1:{port}/v.mp4"}, content=(401, VIDEO)) as task:
        client, outcome = made(task, tmp_path)
    assert outcome.code == 0 and video_of(client) == VIDEO
    assert [keyed for path, keyed in task.asked if path.endswith("content")] == [True]


@pytest.mark.parametrize("refusal", [401, 403, 404, b"<html>log in</html>"])
def test_an_own_link_gets_the_key_once_and_only_after_a_refusal(tmp_path: Path, refusal: Any) -> None:
    with Task(lambda t: {LINK: f"{t.base_url}/d/v.mp4"}, **{"v.mp4": (refusal, VIDEO)}) as task:
        client, outcome = made(task, tmp_path)
    assert outcome.code == 0 and video_of(client) == VIDEO
    assert [keyed for path, keyed in task.asked if path.endswith("v.mp4")] == [False, True]


def test_no_other_origin_ever_gets_the_key(tmp_path: Path) -> None:
    with FileHost([faults.answer(403)] * 9) as other, Task(lambda _: {LINK: other.base_url + "/v.mp4"}) as task:
        _, outcome = made(task, tmp_path)
        assert outcome.code == 13 and not other.leaks


def test_an_address_in_a_bucket_is_told_and_nothing_is_asked_there(tmp_path: Path) -> None:
    with Task(lambda _: {LINK: "gs://acme/v.mp4"}, content=404) as task:
        _, outcome = made(task, tmp_path)
    assert outcome.code == 13 and outcome.final["video_url"] == "gs://acme/v.mp4"
    assert "gs://acme/v.mp4" in outcome.final["error"]["message"]


# -- a file in the answer --------------------------------------------------------------------------------------------

EMBEDDED = "data:video/mp4;base64," + base64.b64encode(VIDEO).decode()


@pytest.mark.parametrize("download", [True, False])
def test_a_file_in_the_answer_is_kept_whatever_was_asked(tmp_path: Path, download: bool) -> None:
    with Task(lambda _: {LINK: EMBEDDED}) as task:
        client, outcome = made(task, tmp_path, download=download)
        assert outcome.code == 0 and video_of(client) == VIDEO
        assert outcome.final["video_file"].endswith("video.mp4")
        journal = client.run.journal_file.read_text()
        assert base64.b64encode(VIDEO).decode()[:60] not in journal
        # Damaged on disk: asked for again.
        (client.run.outputs / "video.mp4").write_bytes(b"")
        if download:
            assert client.create().code == 0 and video_of(client) == VIDEO
    assert task.paid == 1


def test_a_broken_file_in_the_answer_is_no_video(tmp_path: Path) -> None:
    cut = "data:video/mp4;base64," + base64.b64encode(VIDEO[: len(VIDEO) // 2]).decode()
    with Task(lambda _: {LINK: cut}, content=404) as task:
        client, outcome = made(task, tmp_path)
    assert outcome.code == 13 and video_of(client) is None


# -- several outputs -------------------------------------------------------------------------------------------------


def test_one_bad_output_beside_a_good_one_is_a_warning(tmp_path: Path) -> None:
    def members(task: Task) -> dict[str, Any]:
        return {"unsigned_urls": [f"{task.base_url}/d/{name}" for name in ("bad.mp4", "good.mp4")]}

    with Task(members, **{"good.mp4": VIDEO, "content": 404}) as task:
        client, outcome = made(task, tmp_path)
        assert outcome.code == 0
        assert any("not fetched: video " in str(line.get("message")) for line in outcome.lines)
        assert [name for name, _ in named_outputs(client.run.state())] == ["video", "video-2"]
        task.files["bad.mp4"] = VIDEO  # it comes back: the same command fetches it
        assert client.create().code == 0
        assert {entry["name"] for entry in client.run.state().files} == {"video", "video-2"}


# -- guesses ---------------------------------------------------------------------------------------------------------


def guessed(tmp_path: Path, files: dict[str, Any], links: Sequence[str], **more: Any) -> tuple[Client, Outcome]:
    def members(task: Task) -> dict[str, Any]:
        return {"results": [{"clip": f"{task.base_url}/d/{link}"} for link in links]}

    with Task(members, content=404, **files) as task:
        return made(task, tmp_path, **more)


@pytest.fixture
def no_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dialect without its content endpoint, which would stand for a result."""
    from videotasks.core.record import replace

    whole = Client.profile.fget
    assert whole is not None

    def without(client: Client) -> Any:
        profile = whole(client)
        return replace(profile, result=replace(profile.result, content=None))

    monkeypatch.setattr(Client, "profile", property(without))


@pytest.mark.usefixtures("no_content")
@pytest.mark.parametrize("download", [True, False])
def test_the_one_video_of_an_answer_is_taken_and_said_to_be_guessed(tmp_path: Path, download: bool) -> None:
    page = faults.answer(200, b"<html></html>", {"Content-Type": "text/html"})
    client, outcome = guessed(tmp_path, {"a.mp4": VIDEO, "page": page}, ["page", "a.mp4"], download=download)
    assert outcome.code == 0 and video_of(client) == VIDEO
    assert outcome.final["found_by"] == "guess"
    document = json.loads(client.run.result_file.read_text())
    assert document["outcome"] == "succeeded" and document["outputs"][0]["found_by"] == "guess"
    assert not list(client.run.outputs.glob("guess*"))


@pytest.mark.usefixtures("no_content")
def test_two_videos_are_no_result_and_one_under_two_links_is(tmp_path: Path) -> None:
    other = VIDEO + (8).to_bytes(4, "big") + b"free"
    client, outcome = guessed(tmp_path / "two", {"a.mp4": VIDEO, "b.mp4": other}, ["a.mp4", "b.mp4"])
    assert outcome.code == 13 and not list(client.run.outputs.glob("*.mp4"))
    client, outcome = guessed(tmp_path / "same", {"a.mp4": VIDEO, "b.mp4": VIDEO}, ["a.mp4", "b.mp4"])
    assert outcome.code == 0 and video_of(client) == VIDEO


@pytest.mark.usefixtures("no_content")
def test_the_input_of_the_request_is_never_guessed(tmp_path: Path) -> None:
    with Task(lambda t: {"clip": f"{t.base_url}/d/in.mp4"}, **{"in.mp4": VIDEO}) as task:
        client = Client(task, tmp_path / "a", prompt=f"like {task.base_url}/d/in.mp4")
        assert client.create().code == 13
        assert not task.asked


@pytest.mark.usefixtures("no_content")
def test_no_guess_where_nothing_is_there(tmp_path: Path) -> None:
    _, outcome = guessed(tmp_path, {}, ["gone.mp4"])
    assert outcome.code == 13 and outcome.final["error"]["category"] == "no_result"
