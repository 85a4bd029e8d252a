"""The version of Veilleur: the only place that holds it.

``pyproject.toml`` reads it from here, because images and ``make up`` run from a source tree
without an installation and without ``pyproject.toml`` (decision 0087).
"""

from __future__ import annotations

VERSION = "0.2.0"


def installed_version() -> str:
    """Returns the version, which logs, ``/metrics`` and the API report."""
    return VERSION
