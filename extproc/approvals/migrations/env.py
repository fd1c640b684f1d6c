"""Runs the revisions on the connection, inside the transaction, that `migrate` brings."""

from alembic import context

from extproc.approvals.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
