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


# What others send, keys, owners and secrets: each has to be a promise of the page, however it is worded.
SUBJECTS = (
    "Retry-After", "costs bounded memory and time", "nothing is unpacked", "Name servers that do not answer", "apprise run in a process",
    "No request body is decompressed", "Large bodies and headers", "Heads, bodies and idle connections", "Connections are limited",
    "Health checks, heartbeats and metrics are answered", "No attack without a key", "100 Continue", "A log that is not read",
    "One cause cannot flood the log", "Names and texts of people are data", "hostile headers, queries, paths, JSON or forms",
    "/metrics fail", "redact or to match", "replays the event stream", "hides no message", "the database cannot hold",
    "What came from a key ends with it", "Signing out ends the login on the server", "share of event streams", "Wrong keys are slowed",
    "login links and origin checks follow", "deleted session belong to no one", "new owner does not see", "Which ids of sessions",
    "status page's cookie is not the token", "`WATCHDOG_TOKEN` is never sent", "A secret is one line of text",
    "Other users cannot write to the folders", "A worker process gets only", "Only the program's own user can read",
    "Keys are read from headers", "compared in constant time", "A form from another site", "redirects to another host",
    "only public addresses",
)  # fmt: skip


def test_every_subject_has_a_promise() -> None:
    promises = re.findall(r"^\| (?!promise|---|who)(.+?) \| `test_", PAGE, re.M)
    missing = [subject for subject in SUBJECTS if not any(subject in promise for promise in promises)]
    assert missing == []


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
