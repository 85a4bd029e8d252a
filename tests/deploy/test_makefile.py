"""What a person sees of ``make up``: progress, never the commands that install."""

from __future__ import annotations

import re

import pytest

from tests.support.processes import ROOT

RECIPES = dict(
    re.findall(r"^([$(A-Za-z][^:\n]*):[^=\n]*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
)


@pytest.mark.parametrize("target", ["$(VENV)/.runs", "$(VENV)/.tests", "install", "up"])
def test_the_commands_of_an_installation_are_not_shown(target: str) -> None:
    lines = [line for line in re.sub(r"\\\n\t*", " ", RECIPES[target]).splitlines() if line.strip()]
    assert lines
    assert [line for line in lines if not re.match(r"\t-?@", line)] == []
