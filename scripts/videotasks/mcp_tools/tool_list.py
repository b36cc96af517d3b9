"""What the server offers: each tool's name, words, input schema and hints, as data. Every model reads all of it.

All tools together stay under 2,500 tokens (measured in the tests): a host shows the list to the model at every start.
"""

from __future__ import annotations

from typing import Any

from videotasks.runs.results import STATUS_WORDS

MOST_WAIT_S = 50  # hosts give a call up after 60 s
LIST_LIMIT = 10


def _text(description: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "string", **({"description": description} if description else {}), **more}


def _list(description: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}, "description": description}


REQUEST: dict[str, Any] = {
    "provider": _text("as list_models names it"),
    "model": _text("id from list_models"),
    "prompt": _text("what the video shows"),
    "duration": {"type": "number", "description": "seconds"},
    "ratio": _text("such as 16:9"),
    "resolution": _text("such as 720p"),
    "seed": {"type": "integer"},
    "image": _list("path or URL; role first: first_frame=..., last_frame=..., reference=..."),
    "video": _list("reference videos, likewise"),
    "audio": _list("reference sounds, likewise"),
    "set": {"type": "object", "description": "other members of the body by dotted name"},
    "payload": {"type": "object", "description": "the whole body; wins over the above"},
    "kind": _text("where a provider has several kinds of task"),
    "take": {"type": "integer", "minimum": 1, "description": "2 makes another of the same request, and pays again"},
}
WHICH: dict[str, Any] = {
    "run_id": _text("neither this nor task_id: the newest run"),
    "task_id": _text("the provider's id"),
    "provider": _text("needed for a task_id that no run here knows"),
}


def _tool(
    name: str,
    title: str,
    description: str,
    properties: dict[str, Any],
    *,
    required: tuple[str, ...] = (),
    reads: bool = False,
    destroys: bool = False,
    outside: bool = True,
) -> dict[str, Any]:
    """`reads`: changes nothing, not even its own records; `destroys`: what it does cannot be undone (money, a task).

    Every tool is idempotent: the same create attaches to its run instead of paying again.
    """
    return {
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": {
            "type": "object",
            "properties": properties,
            **({"required": list(required)} if required else {}),
            "additionalProperties": False,
        },
        "annotations": {
            "readOnlyHint": reads,
            "destructiveHint": destroys,
            "idempotentHint": True,
            "openWorldHint": outside,
        },
    }


TOOLS: tuple[dict[str, Any], ...] = (
    _tool(
        "plan_video",
        "Plan a video",
        "Dry run: the exact request, its price, the balance and what is assumed. Sends nothing that pays.",
        REQUEST,
        reads=True,
    ),
    _tool(
        "create_video",
        "Create a video (pays)",
        "Without `confirmation`: pays nothing, answers with the plan and a one-use `confirmation` for exactly this "
        "request (10 minutes). Show the plan to the user; only after their yes call again with the same arguments and "
        "`confirmation`: that pays, and returns at once with run_id and task_id. The same request made before is "
        "returned, not paid again.",
        {**REQUEST, "confirmation": _text()},
        destroys=True,
    ),
    _tool("check_task", "Check a task", "One look at a task: status, link, reason. Free.", WHICH),
    _tool(
        "wait_for_task",
        "Wait for a task",
        f"Wait for the end and fetch the file, at most {MOST_WAIT_S} s a call; call again while it is not finished.",
        {**WHICH, "seconds": {"type": "number", "minimum": 1, "maximum": MOST_WAIT_S}},
    ),
    _tool(
        "download_result",
        "Download a result",
        "Fetch the files of a task that succeeded, checked. Links die, often within 24 hours.",
        {**WHICH, "output": _text("also copy the video to this file or folder")},
    ),
    _tool(
        "list_tasks",
        "List tasks",
        "Runs of this workspace, newest first.",
        {
            "status": _text(enum=list(STATUS_WORDS)),
            "provider": _text(),
            "limit": {"type": "integer", "minimum": 1, "maximum": 50, "description": f"({LIST_LIMIT})"},
        },
        reads=True,
        outside=False,
    ),
    _tool(
        "cancel_task",
        "Cancel a task",
        "Cancel one where its provider can; never a request that would destroy a finished one. Ask the user first.",
        WHICH,
        destroys=True,
    ),
    _tool(
        "list_models",
        "List models",
        "Which models there are, what they take; with `model` every member of that one's body.",
        {
            "search": _text("words of id, note or provider"),
            "provider": _text(),
            "model": _text(),
            "limit": {"type": "integer", "minimum": 1, "maximum": 50, "description": f"({LIST_LIMIT})"},
        },
        reads=True,
        outside=False,
    ),
    _tool(
        "check_key",
        "Check a key",
        "Whether a provider's key is set, and where to get one; `verify` tries it with one free call. Shows no key.",
        {"provider": _text(), "verify": {"type": "boolean"}},
        reads=True,
    ),
    _tool(
        "seedance_check_task",
        "Check Seedance 2.0 task status",
        "Query the status of a Seedance 2.0 task by task_id. Returns running / succeeded / failed / other. On success "
        "returns video_url (and last_frame_url if return_last_frame was true). Generated URLs expire within ~24h - "
        "download promptly.",
        {"task_id": _text("Seedance task id (e.g. cgt-...)")},
        required=("task_id",),
        reads=True,
    ),
)
BY_NAME = {tool["name"]: tool for tool in TOOLS}
