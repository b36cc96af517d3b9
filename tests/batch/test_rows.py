"""Batch files in all three forms come to the same rows, and what is wrong is told with its line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videotasks.batch.rows import COLUMNS, Row, column_of, in_order, read_rows
from videotasks.core.errors import TaskError


def told(rows: list[Row]) -> list[tuple[int, dict[str, Any]]]:
    return [(row.line, {k: v for k, v in row.values.items() if k != "take"}) for row in rows]


def problems(rows: list[Row]) -> list[tuple[int, str]]:
    return [(row.line, problem["message"]) for row in rows for problem in row.problems]


CSV = "id,prompt,duration,last_frame,set.camera\na,a boat,4,end.png,true\nb,a kite,,,\n"
LINES = """{"id": "a", "prompt": "a boat", "duration": 4, "last_frame": "end.png", "set.camera": true}
{"id": "b", "prompt": "a kite"}
"""
YAML = """rows:
  - {id: a, prompt: a boat, duration: 4, last_frame: end.png, set: {camera: true}}
  - id: b
    prompt: a kite
"""
A = {"id": "a", "prompt": "a boat", "media": [("image", "last_frame", "end.png")], "set": [("camera", True)]}


@pytest.mark.parametrize(
    ("text", "form", "lines"),
    [
        (CSV, "csv", (2, 3)),
        (CSV, None, (2, 3)),
        (CSV.replace(",", ";"), None, (2, 3)),
        (CSV.replace(",", "\t"), "tsv", (2, 3)),
        ("sep=;\n" + CSV.replace(",", ";"), "csv", (3, 4)),
        (CSV.replace("\n", "\r\n"), None, (2, 3)),
        (LINES, "jsonl", (1, 2)),
        (LINES, None, (1, 2)),
        (YAML, "yaml", (2, 3)),
        (YAML, None, (2, 3)),
        (json.dumps([json.loads(line) for line in LINES.splitlines()], indent=1), "json", (2, 9)),
    ],
)
def test_every_form_comes_to_the_same_rows(text: str, form: str | None, lines: tuple[int, int]) -> None:
    first, second = told(read_rows(text, form))
    assert first[0] == lines[0] and second == (lines[1], {"id": "b", "prompt": "a kite"})
    assert str(first[1].pop("duration")) == "4" and first[1] == A


def test_a_quoted_cell_over_lines_keeps_the_line_of_its_row() -> None:
    rows = read_rows('prompt,id\n"a boat,\nin ""rain""",a\na kite,b\n', "csv")
    assert [(row.line, row.values["prompt"]) for row in rows] == [(2, 'a boat,\nin "rain"'), (4, "a kite")]


def test_defaults_give_way_to_the_command_line_and_both_to_a_row() -> None:
    text = "defaults: {duration: 4, ratio: '16:9', model: m}\nrows:\n  - {prompt: a, duration: 6}\n  - prompt: b\n"
    first, second = read_rows(text, "yaml", ["duration=8", "ratio=9:16"])
    assert (first.values["duration"], second.values["duration"]) == (6, "8")
    assert first.values["ratio"] == "9:16" and first.values["model"] == "m"


def test_a_matrix_crosses_rows() -> None:
    text = "matrix: {model: [m, n], duration: [4, 8]}\nrows: [{id: boat, prompt: a boat}]\n"
    rows = read_rows(text, "yaml")
    assert [row.id for row in rows] == ["boat-1", "boat-2", "boat-3", "boat-4"]
    assert [tuple(row.matrix.values()) for row in rows] == [("m", 4), ("m", 8), ("n", 4), ("n", 8)]
    alone = read_rows("matrix: {prompt: [a, b]}\n", "yaml")
    assert [row.values["prompt"] for row in alone] == ["a", "b"]
    assert "in the row and in the matrix" in problems(read_rows(text.replace("a boat}", "a, model: x}"), "yaml"))[0][1]


def test_repeated_columns_are_options_given_twice() -> None:
    (row,) = read_rows("prompt,reference,reference\na,x.png,y.png\n", "csv")
    assert row.media == [("image", "reference", "x.png"), ("image", "reference", "y.png")]
    assert problems(read_rows("prompt,prompt\na,b\n", "csv"))


@pytest.mark.parametrize(
    ("text", "form", "line", "words"),
    [
        ("prompt,duration\na\nb,4,extra\n", "csv", 3, "more cells"),
        ('prompt\n"a boat\n', "csv", 2, "no CSV"),
        ('{"prompt": "a"}\n{"prompt": \n', "jsonl", 2, "no JSON"),
        ('{"prompt": "a", "prompt": "b"}\n', "jsonl", 1, "twice"),
        ('{"prompt": "a", "seed": NaN}\n', "jsonl", 1, "NaN"),
        ("[1]\n", "jsonl", 1, "no JSON object"),
        ("- prompt: a\n- a boat\n", "yaml", 2, "no mapping"),
        ('{"promt": "a"}\n', "jsonl", 1, "did you mean prompt"),
        ('{"prompt": "a", "take": 0}\n', "jsonl", 1, "take"),
        ('{"prompt": "a", "take": "two"}\n', "jsonl", 1, "take"),
        ('{"prompt": "a", "id": "a b"}\n', "jsonl", 1, "no id"),
        ('{"prompt": ["a"]}\n', "jsonl", 1, "prompt is a list"),
        ('{"prompt": "a", "image": 5}\n', "jsonl", 1, "image is no file"),
        ('{"prompt": "a", "id": "x"}\n{"prompt": "b", "id": "x"}\n', "jsonl", 2, "that of line 1"),
        ('{"prompt": "a", "output": "x"}\n{"prompt": "b", "output": "x"}\n', "jsonl", 2, "that of line 1"),
        (
            '{"prompt": "a", "id": "x", "image": "@y"}\n{"prompt": "b", "id": "y", "image": "@x"}\n',
            "jsonl",
            1,
            "circle",
        ),
    ],
)
def test_what_is_wrong_with_a_row_is_told_with_its_line(text: str, form: str, line: int, words: str) -> None:
    found = problems(read_rows(text, form))
    assert any(at == line and words in message for at, message in found), found


@pytest.mark.parametrize(
    ("text", "form", "words"),
    [
        ("", None, "no row"),
        ("prompt,lenght\na,4\n", "csv", "did you mean"),
        ("prompts:\n  - a\n", "yaml", "does not look like this"),
        ("rows: {a: b}\n", "yaml", "`rows` is a list"),
        ("rows: [\n", "yaml", "no YAML"),
        ("- {prompt: a, prompt: b}\n", "yaml", "twice"),
        ("matrix: {output: [a, b]}\n", "yaml", "not crossed"),
        (
            "matrix: {prompt: [" + ",".join("abcdefghijk") + "], seed: " + str(list(range(1001))) + "}\n",
            "yaml",
            "11,011",
        ),
    ],
)
def test_what_is_wrong_with_the_file_is_told_at_once(text: str, form: str | None, words: str) -> None:
    with pytest.raises(TaskError, match=words):
        read_rows(text, form)


def test_columns_are_the_options_by_their_own_names() -> None:
    assert column_of("--aspect-ratio") == "ratio" and column_of("Last Frame") == "last_frame"
    assert column_of("set.Camera_Fixed") == "set.Camera_Fixed"
    assert all(column_of(name) == name for name in COLUMNS)
    (row,) = read_rows("#mine,prompt\nwhatever,a\n", "csv")
    assert row.values["prompt"] == "a"


def test_rows_come_after_those_that_they_take_of() -> None:
    rows = read_rows("- {id: c, image: '@b'}\n- {id: b, image: '@a.last_frame'}\n- {id: a}\n- {id: z}\n", "yaml")
    assert [row.id for row in in_order(rows)] == ["a", "b", "c", "z"]
    assert rows[1].taken == ["a"]


@given(st.text(max_size=300), st.sampled_from([None, "csv", "jsonl", "yaml"]))
def test_no_text_breaks_the_reading(text: str, form: str | None) -> None:
    try:
        rows = read_rows(text, form)
    except TaskError:
        return
    assert all(isinstance(row, Row) for row in in_order(rows))
