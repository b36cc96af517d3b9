"""A last line in plain words, for people: the result, the reason, what was expected, and the way on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from videotasks.core.safe_text import one_line

LONGEST = 4_000  # characters of one line: a command is never cut, everything else long before
SAID_BEFORE = ("timeout", "interrupted")  # categories whose message is in the summary already


def result_lines(line: Mapping[str, Any]) -> Iterator[str]:
    """--text: what a command has come to, as short lines. The summary was said before."""
    video, copied = line.get("video"), line.get("copied_to")
    if line.get("video_file") and isinstance(video, Mapping):
        yield f"  file    {line['video_file']}" + (f"  ({_measures(video)})" if _measures(video) else "")
    if copied:
        yield f"  copy    {copied}"
    if line.get("event") == "terminal" and line.get("status") == "succeeded":
        expected = line.get("expected_cost")
        yield f"  cost    {amount(line.get('cost'))}" + (f"  ({amount(expected)} expected)" if expected else "")
    if line.get("video_url") and not line.get("video_file"):
        yield f"  link    {line['video_url']}"
    if line.get("expires_at"):
        yield f"  link works until {line['expires_at']}"
    if line.get("task_id"):
        yield f"  task    {line['task_id']} at {line.get('provider')}, run {line.get('run_id')}"
    yield from _plan_lines(line)
    yield from _list_lines(line)
    yield from _key_lines(line)


def way_on(line: Mapping[str, Any]) -> Iterator[str]:
    """The reason, what was expected and the next command: on stderr in every mode."""
    error = line.get("error")
    error = error if isinstance(error, Mapping) else {}
    message, hint = error.get("message"), error.get("hint") or line.get("hint")
    if message and error.get("category") not in SAID_BEFORE:
        yield f"error: {message}" + (f" ({hint})" if hint else "")
    elif hint:
        yield str(hint)
    if error.get("server_message"):
        yield f"the provider says: {error['server_message']}"
    problems = error.get("problems") or line.get("problems")
    for problem in problems[1:6] if isinstance(problems, list) else ():
        if isinstance(problem, Mapping) and problem.get("message"):
            yield f"also: {problem['message']}"
    if error.get("expected"):
        yield f"expected: {error['expected']}"
    for name, words in (("to_adopt", "if the task is found"), ("to_close", "if the user decides: nothing was created")):
        if isinstance(line.get(name), str):
            yield f"{words}: {line[name]}"
    if line.get("next"):
        yield f"go on: {line['next']}"


def amount(cost: Any) -> str:
    """`12 credits`, or `unknown`, which is never the same as nothing."""
    if isinstance(cost, Mapping) and isinstance(cost.get("amount"), (int, float)):
        return f"{cost['amount']:g} {cost.get('unit') or ''}".strip()
    return "unknown"


def _measures(video: Mapping[str, Any]) -> str:
    parts = []
    if video.get("duration_s"):
        parts.append(f"{video['duration_s']:g} s")
    if video.get("width"):
        parts.append(f"{video['width']}x{video['height']}")
    if video.get("bytes"):
        parts.append(size(video["bytes"]))
    return ", ".join(parts)


def size(count: float) -> str:
    """Bytes as people read them: `812 B`, `1.2 MB`."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _plan_lines(line: Mapping[str, Any]) -> Iterator[str]:
    request = line.get("request")
    if line.get("event") != "plan" or not isinstance(request, Mapping):
        return
    yield f"  would send  {request.get('method')} {request.get('url')}"
    body = request.get("body")
    for name, value in body.items() if isinstance(body, Mapping) else ():
        yield f"    {name}: {one_line(str(value), 200)}"
    if isinstance(source := line.get("checked_source"), Mapping):
        where = f", {source.get('where')}, {source.get('date') or 'undated'}"
        yield f"  names       by the {line.get('checked_against')}{where}"
    yield f"  price       {amount(line.get('estimate'))}{_if_assumed(line.get('estimate'))}"
    if isinstance(day := line.get("day"), Mapping):
        yield f"  today       {day.get('spent')} of {day.get('limit')} {day.get('unit')}"
    if isinstance(balance := line.get("balance"), Mapping):
        yield "  balance     " + ("unlimited" if balance.get("unlimited") else amount(balance))
    for note in line.get("notes") or ():
        yield f"  note: {note}"
    if line.get("attaches_to"):
        yield f"  the same request was made before: it attaches to run {line['attaches_to']} and pays nothing"
    if line.get("send") and line.get("ok"):
        yield f"send it: {line['send']}"


def _if_assumed(estimate: Any) -> str:
    """What was left out and taken for a price."""
    assumed = estimate.get("assumed") if isinstance(estimate, Mapping) else None
    if not isinstance(assumed, Mapping) or not assumed:
        return ""
    return ", if " + ", ".join(f"{name} is {one_line(str(value), 60)}" for name, value in assumed.items())


def _list_lines(line: Mapping[str, Any]) -> Iterator[str]:
    for row in line.get("tasks") or ():
        if isinstance(row, Mapping):
            yield "  ".join(str(row[name]) for name in ("task_id", "provider_status", "model") if row.get(name))
    if line.get("event") == "list":
        yield f"{line.get('total', 0)} in all, {line.get('unfinished', 0)} unfinished"
    for row in line.get("sums") or ():
        if isinstance(row, Mapping):
            paid = amount({"amount": row.get("cost"), "unit": row.get("unit")})
            yield f"  {row.get('provider')}: {row.get('runs')} runs, {paid}"
    for row in line.get("trouble") or ():
        if isinstance(row, Mapping):
            name = f"line {row['lines']} ({row.get('status')})" if row.get("lines") else row.get("run_id")
            yield f"  {name}: {row.get('message') or row.get('category')}"
    for name in ("results", "gallery"):  # of a batch
        if isinstance(line.get(name), str):
            yield f"  {name:7} {line[name]}"


def _key_lines(line: Mapping[str, Any]) -> Iterator[str]:
    for step in line.get("how_to_get_key") or ():
        yield f"  {step}"
    if line.get("event") != "api_key":
        return
    for example in line.get("set_env_examples") or ():
        yield f"  {example}"
    if isinstance(balance := line.get("balance"), Mapping):
        yield "  balance  " + ("unlimited" if balance.get("unlimited") else amount(balance))
