"""The store's tables, for SQLite and PostgreSQL alike. Times are milliseconds since the epoch, so both compare alike."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False, index=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("wanted", sa.String(8), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("jid", sa.String(128)),
    # Everything else of the record, as the JSON that bot_service.store.sessions writes: read whole, never searched.
    sa.Column("record", sa.LargeBinary, nullable=False),
)

transitions = sa.Table(
    "transitions",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("session", sa.String(64), nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("from_state", sa.String(16), nullable=False),
    sa.Column("to_state", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("detail", sa.String(500)),
    sa.Column("actor", sa.String(16), nullable=False),
    sa.Index("transitions_by_session", "session", "seq"),
)

patterns = sa.Table(
    "patterns",
    metadata,
    sa.Column("session", sa.String(64), primary_key=True),
    sa.Column("learned", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    # Messages an hour by hour of the day, UTC: 24 numbers, read whole, never searched.
    sa.Column("rates", sa.LargeBinary, nullable=False),
)

# One row, written after a failure to see whether the store takes writes again.
store_checks = sa.Table(
    "store_checks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
)

# Builds of WhatsApp's client: when each was last seen published, and when WhatsApp refused it (NULL when it does not).
client_builds = sa.Table(
    "client_builds",
    metadata,
    sa.Column("build", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("published_ms", sa.BigInteger),
    sa.Column("refused_ms", sa.BigInteger),
)
