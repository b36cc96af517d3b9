"""How a wait ended, and a snapshot as the journal records it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from videotasks import origins
from videotasks.context import Context
from videotasks.models import ApiError, Snapshot, Status
from videotasks.provider import Provider
from videotasks.reporting import api_error_fields


@dataclass
class Ending:
    """`outcome`: succeeded, failed, cancelled, expired, no_result, refused, timeout. `source`: sse, poll, create."""

    outcome: str
    source: str
    snapshot: Snapshot | None = None
    error: ApiError | None = None


def snapshot_fields(
    ctx: Context, provider: Provider, snapshot: Snapshot | None, error: ApiError | None = None
) -> dict[str, Any]:
    """The journal's view of a snapshot."""
    if snapshot is None:
        return {}
    expires_at = snapshot.expires_at
    ttl_s = provider.profile.result.ttl_s
    if expires_at is None and ttl_s and snapshot.status is Status.SUCCEEDED:
        expires_at = (
            ctx.clock() + ttl_s
        )  # counted from when it was first seen done; never longer than the truth by much
    return {
        "status": snapshot.status.value,
        "provider_status": snapshot.provider_status,
        "progress": snapshot.progress,
        "outputs": [{"kind": o.kind, "url": o.url, "content_path": o.content_path} for o in snapshot.outputs] or None,
        "usage": dict(snapshot.usage) if snapshot.usage else None,
        "cost": snapshot.cost,
        "cost_unit": snapshot.cost_unit,
        "expires_at": expires_at,
        "follow": origins.own_paths(provider.profile.base_url, snapshot.follow) or None,
        "error": api_error_fields(error or snapshot.error, 2000),
    }
