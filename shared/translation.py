"""Marks texts for translation and reads the gettext catalogues below ``locale/``."""

from __future__ import annotations

import gettext
from functools import cache
from pathlib import Path

ENGLISH = gettext.NullTranslations()


def N_(text: str) -> str:
    """``text`` itself. Marks a text that is translated later, for ``make translations``."""
    return text


@cache
def french(*folders: Path) -> gettext.NullTranslations:
    """The French catalogues of ``folders``; the first that has a text wins. Raises ``OSError``."""
    first, *others = (gettext.translation("messages", folder / "locale", ["fr"]) for folder in folders)
    for other in others:
        first.add_fallback(other)
    return first
