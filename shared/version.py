"""Says which version of Veilleur this is."""

from __future__ import annotations

from importlib import metadata


def installed_version() -> str:
    """The version of the installed project, or of the source tree when it runs uninstalled."""
    try:
        return metadata.version("veilleur")
    except metadata.PackageNotFoundError:
        return "0.1.0"
