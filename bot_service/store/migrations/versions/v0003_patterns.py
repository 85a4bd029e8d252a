"""What each session usually receives, and the row that shows whether the store accepts writes."""

import sqlalchemy as sa
from alembic import op

from bot_service.store.migrations.column_types import SESSION_ID

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "patterns",
        sa.Column("session", SESSION_ID, primary_key=True),
        sa.Column("learned", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.Column("rates", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "store_checks",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
