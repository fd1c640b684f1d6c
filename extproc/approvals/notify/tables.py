"""The tables of what people are told of approvals: one row for what happened, one for each channel that tells it."""

from sqlalchemy import Column, Double, Index, Integer, String, Table

from extproc.approvals.tables import METADATA

NOTIFICATIONS = Table(
    "notifications",
    METADATA,
    Column("notification_id", String(64), primary_key=True),
    Column("approval_id", String(200), nullable=False),
    Column("event", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("at", Double, nullable=False),
    Column("spread_at", Double, nullable=False),
    Index("notifications_by_spread", "spread_at", "at"),
)
"""Written in the transaction in which it happens, so that nothing happens untold. `state`: the approval's, just then.

`spread_at`: when its deliveries were written, 0 while they are not. Times are Unix seconds."""

DELIVERIES = Table(
    "notification_deliveries",
    METADATA,
    Column("notification_id", String(64), primary_key=True),
    Column("channel", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("urgency", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("leased_until", Double, nullable=False),
    Column("gives_up_at", Double, nullable=False),
    Column("failure", String(32), nullable=False),
    Column("ended_at", Double, nullable=False),
    Index("notification_deliveries_by_due", "state", "channel", "due_at"),
)
"""One channel's part. `urgency` 0 goes first; `failure` is a word of ours; `ended_at` is 0 while it is to be told."""
