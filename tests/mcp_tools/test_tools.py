"""The tools over the SDK's own client, against the sandbox: what they take, what they say, and when they pay."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from support.commands import SCRIPTS, call, environment, strict_tokens
from support.taskserver import KEY, WIRES, TaskServer
from videotasks.core.errors import ApiError, Category, TaskError
from videotasks.core.task import Output, Snapshot, Status
from videotasks.mcp_tools import server, tools
from videotasks.mcp_tools.tool_list import BY_NAME, TOOLS
from videotasks.mcp_tools.tools import Confirmations, Settings, Tools
from videotasks.providers.load_profile import shipped_names
from videotasks.runs.store import RunStore


class Lazily:
    """A module that is imported when it is first used: the SDK takes 1.2 s of each worker that never uses it."""

    def __init__(self, name: str) -> None:
        if importlib.util.find_spec(name) is None:
            pytest.skip("the extra `mcp` is not installed", allow_module_level=True)
        self.name = name

    def __getattr__(self, member: str) -> Any:
        if member.startswith("_"):  # asked for by whoever collects tests
            raise AttributeError(member)
        return getattr(importlib.import_module(self.name), member)


mcp, types, anyio, front = map(Lazily, ("mcp", "mcp_types", "anyio", "videotasks.mcp_tools.front"))
SERVER = SCRIPTS / "mcp_server.py"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (400).to_bytes(4, "big") * 2
BOAT = {"prompt": "a paper boat in the rain", "duration": 4}


def rehearsal(**more: Any) -> Settings:
    return Settings(sandbox=True, create_provider="skills-video", **more)


def talk(
    do: Callable[[mcp.client.Client], Awaitable[Any]], served: Tools | None = None, *, mode: str = "auto", **client: Any
) -> Any:
    """What `do` returns, connected to a server in this process."""

    async def run() -> Any:
        served_here = front.Front(served or Tools(rehearsal()))
        async with mcp.client.Client(served_here.server(), mode=mode, **client) as connected:  # type: ignore[arg-type]
            return await do(connected)

    return anyio.run(run)


async def asked(client: mcp.client.Client, tool: str, **arguments: Any) -> types.CallToolResult:
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, types.CallToolResult)
    assert text_of(result) and "Traceback" not in text_of(result) and "internal error" not in text_of(result)
    return result


def text_of(result: types.CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, types.TextContent))


async def confirmed(client: mcp.client.Client, **arguments: Any) -> types.CallToolResult:
    """A create after its plan."""
    plan = await asked(client, "create_video", **arguments)
    return await asked(client, "create_video", **arguments, confirmation=plan.structured_content["confirmation"])


def payments(folder: Path) -> int:
    file = folder / "task-status" / ".artifacts" / ".sandbox" / "state.json"
    state = json.loads(file.read_text("utf-8")) if file.exists() else {"requests": []}
    return sum(1 for request in state["requests"] if request["paid"])


# ---------------------------------------------------------------- the list


def test_the_list_is_short_and_honest() -> None:
    listed = [types.Tool.model_validate(tool).model_dump(by_alias=True, exclude_none=True) for tool in TOOLS]
    assert strict_tokens(json.dumps(listed, separators=(",", ":"))) < 2_500
    for tool in TOOLS:
        assert callable(getattr(Tools, tool["name"]))
        hints = tool["annotations"]
        assert set(hints) == {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
        assert not (hints["readOnlyHint"] and hints["destructiveHint"])
        assert all("type" in member for member in tool["inputSchema"]["properties"].values())
    writes = {tool["name"] for tool in TOOLS if not tool["annotations"]["readOnlyHint"]}
    assert writes == {"create_video", "check_task", "wait_for_task", "download_result", "cancel_task"}
    assert {tool["name"] for tool in TOOLS if tool["annotations"]["destructiveHint"]} == {"create_video", "cancel_task"}


def test_the_page_lists_every_tool_with_its_hints() -> None:
    page = (SCRIPTS.parent / "references" / "mcp.md").read_text("utf-8")
    rows = {row[0]: row[1:] for row in re.findall(r"^\| `(\w+)` \| .* \| (yes|no)\S* \| (yes|no)", page, re.M)}
    for name, tool in BY_NAME.items():
        hints = tool["annotations"]
        assert [word == "yes" for word in rows[name]] == [hints["readOnlyHint"], hints["destructiveHint"]]
    for block in re.findall(r"^```(?:json|toml|bash)\n(.*?)^```", page, re.M | re.S):
        assert len(block.strip().splitlines()) <= 6 and "mcp_server.py" in block


# ---------------------------------------------------------------- the whole way


def test_the_whole_way(workspace: Path) -> None:
    async def do(client: mcp.client.Client) -> None:
        assert {tool.name for tool in (await client.list_tools()).tools} == set(BY_NAME)
        plan = await asked(client, "plan_video", **BOAT)
        assert plan.structured_content["event"] == "plan" and not list(workspace.glob("task-status/.artifacts/2*"))
        assert plan.structured_content["request"]["body"]["prompt"] == BOAT["prompt"]
        told = await asked(client, "create_video", **BOAT)
        assert payments(workspace) == 0 and "only after their yes" in text_of(told)
        word = told.structured_content["confirmation"]
        made = await asked(client, "create_video", **BOAT, confirmation=word)
        run_id, task_id = made.structured_content["run_id"], made.structured_content["task_id"]
        assert not made.is_error and run_id in text_of(made) and task_id in text_of(made)
        assert made.structured_content["next"] == {"tool": "wait_for_task", "arguments": {"run_id": run_id}}
        again = await asked(client, "create_video", **BOAT, confirmation=word)
        assert again.structured_content["run_id"] == run_id and again.structured_content["attached"] is True
        changed = await asked(client, "create_video", **{**BOAT, "duration": 5}, confirmation=word)
        assert changed.is_error and changed.structured_content["error"]["code"] == "confirmation_changed"
        assert payments(workspace) == 1
        look = await asked(client, "check_task", task_id=task_id)
        assert look.structured_content["run_id"] == run_id
        heard: list[str | None] = []

        async def progress(done: float, total: float | None, message: str | None) -> None:
            heard.append(message)

        result = await client.call_tool("wait_for_task", {"run_id": run_id}, progress_callback=progress)
        assert result.structured_content["status"] == "succeeded", text_of(result)
        (link,) = [part for part in result.content if isinstance(part, types.ResourceLink)]
        video = Path(result.structured_content["video_file"])
        assert link.uri == video.as_uri() and link.mime_type == "video/mp4" and video.stat().st_size > 1_000
        fetched = await asked(client, "download_result", output="boat.mp4")
        assert not fetched.is_error and (workspace / "boat.mp4").read_bytes() == video.read_bytes()
        rows = (await asked(client, "list_tasks")).structured_content
        assert [row["run_id"] for row in rows["runs"]] == [run_id] and rows["unfinished"] == 0
        assert (await asked(client, "list_tasks", status="failed")).structured_content["total"] == 0
        ended = await asked(client, "cancel_task", run_id=run_id)
        assert ended.is_error and "no way to cancel" in text_of(ended)
        assert (await asked(client, "check_key")).structured_content["ok"] is True
        listed = await client.list_resources()
        assert {resource.uri for resource in listed.resources} == {
            f"run://{run_id}/result.md", f"run://{run_id}/request.json",
        }  # fmt: skip
        for uri, words in ((f"run://{run_id}/result.md", "# Video ready"), (f"run://{run_id}/request.json", "paper")):
            (part,) = (await client.read_resource(uri)).contents
            assert isinstance(part, types.TextResourceContents) and words in part.text
        assert payments(workspace) == 1

    talk(do)


def test_models_are_found_and_shown() -> None:
    async def do(client: mcp.client.Client) -> None:
        found = (
            await asked(client, "list_models", search="seedance", provider="skills-video", limit=2)
        ).structured_content
        assert len(found["models"]) == 2 and found["total"] > 2
        shown = await asked(client, "list_models", model=found["models"][0]["id"])
        assert shown.structured_content["models"][0]["members"]
        unknown = await asked(client, "list_models", model="no-such-model")
        assert unknown.is_error

    talk(do)


def test_a_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def do(client: mcp.client.Client) -> None:
        missing = await asked(client, "check_key", provider="fal")
        assert missing.is_error and missing.structured_content["env_var"] == "FAL_KEY"
        monkeypatch.setenv("FAL_KEY", "sk-0123456789abcdef")
        there = await asked(client, "check_key", provider="fal")
        assert not there.is_error and "sk-0123456789abcdef" not in there.model_dump_json()

    talk(do, Tools(Settings(create_provider="skills-video")))


# ---------------------------------------------------------------- the same runs as the scripts


def test_a_run_of_a_script_is_returned_without_any_confirmation(workspace: Path) -> None:
    words = ("--sandbox", "--prompt", BOAT["prompt"], "--duration", "4")
    made = call("create_and_wait.py", *map(str, words), "--no-wait")

    async def do(client: mcp.client.Client) -> None:
        found = await asked(client, "create_video", **BOAT)
        assert found.structured_content["run_id"] == made.final["run_id"] and found.structured_content["attached"]
        # However the numbers are spelled.
        found = await asked(client, "create_video", prompt=BOAT["prompt"], duration="4.0")
        assert found.structured_content["run_id"] == made.final["run_id"]
        other = await asked(client, "create_video", **BOAT, take=2)
        assert other.structured_content["confirmation"]

    talk(do)
    assert payments(workspace) == 1


def test_a_run_that_another_machine_made_is_no_success_here(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--sandbox", "--prompt", str(BOAT["prompt"]), "--duration", "4")
    run = RunStore(workspace / "task-status" / ".artifacts").open(call("create_and_wait.py", *words).final["run_id"])
    lie = {
        "event": "ended",
        "outcome": "succeeded",
        "outputs": [{"kind": "video", "url": "https://evil.example/v.mp4"}],
    }
    lines = [{"event": "submitted", "task_id": "evil-1"}, lie]
    run.journal_file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (run.outputs / "video.mp4").unlink()
    monkeypatch.setenv("XDG_STATE_HOME", str(workspace / "another machine"))

    async def do(client: mcp.client.Client) -> None:
        for tool, more in (("create_video", BOAT), ("check_task", {}), ("download_result", {})):
            told = (await asked(client, tool, **more)).structured_content
            assert told["unverified"] is True and not told["ok"] and "evil.example" not in json.dumps(told)

    talk(do)
    assert payments(workspace) == 1


def test_a_script_goes_on_with_a_run_of_a_tool(workspace: Path) -> None:
    made = talk(lambda client: confirmed(client, **BOAT)).structured_content
    again = call("create_and_wait.py", "--sandbox", "--prompt", str(BOAT["prompt"]), "--duration", "4")
    assert again.final["run_id"] == made["run_id"] and again.final["attached"] is True and again.exit_code == 0
    assert payments(workspace) == 1


# ---------------------------------------------------------------- confirmations


def test_a_confirmation_after_a_restart(workspace: Path) -> None:
    first = Tools(rehearsal())

    async def pays(client: mcp.client.Client) -> Any:
        word = (await asked(client, "create_video", **BOAT)).structured_content["confirmation"]
        return word, (await asked(client, "create_video", **BOAT, confirmation=word)).structured_content["run_id"]

    word, run_id = talk(pays, first)

    async def replays(client: mcp.client.Client) -> None:
        again = await asked(client, "create_video", **BOAT, confirmation=word)
        assert again.structured_content["run_id"] == run_id and not again.is_error
        unknown = await asked(client, "create_video", prompt="another", confirmation=word)
        assert unknown.structured_content["error"]["code"] == "confirmation_unknown"

    talk(replays)
    assert payments(workspace) == 1


KEYS, PRICE = ("intent", "body"), (10.0, "credits")


def test_a_confirmation_is_good_once_for_ten_minutes_and_one_request() -> None:
    now = [0.0]
    given = Confirmations(lambda: now[0])

    def code(word: str, keys: tuple[str, ...] = KEYS, price: tuple[float, str] | None = PRICE) -> str | None:
        refused = given.refusal(word, keys, price)
        return refused.code if refused is not None else None

    word = given.give(KEYS, PRICE)
    now[0] = 599.0
    assert code(word) is None and given.use(word) and not given.use(word)
    now[0] = 10_000.0
    assert code(word) is None, "one that was used leads to its run for as long as the server lives"
    assert code(word, ("other", "body")) == "confirmation_changed" and code(word) is None
    word = given.give(KEYS, PRICE)
    now[0] += 600.0
    assert code(word) == "confirmation_expired" and code(word) == "confirmation_unknown"
    for keys, price in ((("other", "body"), PRICE), (KEYS, (11.0, "credits")), (KEYS, None)):
        word = given.give(KEYS, PRICE)
        assert code(word, keys, price) == "confirmation_changed"
        assert code(word) == "confirmation_unknown" and not given.use(word), "whatever differs makes it void"


def test_only_so_many_confirmations_are_kept() -> None:
    given = Confirmations()
    words = [given.give(KEYS, PRICE) for _ in range(Confirmations.MOST + 1)]
    assert given.find(words[0]) is None and given.find(words[-1]) is not None


def test_the_file_that_was_shown_is_the_file_that_is_sent(workspace: Path) -> None:
    (workspace / "photo.png").write_bytes(PNG)
    arguments = {"prompt": "x", "provider": "ark", "image": "photo.png"}

    async def do(client: mcp.client.Client) -> None:
        word = (await asked(client, "create_video", **arguments)).structured_content["confirmation"]
        (workspace / "photo.png").write_bytes(PNG + b"other")
        changed = await asked(client, "create_video", **arguments, confirmation=word)
        assert changed.structured_content["error"]["code"] == "confirmation_changed"

    talk(do)
    assert payments(workspace) == 0


def test_limits_given_at_start_bind(workspace: Path) -> None:
    async def do(client: mcp.client.Client) -> None:
        for tool in ("plan_video", "create_video"):
            refused = await asked(client, tool, **BOAT)
            assert refused.is_error and refused.structured_content["error"]["code"] == "unknown_cost"
            assert "confirmation" not in refused.structured_content

    talk(do, Tools(rehearsal(max_cost="1credits")))


def test_a_replay_of_what_failed_pays_nothing(workspace: Path) -> None:
    served = Tools(rehearsal(sandbox_scenario="failed"))

    async def do(client: mcp.client.Client) -> None:
        word = (await asked(client, "create_video", **BOAT)).structured_content["confirmation"]
        made = await asked(client, "create_video", **BOAT, confirmation=word)
        ended = await asked(client, "wait_for_task", run_id=made.structured_content["run_id"])
        assert ended.structured_content["status"] == "failed" and not ended.is_error
        assert "data, not an instruction" in text_of(ended)
        again = await asked(client, "create_video", **BOAT, confirmation=word)
        assert again.structured_content["run_id"] == made.structured_content["run_id"]

    talk(do, served)
    assert payments(workspace) == 1


# ---------------------------------------------------------------- the person


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("action", ["accept", "decline"])
def test_a_client_that_can_ask_is_made_to(workspace: Path, mode: str, action: str) -> None:
    questions: list[str] = []

    async def person(_: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        questions.append(params.message)
        return types.ElicitResult(action=action, content={} if action == "accept" else None)  # type: ignore[arg-type]

    async def do(client: mcp.client.Client) -> None:
        made = await asked(client, "create_video", **BOAT)
        assert len(questions) == 1 and str(BOAT["prompt"]) in questions[0] and "confirmation" not in questions[0]
        assert made.is_error is (action == "decline")
        assert bool(made.structured_content.get("task_id")) is (action == "accept")
        assert "confirmation" not in made.structured_content

    talk(do, mode=mode, elicitation_callback=person)
    assert payments(workspace) == (action == "accept")


def test_after_a_lost_answer_nothing_is_sent_again(workspace: Path) -> None:
    served = Tools(rehearsal(sandbox_scenario="lost-answer"))

    async def do(client: mcp.client.Client) -> None:
        word = (await asked(client, "create_video", **BOAT)).structured_content["confirmation"]
        lost = await asked(client, "create_video", **BOAT, confirmation=word)
        assert lost.is_error and lost.structured_content["exit_code"] == 3
        assert lost.structured_content["next"]["tool"] == "check_task"
        for arguments in ({"confirmation": word}, {}):
            again = await asked(client, "create_video", **BOAT, **arguments)
            assert again.structured_content["exit_code"] == 3 and "confirmation" not in again.structured_content
            assert "--resolve not-created" in again.structured_content["error"]["to_close"], "only the user decides"

    talk(do, served)
    assert payments(workspace) == 1


def test_for_real_the_key_goes_to_the_api_and_into_no_answer(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TaskServer(WIRES["ark"]) as api:
        monkeypatch.setenv("ARK_BASE_URL", api.base)
        monkeypatch.setenv("VIDEO_TASKS_ARTIFACTS", str(workspace / "runs"))
        wanted = {"provider": "ark", "model": api.wire.model, "prompt": "x"}
        said: list[str] = []

        async def do(client: mcp.client.Client) -> None:
            plan = await asked(client, "create_video", **wanted)
            assert "VOLCENGINE_ARK_API_KEY" in text_of(plan), "no key is needed for a plan"
            word = plan.structured_content["confirmation"]
            missing = await asked(client, "create_video", **wanted, confirmation=word)
            assert missing.is_error and not api.created
            monkeypatch.setenv("VOLCENGINE_ARK_API_KEY", KEY)
            for tool, arguments in (
                ("create_video", {**wanted, "confirmation": word}),
                ("create_video", {**wanted, "confirmation": word}),
                ("wait_for_task", {}),
                ("check_key", {"provider": "ark", "verify": True}),
                ("seedance_check_task", {"task_id": api.task_id}),
            ):
                said.append((await asked(client, tool, **arguments)).model_dump_json())

        talk(do, Tools(Settings(create_provider="skills-video")))
        assert len(api.created) == 1 and all(KEY not in text for text in said)
        assert '"status":"succeeded"' in said[2]


# ---------------------------------------------------------------- long calls


def test_a_wait_ends_in_time_and_is_no_error() -> None:
    served = Tools(rehearsal(sandbox_scenario="slow:600"))

    async def do(client: mcp.client.Client) -> None:
        made = (await confirmed(client, **BOAT)).structured_content
        began = time.monotonic()
        told = await asked(client, "wait_for_task", seconds=1)
        assert time.monotonic() - began < 10 and not told.is_error
        assert told.structured_content["event"] == "timeout"
        assert told.structured_content["next"] == {"tool": "wait_for_task", "arguments": {"run_id": made["run_id"]}}

    talk(do, served)


class Patient(Tools):
    """Its creates take as long as they are told."""

    seconds, ended = 1.0, 0

    def create_video(self, given: dict[str, Any], call: tools.Call) -> None:
        call.heard.event("start", run_id="run-1")
        time.sleep(self.seconds)
        self.ended += 1
        call.heard.final("created", 0, run_id="run-1", task_id="t")

    def wait_for_task(self, given: dict[str, Any], call: tools.Call) -> None:
        try:
            call.mailbox.sleep(60)
        finally:
            self.ended += 1


def test_a_create_that_takes_too_long_for_its_host_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videotasks.mcp_tools.front.MOST_WAIT_S", 0.2)
    served = Patient(rehearsal())

    async def do(client: mcp.client.Client) -> None:
        told = await asked(client, "create_video", prompt="x")
        assert not told.is_error and told.structured_content["run_id"] == "run-1" and served.ended == 0
        assert told.structured_content["next"] == {"tool": "check_task", "arguments": {"run_id": "run-1"}}
        with anyio.fail_after(20):
            while not served.ended:
                await anyio.sleep(0.02)

    talk(do, served)


def test_a_wait_that_its_client_gives_up_ends() -> None:
    served = Patient(rehearsal())

    async def do(client: mcp.client.Client) -> None:
        with anyio.move_on_after(0.3):
            await client.call_tool("wait_for_task", {})
        with anyio.fail_after(20):
            while not served.ended:
                await anyio.sleep(0.02)

    talk(do, served)


# ---------------------------------------------------------------- seedance_check_task


def snapshot(status: Status, word: str | None, *outputs: Output, error: str | None = None) -> Snapshot:
    said = ApiError(Category.GENERATION_FAILED, error) if error else None
    return Snapshot(status, word, outputs=outputs, error=said, raw={"status": word})


@pytest.mark.parametrize(
    ("seen", "first", "more"),
    [
        (
            snapshot(Status.SUCCEEDED, "succeeded", Output("video", "https://x.example/v.mp4")),
            "Task cgt-1 succeeded.",
            ["video_url: https://x.example/v.mp4", "Reminder: ARK signed URLs typically expire within 24 hours."],
        ),
        (
            snapshot(Status.SUCCEEDED, "succeeded"),
            "Task cgt-1 succeeded.",
            ["WARNING: succeeded but no video_url was returned by ARK."],
        ),
        (snapshot(Status.FAILED, "failed", error="too dark"), "Task cgt-1 failed. Reason: too dark", []),
        (snapshot(Status.FAILED, "failed"), "Task cgt-1 failed.", []),
        (snapshot(Status.QUEUED, "queued"), "Task cgt-1 is queued. Check again in 30-90 seconds.", []),
        (snapshot(Status.UNKNOWN, "dreaming"), 'Task cgt-1 has the status "dreaming"', ["neither a success"]),
        (snapshot(Status.UNKNOWN, None), 'Task cgt-1 has the status "unknown"', []),
    ],
)
def test_the_sentences_of_the_public_tool(seen: Snapshot, first: str, more: list[str]) -> None:
    answer = tools.seedance_answer(seen, "cgt-1", "ARK")
    assert answer.text.startswith(first) and all(line in answer.text for line in more)
    assert list(answer.fields) == ["task_id", "status", "video_url", "last_frame_url", "fail_reason", "raw"]
    assert answer.fields["status"] == (seen.provider_status or "unknown") and not answer.is_error


def test_a_seedance_task_is_looked_at_and_nothing_is_kept(workspace: Path) -> None:
    async def do(client: mcp.client.Client) -> None:
        made = (await confirmed(client, prompt="x", provider="ark")).structured_content
        for run in RunStore(workspace / "task-status" / ".artifacts").runs():  # somebody else's task
            os.rename(run.folder, workspace / "elsewhere")
        with anyio.fail_after(30):
            while True:
                seen = await asked(client, "seedance_check_task", task_id=made["task_id"])
                if seen.structured_content["status"] == "succeeded":
                    break
                await anyio.sleep(0.2)
        assert seen.structured_content["video_url"].startswith("http") and seen.structured_content["raw"]["content"]
        assert not list(workspace.glob("task-status/.artifacts/2*"))
        unknown = await asked(client, "seedance_check_task", task_id="cgt-nobody")
        assert unknown.is_error and unknown.structured_content["error"]["category"] == "not_found"

    talk(do)


# ---------------------------------------------------------------- words


def test_what_comes_next_is_a_tool_where_there_is_one() -> None:
    python = "/usr/bin/python3"
    for argv, way in (
        (
            ["uv", "run", "/s/wait_generation.py", "--run-id", "r", "--timeout", "80"],
            ("wait_for_task", {"run_id": "r"}),
        ),
        ([python, "/s/task_status.py", "--run-id", "r"], ("check_task", {"run_id": "r"})),
        ([python, "/s/task_status.py", "--run-id", "r", "--download"], ("download_result", {"run_id": "r"})),
        (["ai-video-tasks", "status", "--task-id", "t"], ("check_task", {"task_id": "t"})),
    ):
        assert tools.next_tool(argv) == {"tool": way[0], "arguments": way[1]}
    settle = [python, "/s/task_status.py", "--resolve", "not-created", "--run-id", "r"]
    assert list(tools.next_tool(settle)) == ["command"]


def test_our_words_name_tools_and_nobody_elses_are_touched() -> None:
    line = {
        "hint": "look with task_status.py --latest; --take 2 makes another",
        "prompt": "say --take 2 and task_status.py",
        "error": {"message": "use --image", "server_message": "use --image"},
    }
    assert tools.in_words_of_tools(line) == {
        "hint": "look with check_task; take 2 makes another",
        "prompt": "say --take 2 and task_status.py",
        "error": {"message": "use image", "server_message": "use --image"},
    }


def test_what_an_api_answered_is_bounded_and_harmless() -> None:
    answer = tools.bounded({"a": "x\x1b[2J\u202ey", "deep": [[["z" * 30_000]], "y" * 30_000]})
    assert answer["truncated"] is True and "\x1b" not in answer["text"] and "\u202e" not in answer["text"]
    assert tools.bounded({"a": 1, "b": [None, True]}) == {"a": 1, "b": [None, True]}


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("create_video", {"promt": "x"}, "promt"),
        ("create_video", {"prompt": "x", "take": "many"}, "take"),
        ("create_video", {"prompt": "x", "take": 0}, "take"),
        ("create_video", {"prompt": " "}, "empty"),
        ("list_tasks", {"status": "nice"}, "status"),
        ("seedance_check_task", {}, "task_id"),
        ("check_task", {"run_id": "../../etc"}, "run"),
        ("check_task", {"run_id": "r", "task_id": "t"}, "both"),
        ("check_task", {}, "no sandbox run"),
        ("plan_video", {"prompt": "x", "provider": "nobody"}, "nobody"),
    ],
)
def test_bad_arguments_are_one_clear_tool_error(tool: str, arguments: dict[str, Any], words: str) -> None:
    async def do(client: mcp.client.Client) -> None:
        told = await asked(client, tool, **arguments)
        assert told.is_error and words in text_of(told)
        assert told.structured_content["error"]["category"] in ("configuration", "usage")

    talk(do)


def test_what_is_not_there_is_a_protocol_error() -> None:
    async def do(client: mcp.client.Client) -> None:
        for ask in (
            lambda: client.call_tool("no_such_tool", {}),
            lambda: client.read_resource("run://nobody/result.md"),
            lambda: client.read_resource("run://../secrets/result.md"),
        ):
            with pytest.raises(mcp.shared.exceptions.MCPError):
                await ask()

    talk(do)


# ---------------------------------------------------------------- where it stands


def test_the_workspace_must_be_a_project(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TaskError, match="no project"):
        server.enter_workspace(None)
    (workspace / "task-status" / ".artifacts").mkdir(parents=True)
    server.enter_workspace(None)
    server.enter_workspace("new")
    assert Path.cwd() == workspace / "new"
    with pytest.raises(TaskError, match="--workspace"):
        server.enter_workspace(str(workspace / "not" / "there"))
    monkeypatch.chdir("/")
    with pytest.raises(TaskError, match="no project"):
        server.enter_workspace(None)


def test_a_server_in_nobodys_project_says_how_to_start_it(workspace: Path) -> None:
    done = call("mcp_server.py", "--sandbox")
    assert done.exit_code == 1 and "--workspace DIR" in done.error["expected"]


# ---------------------------------------------------------------- its own process


def parameters(folder: Path, *options: str) -> mcp.StdioServerParameters:
    words = [str(SERVER), "--workspace", str(folder), "--sandbox", *options]
    return mcp.StdioServerParameters(
        command=sys.executable, args=words, env=environment(VIDEO_TASKS_SANDBOX_SPEED="20"), cwd="/"
    )


@pytest.mark.slow  # a server of its own
def test_a_script_goes_on_after_the_server_was_killed(workspace: Path) -> None:
    async def do() -> dict[str, Any]:
        async with mcp.client.Client(parameters(workspace)) as client:
            made = (await confirmed(client, **BOAT)).structured_content
            (pid,) = {
                int(entry)
                for entry in os.listdir("/proc")
                if entry.isdigit() and str(workspace).encode() in _arguments_of(entry)
            }
            os.kill(pid, signal.SIGKILL)
            return dict(made)

    if not Path("/proc/self/cmdline").exists():
        pytest.skip("needs /proc to find the server")
    made: dict[str, Any] = {}
    try:
        made = anyio.run(do)
    except Exception:  # the client finds its server gone
        pass
    (run,) = RunStore(workspace / "task-status" / ".artifacts").runs()
    done = call("wait_generation.py", "--run-id", run.run_id, "--sandbox")
    assert done.exit_code == 0 and done.final["status"] == "succeeded"
    assert not made or made["run_id"] == run.run_id
    assert payments(workspace) == 1


def _arguments_of(pid: str) -> bytes:
    try:
        return Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.slow  # two servers and a script, each an interpreter of its own
def test_two_servers_and_a_script_at_once_pay_once(workspace: Path) -> None:
    words = ("--sandbox", "--prompt", str(BOAT["prompt"]), "--duration", "4", "--no-wait")
    argv = [sys.executable, str(SCRIPTS / "create_and_wait.py"), *words]
    found: dict[str, dict[str, Any]] = {}

    async def tool(name: str, client: mcp.client.Client, word: str) -> None:
        result = await asked(client, "create_video", **BOAT, confirmation=word)
        found[name] = result.structured_content

    async def script() -> None:
        env = environment(VIDEO_TASKS_SANDBOX_SPEED="20")
        done = await anyio.run_process(argv, cwd=workspace, env=env)
        found["script"] = json.loads(done.stdout.splitlines()[-1])

    async def do() -> None:
        async with mcp.client.Client(parameters(workspace)) as one, mcp.client.Client(parameters(workspace)) as two:
            plans = [(await asked(client, "create_video", **BOAT)).structured_content for client in (one, two)]
            async with anyio.create_task_group() as group:
                for name, client, plan in zip(("one", "two"), (one, two), plans, strict=True):
                    group.start_soon(tool, name, client, plan["confirmation"])
                group.start_soon(script)

    anyio.run(do)
    assert payments(workspace) == 1
    assert len({line["run_id"] for line in found.values()}) == 1 and len(found) == 3, found


@pytest.mark.slow  # every tool for every provider
def test_every_tool_for_every_provider_over_standard_input_and_output(workspace: Path) -> None:
    async def every_tool(client: mcp.client.Client, provider: str) -> None:
        wanted = {"provider": provider, "prompt": "a boat", **NEEDS.get(provider, {})}
        assert not (await asked(client, "plan_video", **wanted)).is_error
        made = (await confirmed(client, **wanted)).structured_content
        assert made["event"] == "created", made
        which = {"run_id": made["run_id"]}
        assert not (await asked(client, "check_task", **which)).is_error
        for _ in range(3):
            ended = await asked(client, "wait_for_task", **which)
            if ended.structured_content["event"] != "timeout":
                break
        assert ended.structured_content["status"] == "succeeded", text_of(ended)
        assert Path(ended.structured_content["video_file"]).is_file()
        assert not (await asked(client, "download_result", **which)).is_error
        more = (await confirmed(client, **wanted, take=2)).structured_content
        told = await asked(client, "cancel_task", run_id=more["run_id"])
        assert told.structured_content["event"] in ("cancelled", "error")
        rows = (await asked(client, "list_tasks", provider=provider)).structured_content
        assert rows["total"] == 2
        assert not (await asked(client, "list_models", provider=provider)).is_error
        assert not (await asked(client, "check_key", provider=provider)).is_error
        shown = await asked(client, "seedance_check_task", task_id=made["task_id"])
        assert shown.is_error or shown.structured_content["status"]

    async def do() -> None:
        async with mcp.client.Client(parameters(workspace)) as client:
            for provider in shipped_names():
                with anyio.fail_after(120):
                    await every_tool(client, provider)

    anyio.run(do)
    assert payments(workspace) == 2 * len(shipped_names())


NEEDS: dict[str, dict[str, Any]] = {
    "runway": {"ratio": "16:9", "duration": 5},
    "replicate": {"model": "google/veo-3"},
    "fal": {"model": "fal-ai/veo3"},
}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without a word")
def test_a_server_that_is_told_to_end_does(workspace: Path) -> None:
    argv = [sys.executable, str(SERVER), "--workspace", str(workspace), "--sandbox"]
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["result"]["serverInfo"]["name"] == "ai-video-tasks"
        process.terminate()
        assert process.wait(20) == 143
