"""Every reason why no other client version can be announced has words and advice."""

from __future__ import annotations

import ast

from bot_service.domain import version_problems
from tests.support.processes import ROOT


def reasons_in_code() -> set[str]:
    """The reasons that ``CopyError`` is raised with."""
    found: set[str] = set()
    for path in (ROOT / "bot_service/engines").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "CopyError":
                values = [each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)]
                found |= {value for value in values if isinstance(value, str)}
    return found


def test_every_reason_has_words_and_advice() -> None:
    # The last one is found by a worker and not by the copy.
    assert reasons_in_code() | {"not_loadable"} == set(version_problems.PROBLEMS)
    for problem in version_problems.PROBLEMS.values():
        assert problem.says
        assert problem.todo


def test_a_reason_that_is_not_known_is_shown_as_it_is() -> None:
    assert version_problems.sentence("not_seen_before").endswith(": not seen before")
