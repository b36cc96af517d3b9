"""The handle_runtime_error command: one answer of an API, classified by the taxonomy that the library itself uses."""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from typing import Any

from videotasks.cli.request_options import read_text_input, session_options
from videotasks.core import redaction
from videotasks.core.errors import (
    EXIT_OF_CATEGORY,
    ApiError,
    Category,
    ExitCode,
    TaskError,
    category_message,
    configuration_error,
)
from videotasks.core.json_values import parse_json
from videotasks.core.redaction import redact
from videotasks.core.safe_text import inert
from videotasks.lifecycle.create_answer import REDIRECTED, REFUSED
from videotasks.lifecycle.open_session import named_profile, place_of
from videotasks.output import next_command
from videotasks.output.reporter import Reporter
from videotasks.providers import classify_error, credentials, normalize
from videotasks.providers.profile import Profile


def handle_runtime_error(args: argparse.Namespace) -> int:
    """Run the command; prints one JSON document. The exit code is the category's (20 to 27); 0 for a success."""
    if args.body is not None and args.body_file is not None:
        raise configuration_error("--body and --body-file are both given", expected="one of them")
    if args.check_answer is not None:
        return check_answer(args)
    if args.status is None:
        expected = "--status HTTP, or --check-answer FILE --as KIND"
        raise TaskError(Category.USAGE, "--status is missing", expected=expected)
    if not 100 <= args.status <= 599:
        raise configuration_error("--status is no HTTP status", expected="100 to 599")
    profile = named_profile(session_options(args))  # nothing is sent, so no origin is needed
    text = args.body or ""
    if args.body_file is not None:
        text = read_text_input(args.body_file, flag="--body-file", limit=10_000_000)
    with suppress(TaskError):
        credentials.find_key(profile)
    text = redact(text, redaction.known_secrets())  # an API may echo the key that it was sent
    body = parse_json(text) if text.strip() else None
    error = classified(profile, args.operation, args.status, body, text, args.retry_after)
    reporter = Reporter(text=args.text)
    if error is None:
        return reporter.final(
            "classification",
            ExitCode.OK,
            category="none",
            status=args.status,
            message="this answer is no error",
            should_retry=False,
            guidance=[],
        )
    retry = classify_error.should_retry(args.operation, error.category)
    exit_code = EXIT_OF_CATEGORY[error.category]
    reporter.people(f"{error.category.value}: {category_message(error.category)}")
    return reporter.final(
        "classification",
        exit_code,
        category=error.category.value,
        status=args.status,
        operation=args.operation,
        provider=profile.name,
        code=inert(error.code, 200) if error.code else None,
        message=category_message(error.category),
        server_message=inert(error.message, 500),
        should_retry=retry,
        retry_after_s=error.retry_after_s,
        may_have_been_created=may_have_been_created(args.operation, args.status, error),
        guidance=guidance(args.operation, error, args.status),
        credits_check_command=next_command.quoted(_check_command(args, profile)),
        credits_endpoint=args.credits_endpoint,
        recharge={
            "dashboard_url": profile.links.dashboard or profile.auth.key_url,
            "pricing_url": profile.links.pricing or profile.links.dashboard,
        },
    )


def check_answer(args: argparse.Namespace) -> int:
    """--check-answer: what the profile reads out of a stored answer. Exit 1 when a part of it is missing."""
    from videotasks.providers.read_answer import read_answer

    if args.as_kind is None:
        raise configuration_error("--check-answer needs --as", expected="--as create | status | list | error")
    profile = named_profile(session_options(args))
    text = read_text_input(args.check_answer, flag="--check-answer", limit=10_000_000)
    body = parse_json(text)
    if body is None:
        raise configuration_error(f"--check-answer: {args.check_answer} is no JSON", expected="one answer of the API")
    status = args.status or (400 if args.as_kind == "error" else 200)
    reads, problems = read_answer(profile, args.as_kind, body, status, operation=args.operation)
    reporter = Reporter()
    for problem in problems:
        reporter.people(f"missing: {inert(problem, 500)}")
    return reporter.final(
        "answer",
        ExitCode.CONFIGURATION if problems else ExitCode.OK,
        provider=profile.name,
        kind=profile.kind,
        answer_of=args.as_kind,
        status=status,
        reads=inert_values(reads),
        problems=[{"message": inert(problem, 500)} for problem in problems],
        error={"category": "configuration", "message": f"{len(problems)} part(s) of the answer are not read"}
        if problems
        else None,
    )


def inert_values(value: Any) -> Any:
    """Server text in every member made harmless and cut."""
    if isinstance(value, dict):
        return {inert(str(name), 100): inert_values(member) for name, member in value.items()}
    if isinstance(value, list):
        return [inert_values(member) for member in value[:20]]
    return inert(value, 500) if isinstance(value, str) else value


def _check_command(args: argparse.Namespace, profile: Profile) -> list[str]:
    """A free call that shows balance and key state; the key itself never stands in a command line."""
    place = place_of(session_options(args), profile)
    named = () if "--provider" in place else ("--provider", profile.name)
    return next_command.command("ensure_api_key.py", *named, "--verify", *place)


def classified(
    profile: Profile, operation: str, status: int, body: Any, text: str, retry_after: str | None
) -> ApiError | None:
    """The error in an answer; None when it is a success. A task that failed inside a 200 counts as an error."""
    if 200 <= status < 300:
        return normalize.in_band_error(profile, body, status) or normalize.snapshot(profile, body).error
    headers = {"retry-after": retry_after} if retry_after else {}
    return classify_error.api_error(
        profile, operation=operation, http_status=status, body=body, text=text, headers=headers, now=time.time()
    )


def may_have_been_created(operation: str, status: int, error: ApiError) -> bool:
    """Whether a create that was answered like this may have made (and charged) a task."""
    return operation == "create" and not error.in_task and status >= 300 and status not in REFUSED | REDIRECTED


def guidance(operation: str, error: ApiError, status: int) -> list[str]:
    """What to do, from a closed table: server text never gets in here."""
    if may_have_been_created(operation, status, error):
        return [
            "A task may have been created and charged: do not create again by yourself.",
            "Look first: task_status.py --latest, or the provider's console.",
            "Only the user may decide to pay again.",
        ]
    if operation == "create" and error.category in (Category.TRANSIENT, Category.RATE_LIMITED):
        return ["Nothing was created. Wait, then run the same create command again: it attaches if there is a task."]
    if classify_error.should_retry(operation, error.category):
        return ["The task goes on. Look again later by its id; waiting commands do this by themselves."]
    return list(_GUIDANCE.get(error.category, ("Tell the user what the provider said, as the provider's words.",)))


_GUIDANCE: dict[Category, tuple[str, ...]] = {
    Category.INSUFFICIENT_CREDITS: (
        "Tell the user that the account has not enough credits; nothing was created by a refused create.",
        "Give the recharge links; go on only when the user says that the account is charged.",
    ),
    Category.AUTH: (
        "Check the key: ensure_api_key.py --provider NAME --verify.",
        "Never ask for the key in the chat; the user sets it in the environment.",
    ),
    Category.PERMISSION: (
        "The key may not use this model or endpoint: the user enables it in the console, or picks another model.",
    ),
    Category.VALIDATION: (
        "Mend the field that the provider names; inspect_openapi.py shows a specification's fields.",
        "Do not send the same request again unchanged.",
    ),
    Category.MODERATION: (
        "Tell the user that the provider's content rules refused it; the user may reword the prompt.",
        "Do not send variations on your own to get around the rules.",
    ),
    Category.NOT_FOUND: (
        "Check the task id, the provider and the origin; ids are kept by providers for a limited time only.",
        "A missing task never means that it should be created again.",
    ),
    Category.GENERATION_FAILED: (
        "The generation failed at the provider; the user may decide on another take (it pays again).",
    ),
    Category.CANCELLED: ("The task was cancelled; the user may decide to create it again.",),
    Category.EXPIRED: ("The task expired before it was done; the user may decide to create it again.",),
}
