"""The packages that the scripts need, and how they come without uv."""

from __future__ import annotations

RUNTIME_PACKAGES = ("requests", "urllib3", "jsonschema", "yaml", "jmespath", "rich", "referencing")
VENV = "~/.cache/ai-video-tasks/venv"
# A venv, because Debian's and Homebrew's Python refuse a bare `pip install` (PEP 668).
PIP_LINE = (
    f"python3 -m venv {VENV} && {VENV}/bin/pip install "
    '"requests>=2.32" "urllib3>=2.6" "jsonschema>=4.20" "pyyaml>=6.0.1" "jmespath>=1.0.1" "rich>=13"'
    f", then run the script with {VENV}/bin/python"
)
