"""The receive probe over the real simulator: only when asked for, between own sessions of one owner, and never too often."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot_service import keys
from bot_service.access.principals import ADMINISTRATOR
from bot_service.app import build_app
from bot_service.domain.message import PROBE_ID
from bot_service.domain.states import State
from bot_service.engines.pool.policy import PoolPolicy
from bot_service.engines.pool.pool import WorkerPool
from bot_service.engines.port import EngineError
from bot_service.sessions.commands import CreateSession
from shared.clock import SystemClock
from tests.support import bot_app
from tests.support.bot_app import Bot, is_in, running
from tests.support.fake_clock import FakeClock
from tests.support.waiting import eventually

MINUTE_S = 60.0


@asynccontextmanager
async def simulated(folder: Path, *sessions: str, **env: str) -> AsyncIterator[Bot]:
    """The real application over real workers, ``sessions`` READY; a session is made for the owner before its colon."""
    from aiohttp.test_utils import TestClient, TestServer

    policy = PoolPolicy(
        engine="simulator", data_dir=folder, options={"auto_pair_ms": "20", "post_ms": "50"}, pulse_s=0.5
    )
    app = build_app(bot_app.settings(folder, **env), pool=WorkerPool(policy, SystemClock()))
    async with TestClient(TestServer(app)) as http:
        bot = Bot(app, http, None)  # type: ignore[arg-type]
        for session in sessions:
            owner, _, name = session.rpartition(":")
            await bot.call("POST", "/api/sessions", {"id": name, "owner": owner or "main"})
            await ready(bot, name)
        yield bot


async def ready(bot: Bot, session: str) -> None:
    await eventually(
        lambda: (r := bot.app[keys.SESSIONS].registry.get(session)) and r.state is State.READY,
        what=f"{session} being READY",
    )


async def inbox(bot: Bot, session: str) -> list[dict[str, Any]]:
    _, told = await bot.call("POST", f"/api/sessions/{session}/simulate", {"action": "inbox"})
    return list(told["result"]["messages"])


async def test_a_ring_between_two_own_sessions_proves_that_both_receive(tmp_path: Path) -> None:
    env = {"RECEIVE_PROBE": "ring", "RECEIVE_PROBE_INTERVAL": "500", "RECEIVE_PROBE_TIMEOUT": "5000"}
    async with simulated(tmp_path, "one", "two", **env) as bot:

        async def proven(session: str) -> Any:
            _, seen = await bot.call("GET", f"/api/sessions/{session}/health")
            return seen["probe"]["roundTripMs"] is not None and seen["parts"]["receiving"]["ok"]

        for session in ("one", "two"):
            await eventually(partial(proven, session), what=f"a ring that reached {session}")
        for session in ("one", "two"):
            sent = await inbox(bot, session)
            assert sent
            assert all(message["id"].startswith(PROBE_ID) for message in sent)
            # A probe is told to nobody: no message, no event, no sign of life.
            _, stored = await bot.call("GET", f"/api/sessions/{session}/messages")
            assert stored["messages"] == []
        _, metrics = await bot.call("GET", "/metrics", key=None)
        assert "veilleur_bot_probe_round_trip_seconds_count" in metrics


@pytest.mark.deep
async def test_a_ring_that_does_not_arrive_raises_suspicion_and_a_reconnect_heals(tmp_path: Path) -> None:
    env = {"RECEIVE_PROBE": "ring", "RECEIVE_PROBE_INTERVAL": "500", "RECEIVE_PROBE_TIMEOUT": "5000"}
    async with simulated(tmp_path, "deaf", "well", **env) as bot:
        await bot.call("POST", "/api/sessions/deaf/simulate", {"action": "silence"})

        async def told() -> bool:
            _, answer = await bot.call("GET", "/api/sessions/deaf/transitions")
            reasons = [(change["reason"], change["detail"]) for change in answer["transitions"]]
            return ("receive_suspected", "probe_not_returned") in reasons and (
                "reconnect",
                "probe_not_returned",
            ) in reasons

        await eventually(told, what="the suspicion and the first step")
        await ready(bot, "deaf")
        await eventually(
            lambda: (r := bot.app[keys.SESSIONS].registry.get("deaf")) and r.recovery_step == 0, what="a proof"
        )
        _, answer = await bot.call("GET", "/api/sessions/well/transitions")
        assert "receive_suspected" not in [change["reason"] for change in answer["transitions"]]


async def test_nothing_is_sent_unless_it_was_asked_for(tmp_path: Path) -> None:
    assert bot_app.settings(tmp_path).receive_probe == "off"
    async with simulated(tmp_path, "one", "two", RECEIVE_PROBE_INTERVAL="100") as bot:
        # Receipts of a message of ours show that time enough has passed for a probe.
        _, sent = await bot.call("POST", "/api/sessions/one/messages", {"to": "33612345678", "text": "x"})

        async def read() -> bool:
            return bool((await bot.call("GET", f"/api/sessions/one/messages/{sent['id']}"))[1]["state"] == "read")

        await eventually(read, what="the receipt")
        assert [message["text"] for message in await inbox(bot, "one")] == ["x"]
        assert await inbox(bot, "two") == []


@asynccontextmanager
async def on_a_fake_clock(tmp_path: Path, *sessions: str, kind: str = "ring") -> AsyncIterator[tuple[Bot, FakeClock]]:
    clock = FakeClock()
    env: dict[str, Any] = {
        "RECEIVE_PROBE": kind, "RECEIVE_PROBE_INTERVAL": "2m", "RECEIVE_PROBE_TIMEOUT": "20s"
    }  # fmt: skip
    async with running(tmp_path, clock=clock, **env) as bot:
        for session in sessions:
            owner, _, name = session.rpartition(":")
            await bot.app[keys.SESSIONS].commands.create(ADMINISTRATOR, CreateSession(id=name, owner=owner or "main"))
            await is_in(bot, name, State.PAIRING)
            bot.pool.pair(name)
            await is_in(bot, name, State.READY)
        yield bot, clock


async def pass_minutes(bot: Bot, clock: FakeClock, minutes: int) -> None:
    """Time goes on and frames go on coming; what was asked is asked."""
    for _ in range(minutes * 6):
        await clock.advance(10)
        for session in bot.pool.running:
            bot.pool.ages[session] = (0, None)
        await bot.app[keys.SESSIONS].receive_probe.once()


async def test_nobody_rings_more_often_than_the_interval_however_many_are_quiet(tmp_path: Path) -> None:
    async with on_a_fake_clock(tmp_path, "a", "b", "c", "d") as (bot, clock):
        # Nothing ever comes back from this pool: every probe is asked a second time, and that is all in the interval.
        await pass_minutes(bot, clock, 6)
        by_sender: dict[str, int] = {}
        for sender, message in bot.pool.sent:
            assert message.id.startswith(PROBE_ID)
            by_sender[sender] = by_sender.get(sender, 0) + 1
        assert set(by_sender) == {"a", "b", "c", "d"}
        assert max(by_sender.values()) <= 2 * 3


async def test_a_ring_stays_with_its_owner_and_one_alone_is_not_asked(tmp_path: Path) -> None:
    async with on_a_fake_clock(tmp_path, "ann:a1", "ann:a2", "bob:alone") as (bot, clock):
        await pass_minutes(bot, clock, 6)
        pairs = {(sender, message.to) for sender, message in bot.pool.sent}
        assert pairs == {("a1", "jid-a2@s.whatsapp.net"), ("a2", "jid-a1@s.whatsapp.net")}


@pytest.mark.parametrize("kind", ["ring", "self"])
async def test_a_probe_that_cannot_be_sent_is_no_suspicion_and_not_sent_again_at_once(
    tmp_path: Path, kind: str
) -> None:
    async with on_a_fake_clock(tmp_path, "a", "b", kind=kind) as (bot, clock):
        bot.pool.fail["send"] = EngineError("timelocked", "new chats are locked")
        await pass_minutes(bot, clock, 6)
        tries = sum(name == "send" for name, _ in bot.pool.calls)
        assert 2 <= tries <= 2 * 3
        await is_in(bot, "a", State.READY)


async def test_an_id_like_that_of_a_probe_hides_no_message(tmp_path: Path) -> None:
    async with simulated(tmp_path, "one") as bot:
        hidden = {"action": "message", "id": f"{PROBE_ID}1", "text": "see me"}
        await bot.call("POST", "/api/sessions/one/simulate", hidden)

        async def stored() -> list[str]:
            _, answer = await bot.call("GET", "/api/sessions/one/messages")
            return [message["text"] for message in answer["messages"]]

        await eventually(stored, what="the message in the store")
        assert await stored() == ["see me"]
