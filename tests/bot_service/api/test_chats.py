"""The list of chats: newest first, in pages, with what is unread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot_service.domain.message import InboundMessage
from tests.support.bot_app import Bot, paired, received, running

ANN, BEN, GROUP = "33612345678@s.whatsapp.net", "49151000000@s.whatsapp.net", "120363041234567890@g.us"


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path, SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0") as started:
        await paired(started, "one", "two")
        yield started


async def came(bot: Bot, message_id: str, chat: str, session: str = "one", **parts: Any) -> None:
    await received(bot, InboundMessage(session, chat, message_id, chat, 0, "text", message_id, **parts))


async def chats(bot: Bot, query: str = "", session: str = "one") -> list[tuple[str, int, str]]:
    """(chat, unread, text of the last message)."""
    status, found = await bot.call("GET", f"/api/sessions/{session}/chats{query}")
    assert status == 200, found
    return [(chat["chat"], chat["unread"], chat["last"]["text"]) for chat in found["chats"]]


async def test_chats_come_newest_first_with_what_is_unread(bot: Bot) -> None:
    assert await chats(bot) == []
    for message_id, chat in (("A1", ANN), ("B1", BEN), ("A2", ANN), ("G1", GROUP)):
        await came(bot, message_id, chat, push_name="Ann")
    await came(bot, "X1", BEN, "two")
    assert await chats(bot) == [(GROUP, 1, "G1"), (ANN, 2, "A2"), (BEN, 1, "B1")]
    _, found = await bot.call("GET", "/api/sessions/one/chats")
    assert [(chat["name"], chat["isGroup"]) for chat in found["chats"]] == [
        (None, True),
        ("Ann", False),
        ("Ann", False),
    ]


async def test_an_own_message_and_a_read_mark_make_a_chat_read(bot: Bot) -> None:
    for message_id in ("A1", "A2", "A3"):
        await came(bot, message_id, ANN)
    mark = {"chat": ANN, "messageIds": ["A2"]}
    assert (await bot.call("POST", "/api/sessions/one/read", mark))[0] == 204
    assert await chats(bot) == [(ANN, 1, "A3")]
    assert (await bot.call("POST", "/api/sessions/one/read", {**mark, "messageIds": ["A1", "UNKNOWN"]}))[0] == 204
    assert await chats(bot) == [(ANN, 1, "A3")]
    await came(bot, "PHONE", ANN, from_me=True)
    assert await chats(bot) == [(ANN, 0, "PHONE")]
    await came(bot, "A4", ANN)
    assert await chats(bot) == [(ANN, 1, "A4")]
    assert (await bot.call("POST", "/api/sessions/one/messages", {"to": ANN, "text": "answer"}))[0] == 202
    assert await chats(bot) == [(ANN, 0, "answer")]


async def test_pages_follow_each_other_and_leave_nothing_out(bot: Bot) -> None:
    for number in range(7):
        await came(bot, f"M{number}", f"4915100000{number}@s.whatsapp.net")
    seen: list[str] = []
    query = "?limit=3"
    while True:
        _, page = await bot.call("GET", f"/api/sessions/one/chats{query}")
        seen += [chat["last"]["id"] for chat in page["chats"]]
        if page["next"] is None:
            break
        query = f"?limit=3&before={page['next']}"
    assert seen == [f"M{number}" for number in range(6, -1, -1)]


async def test_a_deleted_session_leaves_no_read_marks(bot: Bot) -> None:
    await came(bot, "A1", ANN)
    assert (await bot.call("POST", "/api/sessions/one/read", {"chat": ANN, "messageIds": ["A1"]}))[0] == 204
    assert (await bot.call("DELETE", "/api/sessions/one"))[0] in (200, 204)
    await paired(bot, "one")
    await came(bot, "A1", ANN)
    assert await chats(bot) == [(ANN, 1, "A1")]
