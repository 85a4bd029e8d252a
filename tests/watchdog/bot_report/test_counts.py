"""Which outcomes count as pings and as failures, and what is kept of the last ones."""

from __future__ import annotations

import pytest

from tests.support.fold import EPOCH_MS, Folded
from watchdog.domain.decision import Decided
from watchdog.domain.facts import Tick
from watchdog.domain.outcome import Attempt, Cause, Outcome, ProbeResult
from watchdog.flow.counts import RECENT, Counts


def decided(bot: Folded, outcome: Outcome, latency_ms: float | None = 12.4) -> Decided:
    """One ping a second later, decided as the pipeline decides it."""
    at_ms = bot.wait(1).now.wall_ms
    attempts = (Attempt(1, at_ms - 20, 5.0, outcome, "x"), Attempt(2, at_ms - 10, 5.0, outcome, "x"))
    fact = ProbeResult("bot", Cause.SCHEDULE, at_ms - 20, at_ms, outcome, "timeout", latency_ms, attempts)
    return Decided(fact, bot.take(fact), (), (), (), bot.now)


@pytest.mark.parametrize(
    ("outcome", "pings", "failed", "recent"),
    [
        (Outcome.OK, 1, 0, [12]),
        (Outcome.TARGET_FAIL, 1, 1, [None]),
        # A fault of our own says nothing about the target.
        (Outcome.SELF_FAIL, 0, 0, []),
    ],
)
def test_a_ping_counts_by_its_outcome(outcome: Outcome, pings: int, failed: int, recent: list[int | None]) -> None:
    counts = Counts()
    counts.count(decided(Folded(), outcome))
    assert (counts.pings, counts.failed, list(counts.recent)) == (pings, failed, recent)
    assert counts.last is not None
    assert (counts.last.outcome, counts.last.attempts) == (outcome, 2)
    assert counts.last.reason == (None if outcome is Outcome.OK else "timeout")
    assert int(counts.last.at.timestamp() * 1000) == EPOCH_MS + 1000


def test_what_is_no_ping_counts_nothing() -> None:
    bot, counts = Folded(), Counts()
    step = bot.tick()
    counts.count(Decided(Tick(), step, (), (), (), bot.now))
    assert (counts.pings, counts.failed, counts.last, list(counts.recent)) == (0, 0, None, [])


def test_failures_in_a_row_follow_the_decision_and_end_with_an_answer() -> None:
    bot, counts = Folded(), Counts()
    seen = []
    for outcome in (Outcome.TARGET_FAIL, Outcome.TARGET_FAIL, Outcome.OK, Outcome.TARGET_FAIL):
        counts.count(decided(bot, outcome))
        seen.append(counts.consecutive_failures)
    assert seen == [1, 2, 0, 1]
    assert (counts.pings, counts.failed) == (4, 3)


def test_only_the_newest_latencies_are_kept() -> None:
    bot, counts = Folded(), Counts()
    for number in range(RECENT + 5):
        counts.count(decided(bot, Outcome.OK, float(number)))
    assert list(counts.recent) == list(range(5, RECENT + 5))
    assert counts.pings == RECENT + 5
