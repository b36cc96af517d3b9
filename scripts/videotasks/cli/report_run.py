"""task_status.py --report RUN: a zip to send when something went wrong. Reads the run folder alone; asks nobody."""

from __future__ import annotations

import argparse
import os
import platform
from importlib import metadata
from pathlib import Path

from videotasks.core.durable_files import user_path, write_atomic
from videotasks.core.errors import configuration_error
from videotasks.core.installation import skill_version
from videotasks.output.reporter import Reporter
from videotasks.runs.report import report_of
from videotasks.runs.store import Run, RunStore
from videotasks.runs.workspace import artifacts_root

LIBRARIES = ("requests", "urllib3", "jsonschema", "PyYAML", "jmespath", "rich", "Jinja2")


def report_run(args: argparse.Namespace) -> int:
    """Run the command; returns its exit code. Raises TaskError."""
    run = RunStore(artifacts_root(args.artifacts_dir)).open(args.report)
    target = user_path(args.output or f"report-{run.run_id}.zip")
    if target.is_dir():
        target = target / f"report-{run.run_id}.zip"
    if target.exists() and not args.force:
        raise configuration_error(f"{target} exists already", expected="--output with a name that is free, or --force")
    _learn_keys()
    data, packed, left_out = report_of(run, _versions(run), with_inputs=args.with_inputs)
    write_atomic(target, data)
    path = str(Path(os.path.abspath(target)))
    kept = "the prompt and inputs included" if args.with_inputs else "without prompt and inputs"
    summary = f"The report is in {path}, {kept}; look through it before you send it."
    reporter = Reporter(verbose=args.verbose, sandbox=run.mode == "sandbox", text=args.text)
    reporter.people(summary)
    return reporter.final(
        "report", 0, run_id=run.run_id, report_file=path, files=packed, left_out=left_out[:20], summary=summary
    )


def _learn_keys() -> None:
    """Every key of this environment, so that it is found should one stand in a file after all."""
    from videotasks.core.errors import TaskError
    from videotasks.providers import credentials
    from videotasks.providers.load_profile import load_profile, shipped_names

    for name in shipped_names():
        try:
            credentials.find_key(load_profile(name))
        except TaskError:  # a value that is no key
            continue


def _versions(run: Run) -> dict[str, str]:
    versions = {
        "ai-video-tasks": skill_version(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "provider": run.provider,
    }
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "missing"
    return versions
