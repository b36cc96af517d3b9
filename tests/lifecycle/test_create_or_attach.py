"""The command is its own idempotency key: the same one again attaches, across processes, crashes and folders."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support import faults
from support.faults import json_answer
from support.faultserver import FaultServer, Request
from support.kills import command, environment, task_server
from support.lifecycle import Client, said
from support.taskserver import KEY, WIRES, CreateFault, TaskServer, refused, taken, told
from videotasks.core import redaction
from videotasks.core.errors import TaskError
from videotasks.core.record import replace
from videotasks.lifecycle import create_or_attach
from videotasks.lifecycle.carry_out import carry_out
from videotasks.lifecycle.create_or_attach import Plan
from videotasks.request.build import CommonInputs, build_request
from videotasks.runs.claims import Claims, Owner
from videotasks.runs.store import Run, RunStore
from videotasks.runs.workspace import artifacts_root


def test_the_same_command_again_attaches(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        first, second = client.create(), client.create()
        assert (first.code, second.code, server.paid) == (0, 0, 1)
        assert second.final["attached"] is True and "attached" not in first.final
        assert second.final["video_file"] == first.final["video_file"]
        (start,) = [line for line in second.lines if line["event"] == "start"]
        assert start["created_at"] and "--take 2" in start["note"]


def test_another_take_prompt_origin_or_mode_pays_anew(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == client.create(take=2).code == 0
        client.prompt = "another boat"
        assert client.create().code == 0
        assert server.paid == 3
    with TaskServer(WIRES["ark"]) as server:
        assert Client(server, tmp_path / "a").create().code == 0
        assert server.paid == 1


def test_a_run_in_flight_is_attached_to_and_waited_for(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"], polls_needed=5) as server:
        client = Client(server, tmp_path / "a")
        assert client.create(no_wait=True).code == 0
        outcome = client.create()
        assert outcome.code == 0 and outcome.final["source"] == "poll"
        assert server.paid == 1


def test_a_timeout_is_gone_on_with(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"], outcome="never") as server:
        client = Client(server, tmp_path / "a")
        first = client.create(wait_s=0.2)
        assert first.code == 11 and "wait_generation.py" in first.final["next"]
        server.outcome = "succeeded"
        assert client.create().code == 0 and server.paid == 1


def test_two_processes_at_one_instant_pay_once(tmp_path: Path) -> None:
    import subprocess

    with task_server("ark") as server:
        server.creates = [told("slow", lambda w, t: faults.late(0.6, faults.json_answer(w.created(t))))]
        argv, env = command(server, tmp_path / "a"), environment(server, tmp_path)
        children = [subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
        ends = [child.communicate(timeout=30) for child in children]
        finals = [json.loads(out.splitlines()[-1]) for out, _ in ends]
        assert [final["exit_code"] for final in finals] == [0, 0, 0], ends
        assert server.paid == 1
        assert len({final["run_id"] for final in finals}) == 1
        assert sum(final.get("attached", False) for final in finals) == 2


def test_eight_threads_at_one_instant_pay_once(tmp_path: Path) -> None:
    with TaskServer(WIRES["creatok"]) as server:
        client = Client(server, tmp_path / "a")
        gate = threading.Barrier(8)

        def one(_: int) -> int:
            gate.wait()
            return client.create().code

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(one, range(8))) == [0] * 8
        assert server.paid == 1


def test_who_loses_the_lock_of_a_lost_answer_does_not_send_again(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"], creates=[taken(faults.late(0.3, faults.raw(name="gone")))]) as server:
        client = Client(server, tmp_path / "a")
        with ThreadPoolExecutor(2) as pool:
            codes = list(pool.map(lambda _: client.create().code, range(2)))
        assert codes == [3, 3] and len(server.posts) == 1


# -- what lets the same command pay again --------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_an_end_without_a_video_that_was_reported_lets_it_pay_again(tmp_path: Path, outcome: str) -> None:
    with TaskServer(WIRES["ark"], outcome=outcome) as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 10
        server.outcome = "succeeded"
        assert client.create().code == 0
        assert server.paid == 2 and len(client.runs()) == 2


def _forget_that_it_was_told(client: Client) -> None:
    """As a kill between the last journal line and the last line on stdout leaves it."""
    journal = client.run.journal_file
    lines = [line for line in journal.read_text().splitlines() if '"reported"' not in line]
    journal.write_text("\n".join(lines) + "\n")


def test_a_failure_that_nobody_was_told_of_is_told_before_it_pays_again(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"], outcome="failed") as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 10
        _forget_that_it_was_told(client)
        again = client.create()
        assert again.code == 10 and again.final["attached"] is True and server.paid == 1
        assert client.create().code == 10 and server.paid == 2


def test_a_refusal_that_nobody_was_told_of_is_told_before_it_pays_again(tmp_path: Path) -> None:
    refusal = {"error": {"code": "AccessDenied", "message": "not for you"}}
    fault = CreateFault("403", lambda w, t: faults.json_answer(refusal, 403), creates=False)
    with TaskServer(WIRES["ark"], creates=[fault]) as server:
        client = Client(server, tmp_path / "a")
        first = client.create()
        _forget_that_it_was_told(client)
        again = client.create()
        assert again.code == first.code == 27 and len(server.posts) == 1
        assert again.final["error"]["server_message"] == "not for you"
        assert client.create().code == 0 and server.paid == 1


def test_a_last_line_that_nobody_could_read_is_no_report(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"], outcome="failed") as server:
        client = Client(server, tmp_path / "a")
        session = client.session()
        session.ctx.reporter.closed = True  # as after a broken pipe
        assert carry_out(client.plan(session), wait_s=5) == 10
        assert not client.run.state().reported
        kept = [json.loads(line) for line in client.run.journal_file.read_text().splitlines()][-1]
        assert kept["event"] == "last_line" and kept["line"]["exit_code"] == 10
        assert '"exit_code":10' in said(session, 10).stderr
        assert client.create().code == 10 and server.paid == 1


def test_no_result_is_no_licence_to_pay_again(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"], outcome="no_result") as server:
        client = Client(server, tmp_path / "a")
        assert client.create().code == 13
        assert client.create().code == 13 and server.paid == 1
        server.outcome = "succeeded"
        assert client.create().code == 0 and server.paid == 1


# -- crashes -------------------------------------------------------------------------------------------------------


def test_a_crash_between_first_byte_and_answer_is_unknown_and_stays_so(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        plan = client.plan(client.session())
        plan.session.ctx.store.prepare()
        run = plan.session.ctx.store.create(plan.request_record(), now=1_790_000_000)
        run.record("submitting", 1_790_000_000)
        for _ in range(2):
            outcome = client.create()
            assert outcome.code == 3 and "task_status.py" in outcome.final["next"]
        assert not server.posts
        assert json.loads(run.result_file.read_text())["status"] == "unknown"


def test_a_crash_before_the_first_byte_uses_its_folder_again(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        plan = client.plan(client.session())
        plan.session.ctx.store.prepare()
        run = plan.session.ctx.store.create(plan.request_record(), now=1_790_000_000)
        outcome = client.create()
        assert outcome.code == 0 and outcome.final["run_id"] == run.run_id and len(client.runs()) == 1


def test_a_run_folder_gets_its_name_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from videotasks.core import durable_files

    store = RunStore(tmp_path / "a")
    store.prepare()

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(durable_files, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        store.create({"identity": "0" * 64}, now=0.0, run_id="mine")
    monkeypatch.undo()
    assert store.names() == []
    assert store.create({"identity": "0" * 64}, now=0.0, run_id="mine").run_id == "mine"
    with pytest.raises(TaskError, match="taken"):
        store.create({"identity": "1" * 64}, now=0.0, run_id="mine")


def test_a_run_id_is_of_one_request_only(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")

        def named(prompt: str) -> int:
            client.prompt = prompt
            session = client.session()
            return carry_out(client.plan(session, run_id="mine"), wait_s=5)

        assert named("one") == 0 and named("one") == 0
        assert named("two") == 1 and server.paid == 1


# -- uploads -------------------------------------------------------------------------------------------------------


class UploadServer:
    """creatok's presigned upload on a server of its own, beside the task API."""

    def __init__(self) -> None:
        self.server = FaultServer(self._choose)
        self.puts = 0
        self.creates: list[Any] = []
        self.kill_create = False

    def _choose(self, request: Request) -> Any:
        if request.method == "PUT":
            request.read()
            self.puts += 1
            assert KEY not in str(request.headers)
            return faults.answer(200)
        if "presigned" in request.target:
            data = {"presignedUploadUrl": f"{self.server.base_url}/put/1?sig=x", "objectKey": "uploads/1.png"}
            return faults.json_answer({"code": 0, "data": data})
        if request.method == "POST":
            self.creates.append(request.json())
            return faults.json_answer(WIRES["creatok"].created("t-1"))
        link = f"{self.server.base_url}/files/v.mp4"
        if request.target.startswith("/files/"):
            from support.taskserver import VIDEO

            return faults.answer(200, VIDEO, {"Content-Type": "video/mp4"})
        return faults.json_answer(WIRES["creatok"].task("t-1", "succeeded", link))


def test_a_crash_after_the_upload_uploads_and_pays_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from support.fileserver import png
    from videotasks.lifecycle import create_or_attach

    picture = tmp_path / "boat.png"
    picture.write_bytes(png())
    upload = UploadServer()
    with upload.server, TaskServer(WIRES["creatok"]) as inner:
        inner.base = upload.server.base_url
        client = Client(inner, tmp_path / "a")

        def run() -> int:
            session = client.session()
            given = CommonInputs(prompt="a boat", model="doubao-seedance-2", image=[(None, str(picture))])
            plan = Plan(session, build_request(session.profile, given), 1, "a boat")
            return carry_out(plan, wait_s=5)

        class Died(BaseException):
            pass

        def die(*_: Any) -> None:
            raise Died

        with monkeypatch.context() as patch:
            patch.setattr(create_or_attach, "submit", die)
            with pytest.raises(Died):
                run()
        assert upload.puts == 1 and not upload.creates
        assert run() == 0
        assert upload.puts == 1 and len(upload.creates) == 1
        assert upload.creates[0]["referenceImageKeys"] == ["uploads/1.png"]
        assert run() == 0 and len(upload.creates) == 1


# -- folders, locks, keys ------------------------------------------------------------------------------------------


def test_a_command_from_a_folder_below_finds_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "project" / "src" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / "project" / ".git").mkdir()
    with TaskServer(WIRES["ark"]) as server:
        monkeypatch.chdir(tmp_path / "project")
        assert Client(server, artifacts_root()).create().code == 0
        monkeypatch.chdir(deep)
        assert Client(server, artifacts_root()).create().code == 0
        assert server.paid == 1


# -- claims --------------------------------------------------------------------------------------------------------

FAULTS = {
    "ok": (None, True),
    "lost": (taken(faults.reset_after_request()), True),
    "refused": (refused(faults.answer(400)), False),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_claim_stays_unless_it_is_certain_that_nothing_was_created(tmp_path: Path, name: str) -> None:
    fault, stays = FAULTS[name]
    with TaskServer(WIRES["ark"], creates=[fault] if fault else []) as server:
        client = Client(server, tmp_path)
        client.create()
        store = RunStore(client.root)
        for key in ("intent", "identity"):
            assert bool(list(store.claims.of_key(client.run.request[key]))) is stays


def claimed_by(client: Client, owner: Owner, *, silent: bool = False) -> Run:
    """A run that another process has claimed and not sent yet."""
    plan = client.plan(client.session())
    store = RunStore(client.root)
    store.prepare()
    run = store.create(plan.request_record(), now=time.time())
    theirs = Claims(store.claims.store, owner)
    held = theirs.take(dict.fromkeys(plan.identity.keys, 0), run.run_id)
    assert held is not None
    if silent:
        for name in held.names:
            os.utime(client.root / ".claims" / name, (1.0, 1.0))
    return run


ELSEWHERE = replace(Owner.me(), host="elsewhere")
DEAD = replace(Owner.me(), pid=2**22 + 1)


@pytest.mark.skipif(os.name == "nt", reason="no process can be asked about there")
def test_a_claim_of_a_dead_process_that_sent_nothing_is_passed_over(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path)
        run = claimed_by(client, DEAD)
        assert client.create().code == 0 and server.paid == 1
        assert client.run.run_id == run.run_id, "its folder serves again"
        assert client.create().code == 0 and server.paid == 1


@pytest.mark.parametrize("sent", [False, True])
def test_a_claim_whose_owner_is_silent_is_looked_up_and_never_sent(tmp_path: Path, sent: bool) -> None:
    """Suspended, on another machine or in another pid namespace: it may wake up and send."""
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path)
        run = claimed_by(client, ELSEWHERE, silent=True)
        if sent:
            run.record("submitting", time.time())
        for _ in range(2):
            assert client.create().code == 3
        assert not server.posts and client.run.run_id == run.run_id


def test_a_claim_whose_owner_is_busy_is_waited_for_and_attached_to(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path)
        run = claimed_by(client, ELSEWHERE)

        def answer() -> None:
            run.record("submitting", time.time())
            time.sleep(0.2)
            run.record("submitted", time.time(), task_id=server.task_id)

        threading.Timer(0.3, answer).start()
        outcome = client.create()
        assert outcome.code == 0 and outcome.final["attached"] is True and not server.posts


def test_a_request_that_began_to_leave_just_after_the_look_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path)
        run = claimed_by(client, ELSEWHERE)
        run.record("submitting", time.time())
        real, looks = create_or_attach.attachable, [None]  # the first look came before that line
        monkeypatch.setattr(create_or_attach, "attachable", lambda *given: looks.pop() if looks else real(*given))
        threading.Timer(0.3, lambda: run.record("submitted", time.time(), task_id=server.task_id)).start()
        outcome = client.create()
        assert outcome.code == 0 and outcome.final["attached"] is True and not server.posts


def test_a_process_that_wakes_up_after_its_run_was_settled_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path)

        def settled(*arguments: Any) -> dict[str, str]:
            run = arguments[1]
            RunStore(client.root).claims.settle([run.request["identity"]], run.run_id)
            return {}

        monkeypatch.setattr(create_or_attach.upload_inputs, "upload_files", settled)
        outcome = client.create()
        assert outcome.code == 1 and outcome.final["error"]["code"] == "claim_lost" and not server.posts


def test_a_claim_whose_run_folder_is_gone_stops_the_create(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path)
        assert client.create().code == 0
        shutil.rmtree(client.run.folder)
        outcome = client.create()
        assert outcome.code == 1 and outcome.final["error"]["code"] == "run_folder_gone" and server.paid == 1
        assert client.create(take=2).code == 0 and server.paid == 2


def test_a_lock_that_fails_in_one_of_two_processes_pays_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drive without flock, or one process that may not lock: the claim decides, not the lock."""

    def no_lock(*_: Any) -> bool:
        return True

    monkeypatch.setattr("videotasks.runs.locks.FileLock.try_acquire", no_lock)
    with TaskServer(
        WIRES["ark"], creates=[told("late", lambda w, t: faults.late(0.2, json_answer(w.created(t))))]
    ) as s:
        clients = [Client(s, tmp_path, download=False) for _ in range(6)]
        codes: list[int] = []
        threads = [threading.Thread(target=lambda c=client: codes.append(c.create().code)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert s.paid == 1 and codes == [0] * 6


def test_a_key_in_the_prompt_is_refused(tmp_path: Path) -> None:
    redaction.remember(KEY)
    with TaskServer(WIRES["ark"]) as server:
        outcome = Client(server, tmp_path / "a", prompt=f"use {KEY} please").create()
        assert outcome.code == 1 and not server.posts
        assert KEY.encode() not in outcome.stdout


def test_a_sandbox_run_is_never_attached_to_for_real(tmp_path: Path) -> None:
    with TaskServer(WIRES["ark"]) as server:
        client = Client(server, tmp_path / "a")
        session = client.session()
        session.ctx.mode, session.origin = "sandbox", "sandbox:ark"
        assert carry_out(client.plan(session), wait_s=5) == 0
        assert client.create().code == 0
        assert server.paid == 2
