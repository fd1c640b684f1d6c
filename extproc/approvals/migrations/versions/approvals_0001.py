"""The table of approvals.

A revision says what it did at its time: it does not import the tables of today.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and its index."""
    op.create_table(
        "approvals",
        sa.Column("approval_id", sa.String(200), primary_key=True),
        sa.Column("exchange_id", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("requester_uid", sa.Text, nullable=False),
        sa.Column("requester_name", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("rule_text", sa.Text, nullable=False),
        sa.Column("policy_digest", sa.Text, nullable=False),
        sa.Column("request_digest", sa.Text, nullable=False),
        sa.Column("connection", sa.Text, nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("findings", sa.Text, nullable=False),
        sa.Column("approver_groups", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("decided_at", sa.Double, nullable=False),
        sa.Column("decided_by_uid", sa.Text, nullable=False),
        sa.Column("decided_by_name", sa.Text, nullable=False),
        sa.Column("decision_reason", sa.Text, nullable=False),
        sa.Column("sealed_preview", sa.LargeBinary, nullable=False),
    )
    op.create_index("approvals_by_state", "approvals", ["state", "expires_at"])


def downgrade() -> None:
    """Drop the table: every approval is then unknown, and every held request refused."""
    op.drop_table("approvals")
