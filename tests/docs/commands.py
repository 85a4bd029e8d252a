"""Takes the commands out of the documents: blocks marked ``sh``, line by line, and ``veilleur …`` inside sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)
_INLINE = re.compile(r"`((?:\.venv/bin/)?veilleur [^`]+)`")

# First words of commands that need what a test machine does not have, and what that is. They are parsed, not run;
# tests/system/compose.sh and tests/deploy run Docker's and Railway's for real.
ELSEWHERE = {
    "docker": "a Docker engine",
    "railway": "an account at Railway",
    "pip": "a package index",
    "git": "a remote repository",
    "$EDITOR": "a person",
    "kubectl": "a cluster; test_kubernetes.py holds the manifests against its schemas",
    "chmod": "the files of a backup",
    **dict.fromkeys(
        ("useradd", "install", "mv", "chown", "systemctl", "/opt/veilleur/.venv/bin/python"),
        "root on a machine of its own: test_systemd_commands.py runs it",
    ),
    "journalctl": "systemd's journal",
}
# Targets of make that install from a package index, or that run all tests: .ci/run and the tests of the Makefile do.
HEAVY = ("make venv", "make check", "make docs", "make test", "make -C", "make install")
# A domain with TLS; tests/deploy runs the proxies in front of a bot.
DOMAIN = "bot.example.com", "status.example.com"


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it stands. ``needs`` says why it is not run here, empty when it is."""

    file: str
    text: str
    needs: str


def blocks(path: Path, heading: str = "") -> list[list[Command]]:
    """The commands of every block, lines continued with a backslash joined as a shell joins them.

    With ``heading`` only those of its part, see :func:`below`.
    """
    found = []
    for match in _BLOCK.finditer(below(path, heading) if heading else path.read_text(encoding="utf-8")):
        joined = re.sub(r"\\\n\s*", " ", match[1])
        found.append([Command(path.name, line, _needs(line)) for line in joined.splitlines() if line.strip()])
    return found


def inline(path: Path) -> Iterator[str]:
    """``veilleur …`` as sentences name it, without what is only an ellipsis."""
    for match in _INLINE.finditer(path.read_text(encoding="utf-8")):
        yield match[1].removeprefix(".venv/bin/")


def _needs(line: str) -> str:
    if line.startswith(HEAVY):
        return "a package index, or the whole suite"
    if line.startswith("curl") and any(f"https://{name}" in line for name in DOMAIN):
        return "a domain with TLS"
    words = [word for word in line.split() if "=" not in word]
    if words[0] == "/opt/veilleur/.venv/bin/veilleur":
        return ELSEWHERE["systemctl"]
    return ELSEWHERE.get(words[0], "")


def below(path: Path, heading: str) -> str:
    """The part of a document from the line ``heading`` to the next heading of the same level."""
    text = path.read_text(encoding="utf-8")
    level = heading.split()[0]
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^{level} |\Z)", text, re.M | re.S)
    if found is None:
        raise LookupError(f"{path.name} has no {heading!r}")
    return found[1]
