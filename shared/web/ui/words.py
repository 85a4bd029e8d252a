"""Formats texts in the language of the reader: translations, numbers, durations, dates."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from gettext import NullTranslations

from shared.translation import N_

# What a catalogue says about its language.
# translators: the name of your language, in your language
NAME = N_("English")
# translators: this number as your language writes it
NUMBER = N_("1,234.5")
# translators: short signs for days, hours, minutes and seconds, with a space between them
UNITS = N_("d h min s")
# translators: the twelve months, short, with a space between them
MONTHS = N_("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec")

_UNITS_MS = (86_400_000, 3_600_000, 60_000, 1000)


def language_of(cookie: str | None, accept: str, offered: Collection[str]) -> str:
    """One of the tags ``offered``: the reader's choice, else the best of ``Accept-Language``, else English.

    ``es-MX`` is served ``es``, and ``pt`` is served ``pt-BR`` where there is no closer one.
    """
    if cookie is not None and cookie in offered:
        return cookie
    known = {tag.partition("-")[0].lower(): tag for tag in offered} | {tag.lower(): tag for tag in offered}
    best, best_weight = "en", 0.0
    for part in accept.split(","):
        name, _, parameters = part.strip().lower().partition(";")
        language = known.get(name) or known.get(name.partition("-")[0])
        weight = _weight(parameters)
        if language and weight > best_weight:
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
        example = self(NUMBER)
        return f"{value:,.{digits}f}".translate({ord(","): example[1:-5], ord("."): example[-2]})

    def percent(self, ratio: float | None, digits: int = 2) -> str:
        """A ratio of 0 to 1 in per cent, rounded down: 99.999 % is not 100 %. ``–`` for None."""
        if ratio is None:
            return "–"
        scale = 10**digits
        value = int(round(ratio * 100 * scale, 6)) / scale
        return self(N_("{n}%"), n=self.number(value, 0 if value == 100 else digits))

    def span(self, milliseconds: float, parts: int = 2) -> str:
        """A duration: ``45 ms``, ``12 s``, ``3 min 20 s``, ``2 d 4 h``; without line breaks."""
        if milliseconds < 1000:
            return f"{milliseconds:.0f}\u00a0ms"
        left, words = int(milliseconds), []
        for name, size in zip(self(UNITS).split(), _UNITS_MS, strict=True):
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
        month = self(MONTHS).split()[moment.month - 1]
        return self(N_("{day} {month} {year}"), day=moment.day, month=month, year=moment.year)
