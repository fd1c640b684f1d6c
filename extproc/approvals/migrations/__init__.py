"""Alembic's revisions of the approval store, run by `extproc.approvals.revisions`."""
