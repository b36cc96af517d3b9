"""The create_and_wait command: a plan, then (unless it is a dry run) one paid request, the wait, the result."""

from __future__ import annotations

import argparse
import os
import sys

from videotasks.cli.request_options import common_inputs, session_options
from videotasks.core.errors import TaskError
from videotasks.core.record import replace
from videotasks.lifecycle import preflight
from videotasks.lifecycle.carry_out import carry_out
from videotasks.lifecycle.create_or_attach import Plan, attachable
from videotasks.lifecycle.open_session import chosen_profile, open_session, with_limits
from videotasks.lifecycle.select_run import with_provider_of
from videotasks.output import next_command
from videotasks.providers import credentials
from videotasks.request.build import MEDIA
from videotasks.runs.store import RunStore, require_run_id
from videotasks.runs.workspace import artifacts_root

WAIT_S, REQUEST_S, SILENCE_S = 900.0, 20.0, 120.0  # unless the user says otherwise (facts, peers 4.7)


def create_and_wait(args: argparse.Namespace) -> int:
    """Run the command; returns its exit code. Raises TaskError for what is wrong before a session is open."""
    given = common_inputs(args)
    wait_s = args.poll_timeout or WAIT_S
    if args.run_id:
        require_run_id(args.run_id)
    taken: TaskError | None = None
    if args.output:
        from videotasks.downloads import output_copy

        # Told before anything is paid; a file that stands there may be this command's own.
        taken = output_copy.in_the_way(args.output, "video.mp4", force=args.force)
    options = session_options(args)
    store = RunStore(artifacts_root(args.artifacts_dir))
    take = args.take or 1
    if args.again:
        from videotasks.lifecycle.chain import again

        earlier = store.open(args.again)
        given = again(earlier, given, options.mode)
        options = with_provider_of(options, earlier)
        options = replace(options, kind=options.kind or given.kind)
        # The next take, whatever has changed: the same command again finds its own run.
        take = args.take or int(earlier.request.get("take") or 1) + 1
    terms = preflight.Terms(
        dry_run=args.dry_run,
        openapi=args.openapi,
        allow_unknown_fields=args.allow_unknown_fields,
        max_cost=args.max_cost,
        max_cost_per_day=args.max_cost_per_day,
        allow_unknown_cost=args.allow_unknown_cost,
    )
    # Bad input is told before the key is asked for, and with or without one.
    profile = chosen_profile(options)
    if any(value.startswith("@") for kind in MEDIA for _, value in given.media(kind)):
        from videotasks.lifecycle.chain import with_runs

        given = with_runs(given, store, profile)
    profile, draft = preflight.draft_of(profile, given, terms, sandbox=args.sandbox)
    with open_session(options, needs_key=not args.dry_run, profile=profile) as session:
        with_limits(
            session.ctx,
            create_answer_s=args.create_timeout,
            stream_answer_s=args.sse_request_timeout or args.create_timeout,
            wait_s=wait_s,
            poll_interval_s=args.poll_interval,
            poll_request_s=args.poll_request_timeout or REQUEST_S,
            stream_silence_s=args.sse_request_timeout or max(SILENCE_S, args.create_timeout),
        )
        plan = Plan(session, draft, take, preflight.prompt_of(given, draft), args.run_id)
        for warning in draft.warnings:
            session.ctx.reporter.people("note: " + warning)
        try:
            if taken is not None and not _holds_own_copy(plan, args.output):
                raise taken
            findings = preflight.check(plan, terms)
            if args.dry_run:
                if "-" in (args.prompt_file, args.payload_file):
                    findings.notes.append("send reads standard input: give it the same text again")
                return preflight.report_plan(plan, terms, findings, send=_send(plan, args))
            for line in preflight.assumptions(session.profile, draft):
                session.ctx.reporter.people(line)
            preflight.require(findings)
            preflight.guard_cost(plan, terms, findings)
            plan = replace(plan, expected_cost=findings.estimate.shown() if findings.estimate else None)
            budget = preflight.budget(plan, terms, findings)
        except TaskError as error:
            return session.ctx.reporter.error(error, provider=session.profile.name)
        return carry_out(plan, wait_s=wait_s, no_wait=args.no_wait, budget=budget)


def _holds_own_copy(plan: Plan, output: str) -> bool:
    """Whether the file at --output is the copy that this very command made before: then it attaches, and ends well."""
    from videotasks.downloads.output_copy import is_copy_of

    run = attachable(plan)
    return run is not None and is_copy_of(output, run.state().files)


def _send(plan: Plan, args: argparse.Namespace) -> list[str]:
    """The same command without --dry-run, whole: elsewhere, too, it pays at this origin and within this limit."""
    asked = plan.session.ctx.asked
    needed = asked.place_options()
    if not args.artifacts_dir and os.environ.get("VIDEO_TASKS_ARTIFACTS"):
        needed.append(("--artifacts-dir", asked.root))
    for name in ("max_cost", "max_cost_per_day"):
        limit = credentials.setting(plan.session.profile, name.upper())[1]
        if limit and not getattr(args, name):
            needed.append(("--" + name.replace("_", "-"), limit))
    typed = [word for word in sys.argv[1:] if word != "--dry-run"]
    return next_command.again(os.path.basename(sys.argv[0]) or "create_and_wait.py", typed, needed)
