"""Every test states what it proves: an assertion of its own, or a call of a helper that asserts."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.support.processes import ROOT

Function = ast.FunctionDef | ast.AsyncFunctionDef
# What fails a test by itself, by the last part of its name.
_ASSERTING = {"raises", "warns", "fail", "expect", "approx"}


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def called(function: Function) -> set[str]:
    """The last parts of the names of everything called, also by the functions within."""
    names = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                names.add(node.func.attr)
            elif isinstance(node.func, ast.Name):
                names.add(node.func.id)
    return names


def asserts(function: Function) -> bool:
    """Whether it has an ``assert``, ``raise AssertionError``, ``pytest.raises`` and the like."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Raise) and node.exc is not None and "AssertionError" in ast.unparse(node.exc):
            return True
    return bool(called(function) & _ASSERTING)


def unproving(trees: dict[str, ast.Module], product: frozenset[str] = frozenset()) -> list[str]:
    """``file::test`` of every test that asserts neither by itself nor by helpers.

    Helpers are known by their names; those of ``product`` could be a call of the program, so they prove nothing.
    """
    everything = [function for tree in trees.values() for function in functions(tree) if function.name not in product]
    proving = {function.name for function in everything if asserts(function) and not function.name.startswith("test_")}
    while True:
        more = {
            function.name
            for function in everything
            if not function.name.startswith("test_") and function.name not in proving and called(function) & proving
        }
        if not more:
            break
        proving |= more
    return [
        f"{path}::{function.name}"
        for path, tree in sorted(trees.items())
        for function in functions(tree)
        if function.name.startswith("test_") and not asserts(function) and not called(function) & proving
    ]


def trees(package: str) -> dict[str, ast.Module]:
    paths = sorted((ROOT / package).rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def test_every_test_asserts_something() -> None:
    programs = [tree for package in ("bot_service", "watchdog", "shared") for tree in trees(package).values()]
    product = frozenset(function.name for tree in programs for function in functions(tree))
    assert unproving(trees("tests"), product) == []


@pytest.mark.parametrize(
    ("body", "proves"),
    [
        ("assert 1", True),
        ("with pytest.raises(ValueError): int('x')", True),
        ("helper()", True),
        ("by_another()", True),
        ("expect(page).to_be_visible()", True),
        ("int('1')", False),
        ("harmless()", False),
    ],
)
def test_a_test_without_an_assertion_is_found(body: str, proves: bool) -> None:
    helpers = "def helper():\n    assert 1\ndef by_another():\n    helper()\ndef harmless():\n    int('1')\n"
    tree = ast.parse(f"{helpers}def test_it():\n    {body}\n")
    assert unproving({"t.py": tree}) == ([] if proves else ["t.py::test_it"])
