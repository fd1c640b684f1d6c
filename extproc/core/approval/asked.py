"""An approval as it is asked for, as it is kept, and as its approvers see it."""

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from extproc.core.approval.states import ApprovalState
from extproc.core.trust import Masked


class Channel(StrEnum):
    """Where somebody decided."""

    CONSOLE = "console"
    CLI = "cli"
    API = "api"
    GRPC = "grpc"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person said. `groups` are those that gave the right, `seen` the `shown_digest` they decided on.

    `reason` is masked, `at` is in Unix seconds, `aliases` as in `Principal`.
    """

    uid: str
    name: str
    groups: tuple[str, ...]
    grant: bool
    reason: str
    at: float
    seen: str
    channel: Channel
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What is asked. `request_digest` is a keyed digest (hex) of the masked request with its operation and connection.

    `preview` is the masked request body; the store keeps it encrypted. Times are Unix seconds. `approver_groups` has
    those of `each_of`. The last fields are empty or 0 where the rule does not ask for such a thing:
    """

    approval_id: str
    exchange_id: str
    requester_uid: str
    requester_name: str
    rule: str
    rule_text: str
    policy_digest: str
    request_digest: str
    connection: str
    operation: str
    model: str
    findings: tuple[tuple[str, int], ...]
    approver_groups: tuple[str, ...]
    created_at: float
    expires_at: float
    preview: Masked = field(repr=False)
    requester_aliases: tuple[str, ...] = ()
    """As in `Principal`: nobody who shares one of them decides."""
    requester_groups: tuple[str, ...] = ()
    request_reason: str = ""
    """Why the requester asks, masked; of an emergency, why it is one."""
    tenant: str = ""
    limits: tuple[tuple[str, int], ...] = ()
    """What the request asks for, by name (`max_tokens`, `choices`, …), for the approvers' page."""
    quorum: int = 1
    each_of: tuple[str, ...] = ()
    window_seconds: float = 0.0
    window_uses: int = 0
    """Both above 0 where one grant serves several requests of the same person, rule, policy and connection."""
    idempotency: str = ""
    """A keyed digest of the client's key with the requester and the request; empty without a key."""
    escalate_after_seconds: float = 0.0
    escalation_groups: tuple[str, ...] = ()
    emergency: bool = False
    """It went on at once, and is reviewed afterwards."""


@dataclass(frozen=True, slots=True)
class Approval:
    """What the store knows. `decided_*` say who took the last decision: a grant, refusal, revocation or review.

    They are empty while nothing is decided. `granted_until` is 0 until then, and after it the end of the grant or of
    its window.
    """

    approval_id: str
    exchange_id: str
    state: ApprovalState
    requester_uid: str
    requester_name: str
    rule: str
    rule_text: str
    policy_digest: str
    request_digest: str
    connection: str
    operation: str
    model: str
    findings: tuple[tuple[str, int], ...]
    approver_groups: tuple[str, ...]
    created_at: float
    expires_at: float
    decided_at: float = 0.0
    decided_by_uid: str = ""
    decided_by_name: str = ""
    decision_reason: str = ""
    requester_aliases: tuple[str, ...] = ()
    requester_groups: tuple[str, ...] = ()
    request_reason: str = ""
    tenant: str = ""
    limits: tuple[tuple[str, int], ...] = ()
    quorum: int = 1
    each_of: tuple[str, ...] = ()
    window_seconds: float = 0.0
    window_uses: int = 0
    idempotency: str = ""
    escalate_after_seconds: float = 0.0
    escalation_groups: tuple[str, ...] = ()
    emergency: bool = False
    votes: tuple[Vote, ...] = ()
    uses: int = 0
    granted_until: float = 0.0
    reviewed_by_uid: str = ""
    reviewed_at: float = 0.0
    revision: int = 0
    """Rises with each change, across all approvals of a store."""

    @property
    def grants(self) -> tuple[Vote, ...]:
        """The votes that grant."""
        return tuple(vote for vote in self.votes if vote.grant)

    @property
    def has_window(self) -> bool:
        """Whether one grant serves several requests."""
        return self.window_uses > 0


class DecidedBy(Protocol):
    """Who decides: what a rule, a request and an approval have in common."""

    @property
    def approver_groups(self) -> tuple[str, ...]: ...
    @property
    def quorum(self) -> int: ...
    @property
    def each_of(self) -> tuple[str, ...]: ...
    @property
    def escalate_after_seconds(self) -> float: ...
    @property
    def escalation_groups(self) -> tuple[str, ...]: ...


def same_deciders(one: DecidedBy, other: DecidedBy) -> bool:
    """Whether a grant of the one is as good as one of the other. The steps of a budget, say, ask different people."""
    return all(getattr(one, name) == getattr(other, name) for name in _DECIDED_BY)


_DECIDED_BY = ("approver_groups", "quorum", "each_of", "escalate_after_seconds", "escalation_groups")
_ASKED = (
    *("approval_id", "exchange_id", "requester_uid", "requester_name", "rule", "rule_text", "policy_digest"),
    *("request_digest", "connection", "operation", "model", "findings", "approver_groups", "created_at", "expires_at"),
    *("requester_aliases", "requester_groups", "request_reason", "tenant", "limits", "quorum", "each_of"),
    *("window_seconds", "window_uses", "idempotency", "escalate_after_seconds", "escalation_groups", "emergency"),
)
"""What an approval is asked with, and what never changes of it."""


def open_approval(request: ApprovalRequest) -> Approval:
    """The approval that a request begins with: pending, or, of an emergency, used already and to be reviewed."""
    state = ApprovalState.USED if request.emergency else ApprovalState.PENDING
    asked = {name: getattr(request, name) for name in _ASKED}
    return Approval(state=state, uses=1 if request.emergency else 0, **asked)


def shown_digest(approval: Approval) -> str:
    """SHA-256 (hex) over what an approver is shown and what does not change, with the digest of the request itself.

    Whoever decides names it, so that a decision counts for nothing but what its decider saw.
    """
    shown = [[name, getattr(approval, name)] for name in _ASKED]
    return hashlib.sha256(json.dumps(shown, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()
