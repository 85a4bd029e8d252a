"""Builds of WhatsApp's client that were published or refused."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "client_builds",
        sa.Column("build", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("published_ms", sa.BigInteger),
        sa.Column("refused_ms", sa.BigInteger),
    )
