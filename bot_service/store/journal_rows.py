"""What arrived for sessions with devices in PostgreSQL, until the owner of the session has stored it.

Workers write these rows beside the marks of their messages (``engines/neonize/postgresql_writer.py``). Nothing is in this
table where devices are files.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.metadata import SESSION_ID, metadata

journal_rows = sa.Table(
    "journal_rows",
    metadata,
    # Rows of one session become visible in this order: one client at a time writes them.
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("session", SESSION_ID, nullable=False),
    # A record as in a journal file, without its header.
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("journal_rows_by_session", "session", "seq"),
)


class JournalRow(msgspec.Struct, frozen=True):
    seq: int
    session: str
    body: bytes


def _waiting() -> sa.Select[str]:
    """One look into the index for each session, not row."""
    column = journal_rows.c.session
    ids = sa.select(sa.func.min(column).label("id")).cte("ids", recursive=True)
    following = sa.select(sa.func.min(column)).where(column > ids.c.id).scalar_subquery()
    ids = ids.union_all(sa.select(following).where(ids.c.id.is_not(None)))
    return sa.select(ids.c.id).where(ids.c.id.is_not(None))


_WAITING = _waiting()


async def waiting(connection: AsyncConnection) -> list[str]:
    """The sessions that have rows."""
    return list((await connection.execute(_WAITING)).scalars())


async def oldest(connection: AsyncConnection, sessions: Collection[str], limit: int) -> list[JournalRow]:
    """The first rows of ``sessions``, in order."""
    columns = (journal_rows.c.seq, journal_rows.c.session, journal_rows.c.body)
    query = sa.select(*columns).where(journal_rows.c.session.in_(sessions)).order_by(journal_rows.c.seq).limit(limit)
    return [JournalRow(*row) for row in await connection.execute(query)]


async def remove(connection: AsyncConnection, seqs: Sequence[int]) -> int:
    """They are stored, in the same transaction. Returns how many were still there."""
    return (await connection.execute(journal_rows.delete().where(journal_rows.c.seq.in_(seqs)))).rowcount


async def forget_session(connection: AsyncConnection, session: str) -> None:
    await connection.execute(journal_rows.delete().where(journal_rows.c.session == session))
