"""Refuses words that readers of English as a second language do not expect in technical text.

Usage: ``python .ci/plain_english.py``. Reads the tracked text files of CHECKED and prints
``file:line`` with what to write instead. Exit code 1 when it finds something.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CHECKED = ("bot_service", "watchdog", "shared", "docs", "README.md", "CHANGELOG.md", "SECURITY.md")

INSTEAD = {
    "hands": "the part by its name (effect runner, worker), or: passes, gives",
    "told": "notified, reported, alerted",
    "tells": "says, shows, reports, notifies",
    "wish": "what is wanted, request",
    "wishes": "what is wanted, requests",
    "anew": "again, new",
    "nobody": "no one, or name the part: no caller, no worker",
    "breath": "pause, yield to the event loop",
    "desk": "context",
    "rung": "step",
    "meanwhile": "during this time, at the same time",
    "whose": "two sentences, or: with, that has",
    "of ours": "Veilleur's, or name the part",
    "what is no": "data that is not",
    "gives way": "lowers its priority, yields",
}
_WORDS = re.compile(r"\b(" + "|".join(re.escape(word) for word in INSTEAD) + r")\b", re.IGNORECASE)


class Allowed(NamedTuple):
    """A real use: ``phrase`` is a regular expression around the word, ``reason`` says why it stays."""

    phrase: str
    reason: str


ALLOWED = (
    Allowed(r"acts: nobody", "the API's value for who must act"),
    Allowed(r"[\"'`]nobody[\"'`]", "the API's value for who must act"),
    Allowed(r"[\"`]rung(_ms)?[\"`]|^    rung: int$", "the name of a field in stored session records and in the API"),
    Allowed(r"(\bNOBODY = |Actor\.NOBODY|\bA\.NOBODY)", "the name of that value in the code"),
)
_ALLOWED = [re.compile(allowed.phrase) for allowed in ALLOWED]


class Finding(NamedTuple):
    """One refused word. ``line`` counts from 1."""

    line: int
    word: str


def findings(text: str) -> Iterator[Finding]:
    """Yields every refused word of ``text`` that no allowed phrase covers."""
    for number, line in enumerate(text.splitlines(), start=1):
        spans = [match.span() for pattern in _ALLOWED for match in pattern.finditer(line)]
        for match in _WORDS.finditer(line):
            if not any(begin <= match.start() and match.end() <= end for begin, end in spans):
                yield Finding(number, match[0].lower())


def tracked() -> Iterator[Path]:
    """Yields the tracked files of CHECKED that are text."""
    listed = subprocess.run(["git", "ls-files", "-z", *CHECKED], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.suffix not in {".png", ".lock", ".mo"} and path.is_file():
            yield path


def main() -> int:
    """Prints the findings of all files; returns the exit code."""
    found = 0
    for path in tracked():
        for finding in findings(path.read_text(encoding="utf-8")):
            found += 1
            place = f"{path.relative_to(ROOT)}:{finding.line}"
            sys.stdout.write(f'{place}: "{finding.word}": write instead: {INSTEAD[finding.word]}\n')
    if found:
        sys.stdout.write(
            f"{found} words to replace. A real use goes into ALLOWED in {Path(__file__).name}, with a reason.\n"
        )
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
