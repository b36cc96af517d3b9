"""The session that a command opens: profile, origin, key, run store, signals, sandbox."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videotasks.core.errors import TaskError, configuration_error
from videotasks.core.record import record, replace
from videotasks.lifecycle.session import Session
from videotasks.output.next_command import Asked
from videotasks.output.reporter import Reporter

if TYPE_CHECKING:
    from videotasks.core.workers import Mailbox
    from videotasks.lifecycle.session import Context
    from videotasks.providers.profile import Profile
    from videotasks.runs.store import Run, RunStore


@record(frozen=True)
class SessionOptions:
    """What a command was told of the API, the files and its manner; each front door fills it in from its own options.

    `provider` is what was typed (a name, or the path of a profile), `provider_of_run` what a run is known to belong
    to, `default_provider` what is meant when neither is there. Times are seconds, None where nothing was said.
    """

    provider: str | None = None
    provider_of_run: str | None = None
    default_provider: str | None = None
    kind: str | None = None
    base_url: str | None = None
    allow_http: bool = False
    sandbox: bool = False
    sandbox_scenario: str | None = None
    artifacts_dir: str | None = None
    no_retry: bool = False
    verbose: bool = False
    text: bool = False
    download: bool = False  # a look was asked to fetch
    no_download: bool = False
    output: str | None = None
    force: bool = False
    with_link: bool = False
    allow_private_results: bool = False
    interval: float | None = None
    request_timeout: float | None = None
    wait_s: float | None = None

    @property
    def provider_named(self) -> str | None:
        """The provider that was typed, else that of the run."""
        return self.provider or self.provider_of_run

    @property
    def mode(self) -> str:
        return "sandbox" if self.sandbox else "real"


def named_profile(options: SessionOptions) -> Profile:
    """The chosen profile in the chosen kind, as its file says it. Raises TaskError."""
    from videotasks.providers.load_profile import shipped_names

    name = options.provider_named or options.default_provider
    if not name:
        raise configuration_error(
            "no provider named",
            expected="--provider " + " | ".join(shipped_names()),
            hint="ensure_api_key.py --all shows for which a key is set",
        )
    return _loaded(name).for_kind(options.kind)


def _loaded(name: str) -> Profile:
    from videotasks.providers.load_profile import load_profile

    return load_profile(name, search=os.environ.get("VIDEO_TASKS_PROVIDERS"))


def chosen_profile(options: SessionOptions) -> Profile:
    """The chosen profile at the origin that flag or environment names. Raises TaskError."""
    profile = named_profile(options)
    return profile if options.sandbox else at_named_origin(profile, options)


def at_named_origin(profile: Profile, options: SessionOptions, *, required: bool = True) -> Profile:
    """A profile at the origin that --base-url or the environment names, else its own. Raises TaskError."""
    from videotasks.network import origins
    from videotasks.providers import credentials

    named = ("--base-url", options.base_url) if options.base_url else credentials.named_origin(profile)
    if named is not None:
        return profile.with_base_url(origins.checked_base_url(named[1], source=named[0], allow_http=options.allow_http))
    if profile.base_url_required and not required:
        return profile
    if profile.base_url_required:
        raise configuration_error(
            f"{profile.title} is spoken by many gateways: say which one",
            expected=f"--base-url https://gateway.example/v1, or the variable {profile.base_url_env}",
        )
    origins.checked_base_url(profile.base_url, source=f"the profile {profile.name}", allow_http=options.allow_http)
    return profile


def provider_name(options: SessionOptions) -> str | None:
    """The name under which runs of the provider that was typed are kept: a profile's own name where it was a path."""
    from videotasks.providers.load_profile import shipped_names

    if options.provider is None or options.provider in shipped_names():
        return options.provider
    return _loaded(options.provider).name


def origin_here(options: SessionOptions, provider: str) -> str | None:
    """The origin that this command would use for `provider`, as runs are told apart; None when none is named.

    Listings and --latest stay with it: a run made at another origin is somebody else's API.
    """
    from videotasks.network import origins
    from videotasks.providers import credentials

    if options.sandbox:
        return f"sandbox:{provider}"
    if options.base_url:
        return origins.place_of(origins.checked_base_url(options.base_url, source="--base-url", allow_http=True))
    try:
        # As it was typed: that may be the path of a profile of the user's own.
        typed = options.provider if provider == provider_name(options) else None
        profile = _loaded(typed or provider)
        named = credentials.named_origin(profile)
        if named is None and profile.base_url_required:
            return None
        return origins.place_of(named[1] if named else profile.base_url)
    except (TaskError, ValueError):
        return None


def require_packages() -> None:
    """Raises ModuleNotFoundError or TaskError for a library that would be missed only later: after the payment."""
    from importlib import import_module
    from importlib.util import find_spec

    from videotasks.core.installation import NEEDED_PACKAGES, too_old

    for name in NEEDED_PACKAGES:
        if name not in sys.modules and find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
    if old := too_old(NEEDED_PACKAGES):
        from videotasks.network.connection import require_versions

        require_versions(import_module(old[0]))  # by the package itself: what lies beside it may be a leftover


@contextmanager
def open_session(
    options: SessionOptions,
    *,
    needs_key: bool = True,
    profile: Profile | None = None,
    mailbox: Mailbox | None = None,
    reporter: Reporter | None = None,
    store: RunStore | None = None,
    stand_in: tuple[str, str] | None = None,
) -> Iterator[Session]:
    """Profile, origin, key, run store and signals for one command; the sandbox runs while it is open.

    `stand_in` is the address and key of one that another process serves already.

    Raises TaskError for whatever is wrong with them, before anything is sent.
    """
    from videotasks.core import redaction
    from videotasks.core.workers import Mailbox, signals_to
    from videotasks.lifecycle.free_calls import FreeCalls
    from videotasks.lifecycle.session import Context, Timing
    from videotasks.network import origins
    from videotasks.providers import credentials
    from videotasks.providers.provider import Provider
    from videotasks.runs import workspace
    from videotasks.runs.store import RunStore

    require_packages()
    if options.sandbox_scenario and not options.sandbox:
        raise configuration_error("--sandbox-scenario is for the sandbox", expected="--sandbox as well")
    if options.sandbox and options.base_url:
        raise configuration_error("--sandbox and --base-url exclude each other", expected="one of them")
    profile = profile or chosen_profile(options)
    store = store or RunStore(workspace.artifacts_root(options.artifacts_dir))
    reporter = reporter or Reporter(verbose=options.verbose, sandbox=options.sandbox, text=options.text)
    mailbox = mailbox or Mailbox()
    ctx = Context(
        store=store,
        reporter=reporter,
        mailbox=mailbox,
        mode=options.mode,
        limits=Timing(sandbox_speed=sandbox_speed() if options.sandbox else 1.0),
        download=not options.no_download,
        output=options.output,
        force=options.force,
        allow_private_results=options.allow_private_results,
        with_link=options.with_link,
        asked=asked_of(options, profile, str(store.root)),
        free=FreeCalls(0.0 if options.no_retry else min(FreeCalls.left_s, options.wait_s or FreeCalls.left_s)),
    )
    with signals_to(mailbox):
        if options.sandbox:
            dialect = derived_dialect(profile)
            if dialect is not None:
                reporter.event("warning", message=DERIVED)
            serving = sandbox_server(profile, store, options.sandbox_scenario, dialect)
            with nullcontext(stand_in) if stand_in else serving as place:
                redaction.remember(place[1])
                provider = Provider(profile.with_base_url(place[0]), credentials.Key("sandbox", place[1]))
                yield Session(provider, ctx, f"sandbox:{profile.name}", place)
            return
        key = credentials.require_key(profile) if needs_key else credentials.find_key(profile)
        yield Session(Provider(profile, key), ctx, origins.place_of(profile.base_url))


@record
class LastLine:
    """What a command has come to: `run` as soon as it is known, `code` when its last line is printed.

    `next_after` says what to run next after an error, `refused` reports an error in a way of the command's own.
    """

    run: Run | None = None
    code: int = 0
    next_after: Callable[[TaskError], list[str] | None] | None = None
    refused: Callable[[TaskError], int] | None = None


@contextmanager
def last_line(ctx: Context) -> Iterator[LastLine]:
    """Whatever ends the block in an expected way ends in the last line: a signal, an error of ours, a full disk."""
    from videotasks.core.workers import Interrupted
    from videotasks.lifecycle import final_line

    end = LastLine()
    try:
        yield end
    except Interrupted as stop:
        end.code = final_line.report_interrupted(ctx, end.run, stop.signum)
    except TaskError as error:
        if end.refused is not None:
            end.code = end.refused(error)
        else:
            next_argv = end.next_after(error) if end.next_after is not None else None
            end.code = final_line.finish_error(ctx, end.run, error, next_argv=next_argv)
    except OSError as error:
        end.code = final_line.disk_refused(ctx, end.run, error)


DERIVED = (
    "this stand-in is derived from the profile itself: it shows that the file is consistent, not that the API is so; "
    "check it against the vendor's page"
)


def derived_dialect(profile: Profile) -> dict[str, Any] | None:
    """What the stand-in answers for a provider without a dialect of its own; None: it has one. Raises TaskError."""
    from videotasks_sandbox.dialect import DialectError, shipped

    if not profile.foreign and profile.name in shipped():
        return None
    from videotasks_sandbox.derive import derive

    try:
        return derive(dict(profile.document))
    except DialectError as error:
        hint = "handle_runtime_error.py --check-answer tries the file on stored answers"
        raise configuration_error(str(error), expected="a plain path, such as data.id", hint=hint) from None


@contextmanager
def sandbox_server(
    profile: Profile, store: RunStore, scenario: str | None, dialect: dict[str, Any] | None
) -> Iterator[tuple[str, str]]:
    """The local stand-in, started in this process: its address and key. It imports nothing of this library."""
    from videotasks.core.durable_files import make_private_dir
    from videotasks_sandbox.server import Sandbox, SandboxError

    store.prepare()
    folder = store.root / ".sandbox"
    make_private_dir(folder)
    try:
        server = Sandbox(
            provider=profile.name,
            dialect=dialect,
            state_file=folder / "state.json",
            scenario=scenario or "ok",
            speed=sandbox_speed(),
        )
    except SandboxError as error:
        raise configuration_error(str(error), hint="sandbox.py --help lists the scenarios") from None
    try:
        yield server.base_url, server.api_key
    finally:
        server.close()


def sandbox_speed() -> float:
    """How many times faster sandbox tasks go: $VIDEO_TASKS_SANDBOX_SPEED, 1 to 100; anything else is 1."""
    try:
        speed = float(os.environ.get("VIDEO_TASKS_SANDBOX_SPEED", "1"))
    except ValueError:
        return 1.0
    return speed if 1.0 <= speed <= 100.0 else 1.0


def asked_of(options: SessionOptions, profile: Profile | None, root: str) -> Asked:
    """What the next command must be told again, from options and environment alike.

    A run folder never supplies an origin or a profile's path, and the environment of this shell may not be there.
    """
    files: list[str] = ["--output", _absolute(options.output)] if options.output else []
    pace = {"--interval": options.interval, "--request-timeout": options.request_timeout}
    return Asked(
        root=root,
        place=place_of(options, profile),
        files=(*files, *_flags(options, "force", "allow_private_results", "with_link")),
        pace=tuple(word for flag, s in pace.items() if s is not None for word in (flag, f"{s:g}")),
        manner=_flags(options, "no_retry", "verbose", "text"),
        wait_s=options.wait_s,
        fetch=not options.no_download,
        look_fetches=bool(options.download or options.output),
    )


def _flags(options: SessionOptions, *members: str) -> tuple[str, ...]:
    return tuple("--" + name.replace("_", "-") for name in members if getattr(options, name))


def place_of(options: SessionOptions, profile: Profile | None) -> tuple[str, ...]:
    """Which API: --sandbox, --provider, --kind, --base-url. `profile` None: for many runs, each at its own."""
    words = ["--sandbox"] if options.sandbox else []
    if options.provider:
        words += ["--provider", _profile_path(options.provider) if profile and profile.foreign else options.provider]
    if options.kind:
        words += ["--kind", options.kind]
    if options.base_url:
        words += ["--base-url", options.base_url]
    elif profile is not None and not options.sandbox and profile.base_url != profile.shipped_base_url:
        words += ["--base-url", profile.base_url]
    if options.allow_http:
        words.append("--allow-http")
    return tuple(words)


def _profile_path(given: str) -> str:
    """A profile of the user's own by its path: a name is looked up in a folder that only the environment names."""
    folder = os.environ.get("VIDEO_TASKS_PROVIDERS")
    for suffix in ("", ".yaml", ".yml"):
        path = Path(folder or "", given + suffix) if suffix and folder else Path(given).expanduser()
        if path.is_file():
            return str(path.absolute())
    return given


def _absolute(path: str) -> str:
    """With its trailing slash, which says that a folder is meant."""
    whole = os.path.abspath(os.path.expanduser(path))
    return whole + os.sep if path.endswith(("/", os.sep)) and not whole.endswith(os.sep) else whole


def with_limits(ctx: Context, **values: Any) -> None:
    """Set limits that a command's options name."""
    ctx.limits = replace(ctx.limits, **values)
