"""The create_and_wait command: a plan, then (unless it is a dry run) one paid request, the wait, the result."""

from __future__ import annotations

import argparse
import json
from typing import Any

from videotasks import commandline, nextstep, placing
from videotasks.commandline import Session, open_session, read_text_input, with_limits
from videotasks.creating import Created, Plan, SubmissionUnknown, create_or_attach
from videotasks.going_on import go_on_with_run, report_created, report_interrupted, wait_and_finish
from videotasks.inputs import CommonInputs, build_request
from videotasks.mailbox import Interrupted
from videotasks.models import Category, ExitCode, TaskError, configuration_error
from videotasks.provider import TaskRef
from videotasks.runs import Run, require_run_id
from videotasks.waiting import Watched


def create_and_wait(args: argparse.Namespace) -> int:
    """Run the command; returns its exit code. Raises TaskError for what is wrong before a session is open."""
    given = common_inputs(args)
    if args.run_id:
        require_run_id(args.run_id)
    if args.output:
        from videotasks.output_copy import output_path

        output_path(args.output, "video.mp4", force=args.force)  # where it cannot go is told before anything is paid
    profile = commandline.load_profile(args)
    endpoint, field_names = args.sse_endpoint, None
    if args.openapi:
        from videotasks.preflight import spec_field_names

        field_names = spec_field_names(args.openapi, endpoint, given, profile)
    if not args.sandbox:
        # Bad input is told before the key is asked for, and with or without one.
        build_request(profile, given, endpoint=endpoint, field_names=field_names)
    with open_session(args, needs_key=not args.dry_run, profile=profile) as session:
        with_limits(
            session.ctx,
            wait_s=args.poll_timeout,
            poll_interval_s=args.poll_interval,
            poll_request_s=args.poll_request_timeout,
            stream_silence_s=args.sse_request_timeout,
        )
        draft = build_request(
            session.profile,
            given,
            endpoint=_local_endpoint(session, endpoint),
            field_names=field_names,
            sandbox=args.sandbox,
        )
        plan = Plan(session, draft, args.take, _prompt_of(given, draft.body), args.run_id)
        for warning in draft.warnings:
            session.ctx.reporter.people("note: " + warning)
        from videotasks import preflight

        try:
            findings = preflight.check(plan, args, given)
            if args.dry_run:
                return preflight.report_plan(plan, args, findings)
            preflight.require(findings, args)
            preflight.guard_cost(plan, args, findings)
        except TaskError as error:
            return session.ctx.reporter.error(error, provider=session.profile.name)
        return carry_out(plan, wait_s=args.poll_timeout, no_wait=args.no_wait)


def carry_out(plan: Plan, *, wait_s: float, no_wait: bool = False) -> int:
    """Create or attach, wait `wait_s` seconds at most, finish; every expected end is a final line and an exit code."""
    ctx = plan.session.ctx
    from videotasks import finishing

    run: Run | None = None
    try:
        created = create_or_attach(plan)
        run = created.run
        return _go_on(plan.session, created, wait_s, no_wait)
    except SubmissionUnknown as unknown:
        return finishing.finish_error(ctx, unknown.run, unknown.error, next_argv=look_up(ctx, unknown.run))
    except Interrupted as stop:
        return report_interrupted(ctx, run, stop.signum)
    except TaskError as error:
        if run is not None:
            next_argv = finishing.follow_up(ctx, run, "wait_generation.py", "--timeout", "100")
            return finishing.finish_error(ctx, run, error, next_argv=next_argv)
        return _report_refusal(plan, error)
    except OSError as error:
        return finishing.disk_refused(ctx, run, error)


def _report_refusal(plan: Plan, error: TaskError) -> int:
    """A create that was refused, is unknown or never left: its run folder says so, too."""
    from videotasks import finishing

    ctx = plan.session.ctx
    run = next(iter(ctx.store.by_identity(plan.identity)), None)
    if run is None or error.exit_code == ExitCode.CONFIGURATION:
        in_the_way = error.details.get("run_id")
        next_argv = look_up(ctx, ctx.store.open(in_the_way)) if in_the_way else None
        return ctx.reporter.error(error, provider=plan.session.profile.name, next_argv=next_argv)
    finishing.write_results(ctx, run)
    if error.category is Category.INSUFFICIENT_CREDITS:
        links = plan.session.profile.links
        error.details["recharge"] = {
            "dashboard_url": links.dashboard or plan.session.profile.auth.key_url,
            "pricing_url": links.pricing or links.dashboard,
        }
    next_argv = look_up(ctx, run) if error.exit_code == ExitCode.SUBMISSION_UNKNOWN else None
    return finishing.finish_error(ctx, run, error, next_argv=next_argv)


def _go_on(session: Session, created: Created, wait_s: float, no_wait: bool) -> int:
    from videotasks import finishing

    ctx, run, submitted = session.ctx, created.run, created.submitted
    deadline = ctx.monotonic() + wait_s
    if submitted is None:
        return go_on_with_run(session, run, deadline=deadline, attached=True, wait=not no_wait)
    finishing.write_results(ctx, run, submitted.snapshot)
    first = submitted.snapshot.status.value if submitted.snapshot else None
    ctx.reporter.event("created", task_id=submitted.task_id, status=first)
    ctx.reporter.people(f"created task {submitted.task_id} (run {run.run_id})")
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


def look_up(ctx: Any, run: Run) -> list[str]:
    """After an unknown submission: a look-up, never a create."""
    return nextstep.command(
        "task_status.py", "--run-id", run.run_id, "--artifacts-dir", str(run.folder.parent), *ctx.next_options
    )


# -- inputs -------------------------------------------------------------------------------------------------------


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
        images=[placing.parse_media(value) for value in args.image],
        video=[placing.parse_media(value) for value in args.video],
        audio=[placing.parse_media(value) for value in args.audio],
        seed=args.seed,
        set_values=[placing.parse_set(text) for text in args.set],
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


def _prompt_of(given: CommonInputs, body: dict[str, Any]) -> str | None:
    if given.prompt:
        return given.prompt
    prompt = body.get("prompt")
    return prompt if isinstance(prompt, str) else None


def _local_endpoint(session: Session, endpoint: str | None) -> str | None:
    """In the sandbox an endpoint given as a URL of the real origin is meant for the stand-in."""
    if not endpoint or not session.ctx.sandbox or "://" not in endpoint:
        return endpoint
    base = session.profile.shipped_base_url
    return endpoint[len(base) :] if endpoint.startswith(base) else endpoint
