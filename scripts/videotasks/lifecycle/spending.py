"""A limit for a day: what the creates of today cost or were expected to cost, in this workspace and in one unit.

Two commands at the limit must not both pass, so each reserves its price under a lock before it creates; once its run
is on disk, the run itself is what counts, and the reservation goes. One that a kill leaves counts until midnight UTC.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from videotasks.core import durable_files
from videotasks.core.errors import configuration_error
from videotasks.core.task import Phase
from videotasks.core.times import iso
from videotasks.formats import scalars
from videotasks.runs.locks import FileLock

if TYPE_CHECKING:
    from videotasks.lifecycle.session import Context
    from videotasks.request.costs import Estimate
    from videotasks.runs.store import Run

LOCK_S = 30.0
RESERVATION_BYTES = 4_096


def spent_today(ctx: Context, unit: str) -> tuple[float, int]:
    """What the runs of this UTC day cost, else were expected to cost; a refused or unsent create cost nothing.

    The sum in `unit`, and how many creates have no known price.
    """
    today = iso(ctx.clock())[:10]
    spent, unknown = 0.0, 0
    for mode, day, amount, of_unit in filter(None, ctx.store.of_day(today, _account)):
        if (mode, day) != (ctx.mode, today):
            continue
        if amount is None or not of_unit:
            unknown += 1
        elif of_unit.casefold() == unit.casefold():
            spent += max(amount, 0.0)  # whoever plants a run must not lift the limit
    return spent, unknown


def _account(run: Run) -> tuple[str, str, float | None, str | None] | None:
    """Mode, day, amount and unit of what one run cost; None for one that cost nothing, or was paid for elsewhere."""
    state = run.state()
    if run.request.get("adopted") or state.phase in (Phase.NEW, Phase.REFUSED):
        return None
    amount, unit = state.cost, state.cost_unit
    expected = run.request.get("expected_cost")
    if amount is None and isinstance(expected, dict):
        amount, unit = scalars.number(expected.get("amount")), expected.get("unit")
    return run.mode, iso(run.created_at)[:10], amount, str(unit) if unit else None


@contextlib.contextmanager
def reserved(
    ctx: Context, limit: tuple[float, str], estimate: Estimate | None, *, allow_unknown: bool
) -> Iterator[None]:
    """Hold the price of a create within the day's limit while it is made. Raises TaskError when it does not fit."""
    most, unit = limit
    ctx.store.prepare()
    folder = ctx.store.root / ".spending"
    durable_files.make_private_dir(folder)
    deadline = ctx.monotonic() + LOCK_S
    mine = folder / f"{iso(ctx.clock())[:10]}-{os.getpid()}-{uuid4().hex[:8]}.json"
    with FileLock(folder / "lock").held(give_up=lambda: ctx.monotonic() > deadline) as held:
        if not held:
            raise configuration_error("another command holds the day's budget", expected="to run it again")
        _check(ctx, folder, most, unit, estimate, allow_unknown)
        told = {"amount": estimate.amount if estimate else 0.0, "unit": unit, "mode": ctx.mode}
        mine.write_text(json.dumps(told), encoding="utf-8")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            mine.unlink()


def _check(ctx: Context, folder: Any, most: float, unit: str, estimate: Estimate | None, allow_unknown: bool) -> None:
    spent, unknown = spent_today(ctx, unit)
    for path in folder.glob(f"{iso(ctx.clock())[:10]}-*.json"):
        told = durable_files.read_json(path, RESERVATION_BYTES)  # a planted pipe held the command for ever
        if not isinstance(told, dict) or told.get("mode") != ctx.mode:
            continue
        if str(told.get("unit")).casefold() == unit.casefold():
            spent += max(scalars.number(told.get("amount")) or 0.0, 0.0)
    so_far = f"{spent:g} {unit} today" + (f", and {unknown} creates of unknown price" if unknown else "")
    if estimate is None:
        if not allow_unknown:
            raise configuration_error(
                f"the price of this request is unknown, and the day is limited to {most:g} {unit} ({so_far}); "
                "nothing was sent",
                hint="ask the user; --allow-unknown-cost accepts an unknown price",
                code="unknown_cost",
            )
        return
    if estimate.unit.casefold() != unit.casefold():
        raise configuration_error(
            f"--max-cost-per-day is in {unit}", expected=f"{estimate.unit}, the unit of the price"
        )
    if spent + estimate.amount > most:
        raise configuration_error(
            f"the request costs {estimate.amount:g} {unit}, and {so_far} are spent of {most:g}; nothing was sent",
            expected=f"at most {max(most - spent, 0):g} {unit} more today (UTC)",
            hint="tomorrow, or the user's word for a higher limit",
            code="over_max_cost",
        )
