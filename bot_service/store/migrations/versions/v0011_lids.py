"""The telephone number behind each hidden address (LID), so that one person has one chat."""

import sqlalchemy as sa
from alembic import op

from bot_service.store.migrations.column_types import SESSION_ID

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "lids",
        sa.Column("session", SESSION_ID, primary_key=True),
        sa.Column("lid", sa.String(128), primary_key=True),
        sa.Column("jid", sa.String(128), nullable=False),
    )
