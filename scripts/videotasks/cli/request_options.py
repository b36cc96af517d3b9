"""Options become values: those of a request (prompt, payload, media, single members) and those of a session."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from videotasks.core.errors import configuration_error
from videotasks.lifecycle.open_session import SessionOptions

if TYPE_CHECKING:
    from videotasks.request.build import CommonInputs

PIPE_S = 10.0
# The option, or the older spelling of it, that a member of SessionOptions is read from where the names differ.
SPELLED = {
    "interval": ("interval", "poll_interval"),
    "request_timeout": ("request_timeout", "poll_request_timeout"),
    "wait_s": ("poll_timeout", "timeout"),
}


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
    """A file's first bytes. A pipe (`<(...)` of a shell is one) has ten seconds: nobody may ever write to it."""
    import select
    import stat

    handle = os.open(os.path.expanduser(path), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(handle, "rb", buffering=0) as reader:
        waits = os.name != "nt" and not stat.S_ISREG(os.fstat(handle).st_mode)
        data, until = b"", time.monotonic() + PIPE_S
        while len(data) < limit:
            if waits and not select.select([reader], [], [], max(0.0, until - time.monotonic()))[0]:
                raise OSError(errno.ETIMEDOUT, f"nothing was written to it for {PIPE_S:g} s")
            part = reader.read(limit - len(data))
            if not part:
                break
            data += part
        return data


def common_inputs(args: argparse.Namespace) -> CommonInputs:
    """The request options as CommonInputs. Raises TaskError for what does not go together."""
    from videotasks.request.build import MEDIA, PLAIN, CommonInputs, parse_payload, parse_set
    from videotasks.request.local_files import parse_media

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
    options: dict[str, Any] = {name: getattr(args, name, None) for name in PLAIN}
    options |= {kind: [parse_media(value) for value in getattr(args, kind)] for kind in MEDIA}
    options |= {"prompt": prompt, "endpoint": args.sse_endpoint, "set_values": [parse_set(text) for text in args.set]}
    options["payload"] = parse_payload(payload) if payload is not None else None
    return CommonInputs(**options)


def session_options(args: argparse.Namespace) -> SessionOptions:
    """What the options say of API, files and manner; a command that has not got one of them leaves its default."""
    given = vars(args)
    values = {}
    for member in SessionOptions.__annotations__:
        names = SPELLED.get(member, (member,))
        found = [given[name] for name in names if given.get(name) is not None]
        if found:
            values[member] = found[0]
    if values.get("sandbox") and not values.get("default_provider"):
        values["default_provider"] = given.get("rehearsed_provider")
    return SessionOptions(**values)
