"""From a request draft to a submitted run: identity, attaching, the lock, uploads, the one paid request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any
from uuid import uuid4

from videotasks.core import redaction
from videotasks.core.errors import Category, TaskError, category_message, configuration_error
from videotasks.core.record import record
from videotasks.core.task import Phase
from videotasks.lifecycle import upload_inputs
from videotasks.lifecycle.session import Session
from videotasks.lifecycle.submit import CreateRequest, Submitted, submission_unknown, submit
from videotasks.lifecycle.verify_run import FROM_ELSEWHERE, Unverified, why_unverified
from videotasks.request.draft import RequestDraft, canonical_body, form_parts, materialise, summary
from videotasks.runs import results
from videotasks.runs.claims import SILENT_S, Sender
from videotasks.runs.identity import Identity, body_key, intent_key
from videotasks.runs.journal import RunState
from videotasks.runs.store import Run

DEAD_SENDER = "the process that sent it ended before the answer"
SILENT_SENDER = "the process that claimed it has not been heard of for a minute"
PROMPT_KEPT = 2000  # characters of the prompt in request.json beside the payload


@record(frozen=True)
class Plan:
    """What a create would send, and as what it counts."""

    session: Session
    draft: RequestDraft
    take: int
    prompt: str | None
    run_id: str | None = None
    once: bool = False  # an end without a video does not let the same request pay again: a batch asks for that itself
    expected_cost: dict[str, Any] | None = None  # the price that was known before; kept with the run

    @cached_property
    def identity(self) -> Identity:
        draft = self.draft
        here: dict[str, Any] = {"mode": self.session.ctx.mode, "origin": self.session.origin, "take": self.take}
        return Identity(
            intent_key(provider=self.session.profile.name, asked=draft.asked, **here),
            body_key(method=draft.method, path=draft.path, body=self.canonical_body, **here),
        )

    @cached_property
    def canonical_body(self) -> bytes:
        return canonical_body(self.draft)

    def may_repeat(self, state: RunState) -> bool:
        """Whether a run that stands at `state` lets this plan pay. What is said of an account judges no request."""
        if not self.once:
            return state.may_pay_again
        return state.phase is Phase.NEW or state.closed_by_user or of_the_account(state)

    @property
    def prompt_kept(self) -> str | None:
        return (self.prompt or "")[:PROMPT_KEPT] or None

    def request_record(self) -> dict[str, Any]:
        """inputs/request.json: all of the request but its key."""
        profile = self.session.profile
        return {
            "provider": profile.name,
            "kind": profile.kind,
            "mode": self.session.ctx.mode,
            "origin": self.session.origin,
            "endpoint": f"{self.draft.method} {self.draft.path}",
            "stream_endpoint": self.draft.stream_path,
            "model": self.draft.model,
            "prompt": self.prompt_kept,
            "payload": summary(self.draft),
            "take": self.take,
            **({"given": dict(self.draft.given)} if self.draft.given else {}),
            **({"expected_cost": self.expected_cost} if self.expected_cost else {}),
            "intent": self.identity.intent,
            "identity": self.identity.body,
        }


@record
class CreatedRun:
    """A run with a task: sent just now (`submitted`), or found (`attached`)."""

    run: Run
    submitted: Submitted | None = None
    unverified: Unverified | None = None  # a folder from elsewhere that the provider did not vouch for


# Refusals that say nothing of the request: after a payment, a new key or a while the very same is taken.
OF_THE_ACCOUNT = frozenset(
    {Category.INSUFFICIENT_CREDITS, Category.AUTH, Category.PERMISSION, Category.RATE_LIMITED, Category.TRANSIENT}
)


def of_the_account(state: RunState) -> bool:
    """Whether a run was refused for what is not its own: nothing was created."""
    return state.phase is Phase.REFUSED and (state.error or {}).get("category") in OF_THE_ACCOUNT


def refuse_keys(plan: Plan) -> None:
    """A key in the prompt would go to a model and into files: refused before it does."""
    body = plan.canonical_body.decode("ascii")
    for secret in redaction.known_secrets():
        if len(secret) >= 8 and secret in body:
            raise configuration_error(
                "the API key stands in the request's own text",
                expected="a prompt and payload without any key",
                hint="take it out, and treat that key as exposed",
            )


def attachable(plan: Plan, related: list[Run] | None = None) -> Run | None:
    """The run that the same command made before and that stands in the way of paying again."""
    for run in plan.session.ctx.store.related(plan.identity) if related is None else related:
        if plan.identity.fits(run.request) and not plan.may_repeat(run.state()):
            return run
    return None


def refuse_earlier_version(plan: Plan, related: list[Run] | None = None) -> None:
    """A run of version 0.1 says little of what was typed: one like this that may be paid for stops the create."""
    for run in plan.session.ctx.store.related(plan.identity) if related is None else related:
        request, told = run.request, run.request.get("prompt")
        if (
            run.of_version_1
            and run.is_at(plan.session.origin)
            and (run.mode, run.provider) == (plan.session.ctx.mode, plan.session.profile.name)
            and (request.get("take"), request.get("model")) == (plan.take, plan.draft.model)
            and (told == plan.prompt_kept if told else request.get("payload") == summary(plan.draft))
            and not run.state().may_pay_again
        ):
            raise configuration_error(
                f"version 0.1 made a run like this one ({run.run_id}), so nothing was sent",
                expected="a look at that run, by next",
                hint=f"--take {plan.take + 1} makes another one, and pays for it",
                code="made_by_earlier_version",
                details={"run_id": run.run_id},
            )


def create_or_attach(plan: Plan) -> CreatedRun:
    """Submit the plan, or attach to the run that is already its answer. Raises TaskError and Interrupted."""
    ctx = plan.session.ctx
    refuse_keys(plan)
    plan.session.provider.client().close()  # too old a library is told before there is anything on disk
    ctx.store.prepare()
    waiting_until: float | None = None
    while True:
        related = ctx.store.related(plan.identity)
        standing = _standing(plan, related)
        if isinstance(standing, Run):
            return _attach(plan, standing)
        if standing is not None:
            refuse_earlier_version(plan, related)
            made = _send_once(plan, standing, related)
            if made is not None:
                return made
            continue  # somebody else was first with the claim
        if waiting_until is None:
            ctx.reporter.people("the same request is being sent by another process; waiting to attach to it")
            waiting_until = ctx.monotonic() + ctx.limits.stream_silence_s + ctx.limits.create_answer_s
        if ctx.monotonic() >= waiting_until:
            raise configuration_error(
                "another process has been sending this very request for minutes",
                expected="one process at a time",
                hint="look at it with task_status.py --latest",
            )
        ctx.pause(ctx.store.look_again_s)


def _standing(plan: Plan, related: list[Run]) -> Run | dict[str, int] | None:
    """What the same command finds: a run to attach to, the attempts that may be claimed, or None: wait.

    Safety does not rest on this look: who sends is decided by making the claims of these attempts.
    """
    store, keys = plan.session.ctx.store, plan.identity.keys
    run = attachable(plan, related)
    if run is not None:
        busy = run.state().phase is Phase.SUBMITTING and store.claims.sender_of_run(keys, run.run_id) is Sender.BUSY
        return None if busy else run
    attempts: dict[str, int] = {}
    for key in keys:
        attempts[key] = 0
        for claim in store.claims.of_key(key):
            claimed = store.find(claim.run_id) if claim.run_id else None
            if claimed is None:
                raise configuration_error(
                    "this request was claimed by a run whose folder is gone, so nothing was sent",
                    expected=f"the run folder {claim.run_id or 'that made ' + claim.name}, put back",
                    hint=f"--take {plan.take + 1} makes another video, and pays for it",
                    code="run_folder_gone",
                )
            state = claimed.state()
            if not plan.may_repeat(state):
                # It may have begun to send since the look above.
                sending = state.phase is Phase.SUBMITTING and store.claims.sender(claim) is Sender.BUSY
                return None if sending else claimed
            if state.phase is Phase.NEW and not state.closed_by_user:
                sender = store.claims.sender(claim)
                if sender is Sender.BUSY:
                    return None
                if sender is Sender.SILENT:  # it may wake up and send
                    plan.session.ctx.record(claimed, "submission_unknown", reason=SILENT_SENDER)
                    return claimed
            attempts[key] += 1
    return attempts


def _send_once(plan: Plan, attempts: Mapping[str, int], related: list[Run]) -> CreatedRun | None:
    """Claim, then send. None when another process has made one of the claims first; nothing was sent then."""
    ctx = plan.session.ctx
    run, is_new = _run_for(plan, related)
    held = ctx.store.claims.take(attempts, run.run_id)
    if held is None:
        if is_new and not _was_claimed(plan, run):
            ctx.store.discard(run)
        return None
    provider, draft = plan.session.provider, plan.draft
    try:
        with held:
            how: dict[str, str] = {}
            if ctx.reporter.verbose:
                how["url"] = provider.url(draft.stream_path or draft.path)
                how["mode"] = "sse_then_poll_fallback" if draft.stream_path else "poll"
            ctx.reporter.event("start", **how, run_id=run.run_id)
            uploads = upload_inputs.upload_files(ctx, run, provider, draft, known_uploads(plan, related))
            sent = submit(ctx, run, provider, _create_request(plan, uploads), held.check)
            return CreatedRun(run, sent)
    finally:
        if not run.in_flight:  # it is certain that nothing was created; a journal that cannot be read proves nothing
            held.withdraw()


def _attach(plan: Plan, run: Run) -> CreatedRun:
    ctx, state = plan.session.ctx, run.state()
    if plan.run_id and plan.run_id != run.run_id:
        ctx.reporter.people(f"the same request was made as run {run.run_id}; attaching to it")
    if state.phase is Phase.SUBMITTING:
        sender = ctx.store.claims.sender_of_run(plan.identity.keys, run.run_id)
        ctx.record(run, "submission_unknown", reason=SILENT_SENDER if sender is Sender.SILENT else DEAD_SENDER)
        state = run.state()
    if state.phase is Phase.REFUSED:
        raise _refused_before(state)  # its process ended before anybody was told; from now on the command may pay again
    if state.phase is Phase.SUBMISSION_UNKNOWN:
        results.write(run, now=ctx.clock())
        error = submission_unknown("this very request was sent before and its answer was lost")
        error.details["run_id"] = run.run_id
        if not run.made_here:
            error.hint = f"{FROM_ELSEWHERE}; --take {plan.take + 1} makes another one, and pays for it"
        raise error
    unverified = why_unverified(plan.session, run)
    state = run.state()
    same = run.request.get("identity") == plan.identity.body
    differs = "" if same else " (today it would send another body: the run folder has what was sent)"
    ctx.reporter.event(
        "start",
        run_id=run.run_id,
        attached=True,
        task_id=state.task_id,
        created_at=run.created_at_iso,
        unverified=True if unverified is not None else None,
        reason=unverified.reason if unverified is not None else None,
        note=f"the same request was made before; --take {plan.take + 1} makes another" + differs,
    )
    return CreatedRun(run, unverified=unverified)


def _refused_before(state: RunState) -> TaskError:
    """The refusal that the journal holds, as it would have been reported."""
    told: Mapping[str, Any] = state.error or {}
    category = Category(told.get("category", Category.UNKNOWN))
    return TaskError(
        category,
        category_message(category) + "; nothing was created",
        code=told.get("code"),
        server_message=told.get("server_message"),
        http_status=told.get("http_status"),
    )


def _run_for(plan: Plan, related: list[Run]) -> tuple[Run, bool]:
    """A run folder for this submission: one that was prepared for this very body but never sent serves again.

    The second value says whether the folder was made just now. A folder that another process may have made just now,
    and takes away when it does not get the claim, is left to it.
    """
    ctx, store = plan.session.ctx, plan.session.ctx.store
    for run in related:
        if run.request.get("identity") != plan.identity.body or plan.run_id not in (None, run.run_id):
            continue
        if not run.made_here:
            continue
        left = run.journal_file.exists() or ctx.clock() - run.created_at > SILENT_S or _was_claimed(plan, run)
        if left and run.state().phase is Phase.NEW:
            run.prepare()
            return run, False
    return store.create(plan.request_record(), now=plan.session.ctx.clock(), run_id=plan.run_id), True


def _was_claimed(plan: Plan, run: Run) -> bool:
    claims = plan.session.ctx.store.claims
    return any(claim.run_id == run.run_id for key in plan.identity.keys for claim in claims.of_key(key))


def known_uploads(plan: Plan, related: list[Run]) -> dict[str, str]:
    """Uploads that earlier tries of the same request have made: they are not made twice.

    Only of this machine's own runs: else somebody else's picture would be sent in the place of the user's.
    """
    known: dict[str, str] = {}
    for run in reversed(related):
        if run.made_here and plan.identity.fits(run.request):
            known.update(run.state().uploads)
    return known


def _create_request(plan: Plan, uploads: Mapping[str, str]) -> CreateRequest:
    draft, profile = plan.draft, plan.session.profile
    fresh = str(uuid4())
    known = {"path": draft.path.partition("?")[0], **({"model": draft.model} if draft.model else {})}
    headers = {name: value.replace("{uuid}", fresh) for name, value in profile.fresh_headers.items()}
    if profile.idempotency is not None and profile.idempotency.header:
        headers[profile.idempotency.header] = fresh
    if headers or draft.has_fresh:
        known["uuid"] = fresh

    def body_of() -> Mapping[str, Any]:
        if draft.encoding != "multipart":
            return {"json_body": materialise(draft, uploads, fresh)}
        parts = [
            (part.field, (file.name, file.read(), file.mime) if (file := part.file) else (None, part.text or ""))
            for part in form_parts(draft, uploads, fresh)
        ]
        return {"files": parts}

    return CreateRequest(draft.method, draft.path, draft.stream_path, body_of, headers, known)
