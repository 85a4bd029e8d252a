"""The WebSocket of WAHA's clients: the events of webhooks, for the sessions of its key, as long as its key."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from bot_service import keys
from bot_service.access.open_requests import STREAMS_OF_ONE_KEY
from bot_service.dialects.waha.paths import WEBSOCKET
from tests.dialects.reference import WAHA, misfit_of_wahas_event, specification_of
from tests.dialects.waha_scene import CHAT, call, came, working
from tests.support.bot_app import Bot, paired
from tests.support.processes import API_KEY
from tests.support.waiting import PATIENCE_S, eventually


async def connect(bot: Bot, query: str = "", key: str = API_KEY) -> ClientWebSocketResponse:
    return await bot.client.ws_connect(f"{WEBSOCKET}?x-api-key={key}{query}")


async def hears(socket: ClientWebSocketResponse, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE_S):
        return [json.loads((await socket.receive()).data) for _ in range(count)]


async def new_key(bot: Bot, owner: str, *scopes: str) -> dict[str, Any]:
    status, made = await bot.call("POST", "/api/keys", {"name": owner, "owner": owner, "scopes": list(scopes)})
    assert status == 201
    return dict(made)


@pytest.mark.reference
async def test_it_says_what_happens_as_webhooks_do(bot: Bot) -> None:
    specification_of(WAHA)
    await working(bot)
    async with await connect(bot, "&events=message,message.any,message.ack") as socket:
        await came(bot, "M1")
        await call(bot, "POST", "/api/sendText", {"chatId": CHAT, "text": "hi"})
        bodies = await hears(socket, 4)
    assert [body["event"] for body in bodies] == ["message", "message.any", "message.any", "message.ack"]
    assert [why for body in bodies if (why := misfit_of_wahas_event(body))] == []
    assert len({body["id"] for body in bodies}) == 4


@pytest.mark.parametrize("query", ["&session=default&events=message", "&events=message.reaction,message&session=*"])
async def test_it_says_only_what_was_asked_for(bot: Bot, query: str) -> None:
    await working(bot)
    await paired(bot, "other")
    async with await connect(bot, query) as socket:
        await call(bot, "POST", "/api/sendText", {"chatId": CHAT, "text": "not asked for"})
        await came(bot, "M1")
        (body,) = await hears(socket, 1)
    assert (body["event"], body["session"]) == ("message", "default")


async def test_a_key_hears_of_its_own_sessions_only(bot: Bot) -> None:
    await working(bot)
    made = await new_key(bot, "ann", "read", "session")
    async with await connect(bot, key=made["key"]) as socket:
        await came(bot, "M1")
        await call(bot, "POST", "/api/sessions", {"name": "hers"}, key=made["key"])
        (body,) = await hears(socket, 1)
    assert (body["event"], body["session"]) == ("session.status", "hers")
    async with bot.client.get(f"{WEBSOCKET}?x-api-key={made['key']}&session=default") as answer:
        assert answer.status == 404


async def test_an_id_that_another_owner_uses_too_has_no_mark(bot: Bot) -> None:
    await call(bot, "POST", "/api/sessions", {"name": "default", "start": False})
    made = await new_key(bot, "ann", "read", "session")
    await call(bot, "POST", "/api/sessions", {"name": "default", "start": False}, key=made["key"])
    async with await connect(bot, "&session=default", key=made["key"]) as socket:
        await call(bot, "POST", "/api/sessions/default/start", key=made["key"])
        (body,) = await hears(socket, 1)
    assert (body["session"], body["payload"]["name"]) == ("default", "default")
    assert "~" not in json.dumps(body)


async def test_it_ends_with_its_key_and_with_its_client(bot: Bot) -> None:
    made = await new_key(bot, "ann", "read")
    async with await connect(bot, key=made["key"]) as socket:
        assert (await bot.call("DELETE", f"/api/keys/{made['id']}"))[0] == 204
        async with asyncio.timeout(PATIENCE_S):
            assert (await socket.receive()).type is WSMsgType.CLOSE
    left = await connect(bot)
    await left.close()
    stream = bot.app[keys.EVENTS].stream
    await eventually(lambda: stream.readers == 0, what="no reader being left")


async def test_a_key_has_its_share_of_streams(bot: Bot) -> None:
    made = await new_key(bot, "ann", "read")
    sockets = [await connect(bot, key=made["key"]) for _ in range(STREAMS_OF_ONE_KEY)]
    async with bot.client.get(
        f"{WEBSOCKET}?x-api-key={made['key']}",
        headers={
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        },
    ) as answer:
        assert (answer.status, (await answer.json())["code"]) == (503, "too_many_readers")
    for socket in sockets:
        await socket.close()


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 426), ("&events=messages", 422), ("&session=unknown", 404), ("&events=message&events=no", 422)],
)
async def test_what_is_no_websocket_of_waha_is_refused(bot: Bot, query: str, status: int) -> None:
    async with bot.client.get(f"{WEBSOCKET}?x-api-key={API_KEY}{query}") as answer:
        assert (answer.status, (await answer.json())["statusCode"]) == (status, status)


@pytest.mark.parametrize(("key", "status"), [("", 401), ("wrong", 403)])
async def test_it_needs_a_key(bot: Bot, key: str, status: int) -> None:
    async with bot.client.get(f"{WEBSOCKET}?x-api-key={key}") as answer:
        assert answer.status == status
