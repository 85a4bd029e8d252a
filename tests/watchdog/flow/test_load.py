"""Delivery under load: ten thousand rows stay fast, and a hanging channel never slows a decision."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from shared.clock import SystemClock, epoch_ms
from shared.tasks import TaskGroupOfLoops
from tests.support.fake_notifier import FAILS, FakeNotifier
from tests.support.waiting import eventually
from watchdog.domain import notices
from watchdog.domain.alert import AlertPolicy
from watchdog.domain.ports import Delivered
from watchdog.domain.states import Incident, IncidentKind
from watchdog.flow.dispatcher import Dispatcher
from watchdog.ledger import claiming, incidents, outbox, settling
from watchdog.ledger.sqlite import Ledger, open_ledger
from watchdog.metrics.delivery import DeliveryMetrics

ROWS = 10_000
CHANNELS = outbox.Channels(("aaaa",), ("ffff",))


def _fill(connection: Any, now_ms: int, state: str) -> None:
    for number in range(ROWS):
        at = now_ms - ROWS + number
        incident = Incident(f"old-{number}", "bot", IncidentKind.DOWN, at, at, "timeout")
        outbox.enqueue(connection, notices.opened(incident), CHANNELS)
    connection.execute("UPDATE outbox SET state = ?", (state,))


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    opened = open_ledger(tmp_path / "watchdog.db")
    yield opened
    opened.close()


def _dispatcher(ledger: Ledger, *notifiers: FakeNotifier, fallback: tuple[FakeNotifier, ...] = ()) -> Dispatcher:
    return Dispatcher(ledger, [*notifiers], [*fallback], SystemClock(), DeliveryMetrics(CollectorRegistry()))


async def _decide(ledger: Ledger, dispatcher: Dispatcher, name: str) -> Incident:
    now = epoch_ms(SystemClock())
    incident = Incident(name, "bot", IncidentKind.DOWN, now, now, "timeout")

    def keep(connection: Any) -> None:
        incidents.open_incident(connection, incident)
        outbox.enqueue(connection, notices.opened(incident), dispatcher.channels)

    await ledger.write(keep)
    dispatcher.wake()
    return incident


@pytest.mark.parametrize("state", ["done", "waiting"])
async def test_a_claim_among_ten_thousand_rows_takes_milliseconds(ledger: Ledger, state: str) -> None:
    now = epoch_ms(SystemClock())
    await ledger.write(lambda c: _fill(c, now, state))
    if state == "waiting":  # a channel that has failed all of them holds its backlog back
        await ledger.write(
            lambda c: c.execute(
                "INSERT INTO channel (channel, label, failures, retry_at, seen_row)"
                " VALUES ('aaaa', 'a', 5, ?, (SELECT max(id) FROM outbox))",
                (now + 60_000,),
            )
        )
    took = []
    for number in range(50):
        incident = Incident(f"new-{number}", "bot", IncidentKind.DOWN, now, now, "timeout")
        await ledger.write(lambda c, one=incident: outbox.enqueue(c, notices.opened(one), CHANNELS))  # type: ignore[misc]
        began = time.process_time()  # of this process alone: the work, whatever else the machine does
        claimed = await ledger.write(lambda c: claiming.claim(c, "aaaa", now, AlertPolicy(), lease_ms=1000))
        took.append(time.process_time() - began)
        assert claimed.claim is not None
        assert claimed.claim.notice.incident_id == incident.id
        assert (await ledger.read(lambda c: outbox.depth(c, now))).rows >= 1
    median_ms = sorted(took)[25] * 1000
    print(f"claim among {ROWS} {state} rows: median {median_ms:.2f} ms, worst {max(took) * 1000:.2f} ms")
    assert median_ms < 25


async def test_news_overtakes_a_backlog_of_ten_thousand_on_a_failing_channel(ledger: Ledger) -> None:
    now = epoch_ms(SystemClock())
    await ledger.write(lambda c: _fill(c, now, "waiting"))
    channel = FakeNotifier(SystemClock(), answer=lambda _: FAILS)
    dispatcher = _dispatcher(ledger, channel)
    await dispatcher.recover()
    loops = TaskGroupOfLoops(SystemClock())
    dispatcher.start(loops)
    try:
        await eventually(lambda: channel.tried, what="the first try")
        began, tries = time.perf_counter(), len(channel.tried)
        news = await _decide(ledger, dispatcher, "news")
        await eventually(lambda: any(notice.incident_id == news.id for _, notice in channel.tried), what="the news")
        print(f"news was tried after {(time.perf_counter() - began) * 1000:.0f} ms")
        # The backlog is probed one row at a time: a dead receiver is not hammered ten thousand times.
        assert len(channel.tried) - tries <= 5
        assert loops.dead() == {}
    finally:
        await loops.stop()


async def test_news_that_comes_during_a_failing_try_is_tried_at_once(ledger: Ledger) -> None:
    now = epoch_ms(SystemClock())
    policy = AlertPolicy()
    await ledger.write(lambda c: _fill(c, now, "waiting"))
    first = await ledger.write(lambda c: claiming.claim(c, "aaaa", now, policy, lease_ms=1000))
    assert first.claim is not None
    news = Incident("news", "bot", IncidentKind.DOWN, now, now, "timeout")
    await ledger.write(lambda c: outbox.enqueue(c, notices.opened(news), CHANNELS))
    failed = settling.Try(first.claim, "a", Delivered(False, "http_500"), 5.0, 0.5)
    await ledger.write(lambda c: settling.settle(c, failed, CHANNELS, now, policy))
    second = await ledger.write(lambda c: claiming.claim(c, "aaaa", now, policy, lease_ms=1000))
    assert second.claim is not None
    assert second.claim.notice.incident_id == "news"


async def test_a_hanging_channel_slows_no_decision_and_no_other_channel(ledger: Ledger) -> None:
    hangs, works = FakeNotifier(SystemClock(), "aaaa", hang=True), FakeNotifier(SystemClock(), "bbbb")
    dispatcher = _dispatcher(ledger, hangs, works)
    loops = TaskGroupOfLoops(SystemClock())
    dispatcher.start(loops)
    try:
        took = []
        for number in range(30):
            began = time.perf_counter()
            await _decide(ledger, dispatcher, f"n{number}")
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0)
        await eventually(lambda: len(works.taken) == 30, what="all thirty by the channel that works")
        print(f"decision beside a hanging channel: median {sorted(took)[15] * 1000:.1f} ms")
        assert sorted(took)[15] < 1, "no decision waits for an attempt that hangs"
        assert len(hangs.tried) == 1
    finally:
        await loops.stop()
