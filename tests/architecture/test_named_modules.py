"""Modules, classes and files that comments and docstrings name exist."""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("bot_service", "watchdog", "shared")
_DOTTED = re.compile(r"(?<![\w./])[a-z_]\w*(?:\.\w+)+")
_FILE = re.compile(r"(?<![\w*<>{}./])(?:\w+/)*\w+\.(?:py|sql)\b(?!\w)")


@lru_cache(maxsize=1)
def tracked() -> tuple[str, ...]:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    return tuple(name for name in listed.stdout.decode().splitlines() if (ROOT / name).exists())


def prose(name: str) -> Iterator[str]:
    """The comments and docstrings of a file."""
    text = (ROOT / name).read_text()
    if name.endswith(".sql"):
        yield from re.findall(r"--.*", text)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.string.startswith('"""')):
            yield token.string


def exists(dotted: str) -> bool:
    """Whether ``dotted`` is a module or package, or a name in one."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:end])
        source = place.with_suffix(".py") if place.with_suffix(".py").exists() else place / "__init__.py"
        if place.is_dir() and end == len(parts):
            return True
        if source.exists() and end < len(parts):
            return re.search(rf"^\s*(?:(?:async )?def |class )?{parts[end]}\b", source.read_text(), re.M) is not None
        if source.exists():
            return True
    return False


def missing(name: str, text: str) -> list[str]:
    """The names in ``text`` of ``name`` that lead nowhere."""
    program = name.split("/")[0]
    subpackages = {path.name for path in (ROOT / program).iterdir() if path.is_dir()}
    found = []
    for dotted in _DOTTED.findall(text):
        first = dotted.split(".")[0]
        if dotted.endswith((".py", ".sql")):
            continue
        if (first in PROGRAMS and not exists(dotted)) or (
            first in subpackages - set(PROGRAMS) and not exists(f"{program}.{dotted}")
        ):
            found.append(dotted)
    found += [file for file in _FILE.findall(text) if not any(f"/{known}".endswith(f"/{file}") for known in tracked())]
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_module_that_a_comment_names_exists(program: str) -> None:
    wrong = {
        (name, named)
        for name in tracked()
        if name.startswith(f"{program}/") and name.endswith((".py", ".sql"))
        for text in prose(name)
        for named in missing(name, text)
    }
    assert wrong == set()


def test_a_module_that_does_not_exist_is_found() -> None:
    text = "JSON of domain.health.TargetState, see watchdog.ledger.rows and ``ledger/story.py``"
    assert missing("watchdog/app.py", text) == ["domain.health.TargetState", "watchdog.ledger.rows", "ledger/story.py"]
    text = "JSON of watchdog.domain.target.TargetState, domain.health.fold, ``ledger/outbox.py``"
    assert missing("watchdog/app.py", text) == []
