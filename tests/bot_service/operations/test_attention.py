"""The bot service alone, or with a watchdog that has channels: exactly one of them notifies people, once, in groups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot_service import keys
from bot_service.domain.need import Voice
from bot_service.domain.session_record import Command, CommandKind
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import State
from tests.support.bot_app import Bot, is_in, paired, running
from tests.support.fast_clock import FastClock
from tests.support.processes import WATCHDOG_TOKEN
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

FAST = 20.0


@pytest.fixture
async def people() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


def reported(people: Receiver) -> list[tuple[str, int]]:
    """Type and number of sessions of every notice about sessions."""
    found = [(got.json["type"], got.json["data"]) for got in people.requests]
    return [(kind, data["count"]) for kind, data in found if data["kind"] == "sessions_need_person"]


@pytest.mark.deep
async def test_a_ban_wave_of_500_is_one_notice(tmp_path: Path, people: Receiver) -> None:
    async with running(tmp_path, clock=FastClock(FAST), ALERT_URLS=people.url) as bot:
        names = [f"s{number:03}" for number in range(500)]
        await paired(bot, *names)
        for name in names:
            bot.pool.emit(name, SignalKind.BANNED)
        await eventually(lambda: reported(people) == [("service.alert", 500)], what="one notice")
        await past_the_grace(bot)
        assert len(reported(people)) == 1
        assert len(people.requests[0].raw) < 20_000


class Reports:
    """A watchdog that reports to ``bot``; ``sees`` is the revision that the last beat named."""

    def __init__(self, bot: Bot, channels: int) -> None:
        self._bot, self._channels, self._sequence = bot, channels, 0
        self.known = self.taken = ""
        self.accepted = True

    async def push(self) -> dict[str, Any] | None:
        """The sessions of the answer, if it holds any."""
        self._sequence += 1
        body = {
            "bootId": "w1", "sequence": self._sequence, "isRunning": True, "uptime": 1, "pingCount": 1,
            "failedPings": 0, "healthUrl": "http://bot/health", "pingInterval": 1000, "pushInterval": 30_000,
            "channels": self._channels, "attentionKnown": self.known, "attentionTaken": self.taken,
        }  # fmt: skip
        status, answer = await self._bot.call("POST", "/api/keepalive", body, key=WATCHDOG_TOKEN)
        assert status == 200
        self.accepted = answer["accepted"]
        found: dict[str, Any] | None = answer.get("attention")
        if found is not None:
            self.known = found["revision"]
        return found


async def need_of(bot: Bot, session: str) -> Any:
    record = bot.app[keys.SESSIONS].registry.get(session)
    assert record is not None
    return record.need


async def past_the_grace(bot: Bot, seconds: float = 70.0) -> None:
    """Let so much of the service's time pass that it would have reported by now."""
    clock = bot.app[keys.CLOCK]
    until = clock.monotonic() + seconds
    await eventually(lambda: clock.monotonic() >= until, what="the grace to pass")


async def test_alone_it_tells_a_wave_once_and_its_end_once_over_restarts(tmp_path: Path, people: Receiver) -> None:
    env: dict[str, Any] = {"ALERT_URLS": people.url, "PUBLIC_URL": "https://bot.example.org"}
    names = [f"s{number:03}" for number in range(30)]
    async with running(tmp_path, clock=FastClock(FAST), **env) as bot:
        await paired(bot, "spared", *names)
        await bot.call("PATCH", "/api/sessions/s000", {"name": "Ann <b>@everyone"})
        for name in names:
            bot.pool.emit(name, SignalKind.BANNED)
        await eventually(lambda: reported(people) == [("service.alert", 30)], what="one notice")
        data = people.requests[0].json["data"]
        assert data["kind"] == "sessions_need_person"
        assert data["needs"] == {"banned": 30}
        assert data["severity"] == "critical"
        assert "30 sessions need a person: https://bot.example.org/" in data["text"]
        assert "and 20 more" in data["text"]
        assert "ask for a review" in data["text"]
        assert "Ann ＜b＞＠everyone (s000)" in data["text"], "a name is no markup"
        assert data["sessions"][0] == {
            "session": "s000", "name": "Ann <b>@everyone", "need": "banned", "link": "https://bot.example.org/sessions/s000"
        }  # fmt: skip
        _, health = await bot.call("GET", "/health", key=None)
        assert health["sessions"]["needPerson"] == 30
        assert (await bot.call("GET", "/api/metrics", key=None))[1]["sessions"]["needPerson"] == 30
        assert "veilleur_bot_sessions_needing_person 30.0" in (await bot.call("GET", "/metrics", key=None))[1]
        _, listed = await bot.call("GET", "/api/attention")
        assert len(listed["sessions"]) == 30
        assert listed["sessions"][0]["todo"].startswith("Open WhatsApp on the phone")
    async with running(tmp_path, clock=FastClock(FAST), **env) as bot:
        await is_in(bot, "spared", State.READY)
        await past_the_grace(bot)
        assert reported(people) == [("service.alert", 30)], "a restart reports nothing again"
        for name in names[:3]:
            await bot.call("POST", f"/api/sessions/{name}/start")
            await is_in(bot, name, State.PAIRING)
            bot.pool.pair(name)
            await is_in(bot, name, State.READY)
        await bot.call("DELETE", "/api/sessions/s010")
        await bot.call("POST", "/api/sessions/s011/stop")
        await eventually(lambda: reported(people)[1:] == [("service.recovered", 3)], what="one notice of the end")
        await past_the_grace(bot)
        assert len(reported(people)) == 2, "nor is reported what a person did"
        assert (await bot.call("GET", "/health", key=None))[1]["sessions"]["needPerson"] == 25


@pytest.mark.parametrize(
    ("kind", "need"),
    [
        (SignalKind.BANNED, "banned"),
        (SignalKind.TEMP_BANNED, "temp_banned"),
        (SignalKind.LOGGED_OUT, "logged_out"),
        (SignalKind.PRIMARY_GONE, "primary_gone"),
    ],
)
async def test_one_session_is_told_by_its_name_with_what_to_do_and_a_link(
    tmp_path: Path, people: Receiver, kind: SignalKind, need: str
) -> None:
    async with running(tmp_path, clock=FastClock(FAST), ALERT_URLS=people.url, PORT="3999") as bot:
        await paired(bot, "one")
        await bot.call("PATCH", "/api/sessions/one", {"name": "Boutique"})
        bot.pool.emit("one", kind)
        await eventually(lambda: reported(people) == [("service.alert", 1)], what="the notice")
        data = people.requests[0].json["data"]
        assert data["title"] == "Session Boutique (one) needs a person"
        assert data["needs"] == {need: 1}
        assert data["session"] == "one"
        assert "What to do: " in data["text"]
        assert data["text"].endswith("http://localhost:3999/sessions/one")


async def test_a_session_that_was_closed_is_told_and_a_stop_is_not(tmp_path: Path, people: Receiver) -> None:
    async with running(tmp_path, clock=FastClock(FAST), ALERT_URLS=people.url) as bot:
        await paired(bot, "old", "stopped", "deleted", "unlinked")
        await bot.call("POST", "/api/sessions", {"id": "unscanned"})
        bot.app[keys.SESSIONS].supervisor.apply("old", Command(CommandKind.CLOSE))
        await bot.call("POST", "/api/sessions/stopped/stop")
        await bot.call("DELETE", "/api/sessions/deleted")
        await bot.call("POST", "/api/sessions/unlinked/logout")
        await eventually(lambda: reported(people) == [("service.alert", 1)], what="the notice")
        assert people.requests[0].json["data"]["needs"] == {"closed": 1}
        await past_the_grace(bot)
        assert len(reported(people)) == 1


async def test_a_watchdog_with_channels_tells_instead_and_its_absence_is_noticed(
    tmp_path: Path, people: Receiver
) -> None:
    async with running(tmp_path, clock=FastClock(FAST), ALERT_URLS=people.url) as bot:
        await paired(bot, "one", "two", "three")
        reports = Reports(bot, channels=2)
        await reports.push()
        bot.pool.emit("one", SignalKind.BANNED)
        found = await reports.push()
        assert found is not None
        assert [(each["session"], each.get("voice", "")) for each in found["sessions"]] == [("one", "")]
        assert found["advice"]["banned"]["severity"] == "critical"
        reports.taken = reports.known
        await reports.push()
        assert (await need_of(bot, "one")).voice is Voice.WATCHDOG
        await past_the_grace(bot)
        assert reported(people) == [], "the watchdog reported it"
        # It works again while no watchdog is there: the one that reported it reports its end, when it is back.
        await bot.call("POST", "/api/sessions/one/start")
        await is_in(bot, "one", State.PAIRING)
        bot.pool.pair("one")
        await is_in(bot, "one", State.READY)
        # And a need that no watchdog takes over is reported here.
        bot.pool.emit("two", SignalKind.LOGGED_OUT)
        await eventually(lambda: reported(people) == [("service.alert", 1)], what="the notice")
        await past_the_grace(bot)
        found = await reports.push()
        assert found is not None
        assert {each["session"]: (each["voice"], each.get("over", False)) for each in found["sessions"]} == {
            "one": ("watchdog", True),
            "two": ("bot", False),
        }
        reports.taken = reports.known
        assert await reports.push() is not None, "one need less"
        assert await need_of(bot, "one") is None
        assert (await need_of(bot, "two")).voice is Voice.BOT
        assert await reports.push() is None, "what is known is not sent again"
        assert reported(people) == [("service.alert", 1)]


async def test_a_watchdog_without_channels_tells_nobody_so_the_bot_does(tmp_path: Path, people: Receiver) -> None:
    async with running(tmp_path, clock=FastClock(FAST), ALERT_URLS=people.url) as bot:
        await paired(bot, "one")
        reports = Reports(bot, channels=0)
        bot.pool.emit("one", SignalKind.BANNED)
        await reports.push()
        reports.taken = reports.known
        await reports.push()
        await eventually(lambda: reported(people) == [("service.alert", 1)], what="the notice")


async def test_a_watchdog_that_is_there_and_takes_nothing_over_is_not_waited_for_for_ever(
    tmp_path: Path, people: Receiver
) -> None:
    async with running(tmp_path, clock=FastClock(FAST), ALERT_URLS=people.url) as bot:
        await paired(bot, "one")
        reports, clock = Reports(bot, channels=1), bot.app[keys.CLOCK]
        await reports.push()
        began_s = clock.monotonic()
        bot.pool.emit("one", SignalKind.BANNED)

        async def pushes() -> None:
            while True:
                await reports.push()
                await asyncio.sleep(0.1)

        pushing = asyncio.create_task(pushes())
        try:
            await eventually(lambda: reported(people) == [("service.alert", 1)], what="the notice")
        finally:
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)
        assert clock.monotonic() - began_s >= 55


async def test_a_confirmation_of_another_run_or_of_an_earlier_state_confirms_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, clock=FastClock(FAST)) as bot:
        await paired(bot, "one", "two")
        reports = Reports(bot, channels=1)
        bot.pool.emit("one", SignalKind.BANNED)
        await reports.push()
        earlier = reports.known
        bot.pool.emit("two", SignalKind.BANNED)
        for taken in ("", "other-99", "99", f"{earlier.rpartition('-')[0]}-x", earlier):
            reports.taken = taken
            await reports.push()
        assert (await need_of(bot, "one")).voice is Voice.WATCHDOG
        assert (await need_of(bot, "two")).voice is Voice.NOT_YET


async def test_owners_see_the_needs_of_their_own_sessions_only(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await paired(bot, "one", "two")
        await bot.call("PATCH", "/api/sessions/two", {"owner": "ann"})
        _, made = await bot.call("POST", "/api/keys", {"name": "ann", "owner": "ann", "scopes": ["read"]})
        for name in ("one", "two"):
            bot.pool.emit(name, SignalKind.BANNED)
        _, listed = await bot.call("GET", "/api/attention", key=made["key"])
        assert [each["session"] for each in listed["sessions"]] == ["two"]


@pytest.mark.sqlite
async def test_a_watchdog_learns_of_a_ban_while_the_store_takes_nothing(tmp_path: Path, people: Receiver) -> None:
    async with running(tmp_path, clock=FastClock(FAST), ALERT_URLS=people.url) as bot:
        await paired(bot, "one")
        reports = Reports(bot, channels=1)
        await reports.push()
        await read_only(bot, "ON")
        bot.pool.emit("one", SignalKind.BANNED)
        found = await reports.push()
        assert found is not None
        assert ([each["session"] for each in found["sessions"]], reports.accepted) == (["one"], False)
        # A repeated report, because its answer was lost, gets the sessions too.
        reports.known, reports._sequence = "", reports._sequence - 1
        assert (await reports.push()) is not None
        assert bot.app[keys.OPERATIONS].watchdog_reports.stale() is False
        await read_only(bot, "OFF")


async def read_only(bot: Bot, switch: str) -> None:
    """Set it on every connection of the pool."""
    held = [await bot.app[keys.DATABASE].engine.connect() for _ in range(4)]
    for connection in held:
        await connection.exec_driver_sql(f"PRAGMA query_only = {switch}")
    for connection in held:
        await connection.close()
