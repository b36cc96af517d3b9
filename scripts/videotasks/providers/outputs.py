"""The results that an answer tells: links, files inside it, the content endpoint. Pure; never raises.

A result comes from a path that the profile names. Only where a success gives nothing there, the other links of the
answer are collected as guesses, and whoever uses one looks at its content first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from videotasks.core.json_values import mapped, parse_json
from videotasks.core.task import Output
from videotasks.formats import jmespath_eval, result_value
from videotasks.formats.media_type import sniff
from videotasks.providers import address
from videotasks.providers.profile import Profile

KINDS = ("video", "image", "audio", "last_frame", "thumbnail")
MADE = ("video", "image", "audio")  # of the task's own making: a last frame alone is no result
MAX_OUTPUTS = 50
MAX_GUESSES = 8
MAX_TEXT = 100_000  # characters of one text of an answer that are kept

# What a member is called, or stands in, whose link is no result: what was given, what only shows it, other addresses.
_NO_RESULT = re.compile(
    r"(?:input|request|req|payload|param|parameter|option|prompt|reference|ref|source|src|origin|original|init|image|img"
    r"|picture|photo|thumbnail|thumb|cover|poster|preview|frame|keyframe|mask|avatar|logo|icon|style|webhook|callback"
    r"|notify|redirect|doc|documentation|help|pricing|term|status|cancel|self|user|author|upload|example|template)s?",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def outputs_of(
    profile: Profile, body: object, task_id: str | None, known: Mapping[str, str] | None = None
) -> tuple[Output, ...]:
    """Every result at the profile's paths, each once; the content endpoint where no link is told."""
    known = {**(known or {}), **({"task_id": task_id} if task_id else {})}
    body = unpacked(profile, body)
    outputs: list[Output] = []
    for kind in KINDS:
        for output in _at(profile, kind, getattr(profile.result, kind), body):
            known_already = any(o.url == output.url and o.data == output.data for o in outputs)
            if not known_already and len(outputs) < MAX_OUTPUTS:
                outputs.append(output)
    told = profile.result.content
    content = filled(told, body, known) if told is not None and "task_id" in known else None
    if content is None:
        return tuple(outputs)
    first = next((n for n, output in enumerate(outputs) if output.kind in MADE), None)
    if first is None:
        outputs.insert(0, Output("video", content_path=content))
    elif outputs[first].kind == "video" and outputs[first].content_path is None:
        outputs[first] = Output("video", outputs[first].url, fallback_path=content, data=outputs[first].data)
    return tuple(outputs)


def filled(spec: Mapping[str, Any], body: object, known: Mapping[str, str]) -> str | None:
    """`path` of a content or fetch entry with what is known of the task, and its `values` of this very answer.

    None when one is missing.
    """
    values = dict(known)
    for name, where in (spec.get("values") or {}).items():
        value = jmespath_eval.evaluate(str(where), body)
        if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
            return None
        values[name] = str(value)
    path = str(spec["path"])
    return address.fill_path(path, values) if address.names_in(path) <= values.keys() else None


def guesses_of(body: object) -> tuple[Output, ...]:
    """Links (and files) of an answer that may be its video: under no member for inputs, pictures or other pages."""
    found: list[Output] = []
    for text in _texts(body):
        link = result_value.link(text, "") if text.strip()[:4].lower() == "http" else None
        data = result_value.embedded(text) if link is None else None
        if link is None and (data is None or not _fits(data, "video")):
            continue
        output = Output("video", link, data=data, found_by="guess")
        if output not in found:
            found.append(output)
        if len(found) == MAX_GUESSES:
            break
    return tuple(found)


def unpacked(profile: Profile, body: object) -> object:
    """The body with the JSON texts that the profile names (`result.unpack`) read in place."""
    for path in profile.result.unpack:
        text = jmespath_eval.evaluate(path, body)
        value = parse_json(text) if isinstance(text, str) else None
        if isinstance(value, (dict, list)):
            body = _with_member(body, path.split("."), value)
    return body


def kept(value: Any) -> Any:
    """An answer as it is kept on disk: its texts of more than `MAX_TEXT` characters are cut, and say so."""

    def cut(text: Any) -> Any:
        too_long = isinstance(text, str) and len(text) > MAX_TEXT
        return f"{text[:200]}... [{len(text)} characters]" if too_long else text

    return mapped(value, cut)


def _at(profile: Profile, kind: str, candidates: tuple[str, ...], body: object) -> list[Output]:
    """The outputs of the first path that gives any."""
    for path in candidates:
        outputs = [output for value in jmespath_eval.values(path, body) for output in _read(profile, kind, value)]
        if outputs:
            return outputs
    return []


def _read(profile: Profile, kind: str, value: Any) -> Iterator[Output]:
    if not isinstance(value, str):
        return
    if (link := result_value.link(value, profile.base_url)) is not None:
        yield Output(kind, link, _content_of(profile, link))
    elif (address := result_value.bucket_address(value)) is not None:
        yield Output(kind, address)
    elif (data := result_value.embedded(value)) is not None:
        if _fits(data, kind):
            yield Output(kind, data=data)
    elif value.lstrip()[:1] in ("{", "["):
        for text in _texts(parse_json(value)):
            if not text.lstrip().startswith(("{", "[")):
                yield from _read(profile, kind, text)


def _fits(data: bytes, kind: str) -> bool:
    media = sniff(data[:512])
    if media is None:
        return False
    if kind in ("last_frame", "thumbnail"):
        kind = "image"
    return media.kind == kind or (kind == "video" and media.may_move)


def _texts(value: Any, member: str = "") -> Iterator[str]:
    """Every text under members that may hold a result, in order."""
    if any(_NO_RESULT.fullmatch(word) for word in _WORDS.findall(member)):
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _with_member(body: object, steps: list[str], value: object) -> object:
    """`body` with a member replaced; what is not touched is shared."""
    if not steps:
        return value
    if not isinstance(body, Mapping):
        return body
    return {**body, steps[0]: _with_member(body.get(steps[0]), steps[1:], value)}


def _content_of(profile: Profile, url: str) -> str | None:
    """The path of a link that is the API's own content endpoint, which wants the key; None for any other link."""
    if not profile.is_own(url):
        return None
    base, link = urlsplit(profile.base_url), urlsplit(url)
    path = link.path[len(base.path) :] if link.path.startswith(base.path) else link.path
    query = f"?{link.query}" if link.query else ""
    ours = path.startswith(profile.result.key)
    if not ours and profile.result.content:
        start, _, end = str(profile.result.content["path"]).partition("{task_id}")
        ours = path.startswith(start) and path.endswith(end) and "/" not in path[len(start) : len(path) - len(end)]
    return path + query if ours else None
