"""An index for readers of events that see one owner only."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_index("events_by_owner", "events", ["owner", "id"])
