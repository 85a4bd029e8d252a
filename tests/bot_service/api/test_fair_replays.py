"""A key that replays the event stream again and again slows no one else, and a reader sees all that is theirs and no more."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from bot_service import keys
from bot_service.events.publisher import Draft
from bot_service.events.replay_turns import ReplayTurns
from bot_service.store import events as stored_events
from shared.clock import SystemClock
from tests.support.bot_app import Bot, running
from tests.support.processes import API_KEY
from tests.support.receiver import Receiver
from tests.support.waiting import eventually


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path / "data", WEBHOOK_ALLOW_PRIVATE="true") as started:
        yield started


async def key_of(bot: Bot, owner: str) -> str:
    _, made = await bot.call("POST", "/api/keys", {"name": owner, "owner": owner, "scopes": ["read"]})
    return str(made["key"])


async def publish(bot: Bot, owner: str, count: int, first: int = 0) -> None:
    now = bot.app[keys.CLOCK].now()
    for start in range(first, first + count, 1000):
        numbers = range(start, min(start + 1000, first + count))
        drafts = [Draft("session.attention", f"of-{owner}", owner, now, {"number": number}) for number in numbers]
        await bot.app[keys.EVENTS].publisher.publish(drafts)


async def numbers(bot: Bot, key: str, count: int) -> list[int]:
    """What the first ``count`` events of a replay say."""
    found: list[int] = []
    headers = {"Authorization": f"Bearer {key}", "Last-Event-ID": "0"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(bot.client.make_url("/api/events"), headers=headers) as stream,
    ):
        assert stream.status == 200
        while len(found) < count:
            line = await stream.content.readline()
            if line.startswith(b"data: "):
                found.append(msgspec.json.decode(line[6:])["data"]["number"])
    return found


@pytest.mark.parametrize(
    ("who", "streams"),
    [
        ("an owner of nothing", 20),
        pytest.param("an owner of nothing", 200, marks=pytest.mark.deep),
        pytest.param("an owner of everything", 200, marks=pytest.mark.deep),
        pytest.param("the administrator", 200, marks=pytest.mark.deep),
    ],
)
async def test_a_key_that_replays_all_the_time_slows_no_webhook_and_no_request(
    bot: Bot, who: str, streams: int
) -> None:
    await publish(bot, "bob", streams * 100)
    requests = streams // 4
    key = API_KEY if who == "the administrator" else await key_of(bot, "ann" if who == "an owner of nothing" else "bob")
    async with Receiver() as receiver, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await bot.call("POST", "/api/webhooks", {"url": receiver.url, "events": ["session.attention"], "owner": "cat"})

        async def replay() -> None:
            headers = {"Authorization": f"Bearer {key}", "Last-Event-ID": "0"}
            while True:
                async with http.get(bot.client.make_url("/api/events"), headers=headers) as stream:
                    if stream.status != 200:
                        await asyncio.sleep(0.1)
                        continue
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(2):
                            async for _ in stream.content.iter_chunked(65536):
                                pass

        replays = [asyncio.create_task(replay()) for _ in range(streams)]
        took: list[float] = []
        try:
            for number in range(requests):
                await publish(bot, "cat", 1, first=number)
                # The processor time of this process: other programs on the machine do not count.
                began = time.process_time()
                assert (await bot.call("GET", "/api/sessions"))[0] == 200
                took.append(time.process_time() - began)
                await asyncio.sleep(0.05)
            await eventually(lambda: len(receiver.requests) == requests, what="every webhook")
        finally:
            for task in replays:
                task.cancel()
            await asyncio.gather(*replays, return_exceptions=True)
    assert sorted(took)[len(took) // 2] < 0.25


async def test_an_owner_replays_everything_of_theirs_in_order_and_hears_what_follows(bot: Bot) -> None:
    ann = await key_of(bot, "ann")
    for turn in range(3):
        await publish(bot, "bob", 1500, first=turn * 1500)
        await publish(bot, "ann", 400, first=turn * 400)
    await publish(bot, "bob", 3000)
    following = asyncio.create_task(numbers(bot, ann, 1205))
    assert await numbers(bot, ann, 1200) == list(range(1200))
    await publish(bot, "bob", 3000)
    await publish(bot, "ann", 5, first=1200)
    assert await following == list(range(1205))


async def test_a_quiet_reader_on_a_busy_service_is_told_that_the_stream_lives(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot_service.api.events import handlers

    monkeypatch.setattr(handlers, "KEEP_ALIVE_S", 0.3)
    ann = await key_of(bot, "ann")

    async def work() -> None:
        while True:
            await publish(bot, "bob", 1)
            await asyncio.sleep(0.05)

    busy = asyncio.create_task(work())
    headers = {"Authorization": f"Bearer {ann}"}
    async with asyncio.timeout(20), bot.client.get("/api/events", headers=headers) as stream:
        while not (await stream.content.readline()).startswith(b": still here"):
            pass
    busy.cancel()
    await asyncio.gather(busy, return_exceptions=True)
    assert not bot.app[keys.EVENTS].stream._turns._of_key


async def test_a_key_has_one_place_in_the_queue_however_many_streams_it_has() -> None:
    turns, order = ReplayTurns(SystemClock()), []

    async def stream(key: str) -> None:
        for _ in range(3):
            async with turns.turn(key):
                order.append(key)

    await asyncio.gather(*(stream("greedy") for _ in range(20)), stream("modest"))
    place = [number for number, key in enumerate(order) if key == "modest"]
    assert len(order) == 63
    assert place[-1] <= 6


async def test_streams_of_one_key_read_the_store_one_at_a_time_and_others_have_every_second_turn(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the running service: who reads the stored events, in which order, and how many at once."""
    read, reading, most = stored_events.after, 0, 0
    order: list[str] = []

    async def watched(connection: Any, after: str, limit: int, *, owner: str | None = None) -> Any:
        nonlocal reading, most
        if owner is None:  # the service's own reader of what is new
            return await read(connection, after, limit)
        reading += 1
        most = max(most, reading)
        order.append(owner)
        try:
            await asyncio.sleep(0.005)  # as in a store of many events
            return await read(connection, after, limit, owner=owner)
        finally:
            reading -= 1

    for owner, count in (("ann", 1500), ("cat", 1500)):
        await publish(bot, owner, count)
    greedy, modest = await key_of(bot, "ann"), await key_of(bot, "cat")
    monkeypatch.setattr(stored_events, "after", watched)
    replays = [asyncio.create_task(numbers(bot, greedy, 1500)) for _ in range(8)]
    await eventually(lambda: len(order) >= 5, what="the first reads of the greedy key")
    began = len(order)
    assert await numbers(bot, modest, 1500) == list(range(1500))
    mine = [place for place, owner in enumerate(order) if owner == "cat"]
    assert len(mine) >= 3
    assert all(later - earlier <= 2 for earlier, later in itertools.pairwise([began, *mine])), order
    assert most == 1
    for found in await asyncio.gather(*replays):
        assert found == list(range(1500))
