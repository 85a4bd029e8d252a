"""A percentage covers what was recorded, and says since when; a day without records has none."""

from __future__ import annotations

import pytest

from watchdog.domain.bars import daily
from watchdog.domain.target import Stretch
from watchdog.domain.uptime import DAY_MS, WINDOWS, Span, covers, measure

NOW_MS = 20_000 * DAY_MS + 43_200_000
MINUTE_MS = 60_000


def test_a_minute_after_the_first_start_no_window_is_covered_and_the_period_is_that_minute() -> None:
    spans = [Span(Stretch.UP, NOW_MS - MINUTE_MS, None)]
    for window, length_ms in WINDOWS.items():
        uptime = measure(spans, NOW_MS - length_ms, NOW_MS)
        assert (uptime.ratio, uptime.since_ms) == (1.0, NOW_MS - MINUTE_MS)
        assert not covers(uptime.since_ms, window, NOW_MS)


@pytest.mark.parametrize(("days", "covered"), [(1, ["24h"]), (6.9, ["24h"]), (7, ["24h", "7d"]), (95, list(WINDOWS))])
def test_a_window_bears_its_name_once_the_records_fill_it(days: float, covered: list[str]) -> None:
    spans = [Span(Stretch.UP, NOW_MS - int(days * DAY_MS), None)]
    periods = {name: measure(spans, NOW_MS - length, NOW_MS).since_ms for name, length in WINDOWS.items()}
    assert [name for name in WINDOWS if covers(periods[name], name, NOW_MS)] == covered


def test_nothing_recorded_has_no_percentage_and_no_period() -> None:
    uptime = measure([], NOW_MS - DAY_MS, NOW_MS)
    assert (uptime.ratio, uptime.since_ms) == (None, None)
    assert not covers(None, "24h", NOW_MS)


def test_a_time_in_which_the_watchdog_was_off_belongs_to_the_period_and_counts_for_nothing() -> None:
    spans = [
        Span(Stretch.UP, NOW_MS - 3 * DAY_MS, NOW_MS - 2 * DAY_MS),
        Span(Stretch.UNKNOWN, NOW_MS - 2 * DAY_MS, NOW_MS - DAY_MS),
        Span(Stretch.DOWN, NOW_MS - DAY_MS, None),
    ]
    uptime = measure(spans, NOW_MS - 7 * DAY_MS, NOW_MS)
    assert (uptime.ratio, uptime.since_ms, uptime.unknown_ms) == (0.5, NOW_MS - 3 * DAY_MS, DAY_MS)


def test_days_before_the_first_record_are_gaps() -> None:
    bars = daily([Span(Stretch.UP, NOW_MS - MINUTE_MS, None)], NOW_MS, 90)
    assert [bar.gap for bar in bars] == [True] * 89 + [False]
    assert {bar.uptime.ratio for bar in bars[:-1]} == {None}
