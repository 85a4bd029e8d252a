"""A percentage covers what was recorded, and says since when; a day without records has none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchdog.domain.bars import daily
from watchdog.domain.filled import PeerSpan
from watchdog.domain.target import Stretch
from watchdog.domain.uptime import DAY_MS, WINDOWS, DegradedSpan, Span, covers, measure, with_degraded

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


def test_only_what_was_up_is_cut_into_degraded_parts_and_none_of_it_is_lost() -> None:
    up, down, peer = Span(Stretch.UP, 0, 50), Span(Stretch.DOWN, 50, 70), PeerSpan(Stretch.UP, 70, 80, "oslo")
    still_up = Span(Stretch.UP, 80, None)
    assert with_degraded([up, down, peer, still_up], [(-5, 10), (20, 30), (45, 90), (100, 120)]) == [
        DegradedSpan(Stretch.UP, 0, 10), Span(Stretch.UP, 10, 20), DegradedSpan(Stretch.UP, 20, 30),
        Span(Stretch.UP, 30, 45), DegradedSpan(Stretch.UP, 45, 50), down, peer,
        DegradedSpan(Stretch.UP, 80, 90), Span(Stretch.UP, 90, 100), DegradedSpan(Stretch.UP, 100, 120),
        Span(Stretch.UP, 120, None),
    ]  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=6),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=6),
)
def test_degraded_time_is_the_overlap_and_changes_no_percentage(
    ups: list[tuple[int, int]], downs: list[tuple[int, int]]
) -> None:
    def periods(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
        at, found = 0, []
        for apart, length in parts:
            found.append((at + apart, at + apart + length))
            at += apart + length
        return found

    spans = [Span(Stretch.UP, begin, end) for begin, end in periods(ups)]
    plain, cut = measure(spans, 0, 500), measure(with_degraded(spans, periods(downs)), 0, 500)
    both = {at for begin, end in periods(ups) for at in range(begin, end)} & {
        at for begin, end in periods(downs) for at in range(begin, end)
    }
    assert (cut.up_ms, cut.ratio, cut.degraded_ms) == (plain.up_ms, plain.ratio, len(both))


def test_a_day_has_its_degraded_time() -> None:
    spans = with_degraded([Span(Stretch.UP, NOW_MS - DAY_MS, None)], [(NOW_MS - DAY_MS, NOW_MS - MINUTE_MS)])
    yesterday, today = daily(spans, NOW_MS, 2)
    assert yesterday.uptime.degraded_ms == yesterday.uptime.up_ms == DAY_MS // 2
    assert today.uptime.up_ms - today.uptime.degraded_ms == MINUTE_MS
