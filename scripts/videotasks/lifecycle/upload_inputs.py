"""Local files that go ahead of a create, by the profile's `upload`; what the create takes is kept in the run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from functools import partial
from typing import Any

from videotasks.core.errors import Category, TaskError, configuration_error
from videotasks.core.workers import CallTimedOut
from videotasks.formats import jmespath_eval
from videotasks.lifecycle.session import Context
from videotasks.network.client import Client
from videotasks.network.errors import NoAnswer
from videotasks.providers import address
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
                key = str(ctx.mailbox.call(partial(_upload, provider, ref, ctx, draft.model), timeout=UPLOAD_TIMEOUT_S))
            except CallTimedOut:
                raise _failed("did not end in time") from None
            run.record("uploaded", ctx.clock(), sha256=ref.sha256, key=key)
            ctx.reporter.event("upload", role=ref.role, bytes=ref.bytes, sha256=ref.sha256)
        elif run.state().uploads.get(ref.sha256) != key:
            run.record("uploaded", ctx.clock(), sha256=ref.sha256, key=key, reused=True)
        uploads[ref.sha256] = key
    return uploads


def _upload(provider: Provider, ref: FileRef, ctx: Context, model: str | None) -> str:
    """One file: init with the key, then its bytes to where the profile says. Returns what the create takes."""
    spec = provider.profile.upload
    assert spec is not None
    about = {"name": ref.name, "mime": ref.mime, "size": ref.bytes, "sha256": ref.sha256}
    known: dict[str, Any] = {**about, "file_name": ref.name, **({"model": model} if model else {})}
    told: Any = {}
    if spec.init is not None:
        body = address.fill_body(spec.init.get("body"), known)
        query = address.fill_body(spec.init.get("query") or {}, known)
        told = _api_call(provider, str(spec.init.get("method", "POST")), str(spec.init["path"]), query, json_body=body)
    init = {**told, "file": about} if isinstance(told, dict) else {"file": about}
    headers = {name: str(address.fill_body(value, known)) for name, value in spec.put_headers.items()}
    form: list[tuple[str, Any]] = [(name, (None, value)) for name, value in _fields(spec.fields, init)]
    form.append((spec.part, (ref.name, ref.read(), ref.mime)))
    if spec.path is not None:
        values = {**known, **{k: str(v) for k, v in init.items() if isinstance(v, (str, int))}}
        if missing := sorted(address.names_in(spec.path) - values.keys()):
            raise configuration_error(
                f"the answer of upload.init has no {missing[0]!r}, which upload.path needs; nothing was created",
                expected="a name that stands in that answer, on top",
                hint="mend the profile",
            )
        path = address.fill_path(spec.path, values)
        how: dict[str, Any] = {"files": form} if spec.how == "multipart" else {"data": ref.read(), "headers": headers}
        answer = _api_call(provider, "POST", path, {}, **how)
        told = {**init, **answer} if isinstance(answer, dict) else init
    else:
        url = jmespath_eval.first_string(spec.put_url, init)
        if not url:
            raise _no_address()
        how = {"files": form} if spec.how == "post" else {"data": ref.read(), "headers": headers}
        _send(provider, ctx, "POST" if spec.how == "post" else "PUT", url, how)
        told = init
    found = jmespath_eval.first_value(spec.key, told)
    if isinstance(found, bool) or not isinstance(found, (str, int)) or found == "":
        raise _no_address()
    return str(found)


def _failed(how: str) -> TaskError:
    hint = "run the same command again"
    return TaskError(Category.TRANSIENT, f"the upload {how}; nothing was created", hint=hint)


def _no_address() -> TaskError:
    return TaskError(
        Category.UNKNOWN,
        "the API gave no upload address; nothing was created",
        hint="give the image as a URL if it takes one",
    )


def _fields(spec: Any, init: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The fields of a presigned form, before its file."""
    found = jmespath_eval.evaluate(spec, init) if isinstance(spec, str) else {}
    if isinstance(spec, Mapping):
        found = {name: jmespath_eval.evaluate(path, init) for name, path in spec.items()}
    if not isinstance(found, Mapping):
        return []
    return [(str(name), str(value)) for name, value in found.items() if isinstance(value, (str, int))]


def _api_call(provider: Provider, method: str, path: str, query: Mapping[str, Any], **how: Any) -> Any:
    """A call of the API itself, with its key; asked again when no answer comes, for an upload makes no task."""
    with closing(provider.client()) as client:
        return provider.get_json(
            path, method=method, query=query, client=client, operation="upload", attempts=ATTEMPTS, timeout=60.0, **how
        )


def _send(provider: Provider, ctx: Context, method: str, url: str, how: Mapping[str, Any]) -> None:
    """The bytes to an object store: no key goes there, its address is the permission."""
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
        try:
            with closing(Client(guard=guard)) as client:
                answer = client.request(method, url, timeout=120.0, max_bytes=100_000, **how)
        except NoAnswer as error:
            last = error
            continue
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
    raise _failed("failed")
