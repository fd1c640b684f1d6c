"""The tables of the session index.

A revision says what it did at its time: it does not import the tables of today.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and their indexes."""
    op.create_table(
        "exchange_index",
        sa.Column("exchange_id", sa.String(200), primary_key=True),
        sa.Column("shape_id", sa.BigInteger, nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("first_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_ms", sa.BigInteger, nullable=False),
        sa.Column("epoch_id", sa.BigInteger, nullable=False),
        sa.Column("segment", sa.BigInteger, nullable=False),
        sa.Column("event_code", sa.Text, nullable=False),
        sa.Column("person_uid", sa.Text, nullable=False),
        sa.Column("person_name", sa.Text, nullable=False),
        sa.Column("person_kind", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("connection", sa.Text, nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("effect", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("http_status", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("findings_request", sa.Text, nullable=False),
        sa.Column("findings_response", sa.Text, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("request_bytes", sa.BigInteger, nullable=False),
        sa.Column("response_bytes", sa.BigInteger, nullable=False),
        sa.Column("duration_ms", sa.Double, nullable=False),
        sa.Column("hold_ms", sa.Double, nullable=False),
        sa.Column("decision_ms", sa.Double, nullable=False),
        sa.Column("first_byte_ms", sa.Double, nullable=False),
        sa.Column("approval_id", sa.String(200), nullable=False),
        sa.Column("approval_state", sa.Text, nullable=False),
        sa.Column("policy_digest", sa.Text, nullable=False),
        sa.Column("has_transcript", sa.Integer, nullable=False),
        sa.Column("shredded_ms", sa.BigInteger, nullable=False),
        sa.Column("places", sa.Text, nullable=False),
    )
    op.create_index("exchange_index_by_approval", "exchange_index", ["approval_id"])
    op.create_index(
        "exchange_index_by_person", "exchange_index", ["person_id", "shape_id", "started_ms", "exchange_id"]
    )
    op.create_index("exchange_index_by_shape", "exchange_index", ["shape_id", "started_ms", "exchange_id"])
    op.create_index("exchange_index_by_time", "exchange_index", ["started_ms", "exchange_id"])
    op.create_table(
        "exchange_index_shapes",
        sa.Column("shape_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("connection", sa.Text, nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("effect", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("held", sa.Integer, nullable=False),
        sa.Column("exchanges", sa.BigInteger, nullable=False),
        sa.Column("newest_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "exchange_index_kinds",
        sa.Column("shape_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(100), primary_key=True),
    )
    op.create_table(
        "exchange_index_pairs",
        sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("shape_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("exchanges", sa.BigInteger, nullable=False),
        sa.Column("newest_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "exchange_index_people",
        sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("uid", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("folded", sa.Text, nullable=False),
        sa.Column("named_ms", sa.BigInteger, nullable=False),
        sa.Column("exchanges", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "exchange_index_epochs",
        sa.Column("epoch_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("next_segment", sa.BigInteger, nullable=False),
        sa.Column("sealed_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "exchange_index_problems",
        sa.Column("epoch_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("segment", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("noted_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "exchange_index_state",
        sa.Column("state_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("writes", sa.BigInteger, nullable=False),
        sa.Column("looked_ms", sa.BigInteger, nullable=False),
        sa.Column("behind", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables: `extproc audit reindex` makes the index anew."""
    for table in (
        "exchange_index_state",
        "exchange_index_problems",
        "exchange_index_epochs",
        "exchange_index_people",
        "exchange_index_pairs",
        "exchange_index_kinds",
        "exchange_index_shapes",
        "exchange_index",
    ):
        op.drop_table(table)
