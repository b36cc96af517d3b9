"""Which module speaks for which provider."""

from __future__ import annotations

from importlib import import_module

from videotasks_sandbox.dialects.base import Wire

_CLASSES = {
    "skills-video": ("skills_video", "SkillsVideo"),
    "creatok": ("creatok", "CreatOK"),
    "octopusx": ("octopusx", "OctopusX"),
    "ark": ("ark", "Ark"),
    "modelark": ("ark", "Ark"),
    "openai-compatible": ("openai_videos", "OpenAIVideos"),
    "fal": ("fal", "Fal"),
    "replicate": ("replicate", "Replicate"),
}


def load_wire(provider: str) -> Wire:
    """The wire of a provider, imported only now: one run talks to one provider, and import time is paid by each run.

    Raises:
        KeyError: for a name that is not in scenarios.PROVIDERS.
    """
    module, name = _CLASSES[provider]
    wire: Wire = getattr(import_module(f"videotasks_sandbox.dialects.{module}"), name)(provider)
    return wire
