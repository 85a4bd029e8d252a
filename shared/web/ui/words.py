"""Formats texts in the language of the reader: translations, numbers, durations, dates."""

from __future__ import annotations

from datetime import UTC, datetime
from gettext import NullTranslations

from shared.translation import N_

LANGUAGES = ("en", "fr")

_UNITS = {
    "en": (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)),
    "fr": (("j", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)),
}
_MONTHS = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "fr": ("janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."),
}


def language_of(cookie: str | None, accept: str) -> str:
    """``en`` or ``fr``: the reader's choice, else the best of ``Accept-Language``, else English."""
    if cookie in LANGUAGES:
        return cookie
    best, best_weight = "en", 0.0
    for part in accept.split(","):
        name, _, parameters = part.strip().partition(";")
        language = name.split("-")[0].lower()
        weight = _weight(parameters)
        if language in LANGUAGES and weight > best_weight:
            best, best_weight = language, weight
    return best


def _weight(parameters: str) -> float:
    key, _, value = parameters.strip().partition("=")
    if key.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


class Words:
    """Translates and formats for one language. A text without a translation stays English."""

    def __init__(self, lang: str, translations: NullTranslations) -> None:
        self.lang = lang
        self._translations = translations

    def __call__(self, text: str, /, **values: object) -> str:
        """``text`` in this language, with its ``{names}`` filled in."""
        text = text and self._translations.gettext(text)  # the empty text would be the header
        return text.format(**values) if values else text

    def many(self, count: int, one: str, several: str, /, **values: object) -> str:
        """``one`` or ``several`` by ``count``, with ``{n}`` for the number."""
        return self._translations.ngettext(one, several, count).format(n=self.number(count), **values)

    def number(self, value: float, digits: int = 0) -> str:
        """``1,234.5`` in English, ``1 234,5`` in French (narrow no-break space)."""
        text = f"{value:,.{digits}f}"
        if self.lang == "fr":
            text = text.replace(",", "\u202f").replace(".", ",")
        return text

    def percent(self, ratio: float | None, digits: int = 2) -> str:
        """A ratio of 0 to 1 in per cent, rounded down: 99.999 % is not 100 %. ``–`` for None."""
        if ratio is None:
            return "–"
        scale = 10**digits
        value = int(round(ratio * 100 * scale, 6)) / scale
        return self.number(value, 0 if value == 100 else digits) + ("\u202f%" if self.lang == "fr" else "%")

    def span(self, milliseconds: float, parts: int = 2) -> str:
        """A duration: ``45 ms``, ``12 s``, ``3 min 20 s``, ``2 d 4 h``; without line breaks."""
        if milliseconds < 1000:
            return f"{milliseconds:.0f}\u00a0ms"
        left, words = int(milliseconds), []
        for name, size in _UNITS[self.lang]:
            count, left = divmod(left, size)
            if count:
                words.append(f"{count}\u00a0{name}")
            if len(words) == parts:
                break
        return " ".join(words)

    def ago(self, moment: datetime | None, now: datetime) -> str:
        """How long ago, in one unit; ``in …`` for the future and ``never`` for None."""
        if moment is None:
            return self(N_("never"))
        apart_ms = (now - moment).total_seconds() * 1000
        if abs(apart_ms) < 1000:
            return self(N_("just now"))
        return self(N_("{text} ago") if apart_ms > 0 else N_("in {text}"), text=self.span(abs(apart_ms), parts=1))

    def when(self, moment: datetime, *, seconds: bool = False) -> str:
        """Day and time in UTC, as ``23 Nov 2026, 09:16 UTC``."""
        moment = moment.astimezone(UTC)
        clock = moment.strftime("%H:%M:%S" if seconds else "%H:%M")
        return f"{self.day(moment)}, {clock} UTC"

    def day(self, moment: datetime) -> str:
        return f"{moment.day} {_MONTHS[self.lang][moment.month - 1]} {moment.year}"
