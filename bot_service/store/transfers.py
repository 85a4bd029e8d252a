"""Queries on what a session takes along to another service, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store import messages as store_messages
from bot_service.store.lids import lids
from bot_service.store.messages import STORED, NewMessage, StoredMessage, messages
from bot_service.store.send_queue import QueueEntry, send_outbox

# Why a message of an exported session is not sent here.
EXPORTED = "exported"


async def waiting(connection: AsyncConnection, session: str, since_ms: int) -> list[StoredMessage]:
    """What was accepted and not sent, in the order in which it was: still queued, or given up since ``since_ms``
    by :func:`give_up`."""
    given_up = (messages.c.state == "failed") & (messages.c.error == EXPORTED) & (messages.c.state_ms >= since_ms)
    own = (messages.c.session == session) & (messages.c.direction == "out")
    query = STORED.where(own, (messages.c.state == "queued") | given_up).order_by(messages.c.seq)
    return [StoredMessage(*row) for row in await connection.execute(query)]


async def give_up(connection: AsyncConnection, session: str, now_ms: int) -> None:
    """Whoever imports the session sends what waits; this service does not."""
    queued = (messages.c.session == session) & (messages.c.direction == "out") & (messages.c.state == "queued")
    await connection.execute(messages.update().where(queued).values(state="failed", state_ms=now_ms, error=EXPORTED))
    await connection.execute(send_outbox.delete().where(send_outbox.c.session == session))


async def lids_of(connection: AsyncConnection, session: str) -> list[tuple[str, str]]:
    """(hidden address, address with the number) of everybody that is known."""
    found = await connection.execute(sa.select(lids.c.lid, lids.c.jid).where(lids.c.session == session))
    return [(row[0], row[1]) for row in found]


async def insert(
    connection: AsyncConnection,
    session: str,
    pairs: Sequence[tuple[str, str]],
    queued: Sequence[tuple[NewMessage, QueueEntry]],
) -> None:
    """Store the hidden addresses and the waiting messages of a new session."""
    if pairs:
        await connection.execute(lids.insert(), [{"session": session, "lid": lid, "jid": jid} for lid, jid in pairs])
    await store_messages.insert(connection, [message for message, _ in queued])
    if queued:
        await connection.execute(send_outbox.insert(), [msgspec.structs.asdict(entry) for _, entry in queued])


async def known_chats(connection: AsyncConnection, session: str) -> set[str]:
    """The chats of which the other side wrote to this session."""
    query = sa.select(messages.c.chat).where(messages.c.session == session, messages.c.direction == "in").distinct()
    return set((await connection.execute(query)).scalars())
