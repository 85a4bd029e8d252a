"""Sentences of the status page about the history itself: what is missing, and what comes from another watchdog."""

from __future__ import annotations

from collections import Counter

from shared.clock import from_ms
from shared.translation import N_
from shared.web.ui.markup import Html, moment
from shared.web.ui.markup import filled as filled_in
from shared.web.ui.words import Words
from watchdog.status.schema import StatusView, TargetView


def gap(view: StatusView, t: Words) -> list[Html]:
    since_ms = view.watchdog.history_gap_since_ms
    if since_ms is None:
        return []
    said = N_("The history is not kept since {when}: the watchdog cannot use its ledger.")
    return [filled_in(t, said, when=moment(t, from_ms(since_ms), show="seconds"))]


def filled(target: TargetView, t: Words) -> list[str]:
    by_watchdog: Counter[str] = Counter()
    for day in target.days:
        by_watchdog.update(day.filled)
    text = N_("While this watchdog did not see, {span} of the history is from the record of {watchdog}.")
    return [t(text, span=t.span(span_ms), watchdog=name) for name, span_ms in sorted(by_watchdog.items())]
