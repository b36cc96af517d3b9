"""The project's own code as text and as trees, for tests of how it is written."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
SCRIPTS = REPO / "scripts"


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


def mentions(path: Path, *words: str) -> bool:
    """Whether the text has one of the words: what it does not mention needs no tree, which takes a hundred times."""
    return any(word in text_of(path) for word in words)


def dotted(node: ast.AST) -> str:
    """`sys.stdout` for such an expression, "" for any other: a tenth of the time of `ast.unparse`."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def by_name(paths: list[Path]) -> Callable[[Callable[[Path], None]], Callable[[], None]]:
    """Makes one test of a check of many files: a test a file, 1,500 of them, costs more than all the checks."""

    def decorate(check: Callable[[Path], None]) -> Callable[[], None]:
        def test() -> None:
            assert paths
            wrong = {}
            for path in paths:
                try:
                    check(path)
                except AssertionError as problem:
                    wrong[path.relative_to(REPO).as_posix()] = str(problem)
            assert not wrong, "\n".join(f"{name}: {problem}" for name, problem in wrong.items())

        test.__doc__ = check.__doc__
        return test

    return decorate
