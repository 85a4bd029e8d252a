"""The translators' files of every package with pages, and words in one language."""

from __future__ import annotations

from pathlib import Path

from babel.messages import pofile
from babel.messages.catalog import Catalog

from shared.translation import languages
from shared.web.ui.words import Words
from tests.support.processes import ROOT

FOLDERS = ("bot_service/dashboard", "watchdog/status", "shared/web/ui")
# As the folders below locale/ are named. English has no file.
TRANSLATED = sorted({file.parts[-3] for file in ROOT.glob("*/**/locale/*/LC_MESSAGES/messages.po")})


def texts(folder: str, language: str) -> Path:
    return ROOT / folder / "locale" / language / "LC_MESSAGES/messages.po"


def catalogue(folder: str, language: str) -> Catalog:
    with texts(folder, language).open("rb") as file:
        return pofile.read_po(file)


def words(language: str, folder: str = "bot_service/dashboard") -> Words:
    """The words of the pages of ``folder``."""
    return Words(language, languages(ROOT / folder, ROOT / "shared/web/ui")[language])
