"""The create_and_wait command: a plan, then (unless it is a dry run) one paid request, the wait, the result."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from videotasks.catalogue.known import known_model
from videotasks.cli.open_session import chosen_profile, last_line, open_session, with_limits
from videotasks.cli.request_options import common_inputs
from videotasks.core.errors import Category, ExitCode, TaskError
from videotasks.core.workers import Interrupted
from videotasks.lifecycle import final_line
from videotasks.lifecycle.create_or_attach import CreatedRun, Plan, attachable, create_or_attach
from videotasks.lifecycle.final_line import report_created
from videotasks.lifecycle.outcome import write_results
from videotasks.lifecycle.resume import go_on_with_run, wait_and_finish
from videotasks.lifecycle.verify_run import report_unverified
from videotasks.lifecycle.watched import Watched
from videotasks.output import next_command
from videotasks.providers import credentials
from videotasks.providers.provider import TaskRef
from videotasks.request.build import CommonInputs, build_request, chosen_model, create_path, in_kind
from videotasks.runs.store import Run, require_run_id

WAIT_S, REQUEST_S, SILENCE_S = 900.0, 20.0, 120.0  # unless the user says otherwise (facts, peers 4.7)


def create_and_wait(args: argparse.Namespace) -> int:
    """Run the command; returns its exit code. Raises TaskError for what is wrong before a session is open."""
    given = common_inputs(args)
    wait_s = args.poll_timeout or WAIT_S
    if args.run_id:
        require_run_id(args.run_id)
    taken = _taken_output(args)
    profile = in_kind(chosen_profile(args), given)
    endpoint = args.sse_endpoint
    model = chosen_model(profile, given, endpoint=endpoint, sandbox=args.sandbox)
    known = known_model(profile, model, openapi=args.openapi, endpoint=endpoint or create_path(profile, model))
    if model and not args.sandbox and not args.openapi:
        from videotasks.catalogue.live import with_live

        known = with_live(profile, model, known, dry_run=args.dry_run)
    # Bad input is told before the key is asked for, and with or without one.
    draft = build_request(profile, given, endpoint=endpoint, known=known, sandbox=args.sandbox)
    with open_session(args, needs_key=not args.dry_run, profile=profile) as session:
        with_limits(
            session.ctx,
            create_answer_s=args.create_timeout,
            stream_answer_s=args.sse_request_timeout or args.create_timeout,
            wait_s=wait_s,
            poll_interval_s=args.poll_interval,
            poll_request_s=args.poll_request_timeout or REQUEST_S,
            stream_silence_s=args.sse_request_timeout or max(SILENCE_S, args.create_timeout),
        )
        plan = Plan(session, draft, args.take, _prompt_of(given, draft.body), args.run_id)
        for warning in draft.warnings:
            session.ctx.reporter.people("note: " + warning)
        from videotasks.lifecycle import preflight

        try:
            if taken is not None and not _holds_own_copy(plan, args.output):
                raise taken
            terms = preflight.Terms(
                dry_run=args.dry_run,
                openapi=args.openapi,
                allow_unknown_fields=args.allow_unknown_fields,
                max_cost=args.max_cost,
                max_cost_per_day=args.max_cost_per_day,
                allow_unknown_cost=args.allow_unknown_cost,
            )
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


def _taken_output(args: argparse.Namespace) -> TaskError | None:
    """Where --output cannot go is told before anything is paid; a file that stands there may be this command's own."""
    if args.output:
        from videotasks.downloads import output_copy

        try:
            output_copy.output_path(args.output, "video.mp4", force=args.force)
        except TaskError as error:
            if error.code != output_copy.TAKEN:
                raise
            return error
    return None


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
    limit = credentials.setting(plan.session.profile, "MAX_COST")[1]
    if limit and not args.max_cost:
        needed.append(("--max-cost", limit))
    day = credentials.setting(plan.session.profile, "MAX_COST_PER_DAY")[1]
    if day and not args.max_cost_per_day:
        needed.append(("--max-cost-per-day", day))
    typed = [word for word in sys.argv[1:] if word != "--dry-run"]
    return next_command.again(os.path.basename(sys.argv[0]) or "create_and_wait.py", typed, needed)


def carry_out(
    plan: Plan, *, wait_s: float, no_wait: bool = False, budget: AbstractContextManager[None] | None = None
) -> int:
    """Create or attach, wait, finish; every expected end is a final line and an exit code.

    `wait_s` counts from here and bounds resends and the wait; it never cuts a create that is under way. `budget` is
    held until the create has its answer.
    """
    ctx = plan.session.ctx
    deadline = ctx.monotonic() + wait_s
    with last_line(ctx) as end:
        end.refused = lambda error: _report_refusal(plan, end.run, error)
        with budget or nullcontext():
            created = create_or_attach(plan)
        end.run = created.run
        end.code = _go_on(plan, created, deadline, no_wait)
    return end.code


def _report_refusal(plan: Plan, run: Run | None, error: TaskError) -> int:
    """The end of a create by an error: with a run that goes on, or one that was refused, is unknown or never left."""
    ctx = plan.session.ctx
    if run is not None:
        next_argv = final_line.go_on(ctx, run)
        return final_line.finish_error(ctx, run, error, next_argv=next_argv)
    named = error.details.get("run_id")  # an earlier run that stands in the way
    run = ctx.store.open(named) if named else next(iter(ctx.store.by_identity(plan.identity)), None)
    look_up = final_line.look_at(ctx, run) if run is not None else None
    if run is None or error.exit_code == ExitCode.CONFIGURATION:
        return ctx.reporter.error(error, provider=plan.session.profile.name, next_argv=look_up if named else None)
    write_results(ctx, run)
    if error.category is Category.INSUFFICIENT_CREDITS:
        links = plan.session.profile.links
        error.details["recharge"] = {
            "dashboard_url": links.dashboard or plan.session.profile.auth.key_url,
            "pricing_url": links.pricing or links.dashboard,
        }
    unknown = error.exit_code == ExitCode.SUBMISSION_UNKNOWN
    return final_line.finish_error(ctx, run, error, next_argv=look_up if unknown else None)


def _go_on(plan: Plan, created: CreatedRun, deadline: float, no_wait: bool) -> int:
    session, run, submitted = plan.session, created.run, created.submitted
    ctx = session.ctx
    if created.unverified is not None and not created.unverified.waits:
        return report_unverified(session, run, created.unverified, take=plan.take)
    if submitted is None:
        return go_on_with_run(session, run, deadline=deadline, attached=True, wait=not no_wait)
    write_results(ctx, run, submitted.snapshot)
    first = submitted.snapshot.status.value if submitted.snapshot else None
    ctx.reporter.event("created", task_id=submitted.task_id, status=first)
    ctx.reporter.people(f"created task {submitted.task_id} (run {run.run_id})")
    if submitted.snapshot is not None:
        from videotasks.request.echo import differences

        for line in differences(plan.draft.body, submitted.snapshot.raw, session.profile.create.echo):
            ctx.reporter.event("warning", message=line)
            ctx.reporter.people("warning: " + line)
    if submitted.interrupted is not None:
        if submitted.stream is not None:
            submitted.stream.flight.abort()
        raise Interrupted(submitted.interrupted)
    if no_wait:
        if submitted.stream is not None:
            submitted.stream.flight.abort()
        return report_created(session, run)
    watched = Watched(
        run,
        session.provider,
        TaskRef(submitted.task_id, submitted.follow),
        age_s=0.0,
        stream=submitted.stream,
        snapshot=submitted.snapshot,
    )
    if submitted.snapshot is not None:
        watched.told = submitted.snapshot.status, submitted.snapshot.provider_status
    return wait_and_finish(session, watched, deadline=deadline)


def _prompt_of(given: CommonInputs, body: dict[str, Any]) -> str | None:
    if given.prompt:
        return given.prompt
    prompt = body.get("prompt")
    return prompt if isinstance(prompt, str) else None
