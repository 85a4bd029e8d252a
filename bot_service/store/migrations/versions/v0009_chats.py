"""How far each chat is read, and which messages the account itself wrote."""

import sqlalchemy as sa
from alembic import op

from bot_service.store.migrations.column_types import SESSION_ID

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("messages", sa.Column("from_me", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute("UPDATE messages SET from_me = TRUE WHERE direction = 'out'")
    op.create_table(
        "chat_reads",
        sa.Column("session", SESSION_ID, primary_key=True),
        sa.Column("chat", sa.String(128), primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
    )
