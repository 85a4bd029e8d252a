"""Files of messages that replicas share: in PostgreSQL in parts, or with an object store only until they are moved there.

Rows stay when a file was moved: they say where it is, and which files a session has.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.metadata import SESSION_ID, metadata

# Reading one is quick, and a file that is sent to somebody slowly keeps no more of it in memory.
PART_BYTES = 1024 * 1024
_NOW_MS = sa.text("(extract(epoch FROM clock_timestamp()) * 1000)::bigint")


class Place(StrEnum):
    """``MAKING``: some parts may be missing. ``GONE``: to be deleted from the object store."""

    MAKING = "making"
    HERE = "here"
    MOVED = "moved"
    GONE = "gone"


media_files = sa.Table(
    "media_files",
    metadata,
    sa.Column("key", sa.String(400), primary_key=True),
    # Its session; it may be stored a moment before the row of that.
    sa.Column("belongs_to", SESSION_ID, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("stored_ms", sa.BigInteger, nullable=False),
    sa.Column("place", sa.String(8), nullable=False),
    # Until then one replica moves or deletes it, and others leave it alone.
    sa.Column("claimed_until_ms", sa.BigInteger, nullable=False),
    sa.Index("media_files_by_session", "belongs_to"),
    sa.Index("media_files_by_place", "place", "stored_ms"),
)

media_parts = sa.Table(
    "media_parts",
    metadata,
    sa.Column("key", sa.String(400), sa.ForeignKey("media_files.key", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)


class StoredFile(msgspec.Struct, frozen=True):
    size: int
    place: str


class Claimed(msgspec.Struct, frozen=True):
    """A file that this replica has to move or to delete."""

    key: str
    size: int
    place: str


async def begin(connection: AsyncConnection, key: str, size: int) -> None:
    """A new file without parts."""
    values = {
        "key": key, "belongs_to": session_of(key), "size": size, "stored_ms": _NOW_MS, "place": Place.MAKING,
        "claimed_until_ms": 0,
    }  # fmt: skip
    await connection.execute(media_files.insert().values(values))


async def add_parts(connection: AsyncConnection, key: str, first: int, parts: Sequence[bytes]) -> None:
    rows = [{"key": key, "number": first + number, "data": part} for number, part in enumerate(parts)]
    await connection.execute(media_parts.insert(), rows)


async def complete(connection: AsyncConnection, key: str) -> None:
    """All of its parts are stored."""
    await connection.execute(media_files.update().where(media_files.c.key == key).values(place=Place.HERE))


async def find(connection: AsyncConnection, key: str) -> StoredFile | None:
    query = sa.select(media_files.c.size, media_files.c.place).where(
        media_files.c.key == key, media_files.c.place.in_([Place.HERE, Place.MOVED])
    )
    row = (await connection.execute(query)).one_or_none()
    return StoredFile(row.size, row.place) if row is not None else None


async def part(connection: AsyncConnection, key: str, number: int) -> bytes | None:
    """None when it was moved or deleted."""
    query = sa.select(media_parts.c.data).where(media_parts.c.key == key, media_parts.c.number == number)
    found = (await connection.execute(query)).scalar_one_or_none()
    return None if found is None else bytes(found)


async def delete(connection: AsyncConnection, *, key: str | None = None, session: str | None = None) -> None:
    """One file, or all of a session, at once. For a store without an object store."""
    await connection.execute(media_files.delete().where(_named(key, session)))


async def retire(connection: AsyncConnection, *, key: str | None = None, session: str | None = None) -> None:
    """No reader finds them any more; :func:`claim` gives them to who deletes them from the object store."""
    where = _named(key, session)
    keys = sa.select(media_files.c.key).where(where)
    await connection.execute(media_parts.delete().where(media_parts.c.key.in_(keys)))
    await connection.execute(media_files.update().where(where).values(place=Place.GONE, claimed_until_ms=0))


_CLAIM = sa.text(
    "UPDATE media_files SET claimed_until_ms = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + :lasts_ms"
    " WHERE key = (SELECT key FROM media_files WHERE place IN ('here', 'gone')"
    " AND claimed_until_ms < extract(epoch FROM clock_timestamp()) * 1000"
    " ORDER BY stored_ms LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING key, size, place"
)


async def claim(connection: AsyncConnection, lasts_ms: int) -> Claimed | None:
    """The oldest file to move or to delete that no other replica works on."""
    row = (await connection.execute(_CLAIM, {"lasts_ms": lasts_ms})).one_or_none()
    return Claimed(row.key, row.size, row.place) if row is not None else None


async def moved(connection: AsyncConnection, key: str) -> bool:
    """It is in the object store. False when it was deleted before that: it must not stay there."""
    query = media_files.update().where(media_files.c.key == key, media_files.c.place.in_([Place.HERE, Place.MOVED]))
    if (await connection.execute(query.values(place=Place.MOVED, claimed_until_ms=0))).rowcount == 0:
        return False
    await connection.execute(media_parts.delete().where(media_parts.c.key == key))
    return True


async def forget(connection: AsyncConnection, key: str) -> None:
    """It is deleted everywhere."""
    where = (media_files.c.key == key, media_files.c.place == Place.GONE)
    await connection.execute(media_files.delete().where(*where))


_ORPHANS = sa.text(
    "SELECT key FROM media_files AS file WHERE place <> 'gone' AND ("
    " (stored_ms < :old_ms)"
    " OR (stored_ms < :new_ms AND (place = 'making' OR NOT EXISTS (SELECT 1 FROM sessions WHERE id = file.belongs_to)))"
    ") LIMIT 500"
)


async def orphans(connection: AsyncConnection, *, old_ms: int, new_ms: int) -> list[str]:
    """Files that no message has: older than every message, or stored before ``new_ms`` and unfinished or of no session."""
    found = await connection.execute(_ORPHANS, {"old_ms": old_ms, "new_ms": new_ms})
    return [row[0] for row in found]


def session_of(key: str) -> str:
    return key.partition("/")[0]


def _named(key: str | None, session: str | None) -> sa.ColumnElement[bool]:
    return media_files.c.key == key if key is not None else media_files.c.belongs_to == session
