"""The ensure_api_key command: which keys are set, how to get one, how to set it. Never prints a key."""

from __future__ import annotations

import argparse
from typing import Any

from videotasks.cli.request_options import session_options
from videotasks.core.errors import ExitCode, TaskError, configuration_error
from videotasks.lifecycle.open_session import at_named_origin, named_profile, open_session
from videotasks.lifecycle.preflight import verify_key
from videotasks.output.reporter import Reporter
from videotasks.providers import credentials
from videotasks.providers.load_profile import load_profile, shipped_names


def ensure_api_key(args: argparse.Namespace) -> int:
    """Run the command; prints one JSON document. Exit 0 when the key is there (or for --all), else 1."""
    reporter = Reporter(sandbox=args.sandbox, text=args.text)
    if args.all:
        if args.verify or args.provider:
            raise configuration_error(
                "--all goes with neither --verify nor --provider", expected="one provider to verify"
            )
        return _all(reporter)
    options = session_options(args)
    profile = named_profile(options)
    fields: dict[str, Any]
    if args.sandbox:
        fields = {"ok": True, "provider": profile.name, "env_var": None, "message": "the sandbox needs no key"}
    else:
        # Where nothing is sent, an origin that is missing is no error; one that is named decides which key counts.
        profile = at_named_origin(profile, options, required=args.verify)
        fields = credentials.describe(profile)
    if fields["ok"] and args.verify:
        with open_session(options, profile=profile) as session:
            return verify_key(session, fields)
    ok = fields.pop("ok")
    if args.sandbox:
        return reporter.final("api_key", ExitCode.OK, **fields)
    message = fields.pop("message")
    if ok:
        reporter.people(message)
    error = None if ok else {"category": "configuration", "code": "missing_api_key", "message": message}
    return reporter.final(
        "api_key", ExitCode.OK if ok else ExitCode.CONFIGURATION, message=message, **fields, error=error
    )


def _all(reporter: Reporter) -> int:
    rows: list[dict[str, Any]] = []
    for name in shipped_names():
        profile = load_profile(name)
        try:
            named = credentials.named_origin(profile)
            if named is not None:
                profile = profile.with_base_url(named[1])
            key = credentials.find_key(profile)
        except TaskError as error:
            names = list(profile.auth.env)
            rows.append({"provider": name, "found": False, "env_vars": names, "problem": error.message})
            continue
        row: dict[str, Any] = {"provider": name, "title": profile.title, "found": key is not None}
        row["env_vars"] = list(profile.auth.env)
        if key is not None:
            row["env_var"] = key.variable
            if key.variable in profile.auth.env_shared:
                row["note"] = "shared key, choose --provider"
        else:
            row["get_key"] = profile.auth.key_url
        rows.append(row)
    if reporter.shows_tables:
        for entry in rows:
            variables = ", ".join(entry["env_vars"])
            reporter.row(f"{'yes' if entry['found'] else 'no ':4} {entry['provider']:20} {variables}")
    return reporter.final(
        "api_keys",
        ExitCode.OK,
        providers=rows,
        found=sum(1 for row in rows if row["found"]),
        set_env_examples=credentials.set_examples("NAME"),
        for_a_running_assistant=credentials.RESTART_NOTE,
    )
