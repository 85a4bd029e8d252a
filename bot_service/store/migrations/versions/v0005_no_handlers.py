"""Inbound messages are complete when they are stored: the index of those that waited for a handler goes."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("messages_to_handle", "messages")


def downgrade() -> None:
    op.create_index(
        "messages_to_handle",
        "messages",
        ["seq"],
        sqlite_where=sa.text("state = 'received'"),
        postgresql_where=sa.text("state = 'received'"),
    )
