"""Alembic's entry: migrates over the connection that ``open_database`` hands in."""

from alembic import context

from bot_service.store import tables_delivery  # noqa: F401  (its tables join the metadata)
from bot_service.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
