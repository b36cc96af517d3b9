"""The options of the commands and their checks. Imports argparse and little else: --help must cost nothing."""

from __future__ import annotations

import argparse
import os

from videotasks.core.invocation import program

TYPE_CHECKING = False  # typing's own costs 4 ms of every start
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from videotasks.core.errors import TaskError

_KEY_OPTIONS = {"apikey", "key", "token", "apitoken", "secret", "authorization", "bearer"}
WIDTH = 78  # of a help text, as the examples and exit codes below
EXIT_CODES = """exit codes:
  0 done, or the question was answered   1 configuration   2 usage
  3 submission unknown: look first, never create again by yourself
  10 ended failed, cancelled or expired  11 not finished yet: run `next`
  12 refused while polling               13 succeeded without a usable file
  20 credits  21 auth  22 validation  23 not found  24 transient or rate limit
  25 unknown  26 moderation  27 permission  130/143 interrupted: run `next`
"""


def usage_error(message: str, *, expected: str, hint: str) -> TaskError:
    """Exit 2. The models are imported here, so that --help goes without them."""
    from videotasks.core.errors import Category, TaskError

    return TaskError(Category.USAGE, message, expected=expected, hint=hint)


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one JSON line, and which never repeats a value (it may be a key)."""

    def __init__(
        self, *, description: str, examples: str, exit_codes: str = EXIT_CODES, prog: str | None = None
    ) -> None:
        super().__init__(
            prog=prog or program(),
            description=description,
            epilog=f"examples:\n{examples}\n{exit_codes}",
            # A width of its own: argparse asks shutil for one, whose import is a tenth of what --help costs.
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=WIDTH),
            allow_abbrev=False,
        )

        self._version: Any = self.add_argument("--version", action="version", version="", help="the version")

    def parse(self, argv: list[str]) -> argparse.Namespace:
        if "--version" in argv:
            from videotasks.core.installation import skill_version

            self._version.version = f"ai-video-tasks {skill_version()}"
        for token in argv:
            name = token.partition("=")[0].lower().replace("-", "").replace("_", "")
            if token.startswith("-") and name in _KEY_OPTIONS:
                raise usage_error(
                    "keys are not taken as arguments: other programs can read them there",
                    expected="the key in its environment variable",
                    hint="see ensure_api_key.py --all for its name; treat the key just given as exposed",
                )
        return self.parse_args(argv)

    def error(self, message: str) -> NoReturn:
        expected = f"the options that {os.path.basename(self.prog)} --help lists"
        hint = "quote a value with blanks; a prompt is best given by --prompt-file - and standard input"
        if message.startswith("unrecognized arguments:"):
            names = [word.split("=")[0] for word in message.split()[2:] if word.startswith("-")]
            if names:
                message = "unknown option " + ", ".join(name + self._meant(name) for name in names)
            elif "--prompt" in self._option_string_actions:
                message, expected = "a text that belongs to no option", '--prompt "..." before what the video shows'
            else:
                message = "a word that belongs to no option"
        raise usage_error(message, expected=expected, hint=hint)

    def _meant(self, name: str) -> str:
        """`: did you mean --prompt?` for what is nearly an option here, or another tool's word for one."""
        import difflib

        here = [option for option in self._option_string_actions if option.startswith("--")]
        plain = name.lstrip("-").replace("_", "-").lower()
        for ours, words in _OTHER_WORDS.items():
            if plain in words.split() and ours.split()[0] in here:
                return f": did you mean {ours}?"
        near = difflib.get_close_matches(name.replace("_", "-"), here, n=1, cutoff=0.7)
        return f": did you mean {near[0]}?" if near else ""


# Our options, and what other tools of this field call them.
_OTHER_WORDS = {
    "--ratio": "aspect-ratio aspect orientation",
    "--duration": "seconds length",
    "--resolution": "size quality",
    "--prompt": "text-prompt",
    "--image first_frame=FILE": "first-frame start-image",
    "--image last_frame=FILE": "last-frame end-image",
    "--image reference=FILE": "reference reference-image",
    "--set negative_prompt=TEXT": "negative-prompt",
    "--sse-endpoint": "endpoint",
    "--take N": "n count",
    "--output": "out o",
    "--download": "save",
    "--task-id": "id",
    "--poll-timeout": "timeout",
    "--timeout": "poll-timeout wait",
    "--interval": "poll-interval",
    "--poll-interval": "interval",
    "--base-url": "url api-base",
    "--verbose": "json",
}


def seconds(text: str) -> float:
    """An argparse type: a finite number of seconds above 0, at most a week."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 604_800:
        raise argparse.ArgumentTypeError("not a number of seconds above 0")
    return value


def positive_int(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 0 < value < 1_000_000:
        raise argparse.ArgumentTypeError("not a whole number above 0")
    return value


def add_seconds(group: argparse._ArgumentGroup, name: str, words: str, default: float | None = None) -> None:
    group.add_argument(name, type=seconds, default=default, metavar="S", help=words)


def add_repeatable(group: argparse._ArgumentGroup, name: str, metavar: str | None, words: str) -> None:
    """An option that may be given several times: its values are a list, empty at first."""
    group.add_argument(name, action="append", default=[], metavar=metavar, help=words)


def add_provider_options(
    parser: argparse.ArgumentParser, *, default: str | None, rehearsed: str | None = None, for_what: str = ""
) -> None:
    """--provider and what goes with it. `default` is meant when none is named, `rehearsed` in the sandbox."""
    parser.set_defaults(default_provider=default, rehearsed_provider=rehearsed)
    group = parser.add_argument_group("provider")
    note = f" (default {default}{for_what})" if default else ""
    group.add_argument("--provider", metavar="NAME", help=f"profile name, or the path of a profile of yours{note}")
    group.add_argument("--kind", help="which of the provider's kinds of task, where it has several")
    group.add_argument("--base-url", metavar="URL", help="another origin for this provider; it gets the key")
    group.add_argument("--allow-http", action="store_true", help="accept plain http beyond loopback")
    group.add_argument("--no-retry", action="store_true", help="ask once, also for what costs nothing (default: 30 s)")
    group.add_argument("--sandbox", action="store_true", help="a local stand-in: no key, no cost, a real video file")
    group.add_argument(
        "--sandbox-scenario", metavar="NAME", help="rehearse trouble: failed, slow, stream-drop ... (sandbox.py --help)"
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("files and output")
    group.add_argument("--artifacts-dir", metavar="DIR", help="where run folders live (default task-status/.artifacts)")
    group.add_argument("--verbose", action="store_true", help="print the full stream of events")
    group.add_argument("--text", action="store_true", help="a short account for people on stdout instead of JSON")


def add_download_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("result")
    group.add_argument("--no-download", action="store_true", help="do not fetch the result files")
    group.add_argument("--output", metavar="FILE|DIR", help="also copy the video here")
    group.add_argument("--force", action="store_true", help="let --output replace an existing file")
    group.add_argument("--with-link", action="store_true", help="the whole link, also when the file is here")
    group.add_argument("--allow-private-results", action="store_true", help="accept result links to private addresses")


def add_batch_options(parser: argparse.ArgumentParser, *, default: str) -> None:
    """How a file of rows is read, paid for, made and waited for: all options that batch.py and batch_fleet.py share."""
    rows = parser.add_argument_group("rows")
    words = "for every row that says nothing else; wins over the file's own defaults"
    add_repeatable(rows, "--set-default", "COLUMN=VALUE", words)
    add_repeatable(rows, "--only", "failed|unfinished|ID", "these rows; may be repeated")
    rows.add_argument("--skip-invalid", action="store_true", help="make the others, where some rows are not valid")
    rows.add_argument("--batch-id", metavar="NAME", help="whose limit and folder these are (default: by the file)")

    paying = parser.add_argument_group("paying")
    paying.add_argument("--dry-run", action="store_true", help="check every row, show the total; send nothing paid")
    add_repeatable(paying, "--max-cost", "200credits", "of the whole batch; once for each unit")
    paying.add_argument("--max-cost-per-day", metavar="300credits", help="refuse what would exceed this today (UTC)")
    paying.add_argument("--allow-unknown-cost", action="store_true", help="with a limit: accept an unknown price")
    paying.add_argument(
        "--retry-failed", action="store_true", help="rows that failed or were refused once more, by a new take (pays)"
    )
    paying.add_argument(
        "--stop-after-unknown", type=positive_int, default=1, metavar="N", help="lost answers before it stops (1)"
    )
    paying.add_argument(
        "--stop-after-failed", type=positive_int, metavar="N", help="failed rows before it stops (default: never)"
    )

    waiting = parser.add_argument_group("creating and waiting")
    waiting.add_argument(
        "--concurrency", type=positive_int, metavar="N", help="tasks under way at once with one key (profile, else 10)"
    )
    add_seconds(waiting, "--create-timeout", "for the answer to a create (120)", 120.0)
    add_seconds(waiting, "--poll-timeout", "for the whole command (900)")
    add_seconds(waiting, "--poll-interval", "fixed interval (default: adapts)")
    add_seconds(waiting, "--poll-request-timeout", "per request (20)")
    waiting.add_argument("--no-download", action="store_true", help="do not fetch the result files")
    waiting.add_argument("--force", action="store_true", help="let a row's output replace an existing file")
    waiting.add_argument(
        "--allow-private-results", action="store_true", help="accept result links to private addresses"
    )
    add_provider_options(parser, default=default, for_what=" for rows that name none")
    add_run_options(parser)
