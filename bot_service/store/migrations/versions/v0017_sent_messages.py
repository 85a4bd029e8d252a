"""The ids of sent messages on WhatsApp, where the devices of sessions are in PostgreSQL (decision 0166)."""

import sqlalchemy as sa
from alembic import op

from bot_service.store.migrations.column_types import SESSION_ID

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "sent_messages",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("session", SESSION_ID, nullable=False),
        sa.Column("whatsapp_id", sa.String, nullable=False),
        sa.Column("message_id", sa.String, nullable=False),
        sa.Column("chat", sa.String, nullable=False),
        sa.Column("taken_ms", sa.BigInteger),
    )
    op.create_index("sent_messages_once", "sent_messages", ["session", "whatsapp_id"], unique=True)
    op.create_index("sent_messages_by_session", "sent_messages", ["session", "seq"])
