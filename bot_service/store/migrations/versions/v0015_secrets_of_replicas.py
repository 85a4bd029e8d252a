"""What any replica shows once; replicas compare their secrets, and learn of sign-outs and revoked keys by a notification."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_NOTIFY = """
CREATE FUNCTION notify_access() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY veilleur_access;
    RETURN NULL;
END $$
"""
_NOTIFIES = """
CREATE TRIGGER {table}_notify AFTER {events} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION notify_access()
"""


def upgrade() -> None:
    op.create_table(
        "shown_once",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.add_column("replicas", sa.Column("secrets", sa.String(64)))
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_NOTIFY)
        # Uses of keys are noted in the same table, and mean nothing to others.
        for table, events in (("ended_logins", "INSERT OR UPDATE"), ("api_keys", "UPDATE OF revoked_ms")):
            op.execute(_NOTIFIES.format(table=table, events=events))
