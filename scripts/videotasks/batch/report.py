"""What a batch says: its plan, its counts while it goes on, its table on a terminal, its last line and files."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from videotasks.batch import plan as planning
from videotasks.batch.carry import Carrier
from videotasks.batch.ledger import Ledger
from videotasks.batch.plan import Item, Step, Wishes
from videotasks.core.errors import EXIT_OF_CATEGORY, Category, ExitCode, TaskError
from videotasks.core.safe_text import inert, one_line
from videotasks.core.task import Outcome, Phase
from videotasks.core.times import epoch_of, iso
from videotasks.lifecycle import final_line
from videotasks.lifecycle.outcome import WORST_FIRST, exit_code_of
from videotasks.lifecycle.session import Context
from videotasks.output import next_command
from videotasks.output.reporter import Reporter, within
from videotasks.request.costs import Balance
from videotasks.runs import results
from videotasks.runs.journal import RunState

COUNTS_EVERY_S = 10.0  # at first; each line makes the next one rarer, as a batch of an hour prints them, too
COUNTS_GROWTH = 1.4
TABLE_EVERY_S = 0.5
LIST_CHARS = 2_000  # of each list in a last line


class Report:
    """Prints for one batch. While rows are carried out, a thread of its own counts them now and then."""

    def __init__(self, main: Reporter, ledger: Ledger, items: Sequence[Item], wishes: Wishes) -> None:
        self.main, self.ledger, self.items, self.wishes = main, ledger, items, wishes
        self._ctx: Context | None = None
        self._file = ""
        self._began = 0.0
        self._done_before = 0
        self._over: dict[int, tuple[str, ExitCode]] = {}  # rows that change no more: status and code
        self._told: dict[str, Any] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # -- the plan --

    def plan(self, balances: Mapping[str, Balance], send: list[str], file: str) -> int:
        """The last line of --dry-run. Exit 22 with problems that nobody chose to leave out."""
        items = self.items
        problems = planning.problems_of(items)
        error: dict[str, Any] | None = None
        code = ExitCode.OK
        try:
            planning.require_valid(items, self.wishes.skip_invalid)
        except TaskError as refusal:
            code, error = ExitCode.VALIDATION, {"category": Category.VALIDATION.value, "message": refusal.message}
        sums = planning.totals(items, balances)
        paying = [item for item in items if item.step.pays]
        self._say_plan(problems, sums, len(paying))
        notes = list(dict.fromkeys(note for item in paying for note in self._notes(item)))
        if file == "-":
            notes.append("send reads standard input: give it the same text again")
        spent, unknown = self._spent()
        return self.main.final(
            "batch_plan",
            code,
            whole=self.main.verbose,
            batch_id=self.ledger.id,
            rows_total=len(items),
            steps=planning.counts(items),
            totals=sums,
            spent=spent or None,
            unknown_creates=unknown or None,
            max_cost=[{"amount": most, "unit": unit} for unit, most in self.wishes.most.items()] or None,
            over_max_cost=self._over_limit(sums, spent) or None,
            problems=within(problems, LIST_CHARS),
            problems_total=len(problems),
            pays=within([_paying(item) for item in paying], LIST_CHARS),
            attaches=planning.line_ranges(item.row.line for item in items if item.step is Step.GO_ON) or None,
            notes=within(notes, 1_000),
            send=next_command.quoted(send) if not error else None,
            send_needs="the user's confirmation: it pays" if paying and not self.main.sandbox and not error else None,
            error=error,
        )

    def _notes(self, item: Item) -> list[str]:
        notes = [f"line {item.row.line}: {item.note}"] if item.note else []
        if item.plan is not None:
            for one in item.plan.draft.assumed:
                notes.append(f"assumed for {item.model}: {one['input']} goes into {one['member']!r}: {one['because']}")
        return notes + (list(item.found.notes) if item.found else [])

    def _over_limit(
        self, sums: Sequence[Mapping[str, Any]], spent: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Where the rows cost more than --max-cost leaves: the batch then ends at its limit."""
        found = []
        for unit, most in self.wishes.most.items():
            wanted = sum(s["amount"] for s in sums if s["amount"] and str(s.get("unit")).casefold() == unit)
            gone = sum(s["amount"] for s in spent if str(s["unit"]).casefold() == unit)
            if wanted + gone > most:
                found.append({"unit": unit, "wanted": round(wanted, 6), "left": round(max(most - gone, 0.0), 6)})
        return found

    def _say_plan(self, problems: Sequence[Mapping[str, Any]], sums: Sequence[Mapping[str, Any]], paying: int) -> None:
        told = ", ".join(f"{count} {step.replace('_', ' ')}" for step, count in planning.counts(self.items).items())
        self.main.people(f"{len(self.items)} rows: {told}")
        for problem in problems[:200]:
            self.main.row(f"  line {problem['lines']}: {problem['message']}")
        for entry in sums:
            price = f"{entry['amount']:g} {entry['unit']}" if entry["amount"] is not None else "price unknown"
            left = entry.get("balance") or {"amount": None}
            balance = f" (balance {left['amount']:g} {left['unit'] or ''})" if left["amount"] is not None else ""
            self.main.people(f"{entry['provider']}: {entry['rows']} videos, {price}{balance}")
        self.main.people(f"dry run: nothing was sent; {paying} rows would pay")

    # -- while it goes on --

    def begin(self, file: str, ctx: Context) -> None:
        self._ctx, self._file, self._began = ctx, file, ctx.monotonic()
        self._done_before = self.counts().get("succeeded", 0)
        self.main.live_begin()
        self._count()
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self._thread.start()

    def documents(self, carrier: Carrier | None) -> list[dict[str, Any]]:
        """Every row as batch.json has it, with the step that it is at and its exit code."""
        told = []
        for item in self.items:
            code = self._code(item, carrier) if carrier is not None else item.code
            told.append({**self._document(item), "step": item.step.value, "code": None if code is None else int(code)})
        return told

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def _tick(self) -> None:
        assert self._ctx is not None
        pause = COUNTS_EVERY_S
        next_at, paint_at = self._began + pause, self._began
        while not self._stop.wait(TABLE_EVERY_S):
            if self.main.live and self._ctx.monotonic() >= paint_at:
                began = self._ctx.monotonic()
                self._paint()
                # Of a thousand rows a look at all journals takes a tenth of a second.
                paint_at = self._ctx.monotonic() + 10 * (self._ctx.monotonic() - began)
            if self._ctx.monotonic() >= next_at:
                pause *= COUNTS_GROWTH
                next_at = self._ctx.monotonic() + pause
                self._count()
                with suppress(OSError, TaskError):
                    self._write()

    def _count(self) -> None:
        counted = self.counts()
        if counted == self._told:
            return
        self._told = counted
        spent = self._spent()[0]
        self.main.event(
            "progress", batch_id=self.ledger.id, rows_total=len(self.items), rows=counted, spent=spent or None
        )
        if self.main.text and not self.main.live:
            self.main.people(self._in_words(counted, spent) + self._time_left(counted))

    def _in_words(self, counted: Mapping[str, int], spent: Sequence[Mapping[str, Any]]) -> str:
        done = counted.get("succeeded", 0)
        others = ", ".join(f"{count} {name}" for name, count in counted.items() if name != "succeeded")
        paid = ", ".join(f"{entry['amount']:g} {entry['unit']}" for entry in spent)
        return f"{done} of {len(self.items)} done" + (f", {others}" if others else "") + (f"; {paid}" if paid else "")

    def _time_left(self, counted: Mapping[str, int]) -> str:
        done = counted.get("succeeded", 0)
        if self._ctx is None or done <= self._done_before or done >= len(self.items):
            return ""
        each = (self._ctx.monotonic() - self._began) / (done - self._done_before)
        return f"; about {max(each * (len(self.items) - done) / 60, 1):.0f} min left"

    def _paint(self) -> None:
        counted = self.counts()
        order = {"running": 0, "queued": 1, "unknown": 2, "failed": 3, "refused": 3, "waiting": 4, "held": 5}
        shown = [(order[status], item, status) for item, status in self._states() if status in order]
        shown.sort(key=lambda entry: entry[0])
        rows = [(item.row.id or f"line {item.row.line}", f"{status}  {_prompt(item, 40)}") for _, item, status in shown]
        self.main.live_rows(rows[:200])
        done = sum(counted.get(name, 0) for name in ("succeeded", "failed", "refused", "cancelled", "expired"))
        words = self._in_words(counted, self._spent()[0]) + self._time_left(counted)
        self.main.live_status(words, 100.0 * done / max(len(self.items), 1))

    def counts(self) -> dict[str, int]:
        return dict(Counter(status for _, status in self._states()))

    def _states(self) -> Iterable[tuple[Item, str]]:
        for item in self.items:
            known = self._over.get(id(item))
            yield item, known[0] if known else self._state(item)[0]

    def _state(self, item: Item) -> tuple[str, RunState | None]:
        """The word for a row, and its run's state; read from disk until the row is over."""
        if item.step is Step.INVALID:
            return "invalid", None
        state = item.run.state() if item.run is not None else None
        if item.run is None or state is None:
            ended = "no_result" if item.code is ExitCode.NO_RESULT else "refused"
            words = {Step.HELD: "held", Step.LEFT_OUT: "left_out", Step.UNKNOWN: "unknown", Step.ENDED: ended}
            return words.get(item.step, "waiting"), None
        if state.phase is Phase.REFUSED:
            status = "refused"
        elif state.outcome is Outcome.NO_RESULT:
            status = "no_result"
        elif state.phase is Phase.NEW:
            status = "held" if item.step in (Step.HELD, Step.ENDED) else "waiting"
        else:
            status = results.status_of(state)
        if item.step is Step.ENDED and (state.ended or state.phase is Phase.REFUSED):
            self._over[id(item)] = status, exit_code_of(state)
        return status, state

    def _spent(self) -> tuple[list[dict[str, Any]], int]:
        sums, unknown = self.ledger.spent()
        return [{"amount": amount, "unit": unit} for unit, amount in sums.items()], unknown

    # -- files and the last line --

    def _write(self) -> list[dict[str, Any]]:
        rows = [self._document(item) for item in self.items]
        spent, unknown = self._spent()
        assert self._ctx is not None
        self.ledger.write(
            {
                "file": self._file,
                "mode": self._ctx.mode,
                "updated_at": iso(self._ctx.clock()),
                "counts": self.counts(),
                "spent": spent,
                "unknown_creates": unknown,
                "rows": rows,
            }
        )
        return rows

    def _document(self, item: Item) -> dict[str, Any]:
        status, state = self._state(item)
        row: dict[str, Any] = {
            "line": item.row.line,
            "id": item.row.id,
            "run_id": item.run.run_id if item.run else None,
            "status": status,
            "provider": item.provider or None,
            "model": item.model,
            "prompt": _prompt(item, 2_000) or None,
            "take": item.plan.take if item.plan else item.row.take,
            "intent": item.base,
            "error": item.error,
        }
        if item.row.matrix:
            row["matrix"] = item.row.matrix
        if item.note:
            row["note"] = item.note
        if item.row.problems:
            row["error"] = {"category": Category.VALIDATION.value, "message": item.row.problems[0]["message"]}
        if item.run is not None and state is not None:
            main = results.main_file(item.run, state)
            file = item.run.place_of(main) if main is not None else None
            signed = item.run.signed_link(main) if main is not None else None
            expected = final_line.expected_cost(item.run) or {}
            begun, ended = epoch_of(state.submitted_at), epoch_of(state.ended_at)
            row |= {
                "error": row["error"] or state.error,
                "task_id": state.task_id,
                "file": item.output if item.output and os.path.isfile(item.output) else file,
                "link": signed or state.url_of("video"),
                "cost": state.cost,
                "expected": expected.get("amount"),
                "unit": state.cost_unit if state.cost is not None else expected.get("unit"),
                "seconds": round(ended - begun, 1) if begun and ended else None,
            }
        return row

    def finish(self, carrier: Carrier, again: list[str]) -> int:
        """batch.json, results.csv, the page, and the last line."""
        main, ctx = self.main, carrier.ctx
        self._over.clear()
        codes = {id(item): self._code(item, carrier) for item in self.items}
        rows: list[dict[str, Any]] = []
        files: dict[str, Any] = {}
        try:
            rows = self._write()
            files["results"] = self.ledger.home.publish(self.ledger.write_table(_table_rows(rows)))
            files["gallery"] = self._gallery(ctx)
        except (OSError, TaskError) as error:
            main.event("warning", message=f"the batch's own files could not be written: {error}")
        code = self._exit_code(set(codes.values()), carrier)
        trouble = [_trouble(row) for row in rows if row.get("error") or row["status"] in ("unknown", "held")]
        main.live_end()
        if main.shows_tables and not main.text:  # the account of --text has them
            for entry in _gathered(trouble):
                main.row(f"  line {entry['lines']}: {entry['status']}: {entry.get('message') or ''}")
        counted = self.counts()
        spent, unknown = self._spent()
        main.people(self._in_words(counted, spent))
        held = [codes[id(item)] for item in self.items if item.step is Step.HELD]
        left = sum(code in (ExitCode.NOT_FINISHED, ExitCode.SIGINT, ExitCode.SIGTERM) for code in held)
        left += sum(item.step.pays for item in self.items)
        goes_on = carrier.interrupted is not None or code == ExitCode.NOT_FINISHED
        next_argv = again if goes_on else self._look_at_unknown(ctx) if code == ExitCode.SUBMISSION_UNKNOWN else None
        name = "interrupted" if carrier.interrupted is not None else "timeout" if goes_on else "batch"
        main.final(
            name,
            code,
            next_argv=next_argv,
            next_pays=f"{left} rows are still to be created, under the same yes" if goes_on and left else None,
            batch_id=self.ledger.id,
            rows_total=len(self.items),
            rows=counted,
            created=carrier.created,
            spent=spent,
            unknown_creates=unknown or None,
            trouble=within(_gathered(trouble), LIST_CHARS),
            trouble_total=len(trouble),
            batch_file=str(self.ledger.folder / "batch.json"),
            **files,
        )
        for item in self.items:
            if item.run is None or item.step is Step.LEFT_OUT:
                continue
            state = item.run.state()
            if (state.outcome is not None or state.phase is Phase.REFUSED) and not (state.reported and state.delivered):
                outcome = state.outcome.value if state.outcome else Phase.REFUSED.value
                final_line.mark_reported(ctx, item.run, outcome, codes[id(item)])
        return int(code)

    def _code(self, item: Item, carrier: Carrier) -> ExitCode:
        """How one row stands; a success counts with its file, when files were asked for."""
        if item.step in (Step.LEFT_OUT, Step.INVALID):
            return ExitCode.OK
        if item.step is Step.HELD or item.run is None:
            return item.code or ExitCode.NOT_FINISHED
        state = item.run.state()
        if state.phase is Phase.NEW:
            return item.code or ExitCode.NOT_FINISHED
        if state.phase is Phase.REFUSED:
            with suppress(ValueError):
                return EXIT_OF_CATEGORY[Category((state.error or {}).get("category"))]
        code = exit_code_of(state)
        if code is ExitCode.NOT_FINISHED and item.run.run_id in carrier.trouble:
            return ExitCode.POLL_REFUSED
        if carrier.ctx.download and state.outcome is Outcome.SUCCEEDED:
            if results.video_file(item.run, state) is None:
                return ExitCode.NOT_FINISHED if item.run.run_id in carrier.late else ExitCode.NO_RESULT
            if item.run.run_id in carrier.trouble:  # a copy that could not be made
                return ExitCode.CONFIGURATION
        return code

    def _exit_code(self, codes: set[ExitCode], carrier: Carrier) -> ExitCode:
        """That of the worst row; what stopped the batch comes before what goes on, which would be gone on with."""
        if carrier.interrupted is not None:
            return ExitCode.of_signal(carrier.interrupted)
        if carrier.stopped_by is not None and carrier.stopped_by is not ExitCode.NOT_FINISHED:
            return carrier.stopped_by
        return next((code for code in WORST_FIRST if code in codes), ExitCode.OK)

    def _look_at_unknown(self, ctx: Context) -> list[str] | None:
        for item in self.items:
            if item.run is not None and item.run.state().phase.in_doubt:
                return final_line.look_at(item.session.ctx if item.session else ctx, item.run)
        return None

    def _gallery(self, ctx: Context) -> str | None:
        """The page beside batch.json; a batch is whole without it."""
        from videotasks.gallery import page

        try:
            batch = page.read_batch(self.ledger.folder)
            written = page.write_batch_gallery(self.ledger.folder, batch, ctx.store, now=ctx.clock())
            return self.ledger.home.publish(Path(written.file))
        except ImportError:
            self.main.people("no gallery: the package jinja2 is missing")
            return None


def _known(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _paying(item: Item) -> dict[str, Any]:
    return _known(
        line=item.row.line,
        id=item.row.id,
        provider=item.provider,
        model=item.model,
        price=f"{item.estimate.amount:g} {item.estimate.unit}" if item.estimate else None,
        note=item.note,
        follows=", ".join(item.row.taken) if item.step is Step.FOLLOW else None,
    )


def _prompt(item: Item, most: int) -> str:
    prompt = (item.plan.prompt if item.plan else None) or item.row.values.get("prompt") or ""
    return one_line(str(prompt), most)


def _trouble(row: Mapping[str, Any]) -> dict[str, Any]:
    error = row.get("error") or {}
    told = {name: row.get(name) for name in ("line", "id", "run_id", "status")}
    return _known(**told, category=error.get("category"), message=error.get("message"))


def _gathered(trouble: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the same trouble in one entry: a thousand that were held for one reason are one line."""
    by_kind: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for entry in trouble:
        by_kind.setdefault((entry["status"], entry.get("category"), entry.get("message")), []).append(entry)
    found = []
    for (status, category, message), entries in by_kind.items():
        lines = inert(planning.line_ranges(one["line"] for one in entries), 300)
        alone = {name: entries[0].get(name) for name in ("id", "run_id")} if len(entries) == 1 else {}
        found.append(_known(lines=lines, status=status, category=category, message=message, **alone))
    return found


def _table_rows(rows: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for row in rows:
        error = row.get("error") or {}
        told = error.get("message") or error.get("category")
        yield {**row, "row": row["line"], "error": told}
