"""Names, modes and contents of files: checklist lines 14, 16, 17 and 23, and what may be sent as an image."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_security_foreign import profile_file

from support import scene as scenes
from support.faults import answer
from support.fileserver import png
from support.samples import files_of_a_home
from support.scene import FAST, Scene, healthy
from videotasks.runs import locks
from videotasks.runs.identity import valid_run_id
from videotasks.runs.locks import FileLock

scene = scenes.scene
needs_links = pytest.mark.skipif(os.name == "nt", reason="symbolic links need a privilege there")

RUN_IDS = ["../x", "..", "/etc", "a/../../b", ".hidden", "-x", "a/b", "", "CON", "nul.txt", "a\n", "~", "x" * 65]
RUN_IDS += ["..\\..\\x", "C:\\x", "\u202e", "a.", "a b", "${HOME}", "com1.tar.gz", "\uff0e\uff0e"]


@pytest.mark.parametrize("run_id", RUN_IDS)
def test_14_a_run_id_that_is_no_plain_name_is_refused_everywhere(scene: Scene, run_id: str) -> None:
    api = scene.api()
    outside = sorted(scene.workspace.parent.iterdir())
    for said in (
        scene.create(api, "--prompt", "x", f"--run-id={run_id}"),
        scene.run("task_status", f"--run-id={run_id}"),
        scene.run("wait_generation", f"--run-id={run_id}"),
    ):
        if run_id or said is not scene.said[0]:
            assert said.code == 1, said.out
            assert scenes.plain(said.out)
    assert run_id == "" or api.requests == []
    assert sorted(scene.workspace.parent.iterdir()) == outside


@given(st.text(max_size=70) | st.from_regex(r"[A-Za-z0-9._ /\\:-]{1,70}", fullmatch=True))
def test_14_what_passes_as_a_run_id_stays_inside_its_root(run_id: str) -> None:
    if valid_run_id(run_id):
        root = Path("/place/of/artifacts")
        assert (root / run_id).parent == root and os.path.normpath(root / run_id) == str(root / run_id)
        assert run_id.isascii() and "/" not in run_id and "\\" not in run_id and not run_id.endswith(".")


def test_14_the_hostile_run_ids_of_the_data_folder(real_data: Path) -> None:
    for run_id in json.loads((real_data / "security" / "hostile.json").read_text("utf-8"))["run_ids"]:
        assert not valid_run_id(run_id) or run_id == "run.json"  # a plain name, if an odd one


def test_16_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system has no locks a file holds the owner's pid."""

    def no_locks(handle: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(locks, "system_lock", lambda: (no_locks, no_locks))
    first, second = FileLock(tmp_path / "a.lock"), FileLock(tmp_path / "a.lock")
    assert first.try_acquire() and not second.try_acquire()
    first.release()
    dead = subprocess.Popen(["true"] if os.name != "nt" else ["cmd", "/c", "exit"])
    dead.wait()
    second.owner_file.write_text(str(dead.pid))
    if os.name != "nt":
        assert second.try_acquire()


def modes(root: Path) -> dict[str, int]:
    found = {".": stat.S_IMODE(root.stat().st_mode)}
    for path in root.rglob("*"):
        found[str(path.relative_to(root))] = stat.S_IMODE(path.lstat().st_mode)
    return found


@pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX")
@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_17_everything_is_private_whatever_the_umask(scene: Scene, umask: int) -> None:
    repository = scene.workspace
    if shutil.which("git"):
        subprocess.run(["git", "init", "-q", str(repository)], check=True)
    before = os.umask(umask)
    try:
        assert scene.create(scene.api(), "--prompt", "x").code == 0
    finally:
        os.umask(before)
    found = modes(scene.artifacts)
    assert len(found) > 10
    for name, mode in found.items():
        wanted = 0o700 if (scene.artifacts / name).is_dir() else 0o600
        assert mode == wanted, (name, oct(mode))
    assert (scene.artifacts / ".gitignore").read_text() == "*\n"
    if shutil.which("git"):
        status = subprocess.run(
            ["git", "status", "--porcelain", "-uall"], cwd=repository, capture_output=True, check=True
        )
        assert status.stdout == b""


DISPOSITIONS = [
    'attachment; filename="../../../evil.sh"',
    "attachment; filename*=UTF-8''%2Fetc%2Fpasswd",
    "inline; filename=a.exe",
]


@pytest.mark.parametrize("disposition", DISPOSITIONS)
def test_23_a_file_has_our_name_whatever_the_server_calls_it(scene: Scene, disposition: str) -> None:
    file = answer(200, scenes.VIDEO, {"Content-Disposition": disposition, "Content-Type": "application/x-sh"})

    def script(request: Any) -> Any:
        url = scenes.at_host(request, "/v.mp4/..%2f..%2fevil.sh;name=evil?filename=evil.sh")
        return healthy(url=url)(request) if not request.target.startswith("/v.mp4") else file

    said = scene.create(scene.api(script), "--prompt", "x")
    assert said.code == 0 and said.final["files"] == ["outputs/video.mp4"]
    names = {path.name for path in scene.files() if scene.artifacts in path.parents}
    assert "video.mp4" in names and not any("evil" in name or "passwd" in name for name in names)


@pytest.mark.parametrize("how", ["data_uri", "base64", "multipart"])
def test_an_injected_image_that_is_no_image_is_refused_by_its_content(scene: Scene, tmp_path: Path, how: str) -> None:
    """--image ~/.ssh/id_rsa, as a prompt injection would have it, also with a profile that takes any file."""
    api = scene.api()
    ssh = scene.home / ".ssh"
    ssh.mkdir()
    foreign = profile_file(tmp_path, api.base_url, how=how)
    own, by_address = ["--provider", str(foreign)], ["--base-url", api.base_url, "--model", "openai/sora-2"]
    os.environ["VIDEO_TASKS_KEY_MINE"] = "my-own-key"
    for name, content in files_of_a_home().items():
        (ssh / name).write_bytes(content)
        for words in (own, by_address) if how == "data_uri" else (own,):
            for flag in ("--image", "--video", "--audio"):
                said = scene.run("create_and_wait", *words, "--prompt", "x", flag, f"~/.ssh/{name}", *FAST)
                assert said.code == 1, said.out
    del os.environ["VIDEO_TASKS_KEY_MINE"]
    assert api.requests == []
    assert "BEGIN" not in "".join(said.out + said.err for said in scene.said)


@needs_links
def test_an_image_that_links_to_a_secret_is_refused_all_the_same(scene: Scene, workspace: Path) -> None:
    (scene.home / "id_rsa").write_bytes(files_of_a_home()["id_rsa"])
    (workspace / "photo.png").symlink_to(scene.home / "id_rsa")
    api = scene.api()
    assert scene.create(api, "--prompt", "x", "--image", "photo.png").code == 1
    (workspace / "photo.png").unlink()
    (workspace / "photo.png").write_bytes(png())
    assert scene.create(api, "--prompt", "x", "--image", "photo.png").code == 0
    assert b"photo" not in api.posts[0].body  # not even the name of the user's file leaves the machine
