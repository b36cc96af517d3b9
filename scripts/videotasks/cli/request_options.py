"""The options of a request become values: prompt, payload, media and single members."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from videotasks.core.errors import configuration_error
from videotasks.request.build import CommonInputs
from videotasks.request.fields import ROLES


def read_text_input(path: str, *, flag: str, limit: int = 1_000_000) -> str:
    """A text file, or standard input for `-`, as UTF-8 without a byte order mark."""
    try:
        if path == "-" and sys.stdin is None:
            raise configuration_error(f"{flag}: standard input is closed", expected="a file, or text on standard input")
        data = sys.stdin.buffer.read(limit + 1) if path == "-" else _read(path, limit + 1)
    except OSError as error:
        raise configuration_error(
            f"{flag}: cannot read {path}: {error.strerror}", expected="a readable text file, or -"
        ) from None
    if len(data) > limit:
        raise configuration_error(f"{flag}: more than {limit} bytes", expected="a prompt or payload, not a larger file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise configuration_error(f"{flag}: {path} is not UTF-8 text", expected="UTF-8") from None


def _read(path: str, limit: int) -> bytes:
    with open(os.path.expanduser(path), "rb") as reader:
        return reader.read(limit)


def common_inputs(args: argparse.Namespace) -> CommonInputs:
    """The request options as CommonInputs. Raises TaskError for what does not go together."""
    if args.prompt is not None and args.prompt_file is not None:
        raise configuration_error("--prompt and --prompt-file are both given", expected="one of them")
    if args.payload is not None and args.payload_file is not None:
        raise configuration_error(
            "--payload and --payload-file are both given", expected="one of them", code="invalid_arguments"
        )
    if args.prompt_file == "-" and args.payload_file == "-":
        raise configuration_error(
            "standard input cannot be both prompt and payload", expected="one of them from a file"
        )
    prompt = args.prompt
    if args.prompt_file is not None:
        prompt = read_text_input(args.prompt_file, flag="--prompt-file").rstrip("\r\n")
    payload = args.payload
    if args.payload_file is not None:
        payload = read_text_input(args.payload_file, flag="--payload-file", limit=64_000_000)
    if prompt is not None and not prompt.strip():
        raise configuration_error("the prompt is empty", expected="what the video shows")
    return CommonInputs(
        prompt=prompt,
        model=args.model,
        duration=args.duration,
        ratio=args.ratio,
        resolution=args.resolution,
        images=[parse_media(value) for value in args.image],
        video=[parse_media(value) for value in args.video],
        audio=[parse_media(value) for value in args.audio],
        seed=args.seed,
        set_values=[parse_set(text) for text in args.set],
        payload=parse_payload(payload) if payload is not None else None,
        endpoint=args.sse_endpoint,
        kind=args.kind,
    )


def parse_payload(text: str) -> dict[str, Any]:
    """A JSON object, or a TaskError that says where it stops being one. NaN and Infinity are not JSON."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        value = json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise configuration_error("the payload is nested too deeply", expected="a JSON object") from None
    except ValueError as error:
        where = (
            f"line {error.lineno}, column {error.colno}: {error.msg}"
            if isinstance(error, json.JSONDecodeError)
            else str(error)
        )
        raise configuration_error(
            f"the payload is not JSON ({where})",
            expected='a JSON object, such as {"prompt": "..."}',
            code="invalid_arguments",
        ) from None
    if not isinstance(value, dict):
        raise configuration_error(
            "the payload is not a JSON object", expected='{"prompt": "..."}', code="invalid_arguments"
        )
    return value


def parse_media(text: str) -> tuple[str | None, str]:
    """`first_frame=PATH` -> (role, value). Only the known roles are one, so that `a=b.png` stays a file name.

    Raises TaskError for what is nearly a role and no file that is there.
    """
    role, sign, value = text.partition("=")
    if sign and role in ROLES:
        return role, value
    if sign and not os.path.exists(text):
        import difflib

        near = difflib.get_close_matches(role.strip().lower().replace("-", "_"), ROLES, n=1, cutoff=0.6)
        if near:
            raise configuration_error(
                f"{role[:40]!r} is no role of an image, video or audio: did you mean {near[0]}={value[:200]}?",
                expected=" | ".join(f"{name}=FILE" for name in ROLES),
            )
    return None, text


def parse_set(text: str) -> tuple[str, Any]:
    """`metadata.seed=7` -> ("metadata.seed", 7). The value is JSON where it parses as JSON, else the text itself."""
    import json

    key, sign, raw = text.partition("=")
    if not sign or not key.strip():
        raise configuration_error(
            f"--set {text[:60]!r} is no assignment", expected="--set name=value or --set a.b=value"
        )

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    try:
        return key.strip(), json.loads(raw, parse_constant=refuse)
    except (ValueError, RecursionError):
        return key.strip(), raw
