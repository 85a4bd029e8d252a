"""Both programs and the simulator: every state that needs a person reaches one, once, by one of the two programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support import processes
from tests.support.processes import QUICK, Client, Program
from tests.support.receiver import Receiver
from tests.support.sessions import reaches
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300), pytest.mark.long]

# Every phone scans its code at once; the probe notices silence within seconds.
SIMULATOR = "auto_pair_ms=50,reconnect_ms=300,frame_ms=1000"
QUIET_S = 20.0  # longer than the bot waits for a watchdog, and both for the end of a wave


@pytest.fixture
async def people() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


def notices(people: Receiver) -> list[tuple[str, str, dict[str, int]]]:
    """Sender (``bot`` or ``watchdog``), ``opened`` or ``over``, and the needs, of every notice about sessions."""
    found = []
    for got in people.requests:
        kind, data = got.json["type"], got.json["data"]
        if kind in ("watchdog.attention", "watchdog.attention_over"):
            found.append(("watchdog", "over" if kind.endswith("over") else "opened", data["needs"]))
        elif data.get("kind") == "sessions_need_person":
            found.append(("bot", "over" if kind == "service.recovered" else "opened", data["needs"]))
    return found


def needs(people: Receiver, what: str = "opened") -> dict[str, int]:
    """How often each need was reported, over all notices."""
    total: dict[str, int] = {}
    for _, kind, counted in notices(people):
        for need, count in counted.items() if kind == what else ():
            total[need] = total.get(need, 0) + count
    return total


def senders(people: Receiver) -> set[str]:
    return {sender for sender, _, _ in notices(people)}


async def make(client: Client, *names: str) -> None:
    for name in names:
        await client.post("/api/sessions", {"id": name, "name": f"Shop {name}"})
    for name in names:
        await reaches(client, name, "READY")


async def simulate(client: Client, session: str, action: str, **args: Any) -> None:
    await client.post(f"/api/sessions/{session}/simulate", {"action": action, **args})


async def state_of(dog: Program) -> dict[str, Any]:
    async with aiohttp.ClientSession() as http, http.get(dog.url + "/api/status") as answer:
        target: dict[str, Any] = (await answer.json())["targets"][0]
        return target


async def degraded(dog: Program, count: int) -> None:
    async def look() -> bool:
        target = await state_of(dog)
        return (target["state"], target["sessionsNeedingPerson"]) == ("DEGRADED" if count else "UP", count)

    await eventually(look, every_s=0.1, what=f"{count} sessions that need a person")
    async with aiohttp.ClientSession() as http:
        async with http.get(dog.url + "/badge.svg") as answer:
            badge = await answer.text()
        async with http.get(dog.url + "/") as answer:
            page = await answer.text()
    assert ("bot: degraded" in badge, "is running, but sessions need a person" in page) == (count > 0, count > 0)


async def settled(dog: Program, people: Receiver) -> None:
    """``dog`` has recorded every notice that it sent. Killed before that, it rightly sends the notice again."""
    by_dog = [notice for notice in notices(people) if notice[0] == "watchdog"]
    await eventually(lambda: dog.output().count("Alert sent by ") == len(by_dog), what="the record of what was sent")


async def listening(dog: Program) -> None:
    await eventually(lambda: "Heartbeat link is up" in dog.output(), what="the heartbeat link")
    await degraded(dog, 0)


async def test_every_state_reaches_a_person_once_and_so_does_the_end_over_restarts_of_both(
    tmp_path: Path, people: Receiver
) -> None:
    bot = processes.bot(
        tmp_path, ALERT_URLS=people.url, HEARTBEAT_INTERVAL="500", SIMULATOR_OPTIONS=SIMULATOR,
        PUBLIC_URL="https://bot.example.org",
    )  # fmt: skip
    dog = processes.watchdog(tmp_path, bot.url, ALERT_URLS=people.url, **QUICK)
    ends = {"ban": "ban", "tempBan": "tempBan", "logout": "logout", "left": "logout", "gone": "primaryGone"}
    expected = {"banned": 1, "temp_banned": 1, "logged_out": 2, "primary_gone": 1}
    async with bot.running(), dog.running(), Client(bot.url) as client:
        await listening(dog)
        await make(client, "well", "stopped", *ends)
        await client.post("/api/sessions/stopped/stop")
        for name, action in ends.items():
            await simulate(client, name, action)
        await eventually(lambda: needs(people) == expected, what="every state")
        assert senders(people) == {"watchdog"}
        assert len(notices(people)) <= 2, "many at once are one notice"
        text = "\n".join(got.json["data"]["text"] for got in people.requests)
        assert "Shop ban (ban)" in text
        assert "What to do: " in text
        assert "https://bot.example.org/" in text
        await degraded(dog, 5)
        reported = len(notices(people))
        await settled(dog, people)
        # The watchdog, the bot, and both: nothing is reported again.
        dog.kill()
        dog.start()
        await dog.ready()
        await degraded(dog, 5)
        bot.kill()
        bot.kill_workers()
        bot.start()
        await bot.ready()
        await reaches(client, "well", "READY")
        dog.kill()
        bot.kill()
        bot.start()
        dog.start()
        await bot.ready()
        await dog.ready()
        await degraded(dog, 5)
        await asyncio.sleep(QUIET_S)
        assert len(notices(people)) == reported
        # Two are linked again, one is stopped, the others are deleted: only the two that work again are reported.
        for name in ("logout", "left"):
            await client.post(f"/api/sessions/{name}/start")
        await client.post("/api/sessions/ban/stop")
        for name in ("tempBan", "gone"):
            assert (await client.call("DELETE", f"/api/sessions/{name}"))[0] == 204
        for name in ("logout", "left"):
            await reaches(client, name, "READY")
        await eventually(lambda: needs(people, "over") == {"logged_out": 2}, what="the end of both")
        await degraded(dog, 0)
        assert senders(people) == {"watchdog"}
        await asyncio.sleep(QUIET_S / 4)
        assert needs(people) == expected


@pytest.mark.deep
async def test_a_bot_with_channels_reports_when_the_watchdog_has_none_and_when_it_goes_away(
    tmp_path: Path, people: Receiver
) -> None:
    bot = processes.bot(tmp_path, ALERT_URLS=people.url, HEARTBEAT_INTERVAL="500", SIMULATOR_OPTIONS=SIMULATOR)
    mute = processes.watchdog(tmp_path, bot.url, name="mute", **QUICK)
    dog = processes.watchdog(tmp_path, bot.url, ALERT_URLS=people.url, **QUICK)
    async with bot.running(), Client(bot.url) as client:
        await make(client, "one", "two", "three", "four")
        async with mute.running():
            await listening(mute)
            await simulate(client, "one", "ban")
            await eventually(lambda: notices(people) == [("bot", "opened", {"banned": 1})], what="the bot's notice")
            await degraded(mute, 1)
        async with dog.running():
            await degraded(dog, 1)
            await simulate(client, "two", "logout")
            await eventually(lambda: len(notices(people)) == 2, what="the watchdog's notice")
            assert notices(people)[1] == ("watchdog", "opened", {"logged_out": 1})
            await settled(dog, people)
            dog.kill()
            await simulate(client, "three", "ban")
            await eventually(lambda: len(notices(people)) == 3, what="the bot's notice")
            assert notices(people)[2] == ("bot", "opened", {"banned": 1})
            dog.start()
            await dog.ready()
            await degraded(dog, 3)
            for name in ("two", "three"):
                await client.post(f"/api/sessions/{name}/start")
            await reaches(client, "two", "READY")
            await eventually(lambda: needs(people, "over") == {"logged_out": 1}, what="the end")
            assert notices(people)[3] == ("watchdog", "over", {"logged_out": 1}), "who reported it reports its end"
            await asyncio.sleep(QUIET_S / 2)
            assert len(notices(people)) == 4


@pytest.mark.deep
async def test_a_watchdog_with_channels_reports_what_a_bot_without_any_cannot(tmp_path: Path, people: Receiver) -> None:
    """Codes that no one scans, a session that is closed, a refused client version, and one that is used elsewhere."""
    bot = processes.bot(
        tmp_path,
        HEARTBEAT_INTERVAL="500",
        SIMULATOR_OPTIONS="auto_pair_ms=50,reconnect_ms=300,qr_first_ms=300,qr_next_ms=200,qr_codes=2,connect_ms=20",
        SESSION_MAX_AGE="20000",
        SESSION_EXPIRY_ACTION="close",
        SESSION_CLEANUP_INTERVAL="1000",
    )
    dog = processes.watchdog(tmp_path, bot.url, ALERT_URLS=people.url, **QUICK)
    async with bot.running(), dog.running(), Client(bot.url) as client:
        await listening(dog)
        await make(client, "refused")
        await simulate(client, "refused", "outdated")
        await eventually(lambda: needs(people) == {"outdated": 1}, what="the refused client version")
        await client.call("DELETE", "/api/sessions/refused")
        await make(client, "old")
        await eventually(lambda: needs(people) == {"outdated": 1, "closed": 1}, what="the closed session")
        assert senders(people) == {"watchdog"}
        await client.post("/api/sessions/old/stop")
        await degraded(dog, 0)


@pytest.mark.deep
async def test_a_session_that_receives_nothing_reaches_a_person_until_it_receives_again(
    tmp_path: Path, people: Receiver
) -> None:
    bot = processes.bot(
        tmp_path, HEARTBEAT_INTERVAL="500", SIMULATOR_OPTIONS=SIMULATOR,
        RECEIVE_PROBE="self", RECEIVE_PROBE_INTERVAL="3000", RECEIVE_PROBE_TIMEOUT="2000",
    )  # fmt: skip
    dog = processes.watchdog(tmp_path, bot.url, ALERT_URLS=people.url, **QUICK)
    async with bot.running(), dog.running(), Client(bot.url) as client:
        await listening(dog)
        await make(client, "deaf", "well")
        await simulate(client, "deaf", "silence", heals="never")
        await eventually(lambda: needs(people) == {"not_receiving": 1}, within_s=180, what="the deaf session")
        await simulate(client, "deaf", "heal")
        await eventually(lambda: needs(people, "over") == {"not_receiving": 1}, within_s=120, what="its end")
        await degraded(dog, 0)
        assert len(notices(people)) == 2


@pytest.mark.deep
async def test_codes_that_no_phone_scans_are_reported_when_the_last_one_has_expired(
    tmp_path: Path, people: Receiver
) -> None:
    options = "reconnect_ms=300,qr_first_ms=1500,qr_next_ms=500,qr_codes=2,connect_ms=20"
    bot = processes.bot(tmp_path, HEARTBEAT_INTERVAL="500", SIMULATOR_OPTIONS=options, ALERT_URLS=people.url)
    dog = processes.watchdog(tmp_path, bot.url, ALERT_URLS=people.url, **QUICK)
    async with bot.running(), dog.running(), Client(bot.url) as client:
        await listening(dog)
        await client.post("/api/sessions", {"id": "unscanned"})
        await reaches(client, "unscanned", "PAIRING")
        await asyncio.sleep(1.0)
        assert ((await state_of(dog))["state"], notices(people)) == ("UP", []), "a new code is no need"
        await reaches(client, "unscanned", "FAILED")
        await eventually(lambda: notices(people) == [("watchdog", "opened", {"not_paired": 1})], what="the notice")


@pytest.mark.deep
async def test_a_link_that_two_programs_use_is_reported_when_the_second_take_over_ends_it(
    tmp_path: Path, people: Receiver
) -> None:
    bot = processes.bot(tmp_path, HEARTBEAT_INTERVAL="500", SIMULATOR_OPTIONS=SIMULATOR, ALERT_URLS=people.url)
    dog = processes.watchdog(tmp_path, bot.url, ALERT_URLS=people.url, **QUICK)
    async with bot.running(), dog.running(), Client(bot.url) as client:
        await listening(dog)
        await make(client, "shared")
        await simulate(client, "shared", "replaced")
        await reaches(client, "shared", "RECONNECTING")
        await reaches(client, "shared", "READY", within_s=120)
        assert notices(people) == [], "the first take-over is answered by one try"
        await simulate(client, "shared", "replaced")
        await eventually(lambda: notices(people) == [("watchdog", "opened", {"fenced": 1})], what="the notice")
