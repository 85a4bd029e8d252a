"""Alembic's entry point: migrates over the connection that ``open_database`` provides."""

from alembic import context

from bot_service.store.metadata import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
