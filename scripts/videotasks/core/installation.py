"""This installation: its folder (the one place that counts folders), its version, and the packages that it needs."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # typing's own costs 4 ms of every start, pathlib 8: for --help a string will do
if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def scripts_folder() -> str:
    """The folder of the entry scripts, as this library was loaded (symbolic links not followed)."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def skill_folder() -> Path:
    """The folder that holds SKILL.md, as this library was loaded (symbolic links not followed)."""
    from pathlib import Path

    return Path(scripts_folder()).parent


def skill_version() -> str:
    """The version that SKILL.md states in its first lines; `unknown` where it cannot be read."""
    import re

    try:
        head = (skill_folder() / "SKILL.md").read_bytes()[:4000].decode("utf-8", "replace")
    except OSError:
        return "unknown"
    found = re.search(r'^ +version: *"?([0-9][\w.+-]{0,40})', head, re.MULTILINE)
    return found.group(1) if found else "unknown"


# -- the packages that the scripts need: they come by uv, or into an environment of one's own --

RUNTIME_PACKAGES = ("requests", "urllib3", "jsonschema", "yaml", "jmespath", "rich", "jinja2", "referencing")
# What a create or a wait cannot do without: without one of them nothing begins, as it would fail after the payment.
NEEDED_PACKAGES = ("requests", "urllib3", "yaml", "jmespath")
PIP_LINE = (
    'python3 -m pip install "requests>=2.32" "urllib3>=2.6" "jsonschema>=4.20" '
    '"pyyaml>=6.0.1" "jmespath>=1.0.1" "rich>=13" "jinja2>=3.1.6"'
)
_ACTIVATE = (
    "py -3 -m venv .venv; .venv\\Scripts\\Activate.ps1;"
    if os.name == "nt"
    else ("python3 -m venv .venv && . .venv/bin/activate &&")
)
# Systems such as Debian refuse packages beside their own (PEP 668), so that an environment comes first.
HOW_TO_GET_THEM = (
    "run the script with `uv run` (https://docs.astral.sh/uv/), or make an environment once: "
    f"`{_ACTIVATE} {PIP_LINE if os.name != 'nt' else PIP_LINE.replace('python3', 'python')}`"
)


def least_versions() -> dict[str, str]:
    """Package -> the least version that works, as the line for pip has them."""
    import re

    return dict(re.findall(r'"(\w+)>=([\d.]+)"', PIP_LINE))


def too_old(names: Collection[str]) -> tuple[str, str, str] | None:
    """(package, version here, least version) of the first of `names` that is older than what works.

    By the metadata beside the packages: listing folders costs 1 ms, importing the packages 250.
    """
    import re
    import sys

    here: dict[str, str] = {}
    for folder in sys.path:
        try:
            listed = os.listdir(folder or ".")
        except OSError:
            continue
        for name in listed:
            if found := re.match(r"(\w+)-(\d[\d.]*\d).*\.(?:dist|egg)-info$", name):
                here.setdefault(found[1].lower(), found[2])
    for name, least in least_versions().items():
        if name in names and name in here and older(here[name], least):
            return name, here[name], least
    return None


def older(version: str, least: str) -> bool:
    first, second = ([int(part) if part.isdigit() else 0 for part in text.split(".")] for text in (version, least))
    return first < second
