"""Stretches, uptime, latency, totals and pruning in the ledger."""

from __future__ import annotations

import sqlite3
from functools import partial

from tests.support.fold import EPOCH_MS, Folded
from tests.support.memory_ledger import open_in_memory
from watchdog.domain.facts import PersonNeeded
from watchdog.domain.outcome import Attempt, Cause, Outcome, ProbeResult
from watchdog.domain.target import Stretch
from watchdog.domain.uptime import Span, measure
from watchdog.ledger import decisions, history, runs
from watchdog.ledger.sqlite import Ledger

MINUTE = 60_000


def result(at_ms: int, outcome: Outcome = Outcome.OK, latency_ms: float = 10.0) -> ProbeResult:
    attempts = (Attempt(1, at_ms - 20, 5.0, Outcome.TARGET_FAIL, "http_500"), Attempt(2, at_ms - 10, 5.0, outcome, "x"))
    return ProbeResult("bot", Cause.SCHEDULE, at_ms - 20, at_ms, outcome, "x", latency_ms, attempts)


async def spans(ledger: Ledger, until_ms: int) -> list[tuple[str, int, int | None]]:
    found = await ledger.read(lambda c: history.spans(c, "bot", 0, until_ms))
    return [(span.kind, span.from_ms, span.until_ms) for span in found]


async def test_a_decision_that_reaches_back_replaces_the_time_that_counted_as_up() -> None:
    ledger = open_in_memory()
    await ledger.write(lambda c: decisions.move_stretch(c, "bot", Stretch.UP, 1000, 1000))
    await ledger.write(lambda c: decisions.move_stretch(c, "bot", Stretch.DOWN, 5000, 9000))
    await ledger.write(lambda c: decisions.move_stretch(c, "bot", Stretch.DOWN, 9500, 9500))
    assert await spans(ledger, 99_999) == [("up", 1000, 5000), ("down", 5000, None)]


async def test_it_never_reaches_back_over_time_when_nobody_looked_or_over_maintenance() -> None:
    ledger = open_in_memory()
    await ledger.write(lambda c: decisions.move_stretch(c, "bot", Stretch.UP, 1000, 1000))
    await ledger.write(lambda c: decisions.move_stretch(c, "bot", Stretch.UNKNOWN, 2000, 3000))
    await ledger.write(lambda c: decisions.move_stretch(c, "bot", Stretch.DOWN, 1500, 4000))
    await ledger.write(lambda c: decisions.move_stretch(c, "bot", Stretch.MAINTENANCE, 5000, 5000))
    await ledger.write(lambda c: decisions.move_stretch(c, "bot", Stretch.DOWN, 1500, 8000))
    found = await spans(ledger, 99_999)
    assert ("maintenance", 5000, 8000) in found
    assert found[-1] == ("down", 8000, None)
    assert found[0] == ("up", 1000, 2000)


async def test_uptime_of_a_story_counts_each_kind_apart() -> None:
    ledger = open_in_memory()
    bot = Folded()

    async def keep() -> None:
        step = bot.steps[-1]
        await ledger.write(lambda c: decisions.write_step(c, step, bot.now.wall_ms))

    bot.ok()
    await keep()
    bot.wait(600)
    for _ in range(3):
        bot.wait(2).fail()
        await keep()
    bot.wait(300)
    for _ in range(2):
        bot.wait(2).ok()
        await keep()
    bot.wait(300)
    now = bot.now.wall_ms
    seen = (await ledger.read(lambda c: history.uptimes(c, "bot", now)))["24h"]
    assert abs(seen.down_ms - 306_000) < 3000
    assert abs(seen.up_ms - 904_000) < 3000
    assert seen.ratio is not None
    assert abs(seen.ratio - 904 / 1210) < 0.01
    assert bot.closed[0].id == bot.opened[0].id


async def test_time_in_which_it_answered_and_was_degraded_is_up_and_counted_apart() -> None:
    ledger = open_in_memory()
    bot = Folded()

    async def then(minutes: float) -> None:
        step = bot.steps[-1]
        await ledger.write(lambda c: decisions.write_step(c, step, bot.now.wall_ms))
        bot.wait(60 * minutes)

    bot.ok()
    await then(10)
    bot.take(PersonNeeded(1))
    await then(30)
    bot.take(PersonNeeded(0))
    await then(20)
    bot.take(PersonNeeded(1))
    await then(15)
    now = bot.now.wall_ms
    seen = (await ledger.read(lambda c: history.uptimes(c, "bot", now)))["24h"]
    assert (seen.up_ms, seen.degraded_ms, seen.ratio) == (75 * MINUTE, 45 * MINUTE, 1.0)
    # A window that begins while it is degraded.
    known = await ledger.read(lambda c: history.spans(c, "bot", EPOCH_MS + 20 * MINUTE, now))
    seen = measure(known, EPOCH_MS + 20 * MINUTE, now)
    assert (seen.up_ms, seen.degraded_ms) == (55 * MINUTE, 35 * MINUTE)
    # What another watchdog reads of it is as before: it cuts its own time.
    plain = await ledger.read(lambda c: history.recorded(c, "bot", 0, now))
    assert {type(span) for span in plain} == {Span}


def test_holes_between_spans_are_unknown_and_never_make_more_than_all() -> None:
    known = [Span(Stretch.UP, 0, 10 * MINUTE), Span(Stretch.UP, 70 * MINUTE, None)]
    seen = measure(known, 0, 80 * MINUTE)
    assert (seen.up_ms, seen.unknown_ms, seen.ratio) == (20 * MINUTE, 60 * MINUTE, 1.0)
    overlapping = [Span(Stretch.UP, 0, 70 * MINUTE), Span(Stretch.DOWN, 10 * MINUTE, None)]
    ratio = measure(overlapping, 0, 80 * MINUTE).ratio
    assert ratio is not None
    assert 0 <= ratio <= 1


def test_time_before_the_first_span_was_not_watched() -> None:
    seen = measure([Span(Stretch.UP, 50 * MINUTE, None)], 0, 60 * MINUTE)
    assert (seen.up_ms, seen.unknown_ms) == (10 * MINUTE, 0)
    assert measure([], 0, MINUTE).ratio is None


async def test_every_attempt_is_kept_and_gaps_stand_in_no_total() -> None:
    ledger = open_in_memory()
    for outcome in (Outcome.OK, Outcome.TARGET_FAIL, Outcome.SELF_FAIL):
        kept = result(EPOCH_MS, outcome)
        await ledger.write(partial(decisions.insert_result, result=kept, boot_id="w1"))
    attempts = await ledger.read(lambda c: c.execute("SELECT count(*) FROM attempt").fetchone()[0])
    total = await ledger.read(lambda c: runs.totals(c, "bot"))
    assert (attempts, total.pings, total.failed_pings) == (6, 2, 1)


async def test_latency_percentiles_are_those_of_answered_pings() -> None:
    ledger = open_in_memory()

    def fill(connection: sqlite3.Connection) -> None:
        for at in range(100):
            decisions.insert_result(connection, result(EPOCH_MS + at, latency_ms=float(at + 1)), "w1")
        decisions.insert_result(connection, result(EPOCH_MS, Outcome.TARGET_FAIL, 9999.0), "w1")

    await ledger.write(fill)
    seen = await ledger.read(lambda c: history.latency(c, "bot", 0))
    assert (seen.p50_ms, seen.p95_ms, seen.p99_ms, seen.pings) == (50.0, 95.0, 99.0, 100)


async def test_what_is_older_than_ninety_days_goes_and_the_rest_stays() -> None:
    ledger = open_in_memory()
    old, new = EPOCH_MS - 91 * 86_400_000, EPOCH_MS - 89 * 86_400_000
    for at in (old, new):
        await ledger.write(partial(decisions.insert_result, result=result(at), boot_id="w1"))
    gone = await ledger.write(lambda c: runs.prune(c, EPOCH_MS))
    left = await ledger.read(lambda c: [row[0] for row in c.execute("SELECT ended_at FROM result")])
    attempts = await ledger.read(lambda c: c.execute("SELECT count(*) FROM attempt").fetchone()[0])
    assert (gone, left, attempts) == (1, [new], 2)
    assert (await ledger.read(lambda c: runs.totals(c, "bot"))).pings == 2, "totals are for ever"


async def test_a_run_that_was_killed_ends_when_it_was_last_seen() -> None:
    ledger = open_in_memory()
    assert await ledger.write(lambda c: runs.begin_run(c, "w1", "1", ("bot",), 1000)) is None
    await ledger.write(lambda c: runs.seen(c, "w1", 31_000, 30_000, ended=False))
    assert await ledger.write(lambda c: runs.begin_run(c, "w2", "1", ("bot",), 90_000)) == 31_000
    ended = await ledger.read(lambda c: c.execute("SELECT ended_at FROM run WHERE boot_id = 'w1'").fetchone()[0])
    total = await ledger.read(lambda c: runs.totals(c, "bot"))
    assert (ended, total.uptime_ms) == (31_000, 30_000)
