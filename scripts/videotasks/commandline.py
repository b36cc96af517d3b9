"""What the commands share: options, their checks, and the session that they open (profile, origin, key, sandbox)."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from videotasks.models import Category, TaskError, configuration_error

if TYPE_CHECKING:
    from videotasks.context import Context
    from videotasks.mailbox import Mailbox
    from videotasks.profiles import Profile
    from videotasks.provider import Provider

_KEY_OPTIONS = re.compile(r"^--?(api[-_]?key|key|token|api[-_]?token|secret|authorization|bearer)(=|$)", re.IGNORECASE)
EXIT_CODES = """exit codes:
  0 done, or the question was answered   1 configuration   2 usage
  3 submission unknown: look first, never create again by yourself
  10 ended failed, cancelled or expired  11 not finished yet: run `next`
  12 refused while polling               13 succeeded without a usable file
  20 credits  21 auth  22 validation  23 not found  24 transient or rate limit
  25 unknown  26 moderation  27 permission  130/143 interrupted: run `next`
"""


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one JSON line, and which never repeats a value (it may be a key)."""

    def __init__(self, *, description: str, examples: str, exit_codes: str = EXIT_CODES) -> None:
        super().__init__(
            description=description,
            epilog=f"examples:\n{examples}\n{exit_codes}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def parse(self, argv: list[str]) -> argparse.Namespace:
        for token in argv:
            if _KEY_OPTIONS.match(token):
                raise TaskError(
                    Category.USAGE,
                    "keys are not taken as arguments: other programs can read them there",
                    expected="the key in its environment variable",
                    hint="see ensure_api_key.py --all for its name; treat the key just given as exposed",
                )
        return self.parse_args(argv)

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments:"):
            names = [word.split("=")[0] for word in message.split()[2:] if word.startswith("-")]
            message = "unknown option " + (", ".join(names) or "(a word that belongs to none)")
        raise TaskError(
            Category.USAGE,
            message,
            expected=f"the options that {os.path.basename(self.prog)} --help lists",
            hint="quote a value with blanks; a prompt is best given by --prompt-file - and standard input",
        )


def seconds(minimum: float = 0.0) -> Any:
    """An argparse type: a finite number of seconds above `minimum`, at most a week."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value <= minimum or value > 604_800:
            raise argparse.ArgumentTypeError(f"not a number of seconds above {minimum:g}")
        return value

    return parse


def positive_int(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 0 < value < 1_000_000:
        raise argparse.ArgumentTypeError("not a whole number above 0")
    return value


def add_provider_options(parser: argparse.ArgumentParser, *, default: str | None, for_what: str = "") -> None:
    """--provider and what goes with it. `default` is the provider meant when none is named."""
    parser.set_defaults(default_provider=default)
    group = parser.add_argument_group("provider")
    note = f" (default {default}{for_what})" if default else ""
    group.add_argument("--provider", metavar="NAME", help=f"profile name, or the path of a profile of yours{note}")
    group.add_argument("--kind", help="which of the provider's kinds of task, where it has several")
    group.add_argument("--base-url", metavar="URL", help="another origin for this provider; it gets the key")
    group.add_argument("--allow-http", action="store_true", help="accept plain http beyond loopback")
    group.add_argument("--sandbox", action="store_true", help="a local stand-in: no key, no cost, a real video file")
    group.add_argument(
        "--sandbox-scenario", metavar="NAME", help="rehearse trouble: failed, slow, stream-drop ... (sandbox.py --help)"
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("files and output")
    group.add_argument("--artifacts-dir", metavar="DIR", help="where run folders live (default task-status/.artifacts)")
    group.add_argument("--verbose", action="store_true", help="print the full stream of events")


def add_download_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("result")
    group.add_argument("--no-download", action="store_true", help="do not fetch the result files")
    group.add_argument("--output", metavar="FILE|DIR", help="also copy the video here")
    group.add_argument("--force", action="store_true", help="let --output replace an existing file")
    group.add_argument("--allow-private-results", action="store_true", help="accept result links to private addresses")


@dataclass
class Session:
    """One command's provider and surroundings."""

    profile: Profile
    provider: Provider
    ctx: Context
    origin: str  # as runs are told apart: an origin, or sandbox:<provider>


def load_profile(args: argparse.Namespace) -> Profile:
    """The chosen profile in the chosen kind, at the origin that flag or environment names."""
    from videotasks import credentials, origins, profiles

    name = args.provider or args.default_provider
    if not name:
        raise configuration_error(
            "no provider named",
            expected="--provider " + " | ".join(profiles.shipped_names()),
            hint="ensure_api_key.py --all shows for which a key is set",
        )
    profile = profiles.load_profile(name, search=os.environ.get("VIDEO_TASKS_PROVIDERS"))
    profile = profile.for_kind(args.kind)
    if args.sandbox:
        return profile
    if args.base_url:
        return profile.with_base_url(
            origins.checked_base_url(args.base_url, source="--base-url", allow_http=args.allow_http)
        )
    named = credentials.named_origin(profile)
    if named is not None:
        return profile.with_base_url(origins.checked_base_url(named[1], source=named[0], allow_http=args.allow_http))
    if profile.base_url_required:
        raise configuration_error(
            f"{profile.title} is spoken by many gateways: say which one",
            expected=f"--base-url https://gateway.example/v1, or the variable {profile.base_url_env}",
        )
    origins.checked_base_url(profile.base_url, source=f"the profile {profile.name}", allow_http=args.allow_http)
    return profile


@contextmanager
def open_session(
    args: argparse.Namespace,
    *,
    needs_key: bool = True,
    profile: Profile | None = None,
    mailbox: Mailbox | None = None,
) -> Iterator[Session]:
    """Profile, origin, key, run store and signals for one command; the sandbox runs while it is open.

    Raises TaskError for whatever is wrong with them, before anything is sent.
    """
    from videotasks import credentials, origins, workspace
    from videotasks.context import Context, Limits
    from videotasks.mailbox import Mailbox, signals_to
    from videotasks.provider import Provider
    from videotasks.reporting import Reporter
    from videotasks.runs import RunStore

    if args.sandbox_scenario and not args.sandbox:
        raise configuration_error("--sandbox-scenario is for the sandbox", expected="--sandbox as well")
    if args.sandbox and args.base_url:
        raise configuration_error("--sandbox and --base-url exclude each other", expected="one of them")
    profile = profile or load_profile(args)
    store = RunStore(workspace.artifacts_root(args.artifacts_dir))
    reporter = Reporter(verbose=args.verbose, sandbox=args.sandbox)
    mailbox = mailbox or Mailbox()
    ctx = Context(
        store=store,
        reporter=reporter,
        mailbox=mailbox,
        mode="sandbox" if args.sandbox else "real",
        limits=Limits(),
        download=not getattr(args, "no_download", False),
        output=getattr(args, "output", None),
        force=getattr(args, "force", False),
        allow_private_results=getattr(args, "allow_private_results", False),
        next_options=_next_options(args, profile),
    )
    with signals_to(mailbox):
        if args.sandbox:
            with sandbox_server(profile, store, args.sandbox_scenario) as server:
                local = profile.with_base_url(server.base_url)
                credentials.remember(server.api_key)
                provider = Provider(local, credentials.Key("sandbox", server.api_key))
                yield Session(local, provider, ctx, f"sandbox:{profile.name}")
            return
        key = credentials.require_key(profile) if needs_key else credentials.find_key(profile)
        yield Session(profile, Provider(profile, key), ctx, origins.origin_of(profile.base_url))


@contextmanager
def sandbox_server(profile: Profile, store: Any, scenario: str | None) -> Iterator[Any]:
    """The local stand-in, started in this process. It imports nothing of this library, and this only here of it."""
    from videotasks_sandbox.server import SandboxError, start_sandbox

    if profile.foreign:
        raise configuration_error(
            f"the sandbox has no stand-in for {profile.name}", expected="a provider that ships with the skill"
        )
    store.prepare()
    folder: Path = store.root / ".sandbox"
    from videotasks.files import make_private_dir

    make_private_dir(folder)
    try:
        server = start_sandbox(provider=profile.name, state_file=folder / "state.json", scenario=scenario or "ok")
    except SandboxError as error:
        raise configuration_error(str(error), hint="sandbox.py --help lists the scenarios") from None
    try:
        yield server
    finally:
        server.close()


def _next_options(args: argparse.Namespace, profile: Profile) -> tuple[str, ...]:
    """What the next command must be told again: a run folder never supplies an origin or a profile's path."""
    options: list[str] = []
    if args.sandbox:
        options.append("--sandbox")
    elif profile.foreign and args.provider:
        options += [
            "--provider",
            str(Path(args.provider).expanduser().absolute()) if os.sep in args.provider else args.provider,
        ]
    if args.base_url or (not args.sandbox and profile.base_url != profile.shipped_base_url):
        options += ["--base-url", profile.base_url]
    if args.allow_http:
        options.append("--allow-http")
    if getattr(args, "allow_private_results", False):
        options.append("--allow-private-results")
    return tuple(options)


def read_text_input(path: str, *, flag: str, limit: int = 1_000_000) -> str:
    """A text file, or standard input for `-`, as UTF-8 without a byte order mark."""
    try:
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


def with_limits(ctx: Context, **values: Any) -> None:
    """Set limits that a command's options name."""
    ctx.limits = replace(ctx.limits, **values)
