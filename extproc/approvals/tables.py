"""The tables of the approval store."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TextClause,
    false,
    text,
)

METADATA = MetaData()

_LIVE_WITH_IDEMPOTENCY = text("idempotency <> '' AND state IN ('pending', 'granted')")
UNREVIEWED = text("emergency AND reviewed_by_uid = ''")
"""Conditions of partial indexes, for questions in the same words."""


def _partial_index(name: str, column: str, condition: TextClause, *, unique: bool = False) -> Index:
    return Index(name, column, unique=unique, sqlite_where=condition, postgresql_where=condition)


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
    Column("reviewed_at", Double, nullable=False, server_default="0"),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Index("approvals_by_state", "state", "expires_at"),
    Index("approvals_by_revision", "revision"),
    Index("approvals_by_creation", "created_at", "approval_id"),
    Index("approvals_by_requester", "requester_uid", "created_at"),
    _partial_index("approvals_live_idempotency", "idempotency", _LIVE_WITH_IDEMPOTENCY, unique=True),
    _partial_index("approvals_unreviewed", "created_at", UNREVIEWED),
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
    Column("voter_aliases", Text, nullable=False),
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

UNRECORDED_STEPS = Table(
    "unrecorded_steps",
    METADATA,
    Column("approval_id", String(200), primary_key=True),
    Column("step", String(16), primary_key=True),
    Column("leased_until", Double, nullable=False),
)
"""What time did to approvals and the audit log may not have yet; `extproc.approvals.steps`."""

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
