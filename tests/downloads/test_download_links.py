"""A result link leads to public places only, hop by hop, and the key never travels past the API's own endpoint."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import downloads
from support.downloads import GIVE_UP, VIDEO, Clock, download, failure, names
from support.fileserver import FileServer, answer, file_server, head, raw, stored
from videotasks.downloads.transfer import Limits
from videotasks.network import guarded_link
from videotasks.network.client import Client

clock, server, folder, fetch = downloads.clock, downloads.server, downloads.folder, downloads.fetch
KEY = "sk-CANARY-7f3a"


@pytest.fixture
def cdn() -> Iterator[FileServer]:
    with file_server(stored(VIDEO)) as running:
        yield running


@pytest.fixture
def keyed() -> Iterator[Client]:
    client = Client(
        authorise=lambda: {"Authorization": f"Bearer {KEY}", "X-Api-Key": KEY}, headers=lambda: {"X-Team": "team"}
    )
    yield client
    client.close()


def moved(target: str, status: int = 302) -> Any:
    return raw(head(f"{status} Moved", f"Location: {target}", "Content-Length: 0"))


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`resolve(name, server)`: the name leads to that server on loopback, whatever port is asked for."""
    real, names_to_ports = socket.getaddrinfo, {}

    def look_up(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        known = names_to_ports.get(host)
        if known is None:
            return real(host, port, *more, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", known))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return lambda name, place: names_to_ports.update({name: place.port})


# -- the key -------------------------------------------------------------------------------------------------------


def test_the_key_opens_the_content_endpoint(server: FileServer, fetch: Any, keyed: Client) -> None:
    server.serve(stored(VIDEO, cut=5000), stored(VIDEO))
    assert fetch("/v1/videos/t1/content", api_client=keyed).path.read_bytes() == VIDEO
    assert [server.header(i, "authorization") for i in (0, 1)] == [f"Bearer {KEY}"] * 2
    assert server.header(1, "range") == "bytes=5000-"
    assert server.header(0, "accept-encoding") == "identity"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_is_seen_at_the_first_hop_only(
    server: FileServer, cdn: FileServer, fetch: Any, keyed: Client, status: int
) -> None:
    server.serve(moved("/v1/files/f1", status), moved(cdn.origin + "/f1.mp4?signature=1", status))
    done = fetch("/v1/videos/t1/content", api_client=keyed, allow_private=True)
    assert done.path.read_bytes() == VIDEO
    assert KEY in server.requests[0]
    assert KEY not in server.requests[1]  # the API's own origin, but a hop
    assert "x-team" not in server.requests[1].lower()
    assert KEY not in cdn.requests[0]
    assert "cookie" not in cdn.requests[0].lower()


def test_a_link_elsewhere_never_sees_the_key(server: FileServer, cdn: FileServer, folder: Path, keyed: Client) -> None:
    download(cdn.origin + "/f1.mp4", folder, "video", api_base_url=server.origin, api_client=keyed, allow_private=True)
    assert cdn.connections == 1
    assert KEY not in cdn.requests[0]


def test_a_redirect_is_asked_for_anew_with_the_range(
    server: FileServer, cdn: FileServer, fetch: Any, keyed: Client
) -> None:
    server.serve(moved(cdn.origin + "/f1.mp4"))
    cdn.serve(stored(VIDEO, cut=5000), stored(VIDEO))
    fetch("/v1/videos/t1/content", api_client=keyed, allow_private=True)
    assert cdn.header(1, "range") == "bytes=5000-"
    assert server.connections == 2


@pytest.mark.parametrize(("status", "kind"), [(401, "http"), (403, "link_expired"), (404, "link_expired")])
def test_a_refused_key_is_no_expired_link(
    server: FileServer, fetch: Any, keyed: Client, status: int, kind: str
) -> None:
    server.serve(answer(f"{status} No", "{}"))
    assert failure(fetch, "/v1/videos/t1/content", api_client=keyed).kind == kind


def test_a_refused_hop_behind_the_endpoint_is_an_expired_link(server: FileServer, fetch: Any, keyed: Client) -> None:
    server.serve(moved("/f1.mp4?signature=s3cret"), answer("400 Bad Request", "<Code>ExpiredToken</Code>"))
    assert failure(fetch, "/v1/videos/t1/content", api_client=keyed).kind == "link_expired"


def test_netrc_and_cookies_add_nothing(
    server: FileServer, fetch: Any, clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = clean_environment / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.serve(raw(head("302 Found", "Location: /v2.mp4", "Set-Cookie: a=b", "Content-Length: 0")), stored(VIDEO))
    fetch()
    assert [server.header(i, name) for i in (0, 1) for name in ("authorization", "cookie")] == [None] * 4


# -- redirects -----------------------------------------------------------------------------------------------------


def test_five_redirects_are_followed(server: FileServer, fetch: Any) -> None:
    server.serve(*[moved(f"/hop{i}") for i in range(5)], stored(VIDEO))
    assert fetch().path.read_bytes() == VIDEO


def test_a_redirect_without_end_costs_six_requests(server: FileServer, fetch: Any) -> None:
    server.serve(moved("/again?signature=s3cret"))
    failed = failure(fetch)
    assert (failed.kind, failed.resumable) == ("blocked", False)
    assert "more than 5" in failed.message
    assert server.connections == 6


def test_a_redirect_never_leaves_https(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(guarded_link.LinkRefused, match="plain http"):
        guarded_link.next_url("https://cdn.example/a", "HTTP://cdn.example/b")
    assert guarded_link.next_url("https://cdn.example/a/b", "../c?x=1") == "https://cdn.example/c?x=1"
    assert guarded_link.next_url("https://cdn.example/a", "//other.example/c") == "https://other.example/c"
    # Headers are read as Latin-1; what was meant is UTF-8.
    assert guarded_link.next_url("https://cdn.example/a", "/视".encode().decode("latin-1")) == "https://cdn.example/视"


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:PORT/",
        "http://localhost:PORT/",
        "http://2130706433:PORT/",
        "https://10.0.0.1/",
        "file:///etc/passwd",
        "https://user:pw@cdn.example/",
        pytest.param("http://[::1"),
        "gopher://127.0.0.1:PORT/",
    ],
)
def test_a_redirect_into_the_users_network_is_refused(
    server: FileServer, cdn: FileServer, fetch: Any, target: str
) -> None:
    server.serve(moved(target.replace("PORT", str(cdn.port))))
    failed = failure(fetch)
    assert (failed.kind, failed.resumable) == ("blocked", False)
    assert "pw" not in failed.message
    assert cdn.connections == 0
    assert server.connections == 1


# -- the guard -----------------------------------------------------------------------------------------------------


def test_a_link_into_the_users_network_is_refused_with_its_rule(
    server: FileServer, cdn: FileServer, folder: Path
) -> None:
    failed = failure(download, cdn.origin + "/v.mp4", folder, "video", api_base_url=server.origin)
    assert failed.kind == "blocked"
    assert "127.0.0.1 is a loopback address" in failed.message
    assert failed.expected is not None
    assert "--allow-private-results" in failed.expected
    assert cdn.connections == 0
    assert names(folder) == set()


def test_what_no_flag_lifts_names_no_flag(server: FileServer, folder: Path) -> None:
    failed = failure(download, "file:///etc/passwd", folder, "video", api_base_url=server.origin)
    assert failed.kind == "blocked"
    assert failed.expected is not None
    assert "--allow" not in failed.expected


def test_the_flag_lets_a_private_result_through(server: FileServer, cdn: FileServer, folder: Path) -> None:
    done = download(cdn.origin + "/v.mp4", folder, "video", api_base_url=server.origin, allow_private=True)
    assert done.path.read_bytes() == VIDEO


def test_a_public_name_that_leads_inside_is_found_out_before_a_byte_is_sent(
    server: FileServer, cdn: FileServer, folder: Path, resolve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve("cdn.example", cdn)
    monkeypatch.setattr(guarded_link, "refusal_of_link", lambda url, **_: None)  # so that plain http reaches the guard
    failed = failure(download, "http://cdn.example/v.mp4", folder, "video", api_base_url=server.origin)
    assert failed.kind == "blocked"
    assert "cdn.example (127.0.0.1) is a loopback address" in failed.message
    assert (cdn.received, cdn.requests) == (0, [])


def test_a_redirect_to_a_name_that_leads_inside_is_found_out(
    server: FileServer, cdn: FileServer, fetch: Any, resolve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve("cdn.example", cdn)
    monkeypatch.setattr(guarded_link, "refusal_of_link", lambda url, **_: None)
    server.serve(moved("http://cdn.example/v.mp4"))
    failed = failure(fetch)
    assert failed.kind == "blocked"
    assert "redirect 1" in failed.message
    assert cdn.received == 0


def test_a_dot_at_the_end_of_a_name_hides_nothing(
    server: FileServer, cdn: FileServer, folder: Path, resolve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve("cdn.example", cdn)
    resolve("cdn.example.", cdn)
    monkeypatch.setattr(guarded_link, "refusal_of_link", lambda url, **_: None)
    failed = failure(download, "http://cdn.example./v.mp4", folder, "video", api_base_url=server.origin)
    assert (failed.kind, cdn.received) == ("blocked", 0)


def test_a_proxy_on_a_private_address_is_the_users_own(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_link, "refusal_of_link", lambda url, **_: None)
    with file_server(stored(VIDEO)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.origin)
        done = download("http://cdn.example/v.mp4", folder, "video", api_base_url=server.origin)
        assert proxy.requests[0].startswith("GET http://cdn.example/v.mp4 ")
    assert done.path.read_bytes() == VIDEO


def test_behind_a_proxy_only_names_can_be_judged(
    server: FileServer, cdn: FileServer, folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with file_server(raw(head("502 Bad Gateway"))) as proxy:
        monkeypatch.setenv("https_proxy", proxy.origin)
        options: dict[str, Any] = {"api_base_url": server.origin, "monotonic": clock, "sleep": clock.sleep}
        failed = failure(download, "https://cdn.example/v.mp4", folder, "video", limits=GIVE_UP, **options)
        assert failed.kind == "network"  # the proxy on loopback is not taken for the file's place
        assert proxy.requests[0].startswith("CONNECT cdn.example:443")
        for inside in ("https://10.0.0.1/v", "https://0x7f.1/v", "https://nas.local/v", "https://[::1]/v"):
            assert failure(download, inside, folder, "video", **options).kind == "blocked"
        assert proxy.connections == 1


def test_a_host_that_bypasses_the_proxy_is_judged(
    server: FileServer,
    cdn: FileServer,
    folder: Path,
    resolve: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve("cdn.example", cdn)
    monkeypatch.setattr(guarded_link, "refusal_of_link", lambda url, **_: None)
    with file_server() as proxy:
        monkeypatch.setenv("http_proxy", proxy.origin)
        monkeypatch.setenv("no_proxy", "cdn.example")
        failed = failure(
            download, "http://cdn.example/v.mp4", folder, "video", api_base_url=server.origin, limits=GIVE_UP
        )
        assert (failed.kind, cdn.received, proxy.connections) == ("blocked", 0, 0)


def test_a_redirect_with_an_endless_body_does_not_hold_us(server: FileServer, fetch: Any) -> None:
    def flood(connection: socket.socket, request: str) -> None:
        connection.sendall(head("302 Found", "Location: /v2.mp4", "Transfer-Encoding: chunked"))
        while not server.release.wait(0.01):
            connection.sendall(b"1\r\nx\r\n")

    server.serve(flood, stored(VIDEO))
    assert fetch(limits=Limits(request_timeout_s=0.5, max_resumes=0)).path.read_bytes() == VIDEO


def test_a_name_over_tls_that_leads_inside_is_found_out_before_the_handshake(
    server: FileServer, cdn: FileServer, folder: Path, resolve: Any, clock: Clock
) -> None:
    resolve("cdn.example", cdn)
    failed = failure(
        download,
        "https://cdn.example/v.mp4",
        folder,
        "video",
        api_base_url=server.origin,
        monotonic=clock,
        sleep=clock.sleep,
        limits=GIVE_UP,
    )
    assert failed.kind == "blocked"
    assert cdn.received == 0
