"""Sentences with markup in them: moments that a script shows in the reader's own time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from shared.clock import iso
from shared.visible import shown
from shared.web.ui.words import Words


class Html(str):
    """Markup that templates do not escape."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


def filled(t: Words, text: str, /, **values: object) -> Html:
    """``text`` in the language of ``t`` with its ``{names}`` filled in; values that are not markup are escaped."""
    return Html(_escaped(t(text)).format(**{name: _escaped(value) for name, value in values.items()}))


def moment(t: Words, at: datetime, *, show: str = "when") -> Html:
    """``at`` in UTC. The script of the page shows it in local time.

    ``show`` is ``when`` (day and time), ``seconds`` (the same with seconds), ``day``, ``clock`` or
    ``ticks`` (time of day, the second with seconds).
    """
    at = at.astimezone(UTC)
    text = {
        "when": lambda: t.when(at),
        "seconds": lambda: t.when(at, seconds=True),
        "day": lambda: t.day(at),
        "clock": lambda: at.strftime("%H:%M"),
        "ticks": lambda: at.strftime("%H:%M:%S"),
    }[show]()
    return Html(f'<time datetime="{iso(at)}" data-local="{show}">{escape(text)}</time>')


def _escaped(value: object) -> str:
    return str(value) if hasattr(value, "__html__") else escape(shown(str(value)))
