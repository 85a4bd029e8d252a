"""Marks texts for translators and reads the translations of a package, as gettext catalogues below ``locale/``."""

from __future__ import annotations

import gettext
from functools import cache
from pathlib import Path

ENGLISH = gettext.NullTranslations()


def N_(text: str) -> str:
    """``text`` itself. The call marks a text that is translated where it is shown, for ``make translations``."""
    return text


@cache
def french(*folders: Path) -> gettext.NullTranslations:
    """The French catalogue of each of ``folders``, the first that has a text wins. Raises ``OSError``."""
    first, *others = (gettext.translation("messages", folder / "locale", ["fr"]) for folder in folders)
    for other in others:
        first.add_fallback(other)
    return first
