"""How the user called us: a script by its path, or the one command that has the scripts as its subcommands."""

from __future__ import annotations

import os
import sys

COMMAND = "ai-video-tasks"

# Subcommand -> its script. A script that is not there is not offered.
SUBCOMMANDS = {
    "create": "create_and_wait.py",
    "wait": "wait_generation.py",
    "status": "task_status.py",
    "key": "ensure_api_key.py",
    "inspect": "inspect_openapi.py",
    "error": "handle_runtime_error.py",
    "batch": "batch.py",
    "fleet": "batch_fleet.py",
    "gallery": "gallery.py",
    "models": "list_models.py",
    "mcp": "mcp_server.py",
    "sandbox": "sandbox.py",
}

# The command as a later one repeats it, program and options; empty when a script was called by its path.
called_as: list[str] = []


def program() -> str | None:
    """What to call this program in its own usage; None: by its script's name."""
    return f"{COMMAND} {subcommand_of(os.path.basename(sys.argv[0]))}" if called_as else None


def subcommand_of(script: str) -> str:
    return next(name for name, named in SUBCOMMANDS.items() if named == script)


def in_words_of_the_caller(text: str) -> str:
    """`task_status.py --latest` as `ai-video-tasks status --latest`, for who knows only that command."""
    if called_as:
        for name, script in SUBCOMMANDS.items():
            text = text.replace(script, f"{COMMAND} {name}")
    return text
