"""When statistics are pushed, which answers are tried again, and that a failure is logged once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from shared.contract.keepalive import Push
from shared.settings import Secret
from shared.tasks import TaskGroupOfLoops
from tests.support.fake_bot import FakeBot
from tests.support.fake_clock import FakeClock
from tests.support.processes import WATCHDOG_TOKEN
from tests.support.waiting import eventually
from watchdog.bot_report.pusher import ATTEMPTS, GAP_S, Pusher

INTERVAL_S = 60.0


@dataclass
class Pushing:
    """``results`` are what the meter counted."""

    bot: FakeBot
    clock: FakeClock = field(default_factory=FakeClock)
    results: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pusher = Pusher(
            url=self.bot.url,
            token=Secret(WATCHDOG_TOKEN),
            interval_s=INTERVAL_S,
            clock=self.clock,
            build=self._build,
            on_result=self.results.append,
        )

    async def _build(self, sequence: int) -> Push:
        return Push("w1", sequence, True, 1, 2, 0, "http://bot/health", 1000)

    @property
    def sequences(self) -> list[int]:
        return [push["sequence"] for push in self.bot.pushes]

    async def until(self, pushes: int) -> None:
        """Wait for so many requests and for the pusher to rest."""
        await eventually(lambda: len(self.bot.pushes) == pushes and self.clock.sleeping, what=f"{pushes} pushes")

    async def until_results(self, *results: str, pass_s: float = 0) -> None:
        async def came() -> bool:
            if self.results != list(results):
                await self.clock.advance(pass_s)
            return self.results == list(results)

        await eventually(came, what=f"the results {results}")


@pytest.fixture
async def pushing() -> AsyncIterator[Pushing]:
    async with _pushing() as made:
        yield made


@asynccontextmanager
async def _pushing() -> AsyncIterator[Pushing]:
    async with FakeBot() as bot:
        made = Pushing(bot)
        loops = TaskGroupOfLoops(made.clock)
        loops.start("push", made.pusher.run)
        await eventually(lambda: made.clock.sleeping, what="the pusher waiting")
        yield made
        await loops.stop()


async def test_a_push_comes_after_each_interval_with_growing_numbers(pushing: Pushing) -> None:
    await pushing.clock.advance(INTERVAL_S - 1)
    assert pushing.sequences == []
    await pushing.clock.advance(1)
    await pushing.until(1)
    assert pushing.results == ["ok"]
    assert pushing.pusher.last_ok_at == pushing.clock.monotonic()
    await pushing.clock.advance(GAP_S)
    await pushing.clock.advance(INTERVAL_S)
    await pushing.until(2)
    assert pushing.sequences == [1, 2]


async def test_news_goes_at_once_and_more_of_it_after_the_gap(pushing: Pushing) -> None:
    pushing.pusher.soon()
    await pushing.until(1)
    for _ in range(5):
        pushing.pusher.soon()
    await pushing.clock.advance(GAP_S - 1)
    assert pushing.sequences == [1]
    await pushing.clock.advance(1)
    await pushing.until(2)
    assert pushing.sequences == [1, 2], "five pings in the gap are one push"


async def test_urgent_news_does_not_wait_for_the_gap(pushing: Pushing) -> None:
    pushing.pusher.soon()
    await pushing.until(1)
    pushing.pusher.soon(urgent=True)
    await pushing.until(2)
    assert pushing.clock.elapsed_s == 0


@pytest.mark.parametrize(
    ("status", "requests"),
    [(200, 1), (202, 1), (401, 1), (403, 1), (422, 1), (429, ATTEMPTS), (500, ATTEMPTS), (503, ATTEMPTS)],
)
async def test_only_what_may_pass_is_tried_again(pushing: Pushing, status: int, requests: int) -> None:
    pushing.bot.push_status = status
    pushing.pusher.soon()
    await pushing.until_results("ok" if status < 300 else "failed", pass_s=1.0)
    assert len(pushing.bot.pushes) == requests
    assert set(pushing.sequences) == {1}, "every try carries the same figures"


async def test_a_bot_that_is_away_gets_the_newest_figures_and_no_backlog(pushing: Pushing) -> None:
    await pushing.bot.stop()
    with capture_logs() as logs:
        for number in (1, 2):
            pushing.pusher.soon(urgent=True)
            await pushing.until_results(*["failed"] * number, pass_s=1.0)
            # The first may only mean that both programs were started together.
            assert len(logs) == number - 1
        await pushing.bot.start()
        pushing.pusher.soon(urgent=True)
        await pushing.until_results("failed", "failed", "ok", pass_s=1.0)
    assert pushing.sequences == [3]
    # The same failure again is no news.
    assert [line["event_name"] for line in logs] == ["push.failed", "push.recovered"]
