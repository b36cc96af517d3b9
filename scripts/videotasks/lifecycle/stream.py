"""An event stream that is still being read, and its lines for people who watch it."""

from __future__ import annotations

import json
from typing import Any

from videotasks.core.errors import category_message
from videotasks.core.record import record
from videotasks.core.redaction import known_secrets, redact
from videotasks.core.safe_text import inert
from videotasks.core.task import Snapshot
from videotasks.formats.sse import SseEvent
from videotasks.lifecycle.create_answer import CreateAnswer
from videotasks.lifecycle.session import Context
from videotasks.network.client import Client
from videotasks.network.flight import Flight


@record
class Stream:
    """An event stream that is still being read: its messages come with `token` as their source."""

    token: object
    flight: Flight
    client: Client


def without_key(event: SseEvent) -> SseEvent:
    """The event without any key that the server put into it, before anything is cut out of it."""
    known = known_secrets()
    return event._replace(event=redact(event.event, known), data=redact(event.data, known))


def report_refused_stream(ctx: Context, found: CreateAnswer) -> None:
    """The verbose line of a stream endpoint that answered with an error, with the keys of the inherited command."""
    error = found.error
    ctx.reporter.event(
        "sse_http_error",
        http_status=found.http_status,
        message=category_message(error.category) if error else None,
        payload=inert(error.message, 1000) if error and error.message else None,
    )


def report_event(ctx: Context, event: SseEvent, task_id: str | None, snapshot: Snapshot | None) -> None:
    """The verbose line of one stream event, with the keys that the inherited command prints."""
    if not ctx.reporter.verbose:
        return
    told = verbose_fields(snapshot) if snapshot else {"terminal": False}
    name, payload = inert(event.event, 60), _payload(event.data)
    ctx.reporter.event("sse_event", sse_event_name=name, generation_id=task_id, **told, payload=payload)


def verbose_fields(snapshot: Snapshot) -> dict[str, Any]:
    """A status with the keys of the inherited command, for the verbose line of an event or a poll."""
    word = inert(snapshot.provider_status, 60) if snapshot.provider_status else None
    return {
        "status": snapshot.status.value,
        "provider_status": word,
        "status_key": word.lower() if word else None,
        "terminal": snapshot.status.terminal,
    }


def _payload(data: str) -> Any:
    """Server data: JSON where it is that and holds nothing harmful, else inert text."""
    text = inert(data, 4000)
    try:
        return json.loads(data) if text == data else text
    except (ValueError, RecursionError):
        return text
