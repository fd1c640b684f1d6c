"""The tables of what people are told of approvals.

A revision says what it did at its time: it does not import the tables of today.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and their indexes."""
    op.create_table(
        "notifications",
        sa.Column("notification_id", sa.String(64), primary_key=True),
        sa.Column("approval_id", sa.String(200), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("spread_at", sa.Double, nullable=False),
    )
    op.create_index("notifications_by_spread", "notifications", ["spread_at", "at"])
    op.create_table(
        "notification_deliveries",
        sa.Column("notification_id", sa.String(64), primary_key=True),
        sa.Column("channel", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("urgency", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("leased_until", sa.Double, nullable=False),
        sa.Column("gives_up_at", sa.Double, nullable=False),
        sa.Column("failure", sa.String(32), nullable=False),
        sa.Column("ended_at", sa.Double, nullable=False),
    )
    op.create_index("notification_deliveries_by_due", "notification_deliveries", ["state", "channel", "due_at"])


def downgrade() -> None:
    """Drop the tables: what was not told yet is not told."""
    op.drop_table("notification_deliveries")
    op.drop_table("notifications")
