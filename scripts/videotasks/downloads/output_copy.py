"""--output: a copy of a result where the user wants it: whole or not at all, never over a file by accident."""

from __future__ import annotations

import filecmp
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from videotasks.core.durable_files import disk_error, replace, sha256_of, sync_dir, user_path
from videotasks.core.errors import TaskError, configuration_error

TAKEN = "output_exists"  # the code of the refusal to write over a file


def output_path(target: str, name: str, *, force: bool) -> Path:
    """Where a copy of a file called `name` goes. Raises TaskError (exit 1) when it cannot go there.

    An existing folder, or a path with a slash at its end, is a folder; anything else is a file, its extension as typed.
    Also for a check before anything is paid for: nothing is created here.
    """
    expected = "--output FILE or --output FOLDER/"
    if not target or "\0" in target:
        raise configuration_error("--output is empty or no path", expected=expected)
    separators = tuple(s for s in (os.sep, os.altsep) if s)
    path = user_path(target)
    is_folder = path.is_dir() or target.endswith(separators)
    parent = path.parent
    if not parent.is_dir():
        raise configuration_error(
            f"--output: the folder {parent} does not exist",
            expected=expected,
            hint=f"create {parent}, or name a folder that exists",
        )
    if is_folder and not path.is_dir() and os.path.lexists(path):
        raise configuration_error(f"--output: {path} is a file, not a folder", expected=expected)
    place = path / name if is_folder else path
    if place.is_dir():
        raise configuration_error(f"--output: {place} is a folder", expected=expected)
    if not force and os.path.lexists(place):
        raise _taken(place)
    return place


def in_the_way(target: str, name: str, *, force: bool) -> TaskError | None:
    """The refusal to write over a file that stands there. Raises TaskError: a copy cannot go there anyhow."""
    try:
        output_path(target, name, force=force)
    except TaskError as error:
        if error.code != TAKEN:
            raise
        return error
    return None


def copy_output(source: Path, target: str, *, force: bool) -> Path:
    """Copy `source` to `target` (see `output_path`) and return the copy's absolute path.

    The copy has the permissions of any new file of the user's, unlike the private original. A file of the same bytes
    that stands there is the copy of an earlier call. Raises TaskError: what stands in the way (exit 1); a failed copy
    leaves nothing behind.
    """
    place = user_path(target)
    place = place / source.name if place.is_dir() else place
    if place.exists() and (os.path.samefile(place, source) or _same_bytes(place, source)):
        return place.absolute()
    place = output_path(target, source.name, force=force)
    temporary = place.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        place.parent.mkdir(exist_ok=True)
        with open(source, "rb") as reader, open(temporary, "xb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            os.fsync(writer.fileno())
        if force:
            replace(temporary, place)
        else:
            _publish_new(temporary, place)
    except OSError as error:
        failed = disk_error(error, f"--output: {place} could not be written")
        failed.hint = "free space, or name another place with --output"
        raise failed from None
    finally:
        with suppress(OSError):
            os.unlink(temporary)
    sync_dir(place.parent)
    return place.absolute()


def is_copy_of(target: str, files: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the file at --output holds one of the recorded results: the copy of an earlier, equal command."""
    place = user_path(target)
    for entry in files:
        found = place / Path(str(entry.get("path"))).name if place.is_dir() else place
        with suppress(OSError):
            info = os.stat(found)
            same = stat.S_ISREG(info.st_mode) and info.st_size == entry.get("bytes")
            if same and sha256_of(found, follow=True) == entry.get("sha256"):
                return True
    return False


def _same_bytes(one: Path, other: Path) -> bool:
    """Whether two plain files hold the same."""
    with suppress(OSError):
        return filecmp.cmp(one, other, shallow=False)
    return False


def _publish_new(temporary: Path, place: Path) -> None:
    """Give the finished copy its name, unless somebody took that name meanwhile."""
    try:
        os.link(temporary, place)  # fails when the name is taken, and never shows half a file
        return
    except FileExistsError:
        pass
    except OSError:
        # No hard links here (FAT, some network shares): a look, then a rename.
        if not os.path.lexists(place):
            replace(temporary, place)
            return
    raise _taken(place)


def _taken(place: Path) -> TaskError:
    return configuration_error(
        f"--output: {place} exists already",
        expected="a name that is free",
        code=TAKEN,
        hint="choose another name, or add --force to replace it",
    )
