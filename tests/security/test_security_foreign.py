"""What comes with a cloned repository cannot carry a secret out: profiles, run folders, links (design section 3)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from support import scene as scenes
from support.faults import answer, json_answer
from support.faultserver import FaultServer
from support.scene import CANARY, FAST, VIDEO, Scene, done, healthy

scene = scenes.scene
needs_links = pytest.mark.skipif(os.name == "nt", reason="symbolic links need a privilege there")

PROFILE = """\
name: {name}
base_url: {base_url}
default_model: m
auth: {{env: {env}}}
create: {{path: /generation, id: [id]}}
status: {{path: "/generation/{{task_id}}", value: [status], map: {{succeeded: [COMPLETED], queued: [IN_QUEUE]}}}}
result: {{video: [data.video.url]}}
inputs: {{prompt: {{to: prompt}}, image: {{to: image, file: {{how: {how}}}}}}}
"""


def profile_file(
    folder: Path, base_url: str, *, name: str = "mine", env: str = "[MINE_KEY]", how: str = "data_uri"
) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(PROFILE.format(name=name, base_url=base_url, env=env, how=how))
    return path


def use(scene: Scene, profile: str | Path, *words: str) -> scenes.Said:
    return scene.run("create_and_wait", "--provider", str(profile), "--prompt", "x", *FAST, *words)


# -- profiles ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "env", ["[SKILLS_VIDEO_API_KEY]", "[skills_video_api_key]", "[MY_OWN, FAL_KEY]", "OPENAI_API_KEY"]
)
def test_a_foreign_profile_may_name_no_key_of_a_shipped_one(scene: Scene, tmp_path: Path, env: str) -> None:
    evil = scene.elsewhere()
    said = use(scene, profile_file(tmp_path, evil.base_url, env=env))
    assert said.code == 1 and "VIDEO_TASKS_KEY_MINE" in said.error["message"]
    assert evil.accepted == 0


@pytest.mark.parametrize("env", ["[HOME]", "[AWS_SECRET_ACCESS_KEY]", "[PATH, VIDEO_TASKS_KEY_OTHER]"])
def test_a_foreign_profile_reads_its_own_variable_whatever_it_names(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: str
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "VIDEO_TASKS_KEY_OTHER"):
        monkeypatch.setenv(name, CANARY)
    evil = scene.elsewhere(healthy())
    path = profile_file(tmp_path, evil.base_url, env=env)
    said = use(scene, path)
    assert said.code == 1 and said.error["env_var"] == "VIDEO_TASKS_KEY_MINE"
    assert evil.accepted == 0
    monkeypatch.setenv("VIDEO_TASKS_KEY_MINE", "my-own-key")
    assert use(scene, path).code == 0
    assert {r.header("authorization") for r in evil.requests if "v.mp4" not in r.target} == {"Bearer my-own-key"}


@pytest.mark.parametrize("name", ["skills-video", "skills_video", "ark", "openai_compatible"])
def test_a_foreign_profile_may_not_take_a_shipped_name(scene: Scene, tmp_path: Path, name: str) -> None:
    evil = scene.elsewhere()
    said = use(scene, profile_file(tmp_path, evil.base_url, name=name))
    assert said.code == 1 and evil.accepted == 0


def test_a_profile_in_the_current_folder_or_its_search_folder_never_stands_in_for_a_shipped_one(
    scene: Scene, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil, api = scene.elsewhere(), scene.api()
    profile_file(workspace, evil.base_url, name="skills-video")
    monkeypatch.setenv("VIDEO_TASKS_PROVIDERS", str(workspace))
    monkeypatch.setenv("SKILLS_VIDEO_BASE_URL", api.base_url)
    said = scene.run(
        "create_and_wait", "--provider", "skills-video", "--model", "openai/sora-2", "--prompt", "x", *FAST
    )
    assert said.code == 0 and api.posts_taken == 1 and evil.accepted == 0


def test_a_foreign_profile_cannot_borrow_a_key_by_extending_a_shipped_one(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = scene.elsewhere()
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("OPENAI_BASE_URL", evil.base_url)
    for shipped in ("skills-video", "openai-compatible"):
        path = tmp_path / "mine.yaml"
        path.write_text(f"name: mine\nextends: {shipped}\nbase_url: {evil.base_url}\n")
        said = use(scene, path, "--model", "m", "--base-url", evil.base_url)
        assert evil.base_url in said.error["message"]  # whatever title it borrows, it says where the key would go
        assert said.code == 1 and said.error["env_var"] == "VIDEO_TASKS_KEY_MINE", said.out
    assert evil.accepted == 0


# -- run folders -----------------------------------------------------------------------------------------------------


def a_run(scene: Scene, api: FaultServer, *words: str) -> Path:
    """The folder of a run whose task is still going."""
    said = scene.create(api, "--prompt", "x", "--no-wait", *words)
    assert said.code == 0
    return scene.artifacts / str(said.final["run_id"])


def edited(run: Path, **changes: Any) -> None:
    path = run / "inputs" / "request.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def look(scene: Scene, api: FaultServer, run: Path, *words: str) -> scenes.Said:
    return scene.run("task_status", "--run-id", run.name, "--base-url", f"{api.base_url}/api/v1", *words)


def test_a_run_folder_names_no_origin(scene: Scene) -> None:
    """The folder says where it was made; the key goes where the command line says, or nowhere."""
    evil, api = scene.elsewhere(healthy()), scene.api()
    run = a_run(scene, api)
    edited(run, origin=evil.base_url, base_url=evil.base_url, endpoint=f"POST {evil.base_url}/x")
    before = len(api.requests)
    for said in (
        look(scene, api, run),
        look(scene, api, run, "--download"),
        look(scene, api, run, "--cancel"),
        scene.run("task_status", "--run-id", run.name),
        scene.run("task_status", "--latest"),
        scene.run("wait_generation", "--run-id", run.name, "--base-url", f"{api.base_url}/api/v1", "--timeout", "1"),
    ):
        assert said.code == 1 and "another origin" in said.error["message"], said.out
    many = scene.run("wait_generation", "--all-unfinished", "--timeout", "1")
    assert many.code != 0
    assert scene.run("task_status", "--refresh").code == 0
    assert evil.accepted == 0 and len(api.requests) == before


@pytest.mark.parametrize("provider", ["./evil.yaml", "evil", "../../evil.yaml", "{path}", "fal", "ark", 5, None, ["x"]])
def test_a_run_folder_names_no_profile(scene: Scene, workspace: Path, provider: Any) -> None:
    evil, api = scene.elsewhere(healthy()), scene.api()
    path = profile_file(workspace, evil.base_url, name="evil")
    run = a_run(scene, api)
    edited(run, provider=str(path) if provider == "{path}" else provider)
    for said in (
        scene.run("task_status", "--run-id", run.name),
        scene.run("wait_generation", "--run-id", run.name, "--timeout", "1"),
        scene.run("task_status", "--run-id", run.name, "--download"),
    ):
        assert said.code == 1, said.out
    scene.run("wait_generation", "--all-unfinished", "--timeout", "1")
    scene.run("task_status", "--refresh")
    assert scene.run("task_status", "--list").code == 0
    assert evil.accepted == 0


def test_a_run_folder_does_not_turn_a_rehearsal_into_the_real_thing(scene: Scene) -> None:
    api = scene.api()
    run = a_run(scene, api)
    edited(run, mode="sandbox")
    assert look(scene, api, run).code == 1
    edited(run, mode="real", origin="sandbox:skills-video")
    assert look(scene, api, run).code == 1
    assert scene.run("task_status", "--run-id", run.name, "--sandbox").code == 1


def journal(run: Path, *entries: dict[str, Any]) -> None:
    with open(run / "journal.jsonl", "a", encoding="utf-8") as file:
        for entry in entries:
            file.write(json.dumps({"at": "2026-11-21T10:00:00.000Z", **entry}) + "\n")


def test_a_journal_sends_the_key_to_no_other_origin(scene: Scene) -> None:
    evil, api = scene.elsewhere(healthy()), scene.api()
    run = a_run(scene, api)
    urls = {name: f"{evil.base_url}/{name}" for name in ("status_url", "response_url", "cancel_url", "get", "cancel")}
    journal(run, {"event": "status", "status": "running", "follow": urls})
    assert look(scene, api, run).code == 0
    outputs = [{"kind": "video", "url": None, "content_path": f"{evil.base_url}/v.mp4"}]
    journal(run, {"event": "ended", "outcome": "succeeded", "status": "succeeded", "outputs": outputs})
    said = look(scene, api, run, "--download")
    assert said.code != 0 and "Traceback" not in said.err
    journal(
        run,
        {"event": "ended", "outcome": "succeeded", "outputs": [{"kind": "video", "content_path": "//evil.invalid/x"}]},
    )
    assert look(scene, api, run, "--download").code != 0
    assert evil.accepted == 0


def test_follow_urls_of_a_journal_stay_on_the_apis_own_origin(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """fal gives each task its own addresses: these are kept in the journal, where anybody may have edited them."""
    monkeypatch.setenv("FAL_KEY", CANARY)
    evil = scene.elsewhere(json_answer({"status": "COMPLETED"}))
    api = scene.api(json_answer({"request_id": "t_1", "status": "IN_QUEUE"}))
    words = ["--provider", "fal", "--base-url", api.base_url]
    said = scene.run("create_and_wait", *words, "--model", "fal-ai/x", "--prompt", "x", "--no-wait")
    assert said.code == 0, said.out
    run = scene.artifacts / said.final["run_id"]
    urls = {name: f"{evil.base_url}/{name}" for name in ("status_url", "response_url", "cancel_url")}
    journal(run, {"event": "status", "status": "running", "follow": urls})
    for more in ([], ["--cancel"], ["--download"]):
        scene.run("task_status", "--run-id", run.name, *words, *more)
    scene.run("wait_generation", "--run-id", run.name, *words, "--timeout", "0.3")
    assert evil.accepted == 0


@pytest.mark.parametrize(
    "path", ["../../../secret.mp4", "{absolute}", "outputs/../../../../secret.mp4", "outputs/link.mp4"]
)
def test_a_journal_passes_no_file_of_the_users_off_as_the_result(scene: Scene, workspace: Path, path: str) -> None:
    """--output copies a result: the journal of a cloned repository must not choose what is copied."""
    api = scene.api(healthy(status=json_answer({}, 404)))
    run = a_run(scene, api)
    secret = workspace / "secret.mp4"
    secret.write_bytes(b"secret-5e" * 10)
    named = str(secret) if path == "{absolute}" else path
    if path == "outputs/link.mp4" and os.name != "nt":
        (run / "outputs" / "link.mp4").symlink_to(secret)
    entry = {"name": "video", "kind": "video", "path": named, "bytes": 90, "mime": "video/mp4", "sha256": "0" * 64}
    outputs = [{"kind": "video", "url": "https://cdn.invalid/v.mp4"}]
    journal(
        run,
        {"event": "ended", "outcome": "succeeded", "status": "succeeded", "outputs": outputs},
        {"event": "downloaded", "files": [entry]},
    )
    said = look(scene, api, run, "--download", "--output", "copy.mp4", "--timeout", "0.2")
    assert not (workspace / "copy.mp4").exists()
    assert said.code != 0
    assert look(scene, api, run).final["video_file"] is None
    assert "secret.mp4" not in (run / "outputs" / "result.md").read_text()


def test_a_poisoned_run_folder_cannot_act_on_its_reader(scene: Scene) -> None:
    """Every value of a request and a journal, as hostile as can be: one answer each, inert, no traceback."""
    api = scene.api()
    run = a_run(scene, api)
    nasty: Any = "\x1b[2J\u202e\x9b31m# Done\n[x](javascript:alert(1)) ${HOME}`id`"
    deep: Any = {}
    for _ in range(300):
        deep = {"x": deep}
    values = (nasty, 10**400, -1, True, [], {}, deep, "\ud800", float("1e308"))
    original = (run / "inputs" / "request.json").read_text()
    for value in values:
        edited(run, prompt=value, model=value, created_at=value, take=value, kind=value, identity=value, task_id=value)
        journal(
            run,
            {"event": "status", "at": value, "status": value, "provider_status": value, "progress": value},
            {
                "event": "status",
                "status": "running",
                "outputs": value,
                "expires_at": value,
                "cost": value,
                "usage": value,
            },
            {"event": value, "files": value, "error": value, "follow": value, "task_id": value},
            {"event": "uploaded", "sha256": value, "key": value},
            {"event": "submission_unknown", "error": value, "server_date": value},
            {"event": "submitted", "task_id": "t_1", "at": value, "follow": {"a": value}},
        )
        for said in (look(scene, api, run), scene.run("task_status", "--list"), scene.run("task_status", "--latest")):
            assert said.code != 25, (value if value is not deep else "deep", said.out)
            scenes.strict_json(said.out)
            assert scenes.plain(said.out) and scenes.plain(said.err), repr(said.out + said.err)
        (run / "inputs" / "request.json").write_text(original)


@needs_links
@pytest.mark.parametrize(
    "what", ["task-status", ".artifacts", "run", "outputs", "inputs", "journal.jsonl", "result.json", ".locks"]
)
def test_15_symlinks_of_a_cloned_repository_lead_no_writing_elsewhere(scene: Scene, workspace: Path, what: str) -> None:
    api = scene.api()
    run = a_run(scene, api)
    elsewhere = scene.home / "elsewhere"
    place = {
        "task-status": scene.artifacts.parent,
        ".artifacts": scene.artifacts,
        "run": run,
        "outputs": run / "outputs",
        "inputs": run / "inputs",
        "journal.jsonl": run / "journal.jsonl",
        "result.json": run / "outputs" / "result.json",
        ".locks": scene.artifacts / ".locks",
    }[what]
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
    before = snapshot(elsewhere)
    for said in (
        look(scene, api, run, "--wait", "--timeout", "5"),
        scene.create(api, "--prompt", "another"),
        scene.run("wait_generation", "--run-id", run.name, "--base-url", f"{api.base_url}/api/v1", "--timeout", "5"),
    ):
        assert said.code != 25, said.out
    assert snapshot(elsewhere) == before


def snapshot(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@needs_links
def test_15_a_link_in_place_of_a_result_is_replaced_and_its_target_untouched(scene: Scene) -> None:
    api = scene.api()
    run = a_run(scene, api)
    victim = scene.home / "victim"
    victim.write_text("precious")
    for name in ("video.mp4", "video.part", "video.part.json", "result.json", "result.md", "response.json"):
        place = run / "outputs" / name
        place.unlink(missing_ok=True)
        place.symlink_to(victim)
    said = look(scene, api, run, "--wait", "--timeout", "5")
    assert said.code == 0
    assert victim.read_text() == "precious"
    assert (run / "outputs" / "video.mp4").read_bytes() == VIDEO
    assert not (run / "outputs" / "result.json").is_symlink()


def test_from_takes_an_id_and_a_shipped_name_out_of_a_foreign_file_and_nothing_else(
    scene: Scene, workspace: Path
) -> None:
    evil = scene.elsewhere(healthy())
    api = scene.api(lambda r: json_answer(done("https://cdn.invalid/v.mp4", id=r.target.rpartition("/")[2])))
    foreign = workspace / "result.json"
    profile = profile_file(workspace, evil.base_url)
    for number, provider in enumerate((str(profile), "mine", "../mine.yaml", 5)):
        document = {"task_id": f"t_{number}", "provider": provider, "base_url": evil.base_url, "origin": evil.base_url}
        foreign.write_text(json.dumps({**document, "video_url": f"{evil.base_url}/v.mp4", "status_url": evil.base_url}))
        assert scene.run("task_status", "--from", str(foreign)).code == 1  # whose id is it?
        said = scene.run(
            "task_status", "--from", str(foreign), "--provider", "skills-video", "--base-url", api.base_url
        )
        assert said.code == 0 and said.final["video_url"] == "https://cdn.invalid/v.mp4"
    assert evil.accepted == 0
    foreign.write_text(json.dumps({"task_id": "../../credits"}))
    said = scene.run("task_status", "--from", str(foreign), "--provider", "skills-video", "--base-url", api.base_url)
    assert api.requests[-1].target == "/generation/..%2F..%2Fcredits"


def test_a_planted_cache_or_home_gives_no_origin(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of parsed profiles is read at each start: an edited entry must not move a key."""
    api, evil = scene.api(answer(401)), scene.elsewhere()
    scene.run("ensure_api_key", "--verify", "--base-url", api.base_url)
    kept = list((scene.home / ".cache").rglob("profiles/*.json"))
    assert kept
    monkeypatch.delenv("SKILLS_VIDEO_API_KEY")  # a plan without a key asks nobody
    monkeypatch.setenv("SKILLS_VIDEO_SPECIFICATION_URL", "http://127.0.0.1:9/nobody")
    for path in kept:
        path.write_text(path.read_text().replace("https://open.skills.video", evil.base_url))
    said = scene.run("create_and_wait", "--prompt", "x", "--model", "openai/sora-2", "--dry-run", "--no-download")
    assert evil.accepted == 0 and evil.base_url not in said.out
