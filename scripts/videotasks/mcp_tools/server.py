"""Beginning to serve: the project that runs live in, and settings that can be kept."""

from __future__ import annotations

import os
from pathlib import Path

from videotasks.core.errors import ExitCode, configuration_error
from videotasks.core.installation import skill_folder
from videotasks.mcp_tools.tools import Settings, Tools
from videotasks.runs import workspace


def enter_workspace(given: str | None) -> None:
    """Stand in the user's project: runs live there, and paths are meant from there. Raises TaskError."""
    if given is not None:
        folder = Path(os.path.expanduser(given))
        try:
            folder.mkdir(exist_ok=True)
            os.chdir(folder)
        except OSError as error:
            raise configuration_error(
                f"--workspace cannot be used: {error.strerror or error}", expected="a folder of yours"
            ) from None
        return
    here = Path.cwd()
    known = [place for place in (here, *here.parents) if place not in (Path.home(), Path(here.anchor))]
    project = any((place / ".git").exists() or (place / workspace.ARTIFACTS).is_dir() for place in known)
    if not os.environ.get("VIDEO_TASKS_ARTIFACTS") and (not project or skill_folder() in (here, *here.parents)):
        raise configuration_error(
            "the folder that this server was started in is no project, so nothing says where runs live",
            expected="--workspace DIR in the host's configuration: a folder of yours, the same each time",
            hint="references/mcp.md has the lines for each host",
        )


def serve(settings: Settings) -> int:
    """Serve until the client goes away. Returns the exit code. Raises TaskError for what is wrong with the settings."""
    from importlib.util import find_spec

    from videotasks.lifecycle.open_session import require_packages
    from videotasks.lifecycle.preflight import amount_of
    from videotasks.providers.load_profile import load_profile

    require_packages()
    if find_spec("mcp") is None:
        raise configuration_error(
            "the Python package mcp is missing",
            expected="the packages that this script's header lists",
            hint='run it with `uv run`, or install "mcp>=2.3,<3" (with the package: ai-video-tasks[mcp])',
        )
    workspace.artifacts_root()
    if settings.sandbox_scenario and not settings.sandbox:
        raise configuration_error("--sandbox-scenario is for the sandbox", expected="--sandbox as well")
    for option, amount in (("--max-cost", settings.max_cost), ("--max-cost-per-day", settings.max_cost_per_day)):
        if amount:
            amount_of(option, amount)
    if settings.provider:
        load_profile(settings.provider, search=os.environ.get("VIDEO_TASKS_PROVIDERS"))
    import anyio

    from videotasks.mcp_tools.front import Front

    anyio.run(Front(Tools(settings)).run)
    return int(ExitCode.OK)
