"""The tables of the approval store, and the way between the rows of one and `Approval`."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    false,
    text,
)

from extproc.core.approval import Approval, ApprovalState

METADATA = MetaData()

_LIVE_WITH_IDEMPOTENCY = text("idempotency <> '' AND state IN ('pending', 'granted')")

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
    Column("requester_aliases", Text, nullable=False, server_default="[]"),
    Column("requester_groups", Text, nullable=False, server_default="[]"),
    Column("request_reason", Text, nullable=False, server_default=""),
    Column("quorum", Integer, nullable=False, server_default="1"),
    Column("each_of", Text, nullable=False, server_default="[]"),
    Column("window_seconds", Double, nullable=False, server_default="0"),
    Column("window_uses", Integer, nullable=False, server_default="0"),
    Column("idempotency", Text, nullable=False, server_default=""),
    Column("escalate_after_seconds", Double, nullable=False, server_default="0"),
    Column("escalation_groups", Text, nullable=False, server_default="[]"),
    Column("emergency", Boolean, nullable=False, server_default=false()),
    Column("limits", Text, nullable=False, server_default="[]"),
    Column("tenant", Text, nullable=False, server_default=""),
    Column("uses", Integer, nullable=False, server_default="0"),
    Column("granted_until", Double, nullable=False, server_default="0"),
    Column("escalated_at", Double, nullable=False, server_default="0"),
    Column("reviewed_by_uid", Text, nullable=False, server_default=""),
    Column("reviewed_by_name", Text, nullable=False, server_default=""),
    Column("review_reason", Text, nullable=False, server_default=""),
    Column("reviewed_at", Double, nullable=False, server_default="0"),
    Column("expiry_told", Boolean, nullable=False, server_default=false()),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Index("approvals_by_state", "state", "expires_at"),
    Index("approvals_by_revision", "revision"),
    Index("approvals_by_creation", "created_at", "approval_id"),
    Index("approvals_by_requester", "requester_uid", "created_at"),
    Index(
        "approvals_live_idempotency",
        "idempotency",
        unique=True,
        sqlite_where=_LIVE_WITH_IDEMPOTENCY,
        postgresql_where=_LIVE_WITH_IDEMPOTENCY,
    ),
)
"""Times are Unix seconds, 0 for what has not happened; what is a tuple in `Approval` is JSON. `revision` is the number
of the row's last change among all changes of all approvals. A test compares this with the migrations."""

APPROVAL_VOTES = Table(
    "approval_votes",
    METADATA,
    Column("approval_id", String(200), primary_key=True),
    Column("voter_uid", Text, primary_key=True),
    Column("voter_name", Text, nullable=False),
    Column("voter_groups", Text, nullable=False),
    Column("granted", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("voted_at", Double, nullable=False),
    Column("seen", Text, nullable=False),
    Column("channel", String(16), nullable=False),
    Column("revision", BigInteger, nullable=False),
)
"""Who granted or refused; nobody twice. `revision` is the change that the vote was, and so the order of votes."""

APPROVAL_CHANGES = Table(
    "approval_changes",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
)
"""One row, which every change of an approval takes first: so changes happen one after the other, are numbered in the
order in which they become visible, and no two of them wait for each other."""

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

_FIELDS = frozenset(field.name for field in fields(Approval))
SHOWN = [column for column in APPROVALS.c if column.name in _FIELDS]
"""What an `Approval` has of it. The preview is read only when somebody looks at it."""


def _texts(written: str) -> tuple[str, ...]:
    return tuple(str(item) for item in json.loads(written))


def _counts(written: str) -> tuple[tuple[str, int], ...]:
    return tuple((str(name), int(count)) for name, count in json.loads(written))


_JSON: Mapping[str, Callable[[str], tuple[Any, ...]]] = {
    "findings": _counts,
    "limits": _counts,
    "approver_groups": _texts,
    "requester_aliases": _texts,
    "requester_groups": _texts,
    "each_of": _texts,
    "escalation_groups": _texts,
}


def write_row(approval: Approval, sealed_preview: bytes) -> dict[str, Any]:
    """The row of an approval, by column name."""
    row = {column.name: getattr(approval, column.name) for column in SHOWN}
    texts = {name: json.dumps(row[name]) for name in _JSON if name in row}
    return row | texts | {"state": approval.state.value, "sealed_preview": sealed_preview}


def read_row(row: RowMapping) -> Approval:
    """The approval in a row of the `SHOWN` columns. Raises `ValueError` or `TypeError` for what was never written."""
    values = {column.name: row[column.name] for column in SHOWN}
    tuples = {name: read(values[name]) for name, read in _JSON.items() if name in values}
    return Approval(**values | tuples | {"state": ApprovalState(values["state"])})


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
