"""Runs the revisions on the connection, inside the transaction, that `migrate` brings."""

from alembic import context

from extproc.approvals.index import tables as _index_tables  # noqa: F401 - part of the metadata
from extproc.approvals.notify import tables as _notify_tables  # noqa: F401 - part of the metadata
from extproc.approvals.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
