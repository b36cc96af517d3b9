"""The object store of the sandbox: signed links of realistic length, files rendered on demand, ranges, uploads."""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode

from videotasks_sandbox.httpd import Reply, Request
from videotasks_sandbox.state import State
from videotasks_sandbox.tasks import Task, look

if TYPE_CHECKING:
    from videotasks_sandbox.mp4writer import RenderedVideo

# Real result links have some 600 characters, nearly all of them query: what a client prints, cuts or stores is
# tried on that.
LINK_CHARS = 600
# No secret: the signature only has to notice a query that was cut or changed.
_SIGNING_KEY = b"videotasks-sandbox"
_DATE = "%Y%m%dT%H%M%SZ"
_CACHED_VIDEOS = 6

VIDEO_NAMES = ("video.mp4", "video-2.mp4", "video-3.mp4", "video-4.mp4")
_TYPES = {"mp4": "video/mp4", "png": "image/png"}


def _hmac(message: str) -> str:
    return hmac.new(_SIGNING_KEY, message.encode("utf-8"), hashlib.sha256).hexdigest()


def stamp(moment: float, form: str = _DATE) -> str:
    return time.strftime(form, time.gmtime(moment))


def link(origin: str, task: Task, file: str, signed_at: float, ttl_s: float) -> str:
    """A link to one output. Host and port are not signed: it stays good in a later process, on another port."""
    path = f"/{task['provider']}/cdn/outputs/{quote(task['id'], safe='')}/{file}"
    scope = str(task["link_epoch"])
    bare = _signed_query(path, signed_at, ttl_s, scope, token="")
    filler = (_hmac(f"token {task['id']}") * 10)[: max(LINK_CHARS - len(origin) - len(path) - 1 - len(bare), 32)]
    return f"{origin}{path}?{_signed_query(path, signed_at, ttl_s, scope, filler)}"


def upload_link(origin: str, provider: str, key: str, content_type: str, signed_at: float) -> str:
    """A link that takes one PUT of `content_type` (contracts A.6 step 2)."""
    path = f"/{provider}/cdn/uploads/{quote(key)}"
    return f"{origin}{path}?{_signed_query(path, signed_at, 900, content_type, _hmac(key))}"


def _signed_query(path: str, signed_at: float, ttl_s: float, scope: str, token: str) -> str:
    date = stamp(signed_at)
    query = urlencode(
        [
            ("X-Tos-Security-Token", token),
            ("X-Tos-Algorithm", "TOS4-HMAC-SHA256"),
            ("X-Tos-Credential", f"SANDBOX/{date[:8]}/local/tos/request"),
            ("X-Tos-Date", date),
            ("X-Tos-Expires", int(ttl_s)),
            ("X-Tos-Scope", scope),
            ("X-Tos-SignedHeaders", "host"),
        ]
    )
    return f"{query}&X-Tos-Signature={_hmac(path + '?' + query)}"


def xml_error(status: int, code: str, message: str) -> Reply:
    """The error body of S3-like object stores."""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Reply(status=status, body=body.encode(), content_type="application/xml")


def _check_signature(request: Request, scope: str | None, now: float) -> Reply | None:
    """The refusal for a link without its own query, or after its time; None: it is good. `scope` None: any will do."""
    # Here, because it drags in half of locale and datetime.
    import calendar

    if request.header("authorization"):
        # What S3 answers when a client drags its API key along to a signed link.
        return xml_error(
            400, "InvalidArgument", "Only one auth mechanism allowed; found a signed query and Authorization"
        )
    signed, found, signature = request.query.rpartition("&X-Tos-Signature=")
    if not found:
        return xml_error(403, "AccessDenied", "Access Denied")
    # Over the whole query, to the letter: a link has to be used as it was given.
    if not hmac.compare_digest(_hmac(f"{request.path}?{signed}").encode(), signature.encode()):
        return xml_error(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
    # Signed, so it was written by this module and parses.
    query = dict(parse_qsl(signed, keep_blank_values=True))
    signed_at = calendar.timegm(time.strptime(query["X-Tos-Date"], _DATE))
    if now >= signed_at + int(query["X-Tos-Expires"]) or scope not in (None, query["X-Tos-Scope"]):
        return xml_error(403, "AccessDenied", "Request has expired")
    return None


class Renderer:
    """Renders what a task asked for, and keeps the last few results: a player asks for many ranges of one file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rendered = lru_cache(maxsize=_CACHED_VIDEOS)(_render)

    def file(self, task: Task, name: str) -> bytes:
        """The bytes of one output; the same for the same task in every process."""
        take = VIDEO_NAMES.index(name) if name in VIDEO_NAMES else 0
        seed = int(hashlib.sha256(task["id"].encode()).hexdigest()[:6], 16) + take
        # One rendering at a time: it is pure computation, and a second caller mostly wants the same file.
        with self._lock:
            made = self._rendered(task["prompt"], task["duration"], task["width"], task["height"], seed)
        found: bytes = {"last_frame.png": made.last_frame_png, "thumbnail.png": made.thumbnail_png}.get(name, made.mp4)
        return found


def _render(prompt: str, duration_s: float, width: int, height: int, seed: int) -> RenderedVideo:
    from videotasks_sandbox.mp4writer import render_video

    return render_video(prompt, duration_s=duration_s, width=width, height=height, seed=seed)


@dataclass(frozen=True)
class Download:
    """A granted download; it is rendered and served after the state has been unlocked. `cut`: only half is sent."""

    task: Task
    file: str
    cut: bool


def fetch(request: Request, state: State, provider: str, now: float) -> Reply | Download:
    """What a GET or HEAD on /<provider>/cdn/outputs/<task>/<file> gets: a refusal or the file."""
    parts = request.path.split("/")
    task = state["tasks"].get(unquote(parts[4])) if len(parts) == 6 else None
    if task is not None and (task["provider"] != provider or not has_file(task, parts[5])):
        task = None
    refusal = _check_signature(request, None if task is None else str(task["link_epoch"]), now)
    if refusal is not None:
        return refusal
    if task is None or look(task, now).phase != "succeeded":
        return xml_error(404, "NoSuchKey", "The specified key does not exist.")
    if task["scenario"] == "expired-link" and task["link_epoch"] == 0:
        # From here on only links that a later status call gives are good.
        task["link_epoch"] = 1
        return xml_error(403, "AccessDenied", "Request has expired")
    return Download(task, parts[5], cut=count_fetch(task, parts[5], request))


def has_file(task: Task, name: str) -> bool:
    return name in VIDEO_NAMES[: task["outputs"]] or name in ("last_frame.png", "thumbnail.png")


def count_fetch(task: Task, name: str, request: Request) -> bool:
    """Counts a download; True: it is the one that the scenario truncated-download cuts."""
    if request.method != "GET":
        return False
    count = task["fetches"].get(name, 0)
    task["fetches"][name] = count + 1
    return task["scenario"] == "truncated-download" and count == 0 and name.endswith(".mp4")


def serve(request: Request, data: bytes, name: str, modified: float, *, cut: bool = False) -> Reply:
    """A file as object stores serve it: ETag, ranges, If-Range (only a strong ETag or the exact date counts), 416."""
    etag = '"' + hashlib.md5(data, usedforsecurity=False).hexdigest() + '"'
    last_modified = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(modified))
    reply = Reply(
        body=data,
        content_type=_TYPES[name.rpartition(".")[2]],
        headers={"Accept-Ranges": "bytes", "ETag": etag, "Last-Modified": last_modified},
        fault="half" if cut else "",
    )
    condition = request.header("if-range")
    wanted = request.header("range") if not condition or condition in (etag, last_modified) else ""
    found = re.fullmatch(r"bytes=\s*(\d*)-(\d*)\s*", wanted, re.ASCII)
    first, last = found.groups() if found else ("", "")
    if not first + last or (first and last and int(last) < int(first)):
        return reply
    if first:
        start, end = int(first), min(int(last) if last else len(data) - 1, len(data) - 1)
    else:
        start, end = max(0, len(data) - int(last)), len(data) - 1
    if start >= len(data) or (not first and int(last) == 0):
        refused = xml_error(416, "InvalidRange", "The requested range is not satisfiable")
        refused.headers["Content-Range"] = f"bytes */{len(data)}"
        return refused
    reply.status = 206
    reply.body = data[start : end + 1]
    reply.headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
    return reply


def receive(request: Request, state: State, now: float) -> Reply:
    """A PUT or a form POST to an upload link (contracts A.6): its own type, a length, and no Authorization."""
    key = unquote("/".join(request.path.split("/")[4:]))
    upload = state["uploads"].get(key)
    if upload is None or upload["by"] != request.method:
        return xml_error(403, "AccessDenied", "Access Denied")
    refusal = _check_signature(request, upload["type"], now)
    if refusal is not None:
        return refusal
    if "content-length" not in request.headers:
        return xml_error(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    kind = request.header("content-type")
    if not (kind.startswith("multipart/form-data") if request.method == "POST" else kind == upload["type"]):
        return xml_error(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
    upload.update(received=True, bytes=len(request.body), sha256=hashlib.sha256(request.body).hexdigest())
    etag = hashlib.md5(request.body, usedforsecurity=False).hexdigest()
    return Reply(headers={"ETag": f'"{etag}"'})
