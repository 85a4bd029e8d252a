"""Every test states what it proves: an assertion of its own, or a call of a helper that asserts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.processes import ROOT

Function = ast.FunctionDef | ast.AsyncFunctionDef
# What fails a test by itself, by the last part of its name.
_ASSERTING = {"raises", "warns", "fail", "expect", "approx"}


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def proof(function: Function) -> tuple[bool, set[str]]:
    """(whether it has an ``assert``, ``raise AssertionError``, ``pytest.raises`` and the like, all that it calls).

    Calls are named by the last parts of their names; those of the functions within count too.
    """
    itself, names = False, set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                names.add(node.func.attr)
            elif isinstance(node.func, ast.Name):
                names.add(node.func.id)
        elif isinstance(node, ast.Assert) or (
            isinstance(node, ast.Raise) and node.exc is not None and "AssertionError" in ast.unparse(node.exc)
        ):
            itself = True
    return itself or bool(names & _ASSERTING), names


def unproving(trees: dict[str, ast.Module], product: frozenset[str] = frozenset()) -> list[str]:
    """``file::test`` of every test that asserts neither by itself nor by helpers.

    Helpers are known by their names; those of ``product`` could be a call of the program, so they prove nothing.
    """
    found = [
        (path, function.name, *proof(function)) for path, tree in sorted(trees.items()) for function in functions(tree)
    ]
    helpers = [each for each in found if not each[1].startswith("test_") and each[1] not in product]
    proving = {name for _, name, itself, _ in helpers if itself}
    while more := {name for _, name, _, calls in helpers if name not in proving and calls & proving}:
        proving |= more
    return [
        f"{path}::{name}"
        for path, name, itself, calls in found
        if name.startswith("test_") and not itself and not calls & proving
    ]


def trees(package: str) -> dict[str, ast.Module]:
    paths = sorted((ROOT / package).rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def test_every_test_asserts_something() -> None:
    texts = (
        path.read_text() for package in ("bot_service", "watchdog", "shared") for path in (ROOT / package).rglob("*.py")
    )
    product = frozenset(name for text in texts for name in re.findall(r"^ *(?:async )?def (\w+)", text, re.M))
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
