"""A session that WAHA's clients see, and messages that come to it."""

from __future__ import annotations

from typing import Any

from bot_service import keys
from bot_service.dialects.waha.paths import PREFIX
from bot_service.domain.message import InboundMessage
from bot_service.domain.states import State
from tests.support.bot_app import Bot, is_in, received

CHAT, JID, GROUP = "33612345678@c.us", "33612345678@s.whatsapp.net", "120363041234567890@g.us"


async def call(bot: Bot, method: str, path: str, body: Any = None, **kwargs: Any) -> tuple[int, Any]:
    return await bot.call(method, PREFIX + path, body, **kwargs)


async def working(bot: Bot, name: str = "default", **config: Any) -> None:
    status, answer = await call(bot, "POST", "/api/sessions", {"name": name, "config": config})
    assert status == 201, answer
    await is_in(bot, name, State.PAIRING)
    bot.pool.pair(name)
    await is_in(bot, name, State.READY)


async def came(bot: Bot, message_id: str, chat: str = JID, **parts: Any) -> None:
    record = bot.app[keys.SESSIONS].registry.get("default")
    assert record is not None
    content = {"type": "text", "text": "hello", **parts}
    message = InboundMessage("default", chat, message_id, JID, record.created_ms, is_group=chat == GROUP, **content)
    await received(bot, message)
