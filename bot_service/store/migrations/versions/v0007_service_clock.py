"""Where the service clock stood when the program last ran."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "service_clock",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("saved", sa.LargeBinary, nullable=False),
    )
