"""A fleet whose workers, scheduler and coordinator die: what the API's own log says decides."""

from __future__ import annotations

import csv
import hashlib
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="a fleet needs distributed and obstore, and Python 3.11")
pytest.importorskip("obstore", reason="a fleet needs distributed and obstore, and Python 3.11")

from support.fleet import Fleet

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and SIGSTOP are POSIX"),
]
ROWS = int(os.environ.get("FLEET_ROWS", "36"))
SUSPENDED_S = float(os.environ.get("FLEET_SUSPENDED_S", "8"))


def settled(fleet: Fleet, exit_code: int) -> dict[str, list[dict[str, str]]]:
    """The rows of results.csv by their status; every file is in the store as its checksum says."""
    from videotasks.fleet.objects import Objects

    os.environ.update({name: value for name, value in fleet.env.items() if name.startswith("AWS_")})
    objects = Objects(fleet.store)
    table = (objects.read("batches/rows/results.csv") or b"").decode("utf-8-sig")
    by_status: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(table.splitlines()):
        by_status.setdefault(row["status"], []).append(row)
    assert set(by_status) <= {"succeeded", "unknown"}, {name: rows[:2] for name, rows in by_status.items()}
    assert exit_code == (3 if "unknown" in by_status else 0)
    for row in by_status["succeeded"][:20]:
        data = objects.read(row["file"].removeprefix(fleet.store + "/"))
        assert data is not None and b"ftyp" in data[:12]
        told = objects.read_json(f"runs/{row['run_id']}/result.json")
        assert told["files"][0]["sha256"] == hashlib.sha256(data).hexdigest()
    return by_status


def test_workers_of_one_machine_carry_it_out_and_an_interrupt_lets_answers_arrive(tmp_path: Path) -> None:
    with Fleet(tmp_path, 24, s3=False) as fleet:
        coordinator = fleet.coordinate("--shard-rows", "6", "--workers", "2", "--concurrency", "3", dask="local")
        fleet.until_created(4)
        coordinator.send_signal(signal.SIGINT)
        final = fleet.final_of(coordinator, 90)
        assert final["exit_code"] == 130 and "batch_fleet.py" in final["next"] and len(fleet.creates()) < 24
        assert "unknown" not in final["rows"]
        final = fleet.final_of(fleet.coordinate("--workers", "2", dask="local"), 120)
        assert len(fleet.creates()) == len(set(fleet.creates())) == 24
        assert list(settled(fleet, final["exit_code"])) == ["succeeded"]


def test_workers_scheduler_and_coordinator_die(tmp_path: Path) -> None:
    draw = random.Random(int(os.environ.get("FLEET_SEED", "20261126")))
    with Fleet(tmp_path, ROWS, s3=True) as fleet:
        scheduler = fleet.serve_scheduler()
        workers = [fleet.serve_worker() for _ in range(3)]
        shards = ("--shard-rows", str(max(ROWS // 12, 4)), "--concurrency", str(max(ROWS // 10, 12)))
        coordinator = fleet.coordinate(*shards)

        def after(part: float) -> None:
            fleet.until_created(int(ROWS * part), 300 + ROWS)
            time.sleep(draw.random())

        after(draw.uniform(0.1, 0.2))
        fleet.end(workers[0])
        after(draw.uniform(0.25, 0.35))
        fleet.end(workers[1], signal.SIGSTOP)
        awake = threading.Timer(SUSPENDED_S, fleet.end, (workers[1], signal.SIGCONT))
        awake.start()
        after(draw.uniform(0.4, 0.5))
        fleet.end(coordinator)
        coordinator = fleet.coordinate(*shards)
        after(draw.uniform(0.55, 0.65))
        awake.join()
        fleet.end(scheduler)
        time.sleep(draw.random() * 3)
        scheduler = fleet.serve_scheduler()
        after(draw.uniform(0.75, 0.85))
        fleet.end(workers[2])
        began = time.monotonic()
        final = fleet.final_of(coordinator, 200 + 3 * ROWS)
        prompts = fleet.creates()
        assert len(set(prompts)) == len(prompts), "a row was paid for twice"
        rows = settled(fleet, final["exit_code"])
        unknown = rows.get("unknown", [])
        assert len(rows["succeeded"]) + len(unknown) == ROWS
        assert not unknown or "--run-id" in final["next_argv"]
        told = f"{len(prompts)} creates, {len(unknown)} unknown, {time.monotonic() - began:.0f} s after the last kill"
        print(f"{ROWS} rows: {told}")
