"""What ARK takes and refuses in a create (contracts D.2)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from videotasks_sandbox.dialects.base import is_int, is_unknown_model
from videotasks_sandbox.imagesize import image_size

RESOLUTIONS = ("480p", "720p", "1080p", "4k")
RATIOS = ("16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive")
IMAGE_ROLES = ("first_frame", "last_frame", "reference_image")
_FLAGS = ("camera_fixed", "watermark", "draft", "return_last_frame", "generate_audio")
_MAX_TEXT = 8000
_MAX_IMAGE = 30 * 1024 * 1024


@dataclass(frozen=True)
class Problem:
    """A refusal: HTTP status, ARK's code, the message and the parameter that is to blame."""

    code: str
    message: str
    param: str = ""
    status: int = 400


def check_create(body: dict[str, Any], *, cloud: str) -> Problem | None:
    """The first thing wrong with a create body; None: it is taken. `cloud`: "ark" or "modelark"."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        return Problem("MissingParameter", "The request failed because it is missing `model`.", "model")
    if not _served(model, cloud):
        message = f"The model or endpoint {model} does not exist or you do not have access to it."
        return Problem("InvalidEndpointOrModel.NotFound", message, "model", 404)
    return _check_parameters(body, model) or _check_content(body.get("content"), model)


def _served(model: str, cloud: str) -> bool:
    """Model ids date quickly, so any Seedance is taken; but each cloud has its own (contracts D.1, D.2)."""
    if model.startswith("ep-"):
        return True
    own = model.startswith(("doubao-",)) if cloud == "ark" else model.startswith(("seedance-", "dreamina-"))
    return own and "seedance" in model and not is_unknown_model(model)


def _generation(model: str) -> str:
    """1-0, 1-5, 2-0 or 2-5; "" for an endpoint, whose model nobody can tell."""
    return next((each for each in ("1-0", "1-5", "2-0", "2-5") if f"seedance-{each}" in model), "")


# contracts D.2: the seconds that a generation makes; -1 lets it choose where the last column says so.
_SECONDS = {"1-0": (2, 12, False), "1-5": (4, 12, True), "2-0": (4, 15, True), "2-5": (4, 30, True), "": (2, 30, True)}


def _check_parameters(body: dict[str, Any], model: str) -> Problem | None:
    generation = _generation(model)
    low, high, auto = _SECONDS[generation]
    duration, frames, seed = body.get("duration", low), body.get("frames", 29), body.get("seed", -1)
    if not is_int(duration) or not (low <= duration <= high or (auto and duration == -1)):
        return _invalid("duration", f"must be an integer from {low} to {high}")
    if not is_int(frames) or not 29 <= frames <= 289 or (frames - 25) % 4:
        return _invalid("frames", "must be 25+4n, from 29 to 289")
    if "frames" in body and generation in ("1-5", "2-0"):
        return _invalid("frames", "is not supported by this model")
    if not is_int(seed) or not -1 <= seed < 2**32:
        return _invalid("seed", "must be an integer from -1 to 2^32-1")
    if body.get("resolution", "720p") not in RESOLUTIONS:
        return _invalid("resolution", f"must be one of {', '.join(RESOLUTIONS)}")
    if body.get("resolution") == "1080p" and ("2-0-fast" in model or "2-0-mini" in model):
        return _invalid("resolution", "1080p is not supported by this model")
    if body.get("ratio", "16:9") not in RATIOS:
        return _invalid("ratio", f"must be one of {', '.join(RATIOS)}")
    for name in _FLAGS:
        if not isinstance(body.get(name, False), bool):
            return _invalid(name, "must be a boolean")
    if body.get("draft") and generation not in ("1-5", ""):
        return _invalid("draft", "is not supported by this model")
    if body.get("draft") and body.get("resolution", "480p") != "480p":
        return _invalid("resolution", "a draft is 480p")
    if "generate_audio" in body and generation == "1-0":
        return _invalid("generate_audio", "is not supported by this model")
    if body.get("service_tier", "default") not in ("default", "flex"):
        return _invalid("service_tier", "must be default or flex")
    if body.get("service_tier") == "flex" and generation == "2-0":
        return _invalid("service_tier", "flex is not supported by this model")
    limit = body.get("execution_expires_after", 172800)
    if not is_int(limit) or not 3600 <= limit <= 259200:
        return _invalid("execution_expires_after", "must be from 3600 to 259200")
    return None


def _check_content(content: Any, model: str) -> Problem | None:
    if content is None or content == []:
        return Problem("MissingParameter", "The request failed because it is missing `content`.", "content")
    if not isinstance(content, list):
        return _invalid("content", "must be an array")
    roles: list[str] = []
    for index, item in enumerate(content):
        kind = item.get("type") if isinstance(item, dict) else None
        at = f"content[{index}]"
        if kind == "text":
            text = item.get("text")
            if not isinstance(text, str) or not text.strip() or len(text) > _MAX_TEXT:
                return _invalid(f"{at}.text", f"must be a non-empty string of at most {_MAX_TEXT} characters")
        elif kind in ("image_url", "video_url", "audio_url"):
            problem = _check_medium(item, kind, at)
            if problem is not None:
                return problem
            roles.append(
                item.get("role") or {"image_url": "", "video_url": "reference_video"}.get(kind, "reference_audio")
            )
        elif kind == "draft_task":
            if not isinstance(item.get("draft_task"), dict) or not item["draft_task"].get("id"):
                return _invalid(f"{at}.draft_task", "must hold an id")
            roles.append("draft")
        else:
            return _invalid(f"{at}.type", "must be text, image_url, video_url, audio_url or draft_task")
    return _check_roles(roles, has_text=any(item["type"] == "text" for item in content))


def _check_medium(item: dict[str, Any], kind: str, at: str) -> Problem | None:
    holder = item.get(kind)
    url = holder.get("url") if isinstance(holder, dict) else None
    if not isinstance(url, str) or not url:
        return _invalid(f"{at}.{kind}.url", "is required")
    roles = (
        IMAGE_ROLES if kind == "image_url" else ("reference_video",) if kind == "video_url" else ("reference_audio",)
    )
    if item.get("role") is not None and item["role"] not in roles:
        return _invalid(f"{at}.role", f"must be one of {', '.join(roles)}")
    if url.startswith("data:"):
        return _check_data_uri(url, kind, f"{at}.{kind}.url")
    if not url.startswith(("http://", "https://", "asset://")):
        return _invalid(f"{at}.{kind}.url", "must be a URL, a data URI or asset://")
    return None


def _check_data_uri(url: str, kind: str, param: str) -> Problem | None:
    head, comma, data = url.partition(",")
    family = kind.partition("_")[0]
    if not comma or not head.startswith(f"data:{family}/") or not head.endswith(";base64"):
        return _invalid(param, f"must look like data:{family}/<format>;base64,<data>")
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return _invalid(param, "holds broken base64")
    if family != "image":
        return None
    if len(raw) >= _MAX_IMAGE:
        return _invalid(param, "the image is not smaller than 30 MB")
    size = image_size(raw)
    # Formats that are not measured here pass.
    if size is not None and not all(300 <= side <= 6000 for side in size):
        return _invalid(param, f"the image is {size[0]}x{size[1]}; each side must be from 300 to 6000 pixels")
    if size is not None and not 0.4 < size[0] / size[1] < 2.5:
        return _invalid(param, f"the image is {size[0]}x{size[1]}; width / height must be between 0.4 and 2.5")
    return None


def _check_roles(roles: list[str], *, has_text: bool) -> Problem | None:
    """First frame, first and last frame, and references exclude each other (contracts D.2)."""
    images = [role for role in roles if role in ("", *IMAGE_ROLES)]
    # A single image without a role is a first frame; two are first and last.
    frames = [role for role in images if role != "reference_image"]
    references = [role for role in roles if role.startswith("reference_")]
    if frames and references:
        return _invalid("content", "first/last frame and reference media cannot be mixed")
    if frames.count("first_frame") > 1 or frames.count("last_frame") > 1 or len(frames) > 2:
        return _invalid("content", "at most one first frame and one last frame")
    if "last_frame" in frames and len(frames) == 1:
        return _invalid("content", "a last frame needs a first frame")
    limits = {"reference_image": 9, "reference_video": 3, "reference_audio": 3}
    for role, most in limits.items():
        if references.count(role) > most:
            return _invalid("content", f"at most {most} items with role {role}")
    if references and set(references) == {"reference_audio"}:
        return _invalid("content", "audio cannot be the only reference")
    if not roles and not has_text:
        return Problem("MissingParameter", "The request failed because it is missing a text.", "content")
    return None


def _invalid(param: str, message: str) -> Problem:
    text = f"The parameter `{param}` specified in the request is not valid: {message}."
    return Problem("InvalidParameter", text, param)
