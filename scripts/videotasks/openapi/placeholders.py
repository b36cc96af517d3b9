"""Values for fields for which the specification names none: hints to people that the schema accepts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from videotasks.openapi import patterns
from videotasks.openapi.shape import Shape

PROMPT = "Describe what to generate"
AVOID = "Describe what to avoid"
IS_PROMPT = 1
NO_PROMPT = 9
_MAY_BE_PROMPT = {"text": 3, "input text": 3, "script": 4, "instruction": 4, "instructions": 4, "story": 5}
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
# Beside "prompt" these make a switch, a limit or a reference of the name.
_NOT_A_PROMPT = frozenset((
    "optimizer", "optimize", "optimization", "enhance", "enhancer", "enhancement", "enhanced", "extend",
    "extension", "strength", "upsampling", "upsample", "weight", "expansion", "expand", "expander", "rewrite",
    "rewriting", "rewriter", "id", "ids", "url", "urls", "uri", "image", "images", "audio", "cfg", "length",
    "tokens", "filter", "version", "enable", "enabled", "disable", "type", "mode", "scale", "influence",
    "adherence", "template", "key", "cache", "retention", "safety", "tolerance", "guidance", "language", "lang",
    "improve", "improver", "auto", "magic", "config", "settings", "options", "scheduling", "logprobs", "count",
    "num", "max", "min", "index", "details", "file", "files", "frame", "keyframe", "negative", "neg",
))  # fmt: skip
_FORMATS = {
    "date-time": "2030-01-01T00:00:00Z",
    "date": "2030-01-01",
    "time": "00:00:00Z",
    "email": "person@example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "byte": "AAAA",
    "duration": "PT5S",
    "color": "#000000",
}
_URI = ("uri", "url", "iri", "uri-reference", "http-url", "https-url")
_MEDIA = (("video", "mp4"), ("audio", "mp3"), ("voice", "mp3"), ("sound", "mp3"), ("image", "png"), ("frame", "png"),
          ("photo", "png"), ("picture", "png"), ("mask", "png"))  # fmt: skip


@lru_cache(maxsize=4096)
def prompt_rank(name: str) -> int:
    """How surely a field of this name takes the prompt: up to IS_PROMPT it does, then it may (`text`), NO_PROMPT."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if "prompt" in words or "prompts" in words:
        if any(word in _NOT_A_PROMPT for word in words):
            return NO_PROMPT
        return 0 if len(words) == 1 else (IS_PROMPT if len(words) <= 3 else IS_PROMPT + 1)
    return _MAY_BE_PROMPT.get(" ".join(words), NO_PROMPT)


def media_rank(name: str, kind: str) -> int:
    """How surely a field of this name takes a file or link of the kind ("image", "video"): from 0 to NO_MEDIA."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if any(word in _NOT_MEDIA for word in words):
        return NO_MEDIA
    own = _MEDIA_WORDS[kind]
    singulars = [singular(word) for word in words]
    if not any(word in own for word in singulars):
        if " ".join(words) in ("input url", "source url", "media url", "url", "source", "input reference", "media"):
            return 4
        return NO_MEDIA
    last = sum(word in ("last", "end", "tail", "final", "second", "mask") for word in words)
    return min(3, len(words) - 1) + 4 * last + 4 * (words[-1] in ("id", "ids"))


NO_MEDIA = 99
_MEDIA_WORDS = {
    "image": ("image", "img", "photo", "picture", "frame", "keyframe"),
    "video": ("video", "clip", "footage"),
}
_NOT_MEDIA = frozenset((
    "size", "format", "num", "count", "number", "strength", "weight", "quality", "width", "height", "type", "mode",
    "mask", "logo", "thumbnail", "watermark", "output", "style", "resolution", "ratio", "rate", "fps", "length",
    "duration", "seconds", "name", "enable", "enabled", "guidance", "scale", "negative",
    "model", "tokens", "detail", "codec", "bitrate", "settings", "config", "options", "per", "max", "min", "caption",
    "title", "description", "position", "index", "influence", "rotation", "fidelity", "interpolation", "text", "audio",
))  # fmt: skip


def media_links(kind: str) -> tuple[Any, ...]:
    """Links to media of the kind, in the shapes that APIs take them."""
    link = f"https://example.com/{kind}.{'mp4' if kind == 'video' else 'png'}"
    return (link, [link], {"url": link}, [{"url": link}], {"type": "url", "url": link}, {"uri": link})


def fitted(text: str, shape: Shape) -> str:
    """The text, longer or shorter if the field asks for it."""
    least = min(shape.limits.get("minLength", 0), 10_000)
    most = shape.limits.get("maxLength")
    if len(text) < least:
        text = (text + " ") * (least // (len(text) + 1) + 1)
        text = text[:least].rstrip().ljust(least, ".")
    return text[:most] if most is not None and most >= least else text


def singular(name: str) -> str:
    return name[:-1] if name.endswith("s") and len(name) > 3 else name


def scalars(kind: str, name: str, shape: Shape) -> Iterator[Any]:
    """Values of one type within the bounds of the shape, the most telling first."""
    if kind == "string":
        yield from _strings(name, shape)
    elif kind in ("integer", "number"):
        yield from _numbers(kind, shape)
    elif kind == "boolean":
        yield from (False, True)
    else:
        yield None


def _strings(name: str, shape: Shape) -> Iterator[str]:
    kind = str(shape.limits.get("format", "")).lower()
    words = [word.lower() for word in _WORDS.findall(name)]
    if "prompt" in words and ("negative" in words or "neg" in words):
        yield fitted(AVOID, shape)
    extension = next((ending for word, ending in _MEDIA if word in words), "png")
    link = f"https://example.com/{'_'.join(words) or 'input'}.{extension}"
    if kind in _URI or (not kind and any(word in ("url", "urls", "uri", "uris") for word in words)):
        yield link
        yield "https://example.com"
    if kind in _FORMATS:
        yield fitted(_FORMATS[kind], shape)
    for pattern in shape.patterns:
        yield from _from_pattern(pattern, shape)
    if any(media_rank(name, medium) < NO_MEDIA for medium in _MEDIA_WORDS) and words[-1] not in ("id", "ids"):
        yield link
    yield fitted(f"<{name or 'text'}>", shape)
    for word in ("text", "1", "a", "A", "0", "AAAA", "auto", link, "data:image/png;base64,AAAA", "1:1", "#000000"):
        yield fitted(word, shape)
    yield ""


def _from_pattern(pattern: str, shape: Shape) -> Iterator[str]:
    """Texts that match a pattern, longer ones where a least length asks for it."""
    translated, _ = patterns.translate(pattern)
    if translated is None:
        return
    for repeats in (0, 1, shape.limits.get("minLength", 0), shape.limits.get("maxLength", 0)):
        text = patterns.sample(translated, min(int(repeats), 2000))
        if text is not None:
            yield text


def _numbers(kind: str, shape: Shape) -> Iterator[int | float]:
    limits = shape.limits
    step = limits.get("multipleOf")
    low = limits.get("minimum")
    high = limits.get("maximum")
    above, below = limits.get("exclusiveMinimum"), limits.get("exclusiveMaximum")
    found: list[int | float] = [1]
    found += [value for value in (low, high) if value is not None]
    if above is not None:
        found += [int(above // 1) + 1, above + 0.5, above + 0.001]
        if below is not None:
            found.append((above + below) / 2)
    if below is not None:
        found += [int(-(-below // 1)) - 1, below - 0.5, below - 0.001]
    if low is not None and high is not None:
        found.append((low + high) / 2)
    if step:
        base = low if low is not None else (above if above is not None else 0)
        first = -(-base // step) * step
        found = [first, first + step, step, first + 2 * step, *found]
    found += [0, -1, 2, 100]
    for value in found:
        if kind == "integer" and isinstance(value, float):
            if abs(value) >= 2**63:
                continue
            yield int(-(-value // 1))
            yield int(value // 1)
        else:
            yield value


def distinct(value: Any, count: int) -> Iterator[Any]:
    """`count` different values like `value`, for arrays that allow no repetition."""
    for index in range(min(count, 50)):
        if isinstance(value, bool) or not isinstance(value, (str, int, float)) or index == 0:
            yield value
        elif isinstance(value, str):
            stem, dot, ending = value.rpartition(".")
            yield f"{stem}{index + 1}{dot}{ending}" if stem else f"{value}{index + 1}"
        else:
            yield value + index
