"""Alembic's entry: runs migrations on the connection that `migrate` (or a test) has opened."""

from alembic import context

from kcs_signaling.records.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
