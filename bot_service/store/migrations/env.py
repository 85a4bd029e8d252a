"""Alembic's entry: migrates over the connection that ``open_database`` hands in."""

from alembic import context

from bot_service.store import message_tables  # noqa: F401  registers its tables
from bot_service.store.session_tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
