"""Reads a ``.env`` file: NAME=value lines, comments, ``export``, quotes; expands nothing."""

from __future__ import annotations

import re
from pathlib import Path

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables of ``path``, if it exists. Raises ``ValueError`` with the wrong line.

    Lines without a value are left out, so that a copy of ``.env.example`` changes nothing by
    itself.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise ValueError(f"{path}, line {number}: expected NAME=value")
        value = _unquote(match[2])
        if value:
            found[match[1]] = value
    return found


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return re.split(r"(?<!\s)\s+#", value, maxsplit=1)[0].strip() if not value.startswith("#") else ""
