"""task_status: one look, adopt, resolve, cancel, download, refresh. It never creates, and asks for one task or run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support import faults
from support.commands import Done, call, fast_sandbox, follow, journal, sandbox_state
from support.faults import answer, json_answer, routes
from support.faultserver import FaultServer, refused_port
from support.taskserver import KEY, WIRES, TaskServer
from videotasks.core import durable_files

ROOT = Path("task-status") / ".artifacts"
ENV = {"SKILLS_VIDEO_API_KEY": KEY, "ARK_API_KEY": KEY, "CREATOK_API_KEY": KEY, "OCTOPUSX_API_KEY": KEY}
SV = ("--provider", "skills-video")


def sandbox_task(*options: str, prompt: str = "a boat", wait: bool = False) -> Done:
    ending = ("--poll-interval", "0.02") if wait else ("--no-wait",)
    duration = () if "replicate" in options or "fal" in options else ("--duration", "4")
    return call("create_and_wait.py", "--sandbox", "--prompt", prompt, *duration, *options, *ending)


# -- one look ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "code", "status"),
    [("queued", 0, "queued"), ("running", 0, "running"), ("failed", 10, "failed"), ("cancelled", 10, "cancelled")],
)
@pytest.mark.parametrize("provider", sorted(WIRES))
def test_a_bare_id_is_looked_at_and_kept(provider: str, phase: str, code: int, status: str) -> None:
    wire = WIRES[provider]
    with FaultServer(json_answer(wire.task("task-1", phase, None))) as server:
        base = server.base_url + wire.prefix
        done = call("task_status.py", "task-1", "--provider", provider, "--base-url", base, env=ENV)
        assert (done.exit_code, done.final["status"], done.final["event"]) == (code, status, "status")
        assert done.final["task_id"] == "task-1" and done.final["summary"]
        folder = Path(done.final["artifacts_dir"])
        document = json.loads((folder / "outputs" / "result.json").read_text(encoding="utf-8"))
        assert {"task_id", "status", "video_url", "raw", "error"} <= set(document)
        assert document["raw"] == wire.task("task-1", phase, None)
        assert (folder / "outputs" / "result.md").read_text(encoding="utf-8").startswith("# ")
        if code == 0:
            assert done.final["look_again_in_s"] >= 1 and "wait_generation.py" in done.final["next"]
        else:
            assert done.final["error"] and done.final["next"] is None
        again = call("task_status.py", "--task-id", "task-1", "--provider", provider, "--base-url", base, env=ENV)
        assert again.final["run_id"] == done.final["run_id"], "one run per task"
    assert server.posts == []


def test_a_success_shows_the_link_the_reminder_and_the_way_to_the_file() -> None:
    with TaskServer(WIRES["ark"]) as server:
        base = ("--base-url", server.base)
        done = call("task_status.py", "task-7f31", "--provider", "ark", *base, env=ENV)
        assert done.exit_code == 0 and done.final["status"] == "succeeded"
        assert done.final["video_url"] == server.url
        assert "until" in done.final["reminder"] and done.final["expires_at"]
        assert "--download" in done.final["next_argv"]
        fetched = follow(done, env=ENV)
        assert fetched.exit_code == 0 and Path(fetched.final["video_file"]).is_file()
        before = len(server.requests)
        shown = call("task_status.py", "--latest", *base)
        assert shown.exit_code == 0 and shown.final["video_file"], "needs no key: all is on disk"
        assert len(server.requests) == before


def test_the_result_files_are_written_each_time() -> None:
    with fast_sandbox():
        done = sandbox_task(wait=True)
    result = Path(done.final["artifacts_dir"]) / "outputs" / "result.json"
    result.write_text("{broken", encoding="utf-8")
    assert call("task_status.py", "--latest", "--sandbox").exit_code == 0
    assert json.loads(result.read_text(encoding="utf-8"))["status"] == "succeeded"


def test_one_look_writes_each_result_file_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    real = durable_files.write_atomic
    monkeypatch.setattr(
        durable_files,
        "write_atomic",
        lambda path, *rest, **more: (written.append(path.name), real(path, *rest, **more))[1],
    )
    with FaultServer(json_answer(WIRES["skills-video"].task("task-1", "running", None))) as server:
        call("task_status.py", "task-1", *SV, "--base-url", server.base_url, env=ENV)
        assert {"result.json", "result.md", "response.json"} <= set(written)
        written.clear()
        call("task_status.py", "task-1", *SV, "--base-url", server.base_url, env=ENV)
    assert sorted(written) == ["response.json", "result.json", "result.md"]


@pytest.mark.parametrize("status", [302, 304, 412, 501])
def test_an_answer_that_a_wait_would_survive_passes(status: int) -> None:
    """A portal's redirect was exit 25, an unknown error, for a look and a passing fault for a wait."""
    with TaskServer(WIRES["ark"], polls=[answer(status)] * 9) as server:
        done = call("task_status.py", "t-1", "--provider", "ark", "--base-url", server.base, "--no-retry", env=ENV)
    assert (done.exit_code, done.error["category"]) == (24, "transient")


def test_a_result_in_somebody_s_bucket_is_told_as_it_is() -> None:
    """`call` holds the line to the schema, which knew only http links."""
    body = {"id": "t-1", "status": "succeeded", "content": {"video_url": "gs://acme-bucket/v.mp4"}}
    with TaskServer(WIRES["ark"], polls=[json_answer(body)]) as server:
        done = call("task_status.py", "t-1", "--provider", "ark", "--base-url", server.base, env=ENV)
    assert done.final["video_url"] == "gs://acme-bucket/v.mp4"


def test_a_folder_that_nobody_vouches_for_says_why() -> None:
    """`call` holds each line to the schema, which had no `reason`."""
    unknown = json_answer({"error": {"code": "ResourceNotFound", "message": "no task"}}, 404)
    words = ("--provider", "ark", "--prompt", "x", "--model", WIRES["ark"].model)
    with TaskServer(WIRES["ark"], polls=[unknown] * 9) as server:
        words = (*words, "--base-url", server.base)
        made = call("create_and_wait.py", *words, "--no-wait", env=ENV)
        place = Path(made.final["artifacts_dir"]) / "inputs" / "request.json"
        place.write_text(json.dumps({**json.loads(place.read_text("utf-8")), "mark": "0" * 64}), encoding="utf-8")
        again = call("create_and_wait.py", *words, env=ENV)
        assert again.exit_code == 13 and "does not know" in again.final["reason"] and server.paid == 1


def test_odd_members_of_a_request_do_not_reach_the_last_line() -> None:
    """`call` holds each line to its schema: a time that is none, a price that is a text."""
    with fast_sandbox():
        made = sandbox_task(wait=True)
        place = Path(made.final["artifacts_dir"]) / "inputs" / "request.json"
        request = json.loads(place.read_text("utf-8"))
        odd = {"created_at": "2026-11-26T17:00:00+99:99", "expected_cost": {"amount": "9", "unit": 5}}
        place.write_text(json.dumps({**request, **odd}), encoding="utf-8")
        with (place.parents[1] / "journal.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"event": "download_failed", "error": {"category": [], "message": 5}}) + "\n")
        assert call("task_status.py", "--latest", "--sandbox").exit_code == 0
        assert call("task_status.py", "--list", "--sandbox").exit_code == 0


def test_output_puts_a_copy_where_the_user_wants_it(tmp_path: Path) -> None:
    with fast_sandbox():
        sandbox_task(wait=True)
        done = call("task_status.py", "--latest", "--sandbox", "--output", "boat.mp4")
        (tmp_path / "boat.mp4").write_bytes(b"somebody else's")
        again = call("task_status.py", "--latest", "--sandbox", "--output", "boat.mp4")
        forced = call("task_status.py", "--latest", "--sandbox", "--output", "boat.mp4", "--force")
    assert done.exit_code == 0
    assert again.exit_code != 0 and "--force" in json.dumps(again.error)
    assert forced.exit_code == 0 and (tmp_path / "boat.mp4").stat().st_size > 1000


def test_a_kind_is_remembered_by_its_run() -> None:
    """An image task of this API is asked for at another task type: the default kind would not find it."""
    table = {
        "POST /api/open/skills/image-generation": json_answer({"code": 0, "msg": "ok", "data": {"task_id": "img_1"}}),
        "GET /api/open/skills/tasks/status": json_answer(
            {"code": 0, "msg": "ok", "data": {"task_id": "img_1", "status": "running"}}
        ),
    }
    with FaultServer(routes(table)) as server:
        base = ("--base-url", server.base_url)
        made = call(
            "create_and_wait.py", "--provider", "creatok", "--kind", "image", "--model", "nano-banana-2",
            "--prompt", "x", "--no-wait", *base,
            env=ENV,
        )  # fmt: skip
        assert made.exit_code == 0, made
        run = ("--run-id", made.final["run_id"])
        for again in (run, ("img_1",), ("--latest",)):
            assert call("task_status.py", *again, *base, env=ENV).exit_code == 0
        assert call("wait_generation.py", *run, *base, "--timeout", "0.1", env=ENV).exit_code == 11
        assert call("wait_generation.py", "--all-unfinished", *base, "--timeout", "0.1", env=ENV).exit_code == 11
        assert call("task_status.py", "--refresh", *base, env=ENV).final["refreshed"] == 1
        looks = [request.target for request in server.requests if "/status" in request.target]
    assert len(looks) >= 6 and all("task_type=image_generation" in target for target in looks)


def test_addresses_that_an_api_gave_outlive_the_sandbox_that_gave_them() -> None:
    """fal tells each task's own status address; the next command's sandbox has another port."""
    with fast_sandbox(0.2):
        made = sandbox_task("--provider", "fal", "--model", "fal-ai/veo3/fast")
        assert call("task_status.py", "--sandbox", "--latest").exit_code == 0
        waited = follow(made, "--interval", "0.02")
    assert waited.exit_code == 0
    assert "127.0.0.1" not in "".join(str(line.get("follow")) for line in journal(ROOT / made.final["run_id"]))


@pytest.mark.parametrize(
    ("action", "code", "category"),
    [
        (json_answer({"message": "no such task"}, 404), 23, "not_found"),
        (json_answer({"message": "bad key"}, 401), 21, "auth"),
        (json_answer({"message": "Insufficient credits"}, 402), 20, "insufficient_credits"),
        (json_answer({"message": "no"}, 403), 27, "permission"),
        (json_answer({"message": "slow down"}, 429), 24, "rate_limited"),
        (faults.html(502), 24, "transient"),
        (faults.html(200), 24, "transient"),
        (faults.reset_after_request(), 24, "transient"),
    ],
)
def test_a_look_that_fails_exits_with_its_category_and_only_an_unanswered_one_leaves_a_run(
    action: faults.Action, code: int, category: str
) -> None:
    with FaultServer(action) as server:
        done = call("task_status.py", "gen_1", *SV, "--base-url", server.base_url, "--no-retry", env=ENV)
    assert (done.exit_code, done.error["category"]) == (code, category)
    unanswered = category in ("transient", "rate_limited")
    assert len(list(ROOT.glob("*/journal.jsonl"))) == unanswered
    if unanswered:
        assert done.final["run_id"] in done.final["next_argv"] and server.base_url in done.final["next_argv"]
        assert done.error["look_again_in_s"] >= 1


def test_an_unreachable_host() -> None:
    with refused_port() as port:
        done = call("task_status.py", "gen_1", *SV, "--base-url", f"http://127.0.0.1:{port}", env=ENV)
    assert done.exit_code == 24 and done.error["code"] in ("refused", "connect")


# -- which task --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "task id"),
        (("gen_1",), "--provider"),
        (("gen_1", "--task-id", "gen_2"), "two task ids"),
        (("gen_1", "--latest"), "several"),
        (("--latest", "--run-id", "x"), "several"),
        (("--from", "none.json"), "none.json"),
        (("--run-id", "nope"), "nope"),
        (("--run-id", "/etc"), "run id"),
        (("..", *SV), "no task id"),
        (("x" * 5000, *SV), "no task id"),
        (("--latest",), "rehearsals"),
        (("--latest", "--cancel", "--wait"), "--wait, --cancel"),
        (("--list", "--latest"), "all runs"),
        (("--list", "--status", "done"), "unfinished"),
        (("--list", "--limit", "-3"), "--limit"),
        (("--list", "--since", "yesterday"), "--since"),
        (("--status", "failed"), "--list"),
        (("--remote",), "--list"),
        (("--list", "--remote"), "--provider"),
        (("--list", "--remote", "--provider", "creatok"), "lists no tasks"),
    ],
)
def test_bad_input_is_one_error_that_tells_the_way_on(arguments: tuple[str, ...], words: str) -> None:
    done = call("task_status.py", *arguments, env=ENV)
    assert done.exit_code == 1 and words in json.dumps(done.error), done.error
    assert done.error.get("expected") or done.error.get("hint")


def test_no_id_and_no_run_says_that_it_needs_one_and_never_creates() -> None:
    done = call("task_status.py")
    assert done.error["code"] == "missing_task_id" and "ask the user" in done.error["hint"]


@pytest.mark.parametrize(
    ("document", "task_id"),
    [
        ({"task_id": "task-7f31", "status": "x", "raw": {}}, "task-7f31"),
        ({"generation_id": "task-7f31", "provider": "skills-video"}, "task-7f31"),
        ({"id": 4711}, "4711"),
    ],
)
def test_another_tools_result_is_untrusted_data(tmp_path: Path, document: dict[str, Any], task_id: str) -> None:
    document["base_url"] = document["video_url"] = "http://attacker.invalid/"
    (tmp_path / "result.json").write_text(json.dumps(document), encoding="utf-8")
    with TaskServer(WIRES["skills-video"], task_id=task_id) as server:
        provider = () if "provider" in document else SV
        done = call("task_status.py", "--from", "result.json", *provider, "--base-url", server.base, env=ENV)
    assert done.exit_code == 0 and done.final["task_id"] == task_id
    assert "attacker" not in done.stdout


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"task_id": ".."}', '{"task_id": ["x"]}', "\x00", '{"a":' * 3000])
def test_another_tools_result_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text, encoding="utf-8")
    done = call("task_status.py", "--from", "result.json", *SV, env=ENV)
    assert done.exit_code == 1


def test_latest_stays_with_its_origin_and_names_the_others_unfinished() -> None:
    with TaskServer(WIRES["skills-video"], outcome="never") as one, TaskServer(WIRES["skills-video"]) as two:
        for server, prompt in ((one, "first"), (one, "second"), (two, "third")):
            server.task_id = f"task-{prompt}"
            call(
                "create_and_wait.py", "--base-url", server.base, "--prompt", prompt, "--model", "openai/sora-2",
                "--no-wait", env=ENV,
            )  # fmt: skip
        one.task_id = "task-second"
        done = call("task_status.py", "--latest", "--base-url", one.base, env=ENV)
        assert done.final["task_id"] == "task-second" and done.final["latest"]["other_unfinished"] == 1
        assert done.final["latest"]["prompt_start"] == "second"
        elsewhere = call("task_status.py", "--latest", env=ENV)
        assert elsewhere.exit_code == 1 and "--base-url" in json.dumps(elsewhere.error)
        # The environment names an origin as well as the flag does.
        two.task_id = "task-third"
        named = call("task_status.py", "--latest", env={**ENV, "SKILLS_VIDEO_BASE_URL": two.base})
        assert named.final["task_id"] == "task-third"


def test_a_run_folder_names_no_origin_provider_file_or_key() -> None:
    with FaultServer(json_answer({})) as evil:
        with TaskServer(WIRES["skills-video"], outcome="never") as server:
            made = call(
                "create_and_wait.py", "--base-url", server.base, "--prompt", "x", "--model", "openai/sora-2",
                "--no-wait", env=ENV,
            )  # fmt: skip
        request = Path(made.final["artifacts_dir"]) / "inputs" / "request.json"
        document = json.loads(request.read_text(encoding="utf-8"))
        document.update(origin=evil.base_url, base_url=evil.base_url, provider="/tmp/evil.yaml")
        request.write_text(json.dumps(document), encoding="utf-8")
        done = call("task_status.py", "--run-id", made.final["run_id"], env=ENV)
        assert done.exit_code == 1
        assert call("task_status.py", "--run-id", made.final["run_id"], *SV, env=ENV).exit_code == 1
        assert evil.requests == []


# -- cancel ------------------------------------------------------------------------------------------------------


def test_cancelling_a_succeeded_ark_task_leaves_the_record_alone() -> None:
    """On this API a DELETE of a finished task destroys its record."""
    with fast_sandbox(0.1):
        made = sandbox_task("--provider", "ark", wait=True)
        done = call("task_status.py", "--sandbox", "--run-id", made.final["run_id"], "--cancel")
        assert done.exit_code == 1 and done.final["cancelled"] is False
        assert "only queued ones can be cancelled" in done.error["message"]
        assert "DELETE" not in [entry["method"] for entry in sandbox_state(ROOT)["requests"]]
        assert call("task_status.py", "--sandbox", made.final["task_id"]).final["status"] == "succeeded"


def test_an_ark_task_that_nobody_knew_to_be_finished_is_looked_at_first() -> None:
    with fast_sandbox(0.05):
        made = sandbox_task("--provider", "ark")
        import time

        time.sleep(0.1)
        done = call("task_status.py", "--sandbox", "--run-id", made.final["run_id"], "--cancel")
    assert done.exit_code == 1 and done.final["status"] == "succeeded"
    assert "DELETE" not in [entry["method"] for entry in sandbox_state(ROOT)["requests"]]


def test_a_queued_ark_task_is_cancelled_once_and_may_then_be_created_again() -> None:
    with fast_sandbox(400):
        made = sandbox_task("--provider", "ark")
        done = call("task_status.py", "--sandbox", "--run-id", made.final["run_id"], "--cancel")
        assert done.exit_code == 0 and done.final["cancelled"] is True and done.final["event"] == "cancelled"
        assert "tokens" in done.final["refund"]
        methods = [entry["method"] for entry in sandbox_state(ROOT)["requests"]]
        assert methods == ["POST", "GET", "DELETE", "GET"], "status first, and afterwards"
        second = call("task_status.py", "--sandbox", "--run-id", made.final["run_id"], "--cancel")
        assert second.exit_code == 1 and second.final["status"] == "cancelled"
        assert sandbox_task("--provider", "ark").final["task_id"] != made.final["task_id"]


def test_a_running_ark_task_cannot_be_cancelled_and_a_running_replicate_one_can() -> None:
    with fast_sandbox(400):
        from videotasks_sandbox import tasks

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tasks, "QUEUED_S", 0.0)
            ark = sandbox_task("--provider", "ark")
            refused = call("task_status.py", "--sandbox", "--run-id", ark.final["run_id"], "--cancel")
            replicate = sandbox_task("--provider", "replicate", "--model", "google/veo-3")
            accepted = call("task_status.py", "--sandbox", "--run-id", replicate.final["run_id"], "--cancel")
    assert refused.exit_code == 1 and refused.final["status"] == "running"
    assert accepted.exit_code == 0 and accepted.final["cancelled"] is True


def test_fal_is_cancelled_at_the_address_that_its_create_gave() -> None:
    with fast_sandbox(400):
        made = sandbox_task("--provider", "fal", "--model", "fal-ai/veo3/fast")
        done = call("task_status.py", "--sandbox", "--run-id", made.final["run_id"], "--cancel")
    assert done.exit_code in (0, 22), done  # best effort, says the API
    assert [e["method"] for e in sandbox_state(ROOT)["requests"]].count("PUT") == 1


@pytest.mark.parametrize("provider", ["skills-video", "creatok", "octopusx", "openai-compatible"])
def test_a_provider_that_cannot_cancel_says_so_and_is_sent_nothing(provider: str) -> None:
    with fast_sandbox(400):
        made = sandbox_task("--provider", provider)
        before = len(sandbox_state(ROOT)["requests"])
        done = call("task_status.py", "--sandbox", "--run-id", made.final["run_id"], "--cancel")
    assert done.exit_code == 1 and done.error["code"] == "cannot_cancel"
    assert "may be charged" in done.error["hint"]
    assert len(sandbox_state(ROOT)["requests"]) == before


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (json_answer({"error": {"code": "InvalidParameter", "message": "running"}}, 400), 22),
        (json_answer({"error": {"code": "AccessDenied", "message": "no"}}, 403), 27),
        (faults.html(502), 24),
        (faults.reset_after_request(), 24),
        (faults.silence_after_headers(), 24),
    ],
)
def test_a_cancel_that_is_not_accepted_is_told_by_the_taxonomy(
    action: faults.Action, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from videotasks.providers import provider

    plain = provider.Provider.cancel
    monkeypatch.setattr(
        provider.Provider,
        "cancel",
        lambda self, ref, *, client, timeout=20.0: plain(self, ref, client=client, timeout=0.3),
    )
    wire = WIRES["ark"]
    with FaultServer(routes({"GET *": json_answer(wire.task("t", "queued", None)), "DELETE *": action})) as server:
        base = server.base_url + wire.prefix
        done = call("task_status.py", "t", "--provider", "ark", "--base-url", base, "--cancel", env=ENV)
    assert done.exit_code == code and "task_status.py" in done.final["next"]
    assert done.final["status"] == "queued"


# -- answers that were lost --------------------------------------------------------------------------------------


def test_a_refused_run_is_told_as_one_that_created_nothing() -> None:
    with fast_sandbox():
        refused = sandbox_task("--sandbox-scenario", "no-credits")
        assert refused.exit_code == 20
        done = call("task_status.py", "--sandbox", "--run-id", refused.final["run_id"])
        assert done.exit_code == 10 and "Nothing was created" in done.final["summary"]
        assert call("task_status.py", "--sandbox", "--latest").exit_code == 1, "a refusal is no latest run"


def test_adopting_what_does_not_exist_and_resolving_what_is_not_in_doubt() -> None:
    with fast_sandbox():
        lost = sandbox_task("--provider", "ark", "--sandbox-scenario", "lost-answer")
        assert lost.exit_code == 3
        run = ("--sandbox", "--run-id", lost.final["run_id"])
        wrong = call("task_status.py", *run, "--task-id", "cgt-none")
        assert wrong.exit_code == 23
        fine = sandbox_task("--provider", "ark", prompt="other")
        both = call("task_status.py", *run, "--task-id", fine.final["task_id"])
        assert both.exit_code == 1 and fine.final["run_id"] in both.error["message"]
        known = call("task_status.py", "--sandbox", "--run-id", fine.final["run_id"], "--resolve", "not-created")
        assert known.exit_code == 1
        closed = call("task_status.py", *run, "--resolve", "not-created")
        assert closed.exit_code == 0
        twice = call("task_status.py", *run, "--resolve", "not-created")
        assert twice.exit_code == 1
        assert sandbox_task("--provider", "ark").exit_code == 0, "now the same command may pay"
    assert "resolved" in [line["event"] for line in journal(ROOT / lost.final["run_id"])]


def test_a_provider_without_a_list_names_its_console() -> None:
    with fast_sandbox():
        lost = sandbox_task("--sandbox-scenario", "lost-answer")
        done = follow(lost)
    assert done.exit_code == 3 and done.error["look_at"].startswith("https://")


# -- many --------------------------------------------------------------------------------------------------------


def test_refresh_looks_once_at_every_unfinished_run() -> None:
    with fast_sandbox(0.05):
        ended = sandbox_task(prompt="one")
        with fast_sandbox(400):
            running = sandbox_task("--provider", "ark", prompt="two")
            sandbox_task("--provider", "replicate", "--model", "google/veo-3", prompt="three")
        before = len(sandbox_state(ROOT)["requests"])
        import time

        time.sleep(0.1)
        done = call("task_status.py", "--sandbox", "--refresh")
    assert done.exit_code == 0 and done.final["refreshed"] == 3 and done.final["unfinished"] == 2
    assert len(sandbox_state(ROOT)["requests"]) == before + 3, "one request each"
    status = {row["run_id"]: row["status"] for row in done.final["runs"]}
    assert status[ended.final["run_id"]] == "succeeded" and status[running.final["run_id"]] in ("queued", "running")


def test_list_and_refresh_go_together() -> None:
    with fast_sandbox(0.05):
        sandbox_task(prompt="one")
        import time

        time.sleep(0.1)
        done = call("task_status.py", "--sandbox", "--list", "--refresh")
    assert [row["status"] for row in done.final["runs"]] == ["succeeded"]


def test_a_refresh_that_meets_trouble_tells_it_and_goes_on() -> None:
    with TaskServer(WIRES["skills-video"], outcome="never") as server:
        for prompt in ("a", "b"):
            server.task_id = f"task-{prompt}"
            call(
                "create_and_wait.py", "--base-url", server.base, "--prompt", prompt, "--model", "openai/sora-2",
                "--no-wait", env=ENV,
            )  # fmt: skip
        server.polls = [json_answer({"message": "bad key"}, 401)]
        done = call("task_status.py", "--refresh", "--base-url", server.base, env=ENV)
        assert done.exit_code == 0 and [entry.get("category") for entry in done.final["trouble"]] == ["auth"]
        without = call("task_status.py", "--refresh", env=ENV)
        assert len(without.final["trouble"]) == 2, "another origin is not asked"


@pytest.mark.parametrize("provider", ["ark", "modelark", "openai-compatible", "replicate"])
def test_the_providers_own_list(provider: str) -> None:
    model = {"modelark": ("--model", "ep-1"), "replicate": ("--model", "google/veo-3")}.get(provider, ())
    with fast_sandbox(400):
        made = sandbox_task("--provider", provider, *model)
        done = call("task_status.py", "--sandbox", "--provider", provider, "--list", "--remote")
    assert done.exit_code == 0 and done.final["remote"] is True
    assert [(row["task_id"], row["run_id"]) for row in done.final["tasks"]] == [
        (made.final["task_id"], made.final["run_id"])
    ]
