"""Webhooks that get events in the shape of another API."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("dialect", sa.String(20)))
    op.add_column("webhooks", sa.Column("options", sa.LargeBinary))
