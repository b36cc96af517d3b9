"""The key stays home: checklist lines 1 to 7 and 10. Each scene ends with a hunt for the canary (support.scene)."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from support import scene as scenes
from support.faults import answer, json_answer, sse
from support.faultserver import Action, Request
from support.parameters import combinations
from support.scene import CANARY, SCRIPTS, Scene, canary_in, done, healthy
from videotasks.core.errors import TaskError
from videotasks.providers import credentials
from videotasks.providers.load_profile import load_profile

scene = scenes.scene

ENTRIES = sorted(path.stem for path in SCRIPTS.glob("*.py"))
NOISY = """\
import http.client, logging
http.client.HTTPConnection.debuglevel = 1
logging.basicConfig(level=logging.DEBUG)
"""
BROKEN = """\
import requests
def broken(self, request, **kwargs):
    raise RuntimeError(f"https://cdn.example/v.mp4?Signature=SIGNED-7b {vars(request)}")
requests.adapters.HTTPAdapter.send = broken
"""


def test_01_the_hunt_itself_finds_the_key_in_every_form() -> None:
    padded = [base64.b64encode(b"x" * lead + b"user:" + CANARY.encode()).decode() for lead in range(3)]
    spelled = "".join(f"%{ord(c):02X}" for c in CANARY)
    for form in (CANARY, quote(CANARY, safe="").replace("-", "%2d"), spelled, *padded):
        assert canary_in(f"before {form} after"), form
    assert not canary_in(CANARY[:-1])


@pytest.mark.parametrize(("entry", "option"), combinations(ENTRIES, ["--api-key", "--Authorization", "-token"]))
def test_01_no_command_takes_a_key_and_the_refusal_does_not_repeat_it(scene: Scene, entry: str, option: str) -> None:
    for words in ([option, CANARY], [f"{option}={CANARY}"]):
        said = scene.run(entry, *words)
        assert said.code == 2
        assert "environment variable" in said.error["expected"] and "exposed" in said.error["hint"]


@pytest.mark.process
def test_01_no_process_shows_the_key_in_its_arguments(scene: Scene, tmp_path: Path) -> None:
    spec = tmp_path / "openapi.json"
    schema = {"type": "object", "properties": {"prompt": {"type": "string", "pattern": "^(a+)+$"}}}
    body = {"content": {"application/json": {"schema": schema}}}
    create = {"post": {"requestBody": body, "responses": {"200": {"description": "ok"}}}}
    paths = {"/generation/openai/sora-2": create}
    spec.write_text(json.dumps({"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": paths}))
    said = scene.create(scene.api(), "--prompt", "a" * 20, "--openapi", str(spec), spawn=True)
    assert said.code == 0
    if Path("/proc/self").is_dir():
        assert any("create_and_wait.py" in line for line in said.processes)
        assert len(said.processes) > 1  # the child that tries the dangerous pattern was seen, too


@pytest.mark.process
def test_02_debug_logs_of_the_libraries_do_not_show_the_key(scene: Scene, tmp_path: Path) -> None:
    """http.client prints every header once its debug level is up, whoever raised it."""
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    (noisy / "usercustomize.py").write_text(NOISY)
    runner = noisy / "run.py"
    runner.write_text(
        "import runpy, sys, usercustomize\nsys.argv[0:1] = []\n"
        "sys.path.insert(0, sys.argv[0].rsplit('/', 1)[0])\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    said = _through(scene, runner, "--verbose")
    assert said.code == 0
    assert "DEBUG:urllib3" in said.err  # so the logs were on


@pytest.mark.process
def test_03_an_exception_in_a_request_shows_no_key_no_locals_and_no_query(scene: Scene, tmp_path: Path) -> None:
    runner = tmp_path / "run.py"
    runner.write_text(
        f"{BROKEN}\nimport runpy, sys\nsys.argv[0:1] = []\n"
        "sys.path.insert(0, sys.argv[0].rsplit('/', 1)[0])\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    said = _through(scene, runner)
    assert said.code in (24, 25)
    assert len(said.out.splitlines()) <= 2 and "SIGNED" not in said.out + said.err
    assert said.final["error"]["category"] in ("transient", "unknown")


def _through(scene: Scene, runner: Path, *argv: str) -> scenes.Said:
    """create_and_wait.py run by another script, which changed the libraries first."""
    import subprocess
    import sys

    words = [str(SCRIPTS / "create_and_wait.py"), *scenes.hurried(scene.api()), "--prompt", "x", *argv]
    done = subprocess.run([sys.executable, str(runner), *words], capture_output=True, timeout=60)
    return scene.keep(scenes.Said(done.returncode, done.stdout.decode(), done.stderr.decode()))


def test_04_artifacts_hold_no_header_and_no_cookie(scene: Scene) -> None:
    cookie = {"Set-Cookie": "session=COOKIE-9c; Path=/"}
    created = json_answer({"id": "t_1", "status": "IN_QUEUE"}, 202, cookie)
    said = scene.create(scene.api(healthy(created=created)), "--prompt", "x", "--verbose")
    assert said.code == 0
    kept = b"".join(path.read_bytes() for path in scene.files() if scene.artifacts in path.parents)
    for name in (b"authorization", b"bearer", b"set-cookie"):
        assert name not in kept.lower()
    assert b"COOKIE-9c" not in kept and "COOKIE-9c" not in said.out + said.err


def test_04_a_signed_link_is_whole_for_machines_and_cut_for_people(scene: Scene) -> None:
    said = scene.create(scene.api(), "--prompt", "x", "--verbose")
    assert "SIGNED-7b" not in said.err and "v.mp4?..." in said.err
    assert "Signature=SIGNED-7b" in said.final["video_url"]
    run = scene.artifacts / said.final["run_id"]
    assert "SIGNED-7b" in json.loads((run / "outputs" / "result.json").read_text())["video_url"]


ECHOES: dict[str, Any] = {
    "the header as it came": lambda header: f"bad header: {header}",
    "percent-encoded": lambda header: "".join(f"%{ord(c):02x}" for c in header),
    "base64": lambda header: base64.b64encode(header.encode()).decode(),
    "base64 of basic": lambda header: base64.b64encode(b"user:" + header.split()[-1].encode()).decode(),
    # Wherever a text is cut, a cut falls into the key; what is left of it must not be half of one.
    "across every cut": lambda header: (header.split()[-1] + " ") * 400,
    "across every other cut": lambda header: "1234567" + (header.split()[-1] + " ") * 400,
}


PLACES = ("create", "poll", "task", "link", "stream", "word")
CODED = {"percent-encoded", "base64", "base64 of basic"}  # no matter of the place: all go through one door


@pytest.mark.parametrize(
    ("form", "where"),
    [(form, where) for form in ECHOES for where in (PLACES if form not in CODED else ("task",))],
)
def test_05_a_key_that_the_server_echoes_is_neither_shown_nor_stored(scene: Scene, form: str, where: str) -> None:
    def script(request: Request) -> Action:
        said = ECHOES[form](request.header("authorization") or "none")
        if where == "create":
            return json_answer({"error": "bad", "message": said}, 400)
        if where == "stream":
            events = [{"id": "t_1", "status": said}, {"id": "t_1", "status": "FAILED", "error": said}]
            return sse(*(f"data: {json.dumps(event)}\n\n" for event in events))
        status = {
            "poll": json_answer({"error": "bad", "message": said}, 401),
            "task": json_answer({"id": "t_1", "status": "FAILED", "error": said, "message": said}),
            "link": json_answer(done(f"{scenes.at_host(request, '/v.mp4')}?k={quote(said)}")),
            "word": json_answer({"id": "t_1", "status": said}),
        }[where]
        return healthy(status=status)(request)  # type: ignore[no-any-return]

    said = scene.create(scene.api(script), "--prompt", "x", "--verbose", "--poll-timeout", "0.3")
    assert said.code in (0, 10, 11, 12, 22)
    kept = "".join(path.read_text("utf-8", "replace") for path in scene.files()) + said.out + said.err
    assert CANARY[:6] not in kept


def test_05_a_body_to_explain_that_echoes_the_key_is_shown_without_it(scene: Scene, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"message": f"Incorrect API key provided: {CANARY}"}))
    scene.exempt.add(body)
    said = scene.run("handle_runtime_error", "--status", "401", "--body-file", str(body))
    assert said.code == 21 and "Incorrect API key" in said.out


@pytest.mark.parametrize(
    "words",
    [
        ["--prompt", f"a cat {CANARY}"],
        ["--prompt", "x", "--set", f"note={CANARY}"],
        ["--payload", json.dumps({"prompt": "x", "deep": [{"k": CANARY}]})],
        ["--prompt", f"a cat {CANARY}", "--dry-run"],
    ],
)
def test_06_a_key_in_the_request_itself_is_refused_before_anything_is_sent(scene: Scene, words: list[str]) -> None:
    api = scene.api()
    said = scene.create(api, *words)
    assert api.posts == []
    assert said.code == 1 and "key" in said.error["message"]


def profile() -> Any:
    return load_profile("skills-video")


def test_07_blanks_and_line_ends_around_a_key_are_dropped() -> None:
    found = credentials.find_key(profile(), {"SKILLS_VIDEO_API_KEY": f" {CANARY}\r\n"})
    assert found is not None and found.secret == CANARY
    assert credentials.authorisation(profile(), found) == {"Authorization": f"Bearer {CANARY}"}
    assert CANARY not in repr(found) + str(found) + f"{found!r:>40}"


@pytest.mark.parametrize("inside", ["\r\nX-Injected: 1", "\n", "\r", "\0", "\x7f", "\x1b"])
def test_07_a_key_with_a_control_character_inside_is_refused(inside: str) -> None:
    with pytest.raises(TaskError) as caught:
        credentials.find_key(profile(), {"SKILLS_VIDEO_API_KEY": f"sk-ab{inside}cd"})
    assert caught.value.exit_code == 1 and "sk-ab" not in caught.value.message


def test_07_a_key_beyond_latin_1_gets_one_clear_sentence(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILLS_VIDEO_API_KEY", "sk-\u201cquoted\u201d")
    api = scene.api()
    said = scene.create(api, "--prompt", "x")
    assert said.code == 1 and said.error["code"] == "invalid_api_key" and "quoted" not in said.out
    assert api.requests == []


def test_10_netrc_does_not_replace_the_key(scene: Scene, clean_environment: Path) -> None:
    netrc = clean_environment / ".netrc"
    netrc.write_text("machine 127.0.0.1 login user password netrc-secret\n")
    netrc.chmod(0o600)
    api = scene.api()
    assert scene.create(api, "--prompt", "x").code == 0
    calls = [request for request in api.requests if not request.target.startswith("/v.mp4")]
    assert {request.header("authorization") for request in calls} == {f"Bearer {CANARY}"}
    assert api.requests[-1].header("authorization") == ""  # the file's link: neither key nor netrc


def test_10_a_proxy_of_the_environment_is_not_asked_for_loopback(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain http is allowed to this machine; through a proxy it would leave it, key and all."""
    proxy = scene.elsewhere()
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.base_url)
    assert scene.create(scene.api(), "--prompt", "x").code == 0
    assert proxy.requests == []


def test_10_a_proxy_of_the_environment_carries_https_as_a_tunnel(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = scene.elsewhere(answer(403))
    monkeypatch.setenv("https_proxy", proxy.base_url)
    said = scene.run("ensure_api_key", "--verify", "--base-url", "https://api.invalid/v1")
    assert said.code == 24
    assert re.fullmatch(r"CONNECT api\.invalid:443", f"{proxy.requests[0].method} {proxy.requests[0].target}")
