"""The tables of what may be used once, and of sessions in the console.

A revision says what it did at its time: it does not import the tables of today.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and their indexes."""
    op.create_table(
        "single_use",
        sa.Column("purpose", sa.String(16), primary_key=True),
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index("single_use_by_end", "single_use", ["expires_at"])
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("ends_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index("sessions_by_end", "sessions", ["expires_at"])


def downgrade() -> None:
    """Drop the tables: sessions end, and what was used once could be used once more, until it expires."""
    op.drop_table("sessions")
    op.drop_table("single_use")
