"""One file over a bad network: tries, until the bytes are whole and of the right kind, or until a limit is met.

Every fault of the network is tried again, from where the bytes ended when the server proves that it still has the same
object (`If-Range`); a 206 without that proof stitched two files together (facts, fact 10).
"""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from videotasks.core.safe_text import one_line
from videotasks.downloads.errors import DownloadFailed, TryAgain, network
from videotasks.downloads.part_file import PartFile
from videotasks.downloads.response_headers import (
    Facts,
    content_range,
    end_is_marked,
    facts_of,
    is_coded,
    looks_like,
    retry_after_s,
)
from videotasks.formats.media_check import check_animation, check_media
from videotasks.formats.media_type import MediaType, sniff
from videotasks.formats.structure import MediaError, Structure
from videotasks.network.client import OpenAnswer
from videotasks.network.errors import NoAnswer
from videotasks.network.flight import Flight
from videotasks.network.guarded_link import LinkRefused, ResultLinks

HEAD_BYTES = 512  # a transport stream is told by its third packet, at byte 376; everything else by 64 bytes
EXCERPT_CHARS = 300
BACKOFF_S, MAX_BACKOFF_S = 0.5, 8.0
TLS_TRIES = 2  # a certificate that is wrong now is still wrong in eight seconds

# S3 and Azure refuse an expired signature with 403, GCS with 400, some CDNs with 401 or 410.
_EXPIRED = frozenset({400, 401, 403, 404, 410})
_EXPIRED_FOR_KEY = frozenset({403, 404, 410})
_TRY_AGAIN = frozenset({202, 408, 425, 429})
_KIND_OF_EXPECT = {"video": "video", "audio": "audio", "image": "image", "last_frame": "image", "thumbnail": "image"}


@dataclass(frozen=True)
class Limits:
    """What a download may cost. `max_resumes` counts tries in a row that brought nothing new."""

    max_bytes: int = 4 << 30
    stall_bytes_per_s: float = 1000.0
    stall_window_s: float = 30.0
    request_timeout_s: float = 30.0
    max_resumes: int = 10


@dataclass
class Transfer:
    """One result file to fetch.

    `expect` is an output's kind (video, audio, image, last_frame, thumbnail). `deadline` is in terms of `monotonic`.
    `on_progress(bytes, total or None)` is called for each piece. To cancel at once: let `cancelled` turn true, then
    abort the flight that `on_flight` was last called with; with an Event's `wait` as `sleep`, pauses end at once, too.
    """

    url: str
    links: ResultLinks
    expect: str = "video"
    limits: Limits = field(default_factory=Limits)
    deadline: float = math.inf
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    on_progress: Callable[[int, int | None], None] = lambda done, total: None
    on_flight: Callable[[Flight], None] = lambda flight: None
    cancelled: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self._flight = Flight()
        self._expired = False
        self._head_alarm = threading.Timer(0.0, self._flight.abort)  # not started
        self._head_late = False

    # -- time and cancellation --

    def expire(self) -> None:
        """From another thread: the deadline has come, whatever is being waited for."""
        self._expired = True
        self._flight.abort()

    def _new_flight(self) -> Flight:
        """The flight of the next request, which the caller's and our own alarms can abort."""
        self._head_alarm.cancel()
        flight = self._flight = Flight()
        self.on_flight(flight)
        self._check_end()  # after it is known to those who may abort it, so that no abort falls in between

        def late() -> None:
            self._head_late = True
            flight.abort()

        # A head that trickles in renews the library's time-out with each byte.
        self._head_late = False
        self._head_alarm = alarm(2 * self.limits.request_timeout_s, late)
        return flight

    def _check_end(self) -> None:
        """Raise when the caller or the deadline wants an end."""
        if self.cancelled():
            raise DownloadFailed("cancelled", "the download was stopped", resumable=True)
        if self._expired or self.monotonic() >= self.deadline:
            raise DownloadFailed("deadline", "the download was not finished within the time given", resumable=True)

    def _check_flight(self) -> None:
        """Raise when the flight was aborted.

        What arrives after that is not to be trusted: a TLS socket hands over its records undeciphered, and a head, or a
        body without a length, seems to end.
        """
        if self._flight.aborted:
            raise self._aborted()

    def _aborted(self) -> Exception:
        """What the abort of the flight was for."""
        self._check_end()
        if self._head_late:
            return network("the server did not answer in time")
        return DownloadFailed("cancelled", "the download was stopped", resumable=True)

    def _time_out(self) -> float:
        return max(0.05, min(self.limits.request_timeout_s, self.deadline - self.monotonic()))

    # -- tries --

    def fetch(self, part: PartFile) -> tuple[MediaType, Structure | None]:
        """Tries with pauses of 0.5 s doubling to 8 s; one that brought a second's worth of bytes starts them anew."""
        reached, fruitless = part.size, 0
        while True:
            self._check_end()
            try:
                return self.check(part, whole=part.complete or self._try(part))
            except TryAgain as again:
                if part.size >= reached + self.limits.stall_bytes_per_s and again.failure.kind != "stalled":
                    reached, fruitless = part.size, 0
                fruitless += 1
                self._check_end()
                if fruitless > (self.limits.max_resumes if again.max_tries is None else again.max_tries):
                    raise again.failure from None
                pause = max(again.after_s, min(MAX_BACKOFF_S, BACKOFF_S * 2 ** (fruitless - 1)))
                self.sleep(min(pause, max(0.0, self.deadline - self.monotonic())))

    def _try(self, part: PartFile) -> bool:
        """One request. Returns whether the end of the body was marked, so that all of it is surely here."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if part.size and part.facts.validator:
            headers |= {"Range": f"bytes={part.size}-", "If-Range": part.facts.validator}
        elif part.size:
            part.reset()
        try:
            with self.links.open(self.url, headers, timeout=self._time_out(), new_flight=self._new_flight) as answer:
                self._head_alarm.cancel()
                return self._take(part, answer)
        except LinkRefused as refused:
            lift = " (--allow-private-results lifts this)" if refused.liftable else ""
            raise DownloadFailed(
                "blocked", refused.message, expected=f"an https link to a public address{lift}"
            ) from None
        except NoAnswer as fault:
            if fault.kind == "aborted":
                raise self._aborted() from None
            if fault.kind == "invalid":
                raise DownloadFailed("network", "the result link cannot be requested") from None
            raise network(fault.message, max_tries=TLS_TRIES if fault.kind == "tls" else None) from None
        finally:
            self._head_alarm.cancel()

    def _take(self, part: PartFile, answer: OpenAnswer) -> bool:
        self._check_flight()
        stream, marked = self._pieces(answer), end_is_marked(answer.headers)
        if answer.status == 200:
            facts = facts_of(answer.headers)
            head = self._judged_head(stream, facts)
            self._check_room(part, facts.length)
            part.restart(facts)
            self._append(part, head)
        elif answer.status == 206:
            self._continue(part, answer.headers)
            self._check_room(part, part.facts.length)
            marked = part.facts.length is not None  # the end of a part need not be the end of the whole
        elif answer.status == 416 and part.size:
            return self._all_is_here(part, answer.headers)
        else:
            raise self._refused(answer, stream)
        for piece in stream:
            self._append(part, piece)
        if part.facts.length is not None and part.size < part.facts.length:
            raise network("the server ended the file early")
        if part.facts.length is None and marked:
            part.learn_length(part.size)
        return marked

    def _pieces(self, answer: OpenAnswer) -> Iterator[bytes]:
        """The body as it arrives. Raises when it stalls, is cancelled, or runs past the deadline."""
        floor, window = self.limits.stall_bytes_per_s, self.limits.stall_window_s
        since, received = self.monotonic(), 0
        for piece in answer.chunks():
            self._check_flight()
            self._check_end()
            received += len(piece)
            elapsed = self.monotonic() - since
            if elapsed >= window:
                if received < floor * elapsed:
                    message = f"the server sent less than {floor:.0f} bytes a second"
                    raise TryAgain(DownloadFailed("stalled", message, resumable=True))
                since, received = self.monotonic(), 0
            yield piece
        self._check_flight()

    def _append(self, part: PartFile, piece: bytes) -> None:
        length = part.facts.length
        if part.size + len(piece) > self.limits.max_bytes:
            part.discard()
            raise self._too_large()
        if length is not None and part.size + len(piece) > length:
            part.reset()
            raise network("the server sent more than it announced")
        part.append(piece)
        self.on_progress(part.size, length)

    # -- judging answers --

    def _judged_head(self, stream: Iterator[bytes], facts: Facts) -> bytes:
        """The first bytes of a whole body, when they may be what is expected; nothing on disk is touched before."""
        if facts.length is not None and facts.length > self.limits.max_bytes:
            raise self._too_large()
        head = _at_least(stream, HEAD_BYTES)
        if not head:
            raise self._not_media("an empty file", None)
        media = sniff(head)
        wanted = _KIND_OF_EXPECT.get(self.expect)
        if media is None:
            raise self._not_media(looks_like(head), self._excerpt(stream, head))
        if wanted is not None and media.kind != wanted and not (wanted == "video" and media.may_move):
            raise self._not_media(media.mime, None)
        return head

    def _continue(self, part: PartFile, headers: Mapping[str, str]) -> None:
        """Raise unless a 206 goes on exactly where the part ends, in the very same object."""
        start, total = content_range(headers)
        told = facts_of(headers)
        same = part.size > 0 and start == part.size and not is_coded(headers)
        if not same or not part.facts.agrees(Facts(told.etag, told.last_modified, total)):
            raise self._changed(part)
        if part.facts.length is None and total is not None:
            if total > self.limits.max_bytes:
                part.discard()
                raise self._too_large()
            part.learn_length(total)

    def _all_is_here(self, part: PartFile, headers: Mapping[str, str]) -> bool:
        """416: there is nothing after what we have. True when the server's length says that this is all."""
        _, total = content_range(headers)
        if total != part.size or part.facts.length not in (None, total):
            raise self._changed(part)
        part.learn_length(total)
        return True

    def _refused(self, answer: OpenAnswer, stream: Iterator[bytes]) -> Exception:
        status, keyed = answer.status, self.links.api_client is not None and answer.url == self.url
        excerpt = self._excerpt(stream, b"")
        if status in (_EXPIRED_FOR_KEY if keyed else _EXPIRED):
            return DownloadFailed(
                "link_expired",
                f"the result link is no longer valid (HTTP {status})",
                expected="a fresh link, from a look at the task",
                resumable=True,
                http_status=status,
                server_excerpt=excerpt,
            )
        again = status in _TRY_AGAIN or status >= 500
        failure = DownloadFailed(
            "http",
            f"the result link answered HTTP {status}",
            expected="HTTP 200 with the file",
            resumable=again,
            http_status=status,
            server_excerpt=excerpt,
        )
        return TryAgain(failure, after_s=retry_after_s(answer.headers)) if again else failure

    def _excerpt(self, stream: Iterator[bytes], head: bytes) -> str | None:
        """The start of what a server said instead of sending a file."""
        with suppress(NoAnswer, TryAgain):
            head += _at_least(stream, 4 * EXCERPT_CHARS - len(head))
        return None if b"\0" in head else head.decode("utf-8", "replace").strip()[:EXCERPT_CHARS] or None

    def _check_room(self, part: PartFile, length: int | None) -> None:
        """Raise when the rest of the file cannot fit: what is here is gone on from, or gives its room back."""
        try:
            free = shutil.disk_usage(part.folder).free
        except OSError:
            return
        missing = length - part.size if length is not None else 0
        if missing > free:
            raise DownloadFailed(
                "disk_full",
                f"{missing} more bytes are needed and the disk has {free} left",
                expected="free space for the file",
                resumable=True,
            )

    def check(self, part: PartFile, *, whole: bool) -> tuple[MediaType, Structure | None]:
        """The type and structure (None where no check knows the kind) of the finished bytes.

        `whole`: the server marked their end, and it was reached.
        """
        media = sniff(part.head(HEAD_BYTES))
        if media is None:  # a part of an earlier process that something else wrote to
            part.discard()
            raise self._not_media("data of no known type", None)
        structure, kind, problem = None, "truncated", "" if whole else "the server did not mark its end"
        try:
            moving = self.expect == "video" and media.may_move
            structure = (
                check_animation(part.path, media) if moving else check_media(part.path, media, part.facts.length)
            )
            if structure is not None and structure.end_certain:
                problem = ""
        except MediaError as error:
            kind = "truncated" if error.kind in ("truncated", "broken") else "not_media"
            problem = one_line(str(error), EXCERPT_CHARS)
        if not problem:
            return media, structure
        if not whole:
            message = f"the file is not whole: {problem}"
            raise TryAgain(DownloadFailed("truncated", message, expected="a whole file", resumable=True))
        part.disown()  # as long as announced, and broken all the same: nothing to go on from, but it was paid for
        expected = f"a whole file; what came is kept as {part.path.name}"
        raise DownloadFailed(kind, f"the file is broken: {problem}", expected=expected)

    def _not_media(self, what: str, excerpt: str | None) -> DownloadFailed:
        wanted = f"a {self.expect.replace('_', ' ')} file"
        return DownloadFailed(
            "not_media",
            f"the result link gave {what} instead of {wanted}",
            expected=wanted,
            http_status=200,
            server_excerpt=excerpt,
        )

    def _too_large(self) -> DownloadFailed:
        most = f"at most {self.limits.max_bytes} bytes"
        return DownloadFailed("too_large", f"the file is too large: {most} are taken", expected=most)

    def _changed(self, part: PartFile) -> TryAgain:
        part.reset()
        return network("the file at the result link changed")


def alarm(seconds: float, ring: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(min(max(0.0, seconds), threading.TIMEOUT_MAX), ring)
    timer.daemon = True
    timer.start()
    return timer


def _at_least(stream: Iterator[bytes], size: int) -> bytes:
    """Pieces until there are `size` bytes of them, or until the end."""
    pieces = b""
    while len(pieces) < size and (piece := next(stream, b"")):
        pieces += piece
    return pieces
