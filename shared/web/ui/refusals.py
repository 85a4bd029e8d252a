"""Why a form was refused, in the reader's language: the reasons are written for the API, in English with their values inside."""

from __future__ import annotations

import re

from shared.web.ui.words import Words

_NAME = re.compile(r"\\\{(\w+)\\\}")


class Refusals:
    """The reasons that the forms of one program can get, marked for translation, with ``{names}`` for their values."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self._with_values = [
            (re.compile(_NAME.sub(r"(?P<\1>.+)", re.escape(text))), text) for text in texts if "{" in text
        ]

    def words(self, why: str, t: Words) -> str:
        """``why`` in the reader's language; in English where it is none of the texts."""
        for pattern, text in self._with_values:
            if found := pattern.fullmatch(why):
                return t(text, **found.groupdict())
        return t(why)
