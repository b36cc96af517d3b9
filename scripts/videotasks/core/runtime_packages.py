"""The packages that the scripts need, and how they come: by uv, or into an environment of one's own."""

from __future__ import annotations

import os

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
