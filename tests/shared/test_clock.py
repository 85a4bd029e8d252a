"""Ages in words, the same for every command."""

from __future__ import annotations

import pytest

from shared.clock import days_old


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0, "less than a day old"),
        (0.99, "less than a day old"),
        (1.2, "1 day old"),
        (1.6, "2 days old"),
        (68.5, "68 days old"),
    ],
)
def test_an_age_is_in_whole_days(days: float, words: str) -> None:
    assert days_old(days) == words
