"""The profiles that nobody has paid for yet, held against the literal bodies of their contracts.

Of each: the request that text, one image, two frames or a video make; what a create, each status, a result, a failed
and a moderated task, a rate limit, an empty account and a wrong key are read as; the addresses of looks and cancels.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from videotasks.core.errors import Category
from videotasks.network.client import Answer
from videotasks.providers import classify_error, normalize
from videotasks.providers.load_profile import load_profile, shipped_names
from videotasks.providers.profile import Profile
from videotasks.providers.provider import Provider, TaskRef
from videotasks.request.build import CommonInputs, build_request, in_kind
from videotasks.request.draft import RequestDraft, materialise

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x02\x00\x00\x00" + b"\x00" * 40
B64 = base64.b64encode(PNG).decode()
V = "https://cdn.example.com/v.mp4?sig=1"
A, B, R = "https://e.example/a.png", "https://e.example/b.png", "https://e.example/r.png"
FIRST, LAST, REF = ("first_frame", A), ("last_frame", B), ("reference", R)


def draft(name: str, **given: Any) -> RequestDraft:
    base, _, kind = name.partition("/")
    profile = load_profile(base)
    inputs = CommonInputs(kind=kind or None, **given)
    return build_request(in_kind(profile.for_kind(kind or None), inputs), inputs, sandbox=True)


# (provider, inputs, path, body)
REQUESTS: list[tuple[str, dict[str, Any], str, Any]] = [
    (
        "gemini",
        {"prompt": "p", "duration": 5, "ratio": "9:16", "resolution": "720p", "image": [(None, A)]},
        "/interactions",
        {
            "model": "gemini-omni-1.1-flash",
            "input": [{"type": "user_input", "content": [{"type": "text", "text": "p"}, {"type": "image", "uri": A}]}],
            "response_modalities": ["video"],
            "background": True,
            "response_format": {
                "type": "video",
                "delivery": "uri",
                "duration": "5s",
                "aspect_ratio": "9:16",
                "resolution": "720p",
            },
        },
    ),
    (
        "gemini/veo",
        {"prompt": "p", "model": "veo-x", "duration": 8, "ratio": "16:9", "seed": 7, "image": [(None, "FILE")]},
        "/models/veo-x:predictLongRunning",
        {
            "instances": [{"prompt": "p", "image": {"bytesBase64Encoded": B64, "mimeType": "image/png"}}],
            "parameters": {"durationSeconds": 8, "aspectRatio": "16:9", "seed": 7},
        },
    ),
    (
        "vertex-veo",
        {"prompt": "p", "model": "veo-3.1-generate-001", "image": [("first_frame", "gs://b/a.png")]},
        "/models/veo-3.1-generate-001:predictLongRunning",
        {"instances": [{"prompt": "p", "image": {"gcsUri": "gs://b/a.png"}}]},
    ),
    (
        "runway",
        {"prompt": "p", "model": "gen4.5", "duration": 5, "ratio": "9:16", "seed": 3},
        "/v1/text_to_video",
        {"model": "gen4.5", "promptText": "p", "duration": 5, "ratio": "720:1280", "seed": 3},
    ),
    (
        "runway",
        {"model": "gen4.5", "ratio": "1104:832", "image": [LAST, FIRST]},
        "/v1/image_to_video",
        {
            "model": "gen4.5",
            "ratio": "1104:832",
            "duration": 5,
            "promptImage": [{"uri": A, "position": "first"}, {"uri": B, "position": "last"}],
        },
    ),
    (
        "luma",
        {"prompt": "p", "model": "ray-2", "duration": 5, "ratio": "16:9", "image": [LAST, FIRST]},
        "/generations/video",
        {
            "prompt": "p",
            "model": "ray-2",
            "duration": "5s",
            "aspect_ratio": "16:9",
            "keyframes": {"frame0": {"type": "image", "url": A}, "frame1": {"type": "image", "url": B}},
        },
    ),
    (
        "kling",
        {"prompt": "p", "model": "kling-v2-6", "duration": 5, "ratio": "1:1"},
        "/v1/videos/text2video",
        {"prompt": "p", "model_name": "kling-v2-6", "duration": "5", "aspect_ratio": "1:1"},
    ),
    (
        "kling",
        {"prompt": "p", "model": "kling-v2-6", "image": [("last_frame", B), ("first_frame", "FILE")]},
        "/v1/videos/image2video",
        {"prompt": "p", "model_name": "kling-v2-6", "image": B64, "image_tail": B},
    ),
    (
        "kling",
        {"prompt": "p", "model": "kling-v1-6", "image": [REF]},
        "/v1/videos/multi-image2video",
        {"prompt": "p", "model_name": "kling-v1-6", "image_list": [{"image": R}]},
    ),
    (
        "minimax",
        {"prompt": "p", "model": "MiniMax-Hailuo-2.3", "duration": 6, "resolution": "768p", "image": [FIRST, LAST]},
        "/video_generation",
        {
            "prompt": "p",
            "model": "MiniMax-Hailuo-2.3",
            "duration": 6,
            "resolution": "768P",
            "first_frame_image": A,
            "last_frame_image": B,
        },
    ),
    (
        "vidu",
        {"prompt": "p", "model": "viduq2", "seed": 1},
        "/text2video",
        {"prompt": "p", "model": "viduq2", "seed": 1},
    ),
    ("vidu", {"model": "viduq2", "image": [(None, A)]}, "/img2video", {"model": "viduq2", "images": [A]}),
    ("vidu", {"model": "viduq2", "image": [LAST, FIRST]}, "/start-end2video", {"model": "viduq2", "images": [A, B]}),
    ("vidu", {"model": "viduq2", "image": [REF]}, "/reference2video", {"model": "viduq2", "images": [R]}),
    (
        "dashscope",
        {"prompt": "p", "model": "wan2.6-t2v", "duration": 5, "ratio": "16:9", "seed": 1},
        "/services/aigc/video-generation/video-synthesis",
        {
            "model": "wan2.6-t2v",
            "input": {"prompt": "p"},
            "parameters": {"duration": 5, "size": "1280*720", "seed": 1},
        },
    ),
    (
        "dashscope",
        {"prompt": "p", "model": "wan2.7-t2v", "ratio": "9:16", "resolution": "1080p"},
        "/services/aigc/video-generation/video-synthesis",
        {"model": "wan2.7-t2v", "input": {"prompt": "p"}, "parameters": {"ratio": "9:16", "resolution": "1080P"}},
    ),
    (
        "dashscope",
        {"prompt": "p", "model": "wan2.6-i2v", "resolution": "720p", "image": [(None, A)]},
        "/services/aigc/video-generation/video-synthesis",
        {"model": "wan2.6-i2v", "input": {"prompt": "p", "img_url": A}, "parameters": {"resolution": "720P"}},
    ),
    (
        "dashscope",
        {"prompt": "p", "model": "wan2.2-kf2v-flash", "image": [LAST, FIRST]},
        "/services/aigc/image2video/video-synthesis",
        {"model": "wan2.2-kf2v-flash", "input": {"prompt": "p", "first_frame_url": A, "last_frame_url": B}},
    ),
    (
        "xai",
        {"prompt": "p", "model": "grok-imagine-video", "duration": 6, "resolution": "720p", "image": [FIRST, REF]},
        "/videos/generations",
        {
            "prompt": "p",
            "model": "grok-imagine-video",
            "duration": 6,
            "resolution": "720p",
            "image": {"url": A},
            "reference_images": [{"url": R}],
        },
    ),
    (
        "xai",
        {"prompt": "p", "model": "grok-imagine-video", "video": [(None, V)]},
        "/videos/edits",
        {"prompt": "p", "model": "grok-imagine-video", "video": {"url": V}},
    ),
    ("wavespeed", {"prompt": "p", "model": "a/b/c"}, "/a/b/c", {"prompt": "p"}),
    (
        "openrouter",
        {"prompt": "p", "model": "google/veo-3.1", "duration": 8, "ratio": "16:9", "image": [LAST, FIRST]},
        "/videos",
        {
            "prompt": "p",
            "model": "google/veo-3.1",
            "duration": 8,
            "aspect_ratio": "16:9",
            "frame_images": [
                {"type": "image_url", "image_url": {"url": A}, "frame_type": "first_frame"},
                {"type": "image_url", "image_url": {"url": B}, "frame_type": "last_frame"},
            ],
        },
    ),
    (
        "pixverse",
        {"prompt": "p", "model": "v6", "duration": 5, "ratio": "16:9", "resolution": "540p", "seed": 2},
        "/video/text/generate",
        {"prompt": "p", "model": "v6", "duration": 5, "aspect_ratio": "16:9", "quality": "540p", "seed": 2},
    ),
    (
        "pixverse",
        {"prompt": "p", "model": "v6", "image": [(None, "FILE")]},
        "/video/img/generate",
        {"prompt": "p", "model": "v6", "img_id": 42},
    ),
    (
        "pixverse",
        {"prompt": "p", "model": "v6", "image": [("last_frame", "FILE"), ("first_frame", "FILE")]},
        "/video/transition/generate",
        {"prompt": "p", "model": "v6", "first_frame_img": 42, "last_frame_img": 42},
    ),
    (
        "zai",
        {"prompt": "p", "model": "cogvideox-3", "duration": 5, "resolution": "1920x1080", "image": [(None, A)]},
        "/videos/generations",
        {"prompt": "p", "model": "cogvideox-3", "duration": 5, "size": "1920x1080", "image_url": A},
    ),
    (
        "zai",
        {"model": "cogvideox-3", "image": [LAST, FIRST]},
        "/videos/generations",
        {"model": "cogvideox-3", "image_url": [A, B]},
    ),
    (
        "siliconflow",
        {"prompt": "p", "model": "Wan-AI/Wan2.2-T2V-A14B", "ratio": "9:16"},
        "/video/submit",
        {"prompt": "p", "model": "Wan-AI/Wan2.2-T2V-A14B", "image_size": "720x1280"},
    ),
    (
        "azure-openai",
        {"prompt": "p", "model": "sora", "duration": 5, "ratio": "16:9", "resolution": "480p"},
        "/video/generations/jobs?api-version=preview",
        {"prompt": "p", "model": "sora", "n_seconds": 5, "width": 854, "height": 480},
    ),
    (
        "runware",
        {"prompt": "p", "model": "klingai:5@3", "duration": 5, "ratio": "16:9", "image": [FIRST]},
        "/v1",
        [
            {
                "taskType": "videoInference",
                "taskUUID": "UUID",
                "deliveryMethod": "async",
                "outputType": "URL",
                "includeCost": True,
                "model": "klingai:5@3",
                "positivePrompt": "p",
                "duration": 5,
                "width": 1920,
                "height": 1080,
                "frameImages": [{"inputImage": A, "frame": "first"}],
            }
        ],
    ),
    (
        "together",
        {"prompt": "p", "model": "minimax/hailuo-02", "duration": 5, "image": [LAST, FIRST, REF]},
        "/videos",
        {
            "prompt": "p",
            "model": "minimax/hailuo-02",
            "seconds": "5",
            "media": {
                "frame_images": [{"input_image": A, "frame": "first"}, {"input_image": B, "frame": "last"}],
                "reference_images": [R],
            },
        },
    ),
    (
        "freepik",
        {"prompt": "p", "model": "kling-v2-1-pro", "duration": 5, "image": [(None, A)]},
        "/v1/ai/image-to-video/kling-v2-1-pro",
        {"prompt": "p", "duration": "5", "image": A},
    ),
    (
        "aimlapi",
        {"prompt": "p", "model": "google/veo-3.1-t2v"},
        "/video/generations",
        {"prompt": "p", "model": "google/veo-3.1-t2v"},
    ),
    (
        "heygen",
        {
            "prompt": "Hello",
            "model": "av-1",
            "ratio": "9:16",
            "set_values": [("video_inputs[0].voice.voice_id", "v-1")],
        },
        "/v2/video/generate",
        {
            "video_inputs": [
                {
                    "character": {"type": "avatar", "avatar_style": "normal", "avatar_id": "av-1"},
                    "voice": {"type": "text", "input_text": "Hello", "voice_id": "v-1"},
                }
            ],
            "dimension": {"width": 720, "height": 1280},
        },
    ),
]


@pytest.mark.parametrize(("name", "given", "path", "body"), REQUESTS, ids=[f"{r[0]} {r[2]}" for r in REQUESTS])
def test_requests(name: str, given: dict[str, Any], path: str, body: Any, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    for kind in ("image", "video"):
        if kind in given:
            given = {**given, kind: [(role, str(tmp_path / "a.png") if v == "FILE" else v) for role, v in given[kind]]}
    made = draft(name, **given)
    assert made.path == path
    uploads = {ref.sha256: "42" for ref in made.files}
    assert json.loads(json.dumps(materialise(made, uploads, "UUID"))) == body


# (provider, status, body, the task id, what it is read as)
CREATES: list[tuple[str, Any, str]] = [
    ("gemini", {"id": "ix-1", "status": "queued"}, "ix-1"),
    ("gemini/veo", {"name": "models/veo-x/operations/o1"}, "models/veo-x/operations/o1"),
    ("vertex-veo", {"name": "projects/p/operations/u"}, "projects/p/operations/u"),
    ("runway", {"id": "17f2"}, "17f2"),
    ("luma", {"id": "g1", "state": "queued", "assets": None, "failure_reason": None}, "g1"),
    ("kling", {"code": 0, "message": "SUCCEED", "data": {"task_id": "k1", "task_status": "submitted"}}, "k1"),
    ("minimax", {"task_id": "m1", "base_resp": {"status_code": 0, "status_msg": "success"}}, "m1"),
    ("vidu", {"task_id": "v1", "state": "created", "credits": 20}, "v1"),
    ("dashscope", {"output": {"task_id": "d1", "task_status": "PENDING"}, "request_id": "r"}, "d1"),
    ("xai", {"request_id": "x1"}, "x1"),
    ("wavespeed", {"code": 200, "message": "success", "data": {"id": "w1", "status": "created"}}, "w1"),
    ("openrouter", {"id": "o1", "polling_url": "/api/v1/videos/o1", "status": "pending"}, "o1"),
    ("pixverse", {"ErrCode": 0, "ErrMsg": "success", "Resp": {"video_id": 316826014376384}}, "316826014376384"),
    ("zai", {"id": "z1", "model": "cogvideox-3", "request_id": "r", "task_status": "PROCESSING"}, "z1"),
    ("siliconflow", {"requestId": "s1"}, "s1"),
    ("azure-openai", {"id": "task_1", "status": "queued", "generations": []}, "task_1"),
    ("runware", {"data": [{"taskType": "videoInference", "taskUUID": "u1"}]}, "u1"),
    ("together", {"id": "t1", "status": "in_progress"}, "t1"),
    ("freepik", {"data": {"task_id": "f1", "status": "CREATED", "generated": []}}, "f1"),
    ("aimlapi", {"id": "a:1", "status": "queued"}, "a:1"),
    ("heygen", {"error": None, "data": {"video_id": "h1"}}, "h1"),
]


def of(name: str) -> Profile:
    base, _, kind = name.partition("/")
    return load_profile(base).for_kind(kind or None)


@pytest.mark.parametrize(("name", "body", "task_id"), CREATES, ids=[c[0] for c in CREATES])
def test_creates(name: str, body: Any, task_id: str) -> None:
    made = normalize.created(of(name), body)
    assert (made.task_id, made.error) == (task_id, None)


def omni(status: str, *content: Any) -> Any:
    return {"id": "ix-1", "status": status, "steps": [{"type": "model_output", "content": list(content)}]}


VEO = {"name": "models/v/operations/o", "done": True}
# (provider, body, status, video or category or None)
LOOKS: list[tuple[str, Any, str, str | None]] = [
    ("gemini", {"id": "ix-1", "status": "in_progress"}, "running", None),
    ("gemini", omni("completed", {"type": "video", "uri": V}), "succeeded", V),
    ("gemini", omni("completed", {"type": "text", "text": "I cannot do that."}), "failed", "moderation"),
    (
        "gemini",
        {"id": "ix-1", "status": "failed", "errors": [{"code": "X", "message": "no"}]},
        "failed",
        "generation_failed",
    ),
    ("gemini", {"id": "ix-1", "status": "cancelled"}, "cancelled", "cancelled"),
    ("gemini/veo", {"name": "models/v/operations/o"}, "running", None),
    (
        "gemini/veo",
        {**VEO, "response": {"generateVideoResponse": {"generatedSamples": [{"video": {"uri": V}}]}}},
        "succeeded",
        V,
    ),
    (
        "gemini/veo",
        {**VEO, "response": {"generateVideoResponse": {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["x"]}}},
        "failed",
        "moderation",
    ),
    ("gemini/veo", {**VEO, "error": {"code": 13, "message": "no"}}, "failed", "generation_failed"),
    ("vertex-veo", {"name": "projects/p/operations/u"}, "running", None),
    ("vertex-veo", {**VEO, "response": {"videos": [{"gcsUri": "gs://b/v.mp4"}]}}, "succeeded", "gs://b/v.mp4"),
    ("vertex-veo", {**VEO, "response": {"raiMediaFilteredCount": 1}}, "failed", "moderation"),
    ("runway", {"id": "17f2", "status": "THROTTLED"}, "queued", None),
    ("runway", {"id": "17f2", "status": "RUNNING", "progress": 0.5}, "running", None),
    ("runway", {"id": "17f2", "status": "SUCCEEDED", "output": [V]}, "succeeded", V),
    (
        "runway",
        {"id": "1", "status": "FAILED", "failure": "no", "failureCode": "SAFETY.INPUT.TEXT"},
        "failed",
        "moderation",
    ),
    (
        "runway",
        {"id": "1", "status": "FAILED", "failure": "no", "failureCode": "INTERNAL.BAD"},
        "failed",
        "generation_failed",
    ),
    ("runway", {"id": "1", "status": "CANCELLED"}, "cancelled", "cancelled"),
    ("luma", {"id": "g1", "state": "dreaming"}, "running", None),
    ("luma", {"id": "g1", "state": "completed", "assets": {"video": V}}, "succeeded", V),
    ("luma", {"id": "g1", "state": "failed", "failure_reason": "Prompt moderation failed"}, "failed", "moderation"),
    ("kling", {"code": 0, "data": {"task_id": "k1", "task_status": "processing"}}, "running", None),
    (
        "kling",
        {
            "code": 0,
            "data": {"task_id": "k1", "task_status": "succeed", "task_result": {"videos": [{"id": "1", "url": V}]}},
        },
        "succeeded",
        V,
    ),
    (
        "kling",
        {
            "code": 0,
            "message": "SUCCEED",
            "data": {
                "task_id": "k1",
                "task_status": "failed",
                "task_status_msg": "Failure to pass the risk control system",
            },
        },
        "failed",
        "moderation",
    ),
    ("minimax", {"task_id": "m1", "status": "Preparing", "base_resp": {"status_code": 0}}, "queued", None),
    (
        "minimax",
        {"task_id": "m1", "status": "Fail", "base_resp": {"status_code": 1027, "status_msg": "output"}},
        "failed",
        "moderation",
    ),
    (
        "minimax",
        {"task_id": "m1", "status": "Fail", "base_resp": {"status_code": 0, "status_msg": "success"}},
        "failed",
        "generation_failed",
    ),
    ("vidu", {"id": "v1", "state": "success", "creations": [{"id": "c", "url": V, "cover_url": A}]}, "succeeded", V),
    ("vidu", {"id": "v1", "state": "failed", "err_code": "CreationPolicyViolation"}, "failed", "moderation"),
    ("dashscope", {"output": {"task_id": "d1", "task_status": "SUSPENDED"}}, "queued", None),
    ("dashscope", {"output": {"task_id": "d1", "task_status": "SUCCEEDED", "video_url": V}}, "succeeded", V),
    (
        "dashscope",
        {"output": {"task_id": "d1", "task_status": "FAILED", "code": "DataInspectionFailed", "message": "no"}},
        "failed",
        "moderation",
    ),
    ("dashscope", {"output": {"task_id": "d1", "task_status": "CANCELED"}}, "cancelled", "cancelled"),
    ("xai", {"status": "pending", "progress": 40}, "running", None),
    ("xai", {"status": "done", "video": {"url": V, "respect_moderation": True}}, "succeeded", V),
    ("xai", {"video": {"url": V}}, "succeeded", V),
    ("xai", {"status": "done", "video": {"url": None, "respect_moderation": False}}, "failed", "moderation"),
    ("xai", {"status": "failed", "error": "it went wrong"}, "failed", "generation_failed"),
    ("xai", {"status": "expired"}, "expired", "expired"),
    ("wavespeed", {"code": 200, "data": {"id": "w1", "status": "completed", "outputs": [V]}}, "succeeded", V),
    (
        "wavespeed",
        {"code": 200, "data": {"id": "w1", "status": "failed", "error": "no luck"}},
        "failed",
        "generation_failed",
    ),
    (
        "wavespeed",
        {"code": 200, "data": {"id": "w1", "status": "failed", "error": "", "has_nsfw_contents": [True]}},
        "failed",
        "moderation",
    ),
    ("openrouter", {"id": "o1", "status": "in_progress"}, "running", None),
    ("openrouter", {"id": "o1", "status": "completed", "unsigned_urls": [V]}, "succeeded", V),
    ("openrouter", {"id": "o1", "status": "failed", "error": "no luck"}, "failed", "generation_failed"),
    ("openrouter", {"id": "o1", "status": "expired"}, "expired", "expired"),
    ("pixverse", {"ErrCode": 0, "Resp": {"status": 5}}, "running", None),
    ("pixverse", {"ErrCode": 0, "Resp": {"status": 1, "url": V}}, "succeeded", V),
    ("pixverse", {"ErrCode": 0, "Resp": {"status": 7, "url": ""}}, "failed", "moderation"),
    ("pixverse", {"ErrCode": 0, "Resp": {"status": 8}}, "failed", "generation_failed"),
    ("zai", {"id": "z1", "task_status": "SUCCESS", "video_result": [{"url": V, "cover_image_url": A}]}, "succeeded", V),
    ("zai", {"id": "z1", "task_status": "FAIL"}, "failed", "generation_failed"),
    ("siliconflow", {"status": "InQueue"}, "queued", None),
    ("siliconflow", {"status": "Succeed", "results": {"videos": [{"url": V}]}}, "succeeded", V),
    ("siliconflow", {"status": "Failed", "reason": "no luck"}, "failed", "generation_failed"),
    ("azure-openai", {"id": "task_1", "status": "preprocessing"}, "queued", None),
    (
        "azure-openai",
        {"id": "task_1", "status": "failed", "failure_reason": "input_moderation"},
        "failed",
        "moderation",
    ),
    ("runware", {"data": [{"taskUUID": "u1", "status": "processing"}]}, "running", None),
    ("runware", {"data": [{"taskUUID": "u1", "status": "success", "videoURL": V, "cost": 0.3}]}, "succeeded", V),
    (
        "runware",
        {"errors": [{"code": "invalidNSFWContent", "message": "no", "taskUUID": "u1"}]},
        "failed",
        "moderation",
    ),
    ("together", {"id": "t1", "status": "completed", "outputs": {"video_url": V, "cost": 0.5}}, "succeeded", V),
    ("together", {"id": "t1", "status": "failed", "error": {"message": "no"}}, "failed", "generation_failed"),
    ("freepik", {"data": {"task_id": "f1", "status": "COMPLETED", "generated": [V]}}, "succeeded", V),
    ("freepik", {"data": {"task_id": "f1", "status": "FAILED"}}, "failed", "generation_failed"),
    ("aimlapi", {"id": "a1", "status": "completed", "video": {"url": V}}, "succeeded", V),
    ("aimlapi", {"id": "a1", "status": "error", "error": {"message": "no"}}, "failed", "generation_failed"),
    ("heygen", {"code": 100, "data": {"id": "h1", "status": "completed", "video_url": V}}, "succeeded", V),
    (
        "heygen",
        {"code": 100, "data": {"status": "failed", "error": {"code": "x", "message": "no"}}},
        "failed",
        "generation_failed",
    ),
]


@pytest.mark.parametrize(
    ("name", "body", "status", "told"), LOOKS, ids=[f"{x[0]}-{x[2]}-{n}" for n, x in enumerate(LOOKS)]
)
def test_looks(name: str, body: Any, status: str, told: str | None) -> None:
    profile = of(name)
    task_id = normalize.created(profile, body).task_id or "t"
    seen = normalize.snapshot(profile, body, task_id=task_id)
    assert seen.status.value == status, seen.warnings
    assert not seen.warnings
    if status == "succeeded":
        assert [output.url for output in seen.outputs if output.kind == "video"] == [told]
    elif told is not None:
        assert seen.error is not None and seen.error.category.value == told
        assert "success" not in seen.error.message.lower()


GOOGLE = {
    "error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}
}
# (provider, operation, HTTP status, body, category)
REFUSALS: list[tuple[str, str, int, Any, str]] = [
    ("gemini", "create", 400, GOOGLE, "auth"),
    ("gemini", "create", 400, {"error": {"message": "x", "status": "INVALID_ARGUMENT"}}, "validation"),
    ("gemini", "create", 429, {"error": {"message": "quota", "status": "RESOURCE_EXHAUSTED"}}, "rate_limited"),
    ("runway", "create", 400, {"error": "You do not have enough credits to run this task."}, "insufficient_credits"),
    ("runway", "create", 401, {"error": "Unauthorized"}, "auth"),
    ("runway", "create", 429, {"error": "slow down"}, "rate_limited"),
    ("runway", "poll", 404, {"error": "not found"}, "not_found"),
    ("luma", "create", 403, {"detail": "Not authenticated"}, "auth"),
    ("luma", "create", 400, {"detail": "Insufficient credits"}, "insufficient_credits"),
    ("luma", "create", 422, {"detail": [{"loc": ["body"], "msg": "bad", "type": "x"}]}, "validation"),
    ("kling", "create", 401, {"code": 1004, "message": "expired"}, "auth"),
    ("kling", "create", 429, {"code": 1102, "message": "empty"}, "insufficient_credits"),
    ("kling", "create", 429, {"code": 1303, "message": "parallel"}, "rate_limited"),
    ("kling", "create", 400, {"code": 1301, "message": "content"}, "moderation"),
    (
        "minimax",
        "create",
        200,
        {"task_id": "", "base_resp": {"status_code": 1008, "status_msg": "x"}},
        "insufficient_credits",
    ),
    ("minimax", "create", 200, {"task_id": "", "base_resp": {"status_code": 1026, "status_msg": "x"}}, "moderation"),
    ("minimax", "create", 200, {"base_resp": {"status_code": 2049, "status_msg": "x"}}, "auth"),
    ("minimax", "create", 200, {"base_resp": {"status_code": 1002, "status_msg": "x"}}, "rate_limited"),
    ("minimax", "poll", 200, {"base_resp": {"status_code": 2013, "status_msg": "x"}}, "not_found"),
    ("vidu", "create", 400, {"code": 400, "reason": "CreditInsufficient", "message": "x"}, "insufficient_credits"),
    ("dashscope", "create", 401, {"code": "InvalidApiKey", "message": "x"}, "auth"),
    ("dashscope", "create", 400, {"code": "Arrearage", "message": "x"}, "insufficient_credits"),
    ("dashscope", "create", 429, {"code": "Throttling.RateQuota", "message": "x"}, "rate_limited"),
    ("dashscope", "create", 400, {"code": "DataInspectionFailed", "message": "x"}, "moderation"),
    (
        "xai",
        "create",
        400,
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: a***b."},
        "auth",
    ),
    (
        "xai",
        "create",
        403,
        {
            "code": "no permission",
            "error": "Your team has either used all available credits or reached its monthly spending limit.",
        },
        "insufficient_credits",
    ),
    (
        "xai",
        "create",
        429,
        {"code": "Some resource has been exhausted", "error": "Your team has used all available credits"},
        "insufficient_credits",
    ),
    ("xai", "create", 400, {"error": "Content violates usage guidelines."}, "moderation"),
    ("wavespeed", "create", 401, {"code": 401, "message": "x"}, "auth"),
    ("wavespeed", "create", 402, {"code": 402, "message": "Insufficient credits"}, "insufficient_credits"),
    ("openrouter", "create", 402, {"error": {"code": 402, "message": "x"}}, "insufficient_credits"),
    ("openrouter", "create", 401, {"error": {"code": 401, "message": "x"}}, "auth"),
    ("pixverse", "create", 200, {"ErrCode": 500090, "ErrMsg": "x"}, "insufficient_credits"),
    ("pixverse", "create", 200, {"ErrCode": 500044, "ErrMsg": "x"}, "rate_limited"),
    ("pixverse", "poll", 200, {"ErrCode": 500008, "ErrMsg": "x"}, "not_found"),
    ("zai", "create", 429, {"error": {"code": "1113", "message": "x"}}, "insufficient_credits"),
    ("zai", "create", 429, {"error": {"code": "1302", "message": "x"}}, "rate_limited"),
    ("siliconflow", "create", 401, "Invalid token", "auth"),
    ("siliconflow", "create", 403, {"code": 30001, "message": "x", "data": None}, "insufficient_credits"),
    ("azure-openai", "create", 401, {"error": {"code": "401", "message": "x"}}, "auth"),
    ("runware", "create", 401, {"errors": [{"code": "invalidApiKey", "message": "x"}]}, "auth"),
    ("together", "create", 401, {"error": {"message": "x", "type": "invalid_api_key"}}, "auth"),
    ("freepik", "create", 401, {"message": "Unauthorized"}, "auth"),
    ("aimlapi", "create", 401, {"message": "x", "statusCode": 401}, "auth"),
    ("heygen", "create", 401, {"error": {"code": "unauthorized", "message": "x"}, "data": None}, "auth"),
]


@pytest.mark.parametrize(
    ("name", "operation", "status", "body", "category"), REFUSALS, ids=[f"{r[0]}-{n}" for n, r in enumerate(REFUSALS)]
)
def test_refusals(name: str, operation: str, status: int, body: Any, category: str) -> None:
    profile = of(name)
    error = (
        normalize.in_band_error(profile, body, status, operation=operation)
        if status < 300
        else classify_error.api_error(profile, operation=operation, http_status=status, body=body)
    )
    assert error is not None and error.shaped and error.category is Category(category)


# (provider, kept with the run, task id, method, path and query, body)
ADDRESSES: list[tuple[str, dict[str, str], str, str, str, Any]] = [
    ("gemini", {}, "ix-1", "GET", "/interactions/ix-1", None),
    ("gemini/veo", {}, "models/v/operations/o", "GET", "/models/v/operations/o", None),
    (
        "vertex-veo",
        {"model": "veo"},
        "projects/p/o",
        "POST",
        "/models/veo:fetchPredictOperation",
        {"operationName": "projects/p/o"},
    ),
    ("kling", {"path": "/v1/videos/image2video"}, "k1", "GET", "/v1/videos/image2video/k1", None),
    ("kling", {}, "k1", "GET", "/v1/videos/text2video/k1", None),
    ("minimax", {}, "m1", "GET", "/query/video_generation?task_id=m1", None),
    ("siliconflow", {}, "s1", "POST", "/video/status", {"requestId": "s1"}),
    ("azure-openai", {}, "task_1", "GET", "/video/generations/jobs/task_1?api-version=preview", None),
    ("runware", {}, "u1", "POST", "/v1", [{"taskType": "getResponse", "taskUUID": "u1"}]),
    ("freepik", {"model": "m-1"}, "f1", "GET", "/v1/ai/image-to-video/m-1/f1", None),
    ("aimlapi", {}, "a:1", "GET", "/video/generations?generation_id=a%3A1", None),
    ("heygen", {}, "h1", "GET", "/v1/video_status.get?video_id=h1", None),
]


@pytest.mark.parametrize(
    ("name", "kept", "task_id", "method", "path", "body"), ADDRESSES, ids=[a[0] for a in ADDRESSES]
)
def test_addresses_of_looks(name: str, kept: dict[str, str], task_id: str, method: str, path: str, body: Any) -> None:
    profile = of(name)
    assert Provider(profile, None).status_request(TaskRef(task_id, kept)) == (method, profile.base_url + path, body)


def test_a_word_for_an_unknown_task_ends_a_look() -> None:
    profile = of("dashscope")
    answer = Answer(200, {}, json.dumps({"output": {"task_id": "d1", "task_status": "UNKNOWN"}}).encode())
    look = Provider(profile, None).read_look(answer, TaskRef("d1"))
    assert look.error is not None and look.error.category is Category.NOT_FOUND and look.final_refusal


def test_times_without_a_zone_are_those_of_the_profile() -> None:
    body = {"output": {"task_id": "d1", "task_status": "RUNNING", "submit_time": "2026-11-26 16:00:00.000"}}
    assert normalize.snapshot(of("dashscope"), body).created_at == 1795680000.0


def test_a_cost_in_ticks() -> None:
    body = {"status": "done", "video": {"url": V}, "usage": {"cost_in_usd_ticks": 2_500_000_000}}
    seen = normalize.snapshot(of("xai"), body)
    assert (seen.cost, seen.cost_unit) == (0.25, "USD")


UNTRIED = [name for name in shipped_names() if not load_profile(name).tried]


def test_what_is_written_from_documents_says_so() -> None:
    assert len(UNTRIED) == 20
    for name in UNTRIED:
        profile = load_profile(name)
        assert profile.basis["all"]["source"] and profile.basis["all"]["date"], name
        assert not profile.guessed("create") and not profile.guessed("create.id"), name
        assert not profile.guessed("error.in_band") or not profile.error.in_band, name
        assert profile.auth.key_url and profile.links.docs, name


@pytest.mark.parametrize("name", UNTRIED)
def test_every_new_profile_is_held_here(name: str) -> None:
    for table in (REQUESTS, CREATES, LOOKS, REFUSALS):
        rows: list[Any] = list(table)
        if table is REFUSALS and name == "vertex-veo":
            continue  # the codes are those of the Gemini API
        assert any(row[0].partition("/")[0] == name for row in rows), name


def test_links_of_the_api_itself_want_the_key_by_their_path() -> None:
    own = "https://generativelanguage.googleapis.com/v1beta/files/abc:download?alt=media"
    (output,) = normalize.snapshot(of("gemini"), omni("completed", {"type": "video", "uri": own})).outputs
    assert output.content_path == "/files/abc:download?alt=media"
    for other in (V, "https://generativelanguage.googleapis.com.evil.example/v1beta/files/abc"):
        (output,) = normalize.snapshot(of("gemini"), omni("completed", {"type": "video", "uri": other})).outputs
        assert output.content_path is None
