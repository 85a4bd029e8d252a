"""The telephone number behind each hidden address (LID), so that one person has one chat."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "lids",
        sa.Column("session", sa.String(64), primary_key=True),
        sa.Column("lid", sa.String(128), primary_key=True),
        sa.Column("jid", sa.String(128), nullable=False),
    )
