"""A batch file read into rows: CSV, JSON Lines or YAML, one row a video, its columns the options of a create. Pure.

What is wrong with a row is kept with it, so that one reading tells of everything; nothing is looked up here.
"""

from __future__ import annotations

import csv
import difflib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from videotasks.core.errors import TaskError, configuration_error
from videotasks.core.json_values import no_constant
from videotasks.request.local_files import ROLES, named_run

TEXTS = ("prompt", "model", "provider", "kind", "ratio", "resolution", "endpoint", "output", "id")
NUMBERS = ("duration", "seed", "take")
# A column that is a role of --image; the value of the others may begin with `ROLE=`.
MEDIA: Mapping[str, tuple[str, str | None]] = {
    "image": ("image", None),
    **{role: ("image", role) for role in ROLES},
    "video": ("video", None),
    "audio": ("audio", None),
}
COLUMNS = (*TEXTS, *NUMBERS, *MEDIA, "payload")
SPELLED = {
    "sse_endpoint": "endpoint",
    "aspect_ratio": "ratio",
    "seconds": "duration",
    "length": "duration",
    "text": "prompt",
}
ROW_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
MOST_ROWS = 10_000
DELIMITERS = ",;\t|"


@dataclass
class Row:
    """One row as it was written, defaults filled in: `values` by column, media and `set` as lists.

    `matrix` holds what this row has of a crossed list; `problems` what is wrong, each with `message`, some `expected`.
    """

    line: int
    values: dict[str, Any] = field(default_factory=dict)
    matrix: dict[str, Any] = field(default_factory=dict)
    problems: list[dict[str, str]] = field(default_factory=list)

    @property
    def id(self) -> str | None:
        return self.values.get("id")

    @property
    def take(self) -> int:
        return int(self.values.get("take") or 1)

    @property
    def media(self) -> list[tuple[str, str | None, str]]:
        """(kind, role, value) of every image, video and audio, those of other rows as `@...`."""
        return list(self.values.get("media") or ())

    @property
    def taken(self) -> list[str]:
        """The ids of the rows (or runs) whose results it takes: `@intro.last_frame`."""
        return [named[0] for kind, _, value in self.media if (named := named_run(value, kind)) is not None]

    def wrong(self, message: str, expected: str | None = None) -> None:
        self.problems.append({"message": message, **({"expected": expected} if expected else {})})


def read_rows(text: str, form: str | None = None, defaults: Sequence[str] = ()) -> list[Row]:
    """The rows of a batch file. `form` is its ending (csv, jsonl, yaml ...), None or unknown: told by the text.

    `defaults` are `COLUMN=VALUE` of the command line, which win over the file's own; a row's own value wins over both.
    Raises TaskError for what is wrong with the file as a whole: then there are no rows to speak of.
    """
    form = _form(text, form)
    file_defaults: dict[str, Any] = {}
    matrix: dict[str, list[Any]] = {}
    if form == "yaml":
        rows, file_defaults, matrix = _of_yaml(text)
    else:
        rows = list(_of_csv(text) if form == "csv" else _of_json_lines(text))
    named = dict(_assignment(one) for one in defaults)
    common = {column_of(name): value for name, value in {**file_defaults, **named}.items()}
    found = [crossed for raw in rows for crossed in _crossed(raw, common, matrix)]
    if not found:
        raise configuration_error("there is no row in it", expected="one row a video, see references/batch.md")
    if len(found) > MOST_ROWS:
        raise configuration_error(f"it makes {len(found):,} rows", expected=f"at most {MOST_ROWS:,} in one batch")
    for row in found:
        _settle(row)
    _compare(found)
    return found


def column_of(name: Any) -> str:
    """A column by its usual spelling. Raises TaskError that says what was nearly meant."""
    text = str(name).strip()
    plain = text.lstrip("-")
    lower = plain.lower().replace("-", "_").replace(" ", "_")
    if lower.startswith("set."):
        return "set." + plain[4:]
    lower = SPELLED.get(lower, lower)
    if lower in COLUMNS or lower == "set":
        return lower
    near = difflib.get_close_matches(lower, [*COLUMNS, *SPELLED], n=1, cutoff=0.6)
    raise configuration_error(
        f"{text[:60]!r} is no column" + (f": did you mean {SPELLED.get(near[0], near[0])}?" if near else ""),
        expected=", ".join(COLUMNS) + ", set.KEY; a column of your own begins with #",
    )


# -- the three forms: rows before defaults, their values by the names that were written --


def _form(text: str, form: str | None) -> str:
    known = {
        "csv": "csv", "tsv": "csv", "jsonl": "jsonl", "ndjson": "jsonl", "yaml": "yaml", "yml": "yaml", "json": "yaml",
    }  # fmt: skip
    if form and form.lower() in known:
        return known[form.lower()]
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return "yaml"
    if all(line.lstrip().startswith("{") and line.rstrip().endswith("}") for line in lines[:20]):
        return "jsonl"
    header, _ = _header(text)
    return "csv" if header and all(_is_column(name) for name in header if name) else "yaml"


def _is_column(name: str) -> bool:
    if name.startswith("#"):
        return True
    try:
        column_of(name)
    except TaskError:
        return False
    return True


def _header(text: str) -> tuple[list[str], str]:
    """The first row of a CSV and its delimiter: the one that shows most columns that are known."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    best: tuple[int, list[str], str] = (-1, [], ",")
    for delimiter in DELIMITERS:
        try:
            names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
        except csv.Error:
            continue
        known = sum(_is_column(name) for name in names if name)
        if known > best[0]:
            best = known, names, delimiter
    return best[1], best[2]


def _broken(line: int, problem: str) -> Row:
    row = Row(line)
    row.wrong(problem)
    return row


def _of_csv(text: str) -> Iterator[Row]:
    told = re.match(r"\s*sep=(.)\r?\n", text)  # a spreadsheet's own word on its delimiter
    skipped = text[: told.end()].count("\n") if told else 0
    text = text[told.end() :] if told else text
    _, delimiter = _header(text)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=told[1] if told else delimiter, strict=True)
    names: list[str] | None = None
    end = 0
    try:
        for cells in reader:
            row, end = Row(end + 1 + skipped), reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if names is None:
                names = [name.strip() for name in cells]
                for name in names:
                    if name and not name.startswith("#"):
                        column_of(name)
                continue
            for name, cell in zip(names, cells, strict=False):
                if name and cell.strip():
                    # A column that stands twice is an option given twice.
                    row.values[name] = [*_many(row.values[name]), cell] if name in row.values else cell
            if any(cell.strip() for cell in cells[len(names) :]):
                row.wrong("more cells than the first line has columns: put a text with a delimiter in quotes")
            yield row
    except csv.Error as error:
        yield _broken(reader.line_num + skipped, f"this is no CSV: {error}")


def _of_json_lines(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_constant=no_constant, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            yield _broken(number, f"this line is no JSON: {getattr(error, 'msg', error)}")
            continue
        yield Row(number, value) if isinstance(value, dict) else _broken(number, "this line is no JSON object")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice[:60]!r} stands in it twice")
    return dict(pairs)


def _of_yaml(text: str) -> tuple[list[Row], dict[str, Any], dict[str, list[Any]]]:
    from videotasks.formats import yaml12

    def twice(name: str, line: int) -> None:
        raise configuration_error(f"line {line}: {name[:60]!r} stands there twice", expected="each name once")

    try:
        value = yaml12.load(text, on_duplicate=twice)
        where = yaml12.lines(text)
    except yaml12.YamlError as error:
        raise configuration_error(f"this is no YAML: {error}", expected="rows, see references/batch.md") from None
    document = {"rows": value or []} if value is None or isinstance(value, list) else value
    if not isinstance(document, dict) or not set(document) <= {"defaults", "matrix", "rows"}:
        names = sorted(str(name) for name in document)[:6] if isinstance(document, dict) else [type(value).__name__]
        raise configuration_error(
            f"a YAML batch does not look like this: {', '.join(names)}",
            expected="`rows:` with a list of rows, beside them `defaults:` and `matrix:`; or only the list",
        )
    listed, defaults, matrix = (document.get(name) for name in ("rows", "defaults", "matrix"))
    if listed is None and matrix:
        listed, where = [{}], {("rows", 0): where.get(("matrix",), 1)}
    if not isinstance(listed, list) or not isinstance(defaults or {}, dict) or not isinstance(matrix or {}, dict):
        raise configuration_error(
            "`rows` is a list, `defaults` and `matrix` are mappings", expected="see references/batch.md"
        )
    start: tuple[str | int, ...] = () if isinstance(value, list) else ("rows",)
    rows = []
    for number, entry in enumerate(listed):
        line = where.get((*start, number), 0)
        fine = isinstance(entry, dict)
        rows.append(Row(line, entry) if fine else _broken(line, "this row is no mapping of columns"))
    lists: dict[str, list[Any]] = {}
    for name, choices in (matrix or {}).items():
        column = column_of(name)
        if not isinstance(choices, list) or not choices or column in ("id", "output", "take"):
            raise configuration_error(
                f"matrix: {str(name)[:60]!r} is not crossed like this", expected="a list of values of a create's option"
            )
        lists[column] = choices
    return rows, defaults or {}, lists


# -- defaults, matrix, values --


def _assignment(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise configuration_error(f"--set-default {text[:60]!r} is no assignment", expected="--set-default duration=8")
    return name.strip(), value


def _crossed(row: Row, common: Mapping[str, Any], matrix: Mapping[str, list[Any]]) -> Iterator[Row]:
    """The rows that a written one makes: one, or one for each combination of the matrix."""
    own: dict[str, Any] = {}
    for name, value in row.values.items():
        if str(name).startswith("#"):
            continue
        try:
            column = column_of(name)
        except TaskError as error:
            row.wrong(error.message, error.expected)
            continue
        if column in own and column not in MEDIA:
            row.wrong(f"{column} stands in it twice")
        own[column] = [*_many(own[column]), *_many(value)] if column in own else value
    for column in set(own) & set(matrix):
        row.wrong(f"{column} is in the row and in the matrix", "one of them")
    both = {**common, **{name: value for name, value in own.items() if value is not None and value != ""}}
    names = list(matrix)
    for number, combination in enumerate(itertools.product(*matrix.values()), 1):
        chosen = dict(zip(names, combination, strict=True))
        made = Row(row.line, {**both, **chosen}, chosen, list(row.problems))
        if names and both.get("id") not in (None, ""):
            made.values["id"] = f"{both['id']}-{number}"
        yield made


def _many(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _settle(row: Row) -> None:
    """Values as a create takes them: texts, numbers, media with kind and role, members of the body by name."""
    given, row.values = row.values, {}
    media: list[tuple[str, str | None, str]] = []
    members: list[tuple[str, Any]] = []
    for column, value in given.items():
        if value is None or value == "":
            continue
        if column in MEDIA:
            kind, role = MEDIA[column]
            for one in _many(value):
                if not isinstance(one, str) or not one.strip():
                    row.wrong(f"{column} is no file, link or @ID", "a text, or a list of them")
                else:
                    media.append(_medium(kind, role, one.strip()))
        elif column == "set" or column.startswith("set."):
            try:
                members += _members(column, value)
            except ValueError as error:
                row.wrong(str(error), "set.NAME, or set: with names and values")
        elif column == "payload":
            row.values[column] = value
        elif isinstance(value, (dict, list, bool)):
            row.wrong(f"{column} is a {type(value).__name__}", "one value")
        else:
            row.values[column] = value.strip() if isinstance(value, str) and column != "prompt" else value
            if column in TEXTS and not isinstance(row.values[column], str):
                row.values[column] = f"{value}"
    row.values.update({name: found for name, found in (("media", media), ("set", members)) if found})
    take = row.values.get("take", 1)
    text = f"{take:g}" if isinstance(take, float) else str(take)
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        row.wrong(f"take {text[:20]!r} is no whole number above 0")
        text = "1"
    row.values["take"] = int(text)
    if row.id is not None and not ROW_ID.match(row.id):
        row.wrong(f"{row.id[:60]!r} is no id", "1 to 64 letters, digits, dots, dashes or underscores")


def _medium(kind: str, role: str | None, text: str) -> tuple[str, str | None, str]:
    """A role before the value; what is nearly a role is refused where the file is looked for."""
    named, sign, value = text.partition("=")
    if role is None and sign and named in ROLES:
        return kind, named, value
    return kind, role, text


def _members(column: str, value: Any) -> Iterable[tuple[str, Any]]:
    if column == "set":
        if not isinstance(value, dict):
            raise ValueError("set holds no names")
        return [(str(name), member) for name, member in value.items()]
    name = column[4:].strip()
    if not name:
        raise ValueError("set. names no member")
    if isinstance(value, str):  # as on the command line: JSON where it is JSON, else the text itself
        with suppress(ValueError, RecursionError):
            value = json.loads(value, parse_constant=no_constant)
    return [(name, value)]


def _compare(rows: Sequence[Row]) -> None:
    """Ids and outputs that stand twice, and rows that take of one that is not there, or of each other in a circle."""
    ids: dict[str, Row] = {}
    outputs: dict[str, Row] = {}
    for row in rows:
        output = row.values.get("output")
        file = output if output and not output.endswith(("/", "\\")) else None
        for name, value, known in (("id", row.id, ids), ("output", file, outputs)):
            if value is not None and (first := known.setdefault(value, row)) is not row:
                row.wrong(f"the {name} {value} is that of line {first.line}, too", f"an {name} of its own")
    for row in rows:
        trail, at = {id(row)}, [ids[one] for one in row.taken if one in ids]
        while at:
            other = at.pop()
            if other is row:
                row.wrong("it waits for itself: rows take of each other in a circle", "a row that comes first")
                break
            if id(other) not in trail:
                trail.add(id(other))
                at += [ids[one] for one in other.taken if one in ids]


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Rows so that each comes after those it takes of; else as written. A circle stays as written."""
    by_id = {row.id: row for row in rows if row.id is not None}
    done: dict[int, Row] = {}
    for first in rows:
        stack = [first]
        seen: set[int] = set()
        while stack:
            row = stack[-1]
            seen.add(id(row))
            others = [by_id[one] for one in row.taken if one in by_id]
            before = [one for one in others if id(one) not in done and id(one) not in seen]
            if before:
                stack += before
            else:
                done.setdefault(id(row), row)
                stack.pop()
    return list(done.values())
