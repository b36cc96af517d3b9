"""Profiles of a user's own through whole commands: what each member of the format does on the wire."""

from __future__ import annotations

import functools
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from support.faults import answer, at, empty, json_answer, reset_after_request, routes
from support.faultserver import Request
from support.scene import CANARY, FAST, VIDEO, Said, Scene, at_host
from support.scene import scene as scene  # a fixture
from videotasks.lifecycle import session

BASE = """
name: mine
base_url: https://api.mine.example
auth: {}
create: {path: /videos, id: [id]}
status: {path: "/tasks/{task_id}", value: [status], map: {running: [busy], succeeded: [done], failed: [bad]}}
result: {video: [url]}
inputs:
  prompt: {to: prompt}
  model: {to: model}
  image:
    to: "frames[+]"
    as: {at: "{role}", url: "{value}"}
    roles: {first_frame: {word: start}, last_frame: {word: end}}
"""


class Mine:
    """One profile file, one API, the commands on them."""

    def __init__(self, scene: Scene, text: str, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VIDEO_TASKS_KEY_MINE", CANARY)
        monkeypatch.setattr(session, "Timing", functools.partial(session.Timing, unsent_pause_s=0.01))
        self.path = scene.workspace / "mine.yaml"
        self.path.write_text(text, encoding="utf-8")
        self.scene, self.api = scene, scene.api(script)


@pytest.fixture
def mine(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(script: Any, *changes: tuple[str, str], more: str = "") -> Mine:
        text = BASE
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        return Mine(scene, text + more, script, monkeypatch)

    return make


def run(mine: Mine, script: str, *argv: str) -> Said:
    origin = ["--provider", str(mine.path), "--base-url", mine.api.base_url]
    return mine.scene.run(script, *origin, *argv)


def create(mine: Mine, *argv: str) -> Said:
    return run(mine, "create_and_wait", "--prompt", "p", "--model", "acme/m-1", *FAST, *argv)


def script(table: dict[str, Any], done: dict[str, Any] | None = None) -> Any:
    """An API whose task is done at the first look, unless the table says otherwise."""

    def play(request: Request) -> Any:
        body = {"id": "t1", "status": "done", "url": at_host(request, "/v.mp4")} if done is None else done
        return routes(
            {
                "POST /videos": json_answer({"id": "t1", "status": "busy"}),
                "GET /tasks/t1": json_answer(body),
                "GET /v.mp4": answer(200, VIDEO, {"Content-Type": "video/mp4"}),
                **table,
            }
        )(request)

    return play


def test_a_look_by_post_with_the_model_and_what_the_create_told(mine: Any) -> None:
    def play(request: Request) -> Any:
        if request.target == "/look/acme/m-1/videos":
            assert request.json() == {"job": "t1", "cell": "7", "kind": ["x", "t1"]}
            return json_answer({"id": "t1", "status": "done", "url": at_host(request, "/v.mp4")})
        return script({"POST /videos": json_answer({"id": "t1", "cell": 7})})(request)

    one = mine(
        play,
        (
            'status: {path: "/tasks/{task_id}",',
            'status: {method: POST, path: "/look/{model}{path}", '
            'body: {job: "{task_id}", cell: "{cell}", kind: [x, "{task_id}"]},',
        ),
        ("id: [id]}", "id: [id], keep: {cell: cell}}"),
    )
    assert create(one).code == 0


def test_the_values_stay_with_the_run(mine: Any) -> None:
    def play(request: Request) -> Any:
        if request.method == "GET" and request.target == "/m/acme/m-1/tasks/t1?cell=7":
            return json_answer({"id": "t1", "status": "busy"})
        return script({"POST /videos": json_answer({"id": "t1", "cell": "7"})})(request)

    one = mine(
        play,
        ('"/tasks/{task_id}",', '"/m/{model}/tasks/{task_id}", query: {cell: "{cell}"},'),
        ("id: [id]}", "id: [id], keep: {cell: cell}}"),
    )
    run_id = create(one, "--no-wait").final["run_id"]
    assert run(one, "task_status", "--run-id", run_id).final["status"] == "running"
    assert run(one, "task_status", "t1").final["status"] == "running"


def test_the_address_of_a_stranger_that_needs_its_model_is_told_so(mine: Any) -> None:
    one = mine(script({}), ('"/tasks/{task_id}"', '"/m/{model}/tasks/{task_id}"'))
    said = run(one, "task_status", "t1")
    assert said.code == 1 and "model" in said.error["message"] and not one.api.requests


def test_a_result_by_a_second_call_and_by_a_content_address(mine: Any) -> None:
    def play(request: Request) -> Any:
        if request.target == "/files?id=f9":
            return json_answer({"file": {"link": at_host(request, "/v.mp4")}})
        return script({"GET /tasks/t1": json_answer({"id": "t1", "status": "done", "file_id": "f9"})})(request)

    fetch = ("result: {video: [url]}", 'result: {fetch: {path: "/files?id={file}"}, video: [file.link]}')
    assert create(mine(play, fetch, ("id: [id]}", "id: [id], keep: {file: file_id}}"))).code == 0


def test_a_content_address_by_another_id(mine: Any) -> None:
    def play(request: Request) -> Any:
        if request.target == "/content/g%2F5":
            assert request.header("authorization")
            return answer(200, VIDEO, {"Content-Type": "video/mp4"})
        told = {"id": "t1", "status": "done", "generations": [{"id": "g/5"}]}
        return script({"GET /tasks/t1": json_answer(told)})(request)

    content = ("result: {video: [url]}", 'result: {content: {path: "/content/{generation}"}}')
    assert create(mine(play, content, ("id: [id]}", 'id: [id], keep: {generation: "generations[0].id"}}'))).code == 0


def test_frames_are_ordered_by_role_not_by_the_command_line(mine: Any) -> None:
    one = mine(script({}))
    create(one, "--image", "last_frame=https://e.example/2.png", "--image", "first_frame=https://e.example/1.png")
    (post,) = [request for request in one.api.requests if request.method == "POST"]
    frames = [{"at": "start", "url": "https://e.example/1.png"}, {"at": "end", "url": "https://e.example/2.png"}]
    assert post.json()["frames"] == frames


def test_a_new_value_for_each_create_kept_on_a_resend_and_new_in_each_look(mine: Any) -> None:
    busy = json_answer({"error": {"message": "slow down"}}, 429)
    table = {
        "POST /videos": [busy, json_answer({"id": "t1", "status": "busy"})],
        "GET /tasks/t1": [json_answer({"id": "t1", "status": "busy"}), json_answer({"id": "t1", "status": "bad"})],
    }
    choose = routes(table)
    one = mine(choose, more='headers: {X-Trace: "{uuid}"}\n')
    said = create(one)
    assert said.code == 10
    posts = [r.header("x-trace") for r in one.api.requests if r.method == "POST"]
    looks = [r.header("x-trace") for r in one.api.requests if r.method == "GET"]
    assert len(posts) == 2 and len(set(posts)) == 1 and str(uuid.UUID(posts[0])) == posts[0]
    assert len(set(looks)) == len(looks) == 2 and not set(looks) & set(posts)
    journal = Path(said.final["artifacts_dir"], "journal.jsonl").read_text(encoding="utf-8")
    assert posts[0] in journal.splitlines()[0]


REPLAY = "idempotency: {header: Idempotency-Key, on_reuse: replay}\n"


def test_only_replay_sends_again_after_a_lost_answer(mine: Any) -> None:
    lost = [reset_after_request(), json_answer({"id": "t1", "status": "busy"})]
    one = mine(_with_creates(lost), more=REPLAY)
    assert create(one).code == 0
    keys = [r.header("idempotency-key") for r in one.api.requests if r.method == "POST"]
    assert len(keys) == 2 and keys[0] == keys[1] != ""


@pytest.mark.parametrize("how", ["reject", None])
def test_anything_else_does_not(mine: Any, how: str | None) -> None:
    more = f"idempotency: {{header: Idempotency-Key, on_reuse: {how}}}\n" if how else ""
    one = mine(_with_creates([reset_after_request()]), more=more)
    assert create(one).code == 3
    assert len([r for r in one.api.requests if r.method == "POST"]) == 1


def test_a_repeat_that_is_refused_leaves_the_doubt(mine: Any) -> None:
    """The first request may have made a task, whatever is said of the second."""
    one = mine(_with_creates([reset_after_request(), json_answer({"error": {"message": "no"}}, 400)]), more=REPLAY)
    assert create(one).code == 3
    before = len([r for r in one.api.requests if r.method == "POST"])
    assert create(one).code == 3 and len([r for r in one.api.requests if r.method == "POST"]) == before


def test_a_value_that_is_an_id_is_asked_for_after_a_lost_answer(mine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def play(request: Request) -> Any:
        if request.method == "POST":
            sent.append(request.json()["tasks"])
            return reset_after_request()
        task_id = request.target.rpartition("/")[2]
        assert task_id == sent[0]["uid"]
        return json_answer({"id": task_id, "status": "bad"})

    sent: list[Any] = []
    one = mine(
        play, ("id: [id]}", 'id: [id], wrap: {tasks: "{body}"}}'), more="idempotency: {body: uid, on_reuse: lookup}\n"
    )
    said = create(one)
    assert said.code == 10 and len(sent) == 1 and said.final["task_id"] == sent[0]["uid"]


def test_such_a_task_is_found_later_too(mine: Any) -> None:
    def play(request: Request) -> Any:
        if request.method == "POST":
            return reset_after_request()
        if not shown:
            return json_answer({"message": "no such task"}, 404)
        return json_answer({"id": request.target.rpartition("/")[2], "status": "bad"})

    shown: list[int] = []
    one = mine(play, more="idempotency: {body: uid, on_reuse: lookup}\n")
    said = create(one)
    assert said.code == 3
    shown.append(1)
    found = run(one, "task_status", "--run-id", said.final["run_id"])
    sent = next(r for r in one.api.requests if r.method == "POST").json()
    assert found.code == 10 and found.final["task_id"] == sent["uid"]


def _with_creates(creates: list[Any]) -> Any:
    made = iter(creates)
    last = creates[-1]

    def play(request: Request) -> Any:
        if request.method == "POST":
            return next(made, last)
        return script({})(request)

    return play


def test_a_body_that_is_a_list(mine: Any) -> None:
    one = mine(script({}), ("id: [id]}", 'id: [id], wrap: ["{body}"], body: {uid: "{uuid}", kind: video}}'))
    plan = create(one, "--dry-run").final
    assert plan["request"]["body"] == [{"uid": "{uuid}", "kind": "video", "model": "acme/m-1", "prompt": "p"}]
    create(one)
    (sent,) = next(r for r in one.api.requests if r.method == "POST").json()
    assert uuid.UUID(sent["uid"]) and sent["kind"] == "video"
    assert create(one).final["attached"] is True  # the value is no part of what the command asks for


def test_the_inputs_choose_the_kind(mine: Any) -> None:
    kinds = """
kinds:
  frames: {when: [image.first_frame, image.last_frame], create: {path: /two}}
  still: {when: [image], create: {path: /one}}
"""
    one = mine(script({}), more=kinds)

    def path(*argv: str) -> Any:
        plan = create(one, *argv, "--dry-run").final
        return plan["request"]["url"].removeprefix(one.api.base_url), plan["kind"]

    first, last = "first_frame=https://e.example/1.png", "last_frame=https://e.example/2.png"
    assert path() == ("/videos", "video")
    assert path("--image", first) == ("/one", "still")
    assert path("--image", first, "--image", last) == ("/two", "frames")
    assert path("--image", first, "--kind", "frames") == ("/two", "frames")


def test_words_of_an_input_and_texts_around_it(mine: Any) -> None:
    more = """  duration: {to: length, as: "{value}s", type: integer}
  resolution: {to: quality, values: {720p: 720P, 1080p: 1080P}}
  ratio: {combine: size}
  size: {to: {width: w, height: h}, table: {"16:9": 1280x720}}
"""
    words = ["--duration", "5", "--resolution", "720P", "--ratio", "16:9"]
    body = create(mine(script({}), more=more), *words, "--dry-run").final
    assert {k: body["request"]["body"][k] for k in ("length", "quality", "w", "h")} == {
        "length": "5s",
        "quality": "720P",
        "w": 1280,
        "h": 720,
    }


def test_an_empty_202_is_running_and_whole_numbers_are_words(mine: Any) -> None:
    table = {"GET /tasks/t1": [at("body", empty(202)), json_answer({"id": "t1", "status": 7})]}
    one = mine(routes({"POST /videos": json_answer({"id": "t1"}), **table}), ("failed: [bad]", "failed: [7]"))
    said = create(one)
    assert said.code == 10 and said.final["provider_status"] == "7"


def test_a_word_for_no_such_task(mine: Any) -> None:
    one = mine(
        script({"GET /tasks/t1": json_answer({"id": "t1", "status": "UNKNOWN"})}),
        ("failed: [bad]", "failed: [bad], not_found: [UNKNOWN]"),
    )
    assert run(one, "task_status", "t1").code == 23


def test_an_accepted_cancel_and_then_no_such_task_is_cancelled(mine: Any) -> None:
    looks = [json_answer({"id": "t1", "status": "busy"}), json_answer({"message": "not found"}, 404)]
    table = {"POST /videos": json_answer({"id": "t1"}), "GET /tasks/t1": looks, "POST /stop": json_answer({})}
    more = 'cancel: {path: /stop, body: {id: "{task_id}"}, only_when: [running]}\n'
    one = mine(routes(table), more=more)
    run_id = create(one, "--no-wait").final["run_id"]
    said = run(one, "task_status", "--run-id", run_id, "--cancel")
    assert said.final["cancelled"] is True and said.final["status"] == "cancelled"
    assert json.loads(next(r for r in one.api.requests if r.target == "/stop").body) == {"id": "t1"}


def test_a_phrase_of_one_operation(mine: Any) -> None:
    more = """
error:
  message: [error]
  phrases: {"not enough gold": insufficient_credits}
  on: {poll: {http: {400: not_found}}, create: {phrases: {"no such word": moderation}}}
"""
    one = mine(script({}), more=more)

    def category(operation: str, text: str) -> str:
        said = run(
            one,
            "handle_runtime_error",
            "--status",
            "400",
            "--body",
            json.dumps({"error": text}),
            "--operation",
            operation,
        )
        return str(said.final["category"])

    assert category("create", "There is Not Enough Gold.") == "insufficient_credits"
    assert category("create", "no such word allowed") == "moderation"
    assert category("create", "hm") == "validation"
    assert category("poll", "hm") == "not_found"


READS = [
    ("create", {"id": "t1", "status": "busy"}, 0, {"task_id": "t1", "status": "running"}, ""),
    ("create", {"data": {"task_id": "t1"}}, 1, {"task_id": None}, "it may be: data.task_id"),
    ("status", {"id": "t1", "status": "done", "url": "https://e.example/v.mp4"}, 0, {"status": "succeeded"}, ""),
    ("status", {"id": "t1", "state": "done"}, 1, {"status": "unknown"}, "it may be: state"),
    ("status", {"status": "done", "out": [{"u": "https://e.example/v"}]}, 1, {"status": "succeeded"}, "at: out[].u"),
    ("status", {"id": "t1", "status": "strange"}, 1, {"status": "unknown"}, "unknown status"),
    ("list", {"rows": [{"id": "t1", "status": "busy", "created_at": 1790000000}]}, 1, {"total": 0}, "list.items"),
    ("list", {"items": [{"id": "t1", "status": "busy", "created_at": 1790000000}]}, 0, {"total": 1}, ""),
    ("error", {"message": "no"}, 0, {"category": "validation"}, ""),
    ("error", {"why": "no"}, 1, {"category": "validation"}, "error.message"),
]


@pytest.mark.parametrize(("kind", "body", "code", "reads", "words"), READS)
def test_what_a_profile_reads_out_of_a_stored_answer(
    mine: Any, kind: str, body: Any, code: int, reads: dict[str, Any], words: str
) -> None:
    one = mine(script({}), more="list: {path: /videos}\n")
    stored = one.path.with_name("answer.json")
    stored.write_text(json.dumps(body), encoding="utf-8")
    said = run(one, "handle_runtime_error", "--check-answer", str(stored), "--as", kind)
    assert said.code == code and not one.api.requests
    assert {name: said.final["reads"][name] for name in reads} == reads
    assert words in json.dumps(said.final["problems"])


# -- uploads, tokens --------------------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x02\x00\x00\x00" + b"\x00" * 40
AS_UPLOAD = ("    roles: {", "    file: {how: upload, type: integer}\n    roles: {")


def _uploading(mine: Any, more: str, answers: dict[str, Any]) -> tuple[Any, Any, Request]:
    """(the profile, the body of the create, the request that carried the file)"""

    def play(request: Request) -> Any:
        for target, told in answers.items():
            if request.target.startswith(target):
                return json_answer(told(request) if callable(told) else told)
        return script({})(request)

    one = mine(play, AS_UPLOAD, more=more)
    one.path.with_name("a.png").write_bytes(PNG)
    said = create(one, "--image", f"first_frame={one.path.with_name('a.png')}", "--allow-private-results")
    assert said.code == 0, said.out
    sent = next(r for r in one.api.requests if PNG in r.body)
    return one, next(r for r in one.api.requests if r.target == "/videos").json(), sent


def test_a_form_to_the_api_with_the_key(mine: Any) -> None:
    more = "upload: {how: multipart, path: /images, part: image, key: [data.img_id]}\n"
    _, body, sent = _uploading(mine, more, {"/images": {"data": {"img_id": 77}}})
    assert body["frames"] == [{"at": "start", "url": 77}]
    assert sent.header("authorization") and b'name="image"; filename="first_frame-' in sent.body


def test_raw_bytes_in_two_steps_with_the_key(mine: Any) -> None:
    more = 'upload: {init: {path: /assets, body: {n: "{name}"}}, how: raw, path: "/assets/{id}/file", key: [id]}\n'
    _, body, sent = _uploading(mine, more, {"/assets/a1": {}, "/assets": {"id": "a1"}})
    assert body["frames"][0]["url"] == "a1"
    assert sent.target == "/assets/a1/file" and sent.body == PNG and sent.header("content-type") == "image/png"


def test_a_presigned_form_without_the_key(mine: Any) -> None:
    more = """upload:
  init: {method: GET, path: /policy, query: {model: "{model}"}}
  how: post
  put_url: [url]
  fields: {policy: p, key: "join('/', [dir, file.name])"}
  key: ["join('', ['oss://', dir, '/', file.name])"]
"""
    policy = {"p": "POLICY", "dir": "up"}
    told = {"/policy?model=acme%2Fm-1": lambda request: {**policy, "url": at_host(request, "/store")}, "/store": {}}
    _, body, sent = _uploading(mine, more, told)
    assert body["frames"][0]["url"].startswith("oss://up/first_frame-")
    assert sent.target == "/store" and not sent.header("authorization") and b"POLICY" in sent.body


def test_a_token_from_a_command_of_the_user(mine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = mine(script({}))
    monkeypatch.setenv("VIDEO_TASKS_KEY_MINE_COMMAND", json.dumps([sys.executable, "-c", f"print('{CANARY}-short')"]))
    said = create(one)
    assert said.code == 0
    assert {r.header("authorization") for r in one.api.requests if r.method == "POST"} == {f"Bearer {CANARY}-short"}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("nonesuch-command", "could not be started"),
        (json.dumps([sys.executable, "-c", "raise SystemExit(3)"]), "exit code 3"),
        (json.dumps([sys.executable, "-c", "pass"]), "printed nothing"),
        ("[1]", "is no command"),
    ],
)
def test_a_command_that_gives_no_token(mine: Any, monkeypatch: pytest.MonkeyPatch, command: str, words: str) -> None:
    one = mine(script({}))
    monkeypatch.setenv("VIDEO_TASKS_KEY_MINE_COMMAND", command)
    said = create(one)
    assert said.code == 1 and words in said.error["message"] and not one.api.requests


# -- behaving like a shipped one --------------------------------------------------------------------------------------


def test_runs_of_a_profile_given_by_path_are_found(mine: Any) -> None:
    one = mine(script({"GET /tasks/t1": json_answer({"id": "t1", "status": "busy"})}))
    run_id = create(one, "--no-wait").final["run_id"]
    for argv in (["--latest"], ["t1"], ["--run-id", run_id]):
        said = run(one, "task_status", *argv)
        assert (said.code, said.final["run_id"], said.final["status"]) == (0, run_id, "running"), argv
        assert str(one.path) in said.final["next"]
    listed = run(one, "task_status", "--list", "--status", "unfinished").final
    assert [row["run_id"] for row in listed["runs"]] == [run_id]
    assert run(one, "task_status", "--refresh").final["refreshed"] == 1


def test_the_next_command_of_a_run_goes_on_with_it(mine: Any) -> None:
    looks = [json_answer({"id": "t1", "status": "busy"}), json_answer({"id": "t1", "status": "bad"})]
    one = mine(routes({"POST /videos": json_answer({"id": "t1"}), "GET /tasks/t1": looks}))
    said = create(one, "--no-wait")
    words = said.final["next_argv"][2:]
    assert one.scene.run(Path(said.final["next_argv"][1]).stem, *words).final["status"] in ("running", "failed")
