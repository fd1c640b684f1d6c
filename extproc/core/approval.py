"""Approvals: `pending -> granted | refused | expired | withdrawn`, `granted -> used | expired | withdrawn`.

Pure rules; `extproc.approvals` stores them. A grant is bound to one request digest, requester, rule and policy.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from extproc.core.identity import Principal
from extproc.core.trust import Masked


class ApprovalState(StrEnum):
    PENDING = "pending"
    GRANTED = "granted"
    REFUSED = "refused"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    USED = "used"


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What is asked. `request_digest` is a keyed digest (hex) of the masked request with its operation and connection.

    `preview` is the masked request body; the store keeps it encrypted. Times are Unix seconds.
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


@dataclass(frozen=True, slots=True)
class Approval:
    """What the store knows. `decided_*` are empty while pending."""

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


TRANSITIONS: Mapping[ApprovalState, frozenset[ApprovalState]] = {
    ApprovalState.PENDING: frozenset(
        {ApprovalState.GRANTED, ApprovalState.REFUSED, ApprovalState.EXPIRED, ApprovalState.WITHDRAWN}
    ),
    ApprovalState.GRANTED: frozenset({ApprovalState.USED, ApprovalState.EXPIRED, ApprovalState.WITHDRAWN}),
    ApprovalState.REFUSED: frozenset(),
    ApprovalState.EXPIRED: frozenset(),
    ApprovalState.WITHDRAWN: frozenset(),
    ApprovalState.USED: frozenset(),
}
"""Every legal step. A state that leads nowhere is final."""

MAX_REASON_CHARACTERS = 1000
"""A reason is a sentence or two that an assessor reads; the record that carries it stays small."""


class TransitionCode(StrEnum):
    """Why a step was not taken. Stable: it appears in records and in machine-readable output."""

    NOT_PENDING = "not_pending"
    NOT_GRANTED = "not_granted"
    FINAL = "final"
    EXPIRED = "expired"
    NOT_EXPIRED = "not_expired"
    OWN_REQUEST = "own_request"
    NOT_AN_APPROVER = "not_an_approver"
    REASON_EMPTY = "reason_empty"
    REASON_TOO_LONG = "reason_too_long"
    REASON_UNPRINTABLE = "reason_unprintable"
    OTHER_REQUEST = "other_request"
    OTHER_REQUESTER = "other_requester"
    UNKNOWN = "unknown"


SENTENCES: Mapping[TransitionCode, str] = {
    TransitionCode.NOT_PENDING: "The approval is no longer pending.",
    TransitionCode.NOT_GRANTED: "The approval is not granted.",
    TransitionCode.FINAL: "The approval has ended.",
    TransitionCode.EXPIRED: "The approval has expired.",
    TransitionCode.NOT_EXPIRED: "The approval has not expired.",
    TransitionCode.OWN_REQUEST: "Nobody decides on their own request.",
    TransitionCode.NOT_AN_APPROVER: "The decider is in none of the groups that may decide.",
    TransitionCode.REASON_EMPTY: "A decision needs a reason.",
    TransitionCode.REASON_TOO_LONG: f"The reason is longer than {MAX_REASON_CHARACTERS} characters.",
    TransitionCode.REASON_UNPRINTABLE: "The reason contains control characters.",
    TransitionCode.OTHER_REQUEST: "The approval is bound to a different request.",
    TransitionCode.OTHER_REQUESTER: "The approval belongs to a different requester.",
    TransitionCode.UNKNOWN: "There is no such approval.",
}


class TransitionRefused(Exception):
    """A step that the rules do not allow. Carries a code and its fixed sentence, never input."""

    def __init__(self, code: TransitionCode) -> None:
        super().__init__(code.value)
        self.code = code
        self.sentence = SENTENCES[code]


class DecisionRefused(TransitionRefused):
    """A grant or refusal that the decider may not give, or not any more."""


def open_approval(request: ApprovalRequest) -> Approval:
    """The pending approval that a request begins with."""
    return Approval(
        approval_id=request.approval_id,
        exchange_id=request.exchange_id,
        state=ApprovalState.PENDING,
        requester_uid=request.requester_uid,
        requester_name=request.requester_name,
        rule=request.rule,
        rule_text=request.rule_text,
        policy_digest=request.policy_digest,
        request_digest=request.request_digest,
        connection=request.connection,
        operation=request.operation,
        model=request.model,
        findings=request.findings,
        approver_groups=request.approver_groups,
        created_at=request.created_at,
        expires_at=request.expires_at,
    )


def is_due(approval: Approval, now: float) -> bool:
    """Whether the approval has outlived its time and nothing has ended it yet."""
    return ApprovalState.EXPIRED in TRANSITIONS[approval.state] and not now < approval.expires_at


def decide(approval: Approval, decider: Principal, grant: bool, reason: str, now: float) -> Approval:
    """The approval granted or refused by `decider`; raises `DecisionRefused`.

    Four eyes: the requester never decides, and only a member
    of an approver group does. `reason` must already be masked.
    """
    if approval.state is not ApprovalState.PENDING:
        raise DecisionRefused(TransitionCode.NOT_PENDING)
    if is_due(approval, now):
        raise DecisionRefused(TransitionCode.EXPIRED)
    if decider.may_be(approval.requester_uid):
        raise DecisionRefused(TransitionCode.OWN_REQUEST)
    if not set(decider.groups) & set(approval.approver_groups):
        raise DecisionRefused(TransitionCode.NOT_AN_APPROVER)
    return replace(
        approval,
        state=ApprovalState.GRANTED if grant else ApprovalState.REFUSED,
        decided_at=now,
        decided_by_uid=decider.uid,
        decided_by_name=decider.name,
        decision_reason=checked_reason(reason),
    )


def expire(approval: Approval, now: float) -> Approval:
    """The approval expired; raises `TransitionRefused` before its time or after its end."""
    if ApprovalState.EXPIRED not in TRANSITIONS[approval.state]:
        raise TransitionRefused(TransitionCode.FINAL)
    if not is_due(approval, now):
        raise TransitionRefused(TransitionCode.NOT_EXPIRED)
    return replace(approval, state=ApprovalState.EXPIRED)


def withdraw(approval: Approval) -> Approval:
    """The approval withdrawn; raises `TransitionRefused` once it has ended."""
    if ApprovalState.WITHDRAWN not in TRANSITIONS[approval.state]:
        raise TransitionRefused(TransitionCode.FINAL)
    return replace(approval, state=ApprovalState.WITHDRAWN)


def claim(approval: Approval, request_digest: str, requester_uid: str, now: float) -> Approval:
    """The grant used, by its own requester and for its own request; raises `TransitionRefused`."""
    if approval.state is not ApprovalState.GRANTED:
        raise TransitionRefused(TransitionCode.NOT_GRANTED)
    if is_due(approval, now):
        raise TransitionRefused(TransitionCode.EXPIRED)
    if approval.request_digest != request_digest:
        raise TransitionRefused(TransitionCode.OTHER_REQUEST)
    if approval.requester_uid != requester_uid:
        raise TransitionRefused(TransitionCode.OTHER_REQUESTER)
    return replace(approval, state=ApprovalState.USED)


def checked_reason(reason: str) -> str:
    """The reason without the blanks around it. Raises `DecisionRefused` for what a record should not carry."""
    text = reason.strip()
    if not text:
        raise DecisionRefused(TransitionCode.REASON_EMPTY)
    if len(text) > MAX_REASON_CHARACTERS:
        raise DecisionRefused(TransitionCode.REASON_TOO_LONG)
    # Cc and Cs: terminal control sequences, NUL and lone surrogates, which a database or a terminal takes badly.
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text if character not in "\n\t"):
        raise DecisionRefused(TransitionCode.REASON_UNPRINTABLE)
    return text
