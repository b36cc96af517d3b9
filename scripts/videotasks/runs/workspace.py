"""Where run folders live: found from the current directory, never inside an installed skill (design section 5)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from videotasks.core.durable_files import current_folder, no_current_folder, refuse_link
from videotasks.core.errors import configuration_error
from videotasks.core.installation import skill_folder

ARTIFACTS = Path("task-status") / ".artifacts"
ENVIRONMENT = "VIDEO_TASKS_ARTIFACTS"


def artifacts_root(
    option: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
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
    cwd = current_folder() if cwd is None else cwd
    for named, source in ((option, "--artifacts-dir"), (environ.get(ENVIRONMENT), ENVIRONMENT)):
        if named:
            return _named(named, source, cwd)
    if cwd is None:
        raise no_current_folder()
    start = outside_of_skill(cwd, skill_folder() if skill is None else skill, _as_spelled(cwd, environ))
    top = os.path.realpath(home or os.path.expanduser("~"))
    for folder in (start, *start.parents):
        candidate = folder / ARTIFACTS
        if (candidate.is_dir() and (folder == start or _ours(candidate))) or (folder / ".git").exists():
            return _real(candidate)
        if os.path.realpath(folder) == top:
            break
    return _real(start / ARTIFACTS)


def _real(found: Path) -> Path:
    """The folder that was found by looking around; a link in a cloned repository must not lead it elsewhere."""
    refuse_link(found.parent)
    refuse_link(found)
    return found


def outside_of_skill(folder: Path, skill: Path, spelled: Path | None = None) -> Path:
    """`folder`, or the folder above the agent's directory when it lies inside the installed skill itself.

    `spelled` is the same folder with the links through which it was reached: an installed skill may be one
    (.claude/skills/NAME -> ../../vendor/NAME), and its real place then says nothing of the project.
    """
    real, place = Path(os.path.realpath(skill)), Path(os.path.realpath(folder))
    if real != place and real not in place.parents:
        return folder
    spelled = spelled or folder
    for name in (spelled, *spelled.parents, skill, real):
        # Else a checkout, not an installed copy: .../<agent directory>/skills/<name>
        if name.parent.name == "skills" and os.path.realpath(name) == str(real):
            return Path(os.path.realpath(name.parent.parent.parent))
    return folder


def _as_spelled(cwd: Path, environ: Mapping[str, str]) -> Path:
    """The current directory as the shell names it: links that were walked through are still in it."""
    spelled = environ.get("PWD", "")
    with suppress(OSError):
        if os.path.isabs(spelled) and os.path.samefile(spelled, cwd):
            return Path(os.path.normpath(spelled))
    return cwd


def _ours(folder: Path) -> bool:
    """A folder above the current one counts only when it belongs to this user: /tmp is everybody's."""
    if os.name == "nt":
        return True
    try:
        return folder.stat().st_uid == os.getuid()
    except OSError:
        return False


def _named(value: str, source: str, cwd: Path | None) -> Path:
    if "\0" in value:
        raise configuration_error(f"{source} is no folder name", expected="a path")
    path = Path(os.path.expanduser(value))
    if path.is_absolute():
        return path
    if cwd is None:
        raise no_current_folder()
    return Path(os.path.normpath(cwd / path))
