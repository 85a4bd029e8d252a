"""What arrived and is not stored yet, where the devices of sessions are in PostgreSQL (decision 0166)."""

import sqlalchemy as sa
from alembic import op

from bot_service.store.migrations.column_types import SESSION_ID

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "journal_rows",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("session", SESSION_ID, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("journal_rows_by_session", "journal_rows", ["session", "seq"])
