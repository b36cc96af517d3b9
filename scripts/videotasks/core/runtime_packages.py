"""The packages that the scripts need, and how they come without uv."""

from __future__ import annotations

RUNTIME_PACKAGES = ("requests", "urllib3", "jsonschema", "yaml", "jmespath", "rich", "referencing")
PIP_LINE = (
    'python3 -m pip install "requests>=2.32" "urllib3>=2.6" "jsonschema>=4.20" '
    '"pyyaml>=6.0.1" "jmespath>=1.0.1" "rich>=13"'
)
