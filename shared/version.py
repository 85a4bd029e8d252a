"""Says which version of Veilleur this is: that of ``pyproject.toml``."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path


def installed_version() -> str:
    """The version in the project file beside this package (a clone, an image), else that of the installed wheel."""
    try:
        project = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return metadata.version("veilleur")
    found = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    return found[1] if found else "unknown"
