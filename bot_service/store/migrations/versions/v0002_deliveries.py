"""Messages, the two outboxes, webhooks, events, keys and the watchdog's pushes."""

import sqlalchemy as sa
from alembic import op

from bot_service.store.migrations.column_types import SESSION_ID

revision = "0002"
down_revision = "0001"

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "messages",
        sa.Column("seq", _SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("session", SESSION_ID, nullable=False),
        sa.Column("chat", sa.String(128), nullable=False),
        sa.Column("message_id", sa.String(128), nullable=False),
        sa.Column("direction", sa.String(3), nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("stored_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("state_ms", sa.BigInteger, nullable=False),
        sa.Column("error", sa.String(300)),
        sa.Column("duplicates", sa.Integer, nullable=False),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("fingerprint", sa.String(64)),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("messages_by_chat", "messages", ["session", "chat", "seq"])
    op.create_index("messages_by_idempotency_key", "messages", ["session", "idempotency_key"], unique=True)
    op.create_index("messages_by_session", "messages", ["session", "seq"])
    op.create_index("messages_once", "messages", ["session", "message_id", "chat"], unique=True)
    op.create_index(
        "messages_to_handle",
        "messages",
        ["seq"],
        sqlite_where=sa.text("state = 'received'"),
        postgresql_where=sa.text("state = 'received'"),
    )
    op.create_table(
        "send_outbox",
        sa.Column("position", sa.String(18), primary_key=True),
        sa.Column("session", SESSION_ID, nullable=False),
        sa.Column("chat", sa.String(128), nullable=False),
        sa.Column("message_id", sa.String(128), nullable=False),
        sa.Column("queued_ms", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_ms", sa.BigInteger, nullable=False),
        sa.Column("new_chat", sa.Boolean, nullable=False),
        sa.Column("known_chat", sa.Boolean, nullable=False),
        sa.Column("last_error", sa.String(300)),
    )
    op.create_index("send_outbox_by_message", "send_outbox", ["session", "message_id"])
    op.create_index("send_outbox_by_session", "send_outbox", ["session", "position"])
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(64)),
        sa.Column("session", SESSION_ID),
        sa.Column("url", sa.String(2000), nullable=False),
        sa.Column("secret", sa.String(200), nullable=False),
        sa.Column("events", sa.LargeBinary, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "webhook_outbox",
        sa.Column("webhook", sa.String(32), primary_key=True),
        sa.Column("event", sa.String(18), primary_key=True),
        sa.Column("lane", SESSION_ID, nullable=False),
        sa.Column("type", sa.String(40), nullable=False),
        sa.Column("reply_to", sa.LargeBinary),
        sa.Column("state", sa.String(9), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_ms", sa.BigInteger, nullable=False),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.String(300)),
        sa.Column("finished_ms", sa.BigInteger),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("webhook_outbox_by_event", "webhook_outbox", ["state", "event"])
    op.create_index("webhook_outbox_by_lane", "webhook_outbox", ["state", "webhook", "lane", "event"])
    op.create_table(
        "events",
        sa.Column("id", sa.String(18), primary_key=True),
        sa.Column("owner", sa.String(64)),
        sa.Column("session", SESSION_ID),
        sa.Column("type", sa.String(40), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "journal_positions",
        sa.Column("file", sa.String(128), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("scopes", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger),
        sa.Column("last_used_ms", sa.BigInteger),
        sa.Column("revoked_ms", sa.BigInteger),
    )
    op.create_table(
        "keepalive_pushes",
        sa.Column("boot_id", sa.String(64), primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("received_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
