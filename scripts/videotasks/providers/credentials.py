"""The only reader of keys. Keys come from the environment, go into one header."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from videotasks.core.errors import TaskError, configuration_error
from videotasks.core.record import record
from videotasks.core.redaction import remember
from videotasks.network.origins import same_origin
from videotasks.providers.profile import Profile, foreign_key_variable


@record(frozen=True)
class Key:
    """A key and the variable it came from. It has no repr of its value."""

    variable: str
    secret: str
    command: tuple[str, ...] = ()  # prints a short-lived token; `secret` is empty then

    @property
    def mark(self) -> str:
        """Tells one key from another, and nothing of either."""
        return sha256(repr((self.secret, self.command)).encode("utf-8", "replace")).hexdigest()[:12]

    def __repr__(self) -> str:
        return f"Key({self.variable})"


def find_key(profile: Profile, environ: Mapping[str, str] | None = None) -> Key | None:
    """The first variable of the profile that is set and usable; None when none is.

    Raises TaskError (auth) for a value that cannot be a header: a line break in it would be header injection.
    """
    environ = os.environ if environ is None else environ
    named = foreign_key_variable(profile.name) + "_COMMAND"
    if words := environ.get(named, "").strip():
        return Key(named, "", _arguments(named, words))
    for variable in profile.auth.env:
        needed = profile.auth.env_requires.get(variable)
        # Such a key is for the origin that stands beside it in the environment, and for no other.
        if needed and not same_origin(environ.get(needed) or "", profile.base_url):
            continue
        if value := environ.get(variable, "").strip():
            return Key(variable, _checked(variable, value))
    return None


def _checked(variable: str, value: str) -> str:
    if len(value) > _MAX_TOKEN:  # every text that is told or kept is searched for it: 100 kB took minutes
        raise _bad_key(variable, "is longer than any API key")
    remember(value)
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise _bad_key(variable, "has a control character or line break inside")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise _bad_key(variable, "has characters that no API key has") from None
    return value


# -- tokens that a command of the user's prints --

COMMAND_S = 30.0
TOKEN_LIFE_S = 600.0  # the shortest-lived tokens of the APIs that have them live half an hour
_MAX_TOKEN = 16_384
_tokens: dict[tuple[str, ...], tuple[float, str]] = {}
_running = threading.Lock()


def _arguments(variable: str, words: str) -> tuple[str, ...]:
    """The command as an argument list, which no shell reads: a JSON list as it is, else words as a shell has them.

    Only the user's environment can name a command; a profile or a run folder never does.
    """
    import json
    import shlex

    try:
        found = json.loads(words) if words.startswith("[") else shlex.split(words, posix=os.name != "nt")
    except ValueError:
        found = None
    if not isinstance(found, list) or not found or not all(isinstance(word, str) and word for word in found):
        raise configuration_error(f"{variable} is no command", expected='gcloud auth print-access-token, or ["a", "b"]')
    return tuple(found)


def secret_of(key: Key) -> str:
    """The key itself; of a command, its token, made anew when it is ten minutes old. Raises TaskError."""
    if not key.command:
        return key.secret
    with _running:
        made, value = _tokens.get(key.command, (0.0, ""))
        if not value or time.monotonic() - made > TOKEN_LIFE_S:
            try:
                value = _checked(key.variable, _printed(key))
            except TaskError:
                if not value:
                    raise
            _tokens[key.command] = time.monotonic(), value
        return value


def _printed(key: Key) -> str:
    import subprocess

    try:
        done = subprocess.run(
            list(key.command), stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_S, check=False
        )
        text = done.stdout[:_MAX_TOKEN].decode("utf-8", "replace").strip()
        if done.returncode == 0 and text:
            return text
        why = f"ended with exit code {done.returncode}" if done.returncode else "printed nothing"
    except subprocess.TimeoutExpired:
        why = f"did not end within {COMMAND_S:.0f} s"
    except (OSError, ValueError) as error:
        why = f"could not be started: {getattr(error, 'strerror', None) or error}"
    raise configuration_error(
        f"the command in {key.variable} {why}",
        expected="a command that prints the token alone",
        hint="run it by hand and look at what it says",
        code="key_command_failed",
    )


def require_key(profile: Profile, environ: Mapping[str, str] | None = None) -> Key:
    """The key, or one error that says which variable to set and where to get a key."""
    if key := find_key(profile, environ):
        return key
    names = " or ".join(profile.auth.env)
    # A profile from elsewhere may call itself by any title, so its place is said.
    whom = f"the profile {profile.name} at {profile.base_url}" if profile.foreign else profile.title
    raise configuration_error(
        f"no API key for {whom}: {names} is not set",
        expected=f"the key in the environment variable {profile.auth.env[0]}",
        hint=f"get a key at {profile.auth.key_url}" if profile.auth.key_url else None,
        code="missing_api_key",
        details={"provider": profile.name, "env_var": profile.auth.env[0]},
    )


def authorisation(profile: Profile, key: Key) -> dict[str, str]:
    """The one header that carries the key."""
    return {profile.auth.header: profile.auth.prefix + secret_of(key)}


def named_origin(profile: Profile, environ: Mapping[str, str] | None = None) -> tuple[str, str] | None:
    """(variable, URL) of the origin that the environment names for this profile, or None.

    A key that is good only together with its own origin variable brings that variable along, when it is the first key
    that is set.
    """
    environ = os.environ if environ is None else environ
    first = next((variable for variable in profile.auth.env if environ.get(variable, "").strip()), "")
    for variable in (profile.base_url_env, profile.auth.env_requires.get(first)):
        value = environ.get(variable, "").strip() if variable else ""
        if variable and value:
            return variable, value
    return None


def setting(profile: Profile, suffix: str, environ: Mapping[str, str] | None = None) -> tuple[str, str | None]:
    """(name, value) of a provider's own setting, <NAME>_<SUFFIX>."""
    environ = os.environ if environ is None else environ
    variable = "".join(c if c.isalnum() else "_" for c in profile.name.upper()) + "_" + suffix
    return variable, environ.get(variable)


def _bad_key(variable: str, what: str) -> TaskError:
    return configuration_error(
        f"the key in {variable} {what}",
        expected="the key exactly as the provider shows it, on one line",
        hint=f"set {variable} again",
        code="invalid_api_key",
    )


# -- what people are told of their keys --

RESTART_NOTE = (
    "a variable set in a shell reaches only programs started from it afterwards: "
    "set it where the assistant is started (or in its own settings), then start the assistant again"
)


def describe(profile: Profile) -> dict[str, Any]:
    """One provider's key: found or not, in which variable, and how to get and set it."""
    message = f"no key for {profile.title}: {' or '.join(profile.auth.env)} is not set"
    try:
        key = find_key(profile)
    except TaskError as error:
        key, message = None, error.message
    variable = key.variable if key else profile.auth.env[0]
    fields: dict[str, Any] = {"ok": key is not None, "provider": profile.name, "env_var": variable}
    if key is not None:
        fields["message"] = f"the key of {profile.title} is set in {variable}"
        if variable in profile.auth.env_shared:
            fields["note"] = "shared key: other providers read this variable too, so choose one with --provider"
        return fields
    return {
        **fields,
        "message": message,
        "dashboard_url": profile.auth.key_url or profile.links.dashboard,
        "how_to_get_key": list(profile.auth.how_to_get_key),
        "set_env_examples": set_examples(variable),
        "for_a_running_assistant": RESTART_NOTE,
    }


def set_examples(variable: str) -> list[str]:
    """How to set the variable without the key standing in a command line or a shell's history."""
    return [
        f"POSIX shell: read -rs {variable} && export {variable}   (then paste the key and press Enter)",
        f"PowerShell: $env:{variable} = Read-Host -MaskInput",
        "or in the settings of the assistant or the system, under environment variables",
    ]
