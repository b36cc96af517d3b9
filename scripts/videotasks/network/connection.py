"""urllib3 connection classes that report their first byte and let a guard judge the peer. Imported lazily by client."""

from __future__ import annotations

import http.client
from types import ModuleType
from typing import TYPE_CHECKING, Any

import requests
import requests.adapters
import urllib3.connectionpool

from videotasks.core.errors import configuration_error
from videotasks.core.installation import HOW_TO_GET_THEM, least_versions, older

if TYPE_CHECKING:
    from videotasks.network.client import Client

MAX_INTERIM_ANSWERS = 100  # a server that sends more of them is playing


class FinalAnswer(http.client.HTTPResponse):
    """An answer that is read past every 1xx (RFC 9110, 15.2); the standard library passes over 100 only.

    A 102 or 103 that is taken for the answer leaves the real one on the connection, for whoever asks next.
    """

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MAX_INTERIM_ANSWERS):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException("interim answers without end")


class Head:
    """What is used of a requests.Response; a cookie jar, an encoding and headers for each were a tenth of a look."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.status_code: int = raw.status
        self.headers = raw.headers

    def close(self) -> None:
        self.raw.close()
        self.raw.release_conn()


class PlainSession(requests.Session):
    """A session that sends what it is given, and nothing more.

    It never looks at where a redirect leads: requests reads such a body whole even when it is told not to follow it
    (26 MB in a trial). What the environment says of proxies and certificates is asked for once for each place: it does
    not change within a command, and reading it was a fifth of the time of a look; merging settings, hooks, histories
    and empty cookie jars was another fifth.
    """

    def __init__(self) -> None:
        super().__init__()
        self._surroundings: dict[tuple[str, bool], Any] = {}

    def fetch(
        self, method: str, url: str, *, headers: Any, data: Any, files: Any, auth: Any, proxies: Any, timeout: Any
    ) -> Head | requests.Response:
        """The head of an answer, as `Session.request` gives it with `stream` and without redirects."""
        request = requests.PreparedRequest()
        request.prepare_method(method)
        request.prepare_url(url, None)
        request.prepare_headers(headers)
        if len(self.cookies):
            request.prepare_cookies(self.cookies)
        request.prepare_body(data, files)
        request.prepare_auth(auth, url)
        place = "/".join(str(request.url).split("/", 3)[:3]), bool(proxies)
        if place not in self._surroundings:
            settings = self.merge_environment_settings(request.url, proxies or {}, True, None, None)
            self._surroundings[place] = settings
        adapter = self.get_adapter(str(request.url))
        response: Head | requests.Response = adapter.send(request, timeout=timeout, **self._surroundings[place])
        if "Set-Cookie" in response.headers:
            requests.cookies.extract_cookies_to_jar(self.cookies, request, response.raw)  # type: ignore[no-untyped-call]
        return response


def require_versions(*more: ModuleType) -> None:
    """Raises TaskError (exit 1) when requests, urllib3 or one `more` is older than what an answer can be read with.

    Then a create would be sent and paid, and its answer not understood: urllib3 < 2.6 has no read1 that decodes. Debian
    12 ships urllib3 1.26, Ubuntu 24.04 ships 2.0.
    """
    for module in (requests, urllib3, *more):
        name, have = module.__name__, str(module.__version__)
        if older(have, least := least_versions()[name]):
            raise configuration_error(
                f"the Python package {name} {have} is too old ({least} or newer is needed), so nothing was sent",
                hint=HOW_TO_GET_THEM,
                code="library_too_old",
            )


def _tracked(tracking: type, pool: Any) -> type:
    """A pool of the library's whose connections are tracked."""
    return type(pool.__name__, (pool,), {"ConnectionCls": type("Tracked", (tracking, pool.ConnectionCls), {})})


def _socks_pools(tracking: type) -> dict[str, type]:
    """A SOCKS manager has pools of its own; untracked, a request that was sent would count as not sent."""
    from urllib3.contrib import socks

    plain, secure = socks.SOCKSHTTPConnectionPool, socks.SOCKSHTTPSConnectionPool
    return {"http": _tracked(tracking, plain), "https": _tracked(tracking, secure)}


def tracking_adapter(client: Client) -> requests.adapters.HTTPAdapter:
    """An adapter whose connections belong to `client`: they mark its flight and ask its guard."""

    class _Tracking:
        """Mixed into a connection class: everything before `connect` returns is no part of the request."""

        response_class: Any = FinalAnswer
        connecting = False
        debuglevel = 0  # http.client prints every header, the key's too, once somebody raises its own
        sock: Any
        host: str
        auto_open: int

        def connect(self) -> None:
            self.connecting = True
            try:
                super().connect()  # type: ignore[misc]
            finally:
                self.connecting = False
            client.flight.connected(self.sock)

        def _new_conn(self) -> Any:
            # Judged before the TLS handshake: a refused peer sees not one byte, and its certificate does not matter.
            sock = super()._new_conn()  # type: ignore[misc]
            try:
                client.judge_peer(sock, self.host)
            except BaseException:
                sock.close()
                raise
            return sock

        def send(self, data: Any) -> None:
            if self.sock is None and self.auto_open:
                self.connect()
            # A CONNECT to a proxy is sent while connecting: it creates nothing, so it does not count.
            if not self.connecting:
                client.flight.connected(self.sock)
                client.flight.before_first_byte()
            super().send(data)  # type: ignore[misc]

    plain, secure = urllib3.connectionpool.HTTPConnectionPool, urllib3.connectionpool.HTTPSConnectionPool
    pools = {"http": _tracked(_Tracking, plain), "https": _tracked(_Tracking, secure)}

    class TrackingAdapter(requests.adapters.HTTPAdapter):
        place: Any = None
        pool: Any = None

        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(*args, **kwargs)
            socks = kwargs.get("proxy", args[0] if args else "").lower().startswith("socks")
            manager.pool_classes_by_scheme = _socks_pools(_Tracking) if socks else pools
            return manager

        def get_connection_with_tls_context(
            self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
        ) -> Any:
            # Of a client that asks one place: finding its pool anew was a twentieth of a look.
            place = str(request.url).split("/", 3)[:3], verify, proxies, cert
            if self.place != place:
                self.pool = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
                self.place = place
            return self.pool

        def build_response(self, req: Any, resp: Any) -> Any:
            return Head(resp)

    # No retries in here: whether to send again is decided where money is known about.
    return TrackingAdapter(max_retries=0, pool_maxsize=2)
