"""The tables of the approval store, and the way between the rows of one and `Approval`."""

import json
from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, LargeBinary, MetaData, RowMapping, String, Table, Text

from extproc.core.approval import Approval, ApprovalState

METADATA = MetaData()

APPROVALS = Table(
    "approvals",
    METADATA,
    Column("approval_id", String(200), primary_key=True),
    Column("exchange_id", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("requester_uid", Text, nullable=False),
    Column("requester_name", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("rule_text", Text, nullable=False),
    Column("policy_digest", Text, nullable=False),
    Column("request_digest", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("findings", Text, nullable=False),
    Column("approver_groups", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("decided_at", Double, nullable=False),
    Column("decided_by_uid", Text, nullable=False),
    Column("decided_by_name", Text, nullable=False),
    Column("decision_reason", Text, nullable=False),
    Column("sealed_preview", LargeBinary, nullable=False),
    Index("approvals_by_state", "state", "expires_at"),
)
"""Times are Unix seconds; `findings` and `approver_groups` are JSON. A test compares this with the migrations."""

BUDGET_ACCOUNTS = Table(
    "budget_accounts",
    METADATA,
    Column("account_id", String(64), primary_key=True),
    Column("budget", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("window_seconds", Double, nullable=False),
    Column("ends_at", Double, nullable=False),
    Index("budget_accounts_by_end", "ends_at"),
)
"""One row for what a budget counts for one holder; every charge locks it first. `account_id` is a digest of the three
texts. `ends_at`, here and below: the Unix second from which on nothing in the row counts any more."""

BUDGET_AMOUNTS = Table(
    "budget_amounts",
    METADATA,
    Column("account_id", String(64), primary_key=True),
    Column("bucket", BigInteger, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("ends_at", Double, nullable=False),
    Index("budget_amounts_by_end", "ends_at"),
)
"""Sums by time. Buckets are numbered from the Unix epoch on, in twenty-fourths of the window."""

BUDGET_CARDS = Table(
    "budget_cards",
    METADATA,
    Column("account_id", String(64), primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("bucket", BigInteger, nullable=False),
    Column("ends_at", Double, nullable=False),
    Index("budget_cards_by_end", "ends_at"),
)
"""One row a card and the bucket in which it was last seen. `extproc.approvals.budget_digests` says what `digest` is."""

SHOWN = [column for column in APPROVALS.c if column.name != "sealed_preview"]
"""Everything but the preview, which is read only when somebody looks at it."""


def write_row(approval: Approval, sealed_preview: bytes) -> dict[str, Any]:
    """The row of an approval, by column name."""
    row = {column.name: getattr(approval, column.name) for column in SHOWN}
    return row | {
        "state": approval.state.value,
        "findings": json.dumps(approval.findings),
        "approver_groups": json.dumps(approval.approver_groups),
        "sealed_preview": sealed_preview,
    }


def read_row(row: RowMapping) -> Approval:
    """The approval in a row of the `SHOWN` columns. Raises `ValueError` or `TypeError` for what was never written."""
    fields = {column.name: row[column.name] for column in SHOWN}
    return Approval(
        **fields
        | {
            "state": ApprovalState(fields["state"]),
            "findings": tuple((str(kind), int(count)) for kind, count in json.loads(fields["findings"])),
            "approver_groups": tuple(str(group) for group in json.loads(fields["approver_groups"])),
        }
    )


SINGLE_USE = Table(
    "single_use",
    METADATA,
    Column("purpose", String(16), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("expires_at", Double, nullable=False),
    Index("single_use_by_end", "expires_at"),
)
"""What was used and may not be used again until then: `digest` is the SHA-256 of its name."""

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("person", Text, nullable=False),
    Column("ends_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Index("sessions_by_end", "expires_at"),
)
"""Of people in the console: `digest` is the SHA-256 of what the browser has, `person` is JSON.

A session expires when nobody uses it, and ends whatever is done in it."""
