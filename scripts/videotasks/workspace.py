"""Where run folders live: found from the current directory, never inside an installed skill (design section 5)."""

from __future__ import annotations

import os
from pathlib import Path

from videotasks.models import configuration_error

ARTIFACTS = Path("task-status") / ".artifacts"
ENVIRONMENT = "VIDEO_TASKS_ARTIFACTS"


def artifacts_root(
    option: str | None = None,
    *,
    environ: dict[str, str] | None = None,
    cwd: Path | None = None,
    home: Path | None = None,
    skill: Path | None = None,
) -> Path:
    """The artifacts root as an absolute path; it need not exist yet.

    --artifacts-dir, then $VIDEO_TASKS_ARTIFACTS, then the nearest existing one from `cwd` upward (to the repository
    root or home), then the repository root, then `cwd`. A directory inside an installed skill is left first, for
    installers wipe that folder on update.
    """
    environ = dict(os.environ) if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd
    for named, source in ((option, "--artifacts-dir"), (environ.get(ENVIRONMENT), ENVIRONMENT)):
        if named:
            return _named(named, source, cwd)
    start = outside_of_skill(cwd, skill_folder() if skill is None else skill)
    home = _home() if home is None else home
    repository: Path | None = None
    for folder in (start, *start.parents):
        candidate = folder / ARTIFACTS
        if candidate.is_dir():
            return candidate
        if (folder / ".git").exists():
            repository = folder
            break
        if folder == home:
            break
    return (repository or start) / ARTIFACTS


def skill_folder() -> Path:
    """The folder that holds SKILL.md, as this library was loaded (symbolic links not followed)."""
    return Path(os.path.abspath(__file__)).parents[2]


def outside_of_skill(folder: Path, skill: Path) -> Path:
    """`folder`, or the folder above the agent's directory when it lies inside the installed skill itself."""
    for spelled in {skill, Path(os.path.realpath(skill))}:
        if spelled.parent.name != "skills":
            continue  # a checkout, not an installed copy: .../<agent directory>/skills/<name>
        for place in (folder, Path(os.path.realpath(folder))):
            if place == spelled or spelled in place.parents:
                return spelled.parent.parent.parent
    return folder


def _named(value: str, source: str, cwd: Path) -> Path:
    if "\0" in value:
        raise configuration_error(f"{source} is no folder name", expected="a path")
    path = Path(os.path.expanduser(value))
    return path if path.is_absolute() else Path(os.path.normpath(cwd / path))


def _home() -> Path | None:
    try:
        return Path.home()
    except (RuntimeError, KeyError):
        return None
