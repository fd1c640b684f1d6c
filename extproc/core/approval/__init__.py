"""Approvals: who may let a held request go on, and how often. Pure rules; `extproc.approvals` stores them.

pending -> granted | refused | expired | withdrawn        granted -> used | revoked | expired | withdrawn
"""

from extproc.core.approval.asked import (
    Approval,
    ApprovalRequest,
    Channel,
    Vote,
    open_approval,
    same_deciders,
    shown_digest,
)
from extproc.core.approval.deciding import (
    MAX_REASON_CHARACTERS,
    checked_reason,
    counted_grants,
    decide,
    deciding_groups,
    is_met,
    may_decide,
    missing_groups,
    review,
    revoke,
)
from extproc.core.approval.ending import claim, ends_at, expire, is_due, withdraw
from extproc.core.approval.recount import voted_until, votes_grant
from extproc.core.approval.states import (
    SENTENCES,
    TRANSITIONS,
    ApprovalState,
    DecisionRefused,
    TransitionCode,
    TransitionRefused,
)

__all__ = [
    "MAX_REASON_CHARACTERS",
    "SENTENCES",
    "TRANSITIONS",
    "Approval",
    "ApprovalRequest",
    "ApprovalState",
    "Channel",
    "DecisionRefused",
    "TransitionCode",
    "TransitionRefused",
    "Vote",
    "checked_reason",
    "claim",
    "counted_grants",
    "decide",
    "deciding_groups",
    "ends_at",
    "expire",
    "is_due",
    "is_met",
    "may_decide",
    "missing_groups",
    "open_approval",
    "review",
    "revoke",
    "same_deciders",
    "shown_digest",
    "voted_until",
    "votes_grant",
    "withdraw",
]
