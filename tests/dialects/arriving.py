"""Messages that arrive from WhatsApp, for the scenes of both dialects."""

from __future__ import annotations

from typing import Any

from bot_service import keys
from bot_service.domain.message import InboundMessage
from tests.support.bot_app import Bot, received

JID = "33612345678@s.whatsapp.net"


async def came(session: str, bot: Bot, message_id: str, chat: str = JID, **parts: Any) -> None:
    """A message in ``chat``, by default the text "hello"; ``parts`` are its other fields."""
    record = bot.app[keys.SESSIONS].registry.get(session)
    assert record is not None
    content = {"type": "text", "text": "hello", **parts}
    is_group = chat.endswith("@g.us")
    await received(bot, InboundMessage(session, chat, message_id, JID, record.created_ms, is_group=is_group, **content))
