"""The ensure_api_key command: which keys are set, how to get one, how to set it. Never prints a key."""

from __future__ import annotations

import argparse
from typing import Any

from videotasks.cli.request_options import session_options
from videotasks.core.errors import ExitCode, TaskError, configuration_error, error_fields
from videotasks.core.workers import Interrupted
from videotasks.lifecycle.open_session import SessionOptions, at_named_origin, named_profile, open_session
from videotasks.output.reporter import Reporter
from videotasks.providers import credentials
from videotasks.providers.load_profile import load_profile, shipped_names
from videotasks.providers.profile import Profile
from videotasks.request import costs

RESTART_NOTE = (
    "a variable set in a shell reaches only programs started from it afterwards: "
    "set it where the assistant is started (or in its own settings), then start the assistant again"
)


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
    if not args.sandbox and not args.verify:
        # Nothing is sent, so an origin that is missing is no error; one that is named decides which key counts.
        profile = at_named_origin(profile, options, required=False)
    elif not args.sandbox:
        profile = at_named_origin(profile, options)
    if args.sandbox:
        fields: dict[str, Any] = {
            "ok": True,
            "provider": profile.name,
            "env_var": None,
            "message": "the sandbox needs no key",
        }
        if args.verify:
            return _verify(options, profile, fields)
        fields.pop("ok")
        return reporter.final("api_key", ExitCode.OK, **fields)
    fields = describe(profile)
    if fields["ok"] and args.verify:
        return _verify(options, profile, fields)
    message = fields.pop("message")
    ok = fields.pop("ok")
    if ok:
        reporter.people(message)
    error = None if ok else {"category": "configuration", "code": "missing_api_key", "message": message}
    return reporter.final(
        "api_key", ExitCode.OK if ok else ExitCode.CONFIGURATION, message=message, **fields, error=error
    )


def describe(profile: Profile) -> dict[str, Any]:
    """One provider's key: found or not, in which variable, and how to get and set it."""
    problem: TaskError | None = None
    try:
        key = credentials.find_key(profile)
    except TaskError as error:
        key, problem = None, error
    variable = key.variable if key else profile.auth.env[0]
    fields: dict[str, Any] = {"ok": key is not None, "provider": profile.name, "env_var": variable}
    if key is not None:
        fields["message"] = f"the key of {profile.title} is set in {variable}"
        if variable in profile.auth.env_shared:
            fields["note"] = "shared key: other providers read this variable too, so choose one with --provider"
        return fields
    fields["message"] = (
        problem.message if problem else f"no key for {profile.title}: {' or '.join(profile.auth.env)} is not set"
    )
    fields["dashboard_url"] = profile.auth.key_url or profile.links.dashboard
    fields["how_to_get_key"] = list(profile.auth.how_to_get_key)
    fields["set_env_examples"] = set_examples(variable)
    fields["for_a_running_assistant"] = RESTART_NOTE
    return fields


def set_examples(variable: str) -> list[str]:
    """How to set the variable without the key standing in a command line or a shell's history."""
    return [
        f"POSIX shell: read -rs {variable} && export {variable}   (then paste the key and press Enter)",
        f"PowerShell: $env:{variable} = Read-Host -MaskInput",
        "or in the settings of the assistant or the system, under environment variables",
    ]


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
            rows.append(
                {"provider": name, "found": False, "env_vars": list(profile.auth.env), "problem": error.message}
            )
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
        set_env_examples=set_examples("NAME"),
        for_a_running_assistant=RESTART_NOTE,
    )


def _verify(options: SessionOptions, profile: Profile, fields: dict[str, Any]) -> int:
    """One free authenticated call: the balance, else capabilities, else the list. Nothing that pays."""
    with open_session(options, profile=profile) as session:
        reporter, provider = session.ctx.reporter, session.provider
        local = session.profile
        path, query, how = None, None, {}
        if local.credits is not None:
            path = local.credits.path
        elif local.capabilities is not None:
            path = local.capabilities.path
        elif local.list is not None:
            path, query = local.list.path, local.list.query
            how = {"method": local.list.method, "body": local.list.body}
        fields.pop("ok")
        if path is None:
            fields["message"] += "; this provider has no free call to verify it with"
            return reporter.final("api_key", ExitCode.OK, verified=None, **fields)
        try:
            body = session.ask(
                lambda client: provider.get_json(path, client=client, query=query, **how), 40.0, patient=True
            )
        except Interrupted as stop:
            from videotasks.lifecycle.final_line import report_interrupted

            return report_interrupted(session.ctx, None, stop.signum)
        except TaskError as error:
            fields["message"] = error.message
            return reporter.final("api_key", error.exit_code, verified=False, **fields, error=error_fields(error))
        fields["message"] += " and the API accepts it"
        if local.credits is not None:
            left = costs.balance(local, body)
            fields["balance"] = {
                "amount": left.amount,
                "unit": left.unit,
                "unlimited": left.unlimited,
                "note": left.note,
            }
        return reporter.final("api_key", ExitCode.OK, verified=True, **fields)
