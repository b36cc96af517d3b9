"""Presigned uploads: ask for an address, PUT the bytes there without the key, keep the object's key in the run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from videotasks.core.errors import Category, TaskError
from videotasks.core.workers import CallTimedOut
from videotasks.formats import jmespath_eval
from videotasks.lifecycle.session import Context
from videotasks.network.client import Client
from videotasks.network.errors import NoAnswer
from videotasks.providers.provider import Provider, no_answer_error
from videotasks.request.draft import RequestDraft
from videotasks.request.local_files import FileRef
from videotasks.runs.store import Run

UPLOAD_TIMEOUT_S = 300.0
ATTEMPTS = 3  # an upload costs nothing and creates no task, so it may be sent again


def upload_files(
    ctx: Context, run: Run, provider: Provider, draft: RequestDraft, known: Mapping[str, str]
) -> dict[str, str]:
    """Object keys by content hash for every file of the draft that is uploaded. Raises TaskError."""
    uploads: dict[str, str] = {}
    for ref in draft.files:
        if ref.how != "upload" or ref.sha256 in uploads:
            continue
        key = known.get(ref.sha256)
        if key is None:
            ctx.reporter.people(f"uploading {ref.role}")
            try:
                key = str(ctx.mailbox.call(partial(_upload, provider, ref, ctx), timeout=UPLOAD_TIMEOUT_S))
            except CallTimedOut:
                raise TaskError(
                    Category.TRANSIENT,
                    "the upload did not end in time; nothing was created",
                    hint="run the same command again",
                ) from None
            run.record("uploaded", ctx.clock(), sha256=ref.sha256, key=key)
            ctx.reporter.event("upload", role=ref.role, bytes=ref.bytes, sha256=ref.sha256)
        elif run.state().uploads.get(ref.sha256) != key:
            run.record("uploaded", ctx.clock(), sha256=ref.sha256, key=key, reused=True)
        uploads[ref.sha256] = key
    return uploads


def _upload(provider: Provider, ref: FileRef, ctx: Context) -> str:
    """One file: init with the key, PUT without it. Returns the object key."""
    spec = provider.profile.upload
    assert spec is not None
    init: Mapping[str, Any] = spec.init
    members = {"file_name": ref.name, "mime": ref.mime, "size": ref.bytes, "sha256": ref.sha256}
    client = provider.client()
    try:
        body = provider.post_json(
            str(init.get("method", "POST")), str(init["path"]), _filled(init.get("body") or {}, members), client=client
        )
    finally:
        client.close()
    put_url, key = jmespath_eval.first_string(spec.put_url, body), jmespath_eval.first_string(spec.key, body)
    if not put_url or not key:
        raise TaskError(
            Category.UNKNOWN,
            "the API gave no upload address; nothing was created",
            hint="give the image as a URL if it takes one",
        )
    headers = {name: str(_filled(value, members)) for name, value in spec.put_headers.items()}
    _put(provider, ctx, put_url, ref.read(), headers)
    return key


def _put(provider: Provider, ctx: Context, url: str, data: bytes, headers: Mapping[str, str]) -> None:
    from videotasks.network.guarded_link import ResultLinks
    from videotasks.network.ssrf_guard import refusal_of_link

    base_url, allow_private = provider.profile.base_url, ctx.allow_private_results
    refusal = refusal_of_link(url, api_base_url=base_url, allow_private=allow_private)
    if refusal is not None:
        raise TaskError(
            Category.PERMISSION,
            f"the API's upload address is refused: {refusal}; nothing was created",
            hint="--allow-private-results lifts it if you trust this API",
        )
    guard = ResultLinks(api_base_url=base_url, allow_private=allow_private).guard(url)
    last: NoAnswer | None = None
    for _ in range(ATTEMPTS):
        # No key goes to an object store: its address is the permission.
        client = Client(guard=guard)
        try:
            answer = client.request("PUT", url, data=data, headers=headers, timeout=120.0, max_bytes=100_000)
        except NoAnswer as error:
            last = error
            continue
        finally:
            client.close()
        if 200 <= answer.status < 300:
            return
        if answer.status < 500:
            raise TaskError(
                Category.VALIDATION,
                f"the upload was refused with HTTP {answer.status}; nothing was created",
                http_status=answer.status,
                server_message=answer.text[:500],
            )
    if last is not None:
        raise no_answer_error(last)
    raise TaskError(Category.TRANSIENT, "the upload failed; nothing was created", hint="run the same command again")


def _filled(value: Any, members: Mapping[str, Any]) -> Any:
    """A template with `{name}` replaced; a template that is one placeholder keeps the member's type."""
    if isinstance(value, dict):
        return {k: _filled(v, members) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, members) for v in value]
    if not isinstance(value, str):
        return value
    if value.startswith("{") and value.endswith("}") and value[1:-1] in members:
        return members[value[1:-1]]
    for name, member in members.items():
        value = value.replace("{" + name + "}", str(member))
    return value
