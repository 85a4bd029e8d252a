"""Queries on hidden addresses (LIDs): the number behind each, and one chat for one person."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.chats import chat_reads
from bot_service.store.messages import messages
from bot_service.store.metadata import SESSION_ID, metadata
from bot_service.store.send_queue import send_outbox

lids = sa.Table(
    "lids",
    metadata,
    sa.Column("session", SESSION_ID, primary_key=True),
    sa.Column("lid", sa.String(128), primary_key=True),
    sa.Column("jid", sa.String(128), nullable=False),
)


async def jid_of(connection: AsyncConnection, session: str, lid: str) -> str | None:
    """The address with the number, once a message had both."""
    query = sa.select(lids.c.jid).where(lids.c.session == session, lids.c.lid == lid)
    found: str | None = await connection.scalar(query)
    return found


async def put(connection: AsyncConnection, session: str, lid: str, jid: str) -> None:
    """Store the number behind ``lid``. The messages of its chat move to the chat of the number."""
    known = await jid_of(connection, session, lid)
    if known == jid:
        return
    if known is None:
        await connection.execute(lids.insert().values(session=session, lid=lid, jid=jid))
    else:
        await connection.execute(lids.update().where(lids.c.session == session, lids.c.lid == lid).values(jid=jid))
    await _move_chat(connection, session, lid, jid)


async def _move_chat(connection: AsyncConnection, session: str, lid: str, jid: str) -> None:
    there = sa.select(messages.c.message_id).where(messages.c.session == session, messages.c.chat == jid)
    moving = (messages.c.session == session) & (messages.c.chat == lid)
    await connection.execute(messages.update().where(moving, messages.c.message_id.not_in(there)).values(chat=jid))
    # What is left came with both addresses: the same messages.
    await connection.execute(messages.delete().where(moving))
    # Those that wait to be sent are found by session, chat and id.
    waiting = (send_outbox.c.session == session) & (send_outbox.c.chat == lid)
    await connection.execute(send_outbox.update().where(waiting).values(chat=jid))
    read = sa.select(chat_reads.c.seq).where(chat_reads.c.session == session)
    earlier = await connection.scalar(read.where(chat_reads.c.chat == lid))
    if earlier is None:
        return
    mine = (chat_reads.c.session == session) & (chat_reads.c.chat == jid)
    known = await connection.scalar(read.where(chat_reads.c.chat == jid))
    if known is None:
        await connection.execute(chat_reads.insert().values(session=session, chat=jid, seq=earlier))
    elif known < earlier:
        await connection.execute(chat_reads.update().where(mine).values(seq=earlier))
    await connection.execute(chat_reads.delete().where(chat_reads.c.session == session, chat_reads.c.chat == lid))


async def forget_session(connection: AsyncConnection, session: str) -> None:
    await connection.execute(lids.delete().where(lids.c.session == session))
