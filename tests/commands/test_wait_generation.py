"""wait_generation: inherited flags and events, every fault survived, one task or many in one quiet call."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import faults
from support.commands import Done, call, fast_sandbox, follow, start
from support.faults import answer, html, json_answer
from support.faultserver import FaultServer, refused_port
from support.taskserver import KEY, VIDEO, WIRES, TaskServer

ROOT = Path("task-status") / ".artifacts"
FAST = ("--interval", "0.02")
ENV = {"SKILLS_VIDEO_API_KEY": KEY}


@pytest.fixture
def server() -> Iterator[TaskServer]:
    with TaskServer(WIRES["skills-video"], polls_needed=2) as made:
        yield made


def wait(server: TaskServer, *arguments: str) -> Done:
    return call(
        "wait_generation.py", "--generation-id", server.task_id, "--base-url", server.base, *FAST, *arguments, env=ENV
    )


# -- the inherited command ---------------------------------------------------------------------------------------


@pytest.mark.process
def test_the_inherited_flags_work_exactly_as_listed(server: TaskServer, tmp_path: Path) -> None:
    done = start(
        "wait_generation.py",
        *("--generation-id", server.task_id, "--base-url", server.base, "--interval", "0.5"),
        *("--timeout", "600.0", "--request-timeout", "20.0"),
        env=ENV,
        cwd=tmp_path,
    )
    assert done.exit_code == 0
    assert {"ok", "generation_id", "status", "response"} <= set(done.final)
    assert done.final["event"] == "terminal" and done.final["generation_id"] == server.task_id
    assert {request.target for request in server.requests[:2]} == {f"/api/v1/generation/{server.task_id}"}


def test_verbose_prints_each_poll_as_the_inherited_command_does(server: TaskServer) -> None:
    server.polls = [html(502)]
    done = wait(server, "--verbose")
    for poll in done.all("poll"):
        assert {"generation_id", "attempt", "http_status", "status", "status_key", "terminal"} <= set(poll)
    assert [poll["terminal"] for poll in done.all("poll")][-1] is True
    (error,) = done.all("poll_error")
    assert {"generation_id", "attempt", "http_status", "transient", "message"} <= set(error)


def test_an_explicit_interval_is_kept_as_given() -> None:
    with TaskServer(WIRES["skills-video"], outcome="never") as server:
        done = wait(server, "--interval", "0.2", "--timeout", "0.9")
    assert done.exit_code == 11
    times = [request.time for request in server.requests]
    gaps = [late - early for early, late in itertools.pairwise(times)]
    assert all(gap > 0.19 for gap in gaps[:-1]), gaps
    assert {"generation_id", "elapsed_seconds", "last_status"} <= set(done.final)


@pytest.mark.parametrize("value", ["nan", "inf", "0", "-1", "soon", "1e9"])
@pytest.mark.parametrize("flag", ["--interval", "--timeout", "--request-timeout"])
def test_limits_that_are_none_are_usage_errors(flag: str, value: str) -> None:
    """Another client slept for ever on nan and died of OverflowError on inf."""
    done = call("wait_generation.py", "--generation-id", "x", f"{flag}={value}", env=ENV)
    assert done.exit_code == 2 and flag in done.error["message"]


def test_an_id_is_one_segment_of_the_path(server: TaskServer) -> None:
    """`../credits?x=` asked another path, with the key, in another client."""
    with TaskServer(WIRES["skills-video"], task_id="../credits?x=") as odd:
        call("wait_generation.py", "--generation-id", odd.task_id, "--base-url", odd.base, "--no-download", env=ENV)
    assert {request.target for request in odd.requests} <= {"/api/v1/generation/..%2Fcredits%3Fx%3D"}


# -- what a wait survives, and what ends it ----------------------------------------------------------------------

SURVIVED = [
    html(200),
    faults.empty(200),
    faults.cut_length(),
    faults.reset_after_request(),
    faults.reset_mid_body(),
    faults.close_without_answer(),
    faults.garbage(),
    json_answer({"message": "x"}, 408),
    json_answer({"message": "x"}, 409),
    json_answer({"message": "x"}, 425),
    json_answer({"message": "x"}, 500),
    html(520),
    html(524),
    html(401),
    html(403),
    html(404),
    faults.retry_after(0),
    json_answer([1, 2]),
    json_answer({"status": "POLISHING"}),
]


@pytest.mark.parametrize("fault", SURVIVED, ids=[f"{n}-{fault.name}" for n, fault in enumerate(SURVIVED)])
def test_a_fault_does_not_end_the_wait(server: TaskServer, fault: faults.Action) -> None:
    server.polls = [fault]
    done = wait(server, "--no-download", "--timeout", "20")
    assert done.exit_code == 0, done


@pytest.mark.parametrize(
    ("refusal", "category"),
    [
        (json_answer({"message": "bad key"}, 401), "auth"),
        (answer(401), "auth"),
        (json_answer({"message": "Insufficient credits"}, 402), "insufficient_credits"),
        (json_answer({"message": "no"}, 403), "permission"),
    ],
)
def test_a_refusal_in_the_providers_own_shape_ends_it_with_12(
    server: TaskServer, refusal: faults.Action, category: str
) -> None:
    server.polls = [refusal]
    done = wait(server)
    assert (done.exit_code, done.error["category"]) == (12, category)
    assert "the task itself goes on" in done.error["message"]
    healed = follow(done, env=ENV)
    assert healed.exit_code == 0


def test_a_fresh_id_that_a_replica_does_not_know_yet_is_asked_again(server: TaskServer) -> None:
    server.polls = [json_answer({"message": "not found"}, 404)] * 2
    assert wait(server, "--no-download").exit_code == 0


@pytest.mark.parametrize(("outcome", "code"), [("failed", 10), ("cancelled", 10)])
def test_a_task_that_ends_badly(outcome: str, code: int) -> None:
    with TaskServer(WIRES["skills-video"], outcome=outcome) as server:
        done = wait(server)
    assert done.exit_code == code and done.final["status"] == outcome and done.final["next"] is None


def test_the_deadline_is_looked_at_and_resumable() -> None:
    with TaskServer(WIRES["skills-video"], outcome="never") as server:
        done = wait(server, "--timeout", "0.2")
        assert done.exit_code == 11 and done.final["event"] == "timeout"
        server.outcome = "succeeded"
        assert follow(done, env=ENV).exit_code == 0


def test_a_bare_id_is_looked_up_in_the_workspace_before_it_means_skills_video() -> None:
    with fast_sandbox(5):
        made = call(
            "create_and_wait.py", "--sandbox", "--provider", "ark", "--prompt", "a boat", "--duration", "4", "--no-wait"
        )
        done = call("wait_generation.py", "--sandbox", "--generation-id", made.final["task_id"], "--timeout", "0.1")
    assert done.final["task_id"] == made.final["task_id"] and done.final["run_id"] == made.final["run_id"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "task id"),
        (("--generation-id", "a", "--latest"), "several"),
        (("--run-id", "nope"), "nope"),
        (("--run-id", "../x"), "run id"),
        (("--latest",), "no earlier run"),
        (("--generation-id", ".."), "no task id"),
        (("--all-unfinished", "--run-id", "x"), "several"),
    ],
)
def test_bad_input(arguments: tuple[str, ...], words: str) -> None:
    done = call("wait_generation.py", *arguments, env=ENV)
    assert done.exit_code == 1 and words in json.dumps(done.error)
    assert done.error.get("expected") or done.error.get("hint")


def test_no_key_is_told_before_anything_is_sent(server: TaskServer) -> None:
    done = call("wait_generation.py", "--generation-id", "x", "--base-url", server.base)
    assert done.exit_code == 1 and done.error["code"] == "missing_api_key" and server.requests == []


def test_an_unreachable_host_is_waited_for_and_then_told() -> None:
    with refused_port() as port:
        done = call(
            "wait_generation.py", "--generation-id", "x", "--base-url", f"http://127.0.0.1:{port}", *FAST,
            "--timeout", "0.2", env=ENV,
        )  # fmt: skip
    assert done.exit_code == 11


# -- many --------------------------------------------------------------------------------------------------------


def sandbox_tasks(count: int, *options: str) -> list[Done]:
    return [
        call("create_and_wait.py", "--sandbox", "--prompt", f"boat {n}", "--duration", "4", "--no-wait", *options)
        for n in range(count)
    ]


def test_several_runs_and_providers_are_waited_for_in_one_quiet_call() -> None:
    with fast_sandbox(0.3):
        made = [*sandbox_tasks(2), *sandbox_tasks(1, "--provider", "ark"), *sandbox_tasks(1, "--provider", "creatok")]
        done = call("wait_generation.py", "--sandbox", "--all-unfinished", *FAST)
    assert done.exit_code == 0 and len(done.lines) == 1
    assert done.final["event"] == "list" and done.final["total"] == 4 and done.final["unfinished"] == 0
    assert {row["run_id"] for row in done.final["runs"]} == {one.final["run_id"] for one in made}
    for one in made:
        assert list((Path(one.final["artifacts_dir"]) / "outputs").glob("video.mp4"))


def test_named_runs_of_which_one_is_done_and_one_lacks_its_file() -> None:
    with fast_sandbox(0.1):
        first, second = sandbox_tasks(2)
        call("wait_generation.py", "--sandbox", "--run-id", first.final["run_id"], "--no-download", *FAST)
        ids = ("--run-id", first.final["run_id"], "--run-id", second.final["run_id"])
        done = call("wait_generation.py", "--sandbox", *ids, *FAST)
    assert done.exit_code == 0
    assert list((Path(first.final["artifacts_dir"]) / "outputs").glob("video.mp4")), "an ended one is fetched, too"


def test_the_worst_end_decides_the_exit_code_and_next_goes_on_with_the_rest() -> None:
    with fast_sandbox(0.1):
        failed = call(
            "create_and_wait.py", "--sandbox", "--sandbox-scenario", "failed", "--prompt", "x", "--duration", "4",
            "--no-wait",
        )  # fmt: skip
        with fast_sandbox(9):
            slow = sandbox_tasks(1)[0]
        ids = ("--run-id", failed.final["run_id"], "--run-id", slow.final["run_id"])
        done = call("wait_generation.py", "--sandbox", *ids, *FAST, "--timeout", "0.5")
        assert done.exit_code == 11 and done.final["event"] == "timeout" and done.final["unfinished"] == 1
        argv = done.final["next_argv"]
        assert slow.final["run_id"] in argv and failed.final["run_id"] not in argv and "--sandbox" in argv
        only = call("wait_generation.py", "--sandbox", "--run-id", failed.final["run_id"], *FAST)
    assert only.exit_code == 10


def test_next_of_many_names_the_origin_again() -> None:
    with TaskServer(WIRES["skills-video"], outcome="never") as server:
        for prompt in ("a", "b"):
            server.task_id = f"task-{prompt}"
            call(
                "create_and_wait.py", "--base-url", server.base, "--prompt", prompt, "--model", "openai/sora-2",
                "--no-wait", env=ENV,
            )  # fmt: skip
        done = call("wait_generation.py", "--all-unfinished", "--base-url", server.base, "--timeout", "0.2", env=ENV)
    assert done.exit_code == 11
    assert done.final["next_argv"][-2:] == ["--base-url", server.base]


def test_nothing_unfinished_is_an_answer() -> None:
    done = call("wait_generation.py", "--all-unfinished")
    assert done.exit_code == 0 and done.final["total"] == 0


def test_a_bare_id_that_nobody_knows_is_no_unfinished_run_afterwards() -> None:
    with FaultServer(json_answer({"message": "no such task"}, 404)) as server:
        base = ("--base-url", server.base_url)
        done = call("task_status.py", "gen_wrong", "--provider", "skills-video", *base, env=ENV)
        assert done.exit_code == 23
        assert call("wait_generation.py", "--all-unfinished", *base, env=ENV).final["total"] == 0
        assert call("task_status.py", "--latest", *base, env=ENV).error["code"] == "missing_task_id"


def test_output_is_for_one_task() -> None:
    done = call("wait_generation.py", "--all-unfinished", "--output", "x.mp4")
    assert done.exit_code == 1 and "--output" in done.error["message"]


# -- many: each file as its task ends, and what is in the way of one ends nothing else -----------------------------


class Tasks:
    """Tasks of skills-video that end when `ends` says: a number of looks, or never; files are logged as fetched."""

    def __init__(self, ends: dict[str, int | None], fetch: Any = None) -> None:
        self.ends, self.fetch = ends, fetch
        self.looks: dict[str, int] = {}
        self.log: list[str] = []
        self.made = 0

    def __call__(self, request: Any) -> faults.Action:
        if request.method == "POST":
            request.read()
            self.made += 1
            return json_answer({"id": f"gen-{self.made}", "status": "IN_QUEUE"})
        name = request.target.rsplit("/", 1)[1].removesuffix(".mp4")
        if request.target.endswith(".mp4"):
            self.log.append(f"file {name}")
            told = self.fetch(name) if self.fetch else None
            return told or answer(200, VIDEO, [("Content-Type", "video/mp4")])
        self.looks[name] = self.looks.get(name, 0) + 1
        needed = self.ends[name]
        over = needed is not None and self.looks[name] >= needed
        if over:
            self.log.append(f"end {name}")
        data = {"video": {"url": f"{self.base}/{name}.mp4"}} if over else None
        return json_answer({"id": name, "status": "COMPLETED" if over else "IN_PROGRESS", "data": data})

    base = ""


def many(tasks: Tasks, server: FaultServer) -> tuple[list[Done], tuple[str, ...]]:
    tasks.base = server.base_url
    base = ("--base-url", server.base_url, "--allow-private-results")
    how = ("--model", "openai/sora-2", "--no-wait")
    made = [call("create_and_wait.py", *base, "--prompt", f"boat {n}", *how, env=ENV) for n in range(len(tasks.ends))]
    return made, base


def test_each_file_is_fetched_as_its_task_ends() -> None:
    tasks = Tasks({"gen-1": 1, "gen-2": 40, "gen-3": 1})
    with FaultServer(tasks) as server:
        made, base = many(tasks, server)
        done = call("wait_generation.py", "--all-unfinished", *base, *FAST, env=ENV)
    assert done.exit_code == 0 and len(done.lines) == 1
    assert {"file gen-1", "file gen-3"} <= set(tasks.log[: tasks.log.index("end gen-2")]), tasks.log
    for one in made:
        assert (Path(one.final["artifacts_dir"]) / "outputs" / "video.mp4").read_bytes() == VIDEO


def test_a_success_without_its_file_stays_in_next_until_it_is_there() -> None:
    broken = {"gen-1"}
    tasks = Tasks({"gen-1": 1, "gen-2": 1}, fetch=lambda name: html(403) if name in broken else None)
    with FaultServer(tasks) as server:
        made, base = many(tasks, server)
        done = call("wait_generation.py", "--all-unfinished", *base, *FAST, "--timeout", "5", env=ENV)
        assert done.exit_code == 13 and "--all-unfinished" in done.final["next_argv"]
        (trouble,) = done.final["trouble"]
        assert trouble["run_id"] == made[0].final["run_id"] and trouble["message"]
        broken.clear()
        again = follow(done, env=ENV)
    assert again.exit_code == 0 and again.final["total"] == 1 and again.final["next"] is None
    assert (Path(made[0].final["artifacts_dir"]) / "outputs" / "video.mp4").read_bytes() == VIDEO


def test_a_success_that_was_asked_for_without_its_file_is_done() -> None:
    tasks = Tasks({"gen-1": 1, "gen-2": 1})
    with FaultServer(tasks) as server:
        _, base = many(tasks, server)
        assert call("wait_generation.py", "--all-unfinished", *base, *FAST, "--no-download", env=ENV).exit_code == 0
        assert call("wait_generation.py", "--all-unfinished", *base, *FAST, env=ENV).final["total"] == 0


@pytest.mark.skipif(os.name == "nt", reason="symbolic links")
def test_one_bad_folder_ends_the_wait_of_nobody_else() -> None:
    tasks = Tasks({"gen-1": 1, "gen-2": 5, "gen-3": 5})
    with FaultServer(tasks) as server:
        made, base = many(tasks, server)
        outputs = Path(made[0].final["artifacts_dir"]) / "outputs"
        shutil.rmtree(outputs)
        outputs.symlink_to(Path.cwd())
        done = call("wait_generation.py", "--all-unfinished", *base, *FAST, env=ENV)
        shutil.rmtree(made[1].final["artifacts_dir"])
        ids = [word for one in made[1:] for word in ("--run-id", one.final["run_id"])]
        named = call("wait_generation.py", *ids, *base, *FAST, env=ENV)
    assert done.exit_code == 13 and "symbolic link" in done.final["trouble"][0]["message"]
    assert done.final["next_argv"] is not None
    for one in made[2:]:
        assert (Path(one.final["artifacts_dir"]) / "outputs" / "video.mp4").read_bytes() == VIDEO
    assert "no run" in named.final["trouble"][0]["message"] and named.final["total"] == 1


def test_folders_deleted_while_they_are_waited_for_come_back_with_their_files() -> None:
    tasks = Tasks({"gen-1": 3, "gen-2": 6})

    def choose(request: Any) -> faults.Action:
        if request.method == "GET" and tasks.looks.get("gen-1") == 1:
            shutil.rmtree("task-status", ignore_errors=True)  # `git clean` while the command waits
        return tasks(request)

    with FaultServer(choose) as server:
        made, base = many(tasks, server)
        done = call("wait_generation.py", "--all-unfinished", *base, *FAST, env=ENV)
    assert done.exit_code == 0, done.stdout
    assert {row["task_id"] for row in done.final["runs"]} == {"gen-1", "gen-2"}
    for one in made:
        assert (Path(one.final["artifacts_dir"]) / "outputs" / "video.mp4").read_bytes() == VIDEO


def test_a_signal_keeps_what_has_come_and_next_fetches_the_rest() -> None:
    tasks = Tasks({"gen-1": 1, "gen-2": None})

    def choose(request: Any) -> faults.Action:
        if tasks.looks.get("gen-2", 0) > 20:
            os.kill(os.getpid(), signal.SIGINT)
            tasks.looks["gen-2"] = -1000
        return tasks(request)

    with FaultServer(choose) as server:
        made, base = many(tasks, server)
        done = call("wait_generation.py", "--all-unfinished", *base, *FAST, env=ENV)
    assert done.exit_code == 130 and done.final["event"] == "interrupted" and done.final["next_argv"]
    assert (Path(made[0].final["artifacts_dir"]) / "outputs" / "video.mp4").read_bytes() == VIDEO


def polls_of_each(count: int, together: bool) -> dict[str, int]:
    """Requests per task while `count` tasks need three looks each."""
    asked: dict[str, int] = {}

    def task(request: Any) -> faults.Action:
        task_id = request.target.rsplit("/", 1)[1]
        asked[task_id] = asked.get(task_id, 0) + 1
        status = "COMPLETED" if asked[task_id] >= 3 else "IN_PROGRESS"
        data = {"video": {"url": "http://127.0.0.1:9/v.mp4"}} if status == "COMPLETED" else None
        return json_answer({"id": task_id, "status": status, "data": data})

    made = iter(range(count))

    def choose(request: Any) -> faults.Action:
        if request.method == "POST":
            request.read()
            return json_answer({"id": f"gen_{next(made)}", "status": "IN_QUEUE"})
        return task(request)

    with FaultServer(choose) as server:
        base = ("--base-url", server.base_url)
        for n in range(count):
            call("create_and_wait.py", *base, "--prompt", f"boat {n}", "--model", "openai/sora-2", "--no-wait", env=ENV)
        which = [("--all-unfinished",)] if together else [("--generation-id", f"gen_{n}") for n in range(count)]
        for one in which:
            done = call("wait_generation.py", *one, *base, *FAST, "--no-download", env=ENV)
            assert done.exit_code == 0, done
    return asked


def test_waiting_for_many_asks_no_more_per_task_than_waiting_for_one() -> None:
    assert polls_of_each(12, together=True) == polls_of_each(12, together=False)
