"""The ids of sent messages on WhatsApp, of sessions with devices in PostgreSQL. Workers write and read them.

Nothing is in this table where devices are files.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.metadata import SESSION_ID, metadata

sent_messages = sa.Table(
    "sent_messages",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("session", SESSION_ID, nullable=False),
    sa.Column("whatsapp_id", sa.String, nullable=False),
    sa.Column("message_id", sa.String, nullable=False),
    sa.Column("chat", sa.String, nullable=False),
    # When WhatsApp took it; NULL until it has answered.
    sa.Column("taken_ms", sa.BigInteger),
    sa.Index("sent_messages_once", "session", "whatsapp_id", unique=True),
    sa.Index("sent_messages_by_session", "session", "seq"),
)


async def forget_session(connection: AsyncConnection, session: str) -> None:
    await connection.execute(sent_messages.delete().where(sent_messages.c.session == session))
