"""The tables of budgets.

A revision says what it did at its time: it does not import the tables of today.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and their indexes."""
    op.create_table(
        "budget_accounts",
        sa.Column("account_id", sa.String(64), primary_key=True),
        sa.Column("budget", sa.Text, nullable=False),
        sa.Column("series", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("window_seconds", sa.Double, nullable=False),
        sa.Column("ends_at", sa.Double, nullable=False),
    )
    op.create_index("budget_accounts_by_end", "budget_accounts", ["ends_at"])
    op.create_table(
        "budget_amounts",
        sa.Column("account_id", sa.String(64), primary_key=True),
        sa.Column("bucket", sa.BigInteger, primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.Double, nullable=False),
    )
    op.create_index("budget_amounts_by_end", "budget_amounts", ["ends_at"])
    op.create_table(
        "budget_cards",
        sa.Column("account_id", sa.String(64), primary_key=True),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("bucket", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.Double, nullable=False),
    )
    op.create_index("budget_cards_by_end", "budget_cards", ["ends_at"])


def downgrade() -> None:
    """Drop the tables: every budget then begins at nothing."""
    for table in ("budget_cards", "budget_amounts", "budget_accounts"):
        op.drop_table(table)
