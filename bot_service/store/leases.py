"""Replicas, and the sessions that each of them owns. Only for PostgreSQL: its clock decides.

The row of a replica is its lease; leases of sessions name it as their holder. Who ends a lease deletes
that row, and the foreign key frees its sessions in the same statement. So a renewal and the end of the
same lease wait for each other, a replica without a row can take nothing, and two transactions that read
before the other one committed cannot both own a session.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.session_record import SessionRecord
from bot_service.store.metadata import SESSION_ID, metadata
from bot_service.store.sessions import readable, sessions

replicas = sa.Table(
    "replicas",
    metadata,
    # Of one run, and of one lease of it: after a lease was lost the replica comes back under another id.
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("url", sa.String(500), nullable=False),
    sa.Column("version", sa.String(40), nullable=False),
    # By which name PostgreSQL knows its connections.
    sa.Column("connections", sa.String(60), nullable=False),
    sa.Column("started_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
    sa.Column("draining", sa.Boolean, nullable=False),
    # A hash of its secrets, which all replicas share.
    sa.Column("secrets", sa.String(64)),
)

# The ids here and below are those of sessions. Rows stay when a session is deleted.
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("id", SESSION_ID, primary_key=True),
    sa.Column("holder", sa.String(32), sa.ForeignKey("replicas.id", ondelete="SET NULL")),
    # Grows with each new holder: the fencing number.
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Index("leases_by_holder", "holder"),
)

session_changes = sa.Table(
    "session_changes",
    metadata,
    sa.Column("id", SESSION_ID, primary_key=True),
    # Of the last transaction that changed the session or its lease, written by triggers.
    sa.Column("tx", sa.BigInteger, nullable=False),
    sa.Index("session_changes_by_tx", "tx"),
)

CHANNEL = "veilleur_sessions"
# Statements are put together of these constants only; values are bound.
_NOW_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
# Transactions after which nothing looks for a session that is gone.
_FORGOTTEN_AFTER = 1_000_000


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """One running bot service. ``left_ms`` is what its lease still lasts, by the clock of PostgreSQL."""

    id: str
    url: str
    version: str
    started_ms: int
    draining: bool
    left_ms: int


class Owned(msgspec.Struct, frozen=True):
    """Sessions of one holder, None for those of none, that should run or rest."""

    holder: str | None
    runs: bool
    count: int


class Change(msgspec.Struct, frozen=True):
    """A session as it is now. ``record`` None: it is deleted, or this version cannot read it."""

    session: str
    record: SessionRecord | None
    holder: str | None
    epoch: int


# --- the lease of a replica ---

_REGISTER = sa.text(
    "INSERT INTO replicas (id, url, version, connections, started_ms, expires_ms, draining, secrets)"  # noqa: S608
    f" VALUES (:id, :url, :version, :connections, {_NOW_MS}, {_NOW_MS} + :ttl_ms, false, :secrets)"
)
_COMPLETE = sa.text(
    "INSERT INTO leases (id, epoch) SELECT id, 0 FROM sessions"
    " WHERE NOT EXISTS (SELECT 1 FROM leases WHERE leases.id = sessions.id) ORDER BY id ON CONFLICT DO NOTHING"
)
_GONE = (
    "NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.id = gone.id)"  # noqa: S608
    " AND gone.id IN (SELECT id FROM session_changes"
    f" WHERE tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint - {_FORGOTTEN_AFTER})"
)
_FORGET_LEASES = sa.text(f"DELETE FROM leases AS gone WHERE gone.holder IS NULL AND {_GONE}")  # noqa: S608
_FORGET_CHANGES = sa.text(f"DELETE FROM session_changes AS gone WHERE {_GONE}")  # noqa: S608


async def kept(connection: AsyncConnection, session: str) -> SessionRecord | None:
    """The session as it is stored. It is not deleted before the transaction ends."""
    query = sa.select(sessions.c.record).where(sessions.c.id == session).with_for_update(read=True, key_share=True)
    raw = (await connection.execute(query)).scalar()
    return None if raw is None else readable(session, raw)


async def register(
    connection: AsyncConnection,
    replica: str,
    *,
    url: str,
    version: str,
    connections: str,
    ttl_ms: int,
    secrets: str | None = None,
) -> None:
    """A new lease, which begins now. Sessions that an older version made get their rows."""
    values = {
        "id": replica, "url": url, "version": version, "connections": connections, "ttl_ms": ttl_ms, "secrets": secrets,
    }  # fmt: skip
    await connection.execute(_REGISTER, values)
    await connection.execute(_COMPLETE)
    await connection.execute(_FORGET_CHANGES)
    await connection.execute(_FORGET_LEASES)


_RENEW = sa.text(
    f"UPDATE replicas SET expires_ms = {_NOW_MS} + :ttl_ms, draining = :draining"  # noqa: S608
    f" WHERE id = :id AND expires_ms > {_NOW_MS}"
)


async def renew(connection: AsyncConnection, replica: str, *, ttl_ms: int, draining: bool) -> bool:
    """False when the lease is over: what it owned may have another owner."""
    values = {"id": replica, "ttl_ms": ttl_ms, "draining": draining}
    return (await connection.execute(_RENEW, values)).rowcount == 1


async def resign(connection: AsyncConnection, replica: str) -> None:
    """End the own lease; what it still owned is free."""
    await connection.execute(replicas.delete().where(replicas.c.id == replica))


_WITH_OTHER_SECRETS = sa.text(
    f"SELECT url FROM replicas WHERE secrets <> :secrets AND expires_ms > {_NOW_MS} ORDER BY url"  # noqa: S608
)


async def with_other_secrets(connection: AsyncConnection, secrets: str) -> list[str]:
    """The addresses of living replicas that have other ones."""
    return [row[0] for row in await connection.execute(_WITH_OTHER_SECRETS, {"secrets": secrets})]


_LIVING = sa.text(
    f"SELECT id, url, version, started_ms, draining, expires_ms - {_NOW_MS} AS left_ms"  # noqa: S608
    " FROM replicas ORDER BY started_ms, id"
)


async def living(connection: AsyncConnection) -> list[Replica]:
    """Every replica with a row, the oldest first."""
    found = (await connection.execute(_LIVING)).mappings()
    return [Replica(**row) for row in found]


_EXPIRED = sa.text(f"SELECT id, connections FROM replicas WHERE expires_ms <= {_NOW_MS}")  # noqa: S608
_DISCONNECT = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = ANY(:names) AND pid <> pg_backend_pid()"
)
_BURY = sa.text(f"DELETE FROM replicas WHERE id = ANY(:ids) AND expires_ms <= {_NOW_MS} RETURNING id")  # noqa: S608


async def bury(connection: AsyncConnection, own_connections: str) -> list[str]:
    """End the leases that are over. Returns their replicas; their sessions are free after the commit.

    A replica that was stopped in the middle of a transaction holds locks: its connections are ended first.
    """
    expired = (await connection.execute(_EXPIRED)).all()
    if not expired:
        return []
    names = [row.connections for row in expired if row.connections != own_connections]
    await connection.execute(_DISCONNECT, {"names": names})
    return [row[0] for row in await connection.execute(_BURY, {"ids": [row.id for row in expired]})]


# --- the sessions of a replica ---

_COUNTS = sa.text(
    "SELECT leases.holder, sessions.wanted = 'run', count(*) FROM leases JOIN sessions ON sessions.id = leases.id"
    " GROUP BY 1, 2"
)


async def counts(connection: AsyncConnection) -> list[Owned]:
    return [Owned(*row) for row in await connection.execute(_COUNTS)]


_ANY_FREE = sa.text(
    "SELECT EXISTS (SELECT 1 FROM leases JOIN sessions ON sessions.id = leases.id WHERE holder IS NULL)"
)


async def any_free(connection: AsyncConnection) -> bool:
    """Whether a session has no owner."""
    return bool((await connection.execute(_ANY_FREE)).scalar_one())


# The lock looks again at a row that another replica took in the meantime.
_TAKE = sa.text(
    "UPDATE leases SET holder = :replica, epoch = leases.epoch + 1 FROM ("
    " SELECT leases.id FROM leases JOIN sessions ON sessions.id = leases.id"
    " WHERE leases.holder IS NULL AND (sessions.wanted = 'run') = :runs"
    " ORDER BY leases.id LIMIT :count FOR UPDATE OF leases SKIP LOCKED"
    ") AS free WHERE leases.id = free.id RETURNING leases.id, leases.epoch"
)


async def take(connection: AsyncConnection, replica: str, *, runs: bool, count: int) -> dict[str, int]:
    """Own up to ``count`` sessions without an owner that should run, or rest. Returns their epochs.

    Raises ``IntegrityError`` when the lease of ``replica`` is over.
    """
    found = await connection.execute(_TAKE, {"replica": replica, "runs": runs, "count": count})
    return {row[0]: row[1] for row in found}


_GIVE = sa.text(
    "UPDATE leases SET holder = NULL FROM unnest(CAST(:sessions AS text[]), CAST(:epochs AS bigint[])) AS given (name, epoch)"
    " WHERE leases.id = given.name AND leases.epoch = given.epoch AND leases.holder = :replica"
)


async def give(connection: AsyncConnection, replica: str, owned: Mapping[str, int]) -> None:
    """Free the sessions that ``replica`` owns under these epochs."""
    values = {"replica": replica, "sessions": list(owned), "epochs": list(owned.values())}
    await connection.execute(_GIVE, values)


_CLAIM = sa.text(
    "INSERT INTO leases (id, holder, epoch) VALUES (:session, :replica, 1) ON CONFLICT (id) DO UPDATE"
    " SET holder = excluded.holder, epoch = leases.epoch + 1"
    " WHERE (leases.holder IS NULL OR leases.holder = excluded.holder)"
    " AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.id = excluded.id) RETURNING epoch"
)


async def claim(connection: AsyncConnection, replica: str, session: str) -> int | None:
    """Own a session that is not made yet. Returns its epoch; None when another replica has that id."""
    epoch: int | None = (await connection.execute(_CLAIM, {"replica": replica, "session": session})).scalar()
    return epoch


_STILL_OWN = sa.text("SELECT id FROM leases WHERE holder = :replica AND id = ANY(:sessions) ORDER BY id FOR SHARE")


async def still_own(connection: AsyncConnection, replica: str, sessions: Collection[str]) -> set[str]:
    """Those of ``sessions`` that ``replica`` owns; until the transaction ends none of them gets another owner."""
    found = await connection.execute(_STILL_OWN, {"replica": replica, "sessions": sorted(sessions)})
    return {row[0] for row in found}


async def leave(connection: AsyncConnection, session: str) -> None:
    """The session is deleted. Its row stays, so that the epoch of a later one with this id is higher."""
    await connection.execute(leases.update().where(leases.c.id == session).values(holder=None))


# --- what other replicas changed ---

_OLDEST_OPEN = sa.text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
_CHANGES = sa.text(
    "SELECT session_changes.id, sessions.record, leases.holder, coalesce(leases.epoch, 0) FROM session_changes"
    " LEFT JOIN sessions ON sessions.id = session_changes.id"
    " LEFT JOIN leases ON leases.id = session_changes.id"
    " WHERE session_changes.tx >= :since ORDER BY sessions.created_ms, session_changes.id"
)


async def changes(
    connection: AsyncConnection, since: int
) -> tuple[list[tuple[str, bytes | None, str | None, int]], int]:
    """Rows of :class:`Change` that were written by transaction ``since`` or a later one, and where to go on.

    That is the oldest transaction that was still open before the read: what it commits later has a number
    that is not lower, so nothing is missed. A row may come twice.
    """
    oldest_open: int = (await connection.execute(_OLDEST_OPEN)).scalar_one()
    rows = (await connection.execute(_CHANGES, {"since": since})).all()
    return [(row[0], row[1], row[2], row[3]) for row in rows], oldest_open


def change_of(row: tuple[str, bytes | None, str | None, int]) -> Change:
    """One row of :func:`changes`, decoded."""
    session, raw, holder, epoch = row
    return Change(session, None if raw is None else readable(session, raw), holder, epoch)


_RECORDS = sa.text("SELECT id, record FROM sessions WHERE id = ANY(:sessions) ORDER BY created_ms, id")


async def records(connection: AsyncConnection, sessions: Sequence[str]) -> list[SessionRecord]:
    """The sessions as they are stored, oldest first; those that this version cannot read are left out."""
    rows = (await connection.execute(_RECORDS, {"sessions": list(sessions)})).all()
    found = (readable(row.id, row.record) for row in rows)
    return [record for record in found if record is not None]
