"""Inbound messages are complete when stored: drops the index of those waiting for a handler."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.drop_index("messages_to_handle", "messages")
