"""The dead man's call: only after a whole cycle, only when nothing waits, not too often."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from shared.settings import Secret
from tests.support.fake_clock import FakeClock
from tests.support.receiver import Receiver
from watchdog.flow.deadman import Deadman
from watchdog.ledger.outbox import Depth
from watchdog.metrics.delivery import DeliveryMetrics


@asynccontextmanager
async def _deadman(clock: FakeClock, receiver: Receiver, depth: list[Depth]) -> Any:
    registry = CollectorRegistry()

    async def now() -> Depth:
        return depth[-1]

    async with aiohttp.ClientSession() as http:
        made = Deadman(Secret(receiver.url + "/ping/uuid"), http, clock, now, DeliveryMetrics(registry))
        yield (
            made,
            lambda result: registry.get_sample_value("veilleur_watchdog_deadman_calls_total", {"result": result}),
        )


async def test_it_calls_when_nothing_waits(receiver: Receiver) -> None:
    async with _deadman(FakeClock(), receiver, [Depth(0, 0)]) as (deadman, count):
        await deadman.call()
        assert [request.path for request in receiver.requests] == ["/ping/uuid"]
        assert count("ok") == 1


@pytest.mark.parametrize(("oldest_ms", "calls"), [(59_999, 1), (60_000, 0)])
async def test_it_does_not_call_while_an_alert_has_waited_for_a_minute(
    receiver: Receiver, oldest_ms: int, calls: int
) -> None:
    async with _deadman(FakeClock(), receiver, [Depth(1, oldest_ms)]) as (deadman, count):
        await deadman.call()
        assert len(receiver.requests) == calls
        assert count("withheld") == (None if calls else 1)


async def test_cycles_in_quick_succession_make_one_call(receiver: Receiver) -> None:
    clock = FakeClock()
    async with _deadman(clock, receiver, [Depth(0, 0)]) as (deadman, _):
        for _ in range(5):
            await deadman.call()
            await clock.advance(5)
        assert len(receiver.requests) == 2


async def test_a_call_that_fails_is_counted_and_raises_nothing(receiver: Receiver) -> None:
    class Quick(FakeClock):
        async def sleep(self, seconds: float) -> None:
            return None

    receiver.answer = lambda _: (500, {}, {})
    async with _deadman(Quick(), receiver, [Depth(0, 0)]) as (deadman, count):
        await deadman.call()
        assert len(receiver.requests) == 3
        assert count("failed") == 1
