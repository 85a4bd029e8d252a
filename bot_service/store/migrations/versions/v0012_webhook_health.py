"""Webhooks with own headers and the secret of before, attempts of deliveries, and the health of receivers."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("headers", sa.LargeBinary))
    op.add_column("webhooks", sa.Column("old_secret", sa.String(200)))
    op.add_column("webhooks", sa.Column("old_secret_until_ms", sa.BigInteger))
    op.add_column("webhook_outbox", sa.Column("tries", sa.LargeBinary))
    op.create_table(
        "webhook_health",
        sa.Column("webhook", sa.String(32), primary_key=True),
        sa.Column("succeeded_ms", sa.BigInteger),
        sa.Column("failed_ms", sa.BigInteger),
        sa.Column("failed_status", sa.Integer),
        sa.Column("failed_error", sa.String(300)),
    )
