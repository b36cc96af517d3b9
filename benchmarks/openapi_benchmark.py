"""What reading a large specification costs, as ratios measured in one run.

    python3 benchmarks/openapi_benchmark.py [--repeat 5] [--check] [SPEC.yaml]

Makes a 13 MB JSON specification and a 3 MB YAML one (or takes yours) in a temporary folder, runs each job in a fresh
process, and compares the least processor time and peak memory:

* listing and inspecting one endpoint of the JSON, against `json.load` of the same file plus the command's start-up;
* the YAML, first time and from the cache, against one pass of PyYAML's CSafeLoader.

`--check` exits 1 when a ratio is over its goal. Every job is one thread, so that processor time is what an
idle machine would need.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "inspect_openapi.py"
TARGET = "/v1/generation/maker-7/model-7"
LOAD_JSON = "import json,sys; json.load(open(sys.argv[1], encoding='utf-8'))"
LOAD_YAML = "import sys,yaml; yaml.load(open(sys.argv[1], encoding='utf-8'), Loader=yaml.CSafeLoader)"


def make_spec(operations: int, words: int) -> dict[str, object]:
    """A specification of many operations with long descriptions and schemas that refer to each other."""
    text = "Generates media from a prompt and optional references; see the guide for limits and prices. " * words
    paths: dict[str, object] = {}
    schemas: dict[str, object] = {"Task": {"type": "object", "properties": {"id": {"type": "string"}}}}
    for index in range(operations):
        name = f"Body{index}"
        schemas[name] = {
            "type": "object",
            "required": ["prompt"],
            "properties": {
                "prompt": {"type": "string", "maxLength": 2500, "description": text},
                "duration": {"type": "integer", "enum": [5, 10], "default": 5, "description": text[:200]},
                "aspect_ratio": {"type": "string", "enum": ["16:9", "9:16", "1:1"], "default": "16:9"},
                "next": {"$ref": f"#/components/schemas/Body{(index + 1) % operations}"},
                **{f"option_{n}": {"type": "number", "minimum": n, "description": text[:120]} for n in range(12)},
            },
        }
        body = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}
        answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Task"}}}}
        codes = {code: {"description": "an error " * 10} for code in ("400", "401", "402", "429", "500")}
        paths[f"/v1/generation/maker-{index % 40}/model-{index}"] = {
            "post": {
                "operationId": f"create{index}",
                "tags": ["Videos"],
                "summary": f"Create a video with model {index}",
                "description": text,
                "requestBody": body,
                "responses": {"200": {"description": "accepted", **answer}, **codes},
            }
        }
    paths["/v1/generation/{id}"] = {"get": {"responses": {"200": {"description": "a task"}}}}
    info = {"title": "Benchmark", "version": "1"}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def run(command: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """Processor seconds (a busy machine does not stretch them) and peak bytes (0 where unknown) of one process."""
    started = time.perf_counter()
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds, peak = 0.0, 0
    if hasattr(os, "wait4"):
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = usage.ru_utime + usage.ru_stime
        peak = usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024
    if child.wait():
        raise SystemExit(f"exit code {child.returncode}: {command}")
    return seconds or time.perf_counter() - started, peak


def measure(jobs: dict[str, tuple[list[str], dict[str, str]]], repeat: int) -> dict[str, tuple[float, int]]:
    """The least time and peak of each job. Jobs take turns, so that a slow minute of the machine meets all of them."""
    best: dict[str, tuple[float, int]] = {}
    for _ in range(repeat):
        for name, (command, environment) in jobs.items():
            seconds, peak = run(command, environment)
            known = best.get(name, (seconds, peak))
            best[name] = (min(seconds, known[0]), min(peak, known[1]))
    return best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("yaml", nargs="?", help="a YAML specification of yours instead of the made one")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--make", metavar="FOLDER", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        make(Path(args.make))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return report(Path(folder), args)


def make(folder: Path) -> None:
    import yaml

    (folder / "large.json").write_text(json.dumps(make_spec(1500, 22), indent=1), encoding="utf-8")
    (folder / "medium.yaml").write_text(yaml.dump(make_spec(600, 6), sort_keys=False), encoding="utf-8")
    (folder / "small.json").write_text(json.dumps(make_spec(1, 1)), encoding="utf-8")


def report(folder: Path, args: argparse.Namespace) -> int:
    large, medium, small = (folder / name for name in ("large.json", "medium.yaml", "small.json"))
    # In a process of its own: on Linux a child's peak is at least what its parent had when it started it.
    subprocess.run([sys.executable, __file__, "--make", str(folder)], check=True)
    spec = Path(args.yaml) if args.yaml else medium
    print(
        f"JSON {large.stat().st_size / 1e6:.1f} MB, YAML {spec.stat().st_size / 1e6:.1f} MB, the best of {args.repeat}"
    )

    warm = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    python, script = sys.executable, str(SCRIPT)
    colds = [{**warm, "XDG_CACHE_HOME": str(folder / f"cold{index}")} for index in range(args.repeat)]
    start = [python, script, "--openapi", str(small), "--list-endpoints"]
    yaml_list = [python, script, "--openapi", str(spec), "--list-endpoints"]
    for environment in (warm, *colds):  # empty caches but for the bytecode of the scripts
        run(start, environment)
    firsts = [run(yaml_list, cold) for cold in colds]
    run(yaml_list, warm)
    large_spec = [python, script, "--openapi", str(large)]
    best = measure(
        {
            "bare": ([python, "-c", "pass"], warm),
            "start": (start, warm),
            "json.load": ([python, "-c", LOAD_JSON, str(large)], warm),
            "list": ([*large_spec, "--list-endpoints"], warm),
            "inspect": ([*large_spec, "--endpoint", TARGET], warm),
            "search": ([*large_spec, "--search", "model 77"], warm),
            "CSafeLoader": ([python, "-c", LOAD_YAML, str(spec)], warm),
            "cached": (yaml_list, warm),
        },
        args.repeat,
    )
    best["first"] = (min(seconds for seconds, _ in firsts), min(peak for _, peak in firsts))
    for name, (seconds, peak) in best.items():
        print(f"{name:12} {seconds:6.3f} s  {peak / 1e6:6.1f} MB")
    time_of = {name: seconds for name, (seconds, _) in best.items()}
    peak_of = {name: peak or 1 for name, (_, peak) in best.items()}
    load, pass_ = time_of["json.load"] - time_of["bare"], time_of["CSafeLoader"] - time_of["bare"]
    rows: list[tuple[str, float, float]] = []
    for name in ("list", "inspect", "search"):
        rows.append(
            (f"JSON {name}: time over json.load, start-up apart", (time_of[name] - time_of["start"]) / load, 2.0)
        )
        rows.append((f"JSON {name}: peak memory over json.load", peak_of[name] / peak_of["json.load"], 1.5))
    for name, goal in (("first", 1.3), ("cached", 0.13)):
        rows.append(
            (f"YAML {name}: time over CSafeLoader, start-up apart", (time_of[name] - time_of["start"]) / pass_, goal)
        )
    rows.append(("YAML first: peak memory over CSafeLoader", peak_of["first"] / peak_of["CSafeLoader"], 1.5))

    over = False
    for name, ratio, goal in rows:
        missed = ratio > goal
        over |= missed
        print(f"{name:52} {ratio:5.2f}  (goal {goal:.2f}){'  OVER' if missed else ''}")
    return 1 if over and args.check else 0


if __name__ == "__main__":
    sys.exit(main())
