"""An announcement is shown until its time, or until a person ends it."""

from __future__ import annotations

import pytest

from watchdog.domain.announcements import Announcement, Severity


@pytest.mark.parametrize(
    ("until_ms", "ended_ms", "over_ms"),
    [
        (None, None, None),
        (2000, None, None),
        (1000, None, 1000),
        (None, 500, 500),
        (900, 500, 500),
        (800, 900, 800),
        (2000, 1500, None),
    ],
)
def test_it_is_over_at_the_first_of_its_ends(until_ms: int | None, ended_ms: int | None, over_ms: int | None) -> None:
    made = Announcement("news-1", "Title", "", Severity.INFO, 100, until_ms, "ann", ended_ms)
    assert made.over_at_ms(1000) == over_ms
