"""Events and deliveries are visible to their owner only, events of the service to administrators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bot_service import keys
from bot_service.domain.states import State
from bot_service.events.publisher import Draft
from bot_service.messages.inbound import ReplyTo
from tests.support.bot_app import Bot, running
from tests.support.processes import API_KEY
from tests.support.waiting import eventually


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path) as started:
        yield started


async def key_of(bot: Bot, owner: str) -> str:
    _, made = await bot.call("POST", "/api/keys", {"name": owner, "owner": owner, "scopes": ["read", "session"]})
    return str(made["key"])


async def sessions_told(bot: Bot, key: str, last: str) -> list[tuple[str, str | None]]:
    """(type, session) of every event up to the one about the session ``last``."""
    received: list[tuple[str, str | None]] = []
    async with bot.client.get(
        "/api/events", headers={"Authorization": f"Bearer {key}", "Last-Event-ID": "0" * 18}
    ) as response:
        assert response.status == 200
        async for line in response.content:
            if line.startswith(b"data: "):
                event = msgspec.json.decode(line[6:])
                received.append((event["type"], event["session"]))
                if event["session"] == last:
                    return received
    return received


async def test_a_reader_hears_of_its_owners_sessions_only(bot: Bot) -> None:
    ann, bob = await key_of(bot, "ann"), await key_of(bot, "bob")
    await bot.app[keys.EVENTS].service_alerts.raise_("test", "for the operator")
    for owner, session in (("ann", "a1"), ("bob", "b1"), ("ann", "a2")):
        status, _ = await bot.call("POST", "/api/sessions", {"id": session, "owner": owner})
        assert status == 201
    assert {session for _, session in await sessions_told(bot, ann, "a2")} == {"a1", "a2"}
    assert {session for _, session in await sessions_told(bot, bob, "b1")} == {"b1"}
    everything = await sessions_told(bot, API_KEY, "a2")
    assert {session for _, session in everything} >= {None, "a1", "b1", "a2"}
    assert ("service.alert", None) in everything


async def test_an_owner_sees_and_replays_its_own_deliveries_only(bot: Bot) -> None:
    ann, bob = await key_of(bot, "ann"), await key_of(bot, "bob")
    _, hook = await bot.call("POST", "/api/webhooks", {"url": "http://192.0.2.1:9/x"}, key=ann)
    assert hook["code"] == "invalid", "an address of documentation is no public one"
    _, hook = await bot.call("POST", "/api/webhooks", {"url": "http://nowhere.invalid/x"}, key=ann)
    await bot.call("POST", "/api/sessions", {"id": "a1", "owner": "ann"})

    async def waiting(key: str) -> list[Any]:
        _, listed = await bot.call("GET", "/api/deliveries?state=pending", key=key)
        return list(listed["deliveries"])

    rows = await eventually(lambda: waiting(ann), what="a delivery")
    assert await waiting(bob) == []
    status, one = await bot.call("GET", f"/api/deliveries/{hook['id']}/{rows[0]['event']}", key=ann)
    assert (status, one["body"]["session"]) == (200, "a1")
    assert (await bot.call("GET", f"/api/deliveries/{hook['id']}/{rows[0]['event']}", key=bob))[0] == 404
    assert (await bot.call("POST", "/api/deliveries/replay", {"webhook": hook["id"]}, key=bob))[0] == 404
    assert (await bot.call("POST", "/api/deliveries/replay", {"webhook": hook["id"]}, key=ann))[0] == 202


async def test_an_answer_is_not_sent_for_another_owner_than_the_message_came_to(bot: Bot) -> None:
    await bot.call("POST", "/api/sessions", {"id": "a1", "owner": "ann"})
    await eventually(
        lambda: (r := bot.app[keys.SESSIONS].registry.get("a1")) and r.state is State.PAIRING, what="a code"
    )
    bot.pool.pair("a1")
    chat = "33612345678@s.whatsapp.net"
    outbox, database = bot.app[keys.MESSAGES].outbox, bot.app[keys.DATABASE]

    creation = bot.app[keys.SESSIONS].registry.get("a1").creation  # type: ignore[union-attr]

    async def answer(message: str) -> None:
        to = ReplyTo("a1", chat, message, chat, "ann", creation)
        async with database.write() as connection:
            await outbox.reply(connection, msgspec.json.encode(to), "late")

    await answer("M1")
    assert (await bot.call("PATCH", "/api/sessions/a1", {"owner": "bob"}))[0] == 200
    await answer("M2")
    _, listed = await bot.call("GET", "/api/sessions/a1/messages")
    assert len(listed["messages"]) == 1


async def test_a_stream_whose_key_is_revoked_hears_nothing_more_and_ends(bot: Bot) -> None:
    _, made = await bot.call("POST", "/api/keys", {"name": "r", "owner": "ann", "scopes": ["read"]})
    async with bot.client.get("/api/events", headers={"Authorization": f"Bearer {made['key']}"}) as stream:
        await bot.call("POST", "/api/sessions", {"id": "before", "owner": "ann", "start": False})
        await bot.call("DELETE", "/api/sessions/before")
        while b"session.deleted" not in await stream.content.readline():
            pass
        assert (await bot.call("DELETE", f"/api/keys/{made['id']}"))[0] == 204
        await bot.call("POST", "/api/sessions", {"id": "after", "owner": "ann", "start": False})
        await bot.call("DELETE", "/api/sessions/after")
        assert b"after" not in await stream.content.read(), "read to the end, which came"


async def test_an_administrator_replays_alerts_that_did_not_arrive_and_nobody_else_does(tmp_path: Path) -> None:
    async with running(tmp_path / "other", ALERT_URLS="http://127.0.0.1:9/alerts") as bot:
        ann = await key_of(bot, "ann")
        await bot.app[keys.EVENTS].service_alerts.raise_("test", "for the operator", about="one")

        async def waiting() -> list[Any]:
            _, listed = await bot.call("GET", "/api/deliveries?state=pending")
            return list(listed["deliveries"])

        (row,) = await eventually(waiting, what="the alert's delivery")
        path = f"/api/deliveries/{row['webhook']}/{row['event']}"
        status, one = await bot.call("GET", path)
        assert (status, one["body"]["data"]["session"]) == (200, "one")
        assert (await bot.call("GET", path, key=ann))[0] == 404
        assert (await bot.call("POST", "/api/deliveries/replay", {"webhook": row["webhook"]}))[0] == 202
        assert (await bot.call("POST", "/api/deliveries/replay", {"webhook": row["webhook"]}, key=ann))[0] == 404
        assert bot.app[keys.EVENTS].service_alerts.raised == {"test"}, "kinds only: this is public"


async def test_a_deleted_session_leaves_nothing_behind(bot: Bot, tmp_path: Path) -> None:
    await bot.call("POST", "/api/sessions", {"id": "a1"})
    _, hook = await bot.call("POST", "/api/webhooks", {"url": "http://nowhere.invalid/x", "session": "a1"})
    assert (await bot.call("DELETE", "/api/sessions/a1"))[0] == 204
    _, listed = await bot.call("GET", "/api/webhooks")
    assert hook["id"] not in [each["id"] for each in listed["webhooks"]]


async def test_a_reader_that_was_away_for_too_long_is_told_of_the_gap(tmp_path: Path) -> None:
    async with running(tmp_path / "other", EVENTS_KEPT="100") as bot:
        now = bot.app[keys.CLOCK].now()
        await bot.app[keys.EVENTS].publisher.publish(
            [Draft("session.attention", "a1", "ann", now, {"number": number}) for number in range(150)]
        )
        async with bot.client.get(
            "/api/events", headers={"Authorization": f"Bearer {API_KEY}", "Last-Event-ID": "0" * 18}
        ) as stream:
            first = await lines(stream, 1)
        await bot.app[keys.OPERATIONS].retention.sweep()
        last = next(line[4:].decode() for line in first if line.startswith(b"id: "))
        async with bot.client.get(
            "/api/events", headers={"Authorization": f"Bearer {API_KEY}", "Last-Event-ID": last}
        ) as stream:
            resumed = await lines(stream, 2)
        named = [line for line in resumed if line.startswith((b"event: ", b"data: "))]
        assert named[0] == b"event: gap"
        assert msgspec.json.decode(named[3][6:])["data"] == {"number": 50}


async def lines(stream: Any, events: int) -> list[bytes]:
    """The lines of a stream up to the data of its ``events``-th event."""
    found: list[bytes] = []
    while sum(line.startswith(b"data: ") for line in found) < events:
        found.append((await stream.content.readline()).rstrip())
    return found


async def test_an_open_stream_ends_quietly_when_the_service_stops(tmp_path: Path) -> None:
    import time

    async with running(tmp_path / "other") as bot:
        response = await bot.client.get("/api/events", headers={"Authorization": f"Bearer {API_KEY}"})
        assert await response.content.readline() == b"retry: 2000\n"
        await bot.app.shutdown()
        before = time.monotonic()
        rest = await response.content.read()  # endless without a stop
        assert rest.startswith(b"\n")
        assert time.monotonic() - before < 30
