"""The threat model's promises: each names tests that exist and assert something."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.processes import ROOT

PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Function):
            yield node


def _called(function: Function) -> set[str]:
    """The last names of all that a function calls: ``pytest.raises`` is ``raises``."""
    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    attributes = {call.attr for call in calls if isinstance(call, ast.Attribute)}
    return attributes | {call.id for call in calls if isinstance(call, ast.Name)}


def _asserting() -> tuple[dict[str, Function], set[str]]:
    """All test functions by name, and the names of all functions of the tests that assert, themselves or by what they call."""
    functions = [function for path in (ROOT / "tests").rglob("*.py") for function in _functions(path)]
    asserting = {"raises", "eventually", "fail"} | {
        function.name for function in functions if any(isinstance(node, ast.Assert) for node in ast.walk(function))
    }
    return {function.name: function for function in functions if function.name.startswith("test_")}, asserting


def test_every_promise_names_tests_that_exist_and_assert() -> None:
    tests, asserting = _asserting()
    promises = re.findall(r"^\| (?!promise|---|who)(.+?) \| (`test_.+?) \|$", PAGE, re.M)
    assert len(promises) >= 20
    for promise, cell in promises:
        named = set(re.findall(r"`(test_\w+)`", cell))
        assert named
        assert named <= tests.keys(), f"{promise}: {named - tests.keys()}"
        silent = {name for name in named if name not in asserting and not _called(tests[name]) & asserting}
        assert not silent, f"{promise}: {silent} assert nothing"
