"""The heartbeat link against a real stream: beats, its end, its silence, and our own sleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from shared.clock import SystemClock
from shared.contract.heartbeat import Beat, Stopping
from shared.settings import Secret
from tests.support.fake_bot import FakeBot
from tests.support.processes import WATCHDOG_TOKEN
from tests.support.waiting import eventually
from watchdog.probes.heartbeat_link import HeartbeatLink


@dataclass
class Heard:
    beats: list[Beat] = field(default_factory=list)
    stops: list[Stopping] = field(default_factory=list)
    troubles: list[tuple[str, float]] = field(default_factory=list)
    connects: int = 0

    async def beat(self, beat: Beat) -> None:
        self.beats.append(beat)

    async def stopping(self, stopping: Stopping) -> None:
        self.stops.append(stopping)

    def trouble(self, reason: str, since_ms: int) -> None:
        assert abs(since_ms / 1000 - time.time()) < 30
        self.troubles.append((reason, time.monotonic()))

    def connected(self) -> None:
        self.connects += 1


@asynccontextmanager
async def following(bot: FakeBot) -> AsyncIterator[tuple[HeartbeatLink, Heard]]:
    heard = Heard()
    link = HeartbeatLink(
        url=bot.url, token=Secret(WATCHDOG_TOKEN), interval_s=bot.beat_s, clock=SystemClock(), listener=heard
    )
    task = asyncio.create_task(link.run())
    try:
        yield link, heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_beats_are_told_with_the_token_shown() -> None:
    async with FakeBot() as bot, following(bot) as (link, heard):
        await eventually(lambda: len(heard.beats) >= 3, what="three beats")
        assert (link.up, heard.connects, heard.troubles) == (True, 1, [])
        assert bot.tokens == [f"Bearer {WATCHDOG_TOKEN}"]


async def test_the_end_of_the_stream_is_told_at_once_and_it_connects_again() -> None:
    async with FakeBot(beat_s=10.0) as bot, following(bot) as (_, heard):
        await eventually(lambda: heard.beats, what="a beat")
        began = time.monotonic()
        await bot.stop()
        await eventually(lambda: heard.troubles, what="the trouble")
        assert heard.troubles[0][1] - began < 20, "sooner than any silence limit"
        await bot.start()
        await eventually(lambda: heard.connects == 2, what="the second connection")
        assert len(heard.troubles) == 1


async def test_silence_is_told_after_two_and_a_half_intervals() -> None:
    async with FakeBot(beat_s=2.0) as bot, following(bot) as (_, heard):
        await eventually(lambda: heard.beats, what="a beat")
        bot.beats = "silent"
        began = time.monotonic()
        await eventually(lambda: heard.troubles, what="the trouble")
        reason, at = heard.troubles[0]
        assert reason == "silent"
        assert 2.5 < at - began < 15


async def test_our_own_sleep_is_not_the_bots_silence() -> None:
    async with FakeBot(beat_s=0.1) as bot, following(bot) as (_, heard):
        await eventually(lambda: heard.beats, what="a beat")
        for _ in range(3):
            time.sleep(0.6)  # noqa: ASYNC251 - the stall is what is tested
            seen = len(heard.beats)
            await eventually(lambda seen=seen: len(heard.beats) >= seen + 2, what="beats after the stall")  # type: ignore[misc]
        assert [reason for reason, _ in heard.troubles if reason == "silent"] == []


async def test_an_announced_stop_is_told() -> None:
    async with FakeBot() as bot, following(bot) as (_, heard):
        await eventually(lambda: heard.beats, what="a beat")
        await bot.announce_stop(5000)
        await eventually(lambda: heard.stops, what="the announcement")
        assert heard.stops[0].deadline_ms == 5000


async def test_a_bot_without_the_endpoint_is_no_trouble() -> None:
    async with FakeBot(beats="absent") as bot, following(bot) as (link, heard):
        await eventually(lambda: link.state == "http_404", what="the answer 404")
        assert (heard.troubles, heard.connects, len(bot.tokens)) == ([], 0, 1)
