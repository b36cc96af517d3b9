"""YAML 1.2 scalars, the limits, and equality with the C loader where YAML 1.1 and 1.2 agree."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from videotasks.formats import yaml12

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16:9", "16:9"),
        ("9:16", "9:16"),
        ("1:1", "1:1"),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("NO", "NO"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("12", 12),
        ("-3", -3),
        ("+3", 3),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("3.1", 3.1),
        ("3.0.1", "3.0.1"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ('"12"', "12"),
        ("'true'", "true"),
        ("!!str 12", "12"),
        ("!!float 1", 1.0),
        ("=", "="),
        ("-", None),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("١٢", "١٢"),  # Arabic digits are no digits of the core schema
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    loaded = yaml12.load("v: " + text) if text != "-" else yaml12.load("-")
    expected = {"v": value} if text != "-" else [None]
    assert loaded == expected
    assert json.dumps(loaded) == json.dumps(expected)  # 1 == True == 1.0 in Python


def test_nan() -> None:
    loaded = yaml12.load(".nan")
    assert isinstance(loaded, float) and math.isnan(loaded)


def test_collections_anchors_and_merge() -> None:
    text = "base: &b {a: 1, l: [1, 2]}\nuse: {<<: *b, a: 2}\nmany: {<<: [{x: 1}, {x: 2, y: 3}], z: 0}\nlist: *b\n"
    assert yaml12.load(text) == {
        "base": {"a": 1, "l": [1, 2]},
        "use": {"a": 2, "l": [1, 2]},
        "many": {"z": 0, "x": 1, "y": 3},
        "list": {"a": 1, "l": [1, 2]},
    }
    assert yaml12.load('{"<<": 1}') == {"<<": 1}


def test_keys_are_native_or_text() -> None:
    text = "200: a\nnull: b\non: c\n1.0: d\n"
    assert yaml12.load(text) == {200: "a", None: "b", "on": "c", 1.0: "d"}
    assert yaml12.load(text, text_keys=True) == {"200": "a", "null": "b", "on": "c", "1.0": "d"}


def test_bytes_in_any_unicode_encoding() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert yaml12.load("a: ä 16:9".encode(encoding)) == {"a": "ä 16:9"}


def test_duplicate_keys_are_reported_and_the_last_wins() -> None:
    seen: list[tuple[str, int]] = []
    loaded = yaml12.load("a: 1\nb: 2\na: 3\n", on_duplicate=lambda key, line: seen.append((key, line)))
    assert loaded == {"a": 3, "b": 2}
    assert seen == [("a", 3)]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [1, 2", "line"),
        ("a: b: c", "line 1"),
        ("--- 1\n--- 2\n", "second document"),
        ("!!python/object/apply:os.system [echo]", "not supported"),
        ("!!python/name:os.system x", "not supported"),
        ("a: !Ref b", "not supported"),
        ("a: &x [*x]", "contains it"),
        ("a: *nowhere", "nowhere"),
        ("{<<: 3}", "<<"),
        ("{[1]: 2}", "plain value"),
        ("a: " + "9" * 5000, "5000 digits"),
        ("a: !!int abc", "not supported"),
        ("\x00", ""),
        (b"\xff\xfe\x00", ""),
    ],
)
def test_bad_documents_are_one_error(text: str | bytes, part: str) -> None:
    with pytest.raises(yaml12.YamlError) as caught:
        yaml12.load(text)
    assert part in str(caught.value)
    assert str(caught.value)


def test_depth_limit_is_exact() -> None:
    assert yaml12.load("[" * 100 + "]" * 100) is not None
    with pytest.raises(yaml12.YamlError, match="deeper than 100"):
        yaml12.load("[" * 101 + "]" * 101)


def test_thirty_thousand_brackets_do_not_kill_the_process() -> None:
    """The C loader ends with signal 11 on this text, so it runs in a child."""
    code = (
        "from videotasks.formats import yaml12\n"
        "try:\n    yaml12.load('[' * 30000)\n"
        "except yaml12.YamlError as exc:\n    print('ok', exc)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and done.stdout.startswith("ok")


def test_alias_limits() -> None:
    assert yaml12.load("[&a 1" + ", *a" * 1000 + "]") == [1] * 1001
    with pytest.raises(yaml12.YamlError, match="1000 aliases"):
        yaml12.load("[&a 1" + ", *a" * 1001 + "]")


def test_billion_laughs_needs_few_aliases_and_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(yaml12.YamlError, match="aliases add more"):
        yaml12.load("\n".join(lines))


def test_pure_parser_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: [1, 16:9, on]\nb: &x {c: 'd'}\ne: *x\n"
    with_c = yaml12.load(text)
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert yaml12.load(text) == with_c
    with pytest.raises(yaml12.YamlError, match="deeper"):
        yaml12.load("[" * 30000)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_what_yaml_dumps_comes_back(value: object) -> None:
    """Dumped with every string quoted, so that 1.1 and 1.2 must agree."""
    text = yaml.dump(value, default_style='"', allow_unicode=True)
    assert yaml12.load(text) == value


@given(st.text(alphabet="[]{}&*!:-,?<>|'\"#%@ \n\tab01.~", max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        value = yaml12.load(text)
    except yaml12.YamlError as problem:
        assert str(problem)
    else:
        assert value is None or isinstance(value, (bool, int, float, str, list, dict))


def test_lines_of_members() -> None:
    text = "a: 1\nb:\n  c: {d: [x, y]}\n  e:\n    - f: 1\n    - g\n"
    found = yaml12.lines(text)
    assert found == {
        ("a",): 1,
        ("b",): 2,
        ("b", "c"): 3,
        ("b", "c", "d"): 3,
        ("b", "c", "d", 0): 3,
        ("b", "c", "d", 1): 3,
        ("b", "e"): 4,
        ("b", "e", 0): 5,
        ("b", "e", 0, "f"): 5,
        ("b", "e", 1): 6,
    }
