"""What each provider's options put on the wire, seen by a server: exactly the documented body, files included."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.commands import Done, call, journal
from support.faults import answer, json_answer, routes
from support.faultserver import FaultServer, Request
from support.fileserver import png
from videotasks_sandbox.bodies import read_parts

KEY = "sk-CANARY-7f3a"
KEYS = ("SKILLS_VIDEO", "CREATOK", "OCTOPUSX", "ARK", "MODELARK", "OPENAI_COMPATIBLE", "FAL", "REPLICATE")
ENV = {**{f"{name}_API_KEY": KEY for name in KEYS}, "FAL_KEY": KEY, "REPLICATE_API_TOKEN": KEY}
PNG = png()
SHA = hashlib.sha256(PNG).hexdigest()
DATA = "data:image/png;base64," + base64.b64encode(PNG).decode()
URL = "https://e.example/1.png"
CREATED = {"id": "t_1", "request_id": "t_1", "task_id": "t_1", "code": 0, "data": {"task_id": "t_1"}}
# The gateways' in-band predicates: a string there, an integer here, none elsewhere.
ANSWERS: dict[str, Any] = {
    "octopusx": {"id": "t_1", "task_id": "t_1"},
    "replicate": {"id": "t_1", "status": "starting"},
}


def create(server: FaultServer, provider: str, prefix: str, *arguments: str) -> Done:
    return call(
        "create_and_wait.py", "--provider", provider, "--base-url", server.base_url + prefix, "--no-wait", *arguments,
        env=ENV,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def photo(workspace: Path) -> Path:
    (workspace / "my photo.png").write_bytes(PNG)
    return workspace / "my photo.png"


# provider, base path, options, path of the create, JSON body (contracts in brackets)
BODIES: list[tuple[str, str, list[str], str, dict[str, Any]]] = [
    (  # A.3
        "creatok", "",
        ["--prompt", "p", "--model", "veo-3.1-fast-exp", "--duration", "8", "--ratio", "9:16", "--resolution", "720p"],
        "/api/open/skills/tasks",
        {"prompt": "p", "model": "veo-3.1-fast-exp", "seconds": 8, "orientation": "9:16", "definition": "720p"},
    ),
    (  # B.3: the stream variant, names by model
        "skills-video", "/api/v1",
        ["--prompt", "p", "--model", "openai/sora-2", "--duration", "4", "--ratio", "16:9", "--image", URL],
        "/api/v1/generation/sse/openai/sora-2",
        {"prompt": "p", "duration": 4, "aspect_ratio": "16:9", "first_frame_url": URL},
    ),
    (  # B.3: another name for the same
        "skills-video", "/api/v1",
        ["--prompt", "p", "--model", "openai/sora-2-pro", "--duration", "8"],
        "/api/v1/generation/sse/openai/sora-2-pro",
        {"prompt": "p", "seconds": 8},
    ),
    (  # C.2
        "octopusx", "",
        ["--prompt", "p", "--model", "sora-2", "--duration", "4", "--ratio", "16:9", "--resolution", "720p"],
        "/v1/video/generations",
        {"prompt": "p", "model": "sora-2", "duration": 4, "size": "1280x720"},
    ),
    (  # D.2: text, two frames with roles, a seed
        "ark", "/api/v3",
        ["--prompt", "p", "--model", "doubao-seedance-1-5-pro-251215", "--duration", "5", "--ratio", "16:9",
         "--seed", "7", "--image", f"first_frame={URL}", "--image", "last_frame=my photo.png",
         "--set", "watermark=false"],
        "/api/v3/contents/generations/tasks",
        {
            "model": "doubao-seedance-1-5-pro-251215",
            "content": [
                {"type": "text", "text": "p"},
                {"type": "image_url", "image_url": {"url": URL}, "role": "first_frame"},
                {"type": "image_url", "image_url": {"url": DATA}, "role": "last_frame"},
            ],
            "duration": 5, "ratio": "16:9", "seed": 7, "watermark": False,
        },
    ),
    (  # D.2: one image needs no role; a local file is a data URI
        "modelark", "/api/v3",
        ["--prompt", "p", "--model", "ep-1", "--image", "my photo.png"],
        "/api/v3/contents/generations/tasks",
        {
            "model": "ep-1",
            "content": [{"type": "text", "text": "p"}, {"type": "image_url", "image_url": {"url": DATA}}],
        },
    ),
    (  # E.2
        "openai-compatible", "/v1",
        ["--prompt", "p", "--model", "sora-2", "--duration", "4", "--ratio", "16:9", "--resolution", "720p"],
        "/v1/videos",
        {"prompt": "p", "model": "sora-2", "seconds": "4", "size": "1280x720"},
    ),
    (  # F.1: the model is the path
        "fal", "",
        ["--prompt", "p", "--model", "fal-ai/veo3/fast", "--set", "options.deep=[1, 2]"],
        "/fal-ai/veo3/fast",
        {"prompt": "p", "options": {"deep": [1, 2]}},
    ),
    (  # any body at all
        "skills-video", "/api/v1",
        ["--model", "acme/new", "--payload", '{"prompt": "p", "x": {"y": [1, 2.5, null, "z"]}}'],
        "/api/v1/generation/sse/acme/new",
        {"prompt": "p", "x": {"y": [1, 2.5, None, "z"]}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "prefix", "options", "path", "body"), BODIES, ids=[f"{n}-{case[0]}" for n, case in enumerate(BODIES)]
)
def test_the_documented_body(provider: str, prefix: str, options: list[str], path: str, body: dict[str, Any]) -> None:
    with FaultServer(routes({"POST *": json_answer(ANSWERS.get(provider, CREATED))})) as server:
        done = create(server, provider, prefix, *options)
    assert done.exit_code == 0, done
    (post,) = server.posts
    assert (post.target, post.json()) == (path, body)
    assert post.header("content-type") == "application/json"
    scheme = "Key" if provider == "fal" else "Bearer"
    assert post.header("authorization") == f"{scheme} {KEY}"
    kept = (Path(done.final["artifacts_dir"]) / "inputs" / "request.json").read_text(encoding="utf-8")
    assert KEY not in kept and DATA not in kept, "files are summarised on disk, keys are nowhere"


@pytest.mark.parametrize(
    ("provider", "prefix", "options", "path", "fields", "file_field"),
    [
        ("openai-compatible", "/v1", ["--model", "sora-2", "--duration", "4"], "/v1/videos",
         {"prompt": "p", "model": "sora-2", "seconds": "4"}, "input_reference"),
        ("skills-video", "/api/v1", ["--model", "openai/sora-2", "--duration", "4"],
         "/api/v1/generation/sse/openai/sora-2", {"prompt": "p", "duration": "4"}, "first_frame_url"),
    ],
)  # fmt: skip
def test_a_local_file_in_a_multipart_form(
    provider: str, prefix: str, options: list[str], path: str, fields: dict[str, str], file_field: str
) -> None:
    with FaultServer(routes({"POST *": json_answer(CREATED)})) as server:
        done = create(server, provider, prefix, "--prompt", "p", *options, "--image", "my photo.png")
    assert done.exit_code == 0, done
    (post,) = server.posts
    assert post.target == path
    parts = read_parts(post.body, post.header("content-type"))
    assert {part.name: part.text for part in parts if part.filename is None} == fields
    (file,) = [part for part in parts if part.filename is not None]
    assert (file.name, file.content_type, file.data) == (file_field, "image/png", PNG)
    assert file.filename == f"first_frame-{SHA[:12]}.png", "a file's own name is nobody's business"


def creatok(puts: list[Request], refuse_puts: int = 0) -> Callable[[Request], Any]:
    """The upload of A.6: init with the key, then a PUT to an object store, here on the same server."""

    def choose(request: Request) -> Any:
        if request.target == "/api/open/skills/upload/image/presigned":
            number = len(puts) + 1
            url = f"http://{request.header('host')}/store/{number}?X-Signature=abc"
            return json_answer(
                {"code": 0, "data": {"presignedUploadUrl": url, "objectKey": f"open-skills/{number}.png"}}
            )
        if request.method == "PUT":
            request.read()
            puts.append(request)
            return answer(500 if len(puts) <= refuse_puts else 200)
        if request.target == "/api/open/skills/tasks":
            return json_answer(CREATED)
        return json_answer({"code": 40401, "msg": "no"}, 404)

    return choose


def test_a_local_file_is_uploaded_without_the_key_and_only_once() -> None:
    puts: list[Request] = []
    with FaultServer(creatok(puts)) as server:
        given = ("--prompt", "p", "--model", "doubao-seedance-2", "--image", "my photo.png")
        done = create(server, "creatok", "", *given)
        assert done.exit_code == 0, done
        init, post = server.posts
        assert init.json() == {
            "fileName": f"reference-{SHA[:12]}.png", "fileType": "image/png", "fileSize": len(PNG),
            "prefix": "open-skills/reference-images",
        }  # fmt: skip
        assert post.json() == {"prompt": "p", "model": "doubao-seedance-2", "referenceImageKeys": ["open-skills/1.png"]}
        (put,) = puts
        assert put.body == PNG and put.header("content-type") == "image/png"
        assert put.header("authorization") == "" and KEY not in str(put.headers), "the address is the permission"
        assert put.target == "/store/1?X-Signature=abc"
        # Attaching uploads nothing again.
        again = create(server, "creatok", "", *given)
        assert again.final["attached"] is True and len(puts) == 1
    events = [line["event"] for line in journal(Path(done.final["artifacts_dir"]))]
    assert events.index("uploaded") < events.index("submitting")


def test_an_upload_that_fails_in_passing_is_sent_again_and_reused_by_the_next_try() -> None:
    puts: list[Request] = []
    with FaultServer(creatok(puts, refuse_puts=1)) as server:
        assert (
            create(server, "creatok", "", "--prompt", "p", "--model", "sora-2", "--image", "my photo.png").exit_code
            == 0
        )
    assert len(puts) == 2


def test_an_upload_that_is_refused_creates_nothing() -> None:
    table = {
        "POST /api/open/skills/upload/image/presigned": json_answer({"code": 40101, "msg": "bad key"}),
        "POST /api/open/skills/tasks": json_answer(CREATED),
    }
    with FaultServer(routes(table)) as server:
        done = create(server, "creatok", "", "--prompt", "p", "--model", "sora-2", "--image", "my photo.png")
        assert done.exit_code not in (0, 3)
        assert [post.target for post in server.posts] == ["/api/open/skills/upload/image/presigned"]


@pytest.mark.parametrize(
    ("provider", "options", "words"),
    [
        ("creatok", ["--model", "sora-2", "--image", URL], "upload"),
        ("creatok", ["--model", "sora-2", "--seed", "1"], "seed"),
        ("openai-compatible", ["--model", "sora-2", "--video", URL], "video"),
        ("ark", ["--model", "doubao-seedance-1-5-pro-251215", "--image", "last_frame=" + URL], "first_frame"),
        (
            "ark",
            ["--model", "doubao-seedance-2-0-260128", "--image", "first_frame=" + URL, "--image", "reference=" + URL],
            "reference",
        ),
        ("ark", ["--model", "doubao-seedance-1-5-pro-251215", "--duration", "30"], "12"),
        ("ark", ["--model", "doubao-seedance-1-5-pro-251215", "--image", "text.png"], "text.png"),
        ("ark", ["--model", "doubao-seedance-1-5-pro-251215", "--image", "empty.png"], "empty.png"),
        ("skills-video", ["--model", "acme/unheard-of", "--image", "last_frame=" + URL], "end_frame_url"),
    ],
)
def test_an_input_that_cannot_be_is_told_and_nothing_is_sent(
    workspace: Path, provider: str, options: list[str], words: str
) -> None:
    (workspace / "text.png").write_text("hello", encoding="utf-8")
    (workspace / "empty.png").write_bytes(b"")
    with FaultServer(json_answer(CREATED)) as server:
        done = create(server, provider, "", "--prompt", "p", *options)
        assert done.exit_code in (1, 22), done
        assert words in json.dumps(done.error, ensure_ascii=False)
        assert server.posts == []


def test_a_video_longer_than_the_model_can_make_names_the_most_and_suggests_a_split() -> None:
    with FaultServer(json_answer(CREATED)) as server:
        done = create(
            server, "ark", "", "--prompt", "p", "--model", "doubao-seedance-1-5-pro-251215", "--duration", "30"
        )
    text = json.dumps(done.error)
    assert "12" in text and "3" in text, text


def test_a_specification_decides_the_names_of_a_model_that_nobody_documented(workspace: Path) -> None:
    fields = {"prompt": {"type": "string"}, "seconds": {"type": "integer", "maximum": 10}}
    schema = {"type": "object", "properties": fields, "required": ["prompt"], "additionalProperties": False}
    content = {"application/json": {"schema": schema}}
    paths = {
        f"/generation/{middle}acme/new": {"post": {"requestBody": {"content": content}, "responses": {}}}
        for middle in ("", "sse/")
    }
    (workspace / "spec.json").write_text(
        json.dumps({"openapi": "3.0.0", "info": {"title": "t", "version": "1"}, "paths": paths}), encoding="utf-8"
    )
    given = ("--prompt", "p", "--model", "acme/new", "--openapi", "spec.json")
    with FaultServer(routes({"POST *": json_answer(CREATED)})) as server:
        done = create(server, "skills-video", "", *given, "--duration", "4")
        assert done.exit_code == 0, done
        assert server.posts[0].json() == {"prompt": "p", "seconds": 4}
        over = create(server, "skills-video", "", *given, "--duration", "12")
        assert over.exit_code == 22 and over.error["code"] == "invalid_request"
        unknown = create(server, "skills-video", "", *given, "--set", "colour=red")
        assert unknown.exit_code == 22
        assert len(server.posts) == 1
