"""Hostile samples that stand in data files, in base64: a scanner that reads them takes a test for the real thing."""

from __future__ import annotations

import base64
import json
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "data"


def files_of_a_home() -> dict[str, bytes]:
    """Name -> content of files that a prompt injection would have sent as an image; all made up."""
    coded = json.loads((DATA / "files_of_a_home.json").read_text(encoding="utf-8"))
    return {name: base64.b64decode(text) for name, text in coded.items()}
