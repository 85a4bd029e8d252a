"""Replicas, which of them owns each session, and what changed since a replica looked.

On PostgreSQL triggers note each change of a session, so that no write can forget it: a replica reads
only what changed, and a notification only hastens that. SQLite has one process and needs none of it.
"""

import sqlalchemy as sa
from alembic import op

from bot_service.store.migrations.column_types import SESSION_ID

revision = "0013"
down_revision = "0012"

# A statement notes the sessions that it changed with the number of its transaction.
_FUNCTION = """
CREATE FUNCTION note_changed_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM changed) THEN
        RETURN NULL;
    END IF;
    INSERT INTO session_changes (id, tx)
        SELECT changed.id, pg_current_xact_id()::text::bigint FROM changed ORDER BY changed.id
        ON CONFLICT (id) DO UPDATE SET tx = excluded.tx;
    NOTIFY veilleur_sessions;
    RETURN NULL;
END $$
"""
_TRIGGER = """
CREATE TRIGGER {table}_{event} AFTER {event} ON {table} REFERENCING {rows} TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION note_changed_{table}()
"""


# The others need no more than a hint: readers follow ids of events, and read all webhooks.
_NOTIFY = """
CREATE FUNCTION notify_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY veilleur_{table};
    RETURN NULL;
END $$
"""
_NOTIFIES = """
CREATE TRIGGER {table}_notify AFTER {events} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION notify_{table}()
"""


def upgrade() -> None:
    op.create_table(
        "replicas",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("connections", sa.String(60), nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("draining", sa.Boolean, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("id", SESSION_ID, primary_key=True),
        sa.Column("holder", sa.String(32), sa.ForeignKey("replicas.id", ondelete="SET NULL")),
        sa.Column("epoch", sa.BigInteger, nullable=False),
    )
    op.create_index("leases_by_holder", "leases", ["holder"])
    op.create_table(
        "session_changes",
        sa.Column("id", SESSION_ID, primary_key=True),
        sa.Column("tx", sa.BigInteger, nullable=False),
    )
    op.create_index("session_changes_by_tx", "session_changes", ["tx"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("INSERT INTO session_changes (id, tx) SELECT id, 0 FROM sessions")
        for table in ("sessions", "leases"):
            op.execute(_FUNCTION.format(table=table))
            for event, rows in (("insert", "NEW"), ("update", "NEW"), ("delete", "OLD")):
                op.execute(_TRIGGER.format(table=table, event=event, rows=rows))
        for table, events in (("events", "INSERT"), ("webhooks", "INSERT OR UPDATE OR DELETE")):
            op.execute(_NOTIFY.format(table=table))
            op.execute(_NOTIFIES.format(table=table, events=events))
