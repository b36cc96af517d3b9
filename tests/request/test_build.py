"""Each provider's inputs make exactly the documented request body; nothing is guessed, nothing is lost in silence."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from videotasks.catalogue.known import known_model
from videotasks.catalogue.specification import fields_of
from videotasks.core.errors import Category, TaskError
from videotasks.providers.known_model import Known
from videotasks.providers.load_profile import load_profile, shipped_names
from videotasks.providers.profile import Model
from videotasks.request.build import CommonInputs, build_request, chosen_model
from videotasks.request.draft import RequestDraft, canonical_body, form_parts, materialise, summary

PNG = (
    b"\x89PNG\r\n\x1a\n"
    + b"\x00\x00\x00\rIHDR"
    + b"\x00\x00\x00\x10\x00\x00\x00\x10\x08\x02\x00\x00\x00"
    + b"\x00" * 40
)
SHA = hashlib.sha256(PNG).hexdigest()
U1, U2 = "https://e.example/1.png", "https://e.example/2.png"


def build(name: str, *, sandbox: bool = False, fields: set[str] | None = None, **given: Any) -> RequestDraft:
    base, _, kind = name.partition("/")
    profile = load_profile(base).for_kind(kind or None)
    inputs = CommonInputs(**given)
    model = chosen_model(profile, inputs, sandbox=sandbox)
    known = known_model(profile, model)
    if fields is not None:
        members = {name: {"type": "uri[]" if name.endswith("urls") else None} for name in sorted(fields)}
        told = Model(id=str(model), fields=fields_of(profile, members), members=members)
        known = Known(model=told, source="specification")
    return build_request(profile, inputs, known=known, sandbox=sandbox)


def refused(name: str, **given: Any) -> TaskError:
    with pytest.raises(TaskError) as caught:
        build(name, **given)
    assert caught.value.category is Category.CONFIGURATION
    return caught.value


@pytest.fixture
def png(tmp_path: Path) -> str:
    (tmp_path / "my holiday.png").write_bytes(PNG)
    return str(tmp_path / "my holiday.png")


TEXT = {"type": "text", "text": "p"}
BODIES: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    # A.3 CreatOK
    (
        "creatok",
        {"prompt": "p", "model": "veo-3.1-fast-exp", "duration": 8, "ratio": "9:16", "resolution": "720p"},
        "/api/open/skills/tasks",
        {"prompt": "p", "orientation": "9:16", "seconds": 8, "definition": "720p", "model": "veo-3.1-fast-exp"},
    ),
    # A.9
    (
        "creatok/image",
        {"prompt": "p", "model": "nano-banana-2", "ratio": "1:1", "resolution": "2K", "set_values": [("n", 2)]},
        "/api/open/skills/image-generation",
        {"prompt": "p", "model": "nano-banana-2", "resolution": "2K", "n": 2, "aspect_ratio": "1:1"},
    ),
    # B.3 skills.video: names by model
    (
        "skills-video",
        {
            "prompt": "p",
            "model": "openai/sora-2",
            "duration": 4,
            "ratio": "16:9",
            "resolution": "720p",
            "image": [(None, U1)],
        },
        "/generation/openai/sora-2",
        {"prompt": "p", "duration": 4, "aspect_ratio": "16:9", "resolution": "720p", "first_frame_url": U1},
    ),
    (
        "skills-video",
        {"prompt": "p", "model": "openai/sora-2-pro", "duration": "8", "resolution": "1080p"},
        "/generation/openai/sora-2-pro",
        {"prompt": "p", "seconds": 8, "resolution": "1080p"},
    ),
    (
        "skills-video",
        {
            "prompt": "p",
            "model": "bytedance/seedance-1.5",
            "seed": 7,
            "image": [("first_frame", U1), ("last_frame", U2)],
        },
        "/generation/bytedance/seedance-1.5",
        {"prompt": "p", "seed": 7, "first_frame_url": U1, "end_frame_url": U2},
    ),
    (
        "skills-video",
        {
            "prompt": "p",
            "model": "bytedance/seedance-2.0",
            "image": [("reference", U1), ("reference", U2)],
            "audio": [(None, U1)],
        },
        "/generation/bytedance/seedance-2.0",
        {"prompt": "p", "image_urls": [U1, U2], "audio_urls": [U1], "feature": "reference-to-video"},
    ),
    (
        "skills-video",
        {"prompt": "p", "model": "kling-ai/v3/video", "duration": 10, "image": [("last_frame", U1)]},
        "/generation/kling-ai/v3/video",
        {"prompt": "p", "duration": 10, "last_frame_url": U1},
    ),
    # C.2 new-api
    (
        "octopusx",
        {"prompt": "p", "model": "kling-v1", "duration": 5, "seed": 1, "ratio": "16:9", "image": [(None, U1)]},
        "/v1/video/generations",
        {"prompt": "p", "model": "kling-v1", "duration": 5, "seed": 1, "size": "1280x720", "image": U1},
    ),
    (
        "octopusx",
        {"prompt": "p", "model": "kling-v1", "resolution": "1920x1080", "image": [(None, U1), (None, U2)]},
        "/v1/video/generations",
        {"prompt": "p", "model": "kling-v1", "size": "1920x1080", "images": [U1, U2]},
    ),
    (
        "octopusx",
        {
            "prompt": "p",
            "model": "doubao-seedance-2-0-260128",
            "duration": 5,
            "ratio": "16:9",
            "resolution": "720p",
            "seed": 3,
            "image": [("first_frame", "asset://a1")],
            "set_values": [("metadata.watermark", False)],
        },
        "/v1/video/generations",
        {
            "model": "doubao-seedance-2-0-260128",
            "content": [TEXT, {"type": "image_url", "image_url": {"url": "asset://a1"}, "role": "first_frame"}],
            "metadata": {"duration": 5, "ratio": "16:9", "resolution": "720p", "seed": 3, "watermark": False},
        },
    ),
    (
        "octopusx/openai",
        {"prompt": "p", "model": "sora-2", "duration": 8, "ratio": "9:16"},
        "/v1/videos",
        {"prompt": "p", "model": "sora-2", "seconds": "8", "size": "720x1280"},
    ),
    (
        "octopusx/openai",
        {"prompt": "p", "model": "omni-fast", "duration": 8, "ratio": "16:9", "resolution": "720p"}
        | {"image": [("first_frame", U1), ("reference", U2)]},
        "/v1/videos",
        {"prompt": "p", "model": "omni-fast", "seconds": "8", "aspect_ratio": "16:9", "resolution": "720p"}
        | {"first_image_url": U1, "images": [U2]},
    ),
    # D.2 ARK
    (
        "ark",
        {
            "prompt": "p",
            "model": "doubao-seedance-1-5-pro-251215",
            "duration": 5.0,
            "ratio": "16:9",
            "resolution": "720p",
            "seed": -1,
            "image": [("first_frame", U1), ("last_frame", U2)],
            "set_values": [("return_last_frame", True)],
        },
        "/contents/generations/tasks",
        {
            "model": "doubao-seedance-1-5-pro-251215",
            "content": [
                TEXT,
                {"type": "image_url", "image_url": {"url": U1}, "role": "first_frame"},
                {"type": "image_url", "image_url": {"url": U2}, "role": "last_frame"},
            ],
            "duration": 5,
            "ratio": "16:9",
            "resolution": "720p",
            "seed": -1,
            "return_last_frame": True,
        },
    ),
    # One image needs no role, and unset flags stay absent.
    (
        "modelark",
        {"prompt": "p", "model": "ep-20260101-x", "image": [(None, U1)]},
        "/contents/generations/tasks",
        {"model": "ep-20260101-x", "content": [TEXT, {"type": "image_url", "image_url": {"url": U1}}]},
    ),
    (
        "ark",
        {
            "model": "doubao-seedance-2-0-260128",
            "image": [("reference", U1), ("reference", "asset://i")],
            "video": [(None, "https://e.example/v.mp4")],
            "audio": [("reference", "https://e.example/a.mp3")],
            "duration": -1,
        },
        "/contents/generations/tasks",
        {
            "model": "doubao-seedance-2-0-260128",
            "content": [
                {"type": "image_url", "image_url": {"url": U1}, "role": "reference_image"},
                {"type": "image_url", "image_url": {"url": "asset://i"}, "role": "reference_image"},
                {"type": "video_url", "video_url": {"url": "https://e.example/v.mp4"}, "role": "reference_video"},
                {"type": "audio_url", "audio_url": {"url": "https://e.example/a.mp3"}, "role": "reference_audio"},
            ],
            "duration": -1,
        },
    ),
    # E OpenAI dialect: seconds is a text
    (
        "openai-compatible",
        {"prompt": "p", "model": "sora-2", "duration": 12, "ratio": "16:9", "image": [(None, U1)]},
        "/videos",
        {"prompt": "p", "model": "sora-2", "seconds": "12", "size": "1280x720", "input_reference": {"image_url": U1}},
    ),
    # F
    ("fal", {"prompt": "p", "model": "fal-ai/veo3/fast"}, "/fal-ai/veo3/fast", {"prompt": "p"}),
    (
        "replicate",
        {"prompt": "p", "model": "owner/name", "set_values": [("input.duration", 5)]},
        "/models/owner/name/predictions",
        {"input": {"prompt": "p", "duration": 5}},
    ),
    (
        "replicate/version",
        {"prompt": "p", "model": "abc123"},
        "/predictions",
        {"version": "abc123", "input": {"prompt": "p"}},
    ),
]


@pytest.mark.parametrize(("name", "given", "path", "body"), BODIES)
def test_documented_bodies(name: str, given: dict[str, Any], path: str, body: dict[str, Any]) -> None:
    draft = build(name, **given)
    assert (draft.path, draft.body, draft.encoding, draft.files) == (path, body, "json", ())
    assert materialise(draft) == body
    assert json.loads(canonical_body(draft)) == body
    assert (draft.method, draft.path) == ("POST", path)
    assert [one for one in draft.warnings if "is sent as well" not in one] == []


def test_a_data_uri_on_ark(png: str) -> None:
    draft = build("ark", prompt="p", model="m", image=[("first_frame", png)])
    item = materialise(draft)["content"][1]
    uri = "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert item == {"type": "image_url", "image_url": {"url": uri}, "role": "first_frame"}
    assert json.loads(canonical_body(draft))["content"][1]["image_url"]["url"] == {
        "role": "first_frame",
        "sha256": SHA,
    }
    assert summary(draft)["content"][1]["image_url"]["url"]["sha256"] == SHA
    assert "base64" not in json.dumps(summary(draft))


def test_an_upload_on_creatok(png: str) -> None:
    draft = build("creatok", prompt="p", model="m", image=[(None, png), ("reference", png)])
    (first, second) = draft.files
    assert (first.how, first.mime, first.bytes, first.sha256) == ("upload", "image/png", len(PNG), SHA)
    assert first.name == f"reference-{SHA[:12]}.png", "the user's own file name stays at home"
    assert second == first
    assert materialise(draft, {SHA: "open-skills/key"})["referenceImageKeys"] == ["open-skills/key"] * 2
    with pytest.raises(TaskError, match="has not been uploaded"):
        materialise(draft, {})


def test_a_form_on_skills_video(png: str) -> None:
    draft = build(
        "skills-video",
        prompt="p",
        model="bytedance/seedance-2.0",
        duration=5,
        image=[("reference", png), ("reference", U1)],
    )
    assert draft.encoding == "multipart"
    parts = [(p.field, p.text, p.file.sha256 if p.file else None) for p in form_parts(draft)]
    assert parts == [
        ("prompt", "p", None),
        ("duration", "5", None),
        ("image_urls", None, SHA),
        ("image_urls", U1, None),
        ("feature", "reference-to-video", None),
    ]


def test_a_form_on_the_openai_dialect(png: str) -> None:
    for name in ("openai-compatible", "octopusx/openai"):
        draft = build(name, prompt="p", model="sora-2", image=[(None, png)], set_values=[("metadata", {"seed": 1})])
        parts = {p.field: p.text or p.file for p in form_parts(draft)}
        assert (draft.encoding, parts["prompt"], parts["metadata"]) == ("multipart", "p", '{"seed": 1}')
        assert parts["input_reference"] == draft.files[0]


def test_frames_as_files_on_new_api(png: str) -> None:
    draft = build("octopusx/openai", prompt="p", model="doubao-seedance-1-5", ratio="16:9", image=[("last_frame", png)])
    assert [(p.field, p.text) for p in form_parts(draft)] == [
        ("model", "doubao-seedance-1-5"),
        ("prompt", "p"),
        ("size", "16:9"),
        ("last_frame_image", None),
    ]


def test_base64_on_new_api(png: str) -> None:
    draft = build("octopusx", prompt="p", model="kling-v1", image=[(None, png)])
    assert materialise(draft)["image"] == base64.b64encode(PNG).decode()


def test_the_identity_is_of_contents_not_of_paths(tmp_path: Path, png: str) -> None:
    (tmp_path / "copy").write_bytes(PNG)
    (tmp_path / "other.png").write_bytes(PNG + b"x")

    def identity(path: str, role: str = "first_frame") -> bytes:
        return canonical_body(build("ark", prompt="p", model="m", image=[(role, path)]))

    assert identity(png) == identity(str(tmp_path / "copy"))
    assert identity(png) != identity(str(tmp_path / "other.png"))
    assert identity(png) != identity(png, "reference")


def test_a_file_that_changes_is_not_sent(png: str) -> None:
    draft = build("ark", prompt="p", model="m", image=[(None, png)])
    Path(png).write_bytes(PNG[:-1] + b"?")
    with pytest.raises(TaskError, match="changed while"):
        materialise(draft)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"", "empty"), (b"<svg/>", "no type that is known"), (b"GIF89a" + b"\0" * 64, "")],
)
def test_files_are_checked_by_content(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    if message:
        assert message in refused("creatok", prompt="p", model="m", image=[(None, str(path))]).message
    else:
        assert build("creatok", prompt="p", model="m", image=[(None, str(path))]).files[0].mime == "image/gif"


def test_folders_videos_and_large_files_are_no_images(
    tmp_path: Path, png: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "not a file" in refused("ark", prompt="p", model="m", image=[(None, str(tmp_path))]).message
    (tmp_path / "v.mp4").write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + b"\0" * 64)
    assert "image/jpeg" in (
        refused("ark", prompt="p", model="m", image=[(None, str(tmp_path / "v.mp4"))]).expected or ""
    )
    with Path(png).open("ab") as file:
        file.truncate(30_000_001)
    assert "at most 30.0 MB" in refused("ark", prompt="p", model="m", image=[(None, png)]).message


def test_the_whole_request_has_a_limit_too(tmp_path: Path) -> None:
    paths = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        path.write_bytes(PNG)
        with path.open("ab") as file:
            file.truncate(20_000_000)
        paths.append(("reference", str(path)))
    assert "80 MB" in refused("ark", prompt="p", model="m", image=paths).message


REFUSALS: list[tuple[str, dict[str, Any], str, str]] = [
    ("creatok", {"prompt": "p", "model": "m", "seed": 1}, "no input 'seed'", "--duration"),
    ("creatok", {"prompt": "p", "model": "m", "image": [(None, U1)]}, "takes no URL", "a local file"),
    ("creatok", {"prompt": "p", "model": "m", "image": [("last_frame", U1)]}, "no image with the role", "reference"),
    ("skills-video", {"prompt": "p", "model": "openai/sora-2", "seed": 1}, "no input 'seed'", "--ratio"),
    ("fal", {"prompt": "p", "model": "fal-ai/new", "duration": 5}, "'duration' or 'seconds'", "--openapi"),
    (
        "skills-video",
        {"prompt": "p", "model": "new/model", "image": [("last_frame", U1)]},
        "'last_frame_url' or 'end_frame_url' or 'end_image_url'",
        "--set last_frame_url",
    ),
    (
        "skills-video",
        {"prompt": "p", "model": "bytedance/seedance-1.5", "image": [(None, U1)]},
        "say what each",
        "first_frame=",
    ),
    ("skills-video", {"prompt": "p"}, "no default model", "openai/sora-2"),
    ("creatok", {"prompt": "p"}, "no default model", "veo-3.1-fast-exp"),
    ("ark", {"prompt": "p"}, "no default model", "doubao-seedance-1-5-pro-251215"),
    ("ark", {"payload": {"content": []}}, "no default model", "--model"),
    ("ark", {"model": "m"}, "no prompt", "--prompt"),
    ("ark", {"model": "m", "prompt": "  "}, "no prompt", "--prompt"),
    ("ark", {"prompt": "p", "model": "m", "image": [(None, U1), (None, U2)]}, "say what each", "last_frame="),
    ("ark", {"prompt": "p", "model": "m", "image": [("first_frame", U1), ("reference", U2)]}, "does not mix", ""),
    ("ark", {"prompt": "p", "model": "m", "image": [(None, U1)], "audio": [(None, U2)]}, "does not mix", ""),
    ("ark", {"prompt": "p", "model": "m", "image": [("last_frame", U1)]}, "needs image.first_frame", ""),
    ("ark", {"prompt": "p", "model": "m", "audio": [(None, U2)]}, "audio needs image or video", ""),
    ("ark", {"prompt": "p", "model": "m", "image": [("first_frame", U1), ("first_frame", U2)]}, "at most 1", ""),
    ("ark", {"prompt": "p", "model": "m", "image": [("reference", U1)] * 10}, "at most 9", ""),
    ("ark", {"prompt": "p", "model": "m", "video": [(None, "clip.mp4")]}, "takes no local file", "URL"),
    ("ark", {"prompt": "p", "model": "m", "image": [(None, "ftp://e.example/a.png")]}, "ftp: links", "https://"),
    ("creatok", {"prompt": "p", "model": "m", "image": [(None, "data:image/png;base64,AA")]}, "data: links", ""),
    ("ark", {"prompt": "p", "model": "m", "image": [(None, "https://")]}, "is no URL", ""),
    ("ark", {"prompt": "p", "model": "m", "duration": 5.5}, "whole numbers", ""),
    ("ark", {"prompt": "p", "model": "m", "duration": "long"}, "no number", ""),
    ("ark", {"prompt": "p", "model": "m", "duration": float("nan")}, "no number", ""),
    ("ark", {"prompt": "p", "model": "m", "duration": 0}, "no length", ""),
    ("ark", {"prompt": "p", "model": "doubao-seedance-1-5-pro-251215", "duration": 30}, "at most 12 s", ""),
    ("ark", {"prompt": "p", "model": "doubao-seedance-2-0-fast-270101", "resolution": "1080p"}, "480p, 720p", ""),
    ("ark", {"prompt": "p", "model": "doubao-seedance-1-0-pro-250528", "duration": -1}, "at least 2 s", ""),
    (
        "openai-compatible",
        {"prompt": "p", "model": "m", "resolution": "720p"},
        "does not say which",
        "--ratio 16:9 --resolution 720p",
    ),
    ("openai-compatible", {"prompt": "p", "model": "m", "ratio": "21:9"}, "does not say which", "WIDTHxHEIGHT"),
    ("openai-compatible", {"prompt": "p", "model": "m", "ratio": "9:16", "resolution": "1280x720"}, "does not say", ""),
    (
        "openai-compatible",
        {"prompt": "p", "model": "m", "image": [(None, U1), (None, U2)]},
        "takes one input_reference",
        "",
    ),
    ("fal", {"prompt": "p", "model": "fal-ai/x", "duration": 5}, "guessed", "--set duration"),
    ("skills-video", {"prompt": "p", "model": "../credits"}, "is no model id", ""),
    ("skills-video", {"prompt": "p", "model": "a//b"}, "is no model id", ""),
    ("skills-video", {"payload": [1]}, "a JSON array", "JSON object"),
    ("ark", {"payload": "x"}, "a JSON string", "JSON object"),
]


@pytest.mark.parametrize(("name", "given", "message", "way_on"), REFUSALS)
def test_refusals_name_the_mistake_and_the_way_on(name: str, given: dict[str, Any], message: str, way_on: str) -> None:
    error = refused(name, **given)
    assert message in error.message
    assert way_on in f"{error.expected} {error.hint}"


def test_too_long_a_video_comes_with_a_split() -> None:
    error = refused("ark", prompt="p", model="doubao-seedance-1-5-pro-251215", duration=30)
    assert error.message == (
        "doubao-seedance-1-5-pro-251215 makes at most 12 s in one video; 30 s were asked for. "
        "Split it: 3 videos of 10 s"
    )
    uneven = refused("skills-video", prompt="p", model="bytedance/seedance-2.0", duration=31)
    assert "Split it: 3 videos of 11 + 10 + 10 s" in uneven.message


def test_a_specification_decides_where_names_differ() -> None:
    fields = {"prompt", "seconds", "end_frame_url", "image_urls"}
    draft = build(
        "skills-video",
        prompt="p",
        model="new/model",
        duration=5,
        fields=fields,
        image=[("last_frame", U1), ("reference", U2)],
    )
    assert draft.body == {"prompt": "p", "seconds": 5, "end_frame_url": U1, "image_urls": [U2]}
    nested = build("replicate", prompt="p", model="o/n", duration=5, fields={"input.prompt", "input.duration"})
    assert nested.body == {"input": {"prompt": "p", "duration": 5}}
    error = refused("skills-video", prompt="p", model="new/model", ratio="16:9", fields=fields)
    assert "no member for --ratio" in error.message and "end_frame_url, image_urls, prompt, seconds" in (
        error.expected or ""
    )


def test_a_specification_beats_what_the_profile_knows_of_a_model() -> None:
    draft = build("skills-video", prompt="p", model="openai/sora-2", duration=4, fields={"prompt", "seconds"})
    assert draft.body == {"prompt": "p", "seconds": 4}


def test_the_payload_wins_member_by_member_and_says_so() -> None:
    draft = build("ark", prompt="flag", model="m", duration=5, payload={"content": [TEXT], "seed": 1})
    assert draft.body == {"model": "m", "content": [TEXT], "duration": 5, "seed": 1}
    assert len(draft.warnings) == 1 and "'content'" in draft.warnings[0]
    assert build("ark", payload={"model": "m", "content": [TEXT]}).warnings == ()
    assert build("ark", prompt="p", model="a", payload={"model": "b"}).model == "b"
    free = {"anything": [1, {"b": None}]}
    assert build("skills-video", endpoint="/generation/x/y", payload=free).body == free


def test_what_a_payload_has_against_the_documentation_is_said_but_sent() -> None:
    frames = [
        {"type": "image_url", "image_url": {"url": U1}, "role": "first_frame"},
        {"type": "image_url", "image_url": {"url": U2}, "role": "reference_image"},
    ]
    draft = build(
        "ark", payload={"model": "doubao-seedance-1-5-pro-251215", "content": [TEXT, *frames], "duration": 30}
    )
    assert draft.body["duration"] == 30
    mixed, long = draft.warnings
    assert "does not mix image.first_frame with image.reference" in mixed and "at most 12 s" in long
    (only,) = build("skills-video", model="bytedance/seedance-1.5", prompt="p", set_values=[("duration", 60)]).warnings
    assert "Split it: 5 videos of 12 s" in only
    fine = {
        "model": "doubao-seedance-1-5-pro-251215",
        "content": [TEXT, {"type": "image_url", "image_url": {"url": U1}}],
    }
    assert build("ark", payload=fine).warnings == ()


def test_set_is_the_last_word() -> None:
    draft = build(
        "ark",
        prompt="p",
        model="m",
        payload={"seed": 1},
        set_values=[
            ("seed", 2),
            ("content[0].text", "q"),
            ("content[+]", {"type": "x"}),
            ("a\\.b", 1),
            ("tools[0].type", "web"),
        ],
    )
    assert draft.body == {
        "model": "m",
        "seed": 2,
        "content": [{"type": "text", "text": "q"}, {"type": "x"}],
        "a.b": 1,
        "tools": [{"type": "web"}],
    }


@pytest.mark.parametrize(
    "path", ["", ".", "a..b", "a[", "a[x]", "[0]", "content[5]", "model.x", "content.x", "model[0]", "a.b[-1]"]
)
def test_bad_set_paths(path: str) -> None:
    assert "--set" in refused("ark", prompt="p", model="m", set_values=[(path, 1)]).message


def test_the_sandbox_needs_no_model_and_the_real_thing_does() -> None:
    for name in shipped_names():
        profile = load_profile(name)
        if profile.rehearsal_model:
            assert build(name, prompt="p", sandbox=True).model == profile.rehearsal_model
            if profile.default_model is None:
                assert "no default model" in refused(name, prompt="p").message


def test_what_json_cannot_say_is_refused() -> None:
    deep: Any = {}
    for _ in range(20_000):
        deep = {"a": deep}
    assert "nested too deeply" in refused("ark", prompt="p", model="m", payload=deep).message
    for odd in (float("nan"), float("inf"), b"x"):
        with pytest.raises(TaskError, match=r"no JSON|JSON has not"):
            canonical_body(build("ark", prompt="p", model="m", payload={"a": odd}))


def test_building_leaves_its_inputs_alone() -> None:
    payload = {"content": [dict(TEXT)]}
    common = CommonInputs(model="m", payload=payload, set_values=[("content[0].text", "changed"), ("a.b", {"c": 1})])
    profile = load_profile("ark")
    first = canonical_body(build_request(profile, common))
    assert payload == {"content": [TEXT]}
    assert canonical_body(build_request(profile, common)) == first


@pytest.mark.parametrize(
    ("text", "expect"),
    [
        ("seed=7", ("seed", 7)),
        ("a.b=true", ("a.b", True)),
        ("a=null", ("a", None)),
        ("a=1.50", ("a", 1.5)),
        ('a="7"', ("a", "7")),
        ("a=[1,2]", ("a", [1, 2])),
        ("a=16:9", ("a", "16:9")),
        ("a=NaN", ("a", "NaN")),
        ("a=", ("a", "")),
        ("a=b=c", ("a", "b=c")),
    ],
)
def test_set_values_are_typed(text: str, expect: tuple[str, Any]) -> None:
    from videotasks.request.build import parse_set

    assert parse_set(text) == expect
    assert type(parse_set(text)[1]) is type(expect[1])


def test_roles_are_only_the_known_words() -> None:
    from videotasks.request.local_files import parse_media

    assert parse_media("first_frame=a=b.png") == ("first_frame", "a=b.png")
    assert parse_media("holiday=1.png") == (None, "holiday=1.png")
    assert parse_media("https://e.example/?reference=1") == (None, "https://e.example/?reference=1")
