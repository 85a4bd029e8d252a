"""Time in which the service answered and did less than it should is not shown as plain uptime."""

from __future__ import annotations

import pytest

from shared.translation import ENGLISH
from shared.web.ui.words import Words
from watchdog.domain.uptime import DAY_MS
from watchdog.status import badge, charts, page_model
from watchdog.status.schema import DayView, HeartbeatView, TargetView, UptimeView

T = Words("en", ENGLISH)
NOW_MS, HOUR_MS = 1_790_000_000_000, 3_600_000


def day(up_h: float, *, down_h: float = 0, degraded_h: float = 0) -> DayView:
    up, down, degraded = (int(hours * HOUR_MS) for hours in (up_h, down_h, degraded_h))
    ratio = up / (up + down)
    return DayView("2026-11-28", False, UptimeView(ratio, up, down, 0, 0, 0, degraded), 0)


@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        (day(24), "up"),
        (day(24, degraded_h=0.1), "degraded"),
        (day(23.9, down_h=0.1, degraded_h=5), "part"),
        (day(22, down_h=2, degraded_h=5), "down"),
    ],
)
def test_a_degraded_day_has_a_bar_of_its_own_and_an_outage_counts_more(shown: DayView, kind: str) -> None:
    assert charts.day_kind(shown) == kind
    assert ("degraded for" in charts.day_title(shown, T)) == (kind != "up")
    assert charts.is_bad(shown) == (kind != "up")


def test_bars_differ_in_height_and_are_counted_for_screen_readers() -> None:
    drawn = charts.days([day(24), day(24, degraded_h=2)], T)
    assert 'aria-label="2 days: 0 with an outage, 1 degraded, 0 without data"' in drawn
    assert 'class="up" x="0" y="0" width="7" height="100"' in drawn
    assert 'class="degraded" x="10" y="40" width="7" height="60"' in drawn


def test_a_percentage_says_for_how_long_it_was_degraded_on_the_page_and_on_the_badge() -> None:
    windows = {
        "24h": UptimeView(1.0, 24 * HOUR_MS, 0, 0, 0, NOW_MS - DAY_MS, 2 * HOUR_MS),
        "7d": UptimeView(1.0, 168 * HOUR_MS, 0, 0, 0, NOW_MS - 7 * DAY_MS, 0),
    }
    target = TargetView(
        name="bot", state="DEGRADED", since_ms=NOW_MS - 2 * HOUR_MS, consecutive_failures=0, sessions_total=2,
        sessions_wanted=2, sessions_ready=1, sessions_not_ready=1, sessions_needing_person=1,
        heartbeat=HeartbeatView(True, 1), last_ping=None, uptime=windows, repair_budget=None, repair_refusal=None,
    )  # fmt: skip
    figures = {str(each.label).replace("\u00a0", " "): each.value for each in page_model._figures(target, NOW_MS, T)}
    assert figures == {"24 hours, degraded for 2 h": "100%", "7 days": "100%"}
    assert "100.00%, degraded 2 h" in badge.uptime_badge("bot", target, "24h", NOW_MS)
    assert "degraded" not in badge.uptime_badge("bot", target, "7d", NOW_MS)
