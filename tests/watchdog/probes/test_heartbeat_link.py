"""The heartbeat link against a real stream: beats, its end, its silence, and our own sleep."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from shared.clock import SystemClock
from shared.contract.heartbeat import Beat, Stopping
from shared.contract.identity import BOT, CHALLENGE_HEADER, Identity
from shared.settings import Secret
from tests.support.fake_bot import FakeBot
from tests.support.hostile_server import Call, hostile
from tests.support.memory import Peak
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

    async def trouble(self, reason: str, since_ms: int) -> None:
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


def _proved(script: Callable[[Call], Awaitable[None]]) -> Callable[[Call], Awaitable[None]]:
    """A bot that proves itself on each connection, and then answers with ``script``."""

    async def answer(call: Call) -> None:
        fields = dict(line.partition(": ")[::2] for line in call.head.decode().split("\r\n"))
        challenge = fields.get(CHALLENGE_HEADER)
        if challenge is None:
            await script(call)
            return
        proof = Identity(Secret(WATCHDOG_TOKEN)).proof(BOT, "b1", challenge)
        body = json.dumps({"status": "ok", "bootId": "b1", "proof": proof}).encode()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    return answer


async def _stream(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")


async def _line_without_end(call: Call) -> None:
    await _stream(call)
    await call.send_for_ever(b"data: " + b"a" * 50_000)


async def _event_without_end(call: Call) -> None:
    await _stream(call)
    await call.send_for_ever(b"data: " + b"a" * 200 + b"\n", 0.000_1)


async def _comments_without_end(call: Call) -> None:
    await _stream(call)
    await call.send_for_ever(b":\n" * 10_000)


async def _nested(call: Call) -> None:
    await _stream(call)
    await call.send_for_ever(b"event: beat\ndata: " + b"[" * 20_000 + b"\n\n", 0.1)


async def _packed(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
    await call.send_for_ever(gzip.compress(b"\0" * 1_000_000))


@pytest.mark.parametrize("script", [_line_without_end, _event_without_end, _comments_without_end, _nested, _packed])
async def test_a_stream_that_floods_is_a_lost_link_and_costs_no_memory(
    script: Callable[[Call], Awaitable[None]],
) -> None:
    async with hostile(_proved(script)) as server:
        heard = Heard()
        link = HeartbeatLink(
            url=server.url, token=Secret(WATCHDOG_TOKEN), interval_s=60.0, clock=SystemClock(), listener=heard
        )
        peak = Peak()
        task = asyncio.create_task(link.run())
        try:
            # The flood ends its connection, long before the limit of silence.
            await eventually(
                lambda: len(server.calls) > 1 and server.calls[1].writer.is_closing(), what="the lost link"
            )
            assert not task.done()
            assert peak.grown_bytes() < 40 * 2**20
            assert (link.up, heard.beats) == (False, [])
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
