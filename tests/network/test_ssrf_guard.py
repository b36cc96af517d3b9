"""Every spelling of every address that is not public is refused, on every Python; public ones are let through."""

from __future__ import annotations

import ipaddress
import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videotasks.network import origins
from videotasks.network.ssrf_guard import MAX_LINK_CHARS, refusal_of, refusal_of_link

API = "https://api.example.com/v1"


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("169.254.1.1", "link-local"),
        ("169.254.169.254", "metadata"),
        ("192.0.0.192", "metadata"),
        ("100.100.100.200", "metadata"),
        ("168.63.129.16", "metadata"),
        ("100.64.0.1", "carrier-grade"),
        ("100.127.255.255", "carrier-grade"),
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("192.0.0.8", "reserved"),
        ("192.0.2.1", "reserved"),
        ("198.51.100.1", "reserved"),
        ("203.0.113.1", "reserved"),
        ("192.88.99.1", "reserved"),
        ("198.18.0.1", "fake-IP"),
        ("::1", "loopback"),
        ("::", "unspecified"),
        ("fd00:ec2::254", "metadata"),
        ("fd12::1", "private"),
        ("fc00::1", "private"),
        ("fec0::1", "private"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("ff02::1", "multicast"),
        ("2001:db8::1", "reserved"),
        ("3fff::1", "reserved"),
        ("2001:2::1", "reserved"),
        ("2001:20::1", "reserved"),
        ("100::1", "reserved"),
        ("5f00::1", "reserved"),
        ("::127.0.0.1", "reserved"),  # IPv4-compatible, long dead
        ("::ffff:0:127.0.0.1", "reserved"),  # SIIT
        ("4000::1", "reserved"),  # no global unicast yet
        ("::ffff:127.0.0.1", "loopback address (127.0.0.1) inside"),
        ("::ffff:10.1.2.3", "private"),
        ("::ffff:169.254.169.254", "metadata"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b:1::10.0.0.1", "private"),
        ("64:ff9b:1:a00:0:100::", "private"),  # 10.0.0.1 behind a prefix of 48 bits
        ("64:ff9b:1:a:0:1::", "private"),  # of 56 bits
        ("64:ff9b:1:0:a:0:100:0", "private"),  # of 64 bits
        ("64:ff9b:1::", "reserved"),  # leads nowhere that can be judged
        ("2002:7f00:1::", "loopback"),
        ("2002:a00:1::1", "private"),
        ("2002:c0a8:101::", "private"),
        ("2001:0:a00:1::f7f7:f7f7", "private"),  # Teredo: a private server
        ("2001:0:808:808::80ff:fffe", "loopback"),  # Teredo: 127.0.0.1 with its bits flipped
        ("", "no IP address"),
        ("/run/x.sock", "no IP address"),
        ("localhost", "no IP address"),
        ("0177.0.0.1", "no IP address"),
    ],
)
def test_an_address_that_is_not_public_is_refused_by_its_rule(address: str, rule: str) -> None:
    refusal = refusal_of(address)
    assert refusal is not None
    assert rule in refusal


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "172.15.255.255",
        "172.32.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "223.255.255.255",
        "192.0.1.1",
        "2606:4700::1111",
        "2a00:1450::1",
        "2001:4860:4860::8888",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "64:ff9b:1::8.8.8.8",
        "64:ff9b:1:808:8:800::",
        "2002:808:808::1",
        "2001:0:808:808::f7f7:f7f7",
    ],
)
def test_a_public_address_passes(address: str) -> None:
    assert refusal_of(address) is None


@given(st.ip_addresses(v=4))
def test_no_address_that_ipaddress_calls_local_passes(address: ipaddress.IPv4Address) -> None:
    local = address.is_private or address.is_loopback or address.is_multicast or address.is_reserved
    local = local or address.is_link_local or address.is_unspecified
    if local:
        assert refusal_of(str(address)) is not None
    elif address.is_global and not address.is_multicast:
        known = ("192.88.99.0/24", "192.0.0.0/24", "168.63.129.16/32", "100.64.0.0/10")
        if not any(address in ipaddress.ip_network(net) for net in known):
            assert refusal_of(str(address)) is None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_ipv6_disguise(address: ipaddress.IPv4Address) -> None:
    value = int(address)
    plain = refusal_of(str(address))
    for disguise in (0xFFFF << 32 | value, 0x64FF9B << 96 | value, 0x2002 << 112 | value << 80):
        judged = refusal_of(str(ipaddress.IPv6Address(disguise)))
        assert (judged is None) == (plain is None)


HOSTILE = [
    ("file:///etc/passwd", "no http"),
    ("FILE:///etc/passwd", "no http"),
    ("ftp://x.example/v.mp4", "no http"),
    ("data:video/mp4;base64,AAAA", "no http"),
    ("s3://b/v.mp4", "no http"),
    ("//evil.example/v.mp4", "no http"),
    ("/v.mp4", "no http"),
    ("javascript:alert(1)", "no http"),
    ("", "no URL"),
    (None, "no URL"),
    (5, "no URL"),
    (["https://e.example/v.mp4"], "no URL"),
    ({"url": "https://e.example/v.mp4"}, "no URL"),
    ("http:/127.0.0.1/", "no host"),
    ("https://", "no host"),
    ("http://cdn.example/v.mp4", "plain http"),
    ("https://user:pw@cdn.example/", "user name"),
    ("https://user@cdn.example/", "user name"),
    ("https://@cdn.example/", "user name"),
    ("https://example.com@127.0.0.1/", "user name"),
    ("https://127.0.0.1\\@example.com/", "user name"),
    ("https://127.0.0.1\\.example.com/", "odd way"),
    ("https://%31%32%37.0.0.1/", "odd way"),
    ("https://127\u30020\u30020\u30021/", "malformed|odd way"),
    ("https://ｌocalhost/", "malformed|odd way"),
    ("https://exa mple.com/", "odd way"),
    ("https://[fe80::1%25eth0]/", "odd way|malformed"),
    ("https://[::1]x/", "odd way|malformed"),
    ("https://[v1.x]/", "odd way|malformed"),
    ("https://[::1/", "malformed"),
    ("https://[1::2::3]/", "malformed"),
    ("https://cdn.example:99999/", "malformed"),
    ("https://cdn.example:x/", "malformed"),
    ("https://cdn.example:22/", "port 22"),
    ("https://cdn.example:8443/", "port 8443"),
    ("https://example.com/v.mp4\r\nX: y", "control"),
    ("https://exam\tple.com/", "control"),
    ("https://" + "a" * 64 + ".example/", "malformed"),
    ("https://" + "a." * 130 + "example/", "malformed"),
    ("https://a..example/", "malformed"),
    ("https://-a.example/", "malformed"),
    ("https://cdn.example/" + "a" * MAX_LINK_CHARS, "longer"),
    ("https://localhost/", "local network"),
    ("https://LOCALHOST./", "local network"),
    ("https://x.localhost/", "local network"),
    ("https://metadata.google.internal/", "local network"),
    ("https://nas.local/", "local network"),
    ("https://router/", "local network"),
    ("https://127.0.0.1#@example.com/", "loopback"),
    ("https://127.0.0.1?@example.com/", "loopback"),
    ("https://2130706433/", "loopback"),
    ("https://0x7f000001/", "loopback"),
    ("https://0X7F.1/", "loopback"),
    ("https://0177.0.0.1/", "loopback"),
    ("https://127.1/", "loopback"),
    ("https://127.0.1/", "loopback"),
    ("https://127.0.0.1./", "loopback"),
    ("https://00000000000000177.0.0.1/", "loopback"),
    ("https://0/", "unspecified"),
    ("https://0x/", "unspecified"),
    ("https://0xa9fea9fe/", "metadata"),
    ("https://134744072/", "odd way"),  # 8.8.8.8 as one number
    ("https://010.8.8.8/", "odd way"),
    ("https://8.8.2056/", "odd way"),
    ("https://256.1.1.1/", "malformed"),
    ("https://1.2.3.4.5/", "malformed"),
    ("https://4294967296/", "malformed"),
    ("https://09.1.1.1/", "malformed"),
    ("https://a.b.1/", "malformed"),
    ("https://99999999999999999999999999999/", "malformed"),
    ("https://[::1]/", "loopback"),
    ("https://[::]/", "unspecified"),
    ("https://[0:0:0:0:0:0:0:1]/", "loopback"),
    ("https://[::ffff:127.0.0.1]/", "loopback"),
    ("https://[::ffff:7f00:1]/", "loopback"),
    ("https://[64:ff9b::7f00:1]/", "loopback"),
    ("https://[2002:7f00:1::]/", "loopback"),
    ("https://[fd00:ec2::254]/", "metadata"),
    ("https://169.254.169.254/latest/meta-data/", "metadata"),
    ("https://10.0.0.1/", "private"),
    ("https://224.0.0.1/", "multicast"),
]


@pytest.mark.parametrize(("url", "why"), HOSTILE)
def test_a_hostile_link_is_refused_with_its_reason(url: object, why: str) -> None:
    refusal = refusal_of_link(url, api_base_url=API)
    assert refusal is not None
    assert any(part in refusal for part in why.split("|")), refusal
    # The reason is shown to people: it may name the host, never the query, path or user name.
    assert "passwd" not in refusal
    assert "pw" not in refusal


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example/v.mp4",
        "HTTPS://CDN.Example/v.mp4",
        "https://cdn.example:443/v.mp4?X-Signature=" + "a" * 600,
        "https://bucket_name.s3.example.com/视频.mp4",
        "https://xn--fiqs8s.example/v.mp4",
        "https://8.8.8.8/v.mp4",
        "https://[2606:4700::1111]/v.mp4",
        "https://cdn.example./v.mp4",
        "https://1cdn.example/v.mp4?user=a@b",
    ],
)
def test_an_ordinary_link_passes(url: str) -> None:
    assert refusal_of_link(url, api_base_url=API) is None


@pytest.mark.parametrize("base", ["http://127.0.0.1:8123/api", "http://gateway.lan:3000", "https://[::1]:9"])
def test_a_link_on_the_apis_own_origin_passes_and_only_there(base: str) -> None:
    assert refusal_of_link(base + "/files/v.mp4", api_base_url=base) is None
    for other in ("https://127.0.0.1:8124/x", "http://127.0.0.1/x", "https://10.0.0.1/x", "http://gateway.lan:3001/"):
        assert refusal_of_link(other, api_base_url=base) is not None


@pytest.mark.parametrize("url", ["http://10.0.0.1:9000/b/v.mp4", "http://localhost:1/v", "http://nas.local:5000/v"])
def test_allow_private_lifts_the_address_port_and_http_rules(url: str) -> None:
    assert refusal_of_link(url) is not None
    assert refusal_of_link(url, allow_private=True) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://u:p@10.0.0.1/",
        "file:///etc/passwd",
        "http://0x7f.1\\@x/",
        "http://010.8.8.8/",
        "http://a..b/",
        "http://10.0.0.1:99999/",
    ],
)
def test_allow_private_lifts_nothing_else(url: str) -> None:
    assert refusal_of_link(url, allow_private=True) is not None


@given(st.integers(0, 2**32 - 1), st.sampled_from(["%d", "0x%x", "0%o", "0X%X"]))
def test_a_single_number_host_never_passes(value: int, form: str) -> None:
    assert refusal_of_link(f"https://{form % value}/") is not None


@given(
    st.from_regex(
        r"(0x[0-9a-f]{0,3}|0[0-7]{0,4}|[0-9]{1,3})(\.(0x[0-9a-f]{0,8}|0[0-7]{0,5}|[0-9]{1,5})){0,3}", fullmatch=True
    )
)
def test_every_numeric_host_is_read_as_the_system_reads_it(host: str) -> None:
    refusal = refusal_of_link(f"https://{host}/")
    try:
        value = socket.inet_aton(host)
    except OSError:
        assert refusal is not None
        return
    system = str(ipaddress.IPv4Address(value))
    if refusal_of(system) is not None:
        assert refusal is not None
    else:
        assert (refusal is None) == (host == system)


@given(st.text(max_size=60))
def test_no_text_makes_the_judge_stumble(text: str) -> None:
    for url in (text, "https://" + text, "https://a.example" + text, f"https://[{text}]/"):
        refusal = refusal_of_link(url)
        if refusal is None:
            assert urlsplit(url).hostname


def test_the_hostile_links_of_the_data_folder(real_data: Path) -> None:
    links = json.loads((real_data / "security" / "hostile.json").read_text("utf-8"))["video_urls"]
    passed = [link for link in links if refusal_of_link(link, api_base_url=API) is None]
    assert passed == []


@pytest.mark.parametrize(
    "url", ["https://api.example@evil.example/", "https://user@api.example/", "https://@api.example"]
)
def test_a_link_with_a_name_to_log_in_is_on_nobodys_origin(url: str) -> None:
    assert not origins.same_origin("https://api.example", url) and not origins.same_origin(url, "https://api.example")
