"""One person has one chat, whether messages name the person by number or by hidden address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot_service.domain.message import InboundMessage
from tests.support.bot_app import Bot, paired, received, running
from tests.support.waiting import eventually

ANN, LID, GROUP = "33612345678@s.whatsapp.net", "84123456789012@lid", "120363041234567890@g.us"
ONE = "/api/sessions/one"


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path, SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0") as started:
        await paired(started, "one", "two")
        yield started


async def came(bot: Bot, message_id: str, chat: str, session: str = "one", **parts: Any) -> None:
    message = InboundMessage(session, chat, message_id, parts.pop("sender", chat), 0, "text", message_id, **parts)
    await received(bot, message)


async def history(bot: Bot, chat: str, session: str = "one") -> list[str]:
    status, found = await bot.call("GET", f"/api/sessions/{session}/chats/{chat}/messages")
    assert status == 200, found
    return [message["id"] for message in found["messages"]]


async def chats(bot: Bot, session: str = "one") -> list[tuple[str, int]]:
    _, found = await bot.call("GET", f"/api/sessions/{session}/chats")
    return [(chat["chat"], chat["unread"]) for chat in found["chats"]]


async def test_messages_by_lid_and_by_number_are_one_chat(bot: Bot) -> None:
    await came(bot, "L1", LID)
    await came(bot, "L1", LID, "two")
    assert await chats(bot) == [(LID, 1)]
    await came(bot, "N1", ANN, lid=LID)  # now both addresses are known
    await came(bot, "L2", LID)
    await came(bot, "L1", ANN, lid=LID)  # the first one comes again, in other words
    await came(bot, "N1", LID)
    assert await chats(bot) == [(ANN, 3)]
    for name in (ANN, LID, "33612345678"):
        assert await history(bot, name) == ["L2", "N1", "L1"]
    assert await chats(bot, "two") == [(LID, 1)]


async def test_the_order_within_a_batch_does_not_matter(bot: Bot) -> None:
    await received(
        bot,
        InboundMessage("one", LID, "L1", LID, 0, "text", "a"),
        InboundMessage("one", ANN, "N1", ANN, 0, "text", "b", lid=LID),
        InboundMessage("one", LID, "L2", LID, 0, "text", "c"),
    )
    assert await chats(bot) == [(ANN, 3)]


async def test_what_is_read_stays_read(bot: Bot) -> None:
    await came(bot, "L1", LID)
    await bot.call("POST", f"{ONE}/read", {"chat": LID, "messageIds": ["L1"]})
    await came(bot, "N1", ANN, lid=LID)
    assert await chats(bot) == [(ANN, 1)]
    await bot.call("POST", f"{ONE}/read", {"chat": LID, "messageIds": ["N1"]})
    assert await chats(bot) == [(ANN, 0)]


async def test_a_group_keeps_its_chat_and_names_its_members(bot: Bot) -> None:
    await came(bot, "L1", LID)
    await came(bot, "G1", GROUP, sender=ANN, is_group=True, lid=LID)
    assert await chats(bot) == [(GROUP, 1), (ANN, 1)]


async def test_a_message_to_a_lid_goes_into_the_chat_of_the_number_also_one_that_waits(bot: Bot) -> None:
    bot.pool.hang.add("send")
    _, waiting = await bot.call("POST", f"{ONE}/messages", {"to": LID, "text": "waits"})
    assert waiting["chat"] == LID
    await came(bot, "N1", ANN, lid=LID)
    _, after = await bot.call("POST", f"{ONE}/messages", {"to": LID, "text": "after"}, headers={"Idempotency-Key": "k"})
    assert after["chat"] == ANN
    again, same = await bot.call(
        "POST", f"{ONE}/messages", {"to": LID, "text": "after"}, headers={"Idempotency-Key": "k"}
    )
    assert (again, same["id"]) == (200, after["id"])
    bot.pool.release()

    async def sent() -> bool:
        _, found = await bot.call("GET", f"{ONE}/messages?direction=out")
        return [each["state"] for each in found["messages"]] == ["sent", "sent"]

    await eventually(sent, what="both sent")
    assert [chat for chat, _ in await chats(bot)] == [ANN]
