"""urllib3 connection classes that report their first byte and let a guard judge the peer. Imported lazily by http."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
import requests.adapters
import urllib3.connection
import urllib3.connectionpool

if TYPE_CHECKING:
    from videotasks.http import Client


class PlainSession(requests.Session):
    """A session that never looks at where a redirect leads: requests reads such a body whole even when it is told
    not to follow it (26 MB in a trial)."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def tracking_adapter(client: Client) -> requests.adapters.HTTPAdapter:
    """An adapter whose connections belong to `client`: they mark its flight and ask its guard."""

    class _Tracking:
        """Mixed into a connection class: everything before `connect` returns is no part of the request."""

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

    class PlainConnection(_Tracking, urllib3.connection.HTTPConnection):
        pass

    class SecureConnection(_Tracking, urllib3.connection.HTTPSConnection):
        pass

    class PlainPool(urllib3.connectionpool.HTTPConnectionPool):
        ConnectionCls = PlainConnection

    class SecurePool(urllib3.connectionpool.HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    pools = {"http": PlainPool, "https": SecurePool}

    class TrackingAdapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(*args, **kwargs)
            if not kwargs.get("proxy", args[0] if args else "").lower().startswith("socks"):
                manager.pool_classes_by_scheme = pools  # a SOCKS manager has pools of its own
            return manager

    # No retries in here: whether to send again is decided where money is known about.
    return TrackingAdapter(max_retries=0, pool_maxsize=2)
