"""Loading: formats by content, what is refused and how, references inside the folder only, the caches, URLs."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from videotasks.openapi import document, parsing, source
from videotasks.openapi.document import MISSING, Document
from videotasks.openapi.source import SpecError

SPEC: dict[str, Any] = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {}}


def load_text(text: str | bytes, folder: Path, name: str = "spec.json") -> Document:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return document.load(str(path))


# ---------------------------------------------------------------- formats


def test_yaml_in_a_json_file_and_json_in_a_yaml_file(tmp_path: Path) -> None:
    assert load_text("openapi: 3.0.1\npaths: {}\n", tmp_path, "x.json").family == "3.0"
    assert load_text(json.dumps(SPEC), tmp_path, "x.yaml").family == "3.1"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_any_unicode_encoding(encoding: str, tmp_path: Path) -> None:
    assert load_text(json.dumps({**SPEC, "info": {"title": "视频"}}).encode(encoding), tmp_path).family == "3.1"


def test_text_that_is_no_unicode_is_read_with_a_warning(tmp_path: Path) -> None:
    loaded = load_text(b'{"openapi": "3.0.0", "paths": {}, "info": {"title": "caf\xe9"}}', tmp_path)
    assert loaded.root["info"]["title"] == "café"
    assert any("Windows-1252" in warning for warning in loaded.warnings)


def test_json_with_comments_is_read_as_yaml(tmp_path: Path) -> None:
    loaded = load_text("{openapi: 3.0.0, paths: {}, # comment\n}", tmp_path)
    assert any("not strict JSON" in warning for warning in loaded.warnings)


def test_a_documentation_page_with_a_specification_block(tmp_path: Path) -> None:
    page = "# Create\n\nSome text.\n\n````yaml POST /v1/x\nopenapi: 3.1.0\npaths:\n  /v1/x: {}\n````\n\nmore: text\n"
    loaded = load_text(page, tmp_path, "page.md")
    assert list(loaded.path_names()) == ["/v1/x"]
    assert any("Markdown" in warning for warning in loaded.warnings)


def test_yaml_keys_are_text_and_ratios_stay_ratios(tmp_path: Path) -> None:
    text = "openapi: 3.0.0\npaths:\n  /x:\n    post: {responses: {200: {description: ok}}}\nx: [16:9, on, 1:1]\n"
    loaded = load_text(text, tmp_path, "x.yaml")
    assert loaded.root["paths"]["/x"]["post"]["responses"] == {"200": {"description": "ok"}}
    assert loaded.root["x"] == ["16:9", "on", "1:1"]


def test_tags_of_a_template_are_read_as_their_value(tmp_path: Path) -> None:
    text = "openapi: 3.0.0\npaths: {}\ninfo: {title: !Sub '${Name}', x: !Ref 5, y: !Join [a, b], z: !If {a: 1}}\n"
    info = load_text(text, tmp_path, "x.yaml").root["info"]
    assert info == {"title": "${Name}", "x": 5, "y": ["a", "b"], "z": {"a": 1}}


def test_duplicate_keys_are_warned_of(tmp_path: Path) -> None:
    assert any("duplicate" in w for w in load_text('{"openapi": "3.0.0", "paths": {}, "paths": {}}', tmp_path).warnings)
    assert any("line 3" in w for w in load_text("openapi: 3.0.0\npaths: {}\npaths: {}\n", tmp_path).warnings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("<!DOCTYPE html><html></html>", "HTML page"),
        ("<?xml version='1.0'?><definitions/>", "XML"),
        (gzip.compress(b"{}", mtime=0), "gzip"),
        (b"PK\x03\x04...", "zip"),
        ("FORMAT: 1A\n# x", "API Blueprint"),
        (b"\x28\xb5\x2f\xfd\x00", "zstd"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x00\x00\x00\x18ftypmp42", "a video"),
        ('<application xmlns="http://wadl.dev.java.net/2009/02"/>', "WADL"),
        ('<definitions xmlns="http://schemas.xmlsoap.org/wsdl/"/>', "WSDL"),
        ('syntax = "proto3";', "Protocol Buffers"),
        ('{"apiVersion": "1", "apis": []}', "Swagger 1 document"),
        ('{"element": "parseResult", "content": []}', "API Blueprint"),
        ('{"endpoints": [{"name": "x", "methods": []}]}', "I/O Docs"),
        ("#%RAML 1.0\ntitle: x", "RAML"),
        ('{"kind": "discovery#restDescription", "discoveryVersion": "v1"}', "Google discovery"),
        ('{"info": {"_postman_id": "x", "name": "n"}, "item": []}', "Postman"),
        ('{"info": {"schema": "https://schema.getpostman.com/json/collection/v2.1.0/"}, "item": []}', "Postman"),
        ('{"_type": "export", "resources": []}', "Insomnia"),
        ('{"asyncapi": "2.0.0", "channels": {}}', "AsyncAPI"),
        ('{"swaggerVersion": "1.2", "apis": []}', "Swagger 1.2"),
        ('{"swagger": "1.2", "paths": {}}', "Swagger 1.2"),
        ('{"data": {"__schema": {}}}', "GraphQL"),
        ('{"log": {"entries": []}}', "HAR"),
        ('{"$schema": "https://mintlify.com/docs.json", "navigation": {}}', "--docs"),
        ('{"$schema": "https://json-schema.org/x", "properties": {}}', "JSON Schema"),
        ('{"hello": 1}', "top-level keys: hello"),
        ("[1, 2]", "a list"),
        ("just words", "plain text"),
        ('{"openapi": "3.0.0", "paths": {', "Invalid JSON in"),
        ("openapi: [", "Invalid YAML in"),
        ("openapi: 3.0.0\nx: !!python/object:os.system {}\n", "not supported"),
        ("openapi: 3.0.0\nx: " + "[" * 30_000, "spec.json"),
        ("[" * 200_000, ""),
        ('{"x": ' + "9" * 5_000 + "}", "digits"),
    ],
)
def test_what_is_refused_says_what_it_is(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_text(text, tmp_path)
    told = f"{caught.value.message} {caught.value.hint or ''}"
    assert message in told
    assert caught.value.expected and caught.value.exit_code == 1


def test_odd_versions_are_read_with_a_warning(tmp_path: Path) -> None:
    assert load_text('{"openapi": "3.2.0", "paths": {}}', tmp_path).warnings
    assert load_text('{"paths": {}}', tmp_path).warnings
    assert load_text('{"openapi": 3.1, "paths": {}}', tmp_path).family == "3.1"
    assert load_text('{"swagger": "2.0", "paths": {}}', tmp_path).family == "2.0"
    assert load_text('{"openapi": "3.0.0"}', tmp_path).warnings == ["no paths"]


def test_missing_folder_large_and_special_files(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="File not found"):
        document.load(str(tmp_path / "no.json"))
    with pytest.raises(SpecError, match="is a folder"):
        document.load(str(tmp_path))
    (tmp_path / "openapi.yaml").write_text("openapi: 3.0.0\npaths: {}\n", encoding="utf-8")
    assert document.load(str(tmp_path)).family == "3.0"
    large = tmp_path / "large.json"
    with open(large, "wb") as file:
        file.truncate(source.MAX_BYTES + 1)
    with pytest.raises(SpecError, match="larger than 20 MB"):
        document.load(str(large))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(SpecError, match="not a regular file"):
            document.load(str(tmp_path / "pipe"))


# ---------------------------------------------------------------- references


def with_refs(tmp_path: Path, files: dict[str, str], **components: Any) -> Document:
    for name, text in files.items():
        path = tmp_path / "api" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "api").mkdir(exist_ok=True)
    spec = {**SPEC, "components": {"schemas": components}}
    (tmp_path / "api" / "openapi.json").write_text(json.dumps(spec), encoding="utf-8")
    return document.load(str(tmp_path / "api" / "openapi.json"))


def test_local_references_of_all_spellings(tmp_path: Path) -> None:
    loaded = with_refs(tmp_path, {}, **{"a/b": {"type": "string"}, "c~d": {"type": "integer"}, "e f": {"type": "null"}})
    assert loaded.resolve("#/components/schemas/a~1b") == {"type": "string"}
    assert loaded.resolve("#/components/schemas/c~0d") == {"type": "integer"}
    assert loaded.resolve("#/components/schemas/e%20f") == {"type": "null"}
    assert loaded.resolve("#/components/schemas/none") is MISSING
    assert any("leads nowhere" in warning for warning in loaded.warnings)


def test_neighbour_files_are_read_and_their_references_are_relative_to_them(tmp_path: Path) -> None:
    loaded = with_refs(
        tmp_path,
        {
            "paths/create.yaml": "post:\n  requestBody:\n    $ref: ../bodies/body.yaml#/Body\n",
            "bodies/body.yaml": "Body: {inner: {$ref: '#/Inner'}}\nInner: {back: {$ref: '../openapi.json#/info'}}\n",
        },
    )
    item = loaded.deref({"$ref": "./paths/create.yaml"})
    body = loaded.deref(item["post"]["requestBody"])
    assert loaded.deref(loaded.deref(body["inner"])["back"]) == SPEC["info"]
    assert loaded.warnings == []


def test_yaml_aliases_in_a_neighbour_are_moved_once(tmp_path: Path) -> None:
    text = "A: &a\n  $ref: './b.yaml#/X'\nB: *a\n"
    loaded = with_refs(tmp_path, {"sub/a.yaml": text, "sub/b.yaml": "X: {type: string}\n"})
    assert loaded.deref({"$ref": "sub/a.yaml#/B"}) == {"type": "string"}


@pytest.mark.parametrize(
    "ref",
    [
        "http://127.0.0.1:{port}/x.json",
        "https://example.com/x.json#/A",
        "//127.0.0.1:{port}/x.json",
        "file:///etc/passwd",
        "/etc/passwd",
        "../secret.json",
        "sub/../../secret.json",
        "..%2Fsecret.json",
        "link.json",
        "linked/secret.json",
        "C:\\secret.json",
        "..\\secret.json",
        "\\\\host\\share",
    ],
)
def test_nothing_outside_the_folder_is_read_or_fetched(ref: str, tmp_path: Path, canary: tuple[int, list[str]]) -> None:
    port, hits = canary
    (tmp_path / "secret.json").write_text('{"stolen": true}', encoding="utf-8")
    (tmp_path / "api").mkdir()
    try:
        (tmp_path / "api" / "link.json").symlink_to(tmp_path / "secret.json")
        (tmp_path / "api" / "linked").symlink_to(tmp_path)
    except OSError:
        pass
    loaded = with_refs(tmp_path, {})
    assert loaded.resolve(ref.replace("{port}", str(port))) is MISSING
    assert len(loaded.warnings) == 1
    assert hits == []


def test_reference_loops_end(tmp_path: Path) -> None:
    loaded = with_refs(tmp_path, {}, A={"$ref": "#/components/schemas/B"}, B={"$ref": "#/components/schemas/A"})
    assert loaded.deref({"$ref": "#/components/schemas/A"}) == {}
    assert any("refers to itself" in warning for warning in loaded.warnings)


def test_schemas_that_were_pasted_with_their_definitions(tmp_path: Path) -> None:
    inner = {"$defs": {"Ratio": {"enum": ["16:9"]}}, "properties": {"ratio": {"$ref": "#/$defs/Ratio"}}}
    loaded = with_refs(tmp_path, {}, Body=inner, Named={"$anchor": "here", "type": "string"})
    assert loaded.resolve("#/$defs/Ratio") == {"enum": ["16:9"]}
    assert loaded.resolve("#here") == {"$anchor": "here", "type": "string"}
    assert loaded.resolve("Body") == inner


# ---------------------------------------------------------------- caches and URLs


def big_yaml() -> str:
    return "openapi: 3.0.0\nduplicate: 1\nduplicate: 2\npaths: {}\nx:\n" + "".join(
        f"  key{index}: {{ratio: 16:9, number: {index}}}\n" for index in range(5000)
    )


def test_large_yaml_comes_from_the_cache_the_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = load_text(big_yaml(), tmp_path, "big.yaml")
    monkeypatch.setattr("videotasks.formats.yaml12.load", lambda *_, **__: pytest.fail("parsed again"))
    second = document.load(str(tmp_path / "big.yaml"))
    assert second.root == first.root
    assert second.warnings == first.warnings != []


def test_a_broken_cache_is_ignored_and_an_unwritable_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = load_text(big_yaml(), tmp_path, "big.yaml")
    (cached,) = (tmp_path / "cache").rglob("*.json")
    cached.write_bytes(cached.read_bytes()[:1000])
    assert document.load(str(tmp_path / "big.yaml")).root == first.root
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert document.load(str(tmp_path / "big.yaml")).root == first.root


def test_the_cache_holds_no_more_than_its_number_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(parsing, "KEPT_FILES", 2)
    for index in range(4):
        load_text(big_yaml() + f"last: {index}\n", tmp_path, "big.yaml")
    assert len(list((tmp_path / "cache").rglob("*.json"))) == 2


class Site:
    """A loopback server with one document; `answers` are taken in turn, then the document is served."""

    def __init__(self) -> None:
        self.body = json.dumps(SPEC).encode()
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.requests: list[dict[str, str]] = []
        self.cut_off = threading.Event()  # the client closed before it had a whole body
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests.append({key.lower(): value for key, value in self.headers.items()} | {"path": self.path})
                if site.answers:
                    code, headers, body = site.answers.pop(0)
                elif self.headers.get("If-None-Match") == '"one"':
                    code, headers, body = 304, {}, b""
                else:
                    code, headers, body = 200, {"ETag": '"one"'}, site.body
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    site.cut_off.set()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/openapi.json"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Site()
    yield made
    made.close()


def test_the_body_of_a_redirect_is_not_read(site: Site) -> None:
    site.answers = [(302, {"Location": "/moved.json"}, b"x" * 120_000_000)]
    assert document.load(site.url).root == SPEC
    assert site.cut_off.wait(20), "120 MB were taken in"


@pytest.mark.parametrize(("status", "words"), [(404, "nothing at this address"), (401, "login"), (503, "fault")])
def test_a_refusal_is_told_in_words(status: int, words: str, site: Site) -> None:
    site.answers = [(status, {}, b"no")]
    with pytest.raises(SpecError, match=words) as caught:
        document.load(site.url)
    assert caught.value.hint


@pytest.fixture
def canary() -> Iterator[tuple[int, list[str]]]:
    made = Site()
    hits: list[str] = []
    made.requests = hits  # type: ignore[assignment]
    yield made.server.server_port, hits
    made.close()


def test_a_url_is_fetched_without_any_login(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password sk-secret\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("SKILLS_VIDEO_API_KEY", "sk-secret")
    assert document.load(site.url).origin == site.url
    assert "authorization" not in site.requests[0]
    assert not any("sk-secret" in value for value in site.requests[0].values())


def test_an_unchanged_url_comes_from_the_cache_and_also_when_it_is_down(site: Site) -> None:
    document.load(site.url)
    document.load(site.url)
    assert site.requests[1]["if-none-match"] == '"one"'
    site.answers = [(500, {}, b"down")]
    loaded = document.load(site.url)
    assert loaded.root == SPEC
    assert any("cached copy" in warning for warning in loaded.warnings)


def test_a_url_that_never_answered_is_an_error(site: Site) -> None:
    site.answers = [(404, {}, b"no")]
    with pytest.raises(SpecError, match="HTTP 404"):
        document.load(site.url)


def test_redirects_stay_on_the_host(site: Site) -> None:
    site.answers = [(302, {"Location": "/moved.json"}, b"")]
    assert document.load(site.url).root == SPEC
    assert site.requests[-1]["path"] == "/moved.json"
    site.answers = [(302, {"Location": "https://evil.example/x.json"}, b"")]
    with pytest.raises(SpecError, match="redirects to another host"):
        document.load(site.url)
    site.answers = [(302, {"Location": "/again"}, b"")] * 10
    with pytest.raises(SpecError, match="redirects"):
        document.load(site.url + "?fresh")


def test_a_url_has_a_cap(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_BYTES", 10)
    with pytest.raises(SpecError, match="larger"):
        document.load(site.url)


def test_a_url_has_no_neighbours(site: Site) -> None:
    assert document.load(site.url).resolve("other.json") is MISSING
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    "url", ["http://example.com/x.json", "https://u:p@example.com/x", "https:///x", "https://h:x/"]
)
def test_urls_that_are_not_fetched(url: str) -> None:
    with pytest.raises(SpecError):
        document.load(url)


def test_other_schemes_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="Cannot read"):
        document.load("ftp://example.com/x.json")
