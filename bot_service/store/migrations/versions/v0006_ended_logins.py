"""Logins of the dashboard that a person ended."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "ended_logins",
        sa.Column("login", sa.String(32), primary_key=True),
        sa.Column("until_s", sa.BigInteger, nullable=False),
    )
