"""Marks texts for translation and finds the gettext catalogues below ``locale/``."""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ENGLISH = gettext.NullTranslations()


def N_(text: str) -> str:
    """``text`` itself. Marks a text that is translated later, for ``make translations``."""
    return text


@cache
def languages(*folders: Path) -> Mapping[str, gettext.NullTranslations]:
    """English and each language with a catalogue in all ``folders``, by its tag for HTML (``pt-BR`` for ``pt_BR``).

    The first folder that has a text wins. Raises ``OSError``.
    """
    found = [{file.parts[-3] for file in folder.glob("locale/*/LC_MESSAGES/messages.mo")} for folder in folders]
    names = sorted(set.intersection(*found))
    return {"en": ENGLISH} | {name.replace("_", "-"): _catalogue(name, folders) for name in names}


def _catalogue(name: str, folders: tuple[Path, ...]) -> gettext.NullTranslations:
    first, *others = (gettext.translation("messages", folder / "locale", [name]) for folder in folders)
    for other in others:
        first.add_fallback(other)
    return first
