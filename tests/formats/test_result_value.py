"""What stands at a result path: a link however it is written, a file in the answer, an address in a bucket."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.downloads import VIDEO
from videotasks.formats import result_value

BASE = "https://api.example.com/v1"
ENCODED = base64.b64encode(VIDEO).decode()


@pytest.mark.parametrize(
    ("value", "link"),
    [
        ("https://cdn.example/v.mp4?sig=a", "https://cdn.example/v.mp4?sig=a"),
        ("  https://cdn.example/v.mp4\n", "https://cdn.example/v.mp4"),
        ("https://cdn.example/a paper boat.mp4", "https://cdn.example/a%20paper%20boat.mp4"),
        ("/files/v.mp4", "https://api.example.com/files/v.mp4"),
        ("//cdn.example/v.mp4", "https://cdn.example/v.mp4"),
        ("files/v.mp4?x=1", "https://api.example.com/v1/files/v.mp4?x=1"),
        ("./a/b.c/v.mp4", "https://api.example.com/v1/a/b.c/v.mp4"),
        ("https://exa mple.com/v", None),
        ("//exa mple.com/v", None),
        ("done", None),
        ("v1.5", None),
        ("gs://bucket/v.mp4", None),
        ("javascript:alert(1)", None),
        ("/a\\b", None),
        ("", None),
        (None, None),
        (7, None),
        (["/v.mp4"], None),
    ],
)
def test_links_however_they_are_written(value: Any, link: str | None) -> None:
    assert result_value.link(value, BASE) == link


@pytest.mark.parametrize("text", ["ab/" * 5_000, "a/" * 5_000 + ".mp4 ", "a.mp4" * 3_000, "./" * 5_000])
def test_no_text_takes_long_to_be_told_from_a_link(text: str) -> None:
    """A small clip as plain base64 has a slash in 64 characters: the wait stood still for minutes, deadline and all."""
    began = time.process_time()
    result_value.link(text, BASE)
    assert time.process_time() - began < 20  # 0.01 s, or minutes


@pytest.mark.parametrize("address", ["gs://acme-bucket/clip.mp4", "s3://b/a/v.mp4", " oss://b/v "])
def test_addresses_in_buckets(address: str) -> None:
    assert result_value.bucket_address(address) == address.strip()
    assert result_value.link(address, BASE) is None


@pytest.mark.parametrize("address", ["gs://", "ftp://h/v.mp4", "gs://a b", "file:///etc/passwd", None, 7])
def test_what_is_no_address_in_a_bucket(address: Any) -> None:
    assert result_value.bucket_address(address) is None


@pytest.mark.parametrize(
    "value",
    [
        ENCODED,
        f"data:video/mp4;base64,{ENCODED}",
        f"data:;base64,{ENCODED}",
        f"DATA:application/octet-stream;BASE64,{ENCODED}",
        ENCODED.rstrip("="),
        base64.urlsafe_b64encode(VIDEO).decode(),
        base64.encodebytes(VIDEO).decode(),
        f"\n {ENCODED} ",
        "data:video/mp4," + "".join(f"%{byte:02X}" for byte in VIDEO),
    ],
)
def test_a_file_in_the_answer_is_decoded(value: str) -> None:
    assert result_value.embedded(value) == VIDEO


@pytest.mark.parametrize(
    "value",
    [
        base64.b64encode(b"<html>no media</html>" * 20).decode(),
        f"data:text/html;base64,{base64.b64encode(b'<html>' * 90).decode()}",
        "a" * 5000,
        ENCODED[:1000] + "!" + ENCODED[1000:],
        "data:video/mp4;base64,AAAA",
        None,
    ],
)
def test_what_is_no_file(value: Any) -> None:
    assert result_value.embedded(value) is None


@given(st.text(max_size=400) | st.text("AQIDdata:;,base64/+=%\n", min_size=200, max_size=900))
def test_any_text_is_read_without_an_error(text: str) -> None:
    result_value.embedded(text)
    result_value.bucket_address(text)
    link = result_value.link(text, BASE)
    assert link is None or link.startswith(("http://", "https://"))
