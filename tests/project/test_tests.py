"""What holds for the tests themselves: each can fail, and none knows what a module keeps to itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from support.sources import tree_of

TESTS = Path(__file__).resolve().parents[1]
OF_NAMED_TUPLES = {"_replace", "_asdict", "_fields", "_make"}  # public, so spelled lest a field has the name
ASSERTING = {"raises", "fail"}  # of pytest; helpers of ours that assert are found below


def trees() -> dict[str, ast.Module]:
    return {path.relative_to(TESTS).as_posix(): tree_of(path) for path in sorted(TESTS.rglob("*.py"))}


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def can_fail(function: ast.AST, helpers: set[str]) -> bool:
    return not helpers.isdisjoint(what_fails(function))


@cache
def what_fails(function: ast.AST) -> frozenset[str]:
    """Names of what it calls; an assertion of its own counts as a call of pytest.fail."""
    nodes = list(ast.walk(function))
    own = {"fail"} if any(isinstance(node, (ast.Assert, ast.Raise)) for node in nodes) else set()
    return frozenset(own | {name_of(node) for node in nodes if isinstance(node, ast.Call)})


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def without_assertion() -> list[str]:
    every = [(file, function) for file, tree in trees().items() for function in functions(tree)]
    helpers, before = set(ASSERTING), 0
    while len(helpers) != before:
        before = len(helpers)
        helpers |= {each.name for _, each in every if not each.name.startswith("test_") and can_fail(each, helpers)}
    return [
        f"{file}: {each.name}" for file, each in every if each.name.startswith("test_") and not can_fail(each, helpers)
    ]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in OF_NAMED_TUPLES


def private_names(tree: ast.Module) -> Iterator[str]:
    """Private names of others: read, imported, or patched."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")) and not (
                isinstance(node.value, ast.Call) and name_of(node.value) == "super"
            ):
                yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}" for each in node.names if is_private(each.name))
        elif isinstance(node, ast.Call) and name_of(node) in ("setattr", "delattr", "getattr"):
            words = [each.value for each in node.args[:2] if isinstance(each, ast.Constant)]
            yield from (word for word in words if isinstance(word, str) and is_private(word.rpartition(".")[2]))


@pytest.mark.slow
def test_every_test_can_fail() -> None:
    assert without_assertion() == []


@pytest.mark.slow
def test_no_test_knows_a_private_name() -> None:
    """What a test needs is public or is tested by what it does: a private name may change without a word."""
    assert [f"{file}: {name}" for file, tree in trees().items() for name in private_names(tree)] == []


def test_the_rules_would_see_a_breach() -> None:
    code = "import m\nfrom m import _a\nm._b\nmonkeypatch.setattr(m, '_c', 1)\nself._d\nsuper()._e()\nm.__version__"
    assert sorted(private_names(ast.parse(code))) == ["_c", "m._a", "m._b"]
    assert not can_fail(ast.parse("def test_x(): read()"), {"fail", "checked"})
    assert can_fail(ast.parse("def test_x(): checked()"), {"checked"})
