"""create_and_wait as a user or an agent runs it: inherited flags and events, attaching, refusals, bad input."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import faults
from support.commands import Done, call, environment, fast_sandbox, follow, journal, sandbox_state, start
from support.faults import answer, html, json_answer, sse
from support.faultserver import FaultServer, refused_port
from support.parameters import most_are_slow
from support.taskserver import KEY, WIRES, TaskServer, event, refused, taken, whole_stream
from videotasks.lifecycle import fetch_outputs

ROOT = Path("task-status") / ".artifacts"
BOAT = ("--prompt", "a paper boat in the rain", "--duration", "4")
FAST = ("--poll-interval", "0.02")
MODELS = {
    "skills-video": (),
    "creatok": (),
    "octopusx": (),
    "ark": (),
    "modelark": ("--model", "ep-rehearsal"),
    "openai-compatible": (),
    "fal": ("--model", "fal-ai/veo3"),
    "replicate": ("--model", "google/veo-3"),
}


@pytest.fixture
def server() -> Iterator[TaskServer]:
    with TaskServer(WIRES["skills-video"], stream=whole_stream) as made:
        yield made


def create(server: TaskServer, *arguments: str, inherited: bool = False, **options: Any) -> Done:
    """create_and_wait with the flags of the command that it takes in, or with ours."""
    request = (
        ("--sse-endpoint", "/generation/sse/openai/sora-2", "--payload", '{"prompt": "a paper boat"}')
        if inherited
        else ("--prompt", "a paper boat", "--model", "openai/sora-2")
    )
    env = {"SKILLS_VIDEO_API_KEY": KEY}
    return call("create_and_wait.py", "--base-url", server.base, *request, *FAST, *arguments, env=env, **options)


def nothing_paid(server: FaultServer) -> None:
    assert server.posts == []


# -- the inherited command (facts: peers 4.7) --------------------------------------------------------------------


@pytest.mark.process
def test_the_inherited_flags_work_exactly_as_listed(server: TaskServer, tmp_path: Path) -> None:
    payload = tmp_path / "payload.json"
    payload.write_text('{"prompt": "a paper boat"}', encoding="utf-8")
    done = start(
        "create_and_wait.py",
        *("--sse-endpoint", "/generation/sse/openai/sora-2", "--base-url", server.base, "--payload-file", str(payload)),
        *("--sse-request-timeout", "120.0", "--poll-timeout", "900.0", "--poll-interval", "3.0"),
        *("--poll-request-timeout", "20.0"),
        env={"SKILLS_VIDEO_API_KEY": KEY},
        cwd=tmp_path,
    )
    assert done.exit_code == 0
    assert done.final["event"] == "terminal" and done.final["source"] == "sse"
    assert done.final["generation_id"] == server.task_id
    assert server.paid == 1 and server.posts[0].target == "/api/v1/generation/sse/openai/sora-2"
    assert server.posts[0].json() == {"prompt": "a paper boat"}
    assert server.posts[0].header("authorization") == f"Bearer {KEY}"
    assert len(done.stdout) < 1500
    assert KEY not in done.stdout + done.stderr


def test_verbose_prints_the_inherited_events_with_their_keys(server: TaskServer) -> None:
    done = create(server, "--verbose", inherited=True)
    assert done.exit_code == 0
    (begun,) = done.all("start")
    assert begun["url"] == f"{server.base}/generation/sse/openai/sora-2"
    assert begun["mode"] == "sse_then_poll_fallback"
    (opened,) = done.all("sse_open")
    assert opened["http_status"] == 200 and opened["url"] == begun["url"]
    events = done.all("sse_event")
    for one in events:
        assert {"sse_event_name", "generation_id", "status", "status_key", "terminal", "payload"} <= set(one)
        assert one["payload"]["id"] == server.task_id
    assert [one["status_key"] for one in events] == ["in_queue", "in_progress", "completed"]
    assert [one["terminal"] for one in events] == [False, False, True]
    assert {"source", "ok", "generation_id", "response"} <= set(done.final)
    assert done.final["response"]["id"] == server.task_id


def test_verbose_tells_of_the_fall_back_to_polling() -> None:
    def cut(server: TaskServer, task_id: str) -> Any:
        return sse(event(server.body("queued")))

    with TaskServer(WIRES["skills-video"], stream=cut, polls=[html(502)], polls_needed=2) as server:
        done = create(server, "--verbose", inherited=True)
    assert done.exit_code == 0
    assert done.events.index("sse_stream_ended") < done.events.index("fallback_polling_start")
    assert done.events.index("fallback_polling_end") == len(done.events) - 2
    (ended,) = done.all("sse_stream_ended")
    assert {"generation_id", "message"} <= set(ended)
    (begun,) = done.all("fallback_polling_start")
    assert begun["generation_id"] == server.task_id and "wait_generation.py" in begun["command"]
    (over,) = done.all("fallback_polling_end")
    assert over == {"event": "fallback_polling_end", "generation_id": server.task_id, "exit_code": 0}
    poll = done.all("poll")[-1]
    assert {"generation_id", "attempt", "http_status", "status", "status_key", "terminal"} <= set(poll)
    (fault,) = done.all("poll_error")
    assert fault["http_status"] == 502 and fault["transient"] is True and "message" in fault


def test_a_stream_endpoint_that_refuses_leads_to_one_plain_create() -> None:
    with TaskServer(WIRES["skills-video"], creates=[refused(answer(405))]) as server:
        done = create(server, "--verbose", "--no-download")
    assert done.exit_code == 0 and server.paid == 1
    (error,) = done.all("sse_http_error")
    assert error["http_status"] == 405 and "message" in error
    assert [post.target for post in server.posts] == [
        "/api/v1/generation/sse/openai/sora-2",
        "/api/v1/generation/openai/sora-2",
    ]


def test_quiet_by_default(server: TaskServer) -> None:
    done = create(server)
    assert done.events == ["start", "created", "status", "terminal"]
    assert len(done.stdout) < 1500


def test_the_final_line_comes_after_everything_else_and_nothing_is_held_back(server: TaskServer) -> None:
    """Another client printed its `start` after its child's events, and nothing at all when it was killed."""
    done = create(server, "--verbose")
    assert done.events[0] == "start" and done.events[-1] == "terminal"


@pytest.mark.parametrize(
    ("events", "code"),
    [
        (["failed"], 10),
        (["cancelled"], 10),
    ],
)
def test_a_task_that_ends_badly_on_the_stream(events: list[str], code: int) -> None:
    with TaskServer(WIRES["skills-video"], stream=whole_stream, outcome=events[0]) as server:
        done = create(server)
    assert done.exit_code == code and done.final["status"] == events[0]
    assert done.final["error"]["category"] in ("generation_failed", "cancelled")
    assert done.final["next"] is None


def test_a_terminal_event_name_proves_nothing() -> None:
    """`event: failed` and `[DONE]` were reported as success by another client; here they lead to a question."""

    def lying(server: TaskServer, task_id: str) -> Any:
        server.outcome = "failed"
        return sse(event(server.body("queued")), event('{"message": "NSFW content"}', "failed"), event("[DONE]"))

    with TaskServer(WIRES["skills-video"], stream=lying) as server:
        done = create(server)
    assert done.exit_code == 10 and done.final["status"] == "failed"
    assert server.looks >= 1


def test_plain_json_instead_of_a_stream_is_used_as_it_is(server: TaskServer) -> None:
    server.stream = None
    done = create(server, inherited=True)
    assert done.exit_code == 0 and server.paid == 1


# -- rehearsals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", most_are_slow(sorted(MODELS), "creatok", "fal"))
def test_each_provider_in_the_sandbox_is_created_found_and_attached(
    provider: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_outputs, "SLOW_DOWNLOAD_S", 0.0)  # a rehearsal's link is told only at the end
    command = ("create_and_wait.py", "--sandbox", "--provider", provider, *MODELS[provider], "--prompt", "a boat")
    with fast_sandbox():
        done = call(*command, *FAST)
        assert done.exit_code == 0, done
        assert done.final["sandbox"] is True and done.final["provider"] == provider
        assert len(done.stdout) - 2 * (len(str(workspace)) - 60) < 1500, "in a workspace whose path has 60 characters"
        assert Path(done.final["video_file"]).stat().st_size > 1000

        again = call(*command, *FAST)
        assert again.exit_code == 0 and again.final["attached"] is True
        assert again.final["run_id"] == done.final["run_id"]
        assert "--take 2" in again.all("start")[0]["note"]

        below = workspace / "src" / "deep"
        below.mkdir(parents=True)
        monkeypatch.chdir(below)
        found = call("task_status.py", "--latest", "--sandbox")
    assert found.exit_code == 0 and found.final["task_id"] == done.final["task_id"]
    assert found.final["latest"]["prompt_start"] == "a boat"
    assert len(found.stdout) - 2 * (len(str(workspace)) - 60) < 1500
    assert (
        sandbox_state(workspace / ROOT)["creates"] == {provider: 1}
        or len(sandbox_state(workspace / ROOT)["tasks"]) == 1
    )


def test_the_last_line_says_where_the_copy_is(workspace: Path) -> None:
    (workspace / "clips").mkdir()
    with fast_sandbox():
        done = call("create_and_wait.py", "--sandbox", *BOAT, *FAST, "--output", "clips/")
    copy = Path(done.final["copied_to"])
    assert copy.parent == workspace / "clips" and copy.read_bytes() == Path(done.final["video_file"]).read_bytes()


def test_another_take_makes_another_one(workspace: Path) -> None:
    with fast_sandbox():
        first = call("create_and_wait.py", "--sandbox", *BOAT, "--no-wait")
        second = call("create_and_wait.py", "--sandbox", *BOAT, "--no-wait", "--take", "2")
        third = call("create_and_wait.py", "--sandbox", *BOAT, "--no-wait", "--take", "2")
    assert first.final["task_id"] != second.final["task_id"] == third.final["task_id"]
    assert third.final["attached"] is True
    assert len(sandbox_state(workspace / ROOT)["tasks"]) == 2


def test_a_real_command_after_a_rehearsal_does_not_attach_to_it(server: TaskServer) -> None:
    with fast_sandbox():
        rehearsed = call(
            "create_and_wait.py", "--sandbox", "--prompt", "a paper boat", "--model", "openai/sora-2", *FAST
        )
    real = create(server)
    assert rehearsed.exit_code == real.exit_code == 0
    assert "attached" not in real.final and "sandbox" not in real.final
    assert server.paid == 1
    latest = call("task_status.py", "--latest", "--base-url", server.base, env={"SKILLS_VIDEO_API_KEY": KEY})
    assert latest.final["task_id"] == server.task_id
    assert call("task_status.py", "--latest", "--sandbox").final["task_id"] == rehearsed.final["task_id"]


def test_the_sandbox_takes_no_real_key_and_no_real_origin(server: TaskServer) -> None:
    with fast_sandbox():
        done = call(
            "create_and_wait.py", "--sandbox", *BOAT, "--no-wait",
            env={"SKILLS_VIDEO_API_KEY": KEY, "SKILLS_VIDEO_BASE_URL": server.base},
        )  # fmt: skip
    assert done.exit_code == 0
    assert server.requests == []


def test_a_rehearsal_whose_answer_was_lost_is_looked_up_and_never_created_again(workspace: Path) -> None:
    command = ("create_and_wait.py", "--sandbox", "--provider", "ark", "--sandbox-scenario", "lost-answer", *BOAT)
    with fast_sandbox():
        lost = call(*command)
        assert lost.exit_code == 3 and lost.error["category"] == "submission_unknown"
        assert "task_status.py" in lost.final["next"]
        again = call(*command)
        assert again.exit_code == 3
        looked = follow(lost)
        assert looked.exit_code == 3 and len(looked.error["candidates"]) == 1
        assert "--resolve not-created" in looked.error["to_close"]
        candidate = looked.error["candidates"][0]["task_id"]
        adopted = call("task_status.py", "--sandbox", "--run-id", lost.final["run_id"], "--task-id", candidate)
        assert adopted.exit_code == 0 and adopted.final["task_id"] == candidate
    assert len(sandbox_state(workspace / ROOT)["tasks"]) == 1


def test_no_wait_ends_with_the_id_and_next_goes_on(workspace: Path) -> None:
    with fast_sandbox():
        done = call("create_and_wait.py", "--sandbox", *BOAT, "--no-wait")
        assert done.final["event"] == "created" and done.exit_code == 0
        assert "wait_generation.py" in done.final["next"] and "--sandbox" in done.final["next_argv"]
        waited = follow(done, "--interval", "0.02")
    assert waited.exit_code == 0 and waited.final["video_file"]


def test_a_deadline_is_resumable(workspace: Path) -> None:
    with fast_sandbox(0.8):
        done = call("create_and_wait.py", "--sandbox", *BOAT, "--poll-timeout", "0.1", *FAST)
        assert done.exit_code == 11 and done.final["event"] == "timeout"
        assert {"generation_id", "elapsed_seconds", "last_status"} <= set(done.final)
        argv = done.final["next_argv"]
        argv[argv.index("--timeout") + 1] = "20"
        ended = follow(done, "--interval", "0.05")
    assert ended.exit_code == 0


# -- a create that is refused or unknown -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "code", "category"),
    [
        (400, {"message": "bad prompt"}, 22, "validation"),
        (401, {"message": "bad key"}, 21, "auth"),
        (402, {"message": "Insufficient credits"}, 20, "insufficient_credits"),
        (403, {"message": "no"}, 27, "permission"),
        (404, {"message": "no such model"}, 23, "not_found"),
        (422, {"message": "bad"}, 22, "validation"),
        (422, {"error": "SORA_GENERATION_CONTENT_REJECTED", "message": "flagged"}, 26, "moderation"),
        (307, None, 25, "unknown"),
    ],
)
def test_a_refused_create_exits_with_its_category_and_may_be_sent_again_once_told(
    status: int, body: Any, code: int, category: str
) -> None:
    action = json_answer(body, status) if body else faults.redirect("http://127.0.0.1:9/elsewhere", status)
    with TaskServer(WIRES["skills-video"], creates=[refused(action)] * 4) as server:
        done = create(server, "--sse-endpoint", "/generation/openai/sora-2")
        assert (done.exit_code, done.error["category"]) == (code, category)
        assert done.final["next"] is None
        assert "nothing was created" in done.error["message"]
        again = create(server, "--sse-endpoint", "/generation/openai/sora-2")
        # A 404 of the stream endpoint is asked of the plain one, too.
        assert again.exit_code == code and server.refused_creates == (4 if status == 404 else 2)


@pytest.mark.parametrize(
    "fault",
    [json_answer({"message": "oops"}, 500), html(502), json_answer({}, 408), json_answer({"x": 1}, 200)],
    ids=["500", "502 html", "408", "2xx without an id"],
)
def test_an_answer_that_proves_nothing_is_unknown_and_stays_unknown(fault: Any) -> None:
    """The clients that this one learns from said "retry with backoff" here: a second paid task."""
    with TaskServer(WIRES["skills-video"], creates=[taken(fault)]) as server:
        done = create(server)
        assert done.exit_code == 3 and done.error["category"] == "submission_unknown"
        assert "retry" not in done.stdout.lower()
        assert "task_status.py" in done.final["next"]
        assert create(server).exit_code == 3
        assert create(server, "--no-wait").exit_code == 3
        assert server.paid == 1
        # A person looked, and says that there is none: only then is it paid again.
        closed = call(
            "task_status.py", "--run-id", done.final["run_id"], "--resolve", "not-created", "--base-url", server.base
        )
        assert closed.exit_code == 0
        assert create(server).exit_code == 0 and server.paid == 2


def test_integer_ids_and_nested_ids_are_read_where_the_profile_says() -> None:
    """Another client lost an integer id, and polled the first `id` that it met anywhere in the body."""
    body = {"user": {"id": "usr_1"}, "id": 4711, "status": "IN_QUEUE"}
    done_body = {
        "id": 4711,
        "status": "COMPLETED",
        "history": [{"status": "FAILED"}],
        "data": {"url": "http://x.invalid/v"},
    }
    table = {"POST *": json_answer(body), "GET /api/v1/generation/4711": json_answer(done_body)}
    with FaultServer(faults.routes(table)) as server:
        done = call(
            "create_and_wait.py", "--base-url", server.base_url + "/api/v1", *BOAT, "--model", "openai/sora-2",
            "--no-download", *FAST, env={"SKILLS_VIDEO_API_KEY": KEY},
        )  # fmt: skip
    assert done.exit_code == 0 and done.final["task_id"] == "4711"


def test_the_key_follows_no_redirect_and_goes_to_no_other_endpoint(server: TaskServer) -> None:
    with FaultServer(json_answer({"id": "x"})) as other:
        done = create(server, "--sse-endpoint", other.base_url + "/generation/sse/openai/sora-2")
        assert done.exit_code == 1 and "another host" in done.error["message"]
        assert other.requests == []
    nothing_paid(server)


# -- bad input ---------------------------------------------------------------------------------------------------

BAD = [
    (("--payload", "{bad"), 1, "invalid_arguments", "JSON"),
    (("--payload", "[1]"), 1, "invalid_arguments", "object"),
    (("--payload", '{"a": NaN}'), 1, "invalid_arguments", "NaN"),
    (("--payload", '{"a": 1}', "--payload-file", "x.json"), 1, "invalid_arguments", "both"),
    (("--payload-file", "missing.json"), 1, None, "missing.json"),
    (("--prompt-file", "missing.txt"), 1, None, "missing.txt"),
    (("--prompt", "x", "--prompt-file", "y"), 1, None, "both"),
    (("--prompt", "  "), 1, None, "empty"),
    (("--prompt", "x", "--image", "missing.png"), 1, None, "missing.png"),
    (("--prompt", "x", "--set", "novalue"), 1, None, "--set"),
    (("--prompt", "x", "--duration", "soon"), None, None, "duration"),
    (("--prompt", "x", "--run-id", "../../x"), 1, None, "run id"),
    (("--prompt", "x", "--max-cost", "twenty"), 1, None, "--max-cost"),
    (("--prompt", "x", "--poll-interval", "nan"), 2, None, "seconds"),
    (("--prompt", "x", "--poll-interval", "0"), 2, None, "seconds"),
    (("--prompt", "x", "--poll-timeout", "inf"), 2, None, "seconds"),
    (("--prompt", "x", "--poll-timeout", "-1"), 2, None, "seconds"),
    (("--prompt", "x", "--take", "0"), 2, None, "--take"),
    (("--prompt", "x", "--bogus"), 2, None, "--bogus"),
    (("--prompt", "x", "--prom", "y"), 2, None, "--prom"),
    (("--prompt", "x", "stray"), 2, None, "belongs to no option"),
    (("--prompt", "x", "--provider", "nonesuch"), 1, None, "nonesuch"),
    (("--prompt", "x", "--provider", "./none.yaml"), 1, None, "none.yaml"),
    (("--prompt", "x", "--kind", "nonesuch"), 1, None, "nonesuch"),
    (("--prompt", "x", "--sandbox-scenario", "slow"), 1, None, "--sandbox"),
    (("--prompt", "x", "--openapi", "missing.json"), 1, None, "missing.json"),
    (("--api-key", "sk-1"), 2, None, "keys are not taken"),
]


@pytest.mark.parametrize(("arguments", "code", "name", "words"), BAD, ids=[" ".join(case[0])[:40] for case in BAD])
@pytest.mark.parametrize("key", ["with key", "without key"])
def test_bad_input_is_one_error_that_names_it_and_nothing_is_sent(
    server: TaskServer, arguments: tuple[str, ...], code: int | None, name: str | None, words: str, key: str
) -> None:
    env = {"SKILLS_VIDEO_API_KEY": KEY} if key == "with key" else {}
    base = ("--base-url", server.base) if "--sandbox-scenario" not in arguments else ()
    model = ("--model", "openai/sora-2") if "--model" not in arguments and "--provider" not in arguments else ()
    done = call("create_and_wait.py", *base, *model, *arguments, env=env)
    if words == "--max-cost" and key == "without key":
        words = "SKILLS_VIDEO_API_KEY"  # the key is missed first
    assert done.exit_code == code if code is not None else done.exit_code in (1, 22), done
    text = json.dumps(done.error)
    assert words in text, text
    assert done.error.get("expected") or done.error.get("hint"), "the way on is told"
    assert name is None or done.error["code"] == name
    assert done.final["message"] == done.error["message"]
    assert "sk-1" not in done.stdout
    nothing_paid(server)


def test_without_a_key_nothing_is_sent_and_the_way_to_one_is_told(server: TaskServer) -> None:
    done = call("create_and_wait.py", "--base-url", server.base, *BOAT, "--model", "openai/sora-2")
    assert done.exit_code == 1 and done.error["code"] == "missing_api_key"
    assert "SKILLS_VIDEO_API_KEY" in done.error["expected"]
    assert server.requests == []


@pytest.mark.parametrize("key", ["sk-abc\nSECRETTAIL", "sk-\u30ad\u30fc"])
def test_a_key_that_cannot_be_a_header_is_told_without_showing_it(server: TaskServer, key: str) -> None:
    """Another client put it into a traceback."""
    done = call(
        "create_and_wait.py", "--base-url", server.base, *BOAT, "--model", "m/m", env={"SKILLS_VIDEO_API_KEY": key}
    )
    assert done.exit_code == 1
    assert "SECRETTAIL" not in done.stdout + done.stderr and "\u30ad" not in done.stdout + done.stderr
    assert server.requests == []


def test_a_broken_profile_is_told_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\nbase_url: [1]\n", encoding="utf-8")
    done = call("create_and_wait.py", "--provider", "./mine.yaml", "--prompt", "x", "--model", "m")
    assert done.exit_code == 1 and "mine.yaml" in done.error["message"]


def test_without_a_model_where_none_is_the_default_the_models_are_listed(server: TaskServer) -> None:
    done = call("create_and_wait.py", "--base-url", server.base, "--prompt", "x", env={"SKILLS_VIDEO_API_KEY": KEY})
    assert done.exit_code == 1 and "openai/sora-2" in json.dumps(done.error)
    nothing_paid(server)


def test_an_unreachable_host_costs_nothing_and_may_be_tried_again() -> None:
    with refused_port() as port:
        done = call(
            "create_and_wait.py", "--base-url", f"http://127.0.0.1:{port}", *BOAT, "--model", "openai/sora-2",
            env={"SKILLS_VIDEO_API_KEY": KEY},
        )  # fmt: skip
    assert done.exit_code == 24 and done.error["category"] == "transient"
    (folder,) = [path for path in ROOT.iterdir() if (path / "journal.jsonl").exists()]
    assert "not_sent" in [line["event"] for line in journal(folder)]


@pytest.mark.parametrize("host", ["http://api.example.com/v1", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/", "nonsense"])
def test_an_origin_that_a_key_must_not_go_to(host: str) -> None:
    done = call("create_and_wait.py", "--base-url", host, *BOAT, "--model", "m/m", env={"SKILLS_VIDEO_API_KEY": KEY})
    assert done.exit_code == 1 and "--base-url" in done.error["message"]


def test_a_workspace_that_cannot_be_written_to_is_refused_before_anything_is_sent(
    server: TaskServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = create(server, "--artifacts-dir", str(tmp_path / "file" / "below"))
    assert done.exit_code == 1 and "--artifacts-dir" in json.dumps(done.error)
    nothing_paid(server)


def test_a_prompt_from_standard_input_with_a_byte_order_mark(server: TaskServer) -> None:
    done = call(
        "create_and_wait.py", "--base-url", server.base, "--prompt-file", "-", "--model", "openai/sora-2", *FAST,
        env={"SKILLS_VIDEO_API_KEY": KEY}, stdin="\ufeff雨の中の紙の舟\n".encode(),
    )  # fmt: skip
    assert done.exit_code == 0
    assert server.posts[0].json()["prompt"] == "雨の中の紙の舟"


def test_a_payload_wins_over_the_options(server: TaskServer) -> None:
    create(server, "--payload", '{"prompt": "mine", "odd": {"x": [1.5]}}')
    body = server.posts[0].json()
    assert body["prompt"] == "mine" and body["odd"] == {"x": [1.5]}


def test_a_key_in_the_prompt_is_not_sent_to_a_model(server: TaskServer) -> None:
    done = call(
        "create_and_wait.py", "--base-url", server.base, "--prompt", f"draw {KEY}", "--model", "openai/sora-2",
        env={"SKILLS_VIDEO_API_KEY": KEY},
    )  # fmt: skip
    assert done.exit_code == 1 and KEY not in done.stdout + done.stderr
    nothing_paid(server)


# -- surroundings ------------------------------------------------------------------------------------------------


def test_attaching_from_another_folder_of_the_repository(
    server: TaskServer, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / ".git").mkdir()
    (workspace / "a" / "b").mkdir(parents=True)
    (workspace / "c").mkdir()
    monkeypatch.chdir(workspace / "a" / "b")
    first = create(server)
    assert Path(first.final["artifacts_dir"]).is_relative_to(workspace / ROOT)
    monkeypatch.chdir(workspace / "c")
    second = create(server)
    assert second.final["attached"] is True and server.paid == 1


def test_an_attached_run_is_shown_from_its_record_even_when_the_api_is_gone(server: TaskServer) -> None:
    create(server)
    before = len(server.requests)
    again = create(server)
    assert again.exit_code == 0 and again.final["source"] == "record"
    assert len(server.requests) == before


@pytest.mark.process
def test_an_environment_without_home(server: TaskServer, tmp_path: Path) -> None:
    env = {
        name: value for name, value in environment().items() if name not in ("HOME", "USERPROFILE", "XDG_CACHE_HOME")
    }
    done = start(
        "create_and_wait.py", "--base-url", server.base, *BOAT, "--model", "openai/sora-2", *FAST,
        clean_env={**env, "SKILLS_VIDEO_API_KEY": KEY}, cwd=tmp_path,
    )  # fmt: skip
    assert done.exit_code == 0


@pytest.mark.process
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_console_that_knows_no_chinese_ends_no_wait(server: TaskServer, tmp_path: Path, encoding: str) -> None:
    """Another client died of UnicodeEncodeError at the terminal event."""
    server.outcome = "failed"
    done = start(
        "create_and_wait.py", "--base-url", server.base, "--prompt", "紙の舟", "--model", "openai/sora-2", *FAST,
        env={"SKILLS_VIDEO_API_KEY": KEY, "PYTHONIOENCODING": encoding}, cwd=tmp_path,
    )  # fmt: skip
    assert done.exit_code == 10


@pytest.mark.process
@pytest.mark.skipif(os.name == "nt", reason="descriptors are closed by a POSIX shell")
@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-", "0<&-", "| head -c 1 > /dev/null"])
def test_closed_streams_end_no_wait(server: TaskServer, tmp_path: Path, closed: str) -> None:
    import shlex
    import subprocess
    import sys

    from support.commands import SCRIPTS

    argv = [sys.executable, str(SCRIPTS / "create_and_wait.py"), "--base-url", server.base, *BOAT, *FAST]
    line = shlex.join([*argv, "--model", "openai/sora-2"])
    env = environment(SKILLS_VIDEO_API_KEY=KEY)
    shell = ["sh", "-c", f"{line} {closed}"]
    done = subprocess.run(shell, env=env, cwd=tmp_path, capture_output=True, timeout=60)
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr, done.stderr.decode()
    (result,) = (tmp_path / ROOT).glob("*/outputs/result.json")
    assert json.loads(result.read_text(encoding="utf-8"))["status"] == "succeeded"
    assert list(result.parent.glob("video.mp4"))
    if "1>&-" in closed and "2>&-" not in closed:
        assert b'"event":"terminal"' in done.stderr, "the last line must not be lost with stdout"


def test_a_set_value_that_is_no_json_number_is_text() -> None:
    """NaN is no JSON: as a number it would break the body after everything else was checked."""
    with fast_sandbox():
        plan = call("create_and_wait.py", "--sandbox", *BOAT, "--set", "x=NaN", "--dry-run").final
    assert plan["request"]["body"]["x"] == "NaN"


def test_too_old_a_library_leaves_nothing_on_disk(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib3

    monkeypatch.setattr(urllib3, "__version__", "2.0.7")
    done = call(
        "create_and_wait.py",
        "--provider",
        "skills-video",
        "--base-url",
        "http://127.0.0.1:9",
        "--model",
        "openai/sora-2",
        "--prompt",
        "p",
        env={"SKILLS_VIDEO_API_KEY": "sk-CANARY-7f3a"},
    )
    assert done.exit_code == 1 and done.error["code"] == "library_too_old" and not list(workspace.iterdir())


def test_the_same_command_finds_its_own_copy_and_never_another_file(server: TaskServer, tmp_path: Path) -> None:
    target = tmp_path / "boat.mp4"
    command = ("--prompt", "a boat", "--model", "openai/sora-2", "--output", str(target), "--poll-interval", "0.05")
    ends = [
        call("create_and_wait.py", "--base-url", server.base, *command, env={"SKILLS_VIDEO_API_KEY": KEY})
        for _ in range(2)
    ]
    assert [done.exit_code for done in ends] == [0, 0], ends
    assert server.paid == 1
    target.write_bytes(b"mine")
    done = call("create_and_wait.py", "--base-url", server.base, *command, env={"SKILLS_VIDEO_API_KEY": KEY})
    assert done.exit_code == 1 and "exists already" in json.dumps(done.error)
    assert target.read_bytes() == b"mine" and server.paid == 1


@pytest.mark.parametrize("output", ["nul", "CON.mp4", "boat:1.mp4", "boat?.mp4"])
def test_a_name_that_windows_has_no_file_of_is_told_before_the_payment(
    output: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from videotasks.core import durable_files

    monkeypatch.setattr(durable_files, "WINDOWS", True)
    done = call("create_and_wait.py", "--sandbox", *BOAT, "--output", output)
    assert done.exit_code == 1 and output in done.error["message"] and "Windows" in done.error["expected"]
    assert not list(workspace.glob("task-status/.artifacts/2*"))
