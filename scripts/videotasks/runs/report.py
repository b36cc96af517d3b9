"""What to send when something goes wrong: a run without keys, signed links, and what the user made the video of."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from videotasks.core.durable_files import read_file
from videotasks.core.json_values import leaves
from videotasks.core.redaction import known_secrets, redact
from videotasks.core.safe_text import cut_query
from videotasks.runs.store import Run

LEFT_OUT = "[left out]"
TEXT_FILES = frozenset({".json", ".jsonl", ".md", ".txt"})
FILE_LIMIT = 5_000_000  # bytes of one file; an answer that holds a video in base64 is no help to anybody
MOST_FILES = 60
_LINK = re.compile(r"(?i)\b(?:https?|wss?)://[^\s\"'<>\\]+|\bdata:[\w.+-]+/[\w.+-]+[;,][^\s\"'<>\\]*")
_TELLING = 12  # characters: a shorter value of the request is a mode or a size, and too common to look for elsewhere


def report_of(run: Run, versions: Mapping[str, str], *, with_inputs: bool) -> tuple[bytes, list[str], list[str]]:
    """The zip, the names in it, and the names that were left out. Raises OSError.

    Without `with_inputs` every text of the request's body is gone, wherever it is repeated, and its files with it.
    """
    private = () if with_inputs else tuple(sorted(set(_texts_of(run)), key=len, reverse=True))
    packed, left_out, data = [], [], BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("versions.json", json.dumps(versions, indent=1, sort_keys=True))
        packed.append("versions.json")
        for name in _names(run.folder):
            text = _text_of(run.folder / name) if len(packed) < MOST_FILES else None
            if text is None or (name.startswith("inputs/") and name != "inputs/request.json" and not with_inputs):
                left_out.append(name)
                continue
            archive.writestr(name, _clean(name, text, private))
            packed.append(name)
    return data.getvalue(), packed, left_out


def _names(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):  # which follows no link
        folders.sort()
        for name in sorted(files):
            yield (Path(place) / name).relative_to(folder).as_posix()


def _text_of(path: Path) -> str | None:
    """None for what is no text, no regular file or too large."""
    if path.suffix not in TEXT_FILES:
        return None
    try:
        return read_file(path, FILE_LIMIT).decode("utf-8", "replace")
    except OSError:
        return None


def _texts_of(run: Run) -> Iterator[str]:
    """What the user wrote or named: the prompt, and every longer text of the body."""
    if run.prompt:
        yield run.prompt
    for name in ("payload", "body", "inputs", "given", "intent"):
        found = leaves(run.request.get(name))
        yield from (text for text in found if isinstance(text, str) and len(text) >= _TELLING)


def _clean(name: str, text: str, private: tuple[str, ...]) -> str:
    """A file's text without what is private; JSON stays JSON, and a line of it a line."""
    if not name.endswith((".json", ".jsonl")):
        return _clean_text(text, private)
    pieces, indent = (text.splitlines(), None) if name.endswith(".jsonl") else ([text], 1)
    cleaned = []
    for piece in pieces:
        try:
            cleaned.append(json.dumps(_clean_value(json.loads(piece), private), indent=indent, ensure_ascii=False))
        except ValueError:
            cleaned.append(_clean_text(piece, private))
    return "\n".join(cleaned) + "\n"


def _clean_value(value: Any, private: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        return _clean_text(value, private)
    if isinstance(value, dict):
        return {_clean_text(str(key), private): _clean_value(item, private) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean_value(item, private) for item in value]
    return value


def _clean_text(text: str, private: tuple[str, ...]) -> str:
    for secret in private:
        if text == secret or (len(secret) >= _TELLING and secret in text):
            text = text.replace(secret, LEFT_OUT)
        elif len(secret) < _TELLING:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", LEFT_OUT, text)
    text = _LINK.sub(lambda link: cut_query(link.group()), text)
    home = os.path.expanduser("~")
    if len(home) > 3:
        text = text.replace(home, "~")  # the user's name
    return redact(text, known_secrets())
