"""Which endpoints make videos, from a navigation or the document itself, and what belongs to one of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from videotasks.openapi import endpoints, navigation, operations, polling
from videotasks.openapi.document import Document
from videotasks.openapi.source import SpecError

BODY = {"content": {"application/json": {"schema": {"type": "object"}}}}


def operation(summary: str = "", **more: Any) -> dict[str, Any]:
    return {"summary": summary, "requestBody": BODY, "responses": {"200": {"description": "ok"}}, **more}


def spec(paths: dict[str, Any], family: str = "3.0", **more: Any) -> Document:
    return Document({"openapi": "3.0.0", "paths": paths, **more}, family, "/x/openapi.json", None)


def listed(document: Document, category: str = "videos") -> list[str]:
    return [found.endpoint for found in endpoints.creating(document, category)[0]]


# ---------------------------------------------------------------- from the document


def test_words_of_path_title_and_tags_decide() -> None:
    document = spec(
        {
            "/v1/chat/completions": {"post": operation("Chat about a video")},
            "/v1/images": {"post": operation("Create an image")},
            "/v1/videos": {"post": operation("Create"), "get": operation("List videos")},
            "/v1/videos/{id}/cancel": {"post": operation("Cancel")},
            "/v1/videos/quote": {"post": operation("Price of a video")},
            "/v1/motion": {"post": operation("Animate a picture", tags=["Video"])},
            "/v1/upload": {"post": operation("Upload a video")},
            "/kling/t2v": {"post": operation("")},
        }
    )
    found, how = endpoints.creating(document, "videos")
    assert how == "text"
    assert [o.endpoint for o in found] == ["POST /v1/videos", "POST /kling/t2v", "POST /v1/motion"]
    assert listed(document, "images")[0] == "POST /v1/images"


def test_the_plain_create_comes_before_what_changes_a_video() -> None:
    document = spec(
        {
            "/generations/video/reframe": {"post": operation("Reframe a video", tags=["Video"])},
            "/generations/video": {"post": operation("Create a generation")},
        }
    )
    assert listed(document)[0] == "POST /generations/video"


def test_a_document_that_says_nothing_lists_what_creates_then_everything() -> None:
    generic = spec(
        {"/predictions": {"post": operation("Create a prediction")}, "/login": {"post": operation("Log in")}}
    )
    assert (listed(generic), endpoints.creating(generic, "videos")[1]) == (["POST /predictions"], "generic")
    silent = spec({"/owner/model": {"post": operation()}, "/owner/model/x": {"get": operation()}})
    assert (listed(silent), endpoints.creating(silent, "videos")[1]) == (["POST /owner/model"], "all")
    assert listed(spec({})) == []


@pytest.mark.parametrize(
    ("path", "summary", "listed_as"),
    [
        ("/talks", "Create a talk", "text"),
        ("/clips", "Create a clip", "text"),
        ("/v2/videos/fromTemplate", "Create a video from a template", "text"),
        ("/render", "Render an edit", "text"),
        ("/make", "Generate something", "text"),  # its description says video
        ("/api/prompt", "Submit a workflow for execution", "generic"),
        ("/queue/{queue_id}/enqueue_batch", "Enqueue batch", "generic"),
        ("/public/generations", "Generate asset", "generic"),
        ("/videos/star", "Star videos in list", None),
        ("/videos/board", "Add video to board", None),
        ("/personalized_video/add_contact", "add_contact", None),
        ("/clips/avatars", "Create a premium avatar", None),
        ("/clips/streams", "Create a new stream", None),
        ("/assets/from-hash", "Create asset reference from existing hash", None),
        ("/api/queue", "Manage queue operations", None),
        ("/talking_photo", "Upload a talking photo", None),
        ("/video/face_detection", "Detect faces in a video", None),
        ("/deployments", "Create a deployment", None),
    ],
)
def test_what_makes_a_video_and_what_does_not(path: str, summary: str, listed_as: str | None) -> None:
    described = "Makes a video of your text." if path == "/make" else ""
    document = spec({path: {"post": operation(summary, description=described)}, "/neither/x": {"post": operation("Y")}})
    found, how = endpoints.creating(document, "videos")
    if listed_as is None:
        assert how == "all"
    else:
        assert ([o.path for o in found], how) == ([path], listed_as)


@pytest.mark.parametrize(
    ("path", "summary", "needs"),
    [
        ("/v1/image-to-video", "", {"image"}),
        ("/videos/image2video", "", {"image"}),
        ("/kling/i2v", "", {"image"}),
        ("/generations/video/reframe", "Reframe a video", {"video"}),
        ("/videos/edits", "", {"video"}),
        ("/video_to_video", "", {"video"}),
        ("/v1/videos", "Create a video", set()),
        ("/images/edits", "Edit an image", set()),
    ],
)
def test_what_an_operation_starts_from(path: str, summary: str, needs: set[str]) -> None:
    document = spec({path: {"post": operation(summary)}})
    assert endpoints.needs(operations.find(document, path)) == needs


def test_deprecated_ones_come_last_and_the_plain_one_first() -> None:
    document = spec(
        {
            "/animations": {"post": operation("Create an animation", deprecated=True)},
            "/v1/avatar_videos": {"post": operation("Generate avatar video")},
            "/v1/vendor/videos/image2video": {"post": operation("Create an image-to-video task")},
            "/v1/videos": {"post": operation("Create a video")},
        }
    )
    assert [listed(document)[0], listed(document)[-1]] == ["POST /v1/videos", "POST /animations"]


def test_a_group_of_a_navigation_does_not_make_everything_in_it_a_video(tmp_path: Path) -> None:
    names = ("image-to-video", "audio-to-text", "llm", "v1/generation/a/one", "videos/star")
    document = spec({f"/{name}": {"post": operation()} for name in names})
    path = tmp_path / "docs.json"
    path.write_text(json.dumps({"navigation": [{"group": "AI Video", "pages": [f"POST /{name}" for name in names]}]}))
    tree, origin = navigation.load(str(path))
    found, _ = navigation.endpoints(tree, origin, document, "videos")
    assert list(found) == ["POST /image-to-video", "POST /v1/generation/a/one"]


@pytest.mark.parametrize(
    ("kind", "streams"), [("text/event-stream", True), ("application/json", False), ("audio/mpeg", False), (None, True)]
)
def test_the_media_type_says_what_is_a_stream(kind: str | None, streams: bool) -> None:
    answer = {"200": {"description": "ok", **({"content": {kind: {"schema": {}}}} if kind else {})}}
    paths = {"/videos": {"post": operation()}, "/videos/stream": {"post": operation(responses=answer)}}
    found = endpoints.Streams(spec(paths))
    assert found.path_for("POST", "/videos") == ("/videos/stream" if streams else None)
    assert found.path_for("POST", "/videos/stream") == ("/videos/stream" if streams else None)


def test_search_finds_all_words_anywhere_and_titles_first() -> None:
    document = spec(
        {
            "/a": {"post": operation("x", description="image to video and more")},
            "/b": {"get": operation("Image to video")},
            "/c": {"get": operation("Image")},
        }
    )
    assert [o.endpoint for o in endpoints.search(document, "VIDEO image")] == ["GET /b", "POST /a"]


# ---------------------------------------------------------------- finding one


PATHS = {
    "/v1/generation/openai/sora-2": {"post": operation(operationId="createSora")},
    "/v1/generation/{id}": {"get": operation()},
    "/models/{owner}/{name}/predictions": {"post": operation()},
    "/plain/": {"put": operation()},
}


@pytest.mark.parametrize(
    ("wanted", "endpoint"),
    [
        ("POST /v1/generation/openai/sora-2", "POST /v1/generation/openai/sora-2"),
        ("post /v1/generation/openai/sora-2", "POST /v1/generation/openai/sora-2"),
        ("/v1/generation/openai/sora-2", "POST /v1/generation/openai/sora-2"),
        ("/generation/openai/sora-2", "POST /v1/generation/openai/sora-2"),
        ("generation/openai/sora-2", "POST /v1/generation/openai/sora-2"),
        ("https://host.example/api/v1/generation/openai/sora-2?x=1", "POST /v1/generation/openai/sora-2"),
        ("/api/v1/generation/openai/sora-2", "POST /v1/generation/openai/sora-2"),
        ("CREATESORA", "POST /v1/generation/openai/sora-2"),
        ("createSora", "POST /v1/generation/openai/sora-2"),
        ("/models/google/veo/predictions", "POST /models/{owner}/{name}/predictions"),
        ("/plain", "PUT /plain/"),
        ("GET /v1/generation/abc", "GET /v1/generation/{id}"),
        ("/v1/generation/{id}", "GET /v1/generation/{id}"),
    ],
)
def test_an_endpoint_is_found_however_it_is_written(wanted: str, endpoint: str) -> None:
    document = spec(PATHS, servers=[{"url": "https://host.example/api"}])
    assert operations.find(document, wanted).endpoint == endpoint


@pytest.mark.parametrize("wanted", ["/v1/generation/openai/sora2", "POST /v1/generation/x", "DELETE /plain", ""])
def test_a_misspelt_endpoint_is_refused_with_the_nearest(wanted: str) -> None:
    """A misspelt create must not become `GET /v1/generation/{id}` with the misspelling as the id."""
    with pytest.raises(SpecError, match="Endpoint not found in OpenAPI") as caught:
        operations.find(spec(PATHS), wanted)
    if "sora" in wanted:
        assert caught.value.details["nearest"][0] == "POST /v1/generation/openai/sora-2"


def test_server_urls() -> None:
    assert operations.server_url(spec({}, servers=[{"url": "/api"}]), None) == "/api"
    variables = {"stage": {"default": "v1"}, "host": {}}
    with_variables = spec({}, servers=[{"url": "https://x/{stage}/{host}", "variables": variables}])
    assert operations.server_url(with_variables, None) == "https://x/v1/{host}"
    swagger = spec({}, "2.0", host="h.example", basePath="/b", schemes=["http"])
    assert operations.server_url(swagger, None) == "http://h.example/b"
    assert operations.server_url(spec({}), None) is None
    fetched = Document({"servers": [{"url": "/api"}], "paths": {}}, "3.0", "https://docs.example/x/openapi.json", None)
    assert operations.server_url(fetched, None) == "https://docs.example/api"
    own = spec({"/x": {"post": operation(servers=[{"url": "https://own"}])}}, servers=[{"url": "https://all"}])
    assert operations.server_url(own, operations.find(own, "/x")) == "https://own"


def test_swagger_2_bodies_and_forms() -> None:
    document = spec(
        {
            "/json": {"post": {"parameters": [{"in": "body", "name": "b", "schema": {"type": "object"}}]}},
            "/form": {
                "post": {
                    "consumes": ["multipart/form-data"],
                    "parameters": [
                        {"in": "formData", "name": "file", "type": "file", "required": True},
                        {"in": "formData", "name": "n", "type": "integer"},
                        {"in": "query", "name": "q", "type": "string"},
                    ],
                }
            },
        },
        "2.0",
    )
    (body,) = operations.find(document, "/json").request_media()
    assert (body.type, body.schema) == ("application/json", {"type": "object"})
    (form,) = operations.find(document, "/form").request_media()
    assert form.type == "multipart/form-data"
    assert form.schema["required"] == ["file"]
    assert form.schema["properties"] == {"file": {"type": "string", "format": "binary"}, "n": {"type": "integer"}}


# ---------------------------------------------------------------- siblings


@pytest.mark.parametrize(
    ("paths", "path", "stream"),
    [
        (["/generation/a/b", "/generation/sse/a/b"], "/generation/a/b", "/generation/sse/a/b"),
        (["/api/generation/v1/generation/a", "/api/generation/v1/generation/sse/a"], "/api/generation/v1/generation/a",
         "/api/generation/v1/generation/sse/a"),
        (["/generation/sse/a"], "/generation/sse/a", "/generation/sse/a"),
        (["/videos", "/videos/stream"], "/videos", "/videos/stream"),
        (["/videos", "/sse/videos"], "/videos", "/sse/videos"),
        (["/videos", "/streams"], "/videos", None),
        (["/videos", "/generation/sse/videos"], "/videos", None),
    ],
)  # fmt: skip
def test_stream_siblings(paths: list[str], path: str, stream: str | None) -> None:
    document = spec({name: {"post": operation()} for name in paths})
    assert endpoints.Streams(document).path_for("POST", path) == stream


def test_an_operation_that_answers_with_events_is_its_own_stream() -> None:
    answer = {"200": {"description": "ok", "content": {"text/event-stream": {"schema": {}}}}}
    document = spec({"/videos": {"post": operation(responses=answer)}})
    assert endpoints.Streams(document).path_for("POST", "/videos") == "/videos"
    assert endpoints.polling_path(document, "POST", "/generation/sse/x") is None


def test_the_plain_sibling_of_a_stream() -> None:
    document = spec({name: {"post": operation()} for name in ("/generation/a", "/generation/sse/a")})
    assert endpoints.polling_path(document, "POST", "/generation/sse/a") == "/generation/a"
    assert endpoints.polling_path(document, "POST", "/generation/a") == "/generation/a"


@pytest.mark.parametrize(
    ("create", "others", "poll"),
    [
        ("/v1/generation/a/b", ["/v1/generation/{request_id}", "/v1/other/{id}"], "/v1/generation/{request_id}"),
        ("/generation/a", ["/generation/{task}"], "/generation/{task}"),
        ("/videos", ["/videos/{id}", "/videos/{id}/content", "/videos/characters/{id}"], "/videos/{id}"),
        ("/videos/edits", ["/videos/{id}", "/videos/characters/{id}"], "/videos/{id}"),
        ("/m/veo", ["/m/veo/requests/{id}", "/m/veo/requests/{id}/status"], "/m/veo/requests/{id}/status"),
        ("/models/{o}/{n}/predictions", ["/models/{o}/{n}", "/predictions/{id}"], "/predictions/{id}"),
        ("/generations/video", ["/generations/{id}", "/users/{id}"], "/generations/{id}"),
        ("/videos", ["/users/{id}"], None),
    ],
)
def test_poll_endpoints(create: str, others: list[str], poll: str | None) -> None:
    paths: dict[str, Any] = {create: {"post": operation()}}
    paths.update({path: {"get": {"responses": {}}} for path in others})
    document = spec(paths)
    found = polling.find_poll(document, operations.find(document, create)).operation
    assert (found.path if found else None) == poll


def answered(**properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties}
    return {"200": {"description": "ok", "content": {"application/json": {"schema": schema}}}}


TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("create", "answer", "others", "poll", "how"),
    [
        # the id that the create answers with is the one that is asked for
        ("/v2/make", {"task_id": TEXT}, ["/v2/look/{task_id}", "/v2/avatars/{avatar_id}"], "/v2/look/{task_id}",
         "answer"),
        ("/make", {"data": {"type": "object", "properties": {"videoId": TEXT}}}, ["/video/{video_id}"],
         "/video/{video_id}", "answer"),
        ("/create_video_with_template", {"project_id": TEXT}, ["/project?project_id", "/templates/{id}"], "/project",
         "answer"),
        ("/image_to_video", {"task_id": TEXT}, ["/tasks/{id}", "/videos/{video_id}"], "/tasks/{id}", "answer"),
        # a path of another product does not win because it is called generation
        ("/v2/create_video", {}, ["/v2/avatar/generation/{batch_id}", "/v2/video/{video_id}"],
         "/v2/video/{video_id}", "path"),
        ("/v2/video/generate", {}, ["/v1/video_status.get?video_id", "/v2/video_translate/<id>"],
         "/v1/video_status.get", "path"),
        ("/v2/video_translate", {}, ["/v2/video_translate/<id>", "/v2/video_translate/target_languages"],
         "/v2/video_translate/<id>", "path"),
        ("/generations-text-to-video", {}, ["/generations/{id}", "/generations/user/{userId}"], "/generations/{id}",
         "path"),
        ("/queue/{queue_id}/enqueue_batch", {}, ["/queue/{queue_id}/status", "/queue/{queue_id}/b/{batch_id}/status"],
         "/queue/{queue_id}/b/{batch_id}/status", "path"),
        ("/videos/{video_id}/remix", {}, ["/videos/{video_id}", "/videos/{video_id}/content"], "/videos/{video_id}",
         "path"),
        ("/videos/fromTemplate", {}, ["/templates/{template_id}", "/videos/{id}"], "/videos/{id}", "path"),
        # the only general task endpoint, for want of better
        ("/v1/avatar_videos", {}, ["/v1/avatars/{id}", "/v1/tasks/{id}"], "/v1/tasks/{id}", "guess"),
        ("/v1/flux", {"id": TEXT}, ["/v1/get_result?id", "/v1/credits"], "/v1/get_result", "guess"),
        # none is better than a wrong one
        ("/v2/template/{id}/generate", {}, ["/v2/template/{id}"], None, None),
        ("/v1/flux", {}, ["/v1/tasks/{id}", "/v1/jobs/{id}"], None, None),
        ("/videos", {}, ["/images/{id}", "/videos/list", "/videos/{id}/content"], None, None),
    ],
)  # fmt: skip
def test_how_a_poll_endpoint_is_told(
    create: str, answer: dict[str, Any], others: list[str], poll: str | None, how: str | None
) -> None:
    paths: dict[str, Any] = {create: {"post": operation(responses=answered(**answer) if answer else {})}}
    for other in others:
        path, _, name = other.partition("?")
        parameters = [{"in": "query", "name": name, "schema": TEXT}] if name else []
        paths[path] = {"get": {"parameters": parameters, "responses": {}}}
    document = spec(paths)
    found = polling.find_poll(document, operations.find(document, f"POST {create}"))
    assert (found.operation.path if found.operation else None, found.how) == (poll, how)


def test_two_that_are_too_close_are_both_offered() -> None:
    paths: dict[str, Any] = {"/make": {"post": operation(responses=answered(task_id=TEXT, video_id=TEXT), tags=["v"])}}
    for path in ("/one/{task_id}", "/other/{task_id}"):
        paths[path] = {"get": {"responses": {}}}
    document = spec(paths)
    found = polling.find_poll(document, operations.find(document, "POST /make"))
    assert found.operation is None and [o.path for o in found.candidates] == ["/one/{task_id}", "/other/{task_id}"]


def test_a_poll_by_post_and_by_query() -> None:
    by_post = spec({"/video/queue": {"post": operation()}, "/video/retrieve": {"post": operation()}})
    found = polling.find_poll(by_post, operations.find(by_post, "/video/queue")).operation
    assert found is not None and found.endpoint == "POST /video/retrieve"
    query = [{"in": "query", "name": "generation_id", "schema": {"type": "string"}}]
    by_query = spec({"/v2/video/generations": {"post": operation(), "get": {"parameters": query, "responses": {}}}})
    found = polling.find_poll(by_query, operations.find(by_query, "/v2/video/generations")).operation
    assert found is not None and found.endpoint == "GET /v2/video/generations"


def test_links_say_which_operation_polls() -> None:
    linked = {"202": {"description": "ok", "links": {"poll": {"operationId": "look"}}}}
    paths = {"/a": {"post": operation(responses=linked)}, "/z/{q}": {"get": {"operationId": "look", "responses": {}}}}
    document = spec(paths)
    found = polling.find_poll(document, operations.find(document, "/a")).operation
    assert found is not None and found.path == "/z/{q}"


def test_status_words_also_from_inside_the_answer() -> None:
    status = {"type": "string", "enum": ["queued", "done"]}
    task = {"type": "object", "properties": {"data": {"type": "object", "properties": {"task_status": status}}}}
    answer = {"200": {"description": "", "content": {"application/json": {"schema": {"allOf": [task]}}}}}
    document = spec({"/videos": {"post": operation()}, "/videos/{id}": {"get": {"responses": answer}}})
    poll = polling.find_poll(document, operations.find(document, "/videos")).operation
    assert endpoints.status_values(poll) == ["queued", "done"]


# ---------------------------------------------------------------- navigations

NAVIGATED = spec(
    {f"/v1/generation/a/{name}": {"post": operation()} for name in ("one", "two", "three", "four", "five", "six")}
    | {"/v1/generation/{id}": {"get": operation()}, "/v1/image": {"post": operation()}}
)


def from_navigation(tree: Any, folder: Path, category: str = "videos") -> tuple[list[str], list[str]]:
    path = folder / "docs.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    loaded, origin = navigation.load(str(path))
    found, warnings = navigation.endpoints(loaded, origin, NAVIGATED, category)
    return list(found), warnings


@pytest.mark.parametrize("title", ["Video", "Videos", "AI Video", "Video Generation", "videos", "Vídeo", "视频"])
def test_group_names(title: str, tmp_path: Path) -> None:
    tree = {
        "navigation": [
            {"group": title, "pages": ["POST /v1/generation/a/one"]},
            {"group": "Other", "pages": ["POST /x"]},
        ]
    }
    assert from_navigation(tree, tmp_path)[0] == ["POST /v1/generation/a/one"]


@pytest.mark.parametrize(
    "page",
    [
        "POST /v1/generation/a/one",
        "POST /generation/a/one",
        "post /v1/generation/a/one",
        "openapi.json POST /v1/generation/a/one",
        "/api/openapi.yaml POST /v1/generation/a/one",
        "https://x.example/openapi.json POST /v1/generation/a/one",
        "main-spec POST /v1/generation/a/one",
        {"group": "Inner", "pages": ["POST /v1/generation/a/one"]},
        "api/front-openapi",
        "api/front-file",
        "api/front-api.mdx",
        "api-reference/v1/generation/a/one",
    ],
)
def test_page_forms(page: Any, tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    fronts = {
        "front-openapi.mdx": '---\ntitle: "One"\nopenapi: "POST /v1/generation/a/one"\n---\ntext',
        "front-file.md": "---\r\nopenapi: openapi.json post /generation/a/one\r\n---\r\n",
        "front-api.mdx": "\ufeff---\napi: 'POST https://api.example/v1/generation/a/one'\n---\n",
    }
    for name, text in fronts.items():
        (tmp_path / "api" / name).write_text(text, encoding="utf-8", newline="")
    names, warnings = from_navigation({"navigation": [{"group": "Video", "pages": [page]}]}, tmp_path)
    assert names == ["POST /v1/generation/a/one"] and warnings == []


@pytest.mark.parametrize("keys", [("tabs", "groups"), ("anchors", "groups"), ("dropdowns", "tabs", "groups"),
                                  ("languages", "tabs", "groups"), ("versions", "groups")])  # fmt: skip
def test_any_nesting(keys: tuple[str, ...], tmp_path: Path) -> None:
    node: Any = {"group": "Videos", "pages": ["POST /v1/generation/a/two", "guide"]}
    for key in reversed(keys):
        node = {key: [node], "language": "en"}
    assert from_navigation({"navigation": node}, tmp_path)[0] == ["POST /v1/generation/a/two"]


def test_a_group_with_its_own_document_and_a_tab_of_that_name(tmp_path: Path) -> None:
    tree = {"navigation": {"tabs": [{"tab": "Video API", "groups": [{"group": "Make", "openapi": "openapi.json"}]}]}}
    names, _ = from_navigation(tree, tmp_path)
    assert "POST /v1/generation/a/six" in names and len(names) == 6  # the image endpoint makes no video


def test_what_is_no_create_endpoint_is_left_out(tmp_path: Path) -> None:
    pages = ["GET /v1/generation/{id}", "guides/video", "POST /v1/generation/a/one", "WEBHOOK /x", 7, None]
    assert from_navigation({"navigation": [{"group": "Video", "pages": pages}]}, tmp_path)[0] == [
        "POST /v1/generation/a/one"
    ]


def test_endpoints_that_the_document_lacks_are_kept_and_warned_of(tmp_path: Path) -> None:
    names, warnings = from_navigation({"navigation": [{"group": "Video", "pages": ["POST /gone"]}]}, tmp_path)
    assert names == ["POST /gone"] and "not in the specification" in warnings[0]


def test_pages_outside_the_folder_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "out.mdx").write_text("---\nopenapi: POST /v1/generation/a/one\n---\n", encoding="utf-8")
    inner = tmp_path / "docs"
    inner.mkdir()
    pages = ["../out", "/../out", "x\0y"]
    assert from_navigation({"navigation": [{"group": "Video", "pages": pages}]}, inner)[0] == []


def test_images_and_a_navigation_that_is_none(tmp_path: Path) -> None:
    tree = {"navigation": [{"group": "Images", "pages": ["POST /v1/image"]}]}
    assert from_navigation(tree, tmp_path, "images")[0] == ["POST /v1/image"]
    assert from_navigation(tree, tmp_path)[0] == []
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    with pytest.raises(SpecError):
        navigation.load(str(tmp_path / "list.json"))
