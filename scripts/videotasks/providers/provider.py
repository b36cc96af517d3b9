"""One provider as verbs over HTTP: look, cancel, list, upload, credits, capabilities. The profile says how.

Nothing here decides about money or time: verbs return what came back, or raise NoAnswer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from videotasks.core.errors import (
    ApiError,
    Category,
    TaskError,
    category_message,
    configuration_error,
    said_by_the_api,
)
from videotasks.core.record import field, record, replace
from videotasks.core.task import Snapshot, Status, valid_task_id
from videotasks.formats import jmespath_eval
from videotasks.network import origins
from videotasks.network.client import MAX_JSON_BYTES, Answer, Client
from videotasks.network.errors import NoAnswer
from videotasks.network.flight import Flight
from videotasks.providers import address, classify_error, credentials, normalize, outputs
from videotasks.providers.profile import Cancel, Profile, StatusSpec


@record(frozen=True)
class TaskRef:
    """What is needed to ask about a task: its id, and the URLs that the API gave for it."""

    task_id: str
    follow: Mapping[str, str] = field(default_factory=dict)


@record(frozen=True)
class Look:
    """One look at a task: a snapshot, or an error of the API, or (both None) an answer that was none.

    `hint_s` is how long the server asks to wait. `final_refusal` is true when the error has the provider's own
    shape (or an empty body) and a status that ends a wait.
    """

    snapshot: Snapshot | None = None
    error: ApiError | None = None
    reason: str = ""
    http_status: int | None = None
    hint_s: float | None = None
    body: Any = None
    misdirected: bool = False  # the answer is about another task

    @property
    def final_refusal(self) -> bool:
        return self.error is not None and self.error.shaped and self.error.category in FINAL_ON_POLL


@record(frozen=True)
class ListPage:
    """Which page of a list of tasks is asked for: its number, and what of the answer before says where it is."""

    number: int = 0
    seen: int = 0  # tasks on the pages before
    query: Mapping[str, Any] = field(default_factory=dict)
    url: str | None = None


@record(frozen=True)
class ManyLooks:
    """What one request told of many tasks: a look at each that it shows; `looks` is None when it was no answer.

    `next` is the page after this one. `final` is true of a refusal that the next request would meet, too.
    """

    looks: Mapping[str, Look] | None = None
    next: ListPage | None = None
    reason: str = ""
    http_status: int | None = None
    hint_s: float | None = None
    final: bool = False


# 401, 402, 403 and 404 end a wait, and only with the provider's own error shape: a proxy's page proves nothing.
FINAL_ON_POLL = frozenset(
    {Category.AUTH, Category.PERMISSION, Category.INSUFFICIENT_CREDITS, Category.NOT_FOUND, Category.VALIDATION}
)
# A refusal ends a wait only with such a status (2xx: in the body). Codes alone do not: gateways put them into 5xx.
FINAL_STATUSES = frozenset({200, 201, 202, 400, 401, 402, 403, 404, 410, 422})

# A result may stand in its answer as base64; 64 MB are 48 MB of video. Of members, no more than any answer may have.
MAX_TASK_BYTES = 64_000_000
MAX_TASK_MEMBERS = 1_000_000


class Provider:
    """A profile at an origin with a key. Clients keep connections alive; each is used by one thread at a time."""

    def __init__(
        self, profile: Profile, key: credentials.Key | None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.profile = profile
        self._key = key
        self._clock = clock

    @property
    def name(self) -> str:
        return self.profile.name

    @property
    def key_mark(self) -> str:
        """Tells whether two processes use one key; "" without one."""
        return self._key.mark if self._key is not None else ""

    @property
    def keyless(self) -> bool:
        return self._key is None

    def client(self) -> Client:
        """A client that carries the key: for this provider's origin only. Raises TaskError for too old a library."""
        key, profile = self._key, self.profile
        if key is not None:
            credentials.secret_of(key)  # a command that prints no token is told here, not as a fault of the network
        client = Client(
            authorise=(lambda: credentials.authorisation(profile, key)) if key is not None else None,
            headers=lambda: {"Accept": "application/json", **profile.headers, **_made_anew(profile.fresh_headers)},
        )
        client.require_libraries()
        return client

    def url(self, path_or_url: str) -> str:
        return origins.api_url(self.profile.base_url, path_or_url)

    # -- looking --

    def status_request(self, ref: TaskRef) -> tuple[str, str, Any]:
        """(method, URL, body or None) of one look. Raises TaskError when a part of the address is not known."""
        spec = self.profile.status
        url = self._address(spec, ref, "status")
        known = self._known(ref)
        url = _with_query(url, address.fill_body(spec.query, known))
        return spec.method, url, address.fill_body(spec.body, known)

    def _known(self, ref: TaskRef) -> dict[str, str]:
        """What addresses and bodies may name. A create path without {model} is known without a run, too."""
        default = {} if "{" in self.profile.create.path else {"path": self.profile.create.path}
        return {**default, **ref.follow, "task_id": ref.task_id}

    def _address(self, spec: StatusSpec | Cancel, ref: TaskRef, what: str) -> str:
        """Where a look or a cancel goes. Raises TaskError when it is not known for this task."""
        url = self.followed(spec.url_from, ref)
        if url is None and spec.path is None:
            raise configuration_error(
                f"{self.name} gives each task its own {what} address, and this task's is not known here",
                expected="a run made by create_and_wait.py",
                hint="look with --run-id",
            )
        path = spec.path or ""
        return url or self.url(address.fill_path(path, self._known(ref), raw_id=self.profile.status.raw_id))

    def look(self, ref: TaskRef, *, client: Client, flight: Flight | None = None, timeout: float = 20.0) -> Look:
        """Ask for a task's status (and, where the result is behind a second request, for that). Raises NoAnswer."""
        ask = partial(client.request, flight=flight, timeout=timeout, max_bytes=MAX_TASK_BYTES)
        method, url, body = self.status_request(ref)
        look = self.read_look(ask(method, url, json_body=body), ref)
        if look.misdirected:
            client.close()  # whatever else this connection still holds is not ours to read
        if look.snapshot is not None and look.snapshot.needs_result_fetch:
            look = self._with_result(look, ref, ask)
        return look

    def read_look(self, answer: Answer, ref: TaskRef) -> Look:
        """Interpret one answer to a status request."""
        profile, status, body, hint = self.profile, answer.status, _task_body(answer), self._hint(answer)
        if status == 202 and not answer.body.strip():  # accepted, and nothing more to say yet
            return Look(snapshot=Snapshot(Status.RUNNING, task_id=ref.task_id), http_status=202, hint_s=hint)
        reason = ""
        if not 200 <= status < 300:
            error, reason = self.api_error("poll", answer, body), f"HTTP {status}"
            hint = error.retry_after_s if error.retry_after_s is not None else hint
        elif not isinstance(body, dict):
            return Look(reason="the answer is no task (not JSON)", http_status=status, hint_s=hint)
        elif normalize.about_another_task(profile, body, ref.task_id):
            reason = "the answer is about another task"
            return Look(reason=reason, http_status=status, hint_s=hint, misdirected=True)
        else:
            known = self._known(ref)
            snap = normalize.snapshot(profile, body, task_id=ref.task_id, http_status=status, known=known)
            if snap.error is None or snap.error.in_task:
                return Look(snapshot=snap, http_status=status, hint_s=hint, body=body)
            error = snap.error
        if (ended := normalize.ended_by(profile, error, body, ref.task_id)) is not None:
            return Look(snapshot=ended, http_status=status, body=body)
        return Look(error=error, reason=reason, http_status=status, hint_s=hint, body=body)

    def look_at_many(
        self,
        refs: Mapping[str, TaskRef],
        page: ListPage,
        *,
        client: Client,
        flight: Flight | None = None,
        timeout: float = 20.0,
    ) -> ManyLooks:
        """Ask for many tasks by one request (profile status.bulk). Raises NoAnswer."""
        spec = self.profile.status.bulk
        assert spec is not None
        known: dict[str, Any] = {**self._known(TaskRef("")), "task_ids": list(refs)}
        url = page.url or _with_query(
            self.url(address.fill_path(spec.path, known)), {**address.fill_body(spec.query, known), **page.query}
        )
        sent = address.fill_body(spec.body, known)
        answer = client.request(
            spec.method, url, json_body=sent, flight=flight, timeout=timeout, max_bytes=MAX_TASK_BYTES
        )
        return self.read_many(answer, refs, page)

    def read_many(self, answer: Answer, refs: Mapping[str, TaskRef], page: ListPage) -> ManyLooks:
        """Interpret one answer about many tasks. An item counts for the task whose very id it has."""
        spec, status, body, hint = self.profile.status.bulk, answer.status, _task_body(answer), self._hint(answer)
        assert spec is not None
        if not 200 <= status < 300:
            error = self.api_error("poll", answer, body)
            hint = error.retry_after_s if error.retry_after_s is not None else hint
            return ManyLooks(reason=f"HTTP {status}", http_status=status, hint_s=hint, final=400 <= status < 429)
        items = jmespath_eval.evaluate(spec.items, body)
        if not isinstance(items, list) or normalize.in_band_error(self.profile, body, status) is not None:
            return ManyLooks(reason="the answer is no list of tasks", http_status=status, hint_s=hint)
        looks: dict[str, Look] = {}
        for item in items:
            task_id = valid_task_id(jmespath_eval.evaluate(spec.id, item))
            if task_id is None or task_id not in refs:
                continue
            if task_id in looks:  # which of the two is true, its own answer tells
                looks[task_id] = Look(reason="listed more than once", http_status=status)
            else:
                looks[task_id] = self._item(item, refs[task_id], status, hint)
        return ManyLooks(looks, self._next_page(page, body, len(items)), http_status=status, hint_s=hint)

    def _item(self, item: Any, ref: TaskRef, status: int, hint: float | None) -> Look:
        spec = self.profile.status.bulk
        body = jmespath_eval.evaluate(spec.body_of, item) if spec and spec.body_of else item
        if not isinstance(body, dict) or normalize.about_another_task(self.profile, body, ref.task_id):
            return Look(reason="an item that is no task", http_status=status)
        snap = normalize.snapshot(self.profile, body, task_id=ref.task_id, http_status=status, known=self._known(ref))
        if snap.error is not None and not snap.error.in_task:
            return Look(error=snap.error, http_status=status, body=body)
        return Look(snapshot=snap, http_status=status, hint_s=hint, body=body)

    def _next_page(self, page: ListPage, body: Any, count: int) -> ListPage | None:
        spec = self.profile.status.bulk
        assert spec is not None
        how, seen, number = spec.next, page.seen + count, page.number + 1
        if count == 0 or not how:
            return None
        if "url" in how:
            location = jmespath_eval.first_string([how["url"]], body)
            url = origins.followed_url(self.profile.base_url, location) if location else None
            return ListPage(number, seen, url=url) if url is not None else None
        if "cursor" in how:
            value = jmespath_eval.evaluate(how["from"], body)
            return ListPage(number, seen, {how["cursor"]: value}) if value and isinstance(value, (str, int)) else None
        if count < spec.most:
            return None
        if "offset" in how:
            return ListPage(number, seen, {how["offset"]: seen})
        first = spec.query.get(how["page"], 1)
        return ListPage(number, seen, {how["page"]: int(first) + number})

    def _with_result(self, look: Look, ref: TaskRef, ask: Callable[..., Answer]) -> Look:
        snap, spec = look.snapshot, self.profile.result.fetch
        assert snap is not None and spec is not None
        ref = TaskRef(ref.task_id, {**ref.follow, **snap.follow})
        url = self.followed(spec.get("url_from"), ref)
        if url is None and spec.get("path"):
            path = outputs.filled(spec, look.body, self._known(ref))
            url = self.url(path) if path is not None else None
        if url is None:
            return look
        sent = address.fill_body(spec.get("body"), self._known(ref))
        # The task is done, and stays that while only its result does not come through.
        try:
            answer = ask(str(spec.get("method", "GET")), url, json_body=sent)
        except NoAnswer as silence:
            if silence.kind == "aborted":
                raise
            missing = ApiError(Category.TRANSIENT, silence.message)
            return Look(snapshot=replace(snap, error=missing), http_status=silence.status)
        body, hint = _task_body(answer), self._hint(answer)
        if answer.status < 300 and body is None:
            missing = ApiError(Category.TRANSIENT, "the result is not JSON", http_status=answer.status)
            read = replace(snap, error=missing)
        else:
            read = normalize.with_result(self.profile, snap, body, answer.status)
        return Look(snapshot=read, http_status=answer.status, hint_s=hint, body=body)

    def followed(self, name: str | None, ref: TaskRef) -> str | None:
        """A URL that the API itself gave for this task; only on the API's own origin."""
        location = ref.follow.get(name) if name else None
        return origins.followed_url(self.profile.base_url, location) if location else None

    def _hint(self, answer: Answer) -> float | None:
        return classify_error.poll_hint(self.profile, answer.headers, self._clock())

    # -- afterwards --

    def cancel(self, ref: TaskRef, *, client: Client, timeout: float = 20.0) -> Answer:
        """Send the cancel request. The caller has looked first: it may destroy the record of a finished task."""
        spec = self.profile.cancel
        assert spec is not None
        url = self._address(spec, ref, "cancel")
        body = address.fill_body(spec.body, self._known(ref))
        return client.request(spec.method, url, json_body=body, timeout=timeout)

    def get_answer(
        self,
        path: str,
        *,
        client: Client,
        method: str = "GET",
        query: Mapping[str, Any] | None = None,
        operation: str = "poll",
        attempts: int = 1,
        timeout: float = 20.0,
        **sent: Any,
    ) -> Answer:
        """The JSON answer to a call that costs nothing (balance, list, upload), asked for again while none comes.

        `sent` is what `Client.request` takes. Raises TaskError.
        """
        url = _with_query(self.url(path), query or {})
        for left in reversed(range(attempts)):
            try:
                answer = client.request(method, url, timeout=timeout, **sent)
                break
            except NoAnswer as silence:
                if not left:
                    raise no_answer_error(silence) from None
        told = answer.json()
        if not 200 <= answer.status < 300 or told is None:
            raise refusal(self.api_error(operation, answer, told))
        refused = normalize.in_band_error(self.profile, told, operation=operation)
        if refused is not None:
            raise refusal(refused)
        return answer

    def get_json(self, path: str, **how: Any) -> Any:
        """The body of `get_answer`."""
        return self.get_answer(path, **how).json()

    def api_error(self, operation: str, answer: Answer, body: Any) -> ApiError:
        """What an answer says went wrong, in our terms."""
        return classify_error.api_error(
            self.profile,
            operation=operation,
            http_status=answer.status,
            body=body,
            text=answer.text,
            headers=answer.headers,
            now=self._clock(),
        )


def _made_anew(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of which each request has a value of its own."""
    if not headers:
        return {}
    from uuid import uuid4

    return {name: value.replace("{uuid}", str(uuid4())) for name, value in headers.items()}


def _task_body(answer: Answer) -> Any:
    """The parsed body; None when it is no JSON, was cut, or is large by its members and not by a file in it."""
    large = len(answer.body) > MAX_JSON_BYTES and sum(map(answer.body.count, b",[{")) > MAX_TASK_MEMBERS
    return None if answer.truncated or large else answer.json()


def _with_query(url: str, query: Mapping[str, Any]) -> str:
    wanted = urlencode({k: v for k, v in query.items() if v is not None and v != ""}, doseq=True)
    return url + ("&" if "?" in url else "?") + wanted if wanted else url


def refusal(error: ApiError) -> TaskError:
    """An ApiError as the end of a command, with when the server wants to be asked again."""
    details = {"retry_after_s": error.retry_after_s} if error.retry_after_s is not None else None
    return said_by_the_api(error, category_message(error.category), details=details)


def no_answer_error(error: NoAnswer) -> TaskError:
    """An unreachable API as the end of a command that cost nothing."""
    hint = "try the same command again later"
    if error.kind in ("proxy", "no_socks"):
        hint = "look at ALL_PROXY, HTTPS_PROXY and HTTP_PROXY in the environment; NO_PROXY names hosts that need none"
        if error.kind == "no_socks":
            hint += "; or install the Python package PySocks for this Python"
    if error.kind in ("dns", "refused", "connect") and error.host and not origins.is_loopback_host(error.host):
        hint = "check the network; an assistant in a sandbox may need permission for network access to this host"
    return TaskError(Category.TRANSIENT, error.message, hint=hint, code=error.kind)
