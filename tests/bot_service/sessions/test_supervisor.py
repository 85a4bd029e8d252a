"""The supervisor with a pool in memory: one session's trouble is its own, the wish of a person holds, nothing is forgotten."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bot_service import keys
from bot_service.access.principals import ADMINISTRATOR
from bot_service.domain.session_record import DueKind, LinkCheck
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import State, Wanted
from bot_service.engines.port import EngineError
from bot_service.sessions.commands import CreateSession
from tests.support.bot_app import is_in, paired, running
from tests.support.fake_pool import FakePool
from tests.support.receiver import Receiver
from tests.support.waiting import eventually


async def test_a_start_that_hangs_holds_up_no_other_session(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await paired(bot, "stuck", "well")

    class Stuck(FakePool):
        async def start_session(
            self, session: str, *, jid: str | None, proxy: str | None, creation: str = "", canary: bool = False
        ) -> int:
            if session == "stuck":
                self.calls.append(("start", session))
                await asyncio.Event().wait()
            return await super().start_session(session, jid=jid, proxy=proxy, creation=creation, canary=canary)

    async with running(tmp_path, pool=Stuck(online=True), SESSION_START_TIMEOUT="1000") as bot:
        await is_in(bot, "well", State.READY)
        await is_in(bot, "stuck", State.RECONNECTING)
        await eventually(lambda: bot.pool.calls.count(("start", "stuck")) >= 2, what="another try")
        assert (await bot.call("GET", "/health", key=None))[0] == 200


async def test_a_session_is_not_forgotten_because_the_network_was_down_at_boot(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await paired(bot, "one")
    pool = FakePool(online=True)
    pool.fail["start"] = EngineError("rejected", "no route", retryable=True)
    async with running(tmp_path, pool=pool, RECONNECT_FIRST_DELAY="20") as bot:
        await is_in(bot, "one", State.RECONNECTING)
        record = bot.app[keys.SESSIONS].registry.get("one")
        assert record is not None
        assert (record.wanted, record.reason) == (Wanted.RUN, "connect_error")
        del pool.fail["start"]
        await is_in(bot, "one", State.READY)


async def test_a_signal_of_a_client_that_was_stopped_is_ignored(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await paired(bot, "one")
        old = bot.pool.running["one"]
        await bot.call("POST", "/api/sessions/one/restart")
        await eventually(lambda: bot.pool.running.get("one", old) > old)
        await is_in(bot, "one", State.READY)
        bot.pool.running["one"], new = old, bot.pool.running["one"]
        bot.pool.emit("one", SignalKind.LOGGED_OUT)
        bot.pool.running["one"] = new
        record = bot.app[keys.SESSIONS].registry.get("one")
        assert record is not None
        assert record.state is State.READY


async def test_a_connection_that_nobody_wants_is_ended(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await paired(bot, "one")
        await bot.call("POST", "/api/sessions/one/stop")
        await eventually(lambda: "one" not in bot.pool.running)
        bot.pool.running["one"] = 99
        bot.pool.emit("one", SignalKind.CONNECTED)
        await eventually(lambda: "one" not in bot.pool.running, what="the stop of what nobody wants")


@pytest.mark.sqlite
async def test_a_locked_store_is_told_by_health_and_nothing_is_lost(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await paired(bot, "one")
        lock = sqlite3.connect(tmp_path / "bot.db", isolation_level=None, check_same_thread=False)
        # In a thread: a write of the service that is on its way must be able to end meanwhile.
        await asyncio.to_thread(lock.execute, "BEGIN IMMEDIATE")
        bot.pool.emit("one", SignalKind.DISCONNECTED)
        await is_in(bot, "one", State.RECONNECTING)

        async def unhealthy() -> bool:
            status, answer = await bot.call("GET", "/health", key=None)
            return status == 503 and "store" in answer["reasons"]

        await eventually(unhealthy, what="health telling of the store")
        lock.execute("ROLLBACK")
        lock.close()

        async def healthy() -> bool:
            return (await bot.call("GET", "/health", key=None))[0] == 200

        await eventually(healthy, what="health after the lock")
        _, answer = await bot.call("GET", "/api/sessions/one/transitions")
        assert "RECONNECTING" in [change["to"] for change in answer["transitions"]]


@pytest.mark.parametrize("action", ["auto", "close"])
async def test_cleanup_closes_what_is_idle_and_a_start_brings_it_back(tmp_path: Path, action: str) -> None:
    async with running(tmp_path, SESSION_INACTIVE_TIMEOUT="1000", SESSION_EXPIRY_ACTION=action) as bot:
        await paired(bot, "idle", "used")
        supervisor, registry = bot.app[keys.SESSIONS].supervisor, bot.app[keys.SESSIONS].registry

        def idle_for_long() -> bool:
            supervisor.activity.touch("used")
            record = registry.get("idle")
            return record is not None and supervisor.now_ms() - record.active_ms >= 1000

        await eventually(idle_for_long)
        cleaned = await bot.app[keys.SESSIONS].cleanup.once()
        assert (cleaned.sessions, cleaned.closed, cleaned.recycled) == (2, 1, 0)
        await is_in(bot, "idle", State.CLOSED)
        await is_in(bot, "used", State.READY)
        status, view = await bot.call("POST", "/api/sessions/idle/start")
        assert (status, view["paired"]) == (200, True)
        await is_in(bot, "idle", State.READY)


async def test_transitions_are_kept_up_to_their_number(tmp_path: Path) -> None:
    async with running(tmp_path, SESSION_TRANSITIONS_KEPT="5") as bot:
        await paired(bot, "one")
        for _ in range(6):
            bot.pool.emit("one", SignalKind.DISCONNECTED)
            bot.pool.connect("one")
        await bot.app[keys.SESSIONS].store.flush()
        kept = await bot.app[keys.SESSIONS].store.transitions("one")
        assert len(kept) == 5
        assert kept[0].to_state is State.READY


async def test_a_session_that_could_not_be_stored_does_not_exist_and_starts_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        broken = True

        async def full(*_: object) -> None:
            if broken:
                raise OSError("disk full")

        bot.app[keys.SESSIONS].store.transition_sinks.append(full)
        status, answer = await bot.call("POST", "/api/sessions", {"id": "one"})
        assert (status, answer["code"]) == (503, "store_unavailable")
        assert (await bot.call("GET", "/api/sessions/one"))[0] == 404
        assert bot.pool.calls == []
        # Nothing waits to be written any more: health must not say so for ever.
        await eventually(
            lambda: bot.app[keys.SESSIONS].store.failing is None, what="no word of a write that nobody wants"
        )
        broken = False
        await bot.app[keys.SESSIONS].store.flush()
        assert await bot.app[keys.SESSIONS].store.load() == []
        status, view = await bot.call("POST", "/api/sessions", {"id": "one"})
        assert (status, view["state"]) == (201, "STARTING")
        await is_in(bot, "one", State.PAIRING)


async def test_a_session_whose_maker_goes_away_is_there_at_once_or_never(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        sessions, store, registry = (
            bot.app[keys.SESSIONS].commands,
            bot.app[keys.SESSIONS].store,
            bot.app[keys.SESSIONS].registry,
        )
        for patience in range(12):
            name = f"s{patience}"
            making = asyncio.create_task(sessions.create(ADMINISTRATOR, CreateSession(id=name)))
            for _ in range(patience):
                await asyncio.sleep(0)
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)
            await store.flush()
            assert (name in registry) == (name in {record.id for record in await store.load()}), patience


async def test_what_cannot_be_read_is_counted_and_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await paired(bot, "one")
        for number in range(3):
            bot.pool.emit("one", SignalKind.UNDECRYPTABLE, chat="x@s.whatsapp.net", messageId=f"M{number}")
        _, metrics = await bot.call("GET", "/metrics", key=None)
        assert 'veilleur_bot_engine_signals_total{kind="undecryptable"} 3.0' in metrics
        await is_in(bot, "one", State.READY)


async def test_a_session_that_nothing_healed_is_told_to_the_operator_once_and_so_is_its_end_after_a_restart(
    tmp_path: Path, receiver: Receiver
) -> None:
    env: dict[str, Any] = {"ALERT_URLS": receiver.url}

    def told() -> list[tuple[str, str]]:
        return [(got.json["type"], got.json["data"].get("session")) for got in receiver.requests]

    async with running(tmp_path, **env) as bot:
        await paired(bot, "deaf")
        supervisor = bot.app[keys.SESSIONS].supervisor
        bot.pool.may_recycle = False
        for suspected in range(3):  # two steps, and the third may not be taken
            supervisor.apply("deaf", LinkCheck(0, "probe_not_returned"))
            supervisor.fired("deaf", DueKind.RECOVERY)
            if suspected < 2:
                await is_in(bot, "deaf", State.READY)
        # The periodic check goes on to doubt it.
        supervisor.activity.evidence("deaf").probe_failed_ms = supervisor.now_ms()
        assert ("recycle", "deaf") not in bot.pool.calls
        await eventually(lambda: told() == [("service.alert", "deaf")], what="the alert")
    async with running(tmp_path, **env) as bot:
        await is_in(bot, "deaf", State.READY)
        assert bot.app[keys.EVENTS].service_alerts.raised == {"session_not_receiving"}
        bot.app[keys.SESSIONS].supervisor.activity.inbound("deaf")
        await eventually(lambda: told()[1:] == [("service.recovered", "deaf")], what="the end of the alert")
    assert len(receiver.requests) == 2
