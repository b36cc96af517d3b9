"""The quick evaluation of plain paths equals jmespath's; nothing raises on odd bodies."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videotasks.formats import jmespath_eval

BODIES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "x", "https://e.example"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
STEP = st.sampled_from(["", "[]", "[0]", "[1]", "[][]", "[][0]", "[0][]"])
PLAIN = st.lists(st.tuples(st.sampled_from("abc"), STEP), min_size=1, max_size=4).map(
    lambda steps: ".".join(name + step for name, step in steps)
)


@given(PLAIN, BODIES)
def test_plain_paths_equal_jmespath(path: str, body: Any) -> None:
    assert jmespath_eval.PLAIN.match(path)
    assert jmespath_eval.evaluate(path, body) == jmespath.search(path, body)


@given(BODIES)
def test_functions_on_wrong_types_are_null(body: Any) -> None:
    for path in ("join(', ', a)", "a[].join('.', b)", "length(a)", "map(&to_number(@), a)", "a.*", "a || b", "sum(a)"):
        try:
            expected = jmespath.search(path, body)
        except jmespath.exceptions.JMESPathError:
            expected = None
        assert jmespath_eval.evaluate(path, body) == expected


def test_candidates_in_order() -> None:
    body = {"a": "", "b": ["", "x", 5, "y"], "c": " ", "d": {"e": "z"}, "n": 0}
    assert jmespath_eval.first_string(["missing", "a", "c", "b", "d.e"], body) == "x"
    assert jmespath_eval.first_value(["missing", "n", "a"], body) == 0
    assert jmespath_eval.first_string(["a", "n"], body) is None
    assert jmespath_eval.values("n", body) == [0]


@pytest.mark.parametrize("broken", ["a b(", "((", "a.", "", "[", "a[", "&"])
def test_broken_expressions(broken: str) -> None:
    with pytest.raises(jmespath_eval.PathError):
        jmespath_eval.evaluate(broken, {})


@pytest.mark.parametrize("path", ["a.b", "a[0].b", "a || b", "!(a.b)", "a && !b", "join(', ', a)", "sum([a, b])"])
def test_a_sound_expression_passes_the_check(path: str) -> None:
    jmespath_eval.check(path)


@pytest.mark.parametrize("path", ["a[", "lower(a)", "join(a)", "!a.b", "a && (!b.c || d)", "[?nope(@)]", "sort_by(a)"])
def test_an_expression_that_would_give_nothing_for_ever_does_not(path: str) -> None:
    with pytest.raises(jmespath_eval.PathError):
        jmespath_eval.check(path)
