"""The threat model's promises: each names tests that exist."""

from __future__ import annotations

import re

from tests.support.processes import ROOT

PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")


def test_every_promise_names_tests_that_exist() -> None:
    existing = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
    }
    promises = re.findall(r"^\| (?!promise|---|who)(.+?) \| (`test_.+?) \|$", PAGE, re.M)
    assert len(promises) >= 20
    for promise, tests in promises:
        named = set(re.findall(r"`(test_\w+)`", tests))
        assert named
        assert named <= existing, f"{promise}: {named - existing}"
