"""Quorum, windows, escalation, emergencies: what an approval is asked with, who voted, and a count of all changes.

A revision says what it did at its time: it does not import the tables of today.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("requester_aliases", sa.Text, "[]"),
    ("requester_groups", sa.Text, "[]"),
    ("request_reason", sa.Text, ""),
    ("quorum", sa.Integer, "1"),
    ("each_of", sa.Text, "[]"),
    ("window_seconds", sa.Double, "0"),
    ("window_uses", sa.Integer, "0"),
    ("idempotency", sa.Text, ""),
    ("escalate_after_seconds", sa.Double, "0"),
    ("escalation_groups", sa.Text, "[]"),
    ("emergency", sa.Boolean, sa.false()),
    ("limits", sa.Text, "[]"),
    ("tenant", sa.Text, ""),
    ("uses", sa.Integer, "0"),
    ("granted_until", sa.Double, "0"),
    ("escalated_at", sa.Double, "0"),
    ("reviewed_by_uid", sa.Text, ""),
    ("reviewed_at", sa.Double, "0"),
    ("revision", sa.BigInteger, "0"),
)
_PARTIAL_INDEXES = (
    ("approvals_live_idempotency", "idempotency", True, "idempotency <> '' AND state IN ('pending', 'granted')"),
    ("approvals_unreviewed", "created_at", False, "emergency AND reviewed_by_uid = ''"),
)


def upgrade() -> None:
    """Add the columns, with what an approval of before means by them; create the tables and the indexes.

    Every old approval has the change number 0, and what expired before is not recorded any more.
    """
    for name, kind, default in _COLUMNS:
        op.add_column("approvals", sa.Column(name, kind, nullable=False, server_default=default))
    op.execute("UPDATE approvals SET granted_until = expires_at WHERE state IN ('granted', 'used')")
    op.execute("UPDATE approvals SET uses = 1 WHERE state = 'used'")
    op.create_index("approvals_by_revision", "approvals", ["revision"])
    op.create_index("approvals_by_creation", "approvals", ["created_at", "approval_id"])
    op.create_index("approvals_by_requester", "approvals", ["requester_uid", "created_at"])
    for name, column, unique, where in _PARTIAL_INDEXES:
        condition = sa.text(where)
        op.create_index(name, "approvals", [column], unique=unique, sqlite_where=condition, postgresql_where=condition)
    op.create_table(
        "approval_votes",
        sa.Column("approval_id", sa.String(200), primary_key=True),
        sa.Column("voter_uid", sa.Text, primary_key=True),
        sa.Column("voter_name", sa.Text, nullable=False),
        sa.Column("voter_groups", sa.Text, nullable=False),
        sa.Column("voter_aliases", sa.Text, nullable=False),
        sa.Column("granted", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("voted_at", sa.Double, nullable=False),
        sa.Column("seen", sa.Text, nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "unrecorded_steps",
        sa.Column("approval_id", sa.String(200), primary_key=True),
        sa.Column("step", sa.String(16), primary_key=True),
        sa.Column("leased_until", sa.Double, nullable=False),
    )
    changes = op.create_table(
        "approval_changes",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(changes, [{"number": 1, "revision": 0}])


def downgrade() -> None:
    """Drop what was added: votes are forgotten, a grant for a while is a grant for one use."""
    op.drop_table("approval_changes")
    op.drop_table("unrecorded_steps")
    op.drop_table("approval_votes")
    for index in (
        *(name for name, _, _, _ in _PARTIAL_INDEXES),
        *("approvals_by_requester", "approvals_by_creation", "approvals_by_revision"),
    ):
        op.drop_index(index, "approvals")
    for name, _, _ in reversed(_COLUMNS):
        op.drop_column("approvals", name)
