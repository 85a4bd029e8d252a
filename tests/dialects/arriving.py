"""Messages and changes of groups that arrive from WhatsApp, for the scenes of both dialects."""

from __future__ import annotations

from typing import Any

from bot_service import keys
from bot_service.domain.directory import Group, GroupMember
from bot_service.domain.group_changes import GroupChange
from bot_service.domain.message import InboundMessage
from tests.support.bot_app import Bot, received

JID, GROUP = "33612345678@s.whatsapp.net", "120363041234567890@g.us"


async def came(session: str, bot: Bot, message_id: str, chat: str = JID, **parts: Any) -> None:
    """A message in ``chat``, by default the text "hello"; ``parts`` are its other fields."""
    record = bot.app[keys.SESSIONS].registry.get(session)
    assert record is not None
    content = {"type": "text", "text": "hello", **parts}
    is_group = chat.endswith("@g.us")
    await received(bot, InboundMessage(session, chat, message_id, JID, record.created_ms, is_group=is_group, **content))


async def groups_change(session: str, bot: Bot) -> None:
    """Every change of a group, by the same person."""
    record = bot.app[keys.SESSIONS].registry.get(session)
    assert record is not None
    at_ms = record.created_ms
    info = Group(GROUP, "Orders", "", JID, at_ms, False, True, (GroupMember(JID, admin=True),))
    await received(
        bot,
        GroupChange(session, GROUP, "joined", at_ms, JID, info=info),
        GroupChange(session, GROUP, "members", at_ms, JID, action="add", members=(JID,)),
        GroupChange(session, GROUP, "members", at_ms, JID, action="remove", members=(JID,)),
        GroupChange(session, GROUP, "members", at_ms, JID, action="promote", members=(JID,)),
        GroupChange(session, GROUP, "members", at_ms, JID, action="demote", members=(JID,)),
        GroupChange(session, GROUP, "updated", at_ms, JID, subject="New"),
        GroupChange(session, GROUP, "updated", at_ms, JID, announce=True),
        GroupChange(session, GROUP, "left", at_ms),
    )
