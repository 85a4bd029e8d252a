"""Files of messages, for replicas that share them; without replicas they stay files in DATA_DIR."""

import sqlalchemy as sa
from alembic import op

from bot_service.store.migrations.column_types import SESSION_ID

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "media_files",
        sa.Column("key", sa.String(400), primary_key=True),
        sa.Column("belongs_to", SESSION_ID, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("stored_ms", sa.BigInteger, nullable=False),
        sa.Column("place", sa.String(8), nullable=False),
        sa.Column("claimed_until_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("media_files_by_session", "media_files", ["belongs_to"])
    op.create_index("media_files_by_place", "media_files", ["place", "stored_ms"])
    op.create_table(
        "media_parts",
        sa.Column("key", sa.String(400), sa.ForeignKey("media_files.key", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Pictures and films are compressed already: to try it again costs time for nothing.
        op.execute("ALTER TABLE media_parts ALTER COLUMN data SET STORAGE EXTERNAL")
